"""How much data an experiment reads: counted on disk, else as published, else as the world makes it."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ignet.config.backbones import BackboneConfig, Cylinder3DConfig
from ignet.config.experiment import ExperimentConfig
from ignet.data.formats.official import SEMANTICKITTI_FRAMES
from ignet.data.formats.origin import restore
from ignet.errors import IgnetError
from ignet.files.names import in_order
from ignet.workflow.networks_2d import segmenters
from ignet.workflow.sizes import KITTI_CELLS, KITTI_VOXELS, WORLD_CELLS, WORLD_VOXELS, CellShares, Shares

KITTI_POINTS, KITTI_PIXELS = 123681, 1241 * 376
"""Points a scan: the mean of 18 real frames (sequences 00-02, 04-07, 09, 10); pixels: the size of an image."""


class Published(NamedTuple):
    """Size of a source dataset by its publication."""

    name: str
    images: int
    width: int
    height: int


SOURCES = {
    # "Playing for Data" (Richter et al., ECCV 2016)
    "gtav": Published("GTA-V", 24966, 1914, 1052),
    # SYNTHIA-RAND-CITYSCAPES (Ros et al., CVPR 2016)
    "synthia": Published("Synthia", 9400, 1280, 760),
    # the finely labelled training images (Cordts et al., CVPR 2016)
    "cityscapes": Published("Cityscapes", 2975, 2048, 1024),
}
"""Source datasets by the layout that they are read in."""

NUSCENES_SCENES, NUSCENES_SWEEPS, NUSCENES_POINTS, NUSCENES_PIXELS = 850, 34149, 35000, 1600 * 900
"""Training and validation scenes of nuScenes-lidarseg, their annotated sweeps, points a sweep (1.4 billion in 40,000),
as published."""

VISIBLE_SHARE = 0.1517
"""Share of a scan's points that one camera sees: the mean of the same 18 frames, with the default projection."""

RETURN_SHARE = 0.93
"""Share of the embedded world's beams that come back, as measured."""


@dataclass(frozen=True)
class Facts:
    """What the target and the source dataset hold.

    Attributes:
        frames: number of scans of each sequence of the experiment.
        cameras: images of each scan.
        points: mean number of points of a scan.
        pixels: pixels of a target image.
        source_images: number of source images.
        source_pixels: pixels of a source image.
        voxels: occupied voxels a point by the voxel's side in metres.
        cells: sites a point of Cylinder3D's levels, see `ignet.workflow.sizes.occupied_cells`.
        notes: where the numbers come from, one line for each dataset.
    """

    frames: dict[str, int]
    cameras: int
    points: float
    pixels: int
    source_images: int
    source_pixels: int
    voxels: Shares
    cells: CellShares
    notes: tuple[str, str]

    def shares(self, backbone: BackboneConfig) -> Shares | CellShares:
        """How many of a network's sites a point occupies."""
        return self.cells if isinstance(backbone, Cylinder3DConfig) else self.voxels

    def count(self, sequences: tuple[str, ...]) -> int:
        """Scans of some sequences together."""
        return sum(self.frames[sequence] for sequence in sequences)

    @property
    def visible(self) -> float:
        """Points of a scan that any camera sees."""
        return self.points * min(self.cameras * VISIBLE_SHARE, 1.0)


def data_facts(experiment: ExperimentConfig) -> Facts:
    """Count the data of an experiment.

    Raises:
        IgnetError: a dataset that is not there has no published size, or one that is there lacks a sequence.
    """
    frames, points, pixels, note = _target(experiment)
    nothing = (0, 1, "source: none, for no 2D network is trained on source images")
    images, source_pixels, source_note = _source(experiment) if segmenters(experiment) else nothing
    shares = (KITTI_VOXELS, KITTI_CELLS) if experiment.dataset.root else (WORLD_VOXELS, WORLD_CELLS)
    cameras = len(experiment.dataset.cameras)
    return Facts(frames, cameras, points, pixels, images, source_pixels, *shares, (note, source_note))


