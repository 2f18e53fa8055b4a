"""Layout statistics of the domains: what their streets are drawn from."""

from dataclasses import dataclass

from ignet.world.street import GRAVEL, PARKING, SIDEWALK, TERRAIN

Range = tuple[float, float]


@dataclass(frozen=True)
class Layout:
    """How a domain's streets are built. Lengths in metres; shares in 0..1; every value is our choice.

    Places across the carriageway are shares of the way from the median (0) to the kerb (1).
    """

    road: Range  # half width of the road
    bend: float  # largest slope of the centre line
    sidewalk: Range
    parking: float  # share of the kerb with parking bays; the rest is verge
    verge_gravel: float  # share of the verges that are gravel, not grass
    yard: Range  # depth between sidewalk and house
    yard_surfaces: tuple[int, ...]
    lot: Range  # length along the street
    house: float  # share of the lots that are built
    storeys: tuple[int, int]
    gable: float  # share of the houses with a gabled roof
    borders: tuple[str, ...]  # what stands between sidewalk and yard, and in gaps between houses
    trees: Range  # distance between trees
    lamps: Range
    signs: Range
    side_streets: float  # share of the lots that are a side street
    lights: float  # traffic lights a side street
    persons: Range  # distance between standing persons
    racks: Range  # distance between bicycle racks
    lanes: int = 1  # painted, a direction
    median: float = 0.0  # half width of the strip between the directions, 0: none
    verge_paved: float = 0.0  # share of the verges that are paved like the sidewalk
    verges: int = 99  # at most, in a row on one side: then come bays
    gap: Range = (0.6, 3.0)  # between two houses
    back_row: bool = False  # houses, not a tree, behind each lot
    bushes: int = 3  # at most, a lot
    parked: tuple[str, ...] = (
        "car",
        "motorcycle",
        "car",
        "truck",
        "car",
        "car",
        "car",
        "motorcycle",
        "car",
        "van",
        "car",
        "car",
    )
    drive: float = 0.5  # where the sensor vehicle drives
    oncoming: tuple[float, ...] = (0.5,)  # where the oncoming traffic drives
    beside: tuple[float, ...] = ()  # where others drive in the vehicle's direction, besides those in its own lane
    headway: Range = (18, 30)  # distance between two in traffic
    walkers: float = 13.0  # distance between walking persons


SOURCE_LAYOUT = Layout(
    road=(5.5, 7.0),
    bend=0.06,
    sidewalk=(2.5, 4.0),
    parking=0.6,
    verge_gravel=0.15,
    yard=(0.5, 4.0),
    yard_surfaces=(SIDEWALK, TERRAIN, TERRAIN, GRAVEL),
    lot=(14, 28),
    house=0.75,
    storeys=(3, 8),
    gable=0.1,
    borders=("planks", "pickets", "none", "wall", "hedge"),
    trees=(10, 22),
    lamps=(16, 28),
    signs=(12, 22),
    side_streets=0.12,
    lights=1.0,
    persons=(6, 14),
    racks=(18, 34),
    lanes=2,
)

RESIDENTIAL_LAYOUT = Layout(
    road=(3.6, 4.3),
    bend=0.14,
    sidewalk=(1.5, 2.3),
    parking=0.45,
    verge_gravel=0.35,
    yard=(2.0, 6.0),
    yard_surfaces=(TERRAIN, TERRAIN, TERRAIN, GRAVEL, PARKING),
    lot=(11, 22),
    house=0.6,
    storeys=(2, 4),
    gable=0.7,
    borders=("planks", "planks", "pickets", "hedge", "hedge", "none", "none"),
    trees=(9, 20),
    lamps=(16, 28),
    signs=(11, 20),
    side_streets=0.08,
    lights=0.4,
    persons=(8, 16),
    racks=(14, 24),
)

# a straight city avenue: two lanes a direction round a planted median with railings, closed fronts of tall houses, much
# traffic
AVENUE_LAYOUT = Layout(
    road=(7.8, 8.8),
    bend=0.015,
    sidewalk=(3.5, 5.0),
    parking=0.35,
    verge_gravel=0.3,
    yard=(0.1, 0.8),
    yard_surfaces=(SIDEWALK,),
    lot=(16, 30),
    house=0.88,
    storeys=(5, 8),
    gable=0.1,
    borders=("none",),
    trees=(16, 30),
    lamps=(20, 30),
    signs=(7, 13),
    side_streets=0.1,
    lights=1.0,
    persons=(2.5, 5),
    racks=(5, 9),
    lanes=2,
    median=0.9,
    verge_paved=0.45,
    verges=2,
    gap=(0.0, 0.4),
    back_row=True,
    bushes=1,
    parked=("motorcycle", "car", "van", "car", "motorcycle", "car", "truck", "car"),
    drive=0.75,
    oncoming=(0.75, 0.25),
    beside=(0.25,),
    headway=(7, 14),
    walkers=5.0,
)
