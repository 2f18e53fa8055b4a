# Data: the embedded world where there is none, checks, simulated scribbles, correspondence.
rule simulate_source:
    output:
        directory(WORLD_SOURCE),
    log:
        f"{SHARED}/logs/{keyed('simulate_source', ARTIFACTS.source.key)}.log",
    benchmark:
        f"{SHARED}/benchmarks/{keyed('simulate_source', ARTIFACTS.source.key)}.tsv"
    priority: 10
    conda:
        "../../envs/conda.yaml"
    resources:
        mem_mb=memory("simulate_source"),
        runtime=minutes("simulate_source"),
        gpu=gpus_of(EXECUTION, "simulate_source"),
    params:
        settings=canonical_json(EXPERIMENT.world.of_source()),
        code=code("simulate_source.py"),
    message:
        "Embedded world: source images"
    shell:
        "exec {PYTHON:q} {PLACES[IGNET_SCRIPTS]:q}/simulate_source.py --settings {params.settings:q}"
        " --code {params.code:q}"
        " --threads {threads}"
        " --device cpu --out {output:q} > {log:q} 2>&1"


rule simulate_sequence:
    output:
        directory(f"{WORLD_TARGET}/sequences/{{sequence}}"),
    log:
        f"{SHARED}/logs/{keyed('simulate_sequence', ARTIFACTS.target.key)}/{{sequence}}.log",
    benchmark:
        f"{SHARED}/benchmarks/{keyed('simulate_sequence', ARTIFACTS.target.key)}/{{sequence}}.tsv"
    priority: 10
    conda:
        "../../envs/conda.yaml"
    resources:
        mem_mb=memory("simulate_sequence"),
        runtime=minutes("simulate_sequence"),
        gpu=gpus_of(EXECUTION, "simulate_sequence"),
    params:
        settings=canonical_json(EXPERIMENT.world.of_target()),
        code=code("simulate_sequence.py"),
    message:
        "Embedded world: sequence {wildcards.sequence}"
    shell:
        "exec {PYTHON:q} {PLACES[IGNET_SCRIPTS]:q}/simulate_sequence.py --settings {params.settings:q}"
        " --code {params.code:q}"
        " --threads {threads}"
        " --device cpu --sequence {wildcards.sequence:q} --out {output:q} > {log:q} 2>&1"


# A check is no input of a stage, since its result is no part of theirs. The plan adds the checks of what its jobs read,
# and lets these wait for them: ignet/workflow/checks.py. (An input marked ancient() would not do: while its rule is
# planned, Snakemake overlooks changed params of the rules that read it.)
rule check_sequence:
    input:
        lambda w: target_folders([w.sequence]),
    output:
        f"{RESULTS}/data/{{sequence}}.json",
    log:
        f"{RESULTS}/logs/check_sequence/{{sequence}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/check_sequence/{{sequence}}.tsv"
    priority: 100
    conda:
        "../../envs/conda.yaml"
    resources:
        mem_mb=memory("check_sequence"),
        runtime=minutes("check_sequence"),
        gpu=gpus_of(EXECUTION, "check_sequence"),
    params:
        settings=canonical_json(DATA.of_check()),
        code=code("check_sequence.py"),
        places=places("TARGET"),
        role=lambda w: role(w.sequence),
        data=lambda w: fingerprint(CHECKED[role(w.sequence)], (w.sequence,)),
    message:
        "Checking sequence {wildcards.sequence}"
    shell:
        "exec {PYTHON:q} {PLACES[IGNET_SCRIPTS]:q}/check_sequence.py --settings {params.settings:q}"
        " --code {params.code:q} --device cpu"
        " --dataset {PLACES[IGNET_TARGET]:q} --sequence {wildcards.sequence:q} --role {params.role:q}"
        " --out {output:q} > {log:q} 2>&1"


rule check_data:
    input:
        sequences=expand(f"{RESULTS}/data/{{sequence}}.json", sequence=DATA.sequences),
        scribbles=scribble_folders(DATA.train_sequences),
    output:
        manifest=f"{RESULTS}/data/manifest.csv",
        doubts=f"{RESULTS}/data/doubts.txt",
    log:
        f"{RESULTS}/logs/check_data.log",
    benchmark:
        f"{RESULTS}/benchmarks/check_data.tsv"
    conda:
        "../../envs/conda.yaml"
    resources:
        mem_mb=memory("check_data"),
        runtime=minutes("check_data"),
        gpu=gpus_of(EXECUTION, "check_data"),
    params:
        settings=canonical_json(DATA.of_check()),
        code=code("check_data.py"),
        places=places("SCRIBBLES"),
    message:
        "Manifest of all frames"
    shell:
        "exec {PYTHON:q} {PLACES[IGNET_SCRIPTS]:q}/check_data.py --settings {params.settings:q}"
        " --code {params.code:q} --device cpu"
        " --sequences {input.sequences:q} --scribbles {PLACES[IGNET_SCRIBBLES]:q} --out {output.manifest:q}"
        " --doubts {output.doubts:q}"
        " > {log:q} 2>&1"


