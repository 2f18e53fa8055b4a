# Shared by all rules, which read the validated experiment and give each stage its identity (its section as sorted JSON,
# the hash of its code).
import os
import shlex
import sys
import time
from functools import cache
from pathlib import Path

from snakemake.logging import logger
from snakemake.settings.types import DeploymentMethod

from ignet.config.base import canonical_json, read_yaml
from ignet.config.experiment import SOURCE_NETWORK
from ignet.workflow.experiment import check_classes, load_experiment, network_title
from ignet.workflow.networks_2d import guides, is_probed, networks_2d, segmenters
from ignet.log import speak_any_locale
from ignet.data.label_sets.label_set import load_label_set
from ignet.data.lidar.spacing import middles
from ignet.errors import IgnetError
from ignet.workflow.lock import lock_results
from ignet.stage.gpus import visible_gpus
from ignet.stage.identity import code_hash
from ignet.files.names import RUN as RUN_NAME, SEQUENCE as SEQUENCE_NAME
from ignet.report.html.assets import assets_hash
from ignet.stage.scheduler import check_places, out_of_memory, process_start
from ignet.workflow.shared_results import find_artifacts, link_artifacts
from ignet.files.scratch import remove_dead_folders
from ignet.workflow.checks import add_checks
from ignet.workflow.dag import answer_request, take_request
from ignet.workflow.options import refuse_repeated
from ignet.workflow.outcome import outcome
from ignet.workflow.internals import after_planning, remove_benchmarks
from ignet.workflow.persistence import keep_records, without_record
from ignet.workflow.planned import refuse_unplanned, take_plan, write_plan
from ignet.workflow.records import record_code, record_data, refuse_without_record
from ignet.config.execution import GPU_STAGES, job_gpus, job_memory, job_processes, job_runtime, job_workers
from ignet.workflow.schedule import record_schedule
from ignet.workflow.signals import Ending
from ignet.workflow.states import FinishedJobs, remove_booked_states, set_trainings_aside

speak_any_locale()


def stop(error):
    """A user's mistake is one line, without the place in this file that noticed it."""
    print(f"error: {error}", file=sys.stderr)
    sys.exit(1)


# a scheduler's job gets the plan in the place of the experiment file, which may have been edited since
PLANNED = take_plan(config)
# `ignet plan` and `ignet why` want to know the jobs
REQUEST = take_request(config)
if os.pathsep in workflow.basedir:
    stop(
        f"{workflow.basedir}: found '{os.pathsep}' in the path of the project, which separates folders in PATH;"
        " rename the folder"
    )
try:
    refuse_repeated(sys.argv[1:])
    # Snakemake has read them with a reader that drops what stands twice
    for file in [] if PLANNED else workflow.configfiles:
        read_yaml(file)
    EXPERIMENT = load_experiment(dict(config), "configuration")
    label_set = load_label_set(EXPERIMENT.dataset.labels)
    check_classes(EXPERIMENT, label_set)
except IgnetError as error:
    stop(error)

STARTED = time.time()
RESULTS = config["results"] = EXPERIMENT.results
DATA = EXPERIMENT.dataset
# what a rule's param says of the label set that its command names
LABEL_SET = f"{label_set.name} {label_set.identity}"
EXECUTION = EXPERIMENT.execution
SCRIPTS = Path(workflow.basedir, "workflow", "scripts")
# what experiments can share has the same paths below SHARED in all of them; see docs/sharing.md
SHARED = EXPERIMENT.shared or RESULTS
ARTIFACTS = find_artifacts(EXPERIMENT)
keep_records({"results": RESULTS, "shared": SHARED})
KEYS = {artifact.key for artifact in ARTIFACTS.by_name().values()} if EXPERIMENT.shared else set()


def keyed(folder, key):
    """A folder of results: where they are shared, of those with this key."""
    return f"{folder}/{key}" if EXPERIMENT.shared else folder


