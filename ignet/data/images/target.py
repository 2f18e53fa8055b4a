"""Target images with the labels of the LiDAR points that are projected into them."""

from collections.abc import Collection
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ignet.data.formats.kitti import frame_ids, image_path, label_path, read_image, scribble_path
from ignet.data.formats.splits import Scan, labelled_scans, labelled_split, pools
from ignet.data.label_sets.files import read_classes
from ignet.data.label_sets.label_set import CITYSCAPES, IGNORE, LabelSet
from ignet.data.projection.correspondence import Correspondence, FrameCorrespondence, View
from ignet.errors import IgnetError
from ignet.log import log


class TargetFrames:
    """Target images of all cameras with the labels of their projected points.

    Args:
        root: the dataset.
        projections: correspondence file of each sequence.
        supervision: scribbles: labels at the projected scribbles; dense: at all visible points (label files are read
            for this alone); none: no labels.
        labelled: the (sequence, frame) whose labels may be used; None: all.
        cameras: numbers of those whose images are taken; None: all.
        label_set: of the label files.
        scribbles: folder whose scribbles are read as the label set's own classes; None: labels are Cityscapes'.

    Attributes:
        classes: number of the classes.
        items: sequence, frame and camera of each image.
        pools: numbers of the images of labelled frames, then of the unlabelled ones, see
            `ignet.data.formats.splits.pools`.
    """

    def __init__(
        self,
        root: Path,
        projections: dict[str, Path],
        supervision: Literal["none", "scribbles", "dense"],
        labelled: Collection[Scan] | None = None,
        cameras: Collection[int] | None = None,
        *,
        label_set: LabelSet,
        scribbles: Path | None = None,
    ) -> None:
        self.scribbles, self.classes = scribbles, len(label_set if scribbles else CITYSCAPES)
        self.root, self.supervision, self.label_set = root, supervision, label_set
        self.correspondence = {sequence: Correspondence(path, cameras) for sequence, path in projections.items()}
        self.items = [
            (sequence, frame, camera)
            for sequence, file in self.correspondence.items()
            for frame in file.frames
            for camera in file.views(frame)
        ]
        if not self.items:
            raise IgnetError(
                f"{root}: found no projected image of sequences {sorted(projections)}, expected one at least; run "
                "the projection"
            )
        scans = [(sequence, frame) for sequence, frame, _ in self.items]
        self._labelled = frozenset(scans if labelled is None else labelled)
        self.pools = pools(scans, self._labelled)

    def __len__(self) -> int:
        return len(self.items)

    def class_counts(self) -> NDArray[np.int64]:
        """Projected labels of each class that may be used, int64 (images, classes)."""
        counts = []
        for sequence, file in self.correspondence.items():
            for frame in file.frames:
                points = file.read(frame)
                ids = self._ids((sequence, frame), points)
                for camera in points.views:
                    own = ids[points.rows(camera)]
                    counts.append(np.bincount(own[own != IGNORE], minlength=self.classes))
        return np.stack(counts)

    def read(self, item: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Image uint8 (H, W, 3) RGB, and sparse label uint8 (H, W), class ids, 255 elsewhere."""
        sequence, frame, camera = self.items[item]
        points = self.correspondence[sequence].read(frame)
        image = read_view(image_path(self.root, sequence, frame, camera), points.views[camera])
        rows, ids = points.rows(camera), self._ids((sequence, frame), points)
        return image, sparse_label_image(points.pixel[rows], ids[rows], image.shape[1], image.shape[0])

    def _ids(self, scan: Scan, points: FrameCorrespondence) -> NDArray[np.uint8]:
        if self.supervision == "none" or scan not in self._labelled:
            return np.full(len(points.pixel), IGNORE, np.uint8)
        if self.scribbles:
            return class_labels(scribble_path(self.scribbles, *scan), points, self.label_set, required=True)
        if self.supervision == "scribbles":
            return points.scribble
        return projected_labels(label_path(self.root, *scan), points, self.label_set, required=True)


def open_target(
    root: Path,
    projections: dict[str, Path],
    supervision: Literal["none", "scribbles", "dense"],
    labelled_frames: int | None,
    cameras: Collection[int] | None = None,
    *,
    label_set: LabelSet,
    scribbles: Path | None = None,
) -> TargetFrames:
    """`TargetFrames` of which ``labelled_frames`` per cent may use their labels (None: all); the log says which."""
    frames = {sequence: frame_ids(root, sequence) for sequence in projections}
    split = labelled_scans(frames, labelled_frames)
    if split is None and (scribbles or supervision == "dense"):
        split = labelled_split(scribbles or root, frames, "scribbles" if scribbles else "dense")
    if split:
        log.info("%s", split)
    labelled = split.scans if split else None
    return TargetFrames(root, projections, supervision, labelled, cameras, label_set=label_set, scribbles=scribbles)


def projected_labels(
    path: Path, points: FrameCorrespondence, label_set: LabelSet, required: bool = False
) -> NDArray[np.uint8]:
    """Labels of a frame's visible points, of a label file: uint8 (n,), Cityscapes ids, 255 where the class has none.

    Raises:
        IgnetError: the label file belongs to another scan, see `ignet.data.label_sets.files.read_classes`.
    """
    return label_set.to_camera_ids(class_labels(path, points, label_set, required))


def class_labels(
    path: Path, points: FrameCorrespondence, label_set: LabelSet, required: bool = False
) -> NDArray[np.uint8]:
    """Labels of a frame's visible points, of a label file: uint8 (n,), the label set's own train ids, 255 for none.

    Raises:
        IgnetError: the label file belongs to another scan, see `ignet.data.label_sets.files.read_classes`.
    """
    return read_classes(path, points.points, label_set, required)[points.index]


def read_view(path: Path, view: View) -> NDArray[np.uint8]:
    """Read the image that points were projected into: uint8 (H, W, 3), RGB.

    Raises:
        IgnetError: the file is missing, is no whole image, or of another size than in the projection.
    """
    image = read_image(path)
    height, width = image.shape[:2]
    if (width, height) != (view.width, view.height):
        raise IgnetError(
            f"{path}: found {width}x{height} pixels, expected {view.width}x{view.height} as in its projection; "
            "run projection again"
        )
    return image


def sparse_label_image(
    pixel: NDArray[np.floating], ids: NDArray[np.uint8], width: int, height: int
) -> NDArray[np.uint8]:
    """Draw labels at projected points.

    Args:
        pixel: float (n, 2), columns u and rows v; the centre of the top-left pixel is (0, 0).
        ids: uint8 (n,), 255 for a point without a label.
        width: of the image.
        height: of the image.

    Returns:
        uint8 (H, W), 255 where no labelled point lies; of several in one pixel the last counts.
    """
    image = np.full((height, width), IGNORE, np.uint8)
    has = ids != IGNORE
    columns, rows = nearest_pixels(pixel[has], width, height)
    image[rows, columns] = ids[has]
    return image


def nearest_pixels(pixel: NDArray[np.floating], width: int, height: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Columns and rows, int64 (n,) each, of the pixels whose centres lie nearest to the positions (n, 2)."""
    nearest = np.floor(pixel + 0.5).astype(np.int64)
    return nearest[:, 0].clip(0, width - 1), nearest[:, 1].clip(0, height - 1)
