# 3D: one training a run and seed, and its predictions on the validation sequences.
rule train_3d:
    input:
        unpack(training_inputs),
    output:
        model=f"{RESULTS}/train_3d/{{run}}/seed{{seed}}/model.safetensors",
        metrics=f"{RESULTS}/train_3d/{{run}}/seed{{seed}}/metrics.json",
        curves=f"{RESULTS}/train_3d/{{run}}/seed{{seed}}/curves.csv",
    log:
        f"{RESULTS}/logs/train_3d/{{run}}/seed{{seed}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/train_3d/{{run}}/seed{{seed}}.tsv"
    conda:
        "../../envs/conda.yaml"
    threads: EXECUTION.threads * job_processes(EXECUTION, "train_3d")
    resources:
        **asked_by_training("train_3d"),
        labels=labels_root,
        features=features_root,
        verify="verify" if EXECUTION.verify_features else "no-verify",
    params:
        settings=lambda w: EXPERIMENT.run(w.run).canonical(),
        code=code("train_3d.py"),
        label_set=LABEL_SET,
        remission_scale=DATA.remission_scale,
        places=places("TARGET", "PROJECTION"),
        roots=lambda w: [f"labels={movable(labels_root(w))}", f"features={movable(features_root(w))}"],
        launchers=LAUNCHERS,
        data=training_data,
        sequences=DATA.train_sequences,
    message:
        "3D network: run '{wildcards.run}', seed {wildcards.seed}"
    shell:
        stage_command(
            "train_3d",
            LABELS,
            "--threads {threads} --remission-scale {params.remission_scale:q} --device {resources.device:q}",
            TRAINING,
            "--dataset {PLACES[IGNET_TARGET]:q} --sequences {params.sequences:q} --labels {resources.labels:q}",
            "--projection {PLACES[IGNET_PROJECTION]:q} --features {resources.features:q} --{resources.verify:q}",
            "--teacher {input.teacher:q} --seed {wildcards.seed:q} --out {output.model:q}",
            "--metrics {output.metrics:q} --curves-csv {output.curves:q}",
            "--curves {PLACES[IGNET_RESULTS]:q}/tensorboard/train_3d/{wildcards.run:q}-seed{wildcards.seed:q}",
            "--state {PLACES[IGNET_RESULTS]:q}/state/train_3d",
            launcher="{resources.launcher}",
        )


rule predict:
    input:
        lambda w: target_folders([w.sequence]),
        weights=f"{RESULTS}/train_3d/{{run}}/seed{{seed}}/model.safetensors",
    output:
        directory(PREDICTIONS),
    log:
        f"{RESULTS}/logs/predict/{{run}}/seed{{seed}}/{{sequence}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/predict/{{run}}/seed{{seed}}/{{sequence}}.tsv"
    conda:
        "../../envs/conda.yaml"
    threads: EXECUTION.threads
    resources:
        **asked("predict"),
        device=EXECUTION.device,
    params:
        settings=EXPERIMENT.predict.canonical(),
        code=code("predict.py"),
        remission_scale=DATA.remission_scale,
        places=places("TARGET"),
        data=lambda w: fingerprint(("scans",), (w.sequence,)),
    message:
        "Predictions of '{wildcards.run}', seed {wildcards.seed}, on sequence {wildcards.sequence}"
    shell:
        stage_command(
            "predict",
            "--threads {threads} --remission-scale {params.remission_scale:q} --device {resources.device:q}",
            "--weights {input.weights:q} --dataset {PLACES[IGNET_TARGET]:q} --sequence {wildcards.sequence:q}",
            "--out {output:q}",
        )


rule pseudo_label:
    input:
        target_folders(DATA.train_sequences),
        scribble_folders(DATA.train_sequences),
        weights=f"{RESULTS}/train_3d/{{run}}/seed{{seed}}/model.safetensors",
    output:
        directory(PSEUDO_LABELS),
    log:
        f"{RESULTS}/logs/pseudo_label/{{run}}/seed{{seed}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/pseudo_label/{{run}}/seed{{seed}}.tsv"
    conda:
        "../../envs/conda.yaml"
    threads: EXECUTION.threads
    resources:
        **asked("pseudo_label"),
        device=EXECUTION.device,
    params:
        settings=EXPERIMENT.pseudo_label.canonical(),
        code=code("pseudo_label.py"),
        remission_scale=DATA.remission_scale,
        places=places("TARGET", "SCRIBBLES"),
        data=fingerprint(("scans", *scribble_kinds()), DATA.train_sequences),
        sequences=DATA.train_sequences,
    message:
        "Pseudo-labels of '{wildcards.run}', seed {wildcards.seed}, for a second training"
    shell:
        stage_command(
            "pseudo_label",
            "--threads {threads} --remission-scale {params.remission_scale:q} --device {resources.device:q}",
            "--weights {input.weights:q} --dataset {PLACES[IGNET_TARGET]:q} --sequences {params.sequences:q}",
            "--scribbles {PLACES[IGNET_SCRIBBLES]:q} --out {output:q}",
        )
