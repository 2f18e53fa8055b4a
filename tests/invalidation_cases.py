"""One change a case, and the exact set of jobs that the tiny DAG must run again for it: rule and wildcards' values."""

import ast
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

TRAIN, VAL = ("00", "01"), ("08",)
SEQUENCES = (*TRAIN, *VAL)
RUNS = ("full", "baseline", "ignet", "ignet_50", "self_trained")
NETWORKS = ("source", "adapted", "half")
NOTHING: set[str] = set()


def each(rule: str, *names: str) -> set[str]:
    return {f"{rule} {name}" for name in names}


def runs(*names: str, seed: int = 0) -> set[str]:
    """A training and what follows for it."""
    return {
        job for run in names for job in (f"train_3d {run} {seed}", f"predict {run} {seed} 08", f"evaluate {run} {seed}")
    }


def looked_at(*sequences: str) -> set[str]:
    """The check of sequences and the pictures of all data."""
    return each("dataset_check", *sequences) | {"dataset_manifest", "figures_data", "report"}


def projected(*sequences: str) -> set[str]:
    return each("projection", *sequences) | each("figures_projection", *sequences) | {"report"}


REPORT = {"compare", "figures_predictions", "report"}
# the run 'self_trained' learns from the predictions of 'ignet'; 'ignet_50' reads the features of the network 'half'
IGNET = runs("ignet", "self_trained") | {"pseudo_label ignet 0"} | REPORT
GUIDED = runs("ignet_50") | IGNET
ALL_3D = runs(*RUNS) | IGNET
EXTRACTED = each("features", "adapted 00", "adapted 01")
FEATURES = EXTRACTED | each("features", "half 00", "half 01") | GUIDED
ADAPTED = each("adapt_2d", "adapted", "half") | each("evaluate_2d", "adapted", "half") | FEATURES
PRETRAINED = {"pretrain_2d", "evaluate_2d source"} | ADAPTED
EVALUATED = each("evaluate", *(f"{run} 0" for run in RUNS))
PREDICTED = each("predict", *(f"{run} 0 08" for run in RUNS)) | EVALUATED | REPORT
ALL_BUT_SOURCE = each("world_target", *SEQUENCES) | looked_at(*SEQUENCES) | projected(*SEQUENCES)
ALL_BUT_SOURCE |= {"evaluate_2d source"} | ADAPTED | ALL_3D
EVERYTHING = {"world_source", "pretrain_2d"} | ALL_BUT_SOURCE
SECOND_SEEDS = {job for run in RUNS for job in runs(run, seed=1)} | {"pseudo_label ignet 1", "compare", "report"}
NEW_VALIDATION = (
    each("world_target", "09") | looked_at("09") | projected("09") | each("predict", *(f"{run} 0 09" for run in RUNS))
)
TESTED = NEW_VALIDATION | each("evaluate_test", *(f"{run} 0" for run in RUNS)) | {"compare", "report"}
NEW_VALIDATION |= EVALUATED | each("evaluate_2d", *NETWORKS) | REPORT
NEW_TRAINING = (
    each("world_target", "02")
    | looked_at("02")
    | projected("02")
    | each("features", "adapted 02", "half 02")
    | ADAPTED
    | ALL_3D
)
SCRIBBLES = each("scribbles", *TRAIN) | looked_at(*SEQUENCES) | projected(*TRAIN) | ADAPTED | runs("baseline") | REPORT
TAUGHT = {"teachers lite", "evaluate_2d lite", "compare", "report"}
UNSUPERVISED = {"adapt_2d other", "evaluate_2d other"} | REPORT

