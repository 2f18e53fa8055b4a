"""The doctor tells a working environment from a broken one, and says what fixes it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from ignet.cli import doctor
from ignet.cli.main import main
from ignet.devices import GIVEN_BY
from ignet.models.sparse.engine import minkowski_fault
from ignet.models.sparse.torch_engine import TorchGeometry

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def broken_torch_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that is wrong in the seventh digit."""
    right = TorchGeometry.convolve
    monkeypatch.setattr(TorchGeometry, "convolve", lambda *args: right(*args) * (1 + 1e-7))


def problems(found: dict, text: str) -> list[dict]:
    return [problem for problem in found["problems"] if text in problem["what"]]


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, **environment},
    )


def test_this_environment_is_usable_and_every_fact_is_there() -> None:
    found = doctor.report()
    assert found["usable"]
    assert found["packages"]["torch"] == found["torch"]["version"] == torch.__version__
    assert {"numpy", "snakemake", "transformers", "h5py"} <= set(found["packages"])
    assert found["engines"]["torch"]["differences"]["cpu"] <= doctor.TOLERANCE
    assert not found["engines"]["torch"]["faults"]
    assert found["devices"][0] == "cpu"
    assert Path(found["tools"]["snakemake"]).is_file()


def test_torch_engine_computes_the_dense_convolution() -> None:
    assert doctor.convolution_difference("torch", "cpu") <= doctor.TOLERANCE


def test_minkowski_engine_computes_the_dense_convolution() -> None:
    fault = minkowski_fault(torch.device("cpu"))
    if fault:
        pytest.skip(fault)
    assert doctor.convolution_difference("minkowski", "cpu") <= doctor.TOLERANCE


@pytest.mark.usefixtures("broken_torch_engine")
def test_an_engine_that_is_slightly_wrong_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor.convolution_difference("torch", "cpu") > 1e-8
    with pytest.raises(SystemExit) as end:
        main(["doctor"])
    assert end.value.code == 1
    text = capsys.readouterr().out
    assert "ERROR: the torch engine does not work on cpu: differs from a dense convolution" in text
    assert text.endswith("NOT usable\n")


def test_missing_and_old_packages_are_named_with_what_mends_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_requirements", lambda: ["surely-not-installed>=1", "numpy>=999", "torch>=2.0"])
    found = doctor.report()
    assert found["packages"]["surely-not-installed"] is None
    (missing,) = problems(found, "surely-not-installed")
    assert missing["fatal"]
    assert missing["fix"] == "make setup"
    (old,) = problems(found, "numpy")
    assert not old["fatal"]
    assert "expected numpy>=999" in old["what"]
    assert not problems(found, "torch:")
    assert not found["usable"]


def test_json_is_the_whole_report(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["doctor", "--json"])
    assert end.value.code == 0
    assert set(json.loads(capsys.readouterr().out)) == set(doctor.report())


def test_a_python_without_any_package_gets_an_answer_and_no_traceback() -> None:
    answer = run("-S", "-m", "ignet", "doctor")  # -S: without site-packages
    assert answer.returncode == 1
    assert "ERROR: torch cannot be imported" in answer.stdout
    assert "ERROR: numpy is not installed" in answer.stdout
    assert "to fix it: make setup" in answer.stdout
    assert answer.stderr == ""


def test_a_minkowski_engine_that_cannot_be_loaded_is_reported_and_the_project_stays_usable(tmp_path: Path) -> None:
    (tmp_path / "MinkowskiEngine").mkdir()
    (tmp_path / "MinkowskiEngine" / "__init__.py").write_text(
        "raise ImportError('undefined symbol: of another torch')\n"
    )
    (tmp_path / "MinkowskiEngine-0.5.4.dist-info").mkdir()
    (tmp_path / "MinkowskiEngine-0.5.4.dist-info" / "METADATA").write_text("Name: MinkowskiEngine\nVersion: 0.5.4\n")
    answer = run("-m", "ignet", "doctor", "--json", PYTHONPATH=str(tmp_path))
    assert answer.returncode == 0, answer.stderr
    found = json.loads(answer.stdout)
    assert "undefined symbol" in found["engines"]["minkowski"]["faults"]["cpu"]
    (problem,) = problems(found, "minkowski engine does not work on cpu")
    assert problem["fix"] == "MINKOWSKI=again make setup"


def test_a_gpu_that_torch_cannot_use_is_reported_with_both_versions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text(
        "#!/bin/sh\necho '| NVIDIA-SMI 470.57   Driver Version: 470.57.02    CUDA Version: 11.4     |'\n"
    )
    program.chmod(0o755)
    for name in GIVEN_BY:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert not problems(doctor.report(), "a GPU is not used")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    found = doctor.report()
    assert found["tools"]["driver"] == "NVIDIA 470.57.02, for CUDA up to 11.4"
    (problem,) = problems(found, "a GPU is not used (NVIDIA 470.57.02, for CUDA up to 11.4)")
    assert f"torch {torch.__version__} (built for CUDA {torch.version.cuda or 'none'})" in problem["what"]
    assert "TORCH_INDEX_URL" in problem["fix"] and not problem["fatal"]
    program.write_text("#!/bin/sh\nexit 9\n")
    assert doctor.report()["tools"]["driver"] is None
