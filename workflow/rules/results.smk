# Results: metrics of each run, tables and curves over all runs, figures.
rule evaluate:
    input:
        target_folders(DATA.val_sequences),
        predictions=lambda w: expand(PREDICTIONS, run=w.run, seed=w.seed, sequence=DATA.val_sequences),
        projection=projections(DATA.val_sequences),
    output:
        metrics=METRICS,
        confusion=f"{RESULTS}/evaluate/{{run}}/seed{{seed}}/confusion.csv",
        tensor=f"{RESULTS}/evaluate/{{run}}/seed{{seed}}/confusion.h5",
    log:
        f"{RESULTS}/logs/evaluate/{{run}}/seed{{seed}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/evaluate/{{run}}/seed{{seed}}.tsv"
    conda:
        "../../envs/conda.yaml"
    resources:
        **asked("evaluate"),
    params:
        settings=EXPERIMENT.evaluate.canonical(),
        code=code("evaluate.py"),
        label_set=LABEL_SET,
        places=places("TARGET", "RESULTS", "PROJECTION_VAL"),
        data=fingerprint(("scans", DATA.evaluate_on), DATA.val_sequences),
        sequences=DATA.val_sequences,
        evaluate_on=DATA.evaluate_on,
    message:
        "Evaluation of '{wildcards.run}', seed {wildcards.seed}"
    shell:
        stage_command(
            "evaluate",
            LABELS,
            ON_CPU,
            "--dataset {PLACES[IGNET_TARGET]:q} --sequences {params.sequences:q} --evaluate-on {params.evaluate_on:q}",
            "--predictions {PLACES[IGNET_RESULTS]:q}/predict/{wildcards.run:q}/seed{wildcards.seed:q}",
            "--projection {PLACES[IGNET_PROJECTION_VAL]:q} --out {output.metrics:q}",
            "--confusion {output.confusion:q} --tensor {output.tensor:q}",
        )


if DATA.evaluated_test_sequences:

    use rule evaluate as evaluate_test with:
        input:
            target_folders(DATA.evaluated_test_sequences),
            predictions=lambda w: expand(PREDICTIONS, run=w.run, seed=w.seed, sequence=DATA.evaluated_test_sequences),
            projection=projections(DATA.evaluated_test_sequences),
        output:
            metrics=f"{RESULTS}/evaluate_test/{{run}}/seed{{seed}}/metrics.json",
            confusion=f"{RESULTS}/evaluate_test/{{run}}/seed{{seed}}/confusion.csv",
            tensor=f"{RESULTS}/evaluate_test/{{run}}/seed{{seed}}/confusion.h5",
        log:
            f"{RESULTS}/logs/evaluate_test/{{run}}/seed{{seed}}.log",
        benchmark:
            f"{RESULTS}/benchmarks/evaluate_test/{{run}}/seed{{seed}}.tsv"
        params:
            data=fingerprint(("scans", DATA.evaluate_on), DATA.evaluated_test_sequences),
            sequences=DATA.evaluated_test_sequences,
        message:
            "Evaluation of '{wildcards.run}', seed {wildcards.seed}, on the test sequences"


# no part of `rule all`: a benchmark's server takes few submissions
rule submission:
    input:
        submission_inputs,
    output:
        f"{RESULTS}/submission/submission.zip",
    log:
        f"{RESULTS}/logs/submission.log",
    benchmark:
        f"{RESULTS}/benchmarks/submission.tsv"
    conda:
        "../../envs/conda.yaml"
    resources:
        **asked("submission"),
    params:
        settings=EXPERIMENT.submission.canonical(),
        code=code("submission.py"),
        label_set=LABEL_SET,
        places=places("TARGET", "RESULTS"),
        data=lambda w: fingerprint(("scans",), DATA.test_sequences),
        network=lambda w: "{}/seed{}".format(*EXPERIMENT.submitted()),
        sequences=DATA.test_sequences,
        complete="--benchmark" if DATA.require_all_scans and {*DATA.test_sequences} == {*TEST_SEQUENCES} else [],
    message:
        "Submission: predictions on the test sequences, packed and checked"
    shell:
        stage_command(
            "submission",
            LABELS,
            ON_CPU,
            "--dataset {PLACES[IGNET_TARGET]:q} --sequences {params.sequences:q} {params.complete:q}",
            "--predictions {PLACES[IGNET_RESULTS]:q}/predict/{params.network:q} --out {output:q}",
        )


