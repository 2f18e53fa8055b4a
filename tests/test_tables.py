"""Tables against figures worked by hand."""

import csv
import io
import math

import pytest

from ignet.data.labels import CLASSES
from ignet.report.published import published_table
from ignet.report.tables import (
    Spread,
    Table,
    class_table,
    interval,
    network_table,
    run_table,
    slice_table,
    spread,
    to_csv,
    to_latex,
    to_markdown,
    write_table,
)


def metrics(official, occurring=None, iou=None, in_fov=None):
    return {
        "miou_official": official,
        "miou_occurring": occurring,
        "accuracy": 0.9,
        "points": 30,
        # in the order in which JSON files keep their keys
        "iou": dict.fromkeys(sorted(CLASSES)) | {"car": 0.5} | (iou or {}),
        "points_of_class": dict.fromkeys(sorted(CLASSES), 0) | {"car": 30},
        "slices": {
            "camera": [{"name": "in-FOV", "points": 10, "miou_occurring": in_fov}],
            "range": [{"name": "0+ m", "points": 30, "miou_occurring": 0.1}],
        },
        "small_objects": {"classes": ["person"], "miou_occurring": None},
    }


RUNS = {
    "full": {0: metrics(0.80, 0.9)},
    "baseline": {0: metrics(0.40), 1: metrics(0.50), 2: metrics(0.60)},
    "ours": {1: metrics(0.55, 0.6), 2: metrics(0.67, 0.8), 7: metrics(0.10, 0.1)},
}


def rows_of(table):
    return {row[0]: dict(zip(table.columns, row, strict=True)) for row in table.rows}


def test_spread_is_the_sample_deviation():
    assert spread([]) is None
    assert spread([4.0]) == (4.0, None)
    mean, deviation = spread([1.0, 3.0])
    assert mean == 2 and deviation == pytest.approx(math.sqrt(2))


def test_interval_is_students():
    assert interval([1.0]) is None
    # n = 2: mean 2, deviation sqrt(2), standard error 1, t(0.975, 1) = 12.7062
    assert interval([1.0, 3.0]) == pytest.approx((2 - 12.7062, 2 + 12.7062), abs=1e-4)


def test_run_table_by_hand():
    rows = rows_of(run_table(RUNS, "full", "baseline"))
    full, baseline, ours = rows["full"], rows["baseline"], rows["ours"]
    assert full["seeds"] == 1 and baseline["seeds"] == 3
    assert full["mIoU (benchmark)"] == (pytest.approx(80), None)
    assert baseline["mIoU (benchmark)"] == (pytest.approx(50), pytest.approx(10))
    assert ours["mIoU (benchmark)"].mean == pytest.approx(44)
    assert full["mIoU (classes that occur)"] == (pytest.approx(90), None) and baseline["mIoU (classes that occur)"] is None
    assert [rows[r]["relative to full"] for r in RUNS] == pytest.approx([100, 62.5, 55])
    # only seeds 1 and 2 are paired: +5 and +7; full has seed 0 alone: 80 - 40
    assert ours["difference to baseline"] == pytest.approx(6)
    assert (ours["95 % low"], ours["95 % high"]) == pytest.approx((6 - 12.7062, 6 + 12.7062), abs=1e-3)
    assert full["difference to baseline"] == pytest.approx(40) and full["95 % low"] is None
    assert baseline["difference to baseline"] is None


def test_run_table_without_reference_and_baseline():
    table = run_table({"ours": RUNS["ours"]}, "full", "baseline")
    row = rows_of(table)["ours"]
    assert row["relative to full"] is None and row["difference to baseline"] is None and row["mIoU (benchmark)"].mean == pytest.approx(44)
    assert any("'full' is not among the runs" in note for note in table.notes)
    assert any("'baseline' is not among the runs" in note for note in table.notes)
    assert "| ours |     3 |" in to_markdown(table)


def test_run_table_without_common_seed_and_with_a_reference_of_zero():
    table = run_table({"full": {0: metrics(0.0)}, "baseline": {0: metrics(0.2)}, "ours": {5: metrics(0.4)}}, "full", "baseline")
    row = rows_of(table)["ours"]
    assert row["difference to baseline"] is None and row["relative to full"] is None
    assert any("'ours': it shares no seed with 'baseline'" in note for note in table.notes)
    assert any("has an mIoU of 0" in note for note in table.notes)


