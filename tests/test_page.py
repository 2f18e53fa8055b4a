"""The report in one file: what its parts compute, and what stands in the page."""

import base64
import csv
import io
import json
import re
import zlib

import numpy as np
import pandas as pd
import pytest
from page_results import NOTE, RUNS, VAL, make_page, make_results
from PIL import Image

from ignet.data.check.manifest import COLUMNS
from ignet.data.label_sets.label_set import SEMANTICKITTI
from ignet.report.html.assets import asset, assets_hash
from ignet.report.html.background import data
from ignet.report.html.charts import chart, confusion_chart, curve_charts, run_styles
from ignet.report.html.components import FeatureColors
from ignet.report.html.costs import Made, duration, read_costs, versions
from ignet.report.html.frames import spread_over
from ignet.report.html.pack import class_png, packed, quantised
from ignet.report.html.page import SCRIPTS, in_script
from ignet.stage.identity import import_closure


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return make_results(tmp_path_factory.mktemp("page"), [{"run": "baseline", "against": "ignet", "text": "no images"}])


@pytest.fixture(scope="module")
def page(results, tmp_path_factory):
    return make_page(results, tmp_path_factory.mktemp("out") / "index.html").read_text()


def embedded(page, name):
    return json.loads(re.search(rf'<script type="application/json"[^>]* id="{name}">(.*?)</script>', page, re.S)[1])


