"""An experiment read whole: every section, adaptation and run, and what they ask of one another."""

from typing import Any

from ignet.config.backbones import BackboneConfig, Cylinder3DConfig
from ignet.config.base import validate
from ignet.config.evaluation import Control, Statement
from ignet.config.execution import job_processes
from ignet.config.experiment import NESTED, SOURCE_NETWORK, ExperimentConfig
from ignet.config.training_3d import Train3DConfig
from ignet.data.label_sets.label_set import LabelSet
from ignet.data.lidar.mixing.registry import active_strategies
from ignet.errors import IgnetError
from ignet.train.needs import needs_features, uses_unlabelled
from ignet.workflow.networks_2d import networks_2d, without_unused_default
from ignet.world.presets import PRESETS


def load_experiment(values: dict[str, Any], where: str) -> ExperimentConfig:
    """Validate a whole experiment, each adaptation and run included.

    Raises:
        IgnetError: one line that names the key, what was found and what was expected.
    """
    values = _with_null(values)
    experiment = validate(ExperimentConfig, values, where)
    for name in experiment.teachers:
        experiment.teacher(name)
    for name in experiment.adaptations:
        _check_views(experiment, f"adaptations.{name}", experiment.adaptation(name).cameras)
    for name in experiment.runs:
        _check_run(experiment, name)
    _check_draws(experiment)
    experiment = without_unused_default(experiment, values)
    _check_cameras(experiment)
    runs, networks = _set_to_null(values, "runs"), _left_out_networks(experiment, values)
    _check_comparison(experiment, runs, networks)
    _check_batches(experiment)
    if experiment.submission != type(experiment.submission)():
        experiment.submitted()
    return _without_claims_about(experiment, runs, networks)


def network_title(backbone: BackboneConfig) -> str:
    """What tables call a 3D network: figures of one variant of it are not those of another."""
    return f"{backbone.name} {backbone.variant}" if isinstance(backbone, Cylinder3DConfig) else backbone.name


def check_classes(experiment: ExperimentConfig, label_set: LabelSet) -> None:
    """Classes that a run's mixing names are of the label set.

    Raises:
        IgnetError: one line that names the key, what was found and what was expected.
    """
    for run in experiment.runs:
        mixing = experiment.run(run).mixing
        for name in active_strategies(mixing):
            try:
                label_set.ids_of(getattr(getattr(mixing, name), "classes", ()))
            except ValueError as error:
                raise IgnetError(f"runs.{run}.mixing.{name}.classes: {error}") from None


def _check_cameras(experiment: ExperimentConfig) -> None:
    """The embedded world has the cameras of its preset."""
    if experiment.dataset.root:
        return
    preset = experiment.world.preset
    known = [camera.number for camera in PRESETS[preset].rig.cameras(64, 32)]
    if missing := sorted({*experiment.dataset.cameras} - {*known}):
        raise IgnetError(
            f"dataset.cameras: found {missing}, but the preset '{preset}' of the embedded world has {known}; "
            "name those, or set dataset.root to your dataset's folder"
        )


def _check_run(experiment: ExperimentConfig, name: str) -> None:
    """One run, and the networks and labels that its losses ask for."""
    settings = experiment.run(name)
    experiment.run_seeds(name)
    try:
        unlabelled, guided = uses_unlabelled(settings), needs_features(settings)
    except IgnetError as error:
        raise IgnetError(f"runs.{name}: {error}") from None
    _check_views(experiment, f"runs.{name}", settings.cameras)
    share, some = settings.labelled_frames, experiment.dataset.missing_labels == "allow"
    if (share or some) and unlabelled and settings.batch == 1:
        why = f"labelled_frames is {share}" if share else "dataset.missing_labels is allow"
        raise IgnetError(
            f"runs.{name}: {why} and batch is 1, so that every second step would see no label at all; take an even "
            "batch, half of which is labelled"
        )
    known = [SOURCE_NETWORK, *sorted(experiment.adaptations), *sorted(experiment.teachers)]
    if guided and settings.features not in known:
        raise IgnetError(f"runs.{name}.features: found '{settings.features}', expected one of {known}")
    without_classes = settings.features in experiment.teachers and experiment.teacher(settings.features).kind != "file"
    if guided and without_classes and settings.image_guidance.loss == "classifier_kl":
        raise IgnetError(
            f"runs.{name}.image_guidance.loss: found classifier_kl, but the teacher '{settings.features}' has no "
            "classifier; take probe_kl, or a distance of features"
        )
    _check_teacher(experiment, name, settings)
    if guided:
        _check_labels_of_features(experiment, name, settings)


