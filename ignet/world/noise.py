"""Repeatable value noise: one periodic fractal table, read at integer cells."""

from functools import lru_cache

import numpy as np

_SIZE = 64
_SEED = 20240917


@lru_cache(maxsize=1)
def _table() -> np.ndarray:
    """Fractal noise, periodic with 64 cells an axis: float32 (64**3,) in 0..1, about normal round 0.5."""
    white = np.random.default_rng(_SEED).standard_normal((_SIZE, _SIZE, _SIZE))
    frequency = np.fft.fftfreq(_SIZE) * _SIZE
    squared = (
        frequency[:, None, None] ** 2
        + frequency[None, :, None] ** 2
        + np.fft.rfftfreq(_SIZE)[None, None, :] ** 2 * _SIZE**2
    )
    # amplitude ~ 1/f^1.6 in three dimensions: large blotches with fine grain on them
    spectrum = np.fft.rfftn(white) * np.maximum(squared, 4.0) ** -0.8
    field = np.fft.irfftn(spectrum, s=white.shape, axes=(0, 1, 2))
    field = (field - field.mean()) / field.std()
    return np.clip(0.5 + field / 5.0, 0.0, 1.0).astype(np.float32).ravel()


def fractal(x: np.ndarray, y: np.ndarray, z: np.ndarray | float = 0.0) -> np.ndarray:
    """Fractal noise in 0..1 at the points (x, y, z), in cells: multiply metres by the wanted cells a metre.

    Args:
        x, y, z: float arrays of one shape; |value| below 1e6.

    Returns:
        float32 of the same shape, constant within a cell, repeating after 64 cells.
    """
    i = np.floor(x).astype(np.int32) & (_SIZE - 1)
    j = np.floor(y).astype(np.int32) & (_SIZE - 1)
    k = np.floor(z).astype(np.int32) & (_SIZE - 1)
    return _table()[(i * _SIZE + j) * _SIZE + k]


def cell_hash(i: np.ndarray, j: np.ndarray) -> np.ndarray:
    """White noise in 0..1 for pairs of integers: float32, one independent value a pair."""
    mixed = i.astype(np.uint32) * np.uint32(0x9E3779B1) + j.astype(np.uint32) * np.uint32(0x85EBCA77)
    mixed = (mixed ^ (mixed >> np.uint32(15))) * np.uint32(0x2C1B3C6D)
    mixed ^= mixed >> np.uint32(12)
    return (mixed >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24)
