"""What `ignet import` finds in the arrays and images that it converts."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import TINY_CALIBRATION

from ignet.cli.main import main
from ignet.data.check.dataset import check_dataset
from ignet.data.check.wanted import wanted_at
from ignet.data.formats import kitti
from ignet.data.formats.calibration import frame_calibration
from ignet.data.importers.convert import convert
from ignet.data.importers.frame import SensorFrame
from ignet.data.importers.registry import LAYOUTS
from ignet.data.label_sets.label_set import SEMANTICKITTI
from ignet.errors import IgnetError


def sensor_frames(
    tree: Path,
    change: Callable[[np.ndarray], object] = lambda points: None,
    image: Path | None = None,
    **labels: object,
) -> list[SensorFrame]:
    """The frames of sequence 00 as arrays, spoilt by ``change``, with labels or another image if given."""

    def read(name: str) -> np.ndarray:
        points = kitti.scan_values(kitti.scan_path(tree, "00", name))
        change(points)
        return points

    return [
        SensorFrame(
            "monday",
            name,
            TINY_CALIBRATION,
            partial(read, name),
            image or kitti.image_path(tree, "00", name),
            **labels,  # type: ignore[arg-type]
        )
        for name in kitti.frame_ids(tree, "00")
    ]


def test_points_without_a_return_are_left_out_with_their_labels(tiny_tree: Path, tmp_path: Path) -> None:
    def lose(points: np.ndarray) -> None:
        points[5], points[9, :3], points[11, 3] = np.nan, 0, np.nan

    classes = np.where(np.arange(400) % 2, 40, 48).astype("<u4")
    classes.tofile(tmp_path / "own.label")
    kept = np.delete(np.arange(400), [5, 9, 11])
    for number, labels in enumerate((lambda: classes.astype(np.uint32), tmp_path / "own.label")):
        out = tmp_path / f"out{number}"
        done = convert(sensor_frames(tiny_tree, lose, labels=labels), out, label_set=SEMANTICKITTI)
        assert (done.frames, done.without_return, done.faults, done.faults.doubts) == ({"00": 2}, 6, [], [])
        np.testing.assert_array_equal(kitti.read_labels(kitti.label_path(out, "00", "000001")), classes[kept])
        whole = kitti.scan_values(kitti.scan_path(tiny_tree, "00", "000001"))
        np.testing.assert_array_equal(kitti.read_scan(kitti.scan_path(out, "00", "000001")), whole[kept])
        assert check_dataset(out, wanted_at(out, part=True), deep=True, label_set=SEMANTICKITTI).faults == []
    with pytest.raises(IgnetError, match="frame 000000 of monday: found 399 labels, expected 400"):
        convert(
            sensor_frames(tiny_tree, labels=lambda: classes[1:].astype(np.uint32)),
            tmp_path / "short",
            label_set=SEMANTICKITTI,
        )
    with pytest.raises(IgnetError, match="frame 000000 of monday: found no point with a return among 400"):
        convert(
            sensor_frames(tiny_tree, lambda points: points.fill(np.nan)), tmp_path / "covered", label_set=SEMANTICKITTI
        )
    assert not (tmp_path / "short").exists() and not (tmp_path / "covered").exists()


@pytest.mark.parametrize(
    ("change", "labels", "kind", "said"),
    [
        (lambda points: points[:, 3].__imul__(255), 40, "remission", "set dataset.remission_scale"),
        (lambda points: points.__setitem__((3, 0), np.inf), 40, "not-finite", "found 1 points that are not finite"),
        (lambda points: points[:, :3].__imul__(100), 40, "units", "expected metres from the sensor"),
        (lambda points: None, 77, "unknown-id", "found raw class 77"),
    ],
)
def test_what_passes_through_memory_is_looked_at(
    change: Callable[[np.ndarray], object], labels: int, kind: str, said: str, tiny_tree: Path, tmp_path: Path
) -> None:
    """All of it, not only the scans that the fast check reads; one line for all files."""
    out = tmp_path / "out"
    frames = sensor_frames(tiny_tree, change, labels=lambda: np.full(400, labels, np.uint32))
    (fault,) = convert(frames, out, label_set=SEMANTICKITTI).faults
    assert (fault.kind, fault.path.parent.parent, len(fault.files)) == (kind, out / "sequences/00", 2)
    assert said in str(fault)
    assert fault.path.is_file()


def test_import_says_what_it_found(
    tiny_tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def spoil(points: np.ndarray) -> None:
        points[:, 3] *= 255
        points[:2] = np.nan

    monkeypatch.setitem(LAYOUTS, "mine", lambda root: iter(sensor_frames(root, spoil)))
    for options in ([], ["--json"]):
        with pytest.raises(SystemExit) as ended:
            main(["import", "mine", str(tiny_tree), str(tmp_path / f"out{len(options)}"), *options])
        assert ended.value.code == 1
    lines, document = capsys.readouterr().out.split("{", 1)
    assert lines.count("found remission") == 1 and "(and 000001.bin)" in lines
    assert "left out: 4 points without a return" in lines and "2 files are links" in lines
    found = json.loads("{" + document)
    assert (found["points_without_return"], found["linked_files"]) == (4, 2)
    assert [fault["files"] for fault in found["faults"]] == [["000000.bin", "000001.bin"]]


@pytest.mark.parametrize(
    ("pixels", "suffixes", "kind", "said"),
    [
        (np.full((32, 64), 90, np.uint8), (".png", ".jpg", ".tif"), "image-grey", "found a grey image"),
        (np.full((32, 64, 3), 4095, np.uint16), (".png", ".tif"), "image-depth", "found 16 bits a channel, expected 8"),
    ],
)
def test_one_verdict_for_images(
    pixels: np.ndarray, suffixes: tuple[str, ...], kind: str, said: str, tiny_tree: Path, tmp_path: Path
) -> None:
    """Whatever their format, and for import, check and trainings."""
    for suffix in suffixes:
        image, out = tmp_path / f"image{suffix}", tmp_path / f"out{suffix}"
        assert cv2.imwrite(str(image), pixels)
        convert(sensor_frames(tiny_tree, image=image), out, label_set=SEMANTICKITTI)
        (fault,) = check_dataset(out, wanted_at(out, part=True), label_set=SEMANTICKITTI).faults
        written = ".jpg" if suffix == ".jpg" else ".png"
        assert (fault.kind, fault.files) == (kind, (f"000000{written}", f"000001{written}"))
        with pytest.raises(IgnetError) as error:
            kitti.read_image(fault.path)
        assert said in str(fault) and str(error.value) == str(replace(fault, files=()))


def test_images_that_fit_are_written_as_they_are(tiny_tree: Path, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (32, 64, 3), np.uint8)
    assert cv2.imwrite(str(tmp_path / "image.bmp"), pixels)
    convert(sensor_frames(tiny_tree, image=tmp_path / "image.bmp"), tmp_path / "out", label_set=SEMANTICKITTI)
    np.testing.assert_array_equal(
        kitti.read_image(kitti.image_path(tmp_path / "out", "00", "000001")), pixels[:, :, ::-1]
    )
    np.zeros((4, 4), np.float32).tofile(tmp_path / "none.bmp")
    with pytest.raises(IgnetError, match=r"none\.bmp: cannot be read"):
        convert(sensor_frames(tiny_tree, image=tmp_path / "none.bmp"), tmp_path / "other", label_set=SEMANTICKITTI)


def test_jpegs_are_linked_and_read(tiny_tree: Path, tmp_path: Path) -> None:
    """A camera whose first image is one has only JPEGs; a cut or broken one is a fault of the check."""
    pixels = np.random.default_rng(0).integers(0, 256, (32, 64, 3), np.uint8)
    for name in ("one.jpg", "two.jpeg", "three.bmp"):
        assert cv2.imwrite(str(tmp_path / name), pixels)
    first, second = sensor_frames(tiny_tree)
    for number, other in enumerate(("two.jpeg", "three.bmp")):
        out = tmp_path / f"out{number}"
        frames = [replace(first, image=tmp_path / "one.jpg"), replace(second, image=tmp_path / other)]
        assert convert(frames, out, label_set=SEMANTICKITTI).linked == 2 - number
        images = [kitti.image_path(out, "00", name) for name in ("000000", "000001")]
        assert [image.name for image in images] == ["000000.jpg", "000001.jpg"]
        assert images[0].resolve() == tmp_path / "one.jpg" and images[1].is_symlink() == (other == "two.jpeg")
        decoded = cv2.imread(str(tmp_path / "one.jpg"))[:, :, ::-1]
        for image in images:
            np.testing.assert_array_equal(kitti.read_image(image), decoded)
            assert kitti.image_size(image) == (64, 32)
        report = check_dataset(out, wanted_at(out, part=True), deep=True, label_set=SEMANTICKITTI)
        assert report.faults == [] and report.counts()["images"] == 2
    data = images[1].read_bytes()
    for spoilt, kind in ((data[:-40], "image-cut"), (b"GIF", "image-format")):
        images[1].write_bytes(spoilt)
        (fault,) = check_dataset(out, wanted_at(out, part=True), label_set=SEMANTICKITTI).faults
        assert (fault.kind, fault.path) == (kind, images[1]) and "JPEG" in str(fault)
        with pytest.raises(IgnetError, match=r"000001\.jpg: found \d+ bytes that are no whole image"):
            kitti.read_image(images[1])


def test_an_image_may_be_a_function(tiny_tree: Path, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (32, 64, 3), np.uint8)
    frames = [replace(frame, image=lambda: pixels) for frame in sensor_frames(tiny_tree)]
    convert(frames, tmp_path / "out", label_set=SEMANTICKITTI)
    np.testing.assert_array_equal(kitti.read_image(kitti.image_path(tmp_path / "out", "00", "000001")), pixels)
    grey = [replace(frame, image=lambda: pixels[:, :, 0]) for frame in frames]
    with pytest.raises(IgnetError, match=r"frame 000000 of monday: found an image uint8 \(32, 64\), expected uint8"):
        convert(grey, tmp_path / "grey", label_set=SEMANTICKITTI)


def test_a_named_sequence_has_calibrations_of_frames_and_several_cameras(tiny_tree: Path, tmp_path: Path) -> None:
    """The first frame's is the sequence's; a frame with the same one has no file of its own."""
    moved = replace(TINY_CALIBRATION, projection=TINY_CALIBRATION.projection * 1.01)
    cameras = {0: TINY_CALIBRATION, 3: replace(TINY_CALIBRATION, size=(64, 32))}
    first, second = sensor_frames(tiny_tree)
    images = dict.fromkeys(cameras, first.image)
    frames = [
        replace(first, sequence="street", image=images, calibration=cameras),
        replace(second, sequence="street", image=images, calibration=cameras | {3: moved}),
        replace(first, sequence="street", image=images, calibration=cameras),
    ]
    done = convert(frames, tmp_path / "out", label_set=SEMANTICKITTI)
    folder = tmp_path / "out/sequences/street"
    assert done.frames == {"street": 3}
    assert sorted(path.name for path in folder.iterdir()) == ["calib", "calib.txt", "image_0", "image_3", "velodyne"]
    assert [path.name for path in (folder / "calib").iterdir()] == ["000001.txt"]
    read = {
        (frame, camera): frame_calibration(tmp_path / "out", "street", frame, camera)
        for frame in ("000000", "000001")
        for camera in cameras
    }
    np.testing.assert_array_equal(read["000001", 3].projection, moved.projection)
    np.testing.assert_array_equal(read["000000", 3].projection, TINY_CALIBRATION.projection)
    assert (read["000000", 3].size, read["000000", 0].size, read["000001", 3].size) == ((64, 32), None, None)


def test_modes_of_files_follow_the_umask(tiny_tree: Path, tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        convert(
            sensor_frames(tiny_tree, labels=lambda: np.full(400, 40, np.uint32)),
            tmp_path / "out",
            label_set=SEMANTICKITTI,
        )
    finally:
        os.umask(before)
    files = [path for path in (tmp_path / "out", *(tmp_path / "out").rglob("*")) if not path.is_symlink()]
    modes = {path.is_dir(): oct(path.stat().st_mode & 0o777) for path in files}
    assert modes == {True: "0o750", False: "0o640"}
