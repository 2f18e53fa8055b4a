"""Where the tests let a training write its results."""

from pathlib import Path


def training_files(out: Path) -> tuple[str | Path, ...]:
    """Arguments of every training's script: weights, metrics and curves in the folder ``out``."""
    return ("--out", out / "model.safetensors", "--metrics", out / "metrics.json", "--curves-csv", out / "curves.csv")
