"""Two processes that share a batch train as one that has it all, and end and go on together."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from script import run_here
from test_stages_2d import NETWORK, write_source
from training_files import training_files
from two_processes import CASES

from ignet.config.backbones import MinkUNetConfig
from ignet.config.execution import ExecutionConfig, job_processes
from ignet.data.label_sets.label_set import SEMANTICKITTI
from ignet.data.lidar.batches import BatchDataset
from ignet.data.lidar.lidar_dataset import LidarDataset
from ignet.errors import IgnetError
from ignet.files.atomic import read_weights
from ignet.models.backbones.registry import collate_for
from ignet.models.teachers.segformer import load_segmenter
from ignet.train.distributed import Ranks
from ignet.train.interruption import EXIT_PREEMPTED
from ignet.train.outputs import NOTE
from ignet.workflow.experiment import load_experiment

TESTS = Path(__file__).parent
SCRIPTS = TESTS.parent / "workflow" / "scripts"
IMAGES = {"crop": [32, 48], "batch": 3, "steps": 5, "warmup_steps": 2}
BACKBONE = {"voxel": 0.5, "stem": 4, "encoder": [4, 4, 8, 8], "decoder": [8, 4, 4, 4]}
BASELINE = {"steps": 6, "batch": 3, "backbone": BACKBONE}
IGNET = {
    **BASELINE,
    "image_guidance": {"weight": 1.0, "loss": "info_nce", "pairs": 50},
    "contrastive": {"weight": 0.5, "ramp": 0, "anchors": 100},
    "mixing": {"fovmix": {"probability": 0.5}},
}
# for ending and going on: rounding differs between one process and two, and grows from step to step, so few steps are
# for comparing
LONG = {**IGNET, "steps": 40}


def two_processes(script: Path, *arguments: object) -> list[str]:
    return [
        str(part) for part in (sys.executable, "-m", "ignet.train.torchrun", "--nproc-per-node", 2, script, *arguments)
    ]


def environment() -> dict[str, str]:
    paths = os.pathsep.join([str(TESTS.parent), str(TESTS)])
    return {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}


def stage(name: str, settings: dict, out: Path, *arguments: object) -> list[str]:
    command = [
        SCRIPTS / f"{name}.py",
        "--settings",
        json.dumps(settings),
        "--device",
        "cpu",
        "--checkpoint-every",
        0,
        *arguments,
    ]
    command += training_files(out)
    return [str(part) for part in [*command, "--curves", out / "tensorboard", "--state", out / "state"]]


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Every training by one process, then by two; the two also compare their losses with one's in
    `two_processes.py`."""
    root = tmp_path_factory.mktemp("ranks")
    tree = write_trees(root)
    source = ("--source", root / "source")
    target = ("--dataset", tree, "--sequences", "00", "--projection", root / "projection")
    labels = (*target, "--labels", tree, "--features", root, "--seed", 3)

    def commands(out: Path) -> dict[str, list[str]]:
        pretrained = ("--pretrained", root / "one/pretrain_2d/model.safetensors")
        return {
            "pretrain_2d": stage("pretrain_2d", {**IMAGES, "network": NETWORK}, out / "pretrain_2d", *source),
            "adapt_2d": stage("adapt_2d", IMAGES, out / "adapt_2d", *source, *target, *pretrained),
            "baseline": stage("train_3d", BASELINE, out / "baseline", *labels),
            "ignet": stage("train_3d", IGNET, out / "ignet", *labels),
        }

    one = commands(root / "one")
    for name in one:
        run_here(one[name])
        if name == "pretrain_2d":
            store = ["--network", root / "one/pretrain_2d/model.safetensors", "--out", root / "00.h5"]
            where = ["--dataset", tree, "--sequence", "00", "--projection", root / "projection/00.h5"]
            run_here(
                [str(part) for part in [SCRIPTS / "features.py", "--settings", "{}", "--device", "cpu", *store, *where]]
            )
    long = stage("train_3d", LONG, root / "two/long", *labels)
    scripts = [*commands(root / "two").values(), long]
    (root / "plan.json").write_text(json.dumps({"out": str(root), "device": "cpu", "scripts": scripts}))
    command = two_processes(TESTS / "two_processes.py", root / "plan.json")
    result = subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=400, check=False)
    assert result.returncode == 0, result.stderr[-6000:]
    return SimpleNamespace(root=root, stderr=result.stderr, labels=labels)


