"""Results that several experiments share: named by what they come from, so that equal settings find each other.

The name holds settings and the places of the user's datasets. It holds no code and no file contents: where these
change, a result is made again in its place, by the rules' params and inputs.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ignet.config.base import Section
from ignet.config.experiment import SOURCE_NETWORK, ExperimentConfig
from ignet.errors import IgnetError
from ignet.files.atomic import write_json
from ignet.workflow.networks_2d import guides, is_probed, segmenters

LINKS = "shared"
"""Folder of an experiment's results whose links lead to what it shares."""


_PER_NETWORK = ("features_pca", "features")


@dataclass(frozen=True)
class Artifact:
    """One result and what it comes from.

    Attributes:
        stage: folder below the shared one; of a user's dataset ``dataset``, where nothing is ever made.
        parts: settings, sequences, places; and the artifacts that it is made from.
    """

    stage: str
    parts: Mapping[str, Any]

    @cached_property
    def origin(self) -> dict[str, Any]:
        """What its name stands for, as plain values: a part that is an artifact appears by its own place."""
        return {"stage": self.stage, **{name: _plain(value) for name, value in self.parts.items()}}

    @cached_property
    def key(self) -> str:
        """12 hexadecimal digits: the hash of ``origin``, and so of the whole chain behind it."""
        text = json.dumps(self.origin, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def place(self) -> str:
        """Its folder, below the shared one."""
        return f"{self.stage}/{self.key}"


@dataclass(frozen=True)
class Artifacts:
    """What one experiment can share with others.

    Attributes:
        source: the source set, or the user's.
        target: the target sequences, or the user's dataset.
        scribbles: simulated scribbles, or where ``target`` has them.
        projection: correspondence by role, ``train`` (with scribbles) and ``val``; a sequence may have another role
            elsewhere.
        pretrained: the pretrained 2D network, where there is none the one that would be.
        networks: the 2D networks by name: pretrained, adapted, frozen teachers.
        pca: principal components of the features by 2D network, where stores have fewer channels; else none.
        features: feature stores by 2D network.
        evaluations: 2D evaluations by 2D network.
    """

    source: Artifact
    target: Artifact
    scribbles: Artifact
    projection: dict[str, Artifact]
    pretrained: Artifact
    networks: dict[str, Artifact]
    pca: dict[str, Artifact]
    features: dict[str, Artifact]
    evaluations: dict[str, Artifact]

    def by_name(self) -> dict[str, Artifact]:
        """All that the workflow makes, by the path that it has in an experiment that shares nothing."""
        named = {"world/source": self.source, "world/target": self.target, "scribbles": self.scribbles}
        named |= {f"projection/{role}": artifact for role, artifact in self.projection.items()}
        named |= {
            "pretrain_2d" if name == SOURCE_NETWORK else f"{artifact.stage}/{name}": artifact
            for name, artifact in self.networks.items()
        }
        named |= {f"features_pca/{name}": artifact for name, artifact in self.pca.items()}
        named |= {f"features/{name}": artifact for name, artifact in self.features.items()}
        named |= {f"evaluate_2d/{name}": artifact for name, artifact in self.evaluations.items()}
        # a user's dataset, and scribbles that come with the scans, have no folder of their own
        return {name: artifact for name, artifact in named.items() if name.startswith(artifact.stage)}


def find_artifacts(experiment: ExperimentConfig) -> Artifacts:
    """Trace every shareable result of an experiment back to the settings that lead to it.

    A stage's parts are what its rule reads, and nothing else; two experiments share a result where these are equal all
    the way up.
    """
    data, world = experiment.dataset, experiment.world
    source = _dataset(experiment.source.root) or Artifact("world/source", {"settings": world.of_source()})
    target = _dataset(data.root) or Artifact("world/target", {"settings": world.of_target()})
    simulated = Artifact("scribbles", {"settings": experiment.scribbles, "dataset": target, "labels": data.labels})
    scribbles = target if data.scribbles == "dataset" else simulated
    seen = {"settings": experiment.projection, "dataset": target}
    seen |= {key: value for key, value in data.identity().items() if key in ("cameras", "missing_images")}
    projection = {
        "train": Artifact("projection", {**seen, "scribbles": scribbles, "labels": data.labels}),
        "val": Artifact("projection", seen),
    }

    images = {"source": source, "layout": experiment.source.layout}
    pretrained = Artifact("pretrain_2d", {"settings": experiment.pretrain_2d, **images})
    networks = {SOURCE_NETWORK: pretrained} if SOURCE_NETWORK in segmenters(experiment) else {}
    learnt = {
        **images,
        "pretrained": pretrained,
        "dataset": target,
        "sequences": data.train_sequences,
        "projection": projection["train"],
    }
    for name in experiment.adaptations:
        networks[name] = Artifact("adapt_2d", {"settings": experiment.adaptation(name), **learnt})
    for name in experiment.teachers:
        settings = experiment.teacher(name)
        on = {"dataset": target, "sequences": data.train_sequences, "projection": projection["train"]}
        on |= {"scribbles": scribbles, "labels": data.labels}
        networks[name] = Artifact("teachers", {"settings": settings, **(on if settings.head else {})})

    fitted = {"settings": experiment.features.pca_identity(), "dataset": target, "projection": projection["train"]}
    fitted["sequences"] = data.train_sequences
    pca = {name: Artifact("features_pca", {**fitted, "network": network}) for name, network in networks.items()}
    pca = pca if experiment.features.channels else {}
    stored = {"settings": experiment.features.store_identity(), "dataset": target, "projection": projection["train"]}
    based = {name: {"network": network, **({"pca": pca[name]} if pca else {})} for name, network in networks.items()}
    judged = {
        "settings": experiment.evaluate_2d,
        "dataset": target,
        "sequences": data.val_sequences,
        "labels": data.labels,
        "projection": projection["val"],
        "evaluate_on": data.evaluate_on,
    }
    probed = {"fitted_to": data.train_sequences, "scribbles": scribbles, "seen": projection["train"]}
    return Artifacts(
        source=source,
        target=target,
        scribbles=scribbles,
        projection=projection,
        pretrained=pretrained,
        networks=networks,
        pca=pca,
        features={name: Artifact("features", {**stored, **based[name]}) for name in networks},
        evaluations={
            name: Artifact(
                "evaluate_2d", {**judged, "network": network, **(probed if is_probed(experiment, name) else {})}
            )
            for name, network in networks.items()
        },
    )


def link_artifacts(experiment: ExperimentConfig) -> None:
    """Link what an experiment shares in ``<results>/shared``, and note the origin beside each shared folder.

    Links of names that are gone are removed; where nothing is shared, all of them.

    Raises:
        IgnetError: something that is no link stands in a link's place.
    """
    links = Path(experiment.results, LINKS)
    artifacts = find_artifacts(experiment).by_name() if experiment.shared else {}
    read = {f"{stage}/{network}" for network in guides(experiment) for stage in _PER_NETWORK}
    artifacts = {
        name: artifact for name, artifact in artifacts.items() if artifact.stage not in _PER_NETWORK or name in read
    }
    for path in list(links.rglob("*")):
        if path.is_symlink() and str(path.relative_to(links)) not in artifacts:
            path.unlink()
    for name, artifact in artifacts.items():
        folder = Path(str(experiment.shared), artifact.place)
        note = folder.with_name(f"{folder.name}.origin.json")
        if not note.exists():
            write_json(note, artifact.origin)
        _link(links / name, folder)


def _link(path: Path, folder: Path) -> None:
    """A relative link, so that the tree of results can be moved as a whole."""
    target = os.path.relpath(folder, path.parent)
    if path.is_symlink() and os.readlink(path) == target:
        return
    if path.exists() and not path.is_symlink():
        raise IgnetError(f"{path}: found a file or folder, expected room for a link to {folder}; move it away")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.symlink_to(target)


def _dataset(root: str | None) -> Artifact | None:
    """A user's dataset is what lies at its place; its files enter the rules by their fingerprint."""
    return Artifact("dataset", {"root": os.path.realpath(root)}) if root else None


def _plain(value: Any) -> Any:
    if isinstance(value, Artifact):
        return value.place
    return value.identity() if isinstance(value, Section) else value
