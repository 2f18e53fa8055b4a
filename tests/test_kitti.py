"""Files in the SemanticKITTI layout, and what is said about broken ones."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from ignet.data.formats import kitti
from ignet.data.formats.calibration import Calibration, read_calibration, write_calibration
from ignet.errors import IgnetError


def message(error: pytest.ExceptionInfo[IgnetError]) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


def test_scan_is_read_as_written(tmp_path: Path) -> None:
    path = tmp_path / "000000.bin"
    np.array([[1, 2, 3, 0.5], [-4, 5, -6, 1]], "<f4").tofile(path)
    scan = kitti.read_scan(path)
    assert scan.dtype == np.float32
    assert scan.flags.writeable
    np.testing.assert_array_equal(scan, [[1, 2, 3, 0.5], [-4, 5, -6, 1]])


def test_label_holds_class_and_instance(tmp_path: Path) -> None:
    path = tmp_path / "000000.label"
    np.array([10 | 7 << 16, 259, 0xFFFF_0000], "<u4").tofile(path)
    raw = kitti.read_labels(path, 3)
    assert raw.dtype == np.uint32
    np.testing.assert_array_equal(kitti.instance_ids(raw), np.array([10 | 7 << 16, 0, 0xFFFF_0000], np.uint32))


@pytest.mark.parametrize("size", [0, 15, 17])
def test_truncated_scan(tmp_path: Path, size: int) -> None:
    path = tmp_path / "000003.bin"
    path.write_bytes(b"\0" * size)
    with pytest.raises(IgnetError) as error:
        kitti.read_scan(path)
    assert f"000003.bin: found {size} bytes" in message(error)


def test_labels_of_another_length(tiny_tree: Path) -> None:
    path = kitti.label_path(tiny_tree, "00", "000000")
    with pytest.raises(IgnetError) as error:
        kitti.read_labels(path, 401)
    assert f"{path}: found 400 labels, expected 401" in message(error)
    path.write_bytes(b"\0" * 7)
    with pytest.raises(IgnetError, match="found 7 bytes, expected a multiple of 4"):
        kitti.read_labels(path)


def test_frames_are_the_sorted_scans(tiny_tree: Path) -> None:
    kitti.scan_path(tiny_tree, "00", "000000").rename(kitti.scan_path(tiny_tree, "00", "000010"))
    (tiny_tree / "sequences/00/velodyne/.000011.bin").touch()  # as some file systems leave
    assert kitti.frame_ids(tiny_tree, "00") == ["000001", "000010"]


def test_missing_root_sequence_and_scans(tiny_tree: Path) -> None:
    with pytest.raises(IgnetError, match=r"set dataset\.root"):
        kitti.frame_ids(tiny_tree / "nowhere", "00")
    with pytest.raises(IgnetError, match="holds no folder sequences/"):
        kitti.frame_ids(tiny_tree / "sequences", "00")
    with pytest.raises(IgnetError, match="no such sequence, found 00, 08"):
        kitti.frame_ids(tiny_tree, "05")
    for path in (tiny_tree / "sequences/00/velodyne").iterdir():
        path.unlink()
    with pytest.raises(IgnetError, match=r"velodyne: found no \.bin file"):
        kitti.frame_ids(tiny_tree, "00")


def test_image_is_rgb_and_its_size_is_in_the_header(tmp_path: Path) -> None:
    path = tmp_path / "000000.png"
    bgr = np.zeros((3, 5, 3), np.uint8)
    bgr[0, 4] = (1, 2, 3)
    cv2.imwrite(str(path), bgr)
    image = kitti.read_image(path)
    assert image.shape == (3, 5, 3)
    np.testing.assert_array_equal(image[0, 4], [3, 2, 1])
    assert kitti.image_size(path) == (5, 3)


def test_broken_images(tmp_path: Path) -> None:
    path = tmp_path / "000000.png"
    for read in (kitti.read_image, kitti.image_size):
        with pytest.raises(IgnetError, match="no such file, expected an image; unpack data_odometry_color"):
            read(path)
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    whole = cv2.imencode(".png", noise)[1].tobytes()
    for broken in (b"", b"no image", whole[: len(whole) // 2], whole[:-16]):
        path.write_bytes(broken)
        with pytest.raises(IgnetError, match=r"000000\.png: found .* no whole image"):
            kitti.read_image(path)
    path.write_bytes(b"GIF89a" + b"\0" * 40)
    with pytest.raises(IgnetError, match="no header of a PNG or a JPEG"):
        kitti.image_size(path)


def test_calibration_survives_writing(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    tr = np.vstack([rng.normal(size=(3, 4)), [0, 0, 0, 1]])
    for size in (None, (1242, 375)):
        written = Calibration(projection=rng.normal(size=(3, 4)) * 700, tr=tr, size=size)
        write_calibration(tmp_path / "calib.txt", written)
        read = read_calibration(tmp_path / "calib.txt")
        np.testing.assert_array_equal(read.projection, written.projection)
        np.testing.assert_array_equal(read.tr, written.tr)
        assert read.size == size


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-8"])
def test_byte_order_marks_are_no_part_of_a_key(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "calib.txt"
    path.write_bytes(f"P2: {'1 ' * 12}\r\nTr: {'2 ' * 12}\r\n".encode(encoding))
    assert read_calibration(path).projection[0, 0] == 1


def test_a_key_that_stands_twice(tmp_path: Path) -> None:
    path = tmp_path / "calib.txt"
    path.write_text(f"P2: {'1 ' * 12}\nTr: {'2 ' * 12}\nP2: {'1 ' * 12}\n")
    assert read_calibration(path).projection[0, 0] == 1
    path.write_text(path.read_text() + f"Tr: {'3 ' * 12}\n")
    with pytest.raises(
        IgnetError, match=r"calib\.txt: line 'Tr': found twice with other numbers, expected once; remove"
    ):
        read_calibration(path)


def test_calibration_without_tr_names_the_archive(tmp_path: Path) -> None:
    path = tmp_path / "calib.txt"
    path.write_text("".join(f"P{i}: {' '.join(['1.0'] * 12)}\n" for i in range(4)))
    with pytest.raises(IgnetError) as error:
        read_calibration(path)
    text = message(error)
    assert "found P0, P1, P2, P3" in text
    assert "data_odometry_calib" in text
    assert "velodyne" in text


@pytest.mark.parametrize(
    ("p2", "said"),
    [
        (None, "expected a line 'P2:'"),
        ("1 2 3", "found 3 finite"),
        ("1 " * 11 + "nan", "found 11 finite"),
        ("1 " * 11 + "1,0", "1,0"),
    ],
)
def test_malformed_calibration(tmp_path: Path, p2: str | None, said: str) -> None:
    path = tmp_path / "calib.txt"
    path.write_text(("" if p2 is None else f"P2: {p2}\n") + f"Tr: {'0 ' * 12}\n")
    with pytest.raises(IgnetError) as error:
        read_calibration(path)
    assert said in message(error)
    assert str(path) in message(error)


def test_real_frames(kitti_sample: Path) -> None:
    for sequence, size in (("00", (1241, 376)), ("05", (1226, 370))):
        assert kitti.frame_ids(kitti_sample, sequence) == ["000000", "000009"]
        scan = kitti.read_scan(kitti.scan_path(kitti_sample, sequence, "000000"))
        assert 119_000 < len(scan) < 128_000
        assert 0 <= scan[:, 3].min() < scan[:, 3].max() <= 1
        kitti.read_labels(kitti.label_path(kitti_sample, sequence, "000000"), len(scan))
        image = kitti.image_path(kitti_sample, sequence, "000000")
        assert kitti.image_size(image) == size
        assert kitti.read_image(image).shape == (size[1], size[0], 3)
        rotation = read_calibration(kitti.calibration_path(kitti_sample, sequence)).tr[:3, :3]
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-5)
