"""Verdicts on claims, and what they say together."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ignet.config.evaluation import CompareConfig, Statement
from ignet.evaluate.statistics import Estimate
from ignet.report.comparison import WHOLE, Comparison, slice_name
from ignet.report.runs import BENCHMARK, OCCURRING, signed_cell
from ignet.report.tables import Cell, Table, cell_text, make_table, spread

HOLDS, FAILS, OPEN = "holds", "does not hold", "undecided"
MANY = 2


@dataclass(frozen=True)
class Finding:
    """A claim and what the runs say of it.

    Attributes:
        statement: the claim.
        estimate: the claimed difference in percentage points, None where it does not exist. Of 2D networks both bounds
            are the value itself, since each was trained once; ``certain`` is then False.
        certain: the verdict rests on an interval.
    """

    statement: Statement
    estimate: Estimate | None
    certain: bool

    @property
    def verdict(self) -> str:
        """See :func:`verdict`; 2D networks are judged by the sign of their difference."""
        return verdict(self.estimate, least=MANY if self.certain else 1)

    @property
    def difference_text(self) -> str:
        """``+1.2 [+0.3, +2.1]``, without the interval where there is none."""
        cell = signed_cell(self.estimate)
        if cell is None:
            return "no value"
        return cell_text(cell) if self.certain else f"{cell.value:+.1f}"


def verdict(estimate: Estimate | None, least: int = MANY) -> str:
    """``holds`` where the whole interval is above 0, ``does not hold`` where it is below, else ``undecided``.

    Args:
        estimate: a difference that is claimed to be above 0; None: there is no value.
        least: seeds from which it can decide anything. The interval of one seed knows nothing of how much another would
            differ.
    """
    if estimate is None or estimate.seeds < least:
        return OPEN
    return HOLDS if estimate.low > 0 else FAILS if estimate.high < 0 else OPEN


def judge(
    statements: Sequence[Statement], runs: Comparison, networks: Mapping[str, Mapping[str, Any]]
) -> list[Finding]:
    """Verdicts on all claims.

    Args:
        statements: the claims.
        runs: the 3D runs.
        networks: what ``evaluate_2d`` wrote, by the 2D network's name.

    Raises:
        IgnetError: a claim names a slice that was not evaluated.
    """
    return [_judge(statement, runs, networks) for statement in statements]


def _judge(claim: Statement, runs: Comparison, networks: Mapping[str, Mapping[str, Any]]) -> Finding:
    if claim.networks:
        value = _network_difference(networks.get(claim.run), networks.get(claim.against))
        return Finding(
            claim, None if value is None else Estimate(value, value, value, seeds=1, frames=0), certain=False
        )
    if claim.than:
        return Finding(claim, runs.extra(claim.run, claim.against, claim.slice or WHOLE, claim.than), certain=True)
    return Finding(claim, runs.difference(claim.run, claim.against, claim.slice or WHOLE), certain=True)


def _network_difference(one: Mapping[str, Any] | None, other: Mapping[str, Any] | None) -> float | None:
    """Percentage points between two 2D networks, by the classes that they name, else by their probes' classes."""
    if not one or not other:
        return None
    for first, second in ((one, other), (one.get("probe", {}), other.get("probe", {}))):
        if "miou_occurring" in first and "miou_occurring" in second:
            return 100 * float(first["miou_occurring"] - second["miou_occurring"])
    return None


def statement_table(findings: Sequence[Finding]) -> Table:
    """One row a claim."""
    rows: list[tuple[Cell, ...]] = []
    for finding in findings:
        claim, estimate = finding.statement, finding.estimate
        seeds, scans = (estimate.seeds, estimate.frames or None) if estimate else (None, None)
        rows.append(
            (
                claim.text,
                f"{claim.run} − {claim.against}",
                _points(claim),
                signed_cell(estimate) if estimate and finding.certain else finding.difference_text,
                seeds,
                scans,
                finding.verdict,
            )
        )
    columns = ("statement", "runs", "points", "difference", "seeds", "scans", "verdict")
    notes = (
        f"difference in percentage points of the {BENCHMARK}, where the points are all; elsewhere of the {OCCURRING}",
        "[low, high]: 95 % interval of a paired bootstrap over seeds and scans; holds: all of it above 0; does not "
        "hold: all of it below 0",
        "one seed is not conclusive",
        "without interval: 2D networks, one each, judged by the sign of their difference alone",
    )
    return make_table("Statements", columns, rows, notes)