rule simulate_scribbles:
    input:
        lambda w: target_folders([w.sequence]),
    output:
        directory(f"{SIMULATED_SCRIBBLES}/sequences/{{sequence}}/scribbles"),
    log:
        f"{SHARED}/logs/{keyed('simulate_scribbles', ARTIFACTS.scribbles.key)}/{{sequence}}.log",
    benchmark:
        f"{SHARED}/benchmarks/{keyed('simulate_scribbles', ARTIFACTS.scribbles.key)}/{{sequence}}.tsv"
    priority: 10
    conda:
        "../../envs/conda.yaml"
    resources:
        mem_mb=memory("simulate_scribbles"),
        runtime=minutes("simulate_scribbles"),
        gpu=gpus_of(EXECUTION, "simulate_scribbles"),
    params:
        settings=EXPERIMENT.scribbles.canonical(),
        code=code("simulate_scribbles.py"),
        places=places("TARGET"),
        data=lambda w: fingerprint(("scans", "labels"), (w.sequence,)),
    message:
        "Simulated scribbles of sequence {wildcards.sequence}"
    shell:
        "exec {PYTHON:q} {PLACES[IGNET_SCRIPTS]:q}/simulate_scribbles.py --settings {params.settings:q}"
        " --code {params.code:q} --device cpu"
        " --dataset {PLACES[IGNET_TARGET]:q} --sequence {wildcards.sequence:q} --out {output:q} > {log:q} 2>&1"


rule project:
    input:
        lambda w: target_folders([w.sequence]),
        scribbles=lambda w: scribble_folders(labelled(w.sequence)),
    output:
        f"{PROJECTION}/{{sequence}}.h5",
    log:
        f"{SHARED}/logs/{keyed('project', '{projection}')}/{{sequence}}.log",
    benchmark:
        f"{SHARED}/benchmarks/{keyed('project', '{projection}')}/{{sequence}}.tsv"
    priority: 10
    conda:
        "../../envs/conda.yaml"
    resources:
        mem_mb=memory("project"),
        runtime=minutes("project"),
        gpu=gpus_of(EXECUTION, "project"),
    params:
        settings=EXPERIMENT.projection.canonical(),
        code=code("project.py"),
        places=lambda w: places("TARGET", *(["SCRIBBLES"] if labelled(w.sequence) else [])),
        data=lambda w: fingerprint(("scans", "images", "calibration"), (w.sequence,))
        + fingerprint(scribble_kinds(), labelled(w.sequence)),
        labelled=lambda w: "labelled" if labelled(w.sequence) else "no-labelled",
    message:
        "Points to pixels of sequence {wildcards.sequence}"
    shell:
        "exec {PYTHON:q} {PLACES[IGNET_SCRIPTS]:q}/project.py --settings {params.settings:q} --code {params.code:q}"
        " --device cpu"
        " --dataset {PLACES[IGNET_TARGET]:q} --scribbles {PLACES[IGNET_SCRIBBLES]:q} --{params.labelled:q}"
        " --sequence {wildcards.sequence:q} --out {output:q} > {log:q} 2>&1"


# A rule of its own, so that a change of the drawing makes no correspondence again.
rule draw_projection:
    input:
        lambda w: target_folders([w.sequence]),
        projection=lambda w: projections([w.sequence]),
    output:
        f"{RESULTS}/report/projection/{{sequence}}.png",
    log:
        f"{RESULTS}/logs/draw_projection/{{sequence}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/draw_projection/{{sequence}}.tsv"
    conda:
        "../../envs/conda.yaml"
    resources:
        mem_mb=memory("draw_projection"),
        runtime=minutes("draw_projection"),
        gpu=gpus_of(EXECUTION, "draw_projection"),
    params:
        settings=canonical_json(EXPERIMENT.report.identity("frames", "extent")),
        code=code("draw_projection.py"),
        places=places("TARGET"),
        data=lambda w: fingerprint(("scans", "images", "calibration"), (w.sequence,)),
    message:
        "Picture of the points in the image, sequence {wildcards.sequence}"
    shell:
        "exec {PYTHON:q} {PLACES[IGNET_SCRIPTS]:q}/draw_projection.py --settings {params.settings:q}"
        " --code {params.code:q} --device cpu"
        " --dataset {PLACES[IGNET_TARGET]:q} --sequence {wildcards.sequence:q} --projection {input.projection:q}"
        " --out {output:q}"
        " > {log:q} 2>&1"
