"""Comparison of runs: tables, plots and verdicts against figures worked by hand."""

import json
from dataclasses import replace

import numpy as np
import pytest
from confusions import POINTS, by_seed, tensor

from ignet.config.evaluation import CompareConfig
from ignet.data.label_sets.label_set import SEMANTICKITTI as LABELS
from ignet.errors import IgnetError
from ignet.evaluate.statistics import Estimate
from ignet.report.ablation import ablation_figure, gain_figure
from ignet.report.comparison import Comparison, slice_name
from ignet.report.forest import Row, differences
from ignet.report.networks_2d import network_table
from ignet.report.runs import (
    backbone_note,
    class_gain_table,
    class_table,
    control_table,
    gain_columns,
    gain_table,
    run_table,
    slice_table,
)
from ignet.report.statements import FAILS, HOLDS, OPEN, findings_json, judge, paragraph, statement_table, verdict
from ignet.report.summary import WIDTH, run_summary
from ignet.report.tables import to_csv, to_latex, to_markdown

# mIoU over the two classes that occur: (car + pole) / 2; the benchmark's: (car + pole) / 19
TENSORS = {
    "full": {0: tensor(0.9, 0.7)},
    "baseline": {0: tensor(0.4), 1: tensor(0.5), 2: tensor(0.6)},
    "ignet": {1: tensor(0.6, boundary=0.8), 2: tensor(0.7, boundary=0.9), 7: tensor(0.1)},
    "two_way": {1: tensor(0.5, boundary=0.7), 2: tensor(0.6, boundary=0.8)},
}
NAMES = CompareConfig.model_validate(
    {"controls": [{"run": "two_way", "against": "ignet", "text": "two-way contrast"}], "bootstrap_samples": 200},
)
NETWORKS = {
    "source": {"miou": 0.1, "miou_occurring": 0.25, "accuracy": 0.5},
    "adapted": {"miou": 0.2, "miou_occurring": 0.5, "accuracy": 0.75},
}


@pytest.fixture(scope="module")
def runs():
    return Comparison(by_seed(TENSORS), samples=200)


def rows_of(table):
    return {row[0]: dict(zip(table.columns, row, strict=True)) for row in table.rows}


def exactly(value, sign="+"):
    """A figure that no draw changes, since all seeds and scans agree on it."""
    return (pytest.approx(value), pytest.approx(value), pytest.approx(value), sign)


def test_figures_by_hand(runs):
    assert runs.runs == tuple(TENSORS) and runs.scans == 4
    assert (
        runs.seeds("ignet") == (1, 2, 7)
        and runs.seeds("ignet", "baseline") == (1, 2)
        and runs.seeds("ignet", "none") == ()
    )
    assert runs.slices[:3] == ("all", "range:0-10 m", "range:10+ m") and runs.slices[-1] == "small"
    assert runs.miou("full") == {0: pytest.approx(100 * 1.6 / 19)}
    assert runs.miou("ignet", "boundary:boundary") == {1: pytest.approx(65), 2: pytest.approx(70), 7: pytest.approx(30)}
    assert runs.miou("full", "small") == {0: pytest.approx(70)}  # poles alone
    assert runs.points() == 4 * 8 * 2 * POINTS and runs.points("camera:in-FOV") == runs.points() / 2
    assert runs.points("small") == runs.points_of_class()["pole"] == 4 * 8 * POINTS
    assert runs.iou("full")[0]["car"] == pytest.approx(90) and runs.iou("full")[0]["person"] is None


