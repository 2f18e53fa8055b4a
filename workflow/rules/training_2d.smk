# The longest path goes first: what guided runs wait for has a higher priority than trainings that wait for nothing.
# 2D: source pretraining, adaptation to the camera, features per point, evaluation on target images.
rule pretrain_2d:
    input:
        source_folder(),
    output:
        model=f"{RESULTS}/pretrain_2d/model.safetensors",
        metrics=f"{RESULTS}/pretrain_2d/metrics.json",
        curves=f"{RESULTS}/pretrain_2d/curves.csv",
    log:
        f"{RESULTS}/logs/pretrain_2d.log",
    benchmark:
        f"{RESULTS}/benchmarks/pretrain_2d.tsv"
    priority: 10
    conda:
        "../../envs/conda.yaml"
    threads: EXECUTION.threads
    resources:
        mem_mb=memory("pretrain_2d"),
        runtime=minutes("pretrain_2d"),
        gpu=EXECUTION.gpus_of("pretrain_2d"),
        device=EXECUTION.device,
        workers=EXECUTION.workers,
        checkpoint_every=int(EXECUTION.checkpoint_every),
    params:
        settings=EXPERIMENT.pretrain_2d.canonical(),
        code=code("pretrain_2d.py"),
        layout=EXPERIMENT.source.layout,
        data=source_fingerprint(),
    message:
        "2D network from source images"
    shell:
        'exec python "$IGNET_SCRIPTS/pretrain_2d.py" --settings {params.settings:q} --code {params.code} --threads {threads}'
        " --device {resources.device} --workers {resources.workers} --checkpoint-every {resources.checkpoint_every} ${{IGNET_JOB_START:+--max-minutes {resources.runtime} --job-start $IGNET_JOB_START}}"
        ' --source "$IGNET_SOURCE" --layout {params.layout} --out {output.model} --metrics {output.metrics} --curves-csv {output.curves}'
        ' --curves "$IGNET_RESULTS/tensorboard/pretrain_2d" --state "$IGNET_RESULTS/state/pretrain_2d" > {log} 2>&1'


rule adapt_2d:
    input:
        source_folder(),
        target_folders(DATA.train_sequences),
        projection=projections(DATA.train_sequences),
        pretrained=network_file(SOURCE_NETWORK),
    output:
        model=f"{RESULTS}/adapt_2d/{{network}}/model.safetensors",
        metrics=f"{RESULTS}/adapt_2d/{{network}}/metrics.json",
        curves=f"{RESULTS}/adapt_2d/{{network}}/curves.csv",
    log:
        f"{RESULTS}/logs/adapt_2d/{{network}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/adapt_2d/{{network}}.tsv"
    priority: 10
    conda:
        "../../envs/conda.yaml"
    threads: EXECUTION.threads
    resources:
        mem_mb=memory("adapt_2d"),
        runtime=minutes("adapt_2d"),
        gpu=EXECUTION.gpus_of("adapt_2d"),
        device=EXECUTION.device,
        workers=EXECUTION.workers,
        checkpoint_every=int(EXECUTION.checkpoint_every),
    params:
        settings=lambda w: EXPERIMENT.adaptation(w.network).canonical(),
        code=code("adapt_2d.py"),
        layout=EXPERIMENT.source.layout,
        source=source_fingerprint(),
        data=lambda w: fingerprint(
            ("images", "labels") if EXPERIMENT.adaptation(w.network).supervision == "dense" else ("images",), DATA.train_sequences
        ),
        sequences=DATA.train_sequences,
    message:
        "2D network '{wildcards.network}': adaptation to the camera"
    shell:
        'exec python "$IGNET_SCRIPTS/adapt_2d.py" --settings {params.settings:q} --code {params.code} --threads {threads}'
        " --device {resources.device} --workers {resources.workers} --checkpoint-every {resources.checkpoint_every} ${{IGNET_JOB_START:+--max-minutes {resources.runtime} --job-start $IGNET_JOB_START}}"
        ' --source "$IGNET_SOURCE" --layout {params.layout} --dataset "$IGNET_TARGET" --sequences {params.sequences}'
        ' --projection "$IGNET_RESULTS/projection" --pretrained {input.pretrained}'
        " --out {output.model} --metrics {output.metrics} --curves-csv {output.curves}"
        ' --curves "$IGNET_RESULTS/tensorboard/adapt_2d/{wildcards.network}" --state "$IGNET_RESULTS/state/adapt_2d" > {log} 2>&1'


rule evaluate_2d:
    input:
        target_folders(DATA.val_sequences),
        network=lambda w: network_file(w.network),
        projection=projections(DATA.val_sequences),
    output:
        metrics=f"{RESULTS}/evaluate_2d/{{network}}/metrics.json",
        pictures=directory(f"{RESULTS}/evaluate_2d/{{network}}/pictures"),
    log:
        f"{RESULTS}/logs/evaluate_2d/{{network}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/evaluate_2d/{{network}}.tsv"
    conda:
        "../../envs/conda.yaml"
    threads: EXECUTION.threads
    resources:
        mem_mb=memory("evaluate_2d"),
        runtime=minutes("evaluate_2d"),
        gpu=EXECUTION.gpus_of("evaluate_2d"),
        device=EXECUTION.device,
    params:
        settings=EXPERIMENT.evaluate_2d.canonical(),
        code=code("evaluate_2d.py"),
        data=fingerprint(("images", "labels"), DATA.val_sequences),
        sequences=DATA.val_sequences,
    message:
        "2D network '{wildcards.network}' on target images"
    shell:
        'exec python "$IGNET_SCRIPTS/evaluate_2d.py" --settings {params.settings:q} --code {params.code} --threads {threads}'
        ' --device {resources.device} --network {input.network} --name {wildcards.network} --dataset "$IGNET_TARGET"'
        ' --sequences {params.sequences} --projection "$IGNET_RESULTS/projection" --out {output.metrics} --pictures {output.pictures}'
        " > {log} 2>&1"


rule extract:
    input:
        lambda w: target_folders([w.sequence]),
        network=lambda w: network_file(w.network),
        projection=f"{RESULTS}/projection/{{sequence}}.h5",
    output:
        f"{RESULTS}/features/{{network}}/{{sequence}}.h5",
    log:
        f"{RESULTS}/logs/extract/{{network}}/{{sequence}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/extract/{{network}}/{{sequence}}.tsv"
    priority: 10
    conda:
        "../../envs/conda.yaml"
    threads: EXECUTION.threads
    resources:
        mem_mb=memory("extract"),
        runtime=minutes("extract"),
        gpu=EXECUTION.gpus_of("extract"),
        device=EXECUTION.device,
    params:
        settings=EXPERIMENT.features.canonical(),
        code=code("extract.py"),
        data=lambda w: fingerprint(("images",), (w.sequence,)),
    message:
        "Features of '{wildcards.network}' at the points of sequence {wildcards.sequence}"
    shell:
        'exec python "$IGNET_SCRIPTS/extract.py" --settings {params.settings:q} --code {params.code} --threads {threads}'
        ' --device {resources.device} --network {input.network} --dataset "$IGNET_TARGET" --sequence {wildcards.sequence}'
        " --projection {input.projection} --out {output} > {log} 2>&1"
