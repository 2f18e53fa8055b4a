"""The command line of Snakemake for the tests that run the workflow."""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def snakemake_command(folder: Path, *arguments: object, project: Path = ROOT) -> list[str]:
    """Snakemake on the workflow of ``project``, with ``folder`` as its working directory."""
    words = (sys.executable, "-m", "snakemake", "--snakefile", project / "Snakefile", "--directory", folder, *arguments)
    return [str(word) for word in words]
