"""One street with everything on it, as it stands at any frame of a drive."""

import numpy as np

from ignet.world.building import StreetBuilder
from ignet.world.layout import Layout
from ignet.world.looks import Look
from ignet.world.objects import VEHICLES, Builder, Pose
from ignet.world.solids import Solids
from ignet.world.street import Street
from ignet.world.traffic import draw_movers

_BEHIND, _AHEAD = 95.0, 130.0


class Scene:
    """A street, what stands on it, and what moves; the vehicle drives on the right."""

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
        self._lane = -self._plan.across(layout.drive)
        self._along = self._drive(frames)
        self.movers = draw_movers(self._plan, rng, length, spacing, _AHEAD)
        # the sun stands on one side of the street, seldom in the camera
        self.sun_azimuth = float(rng.choice((-1, 1)) * rng.uniform(0.6, 2.4))
        self.sun_height = float(np.radians(rng.uniform(*look.sun_height)))
        self.sun_strength = float(rng.uniform(*look.sun))

    def _drive(self, frames: int) -> np.ndarray:
        s = [0.0]
        for _ in range(frames - 1):
            s.append(s[-1] + self.spacing * float(np.cos(self.street.heading(np.array(s[-1])))))
        return np.array(s)

    def vehicle(self, frame: float) -> Pose:
        """World x, y and heading of the sensor vehicle in a frame, or near one."""
        s = float(self._along[round(frame)])
        s += (frame - round(frame)) * self.spacing * float(np.cos(self.street.heading(np.array(s))))
        return self._plan.pose(s, self._lane)

    def moving(self, frame: float) -> Solids:
        """The solids of all movers in a frame, or near one; a mover keeps its colours and shape."""
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