def test_differences_by_hand(runs):
    whole = runs.difference("ignet", "baseline")
    # the two common seeds gain 20 points at boundaries... of the cars 30 and in the interior 10, in the mean 20
    assert (whole.value, whole.low, whole.high) == pytest.approx([100 * 0.2 / 19] * 3)
    assert (whole.seeds, whole.frames) == (2, 4)
    assert runs.difference("ignet", "baseline", "boundary:boundary").value == pytest.approx(15)
    assert runs.difference("ignet", "baseline", "small").value == 0
    assert runs.class_difference("ignet", "baseline", "car").value == pytest.approx(20)
    assert runs.class_difference("ignet", "baseline", "person") is None
    assert runs.extra("ignet", "baseline", "boundary:boundary", "boundary:interior").value == pytest.approx(10)
    assert runs.extra("ignet", "baseline", "all", "small").value == pytest.approx(10)
    assert runs.relative("baseline", "full").value == pytest.approx(100 * 0.9 / 1.6)
    assert runs.relative("ignet", "full") is None and runs.difference("ignet", "full") is None
    assert runs.difference("ignet", "none") is None


def test_an_interval_covers_what_varies():
    jitter = np.array([-0.2, -0.1, 0.1, 0.2])
    runs = Comparison(
        [("a", 0, tensor(0.5, jitter=jitter)), ("b", 0, tensor(0.4)), ("c", 0, tensor(0.6, jitter=jitter))], samples=500
    )
    varied = runs.difference("a", "b")
    assert varied.low < 0 < varied.value < varied.high and varied.value == pytest.approx(100 * 0.1 / 19)
    # what two runs have in common cancels scan by scan
    paired = runs.difference("c", "a")
    assert (paired.low, paired.high) == pytest.approx([100 * 0.1 / 19] * 2)


def test_classes_are_those_of_the_evaluation():
    crops, small = tuple(f"crop {number}" for number in range(19)), ("crop 3",)
    runs = Comparison([("ours", 0, replace(tensor(0.5), classes=crops, small_objects=small))], samples=100)
    assert tuple(runs.iou("ours")[0]) == tuple(runs.points_of_class()) == crops
    assert [row[0] for row in class_table(runs).rows] == list(crops)
    assert slice_table(runs).notes[-1] == "small objects: crop 3"
    without = Comparison([("ours", 0, replace(tensor(0.5), small_objects=()))], samples=100)
    assert without.slices == runs.slices[:-1]
    assert len(slice_table(without).notes) == 1
    with pytest.raises(IgnetError, match="'small': not evaluated"):
        without.miou("ours", "small")


def test_unknown_slices_and_other_points_are_named(runs):
    with pytest.raises(IgnetError, match=r"'range:9 m': not evaluated, expected one of .*'range:0-10 m'.*'small'"):
        runs.difference("ignet", "baseline", "range:9 m")
    for other in (tensor(0.5, scans=3), tensor(0.5, sequence="09")):
        with pytest.raises(IgnetError, match=r"run b seed 3 was evaluated on .* run a seed 0 on"):
            Comparison([("a", 0, tensor(0.5)), ("b", 3, other)])
    with pytest.raises(IgnetError, match="or with other labels"):
        renamed = replace(tensor(0.5), classes=("bus", *LABELS.classes[1:]))
        Comparison([("a", 0, tensor(0.5)), ("b", 3, renamed)])
    changed = tensor(0.5)
    changed.counts[0, 0, 0, 0, 0] += 1
    with pytest.raises(IgnetError, match="same sequences, labels and ranges"):
        Comparison([("a", 0, tensor(0.5)), ("b", 3, changed)])
    with pytest.raises(IgnetError, match="no evaluated run"):
        Comparison([])


def test_slice_names():
    assert [slice_name(name) for name in ("all", "range:50+ m", "small")] == ["all points", "50+ m", "small objects"]


