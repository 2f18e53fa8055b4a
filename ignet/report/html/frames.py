"""Scans as the page shows them: points, labels, predictions, and what the 2D networks make of the camera image."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from ignet.config.report import ReportConfig
from ignet.data.formats import kitti
from ignet.data.images.target import nearest_pixels, read_view
from ignet.data.label_sets.files import labelled_frames, read_classes
from ignet.data.label_sets.label_set import CITYSCAPES, IGNORE, LabelSet
from ignet.data.lidar.spacing import middles
from ignet.data.projection.correspondence import Correspondence, FrameCorrespondence
from ignet.errors import IgnetError
from ignet.evaluate.predictions import read_predictions
from ignet.log import progress
from ignet.models.teachers.base import FrozenTeacher, image_batch
from ignet.report.html.components import FeatureColors
from ignet.report.html.pack import class_png, jpeg, packed, quantised


@dataclass(frozen=True)
class Sources:
    """Where scans and what belongs to them lie.

    Attributes:
        dataset: folder that holds ``sequences/``.
        scribbles: folder whose ``sequences/NN/scribbles`` are shown; they need not be there.
        projection: folder of each sequence's correspondence file.
        predictions: of each run, the folder that holds ``sequences/NN/predictions``.
        networks: 2D networks to segment the images with.
        label_set: of labels, scribbles and predictions.
        evaluate_on: ``labels`` or ``scribbles``, what validation scans are evaluated on.
        features: that of the 2D networks whose features are shown; '' for none.
    """

    dataset: Path
    scribbles: Path
    projection: Mapping[str, Path]
    predictions: Mapping[str, Path]
    networks: Mapping[str, FrozenTeacher]
    label_set: LabelSet
    evaluate_on: str = "labels"
    features: str = ""


@dataclass
class Frame:
    """One scan; ids are LiDAR train ids, 255 for none.

    Attributes:
        sequence, frame, role: its place; the role is ``val`` or ``train``.
        points: float32 (N, 3), metres.
        images: of each camera, uint8 (H, W, 3), not enlarged or reduced.
        visible: the points that the cameras see.
        street: uint8 (n,), Cityscapes ids of their labels, 255 for none; None: the scan has no labels.
        layers: uint8 (N,) each: ``truth``, ``scribble`` and ``run:NAME`` where they are there.
        segmented: Cityscapes ids, uint8 (H, W), by 2D network and camera.
        features: float16 (h, w, D) of each camera, of the one network whose features are shown; empty: there is none.
        point_features: float32 (n, D), of the visible points.
    """

    sequence: str
    frame: str
    role: str
    points: NDArray[np.float32]
    images: dict[int, NDArray[np.uint8]]
    visible: FrameCorrespondence
    layers: dict[str, NDArray[np.uint8]]
    street: NDArray[np.uint8] | None
    segmented: dict[tuple[str, int], NDArray[np.uint8]] = field(default_factory=dict)
    features: dict[int, NDArray[np.float16]] = field(default_factory=dict)
    point_features: NDArray[np.float32] | None = None


def spread_over(sequences: Sequence[tuple[str, Sequence[str]]], count: int) -> list[tuple[str, str]]:
    """At most ``count`` frames, as many of each sequence, one more of the first ones where it does not divide.

    Args:
        sequences: name and frames of each.
        count: how many in all.

    Returns:
        Sequence and frame: the middles of equally long parts of each sequence.
    """
    chosen = []
    for number, (sequence, frames) in enumerate(sequences):
        share = count // len(sequences) + (number < count % len(sequences))
        chosen += [(sequence, frame) for frame in middles(frames, share)]
    return chosen


def choose_frames(
    sources: Sources, val: Sequence[str], train: Sequence[str], settings: ReportConfig
) -> list[tuple[str, str, str]]:
    """Sequence, frame and role of the scans to show: first those of the validation, with labels where some have any."""
    files = {sequence: Correspondence(sources.projection[sequence]) for sequence in (*val, *train)}
    frames = {sequence: [name for name in file.frames if file.views(name)] for sequence, file in files.items()}
    evaluated = [(name, labelled_frames(sources.dataset, name, frames[name], sources.evaluate_on)) for name in val]
    return [(*place, "val") for place in spread_over(evaluated, settings.validation_frames)] + [
        (*place, "train") for place in spread_over([(name, frames[name]) for name in train], settings.training_frames)
    ]


def read_frames(sources: Sources, chosen: Sequence[tuple[str, str, str]], device: torch.device) -> list[Frame]:
    """Read scans and run the 2D networks on their images.

    Raises:
        IgnetError: a file is missing, damaged or of another scan.
    """
    frames = []
    for sequence, name, role in progress(chosen, "scan of the report"):
        visible = Correspondence(sources.projection[sequence]).read(name)
        images = {
            camera: read_view(kitti.image_path(sources.dataset, sequence, name, camera), view)
            for camera, view in visible.views.items()
        }
        points = kitti.read_positions(kitti.scan_path(sources.dataset, sequence, name))
        if len(points) != visible.points:
            where = kitti.scan_path(sources.dataset, sequence, name)
            raise IgnetError(
                f"{where}: found {len(points)} points, expected {visible.points} as in its projection; run that again"
            )
        layers = _layers(sources, sequence, name, role, len(points))
        street = sources.label_set.to_camera_ids(layers["truth"])[visible.index] if "truth" in layers else None
        frame = Frame(sequence, name, role, points, images, visible, layers, street)
        for network, model in sources.networks.items():
            for camera in images:
                _segment(frame, network, model, camera, network == sources.features, device)
        frames.append(frame)
    return frames


def feature_colors(frames: Sequence[Frame]) -> FeatureColors | None:
    """The colours of all shown features; none where there are too few."""
    maps = [features.reshape(-1, features.shape[-1]) for frame in frames for features in frame.features.values()]
    return FeatureColors(maps) if sum(map(len, maps)) > 1 else None


def frame_json(frame: Frame, colors: FeatureColors | None, settings: ReportConfig) -> dict[str, Any]:
    """A scan as the page's scripts read it; arrays are packed (``ignet.report.html.pack``)."""
    coordinates, unit = quantised(frame.points)
    values: dict[str, Any] = {
        "name": f"{frame.sequence} / {frame.frame}",
        "role": frame.role,
        "points": len(frame.points),
        "unit": unit,
        "xyz": packed(coordinates),
        "layers": {name: packed(ids) for name, ids in frame.layers.items()},
        "wrong": _shares_wrong(frame),
        "sectors": [list(sector) for sector in frame.visible.sectors.values()],
        "seen": {
            # gaps between ascending numbers compress better than the numbers
            "camera": packed(frame.visible.camera),
            "gaps": packed(np.diff(frame.visible.index, prepend=0).astype(np.int32)),
            "pixel": packed(np.rint(16 * frame.visible.pixel.T).clip(0, 65535).astype(np.uint16)),
            "scribble": packed(frame.visible.scribble),
            "street": None if frame.street is None else packed(frame.street),
        },
        "views": [_view_json(frame, camera, colors, settings) for camera in frame.images],
    }
    if colors and frame.point_features is not None:
        values["features"] = packed(colors(frame.point_features))
    return values


