"""The page's sections on what lies behind the figures: data, costs, settings and versions."""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from ignet.data.formats.kitti import read_image
from ignet.data.label_sets.labels import CLASSES
from ignet.errors import IgnetError, reason_of
from ignet.report.html.costs import Made, StageCost, duration, versions
from ignet.report.html.pack import jpeg
from ignet.report.html.sections import Section
from ignet.report.html.tables import PageCell, PageTable

_SHEET_WIDTH = 1400


def data(manifest: Path, sheet: Path, quality: int, notes: Sequence[str]) -> Section:
    """Frames, points and labels of each sequence, the contact sheet, and notes."""
    picture, records = read_image(sheet), _records(manifest)
    if picture.shape[1] > _SHEET_WIDTH:
        size = (_SHEET_WIDTH, round(picture.shape[0] * _SHEET_WIDTH / picture.shape[1]))
        picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
    uri = {
        "src": jpeg(picture, quality),
        "alt": "source images with labels; images, points, labels and scribbles of each target sequence",
    }
    return Section(
        "data", "Data", list(notes), tables=[_sequences(records), _class_counts(records)], widget="picture", data=uri
    )


def costs(found: Sequence[StageCost]) -> Section:
    """Time and memory of each rule."""
    if not found:
        return Section("costs", "Time and memory", absent="the workflow keeps no records of its jobs' times here")
    rows = [
        (
            _text(cost.rule),
            _number(cost.jobs),
            *(PageCell(duration(value), value) for value in (cost.seconds, cost.longest, cost.processor)),
            PageCell(f"{cost.memory:.0f}", cost.memory),
        )
        for cost in found
    ]
    total = [sum(getattr(cost, name) for cost in found) for name in ("seconds", "processor")]
    columns = ("rule", "jobs", "wall time, all jobs", "longest job", "processor time", "memory of one job, MB")
    notes = (
        f"all jobs one after the other: {duration(total[0])} of wall time, {duration(total[1])} of processor time",
        "a job that was repeated counts with its last attempt; a training that was stopped counts from its last start",
    )
    return Section("costs", "Time and memory", tables=[_table("What each stage cost", columns, rows, notes)])


def settings(made: Sequence[Made]) -> Section:
    """Settings, code and versions behind each result."""
    if not made:
        return Section("settings", "Settings and versions", absent="no file beside the results says what made them")
    rows = [
        (_text(key), _text(value), _text(_some(names, len(made))))
        for key, each in versions(made).items()
        for value, names in each.items()
    ]
    folded = [
        {
            "name": each.name,
            "code": each.facts.get("code", ""),
            "json": json.dumps(each.facts.get("settings"), indent=2, sort_keys=True),
        }
        for each in made
    ]
    table = _table("Versions and devices", ("what", "value", "of"), rows, ())
    return Section(
        "settings", "Settings and versions", tables=[table], table_first=True, widget="settings", data=folded
    )


def _some(names: Sequence[str], all_of_them: int) -> str:
    return (
        "all results"
        if len(names) == all_of_them
        else ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
    )


def _sequences(records: Sequence[Mapping[str, str]]) -> PageTable:
    rows = []
    for sequence in dict.fromkeys(record["sequence"] for record in records):
        own = [record for record in records if record["sequence"] == sequence]
        points, labelled, scribbled = (
            sum(int(record[name] or 0) for record in own) for name in ("points", "labelled", "scribbled")
        )
        sizes = sorted({f"{record['width']} x {record['height']}" for record in own})
        source = own[0]["scribbles"]
        shares = [
            _share(labelled, points),
            _share(scribbled, points, " (simulated)" if source == "simulated" else "") if source else _text("-"),
        ]
        role = {"train": "training", "val": "validation"}.get(own[0]["role"], own[0]["role"])
        rows.append(
            (_text(sequence), _text(role), _number(len(own)), _number(points), *shares, _text(", ".join(sizes)))
        )
    columns = ("sequence", "role", "frames", "points", "labelled, %", "scribbled, %", "image, pixels")
    return _table("Sequences of the target dataset", columns, rows, ())


def _class_counts(records: Sequence[Mapping[str, str]]) -> PageTable:
    counts = {
        role: {name: sum(int(r[name]) for r in records if r["role"] == role) for name in CLASSES}
        for role in ("train", "val")
    }
    rows = []
    for name in CLASSES:
        cells = [_text(name)]
        for role in ("train", "val"):
            share = 100 * counts[role][name] / max(sum(counts[role].values()), 1)
            cells += [_number(counts[role][name]), PageCell(f"{share:.2f}", share)]
        rows.append(tuple(cells))
    columns = ("class", "training, points", "training, %", "validation, points", "validation, %")
    return _table("Labelled points of each class", columns, rows, ())


def _records(manifest: Path) -> list[dict[str, str]]:
    try:
        with manifest.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))
    except OSError as error:
        raise IgnetError(f"{manifest}: cannot be read ({reason_of(error)}); run dataset_manifest again") from None


def _table(
    title: str, columns: tuple[str, ...], rows: Sequence[tuple[PageCell, ...]], notes: tuple[str, ...]
) -> PageTable:
    return PageTable(title, columns, tuple(rows), notes, tuple({} for _ in rows))


def _share(part: int, points: int, remark: str = "") -> PageCell:
    share = 100 * part / max(points, 1)
    return PageCell(f"{share:.1f}{remark}", share)


def _text(value: str) -> PageCell:
    return PageCell(value, None)


def _number(value: int) -> PageCell:
    return PageCell(f"{value:,}", float(value))