def test_run_table_by_hand(runs):
    table = run_table(runs, NAMES)
    rows = rows_of(table)
    full, baseline, ignet = rows["full"], rows["baseline"], rows["ignet"]
    assert full["seeds"] == 1 and baseline["seeds"] == 3 and ignet["scans"] == 4
    assert full["mIoU (benchmark)"] == (pytest.approx(160 / 19), None)
    assert baseline["mIoU (benchmark)"] == (pytest.approx(100 / 19), pytest.approx(10 / 19))
    assert baseline["mIoU (classes that occur)"] == (pytest.approx(50), pytest.approx(5))
    assert full["relative to full"] == 100 and baseline["relative to full"] == exactly(56.25, "")
    assert ignet["difference to baseline"] == exactly(20 / 19) and baseline["difference to baseline"] is None
    assert full["difference to baseline"] == exactly(70 / 19)
    assert any("'ignet': it shares no seed with 'full'" in note for note in table.notes)
    assert any("200 samples" in note and "4 scans" in note for note in table.notes)
    assert any(note.startswith("one seed only (full)") for note in table.notes)
    head, first = to_csv(table).splitlines()[:2]
    assert head.endswith("relative to full,relative to full low,relative to full high,difference to baseline,"
                         "difference to baseline low,difference to baseline high")  # fmt: skip
    assert first.startswith("full,1,4,")


def test_a_note_names_the_network_of_each_run():
    assert backbone_note({"a": "cylinder3d as_drawn", "b": "cylinder3d as_drawn"}) == "3D network: cylinder3d as_drawn"
    mixed = {"a": "cylinder3d as_published", "b": "minkunet", "c": "cylinder3d as_published"}
    assert backbone_note(mixed) == "3D network: cylinder3d as_published (a, c); minkunet (b)"


def test_run_table_without_reference_baseline_and_spread():
    runs = Comparison([("ours", 0, tensor(0.5))], samples=100)
    table = run_table(runs, NAMES)
    row = rows_of(table)["ours"]
    assert row["relative to full"] is None and row["difference to baseline"] is None
    assert any("'full' is not among the runs" in note for note in table.notes)
    assert any("'baseline' is not among the runs" in note for note in table.notes)
    assert not any("±" in text for text in (to_markdown(table), to_latex(table)))
    zero = Comparison([("full", 0, tensor(0.0, 0.0)), ("ours", 0, tensor(0.5))], samples=100)
    table = run_table(zero, NAMES)
    assert [row["relative to full"] for row in rows_of(table).values()] == [None, None]
    assert any("has an mIoU of 0" in note for note in table.notes)


def test_control_table_takes_common_seeds(runs):
    (row,) = rows_of(control_table(runs, NAMES.controls, NAMES.bootstrap_samples)).values()
    assert row["seeds"] == 2 and row["against"] == "ignet" and row["what it changes"] == "two-way contrast"
    # seed 7 of ignet has no partner
    assert row["mIoU of the other"] == (pytest.approx(100 * 1.25 / 19), pytest.approx(100 * np.sqrt(0.005) / 19))
    assert row["control minus other"] == exactly(-10 / 19)
    assert control_table(runs, (), 200).rows == ()


def test_gains(runs):
    assert gain_columns(runs, NAMES) == ("ignet", "full")  # neither the baseline nor the control
    rows = rows_of(gain_table(runs, NAMES))
    assert list(rows) == [
        "all points",
        "0-10 m",
        "10+ m",
        "in-FOV",
        "out-of-FOV",
        "boundary",
        "interior",
        "small objects",
    ]
    assert [rows[name]["ignet"] for name in ("all points", "boundary", "interior", "small objects")] == [
        exactly(10), exactly(15), exactly(5), exactly(0)
    ]  # fmt: skip
    assert rows["boundary"]["points"] == 4 * 4 * 2 * POINTS and rows["small objects"]["full"] == exactly(20)
    classes = rows_of(class_gain_table(runs, NAMES))
    assert (
        list(classes) == ["car", "pole"]
        and classes["car"]["ignet"] == exactly(20)
        and classes["pole"]["full"] == exactly(20)
    )
    lonely = gain_table(Comparison([("ours", 0, tensor(0.5))]), NAMES)
    assert lonely.columns == ("slice", "points") and any("no gains" in note for note in lonely.notes)


def test_class_and_slice_table(runs):
    table = class_table(runs)
    assert table.columns == ("class", "points", *TENSORS) and [row[0] for row in table.rows] == list(LABELS.classes)
    rows = rows_of(table)
    assert rows["car"]["baseline"] == (pytest.approx(50), pytest.approx(10)) and rows["person"]["full"] is None
    rows = rows_of(slice_table(runs))
    assert rows["boundary"]["full"] == (pytest.approx(80), None) and "all points" not in rows


