"""Headers of a sequence's images, and its calibration: what a few bytes tell."""

import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ignet.data.check.calibration import calibration_faults
from ignet.data.check.faults import Fault, as_fault
from ignet.data.check.tree import SequenceTree, alike
from ignet.data.formats import kitti, png
from ignet.data.formats.official import CALIBRATION, KINDS

_READERS = 16  # threads: headers are a few bytes each, and the disk's answer is what they wait for


def check_images(tree: SequenceTree) -> None:
    """Headers and last bytes of all images, and that they are of one size."""
    frames = [frame for frame in sorted(tree.sizes.get("images", {})) if tree.readable("images", frame)]
    with ThreadPoolExecutor(_READERS) as pool:
        headers = dict(zip(frames, pool.map(lambda frame: _header(tree.path("images", frame)), frames), strict=True))
    for frame, header in headers.items():
        if isinstance(header, Fault):
            tree.faults.append(header)
            tree.broken["images"].add(frame)
        else:
            tree.image_sizes[frame] = header
    counts = Counter(tree.image_sizes.values())
    if len(counts) > 1:
        (width, height), _ = counts.most_common(1)[0]
        other = [frame for frame, size in tree.image_sizes.items() if size != (width, height)]
        found = "found {}x{} pixels".format(*tree.image_sizes[min(other)])
        remedy = "these are of another sequence or camera, or were resized: unpack them again"
        tree.fault(
            "image-size", "images", other, found, f"{width}x{height} as the others of this sequence have", remedy
        )


def _header(path: Path) -> tuple[int, int] | Fault:
    """Width and height of a PNG, or what is wrong with it."""
    download, again = KINDS["images"].download, "unpack it again"
    try:
        with path.open("rb") as file:
            header = png.parse_header(file.read(png.START_BYTES))
            file.seek(-min(png.END_BYTES, os.fstat(file.fileno()).st_size), os.SEEK_END)
            end = file.read()
    except OSError as error:
        return as_fault(error, "unreadable", path, download)
    if header is None:
        size = path.stat().st_size
        return Fault("image-format", path, f"found {size} bytes that are no PNG", "a PNG image", again, download)
    if png.END not in end:
        found = f"found {path.stat().st_size} bytes that are no whole image"
        return Fault("image-cut", path, found, "a PNG to its end", f"unpacking was stopped: {again}", download)
    for kind, fault in png.pixel_faults(header):
        return as_fault(fault, kind, path, download)
    return header.width, header.height


def check_calibration(tree: SequenceTree) -> None:
    """Read the calibration into the tree; it must be there, whole, and one that a camera can have."""
    path = tree.folder / "calib.txt"
    if not os.path.lexists(path) and (other := alike(tree.folder, path.name)):
        tree.faults.append(
            Fault("file-name", path.with_name(other), f"found the name '{other}'", "'calib.txt'", "rename it")
        )
        return
    with tree.faults.kept("calibration", path, CALIBRATION):
        calibration = kitti.read_calibration(path)
        found = calibration_faults(calibration, path, tree.image_size)
        tree.faults.take(found)
        tree.calibration = None if found else calibration
