"""Feature extraction: the frozen 2D network's feature at every visible point of one sequence, in one HDF5 file.

Whole images, no augmentation; bilinear at each point's sub-pixel position. With a PCA, its coordinates of each
feature are stored.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ignet.config.training_2d import FeatureConfig
from ignet.data.features.pca import PCA, read_pca
from ignet.data.features.store import FeatureWriter, int8_scale
from ignet.data.label_sets.label_set import CITYSCAPES
from ignet.data.lidar.spacing import evenly_spaced_indices
from ignet.data.projection.correspondence import Correspondence
from ignet.errors import IgnetError
from ignet.files.atomic import file_hash
from ignet.log import progress
from ignet.models.point_features import PointFeatures
from ignet.stage.script import Stage, command


@command
def main() -> None:
    stage = Stage("features", FeatureConfig, __doc__)
    stage.add_common("network", "dataset", "sequence", "projection", out="feature store to write (HDF5)")
    stage.add("--pca", type=Path, nargs="?", help="what features_pca wrote, where features.channels is set")
    args, settings = stage.start()

    network, correspondence = PointFeatures(args.network, args.dataset, args.device), Correspondence(args.projection)
    name = file_hash(args.network)
    pca = read_reduction(args.pca, settings.channels, name)

    def features(frames: list[str], what: str) -> Iterator[tuple[str, NDArray[np.int32], NDArray[np.float32]]]:
        for frame, index, feature in network.extract(args.sequence, correspondence, progress(frames, what)):
            yield frame, index, pca.reduce(feature) if pca else feature

    scale = None
    if settings.dtype == "int8":
        chosen = [
            correspondence.frames[i]
            for i in evenly_spaced_indices(len(correspondence.frames), settings.calibration_frames)
        ]
        scale = int8_scale([feature for _, _, feature in features(chosen, "frame for the scales")])

    attributes = {"network": name, "settings": settings.canonical()}
    attributes |= {"classes": ",".join(CITYSCAPES.classes)} if network.classifier else {}
    channels = settings.channels or network.channels
    with FeatureWriter(args.out, channels, settings.dtype, scale, attributes, network.classifier, pca) as writer:
        for frame, index, feature in features(correspondence.frames, "frame"):
            writer.add(frame, index, feature)
    stage.write_settings(args.out.with_suffix(".settings.json"))


def read_reduction(path: Path | None, channels: int | None, network: str) -> PCA | None:
    """The PCA of the stored channels; none where all channels are stored.

    Raises:
        IgnetError: the file is given and not needed, or the reverse, or it is of another width or network.
    """
    if (channels is None) != (path is None):
        raise IgnetError(
            f"--pca {path}: expected a file where features.channels is set, and only there; it is {channels}"
        )
    pca = read_pca(path, network) if path else None
    if pca and len(pca.components) != channels:
        raise IgnetError(f"{path}: found {len(pca.components)} components, expected {channels}; run features_pca again")
    return pca


if __name__ == "__main__":
    main()
