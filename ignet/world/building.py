"""The static street that is drawn from a layout: ground, lots, furniture, parked things."""

import numpy as np

from ignet.world import objects
from ignet.world.layout import Layout, Range
from ignet.world.objects import Builder
from ignet.world.solids import FOLIAGE, PICKETS, PRISM, SOLID
from ignet.world.street import BAY_LINE, GRAVEL, MARKING, PARKING, ROAD, SIDEWALK, TERRAIN, Street
from ignet.world.texture import CROWN, FACADE, PLANKS, ROOF, WALL

_KERB = 2.3  # metres between road and sidewalk: bays, verge, or paved


class StreetBuilder:
    """Builds one street side by side, lot by lot. ``instance`` counts the objects."""

    def __init__(self, layout: Layout, builder: Builder, street: Street, rng: np.random.Generator) -> None:
        self.layout, self.b, self.street, self.rng = layout, builder, street, rng
        self.instance = 0
        self.half = float(rng.uniform(*layout.road))
        self.bays: list[tuple[float, float, int]] = []  # parking: first s, last s, side
        self._verges = {-1: 0, 1: 0}  # side -> lots since the last bays
        self.walks: dict[int, tuple[float, float]] = {}  # side -> inner and outer |d| of the sidewalk

    def next_instance(self) -> int:
        """A new object number."""
        self.instance += 1
        return self.instance

    def pose(self, s: float, d: float, turn: float = 0.0) -> objects.Pose:
        """World pose at street coordinates, turned from the street's direction by ``turn``."""
        x, y, heading = self.street.place(s, d)
        return x, y, heading + turn

    def across(self, share: float) -> float:
        """Distance |d| from the centre line at a share of the way from the median (0) to the kerb (1)."""
        return self.layout.median + share * (self.half - self.layout.median)

    def build(self) -> None:
        """Ground, lots, furniture and parked things of both sides."""
        crossings = self._crossings()
        self.street.paint(ROAD, (self.street.start, self.street.end), (-self.half, self.half))
        for side in (-1, 1):
            walk = self.half + _KERB, self.half + _KERB + float(self.rng.uniform(*self.layout.sidewalk))
            self.walks[side] = walk
            self.street.paint(SIDEWALK, (self.street.start, self.street.end), (side * walk[0], side * walk[1]))
            self._lots(side, crossings)
            self._furniture(side, crossings)
        self._markings(crossings)
        if self.layout.median:
            self._median(crossings)
        self._parked()

    def _crossings(self) -> list[Range]:
        mean = (self.layout.lot[0] + self.layout.lot[1]) / 2
        spots = np.arange(self.street.start + 30, self.street.end - 20, mean)
        return [(float(s), float(s) + 6.5) for s in spots if self.rng.random() < self.layout.side_streets]

    def _lots(self, side: int, crossings: list[Range]) -> None:
        s = self.street.start
        while s < self.street.end:
            end = s + float(self.rng.uniform(*self.layout.lot))
            crossing = next(((low, high) for low, high in crossings if s < high and end > low), None)
            if crossing is None or crossing[0] - s > 6:
                end = end if crossing is None else crossing[0]
                self._lot(side, s, end)
                s = end
            else:
                s = crossing[1]

    def _lot(self, side: int, s: float, end: float) -> None:
        rng, layout = self.rng, self.layout
        inner, outer = self.walks[side]
        kerb = (side * self.half, side * inner)
        bays = rng.random() < layout.parking or self._verges[side] == layout.verges
        self._verges[side] = 0 if bays else self._verges[side] + 1
        if bays:
            self.street.paint(PARKING, (s, end), kerb)
            for line in np.arange(s, end, 5.8):
                self.street.paint(BAY_LINE, (line, line + 0.12), kerb)
            self.bays.append((s, end, side))
        else:
            draw, paved = rng.random(), layout.verge_gravel + layout.verge_paved
            self.street.paint(
                GRAVEL if draw < layout.verge_gravel else SIDEWALK if draw < paved else TERRAIN, (s, end), kerb
            )
        yard = outer + float(rng.uniform(*layout.yard))
        self.street.paint(int(rng.choice(layout.yard_surfaces)), (s, end), (side * outer, side * yard))
        border = str(rng.choice(layout.borders))
        if yard - outer > 1.2:
            self._border(border, s + 0.3, end - (3.0 if rng.random() < 0.5 else 0.3), side * (outer + 0.15))
        if rng.random() < layout.house:
            self._house(s + layout.gap[0], end - rng.uniform(*layout.gap), side * yard, side)
        else:
            # the gap at the building line, where a fence looks to a LiDAR like a wall
            self._border(str(rng.choice(("planks", "planks", "hedge", "hedge"))), s, end, side * yard, tall=True)
            for _ in range(rng.integers(1, 4)):
                where = self.pose(float(rng.uniform(s + 2, end - 2)), side * (yard + float(rng.uniform(4, 9))))
                objects.tree(self.b, where, float(rng.uniform(1.8, 3.0)))
        for _ in range(rng.integers(0, layout.bushes, endpoint=True)):
            where = self.pose(
                float(rng.uniform(s + 1, end - 1)), side * float(rng.uniform(outer + 0.7, max(yard - 0.6, outer + 0.8)))
            )
            objects.bush(self.b, where, float(rng.uniform(0.5, 1.0)))
        if layout.back_row:
            self._house(s, end, side * (yard + float(rng.uniform(17, 20))), side)
        else:
            far = self.pose((s + end) / 2, side * (yard + float(rng.uniform(16, 26))))
            objects.tree(self.b, far, float(rng.uniform(2.5, 4.5)))

    def _house(self, s: float, end: float, front: float, side: int) -> None:
        b, rng = self.b, self.rng
        depth, height = float(rng.uniform(8, 12)), 2.9 * int(rng.integers(*self.layout.storeys, endpoint=True)) + 0.6
        # a gentle curve passes straight walls: keep them off the yard
        pose = self.pose((s + end) / 2, front + side * (depth / 2 + 0.2))
        b.at(pose, 50, 11, 0, 0.35)
        color, length = b.look.color("facade", rng), (end - s) / 2
        b.add(PRISM, (0, 0, height / 2), (length, depth / 2, height / 2), color, FACADE)
        if rng.random() < self.layout.gable:
            rise = float(rng.uniform(1.2, 2.2))
            b.add(
                PRISM,
                (0, 0, height + rise),
                (length + 0.2, depth / 2 + 0.4, rise),
                b.look.color("roof", rng),
                ROOF,
                taper=(0.0, 0.98),
            )
        else:
            b.add(
                PRISM, (0, 0, height + 0.15), (length + 0.25, depth / 2 + 0.25, 0.15), b.look.color("roof", rng), ROOF
            )
        if rng.random() < 0.4:
            b.add(
                PRISM,
                (rng.uniform(-0.5, 0.5) * length, -side * (depth / 2 + 0.4), 1.5),
                (1.6, 0.5, 1.5),
                color * 0.9,
                FACADE,
            )

    def _border(self, kind: str, s: float, end: float, d: float, tall: bool = False) -> None:
        if kind == "none" or end - s < 1.5:
            return
        b, rng = self.b, self.rng
        height = float(rng.uniform(1.5, 2.1) if tall else rng.uniform(0.8, 1.3))
        material = {"planks": "fence", "pickets": "fence", "wall": "wall", "hedge": "hedge"}[kind]
        color = b.look.color(material, rng)
        raw, city, pattern, cut = {
            "planks": (51, 13, PLANKS, SOLID),
            "pickets": (51, 13, PLANKS, PICKETS),
            "wall": (51, 12, WALL, SOLID),
            "hedge": (70, 21, CROWN, FOLIAGE),
        }[kind]
        thickness = 0.4 if kind == "hedge" else 0.06
        pieces = max(round((end - s) / 6), 1)
        for i in range(pieces):
            low, high = s + (end - s) * i / pieces, s + (end - s) * (i + 1) / pieces
            b.at(self.pose((low + high) / 2, d), raw, city, 0, 0.34)
            b.add(PRISM, (0, 0, height / 2), ((high - low) / 2 + 0.05, thickness, height / 2), color, pattern, cut=cut)

    def _spots(self, gap: Range, crossings: list[Range]) -> list[float]:
        spots, s = [], self.street.start + float(self.rng.uniform(0, gap[1]))
        while s < self.street.end:
            if not any(low - 2 < s < high + 2 for low, high in crossings):
                spots.append(s)
            s += float(self.rng.uniform(*gap))
        return spots

    def _furniture(self, side: int, crossings: list[Range]) -> None:
        b, rng, layout = self.b, self.rng, self.layout
        inner, outer = self.walks[side]
        for s in self._spots(layout.trees, crossings):
            objects.tree(b, self.pose(s, side * (inner + 0.25)), float(rng.uniform(1.2, 2.1)))
        for s in self._spots(layout.lamps, crossings):
            objects.lamp(b, self.pose(s, side * (inner + 0.2), 0 if side < 0 else np.pi))
        for s in self._spots(layout.signs, crossings):
            objects.sign(b, self.pose(s, side * (inner + 0.15), rng.normal(0, 0.2) + (0 if side < 0 else np.pi)))
        for s in self._spots(layout.persons, crossings):
            pose = self.pose(s, side * float(rng.uniform(inner + 0.6, outer - 0.3)), float(rng.uniform(0, 6.28)))
            objects.person(b, pose, self.next_instance())
        for s in self._spots(layout.racks, crossings):
            for i in range(rng.integers(2, 4)):
                lean = np.pi / 2 + float(rng.normal(0, 0.15)) + rng.integers(2) * np.pi
                objects.bicycle(b, self.pose(s + 0.7 * i, side * (outer - 0.75), lean), self.next_instance())
        for low, _ in crossings:
            if rng.random() < layout.lights:
                objects.traffic_light(b, self.pose(low - 1.0, side * (inner + 0.3), 0 if side < 0 else np.pi))

    def _markings(self, crossings: list[Range]) -> None:
        paint, start, end = self.street.paint, self.street.start, self.street.end
        for s in np.arange(start, end, 6.0):
            paint(MARKING, (s, s + 3.0), (-0.08, 0.08))
            for lane in range(1, self.layout.lanes):
                for d in (-self.across(lane / self.layout.lanes), self.across(lane / self.layout.lanes)):
                    paint(MARKING, (s, s + 3.0), (d - 0.08, d + 0.08))
        for d in (-self.half + 0.2, self.half - 0.35):
            paint(MARKING, (start, end), (d, d + 0.15))
        for low, high in crossings:
            paint(ROAD, (low, high), (-45, 45))
            for d in np.arange(-self.half + 0.4, self.half - 0.4, 1.0):
                paint(MARKING, (low - 3.5, low - 0.5), (d, d + 0.5))
        for s in np.arange(start + 20, end, 55.0):
            if not any(low - 12 < s < high for low, high in crossings):
                paint(GRAVEL, (s, s + 9), (-0.55, 0.55))

    def _median(self, crossings: list[Range]) -> None:
        """A planted strip between the directions, open at crossings: grass or gravel, railings, hedges, trees."""
        width, step = self.layout.median, 9.0
        for s in np.arange(self.street.start, self.street.end, step):
            if any(s < high + 2 and s + step > low - 5 for low, high in crossings):
                continue
            self.street.paint(
                GRAVEL if self.rng.random() < self.layout.verge_gravel else TERRAIN, (s, s + step), (-width, width)
            )
            kind = str(self.rng.choice(("pickets", "pickets", "hedge", "none", "none")))
            self._border(kind, s, s + step, 0.0)
            if kind == "none" and self.rng.random() < 0.5:
                objects.tree(self.b, self.pose(s + step / 2, 0.0), float(self.rng.uniform(1.2, 1.8)))

    def _parked(self) -> None:
        # a fixed cycle, not a draw: so every sequence has each kind, near the vehicle, every few bays
        cycle = self.layout.parked
        lengths = {"car": 5.6, "truck": 9.5, "van": 6.5, "motorcycle": 3.2}
        turn = int(self.rng.integers(len(cycle)))
        for low, high, side in sorted(self.bays):
            s = low + 0.5
            while True:
                kind = cycle[turn % len(cycle)]
                if s + lengths[kind] > high and s + lengths["car"] <= high:
                    kind = "car"
                if s + lengths[kind] > high:
                    break
                middle, heading = s + lengths[kind] / 2, 0.0 if side < 0 else np.pi
                if kind == "motorcycle":
                    for i in range(2):
                        pose = self.pose(
                            middle - 0.8 + 1.5 * i,
                            side * (self.half + 1.1),
                            1.2 * side + float(self.rng.normal(0, 0.15)),
                        )
                        objects.motorcycle(self.b, pose, self.next_instance())
                elif kind != "car" or self.rng.random() < 0.85:
                    pose = self.pose(middle, side * (self.half + 1.15), heading + float(self.rng.normal(0, 0.02)))
                    objects.VEHICLES[kind](self.b, pose, self.next_instance())
                s += lengths[kind]
                turn += 1
