"""The headline rows of several experiments, and of the folds of a cross-validation."""

import csv
import json
import runpy
import sys
from pathlib import Path

import pytest
from confusions import by_seed, tensor
from matplotlib.image import imread

from ignet.config.evaluation import CompareConfig
from ignet.errors import IgnetError
from ignet.evaluate.tensor import write_tensor
from ignet.report.comparison import Comparison
from ignet.report.headline import (
    POOLED,
    compare_all,
    find_confusions,
    headline_figure,
    headline_table,
    ordering,
)
from ignet.report.networks_2d import networks_table, read_held_out, read_networks

SCRIPT = Path(__file__).resolve().parents[1] / "workflow" / "scripts" / "headline.py"
NAMES = CompareConfig(bootstrap_samples=100)


def experiment(folder, full=0.9, baseline=0.5, ignet=0.7, sequence="08", seeds=(0, 1), scans=2):
    """Results of three runs, cars right in these shares, and of two 2D networks."""
    for run, share in (("full", full), ("baseline", baseline), ("ignet", ignet)):
        for seed in seeds:
            write_tensor(
                folder / "evaluate" / run / f"seed{seed}" / "confusion.h5",
                tensor(share, scans=scans, sequence=sequence),
            )
    for name, miou in (("adapted", 0.5), ("source", 0.25)):
        (folder / "evaluate_2d" / name).mkdir(parents=True)
        (folder / "evaluate_2d" / name / "metrics.json").write_text(
            json.dumps({"miou": 0.01, "miou_occurring": miou, "accuracy": 0.6})
        )
    return folder


def headline(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *map(str, arguments)])
    runpy.run_path(str(SCRIPT), run_name="__main__")


def rows(path):
    return list(csv.DictReader(path.open()))


def test_two_experiments(tmp_path, monkeypatch, capsys):
    first, second = experiment(tmp_path / "first"), experiment(tmp_path / "second", ignet=0.4)
    out = tmp_path / "out"
    headline(monkeypatch, "--experiment", f"one={first}", f"two={second}", "--bootstrap-samples", 100, "--out", out)
    table = rows(out / "headline.csv")
    assert [(row["experiment"], row["run"]) for row in table] == [
        (e, r) for e in ("one", "two") for r in ("full", "baseline", "ignet")
    ]
    assert (
        float(table[2]["difference to baseline"])
        == pytest.approx(20 / 19)
        == pytest.approx(float(table[2]["difference to baseline low"]))
    )
    assert float(table[2]["relative to full"]) == pytest.approx(100 * 1.2 / 1.4)
    assert {row["seeds"] for row in table} == {"2"} and {row["scans"] for row in table} == {"2"}
    assert [row["network"] for row in rows(out / "networks_2d.csv")] == ["source", "adapted"]
    assert imread(out / "headline.png").shape[1] == 1600
    text = (out / "summary.txt").read_text()
    assert text in capsys.readouterr().out and max(map(len, text.splitlines())) <= 100
    assert "The ordering holds in 1 of 2 experiments." in text
    assert not (out / "gains.csv").exists()


def test_shared_2d_networks_are_found_by_their_links(tmp_path):
    folder = experiment(tmp_path / "a")
    shared = tmp_path / "shared" / "0123456789ab"
    shared.mkdir(parents=True)
    (shared / "metrics.json").write_text(json.dumps({"miou": 0.01, "miou_occurring": 0.75, "accuracy": 0.8}))
    (folder / "shared" / "evaluate_2d").mkdir(parents=True)
    (folder / "shared" / "evaluate_2d" / "adapted").symlink_to(shared)
    assert {name: found["miou_occurring"] for name, found in read_networks({"a": folder})["a"].items()} == {
        "source": 0.25,
        "adapted": 0.75,
    }


def test_figures_of_a_version_that_meant_another_mean_are_refused(tmp_path):
    folder = experiment(tmp_path / "a")
    (folder / "evaluate_2d" / "source" / "metrics.json").write_text(json.dumps({"miou": 0.25, "accuracy": 0.6}))
    with pytest.raises(IgnetError, match=r"source/metrics\.json: found no 'miou_occurring'.*finish it with"):
        read_networks({"a": folder})


def test_pretraining_that_failed_shows_in_the_table_of_2d_networks(tmp_path, monkeypatch):
    own, shared, without = (experiment(tmp_path / name) for name in ("own", "shared", "without"))
    for folder, miou in ((own / "pretrain_2d", 0.486), (tmp_path / "0123456789ab", 0.206)):
        folder.mkdir()
        (folder / "metrics.json").write_text(json.dumps({"miou": 0.01, "miou_occurring": miou, "accuracy": 0.8}))
    (shared / "shared").mkdir()
    (shared / "shared" / "pretrain_2d").symlink_to(tmp_path / "0123456789ab")
    assert read_held_out({"own": own, "shared": shared, "without": without}) == {"own": 0.486, "shared": 0.206}
    arguments = [f"{folder.name}={folder}" for folder in (own, shared, without)]
    headline(monkeypatch, "--experiment", *arguments, "--bootstrap-samples", 100, "--out", tmp_path / "out")
    assert (
        "its training did not see: mIoU (classes that occur) own 48.6, shared 20.6"
        in (tmp_path / "out" / "networks_2d.md").read_text()
    )


