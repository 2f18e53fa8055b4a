"""What lies in a sequence's folder, as the checks keep it."""

import os
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from ignet.data.check.faults import Fault, Faults, named
from ignet.data.formats import kitti
from ignet.data.formats.calibration import Calibration
from ignet.data.formats.official import CAMERA, JPEG, KINDS
from ignet.files.names import in_order, scan_name


@dataclass
class SequenceTree:
    """What lies in a sequence's folder.

    Attributes:
        sequence: its name.
        folder: its folder.
        sizes: bytes of each file by kind (`ignet.data.formats.official.KINDS`) and frame.
        broken: frames of each kind whose file needs no reading, because it is known to be faulty.
        jpeg: kinds of images whose folder holds JPEGs.
        partial: kinds of which scans may lack a file, and one of them in words.
        ignored: files of each kind's folder that no stage looks at and that do no harm.
        cameras: numbers of those whose images are asked for.
        image_sizes: width and height in pixels by camera and frame.
        calibrations: by camera, of the sequence and of each frame that has its own; those that can be read.
        faults: what is wrong.
    """

    sequence: str
    folder: Path
    sizes: dict[str, dict[str, int]] = field(default_factory=dict)
    broken: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    jpeg: set[str] = field(default_factory=set)
    partial: dict[str, str] = field(default_factory=dict)
    ignored: dict[str, list[str]] = field(default_factory=dict)
    cameras: tuple[int, ...] = (CAMERA,)
    image_sizes: dict[int, dict[str, tuple[int, int]]] = field(default_factory=dict)
    calibrations: dict[tuple[int, str | None], Calibration] = field(default_factory=dict)
    faults: Faults = field(default_factory=Faults)

    @property
    def frames(self) -> list[str]:
        """Names of the scans, in natural order."""
        return in_order(self.sizes.get("scans", {}))

    @property
    def notes(self) -> list[str]:
        """One line for each folder with files that no stage looks at."""
        return [
            f"{self.folder / KINDS[kind].folder}: no stage reads {named(files)}, by the name of no scan"
            for kind, files in self.ignored.items()
            if files
        ]

    def image_size(self, camera: int) -> tuple[int, int] | None:
        """Width and height of most images of a camera; None where none could be read."""
        common = Counter(self.image_sizes.get(camera, {}).values()).most_common(1)
        return common[0][0] if common else None

    def calibration(self, camera: int, frame: str) -> Calibration | None:
        """A camera's calibration at a frame: its own, or the sequence's; None where it cannot be read."""
        own = (camera, frame)
        return self.calibrations.get(own if frame in self.calibrated else (camera, None))

    @cached_property
    def calibrated(self) -> frozenset[str]:
        """Frames with a calibration file of their own, in the folder ``calib``."""
        try:
            names = os.listdir(self.folder / "calib")
        except OSError:
            return frozenset()
        return frozenset(name for file in names if (name := scan_name(file, ".txt"))) & set(self.frames)

    def suffix(self, kind: str) -> str:
        """Of the files of a kind; a folder of images holds PNGs, or, where it has none of them, JPEGs."""
        return JPEG if kind in self.jpeg else KINDS[kind].suffix

    def path(self, kind: str, frame: str) -> Path:
        """File of a frame."""
        return self.folder / KINDS[kind].folder / f"{frame}{self.suffix(kind)}"

    def points(self, frame: str) -> int:
        """Points of a scan, from its size."""
        return self.sizes["scans"][frame] // kitti.POINT_BYTES

    def readable(self, kind: str, frame: str) -> bool:
        """Whether the file is there and nothing is known to be wrong with it."""
        return frame in self.sizes.get(kind, {}) and frame not in self.broken[kind]

    def fault(self, name: str, kind: str, frames: Iterable[str], found: str, expected: str, remedy: str) -> None:
        """Keep one fault of some frames' files of one kind."""
        frames = in_order(frames)
        files = tuple(f"{frame}{self.suffix(kind)}" for frame in frames)
        self.broken[kind] |= set(frames)
        self.faults.append(
            Fault(name, self.path(kind, frames[0]), found, expected, remedy, KINDS[kind].download, files)
        )
