"""Labelled synthetic or street images in the layouts of GTA-V, Synthia and Cityscapes, as Cityscapes train ids."""

from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from ignet.data.formats.kitti import read_image
from ignet.data.label_sets.label_set import CITYSCAPES, IGNORE, UNKNOWN
from ignet.errors import IgnetError
from ignet.log import progress

_STATIC = (20, 20, 20)
"""GTA-V's second colour of static things, beside Cityscapes' black."""

_SYNTHIA_IDS: dict[int, str] = {
    1: "sky",
    2: "building",
    3: "road",
    4: "sidewalk",
    5: "fence",
    6: "vegetation",
    7: "pole",
    8: "car",
    9: "traffic sign",
    10: "person",
    11: "bicycle",
    12: "motorcycle",
    15: "traffic light",
    17: "rider",
    19: "bus",
    21: "wall",
}
_SYNTHIA_IGNORED_IDS = (0, 13, 14, 16, 18, 20, 22)  # void, parking, road work, terrain, truck, train, lane marking


def _id_table(train_ids: dict[int, int]) -> NDArray[np.uint8]:
    table = np.full(65536, UNKNOWN, np.uint8)
    table[list(train_ids)] = list(train_ids.values())
    return table


_TRAIN_TABLE = _id_table({**{train: train for train in range(len(CITYSCAPES))}, IGNORE: IGNORE})
_SYNTHIA_TABLE = _id_table(
    dict.fromkeys(_SYNTHIA_IGNORED_IDS, IGNORE)
    | {label: CITYSCAPES.classes.index(name) for label, name in _SYNTHIA_IDS.items()}
)

Pair = tuple[Path, Path]


