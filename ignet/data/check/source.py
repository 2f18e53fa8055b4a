"""Faults of a source dataset: images and label images that make no pairs, or cannot be read."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from ignet.data.check.faults import Fault, as_fault
from ignet.data.formats.kitti import image_size
from ignet.data.formats.source_images import SourceDataset
from ignet.errors import IgnetError
from ignet.log import progress


@dataclass(frozen=True)
class SourceReport:
    """What was found in a source dataset.

    Attributes:
        root: its folder.
        layout: gtav, synthia or cityscapes.
        pairs: images with labels; 0 where they make no pairs.
        faults: what is wrong.
    """

    root: Path
    layout: str
    pairs: int
    faults: list[Fault]


def check_source(root: Path, layout: str, deep: bool, workers: int) -> SourceReport:
    """Check a source dataset: incomplete pairs, pairs of two sizes and, if read as a whole, their content.

    Args:
        root: its folder.
        layout: gtav, synthia or cityscapes.
        deep: read every pair.
        workers: threads that read.
    """
    try:
        source = SourceDataset(root, layout)
    except IgnetError as error:
        return SourceReport(root, layout, 0, [as_fault(error, "source-pairs", root)])

    def sizes(number: int) -> Fault | None:
        image, label = source.pairs[number]
        try:
            found, expected = image_size(label), image_size(image)
        except IgnetError as error:
            return as_fault(error, "source-image", label)
        if found == expected:
            return None
        width, height = expected
        wanted, remedy = f"{width}x{height} as {image} has", "remove this pair"
        return Fault("source-size", label, "found {}x{} pixels".format(*found), wanted, remedy)

    def read(number: int) -> Fault | None:
        try:
            source.read(number)
        except (IgnetError, OSError) as error:
            return as_fault(error, "source-image", source.pairs[number][1])
        return None

    with ThreadPoolExecutor(workers) as pool:
        found = progress(pool.map(read if deep else sizes, range(len(source))), "source images", total=len(source))
        return SourceReport(root, layout, len(source), [fault for fault in found if fault])
