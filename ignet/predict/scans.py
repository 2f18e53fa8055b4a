"""Which scans a command line means, and where the prediction of each goes."""

import glob
from collections.abc import Iterator, Sequence
from pathlib import Path

from ignet.data.formats.kitti import frame_ids
from ignet.errors import IgnetError
from ignet.files.names import natural
from ignet.predict.point_files import READERS

Pairs = list[tuple[Path, Path]]
"""Scans, each with the file of its prediction."""


def find_scans(inputs: Sequence[str], out: Path, suffix: str) -> Pairs:
    """Scans with the files of their predictions, in natural order for each input.

    Args:
        inputs: each a file, a pattern (``**`` goes through folders), a folder, a dataset's folder of a sequence (holds
            ``velodyne``), or a dataset (holds ``sequences``).
        out: folder of the predictions. They keep the scans' names below the input; those of a sequence go to
            ``sequences/NN/predictions``, as the benchmark wants them.
        suffix: of the predictions, such as ``.label``.

    Raises:
        IgnetError: an input is not there or holds no scan, two scans would have one prediction, or a scan would be
            overwritten.
    """
    pairs: dict[Path, Path] = {}
    for text in inputs:
        found = [(scan, (out / name).with_suffix(suffix)) for scan, name in _scans_of(text, out.resolve())]
        if not found:
            raise IgnetError("found no scan", f"files {', '.join(READERS)}", "name another file or folder", path=text)
        for scan, target in sorted(found, key=lambda pair: natural(str(pair[1]))):
            if (other := pairs.setdefault(target, scan)) != scan:
                raise IgnetError(
                    f"found two scans of this name, {other} and {scan}",
                    "one for each prediction",
                    "name the folder that holds both, which keeps their folders",
                    path=target,
                )
            if target.resolve() == scan.resolve():
                raise IgnetError("is a scan", "another name for its prediction", "choose another --out", path=target)
    return [(scan, target) for target, scan in pairs.items()]


def _scans_of(text: str, out: Path) -> Iterator[tuple[Path, Path]]:
    """Scans of one input, each with the name of its prediction below the folder of all predictions."""
    path = Path(text)
    if (path / "sequences").is_dir():
        for folder in path.glob("sequences/*/velodyne"):
            yield from _frames(path, folder.parent)
    elif (path / "velodyne").is_dir() and path.absolute().parent.name == "sequences":
        yield from _frames(path.absolute().parents[1], path)
    elif path.is_dir():
        files = (file for file in path.rglob("*") if not file.resolve().is_relative_to(out) or out == path.resolve())
        yield from ((file, file.relative_to(path)) for file in files if file.suffix in READERS and file.is_file())
    elif path.exists() or not glob.has_magic(text):
        if path.suffix not in READERS:
            raise IgnetError("is no scan by its name", f"one of {', '.join(READERS)}", "name a scan", path=text)
        yield path, Path(path.name)
    else:
        parts = path.parts
        root = Path(*parts[: next(number for number, part in enumerate(parts) if glob.has_magic(part))])
        for name in glob.iglob(text, recursive=True):
            if Path(name).suffix in READERS:
                yield Path(name), Path(name).relative_to(root)


def _frames(root: Path, folder: Path) -> Iterator[tuple[Path, Path]]:
    for frame in frame_ids(root, folder.name):
        name = f"{frame}.bin"
        yield folder / "velodyne" / name, Path("sequences", folder.name, "predictions", name)
