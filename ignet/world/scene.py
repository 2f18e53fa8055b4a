"""One street with everything on it, as it stands at any frame of a drive."""

from dataclasses import dataclass

import numpy as np

from ignet.world.layout import Layout, StreetBuilder
from ignet.world.looks import Look
from ignet.world.objects import VEHICLES, Builder, Pose
from ignet.world.solids import Solids
from ignet.world.street import Street

_BEHIND, _AHEAD = 95.0, 130.0


@dataclass(frozen=True)
class Mover:
    """Something that moves along the street."""

    kind: str
    s: float  # metres along the street at frame 0
    d: float
    step: float  # metres a frame, negative against the street's direction
    sway: float  # metres that it gains and loses on its way
    instance: int
    seed: int

    def at(self, frame: int) -> float:
        """Street coordinate s in a frame."""
        return self.s + self.step * frame + self.sway * float(np.sin(0.7 * frame + self.seed))


class Scene:
    """A street, what stands on it, and what moves; the vehicle drives in the right lane."""

    def __init__(self, layout: Layout, look: Look, key: tuple[int, ...], frames: int, spacing: float) -> None:
        """Draw a street.

        Args:
            layout: statistics of the domain.
            look: its colours.
            key: non-negative integers; the scene depends on nothing else but these arguments.
            frames: how many frames will be driven.
            spacing: metres between two frames.
        """
        rng = np.random.default_rng(key)
        self.look, self.spacing = look, spacing
        length = frames * spacing
        self.street = Street(-_BEHIND, length + _AHEAD, rng, layout.bend)
        builder = Builder(look, rng)
        self._plan = StreetBuilder(layout, builder, self.street, rng)
        self._plan.build()
        self.static = builder.build()
        self._lane = -self._plan.half / 2
        self._along = self._drive(frames)
        self.movers = self._movers(rng, length)
        # the sun stands on one side of the street, seldom in the camera
        self.sun_azimuth = float(rng.choice((-1, 1)) * rng.uniform(0.6, 2.4))
        self.sun_height = float(np.radians(rng.uniform(*look.sun_height)))
        self.sun_strength = float(rng.uniform(*look.sun))

    def _drive(self, frames: int) -> np.ndarray:
        s = [0.0]
        for _ in range(frames - 1):
            s.append(s[-1] + self.spacing * float(np.cos(self.street.heading(np.array(s[-1])))))
        return np.array(s)

    def vehicle(self, frame: int) -> Pose:
        """World x, y and heading of the sensor vehicle."""
        return self._plan.pose(float(self._along[frame]), self._lane)

    def _movers(self, rng: np.random.Generator, length: float) -> list[Mover]:
        half, step = self._plan.half, self.spacing
        edge, walk = half - 0.75, {side: sum(self._plan.walks[side]) / 2 for side in (-1, 1)}
        # some keep the vehicle company, so that rare classes are near in most frames
        escort: list[tuple[str, float, float, float]] = [
            ("car", rng.uniform(20, 26), self._lane, 3.5),
            ("bicyclist", rng.uniform(8, 13), -edge, 4.0),
            ("bicyclist", rng.uniform(8, 12), edge, 5.0),
            ("motorcyclist", rng.uniform(12, 16), self._lane * rng.uniform(0.5, 1.2), 3.5),
            ("motorcyclist", -rng.uniform(9, 11), self._lane, 2.5),
            ("truck", -rng.uniform(22, 26), self._lane, 3.0),
        ]
        plan = [(kind, s, d, step, sway) for kind, s, d, sway in escort]
        # oncoming: cars with a truck, a bus and a rider among them
        s = 12.0
        for i in range(int((2 * length + _AHEAD) / 24)):
            plan.append(
                (("car", "motorcyclist", "van", "car", "bicyclist", "truck", "car", "bus")[i % 8], s, -self._lane, -step * 0.9, 0.0)
            )
            s += rng.uniform(18, 30)
        for i, s in enumerate(np.arange(-30, length + 60, 13.0)):
            side = 1 if i % 2 else -1
            plan.append(("person", s + rng.uniform(-4, 4), side * walk[side], rng.choice((-1, 1)) * step * 0.12, 0.0))
        movers = []
        for kind, s, d, speed, sway in plan:
            place = float(s), float(d), float(speed), float(sway)
            movers.append(Mover(kind, *place, self._plan.next_instance(), int(rng.integers(2**31))))
        return movers

    def moving(self, frame: int) -> Solids:
        """The solids of all movers in a frame; a mover keeps its colours and shape."""
        builder = Builder(self.look, np.random.default_rng(0))
        for mover in self.movers:
            s = mover.at(frame)
            if self.street.start < s < self.street.end:
                builder.rng = np.random.default_rng(mover.seed)
                pose = self._plan.pose(s, mover.d, 0.0 if mover.step > 0 else np.pi)
                VEHICLES[mover.kind](builder, pose, mover.instance, moving=True)
        return builder.build()

    def solids(self, frame: int) -> Solids:
        """Everything that stands or moves in a frame."""
        return self.static.join(self.moving(frame))
