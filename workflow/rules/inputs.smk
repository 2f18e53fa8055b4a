# What the rules read, where it lies, and the identity of the user's own files.
from ignet.data.formats.official import TEST_SEQUENCES, image_kinds
from ignet.stage.fingerprint import checkpoint_fingerprint, sequence_fingerprint, tree_fingerprint
from ignet.train.needs import checkpoints_2d, needs_correspondence, needs_features

FINGERPRINTS = {}
WITHOUT_DATA = bool(REQUEST and REQUEST.without_data)
# stages ask for many combinations of the same folders, and a full-size dataset has 170,000 files
LISTINGS = {}


@cache
def fingerprint(kinds, sequences):
    """Identity of files of the user's dataset; the embedded world is an input like any other and needs none."""
    if not DATA.root or WITHOUT_DATA:
        return "embedded world"
    if "images" in kinds:
        kinds = (*(kind for kind in kinds if kind != "images"), *image_kinds(DATA.cameras).values())
    try:
        identity = sequence_fingerprint(Path(DATA.root), sequences, kinds, LISTINGS)
    except IgnetError as error:
        stop(error)
    FINGERPRINTS[identity] = (kinds, sequences)
    return identity


@cache
def source_fingerprint():
    """Identity of the user's synthetic dataset."""
    if not SEGMENTERS:
        return "none"
    if not EXPERIMENT.source.root or WITHOUT_DATA:
        return "embedded world"
    try:
        return tree_fingerprint(Path(SOURCE))
    except IgnetError as error:
        stop(error)


def weights_fingerprint(settings):
    """Identity of the checkpoints that a 2D network is made from: its settings name their places, not their content."""
    paths = [Path(name).expanduser() for name in checkpoints_2d(settings)]
    return ",".join(map(checkpoint_fingerprint, paths))


def target_folders(sequences):
    """The sequence folders of the embedded world; of a user's dataset nothing (it enters by its fingerprint)."""
    return [] if DATA.root else [f"{TARGET}/sequences/{sequence}" for sequence in sequences]


def source_folder():
    """The source set of the embedded world; of a user's dataset nothing, nor where no network is made from one."""
    return [] if EXPERIMENT.source.root or not SEGMENTERS else [SOURCE]


def scribble_folders(sequences):
    """Simulated scribbles are made by a rule; published ones lie in the dataset."""
    return [] if DATA.scribbles == "dataset" else [f"{SCRIBBLES}/sequences/{s}/scribbles" for s in sequences]


def scribble_kinds():
    """Published scribbles are files of the dataset."""
    return ("scribbles",) if DATA.scribbles == "dataset" else ()


def network_file(network):
    """Weights of a 2D network: the pretrained one, an adapted one or a frozen teacher."""
    stage = "teachers" if network in EXPERIMENT.teachers else "adapt_2d"
    folder = PRETRAINED if network == SOURCE_NETWORK else f"{stage}/{artifact_key(ARTIFACTS.networks, network)}"
    return f"{SHARED}/{folder}/model.safetensors"


def evaluation_2d(network):
    """Metrics of a 2D network."""
    return f"{SHARED}/evaluate_2d/{artifact_key(ARTIFACTS.evaluations, network)}/metrics.json"


def features_folder(network):
    """Feature stores of a 2D network."""
    return f"{SHARED}/features/{artifact_key(ARTIFACTS.features, network)}"


def features_pca(network):
    """Principal components of a 2D network's features, where stores have fewer channels."""
    return (
        [f"{SHARED}/features_pca/{artifact_key(ARTIFACTS.pca, network)}/pca.safetensors"]
        if EXPERIMENT.features.channels
        else []
    )


def adaptation(wildcards):
    """Settings of an adapted 2D network."""
    return EXPERIMENT.adaptation(named(ARTIFACTS.networks, wildcards.network))


def teacher(wildcards):
    """Settings of a frozen teacher."""
    return EXPERIMENT.teacher(named(ARTIFACTS.networks, wildcards.network))


def probe_sequences(wildcards):
    """The training sequences that the evaluation of a 2D network fits a probe to; none where it fits none."""
    network = named(ARTIFACTS.evaluations, wildcards.network)
    return DATA.train_sequences if is_probed(EXPERIMENT, network) else ()


def head_sequences(wildcards):
    """The training sequences that the head of a frozen teacher is trained on; none where it has no head."""
    return DATA.train_sequences if teacher(wildcards).head else ()


def labelled_images(sequences):
    """Identity of the images and scribbles of some training sequences."""
    return fingerprint(("images", *scribble_kinds()), sequences) if sequences else "none"


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
        "projection": projections(sequences) if needs_correspondence(settings) else [],
        "features": (
            [f"{features_folder(settings.features)}/{s}.h5" for s in sequences] if needs_features(settings) else []
        ),
        "teacher": [network_file(settings.features)] if needs_features(settings) else [],
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
    return features_folder(settings.features) if needs_features(settings) else f"{SHARED}/features"


def training_data(wildcards):
    """Fingerprint of the scans and of the labels that the run's supervision allows."""
    labels = {"dense": ("labels",), "scribbles": scribble_kinds(), "pseudo": ()}
    return fingerprint(("scans", *labels[EXPERIMENT.run(wildcards.run).supervision]), DATA.train_sequences)


