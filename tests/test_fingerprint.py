"""Fingerprints of a user's data: every change of what is read, through links too, and no other."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from ignet.data.formats.official import KINDS
from ignet.errors import IgnetError
from ignet.stage.fingerprint import read_files, sequence_fingerprint, tree_fingerprint

FILES = ("velodyne/000000.bin", "image_2/000000.png", "labels/000000.label", "scribbles/000000.label", "calib.txt")


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    for name in FILES:
        path = tmp_path / "dataset/sequences/00" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("some")
    return tmp_path / "dataset"


def fingerprint(root: Path) -> str:
    return sequence_fingerprint(root, ["00"], [*KINDS, "calibration"])


@pytest.mark.parametrize("name", [*FILES, "velodyne/000001.bin", "image_2/extra.png"])
def test_files_that_are_read_count(dataset: Path, name: str) -> None:
    before = fingerprint(dataset)
    (dataset / "sequences/00" / name).write_text("other")
    assert fingerprint(dataset) != before


@pytest.mark.parametrize(("text", "seconds"), [("another", 100), ("same", 200)], ids=["size", "time"])
def test_size_and_time_count_each_by_itself(dataset: Path, text: str, seconds: int) -> None:
    scan = dataset / "sequences/00/velodyne/000000.bin"
    scan.write_text("some")
    os.utime(scan, (100, 100))
    before = fingerprint(dataset)
    scan.write_text(text)
    os.utime(scan, (seconds, seconds))
    assert fingerprint(dataset) != before


@pytest.mark.parametrize(
    "name",
    [
        "velodyne/.DS_Store",
        "image_2/Thumbs.db",
        "image_2/.nfs000000000012",
        "labels/notes.txt",
        "velodyne/._000000.bin",
        "scribbles/000000.label.part",
        "times.txt",
    ],
)
def test_other_files_do_not(dataset: Path, name: str) -> None:
    before = fingerprint(dataset)
    (dataset / "sequences/00" / name).write_text("other")
    (dataset / "sequences/00/labels/a folder.label").mkdir()
    assert fingerprint(dataset) == before


def test_a_folder_of_images_without_a_png_holds_jpegs(dataset: Path) -> None:
    folder = dataset / "sequences/00/image_2"
    before = fingerprint(dataset)
    (folder / "000000.jpg").write_text("some")
    assert fingerprint(dataset) == before
    (folder / "000000.png").unlink()
    alone = fingerprint(dataset)
    (folder / "000001.jpg").write_text("some")
    assert len({before, alone, fingerprint(dataset)}) == 3
    assert [path.name for path in read_files(folder, "images")] == ["000000.jpg", "000001.jpg"]


def test_the_place_does_not_count_and_links_are_followed(dataset: Path, tmp_path: Path) -> None:
    before = fingerprint(dataset)
    shutil.move(dataset, tmp_path / "disk")
    assert fingerprint(tmp_path / "disk") == before
    sequence = tmp_path / "linked/sequences/00"
    sequence.mkdir(parents=True)
    for name in os.listdir(tmp_path / "disk/sequences/00"):
        (sequence / name).symlink_to(tmp_path / "disk/sequences/00" / name)
    assert fingerprint(tmp_path / "linked") == before
    (tmp_path / "disk/sequences/00/velodyne/000000.bin").write_text("another scan")
    assert fingerprint(tmp_path / "linked") != before


def test_files_of_a_kind(dataset: Path) -> None:
    sequence = dataset / "sequences/00"
    (sequence / "velodyne/.hidden.bin").write_text("x")
    assert read_files(sequence / "velodyne", "scans") == [sequence / "velodyne/000000.bin"]
    assert read_files(sequence / "calib.txt", "calibration") == [sequence / "calib.txt"]
    assert read_files(sequence / "nothing", "scans") == []


def repoint(gta: Path, disk: Path) -> None:
    (gta / "images").unlink()
    (disk / "empty").mkdir()
    (gta / "images").symlink_to(disk / "empty")


CHANGES: dict[str, tuple[Callable[[Path, Path], object], bool]] = {
    "an image behind the link": (lambda gta, disk: (disk / "images/1.png").write_text("another"), True),
    "a file more": (lambda gta, disk: (disk / "labels/2.png").write_text("some"), True),
    "a file less": (lambda gta, disk: (disk / "labels/1.png").unlink(), True),
    "a file moved": (lambda gta, disk: (disk / "labels/1.png").rename(disk / "images/2.png"), True),
    "the link": (repoint, True),
    "notes": (lambda gta, disk: (disk / "images/readme.txt").write_text("some"), False),
    "a hidden folder": (lambda gta, disk: shutil.copytree(disk / "images", gta / ".trash"), False),
    "a link to itself": (lambda gta, disk: (disk / "images/loop").symlink_to(gta), False),
}


@pytest.mark.parametrize("case", CHANGES)
def test_a_source_dataset_of_links(tmp_path: Path, case: str) -> None:
    disk, gta = tmp_path / "disk", tmp_path / "gta"
    gta.mkdir()
    for part in ("images", "labels"):
        (disk / part).mkdir(parents=True)
        (disk / part / "1.png").write_text("some")
        (gta / part).symlink_to(disk / part)
    before = tree_fingerprint(gta)
    change, counts = CHANGES[case]
    change(gta, disk)
    if case == "a link to itself":  # it ends, and what is seen through the link once more are the same files
        assert len(tree_fingerprint(gta)) == 16
    else:
        assert (tree_fingerprint(gta) != before) == counts


def test_a_missing_tree_is_named(tmp_path: Path) -> None:
    with pytest.raises(IgnetError, match=r"gta: missing; set source.root"):
        tree_fingerprint(tmp_path / "gta")
