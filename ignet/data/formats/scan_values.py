"""What the values of a scan must look like: asked wherever a scan is read, with one answer.

A check takes the values as they stand in the file, float32 (N, 4), and the number that stands for a remission of 1
there; it raises what it finds as one line without the name of the file. Together they take about a millisecond a scan
of 125,000 points.
"""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from ignet.errors import IgnetError

FARTHEST = 1000.0
"""Metres that no LiDAR of a car reaches: larger coordinates are in another unit, or of a map."""

NEAREST = 1.0
"""Metres: a scan that holds nothing farther away is in another unit."""

FAINTEST = 0.01
"""A scan whose remissions all stay below is probably divided twice, or has none."""

_FULL = (255, 65535)  # what stands for 1 where remissions are whole numbers of 8 or 16 bits
_FEW = 0.01  # share of points without a return that needs no word
_HEADER = 8  # points; by chance their bytes are all those of a text once in 1e40 scans

Values = NDArray[np.float32]
Check = Callable[[Values, float], None]


def returns(points: Values) -> NDArray[np.bool_] | None:
    """Points that a pulse came back from: bool (N,); None where all of them are.

    A sensor that keeps its grid writes the others as NaN, or as exactly 0 0 0.

    Args:
        points: float32 (N, >= 3), x, y, z first.
    """
    lost = points[:, 0] == 0
    if lost.any():
        lost &= (points[:, 1] == 0) & (points[:, 2] == 0)
    if np.isnan(points.min()):
        lost |= np.isnan(points).any(axis=1)
    return ~lost if lost.any() else None


def position_faults(points: Values) -> Iterator[tuple[str, IgnetError]]:
    """What is wrong with the coordinates of a scan, as kind and error.

    Args:
        points: float32 (N, >= 3) with N > 0: x, y, z, which may be followed by other columns.
    """
    yield from _failed(_POSITION, points, 1.0)


def scan_faults(points: Values, remission_scale: float = 1.0) -> Iterator[tuple[str, IgnetError]]:
    """What is wrong with a scan, as kind and error.

    Args:
        points: float32 (N, 4) with N > 0, as they stand in the file.
        remission_scale: the number that stands for a remission of 1.
    """
    yield from _failed(_POSITION | _REMISSION, points, remission_scale)


def scan_doubts(points: Values, remission_scale: float = 1.0) -> Iterator[tuple[str, IgnetError]]:
    """What is strange about a scan that has no fault, as kind and error; arguments as of `scan_faults`."""
    yield from _failed(_DOUBTS, points, remission_scale)


def check_live_scan(points: Values, remission_scale: float = 1.0) -> NDArray[np.bool_]:
    """Which points of a scan as a sensor gives it have a return: bool (N,); arguments as of `scan_faults`.

    Raises:
        IgnetError: there is no such point, or they have values that no scan can have.
    """
    there = returns(points)
    there = np.ones(len(points), bool) if there is None else there
    for _, fault in scan_faults(points[there] if there.any() else points, remission_scale):
        raise fault
    return there


def _failed(checks: dict[str, Check], points: Values, scale: float) -> Iterator[tuple[str, IgnetError]]:
    for kind, check in checks.items():
        try:
            check(points, scale)
        except IgnetError as error:
            yield kind, error
            if kind in _HOPELESS:
                return


def _no_text(points: Values, scale: float) -> None:
    data = np.frombuffer(np.ascontiguousarray(points[:_HEADER, :3]).tobytes(), np.uint8)
    if (((data >= 32) & (data < 127)) | ((data >= 9) & (data <= 13))).all():
        raise IgnetError("found text", "float32 values", "convert it: 4 float32 a point, x, y, z, remission")


def _four_values(points: Values, scale: float) -> None:
    """More values a point, read as four, give remissions below 0: every other column ends up in the fourth one."""
    if points.shape[1] == 4 and points[:, 3].min() < 0:
        for width in (5, 6):
            if points.size % width == 0 and points.reshape(-1, width)[:, 3:].min() >= 0:
                raise IgnetError(
                    f"found values as of {points.size // width} points with {width} values each",
                    "4 (x, y, z, remission)",
                    "convert it: leave the others out",
                )


def _some_return(points: Values, scale: float) -> None:
    there = returns(points)
    if there is not None and not there.any():
        raise IgnetError(
            "found no point with a return (all are 0 0 0 or NaN)",
            "some",
            "the disk was full or the sensor covered: restore it, or remove the frame",
        )


def _finite(points: Values, scale: float) -> None:
    # only a scan that is not finite is looked at point by point
    if not (np.isfinite(points.min()) and np.isfinite(points.max())):
        broken = int((~np.isfinite(points)).any(axis=1).sum())
        raise IgnetError(
            f"found {broken} points that are not finite",
            "none",
            "restore it, or leave them and their labels out as ignet import does",
        )


def _metres(points: Values, scale: float) -> None:
    low, high = _span(points[:, :3])
    far = max(-low, high)
    if far > FARTHEST:
        raise IgnetError(
            f"found a coordinate of {far:g}", f"metres from the sensor, {FARTHEST:g} at most", "convert it"
        )
    if far < NEAREST:
        raise IgnetError(
            f"found no coordinate beyond {far:g}", f"metres from the sensor, some beyond {NEAREST:g}", "convert it"
        )


def _remission(points: Values, scale: float) -> None:
    low, high = _span(points[:, 3:4])
    if low >= 0 and high <= scale:
        return
    if low < 0 or high > _FULL[-1]:
        raise IgnetError(
            f"found remission {low:g} to {high:g}",
            f"0 to {scale:g}",
            "the fourth value of a point is no remission: convert it",
        )
    possible = [full for full in _FULL if full >= high]
    raise IgnetError(
        f"found remission {low:g} to {high:g}",
        f"0 to {scale:g}",
        "set dataset.remission_scale (ignet predict: --remission-scale) to what stands for 1, such as "
        + " or ".join(map(str, possible)),
    )


def _span(points: Values) -> tuple[float, float]:
    """Least and greatest value, NaN where one is NaN.

    By columns, as numpy is ten times slower on a part of the columns together.
    """
    return float(np.min([column.min() for column in points.T])), float(np.max([column.max() for column in points.T]))


def _visible_remission(points: Values, scale: float) -> None:
    if (high := float(points[:, 3].max())) < FAINTEST * scale:
        raise IgnetError(
            f"found no remission above {high:g}",
            f"up to {scale:g}",
            "look whether it is divided twice (dataset.remission_scale), or lost",
        )


def _most_returned(points: Values, scale: float) -> None:
    there = returns(points)
    if there is not None and (share := float((~there).mean())) > _FEW:
        raise IgnetError(
            f"found {share:.0%} of the points without a return", "few", "leave them out as ignet import does"
        )


_POSITION: dict[str, Check] = {
    "text": _no_text,
    "values": _four_values,
    "no-return": _some_return,
    "not-finite": _finite,
    "units": _metres,
}
_REMISSION: dict[str, Check] = {"remission": _remission}
_DOUBTS: dict[str, Check] = {"faint": _visible_remission, "few-returns": _most_returned}
_HOPELESS = frozenset({"text", "values", "no-return", "not-finite"})
"""After these there is nothing more to say about a scan."""

SCAN_KINDS = frozenset({*_POSITION, *_REMISSION, *_DOUBTS})
"""Kinds of all these faults and doubts."""
