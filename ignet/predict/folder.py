"""Predictions of many scans as files: what is done stays, and a scan that cannot be read stops no other."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ignet.data.formats.scan_values import check_live_scan, scan_doubts
from ignet.errors import IgnetError
from ignet.files.atomic import read_json, write_json
from ignet.log import log, progress
from ignet.predict.point_files import read_points, write_prediction
from ignet.predict.scans import Pairs
from ignet.predict.segmenter import Segmenter

RECORD = "predict.json"
"""In a folder of predictions: what they were made with."""

READ_AHEAD = 4  # scans in memory that wait for the network

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Reading:
    """How scans are read.

    Attributes:
        remission_scale: what stands for a remission of 1.
        remission_field: the field of remissions, where files name their fields; None: one of the usual names.
    """

    remission_scale: float = 1.0
    remission_field: str | None = None


@dataclass
class Summary:
    """What became of the scans.

    Attributes:
        scans: number of those that were predicted.
        points: their points, ``without_return`` those without a return.
        counts: points of each class, int64 (K,).
        confidence: sum over the points with a return.
        seconds: of each scan, from the points in memory to the labels in memory.
        elapsed: seconds of everything, reading and writing included.
        faults: of the scans that were not predicted; their ``path`` is the scan's.
    """

    counts: NDArray[np.int64]
    scans: int = 0
    points: int = 0
    without_return: int = 0
    confidence: float = 0.0
    seconds: list[float] = field(default_factory=list)
    elapsed: float = 0.0
    faults: list[IgnetError] = field(default_factory=list)


def unfinished(pairs: Pairs, out: Path, settings: dict[str, Any], overwrite: bool) -> Pairs:
    """The scans that have no prediction yet, or changed after it; `RECORD` keeps what they are made with.

    Args:
        pairs: of `ignet.predict.scans.find_scans`.
        out: folder of the predictions.
        settings: what they are made with: plain values.
        overwrite: predict all again.

    Raises:
        IgnetError: the folder has predictions that were made with something else, and they are not to be overwritten.
    """
    record = out / RECORD
    found = read_json(record) if record.is_file() else None
    if found != settings:
        if found is not None and not overwrite:
            changed = ", ".join(
                key for key in settings if not isinstance(found, dict) or found.get(key) != settings[key]
            )
            raise IgnetError(
                f"found predictions made with other {changed}",
                "the same",
                "choose another --out, or give --overwrite",
                path=out,
            )
        write_json(record, settings)
    if overwrite:
        return pairs
    since = record.stat().st_mtime_ns  # a prediction that is older is of other settings

    def is_done(scan: Path, target: Path) -> bool:
        return target.is_file() and (
            not scan.is_file() or target.stat().st_mtime_ns >= max(since, scan.stat().st_mtime_ns)
        )

    return [(scan, target) for scan, target in pairs if not is_done(scan, target)]


def predict_files(network: Segmenter, pairs: Pairs, reading: Reading) -> Summary:
    """Predict scans and write the predictions, each as soon as it is there; scans are read ahead of the network.

    A scan that cannot be read, or has values that no scan can have, is logged and kept in the summary's faults.

    Raises:
        IgnetError: a prediction cannot be written, or the network gives no probabilities.
    """
    summary = Summary(np.zeros(len(network.classes), np.int64))
    start = time.monotonic()

    def read(pair: tuple[Path, Path]) -> tuple[NDArray[np.float32], NDArray[np.bool_]] | IgnetError:
        try:
            points = read_points(pair[0], reading.remission_field)
            return points, check_live_scan(points, reading.remission_scale)
        except IgnetError as error:
            return error if error.path else error.at(pair[0])

    with ThreadPoolExecutor(2) as pool:
        for (scan, target), found in progress(_ahead(pool, read, pairs), "scan", len(pairs)):
            if isinstance(found, IgnetError):
                summary.faults.append(found)
                log.error("%s", found)
                continue
            points, there = found
            began = time.monotonic()
            prediction = network.segment(points, there, reading.remission_scale)
            summary.seconds.append(time.monotonic() - began)
            for _, doubt in scan_doubts(points[there], reading.remission_scale):
                log.warning("doubt: %s", doubt.at(scan))
            write_prediction(target, points, prediction, network.label_set)
            summary.scans += 1
            summary.points += len(points)
            summary.without_return += int((~there).sum())
            summary.confidence += float(prediction.confidence.sum(dtype=np.float64))
            summary.counts += np.bincount(prediction.labels[there], minlength=len(summary.counts))
    summary.elapsed = time.monotonic() - start
    return summary


def _ahead(pool: ThreadPoolExecutor, function: Callable[[T], R], items: Iterable[T]) -> Iterator[tuple[T, R]]:
    """Each item with its result, in order, computed in the pool up to `READ_AHEAD` items ahead."""
    waiting: deque[tuple[T, Any]] = deque()
    for item in items:
        waiting.append((item, pool.submit(function, item)))
        if len(waiting) > READ_AHEAD:
            first, result = waiting.popleft()
            yield first, result.result()
    for first, result in waiting:
        yield first, result.result()
