"""Measured throughputs: time of one unit of each stage, the machine, and what follows for other sizes."""

import csv
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import NamedTuple

from ignet.errors import IgnetError, reason_of
from ignet.files.atomic import atomic
from ignet.workflow.work import Work

TABLE = Path(__file__).with_name("throughput.csv")
"""The table that comes with the package; ``make bench`` and ``make bench-gpu`` bring it up to date."""

_SAME_SIZE = 0.1


class Gpu(NamedTuple):
    """What the maker's data sheet says of a GPU.

    Attributes:
        flops: FLOP/s of the tensor cores in bfloat16, without sparsity.
        bandwidth: bytes/s of the memory.
    """

    flops: float
    bandwidth: float


GPUS = {"A100": Gpu(312e12, 2.039e12), "H100": Gpu(989e12, 3.35e12), "RTX 4090": Gpu(165e12, 1.008e12)}
"""A100 SXM with 80 GB, H100 SXM, RTX 4090."""

_DENSE, _SPARSE = (0.1, 0.4), (0.05, 0.3)
UTILISATION = {
    "pretrain_2d": _DENSE,
    "adapt_2d": _DENSE,
    "evaluate_2d": _DENSE,
    "features": _DENSE,
    "train_3d": _SPARSE,
    "predict": _SPARSE,
}
"""Share of a GPU's FLOP/s that a stage is assumed to reach, at worst and at best (our choice, not measured); a sparse
convolution multiplies many small matrices."""

BANDWIDTH_SHARE, BYTES_SHARE = (0.3, 0.8), (1.0, 0.5)
"""At worst and at best: the share of the memory's bandwidth that is reached, and the share of float32's bytes that are
moved, all of them or bfloat16's (our choice, not measured)."""


@dataclass(frozen=True)
class Rate:
    """One measured throughput.

    Attributes:
        stage: what was timed: a rule, or a part of one (``count_labels``).
        device: cpu or cuda.
        engine: sparse engine that ran, '' where there is none.
        size: the size in words.
        load: as `ignet.workflow.work.Work.load`, of the size that was timed.
        unit: what one unit is: step, image, scan, job.
        seconds: one unit took.
        start: seconds that a job takes before its first unit and after its last one.
        clock: ``processor`` seconds of one thread, which other programs on the machine hardly change, or ``wall``
            clock.
        machine: model of the device.
        date: day of the measurement, ISO.
        command: that measured it.
        remark: what else one should know.
    """

    stage: str
    device: str
    engine: str
    size: str
    load: float
    unit: str
    seconds: float
    start: float
    clock: str
    machine: str
    date: str
    command: str
    remark: str = ""

    @property
    def key(self) -> tuple[str, ...]:
        """What a new measurement replaces."""
        return self.stage, self.device, self.engine, self.size, self.machine


@dataclass(frozen=True)
class Cost:
    """Time of some work.

    Attributes:
        seconds: in all, without the start of the job; None where no such stage was measured.
        start: seconds of the job's start and end.
        basis: ``measured``: this size on this kind of device; ``scaled``: another size of it; ``estimate``: by
            multiply-adds and bytes moved, because no rate of a GPU was measured; ``not measured``.
        rate: the row that it comes from, if any.
    """

    seconds: float | None
    start: float
    basis: str
    rate: Rate | None


def read_rates(path: Path = TABLE) -> list[Rate]:
    """Read a table of throughputs.

    Raises:
        IgnetError: the file is missing, or a row lacks a column or holds no positive number where one is expected.
    """
    try:
        with Path(path).open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise IgnetError(
            f"{path}: cannot be read ({reason_of(error)}), expected a table of throughputs; make one with 'make bench'"
        ) from None
    return [_rate(path, number, row) for number, row in enumerate(rows, 2)]


def write_rates(rates: Iterable[Rate], path: Path = TABLE) -> None:
    """Write a table of throughputs, sorted, atomically."""
    with atomic(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Rate)], lineterminator="\n")
        writer.writeheader()
        for rate in sorted(rates, key=lambda rate: (rate.stage, rate.device, rate.load, rate.key)):
            writer.writerow(
                {**asdict(rate), **{name: f"{getattr(rate, name):.4g}" for name in ("load", "seconds", "start")}}
            )


def merge_rates(old: Iterable[Rate], new: Iterable[Rate]) -> list[Rate]:
    """The old rows, with new ones in the place of those of the same stage, size, device and machine."""
    return list({rate.key: rate for rate in (*old, *new)}.values())


def cost(work: Work, rates: Sequence[Rate], device: str, gpu: str = "A100", best: bool = False) -> Cost:
    """Time of ``work`` on ``device``, from the measured row that is nearest in size; the newest, where several are.

    Work of networks on a GPU without such a row is estimated for a ``gpu`` of `GPUS`, at its worst or best
    `UTILISATION`; other work takes the CPU's time.
    """
    measured = [rate for rate in rates if rate.stage == work.stage]
    here = [rate for rate in measured if rate.device == device]
    if not here and device == "cuda" and work.stage in UTILISATION:
        return Cost(work.units * work.load * _seconds_by_data_sheet(work, GPUS[gpu], best), 0.0, "estimate", None)
    candidates = _of_engine(here or measured, work.engine)
    if not candidates:
        return Cost(None, 0.0, "not measured", None)
    newest_first = sorted(candidates, key=lambda rate: rate.date, reverse=True)
    rate = min(newest_first, key=lambda rate: round(abs(math.log(work.load / rate.load)), 6))
    ratio = work.load / rate.load
    basis = "measured" if abs(ratio - 1) <= _SAME_SIZE else "scaled"
    return Cost(work.units * rate.seconds * ratio, rate.start, basis, rate)


def _seconds_by_data_sheet(work: Work, gpu: Gpu, best: bool) -> float:
    """Of one multiply-add: computing and moving at the same time at best, one after the other at worst."""
    computing = 2 / (gpu.flops * UTILISATION[work.stage][best])
    moving = work.traffic * BYTES_SHARE[best] / (gpu.bandwidth * BANDWIDTH_SHARE[best])
    return max(computing, moving) if best else computing + moving


def _of_engine(rates: Sequence[Rate], engine: str) -> Sequence[Rate]:
    # a named engine without a row takes the other's
    wanted = "torch" if engine in ("", "auto") else engine
    return [rate for rate in rates if rate.engine == wanted] or rates


def _rate(path: Path, number: int, row: dict[str, str]) -> Rate:
    names = [field.name for field in fields(Rate)]
    if missing := [name for name in names if row.get(name) is None]:
        raise IgnetError(
            f"{path}: line {number} lacks {', '.join(missing)}, expected the columns {', '.join(names)}; run "
            "'make bench'"
        )
    numbers = {}
    for name in ("load", "seconds", "start"):
        try:
            numbers[name] = float(row[name])
        except ValueError:
            numbers[name] = math.nan
        if not (math.isfinite(numbers[name]) and (numbers[name] > 0 or (name == "start" and numbers[name] == 0))):
            raise IgnetError(
                f"{path}: line {number}: found {name} '{row[name]}', expected a positive number; run 'make bench'"
            )
    return Rate(**{**{name: row[name] for name in names}, **numbers})  # type: ignore[arg-type]