def named(artifacts, key):
    """Name of the 2D network that a path's wildcard means: its key among the artifacts where they are shared."""
    return next(name for name in artifacts if key == artifact_key(artifacts, name))


def artifact_key(artifacts, name):
    """The wildcard of a 2D network's results: its name, or where they are shared the key of what they come from."""
    return artifacts[name].key if EXPERIMENT.shared else name


WORLD_TARGET = f"{SHARED}/{keyed('world/target', ARTIFACTS.target.key)}"
WORLD_SOURCE = f"{SHARED}/{keyed('world/source', ARTIFACTS.source.key)}"
SIMULATED_SCRIBBLES = f"{SHARED}/{keyed('scribbles', ARTIFACTS.scribbles.key)}"
TARGET = DATA.root or WORLD_TARGET
SOURCE = EXPERIMENT.source.root or WORLD_SOURCE
SCRIBBLES = TARGET if DATA.scribbles == "dataset" else SIMULATED_SCRIBBLES
PRETRAINED = keyed("pretrain_2d", ARTIFACTS.pretrained.key)
# training and validation sequences are projected with and without scribbles: a sequence may be one here and the other
# elsewhere
PROJECTION = f"{SHARED}/{keyed('projection', '{projection}')}"
PROJECTION_TRAIN = f"{SHARED}/{keyed('projection', ARTIFACTS.projection['train'].key)}"
PROJECTION_VAL = f"{SHARED}/{keyed('projection', ARTIFACTS.projection['val'].key)}"
NETWORKS_2D = networks_2d(EXPERIMENT)
# those that name Cityscapes' classes; where there is none nothing is made from source images, and none are shown
SEGMENTERS = segmenters(EXPERIMENT)
# training sequences of which the report shows a scan
SHOWN_TRAIN = middles(DATA.train_sequences, EXPERIMENT.report.training_frames)
RUNS = [(run, seed) for run in EXPERIMENT.runs for seed in EXPERIMENT.run_seeds(run)]

PSEUDO_LABELS = f"{RESULTS}/pseudo_label/{{run}}/seed{{seed}}"
METRICS = f"{RESULTS}/evaluate/{{run}}/seed{{seed}}/metrics.json"
CURVES = f"{RESULTS}/train_3d/{{run}}/seed{{seed}}/curves.csv"
PREDICTIONS = f"{RESULTS}/predict/{{run}}/seed{{seed}}/sequences/{{sequence}}/predictions"

# where results and datasets lie is no part of a stage's identity, so places stand in the rules' commands by these names
# and not as params; which of them a job is pointed to is, see places()
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
    "IGNET_LABEL_SET": DATA.labels,
}
# jobs run the interpreter that runs Snakemake, also where its environment is not activated, and this copy of the
# package; with --sdm conda the one that conda puts in front
PYTHON = "python" if DeploymentMethod.CONDA in workflow.deployment_settings.deployment_method else sys.executable
os.environ.update(
    PYTHONPATH=os.pathsep.join([workflow.basedir, os.getenv("PYTHONPATH", "")]).rstrip(os.pathsep),
    PATH=os.pathsep.join([str(Path(sys.executable).parent), os.getenv("PATH", "")]),
)
# a training ends in time only where a scheduler would end it: in a scheduler's jobs this is their start, as the first
# of the two nested Snakemakes saw it, and elsewhere it is empty
JOB_START = (os.getenv("IGNET_JOB_START") or f"{process_start():.0f}") if workflow.remote_exec else ""
os.environ.update(IGNET_JOB_START=JOB_START)


# where trainings keep what only helps to resume: no outputs of Snakemake, which would remove them
STATES = {
    stage: Path(root, "state", stage)
    for stage, root in {"pretrain_2d": SHARED, "adapt_2d": SHARED, "train_3d": RESULTS}.items()
}


