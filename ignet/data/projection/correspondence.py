"""Which points of a scan the cameras see, and at which pixels: one HDF5 file a sequence."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ignet.data.formats.official import CAMERA
from ignet.errors import IgnetError
from ignet.files.ragged import Column, FlatReader, FlatWriter

LAYOUT = ("correspondence", 3)
_SCANS = ("points", "size", "sector")
_COLUMNS = {
    "index": Column(np.int32),
    "camera": Column(np.uint8),
    "pixel": Column(np.float32, (2,)),
    "scribble": Column(np.uint8),
}


class View(NamedTuple):
    """What a camera looks at in one frame.

    Attributes:
        width, height: size of its image in pixels.
        sector: its azimuth interval (low, high) in radians, see `ignet.data.projection.geometry.camera_sector`.
    """

    width: int
    height: int
    sector: tuple[float, float]


@dataclass(frozen=True)
class FrameCorrespondence:
    """The visible points of one frame, each in one camera's image.

    Attributes:
        index: int32 (n,), ascending point numbers in the scan.
        camera: uint8 (n,), number of the camera in whose image the point lies.
        pixel: float32 (n, 2), column and row in it; the centre of the top-left pixel is (0, 0).
        scribble: uint8 (n,), Cityscapes train id of the point's scribble, 255 where it has none: the sparse scribble
            images in coordinate form.
        points: number of points of the whole scan.
        views: by camera; a camera without an image of this frame is not there.
    """

    index: NDArray[np.int32]
    camera: NDArray[np.uint8]
    pixel: NDArray[np.float32]
    scribble: NDArray[np.uint8]
    points: int
    views: Mapping[int, View]

    def rows(self, camera: int) -> NDArray[np.int64]:
        """Numbers of the visible points that lie in one camera's image, int64 (m,), ascending."""
        return np.flatnonzero(self.camera == camera)

    @property
    def sectors(self) -> dict[int, tuple[float, float]]:
        """Azimuth interval of each camera with an image."""
        return {camera: view.sector for camera, view in self.views.items()}


class CorrespondenceWriter(FlatWriter):
    """Writes a sequence's correspondence: ``with CorrespondenceWriter(path) as writer: writer.add(...)``; atomic."""

    def __init__(
        self, path: Path, attributes: dict[str, str] | None = None, cameras: Sequence[int] = (CAMERA,)
    ) -> None:
        """Create the file.

        Args:
        path: the file to make.
        attributes: strings that are kept with it.
        cameras: numbers of the cameras.
        """
        self._cameras, count = tuple(cameras), len(cameras)
        scans = dict(
            zip(_SCANS, (Column(np.int32), Column(np.int32, (count, 2)), Column(np.float32, (count, 2))), strict=False)
        )
        super().__init__(path, LAYOUT, scans, _COLUMNS, {**(attributes or {}), "cameras": _text(cameras)})

    def add(self, frame: str, points: FrameCorrespondence) -> None:
        """Add one frame.

        Raises:
            IgnetError: no scan can be called that, or it was added before.
            ValueError: the arrays differ in length, or a camera is none of the file's.
        """
        if other := sorted({*points.views, *np.unique(points.camera).tolist()} - {*self._cameras}):
            raise ValueError(f"frame {frame}: found cameras {other}, expected some of {list(self._cameras)}")
        views = [points.views.get(camera, _NO_VIEW) for camera in self._cameras]
        facts = {
            "points": points.points,
            "size": [(view.width, view.height) for view in views],
            "sector": [view.sector for view in views],
        }
        self.append(frame, facts, {name: getattr(points, name) for name in _COLUMNS})


class Correspondence(FlatReader):
    """Reads the correspondence of a sequence; each process opens the file for itself.

    Attributes:
        frames: names of the frames.
        cameras: numbers of the cameras.
        attributes: the writer's strings.
    """

    def __init__(self, path: Path, cameras: Collection[int] | None = None) -> None:
        """Open a file.

        Args:
            path: of the file.
            cameras: those whose views are given, each without the points that another camera sees nearer to its axis;
                None: all.

        Raises:
            IgnetError: the file is missing, cut short, of another layout version, or lacks one of the cameras.
        """
        super().__init__(path, LAYOUT, _SCANS, tuple(_COLUMNS), "run the rule projection again for it")
        self.cameras = tuple(int(camera) for camera in self.attributes["cameras"].split())
        self._given = frozenset(self.cameras if cameras is None else cameras)
        if lacking := sorted(self._given - set(self.cameras)):
            raise IgnetError(
                f"found cameras {_text(self.cameras)}, not {_text(lacking)}",
                "all that are asked for",
                "run the rule projection again for it",
                path=path,
            )

    def read(self, frame: str) -> FrameCorrespondence:
        """The visible points of a frame.

        Raises:
            IgnetError: there is no such frame.
        """
        rows = self._rows(frame)
        if self._given != set(self.cameras):
            given = np.isin(rows["camera"], list(self._given))
            rows = {name: values[given] for name, values in rows.items()}
        return FrameCorrespondence(**rows, points=int(self._facts(frame)["points"]), views=self.views(frame))

    def views(self, frame: str) -> dict[int, View]:
        """The cameras' views of a frame; a camera without an image of it is not there.

        Raises:
            IgnetError: there is no such frame.
        """
        facts = self._facts(frame)
        seen = zip(self.cameras, facts["size"].tolist(), facts["sector"].tolist(), strict=True)
        return {
            camera: View(size[0], size[1], (low, high))
            for camera, size, (low, high) in seen
            if size != [0, 0] and camera in self._given
        }


def figure_name(sequence: str, frame: str, camera: int, cameras: Sequence[int]) -> str:
    """What a figure of a camera's image is called; of a rig with one camera, by the frame alone."""
    return f"{sequence}_{frame}_camera{camera}" if len(cameras) > 1 else f"{sequence}_{frame}"


_NO_VIEW = View(0, 0, (0.0, 0.0))


def _text(numbers: Sequence[int]) -> str:
    return " ".join(map(str, numbers))