def write_trees(root: Path) -> Path:
    """Source images, and a target sequence of three frames with its correspondences."""
    from conftest import write_tree

    write_source(root / "source")
    tree = write_tree(root / "target", ("00",), 3, 400)
    arguments = [
        "--dataset",
        tree,
        "--sequence",
        "00",
        "--scribbles",
        tree,
        "--out",
        root / "projection/00.h5",
    ]
    run_here(
        [str(part) for part in [SCRIPTS / "projection.py", "--settings", '{"cell": 1}', "--device", "cpu", *arguments]]
    )
    return tree


@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize("case", CASES)
def test_losses_gradients_and_weights_are_those_of_the_whole_batch(work: SimpleNamespace, case: str, rank: int) -> None:
    check(json.loads((work.root / f"differences{rank}.json").read_text())[case])


def check(found: dict[str, float]) -> None:
    assert found["loss"] < 1e-5
    assert found["gradient"] < 1e-5
    assert found["state"] < 1e-5


@pytest.mark.cuda
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices")
def test_two_gpus_train_as_one(tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text(json.dumps({"out": str(tmp_path), "device": "cuda", "scripts": []}))
    command = two_processes(TESTS / "two_processes.py", tmp_path / "plan.json")
    result = subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=400, check=False)
    assert result.returncode == 0, result.stderr[-6000:]
    found = json.loads((tmp_path / "differences0.json").read_text())
    for case in CASES:
        check(found[case])


@pytest.mark.parametrize("axes", [2, 4])
def test_batch_norm_is_that_of_all_rows(work: SimpleNamespace, axes: int) -> None:
    found = json.loads((work.root / "differences1.json").read_text())[f"batch norm {axes}"]
    assert len(found) == 9
    assert max(found.values()) < 1e-11


def test_all_processes_stop_where_one_is_asked_to(work: SimpleNamespace) -> None:
    for rank in (0, 1):
        assert json.loads((work.root / f"differences{rank}.json").read_text())["processes"] == {
            "asked to stop": True,
            "nobody asked": False,
        }


@pytest.mark.parametrize("training", ["pretrain_2d", "adapt_2d", "baseline", "ignet"])
def test_a_training_by_two_processes_is_that_by_one(work: SimpleNamespace, training: str) -> None:
    one, two = work.root / "one" / training, work.root / "two" / training
    curves = [np.genfromtxt(folder / "curves.csv", delimiter=",", names=True) for folder in (one, two)]
    assert curves[0].dtype.names == curves[1].dtype.names
    for name in curves[0].dtype.names:
        np.testing.assert_allclose(curves[1][name], curves[0][name], rtol=2e-3, atol=1e-5, err_msg=name)
    weights = [read_weights(folder / "model.safetensors")[0] for folder in (one, two)]
    assert list(weights[0]) == list(weights[1])
    free = without_effect(one / "model.safetensors") if training.endswith("_2d") else set()
    assert len(free) == (10 if training.endswith("_2d") else 0)
    # AdamW makes whole steps of gradients that are nearly zero, whatever their sign, so single weights may differ more
    assert norm({name: weights[0][name] - weights[1][name] for name in weights[0].keys() - free}) < 2e-3 * norm(
        weights[0]
    )
    for folder, processes in ((one, [1]), (two, [2])):
        assert json.loads((folder / "model.settings.json").read_text())["processes"] == processes
        assert len(list((folder / "state").glob(f"*/{NOTE}"))) == 1
        assert len(list((folder / "tensorboard").glob("events*"))) == 1


