"""Private folders of writers: gone when the writer ends, and, where it was killed, when the next one comes.

A writer holds a kernel lock on its folder as long as it lives. The kernel releases the lock at any death, SIGKILL and
power loss included, so a folder whose lock is free is a dead writer's and may go, and one whose lock is held is never
touched.
"""

import fcntl
import os
import platform
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

LOCK = "lock"
MOUNTS = Path("/proc/self/mounts")
_ONE_KERNEL = {"btrfs", "ext2", "ext3", "ext4", "f2fs", "overlay", "tmpfs", "xfs", "zfs"}
_SHARED = {"ceph", "gpfs", "lustre", "nfs", "nfs4"}
_NOT_SHARED = {"localflock", "local_lock=all", "local_lock=flock", "nolock"}
_NAME = re.compile(r"\.(?P<artifact>.+)\.[0-9a-f]{8}\.tmp")


@contextmanager
def private_folder(path: Path) -> Iterator[Path]:
    """Give an empty folder beside ``path`` to this writer alone, and remove it when the block ends.

    Folders that killed writers of the same ``path`` left are removed first. The folder's name is
    ``.NAME.xxxxxxxx.tmp``; the file ``lock`` in it is taken.

    Raises:
        OSError: the folder cannot be made.
    """
    for left in path.parent.glob(".*.tmp"):
        if (name := _NAME.fullmatch(left.name)) and name["artifact"] == path.name:
            remove_if_dead(left)
    folder, lock = _make(path)
    try:
        yield folder
    finally:
        os.close(lock)
        shutil.rmtree(folder, ignore_errors=True)


def remove_dead_folders(root: Path) -> list[Path]:
    """Remove what killed writers left anywhere below ``root``; returns the folders that are gone.

    Those of living writers stay.
    """
    folders = []
    for folder, names, _ in os.walk(root):
        mine = [name for name in names if _NAME.fullmatch(name)]
        names[:] = [name for name in names if name not in mine]
        folders += [Path(folder, name) for name in mine]
    return [folder for folder in folders if remove_if_dead(folder)]


def remove_if_dead(folder: Path) -> bool:
    """Remove a private folder unless its writer lives; whether it is gone.

    It stays where the file system knows no locks, and where it may hide another machine's lock and another machine made
    the folder.
    """
    try:
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError:
        return not folder.exists()
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.pread(lock, 64, 0) != _this_kernel() and not locks_reach_everywhere(folder):
            return False
        # under the lock, so that a writer who has just made the folder waits, finds its lock file gone, and takes
        # another folder
        shutil.rmtree(folder, ignore_errors=True)
    except OSError:
        pass
    finally:
        os.close(lock)
    with suppress(OSError):  # NFS keeps the name of an open file, so the folder may be empty only now
        folder.rmdir()
    return not folder.exists()


def locks_reach_everywhere(path: Path) -> bool:
    """Whether a lock on this file system is seen by all machines that share it, by its kind and options."""
    mount: tuple[int, str, set[str]] = (-1, "", set())
    for line in MOUNTS.read_text(encoding="utf-8").splitlines():
        _, point, kind, options = line.split(" ")[:4]
        if path.resolve().is_relative_to(point) and len(point) >= mount[0]:
            mount = (len(point), kind, set(options.split(",")))
    return mount[1] in _ONE_KERNEL or (mount[1] in _SHARED and not mount[2] & _NOT_SHARED)


def _this_kernel() -> bytes:
    """What tells this machine, since its last start, from all others."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_bytes().strip()
    except OSError:
        return platform.node().encode()


def _make(path: Path) -> tuple[Path, int]:
    """A new private folder and the descriptor that holds its lock."""
    while True:
        folder = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
        folder.mkdir()
        try:
            # the mode of any new file here, which the writer's file gets in the end
            lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
        except FileNotFoundError:  # somebody took it for a dead writer's before the lock was there
            continue
        except OSError:
            folder.rmdir()
            raise
        # a file system without locks: nobody can lock there, so nobody will remove this folder either
        with suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX)
        os.pwrite(lock, _this_kernel(), 0)
        if os.fstat(lock).st_nlink and folder.exists():
            return folder, lock
        os.close(lock)
