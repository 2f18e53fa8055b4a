"""Folders that settings name."""

import os
import sys
from typing import Annotated

from pydantic import AfterValidator


def as_folder(text: str) -> str:
    """Path of a folder as the workflow and its jobs can have it; ``~`` in front is the home folder.

    Raises:
        ValueError: a path that Snakemake or a command line takes for something else.
    """
    path = os.path.expanduser(text)
    if fault := _fault(path):
        raise ValueError(f"expected a folder of another name: {fault}; rename it, or give a link to it")
    return path


def one_spelling(text: str) -> str:
    """``as_folder`` in one spelling: without ``//``, ``.`` and ``..``, relative below the working directory.

    Snakemake takes two spellings of a file for two files. Links are left as they are.
    """
    path, here = os.path.abspath(as_folder(text)), os.getcwd()
    # once more, for ./-x is -x without the dot
    return as_folder(os.path.relpath(path, here)) if path.startswith(f"{here.rstrip(os.sep)}/") else path


def _fault(path: str) -> str | None:
    if not path:
        return "the name is empty"
    if path[0] == "~":
        return "'~' in front means a home folder, and there is no such user"
    if path[0] == "-":
        return "what begins with '-' is an option to programs"
    if path != path.strip():
        return "Snakemake strips white space at an end"
    if any(character in path for character in "{}"):
        return "braces are Snakemake's wildcards"
    if not path.isprintable():
        return "line breaks, tabs and other unprintable characters cannot be written in a line"
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        return (
            f"the locale writes names of files in {sys.getfilesystemencoding()}, which lacks some of its letters "
            "(LC_ALL=C.UTF-8 has them)"
        )
    return None


Folder = Annotated[str, AfterValidator(as_folder)]
"""A folder's path, with the home folder for ``~``; refused where Snakemake cannot have it."""

OutputFolder = Annotated[str, AfterValidator(one_spelling)]
"""A folder that outputs go to."""


REQUIRED = "required"
"""In the place of a dataset's folder: the data lie elsewhere on every machine, and the experiment is refused until it
is said where."""


def _named(root: str) -> str:
    if root == REQUIRED:
        raise ValueError(
            "expected a folder: this experiment is for data of your own and takes none of the embedded world; name "
            "it on the command line, "
            "such as --config 'dataset={root: /path/to/dataset}', or in a file that overrides this one"
        )
    return root


DataFolder = Annotated[str, AfterValidator(_named), AfterValidator(as_folder)]
"""Folder of a dataset: as ``Folder``, where ``required`` is refused."""
