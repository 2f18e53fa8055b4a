"""The picture of the workflow's rules, docs/images/rules.svg, from Snakemake's own rule graph.

Needs graphviz's `dot`.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PICTURE = ROOT / "docs" / "images" / "rules.svg"
# settings under which every rule is there: simulated scribbles, principal components, a run that learns from another's
# predictions, test sequences to submit, a frozen teacher
DATASET = "dataset={scribbles: simulated, test_sequences: ['09'], hidden_test_labels: true}"
EVERY_RULE = [
    DATASET,
    "features={channels: 20}",
    "results=results/every-rule",
    "teachers={lite: {kind: efficientnet_lite}}",
]

COLOURS = {"data.smk": "#7aa6d9", "training_2d.smk": "#e3a857", "training_3d.smk": "#74b88a", "results.smk": "#b3a6cf"}
"""Fill of the rules of each file; dark text on it is legible on light and dark pages."""

Edges = set[tuple[str, str]]


def workflow_edges() -> Edges:
    """Pairs of rules (maker, user) by Snakemake, without `all`."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    }
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "--configfile",
        "config/tiny.yaml",
        "--config",
        *EVERY_RULE,
        "--quiet",
        "--rulegraph",
        "dot",
        "--",
        "all",
        "submission",
    ]
    text = subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True).stdout
    names = dict(re.findall(r'(\d+)\[label = "(\w+)"', text))
    edges = {(names[a], names[b]) for a, b in re.findall(r"(\d+) -> (\d+)", text)}
    return {(a, b) for a, b in edges if b != "all"}


def drawn_edges(edges: Edges) -> Edges:
    """The edges without those that a longer way implies, so that the picture can be read."""
    kept = set(edges)
    for edge in sorted(edges):
        if _reaches(kept - {edge}, *edge):
            kept.remove(edge)
    return kept


def edges_in(svg: str) -> Edges:
    """The edges that a picture made by `dot` shows."""
    return {(a, b) for a, b in re.findall(r"<title>(\w+)&#45;&gt;(\w+)</title>", svg)}


def rule_files() -> dict[str, str]:
    """Rule -> name of the file that defines it."""
    files = sorted((ROOT / "workflow" / "rules").glob("*.smk"))
    return {
        rule: file.name
        for file in files
        for rule in re.findall(r"^rule (\w+):", file.read_text(encoding="utf-8"), re.M)
    }


def dot(edges: Edges) -> str:
    """The graph in graphviz's language."""
    nodes = [f'  {rule} [fillcolor="{COLOURS[file]}"];' for rule, file in sorted(rule_files().items())]
    # a second training learns from a first one's predictions: the way back must not turn the picture upside down
    arrows = [f"  {a} -> {b}{' [constraint=false]' if a == 'pseudo_label' else ''};" for a, b in sorted(edges)]
    style = [
        '  bgcolor="transparent"; rankdir=TB; nodesep=0.25; ranksep=0.35;',
        '  node [shape=box, style="rounded,filled", color="#00000000", fontname="sans-serif", fontsize=13, '
        'fontcolor="#16181d"];',
        '  edge [color="#8a8f98", arrowsize=0.7];',
    ]
    return "\n".join(["digraph rules {", *style, *nodes, *arrows, "}"])


def _reaches(edges: Edges, start: str, goal: str) -> bool:
    seen, front = {start}, {start}
    while front:
        front = {b for a, b in edges if a in front} - seen
        seen |= front
    return goal in seen


if __name__ == "__main__":
    if not shutil.which("dot"):
        sys.exit("error: found no dot, expected graphviz's; install it (Debian, Ubuntu: apt install graphviz)")
    graph = dot(drawn_edges(workflow_edges()))
    PICTURE.write_bytes(subprocess.run(["dot", "-Tsvg"], input=graph.encode(), check=True, capture_output=True).stdout)