def _target(experiment: ExperimentConfig) -> tuple[dict[str, int], float, int, str]:
    world, data = experiment.world, experiment.dataset
    sequences = tuple(dict.fromkeys([*data.sequences, *data.test_sequences]))
    if not experiment.dataset.root:
        frames = dict.fromkeys(sequences, world.frames)
        points, pixels = RETURN_SHARE * world.beams * world.azimuths, world.image_width * world.image_height
        return frames, points, pixels, "target: the embedded world, as configured"
    root = Path(experiment.dataset.root)
    if root.exists():
        return _counted(root, sequences)
    if all(re.fullmatch(r"scene-\d{4}", name) for name in sequences):
        ends = [number * NUSCENES_SWEEPS // NUSCENES_SCENES for number in range(len(sequences) + 1)]
        note = (
            f"target: {root} is not there, so the published mean length of nuScenes' scenes, {NUSCENES_POINTS:,} points"
        )
        lengths = {name: ends[number + 1] - ends[number] for number, name in enumerate(sequences)}
        return lengths, NUSCENES_POINTS, NUSCENES_PIXELS, f"{note} a sweep"
    if unknown := in_order(set(sequences) - set(SEMANTICKITTI_FRAMES)):
        listed = ", ".join(unknown[:8]) + (f" and {len(unknown) - 8} more" if len(unknown) > 8 else "")
        raise IgnetError(
            f"dataset.root {root}: no such folder, and sequences {listed} are none of SemanticKITTI's or nuScenes', "
            "whose lengths are known; give the folder that holds sequences/"
        )
    note = (
        f"target: {root} is not there, so the published lengths of SemanticKITTI's sequences, {KITTI_POINTS:,} "
        "points a scan"
    )
    return {sequence: SEMANTICKITTI_FRAMES[sequence] for sequence in sequences}, KITTI_POINTS, KITTI_PIXELS, note


def _counted(root: Path, sequences: tuple[str, ...]) -> tuple[dict[str, int], float, int, str]:
    frames, size = {}, 0
    for sequence in sequences:
        folder = root / "sequences" / sequence / "velodyne"
        scans = list(folder.glob("*.bin"))
        if not scans:
            raise IgnetError(
                f"{folder}: found no scan, expected *.bin; {restore(folder, how='here')}, or leave it out of the "
                "experiment"
            )
        frames[sequence] = len(scans)
        size += sum(path.stat().st_size for path in scans)
    points, found = size / 16 / sum(frames.values()), "counted on disk"
    if not points:
        points, found = KITTI_POINTS, f"counted on disk; the scans are empty files, so {KITTI_POINTS:,} points a scan"
    return frames, points, KITTI_PIXELS, f"target: {root}, {found}"


def _source(experiment: ExperimentConfig) -> tuple[int, int, str]:
    source, world = experiment.source, experiment.world
    if not source.root:
        return world.source_images, world.image_width * world.image_height, "source: the embedded world, as configured"
    root = Path(source.root)
    if root.exists():
        return _counted_source(root, source.layout)
    published = SOURCES[source.layout]
    pixels = published.width * published.height
    return (
        published.images,
        pixels,
        f"source: {root} is not there, so the published size of {published.name}, {published.images:,} images",
    )


def _counted_source(root: Path, layout: str) -> tuple[int, int, str]:
    from ignet.data.formats.kitti import image_size
    from ignet.data.formats.source_images import SourceDataset

    pairs, published = SourceDataset(root, layout).pairs, SOURCES[layout]
    try:
        (width, height), whose = image_size(pairs[0][0]), "as the first one has"
    except IgnetError:  # empty files, in whose place real ones are to come
        (width, height), whose = (published.width, published.height), f"as {published.name} has"
    return len(pairs), width * height, f"source: {root}, counted on disk; {width} x {height} pixels an image, {whose}"