def check_plan(dag):
    """Stop before anything runs, or is said to need no run, where the plan cannot be right."""
    try:
        if PLANNED:
            refuse_unplanned(PLANNED, dag.needrun_jobs())
        # commands such as --unlock or --summary have no executor; --touch makes records
        elif workflow.is_main_process and workflow.executor_plugin and not workflow.touch:
            add_checks(workflow, f"{RESULTS}/dataset/{{}}.json".format)
            if REQUEST:
                answer_request(REQUEST, dag, without_record(dag))
            else:
                refuse_without_record(without_record(dag))
    except IgnetError as error:
        stop(error)


def places(*names):
    """What a rule's param says of the places in its command: relative to folders that may be moved; a move reruns nothing.

    A test asks for all that a command reads from.
    """
    return [f"{name}={movable(PLACES[f'IGNET_{name}'])}" for name in names]


def movable(path):
    """A path with the folder that may be moved by its name, and without the keys of shared results, which inputs say."""
    roots = {RESULTS: "(results)", SHARED: "(results)", DATA.root: "(dataset)", EXPERIMENT.source.root: "(source)"}
    above = [root for root in roots if root and (path == root or path.startswith(f"{root}/"))]
    root = max(above, key=len, default="")
    moved = roots[root] + path[len(root) :] if root else path
    return os.sep.join(part for part in moved.split(os.sep) if part not in KEYS)


def begin():
    """Before the first job: lock the results, remove what killed jobs left half-written, renew links and records."""
    try:
        if LOCAL and EXECUTION.device != "cpu" and EXECUTION.gpus and not visible_gpus():
            raise IgnetError(
                f"execution.gpus: found {EXECUTION.gpus}, but no GPU is visible here (driver, CUDA_VISIBLE_DEVICES); "
                "set execution.gpus to 0, or execution.device to cpu"
            )
        if workflow.non_local_exec:
            check_places(
                sys.executable, [workflow.basedir, os.getcwd(), RESULTS, SHARED], workflow.config_settings.config_args
            )
        for folder in dict.fromkeys([RESULTS, SHARED]):
            lock_results(Path(folder))
            remove_dead_folders(Path(folder))
        link_artifacts(EXPERIMENT)
        remove_states()  # first, or it would take what is set aside for what is in its place
        if not workflow.touch and (kept := set_trainings_aside(workflow.dag, STATES)):
            folders = " and ".join(dict.fromkeys(str(state.parent) for state in STATES.values()))
            print(
                f"set aside in {folders}, to be taken back with the same settings: {', '.join(kept)}", file=sys.stderr
            )
        if not workflow.local_exec:
            codes = {script.name: code(script.name) for script in sorted(SCRIPTS.glob("*.py"))}
            plan = write_plan(Path(RESULTS), EXPERIMENT.model_dump(mode="json"), codes, workflow.dag.needrun_jobs())
            workflow.config_settings.configfiles = [plan.absolute()]
    except IgnetError as error:
        stop(error)
    # what `ignet why` needs to name the module, or the files of the dataset, that changed
    record_code(Path(RESULTS), sorted(SCRIPTS.glob("*.py")))
    record_data(Path(RESULTS), TARGET, FINGERPRINTS)
    # and what `ignet view` needs to say how far this call is
    # not workflow.cores, which a call without --cores, as on a cluster, refuses
    slots = workflow.resource_settings.cores or workflow.resource_settings.nodes or 1
    record_schedule(Path(RESULTS), workflow.dag, slots, EXPERIMENT.model_dump(mode="json"))
    logger.addHandler(FinishedJobs(lambda number: remove_states(number)))
    if workflow.local_exec:
        Ending(workflow.scheduler.exit_gracefully, end_jobs).listen()


def remove_states(finished=None):
    """Remove the states of trainings whose results are recorded; after one job's end (its number), of that one alone."""
    persistence = workflow.persistence
    persistence.deactivate_cache()  # it may hold that there was no record before this one was written
    made = [job for job in workflow.dag.jobs if job.rule.name in STATES]
    if finished is None:
        made = [job for job in made if not workflow.async_run(persistence.incomplete(job))]
    else:
        made = [job for job in made if job.jobid == finished]
    recorded = {os.path.abspath(path) for job in made for path in job.output if persistence.metadata(path) is not None}
    remove_booked_states([Path(RESULTS), Path(SHARED)], recorded)


