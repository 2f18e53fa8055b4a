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
from ignet.data.images.target import check_size, nearest_pixels
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
        image: uint8 (H, W, 3), not enlarged or reduced.
        visible: the points that the camera sees.
        street: uint8 (n,), Cityscapes ids of their labels, 255 for none; None: the scan has no labels.
        layers: uint8 (N,) each: ``truth``, ``scribble`` and ``run:NAME`` where they are there.
        segmented: Cityscapes ids, uint8 (H, W), by 2D network.
        features: float16 (h, w, D), of the one network whose features are shown; none: there is no such network.
        point_features: float32 (n, D), of the visible points.
    """

    sequence: str
    frame: str
    role: str
    points: NDArray[np.float32]
    image: NDArray[np.uint8]
    visible: FrameCorrespondence
    layers: dict[str, NDArray[np.uint8]]
    street: NDArray[np.uint8] | None
    segmented: dict[str, NDArray[np.uint8]] = field(default_factory=dict)
    features: NDArray[np.float16] | None = None
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
    """Sequence, frame and role of the scans to show: those of the validation first."""
    frames = {sequence: Correspondence(sources.projection[sequence]).frames for sequence in (*val, *train)}
    shown = [
        (*place, "val") for place in spread_over([(name, frames[name]) for name in val], settings.validation_frames)
    ]
    return shown + [
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
        path = kitti.image_path(sources.dataset, sequence, name)
        image = kitti.read_image(path)
        check_size(image, visible, path)
        points = kitti.read_positions(kitti.scan_path(sources.dataset, sequence, name))
        if len(points) != visible.points:
            where = kitti.scan_path(sources.dataset, sequence, name)
            raise IgnetError(
                f"{where}: found {len(points)} points, expected {visible.points} as in its projection; run that again"
            )
        layers = _layers(sources, sequence, name, role, len(points))
        street = sources.label_set.to_camera_ids(layers["truth"])[visible.index] if "truth" in layers else None
        frame = Frame(sequence, name, role, points, image, visible, layers, street)
        for network, model in sources.networks.items():
            _segment(frame, network, model, network == sources.features, device)
        frames.append(frame)
    return frames


def feature_colors(frames: Sequence[Frame]) -> FeatureColors | None:
    """The colours of all shown features; none where there are too few."""
    maps = [frame.features.reshape(-1, frame.features.shape[-1]) for frame in frames if frame.features is not None]
    return FeatureColors(maps) if sum(map(len, maps)) > 1 else None


def frame_json(frame: Frame, colors: FeatureColors | None, settings: ReportConfig) -> dict[str, Any]:
    """A scan as the page's scripts read it; arrays are packed (``ignet.report.html.pack``)."""
    coordinates, unit = quantised(frame.points)
    height, width = frame.image.shape[:2]
    scale = min(1.0, settings.image_width / width)
    values: dict[str, Any] = {
        "name": f"{frame.sequence} / {frame.frame}",
        "role": frame.role,
        "points": len(frame.points),
        "unit": unit,
        "xyz": packed(coordinates),
        "layers": {name: packed(ids) for name, ids in frame.layers.items()},
        "wrong": _shares_wrong(frame),
        "sector": list(frame.visible.sector),
        "seen": {
            # gaps between ascending numbers compress better than the numbers
            "gaps": packed(np.diff(frame.visible.index, prepend=0).astype(np.int32)),
            "pixel": packed(np.rint(16 * frame.visible.pixel.T).clip(0, 65535).astype(np.uint16)),
            "scribble": packed(frame.visible.scribble),
            "street": None if frame.street is None else packed(frame.street),
        },
        "image": {"width": width, "height": height, "data": jpeg(_reduced(frame.image, scale), settings.image_quality)},
        "networks": {name: _network_json(frame, ids, scale) for name, ids in frame.segmented.items()},
    }
    if colors and frame.features is not None and frame.point_features is not None:
        values["features"] = {"image": jpeg(colors(frame.features), 92), "points": packed(colors(frame.point_features))}
    return values


def _layers(sources: Sources, sequence: str, frame: str, role: str, points: int) -> dict[str, NDArray[np.uint8]]:
    kind = sources.evaluate_on if role == "val" else "labels"
    labels = kitti.evaluation_label_path(sources.dataset, sequence, frame, kind)
    scribbles = kitti.scribble_path(sources.scribbles, sequence, frame)
    layers = {}
    # labels of validation scans must be there; those of training scans and scribbles are shown where they are
    if role == "val" or labels.exists():
        layers["truth"] = sources.label_set.to_train_ids(kitti.read_labels(labels, points), str(labels))
    if scribbles.exists():
        layers["scribble"] = sources.label_set.to_train_ids(kitti.read_labels(scribbles, points), str(scribbles))
    if role == "val":
        layers |= {
            f"run:{run}": read_predictions(folder, sequence, frame, points, sources.label_set)
            for run, folder in sources.predictions.items()
        }
    return layers


@torch.no_grad()
def _segment(frame: Frame, network: str, model: FrozenTeacher, keep_features: bool, device: torch.device) -> None:
    output = model(image_batch(frame.image, device))
    if output.logits is not None:
        frame.segmented[network] = output.logits[0].argmax(dim=0).to(torch.uint8).cpu().numpy()
    if keep_features:
        features = output.features[0].float()
        frame.features = features.permute(1, 2, 0).to(torch.float16).cpu().numpy()
        frame.point_features = model.sample(features, torch.from_numpy(frame.visible.pixel).to(device)).cpu().numpy()


def _shares_wrong(frame: Frame) -> dict[str, float]:
    """Share of the labelled points that each run gets wrong."""
    target = frame.layers.get("truth")
    if target is None or not (target != IGNORE).any():
        return {}
    runs = {name: ids for name, ids in frame.layers.items() if name.startswith("run:")}
    return {name.removeprefix("run:"): float((ids != target)[target != IGNORE].mean()) for name, ids in runs.items()}


def _network_json(frame: Frame, ids: NDArray[np.uint8], scale: float) -> dict[str, Any]:
    size = (round(ids.shape[1] * scale), round(ids.shape[0] * scale))
    reduced = np.asarray(cv2.resize(ids, size, interpolation=cv2.INTER_NEAREST), np.uint8)
    values: dict[str, Any] = {"map": class_png(reduced, CITYSCAPES.colors)}
    if frame.street is not None:
        columns, rows = nearest_pixels(frame.visible.pixel, frame.visible.width, frame.visible.height)
        known = frame.street != IGNORE
        values["wrong"] = float((ids[rows, columns] != frame.street)[known].mean()) if known.any() else None
    return values


def _reduced(image: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    if scale == 1.0:
        return image
    size = (round(image.shape[1] * scale), round(image.shape[0] * scale))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