def labelled_frames():
    """`RUN=PERCENT` of the runs with unlabelled scans and of those with all of the same labels; none without the former."""
    runs = {run: EXPERIMENT.run(run) for run in EXPERIMENT.runs}
    kinds = {settings.supervision for settings in runs.values() if settings.labelled_frames}
    return [
        f"{run}={settings.labelled_frames or 100}" for run, settings in runs.items() if settings.supervision in kinds
    ]


def backbones():
    """`RUN=NETWORK` of all runs; none where every run trains a MinkUNet."""
    titles = {run: network_title(EXPERIMENT.run(run).backbone) for run in EXPERIMENT.runs}
    return [f"{run}={title}" for run, title in titles.items()] if {*titles.values()} != {"minkunet"} else []


def supervision_2d(network):
    """What a 2D network learns from: its supervision, and the share of labelled frames where it is not all."""
    if network == SOURCE_NETWORK:
        return SOURCE_NETWORK
    if network in EXPERIMENT.teachers:
        settings = EXPERIMENT.teacher(network)
        return f"frozen {settings.kind}" + (", head on projected scribbles" if settings.head else "")
    settings = EXPERIMENT.adaptation(network)
    return f"{settings.supervision}:{settings.labelled_frames}" if settings.labelled_frames else settings.supervision


# what starts the script of a training: one process, or torchrun's, which share each batch
LAUNCHERS = ["python", "python -m ignet.train.torchrun --nproc-per-node"]


def launcher(stage):
    """The launcher of a stage; how many processes there are is no part of its identity, how they are started is."""
    processes = job_processes(EXECUTION, stage)
    command = LAUNCHERS[0] if processes == 1 else f"{LAUNCHERS[1]} {processes}"
    return command.replace("python", shlex.quote(PYTHON), 1)


def asked_by_training(stage):
    """As ``asked``, and how the training is carried out."""
    every = int(EXECUTION.checkpoint_every)
    how = {"device": EXECUTION.device, "workers": job_workers(EXECUTION, gpus(stage)), "checkpoint_every": every}
    # the launcher starts processes on one node, and a scheduler may spread GPUs over several
    return {**asked(stage), **how, "launcher": launcher(stage), "nodes": 1}


def records():
    """Where the times of this experiment's jobs lie below `benchmarks/`, in the order of the workflow."""
    shared = [keyed("world_source", ARTIFACTS.source.key), keyed("world_target", ARTIFACTS.target.key)]
    shared += [keyed("scribbles", ARTIFACTS.scribbles.key)] + [
        keyed("projection", ARTIFACTS.projection[role].key) for role in ("train", "val")
    ]
    networks = [f"adapt_2d/{artifact_key(ARTIFACTS.networks, network)}" for network in EXPERIMENT.adaptations]
    networks += [f"teachers/{artifact_key(ARTIFACTS.networks, network)}" for network in EXPERIMENT.teachers]
    networks += [f"evaluate_2d/{artifact_key(ARTIFACTS.evaluations, network)}" for network in NETWORKS_2D]
    networks += [f"features/{artifact_key(ARTIFACTS.features, network)}" for network in NETWORKS_2D]
    runs = [
        f"{rule}/{run}" for rule in ("train_3d", "pseudo_label", "predict", *EVALUATIONS) for run in EXPERIMENT.runs
    ]
    last = ["dataset_check", "dataset_manifest", "figures_projection", "figures_data", "figures_predictions", "compare"]
    return list(dict.fromkeys([*shared, PRETRAINED, *networks, *runs, *last]))


def shown_features():
    """The 2D network whose features the report shows: the claim's run's, else the first run's that reads any."""
    runs = [run for run in (EXPERIMENT.compare.method, *EXPERIMENT.runs) if run in EXPERIMENT.runs]
    read = [EXPERIMENT.run(run).features for run in runs if needs_features(EXPERIMENT.run(run))]
    return next(iter(read), NETWORKS_2D[-1])


# the 2D networks that the report runs on images
SHOWN_NETWORKS = list(dict.fromkeys([*SEGMENTERS, shown_features()]))


def run_files(pattern):
    """`RUN:SEED=file` for every run and seed."""
    return [f"{run}:{seed}={pattern.format(run=run, seed=seed)}" for run, seed in RUNS]


def submission_inputs(wildcards):
    """The predictions that a submission packs; asking for one without test sequences is a mistake."""
    if not DATA.test_sequences:
        stop(
            "dataset.test_sequences is empty, expected the sequences to predict and pack; name them, and set hidden_test_labels where they have no labels"
        )
    try:
        run, seed = EXPERIMENT.submitted()
    except IgnetError as error:
        stop(error)
    return [
        *target_folders(DATA.test_sequences),
        *expand(PREDICTIONS, run=run, seed=seed, sequence=DATA.test_sequences),
        *([EXPERIMENT.submission.description] if EXPERIMENT.submission.description else []),
    ]


# rules of evaluations, of the validation first
EVALUATIONS = ["evaluate", *(["evaluate_test"] if DATA.evaluated_test_sequences else [])]


def role(sequence):
    """What a sequence is read for: of ``other`` ones, which a prediction is asked for, nothing but the scans."""
    splits = {"train": DATA.train_sequences, "val": DATA.val_sequences, "test": DATA.evaluated_test_sequences}
    return next((name for name, sequences in splits.items() if sequence in sequences), "other")


CHECKED = dict.fromkeys(("val", "test"), ("scans", "images", DATA.evaluate_on, "calibration"))
CHECKED["other"] = ("scans", "images", "labels", "calibration")
CHECKED["train"] = (*CHECKED["other"], *scribble_kinds())
