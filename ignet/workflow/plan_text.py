"""A plan in words and columns."""

from ignet.workflow.plan import CPU, GPU, Plan

_WORDS = {
    "measured": "measured",
    "scaled": "scaled from another size",
    "other device": "RATE OF ONE CPU THREAD, no GPU measured",
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


def amount(size: float) -> str:
    """Bytes in decimal units."""
    for unit, name in _UNITS:
        if size >= unit:
            return f"{size / unit:.3g} {name}"
    return f"{size:.0f} B"


def _stages(plan: Plan) -> list[str]:
    rows = [("stage", "jobs", "on", "time, one after the other", "known by")]
    for stage in plan.stages:
        known = "; ".join(_WORDS[basis] for basis in stage.bases)
        nothing = stage.bases == ("not measured",)
        rows.append(
            (
                stage.rule,
                str(stage.jobs),
                {CPU: "CPU", GPU: "GPU"}[stage.device],
                "-" if nothing else hours(stage.seconds),
                known,
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return [
        f"{a:<{widths[0]}}  {b:>{widths[1]}}  {c:<{widths[2]}}  {d:>{widths[3]}}  {e}".rstrip()
        for a, b, c, d, e in rows
    ]


def _totals(plan: Plan) -> list[str]:
    borrowed = plan.rules("other device")
    lines = [f"CPU  {hours(plan.seconds(CPU))} of one thread"]
    if plan.gpus:
        lines.append(f"GPU  {'not measured; one CPU thread would take ' if borrowed else ''}{hours(plan.seconds(GPU))}")
    machines = f"{plan.gpus} GPU{'s' * (plan.gpus != 1)} and {plan.cores} CPU core{'s' * (plan.cores != 1)}"
    slow = ", if a GPU were as slow as one CPU thread" if borrowed else ""
    lines.append(
        f"wall {hours(plan.wall)} on {machines}{slow}; the longest chain of jobs alone takes {hours(plan.longest_path)}"
    )
    if borrowed:
        lines.append(
            f"No GPU's rate is in the table for {', '.join(borrowed)}: 'make bench-gpu' on a machine with one "
            "measures it."
        )
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
