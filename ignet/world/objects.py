"""What stands and drives on a street, built from solids in their own frames (x forward, origin on the ground)."""

from collections.abc import Callable

import numpy as np

from ignet.world.looks import Look
from ignet.world.solids import CYLINDER, ELLIPSOID, FOLIAGE, PRISM, RING, SOLID, Solids
from ignet.world.texture import BODY, CAB, CABIN, CARGO, COACH, CROWN, LIGHT, PLAIN, PLATE

Pose = tuple[float, float, float]  # world x, y and heading in radians


class Builder:
    """Collects solids; ``at`` sets the frame and the class of those that follow."""

    def __init__(self, look: Look, rng: np.random.Generator) -> None:
        self.look, self.rng = look, rng
        self._rows: list[tuple] = []
        self._pose: Pose = (0.0, 0.0, 0.0)
        self._raw = self._city = self._instance = 0
        self._remission = 0.3

    def at(self, pose: Pose, raw: int, city: int, instance: int = 0, remission: float = 0.3) -> None:
        """Frame, SemanticKITTI raw class, Cityscapes label id, instance and mean remission of the next solids."""
        self._pose, self._raw, self._city, self._instance, self._remission = pose, raw, city, instance, remission

    def add(
        self,
        kind: int,
        center: tuple[float, float, float],
        half: tuple[float, float, float],
        color: np.ndarray,
        pattern: int = PLAIN,
        *,
        turn: float = 0.0,
        taper: tuple[float, float] = (0.0, 0.0),
        cut: int = SOLID,
        city: int | None = None,
    ) -> None:
        """One solid; centre in the frame of ``at``, half sizes in metres, ``turn`` in radians about z."""
        x, y, heading = self._pose
        cos, sin = np.cos(heading), np.sin(heading)
        world = (x + cos * center[0] - sin * center[1], y + sin * center[0] + cos * center[1], center[2])
        row = (
            kind,
            world,
            half,
            heading + turn,
            taper,
            cut,
            self._raw,
            self._city if city is None else city,
            self._instance,
        )
        self._rows.append((*row, color, pattern, self._remission, self.rng.uniform(0, 64)))

    def build(self) -> Solids:
        """The table of all that was added."""
        # type and width of each column, in the order of the fields of Solids
        shapes: list[tuple[type, int]] = [
            (np.uint8, 0),
            (np.float32, 3),
            (np.float32, 3),
            (np.float32, 0),
            (np.float32, 2),
            (np.uint8, 0),
        ]
        shapes += [
            (np.uint16, 0),
            (np.uint8, 0),
            (np.uint16, 0),
            (np.float32, 3),
            (np.uint8, 0),
            (np.float32, 0),
            (np.float32, 0),
        ]
        columns = list(zip(*self._rows, strict=True)) if self._rows else [()] * len(shapes)
        return Solids(
            *(np.array(c, t).reshape((-1, w) if w else (-1,)) for c, (t, w) in zip(columns, shapes, strict=True))
        )


def _wheels(b: Builder, xs: tuple[float, ...], y: float, radius: float) -> None:
    tyre = b.look.color("tyre", b.rng)
    for x in xs:
        for side in (-y, y):
            b.add(ELLIPSOID, (x, side, radius), (radius, 0.14, radius), tyre)


def car(b: Builder, pose: Pose, instance: int, moving: bool = False) -> None:
    """A saloon, hatchback or estate."""
    b.at(pose, 252 if moving else 10, 26, instance, float(b.rng.uniform(0.12, 0.5)))
    length, width, height = b.rng.uniform(3.7, 4.7), b.rng.uniform(1.65, 1.85), b.rng.uniform(1.38, 1.6)
    color = b.look.color("car", b.rng)
    waist = 0.58 * height
    b.add(
        PRISM, (0, 0, (waist + 0.22) / 2), (length / 2, width / 2, (waist - 0.22) / 2), color, BODY, taper=(0.05, 0.06)
    )
    cabin, shift = [(0.27, -0.03), (0.33, -0.11), (0.37, -0.12)][b.rng.integers(3)]
    b.add(
        PRISM,
        (shift * length, 0, (waist + height) / 2),
        (cabin * length, width * 0.46, (height - waist) / 2),
        color,
        CABIN,
        taper=(0.32, 0.22),
    )
    _wheels(b, (-0.3 * length, 0.31 * length), width / 2 - 0.1, 0.32)


