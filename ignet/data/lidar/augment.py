"""Random views of a scan: rotation about z, mirroring, scale, noise, shift.

Source: ScribbleKITTI (Unal et al., CVPR 2022) for all but the noise on each point. There the student's view is also
scaled, in x and y alone, and shifted; the teacher's is rotated and mirrored only.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray


def rotate_z(points: NDArray[np.float32], angle: float) -> NDArray[np.float32]:
    """Points turned about the z axis.

    Quarter turns are exact: sine and cosine are rounded to 15 decimals, so that those of 90 degrees are 0 and 1.

    Args:
        points: float32 (N, >=2), x and y in metres; further columns stay as they are.
        angle: radians, from x towards y.

    Returns:
        A new array like ``points``.
    """
    cosine, sine = (np.float32(np.round(value, 15)) for value in (np.cos(angle), np.sin(angle)))
    turned = points.copy()
    x, y = points[:, 0], points[:, 1]
    # written out, not a matrix product, whose last bits may change with the number of threads
    turned[:, 0] = cosine * x - sine * y
    turned[:, 1] = sine * x + cosine * y
    return turned


def random_view(
    points: NDArray[np.float32],
    rng: np.random.Generator,
    rotation_degrees: float = 180.0,
    flip: bool = True,
    scale: float = 0.0,
    noise_m: float = 0.0,
    shift_m: float = 0.0,
    scale_axes: Literal["xyz", "xy"] = "xyz",
) -> NDArray[np.float32]:
    """One random view of a scan: rotated, mirrored, scaled, noisy, shifted, in this order.

    Angle, mirroring and factor that are drawn do not depend on what is switched on, so that views of runs that differ
    in one setting stay as alike as they can be; noise and shift are drawn after them.

    Args:
        points: float32 (N, 4), x, y, z in metres and remission.
        rng: where the random numbers come from.
        rotation_degrees: the angle is uniform in -rotation..rotation.
        flip: mirror x and y, each with probability 1/2.
        scale: the factor is uniform in 1-scale..1+scale.
        noise_m: standard deviation in metres of independent normal noise on each coordinate.
        shift_m: standard deviation in metres, along each axis, of one normal shift of all points.
        scale_axes: the coordinates that are scaled.

    Returns:
        A new float32 (N, 4), the same points in the same order; remission is unchanged.

    Raises:
        ValueError: a negative amount, or a scale of 1 or more.
    """
    if min(rotation_degrees, noise_m, shift_m) < 0 or not 0 <= scale < 1:
        raise ValueError(
            f"found rotation {rotation_degrees}, noise {noise_m}, shift {shift_m} and scale {scale}, expected none "
            "below 0 and a scale below 1"
        )
    angle, factor = rng.uniform(-1, 1, 2)
    mirrored = rng.random(2) < 0.5
    view = rotate_z(points, np.deg2rad(rotation_degrees) * angle)
    signs, stretch = np.where(mirrored & flip, -1.0, 1.0), 1 + scale * factor
    height = stretch if scale_axes == "xyz" else 1.0
    view *= np.array([stretch * signs[0], stretch * signs[1], height, 1], np.float32)
    if noise_m > 0:
        for axis, noise in enumerate(rng.standard_normal((3, len(points)), dtype=np.float32)):
            view[:, axis] += np.float32(noise_m) * noise
    if shift_m > 0:
        view[:, :3] += np.float32(shift_m) * rng.standard_normal(3, dtype=np.float32)
    return view
