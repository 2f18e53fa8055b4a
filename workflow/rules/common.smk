# Shared by all rules, which read the validated experiment and give each stage its identity (its section as sorted JSON, the hash of
# its code).
import os
import sys
import time
from functools import cache
from pathlib import Path

from ignet.config.experiment import SOURCE_NETWORK, load_experiment
from ignet.errors import IgnetError
from ignet.fingerprint import sequence_fingerprint, tree_fingerprint
from ignet.identity import code_hash
from ignet.scheduler import out_of_memory, process_start


def stop(error):
    """A user's mistake is one line, without the place in this file that noticed it."""
    print(f"error: {error}", file=sys.stderr)
    sys.exit(1)


try:
    EXPERIMENT = load_experiment(dict(config), "configuration")
except IgnetError as error:
    stop(error)

STARTED = time.time()
RESULTS = EXPERIMENT.results
DATA = EXPERIMENT.dataset
EXECUTION = EXPERIMENT.execution
SCRIPTS = Path(workflow.basedir, "workflow", "scripts")
TARGET = DATA.root or f"{RESULTS}/world/target"
SOURCE = EXPERIMENT.source.root or f"{RESULTS}/world/source"
SCRIBBLES = TARGET if DATA.scribbles == "dataset" else f"{RESULTS}/scribbles"
NETWORKS_2D = [SOURCE_NETWORK, *EXPERIMENT.adaptations]
RUNS = [(run, seed) for run in EXPERIMENT.runs for seed in EXPERIMENT.run_seeds(run)]

PSEUDO_LABELS = f"{RESULTS}/pseudo_labels/{{run}}/seed{{seed}}"
METRICS = f"{RESULTS}/evaluate/{{run}}/seed{{seed}}/metrics.json"
CURVES = f"{RESULTS}/train_3d/{{run}}/seed{{seed}}/curves.csv"
PREDICTIONS = f"{RESULTS}/predictions/{{run}}/seed{{seed}}/sequences/{{sequence}}/predictions"

# where things lie is no part of a stage's identity, so places reach the jobs by the environment and not as params; jobs run the
# interpreter that runs Snakemake, also where its environment is not activated (--sdm conda puts its own in front)
PLACES = {
    "IGNET_SCRIPTS": str(SCRIPTS),
    "IGNET_RESULTS": RESULTS,
    "IGNET_TARGET": TARGET,
    "IGNET_SOURCE": SOURCE,
    "IGNET_SCRIBBLES": SCRIBBLES,
    "PYTHONPATH": os.pathsep.join([workflow.basedir, os.getenv("PYTHONPATH", "")]).rstrip(os.pathsep),
    "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.getenv("PATH", "")]),
}
os.environ.update(PLACES)
# a training ends in time only where a scheduler would end it: in a scheduler's jobs this is their start, as the first of the two nested
# Snakemakes saw it, and elsewhere it is empty
JOB_START = (os.getenv("IGNET_JOB_START") or f"{process_start():.0f}") if workflow.remote_exec else ""
os.environ.update(IGNET_JOB_START=JOB_START)


wildcard_constraints:
    sequence=r"\d+",
    run=r"[A-Za-z0-9_-]+",
    network=r"[A-Za-z0-9_-]+",
    seed=r"\d+",


@cache
def code(script):
    """Identity of the code that a stage's script can reach."""
    return code_hash(SCRIPTS / script)


def report_killed_jobs():
    """Say which jobs of this call SLURM killed for want of memory; Snakemake itself only says that they failed."""
    for line in out_of_memory(Path(".snakemake", "slurm_logs"), STARTED):
        print(line, file=sys.stderr)


def memory(stage):
    """MB for the scheduler; a retry gets more."""
    return lambda wildcards, attempt: EXECUTION.memory_of(stage, attempt)


def minutes(stage):
    """Time limit for the scheduler; a retry gets more, but for a training, which goes on from its state."""
    return lambda wildcards, attempt: EXECUTION.runtime_of(stage, attempt)


@cache
def fingerprint(kinds, sequences):
    """Identity of files of the user's dataset; the embedded world is an input like any other and needs none."""
    if not DATA.root:
        return "embedded world"
    try:
        return sequence_fingerprint(Path(DATA.root), sequences, kinds)
    except IgnetError as error:
        stop(error)


@cache
def source_fingerprint():
    """Identity of the user's synthetic dataset."""
    if not EXPERIMENT.source.root:
        return "embedded world"
    try:
        return tree_fingerprint(Path(SOURCE))
    except IgnetError as error:
        stop(error)


def target_folders(sequences):
    """The sequence folders of the embedded world; of a user's dataset nothing (it enters by its fingerprint)."""
    return [] if DATA.root else [f"{TARGET}/sequences/{sequence}" for sequence in sequences]


def source_folder():
    """The source set of the embedded world; of a user's dataset nothing."""
    return [] if EXPERIMENT.source.root else [SOURCE]


def scribble_folders(sequences):
    """Simulated scribbles are made by a rule; published ones lie in the dataset."""
    return [] if DATA.scribbles == "dataset" else [f"{SCRIBBLES}/sequences/{s}/scribbles" for s in sequences]


def scribble_kinds():
    """Published scribbles are files of the dataset."""
    return ("scribbles",) if DATA.scribbles == "dataset" else ()


def network_file(network):
    """Weights of a 2D network: the pretrained one or an adapted one."""
    return f"{RESULTS}/pretrain_2d/model.safetensors" if network == SOURCE_NETWORK else f"{RESULTS}/adapt_2d/{network}/model.safetensors"


def projections(sequences):
    """Correspondence files."""
    return [f"{RESULTS}/projection/{sequence}.h5" for sequence in sequences]


def labelled(sequence):
    """Only training sequences show their scribbles to the 2D network."""
    return (sequence,) if sequence in DATA.train_sequences else ()


def training_inputs(wildcards):
    """A run depends only on what its losses read."""
    settings = EXPERIMENT.run(wildcards.run)
    sequences = DATA.train_sequences
    scribbled = settings.supervision == "scribbles"
    return {
        "scans": target_folders(sequences),
        "scribbles": scribble_folders(sequences) if scribbled else [],
        "pseudo_labels": [labels_root(wildcards)] if settings.pseudo_labels_of else [],
        "projection": projections(sequences) if settings.needs_correspondence else [],
        "features": [f"{RESULTS}/features/{settings.features}/{s}.h5" for s in sequences] if settings.needs_features else [],
    }


def labels_root(wildcards):
    """Folder whose sequences hold the labels of the run's supervision."""
    settings = EXPERIMENT.run(wildcards.run)
    if settings.pseudo_labels_of:
        return PSEUDO_LABELS.format(run=settings.pseudo_labels_of, seed=wildcards.seed)
    return TARGET if settings.supervision == "dense" else SCRIBBLES


def training_data(wildcards):
    """Fingerprint of the scans and of the labels that the run's supervision allows."""
    labels = {"dense": ("labels",), "scribbles": scribble_kinds(), "pseudo": ()}
    return fingerprint(("scans", *labels[EXPERIMENT.run(wildcards.run).supervision]), DATA.train_sequences)


def run_files(pattern):
    """`RUN:SEED=file` for every run and seed."""
    return [f"{run}:{seed}={pattern.format(run=run, seed=seed)}" for run, seed in RUNS]