def truck(b: Builder, pose: Pose, instance: int, moving: bool = False) -> None:
    """A lorry with a box body."""
    b.at(pose, 258 if moving else 18, 27, instance, float(b.rng.uniform(0.2, 0.5)))
    length, height = b.rng.uniform(6.5, 8.5), b.rng.uniform(2.9, 3.5)
    b.add(PRISM, (length / 2 - 0.9, 0, 1.5), (0.9, 1.1, 1.05), b.look.color("truck", b.rng), CAB, taper=(0.12, 0.05))
    b.add(
        PRISM,
        (-0.95, 0, (height + 0.85) / 2),
        (length / 2 - 0.95, 1.2, (height - 0.85) / 2),
        b.look.color("truck", b.rng),
        CARGO,
    )
    b.add(PRISM, (0, 0, 0.7), (length / 2 - 0.1, 0.45, 0.14), b.look.color("tyre", b.rng))
    _wheels(b, (-0.32 * length, -0.18 * length, 0.36 * length), 0.95, 0.46)


def van(b: Builder, pose: Pose, instance: int, moving: bool = False) -> None:
    """A delivery van or, one time in three, a trailer: other-vehicle.

    Cityscapes calls a van a car and a trailer by its own id.
    """
    trailer = not moving and b.rng.random() < 0.33
    b.at(pose, 259 if moving else 20, 30 if trailer else 26, instance, float(b.rng.uniform(0.15, 0.45)))
    color = b.look.color("truck", b.rng)
    if trailer:
        b.add(PRISM, (0, 0, 1.35), (1.9, 1.05, 0.85), color, CARGO)
        b.add(PRISM, (2.4, 0, 0.5), (0.6, 0.08, 0.06), b.look.color("metal", b.rng))
        _wheels(b, (-0.2,), 1.0, 0.33)
        return
    b.add(PRISM, (-0.5, 0, 1.25), (2.1, 0.96, 0.98), color, CARGO, taper=(0.02, 0.08))
    b.add(PRISM, (1.75, 0, 0.68), (0.85, 0.94, 0.42), color, BODY)
    b.add(PRISM, (1.65, 0, 1.55), (0.62, 0.9, 0.48), color, CABIN, taper=(0.35, 0.12))
    _wheels(b, (-1.55, 1.7), 0.88, 0.35)


def bus(b: Builder, pose: Pose, instance: int, moving: bool = False) -> None:
    """A city bus: other-vehicle for the LiDAR's classes."""
    b.at(pose, 257 if moving else 13, 28, instance, float(b.rng.uniform(0.2, 0.5)))
    b.add(PRISM, (0, 0, 1.65), (5.2, 1.25, 1.38), b.look.color("bus", b.rng), COACH, taper=(0.01, 0.04))
    _wheels(b, (-3.2, 3.3), 1.15, 0.45)


def _bicycle_frame(b: Builder) -> None:
    color, tyre = b.look.color("bike", b.rng), b.look.color("tyre", b.rng)
    for x in (-0.53, 0.53):
        b.add(ELLIPSOID, (x, 0, 0.34), (0.34, 0.035, 0.34), tyre, cut=RING, city=33)
    b.add(PRISM, (0.08, 0, 0.72), (0.36, 0.03, 0.035), color, city=33)
    b.add(PRISM, (-0.02, 0, 0.45), (0.3, 0.03, 0.035), color, city=33)
    for x, low, high in ((-0.22, 0.35, 0.95), (0.46, 0.35, 1.02)):
        b.add(CYLINDER, (x, 0, (low + high) / 2), (0.03, 0.03, (high - low) / 2), color, city=33)
    b.add(PRISM, (-0.24, 0, 0.97), (0.14, 0.08, 0.04), tyre, city=33)
    b.add(PRISM, (0.46, 0, 1.03), (0.04, 0.28, 0.03), tyre, city=33)


