"""Flat HDF5 files of one sequence: rows of all scans one after the other, found by an offset for each scan.

Datasets: ``scan`` (S,) names of the scans, ASCII, ``offset`` (S+1,) int64, one dataset (S, ...) for each fact of a scan
and one (P, ...) for each column, where the rows of scan s are ``offset[s]:offset[s+1]``. Attributes: ``layout``,
``version`` and the writer's own strings.
"""

import os
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import h5py
import numpy as np
from numpy.typing import DTypeLike, NDArray

from ignet.errors import IgnetError
from ignet.files.atomic import atomic
from ignet.files.hdf5 import create_hdf5
from ignet.files.names import is_name

_CHUNK_BYTES = 1 << 18
_RESERVED = ("layout", "version")


class Column(NamedTuple):
    """One dataset: its number format, and its shape behind the first axis."""

    dtype: DTypeLike
    shape: tuple[int, ...] = ()


class FlatWriter:
    """Writes a flat file scan by scan; the file gets its name when the ``with`` block ends without an error."""

    def __init__(
        self,
        path: Path,
        layout: tuple[str, int],
        scans: dict[str, Column],
        columns: dict[str, Column],
        attributes: dict[str, str] | None = None,
    ) -> None:
        """Create the file.

        Args:
        path: the file to make.
        layout: name and version.
        scans: datasets with one row a scan.
        columns: datasets with one row a point.
        attributes: strings that are kept with the file.
        """
        self._path, self._layout, self._attributes = Path(path), layout, dict(attributes or {})
        if clash := set(self._attributes) & set(_RESERVED):
            raise ValueError(f"attributes {sorted(clash)} are the file's own")
        self._columns, self._scan_columns = columns, scans
        self._scans: dict[str, list[Any]] = {name: [] for name in ("scan", *scans)}
        self._seen: set[str] = set()
        self._offset = [0]

    def __enter__(self) -> Self:
        self._stack = ExitStack()
        temporary = self._stack.enter_context(atomic(self._path))
        self._file, self._check_disk = self._stack.enter_context(create_hdf5(temporary))
        for name, (dtype, shape) in self._columns.items():
            row = np.dtype(dtype).itemsize * int(np.prod(shape))
            chunk = (max(1, _CHUNK_BYTES // max(row, 1)), *shape)
            self._file.create_dataset(name, (0, *shape), dtype, maxshape=(None, *shape), chunks=chunk)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._stack:
            if kind is None:
                self._finish()
            else:
                self._stack.__exit__(kind, error, trace)

    def append(self, frame: str, facts: dict[str, Any], rows: dict[str, NDArray]) -> None:
        """Add one scan: its facts, and (n, ...) rows for every column.

        Raises:
            IgnetError: no scan can be called that, or it was added before.
            ValueError: the columns differ in length or have another shape than was declared.
        """
        if not is_name(frame) or frame in self._seen:
            raise IgnetError(
                f"{self._path}: frame '{frame}' added, expected a name of letters, digits, '_', '-' and '.', each once"
            )
        lengths = {len(values) for values in rows.values()}
        if len(lengths) != 1 or any(np.shape(rows[name])[1:] != column.shape for name, column in self._columns.items()):
            raise ValueError(
                f"frame {frame}: columns of shapes { {name: np.shape(values) for name, values in rows.items()} }"
            )
        end = self._offset[-1] + lengths.pop()
        for name in self._columns:
            dataset = self._file[name]
            dataset.resize(end, axis=0)
            dataset[self._offset[-1] :] = rows[name]
        self._check_disk()
        for name in self._scan_columns:
            self._scans[name].append(facts[name])
        self._scans["scan"].append(frame.encode())
        self._seen.add(frame)
        self._offset.append(end)

    def _finish(self) -> None:
        for name, (dtype, shape) in {"scan": Column("S"), **self._scan_columns}.items():
            self._file[name] = np.array(self._scans[name], dtype).reshape(-1, *shape)
        self._file["offset"] = np.array(self._offset, np.int64)
        for key, value in {**self._attributes, "layout": self._layout[0], "version": self._layout[1]}.items():
            self._file.attrs[key] = value


class FlatReader:
    """Reads a flat file.

    Safe with forked and spawned workers: each process opens the file for itself at its first read.
    """

    def __init__(
        self, path: Path, layout: tuple[str, int], scans: tuple[str, ...], columns: tuple[str, ...], remedy: str
    ) -> None:
        """Open the file and check its layout.

        Args:
        path: the file.
        layout: name and version that are expected.
        scans, columns: the datasets that are expected.
        remedy: what to do about a file that is missing or broken.

        Raises:
            IgnetError: the file is missing, cut short, of another layout, or of another version.
        """
        self.path, self._layout, self._columns, self._remedy = Path(path), layout, columns, remedy
        self._handle: h5py.File | None = None
        self._process = -1
        with self._open() as file:
            self._check(file, ("scan", "offset", *scans, *columns))
            self._scans = {name: file[name][:] for name in scans}
            self._offset = file["offset"][:]
            self.frames: list[str] = [scan.decode() for scan in file["scan"][:]]
            self.attributes: dict[str, str] = {
                key: str(value) for key, value in file.attrs.items() if key not in _RESERVED
            }
            if len(self._offset) != len(self.frames) + 1 or any(
                len(file[name]) != self._offset[-1] for name in columns
            ):
                raise self._fault("found columns that end before its last scan")
        self._number = {frame: number for number, frame in enumerate(self.frames)}

    def __len__(self) -> int:
        """Number of scans."""
        return len(self.frames)

    def __contains__(self, frame: object) -> bool:
        """Whether the file holds a frame of this name."""
        return frame in self._number

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_handle": None, "_process": -1}

    def _facts(self, frame: str) -> dict[str, Any]:
        number = self._frame_number(frame)
        return {name: values[number] for name, values in self._scans.items()}

    def _rows(self, frame: str) -> dict[str, NDArray]:
        number = self._frame_number(frame)
        start, end = self._offset[number : number + 2]
        try:
            file = self._file()
            return {name: file[name][start:end] for name in self._columns}
        except OSError as error:
            raise self._fault(f"frame {frame} cannot be read ({error})") from None

    def _frame_number(self, frame: str) -> int:
        if frame not in self._number:
            raise self._fault(f"found no frame {frame} among its {len(self.frames)}")
        return self._number[frame]

    def _file(self) -> h5py.File:
        if self._process != os.getpid():
            if self._handle is not None:
                self._handle.close()  # a forked copy: with it open, HDF5 would go on using the parent's descriptor
            self._handle = self._open()
            self._process = os.getpid()
        assert self._handle is not None
        return self._handle

    def _open(self) -> h5py.File:
        if not self.path.is_file():
            raise self._fault("no such file")
        try:
            return h5py.File(
                self.path, "r", locking=False
            )  # complete files never change; shared file systems often cannot lock
        except OSError as error:
            raise self._fault(f"cannot be opened ({error})") from None

    def _check(self, file: h5py.File, names: tuple[str, ...]) -> None:
        layout = (str(file.attrs.get("layout", "none")), int(file.attrs.get("version", 0)))
        if layout != self._layout:
            raise self._fault(f"found layout {layout[0]} version {layout[1]}")
        if missing := [name for name in names if name not in file]:
            raise self._fault(f"found no dataset {', '.join(missing)}")

    def _fault(self, found: str) -> IgnetError:
        name, version = self._layout
        return IgnetError(
            f"{self.path}: {' '.join(found.split())}, expected a whole {name} file of version {version}; {self._remedy}"
        )
