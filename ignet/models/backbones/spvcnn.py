"""SPVCNN: a MinkUNet beside which a branch of points keeps what coarse voxels lose (Tang et al., ECCV 2020).

Shape and order follow mit-han-lab/spvnas (core/models/semantic_kitti/spvcnn.py). As there, a point is the integer
coordinate of an occupied voxel of level 1, so that between points and level 1 nothing is to be interpolated.
"""

from itertools import pairwise

from torch import Tensor, nn

from ignet.config.backbones import SPVCNNConfig
from ignet.models.backbones.minkunet import MinkUNet, input_channels
from ignet.models.sparse.geometry import Geometry
from ignet.models.sparse.interpolation import find_corners, interpolate, scatter_mean


class SPVCNN(MinkUNet):
    """MinkUNet whose features meet those of the points after the encoder, after two decoder stages and at the end."""

    def __init__(self, config: SPVCNNConfig, classes: int):
        """Make the network with fresh weights, drawn from torch's global generator."""
        super().__init__(input_channels(config, classes), config.stem, config.encoder, config.decoder, config.blocks)
        widths = [config.stem, config.encoder[3], config.decoder[1], config.decoder[3]]
        self.points = nn.ModuleList(
            nn.Sequential(nn.Linear(cin, cout), nn.BatchNorm1d(cout), nn.ReLU(inplace=True))
            for cin, cout in pairwise(widths)
        )
        self.dropout = nn.Dropout(config.dropout)

    def voxels(self, features: Tensor, geometry: Geometry) -> Tensor:
        """Float (M, in_channels) features of the voxels -> float (M, channels), rows in the same order."""
        levels = self.encode(features, geometry)
        points, features = levels[0], levels.pop()
        for stage in range(len(self.up)):
            if stage % 2 == 0:
                stride = 2 ** (len(self.up) - stage)
                corners = find_corners(geometry.coordinates(1), geometry.coordinates(stride), stride)
                points = interpolate(features, corners) + self.points[stage // 2](points)
                features = self.dropout(scatter_mean(points, corners.rows[:, 0], len(features)))
            features = self.decode(stage, features, levels.pop(), geometry)
        return features + self.points[-1](points)
