"""Results that others published on real data, kept apart from those of this project's own runs."""

from ignet.report.tables import Cell, Table, make_table

_SCRIBBLE = "ScribbleKITTI, val, scribbles (8 % of the points)"
_SEMANTIC = "SemanticKITTI, val, {} % of the scans"
SHARES = (1, 10, 20, 50)
"""Per cent of the scans that are labelled."""

_UNAL22 = "ScribbleKITTI, Unal et al., CVPR 2022"
_SECOND_HAND = "second-hand: quoted by others; the paper's own tables were not at hand"
_KONG23 = "LaserMix, Kong et al., CVPR 2023"
_KONG24 = "LaserMix++, Kong et al., arXiv 2405.05258"

_SCRIBBLE_RESULTS: tuple[tuple[str, str, float, str], ...] = (
    (_SCRIBBLE, "Cylinder3D", 57.0, _UNAL22),
    (_SCRIBBLE, "MinkowskiNet", 55.0, _UNAL22),
    (_SCRIBBLE, "SPVCNN", 56.9, _UNAL22),
    (_SCRIBBLE, "ScribbleKITTI's full recipe, Cylinder3D", 61.3, _UNAL22),
    (_SCRIBBLE, "ScribbleKITTI's full recipe, MinkowskiNet", 58.5, _UNAL22),
    (_SCRIBBLE, "ScribbleKITTI's full recipe, SPVCNN", 60.8, _UNAL22),
    (_SCRIBBLE, "IGNet (relative to full supervision: up to 98 %, by its abstract)", 62.0, _SECOND_HAND),
    ("SemanticKITTI, val, fully supervised", "Cylinder3D", 64.3, _UNAL22),
    ("SemanticKITTI, val, fully supervised", "MinkowskiNet", 61.1, _UNAL22),
    ("SemanticKITTI, val, fully supervised", "SPVCNN", 63.8, _UNAL22),
)
SEMI_RESULTS: tuple[tuple[str, tuple[float, float, float, float], str], ...] = (
    ("IGNet", (49.0, 61.3, 63.1, 64.8), _SECOND_HAND),
    ("LaserMix, Cylinder3D", (50.6, 60.0, 61.9, 62.3), _KONG23),
    ("LaserMix++", (63.2, 67.5, 67.7, 68.6), _KONG24),
)
"""Method, mIoU at each of ``SHARES``, source."""


def published_table() -> Table:
    """What others report, with the source of each value."""
    semi: list[tuple[Cell, ...]] = [
        (_SEMANTIC.format(share), method, value, source)
        for method, results, source in SEMI_RESULTS
        for share, value in zip(SHARES, results, strict=True)
    ]
    notes = (
        "published, real data, not comparable with the embedded world",
        "none of these results was measured by this project",
    )
    return make_table(
        "Published results, mIoU in %",
        ("data and labels", "method", "mIoU", "source"),
        (*_SCRIBBLE_RESULTS, *semi),
        notes,
    )
