"""The harness of the stages' scripts, run as a person and as the workflow would."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from ignet.stage.identity import code_hash

SCRIPT = '''"""A stage."""
import sys
from pathlib import Path
from ignet.config.projection import ProjectionConfig
from ignet.stage.script import Stage, command


@command
def main():
    stage = Stage("projection", ProjectionConfig, __doc__, variants="kinds")
    stage.add("--out", type=Path)
    args, settings = stage.start()
    print(settings.cell, args.device, "torch" in sys.modules)
    stage.write_settings(args.out)


main()
'''


def run(tmp_path: Path, *arguments: str, script: str = SCRIPT) -> subprocess.CompletedProcess:
    path = tmp_path / "stage.py"
    path.write_text(script)
    command = [sys.executable, str(path), "--out", str(tmp_path / "settings.json"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    path = tmp_path / "x.yaml"
    path.write_text("results: r\nprojection: {cell: 6}\nkinds: {fine: {cell: 2, seeds: [1]}}\n")
    return path


def test_section_of_a_file_and_its_variants(tmp_path: Path, experiment: Path) -> None:
    assert run(tmp_path, "--config", str(experiment), "--device", "cpu").stdout == "6 cpu False\n"
    assert run(tmp_path, "--config", str(experiment), "--name", "fine").stdout.startswith("2 ")
    missing = run(tmp_path, "--config", str(experiment), "--name", "coarse")
    assert missing.returncode == 1
    assert "'coarse'" in missing.stderr


def test_settings_are_written_beside_the_result(tmp_path: Path) -> None:
    run(tmp_path, "--settings", '{"cell": 3}', "--threads", "3")
    written = json.loads((tmp_path / "settings.json").read_text())
    assert written["settings"]["cell"] == 3
    assert written["settings"]["tolerance"] > 0
    assert written["code"] == code_hash(tmp_path / "stage.py")
    assert written["versions"]["torch"] == torch.__version__ and written["threads"] == 3


def test_a_stage_on_the_cpu_leaves_torch_alone_and_one_that_has_loaded_it_gets_its_device(tmp_path: Path) -> None:
    assert run(tmp_path, "--device", "cpu", "--threads", "1").stdout == "auto cpu False\n"
    written = json.loads((tmp_path / "settings.json").read_text())
    assert (written["device"], written["threads"]) == ("cpu", 1)
    assert written["versions"]["torch"] == torch.__version__
    loaded = SCRIPT.replace("import sys", "import sys, torch").replace("args.device,", "repr(args.device),")
    assert run(tmp_path, "--device", "cpu", "--threads", "1", script=loaded).stdout == "auto device(type='cpu') True\n"
    assert json.loads((tmp_path / "settings.json").read_text())["threads"] == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--settings", '{"cells": 3}'], "unknown key 'cells'"),
        (["--settings", '{"cell": "wide"}'], "'wide'"),
        (["--code", "0000"], "start the workflow again"),
        (["--config", "/nowhere.yaml"], "/nowhere.yaml"),
    ],
)
def test_faults_are_one_line_and_exit_code_1(tmp_path: Path, arguments: list[str], words: str) -> None:
    result = run(tmp_path, *arguments)
    assert result.returncode == 1
    assert words in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "settings.json").exists()
