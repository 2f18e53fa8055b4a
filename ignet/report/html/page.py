"""The page itself: sections, data and scripts in one file."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
from plotly.offline import get_plotlyjs

from ignet.data.label_sets.label_set import CITYSCAPES, LabelSet
from ignet.files.atomic import write_text
from ignet.report.html.assets import asset
from ignet.report.html.sections import Section

SCRIPTS = tuple(
    f"{name}.js"
    for name in (
        "core",
        "tables",
        "charts",
        "frames",
        "colors",
        "panels",
        "webgl",
        "raster",
        "points",
        "viewer",
        "ply",
        "start",
    )
)
"""Of the page, in the order in which they run."""


def write_page(
    path: Path,
    title: str,
    subtitle: str,
    sections: Sequence[Section],
    frames: Iterable[Mapping[str, Any]],
    extra: Mapping[str, Any],
    label_set: LabelSet,
) -> None:
    """Write the report, atomically.

    Args:
        path: the HTML file.
        title: its heading.
        subtitle: a line below it.
        sections: in their order.
        frames: scans as ``ignet.report.html.frames.frame_json`` gives them; each is taken when it is written.
        extra: what else the scripts read, by name.
        label_set: names and colours of the points' classes.
    """
    classes = {
        "lidar": _palette(label_set),
        "street": _palette(CITYSCAPES),
    }
    charts = {f"{section.id}/{name}": figure for section in sections for name, figure in section.charts.items()}
    page = (
        _environment()
        .get_template("page.html.j2")
        .render(
            title=title,
            subtitle=subtitle,
            sections=sections,
            style=asset("page.css"),
            plotly=get_plotlyjs(),
            scripts=[asset(name) for name in SCRIPTS],
            data={
                "classes": in_script(classes),
                "charts": in_script(charts),
                **{name: in_script(value) for name, value in extra.items()},
            },
            frames=[in_script(frame) for frame in frames],
        )
    )
    write_text(path, page)


def in_script(value: Any) -> str:
    """JSON that can stand in a ``script`` element: nothing in it ends the element or opens a comment."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def anchor(text: str) -> str:
    """A name for an element: letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(asset),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["anchor"] = anchor
    return environment


def _palette(label_set: LabelSet) -> list[dict[str, Any]]:
    colors = label_set.colors.tolist()
    return [{"name": name, "color": color} for name, color in zip(label_set.classes, colors, strict=True)]
