"""Which device a name means, and why a file could not be read."""

import errno
import os
import re

import pytest
import torch

from ignet.config.execution import DEVICE
from ignet.devices import pick_device
from ignet.errors import IgnetError, reason_of

WRONG = ["gpu", "", "cuda:x", "mps", "cpu:1", "cuda:-1", "meta"]


@pytest.fixture
def two_gpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


def test_auto_takes_cuda_where_there_is_one(monkeypatch, two_gpus):
    assert pick_device("auto") == torch.device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_device("auto") == torch.device("cpu")


@pytest.mark.parametrize("name", WRONG)
def test_an_unknown_name_is_refused(name):
    with pytest.raises(IgnetError, match="expected auto, cpu, cuda or cuda:N"):
        pick_device(name)
    assert not re.fullmatch(DEVICE, name)  # the settings refuse the same


def test_a_number_beyond_the_devices_is_refused(two_gpus):
    assert pick_device("cuda:1") == torch.device("cuda", 1)
    with pytest.raises(IgnetError, match="cuda:2: found 2 CUDA devices"):
        pick_device("cuda:2")


def test_cuda_without_cuda_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(IgnetError, match="no CUDA device is visible"):
        pick_device("cuda")


def test_each_process_takes_its_own_device(monkeypatch, two_gpus):
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert pick_device("cuda") == torch.device("cuda", 1)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "3")
    with pytest.raises(IgnetError, match="found 2 CUDA devices for 3 processes"):
        pick_device("cuda")


def test_the_reason_is_the_systems_where_it_has_one(tmp_path):
    with pytest.raises(FileNotFoundError) as missing:
        (tmp_path / "none").read_bytes()
    assert reason_of(missing.value) == os.strerror(errno.ENOENT)
    assert reason_of(OSError("unable to open")) == "unable to open"
    assert reason_of(ValueError("no number")) == "no number"
