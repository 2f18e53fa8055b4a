"""What is said at the end of a workflow."""

from collections.abc import Iterable
from pathlib import Path


def outcome(results: Path, outputs: Iterable[str]) -> str:
    """The summary, the doubts about the data and the places of what a workflow was asked for.

    Nothing is said of what is not there, or only lies there from earlier.

    Args:
        results: folder of the results.
        outputs: outputs of all jobs that the target needs, whether they ran now or were up to date.
    """
    asked = {Path(output) for output in outputs}
    summary, report = results / "compare" / "summary.txt", results / "report" / "index.html"
    doubts, curves = results / "dataset" / "doubts.txt", results / "tensorboard"
    trained = any(path.name == "curves.csv" for path in asked)
    places = {
        "report, opens in a browser": report if report in asked and report.exists() else None,
        "tables": summary.parent if summary in asked and summary.exists() else None,
        "TensorBoard": curves if trained and curves.exists() else None,
    }
    text = summary.read_text(encoding="utf-8") + "\n" if places["tables"] else ""
    if doubts in asked and doubts.exists():
        text += "".join(f"doubt: {line}\n" for line in doubts.read_text(encoding="utf-8").splitlines())
    line = "   ".join(f"{name}: {path}" for name, path in places.items() if path)
    return text + (f"{line[0].upper()}{line[1:]}\n" if line else "")