def bicycle(b: Builder, pose: Pose, instance: int, moving: bool = False) -> None:
    """A parked bicycle."""
    b.at(pose, 11, 33, instance, 0.3)
    _bicycle_frame(b)


def _motorcycle_frame(b: Builder) -> None:
    color, tyre = b.look.color("motorcycle", b.rng), b.look.color("tyre", b.rng)
    for x in (-0.65, 0.68):
        b.add(ELLIPSOID, (x, 0, 0.31), (0.31, 0.09, 0.31), tyre, city=32)
    b.add(PRISM, (0, 0, 0.55), (0.45, 0.17, 0.22), tyre, city=32)
    b.add(ELLIPSOID, (0.2, 0, 0.85), (0.32, 0.18, 0.17), color, city=32)
    b.add(PRISM, (-0.4, 0, 0.83), (0.4, 0.15, 0.09), color, taper=(0.2, 0.2), city=32)
    b.add(PRISM, (0.52, 0, 1.05), (0.07, 0.36, 0.05), tyre, city=32)
    b.add(CYLINDER, (0.58, 0, 0.68), (0.08, 0.12, 0.36), b.look.color("metal", b.rng), city=32)


def motorcycle(b: Builder, pose: Pose, instance: int, moving: bool = False) -> None:
    """A parked motorcycle."""
    b.at(pose, 15, 32, instance, 0.3)
    _motorcycle_frame(b)


def _rider(b: Builder, hip: float) -> None:
    cloth, trousers = b.look.color("cloth", b.rng), b.look.color("trousers", b.rng)
    b.add(ELLIPSOID, (-0.05, 0, hip + 0.33), (0.2, 0.23, 0.38), cloth)
    b.add(ELLIPSOID, (0.05, 0, hip + 0.82), (0.12, 0.11, 0.14), b.look.color("skin", b.rng))
    for side in (-0.13, 0.13):
        b.add(PRISM, (0.02, side, hip - 0.22), (0.13, 0.07, 0.28), trousers)
        b.add(PRISM, (0.24, side * 1.6, hip + 0.35), (0.24, 0.05, 0.06), cloth)


def bicyclist(b: Builder, pose: Pose, instance: int, moving: bool = True) -> None:
    """A person on a bicycle: one LiDAR class, two Cityscapes classes."""
    b.at(pose, 253 if moving else 31, 25, instance, 0.3)
    _bicycle_frame(b)
    _rider(b, 0.92)


def motorcyclist(b: Builder, pose: Pose, instance: int, moving: bool = True) -> None:
    """A person on a motorcycle."""
    b.at(pose, 255 if moving else 32, 25, instance, 0.3)
    _motorcycle_frame(b)
    _rider(b, 0.85)


def person(b: Builder, pose: Pose, instance: int, moving: bool = False) -> None:
    """A standing or walking person."""
    b.at(pose, 254 if moving else 30, 24, instance, float(b.rng.uniform(0.2, 0.4)))
    size = b.rng.uniform(0.92, 1.08)
    cloth, trousers = b.look.color("cloth", b.rng), b.look.color("trousers", b.rng)
    stride = b.rng.uniform(0.05, 0.2)
    for side in (-1, 1):
        b.add(CYLINDER, (side * stride, side * 0.1, 0.42 * size), (0.1, 0.09, 0.42 * size), trousers)
        b.add(CYLINDER, (-side * stride * 0.6, side * 0.27, 1.1 * size), (0.06, 0.06, 0.3 * size), cloth)
    b.add(ELLIPSOID, (0, 0, 1.14 * size), (0.17, 0.24, 0.4 * size), cloth)
    b.add(ELLIPSOID, (0, 0, 1.62 * size), (0.12, 0.11, 0.14 * size), b.look.color("skin", b.rng))