def test_folds_are_pooled_seed_by_seed(tmp_path, monkeypatch):
    folds = [experiment(tmp_path / name, ignet=share, sequence=name) for name, share in (("00", 0.6), ("05", 0.8))]
    out = tmp_path / "out"
    headline(
        monkeypatch,
        "--pool",
        *(part for fold in folds for part in ("--experiment", f"{fold.name}={fold}")),
        "--bootstrap-samples",
        100,
        "--out",
        out,
    )
    table = rows(out / "headline.csv")
    assert [row["experiment"] for row in table] == [POOLED] * 3 + ["00"] * 3 + ["05"] * 3
    # the share of the pooled scans, which happens to be the mean as the folds are equally large
    assert [float(row["mIoU (benchmark)"]) for row in table if row["run"] == "ignet"] == pytest.approx(
        [120 / 19, 110 / 19, 130 / 19]
    )
    assert [row["scans"] for row in table[::3]] == ["4", "2", "2"]
    gains = {row["slice"]: row for row in rows(out / "gains.csv")}
    assert float(gains["all points"]["ignet"]) == pytest.approx(10) and gains["boundary"]["points"] == str(
        4 * 4 * 2 * 100
    )
    adapted = rows(out / "networks_2d.csv")[1]
    assert (adapted["00"], adapted["05"], adapted["mean of the folds"], adapted["mean of the folds sd"]) == (
        "50.0",
        "50.0",
        "50.0",
        "0.0",
    )
    assert (
        imread(out / "gains.png").shape[1] == 1600
        and (out / "gains_per_class.md").exists()
        and (out / "slices.tex").exists()
    )


def test_folds_must_fit(tmp_path):
    one, same = experiment(tmp_path / "one"), experiment(tmp_path / "same")
    fewer = experiment(tmp_path / "fewer", sequence="05", seeds=(0,))
    files = {path.name: find_confusions(path, NAMES) for path in (one, same, fewer)}
    with pytest.raises(IgnetError, match="found frame 08/000000"):
        compare_all({"one": files["one"], "same": files["same"]}, NAMES, pooled=True)
    with pytest.raises(IgnetError, match=r"run 'full': found seeds .*expected the same in all folds"):
        compare_all({"one": files["one"], "fewer": files["fewer"]}, NAMES, pooled=True)
    assert list(compare_all({"one": files["one"], "fewer": files["fewer"]}, NAMES, pooled=False)) == ["one", "fewer"]


def test_missing_and_unfinished_experiments_are_one_line(tmp_path, monkeypatch, capsys):
    def error(*arguments):
        with pytest.raises(SystemExit) as stop:
            headline(monkeypatch, *arguments, "--out", tmp_path / "out")
        assert stop.value.code == 1 and not (tmp_path / "out").exists()
        (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
        return line

    nowhere = tmp_path / "nowhere"
    line = error("--experiment", f"one={nowhere}")
    assert f"{nowhere}: no such folder" in line and "snakemake --cores all --configfile" in line
    done = experiment(tmp_path / "done")
    assert "found no run 'other'" in error("--experiment", f"one={done}", "--method", "other")
    assert "'one': found this experiment's name twice" in error("--experiment", f"one={done}", f"one={done}")
    assert "expected NAME=PATH" in error("--experiment", done)
    (done / "train_3d" / "ignet" / "seed2").mkdir(parents=True)  # trained, but not evaluated yet
    line = error("--experiment", f"one={done}")
    assert f"{done / 'evaluate' / 'ignet' / 'seed2' / 'confusion.h5'}: no such file" in line and "snakemake" in line


def comparison(full, ignet, baseline):
    shares = {"full": full, "ignet": ignet, "baseline": baseline}
    return Comparison(
        by_seed({run: {seed: tensor(share) for seed, share in enumerate(values)} for run, values in shares.items()}),
        samples=300,
    )


def test_ordering_in_words():
    sure = comparison((0.9, 0.9), (0.7, 0.7), (0.5, 0.5))
    unsure = comparison((0.9, 0.9), (0.5, 0.9), (0.6, 0.5))
    against = comparison((0.9, 0.9), (0.4, 0.4), (0.5, 0.5))
    words = ordering({"a": sure, "b": unsure, "c": against}, NAMES)
    assert words[0].startswith(
        "a: the ordering full > ignet > baseline holds by the means; full minus ignet is +1.1 [+1.1, +1.1] (interval "
        "above 0)"
    )
    assert "ignet minus baseline is +0.8 [" in words[1] and words[1].endswith("(interval includes 0).")
    assert "does not hold by the means" in words[2] and words[2].endswith("(interval below 0).")
    assert words[3] == "The ordering holds in 2 of 3 experiments."
    equal = comparison((0.9,), (0.5,), (0.5,))
    assert "does not hold" in ordering({"a": equal}, NAMES)[0]
    # what is pooled is no experiment of its own
    assert ordering({POOLED: sure, "a": sure}, NAMES)[-1] == "The ordering holds in 1 of 1 folds."


def test_rows_and_figure_by_experiment():
    runs = comparison((0.9, 0.9), (0.7, 0.7), (0.5, 0.5))
    table = headline_table({"a": runs, "b": runs}, NAMES)
    assert [row[:2] for row in table.rows] == [(name, run) for name in "ab" for run in ("full", "ignet", "baseline")]
    left, _ = headline_figure({"a": runs, "b": runs}, NAMES).axes
    assert [label.get_text() for label in left.get_yticklabels()][:2] == ["a, 4 scans", "full (n = 2)"]


def test_networks_that_only_some_have():
    table = networks_table(
        {
            "a": {"source": {"miou_occurring": 0.25}},
            "b": {"source": {"miou_occurring": 0.5}, "dense": {"miou_occurring": 0.75}},
        },
        folds=False,
    )
    assert table.rows == (("source", 25.0, 50.0), ("dense", None, 75.0))
