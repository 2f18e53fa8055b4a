"""The command line of Snakemake for the tests that run the workflow, and its rules for those that read them."""

import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RULES = ROOT / "workflow" / "rules"


def snakemake_command(folder: Path, *arguments: object, project: Path = ROOT) -> list[str]:
    """Snakemake on the workflow of ``project``, with ``folder`` as its working directory."""
    words = (sys.executable, "-m", "snakemake", "--snakefile", project / "Snakefile", "--directory", folder, *arguments)
    return [str(word) for word in words]


def rule_texts() -> dict[str, str]:
    """The text of each rule, by its name; a rule that another one is made from alone."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in sorted(RULES.glob("*.smk")))
    return dict(re.findall(r"^rule (\w+):\n(.*?)(?=^\S|\Z)", text, re.M | re.S))


def rule_commands() -> dict[str, str]:
    """The shell command of each rule, whose fields Snakemake fills in."""
    scope: dict[str, Any] = {}
    common = (RULES / "common.smk").read_text(encoding="utf-8")
    exec(common[common.index("\nLABELS = ") :], scope)
    return {name: eval(text.partition("    shell:")[2].strip(), scope) for name, text in rule_texts().items()}
