"""What moves along a street."""

from dataclasses import dataclass

import numpy as np

from ignet.world.building import StreetBuilder

_ONCOMING = ("car", "motorcyclist", "van", "car", "bicyclist", "truck", "car", "bus")
_BESIDE = ("car", "car", "van", "car", "motorcyclist", "car", "bus", "car", "car", "truck")
Plan = list[tuple[str, float, float, float, float]]  # kind, s, d, step, sway


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

    def at(self, frame: float) -> float:
        """Street coordinate s in a frame, or between two."""
        return self.s + self.step * frame + self.sway * float(np.sin(0.7 * frame + self.seed))


def draw_movers(plan: StreetBuilder, rng: np.random.Generator, length: float, step: float, ahead: float) -> list[Mover]:
    """Draw the traffic of a street: ``length`` metres, ``step`` metres a frame, seen ``ahead`` metres beyond."""
    drawn = _escort(plan, rng, step) + _traffic(plan, rng, length, step, ahead) + _walkers(plan, rng, length, step)
    movers = []
    for kind, s, d, speed, sway in drawn:
        place = float(s), float(d), float(speed), float(sway)
        movers.append(Mover(kind, *place, plan.next_instance(), int(rng.integers(2**31))))
    return movers


def _escort(plan: StreetBuilder, rng: np.random.Generator, step: float) -> Plan:
    """Some keep the vehicle company, so that rare classes are near in most frames."""
    edge, lane = plan.half - 0.75, -plan.across(plan.layout.drive)
    # the second cyclist rides on the left, but beyond a median it would be out of sight: there behind the vehicle
    second = -1 if plan.layout.median else 1
    return [
        ("car", rng.uniform(20, 26), lane, step, 3.5),
        ("bicyclist", rng.uniform(8, 13), -edge, step, 4.0),
        ("bicyclist", second * rng.uniform(8, 12), second * edge, step, 5.0),
        ("motorcyclist", rng.uniform(12, 16), lane * rng.uniform(0.5, 1.2), step, 3.5),
        ("motorcyclist", -rng.uniform(9, 11), lane, step, 2.5),
        ("truck", -rng.uniform(22, 26), lane, step, 3.0),
    ]


def _traffic(plan: StreetBuilder, rng: np.random.Generator, length: float, step: float, ahead: float) -> Plan:
    """Oncoming: cars with a truck, a bus and a rider among them.

    The same beside the vehicle, faster, where there are lanes.
    """
    layout, drawn, s = plan.layout, Plan(), 12.0
    for i in range(int((2 * length + ahead) / ((layout.headway[0] + layout.headway[1]) / 2))):
        lane = layout.oncoming[i % len(layout.oncoming)]
        drawn.append((_ONCOMING[i % len(_ONCOMING)], s, plan.across(lane), -step * 0.9, 0.0))
        s += rng.uniform(*layout.headway)
    for lane in layout.beside:
        s = -80.0
        for i in range(int((ahead + 80) / layout.headway[1])):
            drawn.append((_BESIDE[i % len(_BESIDE)], s, -plan.across(lane), step * 1.3, 0.0))
            s += layout.headway[1] + rng.uniform(*layout.headway) / 2
    return drawn


def _walkers(plan: StreetBuilder, rng: np.random.Generator, length: float, step: float) -> Plan:
    middle = {side: sum(plan.walks[side]) / 2 for side in (-1, 1)}
    drawn = Plan()
    for i, s in enumerate(np.arange(-30, length + 60, plan.layout.walkers)):
        side = 1 if i % 2 else -1
        drawn.append(("person", s + rng.uniform(-4, 4), side * middle[side], rng.choice((-1, 1)) * step * 0.12, 0.0))
    return drawn