def without_effect(path: Path) -> set[str]:
    """What a 2D network's training loss does not depend on: biases that a batch norm or a softmax takes away, and the
    batch norm's running mean, which follows them. Their gradients are rounding alone, of which AdamW makes whole steps
    in any direction.
    """
    network = load_segmenter(path).double()
    network.head.batch_norm.train()
    generator = torch.Generator().manual_seed(0)
    logits = network(torch.rand(2, 3, 32, 48, generator=generator, dtype=torch.float64)).logits
    (logits * torch.randn(logits.shape, generator=generator, dtype=torch.float64)).mean().backward()
    slope = {name: float(weight.grad.abs().max()) for name, weight in network.named_parameters()}
    return {name for name, value in slope.items() if value < 1e-12 * max(slope.values())} | {
        "head.batch_norm.running_mean"
    }


def norm(weights: dict[str, torch.Tensor]) -> float:
    return float(
        torch.cat([value.double().flatten() for name, value in weights.items() if "num_batches" not in name]).norm()
    )


def test_the_first_process_alone_talks(work: SimpleNamespace) -> None:
    assert work.stderr.count("pretrain_2d on cpu") == 1
    assert work.stderr.count("held-out source images: mIoU") == 1


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def start_and_wait_for_steps(command: list[str], state: Path, saves: int = 3) -> tuple[subprocess.Popen, list[int]]:
    """Start a training; returns it and its two processes once it has saved its state some times."""
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment())
    seen: set[tuple[int, int]] = set()
    while len(seen) < saves:
        assert process.poll() is None, process.stderr.read()
        for path in state.glob("*/checkpoint.pt"):
            # the number of a file that was replaced is given to another one
            seen.add((path.stat().st_ino, path.stat().st_mtime_ns))
        time.sleep(0.005)
    return process, children(process.pid)


def wait_for_end(processes: list[int], timeout: float = 200) -> None:
    until = time.monotonic() + timeout
    while any(
        Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text().split()[2]
        for pid in processes
    ):
        assert time.monotonic() < until
        time.sleep(0.05)


def test_two_processes_end_and_go_on_together(work: SimpleNamespace) -> None:
    out = work.root / "cut"
    script, *arguments = stage("train_3d", LONG, out, *work.labels)
    command, state = two_processes(script, *arguments), out / "state"

    # asked to stop, as a scheduler does; or by Ctrl-C, which a terminal sends to all, and a second time
    for numbers in ([signal.SIGTERM], [signal.SIGINT, signal.SIGINT]):
        process, ranks = start_and_wait_for_steps(command, state)
        for number in numbers:
            for pid in [process.pid, *ranks] if number == signal.SIGINT else [process.pid]:
                os.kill(pid, number)
            time.sleep(0.2)
        text = process.communicate()[1]
        assert process.returncode == EXIT_PREEMPTED, text
        assert not any(Path(f"/proc/{pid}").exists() for pid in ranks)
        assert "Traceback" not in text, text
        # both stopped after the same step
        assert text.count("asked to stop: state saved after step") == 2
        assert len({line.split("saved after")[1] for line in text.splitlines() if "saved after" in line}) == 1
    assert len(ranks) == 2

    # without their launcher they save their state and end
    process, ranks = start_and_wait_for_steps(command, state)
    process.kill()
    wait_for_end(ranks)
    assert process.communicate()[1].count("asked to stop: state saved after step") == 2

    # all killed at once
    process, ranks = start_and_wait_for_steps(command, state)
    for pid in ranks:
        os.kill(pid, signal.SIGKILL)
    assert "resumed after step" in process.communicate()[1]
    assert process.returncode == 128 + signal.SIGKILL

    result = subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=300, check=False)
    assert result.returncode == 0, result.stderr
    for name in ("model.safetensors", "metrics.json", "curves.csv"):
        assert (out / name).read_bytes() == (work.root / "two/long" / name).read_bytes(), name
    assert len(list(state.glob(f"*/{NOTE}"))) == 1


