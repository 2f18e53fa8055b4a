"""HDF5 files that report a full disk."""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py


class _ErrorKeeper(io.FileIO):
    """A file that keeps the first error of a write to itself and goes on as if all were well."""

    error: OSError | None = None

    def check(self) -> None:
        """Raise the error that was kept."""
        if self.error:
            raise self.error

    def write(self, data: Any, /) -> int:
        left = memoryview(data).cast("B")
        size = len(left)
        try:
            while len(left) and not self.error:
                left = left[super().write(left) :]
        except OSError as error:
            self.error = error
        return size

    def truncate(self, size: int | None = None, /) -> int:
        try:
            return super().truncate(size)
        except OSError as error:
            self.error = self.error or error
            return size or 0


@contextmanager
def create_hdf5(path: Path) -> Iterator[tuple[h5py.File, Callable[[], None]]]:
    """Open a new HDF5 file for writing until the block ends.

    Yields the file and a function that raises the error of a failed write at once.

    The HDF5 library itself answers a failed write at the end with a message that nobody catches, and then with a
    segmentation fault. So it writes through Python, and does not learn of the failure.

    Raises:
        OSError: the disk is full, or what else kept it from being written; at the end of the block.
    """
    with _ErrorKeeper(path, "w+") as kept:
        try:
            with h5py.File(kept, "w") as file:
                yield file, kept.check
        except Exception as error:
            if kept.error:
                raise kept.error from error
            raise
        kept.check()
