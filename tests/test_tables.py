"""Tables as text."""

import csv
import io
import math

import pytest

from ignet.data.label_sets.label_set import SEMANTICKITTI, load_label_set
from ignet.errors import IgnetError
from ignet.files.atomic import write_json
from ignet.report.html.sections import published
from ignet.report.published import published_table
from ignet.report.tables import (
    Interval,
    Spread,
    make_table,
    read_tables,
    spread,
    tables_json,
    to_csv,
    to_latex,
    to_markdown,
    write_table,
)


def test_spread_is_the_sample_deviation():
    assert spread([]) is None
    assert spread([None, 4.0]) == (4.0, None)
    mean, deviation = spread([1.0, 3.0])
    assert mean == 2 and deviation == pytest.approx(math.sqrt(2))


def test_only_some_columns_under_other_names():
    table = make_table("t", ("a", "b", "c"), ((1, 2, 3), (4, 5, 6)), ("a note",))
    narrow = table.only({"c": "third", "a": "first"})
    assert (narrow.columns, narrow.rows, narrow.notes) == (("third", "first"), ((3, 1), (6, 4)), ("a note",))


TABLE = make_table(
    "A & B",
    ("run", "n", "x", "y"),
    (("a_1", 2, Spread(12.34, 0.56), None), ("b|c", 1, Spread(1.0, None), 3.25)),
    ("50 %",),
)


def test_csv_keeps_all_digits_and_splits_spreads():
    rows = list(csv.reader(io.StringIO(to_csv(TABLE))))
    assert rows == [["run", "n", "x", "x sd", "y"], ["a_1", "2", "12.34", "0.56", ""], ["b|c", "1", "1.0", "", "3.25"]]


def test_intervals():
    table = make_table("t", ("x", "y"), ((Interval(1.26, -0.04, 2.0, "+"), Interval(97.2, 95, 99.04)), (None, 100.0)))
    rows = list(csv.reader(io.StringIO(to_csv(table))))
    assert rows == [
        ["x", "x low", "x high", "y", "y low", "y high"],
        ["1.26", "-0.04", "2.0", "97.2", "95", "99.04"],
        ["", "", "", "100.0", "", ""],
    ]
    # nothing reads -0.0
    assert "| +1.3 [+0.0, +2.0] | 97.2 [95.0, 99.0] |" in to_markdown(table)
    assert r"+1.3 [+0.0, +2.0] & 97.2 [95.0, 99.0] \\" in to_latex(table)


def test_markdown():
    title, _, *body, note = to_markdown(TABLE).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").replace(r"\|", "/").split("|")] for line in body if line]
    assert title == "### A & B" and note == "- 50 %"
    assert cells[0] == ["run", "n", "x", "y"]
    assert [rule.endswith(":") for rule in cells[1]] == [False, True, True, True]
    assert cells[2:] == [["a_1", "2", "12.3 ± 0.6", ""], ["b/c", "1", "1.0", "3.2"]]
    assert "| a " in to_markdown(make_table("empty", ("a", "b"), ()))


def test_latex():
    text = to_latex(TABLE)
    assert r"\caption{A \& B}" in text and r"\begin{tabular}{lrrr}" in text
    assert r"a\_1 & 2 & 12.3 $\pm$ 0.6 &  \\" in text and r"\par\footnotesize 50 \%" in text
    backslash = to_latex(make_table("t", ("a",), (("\\{~",),)))
    assert r"\textbackslash{}\{\textasciitilde{} \\" in backslash


def test_published_figures_say_what_they_are():
    table = published_table(SEMANTICKITTI.classes)
    text = to_markdown(table)
    assert "published, real data, not comparable with the embedded world" in text
    assert "64.3 is that of Cylinder3D's authors" in text
    assert len(table.rows) == 13 + 6 * 4 and all(row[3] for row in table.rows)
    figures = {(row[0], row[1]): row[2] for row in table.rows}
    assert figures["SemanticKITTI, val, 10 % of the scans", "IGNet"] == 61.3
    assert figures["ScribbleKITTI, val, scribbles on 10 % of the scans", "FrustumMix, FRNet"] == 57.0
    second_hand = {row[1].split()[0].strip(",") for row in table.rows if row[3].startswith("second-hand: ")}
    assert second_hand == {"IGNet", "LaserMix++"}
    assert all("second-hand: " in row[3] for row in table.rows if "IGNet" in row[1] or "LaserMix++" in row[1])


def test_published_figures_are_not_shown_beside_other_classes():
    table = published_table(load_label_set("nuscenes").classes)
    assert table.rows == () and "SemanticKITTI's classes" in table.notes[0]
    assert published({"published": table}).absent == table.notes[0]
    shown = published({"published": published_table(SEMANTICKITTI.classes)})
    assert shown.absent == "" and len(shown.tables) == 1


def test_write_table(tmp_path):
    write_table(tmp_path, "table", TABLE)
    assert (tmp_path / "table.csv").read_text() == to_csv(TABLE)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["table.csv", "table.md", "table.tex"]


def test_tables_come_back_with_their_cells(tmp_path):
    rows = (("a|b", 3, Interval(1.26, -0.5, 3.0, "+"), Spread(50.0, 2.5)), ("c", 4, None, Spread(10.0, None)))
    tables = {
        "t": make_table("Title", ("name", "n", "gain", "mean"), rows, ("a note",)),
        "none": make_table("", "a", ()),
    }
    write_json(tmp_path / "tables.json", tables_json(tables))
    back = read_tables(tmp_path / "tables.json")
    assert list(back) == ["none", "t"] and back["none"].rows == () and back["none"].columns == ("a",)
    table = back["t"]
    assert (table.title, table.columns, table.notes) == ("Title", ("name", "n", "gain", "mean"), ("a note",))
    assert table.rows == rows and isinstance(table.rows[0][2], Interval) and isinstance(table.rows[0][3], Spread)
    assert table.numeric == [False, True, True, True]
    assert table.cells == [
        [("a|b", None), ("3", 3), ("+1.3 [-0.5, +3.0]", 1.26), ("50.0 ± 2.5", 50)],
        [("c", None), ("4", 4), ("", None), ("10.0", 10)],
    ]
    assert table.values["gain low"].tolist() == [-0.5, None] and table.values["mean sd"].tolist() == [2.5, None]


@pytest.mark.parametrize("value", [[], {"t": 1}, {"t": {"title": "x"}}])
def test_a_file_without_tables_is_refused(tmp_path, value):
    write_json(tmp_path / "tables.json", value)
    with pytest.raises(IgnetError, match="tables.json: .*run the rule compare again"):
        read_tables(tmp_path / "tables.json")
