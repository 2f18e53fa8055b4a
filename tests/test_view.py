"""A look at a running workflow: what it is told, what it reads, what it foretells, and its page in a browser."""

import json
import os
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from browser import Browser, find_chromium
from filelock import FileLock
from tiny_state import CONFIG

from ignet.cli.main import main
from ignet.cli.view import latest
from ignet.config.base import read_yaml
from ignet.errors import IgnetError
from ignet.files.atomic import write_json
from ignet.train.curves import Curves
from ignet.view.curves import as_curve, events_folder
from ignet.view.server import make_server
from ignet.view.status import Status
from ignet.workflow.costs import read_rates
from ignet.workflow.experiment import load_experiment
from ignet.workflow.facts import data_facts
from ignet.workflow.progress import DONE, RUNNING, STOPPED, WAITING, is_locked, job_progress, look
from ignet.workflow.schedule import FILE, Scheduled, read_schedule, record_schedule

STARTED = 1_000_000.0


def job(rule="predict", needed=True, after=(), outputs=("out.txt",), benchmark="bench.tsv", **wildcards):
    return Scheduled(rule, wildcards, needed, list(outputs), f"{rule}.log", benchmark, list(after))


def write(path, text="", at=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    if at is not None:
        os.utime(path, (at, at))


def write_log(path, began, at, *lines):
    """A log whose lines were written at ``began``, all of them, by their own clock; the file was changed last at
    ``at``."""
    clock = time.strftime("%H:%M:%S", time.localtime(began))
    write(path, "".join(f"{clock} INFO {line}\n" for line in lines), at)


@pytest.fixture
def results(tmp_path):
    """A workflow at work: one training runs, one job is done, one waits; the world was made before. The lock is
    held."""
    results = tmp_path / "results" / "mine"
    experiment = load_experiment(read_yaml(CONFIG), "tiny").model_dump(mode="json")
    jobs = [
        job("world_source", needed=False, outputs=["world"], benchmark=""),
        job(
            "dataset_check",
            after=[0],
            outputs=["results/mine/00.json"],
            benchmark="results/mine/check.tsv",
            sequence="00",
        ),
        job(
            "train_3d",
            after=[0],
            outputs=["results/mine/train_3d/full/seed0/curves.csv"],
            benchmark="t.tsv",
            run="full",
            seed="0",
        ),
        job("predict", after=[2], run="full", seed="0", sequence="08"),
    ]
    values = {
        "started": time.time() - 30,
        "slots": 2,
        "directory": str(tmp_path),
        "experiment": experiment,
        "jobs": [vars(each) for each in jobs],
    }
    write_json(results / FILE, values)
    write(results / "00.json")
    write(results / "check.tsv", "s\th:m:s\n4.5\t0:00:04\n")
    now = time.time()
    write_log(tmp_path / "train_3d.log", now - 20, now, "train_3d on cpu", "step of 100 40/100, about 30 s left")
    curves = Curves(results / "tensorboard" / "train_3d" / "full-seed0", 0)
    for step in range(40):
        curves.add_scalar("loss", 2.0 - step / 40, step)
    curves.close()
    lock = FileLock(results / ".workflow.lock")
    lock.acquire()
    yield results
    lock.release()


class Fake(SimpleNamespace):
    """A thing with attributes that can be a key."""

    __hash__ = object.__hash__


def test_a_start_is_recorded_in_order_and_comes_back(tmp_path):
    def made(rule, wildcards, needed, network=None):
        resources = {"network": network} if network else {}
        files = {"output": [f"{rule}.out"], "log": [f"{rule}.log"], "benchmark": None}
        return Fake(
            rule=SimpleNamespace(name=rule), wildcards_dict=wildcards, resources=resources, needed=needed, **files
        )

    first, second = (
        made("adapt_2d", {"network": "0123abcd"}, True, "adapted"),
        made("features", {"network": "x", "sequence": "00"}, False),
    )
    everything = made("all", {}, True)
    dag = SimpleNamespace(
        jobs=[everything, second, first],
        dependencies={first: [], second: [first], everything: [second]},
        needrun=lambda each: each.needed,
    )
    record_schedule(tmp_path, dag, 3, {"results": "r"})
    found = read_schedule(tmp_path)
    assert [each.name for each in found.jobs] == ["adapt_2d adapted", "features x 00"]
    assert [each.after for each in found.jobs] == [[], [0]] and [each.needed for each in found.jobs] == [True, False]
    assert (found.slots, found.directory, found.experiment) == (3, os.getcwd(), {"results": "r"})
    with pytest.raises(IgnetError, match="holds no progress/schedule.json, expected the folder of results"):
        read_schedule(tmp_path / "none")
    (tmp_path / FILE).write_text('{"jobs": [{}]}')
    with pytest.raises(IgnetError, match="not a record of a workflow's start"):
        read_schedule(tmp_path)


def test_states_of_a_job(tmp_path):
    def state(alive=True, **changes):
        return job_progress(job(**changes), tmp_path, STARTED, alive, time.time()).state

    assert state() == WAITING and state(needed=False) == DONE
    write(tmp_path / "out.txt", at=STARTED - 100)
    assert state() == WAITING, "made by an earlier call, to be made again"
    write(tmp_path / "predict.log", "old\n", at=STARTED - 100)
    assert state() == WAITING, "the log of an earlier call"
    write(tmp_path / "predict.log", "new\n", at=STARTED + 5)
    assert state() == RUNNING and state(alive=False) == STOPPED
    write(tmp_path / "out.txt", at=STARTED + 9)
    assert state() == DONE and state(outputs=["out.txt", "more.txt"]) == RUNNING
    # a folder is finished when Snakemake says so, not when its first file is there
    (tmp_path / "folder").mkdir()
    assert state(outputs=["folder"]) == RUNNING
    write(tmp_path / "folder" / ".snakemake_timestamp", at=STARTED + 9)
    assert state(outputs=["folder"]) == DONE


def test_a_running_job_says_how_far_it_is(tmp_path):
    lines = ("predict on cpu", "scan 1/8, about 70 s left", "scan 2/8, about 60 s left", "hello")
    write_log(tmp_path / "predict.log", STARTED + 10, STARTED + 60, *lines)
    found = job_progress(job(), tmp_path, STARTED, True, STARTED + 65)
    assert found.share == 0.25 and found.words.endswith("hello")
    # it said 60 seconds, 5 seconds ago
    assert found.seconds == 55 and found.left == 55
    assert job_progress(job(), tmp_path, STARTED, True, STARTED + 999).left == 1, "late, but not done"


def test_a_job_that_began_yesterday(tmp_path):
    write_log(tmp_path / "predict.log", STARTED + 7200, STARTED + 86400, "begun")
    assert job_progress(job(), tmp_path, STARTED, True, STARTED + 86400).seconds == 86400 - 7200


def test_what_is_left(results, tmp_path):
    experiment, now = load_experiment(read_yaml(CONFIG), "tiny"), (tmp_path / "train_3d.log").stat().st_mtime
    found = look(read_schedule(results), results, [], None, experiment, now)
    assert [each.state for each in found.jobs] == [DONE, DONE, RUNNING, WAITING]
    # the training's own 30 seconds, then a prediction that no one has timed, which counts as one second
    assert found.alive and found.guessed == ("predict",) and found.left == pytest.approx(31)
    write(tmp_path / "bench.tsv", "s\n12.5\n")
    timed = look(read_schedule(results), results, [], None, experiment, now)
    assert timed.guessed == () and timed.left == pytest.approx(42.5)
    # and by the table of throughputs
    (tmp_path / "bench.tsv").unlink()
    table = look(read_schedule(results), results, read_rates(), data_facts(experiment), experiment, now)
    assert table.guessed == ("predict",) and table.left > 32


def test_a_lock_is_seen_and_not_touched(tmp_path):
    path = tmp_path / "lock"
    assert not is_locked(path)
    lock = FileLock(path)
    lock.acquire()
    assert is_locked(path)
    lock.release()
    path.touch()
    assert not is_locked(path)


def test_status_of_a_dead_workflow(results, tmp_path):
    FileLock(results / ".workflow.lock").release()
    (results / ".workflow.lock").rename(tmp_path / "elsewhere")
    state = Status(results).read()
    assert not state["alive"] and state["left"] is None and state["running"][0]["state"] == STOPPED


def test_where_a_running_trainings_figures_lie():
    assert events_folder(Path("r/train_3d/full/seed0/curves.csv")) == Path("r/tensorboard/train_3d/full-seed0")
    assert events_folder(Path("shared/adapt_2d/0123/curves.csv")) == Path("shared/tensorboard/adapt_2d/0123")
    assert events_folder(Path("/r/pretrain_2d/curves.csv")) == Path("/r/tensorboard/pretrain_2d")
    # a folder of results may be called like a rule
    assert events_folder(Path("train_3d/pretrain_2d/curves.csv")) == Path("train_3d/tensorboard/pretrain_2d")


def test_figures_of_different_steps_become_one_curve():
    curve = as_curve({"a": [(0, 1.0), (2, 3.0)], "b": [(2, 5.0)]})
    assert curve["step"].tolist() == [0, 2] and curve["a"].tolist() == [1, 3]
    np.testing.assert_equal(curve["b"].to_numpy(), [np.nan, 5])


def test_curves_of_a_running_training_grow(results):
    status = Status(results)
    (group,) = status.curves()
    assert (
        group["title"] == "3D networks"
        and [run for run, _ in group["runs"]] == ["full"]
        and list(group["charts"]) == ["loss"]
    )


def test_latest_results(tmp_path):
    for number, name in enumerate(("b", "deep/a")):
        write(tmp_path / name / FILE, at=STARTED + number)
    assert latest(tmp_path) == tmp_path / "deep" / "a"
    with pytest.raises(IgnetError, match="found no results of a workflow that was started"):
        latest(tmp_path / "none")


def test_faults_are_one_line(tmp_path, monkeypatch, capsys, results):
    monkeypatch.chdir(tmp_path)
    with make_server(results) as taken:
        for arguments, words in (
            (["view", "nothing"], "nothing: holds no progress/schedule.json"),
            (["view", str(results), "--no-browser", "--port", str(taken.server_address[1])], "leave --port out"),
        ):
            with pytest.raises(SystemExit) as stop:
                main(arguments)
            assert stop.value.code == 1
            (line,) = capsys.readouterr().err.splitlines()
            assert line.startswith("error: ") and words in line


def test_a_script_can_read_the_address(monkeypatch, capsys, results):
    def interrupted(server):
        raise KeyboardInterrupt

    monkeypatch.setattr("socketserver.BaseServer.serve_forever", interrupted)
    with pytest.raises(SystemExit) as stop:
        main(["view", str(results), "--no-browser", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert (
        stop.value.code == 0 and found["results"] == str(results) and found["address"].startswith("http://127.0.0.1:")
    )


@pytest.fixture
def address(results):
    server = make_server(results)
    assert server.server_address[0] == "127.0.0.1"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def get(address, **headers):
    with urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=60) as answer:
        return answer.read().decode()


def test_server_answers_with_the_view_and_nothing_else(address, results):
    state = json.loads(get(f"{address}/status.json"))
    assert (state["jobs"], state["done"], state["alive"]) == (4, 2, True)
    assert state["running"][0]["name"] == "train_3d full 0" and state["running"][0]["share"] == 0.4
    assert "<h1>ignet: mine</h1>" in get(f"{address}/")
    for path in ("/report", "/results", "/../CONFIG", f"/{FILE}", "/etc/passwd"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            get(f"{address}{path}")
        assert refused.value.code == 404, path
    with pytest.raises(urllib.error.HTTPError) as refused:
        get(f"{address}/status.json", Host="elsewhere.example")
    assert refused.value.code == 403
    write(results / "report" / "index.html", "the report")
    assert get(f"{address}/report") == "the report"
    (results / FILE).write_text("spoilt")
    with pytest.raises(urllib.error.HTTPError) as refused:
        get(f"{address}/status.json")
    assert refused.value.code == 500 and b"cannot be read as JSON" in refused.value.read()


@pytest.mark.parametrize("width", [1280, 390])
def test_the_view_in_a_browser(address, results, tmp_path, width):
    find_chromium()
    with Browser(width) as browser:
        browser.open(f"{address}/", "ignet.ready.then(() => true)")
        rows = (
            "[...document.querySelectorAll('#{} tbody tr')].map((row) => [...row.cells].map((cell) => "
            "cell.textContent))"
        )
        assert browser.js("document.getElementById('state').textContent").startswith(
            "2 of 4 jobs done; at work, about "
        )
        assert browser.js(rows.format("running"))[0][0] == "train_3d full 0"
        assert [row[0] for row in browser.js(rows.format("stages"))] == [
            "world_source",
            "dataset_check",
            "train_3d",
            "predict",
        ]
        assert browser.js("document.querySelectorAll('#groups .chart svg.main-svg').length > 0")
        assert browser.js("document.documentElement.scrollWidth") <= width
        # it goes on by itself: the training ends, the report is made, the workflow dies
        write(results / "report" / "index.html", "the report")
        now = time.time()
        write_log(tmp_path / "train_3d.log", now, now, "step of 100 80/100, about 9 s left")
        browser.wait("document.querySelector('#running tbody').textContent.includes('80/100')")
        browser.wait("!document.getElementById('report').hidden")
        assert browser.messages == [], browser.messages