def _check_draws(experiment: ExperimentConfig) -> None:
    """Shares of labelled frames are of frames that all have labels."""
    draws = {f"runs.{name}": experiment.run(name).labelled_frames for name in experiment.runs}
    draws |= {f"adaptations.{name}": experiment.adaptation(name).labelled_frames for name in experiment.adaptations}
    heads = {name: experiment.teacher(name).head for name in experiment.teachers}
    draws |= {f"teachers.{name}.head": head.labelled_frames for name, head in heads.items() if head}
    if experiment.dataset.missing_labels == "allow" and (drawn := [where for where, share in draws.items() if share]):
        raise IgnetError(
            f"{drawn[0]}.labelled_frames: found {draws[drawn[0]]} with dataset.missing_labels allow, expected one of "
            "both, since the share is of scans that all have labels; leave labelled_frames out"
        )


def _check_views(experiment: ExperimentConfig, where: str, cameras: tuple[int, ...] | None) -> None:
    """A run's or an adaptation's cameras are some of the data set's."""
    known = list(experiment.dataset.cameras)
    if cameras is not None and (unknown := sorted(set(cameras) - set(known))):
        raise IgnetError(f"{where}.cameras: found {unknown}, expected some of dataset.cameras, {known}")


def _check_teacher(experiment: ExperimentConfig, name: str, settings: Train3DConfig) -> None:
    """A run that learns from another's predictions needs that run, with the same seeds, and no circle."""
    teacher, path = settings.pseudo_labels_of, [name]
    while teacher is not None:
        if teacher not in experiment.runs or teacher in path:
            known = sorted(set(experiment.runs) - set(path))
            raise IgnetError(
                f"runs.{path[-1]}.pseudo_labels_of: found '{teacher}', expected another run that is no "
                f"successor: {known}"
            )
        if missing := set(experiment.run_seeds(name)) - set(experiment.run_seeds(teacher)):
            raise IgnetError(
                f"runs.{name}.seeds: {sorted(missing)} are no seeds of '{teacher}', whose predictions it learns from"
            )
        path.append(teacher)
        teacher = experiment.runs[teacher].get("pseudo_labels_of")


def _check_labels_of_features(experiment: ExperimentConfig, name: str, settings: Train3DConfig) -> None:
    """A semi-supervised run's 2D network has seen no label of a frame that the run counts as unlabelled."""
    allowed, seen = settings.labelled_frames, _labels_seen(experiment, settings.features)
    if allowed is not None and seen not in (0, allowed) and (seen, allowed) not in NESTED:
        frames = f"the labels of {seen} % of the frames" if seen < 100 else "the labels of all frames"
        raise IgnetError(
            f"runs.{name}.features: found '{settings.features}', which is trained with {frames}, and so with "
            f"labels that the run's labelled_frames {allowed} withholds; expected '{SOURCE_NETWORK}', a network with "
            f"labelled_frames {allowed}, an adaptation with supervision none, or a teacher without a head"
        )