TEST_TENSORS = run_files(rules.evaluate_test.output.tensor) if DATA.evaluated_test_sequences else []


rule compare:
    input:
        [file.partition("=")[2] for file in TEST_TENSORS],
        confusions=[rules.evaluate.output.tensor.format(run=run, seed=seed) for run, seed in RUNS],
        curves=[CURVES.format(run=run, seed=seed) for run, seed in RUNS],
        metrics_2d=[evaluation_2d(network) for network in NETWORKS_2D],
        metrics_source=[rules.pretrain_2d.output.metrics] if SEGMENTERS else [],
    output:
        report(f"{RESULTS}/compare/table.csv", caption="../report/table.rst", category="Tables"),
        multiext(f"{RESULTS}/compare/table", ".md", ".tex"),
        report(f"{RESULTS}/compare/controls.csv", caption="../report/controls.rst", category="Tables"),
        multiext(f"{RESULTS}/compare/controls", ".md", ".tex"),
        report(f"{RESULTS}/compare/gains.csv", caption="../report/gains.rst", category="Tables"),
        multiext(f"{RESULTS}/compare/gains", ".md", ".tex"),
        multiext(f"{RESULTS}/compare/gains_per_class", ".csv", ".md", ".tex"),
        multiext(f"{RESULTS}/compare/per_class", ".csv", ".md", ".tex"),
        multiext(f"{RESULTS}/compare/slices", ".csv", ".md", ".tex"),
        report(f"{RESULTS}/compare/networks_2d.csv", caption="../report/networks_2d.rst", category="Tables"),
        multiext(f"{RESULTS}/compare/networks_2d", ".md", ".tex"),
        multiext(f"{RESULTS}/compare/published", ".csv", ".md", ".tex"),
        multiext(f"{RESULTS}/compare/statements", ".md", ".json"),
        f"{RESULTS}/compare/tables.json",
        multiext(f"{RESULTS}/compare/labelled_frames", ".csv", ".md", ".tex") if labelled_frames() else [],
        multiext(f"{RESULTS}/compare/test", ".csv", ".md", ".tex") if TEST_TENSORS else [],
        ablation_plot=report(f"{RESULTS}/compare/ablation.png", caption="../report/ablation_plot.rst", category="Plots"),
        gains_plot=report(f"{RESULTS}/compare/gains.png", caption="../report/gains_plot.rst", category="Plots"),
        curves_plot=report(f"{RESULTS}/compare/curves.png", caption="../report/curves_plot.rst", category="Plots"),
        per_class_plot=report(
            f"{RESULTS}/compare/per_class.png", caption="../report/per_class_plot.rst", category="Plots"
        ),
        summary=report(f"{RESULTS}/compare/summary.txt", caption="../report/summary.rst", category="Summary"),
    log:
        f"{RESULTS}/logs/compare.log",
    benchmark:
        f"{RESULTS}/benchmarks/compare.tsv"
    conda:
        "../../envs/conda.yaml"
    resources:
        **asked("compare"),
    params:
        settings=EXPERIMENT.compare.canonical(),
        code=code("compare.py"),
        confusions=run_files(rules.evaluate.output.tensor),
        curves=run_files(CURVES),
        metrics_2d=[f"{network}={evaluation_2d(network)}" for network in NETWORKS_2D],
        supervision_2d=[f"{network}={supervision_2d(network)}" for network in NETWORKS_2D],
        labelled_frames=["--labelled-frames", *labelled_frames()] if labelled_frames() else [],
        test=["--test-confusions", *TEST_TENSORS] if TEST_TENSORS else [],
        backbones=["--backbones", *backbones()] if backbones() else [],
        evaluate_on=DATA.evaluate_on,
    message:
        "Tables, plots and verdicts over all runs"
    shell:
        stage_command(
            "compare",
            ON_CPU,
            "--confusions {params.confusions:q} --curves {params.curves:q} --metrics-2d {params.metrics_2d:q}",
            "--supervision-2d {params.supervision_2d:q} --metrics-source {input.metrics_source:q}",
            "{params.labelled_frames:q} {params.test:q} {params.backbones:q} --evaluate-on {params.evaluate_on:q}",
            "--out {PLACES[IGNET_RESULTS]:q}/compare",
        )


