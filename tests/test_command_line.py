"""The command line as scripts and shells meet it: help, exit codes, JSON, completion, and the page that describes
them."""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ignet.cli import doctor
from ignet.cli import main as cli
from ignet.cli.completion import SHELLS, script
from ignet.cli.main import INTERRUPTED, NOBODY_READS, main, make_parser
from ignet.config.backbones import MinkUNetConfig
from ignet.data.importers.registry import LAYOUTS
from ignet.data.label_sets.label_set import SEMANTICKITTI
from ignet.models.segmentor3d import build_network, save_network

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "command-line.md").read_text()
ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")] for line in PAGE.splitlines() if line.startswith("| `ignet")
]


def commands() -> dict[str, argparse.ArgumentParser]:
    (found,) = (action for action in make_parser()._actions if isinstance(action, argparse._SubParsersAction))
    return dict(found.choices)


def code_of(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return int(ended.value.code or 0)


# --- help and the page --------------------------------------------------------


def test_the_page_has_every_command_and_says_which_have_json() -> None:
    with_json = {name for name, parser in commands().items() if "--json" in parser._option_string_actions}
    rows = {row[0].strip("`").split()[1]: row[3] for row in ROWS}
    assert set(rows) == set(commands())
    assert {name for name, words in rows.items() if words} == with_json
    # a shell's script is no data
    assert set(commands()) - with_json == {"completion"}


