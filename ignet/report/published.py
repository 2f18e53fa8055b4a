"""Results that others published on real data, kept apart from those of this project's own runs."""

from collections.abc import Sequence

from ignet.data.label_sets.label_set import SEMANTICKITTI
from ignet.report.tables import Cell, Table, make_table

_FULL = "SemanticKITTI, val, fully supervised"
_SCRIBBLE = "ScribbleKITTI, val, scribbles (8 % of the points)"
_SEMANTIC = "SemanticKITTI, val, {} % of the scans"
_SCRIBBLE_SHARE = "ScribbleKITTI, val, scribbles on {} % of the scans"
SHARES = (1, 10, 20, 50)
"""Per cent of the scans that are labelled."""

_UNAL22 = "ScribbleKITTI, Unal et al., CVPR 2022"
_KONG23 = "LaserMix, Kong et al., CVPR 2023"
_CALIB3D = "README of Calib3D, Kong et al., 2025"
_FRNET = "README of FRNet, Xu et al., arXiv 2312.04484"
_HILOTS = "second-hand: HiLoTs, CVPR 2025, Table 1"

_SCRIBBLE_RESULTS: tuple[tuple[str, str, float, str], ...] = (
    (_SCRIBBLE, "Cylinder3D", 57.0, _UNAL22),
    (_SCRIBBLE, "MinkowskiNet", 55.0, _UNAL22),
    (_SCRIBBLE, "SPVCNN", 56.9, _UNAL22),
    (_SCRIBBLE, "ScribbleKITTI's full recipe, Cylinder3D", 61.3, _UNAL22),
    (_SCRIBBLE, "ScribbleKITTI's full recipe, MinkowskiNet", 58.5, _UNAL22),
    (_SCRIBBLE, "ScribbleKITTI's full recipe, SPVCNN", 60.8, _UNAL22),
    (
        _SCRIBBLE,
        "IGNet (relative to full supervision: up to 98 %, by its abstract)",
        62.0,
        "second-hand: list of results at hyper.ai; backbone not stated",
    ),
    (_SCRIBBLE, "a recipe of 2025 without images, MinkUNet", 59.87, _CALIB3D),
    (_SCRIBBLE, "a recipe of 2025 without images, SPVCNN", 60.22, _CALIB3D),
    (_SCRIBBLE, "a recipe of 2025 without images, FRNet", 63.1, _FRNET),
    (_FULL, "Cylinder3D", 64.3, _UNAL22),
    (_FULL, "MinkowskiNet", 61.1, _UNAL22),
    (_FULL, "SPVCNN", 63.8, _UNAL22),
)
_Semi = tuple[tuple[str, tuple[float, float, float, float], str], ...]
SEMI_RESULTS: _Semi = (
    ("IGNet", (49.0, 61.3, 63.1, 64.8), f"{_HILOTS}; backbone not stated"),
    ("LaserMix, Cylinder3D", (50.6, 60.0, 61.9, 62.3), _KONG23),
    ("LaserMix++, MinkUNet, camera in training", (63.2, 67.5, 67.7, 68.6), _HILOTS),
    ("FrustumMix, FRNet", (55.8, 64.8, 65.2, 65.4), _FRNET),
)
"""Method, mIoU at each of ``SHARES`` of densely labelled scans, source."""
_SEMI_SCRIBBLES: _Semi = (
    ("LaserMix, Cylinder3D", (44.2, 53.7, 55.1, 56.8), _KONG23),
    ("FrustumMix, FRNet", (46.6, 57.0, 59.5, 61.2), _FRNET),
)
_DENOMINATORS = (
    "full supervision, the denominator of a relative performance: 61.1 (MinkowskiNet) and 63.8 (SPVCNN) equal those in "
    "the README of SPVNAS, and 64.3 is that of Cylinder3D's authors"
)


def are_comparable(classes: Sequence[str]) -> bool:
    """Whether a dataset has the classes, by train id, that the published results are means over."""
    return tuple(classes) == SEMANTICKITTI.classes


def published_table(classes: Sequence[str]) -> Table:
    """What others report, with the source of each value; no row for a dataset of other classes.

    Args:
        classes: of the dataset, by train id.
    """
    semi: list[tuple[Cell, ...]] = [
        (data.format(share), method, value, source)
        for data, methods in ((_SEMANTIC, SEMI_RESULTS), (_SCRIBBLE_SHARE, _SEMI_SCRIBBLES))
        for method, results, source in methods
        for share, value in zip(SHARES, results, strict=True)
    ]
    comparable = are_comparable(classes)
    notes = (
        (
            "published, real data, not comparable with the embedded world",
            "none of these results was measured by this project; second-hand: quoted by others, named with the table "
            "that they were read in",
            _DENOMINATORS,
        )
        if comparable
        else ("published results are for SemanticKITTI's classes, and this dataset has others",)
    )
    return make_table(
        "Published results, mIoU in %",
        ("data and labels", "method", "mIoU", "source"),
        (*_SCRIBBLE_RESULTS, *semi) if comparable else (),
        notes,
    )