def test_network_table():
    assert network_table(NETWORKS).rows == (("source", 25.0, 50.0), ("adapted", 50.0, 75.0))
    words = network_table(NETWORKS, {"source": "source", "adapted": "scribbles"})
    assert [row[1] for row in words.rows] == ["synthetic source images only", "adapted with projected scribbles"]
    assert len(words.notes) == 2
    assert (
        network_table(NETWORKS, held_out={"miou": 0.1, "miou_occurring": 0.486})
        .notes[2]
        .endswith("mIoU (classes that occur) 48.6")
    )


STATEMENTS = [
    {"text": "Ours beats the baseline.", "run": "ignet", "against": "baseline"},
    {
        "text": "More at boundaries",
        "run": "ignet",
        "against": "baseline",
        "slice": "boundary:boundary",
        "than": "boundary:interior",
    },
    {"text": "More for small objects", "run": "ignet", "against": "baseline", "slice": "small", "than": "all"},
    {"text": "The same for poles", "run": "ignet", "against": "baseline", "slice": "small"},
    {"text": "Nobody knows", "run": "ignet", "against": "full"},
    {"text": "Adapted beats source", "run": "adapted", "against": "source", "networks": True},
]


def test_statements(runs):
    names = CompareConfig.model_validate({**NAMES.model_dump(), "statements": STATEMENTS})
    findings = judge(names.statements, runs, NETWORKS)
    assert [finding.verdict for finding in findings] == [HOLDS, HOLDS, FAILS, OPEN, OPEN, HOLDS]
    assert [finding.difference_text for finding in findings] == [
        "+1.1 [+1.1, +1.1]", "+10.0 [+10.0, +10.0]", "-10.0 [-10.0, -10.0]", "+0.0 [+0.0, +0.0]", "no value", "+25.0"
    ]  # fmt: skip
    rows = rows_of(statement_table(findings))
    assert (
        rows["More at boundaries"]["points"] == "boundary, more than interior"
        and rows["More at boundaries"]["seeds"] == 2
    )
    assert rows["Adapted beats source"]["scans"] is None

    words = paragraph(findings, runs, names)
    assert "ignet reaches a benchmark mIoU of" in words and "+1.1 (95 % interval +1.1 to +1.1) points, a gain" in words
    assert "Of 6 statements 3 hold, 1 does not hold, 2 stay undecided." in words
    assert "“Ours beats the baseline” (+1.1 [+1.1, +1.1], 2 seeds)" in words and "“Nobody knows” (no value)" in words
    assert "one network each and carry no interval" in words

    values = json.loads(json.dumps(findings_json(findings, runs, names, words), allow_nan=False))
    assert values["paragraph"] == words and values["relative"] is None  # ignet shares no seed with full
    first, *_, last = values["statements"]
    assert first["verdict"] == "holds" and first["low"] == pytest.approx(20 / 19) and first["rests_on"] == "interval"
    assert last["difference"] == 25 and last["low"] is None and "one network each" in last["rests_on"]


def test_the_relative_figure_stands_in_the_paragraph(runs):
    names = CompareConfig(method="baseline", baseline="full", bootstrap_samples=200)
    words = paragraph([], runs, names)
    # over the one seed that both have, not over all three
    assert "baseline reaches a benchmark mIoU of 4.7 % and full 8.4 %: a difference of -3.7" in words
    assert "one seed is not conclusive" in words
    assert "baseline reaches 56.2 % (95 % interval 56.2 to 56.2 %) of the fully supervised run full" in words
    assert paragraph([], runs, CompareConfig(method="nobody")) == ""


@pytest.mark.parametrize(
    ("low", "high", "expected"), [(0.1, 2, HOLDS), (0, 2, OPEN), (-1, 2, OPEN), (-1, 0, OPEN), (-2, -0.1, FAILS)]
)
def test_verdicts(low, high, expected):
    middle = (low + high) / 2
    assert verdict(Estimate(middle, low, high, seeds=3, frames=4)) == expected
    assert verdict(Estimate(middle, low, high, seeds=1, frames=4)) == OPEN  # an interval over scans alone