def tree(b: Builder, pose: Pose, size: float) -> None:
    """A trunk with a crown of a few leafy ellipsoids; ``size`` is the crown's radius in metres."""
    stem = b.rng.uniform(1.6, 2.5)
    b.at(pose, 71, 21, 0, 0.3)
    radius = b.rng.uniform(0.11, 0.24)
    b.add(CYLINDER, (0, 0, (stem + 0.6) / 2), (radius, radius, (stem + 0.6) / 2), b.look.color("trunk", b.rng), CROWN)
    b.at(pose, 70, 21, 0, 0.34)
    color = b.look.color("foliage", b.rng)
    b.add(ELLIPSOID, (0, 0, stem + size * 0.95), (size, size, size * 1.05), color, CROWN, cut=FOLIAGE)
    for _ in range(3):
        x, y = b.rng.uniform(-0.6, 0.6, 2) * size
        part = size * b.rng.uniform(0.5, 0.75)
        b.add(
            ELLIPSOID,
            (x, y, stem + size * b.rng.uniform(0.6, 1.5)),
            (part, part, part * 0.85),
            color,
            CROWN,
            cut=FOLIAGE,
        )


def bush(b: Builder, pose: Pose, size: float) -> None:
    """A bush of two leafy ellipsoids."""
    b.at(pose, 70, 21, 0, 0.34)
    color = b.look.color("hedge", b.rng)
    for _ in range(2):
        x, y = b.rng.uniform(-0.5, 0.5, 2) * size
        b.add(ELLIPSOID, (x, y, size * 0.6), (size, size, size * 0.8), color, CROWN, cut=FOLIAGE)


def lamp(b: Builder, pose: Pose) -> None:
    """A street lamp, its arm towards +y."""
    b.at(pose, 80, 17, 0, 0.33)
    height, radius, color = b.rng.uniform(5, 7), b.rng.uniform(0.07, 0.11), b.look.color("metal", b.rng)
    b.add(CYLINDER, (0, 0, height / 2), (radius, radius, height / 2), color)
    b.add(PRISM, (0, 0.7, height), (0.07, 0.75, 0.05), color)


def sign(b: Builder, pose: Pose) -> None:
    """A traffic sign that faces -x, on a pole as thin as the sign is plain to a LiDAR."""
    b.at(pose, 80, 17, 0, 0.36)
    height = b.rng.uniform(2.0, 2.5)
    b.add(CYLINDER, (0.06, 0, height / 2), (0.045, 0.045, height / 2), b.look.color("metal", b.rng))
    b.at(pose, 81, 20, 0, 0.5)
    color = b.look.color("sign", b.rng)
    if b.rng.random() < 0.5:
        b.add(ELLIPSOID, (0, 0, height), (0.04, 0.42, 0.42), color, PLATE)
    else:
        b.add(PRISM, (0, 0, height), (0.025, b.rng.uniform(0.35, 0.6), b.rng.uniform(0.35, 0.5)), color, PLATE)


def traffic_light(b: Builder, pose: Pose) -> None:
    """A pole with a signal head, for which the LiDAR benchmark has no class."""
    b.at(pose, 80, 17, 0, 0.33)
    b.add(CYLINDER, (0.1, 0, 1.9), (0.06, 0.06, 1.9), b.look.color("metal", b.rng))
    b.at(pose, 99, 19, 0, 0.3)
    b.add(PRISM, (-0.05, 0, 3.2), (0.12, 0.2, 0.5), b.look.color("light", b.rng), LIGHT)


VEHICLES: dict[str, Callable[..., None]] = {
    "car": car,
    "truck": truck,
    "van": van,
    "bus": bus,
    "bicycle": bicycle,
    "motorcycle": motorcycle,
    "bicyclist": bicyclist,
    "motorcyclist": motorcyclist,
    "person": person,
}
