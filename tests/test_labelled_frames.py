"""The table by share of labelled scans."""

from dataclasses import replace

import pytest
from confusions import by_seed, tensor

from ignet.config.evaluation import CompareConfig
from ignet.errors import IgnetError
from ignet.report.arguments import name_and_number
from ignet.report.comparison import Comparison
from ignet.report.labelled_frames import OURS, share_table
from ignet.report.networks_2d import network_table, training_words
from ignet.report.runs import run_table
from ignet.report.summary import run_summary
from ignet.report.tables import Spread, to_csv

RUNS = {
    "full": {0: tensor(0.9)},
    "ignet_10": {0: tensor(0.6), 1: tensor(0.8)},
    "ignet-50": {0: tensor(0.8)},
    "v1": {0: tensor(0.1)},
    "scribbled": {0: tensor(0.7)},
}
SHARES = {"full": 100, "ignet_10": 10, "ignet-50": 50, "v1": 1}


@pytest.fixture
def runs() -> Comparison:
    return Comparison(by_seed(RUNS), samples=100)


def test_one_row_a_method_one_column_a_share(runs: Comparison) -> None:
    table = share_table(runs, SHARES)
    assert table.columns == ("method", "source", "1 %", "10 %", "20 %", "50 %", "100 %")
    rows = {row[0]: row[1:] for row in table.rows}
    assert list(rows)[:4] == ["full", "ignet", "v1", "IGNet"] and rows["ignet"][0] == OURS
    # cars and poles of 19 classes, poles at 0.5
    assert rows["full"][1:] == (None, None, None, None, Spread(pytest.approx(140 / 19), None))
    assert rows["ignet"][2].mean == pytest.approx(120 / 19) and rows["ignet"][2].deviation > 0
    assert rows["ignet"][4].mean == pytest.approx(130 / 19) and rows["ignet"][1] is rows["ignet"][5] is None
    assert rows["v1"][1].mean == pytest.approx(60 / 19)


def test_published_figures_stand_beside_ours(runs: Comparison) -> None:
    rows = {row[0]: row[2:] for row in share_table(runs, SHARES).rows}
    assert rows["IGNet"] == (49.0, 61.3, 63.1, 64.8, None)
    assert rows["LaserMix, Cylinder3D"] == (50.6, 60.0, 61.9, 62.3, None)
    assert rows["LaserMix++, MinkUNet, camera in training"] == (63.2, 67.5, 67.7, 68.6, None)
    assert 'IGNet,"second-hand: HiLoTs' in to_csv(share_table(runs, SHARES))


def test_published_figures_do_not_stand_beside_other_classes(runs: Comparison) -> None:
    crops = {
        run: {s: replace(t, classes=("soil", *t.classes[1:])) for s, t in seeds.items()} for run, seeds in RUNS.items()
    }
    table = share_table(Comparison(by_seed(crops), samples=100), SHARES)
    assert {row[1] for row in table.rows} == {OURS} and len(table.notes) == 1


def test_two_runs_never_share_a_cell() -> None:
    same = Comparison(by_seed({"a_10": {0: tensor(0.6)}, "a-10": {0: tensor(0.7)}}), samples=100)
    ours = [row for row in share_table(same, {"a_10": 10, "a-10": 10}).rows if row[1] == OURS]
    assert [row[0] for row in ours] == ["a", "a-10"] and ours[0][3] != ours[1][3]


def test_the_summary_shows_it(runs: Comparison) -> None:
    names, networks = CompareConfig(), network_table({"a": {"miou_occurring": 0.5, "accuracy": 0.5}}, {"a": "dense:10"})
    text = run_summary(run_table(runs, names), networks, "words", names, share_table(runs, SHARES))
    assert "mIoU by share of labelled scans" in text and "LaserMix++" in text
    assert "mIoU by share" not in run_summary(run_table(runs, names), networks, "words", names)
    assert "adapted with projected dense labels of 10 % of the frames" in text


def test_training_of_a_2d_network_in_words() -> None:
    assert training_words("scribbles:50") == "adapted with projected scribbles of 50 % of the frames"
    assert training_words("dense").endswith("a ceiling") and training_words("else") == "else"


@pytest.mark.parametrize("text", ["run", "run=", "=10", "run=ten", "run=1.5"])
def test_a_share_is_a_whole_number(text: str) -> None:
    assert name_and_number("run=10") == ("run", 10)
    with pytest.raises(IgnetError, match="expected NAME=NUMBER"):
        name_and_number(text)
