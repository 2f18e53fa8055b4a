"""The page of ``ignet view``: the report's styles and theme, and a script that asks for the state again and again."""

from importlib.resources import files

import jinja2

from ignet.report.html.assets import asset


def page(name: str) -> str:
    """The page as HTML, for the results of that name."""
    own = files("ignet.view").joinpath("assets")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    template = environment.from_string(own.joinpath("view.html.j2").read_text(encoding="utf-8"))
    scripts = [asset("core.js"), asset("charts.js"), own.joinpath("view.js").read_text(encoding="utf-8")]
    return template.render(title=f"ignet: {name}", style=asset("page.css"), scripts=scripts)
