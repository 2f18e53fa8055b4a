"""Where the files of a dataset come from, and so what brings back one that is missing or damaged."""

from pathlib import Path

from ignet.data.formats.official import FRAMES, SEMANTICKITTI_FRAMES


def is_archived(path: Path) -> bool:
    """Whether an archive of SemanticKITTI holds this file or folder of a dataset."""
    return _own_remedy(Path(path)) is None


def restore(path: Path, archive: str = "it", how: str = "again") -> str:
    """What brings back a file or folder of a dataset, as the remedy of an error.

    Args:
        path: what is missing or damaged.
        archive: the one that holds it, where the dataset is SemanticKITTI.
        how: to unpack that, ``again`` or ``here``.
    """
    return _own_remedy(Path(path)) or f"unpack {archive} {how}"


def _own_remedy(path: Path) -> str | None:
    """That of an imported tree (it has a `FRAMES`), or of a sequence that SemanticKITTI has not; None of others."""
    folders = [path, *path.parents]
    names = [folder.name for folder in folders]
    at = names.index("sequences") if "sequences" in names else None
    root, sequence = (path, None) if at is None else (folders[at].parent, names[at - 1] if at else None)
    if (root / FRAMES).is_file():
        return "import the recordings again"
    return None if sequence is None or sequence in SEMANTICKITTI_FRAMES else "copy it again from where it was recorded"