class SourceDataset:
    """Images with dense labels.

    Layouts:
        gtav: ``images/F.png`` and ``labels/F.png`` (Cityscapes label ids as palette or grey values, or Cityscapes
            colours); where ``labels/F_labelTrainIds.png`` is beside, its train ids are read instead.
        synthia: ``RGB/F.png`` and ``GT/LABELS/F.png`` (16 bit, the class in the red channel); the 16 classes that
            it shares with Cityscapes, or train ids as in gtav.
        cityscapes: ``leftImg8bit/SPLIT/CITY/F_leftImg8bit.png`` and ``gtFine/SPLIT/CITY/F_gtFine_labelIds.png``.
    """

    def __init__(self, root: Path, layout: str, split: str = "train") -> None:
        """Args: root: folder of the dataset. layout: gtav, synthia or cityscapes. split: of cityscapes.

        Raises:
            IgnetError: a folder is missing or empty, or an image or a label image has no partner.
        """
        find = {"gtav": _gtav, "synthia": _synthia, "cityscapes": lambda folder: _cityscapes(folder, split)}.get(layout)
        if find is None:
            raise IgnetError(f"found layout '{layout}'", "gtav, synthia or cityscapes", "set source.layout", path=root)
        self.pairs: list[Pair] = find(Path(root))
        self._read_labels: Callable[[Path], NDArray[np.uint8]] = (
            read_synthia_labels if layout == "synthia" else read_cityscapes_labels
        )

    def __len__(self) -> int:
        """Number of images."""
        return len(self.pairs)

    def read(self, i: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Image, uint8 (H, W, 3) RGB, and labels, uint8 (H, W) Cityscapes train ids, 255 ignored.

        Raises:
            IgnetError: a file is unreadable, the two differ in size, or a class is unknown.
        """
        image_file, label_file = self.pairs[i]
        image, labels = read_image(image_file), self._read_labels(label_file)
        if image.shape[:2] != labels.shape:
            raise IgnetError(
                f"found {labels.shape[1]}x{labels.shape[0]} pixels",
                f"{image.shape[1]}x{image.shape[0]} as {image_file} has",
                "remove this pair",
                path=label_file,
            )
        return image, labels

    def class_frequencies(self) -> NDArray[np.float64]:
        """Share of each class in all labelled pixels: float64 (19,), sums to 1 (zeros where nothing is labelled)."""
        total = self._counts.sum(axis=0).astype(np.float64)
        return total / max(total.sum(), 1.0)

    def class_presence(self) -> NDArray[np.bool_]:
        """Which classes occur in which image: bool (len, 19)."""
        return self._counts > 0

    @cached_property
    def _counts(self) -> NDArray[np.int64]:
        """Pixels of each class in each image, int64 (len, 19): one pass over all labels."""
        files = progress([labels for _, labels in self.pairs], "counting source labels")
        counts = [np.bincount(self._read_labels(file).ravel(), minlength=256)[: len(CITYSCAPES)] for file in files]
        return np.stack(counts)


def read_cityscapes_labels(path: Path) -> NDArray[np.uint8]:
    """Train ids, uint8 (H, W), of a label image that holds Cityscapes ids (palette, grey) or colours (RGB).

    Raises:
        IgnetError: the file is unreadable, or holds an unknown id or colour.
    """
    try:
        with Image.open(path) as picture:
            mode, values = picture.mode, np.asarray(picture)  # of a palette image these are the indices
    except (OSError, UnidentifiedImageError, SyntaxError) as error:
        raise _unreadable(path, str(error)) from None
    if mode in ("P", "L", "I;16", "I"):
        table = _TRAIN_TABLE if _is_train_ids(path) else CITYSCAPES.train_ids
        return _map(path, values.astype(np.int64), table, "label id")
    if mode in ("RGB", "RGBA"):
        return _from_colors(path, values[:, :, :3])
    raise _unreadable(path, f"pixel format {mode}")


def read_synthia_labels(path: Path) -> NDArray[np.uint8]:
    """Train ids, uint8 (H, W), of a Synthia label image: 16 bit, three channels, the class in the red one.

    Raises:
        IgnetError: the file is unreadable, of another format, or holds an unknown id.
    """
    if _is_train_ids(path):
        return read_cityscapes_labels(path)
    data = path.read_bytes() if path.is_file() else b""
    values = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED) if data else None
    if values is None or b"IEND" not in data[-16:]:
        raise _unreadable(path, f"{len(data)} bytes that are no whole image")
    if values.ndim != 3 or values.dtype != np.uint16:
        raise _unreadable(path, f"{values.dtype} with {values.ndim} axes, no 16-bit colour image")
    return _map(
        path, values[:, :, 2].astype(np.int64), _SYNTHIA_TABLE, "Synthia id"
    )  # OpenCV's order is blue, green, red


def _map(path: Path, ids: NDArray[np.int64], table: NDArray[np.uint8], what: str) -> NDArray[np.uint8]:
    train = table[np.clip(ids, 0, 65535)]
    train[(ids < 0) | (ids > 65535)] = UNKNOWN
    if (train == UNKNOWN).any():
        found = ", ".join(str(value) for value in np.unique(ids[train == UNKNOWN])[:8])
        raise IgnetError(
            f"found unknown {what} {found}", "the layout's own", "check source.layout, or unpack it again", path=path
        )
    return train


def _from_colors(path: Path, colors: NDArray[np.uint8]) -> NDArray[np.uint8]:
    packed = _pack(colors)
    values, inverse = np.unique(packed, return_inverse=True)
    ids, known_colors = zip(*CITYSCAPES.raw_colors.items(), strict=True)
    known = dict(zip(_pack(np.array(known_colors)).tolist(), CITYSCAPES.train_ids[list(ids)].tolist(), strict=True))
    known[int(_pack(np.array(_STATIC)))] = IGNORE
    if unknown := [int(value) for value in values if int(value) not in known]:
        found = ", ".join(f"({value >> 16}, {value >> 8 & 255}, {value & 255})" for value in unknown[:4])
        raise IgnetError(
            f"found unknown label colour {found}", "those of Cityscapes", "use the label ids of the dataset", path=path
        )
    table = np.array([known[int(value)] for value in values], np.uint8)
    return table[inverse].reshape(packed.shape)


def _pack(colors: NDArray) -> NDArray[np.int64]:
    return colors.astype(np.int64) @ np.array([1 << 16, 1 << 8, 1])


def _is_train_ids(path: Path) -> bool:
    return path.stem.endswith("_labelTrainIds")


def _gtav(root: Path) -> list[Pair]:
    labels = _labels(root / "labels")
    return _pair(root, _files(root / "images", "*.png", ""), labels)


def _synthia(root: Path) -> list[Pair]:
    return _pair(root, _files(root / "RGB", "*.png", ""), _labels(root / "GT" / "LABELS"))


def _labels(folder: Path) -> dict[str, Path]:
    """Label images by name; where the train ids that DAFormer's converters write lie beside, those."""
    labels = _files(folder, "*.png", "")
    variants = {name.removesuffix("_labelTrainIds"): path for name, path in labels.items() if _is_train_ids(path)}
    plain = {name: path for name, path in labels.items() if not _is_train_ids(path)}
    return {**plain, **variants}


def _cityscapes(root: Path, split: str) -> list[Pair]:
    images = _files(root / "leftImg8bit" / split, "*/*_leftImg8bit.png", "_leftImg8bit")
    return _pair(root, images, _files(root / "gtFine" / split, "*/*_gtFine_labelIds.png", "_gtFine_labelIds"))


def _files(folder: Path, pattern: str, suffix: str) -> dict[str, Path]:
    """Files by their name in the folder without ``suffix`` and extension."""
    if not folder.is_dir():
        raise IgnetError(
            "no such folder",
            "it in this layout of a source dataset",
            "check source.root and source.layout",
            path=folder,
        )
    paths = sorted(path for path in folder.glob(pattern) if not path.name.startswith("."))
    return {str(path.relative_to(folder).with_suffix("")).removesuffix(suffix): path for path in paths}


def _pair(root: Path, images: dict[str, Path], labels: dict[str, Path]) -> list[Pair]:
    if lonely := sorted(images.keys() ^ labels.keys()):
        name = lonely[0]
        present, missing = (images[name], "label image") if name in images else (labels[name], "image")
        more = f" ({len(lonely) - 1} more without a partner)" if len(lonely) > 1 else ""
        raise IgnetError(
            f"found no {missing} of the same name{more}",
            "pairs",
            "unpack both archives, or remove this file",
            path=present,
        )
    if not images:
        raise IgnetError(
            "found no images", "pairs of images and label images", "check source.root and source.layout", path=root
        )
    return [(images[name], labels[name]) for name in sorted(images)]


def _unreadable(path: Path, found: str) -> IgnetError:
    return IgnetError(
        f"found {' '.join(found.split())}", "a label image of the source dataset", "unpack it again", path=path
    )