SETTINGS: dict[str, tuple[str, set[str]]] = {
    "nothing at all": ("results=results/tiny", NOTHING),
    "world: source images": ("world={source_images: 9}", {"world_source", "figures_data", "report"} | PRETRAINED),
    "world: sensors of the target": ("world={azimuths: 200}", ALL_BUT_SOURCE),
    "world: seed": ("world={seed: 5}", EVERYTHING),
    "dataset: one more validation sequence": ('dataset={val_sequences: ["08", "09"]}', NEW_VALIDATION),
    "dataset: test sequences": ('dataset={test_sequences: ["09"]}', TESTED),
    "dataset: test sequences without labels": (
        'dataset={test_sequences: ["09"], hidden_test_labels: true}',
        NOTHING,
    ),
    "dataset: evaluate on scribbles": (
        "dataset={evaluate_on: scribbles}",
        (looked_at(*SEQUENCES) - {"figures_data"}) | EVALUATED | each("evaluate_2d", *NETWORKS) | REPORT,
    ),
    "submission: run": ("submission={run: full}", NOTHING),
    "dataset: one more training sequence": ('dataset={train_sequences: ["00", "01", "02"]}', NEW_TRAINING),
    "dataset: simulated scribbles": ("dataset={scribbles: simulated}", SCRIBBLES),
    "dataset: must the sequences be whole": (
        "dataset={require_all_scans: true}",
        looked_at(*SEQUENCES) - {"figures_data"},
    ),
    "dataset: what a remission of 1 is": (
        "dataset={remission_scale: 255}",
        (looked_at(*SEQUENCES) - {"figures_data"}) | ALL_3D,
    ),
    "dataset: may images be missing": (
        "dataset={missing_images: allow}",
        (looked_at(*SEQUENCES) - {"figures_data"})
        | projected(*SEQUENCES)
        | {"evaluate_2d source"}
        | ADAPTED
        | EVALUATED,
    ),
    "scribbles, where none are simulated": ("scribbles={fraction: 0.2}", NOTHING),
    "projection": ("projection={tolerance: 0.1}", projected(*SEQUENCES) | {"evaluate_2d source"} | ADAPTED | EVALUATED),
    "pretrain_2d": ("pretrain_2d={learning_rate: 0.001}", PRETRAINED),
    "adapt_2d": ("adapt_2d={confidence: 0.9}", ADAPTED),
    "adaptations: one network's own key": (
        "adaptations={adapted: {ema: 0.9}}",
        {"adapt_2d adapted", "evaluate_2d adapted"} | EXTRACTED | IGNET,
    ),
    "adaptations: one more network": ("adaptations={other: {supervision: none}}", UNSUPERVISED),
    "teachers: a frozen network": ("teachers={lite: {kind: efficientnet_lite}}", TAUGHT),
    "features": ("features={dtype: float16}", FEATURES),
    # the networks that guide are 'adapted' and 'half'; each gets a PCA of its own
    "features: fewer channels": ("features={channels: 20}", each("features_pca", "adapted", "half") | FEATURES),
    "features: frames of the PCA, where there is none": ("features={pca_frames: 5}", NOTHING),
    "evaluate_2d": ("evaluate_2d={images: 1}", each("evaluate_2d", *NETWORKS) | {"compare", "report"}),
    "evaluate_2d: probes": ("evaluate_2d={probe: true}", each("evaluate_2d", *NETWORKS) | {"compare", "report"}),
    "train_3d": ("train_3d={learning_rate: 0.001}", ALL_3D),
    "train_3d: contrastive loss, which two runs use": ("train_3d={contrastive: {temperature: 0.2}}", GUIDED),
    "train_3d: FOVMix, which one run uses with its own value": ("train_3d={mixing: {fovmix: {frusta: 3}}}", NOTHING),
    # of the guided runs, 'ignet' compares features and 'ignet_50' labels
    "train_3d: a key of one distance": ("train_3d={image_guidance: {confidence: 0.1}}", runs("ignet_50") | REPORT),
    "train_3d: the probe of one distance": (
        "train_3d={image_guidance: {probe: {hidden: 64}}}",
        runs("ignet_50") | REPORT,
    ),
    "train_3d: whose features": ("train_3d={features: source}", each("features", "source 00", "source 01") | IGNET),
    "a run's weight": ("runs={ignet: {contrastive: {weight: 0.2}}}", IGNET),
    "a run's steps": ("runs={baseline: {steps: 5}}", runs("baseline") | REPORT),
    "a run's share of labelled scans": ("runs={ignet_50: {labelled_frames: null}}", runs("ignet_50") | REPORT),
    "a new run": ("runs={more: {}}", runs("more") | REPORT),
    "a new seed of one run": ("runs={baseline: {seeds: [0, 1]}}", runs("baseline", seed=1) | {"compare", "report"}),
    "a new seed of all": ("seeds=[0, 1]", SECOND_SEEDS),
    "pseudo_label": ("pseudo_label={fraction: 0.4}", {"pseudo_label ignet 0"} | runs("self_trained") | REPORT),
    "predict": ("predict={engine: torch}", PREDICTED),
    "evaluate": ("evaluate={ranges: [0, 20]}", EVALUATED | {"compare", "report"}),
    "compare": ("compare={baseline: full}", {"compare", "report"}),
    "figures: frames": ("figures={frames: 1}", {"figures_predictions", "report"}),
    "figures: extent": ("figures={extent: 30}", {"figures_predictions", "figures_data", "report"}),
    "report": ("report={validation_frames: 1}", {"report"}),
    "report: which training scans": ("report={training_frames: 0}", {"report"}),
    "execution": (
        "execution={device: cpu, threads: 2, workers: 1, checkpoint_every: 5, mem_mb: 9000, runtime: 9, gpus: 1, "
        "verify_features: false}",
        NOTHING,
    ),
}
"""Changes of settings: name -> (what is given as --config, jobs)."""

