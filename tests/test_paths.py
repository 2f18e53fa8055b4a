"""Folders of any name: what a shell, Snakemake or a command line could take for something else."""

import json
import os
import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from snakemake.cli import parse_config
from snakemake_command import ROOT, rule_commands, rule_texts, snakemake_command

from ignet.errors import IgnetError
from ignet.stage.scheduler import check_places
from ignet.stage.script import Stage
from ignet.workflow.experiment import load_experiment

ODD = 'it\'s "my" (2) $HOME & ü;#*'
"""A name with what shells read as their own: quotes, white space, parentheses, a variable, `&`, `;`, `#`, `*`, and an
umlaut."""

NO_WORDS = {"threads", "resources.launcher"}
"""Fields of shell lines that are no path: a number, and a piece of a command line that the rules write."""


def snakemake(folder: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = snakemake_command(folder, "--cores", "2", *arguments)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, env=environment, check=False)


def test_every_field_of_a_shell_line_is_quoted() -> None:
    commands = rule_commands()
    assert len(commands) > 15
    for rule, line in commands.items():
        fields = re.findall(r"(?<!\$)\{+([a-z][^{}:]*)(:\w+)?\}", line)
        assert {name for name, spec in fields if spec != ":q"} <= NO_WORDS, rule
        assert not re.search(r"(?<![\"{/])\$\w", line), f"{rule}: a variable without quotes"


def test_every_place_that_a_command_reads_from_is_a_part_of_the_jobs_identity() -> None:
    """Places stand in commands by names, whose values rerun nothing: `places` says which of them a rule takes."""
    found, texts, writes = 0, rule_texts(), ("--out", "--curves", "--state", "--job-start")
    for rule, line in rule_commands().items():
        given_to = re.findall(r"(--[\w-]+) \{PLACES\[IGNET_([A-Z_]+)", line)
        read = {name for option, name in given_to if option not in writes}
        given = re.findall(r"\bplaces\(([^)]*)\)", texts[rule])
        named = set(re.findall(r'"([A-Z_]+)"', " ".join(given)))
        # the label set enters by its content
        named |= {"LABEL_SET"} if re.search(r"label_set=.*\bLABEL_SET\b", texts[rule]) else set()
        assert named == read, rule
        found += len(read)
    assert found > 20


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Working directory, dataset, results and shared results of odd names, with an innocent file beside each."""
    from conftest import write_tree

    folder = tmp_path_factory.mktemp("odd") / f"work {ODD}"
    write_tree(folder.parent / f"data {ODD}", ("00", "01", "08", "09"), 2, 400)
    folder.mkdir()
    tiny = yaml.safe_load((ROOT / "config" / "tiny.yaml").read_text(encoding="utf-8"))
    tiny |= {"results": f"results {ODD}", "shared": f"shared {ODD}"}
    tiny["dataset"] |= {"root": str(folder.parent / f"data {ODD}")}
    (folder / f"experiment {ODD}.yaml").write_text(json.dumps(tiny), encoding="utf-8")
    for beside in (folder.parent / "work", folder.parent / "data", folder / "results", folder / "shared"):
        beside.write_text("precious\n", encoding="utf-8")
    return folder


def test_jobs_run_in_folders_of_any_name(odd: Path) -> None:
    """The cheap rules, with every kind of path in their commands: environment, outputs, logs, params with several
    words."""
    results, shared = f"results {ODD}", f"shared {ODD}"
    before = {path.name for path in [*odd.iterdir(), *odd.parent.iterdir()]}
    wanted = [f"{results}/figures/projection/{sequence}.png" for sequence in ("00", "08")]
    done = snakemake(odd, "--configfile", odd / f"experiment {ODD}.yaml", "--", "world_source", *wanted)
    logs = [path.read_text(encoding="utf-8")[-2000:] for path in odd.rglob("*.log")] if done.returncode else []
    assert done.returncode == 0, (done.stderr[-3000:], logs)
    made = {path.name for path in [*odd.iterdir(), *odd.parent.iterdir()]} - before
    assert made == {results, shared, ".snakemake"}
    beside = [odd / "results", odd / "shared", odd.parent / "work", odd.parent / "data"]
    assert {path.read_text(encoding="utf-8") for path in beside} == {"precious\n"}
    assert all((odd / path).stat().st_size for path in wanted)
    assert len(list((odd / shared / "projection").rglob("*.h5"))) == 2 and list(
        (odd / shared / "world" / "source").rglob("*.png")
    )


class _Parsed(BaseException):
    pass


def _parse(script: str, words: list[str], monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What a stage's script understands of its command line."""

    def start(stage: Stage[Any]) -> None:
        raise _Parsed(vars(stage.parser.parse_args()))

    monkeypatch.setattr(Stage, "start", start)
    monkeypatch.setattr(sys, "argv", [script, *words])
    with pytest.raises(_Parsed) as found:
        runpy.run_path(script, run_name="__main__")
    return found.value.args[0]


def _paths(value: Any) -> list[Path]:
    """Every path in what a script understood, those of `NAME=path` too."""
    if isinstance(value, Path):
        return [value]
    if isinstance(value, str) and ODD in value:
        return [Path(value.partition("=")[2] or value)]
    if isinstance(value, dict):
        value = list(value.values())
    return [path for part in value for path in _paths(part)] if isinstance(value, list | tuple) else []


