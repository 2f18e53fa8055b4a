"""Which points of a scan the camera sees, and at which pixels: one HDF5 file a sequence."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ignet.files.ragged import Column, FlatReader, FlatWriter

LAYOUT = ("correspondence", 2)
_SCANS = {"points": Column(np.int32), "size": Column(np.int32, (2,)), "sector": Column(np.float32, (2,))}
_COLUMNS = {"index": Column(np.int32), "pixel": Column(np.float32, (2,)), "scribble": Column(np.uint8)}


@dataclass(frozen=True)
class FrameCorrespondence:
    """The visible points of one frame.

    Attributes:
        index: int32 (n,), ascending point numbers in the scan.
        pixel: float32 (n, 2), column and row; the centre of the top-left pixel is (0, 0).
        scribble: uint8 (n,), Cityscapes train id of the point's scribble, 255 where it has none: the sparse scribble
            image in coordinate form.
        points: number of points of the whole scan.
        width, height: size of the image in pixels.
        sector: the camera's azimuth interval (low, high) in radians, see
            `ignet.data.projection.geometry.camera_sector`.
    """

    index: NDArray[np.int32]
    pixel: NDArray[np.float32]
    scribble: NDArray[np.uint8]
    points: int
    width: int
    height: int
    sector: tuple[float, float]


class CorrespondenceWriter(FlatWriter):
    """Writes a sequence's correspondence: ``with CorrespondenceWriter(path) as writer: writer.add(...)``; atomic."""

    def __init__(self, path: Path, attributes: dict[str, str] | None = None) -> None:
        """Args: path: the file to make. attributes: strings that are kept with it."""
        super().__init__(path, LAYOUT, _SCANS, _COLUMNS, attributes)

    def add(self, frame: str, points: FrameCorrespondence) -> None:
        """Add one frame.

        Raises:
            IgnetError: no scan can be called that, or it was added before.
            ValueError: the arrays differ in length.
        """
        facts = {"points": points.points, "size": (points.width, points.height), "sector": points.sector}
        self.append(frame, facts, {"index": points.index, "pixel": points.pixel, "scribble": points.scribble})


class Correspondence(FlatReader):
    """Reads the correspondence of a sequence; each process opens the file for itself.

    Attributes:
        frames: names of the frames.
        attributes: the writer's strings.
    """

    def __init__(self, path: Path) -> None:
        """Raises: IgnetError: the file is missing, cut short, or of another layout version."""
        super().__init__(path, LAYOUT, tuple(_SCANS), tuple(_COLUMNS), "run the rule projection again for it")

    def read(self, frame: str) -> FrameCorrespondence:
        """The visible points of a frame.

        Raises:
            IgnetError: there is no such frame.
        """
        facts, rows = self._facts(frame), self._rows(frame)
        (width, height), (low, high) = facts["size"], facts["sector"]
        return FrameCorrespondence(
            rows["index"],
            rows["pixel"],
            rows["scribble"],
            int(facts["points"]),
            int(width),
            int(height),
            (float(low), float(high)),
        )