def test_the_table_of_sequences_says_whose_scribbles_trainings_see(tmp_path):
    with (tmp_path / "manifest.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*COLUMNS, *SEMANTICKITTI.classes])
        for sequence, role, scribbled, source in (
            ("00", "train", 80, "simulated"),
            ("01", "train", 79, "dataset"),
            ("08", "val", "", ""),
        ):
            writer.writerows(
                [
                    [sequence, f"{frame:06d}", role, 1000, 950, scribbled, source, 64, 32, *[50] * 19]
                    for frame in range(2)
                ]
            )
    Image.new("RGB", (40, 20)).save(tmp_path / "sheet.png")
    section = data(tmp_path / "manifest.csv", tmp_path / "sheet.png", 80, ["a note", "Doubtful: this"])
    assert section.text == ["a note", "Doubtful: this"]
    sequences, classes = section.tables
    place = sequences.columns.index("scribbled, %")
    assert [row[place] for row in sequences.cells] == [("8.0", 8.0), ("7.9", pytest.approx(7.9)), ("-", None)]
    assert sequences.notes == ("simulated scribbles: 00",)
    assert [text for text, _ in sequences.cells[2]] == ["08", "validation", "2", "2,000", "95.0", "-", "64 x 32"]
    assert [text for text, _ in classes.cells[0]] == ["car", "200", "5.26", "100", "5.26"]
    text = (tmp_path / "manifest.csv").read_text()
    (tmp_path / "manifest.csv").write_text(text.replace("01,000001,train", "01,000001,test"))
    sequences, classes = data(tmp_path / "manifest.csv", tmp_path / "sheet.png", 80, []).tables
    assert classes.columns[-2:] == ("test, points", "test, %")
    assert [text for text, _ in classes.cells[0]] == ["car", "150", "5.26", "100", "5.26", "50", "5.26"]


# --- parts --------------------------------------------------------------------


def test_packed_numbers_are_little_endian_and_come_back():
    values = np.array([[1, -2], [300, 32767]], np.int16)
    assert zlib.decompress(base64.b64decode(packed(values))) == values.astype("<i2").tobytes()
    assert packed(values.astype(">i2")) == packed(values)


def test_quantised_coordinates_are_off_by_half_a_unit_at_most():
    points = np.random.default_rng(0).uniform(-120, 120, (1000, 4)).astype(np.float32)
    coordinates, unit = quantised(points)
    assert coordinates.shape == (3, 1000) and coordinates.dtype == np.int16
    assert np.abs(coordinates.T * unit - points[:, :3]).max() <= unit / 2 + 1e-6 and unit < 0.0037
    assert quantised(np.zeros((0, 4), np.float32))[0].shape == (3, 0)
    assert not quantised(np.zeros((2, 4), np.float32))[0].any()


def test_class_maps_keep_their_classes():
    palette = np.array([[1, 2, 3], [40, 50, 60]], np.uint8)
    image = Image.open(
        io.BytesIO(base64.b64decode(class_png(np.array([[0, 1], [1, 255]], np.uint8), palette).split(",")[1]))
    )
    assert np.asarray(image.convert("RGB")).tolist() == [[[1, 2, 3], [40, 50, 60]], [[40, 50, 60], [0, 0, 0]]]


def test_feature_colours_are_the_principal_components():
    rng = np.random.default_rng(0)
    strength = np.array([9.0, 4.0, 1.0, 0.01, 0.01])
    features = rng.normal(size=(2000, 5)) * strength
    colors = FeatureColors([features[:500], features[500:]])
    assert colors.explained_variance > 0.999
    drawn = colors(features).astype(float)
    for channel in range(3):
        # each colour follows the axis of its rank, up to the stretched ends
        assert np.corrcoef(drawn[:, channel], features[:, channel])[0, 1] > 0.98
    assert (drawn.min(axis=0) == 0).all() and (drawn.max(axis=0) == 255).all()
    assert (FeatureColors([features])(features) == FeatureColors([features.copy()])(features)).all()
    # fewer channels than colours, and channels that never change
    assert FeatureColors([np.ones((3, 2))])(np.ones((4, 2))).tolist() == [[0, 0, 0]] * 4


def test_frames_are_spread_over_the_sequences():
    ten = [f"{n:06d}" for n in range(10)]
    assert spread_over([("08", ten)], 2) == [("08", "000002"), ("08", "000007")]
    assert spread_over([("08", ten), ("09", ten)], 3) == [("08", "000002"), ("08", "000007"), ("09", "000005")]
    assert spread_over([("08", ten), ("09", ten[:1])], 6) == [*[("08", ten[n]) for n in (1, 5, 8)], ("09", "000000")]
    assert spread_over([], 2) == []


def test_costs_by_rule(tmp_path):
    header = "s\tmax_rss\tcpu_time\n"
    for name, text in {
        "predict/a/00": "1.5\t10\t1\n",
        "predict/a/01": "9\t5\t2\n2.5\t30\t2\n",
        "pretrain_2d": "7\t-\tNA\n",
    }.items():
        path = tmp_path / f"{name}.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(header + text)
    costs = read_costs([tmp_path, tmp_path, tmp_path / "none"], ["predict/a", "predict/b", "pretrain_2d", "compare"])
    # the last attempt of each job counts; what was too short to be measured counts as 0
    assert costs.columns.tolist() == ["rule", "jobs", "seconds", "longest", "processor", "memory"]
    assert costs.to_numpy().tolist() == [["predict", 2, 4, 2.5, 3, 30], ["pretrain_2d", 1, 7, 7, 0, 0]]
    assert read_costs([tmp_path], ["none"]).empty


def test_durations_in_words():
    assert [duration(seconds) for seconds in (0.4, 61, 3599.7, 7260)] == [
        "0 s",
        "1 min 01 s",
        "1 h 00 min",
        "2 h 01 min",
    ]


def test_versions_that_differ_are_told_apart():
    made = [
        Made("a", {"versions": {"torch": "2"}, "device": "cpu"}),
        Made("b", {"versions": {"torch": "3"}, "device": "cpu"}),
    ]
    assert versions(made) == {"torch": {"2": ["a"], "3": ["b"]}, "device": {"cpu": ["a", "b"]}}


def test_confusion_chart_shows_shares_of_the_true_class():
    counts = np.zeros((19, 20), np.int64)
    counts[0, 0], counts[0, 8], counts[8, 19] = 3, 1, 5
    names = SEMANTICKITTI.classes
    figure = confusion_chart(pd.DataFrame(counts, index=names, columns=[*names, "nothing"]))
    (heatmap,) = figure.data
    assert list(heatmap.x) == ["car", "road", "nothing"] and list(heatmap.y) == ["car", "road"]
    assert np.asarray(heatmap.z).tolist() == [[75, 25, 0], [0, 0, 100]]


def test_curves_of_seeds_become_a_mean_and_a_band():
    steps = np.arange(4.0)
    seeds = [pd.DataFrame({"step": steps, "loss": value}) for value in (1.0, 3.0)]
    figure = curve_charts(
        {"run": seeds, "other": [pd.DataFrame({"step": steps, "more": steps})]}, run_styles(["run", "other"]), 100
    )["loss"]
    band, mean = figure.data
    assert list(mean.y) == [2.0] * 4 and sorted(set(band.y)) == [1.0, 3.0] and mean.legendgroup == "run"
    assert len(json.dumps(chart(figure))) > 0


def test_nothing_in_data_ends_its_script():
    text = in_script({"a": "</script><!--", "b": "\u2028"})
    assert "<" not in text and "\u2028" not in text
    assert json.loads(text) == {"a": "</script><!--", "b": "\u2028"}
    with pytest.raises(ValueError):
        in_script(float("nan"))


def test_assets_are_known_by_their_content(monkeypatch):
    before = assets_hash()
    assert re.fullmatch("[0-9a-f]{16}", before)
    assets_hash.cache_clear()
    monkeypatch.setattr(
        "ignet.report.html.assets.asset", lambda name: asset(name) + (" " if name == "viewer.js" else "")
    )
    assert assets_hash() != before
    assets_hash.cache_clear()
    # every script of the package is in the page
    assert all(asset(name) for name in SCRIPTS)


# --- the page -----------------------------------------------------------------


def test_the_page_holds_every_section(page):
    ids = re.findall(r'<details class="section" id="([a-z]+)"', page)
    expected = "headline ablation gains classes confusion curves images above viewer published data costs settings"
    assert ids == expected.split()
    assert re.findall(r'<a href="#([a-z]+)">', page) == ids
    assert "no images" in page and "ignet is better" in page
    assert "Left out" not in page


def test_the_page_needs_no_network(page):
    assert not re.findall(r"""<[^>]+(?:src|href)=["'](?!data:|#)[^"']*["']""", page.split("<script>")[0])
    assert "default-src 'none'" in page


def test_a_remark_cannot_become_a_part_of_the_page(page):
    assert NOTE not in page and "A remark &lt;/script&gt;" in page


def test_figures_of_the_page_are_those_of_the_comparison(page, results):
    with (results / "compare/table.csv").open(newline="") as file:
        rows = {row["run"]: row for row in csv.DictReader(file)}
    for run in RUNS:
        assert f'data-value="{rows[run]["mIoU (benchmark)"]}"' in page
    (trace,) = embedded(page, "data-charts")["headline/difference"]["data"]
    assert trace["y"] == ["full", "ignet"]
    assert embedded(page, "data-options")["headline"] == ["full", "baseline", "ignet"]


def test_scans_of_the_page(page, results):
    frame = embedded(page, "frame-0")
    assert (frame["name"], frame["role"], frame["points"]) == (f"{VAL} / 000000", "val", 400)
    assert set(frame["layers"]) == {"truth", "scribble", *(f"run:{run}" for run in RUNS)}
    assert (
        set(frame["wrong"]) == set(RUNS)
        and frame["wrong"]["full"] < frame["wrong"]["ignet"] < frame["wrong"]["baseline"]
    )
    training = embedded(page, "frame-2")
    assert training["role"] == "train" and set(training["layers"]) == {"truth", "scribble"}
    (view,) = training["views"]
    assert view["camera"] == 2 and set(view["networks"]) == {"source", "adapted"}
    assert view["features"] and training["features"]


def test_time_of_the_stages(page):
    row = re.search(r"<tr><td[^>]*>train_3d</td>(.*?)</tr>", page)[1]
    # 60 + 120 + 180 seconds, of which 180 is the longest
    assert re.findall(r">([^<]+)</td>", row) == ["3", "6 min 00 s", "3 min 00 s", "0 s", "102"]


def test_equal_results_give_an_equal_page(page, results, tmp_path):
    assert make_page(results, tmp_path / "again.html").read_text() == page


def test_parts_that_an_experiment_does_not_have_are_left_out_in_words(tmp_path):
    results = make_results(tmp_path)
    page = make_page(
        results, tmp_path / "page.html", **{"networks-2d": [], "features-of": "", "train": [], "records": []}
    ).read_text()
    absent = re.findall(r'<p class="absent">Left out: (.*?)</p>', page)
    assert [text.split()[1] for text in absent] == ["experiment", "experiment", "workflow"], absent
    assert "features" not in embedded(page, "frame-0")


def test_a_faulty_argument_is_one_line(results, tmp_path, capsys):
    for replaced, words in (
        ({"runs": ["full"]}, "'full': expected RUN:SEED"),
        ({"val": ["08"]}, "'08': expected NAME=PATH"),
        ({"assets": "0" * 16}, "the page's scripts and styles are"),
        ({"runs": ["full:7"]}, "seed7"),
    ):
        with pytest.raises(SystemExit):
            make_page(results, tmp_path / "none.html", **replaced)
        (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
        assert words in line
    assert not (tmp_path / "none.html").exists()


def test_no_other_stage_depends_on_the_page():
    from script import SCRIPTS as STAGES

    depending = {
        script.name for script in STAGES.glob("*.py") if any(".report.html" in name for name in import_closure(script))
    }
    assert depending == {"report.py"}
