"""What the hashes in a stage's identity were made of, kept beside the results, to say what changed."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ignet.errors import IgnetError
from ignet.files.atomic import read_json, write_json
from ignet.stage.fingerprint import place, read_files, sequence_fingerprint
from ignet.stage.identity import code_hash, code_parts

IDENTITY = "identity"
"""Folder in the results; its files are named by the hash that they take apart, so none is ever changed."""

FOLDER = "records"
"""Folder in the results, and in the shared ones, with Snakemake's record of each output."""

REMEDY = (
    f"put the folder '{FOLDER}' of these results back, or make it again (--forcerun RULE, or remove it), or take it "
    "as made with the settings, code and data of now (--touch)"
)
"""What to do about an output without a record."""


def record_code(results: Path, scripts: Iterable[Path]) -> None:
    """Keep each script's code identity, module by module."""
    for script in scripts:
        _record(results, code_hash(script), code_parts(script))


def record_data(
    results: Path, root: Path | str, fingerprints: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]
) -> None:
    """Keep fingerprints of a user's dataset, by sequence and kind of files.

    Args:
        results: folder of the results.
        root: folder that holds ``sequences/``.
        fingerprints: fingerprint -> kinds of files and sequences that it is about.
    """
    known: dict[tuple[str, str], str] = {}
    for fingerprint, (kinds, sequences) in fingerprints.items():
        pairs = [(sequence, kind) for sequence in sequences for kind in kinds]
        for pair in pairs:
            if pair not in known:
                known[pair] = sequence_fingerprint(Path(root), pair[:1], pair[1:])
        _record(results, fingerprint, {f"{sequence} {kind}": known[sequence, kind] for sequence, kind in pairs})


def _record(results: Path, name: str, parts: dict[str, str]) -> None:
    path = results / IDENTITY / f"{name}.json"
    if not path.exists():
        write_json(path, parts)


@dataclass(frozen=True)
class Records:
    """Tells what differs between a recorded hash and now.

    Attributes:
        results: folder of the results.
        code: code identities of now -> their parts.
        root: folder of the user's dataset that holds ``sequences/``; none: the embedded world.
    """

    results: Path
    code: Mapping[str, Mapping[str, str]]
    root: Path | None = None

    def changed_code(self, old: str, new: str) -> list[str]:
        """Modules that differ, such as ``ignet/losses/contrastive.py``; empty where one was not recorded."""
        before, now = self._read(old), self.code.get(new)
        if before is None or now is None:
            return []
        words = {name: "" for name in now if name in before and before[name] != now[name]}
        words |= dict.fromkeys(now.keys() - before.keys(), " (new here)") | dict.fromkeys(
            before.keys() - now.keys(), " (gone)"
        )
        return [name + words[name] for name in sorted(words)]

    def changed_data(self, old: str, since: float) -> list[str]:
        """Kinds of files of the dataset that differ, each with some that are newer than ``since`` [s since 1970]."""
        before = self._read(old)
        if before is None or self.root is None:
            return []
        differences = []
        for part, recorded in sorted(before.items()):
            sequence, kind = part.split(" ")
            folder = self.root / "sequences" / sequence
            if not folder.is_dir():
                differences.append(f"{folder} (gone)")
            elif sequence_fingerprint(self.root, (sequence,), (kind,)) != recorded:
                differences.append(f"{kind} of sequence {sequence}: {_newer(folder / place(kind), kind, since)}")
        return differences

    def _read(self, name: str) -> dict[str, str] | None:
        path = self.results / IDENTITY / f"{name}.json"
        return read_json(path) if path.is_file() else None


def _newer(path: Path, kind: str, since: float, shown: int = 3) -> str:
    """Names of files that changed after a time; a folder's own time tells that files came or went."""
    names = [str(file) for file in read_files(path, kind) if file.stat().st_mtime > since]
    if not names:
        return f"files added, removed or replaced in {path}"
    return ", ".join(names[:shown]) + (f" and {len(names) - shown} more" if len(names) > shown else "")


def refuse_without_record(outputs: Sequence[str]) -> None:
    """Say that changes cannot be noticed, where they cannot.

    Raises:
        IgnetError: there are such outputs.
    """
    if outputs:
        raise IgnetError(
            f"{some(outputs)}: found no record of how it was made, and without one no change of settings, code or data "
            f"is noticed; {REMEDY}"
        )


def some(outputs: Sequence[str]) -> str:
    """The first of some outputs, and how many more there are."""
    return f"{outputs[0]} and {len(outputs) - 1} more" if len(outputs) > 1 else outputs[0]