def test_every_command_means_the_odd_folders(odd: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The printed command of every rule, split as bash splits it and parsed as the script parses it."""
    results, shared, data = f"results {ODD}", f"shared {ODD}", str(odd.parent / f"data {ODD}")
    settings = ("--config", "dataset={test_sequences: ['09'], hidden_test_labels: true}")
    settings += ("teachers={lite: {kind: efficientnet_lite, head: {}}}",)
    options = (*settings, "--dry-run", "--printshellcmds", "--forceall", "--", "all", "submission")
    planned = snakemake(odd, "--configfile", odd / f"experiment {ODD}.yaml", *options)
    assert planned.returncode == 0, planned.stderr[-3000:]
    commands = re.findall(r"^(?:Shell command: |\s*)(exec .*)$", planned.stdout + planned.stderr, re.M)
    # nothing of the workflow's environment is needed
    environment = {name: value for name, value in os.environ.items() if not name.startswith("IGNET_")}
    seen = set()
    for command in commands:
        command, _, log = command.rpartition(" > ")
        (log_file, both) = shlex.split(log)
        assert both == "2>&1" and log_file.startswith((f"{results}/logs/", f"{shared}/logs/"))
        shell = ["bash", "-c", f"exec() {{ printf '%s\\0' \"$@\"; }}; {command}"]
        words = subprocess.run(
            shell, capture_output=True, text=True, env=environment, check=True, cwd=odd
        ).stdout.split("\0")[:-1]
        assert words[0] == sys.executable, "not whatever 'python' may be"
        script = next(number for number, word in enumerate(words) if word.endswith(".py"))
        seen.add(Path(words[script]).stem)
        for path in _paths(_parse(words[script], words[script + 1 :], monkeypatch)):
            assert str(path).startswith((f"{results}/", f"{shared}/", data)) or str(path) in (results, shared), (
                words[script],
                path,
            )
    unseen = {path.stem for path in (ROOT / "workflow" / "scripts").glob("*.py")} - seen
    # the world's target and simulated scribbles are not made where there is a dataset; the other two are no rules
    assert unseen <= {"world_target", "scribbles", "features_pca", "headline", "feature_codings"}


@pytest.mark.parametrize("name", ["", "a{b}", "a\nb", "-a", " a", "a ", "~nobody-of-this-name/a", "a\tb", "a\udce4"])
@pytest.mark.parametrize("where", ["results", "shared", "dataset", "source"])
def test_what_no_folder_can_be_called_here(where: str, name: str) -> None:
    values: dict[str, Any] = {"results": "results/x", "runs": {"baseline": {}}}
    values |= {where: name} if where in ("results", "shared") else {where: {"root": name}}
    with pytest.raises(IgnetError, match=where) as error:
        load_experiment(values, "experiment.yaml")
    assert "\n" not in str(error.value)


def test_a_dot_hides_no_dash() -> None:
    with pytest.raises(IgnetError, match="is an option"):
        load_experiment({"results": "./-a", "runs": {"baseline": {}}}, "experiment.yaml")


def test_a_tilde_is_the_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/anna")
    values = {
        "results": "~/r",
        "shared": "~/s",
        "dataset": {"root": "~/d"},
        "source": {"root": "~/g"},
        "runs": {"baseline": {}},
    }
    experiment = load_experiment(values, "experiment.yaml")
    found = (experiment.results, experiment.shared, experiment.dataset.root, experiment.source.root)
    assert found == ("/anna/r", "/anna/s", "/anna/d", "/anna/g")


def test_a_scheduler_s_jobs_are_told_of_plain_paths() -> None:
    check_places(
        "/opt/ignet/.venv/bin/python", ["/data/my (new) results", "ü"], ["dataset={root: '/my data'}", 'a={b: "c"}']
    )
    refused: list[Callable[[], None]] = [lambda: check_places("/my ignet/python", [])]
    refused += [lambda path=path: check_places("python", [path]) for path in ("it's", 'a"b', "$HOME", "a`b", "a\\b")]  # type: ignore[misc]
    refused += [
        lambda: check_places("python", [], ["a=$b"]),
        lambda: check_places("python", [], ["a={b: 'c', d: \"e\"}"]),
    ]
    for check in refused:
        with pytest.raises(IgnetError):
            check()


def test_make_hands_on_a_root_of_any_name(tmp_path: Path) -> None:
    """`make kitti-sample` with a Snakemake that prints its arguments: they are read as Snakemake reads them."""
    root = f"{tmp_path}/data {ODD}"
    settings = [f"ROOT={root}", "SNAKEMAKE=printf '%s\\n'", "MAKE=true", f"PY={sys.executable}"]
    done = subprocess.run(
        ["make", "--silent", "kitti-sample", *settings], capture_output=True, text=True, check=True, cwd=ROOT
    )
    (config,) = [word for word in done.stdout.splitlines() if word.startswith("dataset=")]
    assert parse_config([config]) == {"dataset": {"root": root}}
