"""What has to be there of each sequence of a dataset."""

import os
from collections.abc import Iterable
from pathlib import Path

from ignet.config.dataset import DatasetConfig
from ignet.config.experiment import ExperimentConfig
from ignet.data.check.tree import alike
from ignet.data.formats import kitti
from ignet.data.formats.official import CAMERA, KINDS, TEST_SEQUENCES, TRAIN_SEQUENCES, VAL_SEQUENCES
from ignet.files.names import in_order, is_name

Wanted = dict[str, frozenset[str]]
"""What must be there of each sequence: keys of `ignet.data.formats.official.KINDS`."""


def wanted_files(experiment: ExperimentConfig) -> Wanted:
    """What an experiment reads of each of its sequences."""
    data = experiment.dataset
    supervisions: set[str] = {experiment.run(name).supervision for name in experiment.runs}
    supervisions |= {experiment.adaptation(name).supervision for name in experiment.adaptations}
    train = {"scans", "images", "scribbles" if data.scribbles == "dataset" else "labels"}
    train |= {"labels"} if "dense" in supervisions else set()
    val = {"scans", "images", data.evaluate_on}
    return {sequence: frozenset(train if sequence in data.train_sequences else val) for sequence in data.sequences}


def may_lack(data: DatasetConfig) -> frozenset[str]:
    """Kinds of files that scans may be without, of ``images`` and ``labels`` (scribbles included)."""
    allowed = {"images": data.missing_images, "labels": data.missing_labels}
    return frozenset(kind for kind, answer in allowed.items() if answer == "allow")


def wanted_at(root: Path, part: bool, cameras: Iterable[int] = (CAMERA,)) -> Wanted:
    """What a SemanticKITTI tree must hold.

    The training and the validation sequences with images and labels, and scribbles where any sequence has them; test
    sequences that are there, with their scans.

    Args:
        root: folder that holds ``sequences/``.
        part: only what is there must be whole: any sequences, and labels, images and scribbles where there is a folder
            of them.
        cameras: whose images are meant.
    """
    present = [entry for entry in in_order(entries(root / "sequences")) if is_sequence(root / "sequences" / entry)]
    scribbled = any((root / "sequences" / sequence / "scribbles").is_dir() for sequence in present)
    if part:
        return {sequence: present_kinds(kitti.sequence_path(root, sequence), cameras) for sequence in present}
    labelled = {"scans", "images", "labels"}
    wanted = {sequence: labelled | ({"scribbles"} if scribbled else set()) for sequence in TRAIN_SEQUENCES}
    wanted |= dict.fromkeys(VAL_SEQUENCES, labelled)
    wanted |= {sequence: {"scans"} for sequence in TEST_SEQUENCES if sequence in present}
    return {sequence: frozenset(wanted[sequence]) for sequence in in_order(wanted)}


def is_sequence(folder: Path) -> bool:
    """Whether a folder is meant as a sequence: by its name as in SemanticKITTI, or by what lies in it."""
    if folder.name.isdecimal():
        return True
    return is_name(folder.name) and any(
        (folder / kind.folder).is_dir() or alike(folder, kind.folder) for kind in KINDS.values()
    )


def present_kinds(folder: Path, cameras: Iterable[int] = (CAMERA,)) -> frozenset[str]:
    """The scans, and what else there is a folder of in a sequence's folder."""
    present = {kind for kind in KINDS if kind != "images" and (folder / KINDS[kind].folder).is_dir()}
    images = {"images"} if any((folder / f"image_{camera}").is_dir() for camera in cameras) else set()
    return frozenset({"scans", *present, *images})


def entries(folder: Path) -> list[str]:
    """Names of what lies in a folder; none where it cannot be read."""
    try:
        return os.listdir(folder)
    except OSError:
        return []
