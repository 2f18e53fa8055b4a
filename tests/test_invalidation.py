"""A change reruns the jobs that it invalidates and no other: every case names them all, by rule and wildcards."""

import os
import shutil
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from invalidation_cases import CODE, FILES, OPTIONS, SETTINGS
from tiny_state import ROOT, finish, names, plan

KINDS = ("velodyne/{}.bin", "labels/{}.label", "scribbles/{}.label", "image_2/{}.png")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny DAG, nothing left to do."""
    return finish(tmp_path_factory.mktemp("finished"))


@pytest.fixture(scope="module")
def own_data(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The same DAG on a user's dataset: (working directory, dataset). Only names, sizes and times of its files count here."""
    root = tmp_path_factory.mktemp("dataset")
    for sequence in ("00", "01", "05", "08"):
        folder = root / "sequences" / sequence
        for path in ("calib.txt", "times.txt", *(kind.format(frame) for kind in KINDS for frame in ("000000", "000001"))):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text("some")
    return finish(tmp_path_factory.mktemp("own_data"), "--config", f"dataset={{root: {root}}}"), root


def of_settings(finished: Path, case: str, scratch: Path) -> set[str]:
    return names(plan(finished, "--config", SETTINGS[case][0]))


def of_options(finished: Path, case: str, scratch: Path) -> set[str]:
    return names(plan(finished, *OPTIONS[case]))


def of_code(finished: Path, case: str, scratch: Path) -> set[str]:
    ignored = shutil.ignore_patterns("__pycache__")
    for folder in ("ignet", "workflow", "config", "envs"):
        shutil.copytree(ROOT / folder, scratch / folder, ignore=ignored)
    shutil.copy2(ROOT / "Snakefile", scratch)
    CODE[case].change(scratch / CODE[case].path)
    return names(plan(finished, project=scratch))


def of_files(own_data: tuple[Path, Path], case: str, scratch: Path) -> set[str]:
    shutil.copytree(own_data[1], scratch)
    if FILES[case][0]:
        (scratch / FILES[case][0]).write_text("other")
    return names(plan(own_data[0], "--config", f"dataset={{root: {scratch}}}"))


@pytest.fixture(scope="module")
def asked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[set[str]]]]:
    """Name of the test -> plan. One takes seconds of one core, so the plans of all selected cases are asked for at once."""
    makers = {"test_settings": of_settings, "test_options": of_options, "test_code": of_code, "test_files": of_files}
    cases = [item for item in request.session.items if item.path == request.path and item.originalname in makers]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        plans = {}
        for item in cases:
            state = request.getfixturevalue("own_data" if item.originalname == "test_files" else "finished")
            scratch = tmp_path_factory.mktemp("case") / "copy"
            plans[item.name] = pool.submit(makers[item.originalname], state, item.callspec.params["case"], scratch)
        yield plans


@pytest.fixture
def planned(request: pytest.FixtureRequest, asked: dict[str, Future[set[str]]]) -> set[str]:
    """What Snakemake would run in the case of this test."""
    return asked[request.node.name].result()


@pytest.mark.parametrize("case", SETTINGS)
def test_settings(case: str, planned: set[str]) -> None:
    assert planned == SETTINGS[case][1]


@pytest.mark.parametrize("case", OPTIONS)
def test_options(case: str, planned: set[str]) -> None:
    assert planned == set()


@pytest.mark.parametrize("case", CODE)
def test_code(case: str, planned: set[str]) -> None:
    assert planned == CODE[case].jobs


@pytest.mark.parametrize("case", FILES)
def test_files(case: str, planned: set[str]) -> None:
    assert planned == FILES[case][1]