def _view_json(frame: Frame, camera: int, colors: FeatureColors | None, settings: ReportConfig) -> dict[str, Any]:
    """A camera's image, and what the 2D networks make of it."""
    image = frame.images[camera]
    height, width = image.shape[:2]
    scale = min(1.0, settings.image_width / width)
    segmented = {name: ids for (name, number), ids in frame.segmented.items() if number == camera}
    values = {
        "camera": camera,
        "image": {"width": width, "height": height, "data": jpeg(_reduced(image, scale), settings.image_quality)},
        "networks": {name: _network_json(frame, camera, ids, scale) for name, ids in segmented.items()},
    }
    if colors and camera in frame.features:
        values["features"] = jpeg(colors(frame.features[camera]), 92)
    return values


def _layers(sources: Sources, sequence: str, frame: str, role: str, points: int) -> dict[str, NDArray[np.uint8]]:
    kind = sources.evaluate_on if role == "val" else "labels"
    labels = kitti.labels_path(sources.dataset, sequence, frame, kind)
    scribbles = kitti.scribble_path(sources.scribbles, sequence, frame)
    layers = {}
    for layer, path in (("truth", labels), ("scribble", scribbles)):
        if path.exists():
            layers[layer] = read_classes(path, points, sources.label_set)
    if role == "val":
        layers |= {
            f"run:{run}": read_predictions(folder, sequence, frame, points, sources.label_set)
            for run, folder in sources.predictions.items()
        }
    return layers


@torch.no_grad()
def _segment(
    frame: Frame, network: str, model: FrozenTeacher, camera: int, keep_features: bool, device: torch.device
) -> None:
    output = model(image_batch(frame.images[camera], device))
    if output.logits is not None:
        frame.segmented[network, camera] = output.logits[0].argmax(dim=0).to(torch.uint8).cpu().numpy()
    if keep_features:
        features, rows = output.features[0].float(), frame.visible.rows(camera)
        frame.features[camera] = features.permute(1, 2, 0).to(torch.float16).cpu().numpy()
        if frame.point_features is None:
            frame.point_features = np.zeros((len(frame.visible.index), model.channels), np.float32)
        pixel = torch.from_numpy(frame.visible.pixel[rows]).to(device)
        frame.point_features[rows] = model.sample(features, pixel).cpu().numpy()


def _shares_wrong(frame: Frame) -> dict[str, float]:
    """Share of the labelled points that each run gets wrong."""
    target = frame.layers.get("truth")
    if target is None or not (target != IGNORE).any():
        return {}
    runs = {name: ids for name, ids in frame.layers.items() if name.startswith("run:")}
    return {name.removeprefix("run:"): float((ids != target)[target != IGNORE].mean()) for name, ids in runs.items()}


def _network_json(frame: Frame, camera: int, ids: NDArray[np.uint8], scale: float) -> dict[str, Any]:
    size = (round(ids.shape[1] * scale), round(ids.shape[0] * scale))
    reduced = np.asarray(cv2.resize(ids, size, interpolation=cv2.INTER_NEAREST), np.uint8)
    values: dict[str, Any] = {"map": class_png(reduced, CITYSCAPES.colors)}
    if frame.street is not None:
        seen, view = frame.visible.rows(camera), frame.visible.views[camera]
        columns, rows = nearest_pixels(frame.visible.pixel[seen], view.width, view.height)
        street = frame.street[seen]
        known = street != IGNORE
        values["wrong"] = float((ids[rows, columns] != street)[known].mean()) if known.any() else None
    return values


def _reduced(image: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    if scale == 1.0:
        return image
    size = (round(image.shape[1] * scale), round(image.shape[0] * scale))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