OPTIONS: dict[str, tuple[str, ...]] = {
    "cores": ("--cores", "7"),
    "keep going, retries": ("--keep-going", "--retries", "2"),
    "resources": (
        "--resources",
        "gpu=1",
        "--default-resources",
        "slurm_partition=gpu",
        "--set-resources",
        "train_3d:mem_mb=9000",
    ),
}
"""Ways to carry the workflow out: none reruns anything."""


def append(text: str) -> Callable[[Path], None]:
    return lambda path: path.write_text(path.read_text() + text)


def append_byte(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")


def replace(old: str, new: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        assert old in path.read_text(), f"{path} no longer holds {old!r}"
        path.write_text(path.read_text().replace(old, new))

    return change


def reformat(package: Path) -> None:
    """Every module as Python itself would write it: no comments, other quotes, other lines; with another docstring."""
    for path in package.rglob("*.py"):
        tree = ast.parse(path.read_text())
        if ast.get_docstring(tree) is not None:
            tree.body[0] = ast.Expr(ast.Constant("Other words."))
        path.write_text(ast.unparse(tree))


def reword(project: Path) -> None:
    """Every text that only people read: of errors, log lines and help."""
    changed = [
        path
        for path in (*(project / "ignet").rglob("*.py"), *(project / "workflow/scripts").glob("*.py"))
        if _reword(path)
    ]
    assert len(changed) > 50


def _reword(path: Path) -> bool:
    tree = ast.parse(path.read_text())
    words: list[ast.AST] = []
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Raise)
            and isinstance(node.exc, ast.Call)
            and getattr(node.exc.func, "id", "") != "SystemExit"
        ):
            words += node.exc.args
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and getattr(node.func.value, "id", "") == "log"
        ):
            words += node.args[:1]
        elif isinstance(node, ast.Call):
            words += [part.value for part in node.keywords if part.arg == "help"]
    texts = [
        part
        for node in words
        for part in ast.walk(node)
        if isinstance(part, ast.Constant) and isinstance(part.value, str)
    ]
    for text in texts:
        text.value += "; other words"
    path.write_text(ast.unparse(tree))
    return bool(texts)


CODE_LINE = "\n_CHANGED = True\n"


@dataclass(frozen=True)
class CodeChange:
    """A file of the project, what is done to it, and the jobs."""

    path: str
    change: Callable[[Path], None]
    jobs: set[str]


