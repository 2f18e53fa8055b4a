"""How large the networks are, in closed form: parameters, multiply-adds, occupied voxels.

Needs no torch, so that a plan takes no time.
"""

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from ignet.config.training_2d import SegformerConfig
from ignet.config.training_3d import BackboneConfig

KITTI_VOXELS = {0.05: 0.7522, 0.1: 0.5242, 0.2: 0.3057, 0.4: 0.1484, 0.8: 0.0621, 1.6: 0.0232, 3.2: 0.0078, 4.8: 0.0043}
"""Occupied voxels a point by the voxel's side in metres: the mean of 18 real frames of SemanticKITTI (sequences 00-02,
04-07, 09, 10)."""

WORLD_VOXELS = {
    0.05: 0.987,
    0.1: 0.8804,
    0.2: 0.6258,
    0.3: 0.4423,
    0.4: 0.3329,
    0.8: 0.1513,
    1.6: 0.0658,
    3.2: 0.0273,
    4.8: 0.0182,
}
"""The same in the embedded world of config/demo.yaml, whose scans have a tenth of the points."""

Shares = Mapping[float, float]

_CLASSES_2D, _CLASSES_3D = 19, 19
_FEATURES_3D = 4
_STRIDES = (4, 8, 16, 32)
_REDUCTION = (8, 4, 2, 1)


class Layer(NamedTuple):
    """Weights, and multiply-adds of one forward pass."""

    weights: float
    work: float


def segformer_parameters(config: SegformerConfig) -> float:
    """Parameters of a SegFormer, biases and norms left out."""
    return sum(layer.weights for layer in _segformer(config, 0))


def segformer_work(config: SegformerConfig, pixels: float) -> float:
    """Multiply-adds of one forward pass over an image of ``pixels`` pixels."""
    return sum(layer.work for layer in _segformer(config, pixels))


def _segformer(config: SegformerConfig, pixels: float) -> Iterator[Layer]:
    before, kernels = 3, (7, 3, 3, 3)
    fine = pixels / _STRIDES[0] ** 2
    for channels, depth, stride, reduction, kernel in zip(
        config.hidden_sizes, config.depths, _STRIDES, _REDUCTION, kernels, strict=True
    ):
        tokens, keys = pixels / stride**2, pixels / stride**2 / reduction**2
        yield _dense(before * channels * kernel**2, tokens)
        yield _dense(
            depth * (2 * channels**2 + 8 * channels**2 + 36 * channels), tokens
        )  # query, projection, MLP of width 4 C
        yield _dense(depth * 2 * channels**2, keys)
        yield _dense(depth * (channels * reduction) ** 2 if reduction > 1 else 0, keys)
        yield Layer(0, depth * 2 * tokens * keys * channels)  # attention itself
        yield _dense(channels * config.decoder_channels, tokens)
        before = channels
    yield _dense(4 * config.decoder_channels**2 + config.decoder_channels * _CLASSES_2D, fine)


def minkunet_parameters(config: BackboneConfig) -> float:
    """Parameters of a MinkUNet and its classifier, norms left out."""
    return sum(layer.weights for layer in _minkunet(config, 0, KITTI_VOXELS))


def minkunet_work(config: BackboneConfig, points: float, shares: Shares) -> float:
    """Multiply-adds of a forward pass over a scan of ``points`` points, with all neighbours occupied.

    ``shares`` as in `occupied_voxels`. The true number is lower by the share of empty neighbours; only ratios of these
    figures are used.
    """
    return sum(layer.work for layer in _minkunet(config, points, shares))


def occupied_voxels(points: float, voxel: float, shares: Shares) -> float:
    """Voxels of side ``voxel`` metres that hold some of ``points`` points.

    Args:
        points: of one scan.
        voxel: metres.
        shares: occupied voxels a point by the voxel's side, rising; interpolated (log-log), constant beyond its ends.
    """
    known = np.interp(np.log(voxel), np.log(list(shares)), np.log(list(shares.values())))
    return float(points * np.exp(known))


def _minkunet(config: BackboneConfig, points: float, shares: Shares) -> Iterator[Layer]:
    rows = [occupied_voxels(points, config.voxel * 2**level, shares) for level in range(5)]
    widths = [config.stem, *config.encoder]
    yield _dense(27 * (_FEATURES_3D * config.stem + config.stem**2), rows[0])
    for level, (cin, cout) in enumerate(pairwise(widths)):
        yield Layer(8 * cin * cin, cin * cin * rows[level])
        yield from _residual(cin, cout, config.blocks, rows[level + 1])
    before = widths[-1]
    for level, channels, skip in zip((3, 2, 1, 0), config.decoder, widths[-2::-1], strict=True):
        yield Layer(8 * before * channels, before * channels * rows[level])
        yield from _residual(channels + skip, channels, config.blocks, rows[level])
        before = channels
    yield _dense(before * _CLASSES_3D, points)


def _residual(cin: int, cout: int, blocks: int, rows: float) -> Iterator[Layer]:
    for inner in [cin, *[cout] * (blocks - 1)]:
        yield _dense(27 * (inner * cout + cout * cout) + (inner * cout if inner != cout else 0), rows)


def _dense(weights: float, rows: float) -> Layer:
    return Layer(weights, weights * rows)
