"""Confusion tensors whose figures are seen at a glance, for the tests of comparisons."""

import numpy as np

from ignet.data.label_sets.label_set import SEMANTICKITTI as LABELS
from ignet.evaluate.tensor import ConfusionTensor

NAMES = {"range": ("0-10 m", "10+ m"), "camera": ("in-FOV", "out-of-FOV"), "boundary": ("boundary", "interior")}
POINTS = 100
"""Of each class in each of the eight cells of a scan."""


def tensor(car, pole=0.5, boundary=None, scans=4, sequence="08", jitter=None):
    """Cars and poles alone; wrong points are predicted as nothing, so that the IoU of a class is its share of right
    points.

    `boundary` is the share of right car points there, where it differs; `jitter` (scans,) is added to the shares of the
    cars.
    """
    counts = np.zeros((scans, 2, 2, 2, 19, 20), np.int64)
    shares = np.broadcast_to(np.array([car if boundary is None else boundary, car]), (scans, 2, 2, 2)).copy()
    shares += np.zeros(scans).reshape(-1, 1, 1, 1) if jitter is None else np.reshape(jitter, (-1, 1, 1, 1))
    for name, share in (("car", shares), ("pole", np.full_like(shares, pole))):
        right = np.rint(share * POINTS).astype(np.int64)
        counts[..., LABELS.classes.index(name), LABELS.classes.index(name)] = right
        counts[..., LABELS.classes.index(name), 19] = POINTS - right
    frames = tuple(f"{sequence}/{n:06d}" for n in range(scans))
    return ConfusionTensor(frames, NAMES, counts, LABELS.classes, LABELS.small_objects)


def by_seed(runs):
    """`run, seed, tensor` of each, of `{run: {seed: tensor}}`."""
    return [(run, seed, each) for run, seeds in runs.items() for seed, each in seeds.items()]