def _labels_seen(experiment: ExperimentConfig, network: str) -> int:
    """Per cent of the training frames whose labels a 2D network has seen."""
    if network == SOURCE_NETWORK:
        return 0
    if network in experiment.teachers:
        head = experiment.teacher(network).head
        return (head.labelled_frames or 100) if head else 0
    adapted = experiment.adaptation(network)
    return 0 if adapted.supervision == "none" else adapted.labelled_frames or 100


def _set_to_null(values: dict[str, Any], key: str) -> set[str]:
    return {name for name, value in values.get(key, {}).items() if value is None}


def _left_out_networks(experiment: ExperimentConfig, values: dict[str, Any]) -> set[str]:
    """2D networks that were taken out; with the last adaptation goes the pretrained network that it starts from."""
    adaptations = _set_to_null(values, "adaptations")
    pretrained = {SOURCE_NETWORK} if adaptations and SOURCE_NETWORK not in networks_2d(experiment) else set()
    return adaptations | pretrained | _set_to_null(values, "teachers")


def _with_null(value: Any) -> Any:
    """Snakemake's ``--config`` hands on nested values as text.

    Numbers in text are understood where a number is expected, null is not.
    """
    if isinstance(value, dict):
        return {key: _with_null(part) for key, part in value.items()}
    return None if value == "null" else value


def _check_batches(experiment: ExperimentConfig) -> None:
    """Processes share a batch, so each needs a part of it."""
    batches = {"pretrain_2d": ("pretrain_2d", experiment.pretrain_2d.batch)}
    batches |= {
        f"adaptations.{name}": ("adapt_2d", experiment.adaptation(name).batch) for name in experiment.adaptations
    }
    batches |= {f"runs.{name}": ("train_3d", experiment.run(name).batch) for name in experiment.runs}
    for where, (stage, batch) in batches.items():
        processes = job_processes(experiment.execution, stage)
        if batch < processes:
            raise IgnetError(
                f"{where}.batch: found {batch}, expected {processes} at least, one for each process; "
                + (
                    f"set execution.stages.{stage}.gpus to {batch}, or raise the batch, which is another training"
                    if experiment.execution.processes is None
                    else f"set execution.processes to {batch} or less"
                )
            )


def _check_comparison(experiment: ExperimentConfig, left_out_runs: set[str], left_out_networks: set[str]) -> None:
    """Controls and statements name runs, or 2D networks, of the experiment, or such as were taken out of it."""
    runs, networks = {*experiment.runs, *left_out_runs}, {*networks_2d(experiment), *left_out_networks}
    claims, controls = experiment.compare.statements, experiment.compare.controls
    pairs: list[tuple[str, Control | Statement]] = [(f"controls.{n}", pair) for n, pair in enumerate(controls)]
    pairs += [(f"statements.{n}", pair) for n, pair in enumerate(claims)]
    for where, pair in pairs:
        known = _comparable(pair, runs, networks)
        for key in ("run", "against"):
            if (name := getattr(pair, key)) not in known:
                raise IgnetError(f"compare.{where}.{key}: found '{name}', expected one of {sorted(known)}")
        if pair.run == pair.against:
            raise IgnetError(f"compare.{where}: '{pair.run}' is compared with itself; name another in 'against'")


def _without_claims_about(experiment: ExperimentConfig, runs: set[str], networks: set[str]) -> ExperimentConfig:
    """The experiment without the controls and statements about runs and 2D networks that were taken out of it."""

    def stays(pair: Control | Statement) -> bool:
        return not {pair.run, pair.against} & _comparable(pair, runs, networks)

    compare = experiment.compare
    kept = {"controls": tuple(filter(stays, compare.controls)), "statements": tuple(filter(stays, compare.statements))}
    return experiment.model_copy(update={"compare": compare.model_copy(update=kept)})


def _comparable(pair: Control | Statement, runs: set[str], networks: set[str]) -> set[str]:
    """The names that a comparison draws from: some statements are about 2D networks, all else about runs."""
    return networks if isinstance(pair, Statement) and pair.networks else runs
