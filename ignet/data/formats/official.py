"""What the published data sets hold, and the downloads that they come in."""

from collections.abc import Iterable
from typing import NamedTuple

CAMERA = 2
"""Number of the camera of a rig with one: KITTI's left colour camera."""

FRAMES = "frames.csv"
"""Beside ``sequences/`` of an imported tree: which frame of which drive each frame is."""

SEMANTICKITTI_FRAMES = dict(
    zip(
        (f"{number:02}" for number in range(22)),
        (
            4541,
            1101,
            4661,
            801,
            271,
            2761,
            1101,
            1101,
            4071,
            1591,
            1201,
            921,
            1061,
            3281,
            631,
            1901,
            1731,
            491,
            1801,
            4981,
            831,
            2721,
        ),
        strict=True,
    )
)
"""Scans of each sequence of SemanticKITTI (Behley et al., ICCV 2019): 43,552."""

TRAIN_SEQUENCES = ("00", "01", "02", "03", "04", "05", "06", "07", "09", "10")
"""19,130 scans. Source: the SemanticKITTI benchmark."""

VAL_SEQUENCES = ("08",)
"""4,071 scans."""

TEST_SEQUENCES = tuple(f"{number:02}" for number in range(11, 22))
"""20,351 scans, without labels."""


class Kind(NamedTuple):
    """One kind of files of a sequence.

    Attributes:
        folder: its folder in the sequence.
        suffix: of the files.
        noun: one of them, in words.
        download: the archive that holds them.
    """

    folder: str
    suffix: str
    noun: str
    download: str


class _Kinds(dict[str, Kind]):
    """Images of a camera other than 2 are of a kind that is called like their folder, and that nobody lists."""

    def __missing__(self, kind: str) -> Kind:
        if not kind.startswith("image_"):
            raise KeyError(kind)
        return self["images"]._replace(folder=kind)


KINDS = _Kinds(
    {
        "scans": Kind("velodyne", ".bin", "scan", "data_odometry_velodyne.zip"),
        "images": Kind("image_2", ".png", "image", "data_odometry_color.zip"),
        "labels": Kind("labels", ".label", "label file", "data_odometry_labels.zip"),
        "scribbles": Kind("scribbles", ".label", "scribble file", "scribblekitti.zip"),
    }
)
"""By name; ``image_5`` is the kind of camera 5's images."""

JPEG = ".jpg"
"""Suffix of the images of a folder that holds no PNG."""


def image_kinds(cameras: Iterable[int]) -> dict[int, str]:
    """The kind of each camera's images."""
    return {camera: "images" if camera == CAMERA else f"image_{camera}" for camera in cameras}


CALIBRATION = "data_odometry_calib.zip"
"""The one archive whose ``calib.txt`` has ``Tr``."""

_KITTI = "https://www.cvlibs.net/datasets/kitti/eval_odometry.php"
DOWNLOADS = {
    "data_odometry_velodyne.zip": f"{_KITTI}, 80 GB",
    "data_odometry_color.zip": f"{_KITTI}, 65 GB",
    CALIBRATION: f"{_KITTI}, 1 MB",
    "data_odometry_labels.zip": "http://semantic-kitti.org/dataset.html, 179 MB",
    "scribblekitti.zip": "https://github.com/ouenal/scribblekitti, 118 MB",
}
"""Where each archive is, and its size."""
