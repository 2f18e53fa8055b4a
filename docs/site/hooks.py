"""What MkDocs needs beyond Markdown: formulas as MathML, without scripts or fonts, and links out of docs/."""

import re
import xml.etree.ElementTree as etree
from pathlib import Path

from latex2mathml.converter import convert
from markdown import Markdown
from markdown.extensions import Extension
from markdown.inlinepatterns import InlineProcessor
from markdown.preprocessors import Preprocessor
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
SEARCH_SCRIPT = ("https://unpkg.com/iframe-worker/shim", "site/iframe-worker.js")
OUTSIDE = re.compile(r"\]\(\.\./([\w./-]+)\)")


def mathml(latex: str, display: str) -> str:
    """One formula as MathML; `display` is block or inline."""
    return convert(" ".join(latex.split()), display=display)


class _Blocks(Preprocessor):
    """Fences called `math`, as code hosts render them."""

    def run(self, lines: list[str]) -> list[str]:
        def stash(match: re.Match[str]) -> str:
            formula = mathml(match[1], "block")
            return "\n" + self.md.htmlStash.store(f"<div class=formula>{formula}</div>") + "\n"

        return re.sub(r"^```math\n(.*?)\n```$", stash, "\n".join(lines), flags=re.M | re.S).split("\n")


class _Inline(InlineProcessor):
    """A formula in a line, as code hosts render it: a dollar sign, a backtick, the formula, and both again."""

    def handleMatch(self, m: re.Match[str], data: str) -> tuple[etree.Element | str, int, int]:  # type: ignore[override]
        """The formula as stashed HTML."""
        return self.md.htmlStash.store(mathml(m[1], "inline")), m.start(0), m.end(0)


class Formulas(Extension):
    """Formulas as MathML."""

    def extendMarkdown(self, md: Markdown) -> None:
        """Register both processors."""
        md.preprocessors.register(
            _Blocks(md), "formulas", 27
        )  # after 30, which cleans the text, and before fences, at 25
        md.inlinePatterns.register(_Inline(r"\$`(.+?)`\$", md), "formula", 200)  # before code, which is at 190


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add the formulas to the Markdown that the pages are written in."""
    config.markdown_extensions.append(Formulas())  # type: ignore[arg-type]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """A file of the project that a page links to becomes a part of the site, as text that a browser shows."""
    pages = [Path(file.abs_src_path) for file in files.documentation_pages() if file.abs_src_path]
    for name in sorted({name for page in pages for name in OUTSIDE.findall(page.read_text(encoding="utf-8"))}):
        if not (ROOT / name).is_file():
            raise PluginError(f"found a link to {name}, expected a file of the project")
        files.append(File.generated(config, _copy_of(name), abs_src_path=str(ROOT / name)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """On the code host links out of docs/ lead to the files themselves, in the site to their copies."""
    return OUTSIDE.sub(lambda match: f"]({_copy_of(match[1])})", markdown)


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """The script by which pages that lie on a disk can search comes along instead of from another place."""
    return output.replace(*SEARCH_SCRIPT)


def on_post_template(output: str, template_name: str, config: MkDocsConfig) -> str:
    """As in pages."""
    return output.replace(*SEARCH_SCRIPT)


def _copy_of(name: str) -> str:
    return f"project/{name}.txt"
