"""Calibrations that are wrong, each made from a right one, and the kind of fault that the check must name."""

from collections.abc import Callable

import numpy as np

from ignet.data.formats.calibration import Calibration

IDENTITY = np.eye(4)
AXES = np.array([[0, -1, 0], [0, 0, -1], [1, 0, 0]])  # x right, y down, z forward from x forward, y left, z up


def p2(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Calibration], Calibration]:
    return lambda right: Calibration(np.asarray(change(right.projection.copy()), np.float64), right.tr)


def tr(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Calibration], Calibration]:
    def wrong(right: Calibration) -> Calibration:
        matrix = np.eye(4)
        matrix[:3] = change(right.tr.copy())[:3]
        return Calibration(right.projection, matrix)

    return wrong


def scaled(factor: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda matrix: matrix * [[factor], [factor], [1]]


def with_rotation(matrix: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    matrix[:3, :3] = rotation
    return matrix


WRONG: dict[str, tuple[str, Callable[[Calibration], Calibration]]] = {
    "Tr inverted": ("calibration-axes", tr(np.linalg.inv)),
    "rotation of Tr transposed": ("calibration-axes", tr(lambda m: with_rotation(m, m[:3, :3].T))),
    "4 x 4 Tr column by column": ("calibration-axes", tr(np.transpose)),
    "3 x 4 Tr column by column": ("calibration-tr", tr(lambda m: m[:3].T.reshape(3, 4))),
    "Tr identity": ("calibration-axes", tr(lambda m: IDENTITY)),
    "P2 identity": ("calibration-p2", p2(lambda m: IDENTITY[:3])),
    "P2 and Tr identity": ("calibration-p2", lambda right: Calibration(IDENTITY[:3], IDENTITY)),
    "axes of the camera as the LiDAR's": ("calibration-axes", tr(lambda m: with_rotation(m, AXES.T @ m[:3, :3]))),
    "upside down": ("calibration-axes", tr(lambda m: m * [[-1], [-1], [1], [1]])),
    "mirrored": ("calibration-tr", tr(lambda m: m * [[-1], [1], [1], [1]])),
    "Tr scaled": ("calibration-tr", tr(lambda m: m * [[2], [2], [2], [1]])),
    "Tr in millimetres": ("calibration-distance", tr(lambda m: m * [1, 1, 1, 1000])),
    "P2 of half the size": ("calibration-p2", p2(scaled(0.5))),
    "P2 of double the size": ("calibration-p2", p2(scaled(2))),
    "P2 of 2/3 of the size": ("calibration-p2", p2(scaled(2 / 3))),
    "P2 of 3/2 of the size": ("calibration-p2", p2(scaled(1.5))),
    "P2 of an image of width 1": ("calibration-p2", p2(scaled(1 / 1241))),
    "P2 column by column": ("calibration-p2", p2(lambda m: m.T.reshape(3, 4))),
    "P2 negative": ("calibration-p2", p2(lambda m: -m)),
    "rows of P2 exchanged": ("calibration-p2", p2(lambda m: m[[1, 0, 2]])),
    "P2 of any scale": ("calibration-p2", p2(lambda m: m / np.linalg.norm(m))),
    "P2 without a principal point": ("calibration-p2", p2(lambda m: np.c_[np.diag([m[0, 0], m[1, 1], 1]), m[:, 3]])),
}