def end_jobs():
    """Send SIGTERM to the jobs that run on this machine."""
    for job in list(workflow.scheduler.running):
        shell.terminate(job.jobid)


# Snakemake's cache between workflows (docs/sharing.md). Rules named after --cache would be passed on to jobs on a
# cluster, which cannot hash the folders that they read; without names they are not, and such jobs run without the
# cache.
CACHED = workflow.workflow_settings.cache is not None
if CACHED and "SNAKEMAKE_OUTPUT_CACHE" not in os.environ:
    stop(
        "--cache: found no SNAKEMAKE_OUTPUT_CACHE in the environment, expected the path of a folder;"
        " set it, or leave --cache out"
    )
if workflow.workflow_settings.cache:
    names = " ".join(workflow.workflow_settings.cache)
    stop(
        f"--cache: found '{names}' after it, expected nothing: the rules say themselves what can be cached;"
        " write --cache -- TARGET"
    )


wildcard_constraints:
    sequence=SEQUENCE_NAME,
    run=RUN_NAME,
    network=RUN_NAME,
    seed=r"\d+",
    projection=r"[0-9a-f]+",


@cache
def code(script):
    """Identity of the code that a stage's script can reach; in a scheduler's job the planned one (others are refused)."""
    return PLANNED.code[script] if PLANNED and script in PLANNED.code else code_hash(SCRIPTS / script)


def report_killed_jobs():
    """Say which jobs of this call SLURM killed for want of memory; Snakemake itself only says that they failed."""
    for line in out_of_memory(Path(".snakemake", "slurm_logs"), STARTED):
        print(line, file=sys.stderr)


# without a scheduler the GPUs of this machine are shared out: a job that may use one asks for one, and takes it when it
# starts (ignet.stage.gpus)
LOCAL = workflow.local_exec and not workflow.remote_exec
SHARED_GPUS = visible_gpus() if LOCAL and EXECUTION.device in ("auto", "cuda") else []
os.environ.update(IGNET_GPUS=",".join(SHARED_GPUS))
if SHARED_GPUS and "gpu" not in workflow.global_resources:
    workflow.register_resource("gpu", len(SHARED_GPUS))


def gpus(stage):
    """GPUs of a stage's jobs."""
    return job_gpus(EXECUTION, stage) or int(bool(SHARED_GPUS) and stage in GPU_STAGES)


def asked(stage):
    """What a stage's jobs ask the scheduler for; a retry gets more, but no more time for a training, which resumes."""
    return {
        "mem_mb": lambda wildcards, attempt: job_memory(EXECUTION, stage, attempt, gpus(stage)),
        "runtime": lambda wildcards, attempt: job_runtime(EXECUTION, stage, attempt),
        "gpu": gpus(stage),
    }


# options that commands have in common
LABELS = "--label-set {PLACES[IGNET_LABEL_SET]:q}"
ON_CPU = "--device cpu"
ON_DEVICE = "--threads {threads} --device {resources.device:q}"
TRAINING = (
    "--workers {resources.workers:q} --checkpoint-every {resources.checkpoint_every:q}"
    ' ${{IGNET_JOB_START:+--max-minutes {resources.runtime:q} --job-start "$IGNET_JOB_START"}}'
)


def stage_command(script, *options, launcher="{PYTHON:q}"):
    """The command of a stage: its script with settings, code identity and options, whose output is the log."""
    start = f"exec {launcher} {{PLACES[IGNET_SCRIPTS]:q}}/{script}.py"
    return " ".join([start, "--settings {params.settings:q} --code {params.code:q}", *options, "> {log:q} 2>&1"])