def findings_json(findings: Sequence[Finding], runs: Comparison, names: CompareConfig, words: str) -> dict[str, Any]:
    """Claims with numbers and verdicts, the relative result and the paragraph, as plain values in per cent."""
    relative = _relative(runs, names.method, names.reference)
    return {
        "statements": [finding.statement.model_dump(mode="json") | _values(finding) for finding in findings],
        "relative": asdict(relative) | {"run": names.method, "reference": names.reference} if relative else None,
        "paragraph": words,
        "bootstrap_samples": names.bootstrap_samples,
    }


def _values(finding: Finding) -> dict[str, Any]:
    estimate, interval = finding.estimate, finding.certain
    return {
        "verdict": finding.verdict,
        "difference": estimate.value if estimate else None,
        "low": estimate.low if estimate and interval else None,
        "high": estimate.high if estimate and interval else None,
        "seeds": estimate.seeds if estimate else None,
        "scans": estimate.frames if estimate and interval else None,
        "rests_on": "interval" if interval else "sign of the difference between one network each",
    }


def paragraph(findings: Sequence[Finding], runs: Comparison, names: CompareConfig) -> str:
    """The results in sentences: the method against baseline and reference, then the claims by verdict."""
    sentences = [*_headline(runs, names.method, names.baseline, names.reference)]
    groups = {kind: [finding for finding in findings if finding.verdict == kind] for kind in (HOLDS, FAILS, OPEN)}
    if findings:
        counts = ", ".join(f"{len(group)} {_verb(kind, len(group))}" for kind, group in groups.items())
        sentences.append(f"Of {len(findings)} statement{'s' * (len(findings) > 1)} {counts}.")
    leads = {
        HOLDS: "These hold",
        FAILS: "These do not hold, because the differences show the opposite",
        OPEN: "These stay undecided, because the interval includes zero, or rests on one seed, or there is no value",
    }
    sentences += [f"{leads[kind]}: {'; '.join(map(_clause, group))}." for kind, group in groups.items() if group]
    if any(not finding.certain for finding in findings):
        sentences.append("Differences of 2D networks are between one network each and carry no interval.")
    return " ".join(sentences)


def _headline(runs: Comparison, method: str, baseline: str, reference: str) -> list[str]:
    seeds = runs.seeds(
        method, baseline
    )  # the difference is over the seeds that both have, and so are the means beside it
    mean = [spread(runs.miou(run)[seed] for seed in seeds) for run in (method, baseline)] if seeds else [None, None]
    difference = runs.difference(method, baseline) if method != baseline else None
    sentences = []
    if difference and (ours := mean[0]) and (theirs := mean[1]):
        sentences.append(
            f"With {_count(difference.seeds, 'seed')} and {_count(difference.frames, 'scan')}, {method} reaches a "
            f"benchmark mIoU of {ours.mean:.1f} % and {baseline} {theirs.mean:.1f} %: a difference of "
            f"{_range(difference)} points, {_meaning(difference)}."
        )
    if relative := _relative(runs, method, reference):
        share = f"{relative.value:.1f} % (95 % interval {relative.low:.1f} to {relative.high:.1f} %)"
        sentences.append(
            f"{method} reaches {share} of the fully supervised run {reference} (the paper's abstract, on its data: "
            "up to 98 %)."
        )
    return sentences


def _relative(runs: Comparison, method: str, reference: str) -> Estimate | None:
    return runs.relative(method, reference) if method != reference else None


def _meaning(difference: Estimate) -> str:
    if difference.seeds < MANY:
        return "over these scans alone: one seed is not conclusive"
    meanings = {HOLDS: "a gain", FAILS: "a loss", OPEN: "which may be chance"}
    return meanings[verdict(difference)]


def _range(estimate: Estimate) -> str:
    return f"{estimate.value:+.1f} (95 % interval {estimate.low:+.1f} to {estimate.high:+.1f})"


def _clause(finding: Finding) -> str:
    estimate = finding.estimate
    seeds = f", {_count(estimate.seeds, 'seed')}" if estimate and finding.certain else ""
    return f"“{finding.statement.text.rstrip('.')}” ({finding.difference_text}{seeds})"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


def _verb(kind: str, number: int) -> str:
    one, several = {
        HOLDS: ("holds", "hold"),
        FAILS: ("does not hold", "do not hold"),
        OPEN: ("stays undecided", "stay undecided"),
    }[kind]
    return one if number == 1 else several


def _points(claim: Statement) -> str:
    where = "target images" if claim.networks else slice_name(claim.slice or WHOLE)
    return f"{where}, more than {slice_name(claim.than)}" if claim.than else where
