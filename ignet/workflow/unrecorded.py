"""Outputs without a record of how they were made, which the workflow therefore does not trust."""

from collections.abc import Sequence

from ignet.errors import IgnetError

FOLDER = "records"
"""Folder in the results, and in the shared ones, with the record of each output."""

REMEDY = (
    f"put the folder '{FOLDER}' of these results back, or make it again (--forcerun RULE, or remove it), or take it "
    "as made with the "
    "settings, code and data of now (--touch)"
)
"""What to do about an output without a record."""

_refuse = True


def only_plan() -> None:
    """Let this process plan also where records are missing: for those who list what is missing."""
    global _refuse
    _refuse = False


def refuse_without_record(outputs: Sequence[str]) -> None:
    """Say that changes cannot be noticed, where they cannot.

    Raises:
        IgnetError: there are such outputs.
    """
    if not outputs or not _refuse:
        return
    raise IgnetError(
        f"{some(outputs)}: found no record of how it was made, and without one no change of settings, code or data "
        f"is noticed; {REMEDY}"
    )


def some(outputs: Sequence[str]) -> str:
    """The first of some outputs, and how many more there are."""
    return f"{outputs[0]} and {len(outputs) - 1} more" if len(outputs) > 1 else outputs[0]
