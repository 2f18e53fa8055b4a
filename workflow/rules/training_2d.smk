# The longest path goes first: what guided runs wait for has a higher priority than trainings that wait for nothing.
# 2D: source pretraining, adaptation to the camera, frozen teachers, features per point, evaluation on target images.
rule pretrain_2d:
    input:
        source_folder(),
    output:
        model=f"{SHARED}/{PRETRAINED}/model.safetensors",
        metrics=f"{SHARED}/{PRETRAINED}/metrics.json",
        curves=f"{SHARED}/{PRETRAINED}/curves.csv",
        settings=f"{SHARED}/{PRETRAINED}/model.settings.json",
    log:
        f"{SHARED}/logs/{PRETRAINED}.log",
    benchmark:
        f"{SHARED}/benchmarks/{PRETRAINED}.tsv"
    cache: CACHED
    priority: 10
    conda:
        "../../envs/conda.yaml"
    threads: EXECUTION.threads * job_processes(EXECUTION, "pretrain_2d")
    resources:
        **asked_by_training("pretrain_2d"),
    params:
        settings=EXPERIMENT.pretrain_2d.canonical(),
        code=code("pretrain_2d.py"),
        places=places("SOURCE"),
        launchers=LAUNCHERS,
        layout=EXPERIMENT.source.layout,
        data=source_fingerprint(),
        weights=weights_fingerprint(EXPERIMENT.pretrain_2d),
    message:
        "2D network from source images"
    shell:
        stage_command(
            "pretrain_2d",
            ON_DEVICE,
            TRAINING,
            "--source {PLACES[IGNET_SOURCE]:q} --layout {params.layout:q} --out {output.model:q}",
            "--metrics {output.metrics:q} --curves-csv {output.curves:q}",
            "--curves {PLACES[IGNET_SHARED]:q}/tensorboard/{PLACES[IGNET_PRETRAINED]:q}",
            "--state {PLACES[IGNET_SHARED]:q}/state/pretrain_2d",
            launcher="{resources.launcher}",
        )


rule adapt_2d:
    input:
        source_folder(),
        target_folders(DATA.train_sequences),
        projection=projections(DATA.train_sequences),
        pretrained=network_file(SOURCE_NETWORK),
    output:
        model=f"{SHARED}/adapt_2d/{{network}}/model.safetensors",
        metrics=f"{SHARED}/adapt_2d/{{network}}/metrics.json",
        curves=f"{SHARED}/adapt_2d/{{network}}/curves.csv",
        settings=f"{SHARED}/adapt_2d/{{network}}/model.settings.json",
    log:
        f"{SHARED}/logs/adapt_2d/{{network}}.log",
    benchmark:
        f"{SHARED}/benchmarks/adapt_2d/{{network}}.tsv"
    cache: CACHED
    priority: 10
    conda:
        "../../envs/conda.yaml"
    threads: EXECUTION.threads * job_processes(EXECUTION, "adapt_2d")
    resources:
        **asked_by_training("adapt_2d"),
        network=lambda w: named(ARTIFACTS.networks, w.network),
    params:
        settings=lambda w: adaptation(w).canonical(),
        code=code("adapt_2d.py"),
        label_set=LABEL_SET,
        places=places("SOURCE", "TARGET", "PROJECTION"),
        launchers=LAUNCHERS,
        layout=EXPERIMENT.source.layout,
        source=source_fingerprint(),
        data=lambda w: fingerprint(
            ("images", "labels") if adaptation(w).supervision == "dense" else ("images",), DATA.train_sequences
        ),
        sequences=DATA.train_sequences,
        weights=lambda w: weights_fingerprint(adaptation(w)),
    message:
        "2D network '{resources.network}': adaptation to the camera"
    shell:
        stage_command(
            "adapt_2d",
            LABELS,
            ON_DEVICE,
            TRAINING,
            "--source {PLACES[IGNET_SOURCE]:q} --layout {params.layout:q} --dataset {PLACES[IGNET_TARGET]:q}",
            "--sequences {params.sequences:q} --projection {PLACES[IGNET_PROJECTION]:q}",
            "--pretrained {input.pretrained:q} --out {output.model:q} --metrics {output.metrics:q}",
            "--curves-csv {output.curves:q}",
            "--curves {PLACES[IGNET_SHARED]:q}/tensorboard/adapt_2d/{wildcards.network:q}",
            "--state {PLACES[IGNET_SHARED]:q}/state/adapt_2d",
            launcher="{resources.launcher}",
        )


rule teachers:
    input:
        lambda w: target_folders(head_sequences(w)),
        lambda w: scribble_folders(head_sequences(w)),
        lambda w: projections(head_sequences(w)),
    output:
        model=f"{SHARED}/teachers/{{network}}/model.safetensors",
        settings=f"{SHARED}/teachers/{{network}}/model.settings.json",
    log:
        f"{SHARED}/logs/teachers/{{network}}.log",
    benchmark:
        f"{SHARED}/benchmarks/teachers/{{network}}.tsv"
    priority: 10
    conda:
        "../../envs/conda.yaml"
    threads: EXECUTION.threads
    resources:
        **asked("teachers"),
        device=EXECUTION.device,
        network=lambda w: named(ARTIFACTS.networks, w.network),
    params:
        settings=lambda w: teacher(w).canonical(),
        code=code("teachers.py"),
        label_set=lambda w: LABEL_SET if teacher(w).head else "none",
        places=lambda w: places("TARGET", "PROJECTION", "SCRIBBLES") if teacher(w).head else "none",
        weights=lambda w: weights_fingerprint(teacher(w)),
        data=lambda w: labelled_images(head_sequences(w)),
        sequences=head_sequences,
    message:
        "Frozen teacher '{resources.network}'"
    shell:
        stage_command(
            "teachers",
            LABELS,
            ON_DEVICE,
            "--dataset {PLACES[IGNET_TARGET]:q} --sequences {params.sequences:q}",
            "--projection {PLACES[IGNET_PROJECTION]:q} --scribbles {PLACES[IGNET_SCRIBBLES]:q} --out {output.model:q}",
        )