def test_unknown_slice_of_a_statement(runs):
    names = CompareConfig.model_validate({"statements": [{**STATEMENTS[1], "than": "boundary:edge"}]})
    with pytest.raises(IgnetError, match=r"'boundary:edge': not evaluated, expected one of .*'boundary:interior'"):
        judge(names.statements, runs, {})


def test_summary_fits_a_terminal(runs):
    names = CompareConfig.model_validate({**NAMES.model_dump(), "statements": STATEMENTS})
    words = paragraph(judge(names.statements, runs, NETWORKS), runs, names)
    text = run_summary(run_table(runs, names), network_table(NETWORKS, {"adapted": "none"}), words, names)
    assert max(map(len, text.splitlines())) <= WIDTH
    assert "% of full |" in text and "2D networks" in text and "3 hold" in text


def labels_of(panel):
    return [label.get_text() for label in panel.get_yticklabels()]


def test_ablation_figure(runs):
    left, right = ablation_figure(runs, NAMES).axes
    assert labels_of(left) == ["full (n = 1)", "baseline (n = 3)", "ignet (n = 3)", "controls", "two_way (n = 2)"]
    seeds, mean = left.lines[2:4]
    assert seeds.get_xdata() == pytest.approx([90 / 19, 100 / 19, 110 / 19]) and mean.get_xdata() == pytest.approx(
        [100 / 19]
    )
    # the baseline has no difference to itself: three lines for each other run, and zero
    assert len(right.lines) == 3 * 3 + 1 and right.lines[0].get_xdata() == pytest.approx([70 / 19] * 2)


def test_gain_figure(runs):
    (panel,) = gain_figure(runs, NAMES).axes
    shown = labels_of(panel)
    assert shown[:4] == ["all points", "distance", "0-10 m", "10+ m"] and shown[-2:] == ["classes", "small objects"]
    assert [text.get_text() for text in panel.texts][:2] == ["6 400 points", "3 200 points"]
    places = dict(zip(shown, panel.get_yticks(), strict=True))
    points = {
        line.get_ydata()[0]: (line.get_xdata()[0], line.get_color())
        for line in panel.lines
        if len(line.get_xdata()) == 1
    }
    assert points[places["boundary"]] == (pytest.approx(15), "tab:blue")
    assert points[places["small objects"]] == (0, "0.5")  # includes 0: grey
    (empty,) = gain_figure(runs, CompareConfig(method="nobody")).axes
    assert [text.get_text() for text in empty.texts] == ["nothing to compare"]


def test_rows_without_an_interval_are_left_blank():
    (panel,) = differences([("", [Row("a")])], "axis", "title").axes
    assert len(panel.lines) == 1 and labels_of(panel) == ["a"]


def test_relative_to_full_supervision_of_the_same_network_alone():
    # the pole has 0.5 in all of them
    tensors = {name: {0: tensor(value)} for name, value in (("full", 0.8), ("baseline", 0.4), ("ignet", 0.6))}
    mixed = Comparison(by_seed(tensors), samples=20, networks=dict.fromkeys(("full", "baseline"), "spvcnn"))
    table = run_table(mixed, NAMES)
    rows = rows_of(table)
    assert rows["ignet"]["relative to full"] is None and rows["baseline"]["relative to full"].value == pytest.approx(
        100 * 9 / 13
    )
    assert rows["ignet"]["difference to baseline"].value > 0
    assert "no relative mIoU for ignet: another 3D network than that of 'full', spvcnn" in table.notes
    same = run_table(Comparison(by_seed(tensors), samples=20, networks=dict.fromkeys(tensors, "spvcnn")), NAMES)
    assert rows_of(same)["ignet"]["relative to full"].value == pytest.approx(100 * 11 / 13)
    assert not [note for note in same.notes if note.startswith("no relative")]
