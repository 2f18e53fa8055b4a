"""A change reruns the jobs that it invalidates and no other: every case names them all, by rule and wildcards."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from invalidation_cases import CODE, FILES, OPTIONS, SEQUENCES, SETTINGS, looked_at
from snakemake_command import snakemake_command
from tiny_state import CONFIG, ROOT, finish, names, plans

KINDS = ("velodyne/{}.bin", "labels/{}.label", "scribbles/{}.label", "image_2/{}.png")


@pytest.fixture(scope="module")
def own_data(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The same DAG on a user's dataset: (working directory, dataset). Only names, sizes and times of its files count
    here."""
    root = tmp_path_factory.mktemp("dataset")
    for sequence in ("00", "01", "05", "08"):
        folder = root / "sequences" / sequence
        for path in (
            "calib.txt",
            "times.txt",
            *(kind.format(frame) for kind in KINDS for frame in ("000000", "000001")),
        ):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text("some")
    return finish(tmp_path_factory.mktemp("own_data"), "--config", f"dataset={{root: {root}}}"), root


def of_code(case: str, scratch: Path) -> Path:
    """A copy of the project in which one thing was changed."""
    for folder in ("ignet", "workflow", "config", "envs"):
        shutil.copytree(ROOT / folder, scratch / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy2(ROOT / "Snakefile", scratch)
    CODE[case].change(scratch / CODE[case].path)
    return scratch


def of_file(own_data: tuple[Path, Path], case: str, scratch: Path) -> tuple[Path, tuple[str, ...]]:
    """Working directory and arguments for a copy of the dataset in which one file was changed."""
    shutil.copytree(own_data[1], scratch)
    if FILES[case][0]:
        (scratch / FILES[case][0]).write_text("other")
    return own_data[0], ("--config", f"dataset={{root: {scratch}}}")


@pytest.fixture(scope="module")
def planned(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[tuple[str, str], set[str]]:
    """(test, case) -> what Snakemake would run. A plan takes a second or two, so all selected cases are asked for at
    once."""
    cases = [
        (item.originalname, item.callspec.params["case"])
        for item in request.session.items
        if "planned" in item.fixturenames and item.path == Path(__file__)
    ]
    folders = {case: tmp_path_factory.mktemp("case") / "copy" for case in cases}
    wanted: dict[tuple[str, str], tuple[Path, tuple[str, ...]]] = {}
    for test, case in cases:
        if test == "test_files":
            wanted[test, case] = of_file(request.getfixturevalue("own_data"), case, folders[test, case])
        elif test != "test_code":
            given = ("--config", SETTINGS[case][0]) if test == "test_settings" else OPTIONS[case]
            wanted[test, case] = request.getfixturevalue("tiny_finished"), given
    found = {key: names(made) for key, made in plans(tmp_path_factory.mktemp("plans"), wanted).items()}
    copies = {case: of_code(case, folders[test, case]) for test, case in cases if test == "test_code"}
    state = request.getfixturevalue("tiny_finished") if copies else None
    made = plans(tmp_path_factory.mktemp("plans"), dict.fromkeys(copies, (state, ())), copies)
    return found | {("test_code", case): names(plan) for case, plan in made.items()}


@pytest.mark.parametrize("case", SETTINGS)
def test_settings(case: str, planned: dict[tuple[str, str], set[str]]) -> None:
    assert planned["test_settings", case] == SETTINGS[case][1]


@pytest.mark.parametrize("case", OPTIONS)
def test_options(case: str, planned: dict[tuple[str, str], set[str]]) -> None:
    assert planned["test_options", case] == set()


@pytest.mark.parametrize("case", CODE)
def test_code(case: str, planned: dict[tuple[str, str], set[str]]) -> None:
    assert planned["test_code", case] == CODE[case].jobs


@pytest.mark.parametrize("case", FILES)
def test_files(case: str, planned: dict[tuple[str, str], set[str]]) -> None:
    assert planned["test_files", case] == FILES[case][1]


def test_software_reruns_nothing(tiny_finished: Path, tmp_path: Path) -> None:
    """As if all had been made in another environment; versions stand beside the results."""
    state = tmp_path / "state"
    shutil.copytree(tiny_finished, state)
    records = list((state / "results" / "tiny" / "records").rglob("*.json"))
    for path in records:
        path.write_text(
            json.dumps({**json.loads(path.read_text()), "software_stack_hash": "another", "conda_env": "another"})
        )
    assert len(records) > 50
    (state_plan,) = plans(tmp_path, {"software": (state, ())}).values()
    assert names(state_plan) == set()


def test_which_labels_may_be_missing_is_the_checks_affair_alone(tiny_finished: Path, tmp_path: Path) -> None:
    """Shares of labelled frames exclude it, so the runs that have them are left out."""
    fewer = ("runs={ignet_50: null}", "adaptations={half: null}")
    made = plans(
        tmp_path,
        {
            "refuse": (tiny_finished, ("--config", *fewer)),
            "allow": (tiny_finished, ("--config", *fewer, "dataset={missing_labels: allow}")),
        },
    )
    more = names(made["allow"]) - names(made["refuse"])
    assert more == looked_at(*SEQUENCES) - {"figures_data", "report"}


def test_the_evaluation_on_test_sequences_reads_these_alone(tiny_finished: Path) -> None:
    change = ("--config", "dataset={test_sequences: ['09']}")
    command = snakemake_command(tiny_finished, "--configfile", CONFIG, "--dry-run", "--printshellcmds", *change)
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    commands = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Shell command: ")]
    evaluated = [line for line in commands if "/evaluate.py" in line]
    assert len(evaluated) == 5
    assert all(" --sequences 09 " in line and "/evaluate_test/" in line for line in evaluated)
    [compared] = [line for line in commands if "/compare.py" in line]
    validation, test = compared.split(" --test-confusions ")
    assert "evaluate_test" not in validation
    assert test.count("=results/tiny/evaluate_test/") == 5
