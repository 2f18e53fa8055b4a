"""Projection of LiDAR points into an image, visibility, and the camera's azimuth sector: pure functions."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

_NEIGHBOURS = 16
"""Points around a point that its spacing is taken from: more than lie side by side on one beam of a sparse LiDAR."""


class Projected(NamedTuple):
    """Where each of N points falls in the image.

    Attributes:
        pixel: float32 (N, 2), column u and row v; the centre of the top-left pixel is (0, 0). (-1, -1) where depth <=
            0.
        depth: float32 (N,), metres along the camera's axis.
        inside: bool (N,), depth > 0 and the pixel strictly between the centres of the outermost pixels, so that
            it can be rounded or interpolated without leaving the image.
    """

    pixel: NDArray[np.float32]
    depth: NDArray[np.float32]
    inside: NDArray[np.bool_]


def project(points: NDArray, p2: NDArray[np.float64], tr: NDArray[np.float64], width: int, height: int) -> Projected:
    """Project points by pixel = P2 [Tr; 0 0 0 1] (x, y, z, 1) (KITTI odometry's convention).

    Args:
        points: (N, >=3), x forward, y left, z up in metres; further columns are not read.
        p2: (3, 4) projection of the camera, pixels.
        tr: (4, 4) LiDAR frame to the frame of camera 0, metres.
        width: of the image, pixels.
        height: of the image, pixels.

    Returns:
        The pixels, depths and the mask of the points inside; occlusion is not considered, see `visible`.
    """
    matrix = np.asarray(p2, np.float64) @ np.asarray(tr, np.float64)
    homogeneous = np.asarray(points)[:, :3].astype(np.float64) @ matrix[:, :3].T + matrix[:, 3]
    # what is stored decides: a float64 pixel just inside may round to a float32 pixel on the edge
    with np.errstate(over="ignore", invalid="ignore"):
        depth = homogeneous[:, 2].astype(np.float32)
        front = depth > 0
        pixel = np.full((len(depth), 2), -1, np.float32)
        pixel[front] = homogeneous[front, :2] / homogeneous[front, 2:]
    u, v = pixel[:, 0], pixel[:, 1]
    inside = front & (u > 0) & (u < width - 1) & (v > 0) & (v < height - 1)
    return Projected(pixel, depth, inside)


def axis_cosine(points: NDArray, projection: NDArray[np.float64], tr: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cosine of the angle between each point's ray and the optical axis, float64 (N,): 1 on the axis in front.

    Args:
        points: (N, >=3), metres.
        projection: (3, 4) of the camera, pixels, which may hold a rotation.
        tr: (4, 4) LiDAR frame to the frame that `projection` projects from, metres.
    """
    matrix = np.asarray(projection, np.float64) @ np.asarray(tr, np.float64)
    rays = np.asarray(points)[:, :3].astype(np.float64) + np.linalg.solve(matrix[:, :3], matrix[:, 3])
    length = np.linalg.norm(rays, axis=1) * np.linalg.norm(matrix[2, :3])
    return rays @ matrix[2, :3] / np.maximum(length, np.finfo(np.float64).tiny)


def visible(projected: Projected, width: int, height: int, cell: int, tolerance: float) -> NDArray[np.bool_]:
    """z-buffer: which of N projected points no nearer point hides.

    A point is occluded where its depth exceeds (1 + tolerance) times the least depth of the points in its cell.

    Args:
        projected: of `project`.
        width: of the image, pixels.
        height: of the image, pixels.
        cell: side of the square cells in pixels; the first one starts at the corner of the image.
        tolerance: relative, >= 0.

    Returns:
        bool (N,): inside the image and not occluded.
    """
    columns, rows = -(-width // cell), -(-height // cell)
    inside = projected.inside
    grid = np.floor((projected.pixel[inside] + 0.5) / cell).astype(
        np.int64
    )  # + 0.5: pixel centres have whole coordinates
    place = grid[:, 1] * columns + grid[:, 0]
    depth = projected.depth[inside].astype(np.float64)
    nearest = np.full(rows * columns, np.inf)
    np.minimum.at(nearest, place, depth)
    mask = np.zeros(len(inside), bool)
    mask[inside] = depth <= (1 + tolerance) * nearest[place]
    return mask


def point_spacing(projected: Projected) -> float | None:
    """Spacing of a scan's points in the image: the side of a square that holds one point on average.

    The points around each point, up to the 16th nearest at distance r, have the density 16 / (pi r^2). Its median over
    all points is taken, so that sky without returns and a few dense places count for nothing. Beams need not be as far
    apart as the points on a beam.

    Args:
        projected: of `project`, occluded points too.

    Returns:
        Pixels; None where fewer than two points are in the image.
    """
    pixel = projected.pixel[projected.inside].astype(np.float64)
    neighbours = min(_NEIGHBOURS, len(pixel) - 1)
    if neighbours < 1:
        return None
    distance, _ = cKDTree(pixel).query(pixel, k=[neighbours + 1])  # the first is the point itself
    return float(np.median(distance) * np.sqrt(np.pi / neighbours))


def camera_sector(p2: NDArray[np.float64], tr: NDArray[np.float64], width: int, height: int) -> tuple[float, float]:
    """The camera's azimuth interval as the LiDAR sees it at a far distance.

    It is the smallest interval that holds the directions of all pixels; a pinhole image has its extremes at its
    corners. Near points may fall outside it and yet into the image, because the camera does not sit in the LiDAR.

    Args:
        p2: (3, 4) projection of the camera, pixels.
        tr: (4, 4) LiDAR frame to the frame of camera 0.
        width: of the image, pixels.
        height: of the image, pixels.

    Returns:
        (low, high): atan2(y, x) in the LiDAR frame, radians in (-pi, pi]; low is the right edge. It goes
        counter-clockwise from low to high, so that low > high where it crosses the negative x axis.
    """
    corners = np.array([(u, v, 1.0) for u in (0, width - 1) for v in (0, height - 1)])
    rotation = np.asarray(p2, np.float64)[:, :3] @ np.asarray(tr, np.float64)[:3, :3]
    directions = np.linalg.solve(rotation, corners.T).T
    centre = np.linalg.solve(rotation, corners.mean(axis=0))
    middle = np.arctan2(centre[1], centre[0])
    relative = wrap(np.arctan2(directions[:, 1], directions[:, 0]) - middle)
    low, high = wrap(middle + np.array([relative.min(), relative.max()]))
    return float(low), float(high)


def in_sector(points: NDArray, low: float, high: float) -> NDArray[np.bool_]:
    """Which points (N, >=2) lie between the azimuths ``low`` and, counter-clockwise, ``high`` [rad]: bool (N,)."""
    azimuth = np.arctan2(np.asarray(points)[:, 1].astype(np.float64), np.asarray(points)[:, 0].astype(np.float64))
    return np.mod(azimuth - low, 2 * np.pi) <= np.mod(high - low, 2 * np.pi)


def wrap(angle: ArrayLike) -> NDArray[np.float64]:
    """Angles in radians brought to (-pi, pi]."""
    return np.pi - np.mod(np.pi - np.asarray(angle, np.float64), 2 * np.pi)
