# Data: the embedded world where there is none, checks, simulated scribbles, correspondence.
rule world_source:
    output:
        directory(WORLD_SOURCE),
    log:
        f"{SHARED}/logs/{keyed('world_source', ARTIFACTS.source.key)}.log",
    benchmark:
        f"{SHARED}/benchmarks/{keyed('world_source', ARTIFACTS.source.key)}.tsv"
    priority: 10
    conda:
        "../../envs/conda.yaml"
    resources:
        **asked("world_source"),
    params:
        settings=canonical_json(EXPERIMENT.world.of_source()),
        code=code("world_source.py"),
    message:
        "Embedded world: source images"
    shell:
        stage_command(
            "world_source",
            "--threads {threads}",
            ON_CPU,
            "--out {output:q}",
        )


rule world_target:
    output:
        directory(f"{WORLD_TARGET}/sequences/{{sequence}}"),
    log:
        f"{SHARED}/logs/{keyed('world_target', ARTIFACTS.target.key)}/{{sequence}}.log",
    benchmark:
        f"{SHARED}/benchmarks/{keyed('world_target', ARTIFACTS.target.key)}/{{sequence}}.tsv"
    priority: 10
    conda:
        "../../envs/conda.yaml"
    resources:
        **asked("world_target"),
    params:
        settings=canonical_json(EXPERIMENT.world.of_target()),
        code=code("world_target.py"),
    message:
        "Embedded world: sequence {wildcards.sequence}"
    shell:
        stage_command(
            "world_target",
            "--threads {threads}",
            ON_CPU,
            "--sequence {wildcards.sequence:q} --out {output:q}",
        )


# A check is no input of a stage, since its result is no part of theirs. The plan adds the checks of what its jobs read,
# and lets these wait for them: ignet/workflow/checks.py. (An input marked ancient() would not do: while its rule is
# planned, Snakemake overlooks changed params of the rules that read it.)
rule dataset_check:
    input:
        lambda w: target_folders([w.sequence]),
    output:
        f"{RESULTS}/dataset/{{sequence}}.json",
    log:
        f"{RESULTS}/logs/dataset_check/{{sequence}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/dataset_check/{{sequence}}.tsv"
    priority: 100
    conda:
        "../../envs/conda.yaml"
    resources:
        **asked("dataset_check"),
    params:
        settings=canonical_json(DATA.of_check()),
        code=code("dataset_check.py"),
        label_set=LABEL_SET,
        places=places("TARGET"),
        role=lambda w: role(w.sequence),
        data=lambda w: fingerprint(CHECKED[role(w.sequence)], (w.sequence,)),
    message:
        "Checking sequence {wildcards.sequence}"
    shell:
        stage_command(
            "dataset_check",
            LABELS,
            ON_CPU,
            "--dataset {PLACES[IGNET_TARGET]:q} --sequence {wildcards.sequence:q} --role {params.role:q}",
            "--out {output:q}",
        )


rule dataset_manifest:
    input:
        sequences=expand(f"{RESULTS}/dataset/{{sequence}}.json", sequence=DATA.sequences),
        scribbles=scribble_folders(DATA.train_sequences),
    output:
        manifest=f"{RESULTS}/dataset/manifest.csv",
        doubts=f"{RESULTS}/dataset/doubts.txt",
    log:
        f"{RESULTS}/logs/dataset_manifest.log",
    benchmark:
        f"{RESULTS}/benchmarks/dataset_manifest.tsv"
    conda:
        "../../envs/conda.yaml"
    resources:
        **asked("dataset_manifest"),
    params:
        settings=canonical_json(DATA.of_check()),
        code=code("dataset_manifest.py"),
        label_set=LABEL_SET,
        places=places("SCRIBBLES"),
    message:
        "Manifest of all frames"
    shell:
        stage_command(
            "dataset_manifest",
            LABELS,
            ON_CPU,
            "--sequences {input.sequences:q} --scribbles {PLACES[IGNET_SCRIBBLES]:q} --out {output.manifest:q}",
            "--doubts {output.doubts:q}",
        )


