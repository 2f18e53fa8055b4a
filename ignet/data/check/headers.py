"""Headers of a sequence's images, and its calibration: what a few bytes tell."""

import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ignet.data.check.calibration import calibration_faults
from ignet.data.check.faults import Fault, as_fault
from ignet.data.check.sequence_tree import SequenceTree
from ignet.data.check.tree import alike
from ignet.data.formats import jpeg, png
from ignet.data.formats.calibration import read_calibration
from ignet.data.formats.official import CALIBRATION, JPEG, KINDS, image_kinds
from ignet.data.formats.origin import restore
from ignet.files.names import in_order

_READERS = 16  # threads: headers are a few bytes each, and the disk's answer is what they wait for


def check_images(tree: SequenceTree) -> None:
    """Headers and last bytes of all images, and that those of one camera and one calibration are of one size."""
    for camera, kind in image_kinds(tree.cameras).items():
        frames = [frame for frame in sorted(tree.sizes.get(kind, {})) if tree.readable(kind, frame)]
        with ThreadPoolExecutor(_READERS) as pool:
            headers = dict(zip(frames, pool.map(_header, [tree.path(kind, frame) for frame in frames]), strict=True))
        sizes = tree.image_sizes.setdefault(camera, {})
        for frame, header in headers.items():
            if isinstance(header, Fault):
                tree.faults.append(header)
                tree.broken[kind].add(frame)
            else:
                sizes[frame] = header
        _check_size(tree, kind, {frame: size for frame, size in sizes.items() if frame not in tree.calibrated})


def _check_size(tree: SequenceTree, kind: str, sizes: dict[str, tuple[int, int]]) -> None:
    counts = Counter(sizes.values())
    if len(counts) > 1:
        (width, height), _ = counts.most_common(1)[0]
        other = [frame for frame, size in sizes.items() if size != (width, height)]
        found = "found {}x{} pixels".format(*sizes[min(other)])
        again = restore(tree.folder, "them")
        remedy = f"these are of another sequence or camera, or were resized: {again}"
        tree.fault("image-size", kind, other, found, f"{width}x{height} as the others of this sequence have", remedy)


def _header(path: Path) -> tuple[int, int] | Fault:
    """Width and height of an image, or what is wrong with it."""
    download = KINDS["images"].download
    name, last = ("JPEG", jpeg.END) if path.suffix == JPEG else ("PNG", png.END)
    try:
        with path.open("rb") as file:
            start = file.read(png.START_BYTES)
            file.seek(-min(png.END_BYTES, os.fstat(file.fileno()).st_size), os.SEEK_END)
            end = file.read()
        header = jpeg.read_header(path) if path.suffix == JPEG else png.parse_header(start)
    except OSError as error:
        return as_fault(error, "unreadable", path, download)
    if header is None:
        size = path.stat().st_size
        return Fault(
            "image-format", path, f"found {size} bytes that are no {name}", f"a {name} image", restore(path), download
        )
    if last not in end:
        found = f"found {path.stat().st_size} bytes that are no whole image"
        return Fault(
            "image-cut",
            path,
            found,
            f"a {name} to its end",
            f"copying or unpacking was stopped: {restore(path)}",
            download,
        )
    for kind, fault in png.pixel_faults(header):
        return as_fault(fault, kind, path, download)
    return header.width, header.height


def check_calibration(tree: SequenceTree) -> None:
    """Read the calibrations into the tree; they must be there, whole, and such as a camera can have."""
    path = tree.folder / "calib.txt"
    if not os.path.lexists(path) and (other := alike(tree.folder, path.name)):
        tree.faults.append(
            Fault("file-name", path.with_name(other), f"found the name '{other}'", "'calib.txt'", "rename it")
        )
        return
    if not tree.calibrated.issuperset(tree.frames):
        for camera in tree.cameras:
            _check_file(tree, path, camera, None, tree.image_size(camera))
    for frame in in_order(tree.calibrated):
        own = tree.folder / "calib" / f"{frame}.txt"
        for camera in tree.cameras:
            if frame in (sizes := tree.image_sizes.get(camera, {})):
                _check_file(tree, own, camera, frame, sizes[frame])


def _check_file(tree: SequenceTree, path: Path, camera: int, frame: str | None, size: tuple[int, int] | None) -> None:
    with tree.faults.kept("calibration", path, CALIBRATION):
        calibration = read_calibration(path, camera)
        found = calibration_faults(calibration, path, size, camera)
        tree.faults.take(found)
        if not found:
            tree.calibrations[camera, frame] = calibration