def test_no_spread_is_claimed_for_one_seed():
    table = run_table({"full": {0: metrics(0.8)}, "baseline": {0: metrics(0.4)}}, "full", "baseline")
    assert not any("±" in text for text in (to_markdown(table), to_latex(table), *table.notes))
    (row, _) = csv.DictReader(io.StringIO(to_csv(table)))
    assert row["mIoU (benchmark)"] == "80.0" and row["mIoU (benchmark) sd"] == "" and row["95 % low"] == ""


def test_class_table():
    runs = {"a": {0: metrics(0, iou={"car": 0.5, "person": None}), 1: metrics(0, iou={"car": 0.7, "person": 0.0})}, "b": {0: metrics(0)}}
    table = class_table(runs)
    assert table.columns == ("class", "points", "a", "b")
    assert [row[0] for row in table.rows] == list(CLASSES)
    rows = rows_of(table)
    points, a, b = rows["car"]["points"], rows["car"]["a"], rows["car"]["b"]
    person_a, person_b = rows["person"]["a"], rows["person"]["b"]
    assert points == 30 and a == (pytest.approx(60), pytest.approx(math.sqrt(200))) and b == (50, None)
    assert person_a == (0, None) and person_b is None


def test_slice_table():
    table = slice_table({"a": {0: metrics(0, in_fov=0.2), 1: metrics(0, in_fov=0.4)}, "b": {0: metrics(0)}})
    assert table.rows[0] == ("0+ m", 30, (pytest.approx(10), pytest.approx(0)), (pytest.approx(10), None))
    assert table.rows[1] == ("in-FOV", 10, (pytest.approx(30), pytest.approx(math.sqrt(200))), None)
    assert table.rows[2] == ("small objects", 0, None, None)


def test_network_table():
    table = network_table({"source": {"miou": 0.25, "accuracy": 0.5}, "adapted": {"miou": 0.5, "accuracy": 0.75}})
    assert table.rows == (("source", 25.0, 50.0), ("adapted", 50.0, 75.0))


TABLE = Table("A & B", ("run", "n", "x", "y"), (("a_1", 2, Spread(12.34, 0.56), None), ("b|c", 1, Spread(1.0, None), 3.25)), ("50 %",))


def test_csv_keeps_all_digits_and_splits_spreads():
    rows = list(csv.reader(io.StringIO(to_csv(TABLE))))
    assert rows == [["run", "n", "x", "x sd", "y"], ["a_1", "2", "12.34", "0.56", ""], ["b|c", "1", "1.0", "", "3.25"]]


def test_markdown():
    expected = """### A & B

| run  |   n |          x |   y |
| ---- | --: | ---------: | --: |
| a_1  |   2 | 12.3 ± 0.6 |     |
| b\\|c |   1 |        1.0 | 3.2 |

- 50 %
"""
    assert to_markdown(TABLE) == expected


def test_latex():
    text = to_latex(TABLE)
    assert r"\caption{A \& B}" in text and r"\begin{tabular}{lrrr}" in text
    assert r"a\_1 & 2 & 12.3 $\pm$ 0.6 &  \\" in text and r"\par\footnotesize 50 \%" in text
    backslash = to_latex(Table("t", ("a",), (("\\{~",),)))
    assert r"\textbackslash{}\{\textasciitilde{} \\" in backslash


def test_published_figures_say_what_they_are():
    table = published_table()
    text = to_markdown(table)
    assert "published, real data, not comparable with the embedded world" in text
    assert len(table.rows) == 10 + 3 * 4 and all(row[3] for row in table.rows)
    figures = {(row[0], row[1]): row[2] for row in table.rows}
    assert figures["SemanticKITTI, val, 10 % of the scans", "IGNet"] == 61.3
    assert all("second-hand" in row[3] for row in table.rows if "IGNet" in row[1])


def test_write_table(tmp_path):
    write_table(tmp_path, "table", TABLE)
    assert (tmp_path / "table.csv").read_text() == to_csv(TABLE)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["table.csv", "table.md", "table.tex"]
