"""PCA of a 2D network's features over frames of the training sequences, for stores of fewer channels.

One PCA per network, so that the channels of all sequences mean the same. Frames are evenly spaced over all sequences;
every visible point of them counts.
"""

import numpy as np

from ignet.config.training_2d import FeatureConfig
from ignet.data.features.pca import PCA, Moments, fit_pca, write_pca
from ignet.data.lidar.spacing import evenly_spaced_indices
from ignet.data.projection.correspondence import Correspondence
from ignet.errors import IgnetError
from ignet.files.atomic import file_hash
from ignet.log import log, progress
from ignet.models.point_features import PointFeatures
from ignet.stage.script import Stage, command


@command
def main() -> None:
    stage = Stage("features", FeatureConfig, __doc__)
    stage.add_common("network", "dataset", "sequences", "projection", out="PCA to write (safetensors)")
    args, settings = stage.start()

    network = PointFeatures(args.network, args.dataset, args.device)
    if settings.channels is None or settings.channels >= network.channels:
        raise IgnetError(
            f"features.channels: found {settings.channels}, expected less than {network.channels}, the network's "
            "own; set fewer, or null"
        )
    files = {sequence: Correspondence(args.projection / f"{sequence}.h5") for sequence in args.sequences}
    frames = [(sequence, frame) for sequence, file in files.items() for frame in file.frames]
    chosen = evenly_spaced_indices(len(frames), settings.pca_frames)

    moments = Moments(network.channels)
    for sequence, frame in progress([frames[i] for i in chosen], "frame for the PCA"):
        for _, _, feature in network.extract(sequence, files[sequence], [frame]):
            moments.add(feature)
    if not moments.count:
        raise IgnetError(
            f"{args.projection}: found no visible point in {len(chosen)} frames, expected some; run the rule "
            "project again"
        )
    pca = fit_pca(moments, settings.channels, network.classifier)
    kept = variance_kept(pca, moments)
    log.info("%d of %d channels keep %.2f %% of the variance", settings.channels, network.channels, 100 * kept)
    write_pca(args.out, pca, file_hash(args.network))
    stage.write_settings(args.out.with_suffix(".settings.json"), variance_kept=kept, points=moments.count)


def variance_kept(pca: PCA, moments: Moments) -> float:
    """Share of the features' variance that the components hold."""
    kept = np.einsum("kd,de,ke->", pca.components, moments.covariance, pca.components)
    return float(kept / max(np.trace(moments.covariance), 1e-30))


if __name__ == "__main__":
    main()
