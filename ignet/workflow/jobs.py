"""The jobs of an experiment and what each waits for, from the settings alone, without Snakemake or data.

`workflow/rules` says the same with files; a test compares the two.
"""

from collections.abc import Callable
from dataclasses import dataclass

from ignet.config.experiment import SOURCE_NETWORK, ExperimentConfig
from ignet.data.lidar.spacing import middles
from ignet.train.needs import needs_correspondence, needs_features
from ignet.workflow.resources import TRAININGS, USE_GPU
from ignet.workflow.shared_results import find_artifacts

GPU_RULES = (*TRAININGS, *USE_GPU)
"""Rules whose jobs take ``execution.device``; all others run on the CPU."""


@dataclass(frozen=True)
class Job:
    """One job: its rule and its wildcards, '' and -1 where the rule has none."""

    rule: str
    sequence: str = ""
    network: str = ""
    run: str = ""
    seed: int = -1


def plan_jobs(experiment: ExperimentConfig) -> dict[Job, tuple[Job, ...]]:
    """All jobs that a first run of the experiment needs, each with the jobs that it waits for.

    Inputs stand before their readers.
    """
    inputs = _Inputs(experiment)
    graph: dict[Job, tuple[Job, ...]] = {}

    def visit(job: Job) -> None:
        if job not in graph:
            found = tuple(dict.fromkeys(inputs.of(job)))
            for each in found:
                visit(each)
            graph[job] = found

    for target in inputs.targets():
        visit(target)
    return graph


