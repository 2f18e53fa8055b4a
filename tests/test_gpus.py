"""GPUs without a scheduler: how many there are, and who gets which; a pretended driver in place of a real one."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from snakemake_command import ROOT, snakemake_command

from ignet.stage import gpus

HOLD = """
import json, os, sys, time
from pathlib import Path
from ignet.stage import gpus
gpus.LOCKS = Path(sys.argv[1])
gpus.take_gpus(int(sys.argv[2]))
print(json.dumps([os.environ.get("CUDA_VISIBLE_DEVICES"), os.environ.get("IGNET_GPUS")]), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A driver that knows three GPUs."""
    for name in ("0000:01:00.0", "0000:02:00.0", "0000:03:00.0"):
        (tmp_path / "gpus" / name).mkdir(parents=True)
    monkeypatch.setattr(gpus, "DRIVER", tmp_path / "gpus")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return tmp_path


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        (None, ["0", "1", "2"]),
        ("2,0", ["2", "0"]),
        ("GPU-8932f937, 1", ["GPU-8932f937", "1"]),
        ("", []),
        ("-1", []),
        ("0,-1,1", ["0"]),
        ("NoDevFiles", []),
    ],
)
def test_visible_gpus(driver: Path, monkeypatch: pytest.MonkeyPatch, named: str | None, expected: list[str]) -> None:
    if named is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
    assert gpus.visible_gpus() == expected


def hold(folder: Path, count: int, shared: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "IGNET_GPUS": shared}
    environment.pop("CUDA_VISIBLE_DEVICES", None)
    command = [sys.executable, "-c", HOLD, str(folder), str(count)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(command, env=environment, text=True, **pipes)


def said(process: subprocess.Popen[str]) -> list[str | None]:
    assert process.stdout is not None
    return json.loads(process.stdout.readline())


def test_each_job_takes_gpus_of_its_own_and_waits_for_one_that_is_free(tmp_path: Path) -> None:
    jobs = [hold(tmp_path, 1, "3,5"), hold(tmp_path, 1, "3,5")]
    assert sorted(said(job) for job in jobs) == [["3", None], ["5", None]]
    third = hold(tmp_path, 1, "3,5")
    time.sleep(1)
    assert third.poll() is None
    taken = jobs[0]
    taken.kill()  # however it ends
    taken.wait()
    assert said(third) in (["3", None], ["5", None])
    for job in (jobs[1], third):
        job.communicate("")


def test_a_job_with_several_takes_all_or_none(tmp_path: Path) -> None:
    first, both = hold(tmp_path, 1, "0,1"), None
    assert said(first) == ["0", None]
    both = hold(tmp_path, 2, "0,1")
    time.sleep(1)
    other = hold(tmp_path, 1, "1")  # is not kept from the one that the waiting job cannot use yet
    assert said(other) == ["1", None]
    for job in (first, other):
        job.communicate("")
    assert said(both) == ["0,1", None]
    both.communicate("")


def test_nothing_is_taken_where_none_are_shared_out(tmp_path: Path) -> None:
    job = hold(tmp_path, 1, "")
    assert said(job) == [None, None] and not list(tmp_path.iterdir())
    job.communicate("")


def snakemake(folder: Path, visible: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = snakemake_command(folder, "--cores", "2", "--configfile", ROOT / "config" / "tiny.yaml", *arguments)
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": visible, "OMP_NUM_THREADS": "1", "TMPDIR": str(folder)}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=200)


def test_a_job_that_may_use_a_gpu_takes_one_of_those_that_the_workflow_shares_out(tmp_path: Path) -> None:
    """Without CUDA the training refuses, and says which one it holds."""
    done = snakemake(tmp_path, "4,7", "--printshellcmds", "--", "results/tiny/pretrain_2d/model.safetensors")
    assert done.returncode == 1 and 'gpu=Resource("gpu", 2)' in done.stderr
    assert "--workers 4 " in done.stderr, "a GPU is fed by loader processes"
    log = (tmp_path / "results/tiny/logs/pretrain_2d.log").read_text()
    assert "CUDA_VISIBLE_DEVICES=4" in log
    assert (tmp_path / "results/tiny/world/source").is_dir(), "a job that uses none takes none"

    source = ("--forcerun", "world_source", "--", "results/tiny/world/source")
    assert 'gpu=Resource("gpu", 1)' in snakemake(tmp_path, "4,7", "--resources", "gpu=1", *source).stderr
    for visible, device in (("", "auto"), ("4,7", "cpu")):
        done = snakemake(tmp_path, visible, "--config", f"execution={{device: {device}}}", *source)
        assert done.returncode == 0 and "gpu=" not in done.stderr


def test_gpus_that_are_asked_for_and_not_there_stop_the_workflow(tmp_path: Path) -> None:
    done = snakemake(tmp_path, "", "--config", "execution={gpus: 1}", "--", "results/tiny/world/source")
    assert done.returncode == 1 and "execution.gpus: found 1, but no GPU is visible here" in done.stderr
    assert not (tmp_path / "results/tiny/world").exists()