rule evaluate_2d:
    input:
        target_folders(DATA.val_sequences),
        lambda w: target_folders(probe_sequences(w)),
        lambda w: scribble_folders(probe_sequences(w)),
        lambda w: projections(probe_sequences(w)),
        network=lambda w: network_file(named(ARTIFACTS.evaluations, w.network)),
        projection=projections(DATA.val_sequences),
    output:
        metrics=f"{SHARED}/evaluate_2d/{{network}}/metrics.json",
        figures=directory(f"{SHARED}/evaluate_2d/{{network}}/figures"),
    log:
        f"{SHARED}/logs/evaluate_2d/{{network}}.log",
    benchmark:
        f"{SHARED}/benchmarks/evaluate_2d/{{network}}.tsv"
    conda:
        "../../envs/conda.yaml"
    threads: EXECUTION.threads
    resources:
        **asked("evaluate_2d"),
        device=EXECUTION.device,
        network=lambda w: named(ARTIFACTS.evaluations, w.network),
    params:
        settings=EXPERIMENT.evaluate_2d.canonical(),
        code=code("evaluate_2d.py"),
        label_set=LABEL_SET,
        places=places("TARGET", "PROJECTION_VAL"),
        probe_places=lambda w: places("PROJECTION", "SCRIBBLES") if probe_sequences(w) else "none",
        data=fingerprint(("images", DATA.evaluate_on), DATA.val_sequences),
        probe_data=lambda w: labelled_images(probe_sequences(w)),
        probe_sequences=probe_sequences,
        sequences=DATA.val_sequences,
        evaluate_on=DATA.evaluate_on,
    message:
        "2D network '{resources.network}' on target images"
    shell:
        stage_command(
            "evaluate_2d",
            LABELS,
            ON_DEVICE,
            "--network {input.network:q} --dataset {PLACES[IGNET_TARGET]:q} --sequences {params.sequences:q}",
            "--projection {PLACES[IGNET_PROJECTION_VAL]:q} --evaluate-on {params.evaluate_on:q}",
            "--probe-sequences {params.probe_sequences:q} --probe-projection {PLACES[IGNET_PROJECTION]:q}",
            "--scribbles {PLACES[IGNET_SCRIBBLES]:q}",
            "--out {output.metrics:q} --figures {output.figures:q}",
        )


rule features_pca:
    input:
        target_folders(DATA.train_sequences),
        network=lambda w: network_file(named(ARTIFACTS.pca, w.network)),
        projection=projections(DATA.train_sequences),
    output:
        pca=f"{SHARED}/features_pca/{{network}}/pca.safetensors",
        settings=f"{SHARED}/features_pca/{{network}}/pca.settings.json",
    log:
        f"{SHARED}/logs/features_pca/{{network}}.log",
    benchmark:
        f"{SHARED}/benchmarks/features_pca/{{network}}.tsv"
    priority: 10
    conda:
        "../../envs/conda.yaml"
    threads: EXECUTION.threads
    resources:
        **asked("features_pca"),
        device=EXECUTION.device,
        network=lambda w: named(ARTIFACTS.pca, w.network),
    params:
        settings=canonical_json(EXPERIMENT.features.pca_identity()),
        code=code("features_pca.py"),
        places=places("TARGET", "PROJECTION"),
        data=fingerprint(("images",), DATA.train_sequences),
        sequences=DATA.train_sequences,
    message:
        "Principal components of the features of '{resources.network}'"
    shell:
        stage_command(
            "features_pca",
            ON_DEVICE,
            "--network {input.network:q} --dataset {PLACES[IGNET_TARGET]:q} --sequences {params.sequences:q}",
            "--projection {PLACES[IGNET_PROJECTION]:q} --out {output.pca:q}",
        )


rule features:
    input:
        lambda w: target_folders([w.sequence]),
        network=lambda w: network_file(named(ARTIFACTS.features, w.network)),
        projection=lambda w: projections([w.sequence]),
        pca=lambda w: features_pca(named(ARTIFACTS.features, w.network)),
    output:
        features=f"{SHARED}/features/{{network}}/{{sequence}}.h5",
        settings=f"{SHARED}/features/{{network}}/{{sequence}}.settings.json",
    log:
        f"{SHARED}/logs/features/{{network}}/{{sequence}}.log",
    benchmark:
        f"{SHARED}/benchmarks/features/{{network}}/{{sequence}}.tsv"
    cache: CACHED
    priority: 10
    conda:
        "../../envs/conda.yaml"
    threads: EXECUTION.threads
    resources:
        **asked("features"),
        device=EXECUTION.device,
    params:
        settings=canonical_json(EXPERIMENT.features.store_identity()),
        code=code("features.py"),
        places=places("TARGET"),
        sequence=lambda w: w.sequence,
        data=lambda w: fingerprint(("images",), (w.sequence,)),
    message:
        "Features of '{wildcards.network}' at the points of sequence {wildcards.sequence}"
    shell:
        stage_command(
            "features",
            ON_DEVICE,
            "--network {input.network:q} --dataset {PLACES[IGNET_TARGET]:q} --sequence {wildcards.sequence:q}",
            "--projection {input.projection:q} --pca {input.pca:q} --out {output.features:q}",
        )


if CACHED:
    remove_benchmarks(workflow, ("pretrain_2d", "adapt_2d", "features"))
