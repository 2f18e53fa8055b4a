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
from ignet.hold import hold
from ignet.identity import code_hash
from ignet.report.html.assets import assets_hash
from ignet.scheduler import out_of_memory, process_start
from ignet.shared import find_artifacts, link_artifacts
from ignet.temporary import remove_dead_folders
from ignet.workflow.records import record_code, record_data
from ignet.workflow.schedule import record_schedule


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
# what experiments can share has the same paths below SHARED in all of them; see docs/sharing.md
SHARED = EXPERIMENT.shared or RESULTS
ARTIFACTS = find_artifacts(EXPERIMENT)


def keyed(folder, key):
    """A folder of results: where they are shared, of those with this key."""
    return f"{folder}/{key}" if EXPERIMENT.shared else folder


def named(artifacts, key):
    """Name of the 2D network that a path's wildcard means: its key among the artifacts where they are shared."""
    return next(name for name in artifacts if key == key_of(artifacts, name))


def key_of(artifacts, name):
    """The wildcard of a 2D network's results: its name, or where they are shared the key of what they come from."""
    return artifacts[name].key if EXPERIMENT.shared else name


WORLD_TARGET = f"{SHARED}/{keyed('world/target', ARTIFACTS.target.key)}"
WORLD_SOURCE = f"{SHARED}/{keyed('world/source', ARTIFACTS.source.key)}"
SIMULATED_SCRIBBLES = f"{SHARED}/{keyed('scribbles', ARTIFACTS.scribbles.key)}"
TARGET = DATA.root or WORLD_TARGET
SOURCE = EXPERIMENT.source.root or WORLD_SOURCE
SCRIBBLES = TARGET if DATA.scribbles == "dataset" else SIMULATED_SCRIBBLES
PRETRAINED = keyed("pretrain_2d", ARTIFACTS.networks[SOURCE_NETWORK].key)
# training and validation sequences are projected with and without scribbles: a sequence may be one here and the other elsewhere
PROJECTION = f"{SHARED}/{keyed('projection', '{projection}')}"
PROJECTION_TRAIN = f"{SHARED}/{keyed('projection', ARTIFACTS.projection['train'].key)}"
PROJECTION_VAL = f"{SHARED}/{keyed('projection', ARTIFACTS.projection['val'].key)}"
NETWORKS_2D = [SOURCE_NETWORK, *EXPERIMENT.adaptations]
# training sequences of which the report shows a scan
SHOWN_TRAIN = EXPERIMENT.page.training_sequences(DATA.train_sequences)
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
    "IGNET_SHARED": SHARED,
    "IGNET_PRETRAINED": PRETRAINED,
    "IGNET_PROJECTION": PROJECTION_TRAIN,
    "IGNET_PROJECTION_VAL": PROJECTION_VAL,
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


def begin():
    """Before the first job: this workflow alone writes here, what killed jobs left half-written goes, and links and records are renewed."""
    try:
        for folder in dict.fromkeys([RESULTS, SHARED]):
            hold(Path(folder))
            remove_dead_folders(Path(folder))
        link_artifacts(EXPERIMENT)
    except IgnetError as error:
        stop(error)
    # what `ignet why` needs to name the module, or the files of the dataset, that changed
    record_code(Path(RESULTS), sorted(SCRIPTS.glob("*.py")))
    record_data(Path(RESULTS), TARGET, FINGERPRINTS)
    # and what `ignet view` needs to say how far this call is
    slots = workflow.cores or workflow.nodes or 1
    record_schedule(Path(RESULTS), list(workflow.dag.jobs), workflow.dag, slots, EXPERIMENT.model_dump(mode="json"))


# Snakemake's cache between workflows (docs/sharing.md). Rules named after --cache would be passed on to jobs on a cluster, which cannot
# hash the folders that they read; without names they are not, and such jobs run without the cache.
CACHED = workflow.workflow_settings.cache is not None
if CACHED and "SNAKEMAKE_OUTPUT_CACHE" not in os.environ:
    stop("--cache: found no SNAKEMAKE_OUTPUT_CACHE in the environment, expected the path of a folder; set it, or leave --cache out")
if workflow.workflow_settings.cache:
    names = " ".join(workflow.workflow_settings.cache)
    stop(f"--cache: found '{names}' after it, expected nothing: the rules say themselves what can be cached; write --cache -- TARGET")


wildcard_constraints:
    sequence=r"\d+",
    run=r"[A-Za-z0-9_-]+",
    network=r"[A-Za-z0-9_-]+",
    seed=r"\d+",
    projection=r"[0-9a-f]+",


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


FINGERPRINTS = {}
# stages ask for many combinations of the same folders, and a full-size dataset has 170,000 files
LISTINGS = {}


@cache
def fingerprint(kinds, sequences):
    """Identity of files of the user's dataset; the embedded world is an input like any other and needs none."""
    if not DATA.root:
        return "embedded world"
    try:
        found = sequence_fingerprint(Path(DATA.root), sequences, kinds, LISTINGS)
    except IgnetError as error:
        stop(error)
    FINGERPRINTS[found] = (kinds, sequences)
    return found


@cache
def source_fingerprint():
    """Identity of the user's synthetic dataset."""
    if not EXPERIMENT.source.root:
        return "embedded world"
    try:
        return tree_fingerprint(Path(SOURCE))
    except IgnetError as error:
        stop(error)


