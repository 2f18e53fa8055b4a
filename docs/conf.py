"""The documentation as a site: Sphinx and MyST read the pages as GitHub shows them; the result opens from disk."""

import re
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx

GUIDE = {
    "Guide": [
        "install",
        "your-own-sensor",
        "teachers",
        "nuscenes",
        "check",
        "predict",
        "planning",
        "report",
        "benchmark",
        "reproducing",
        "semi-supervision",
        "slurm",
        "several-gpus",
        "sharing",
        "interruptions",
        "extending",
        "troubleshooting",
    ],
    "Reference": ["method", "configuration", "command-line", "data-formats", "workflow"],
}
LAB_NOTES = {
    "Lab notes": [
        "ablation",
        "recipe-2d",
        "recipe-3d",
        "published",
        "measurements",
        "testing",
        "earlier-measurements",
    ]
}
NAVIGATION = {**GUIDE, **LAB_NOTES}

project = "ignet"
copyright = "the authors of ignet, Apache License 2.0"
html_title = "ignet"
extensions = ["myst_parser"]
myst_heading_anchors = 4
myst_fence_as_directive = ["math"]
html_theme = "furo"
html_static_path = ["site/site.css"]
html_css_files = ["site.css"]
html_math_renderer = "mathml"
html_copy_source = False
html_show_sphinx = False


def prepare(app: Sphinx, page: str, source: list[str]) -> None:
    """Inline formulas in MyST's spelling, titles for links named after a file, navigation below the first page."""
    source[0] = re.sub(r"\$`(.+?)`\$", r"{math}`\1`", source[0])
    source[0] = re.sub(r"\[[\w-]+\.md\]\((?!\.\.)", "[](", source[0])
    if page == "index":
        for caption, pages in NAVIGATION.items():
            source[0] += "\n".join(["\n```{toctree}", ":hidden:", f":caption: {caption}", "", *pages, "```"])


def formula(self: Any, node: nodes.Element) -> None:
    """Write a formula as MathML, which needs neither scripts nor fonts."""
    block = isinstance(node, nodes.math_block)
    html = convert(" ".join(node.astext().split()), display="block" if block else "inline")
    self.body.append(f"<div class=formula>{html}</div>" if block else html)
    raise nodes.SkipNode


def setup(app: Sphinx) -> None:
    """Sphinx calls this when it reads the configuration."""
    app.add_html_math_renderer("mathml", inline_renderers=(formula, None), block_renderers=(formula, None))
    app.connect("source-read", prepare)
