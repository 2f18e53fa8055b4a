"""Files are complete or not there: dead writers' leftovers, living writers, full disks, read-only folders."""

import errno
import os
import resource
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from one_camera import seen_by_one

from ignet.data.features.store import FeatureWriter
from ignet.data.projection.correspondence import CorrespondenceWriter
from ignet.errors import IgnetError
from ignet.evaluate.segmentation2d import write_figure
from ignet.evaluate.tensor import AXES, ConfusionTensor, write_tensor
from ignet.files.atomic import atomic, write_array, write_error, write_json, write_text, write_weights
from ignet.files.scratch import LOCK, private_folder, remove_dead_folders, remove_if_dead
from ignet.report.figures import new_figure, save_figure
from ignet.train.checkpoint import NEWEST, PREVIOUS, save_checkpoint
from ignet.train.run import write_curves
from ignet.workflow.lock import lock_results


def rng() -> np.random.Generator:
    """The same numbers for every file, so that a second writing gives the same bytes."""
    return np.random.default_rng(0)


# --- who may remove what ------------------------------------------------------


def writer(path: Path) -> subprocess.Popen[str]:
    """A process that has begun to write ``path`` and waits; its first line is out when it holds the temporary."""
    code = f"""
        import time
        from ignet.files.atomic import atomic
        with atomic({str(path)!r}) as temporary:
            temporary.write_text("half")
            print("begun", flush=True)
            time.sleep(600)
        """
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True)
    assert process.stdout and process.stdout.readline() == "begun\n"
    return process


def end(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate()


def test_a_dead_writers_leftovers_go_with_the_next_write_of_that_artifact(tmp_path: Path) -> None:
    end(writer(tmp_path / "a.txt"))
    end(writer(tmp_path / "a.txt.b"))
    assert len(list(tmp_path.glob(".a.txt.*.tmp"))) == 2
    write_text(tmp_path / "a.txt", "whole")
    assert (tmp_path / "a.txt").read_text() == "whole"
    assert [folder.name.rsplit(".", 2)[0] for folder in tmp_path.glob(".*")] == [".a.txt.b"]


def test_a_living_writer_keeps_its_temporary(tmp_path: Path) -> None:
    process = writer(tmp_path / "a.txt")
    try:
        (folder,) = tmp_path.glob(".a.txt.*.tmp")
        write_text(tmp_path / "a.txt", "whole")
        assert remove_dead_folders(tmp_path) == []
        assert (folder / "a.txt").read_text() == "half"
    finally:
        end(process)
    assert remove_dead_folders(tmp_path) == [folder]
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_search_for_leftovers_goes_through_all_folders_and_takes_nothing_else(tmp_path: Path) -> None:
    for name in ("x/.a.01234567.tmp/deep", ".b.01234567.tmp", ".c.tmp", "d.01234567.tmp", ".e.0123456.tmp"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / ".f.01234567.tmp").touch()
    assert {path.name for path in remove_dead_folders(tmp_path)} == {".a.01234567.tmp", ".b.01234567.tmp"}
    assert {path.name for path in tmp_path.iterdir()} == {
        "x",
        ".c.tmp",
        "d.01234567.tmp",
        ".e.0123456.tmp",
        ".f.01234567.tmp",
    }


def test_a_writer_whose_new_folder_was_taken_for_a_dead_ones_makes_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, open_file = [], os.open

    def slow_open(path: Path, *arguments: int) -> int:
        if not made:
            made.append(Path(path).parent)
            assert remove_if_dead(Path(path).parent)
        return open_file(path, *arguments)

    def open_once_then_normally(path: Path, *arguments: int) -> int:
        monkeypatch.setattr(os, "open", open_file)
        return slow_open(path, *arguments)

    monkeypatch.setattr(os, "open", open_once_then_normally)
    with private_folder(tmp_path / "a") as folder:
        assert made and folder != made[0]
        assert (folder / LOCK).exists()
        assert not remove_if_dead(folder)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("mount", "reach"),
    [
        ("server:/x {} nfs4 rw,vers=4.2,local_lock=none 0 0", True),
        ("server:/x {} nfs rw,nolock 0 0", False),
        ("mds:/x {} lustre rw,flock 0 0", True),
        ("mds:/x {} lustre rw,localflock 0 0", False),
        ("beegfs_nodev {} beegfs rw 0 0", False),
        ("host:/x {} fuse.sshfs rw 0 0", False),
        ("/dev/x {} ext4 rw 0 0", True),
    ],
)
def test_where_locks_may_be_hidden_another_machines_folder_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mount: str, reach: bool
) -> None:
    disk = tmp_path / "disk"
    (tmp_path / "mounts").write_text(
        f"/dev/root / ext4 rw 0 0\n{mount.format(disk)}\nserver:/y {disk}-other nfs nolock 0 0\n"
    )
    monkeypatch.setattr("ignet.files.scratch.MOUNTS", tmp_path / "mounts")
    own, foreign = disk / ".own.01234567.tmp", disk / ".foreign.01234567.tmp"
    for path in (own, foreign):
        path.mkdir(parents=True)
        (path / LOCK).write_text("a boot id of another machine")
    assert remove_if_dead(foreign) == reach
    with private_folder(disk / "b") as made:
        (own / LOCK).write_bytes((made / LOCK).read_bytes())
    assert remove_if_dead(own)