rule scribbles:
    input:
        lambda w: target_folders([w.sequence]),
    output:
        directory(f"{SIMULATED_SCRIBBLES}/sequences/{{sequence}}/scribbles"),
    log:
        f"{SHARED}/logs/{keyed('scribbles', ARTIFACTS.scribbles.key)}/{{sequence}}.log",
    benchmark:
        f"{SHARED}/benchmarks/{keyed('scribbles', ARTIFACTS.scribbles.key)}/{{sequence}}.tsv"
    priority: 10
    conda:
        "../../envs/conda.yaml"
    resources:
        **asked("scribbles"),
    params:
        settings=EXPERIMENT.scribbles.canonical(),
        code=code("scribbles.py"),
        label_set=LABEL_SET,
        places=places("TARGET"),
        data=lambda w: fingerprint(("scans", "labels"), (w.sequence,)),
    message:
        "Simulated scribbles of sequence {wildcards.sequence}"
    shell:
        stage_command(
            "scribbles",
            LABELS,
            ON_CPU,
            "--dataset {PLACES[IGNET_TARGET]:q} --sequence {wildcards.sequence:q} --out {output:q}",
        )


rule projection:
    input:
        lambda w: target_folders([w.sequence]),
        scribbles=lambda w: scribble_folders(labelled(w.sequence)),
    output:
        f"{PROJECTION}/{{sequence}}.h5",
    log:
        f"{SHARED}/logs/{keyed('projection', '{projection}')}/{{sequence}}.log",
    benchmark:
        f"{SHARED}/benchmarks/{keyed('projection', '{projection}')}/{{sequence}}.tsv"
    priority: 10
    conda:
        "../../envs/conda.yaml"
    resources:
        **asked("projection"),
    params:
        settings=EXPERIMENT.projection.canonical(),
        code=code("projection.py"),
        label_set=LABEL_SET,
        places=lambda w: places("TARGET", *(["SCRIBBLES"] if labelled(w.sequence) else [])),
        data=lambda w: fingerprint(("scans", "images", "calibration"), (w.sequence,))
        + fingerprint(scribble_kinds(), labelled(w.sequence)),
        labelled=lambda w: "labelled" if labelled(w.sequence) else "no-labelled",
        cameras=[str(camera) for camera in DATA.cameras],
        missing_images=DATA.missing_images,
    message:
        "Points to pixels of sequence {wildcards.sequence}"
    shell:
        stage_command(
            "projection",
            LABELS,
            ON_CPU,
            "--dataset {PLACES[IGNET_TARGET]:q} --scribbles {PLACES[IGNET_SCRIBBLES]:q} --{params.labelled:q}",
            "--sequence {wildcards.sequence:q} --cameras {params.cameras:q} --missing-images {params.missing_images:q}",
            "--out {output:q}",
        )


# A rule of its own, so that a change of the drawing makes no correspondence again.
rule figures_projection:
    input:
        lambda w: target_folders([w.sequence]),
        projection=lambda w: projections([w.sequence]),
    output:
        f"{RESULTS}/figures/projection/{{sequence}}.png",
    log:
        f"{RESULTS}/logs/figures_projection/{{sequence}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/figures_projection/{{sequence}}.tsv"
    conda:
        "../../envs/conda.yaml"
    resources:
        **asked("figures_projection"),
    params:
        settings=canonical_json(EXPERIMENT.figures.identity("frames", "extent")),
        code=code("figures_projection.py"),
        places=places("TARGET"),
        data=lambda w: fingerprint(("scans", "images", "calibration"), (w.sequence,)),
    message:
        "Figure of the points in the image, sequence {wildcards.sequence}"
    shell:
        stage_command(
            "figures_projection",
            ON_CPU,
            "--dataset {PLACES[IGNET_TARGET]:q} --sequence {wildcards.sequence:q}",
            "--projection {input.projection:q} --out {output:q}",
        )
