"""The embedded world on disk: sources in GTA-V's layout, targets in SemanticKITTI's and ScribbleKITTI's."""

import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from ignet.config.world import WorldConfig
from ignet.data.formats.kitti import instance_ids
from ignet.data.label_sets.label_set import CITYSCAPES, SEMANTICKITTI
from ignet.data.scribbles.simulate import simulate_scribbles
from ignet.files.atomic import atomic, write_array, write_png
from ignet.log import progress
from ignet.world.camera import Camera
from ignet.world.drive import FRAME_SECONDS, IMAGES_PER_STREET, Drive, source_drive, target_drive

_SOURCE_SWAY = 0.03
_GROUND, _TRAILER = 6, 30  # Cityscapes label ids without a train id that the world uses


def write_source(config: WorldConfig, folder: Path) -> None:
    """Write ``images/NNNNN.png`` and ``labels/NNNNN.png``, numbered from 1 as GTA-V's; all or nothing.

    Labels are palette images of Cityscapes label ids.
    """
    palette = _label_palette()
    with atomic(folder) as temporary:
        for name in ("images", "labels"):
            (temporary / name).mkdir(parents=True)
        drive = source_drive(config, 0)
        for number in progress(range(config.source_images), "source images"):
            street, frame = divmod(number, IMAGES_PER_STREET)
            if frame == 0:
                drive = source_drive(config, street)
            picture = drive.picture(frame, sway=_SOURCE_SWAY)
            name = f"{number + 1:05d}.png"
            write_png(temporary / "images" / name, picture.image)
            labels = Image.frombytes("P", picture.city.shape[::-1], picture.city.tobytes())
            labels.putpalette(palette)
            labels.save(temporary / "labels" / name)


def write_sequence(config: WorldConfig, sequence: str, folder: Path) -> None:
    """Write one target sequence, all or nothing: velodyne, labels, scribbles, images, calib, poses, times.

    Where an image is exposed before or after the sweep, each frame has a calibration of its own, ``calib/F.txt``.
    """
    drive = target_drive(config, number_of(sequence))
    images = [f"image_{camera.number}" for camera in drive.rig]
    per_frame = ["calib"] if any(camera.delay for camera in drive.rig) else []
    with atomic(folder) as temporary:
        for name in ("velodyne", "labels", "scribbles", *images, *per_frame):
            (temporary / name).mkdir(parents=True)
        for frame in progress(range(config.frames), f"sequence {sequence}"):
            _write_frame(config, drive, frame, temporary)
        _write_calibration(temporary / "calib.txt", drive.camera)
        _write_poses(temporary / "poses.txt", [drive.pose(frame) for frame in range(config.frames)], drive.camera)
        (temporary / "times.txt").write_text(
            "".join(f"{frame * FRAME_SECONDS:.6e}\n" for frame in range(config.frames)), encoding="utf-8"
        )


def number_of(sequence: str) -> int:
    """Number of a sequence's street: its name where that is a number, else a larger one from the name alone."""
    return int(sequence) if sequence.isdecimal() else 10**6 + zlib.crc32(sequence.encode())


def _write_frame(config: WorldConfig, drive: Drive, frame: int, folder: Path) -> None:
    name = f"{frame:06d}"
    sweep = drive.scan(frame)
    write_array(folder / "velodyne" / f"{name}.bin", sweep.points.astype("<f4"))
    write_array(folder / "labels" / f"{name}.label", sweep.label.astype("<u4"))
    scribbles = simulate_scribbles(
        sweep.points,
        SEMANTICKITTI.to_train_ids(sweep.label),
        instance_ids(sweep.label),
        config.scribble_fraction,
        config.scribble_margin,
        drive.scribble_rng(frame),
        SEMANTICKITTI,
    )
    write_array(folder / "scribbles" / f"{name}.label", SEMANTICKITTI.to_raw_ids(scribbles).astype("<u4"))
    for index, camera in enumerate(drive.rig):
        write_png(folder / f"image_{camera.number}" / f"{name}.png", drive.picture(frame, index).image)
    if (folder / "calib").is_dir():
        _write_calibration(folder / "calib" / f"{name}.txt", drive.cameras(frame)[0])


def _numbers(matrix: np.ndarray) -> str:
    return " ".join(f"{value:.12e}" for value in matrix.ravel())


def _write_calibration(path: Path, camera: Camera) -> None:
    lines = [f"{name}: {_numbers(matrix)}\n" for name, matrix in camera.p.items()]
    path.write_text("".join([*lines, f"Tr: {_numbers(camera.tr[:3])}\n"]), encoding="utf-8")


def _write_poses(path: Path, poses: list[np.ndarray], camera: Camera) -> None:
    """One line a frame: the reference camera's pose in its own frame at frame 0."""
    inverse, first = np.linalg.inv(camera.tr), np.linalg.inv(poses[0])
    path.write_text(
        "".join(f"{_numbers((camera.tr @ first @ pose @ inverse)[:3])}\n" for pose in poses), encoding="utf-8"
    )


def _label_palette() -> bytes:
    colors = np.zeros((256, 3), np.uint8)
    colors[CITYSCAPES.raw_ids] = CITYSCAPES.colors
    colors[_GROUND], colors[_TRAILER] = (81, 0, 81), (0, 0, 110)
    return colors.tobytes()