rule figures_data:
    input:
        source_folder(),
        target_folders(DATA.sequences),
        scribble_folders(DATA.train_sequences),
    output:
        report(f"{RESULTS}/figures/data.png", caption="../report/figures_data.rst", category="Figures"),
    log:
        f"{RESULTS}/logs/figures_data.log",
    benchmark:
        f"{RESULTS}/benchmarks/figures_data.tsv"
    conda:
        "../../envs/conda.yaml"
    resources:
        **asked("figures_data"),
    params:
        settings=canonical_json(EXPERIMENT.figures.identity("frames")),
        code=code("figures_data.py"),
        label_set=LABEL_SET,
        places=places("SOURCE", "TARGET", "SCRIBBLES"),
        data=fingerprint(("scans", "images", "labels", "calibration", *scribble_kinds()), DATA.sequences),
        source=source_fingerprint(),
        layout=EXPERIMENT.source.layout,
        sourceless=[] if SEGMENTERS else "--without-source",
        sequences=[*DATA.train_sequences, *DATA.val_sequences, *DATA.evaluated_test_sequences],
        cameras=[str(camera) for camera in DATA.cameras],
    message:
        "Contact sheet of the data"
    shell:
        stage_command(
            "figures_data",
            LABELS,
            ON_CPU,
            "--source {PLACES[IGNET_SOURCE]:q} --layout {params.layout:q} {params.sourceless:q}",
            "--target {PLACES[IGNET_TARGET]:q} --sequences {params.sequences:q} --scribbles {PLACES[IGNET_SCRIBBLES]:q}",
            "--cameras {params.cameras:q} --out {output:q}",
        )


rule figures_predictions:
    input:
        target_folders(DATA.val_sequences),
        predictions=[
            expand(PREDICTIONS, run=run, seed=seed, sequence=DATA.val_sequences)
            for run, seed in RUNS
            if seed == EXPERIMENT.run_seeds(run)[0]
        ],
        projection=projections(DATA.val_sequences),
        networks=[network_file(network) for network in SEGMENTERS],
    output:
        report(
            directory(f"{RESULTS}/figures/predictions"),
            patterns=["{figure}.png"],
            caption="../report/figures_predictions.rst",
            category="Figures",
        ),
    log:
        f"{RESULTS}/logs/figures_predictions.log",
    benchmark:
        f"{RESULTS}/benchmarks/figures_predictions.tsv"
    conda:
        "../../envs/conda.yaml"
    resources:
        **asked("figures_predictions"),
    params:
        settings=EXPERIMENT.figures.canonical(),
        code=code("figures_predictions.py"),
        label_set=LABEL_SET,
        places=places("TARGET", "PROJECTION_VAL"),
        data=fingerprint(("scans", "images", DATA.evaluate_on, "calibration"), DATA.val_sequences),
        predictions=[f"{run}={RESULTS}/predict/{run}/seed{EXPERIMENT.run_seeds(run)[0]}" for run in EXPERIMENT.runs],
        networks=[f"{network}={network_file(network)}" for network in SEGMENTERS],
        sequences=DATA.val_sequences,
        evaluate_on=DATA.evaluate_on,
        note=f"scribbles: {DATA.scribbles}",
    message:
        "Figures: predictions from above and in the image, 2D segmentation before and after adaptation"
    shell:
        stage_command(
            "figures_predictions",
            LABELS,
            ON_CPU,
            "--dataset {PLACES[IGNET_TARGET]:q} --sequences {params.sequences:q} --evaluate-on {params.evaluate_on:q}",
            "--predictions {params.predictions:q} --projection {PLACES[IGNET_PROJECTION_VAL]:q}",
            "--networks-2d {params.networks:q} --scribbles-note {params.note:q} --out {output:q}",
        )


