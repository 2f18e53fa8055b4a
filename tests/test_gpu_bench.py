"""The GPU benchmark, tried in small on the CPU: every part, what it writes, and a part that fails."""

import importlib.util
import itertools
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from ignet.models.backbones.registry import BACKBONES
from ignet.models.sparse.engine import minkowski_fault
from ignet.workflow.costs import read_rates

ROOT = Path(__file__).parents[1]
BENCH = ROOT / "benchmarks" / "gpu" / "bench.py"


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    specification = importlib.util.spec_from_file_location("gpu_bench", BENCH)
    assert specification and specification.loader
    module = importlib.util.module_from_spec(specification)
    sys.modules["gpu_bench"] = module
    specification.loader.exec_module(module)
    return module


def test_all_parts_together_end_in_eight_minutes(bench: ModuleType) -> None:
    assert sum(part.limit for part in bench.PARTS) <= 8 * 60


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the benchmark leaves, run whole."""
    out = tmp_path_factory.mktemp("bench")
    command = [sys.executable, BENCH, "--size", "tiny", "--device", "cpu", "--out", out, "--patience", "100"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    result = subprocess.run(
        [str(part) for part in command], env=environment, capture_output=True, text=True, check=False
    )
    logs = "\n".join(path.read_text()[-1000:] for path in sorted(out.glob("*.log")))
    assert result.returncode == 0, result.stdout + result.stderr + logs
    return out


def test_a_part_begins_anew_on_the_same_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainings of an earlier run would not run a second time, and nothing would be timed."""
    monkeypatch.syspath_prepend(str(BENCH.parent))
    from cases import Case

    for name in ("resume/train_3d-whole/model.safetensors", "data/target/calib.txt"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    stages = Case(torch.device("cpu"), "tiny", tmp_path).stages("resume")
    assert stages.folder == tmp_path / "resume" and not list(stages.folder.iterdir())
    assert (stages.target / "calib.txt").exists()


def rows(out: Path, part: str) -> list[dict]:
    lines = (out / "results.jsonl").read_text().splitlines()
    return [row for row in map(json.loads, lines) if row["part"] == part]


def test_engines_agree_in_every_precision(results: Path) -> None:
    found = {(row["backbone"], row["engine"], row["precision"]): row for row in rows(results, "agreement")}
    engines = {"torch", *(["minkowski"] if minkowski_fault(torch.device("cpu")) is None else [])}
    cases = set(itertools.product(BACKBONES, engines))
    assert set(found) == {(*case, p) for case in cases for p in ("float64", "float32", "tf32", "bfloat16")}
    assert all(row["agrees"] for row in found.values())
    # other formats give other numbers, or they were not used
    for case in cases:
        errors = [found[*case, precision]["gradient_error"] for precision in ("float64", "float32", "bfloat16")]
        assert errors[0] < 1e-12 < errors[1] < 2e-3 < errors[2], errors


def test_resumed_trainings_are_those_of_before(results: Path) -> None:
    train, adapt, predict = rows(results, "resume")
    for row in (train, adapt):
        assert row["identical"] and row["first_difference"] == 0
        assert 0 < row["resumed_after"] < row["steps"]
    assert [row["stage"] for row in (train, adapt, predict)] == ["train_3d", "adapt_2d", "predict"]
    assert predict["scans"] == 4


def test_speeds_are_rates_of_each_batch(results: Path) -> None:
    for row in rows(results, "speed_3d"):
        np.testing.assert_allclose(row["trained_scans_per_s"] * row["step_s"], row["batch"])
        np.testing.assert_allclose(row["predicted_scans_per_s"] * row["predict_s"], row["batch"])
        assert row["step_s"] > row["predict_s"] > 0
    for row in rows(results, "speed_2d"):
        np.testing.assert_allclose(row["extracted_images_per_s"] * row["extract_s"], row["batch"])
    assert {row["batch"] for part in ("speed_3d", "speed_2d") for row in rows(results, part)} == {1, 2}


def test_the_profile_names_operators_of_the_step(results: Path) -> None:
    text = (results / "step.txt").read_text()
    assert "2 steps" in text and "aten::mm" in text
    assert (results / "step.json.gz").stat().st_size > 10_000


def test_rates_are_a_table_for_the_plan(results: Path) -> None:
    table = read_rates(results / "throughput.csv")
    rates = {rate.stage: rate for rate in table if "--size tiny" in rate.command}
    expected = {"pretrain_2d", "adapt_2d", "count_labels", "features", "evaluate_2d", "train_3d", "predict"}
    assert set(rates) == expected
    assert rates["train_3d"].unit == "step" and rates["train_3d"].engine == "torch"
    assert len(table) > len(rates)  # those that come with ignet
    assert rates["adapt_2d"].load > rates["pretrain_2d"].load > rates["features"].load


def test_the_summary_has_all_tables(results: Path) -> None:
    text = (results / "summary.md").read_text()
    assert text.count(": done, ") == 7
    for part in ("agreement", "resume", "speed_3d", "speed_2d"):
        assert f"## {part}\n" in text


def runs(process: int) -> bool:
    """Whether a process is there, and no zombie, which has no command line."""
    try:
        return bool(Path(f"/proc/{process}/cmdline").read_bytes())
    except OSError:
        return False


def test_a_part_that_takes_too_long_ends_with_its_children_and_nothing_else(
    bench: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    child = tmp_path / "child"
    slow = tmp_path / "slow.py"
    slow.write_text(
        "import pathlib, subprocess, sys, time\n"
        "out = pathlib.Path(sys.argv[sys.argv.index('--out') + 1])\n"
        '(out / \'results.jsonl\').write_text(\'{"part": "slow", "seconds": 1}\\n\')\n'
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"pathlib.Path({str(child)!r}).write_text(str(child.pid))\n"
        "time.sleep(600)\n"
    )
    (tmp_path / "wrong.py").write_text("raise SystemExit('error: no')\n")
    (tmp_path / "right.py").write_text("print('yes')\n")
    parts = (bench.Part("slow", 4, "slow.py"), bench.Part("wrong", 60, "wrong.py"), bench.Part("right", 60, "right.py"))
    monkeypatch.setattr(bench, "PARTS", parts)
    monkeypatch.setattr(bench, "HERE", tmp_path)
    monkeypatch.setattr(sys, "argv", ["bench.py", "--device", "cpu", "--out", str(tmp_path / "out"), "--patience", "2"])
    with pytest.raises(SystemExit) as ended:
        bench.main()
    assert ended.value.code == 1
    told = capsys.readouterr().out
    assert "ended by its limit of 8 s" in told and "failed, see wrong.log" in told and "right        done" in told
    assert (tmp_path / "out/wrong.log").read_text() == "error: no\n"
    # what was measured before stays
    assert "|         1 |" in (tmp_path / "out/summary.md").read_text()
    for _ in range(100):
        if (
            not Path(f"/proc/{child.read_text()}/cmdline").exists()
            or not Path(f"/proc/{child.read_text()}/cmdline").read_bytes()
        ):
            break
        time.sleep(0.05)
    else:
        pytest.fail("the part's child goes on")
