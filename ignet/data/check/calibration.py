"""What a valid calibration shows: a rotation, an upright camera, a lens and points that fit the image.

Pure functions of matrices and counts. A *fault* is what no rig can have, a *doubt* what few have; the bounds are this
project's choice. They cannot know a wrong yaw, since a camera may look anywhere, an inverse where it looks to the
right, nor an error of a few degrees.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import rq

from ignet.data.check.faults import Fault, Faults
from ignet.data.formats.calibration import Calibration
from ignet.data.formats.kitti import sequence_path
from ignet.data.formats.official import CALIBRATION, CAMERA
from ignet.data.formats.origin import restore

_STEEP = np.sin(np.deg2rad(60))  # of the optical axis above or below the LiDAR's horizon
_UPRIGHT, _ON_ITS_SIDE, _INVERTED = 0.5, -0.5, 0.8  # cosines between the LiDAR's up and the image's
_ROTATION = 0.01  # largest deviation of R R^T from the identity, and of a length from 1
_ASKEW = 0.1  # difference of these cosines: about 26 degrees
_FAR, _IMPOSSIBLY_FAR = 5.0, 50.0  # metres between LiDAR and camera
_WIDE, _IMPOSSIBLY_WIDE = np.tan(np.deg2rad([65.0, 80.0]))  # of the outermost ray: no lens draws straight lines beyond
_NARROW, _IMPOSSIBLY_NARROW = 2 * np.tan(np.deg2rad([2.5, 0.5]))  # of the whole width: 5 and 1 degrees
_OBLONG, _IMPOSSIBLY_OBLONG = 1.25, 4.0  # ratio of the focal lengths
_SKEWED, _IMPOSSIBLY_SKEWED = 0.02, 0.2  # shear, in focal lengths
_RESIZED = 1.2  # the principal point implies an image larger or smaller by this factor, in both directions
_OFF_CENTRE = 0.6  # of half the image, along one direction
_FEW = 0.01  # share of the points in the image: a camera of 80 degrees sees about 15 % of a full turn


class Camera(NamedTuple):
    """A projection P = K [R | t] taken apart.

    Attributes:
        k: float64 (3, 3), upper triangular, positive diagonal: focal lengths, shear and principal point, pixels.
        rotation: float64 (3, 3), of the camera against the frame that it projects from.
    """

    k: NDArray[np.float64]
    rotation: NDArray[np.float64]


def decompose(projection: NDArray[np.float64]) -> Camera:
    """Take a projection (3, 4) whose left part has a positive determinant apart into K and R."""
    k, rotation = rq(projection[:, :3])
    signs = np.sign(np.diag(k))
    return Camera(k * signs, signs[:, None] * rotation)


def calibration_faults(
    calibration: Calibration, path: Path, size: tuple[int, int] | None, camera: int = CAMERA
) -> Faults:
    """Faults and doubts of a calibration, from its matrices alone.

    Args:
        calibration: of one camera.
        path: the file that it was read from.
        size: width and height of the images in pixels; None where there is none to compare with.
        camera: its number.

    Returns:
        kinds ``calibration-tr`` (no rotation), ``calibration-p2`` (no camera, or not of these images),
        ``calibration-axes`` (a camera that looks elsewhere or stands otherwise than cameras do) and
        ``calibration-distance``.
    """
    found = Faults()
    rigid = _keep(found, path, _rotation(calibration.tr[:3, :3]), camera)
    projects = _keep(found, path, _projection(calibration.projection), camera)
    if projects:
        parts = decompose(calibration.projection)
        _keep(found, path, _lens(parts.k, size, calibration.size), camera)
        if rigid:
            _keep(found, path, _axes(parts.rotation, calibration.tr[:3, :3]), camera)
            _keep(found, path, _distance(calibration), camera)
    return found


def view_faults(inside: int, points: int, scans: int, path: Path, camera: int = CAMERA) -> Faults:
    """Fault or doubt of the share of points that a calibration brings into the images.

    Args:
        inside: points in the image, of all scans that were looked at together.
        points: all points of these scans.
        scans: number of these scans.
        path: the calibration's file.
        camera: its number.
    """
    found = Faults()
    several = "the scan" if scans == 1 else f"{scans} scans"
    expected, remedy = "those of this sequence (Tr: LiDAR to camera)", restore(path, CALIBRATION)
    if points and not inside:
        where = f"found P{camera} and Tr that bring no point of {several} into its image"
        found.append(Fault("calibration-view", path, where, expected, remedy, CALIBRATION))
    elif inside < _FEW * points:
        where = f"found {inside / points:.2%} of the points of {several} in the image"
        found.doubt(
            Fault(
                "calibration-view",
                path,
                where,
                "some 15 % for a LiDAR that looks all around",
                "look at the projected points",
            )
        )
    return found


def copied_doubts(
    root: Path, found: Mapping[str, tuple[Calibration, tuple[int, int]]], camera: int = CAMERA
) -> list[Fault]:
    """Doubts of sequences with the projection of others whose images are of another size.

    Args:
        root: folder that holds ``sequences/``.
        found: calibration and image size (width, height) of each sequence.
        camera: whose these are.
    """
    doubts = []
    sizes: dict[bytes, dict[tuple[int, int], list[str]]] = {}
    for sequence, (calibration, size) in found.items():
        sizes.setdefault(calibration.projection.tobytes(), {}).setdefault(size, []).append(sequence)
    remedy = "right for images that were cut; else look whose calibration it is"
    for of_size in sizes.values():
        (usual, others), *rest = sorted(of_size.items(), key=lambda item: -len(item[1]))
        text = "found the P{} of sequence {}, whose images have {}x{} pixels".format(camera, others[0], *usual)
        for size, sequences in rest:
            paths = [sequence_path(root, sequence) / "calib.txt" for sequence in sequences]
            expected = "one of images of {}x{}".format(*size)
            doubts += [Fault("calibration-p2", path, text, expected, remedy, CALIBRATION) for path in paths]
    return doubts


class _Finding(NamedTuple):
    """What is wrong, without the file that holds it; a remedy besides another copy of that, or ''."""

    kind: str
    found: str
    expected: str
    remedy: str
    doubt: bool = False


def _keep(faults: Faults, path: Path, findings: Iterator[_Finding], camera: int) -> bool:
    """Keep the findings, which speak of camera 2, as those of a camera; whether no fault is among them."""
    before = len(faults)
    for kind, *texts, doubt in findings:
        found, expected, remedy = (
            text.replace("P2", f"P{camera}").replace("S_rect_02", f"S_rect_{camera:02d}") for text in texts
        )
        if doubt:
            faults.doubt(Fault(kind, path, found, expected, remedy))
        else:
            remedy = ", or ".join(filter(None, (remedy, restore(path, CALIBRATION))))
            faults.append(Fault(kind, path, found, expected, remedy, CALIBRATION))
    return len(faults) == before


def _rotation(rotation: NDArray[np.float64]) -> Iterator[_Finding]:
    off, determinant = float(np.abs(rotation @ rotation.T - np.eye(3)).max()), float(np.linalg.det(rotation))
    if off > _ROTATION or determinant < 0:
        found = f"line 'Tr': found a matrix that is no rotation (off by {off:.2g}, determinant {determinant:.2g})"
        yield _Finding("calibration-tr", found, "a rotation and a translation in metres, row by row", "")


def _projection(p2: NDArray[np.float64]) -> Iterator[_Finding]:
    """Invertible, not mirrored, and with a depth in metres."""
    kind, expected = "calibration-p2", "a camera's projection K [R | t] in pixels, row by row"
    determinant, length = float(np.linalg.det(p2[:, :3])), float(np.linalg.norm(p2[2, :3]))
    if abs(determinant) < 1e-9:
        yield _Finding(kind, "line 'P2': found a matrix that cannot be inverted", expected, "")
    elif determinant < 0:
        yield _Finding(kind, "line 'P2': found a mirrored image or negative depths", expected, "fix its signs")
    elif abs(length - 1) > _ROTATION:
        found = f"line 'P2': found a third row of length {length:.4g}, so that depths are no metres"
        yield _Finding(kind, found, f"length 1 in {expected}", f"divide P2 by {length:.6g}")


def _lens(k: NDArray[np.float64], size: tuple[int, int] | None, declared: tuple[int, int] | None) -> Iterator[_Finding]:
    """Focal lengths, shear and principal point that fit each other and the image."""
    kind, (fx, fy, skew) = "calibration-p2", (k[0, 0], k[1, 1], abs(k[0, 1]) / k[0, 0])
    oblong = max(fx / fy, fy / fx)
    if oblong > _OBLONG:
        found = f"line 'P2': found focal lengths of {fx:.4g} and {fy:.4g} pixels"
        yield _Finding(kind, found, "two that are alike", "correct the one that is wrong", oblong <= _IMPOSSIBLY_OBLONG)
    if skew > _SKEWED:
        found = f"line 'P2': found axes of the image that are sheared by {skew:.2g}"
        yield _Finding(kind, found, "none", "correct its second number", skew <= _IMPOSSIBLY_SKEWED)
    if size:
        yield from _lens_of_image(kind, k, size, declared)


def _lens_of_image(
    kind: str, k: NDArray[np.float64], size: tuple[int, int], declared: tuple[int, int] | None
) -> Iterator[_Finding]:
    (width, height), focal, centre = size, np.array([k[0, 0], k[1, 1]]), k[:2, 2]
    if declared and declared != size:
        found = "found images of {}x{} pixels".format(*size)
        yield _Finding(
            kind, found, "{}x{} as the line 'S_rect_02' says".format(*declared), "scale the first two rows of P2"
        )
        return
    outermost = float((np.maximum(np.abs(centre), np.abs(centre - size)) / focal).max())
    implied = (
        2 * centre / size
    )  # the size of an image with this principal point in its middle, against the size that is there
    if outermost > _IMPOSSIBLY_WIDE or width / focal[0] < _IMPOSSIBLY_NARROW:
        angle = 2 * np.rad2deg(np.arctan(width / 2 / focal[0]))
        found = (
            f"line 'P2': found a focal length of {focal[0]:.4g} pixels for images of {width} (a view of "
            f"{angle:.3g} degrees)"
        )
        yield _Finding(
            kind, found, "one that fits the image", "put in the camera's focal length and principal point, in pixels"
        )
        return
    if not declared and (implied.min() > _RESIZED or implied.max() < 1 / _RESIZED):
        found = "line 'P2': found the principal point ({:.4g}, {:.4g}), as of an image of {:.0f}x{:.0f}".format(
            *centre, *2 * centre
        )
        remedy = (
            "scale its first two rows as the images were; of images that were cut at a corner say S_rect_02: "
            f"{width} {height}"
        )
        yield _Finding(kind, found, f"one near the middle of {width}x{height}", remedy)
    elif np.abs(implied - 1).max() > _OFF_CENTRE:
        found = "line 'P2': found the principal point ({:.4g}, {:.4g})".format(*centre)
        yield _Finding(
            kind,
            found,
            f"one near the middle of {width}x{height}",
            "right for images that were cut; else correct it",
            True,
        )
    if outermost > _WIDE or width / focal[0] < _NARROW:
        found = f"line 'P2': found a focal length of {focal[0]:.4g} pixels for images of {width}"
        yield _Finding(
            kind, found, "a view of 5 to 130 degrees", "right for a lens of that kind; else correct it", True
        )


def _axes(of_camera: NDArray[np.float64], tr: NDArray[np.float64]) -> Iterator[_Finding]:
    """The LiDAR's up is the image's up, and the camera looks neither at the sky nor at its feet."""
    kind, expected = "calibration-axes", "LiDAR (x forward, y left, z up) to camera (x right, y down, z forward)"
    whole, inverse = of_camera @ tr, of_camera @ tr.T
    upright, inverted, ahead = -float(whole[1, 2]), -float(inverse[1, 2]), whole[2]
    if upright < _UPRIGHT and inverted > _INVERTED:
        found = "line 'Tr': found a rotation that is the right way round only when it is inverted"
        yield _Finding(
            kind, found, expected, "invert it, since it goes from camera to LiDAR (or only its rotation was transposed)"
        )
    elif ahead[2] > _STEEP:
        yield _Finding(kind, "line 'Tr': found a camera that looks at the sky", expected, "exchange the axes")
    elif upright < _ON_ITS_SIDE:
        yield _Finding(
            kind,
            "line 'Tr': found a camera that stands upside down",
            expected,
            "turn the images and P2, or Tr, by 180 degrees",
        )
    elif upright < _UPRIGHT:
        way = "looks down" if ahead[2] < -_STEEP else "lies on its side"
        remedy = "right for such a rig (a 2D network expects upright images); else correct it"
        yield _Finding(kind, f"line 'Tr': found a camera that {way}", expected, remedy, True)
    elif inverted > upright + _ASKEW:
        found = (
            f"line 'Tr': found a camera that stands askew by {np.rad2deg(np.arccos(upright)):.0f} degrees, and "
            "less so with Tr inverted"
        )
        yield _Finding(kind, found, expected, "right for such a rig; else invert it", True)


def _distance(calibration: Calibration) -> Iterator[_Finding]:
    whole = calibration.projection @ calibration.tr
    distance = float(np.linalg.norm(np.linalg.solve(whole[:, :3], whole[:, 3])))
    if distance > _FAR:
        found = f"found a camera {distance:.3g} m from the LiDAR"
        remedy = "bring the translations of P2 and Tr to metres"
        yield _Finding("calibration-distance", found, f"at most some {_FAR:g} m", remedy, distance <= _IMPOSSIBLY_FAR)
