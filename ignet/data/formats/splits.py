"""Which scans of a semi-supervised training are labelled: the published lists, or a draw of that kind."""

import hashlib
import os
import zipfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ignet.data.formats.kitti import labels_path
from ignet.errors import IgnetError
from ignet.files.names import in_order

Scan = tuple[str, str]
"""Sequence and frame, for example ``("00", "000011")``."""

SEQUENCES = {
    "00": 4541,
    "01": 1101,
    "02": 4661,
    "03": 801,
    "04": 271,
    "05": 2761,
    "06": 1101,
    "07": 1101,
    "09": 1591,
    "10": 1201,
}
"""The training sequences of SemanticKITTI and ScribbleKITTI, and the number of their scans: 19,130 in all."""

LISTS = Path(__file__).with_name("labelled_scans.npz")
"""Arrays ``percent_1`` to ``percent_50``: one bit for each of the 19,130 scans in the order of ``SEQUENCES``
(``numpy.packbits``).

Source: the lists of Kong et al., "LaserMix for Semi-Supervised LiDAR Semantic Segmentation", CVPR 2023.
"""

# of each list as text, one sequence/frame a line; they stand here so that other lists are another code identity
SHA256 = {
    1: "23aa3791c741ce6ea7f9dc3745fe1b7a1ec3d2bfd34b97cd23c3732178afa9e7",
    10: "61a27d5b6743dc74c2ff714ead7c00a63e9270b7388f86b669ef731961f50df1",
    20: "0e17af58bb46907688359752a6ab73500c30a009eedd105b8dc4809da9a84575",
    50: "ec09b512cea9f10b0bf3506f0a56956ef4cb1c381e30fdf64f30a3597e00b950",
}

SEED = 0
"""Of the draw. Not a setting: the 2D network, which has seeds of its own, and every run must agree on what is
labelled."""


@dataclass(frozen=True)
class Split:
    """The labelled ones of a training's scans.

    Attributes:
        scans: the labelled scans, in order.
        total: number of all scans, unlabelled ones included.
        origin: where the choice comes from, in words.
    """

    scans: tuple[Scan, ...]
    total: int
    origin: str

    def __str__(self) -> str:
        return f"{len(self.scans)} of {self.total} scans are labelled: {self.origin}"

    def only(self, frames: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
        """Those frames of each sequence that are labelled; a sequence without any keeps an empty list."""
        labelled = frozenset(self.scans)
        return {
            sequence: [name for name in names if (sequence, name) in labelled] for sequence, names in frames.items()
        }


def labelled_scans(frames: Mapping[str, Sequence[str]], percent: int | None) -> Split | None:
    """The labelled scans of a training: the published list for the benchmark's scans, else a similar draw.

    The published lists are uniform draws without replacement from all training scans together, rounded down; so is the
    draw here. It depends on the names of the scans alone, has one scan at least, and a smaller percentage lies within
    each larger one.

    Args:
        frames: names of the frames of each training sequence, all of them.
        percent: 1, 10, 20 or 50; None: all scans are labelled.

    Returns:
        None where ``percent`` is None.

    Raises:
        IgnetError: there is no scan, or the published lists cannot be read.
    """
    if percent is None:
        return None
    scans = [(sequence, frame) for sequence in in_order(frames) for frame in in_order(frames[sequence])]
    if not scans:
        raise IgnetError(f"labelled_frames: found no scan in sequences {', '.join(frames) or 'none'}", "one at least")
    if scans == benchmark_scans():
        return Split(published_scans(percent), len(scans), f"the published list of {percent} %")
    chosen = np.random.default_rng(SEED).permutation(len(scans))[: max(1, len(scans) * percent // 100)]
    origin = (
        f"{percent} %, drawn uniformly, because these are not the {sum(SEQUENCES.values())} scans of the "
        "published lists"
    )
    return Split(tuple(scans[number] for number in sorted(chosen)), len(scans), origin)


def labelled_split(root: Path, frames: Mapping[str, Sequence[str]], kind: str) -> Split | None:
    """The scans that have a label file, ``scribbles`` or in ``labels``, of the frames of each sequence; None: all have.

    Raises:
        IgnetError: none has.
    """
    scans = [(sequence, frame) for sequence, names in frames.items() for frame in names]
    there = tuple(scan for scan in scans if os.path.lexists(labels_path(root, *scan, kind)))
    if not there:
        path = labels_path(root, *scans[0], kind)
        raise IgnetError("found no label file of any training scan", "one at least", "label some of them", path=path)
    return None if len(there) == len(scans) else Split(there, len(scans), "those with a label file")


def pools(scans: Sequence[Scan], labelled: Collection[Scan]) -> list[NDArray[np.int64]]:
    """The pools that a training draws from in turn: indices of labelled, then of unlabelled scans.

    int64 (n,) each.

    Only one array where all scans are labelled, or none is.
    """
    has_labels = np.array([scan in labelled for scan in scans])
    return [pool for pool in (np.flatnonzero(has_labels), np.flatnonzero(~has_labels)) if len(pool)]


def benchmark_scans() -> list[Scan]:
    """The 19,130 training scans of SemanticKITTI, in order."""
    return [(sequence, f"{number:06d}") for sequence, count in SEQUENCES.items() for number in range(count)]


@cache
def published_scans(percent: int) -> tuple[Scan, ...]:
    """A published list, in order.

    Args:
        percent: 1, 10, 20 or 50.

    Raises:
        IgnetError: the file of the lists is missing or not the published one.
    """
    everything = benchmark_scans()
    try:
        with np.load(LISTS, allow_pickle=False) as file:
            bits = np.unpackbits(file[f"percent_{percent}"], count=len(everything))
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise IgnetError(
            f"cannot be read ({error})", "the published lists", "install ignet again", path=LISTS
        ) from error
    scans = tuple(scan for scan, bit in zip(everything, bits, strict=True) if bit)
    if hashlib.sha256(as_text(scans).encode()).hexdigest() != SHA256[percent]:
        raise IgnetError(f"{LISTS}: found another list of {percent} % than the published one; install ignet again")
    return scans


def as_text(scans: Sequence[Scan]) -> str:
    """One ``sequence/frame`` a line, as the lists are published."""
    return "".join(f"{sequence}/{frame}\n" for sequence, frame in scans)