FAULTY = """
import os, time
from ignet.errors import IgnetError
from ignet.stage.script import command

@command
def main():
    if os.environ["RANK"] in {faulty!r}:
        raise IgnetError("a fault")
    time.sleep(300)

main()
"""


@pytest.mark.parametrize("faulty", [["1"], ["0", "1"]])
def test_a_fault_ends_all_processes_with_one_line(tmp_path: Path, faulty: list[str]) -> None:
    script = tmp_path / "fault.py"
    script.write_text(FAULTY.format(faulty=faulty))
    result = subprocess.run(
        two_processes(script), capture_output=True, text=True, env=environment(), timeout=200, check=False
    )
    assert result.returncode == 1
    assert result.stderr.count("error: a fault") == 1
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("size", [1, 2, 3])
def test_parts_are_the_whole_batch(size: int, make_tree) -> None:
    settings = load_experiment({"results": "r", "runs": {"a": {}}}, "x").train_3d
    source = LidarDataset(
        make_tree(frames=4), {"00": [f"{i:06d}" for i in range(4)]}, "scribbles", label_set=SEMANTICKITTI
    )
    common = (
        source,
        3,
        0,
        collate_for(MinkUNetConfig(voxel=0.5), label_set=SEMANTICKITTI),
        settings.mixing,
        settings.augment,
        True,
    )
    whole = BatchDataset(*common)[1]
    parts = [BatchDataset(*common, Ranks(rank, size).local_slice(3))[1] for rank in range(size)]
    assert torch.equal(torch.cat([part.labels for part in parts]), whole.labels)
    for view in ("student", "teacher"):
        features = torch.cat([getattr(part, view).features for part in parts])
        assert torch.equal(features, getattr(whole, view).features)


def test_more_processes_than_samples_is_one_line() -> None:
    with pytest.raises(IgnetError, match="found 2, but 3 processes share it"):
        Ranks(0, 3).local_slice(2)
    with pytest.raises(IgnetError, match=r"runs.a.batch: found 1, expected 4 at least"):
        load_experiment({"results": "r", "pretrain_2d": {"batch": 4}, "adapt_2d": {"batch": 4}, "runs": {"a": {}},
                         "execution": {"processes": 4}}, "x")  # fmt: skip


def test_more_gpus_than_samples_names_the_setting_that_helps() -> None:
    values = {"results": "r", "pretrain_2d": {"batch": 2}, "adapt_2d": {"batch": 4}, "runs": {"a": {"batch": 4}}}
    with pytest.raises(IgnetError, match=r"pretrain_2d.batch: found 2.* set execution.stages.pretrain_2d.gpus to 2"):
        load_experiment({**values, "execution": {"gpus": 4}}, "x")
    load_experiment({**values, "execution": {"gpus": 4, "stages": {"pretrain_2d": {"gpus": 2}}}}, "x")


@pytest.mark.parametrize(
    ("execution", "processes"),
    [
        ({}, 1),
        ({"gpus": 2}, 2),
        ({"gpus": 2, "device": "cpu"}, 1),
        ({"gpus": 2, "processes": 1}, 1),
        ({"processes": 2, "device": "cpu"}, 2),
    ],
)
def test_one_process_a_gpu(execution: dict, processes: int) -> None:
    assert job_processes(ExecutionConfig(**execution), "train_3d") == processes


@pytest.mark.parametrize("execution", [{"gpus": 2, "processes": 3}, {"processes": 2, "device": "cuda:0"}])
def test_two_processes_on_one_gpu_are_refused(execution: dict) -> None:
    with pytest.raises(IgnetError, match="processes"):
        load_experiment({"results": "r", "runs": {"a": {}}, "execution": execution}, "x")