# The last job: it also tells what the others cost. A sequence's correspondence is named with its file, as training and
# validation may differ.
rule report:
    input:
        target_folders([*DATA.val_sequences, *SHOWN_TRAIN]),
        scribble_folders(SHOWN_TRAIN),
        rules.dataset_manifest.output,
        rules.figures_data.output,
        rules.figures_predictions.output,
        expand(rules.figures_projection.output, sequence=DATA.sequences),
        multiext(f"{RESULTS}/compare/", "tables.json", "summary.txt"),
        confusions=[rules.evaluate.output.confusion.format(run=run, seed=seed) for run, seed in RUNS],
        curves=[CURVES.format(run=run, seed=seed) for run, seed in RUNS],
        predictions=[
            expand(PREDICTIONS, run=run, seed=EXPERIMENT.run_seeds(run)[0], sequence=DATA.val_sequences)
            for run in EXPERIMENT.runs
        ],
        projection=projections([*DATA.val_sequences, *SHOWN_TRAIN]),
        networks=[network_file(network) for network in SHOWN_NETWORKS],
    output:
        report(f"{RESULTS}/report/index.html", caption="../report/report.rst", category="Report"),
    log:
        f"{RESULTS}/logs/report.log",
    benchmark:
        f"{RESULTS}/benchmarks/report.tsv"
    conda:
        "../../envs/conda.yaml"
    resources:
        **asked("report"),
    params:
        settings=EXPERIMENT.report.canonical(),
        code=code("report.py"),
        label_set=LABEL_SET,
        places=places("RESULTS", "SHARED", "TARGET", "SCRIBBLES"),
        assets=assets_hash(),
        data=fingerprint(
            ("scans", "images", "labels", "calibration", *scribble_kinds()), (*DATA.val_sequences, *SHOWN_TRAIN)
        ),
        runs=[f"{run}:{seed}" for run, seed in RUNS],
        val=[f"{sequence}={projections([sequence])[0]}" for sequence in DATA.val_sequences],
        train=(
            ["--train", *(f"{sequence}={projections([sequence])[0]}" for sequence in SHOWN_TRAIN)]
            if SHOWN_TRAIN
            else []
        ),
        networks=[f"{network}={network_file(network)}" for network in SHOWN_NETWORKS],
        features=shown_features(),
        records=records(),
        evaluate_on=DATA.evaluate_on,
        note="Scribbles: "
        + ("those of the dataset." if DATA.scribbles == "dataset" else "simulated from the dense labels."),
    message:
        "Report: one page of tables, charts, scans and a 3D viewer"
    shell:
        stage_command(
            "report",
            "--assets {params.assets:q}",
            LABELS,
            ON_CPU,
            "--results {PLACES[IGNET_RESULTS]:q} --shared {PLACES[IGNET_SHARED]:q} --runs {params.runs:q}",
            "--dataset {PLACES[IGNET_TARGET]:q} --scribbles {PLACES[IGNET_SCRIBBLES]:q} --val {params.val:q}",
            "{params.train:q} --networks-2d {params.networks:q} --features-of {params.features:q}",
            "--records {params.records:q} --evaluate-on {params.evaluate_on:q} --note {params.note:q} --out {output:q}",
        )