def test_error_leaves_the_older_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), atomic(path) as temporary:
        temporary.write_text("new")
        (temporary.parent / "scratch").mkdir()
        raise ZeroDivisionError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("umask", [0o022, 0o002, 0o077])
def test_files_have_the_mode_that_the_umask_asks_for(tmp_path: Path, umask: int) -> None:
    """Safetensors, temporary files and some others are written for their owner alone."""
    before = os.umask(umask)
    try:
        for name, write in WRITERS.items():
            write(tmp_path / name)
        with atomic(tmp_path / "private") as temporary:
            os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT, 0o600))
    finally:
        os.umask(before)
    modes = {str(path): path.stat().st_mode & 0o777 for path in tmp_path.rglob("*") if path.is_file()}
    assert len(modes) > len(WRITERS)
    assert {name: oct(mode) for name, mode in modes.items() if mode != 0o666 & ~umask} == {}


def test_folder_takes_the_place_of_a_folder_as_a_whole(tmp_path: Path) -> None:
    for content in ("old", "new"):
        with atomic(tmp_path / "a") as temporary:
            temporary.mkdir()
            (temporary / content).write_text(content)
    assert os.listdir(tmp_path) == ["a"]
    assert os.listdir(tmp_path / "a") == ["new"]


# --- disks that refuse --------------------------------------------------------


def correspondence(path: Path) -> None:
    with CorrespondenceWriter(path, {}) as made:
        for frame in ("000000", "000001"):
            index = np.arange(20000, dtype=np.int32)
            pixel = rng().random((20000, 2)).astype(np.float32)
            made.add(frame, seen_by_one(index, pixel, np.zeros(20000, np.uint8), 30000, 10, 10, (0.0, 1.0)))


def features(path: Path) -> None:
    with FeatureWriter(path, 8, "float32") as made:
        for frame in ("000000", "000001"):
            made.add(frame, np.arange(9000, dtype=np.int32), rng().random((9000, 8)).astype(np.float32))


def tensor(path: Path) -> None:
    names = {"range": tuple("abcdefghij"), **dict(zip(AXES[1:], (("in", "out"), ("edge", "inside")), strict=True))}
    counts = rng().integers(0, 2**31, (1, 10, 2, 2, 19, 20))
    write_tensor(path, ConfusionTensor(("08/000000",), names, counts, tuple("abcdefghijklmnopqrs")))


def array(path: Path) -> None:
    with atomic(path) as temporary:
        write_array(temporary, rng().integers(0, 99, 70000).astype(np.uint8))


def folder(path: Path) -> None:
    with atomic(path) as temporary:
        temporary.mkdir()
        for number in range(9):
            write_array(temporary / str(number), np.zeros(70000, np.uint8))


def figure(path: Path) -> None:
    drawn = new_figure(600)
    drawn.figimage(rng().integers(0, 255, (500, 500)))
    save_figure(path, drawn)


WRITERS: dict[str, Callable[[Path], None]] = {
    "correspondence.h5": correspondence,
    "features.h5": features,
    "confusion.h5": tensor,
    "scan.bin": array,
    "folder": folder,
    "figure.png": figure,
    "picture.png": lambda path: write_figure(path, rng().integers(0, 255, (160, 160, 3), dtype=np.uint8)),
    "model.safetensors": lambda path: write_weights(path, {"w": torch.zeros(20000)}),
    "metrics.json": lambda path: write_json(path, list(range(20000))),
    "curves.csv": lambda path: write_curves(path, [{"step": float(step), "loss": 0.5} for step in range(9000)]),
    NEWEST: lambda path: save_checkpoint(path.parent, {"identity": "a", "x": torch.zeros(20000)}),
}