def weights_fingerprint(*names):
    """Identity of the checkpoints that a 2D training reads: its settings name their folders, and not what lies in them."""
    folders = [Path(name).expanduser() for name in names if name]
    return ",".join(tree_fingerprint(folder) if folder.is_dir() else str(folder) for folder in folders)


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
    folder = PRETRAINED if network == SOURCE_NETWORK else f"adapt_2d/{key_of(ARTIFACTS.networks, network)}"
    return f"{SHARED}/{folder}/model.safetensors"


def evaluation_2d(network):
    """Figures of a 2D network."""
    return f"{SHARED}/evaluate_2d/{key_of(ARTIFACTS.evaluations, network)}/metrics.json"


def features_folder(network):
    """Feature stores of a 2D network."""
    return f"{SHARED}/features/{key_of(ARTIFACTS.features, network)}"


def feature_basis(network):
    """Principal components of a 2D network's features, where stores have fewer channels."""
    return [f"{SHARED}/feature_basis/{key_of(ARTIFACTS.bases, network)}/basis.safetensors"] if EXPERIMENT.features.channels else []


def adaptation(wildcards):
    """Settings of an adapted 2D network."""
    return EXPERIMENT.adaptation(named(ARTIFACTS.networks, wildcards.network))


def projections(sequences):
    """Correspondence files."""
    return [f"{PROJECTION_TRAIN if labelled(sequence) else PROJECTION_VAL}/{sequence}.h5" for sequence in sequences]


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
        "features": [f"{features_folder(settings.features)}/{s}.h5" for s in sequences] if settings.needs_features else [],
        "teacher": [network_file(settings.features)] if settings.needs_features else [],
    }


def labels_root(wildcards):
    """Folder whose sequences hold the labels of the run's supervision."""
    settings = EXPERIMENT.run(wildcards.run)
    if settings.pseudo_labels_of:
        return PSEUDO_LABELS.format(run=settings.pseudo_labels_of, seed=wildcards.seed)
    return TARGET if settings.supervision == "dense" else SCRIBBLES


def features_root(wildcards):
    """Folder of the feature stores that the run reads, if any."""
    settings = EXPERIMENT.run(wildcards.run)
    return features_folder(settings.features) if settings.needs_features else f"{SHARED}/features"


def training_data(wildcards):
    """Fingerprint of the scans and of the labels that the run's supervision allows."""
    labels = {"dense": ("labels",), "scribbles": scribble_kinds(), "pseudo": ()}
    return fingerprint(("scans", *labels[EXPERIMENT.run(wildcards.run).supervision]), DATA.train_sequences)


def labelled_frames():
    """`RUN=PERCENT` for every run that has unlabelled scans."""
    shares = {run: EXPERIMENT.run(run).labelled_frames for run in EXPERIMENT.runs}
    return [f"{run}={share}" for run, share in shares.items() if share]


def supervision_2d(network):
    """What a 2D network learns from: its supervision, and the share of labelled frames where it is not all."""
    if network == SOURCE_NETWORK:
        return SOURCE_NETWORK
    settings = EXPERIMENT.adaptation(network)
    return f"{settings.supervision}:{settings.labelled_frames}" if settings.labelled_frames else settings.supervision


def launcher(stage):
    """What starts the script of a training: one process, or torchrun's, which share each batch."""
    processes = EXECUTION.processes_of(stage)
    return "python" if processes == 1 else f"python -m ignet.torchrun --nproc-per-node {processes}"


def records():
    """Where the times of this experiment's jobs lie below `benchmarks/`, in the order of the workflow."""
    shared = [keyed("simulate_source", ARTIFACTS.source.key), keyed("simulate_sequence", ARTIFACTS.target.key)]
    shared += [keyed("simulate_scribbles", ARTIFACTS.scribbles.key)] + [
        keyed("project", ARTIFACTS.projection[role].key) for role in ("train", "val")
    ]
    networks = [f"adapt_2d/{key_of(ARTIFACTS.networks, network)}" for network in EXPERIMENT.adaptations]
    networks += [f"evaluate_2d/{key_of(ARTIFACTS.evaluations, network)}" for network in NETWORKS_2D]
    networks += [f"extract/{key_of(ARTIFACTS.features, network)}" for network in NETWORKS_2D]
    runs = [f"{rule}/{run}" for rule in ("train_3d", "pseudo_label", "predict", "evaluate") for run in EXPERIMENT.runs]
    last = ["check_sequence", "check_data", "draw_projection", "contact_sheet", "pictures", "compare"]
    return list(dict.fromkeys([*shared, PRETRAINED, *networks, *runs, *last]))


def shown_features():
    """The 2D network whose features the report shows: that of the run that carries the claim, else of the first run that reads any."""
    runs = [run for run in (EXPERIMENT.compare.method, *EXPERIMENT.runs) if run in EXPERIMENT.runs]
    read = [EXPERIMENT.run(run).features for run in runs if EXPERIMENT.run(run).needs_features]
    return next(iter(read), NETWORKS_2D[-1])


def run_files(pattern):
    """`RUN:SEED=file` for every run and seed."""
    return [f"{run}:{seed}={pattern.format(run=run, seed=seed)}" for run, seed in RUNS]
