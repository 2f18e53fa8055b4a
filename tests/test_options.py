"""Several files and several settings on one command line: all of them count, or the command line is refused."""

import json
import shlex
from pathlib import Path

import pytest
import yaml

from ignet.cli import main as cli
from ignet.config.folder import REQUIRED
from ignet.errors import IgnetError
from ignet.workflow.options import refuse_repeated
from ignet.workflow.outcome import outcome

CONFIG = Path(__file__).parents[1] / "config"


@pytest.mark.parametrize(
    ("line", "option"),
    [
        ("--config a=1 --config b=2", "--config"),
        ("-C a=1 --cores 2 --config b=2", "--config"),
        ("--config=a=1 -n -C b=2", "--config"),
        ("--configfile a.yaml --configfile b.yaml", "--configfile"),
        ("--configfiles a.yaml -n --configfile=b.yaml --config a=1", "--configfile"),
    ],
)
def test_what_snakemake_would_drop_is_refused(line: str, option: str) -> None:
    with pytest.raises(IgnetError, match=f"^{option}: found 2 times, expected once"):
        refuse_repeated(shlex.split(line))


@pytest.mark.parametrize(
    "line",
    [
        "",
        "--cores 2 --configfile a.yaml b.yaml --config a=1 'b={config: --config}'",
        "--config a=1 -- --config --config",
        "--configfile config --config-none a --dry-run",
    ],
)
def test_other_command_lines_are_left_alone(line: str) -> None:
    refuse_repeated(shlex.split(line))


def planned(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict:
    with pytest.raises(SystemExit) as ended:
        cli.main(["plan", "--json", "--cores", "2", *map(str, arguments)])
    assert ended.value.code == 0, capsys.readouterr().err
    return json.loads(capsys.readouterr().out)


def test_plan_reads_every_file_and_setting(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny, more = CONFIG / "tiny.yaml", tmp_path / "more.yaml"
    more.write_text(yaml.safe_dump({"runs": {"self_trained": None, "ignet_50": None}, "world": {"frames": 5}}))
    together = planned(capsys, "--configfile", tiny, more)
    assert together["jobs"]["train_3d"] == 3 and together["data"]["frames"] == {"00": 5, "01": 5, "08": 5}
    assert planned(capsys, "--configfile", tiny, "--configfile", more) == together
    changed = planned(
        capsys, "--configfile", tiny, "--configfile", more, "--config", "seeds=[1, 2]", "--config", "world={frames: 7}"
    )
    assert changed["jobs"]["train_3d"] == 6 and changed["data"]["frames"]["08"] == 7


def test_a_plan_of_real_data_needs_a_root_as_the_workflow_does(capsys: pytest.CaptureFixture[str]) -> None:
    sample = CONFIG / "kitti-sample.yaml"
    with pytest.raises(SystemExit) as ended:
        cli.main(["plan", "--configfile", str(sample)])
    error = capsys.readouterr().err
    assert ended.value.code == 1 and len(error.splitlines()) == 1 and f"'{REQUIRED}'" in error
    # the published lengths, where there is nothing yet
    frames = planned(capsys, "--configfile", sample, "--config", "dataset={root: /not/there/yet}")["data"]["frames"]
    assert frames["07"] == 1101


def test_why_hands_every_file_and_setting_on(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[list[str]] = []
    monkeypatch.setattr("ignet.cli.why.why", lambda arguments, *_: given.append(arguments) or 0)
    with pytest.raises(SystemExit):
        cli.main(["why", "all", *shlex.split("--configfile a.yaml --configfile b.yaml --config x=1 y=2 --config z=3")])
    assert given == [["all", "--configfile", "a.yaml", "b.yaml", "--config", "x=1", "y=2", "z=3"]]
    refuse_repeated(given[0])


# --- what is said at the end --------------------------------------------------


def test_the_end_names_what_was_asked_for_and_is_there(tmp_path: Path) -> None:
    outputs = [
        str(tmp_path / name) for name in ("compare/summary.txt", "report/index.html", "train_3d/a/seed0/curves.csv")
    ]
    assert outcome(tmp_path, outputs) == ""
    for name in ("compare", "report", "tensorboard"):
        (tmp_path / name).mkdir()
    (tmp_path / "compare/summary.txt").write_text("a table\n")
    (tmp_path / "report/index.html").touch()
    whole = outcome(tmp_path, outputs)
    assert whole.startswith("a table\n\nReport, opens in a browser: ")
    assert all(str(tmp_path / name) in whole for name in ("report/index.html", "compare", "tensorboard"))
    (tmp_path / "dataset").mkdir()
    (tmp_path / "dataset/doubts.txt").write_text("sequence 00: strange\n")
    assert outcome(tmp_path, [*outputs, str(tmp_path / "dataset/doubts.txt")]) == whole.replace(
        "\n\n", "\n\ndoubt: sequence 00: strange\n"
    )
    # of an earlier run, and no part of this one's target
    assert outcome(tmp_path, [str(tmp_path / "dataset/manifest.csv")]) == ""
    assert outcome(tmp_path, outputs[2:]) == f"TensorBoard: {tmp_path / 'tensorboard'}\n"
    (tmp_path / "report/index.html").unlink()
    assert outcome(tmp_path, outputs[:2]) == f"a table\n\nTables: {tmp_path / 'compare'}\n"
