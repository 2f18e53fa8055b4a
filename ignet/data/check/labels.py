"""What the shares of labelled points tell: dense labels in place of scribbles, empty files, outliers.

Pure functions of counts. Scribbles at other densities than ScribbleKITTI's 8 % are fine; the bounds are this project's
choice.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

from ignet.data.check.faults import Fault, Faults
from ignet.data.formats.official import KINDS
from ignet.data.formats.origin import restore

_DENSE = 0.5  # share of the points that no scribbles reach
_DENSE_COPY = 0.2  # the same where labels/ hold exactly these labels
_MANY, _FEW = 0.3, 0.001  # scribbled share of a sequence that is strange
_SPARSE = 0.3  # labelled share of a sequence that is strange for dense labels
_OUTLIER = 3.0  # times as much or as little as the others
_OTHER_CLASSES = 0.3  # of the scribbled points


class FrameLabels(NamedTuple):
    """Counts of one frame.

    Attributes:
        frame: its name.
        points: of its scan.
        labelled: points with a class in the dense labels; None where they are not there or cannot be read.
        scribbled: the same of the scribbles.
        same: both were read, and hold the same classes on the same points.
        both: points with a class in both.
        differing: of these, points with different classes.
    """

    frame: str
    points: int
    labelled: int | None
    scribbled: int | None
    same: bool = False
    both: int = 0
    differing: int = 0


def label_faults(folder: Path, frames: Sequence[FrameLabels]) -> Faults:
    """Faults and doubts of a sequence's labels and scribbles, from their shares of the points.

    Args:
        folder: of the sequence.
        frames: all of its frames whose scan could be read; empty ones are left out.

    Returns:
        kinds ``no-class``, ``dense-scribbles``, ``label-share``, ``scribble-share`` and ``scribble-classes``.
    """
    found = Faults()
    frames = [frame for frame in frames if frame.points]
    labels = {frame.frame: frame.labelled / frame.points for frame in frames if frame.labelled is not None}
    scribbles = {frame.frame: frame.scribbled / frame.points for frame in frames if frame.scribbled is not None}
    _no_class(found, folder, "labels", labels, found.append)
    _no_class(found, folder, "scribbles", scribbles, found.doubt)
    if not _dense_scribbles(found, folder, [frame for frame in frames if frame.scribbled is not None], labels):
        _strange_scribbles(found, folder, frames, scribbles)
    _strange_labels(found, folder, frames, labels)
    return found


def sequence_doubts(root: Path, labelled: Mapping[str, float], scribbled: Mapping[str, float]) -> list[Fault]:
    """Doubts of sequences whose share of labelled or scribbled points is unlike that of the others.

    Args:
        root: folder that holds ``sequences/``.
        labelled: share of each sequence; 0 where there are no dense labels, or they were not read.
        scribbled: the same of its scribbles.
    """
    doubts = []
    for kind, every in (("labels", labelled), ("scribbles", scribbled)):
        shares = {name: share for name, share in every.items() if share}
        for name in _outliers(shares, both_ways=kind == "scribbles"):
            found = f"found {shares[name]:.1%} of the points labelled"
            expected = (
                f"about {median(share for other, share in shares.items() if other != name):.1%} as in the "
                "other sequences"
            )
            path = root / "sequences" / name / KINDS[kind].folder
            doubts.append(
                Fault(_SHARE[kind], path, found, expected, f"look whether its {KINDS[kind].noun}s are the right ones")
            )
    return doubts


_SHARE = {"labels": "label-share", "scribbles": "scribble-share"}


def _fault(
    name: str, folder: Path, kind: str, found: str, expected: str, remedy: str, frames: Iterable[str] = ()
) -> Fault:
    """A fault of a folder, or of some of its files."""
    files = tuple(f"{frame}{KINDS[kind].suffix}" for frame in frames)
    path = folder / KINDS[kind].folder
    return Fault(name, path / files[0] if files else path, found, expected, remedy, KINDS[kind].download, files)


def _no_class(
    found: Faults, folder: Path, kind: str, shares: Mapping[str, float], keep_single: Callable[[Fault], None]
) -> None:
    """Files without any point with a class; all of them are a fault of the folder."""
    empty = [frame for frame, share in shares.items() if not share]
    again = restore(folder, KINDS[kind].download)
    if empty and len(empty) == len(shares):
        found.append(_fault("no-class", folder, kind, "found no point with a class", "some in every sequence", again))
    elif empty:
        remedy = f"{again}, or leave out frames that nobody labelled"
        keep_single(
            _fault("no-class", folder, kind, "found no point with a class", "some, as in the others", remedy, empty)
        )


def _dense_scribbles(found: Faults, folder: Path, frames: Sequence[FrameLabels], labels: Mapping[str, float]) -> bool:
    """Dense labels among the scribbles, or in their place; whether there are any."""
    dense = [
        frame for frame in frames if (frame.scribbled or 0) > frame.points * (_DENSE_COPY if frame.same else _DENSE)
    ]
    if not dense:
        return False
    share = sum(frame.scribbled or 0 for frame in dense) / sum(frame.points for frame in dense)
    text = f"found {share:.0%} of the points labelled"
    remedy = f"{restore(folder, KINDS['scribbles'].download)}, or set dataset.scribbles to simulated"
    there = [labels[frame.frame] for frame in dense if frame.frame in labels]
    if all(frame.same for frame in dense):
        text += ", as in labels/"
    elif there and max(there) < share / 2:
        text, remedy = f"{text}, and {sum(there) / len(there):.0%} in labels/", "swap labels/ and scribbles/"
    names = [frame.frame for frame in dense] if 2 * len(dense) <= len(frames) else []
    found.append(_fault("dense-scribbles", folder, "scribbles", text, "scribbles (about 8 %)", remedy, names))
    return True


def _strange_scribbles(found: Faults, folder: Path, frames: Sequence[FrameLabels], shares: Mapping[str, float]) -> None:
    share = _mean(frames, "scribbled")
    if share > _MANY or 0 < share < _FEW:
        text, remedy = f"found {share:.2%} of the points labelled", "right for scribbles of your own; else look at them"
        found.doubt(_fault("scribble-share", folder, "scribbles", text, "scribbles (about 8 %)", remedy))
    _outlying_files(found, folder, "scribbles", shares)
    same = [frame.same for frame in frames if frame.labelled and frame.scribbled]
    if same and all(same):
        text, remedy = (
            "found in labels/ the same labels",
            f"right where there are no dense labels; else {restore(folder, 'the archives')}",
        )
        found.doubt(_fault("label-share", folder, "scribbles", text, "dense labels there", remedy))
    both, differing = (sum(getattr(frame, name) for frame in frames) for name in ("both", "differing"))
    if differing > _OTHER_CLASSES * both:
        text = f"found other classes than in labels/ on {differing / both:.0%} of the scribbled points"
        found.doubt(
            _fault(
                "scribble-classes",
                folder,
                "scribbles",
                text,
                "mostly the same",
                "look whether both are of this sequence",
            )
        )


def _strange_labels(found: Faults, folder: Path, frames: Sequence[FrameLabels], shares: Mapping[str, float]) -> None:
    share = _mean(frames, "labelled")
    if 0 < share < _SPARSE:
        text, remedy = (
            f"found {share:.1%} of the points labelled",
            "right for sparse labels of your own; else look whether these are scribbles",
        )
        found.doubt(_fault("label-share", folder, "labels", text, "most of them in dense labels", remedy))
    _outlying_files(found, folder, "labels", shares)


def _mean(frames: Iterable[FrameLabels], name: str) -> float:
    counted = [(getattr(frame, name), frame.points) for frame in frames if getattr(frame, name) is not None]
    return sum(count for count, _ in counted) / sum(points for _, points in counted) if counted else 0.0


def _outlying_files(found: Faults, folder: Path, kind: str, shares: Mapping[str, float]) -> None:
    labelled = {frame: share for frame, share in shares.items() if share}
    if files := _outliers(labelled, both_ways=kind == "scribbles"):
        text = f"found {labelled[files[0]]:.1%} of the points labelled"
        expected = f"about {median(labelled.values()):.1%} as in the others"
        found.doubt(
            _fault(_SHARE[kind], folder, kind, text, expected, f"look whether it is a {KINDS[kind].noun}", files)
        )


def _outliers(shares: Mapping[str, float], both_ways: bool) -> list[str]:
    """Names whose share is far below the middle one, or far above it; of fewer than three nobody can say which."""
    if len(shares) < 3:
        return []
    middle = median(shares.values())
    return [
        name for name, share in shares.items() if share < middle / _OUTLIER or (both_ways and share > middle * _OUTLIER)
    ]
