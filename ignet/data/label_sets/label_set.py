"""Label sets: the classes of a dataset as data, in the format of semantic-kitti-api's data configuration.

A file maps raw ids, as label files hold them, to learning ids. Those that ``learning_ignore`` leaves out become
`IGNORE`; the others, in ascending order, are the train ids 0..K-1 of networks and confusion matrices.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ignet.config.base import Section, canonical_json, read_yaml, validate
from ignet.errors import IgnetError

IGNORE = 255
"""Train id of a point without a class."""

UNKNOWN = 254
"""In `LabelSet.train_ids`: a raw id that the label set does not define."""

_FOLDER = Path(__file__).parent

Byte = Annotated[int, Field(ge=0, le=255)]
RawId = Annotated[int, Field(ge=0, le=65535)]


class LabelSetFile(Section):
    """A label set's file. ``content``, ``name`` and ``split`` of semantic-kitti-api's own files are not read."""

    labels: dict[RawId, str] = Field(description="raw id -> name")
    color_map: dict[RawId, tuple[Byte, Byte, Byte]] = Field(description="raw id -> blue, green, red")
    learning_map: dict[RawId, int] = Field(description="raw id -> learning id")
    learning_map_inv: dict[int, RawId] = Field(description="learning id -> raw id that predictions are written with")
    learning_ignore: dict[int, bool] = Field(description="learning id -> whether it is no class of the training")
    class_names: dict[int, str] = Field({}, description="learning id -> name, where it is not that of its raw id")
    camera_map: dict[str, str | None] = Field({}, description="class -> class of the 2D label set, or null")
    small_objects: tuple[str, ...] = Field((), description="classes of small or thin objects")
    surfaces: tuple[str, ...] = Field((), description="classes of ground, walls and the like, which reach far")
    content: Any = None
    name: Any = None
    split: Any = None


@dataclass(frozen=True, eq=False)
class LabelSet:
    """The classes of a dataset, by train id.

    Attributes:
        name: of the shipped label set or of its file, for messages.
        classes: K names.
        colors: uint8 (K, 3), RGB.
        raw_ids: uint32 (K,), the raw id that predictions of each class are written with.
        raw_colors: RGB colour of each raw id that has one.
        camera_ids: uint8 (K,), train id of each class in the 2D label set; 255 where it has none.
        small_objects: names of the classes of small or thin objects.
        surfaces: names of the classes that reach far, such as roads, whose points scribbles join over wider gaps.
        text: the file's values as JSON, from which `parse_label_set` makes an equal label set.
        train_ids: uint8 (65536,), by raw id: 0..K-1, 255 where it is ignored, 254 where it is not defined.
    """

    name: str
    classes: tuple[str, ...]
    colors: NDArray[np.uint8]
    raw_ids: NDArray[np.uint32]
    raw_colors: dict[int, tuple[int, int, int]]
    camera_ids: NDArray[np.uint8]
    small_objects: tuple[str, ...]
    surfaces: tuple[str, ...]
    text: str
    train_ids: NDArray[np.uint8] = field(repr=False)

    def __len__(self) -> int:
        return len(self.classes)

    @cached_property
    def identity(self) -> str:
        """16 hexadecimal digits: the hash of the content."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:16]

    def ids_of(self, names: Sequence[str]) -> NDArray[np.uint8]:
        """Train ids, uint8 (n,), of the classes of these names.

        Raises:
            ValueError: a name that is no class.
        """
        if unknown := [name for name in names if name not in self.classes]:
            raise ValueError(
                f"found class {', '.join(unknown)}, expected classes of the label set {self.name}: "
                f"{', '.join(self.classes)}"
            )
        return np.array([self.classes.index(name) for name in names], np.uint8)

    def is_raw_id(self, raw: NDArray[np.unsignedinteger]) -> NDArray[np.bool_]:
        """Which raw ids, each 0..65535, the label set defines."""
        return self.train_ids[raw] != UNKNOWN

    def to_train_ids(self, raw: NDArray[np.unsignedinteger], where: str = "labels") -> NDArray[np.uint8]:
        """Train ids of raw labels.

        Args:
            raw: uint32 (...,) labels (the instance in the high 16 bits is dropped), or raw ids.
            where: the file that they come from, for the error.

        Returns:
            uint8 (...,): 0..K-1, or 255 where the label set ignores the raw id.

        Raises:
            IgnetError: a raw id that the label set does not define.
        """
        ids = np.asarray(raw) & 0xFFFF
        train = self.train_ids[ids]
        unknown = train == UNKNOWN
        if unknown.any():
            names = [str(value) for value in np.unique(ids[unknown])]
            listed = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
            examples = " and ".join(f"{self.raw_ids[each]} for {self.classes[each]}" for each in (0, len(self) // 2))
            raise IgnetError(
                f"found raw class {listed} on {int(unknown.sum())} points",
                f"raw ids of the label set {self.name}, such as {examples}",
                "convert the labels, or name their label set (dataset.labels; --label-set of ignet)",
                path=where,
            )
        return train

    def to_raw_ids(self, train: NDArray[np.uint8]) -> NDArray[np.uint32]:
        """Raw ids, uint32 (...,), of train ids; 255 becomes 0.

        Raises:
            ValueError: an id that is neither 0..K-1 nor 255.
        """
        return look_up(np.append(self.raw_ids, np.uint32(0)), train)

    def to_camera_ids(self, train: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Train ids of the 2D label set, uint8 (...,), of train ids; 255 where the class has none.

        Raises:
            ValueError: an id that is neither 0..K-1 nor 255.
        """
        return look_up(np.append(self.camera_ids, np.uint8(IGNORE)), train)


def load_label_set(name: str | Path) -> LabelSet:
    """Read a label set: a shipped one by its name (``semantickitti``, ``nuscenes``), or a YAML file by its path.

    Raises:
        IgnetError: no such label set, or a mistake in its file.
    """
    shipped = sorted(path.stem for path in _FOLDER.glob("*.yaml"))
    path = _FOLDER / f"{name}.yaml" if str(name) in shipped else Path(name).expanduser()
    if not path.is_file():
        raise IgnetError("no such label set", f"{', '.join(shipped)} or the path of a YAML file", path=name)
    return _build(validate(LabelSetFile, read_yaml(path, integer_keys=True), str(path)), path.stem, str(path))


def parse_label_set(text: str, where: str) -> LabelSet:
    """A label set from the ``text`` of one, which ``where`` (a file's path) holds.

    Raises:
        IgnetError: it is none.
    """
    try:
        values = json.loads(text)
    except ValueError:
        raise IgnetError(f"{where}: found a label set that is no JSON; write the file again") from None
    return _build(validate(LabelSetFile, values, f"{where}: label set"), Path(where).stem, where)


def colorize(ids: NDArray[np.uint8], palette: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Colours, uint8 (..., 3) RGB, of ids (...,) by a palette (K, 3); 255 is black.

    Raises:
        ValueError: an id that is neither 0..K-1 nor 255.
    """
    return look_up(np.vstack([palette, np.zeros((1, 3), np.uint8)]), ids)


def look_up(table: NDArray, ids: NDArray[np.uint8]) -> NDArray:
    """Rows of a table (K + 1, ...) by train id; the last row is the one of `IGNORE`.

    Raises:
        ValueError: an id that is neither 0..K-1 nor 255.
    """
    ids, last = np.asarray(ids), len(table) - 1
    if (wrong := ids[(ids >= last) & (ids != IGNORE)]).size:
        raise ValueError(f"class ids must be 0..{last - 1} or {IGNORE}, found {int(wrong.max())}")
    return table[np.where(ids == IGNORE, last, ids)]


def _build(file: LabelSetFile, name: str, where: str) -> LabelSet:
    def check(key: str, found: str, wrong: list, expected: str) -> None:
        if wrong:
            raise IgnetError(f"{key}: found {found} {wrong[0]}", expected, path=where)

    inverse, colors = file.learning_map_inv, file.color_map
    learning = sorted(set(file.learning_map.values()) | set(inverse))
    kept = [each for each in learning if not file.learning_ignore.get(each)]
    unnamed = [raw for raw in file.learning_map if raw not in file.labels]
    check("labels", "no name of raw id", unnamed, "one of each raw id in learning_map")
    unmapped = [raw for raw in file.labels if raw not in file.learning_map]
    check("learning_map", "no learning id of raw id", unmapped, "one of each raw id in labels")
    unknown = [each for each in learning if each not in file.learning_ignore]
    check("learning_ignore", "nothing about learning id", unknown, "true or false for each one in learning_map")
    foreign = [each for each in kept if file.learning_map.get(inverse.get(each, -1)) != each]
    check("learning_map_inv", "no raw id that learning_map maps to", foreign, "one for each learning id")
    labelled = [] if file.learning_ignore.get(file.learning_map.get(0, -1)) else [0]
    check(
        "learning_map",
        "a class or nothing for raw id",
        labelled,
        "an ignored one: it stands for points without a label",
    )
    uncolored = [inverse[each] for each in kept if inverse[each] not in colors]
    check("color_map", "no colour of raw id", uncolored, "one of each raw id in learning_map_inv, as blue, green, red")
    classes = tuple(file.class_names.get(each, file.labels[inverse[each]]) for each in kept)
    check("class_names", "twice the class", [each for each in classes if classes.count(each) > 1], "different names")
    if not 2 <= len(classes) < UNKNOWN:
        raise IgnetError(f"learning_ignore: found {len(classes)} classes that are trained", "2 to 253", path=where)

    wrong = [each for each in file.class_names if each not in kept]
    check("class_names", "learning id", wrong, "learning ids that are not ignored")
    strange = [each for each in (*file.camera_map, *file.small_objects, *file.surfaces) if each not in classes]
    check("camera_map, small_objects or surfaces", "class", strange, f"one of {', '.join(classes)}")
    missing = [each for each in classes if each not in file.camera_map]
    check("camera_map", "nothing about", missing if file.camera_map else [], "every class, with null for no 2D class")
    camera = () if not file.camera_map else CITYSCAPES.classes
    strange = [each for each in file.camera_map.values() if each is not None and each not in camera]
    check("camera_map", "2D class", strange, f"one of {', '.join(camera)}, or null")

    train_ids = np.full(65536, UNKNOWN, np.uint8)
    for raw, each in file.learning_map.items():
        train_ids[raw] = kept.index(each) if each in kept else IGNORE
    streets = [file.camera_map.get(each) for each in classes]
    return LabelSet(
        name=name,
        classes=classes,
        colors=np.array([colors[inverse[each]][::-1] for each in kept], np.uint8),
        raw_ids=np.array([inverse[each] for each in kept], np.uint32),
        raw_colors={raw: (red, green, blue) for raw, (blue, green, red) in colors.items()},
        camera_ids=np.array([IGNORE if each is None else camera.index(each) for each in streets], np.uint8),
        small_objects=file.small_objects,
        surfaces=file.surfaces,
        text=canonical_json(file.identity("content", "name", "split")),
        train_ids=train_ids,
    )


# by the files' whole names, which makes their content part of the code identity of every stage
CITYSCAPES = load_label_set(_FOLDER / "cityscapes.yaml")
"""The label set of the 2D networks."""

SEMANTICKITTI = load_label_set(_FOLDER / "semantickitti.yaml")
"""The label set of the embedded world, which draws these classes; all others are handed theirs."""