class _Inputs:
    """What the rules read, rule by rule; each method is named as its rule."""

    def __init__(self, experiment: ExperimentConfig) -> None:
        self.experiment, self.data = experiment, experiment.dataset
        self.networks = (SOURCE_NETWORK, *experiment.adaptations)
        self.alias = _aliases(experiment, self.networks)
        self.runs = [(run, seed) for run in experiment.runs for seed in experiment.run_seeds(run)]

    def targets(self) -> list[Job]:
        """What the rule ``all`` asks for."""
        return [
            Job("dataset_manifest"),
            Job("compare"),
            Job("figures_data"),
            Job("figures_predictions"),
            Job("report"),
            *self._drawn(),
        ]

    def of(self, job: Job) -> list[Job]:
        rule: Callable[[Job], list[Job]] = getattr(self, job.rule)
        return rule(job)

    def world_source(self, job: Job) -> list[Job]:
        return []

    def world_target(self, job: Job) -> list[Job]:
        return []

    def dataset_check(self, job: Job) -> list[Job]:
        return self._target(job.sequence)

    def dataset_manifest(self, job: Job) -> list[Job]:
        checked = [Job("dataset_check", sequence=sequence) for sequence in self.data.sequences]
        return [*checked, *self._scribbles(self.data.train_sequences)]

    def scribbles(self, job: Job) -> list[Job]:
        return self._target(job.sequence)

    def projection(self, job: Job) -> list[Job]:
        labelled = [job.sequence] if job.sequence in self.data.train_sequences else []
        return [*self._target(job.sequence), *self._scribbles(labelled)]

    def figures_projection(self, job: Job) -> list[Job]:
        return [*self._target(job.sequence), *self._project([job.sequence])]

    def pretrain_2d(self, job: Job) -> list[Job]:
        return self._source()

    def adapt_2d(self, job: Job) -> list[Job]:
        train = self.data.train_sequences
        return [*self._source(), *self._target(*train), *self._project(train), Job("pretrain_2d")]

    def evaluate_2d(self, job: Job) -> list[Job]:
        return [
            *self._target(*self.data.val_sequences),
            self._network(job.network),
            *self._project(self.data.val_sequences),
        ]

    def features_pca(self, job: Job) -> list[Job]:
        train = self.data.train_sequences
        return [*self._target(*train), self._network(job.network), *self._project(train)]

    def features(self, job: Job) -> list[Job]:
        basis = [Job("features_pca", network=job.network)] if self.experiment.features.channels else []
        return [*self._target(job.sequence), self._network(job.network), *self._project([job.sequence]), *basis]

    def train_3d(self, job: Job) -> list[Job]:
        settings, train = self.experiment.run(job.run), self.data.train_sequences
        found = [*self._target(*train)]
        if settings.supervision == "scribbles":
            found += self._scribbles(train)
        if settings.pseudo_labels_of:
            found.append(Job("pseudo_label", run=settings.pseudo_labels_of, seed=job.seed))
        if needs_correspondence(settings):
            found += self._project(train)
        if needs_features(settings):
            network = self.alias[settings.features]
            found += [Job("features", sequence=sequence, network=network) for sequence in train]
        return found

    def pseudo_label(self, job: Job) -> list[Job]:
        train = self.data.train_sequences
        return [*self._target(*train), *self._scribbles(train), Job("train_3d", run=job.run, seed=job.seed)]

    def predict(self, job: Job) -> list[Job]:
        return [*self._target(job.sequence), Job("train_3d", run=job.run, seed=job.seed)]

    def evaluate(self, job: Job) -> list[Job]:
        val = self.data.val_sequences
        return [*self._target(*val), *self._predictions(job.run, job.seed), *self._project(val)]

    def compare(self, job: Job) -> list[Job]:
        found = [Job("evaluate", run=run, seed=seed) for run, seed in self.runs]
        found += [Job("train_3d", run=run, seed=seed) for run, seed in self.runs]
        return found + [Job("evaluate_2d", network=self.alias[network]) for network in self.networks]

    def figures_data(self, job: Job) -> list[Job]:
        return [*self._source(), *self._target(*self.data.sequences), *self._scribbles(self.data.train_sequences)]

    def figures_predictions(self, job: Job) -> list[Job]:
        found = [*self._target(*self.data.val_sequences), *self._project(self.data.val_sequences)]
        for run in self.experiment.runs:
            found += self._predictions(run, self.experiment.run_seeds(run)[0])
        return found + [self._network(network) for network in self.networks]

    def report(self, job: Job) -> list[Job]:
        train = middles(self.data.train_sequences, self.experiment.report.training_frames)
        found = [
            *self._target(*self.data.val_sequences, *train),
            *self._scribbles(train),
            *self._project([*self.data.val_sequences, *train]),
        ]
        found += [
            Job("compare"),
            Job("dataset_manifest"),
            Job("figures_data"),
            Job("figures_predictions"),
            *self._drawn(),
        ]
        for run in self.experiment.runs:
            found += self._predictions(run, self.experiment.run_seeds(run)[0])
        return found + [self._network(network) for network in self.networks]

    def _source(self) -> list[Job]:
        return [] if self.experiment.source.root else [Job("world_source")]

    def _target(self, *sequences: str) -> list[Job]:
        return [] if self.data.root else [Job("world_target", sequence=sequence) for sequence in sequences]

    def _scribbles(self, sequences: list[str] | tuple[str, ...]) -> list[Job]:
        return (
            [] if self.data.scribbles == "dataset" else [Job("scribbles", sequence=sequence) for sequence in sequences]
        )

    def _project(self, sequences: list[str] | tuple[str, ...]) -> list[Job]:
        return [Job("projection", sequence=sequence) for sequence in sequences]

    def _drawn(self) -> list[Job]:
        return [Job("figures_projection", sequence=sequence) for sequence in self.data.sequences]

    def _network(self, name: str) -> Job:
        return Job("pretrain_2d") if name == SOURCE_NETWORK else Job("adapt_2d", network=self.alias[name])

    def _predictions(self, run: str, seed: int) -> list[Job]:
        return [Job("predict", sequence=sequence, run=run, seed=seed) for sequence in self.data.val_sequences]


def _aliases(experiment: ExperimentConfig, networks: tuple[str, ...]) -> dict[str, str]:
    """The name under which each 2D network is made: in a shared folder, networks of equal settings are one."""
    if not experiment.shared:
        return {name: name for name in networks}
    keys = {name: artifact.key for name, artifact in find_artifacts(experiment).networks.items()}
    return {name: next(other for other in networks if keys[other] == keys[name]) for name in networks}