@pytest.fixture
def small_files() -> Iterator[Callable[[int], None]]:
    """Let no file grow beyond some bytes from here on; a write beyond fails as on a full disk."""
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, old[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, old)


# the last bytes of a file are written otherwise than those before: 4 KB wait in a buffer of the C library
@pytest.mark.parametrize("short", [1, 1000, 40000])
@pytest.mark.parametrize("name", WRITERS)
def test_a_write_that_fails_is_one_line_and_the_older_file_stays(
    tmp_path: Path, small_files: Callable[[int], None], name: str, short: int
) -> None:
    path, write = tmp_path / name, WRITERS[name]
    write(path)
    largest = max((path / "0").stat().st_size if path.is_dir() else path.stat().st_size, 1)
    assert largest > 40000
    before = digest(path)
    small_files(largest - short)
    with pytest.raises(IgnetError) as error:
        write(path)
    assert all(word in str(error.value) for word in (str(path), os.strerror(errno.EFBIG), "ulimit -f")), error.value
    assert "\n" not in str(error.value)
    small_files(resource.RLIM_INFINITY)
    assert digest(path) == before
    assert os.listdir(tmp_path) == [name]


def digest(path: Path) -> dict[str, bytes]:
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    return {file.name: file.read_bytes() for file in files}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 KB."""
    yield from mounted(tmp_path / "disk", "size=64k")


def mounted(folder: Path, options: str) -> Iterator[Path]:
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("a small file system can be mounted by root alone")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.parametrize("name", WRITERS)
def test_full_disk_is_one_line_and_finished_files_stay(small_disk: Path, name: str) -> None:
    finished = small_disk / "finished.txt"
    write_text(finished, "x" * 30000)
    with pytest.raises(IgnetError, match="No space left on device") as error:
        WRITERS[name](small_disk / name)
    assert all(word in str(error.value) for word in (name, f"make room on the disk of {small_disk}"))
    assert finished.read_text() == "x" * 30000
    assert os.listdir(small_disk) == ["finished.txt"]


@pytest.fixture
def locked_folder(tmp_path: Path) -> Iterator[Path]:
    """A folder that this user cannot write to."""
    folder = tmp_path / "locked"
    if os.geteuid() == 0:
        yield from mounted(folder, "ro")
        return
    folder.mkdir(mode=0o555)
    yield folder
    folder.chmod(0o755)


@pytest.mark.parametrize("name", ["features.h5", "folder", "model.safetensors", "deeper/metrics.json", NEWEST])
def test_read_only_folder_is_one_line(locked_folder: Path, name: str) -> None:
    with pytest.raises(IgnetError, match="Read-only file system|Permission denied") as error:
        WRITERS[Path(name).name](locked_folder / name)
    assert name in str(error.value) and "writable" in str(error.value) and "\n" not in str(error.value)


def test_file_in_the_place_of_a_folder_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    with pytest.raises(IgnetError, match=r"b: cannot be written .*make .*a a folder"):
        write_text(tmp_path / "a" / "b", "text")


def test_error_of_reading_something_is_not_called_one_of_writing(tmp_path: Path) -> None:
    (tmp_path / "input").touch()
    for number in (errno.EACCES, errno.ENOENT):
        assert write_error(OSError(number, "words", str(tmp_path / "input")), tmp_path / "output") is None
        assert write_error(OSError(number, "words", str(tmp_path / "output")), tmp_path / "output") == number
    with pytest.raises(FileNotFoundError), atomic(tmp_path / "output") as temporary:
        temporary.write_text((tmp_path / "missing").read_text())


def test_a_link_to_the_checkpoint_that_cannot_be_made_costs_no_generation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*_: object) -> None:
        raise PermissionError(errno.EPERM, "no hard links here")

    monkeypatch.setattr(os, "link", no_links)
    for step in range(3):
        save_checkpoint(tmp_path, {"identity": "a", "step": step})
    found = {name: torch.load(tmp_path / name, weights_only=True)["step"] for name in (NEWEST, PREVIOUS)}
    assert found == {NEWEST: 2, PREVIOUS: 1}
    assert sorted(os.listdir(tmp_path)) == sorted(found)


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def no_locks(descriptor: int, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", no_locks)
    with pytest.raises(IgnetError, match=r"has no locks.*set results to a folder on another one") as error:
        lock_results(tmp_path)
    assert "\n" not in str(error.value) and str(tmp_path) in str(error.value)
    write_json(tmp_path / "a.json", {})  # what needs no lock is written all the same
