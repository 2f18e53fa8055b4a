"""A plan in words and columns."""

from ignet.workflow.costs import BANDWIDTH_SHARE, UTILISATION
from ignet.workflow.plan import CPU, GPU, Plan, Range

_WORDS = {
    "measured": "measured",
    "scaled": "scaled from another size",
    "estimate": "ESTIMATE for {gpu}",
    "not measured": "not measured, counts as 0",
}
_UNITS = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


def plan_text(plan: Plan, name: str) -> str:
    """The whole plan, as ``ignet plan`` prints it."""
    frames = sum(plan.facts.frames.values())
    head = [
        f"{name}: {plan.jobs} jobs, {frames:,} scans in {len(plan.facts.frames)} sequences, "
        f"{plan.facts.source_images:,} source images",
        *(f"  {note}" for note in plan.facts.notes),
        f"  3D networks: {', '.join(plan.networks)}",
    ]
    return "\n".join([*head, "", *_stages(plan), "", *_totals(plan), "", *_disk(plan), "", *_rates(plan)])


def hours(seconds: float) -> str:
    """Such as 3 s, 12 min, 4.5 h, 1,200 h (50 days)."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    if seconds < 100 * 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 3600:,.0f} h ({seconds / 86400:,.0f} days)"


def span(seconds: Range) -> str:
    """Such as 4.5 h, or where it is estimated 10 to 40 h."""
    low, high = map(hours, seconds)
    return low if low == high else f"{low} to {high}"


def amount(size: float) -> str:
    """Bytes in decimal units."""
    for unit, name in _UNITS:
        if size >= unit:
            return f"{size / unit:.3g} {name}"
    return f"{size:.0f} B"


def _stages(plan: Plan) -> list[str]:
    rows = [("stage", "jobs", "on", "time, one after the other", "known by")]
    for stage in plan.stages:
        known = "; ".join(_WORDS[basis] for basis in stage.bases).format(gpu=plan.times[0].gpu)
        nothing = stage.bases == ("not measured",)
        rows.append(
            (
                stage.rule,
                str(stage.jobs),
                {CPU: "CPU", GPU: "GPU"}[stage.device],
                "-" if nothing else span(stage.seconds),
                known,
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return [
        f"{a:<{widths[0]}}  {b:>{widths[1]}}  {c:<{widths[2]}}  {d:>{widths[3]}}  {e}".rstrip()
        for a, b, c, d, e in rows
    ]


def _totals(plan: Plan) -> list[str]:
    estimated = plan.rules("estimate")
    machines = f"{plan.gpus} GPU{'s' * (plan.gpus != 1)} and {plan.cores} CPU core{'s' * (plan.cores != 1)}"
    lines = [f"CPU  {span(plan.times[0].on(CPU))} of one thread"]
    if estimated:
        shares = sorted({UTILISATION[rule] for rule in estimated if rule in UTILISATION})
        lines.append(
            f"GPU  ESTIMATE for {', '.join(estimated)}: multiply-adds at "
            + " and ".join(f"{low:.0%} to {high:.0%}" for low, high in shares)
            + " of the GPU's peak (sparse and dense networks), memory at "
            + f"{BANDWIDTH_SHARE[0]:.0%} to {BANDWIDTH_SHARE[1]:.0%} of its bandwidth; 'make bench-gpu' on a machine "
            + "with one measures it"
        )
    for times in plan.times:
        name = f"  {times.gpu}: " if estimated else ""
        gpu = f"GPU  {span(times.on(GPU))}" if plan.gpus else ""
        wall = (
            f"wall {span(times.wall)} on {machines}; the longest chain of jobs alone takes {span(times.longest_path)}"
        )
        lines += [f"{name}{gpu}; {wall}"] if estimated else [line for line in (gpu, wall) if line]
    if missing := plan.rules("not measured"):
        lines.append(f"Not measured, and not in the sums: {', '.join(missing)}.")
    return lines


def _disk(plan: Plan) -> list[str]:
    kept = {kind: size for kind, size in plan.disk.items() if kind != "training state"}
    state = plan.disk.get("training state", 0.0)
    rows = [
        f"disk {amount(sum(kept.values()))}, and up to {amount(state)} of training state meanwhile; tables, "
        "pictures, logs not counted"
    ]
    return rows + [f"  {kind:<14} {amount(size)}" for kind, size in kept.items()]


def _rates(plan: Plan) -> list[str]:
    found = sorted(
        {(rate.machine, rate.device, rate.date, rate.clock, rate.remark, rate.command) for rate in plan.rates}
    )
    lines = ["rates measured on"]
    for machine, device, date, clock, remark, command in found:
        lines.append(f"  {machine} ({device}), {date}, {clock} time: {command}{f' ({remark})' if remark else ''}")
    return lines
