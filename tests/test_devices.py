"""Which device a name means, and why a file could not be read."""

import errno
import os
import re

import pytest
import torch

from ignet.config.execution import DEVICE
from ignet.devices import GIVEN_BY, autocast, pick_device
from ignet.errors import IgnetError, reason_of

WRONG = ["gpu", "", "cuda:x", "mps", "cpu:1", "cuda:-1", "meta"]


@pytest.fixture
def two_gpus(monkeypatch):
    """Two pretended GPUs; the list takes the devices that are made current."""
    current = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", current.append)
    return current


@pytest.fixture(autouse=True)
def given_nothing(monkeypatch):
    for name in GIVEN_BY:
        monkeypatch.delenv(name, raising=False)


def test_auto_takes_cuda_where_there_is_one(monkeypatch, two_gpus):
    assert pick_device("auto") == torch.device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_device("auto") == torch.device("cpu")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "expandable_segments:True"),
        ({"PYTORCH_CUDA_ALLOC_CONF": "max_split_size_mb:64"}, "max_split_size_mb:64"),
        ({"PYTORCH_ALLOC_CONF": "max_split_size_mb:64"}, None),
    ],
)
def test_memory_of_a_gpu_grows_in_segments_unless_something_else_is_asked_for(monkeypatch, two_gpus, given, expected):
    for name in ("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF"):
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    pick_device("cpu")
    assert os.environ.get("PYTORCH_CUDA_ALLOC_CONF") == given.get("PYTORCH_CUDA_ALLOC_CONF")
    pick_device("cuda")
    assert os.environ.get("PYTORCH_CUDA_ALLOC_CONF") == expected


@pytest.mark.parametrize("name", WRONG)
def test_an_unknown_name_is_refused(name):
    with pytest.raises(IgnetError, match="expected auto, cpu, cuda or cuda:N"):
        pick_device(name)
    assert not re.fullmatch(DEVICE, name)  # the settings refuse the same


def test_a_number_beyond_the_devices_is_refused(two_gpus):
    assert pick_device("cuda:1") == torch.device("cuda", 1)
    assert two_gpus == [torch.device("cuda", 1)]
    pick_device("cuda")
    assert len(two_gpus) == 1  # torch's own choice stays
    with pytest.raises(IgnetError, match="cuda:2: found 2 CUDA devices"):
        pick_device("cuda:2")


def test_cuda_without_cuda_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(IgnetError, match="no CUDA device is usable, for torch .* says: .*TORCH_INDEX_URL"):
        pick_device("cuda")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SLURM_JOB_GPUS", "0,3"),
        ("SLURM_STEP_GPUS", "0"),
        ("SLURM_GPUS_ON_NODE", "1"),
        ("CUDA_VISIBLE_DEVICES", "0"),
        ("CUDA_VISIBLE_DEVICES", "GPU-5e1f"),
    ],
)
def test_a_job_with_a_gpu_does_not_fall_back_on_the_cpu(monkeypatch, name, value):
    def too_old():
        raise RuntimeError("The NVIDIA driver on your system is too old\n(found version 11040)")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "init", too_old)
    monkeypatch.setenv(name, value)
    words = f"{name}={value}.*torch {torch.__version__}.*driver on your system is too old .found version 11040"
    with pytest.raises(IgnetError, match=words.replace("+", r"\+")):
        pick_device("auto")
    assert pick_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SLURM_GPUS_ON_NODE", "0"),
        ("CUDA_VISIBLE_DEVICES", ""),
        ("CUDA_VISIBLE_DEVICES", "-1"),
        ("CUDA_VISIBLE_DEVICES", "NoDevFiles"),
    ],
)
def test_a_job_without_a_gpu_runs_on_the_cpu(monkeypatch, name, value):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv(name, value)
    assert pick_device("auto") == torch.device("cpu")


@pytest.mark.filterwarnings("ignore:CUDA is not available")
@pytest.mark.parametrize("native", [True, False])
def test_bfloat16_only_where_the_hardware_has_it(monkeypatch, native):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation or native)
    context = autocast(torch.device("cuda"))
    assert isinstance(context, torch.autocast) == native


def test_each_process_takes_its_own_device(monkeypatch, two_gpus):
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert pick_device("cuda") == torch.device("cuda", 1)
    assert two_gpus == [torch.device("cuda", 1)]
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "3")
    with pytest.raises(IgnetError, match="found 2 CUDA devices for 3 processes.*several nodes is not offered"):
        pick_device("cuda")


def test_the_reason_is_the_systems_where_it_has_one(tmp_path):
    with pytest.raises(FileNotFoundError) as missing:
        (tmp_path / "none").read_bytes()
    assert reason_of(missing.value) == os.strerror(errno.ENOENT)
    assert reason_of(OSError("unable to open")) == "unable to open"
    assert reason_of(ValueError("no number")) == "no number"