CODE = {
    "a comment in a loss": CodeChange("ignet/losses/contrastive.py", append("\n# a remark\n"), NOTHING),
    "the whole package reformatted, other docstrings": CodeChange("ignet", reformat, NOTHING),
    "a module that no stage reaches": CodeChange("ignet/workflow/why.py", append(CODE_LINE), NOTHING),
    "the classes of the settings": CodeChange("ignet/config/training_3d.py", append(CODE_LINE), NOTHING),
    "every message reworded": CodeChange("", reword, NOTHING),
    "a type hint": CodeChange("ignet/files/atomic.py", replace("-> Any:", "-> object:"), NOTHING),
    "the version": CodeChange("ignet/__init__.py", replace('__version__ = "', '__version__ = "9.'), NOTHING),
    "a predicate of the 3D training": CodeChange(
        "ignet/train/needs.py",
        replace("return Need.UNLABELLED in", "return Need.UNLABELLED not in"),
        ALL_3D,
    ),
    "a default of a loss that two runs use": CodeChange(
        "ignet/config/training_3d.py",
        replace("temperature: float = Field(0.1", "temperature: float = Field(0.2"),
        GUIDED,
    ),
    "a default of the probe": CodeChange(
        "ignet/config/training_3d.py",
        replace("hidden: int = Field(128", "hidden: int = Field(16"),
        runs("ignet_50") | REPORT,
    ),
    "a default of the adaptation": CodeChange(
        "ignet/config/training_2d.py",
        replace(
            '"pretrained",\n        description="weights to start', '"random",\n        description="weights to start'
        ),
        ADAPTED,
    ),
    "the published lists of labelled scans": CodeChange(
        "ignet/data/formats/labelled_scans.npz", append_byte, PRETRAINED | ALL_3D
    ),
    "a 3D loss": CodeChange("ignet/losses/contrastive.py", append(CODE_LINE), ALL_3D),
    "the 2D adaptation's mixing": CodeChange("ignet/train/classmix.py", append(CODE_LINE), ADAPTED),
    "the 2D adaptation's script": CodeChange("workflow/scripts/adapt_2d.py", append(CODE_LINE), ADAPTED),
    "the script of the projection": CodeChange(
        "workflow/scripts/projection.py",
        append(CODE_LINE),
        projected(*SEQUENCES) | {"evaluate_2d source"} | ADAPTED | EVALUATED,
    ),
    "the picture of the projection": CodeChange(
        "ignet/data/projection/figure.py", append(CODE_LINE), each("figures_projection", *SEQUENCES) | {"report"}
    ),
    "the evaluation": CodeChange("ignet/evaluate/slices.py", append(CODE_LINE), EVALUATED | REPORT),
    "a plot": CodeChange("ignet/report/plots.py", append(CODE_LINE), {"compare", "report"}),
    "a part of the page": CodeChange("ignet/report/html/charts.py", append(CODE_LINE), {"report"}),
    "a script of the page": CodeChange(
        "ignet/report/html/assets/viewer.js", append("\nignet.changed = 1;\n"), {"report"}
    ),
    "the view of a running workflow": CodeChange("ignet/view/status.py", append(CODE_LINE), NOTHING),
    "the pictures": CodeChange(
        "ignet/report/scan_figures.py", append(CODE_LINE), {"figures_predictions", "figures_data", "report"}
    ),
    "a comment in the rules": CodeChange("workflow/rules/training_3d.smk", append("\n# a remark\n"), NOTHING),
    "resources in the rules": CodeChange(
        "workflow/rules/training_3d.smk", replace('**asked("predict")', "mem_mb=4000"), NOTHING
    ),
    "where jobs find scribbles": CodeChange(
        "workflow/rules/common.smk",
        replace('"IGNET_SCRIBBLES": SCRIBBLES', '"IGNET_SCRIBBLES": SIMULATED_SCRIBBLES'),
        projected(*TRAIN) | ADAPTED | {"dataset_manifest", "figures_data", "report"},
    ),
    "where 3D trainings find scribbles": CodeChange(
        "workflow/rules/inputs.smk",
        replace('"dense" else SCRIBBLES', '"dense" else SIMULATED_SCRIBBLES'),
        runs("baseline") | GUIDED,
    ),
    "how several processes are started": CodeChange(
        "workflow/rules/inputs.smk", replace("--nproc-per-node", "--nproc_per_node"), PRETRAINED | ALL_3D
    ),
    "the training's command": CodeChange(
        "workflow/rules/training_3d.smk", replace("--seed {wildcards", "--seed  {wildcards"), ALL_3D
    ),
}
"""Changes of the project's own files."""

FILES: dict[str, tuple[str, set[str]]] = {
    "the dataset lies elsewhere": ("", NOTHING),
    "a file that no stage reads": ("sequences/00/times.txt", NOTHING),
    "what the systems of other people leave": ("sequences/00/velodyne/.DS_Store", NOTHING),
    "a file that was removed while it was open": ("sequences/00/image_2/.nfs000000000012", NOTHING),
    "notes beside the labels": ("sequences/00/labels/notes.txt", NOTHING),
    "a sequence that no one named": ("sequences/05/velodyne/000000.bin", NOTHING),
    "an image of a training sequence": ("sequences/00/image_2/000000.png", looked_at("00") | projected("00") | ADAPTED),
    "an image of a validation sequence": (
        "sequences/08/image_2/000000.png",
        looked_at("08") | projected("08") | EVALUATED | each("evaluate_2d", *NETWORKS) | REPORT,
    ),
    "a scan of a training sequence": (
        "sequences/01/velodyne/000001.bin",
        looked_at("01") | projected("01") | ADAPTED | ALL_3D,
    ),
    "a scan of a validation sequence": (
        "sequences/08/velodyne/000001.bin",
        looked_at("08") | projected("08") | each("evaluate_2d", *NETWORKS) | PREDICTED,
    ),
    "dense labels of a training sequence": (
        "sequences/00/labels/000000.label",
        looked_at("00") | runs("full") | REPORT,
    ),
    "scribbles of a training sequence": (
        "sequences/00/scribbles/000000.label",
        looked_at("00") | projected("00") | ADAPTED | runs("baseline"),
    ),
    "calibration of a training sequence": ("sequences/01/calib.txt", looked_at("01") | projected("01") | ADAPTED),
}
"""Changes of a user's dataset: name -> (the file, jobs)."""