@pytest.mark.parametrize("name", ["", *commands()])
def test_help_is_there_and_every_option_has_a_word(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert code_of(*name.split(), "--help") == 0
    assert capsys.readouterr().out.startswith("usage: ignet")
    parser = commands().get(name, make_parser())
    assert [action.dest for action in parser._actions if not action.help and action.dest != "command"] == []


# --- exit codes ---------------------------------------------------------------


def test_a_fault_is_one_line_and_code_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert code_of("plan", "--configfile", tmp_path / "none.yaml", "--json") == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(r"error: .*none\.yaml: cannot be read .*\n", err)


def test_wrong_arguments_are_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert code_of("plan") == 2
    assert code_of("nothing-like-it") == 2
    assert "--configfile" in capsys.readouterr().err


def test_an_interruption_is_no_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(doctor, "report", interrupted)
    assert code_of("doctor") == INTERRUPTED == 130
    assert capsys.readouterr().err == ""


def test_a_reader_that_went_away_is_no_traceback() -> None:
    """As `ignet completion bash | head -0`: the output is longer than a pipe holds."""
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "ignet", "completion", "zsh"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with os.fdopen(write, "wb") as pipe:
        done = subprocess.run(command, stdout=pipe, stderr=subprocess.PIPE, env=environment, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (NOBODY_READS, b"")


def test_the_codes_of_the_page_are_those_of_the_help() -> None:
    codes = set(re.findall(r"^\| (\d+) \|", PAGE, re.M)) - {"75"}
    assert codes == set(re.findall(r"\b(\d+)\b", cli.EXIT_CODES))


# --- JSON ---------------------------------------------------------------------


@pytest.mark.parametrize("points", [0, 50])
def test_predict(points: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = MinkUNetConfig(voxel=0.5, stem=4, encoder=(4, 4, 8, 8), decoder=(8, 4, 4, 4))
    save_network(tmp_path / "model.safetensors", build_network(settings, label_set=SEMANTICKITTI), settings, "torch")
    (np.random.default_rng(0).random((points, 4), np.float32) * np.float32([9, 9, 2, 1])).tofile(tmp_path / "scan.bin")
    paths = [tmp_path / "scan.bin", "--weights", tmp_path / "model.safetensors", "--out", tmp_path / "scan.label"]
    code = code_of("predict", *paths, "--device", "cpu", "--json")
    if not points:  # a scan without points is a fault of the file
        assert code == 1
        return
    found = json.loads(capsys.readouterr().out)
    assert code == 0
    assert found["points"] == sum(found["classes"].values()) == (tmp_path / "scan.label").stat().st_size // 4
    assert 0 < found["mean_confidence"] <= 1


def test_submit(tiny_tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    predictions = tmp_path / "p/sequences/08/predictions"
    predictions.mkdir(parents=True)
    for scan in sorted((tiny_tree / "sequences/08/velodyne").iterdir()):
        np.full(400, 40, "<u4").tofile(predictions / f"{scan.stem}.label")
    which = ["--dataset", tiny_tree, "--sequences", "08", "--json"]
    assert code_of("submit", *which, "--predictions", tmp_path / "p", "--out", tmp_path / "a.zip") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["ready"], found["scans"], found["faults"]) == (True, 2, [])
    np.zeros(400, "<u4").tofile(predictions / "000000.label")
    assert code_of("submit", *which, "--predictions", tmp_path / "p", "--out", tmp_path / "b.zip") == 1
    found = json.loads(capsys.readouterr().out)
    assert not found["ready"]
    assert "000000" in found["faults"][0]


# --- completion ---------------------------------------------------------------


@pytest.mark.parametrize("shell", SHELLS)
def test_completion_knows_every_command_option_and_layout(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert code_of("completion", shell) == 0
    text = capsys.readouterr().out
    options = {option.lstrip("-") for parser in commands().values() for option in parser._option_string_actions}
    assert [word for word in {*commands(), *LAYOUTS, *options} if word not in text] == []


@pytest.mark.parametrize("shell", SHELLS)
def test_the_shell_takes_the_script(shell: str, tmp_path: Path) -> None:
    if not shutil.which(shell):
        pytest.skip(f"no {shell} on this machine (Debian, Ubuntu: apt install {shell})")
    path = tmp_path / "completion"
    path.write_text(script(make_parser(), shell))
    done = subprocess.run([shell, "-n", path], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("ignet pl", {"plan"}),
        ("ignet check --de", {"--deep"}),
        ("ignet predict --engine m", {"minkowski"}),
        ("ignet im", {"import"}),
    ],
)
def test_bash_completes(words: str, expected: set[str], tmp_path: Path) -> None:
    path = tmp_path / "completion"
    path.write_text(script(make_parser(), "bash"))
    *_, before, last = typed = words.split()
    answer = (
        f"COMP_WORDS=({words}); COMP_CWORD={len(typed) - 1}; _shtab_ignet ignet {last} {before}; echo ${{COMPREPLY[@]}}"
    )
    done = subprocess.run(
        ["bash", "-c", f"source {path}; {answer}"], capture_output=True, text=True, timeout=60, check=True
    )
    assert set(done.stdout.split()) == expected


@pytest.mark.skipif(not shutil.which("fish"), reason="no fish on this machine (Debian, Ubuntu: apt install fish)")
@pytest.mark.parametrize(
    ("words", "expected"),
    [("ignet pl", "plan"), ("ignet check --de", "--deep"), ("ignet predict --engine m", "minkowski")],
)
def test_fish_completes(words: str, expected: str, tmp_path: Path) -> None:
    path = tmp_path / "completion"
    path.write_text(script(make_parser(), "fish"))
    command = ["fish", "--no-config", "-c", f"source {path}; complete -C '{words}'"]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=True, env={**os.environ, "HOME": str(tmp_path)}
    )
    assert expected in [line.split("\t")[0] for line in done.stdout.splitlines()]


def test_why_needs_the_workflow(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wheel holds the package alone."""
    monkeypatch.setattr("ignet.cli.why.PROJECT", tmp_path)
    assert code_of("why") == 1
    assert re.fullmatch(r"error: \S+/Snakefile: found none beside the package, .*\n", capsys.readouterr().err)


# --- faults -------------------------------------------------------------------


@pytest.fixture
def nonsense(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with files that are none of what a command expects; the working directory."""
    (tmp_path / "bytes").write_bytes(bytes(range(128, 250)))
    (tmp_path / "list.yaml").write_text("- 1\n")
    (tmp_path / "fine.yaml").write_text("results: r\nruns: {a: {}}\n")
    (tmp_path / "keep").mkdir()
    (tmp_path / "keep" / "file").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("predict --weights bytes no.bin --out o.label", "bytes: "),
        ("predict --weights bytes bytes --out o.label", "bytes: is no scan by its name"),
        ("plan --configfile bytes", "bytes: cannot be read"),
        ("plan --configfile list.yaml", "list.yaml: found list"),
        ("plan --configfile keep", "keep: cannot be read"),
        ("plan --configfile fine.yaml --rates bytes", "bytes: cannot be read"),
        ("plan --configfile fine.yaml --rates keep", "keep: cannot be read"),
        ("plan --configfile fine.yaml --gpus -1", "found --gpus -1"),
        ("check", "found neither or both"),
        ("check --config fine.yaml", "found no dataset.root"),
        ("import kitti_object keep out", "found no .bin file"),
        ("import other keep out", "found layout 'other'"),
        ("evaluate --dataset keep --predictions keep", "keep"),
        ("submit --dataset keep --check bytes", "keep"),
        ("submit --dataset keep", "found no --predictions and --out"),
        ("view keep", "keep: holds no"),
    ],
)
def test_nonsense_is_one_line(nonsense: Path, capsys: pytest.CaptureFixture[str], command: str, words: str) -> None:
    assert code_of(*command.split()) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("error: ")
    assert words in last
    assert (nonsense / "keep" / "file").exists()


@pytest.mark.parametrize(
    "command", ["view --port 70000", "view --port -1", "predict --weights w s --out o --device tpu"]
)
def test_values_that_no_one_can_mean_are_wrong_arguments(capsys: pytest.CaptureFixture[str], command: str) -> None:
    assert code_of(*command.split()) == 2
    assert re.search(r"found \S+, expected ", capsys.readouterr().err)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["no_such_rule"], "No rule to produce no_such_rule"),
        (["--configfile", "none.yaml"], "No such file"),
        (["--profile", "nowhere"], "nowhere"),
    ],
)
def test_why_hands_on_what_snakemake_says(
    nonsense: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    assert code_of("why", *arguments) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: Snakemake has no plan: ")
    assert words in line
