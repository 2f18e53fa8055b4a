"""The page's sections on what lies behind the results: data, costs, settings and versions."""

import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from ignet.data.check.manifest import COLUMNS, size_columns
from ignet.data.formats.kitti import read_image
from ignet.errors import IgnetError, reason_of
from ignet.report.html.costs import Made, duration, versions
from ignet.report.html.pack import jpeg
from ignet.report.html.sections import Section
from ignet.report.tables import Table, make_table

_SHEET_WIDTH = 1400
_COUNT = "{:,}".format
_ROLES = {"train": "training", "val": "validation", "test": "test"}


def data(manifest: Path, sheet: Path, quality: int, notes: Sequence[str]) -> Section:
    """Frames, points and labels of each sequence, the contact sheet, and notes."""
    figure, records = read_image(sheet), _records(manifest)
    if figure.shape[1] > _SHEET_WIDTH:
        size = (_SHEET_WIDTH, round(figure.shape[0] * _SHEET_WIDTH / figure.shape[1]))
        figure = np.asarray(cv2.resize(figure, size, interpolation=cv2.INTER_AREA), np.uint8)
    uri = {
        "src": jpeg(figure, quality),
        "alt": "source images with labels; images, points, labels and scribbles of each target sequence",
    }
    return Section(
        "data", "Data", list(notes), tables=[_sequences(records), _class_counts(records)], widget="figure", data=uri
    )


def costs(measured: pd.DataFrame) -> Section:
    """Time and memory of each rule, from :func:`~ignet.report.html.costs.read_costs`."""
    if measured.empty:
        return Section("costs", "Time and memory", absent="the workflow keeps no records of its jobs' times here")
    columns = {
        "seconds": "wall time, all jobs",
        "longest": "longest job",
        "processor": "processor time",
        "memory": "memory of one job, MB",
    }
    wall, processor = measured[["seconds", "processor"]].sum()
    notes = (
        f"all jobs one after the other: {duration(wall)} of wall time, {duration(processor)} of processor time",
        "a job that was repeated counts with its last attempt; a training that was stopped counts from its last start",
    )
    formats = dict.fromkeys(list(columns.values())[:3], duration) | {columns["memory"]: "{:.0f}".format}
    frame = measured.rename(columns=columns).astype(object)
    return Section("costs", "Time and memory", tables=[Table("What each stage cost", frame, notes, formats)])


def settings(made: Sequence[Made]) -> Section:
    """Settings, code and versions behind each result."""
    if not made:
        return Section("settings", "Settings and versions", absent="no file beside the results says what made them")
    rows = [
        (key, value, _some(names, len(made))) for key, each in versions(made).items() for value, names in each.items()
    ]
    folded = [
        {
            "name": each.name,
            "code": each.facts.get("code", ""),
            "json": json.dumps(each.facts.get("settings"), indent=2, sort_keys=True),
        }
        for each in made
    ]
    table = make_table("Versions and devices", ("what", "value", "of"), rows)
    return Section(
        "settings", "Settings and versions", tables=[table], table_first=True, widget="settings", data=folded
    )


def _some(names: Sequence[str], all_of_them: int) -> str:
    return (
        "all results"
        if len(names) == all_of_them
        else ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
    )


def _sequences(records: pd.DataFrame) -> Table:
    images = pd.DataFrame({name: _sizes(records, name) for name in size_columns(records) if name.startswith("width")})
    missing = (images == "").sum(axis=1).groupby(records["sequence"], sort=False).sum()
    groups = records.assign(size=images.agg(lambda row: ", ".join(dict.fromkeys(filter(None, row))), axis=1)).groupby(
        "sequence", sort=False
    )
    counts, first = groups[["points", "labelled", "scribbled"]].sum(), groups[["role", "scribbles"]].first()
    shares = counts.div(counts["points"].clip(lower=1), axis=0) * 100
    columns = {
        "sequence": counts.index,
        "role": first["role"].replace(_ROLES),
        "frames": groups.size(),
        "points": counts["points"],
        "labelled, %": shares["labelled"],
        "scribbled, %": shares["scribbled"].where(first["scribbles"].notna()),
        "image, pixels": groups["size"].agg(lambda sizes: ", ".join(sorted(set(", ".join(sizes).split(", "))))),
    }
    if missing.any():
        columns["missing images"] = missing
    simulated = ", ".join(first.index[first["scribbles"] == "simulated"])
    notes = (f"simulated scribbles: {simulated}",) if simulated else ()
    formats = dict.fromkeys(("frames", "points"), _COUNT) | {
        "scribbled, %": lambda share: "-" if pd.isna(share) else f"{share:.1f}"
    }
    return Table("Sequences of the target dataset", pd.DataFrame(columns).astype(object), notes, formats)


def _sizes(records: pd.DataFrame, width: str) -> pd.Series:
    """Width x height of the images of a camera, in words; empty where one is missing."""
    sides = records[[width, width.replace("width", "height")]].fillna(0).astype(int)
    return (sides.iloc[:, 0].astype(str) + " x " + sides.iloc[:, 1].astype(str)).where(sides.iloc[:, 0] > 0, "")


def _class_counts(records: pd.DataFrame) -> Table:
    roles = {role: words for role, words in _ROLES.items() if role != "test" or role in set(records["role"])}
    sums = records.groupby("role")[[name for name in records if name not in {*COLUMNS, *size_columns(records)}]].sum()
    counts = sums.reindex(list(roles), fill_value=0).T
    columns: dict[str, object] = {"class": counts.index}
    for role, words in roles.items():
        columns[f"{words}, points"] = counts[role]
        columns[f"{words}, %"] = 100 * counts[role] / max(counts[role].sum(), 1)
    formats = {name: "{:.2f}".format if name.endswith("%") else _COUNT for name in list(columns)[1:]}
    return Table("Labelled points of each class", pd.DataFrame(columns).astype(object), formats=formats)


def _records(manifest: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(manifest, dtype=dict.fromkeys(("sequence", "frame", "role", "scribbles"), str))
    except (OSError, ValueError) as error:
        raise IgnetError(
            f"cannot be read ({reason_of(error)})", remedy="run dataset_manifest again", path=manifest
        ) from None
