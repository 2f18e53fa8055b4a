"""Every command of README and docs: run as it stands there, planned without being carried out, or listed here with what
it lacks."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import reduce
from pathlib import Path

import numpy as np
import pytest
from conftest import TINY_CALIBRATION, write_tree
from snakemake.cli import get_argument_parser, parse_args
from test_command_line import commands as commands_of_ignet
from test_own_sensor import write_object_frame

from ignet.cli.main import make_parser
from ignet.config.backbones import MinkUNetConfig
from ignet.config.base import merge, read_yaml
from ignet.config.world import WorldConfig
from ignet.data.label_sets.label_set import SEMANTICKITTI
from ignet.models.segmentor3d import build_network, save_network
from ignet.workflow.experiment import load_experiment
from ignet.world.nuscenes import write_nuscenes

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

RUN: dict[str, int] = {
    ".venv/bin/ignet predict --weights results/demo/train_3d/ignet/seed0/model.safetensors scan.bin --out "
    "scan.label": 0,
    ".venv/bin/ignet predict --weights results/demo/train_3d/ignet/seed0 scan.bin --out scan.label": 0,
    ".venv/bin/ignet predict --weights results/demo/train_3d/ignet/seed0 ROOT/sequences/08 --out predictions "
    "--format ply": 0,
    ".venv/bin/ignet evaluate --dataset ROOT --predictions results/scribblekitti/predict/ignet/seed0": 0,
    ".venv/bin/ignet check ROOT": 1,  # some frames are not the whole of SemanticKITTI
    ".venv/bin/ignet check ROOT --part": 0,
    ".venv/bin/ignet check ROOT --part --cameras 0 1": 0,
    ".venv/bin/ignet check ROOT --remission-scale 255": 1,
    ".venv/bin/ignet check ROOT --deep": 1,
    ".venv/bin/ignet check --config config/scribblekitti.yaml": 1,  # there is no data/semantickitti
    ".venv/bin/ignet plan --configfile config/scribblekitti.yaml --gpus 4 --cores 16": 0,
    ".venv/bin/ignet plan --configfile config/scribblekitti.yaml config/teachers/efficientnet.yaml": 0,
    '.venv/bin/ignet plan --configfile config/demo.yaml --json | .venv/bin/python -c "import json, sys; '
    "print(json.load(sys.stdin)['disk_bytes'])\"": 0,
    ".venv/bin/ignet doctor --json > doctor.json": 0,
    ".venv/bin/ignet completion bash > ~/.local/share/bash-completion/completions/ignet": 0,
    ".venv/bin/ignet completion zsh > ~/.zfunc/_ignet": 0,
    ".venv/bin/ignet completion fish > ~/.config/fish/completions/ignet.fish": 0,
    ".venv/bin/ignet why": 0,
    ".venv/bin/ignet why --configfile config/ablation.yaml --config 'train_3d={contrastive: {temperature: 0.2}}'": 0,
    ".venv/bin/ignet import kitti_object /data/kitti/object /data/my-tree": 0,
    ".venv/bin/ignet check /data/my-tree --part": 0,
    ".venv/bin/ignet import nuscenes /data/nuscenes data/nuscenes-mini --version v1.0-mini": 0,
    "export SNAKEMAKE_OUTPUT_CACHE=/path/to/cache": 0,
}
"""Command -> its exit code in the sandbox below, where it is run by a shell."""

DRY_RUN = {
    ".venv/bin/snakemake --cores all": "the demo takes minutes; its rules run in tests/test_workflow.py",
    ".venv/bin/snakemake --cores all --configfile my-experiment.yaml": "as the demo",
    ".venv/bin/snakemake --profile workflow/profiles/slurm --configfile my-experiment.yaml": "needs SLURM; make test-slurm runs it",
    ".venv/bin/snakemake --cores all --configfile my-experiment.yaml --config 'dataset={root: /data/my-tree}'": "as the demo",
}
"""Command -> why it is planned by Snakemake and not carried out."""

ROBOT = "needs the page's module and files; tests/test_robot.py runs it"
PARSED = {
    ".venv/bin/snakemake --cores all --configfile config/scribblekitti.yaml my-experiment.yaml -- submission": "needs the "
    "data sets and GPUs; tests/test_workflow.py packs a small one",
    ".venv/bin/snakemake --dry-run --configfile config/scribblekitti.yaml": "needs the data sets; tests/test_plan.py "
    "has such a tree",
    ".venv/bin/snakemake --profile workflow/profiles/slurm --configfile config/scribblekitti.yaml": "needs the data sets and a cluster",
    ".venv/bin/snakemake --cores all --configfile config/scribblekitti.yaml config/ablation/headline.yaml": "needs the data sets, GPUs",
    ".venv/bin/snakemake --cores all --configfile config/scribblekitti.yaml config/backbones/spvcnn.yaml "
    "--config results=results/scribblekitti-spvcnn": "needs the data sets, GPUs",
    ".venv/bin/ignet plan --configfile config/scribblekitti.yaml --rates build/bench-gpu/throughput.csv": "needs "
    "what make bench-gpu makes; tests/test_gpu_bench.py reads such a table",
    ".venv/bin/snakemake --cores all --configfile config/semantickitti-semi.yaml": "needs the data sets and GPUs",
    ".venv/bin/snakemake --cores all --configfile config/nuscenes.yaml config/nuscenes/mini.yaml": "needs the data sets, GPUs",
    ".venv/bin/snakemake --cores all --configfile config/ablation.yaml "
    "config/ablation/{headline,avenue,ten-seeds}.yaml": "an hour",
    ".venv/bin/snakemake --cores all --configfile config/ablation.yaml config/ablation/further-controls.yaml": "hours",
    ".venv/bin/snakemake --configfile config/demo.yaml --report report.html": "needs finished results; "
    "tests/test_workflow.py",
    ".venv/bin/snakemake --cores all --cache": "needs SNAKEMAKE_OUTPUT_CACHE; tests/test_sharing.py",
    ".venv/bin/ignet submit --dataset ROOT --predictions results/scribblekitti/predict/ignet/seed0 --out "
    "submission.zip": "needs the 20,351 test scans; tests/test_submission.py packs some",
    ".venv/bin/ignet submit --dataset ROOT --check submission.zip": "needs the 20,351 test scans; "
    "tests/test_submission.py",
    ".venv/bin/ignet import rover /data/rover /data/rover-tree --label-set rover.yaml": ROBOT,
    ".venv/bin/ignet check /data/rover-tree --part --cameras 0 1 --may-lack labels --label-set rover.yaml": ROBOT,
    ".venv/bin/snakemake --cores all --configfile rover-experiment.yaml": ROBOT,
    ".venv/bin/ignet predict --weights results/rover/train_3d/ignet/seed0/model.safetensors scan.bin --out scan.label": ROBOT,
    ".venv/bin/ignet view": "serves until it is interrupted; tests/test_view.py",
    ".venv/bin/python benchmarks/throughput.py --size demo --table my.csv": "minutes of measuring",
    "xdg-open results/demo/report/index.html": "needs a desktop; tests/test_page_browser.py opens a report in "
    "a browser",
}
"""Command -> why only its words are checked: options that exist, files that exist, settings that are valid."""

MAKE = {
    "make setup": "makes the environment that the tests run in",
    "make demo": "minutes; its rules run in tests/test_workflow.py",
    "make test": "is what runs these tests",
    'make test PYTEST_ARGS="-k objective"': "as make test",
    "make lint": "is run by .ci/run",
    "make kitti-sample ROOT=/path/to/dataset": "needs real frames, which the project may not hold",
    "make ablation": "hours",
    "make ablation-quick": "hours",
    'make ablation-worlds WORLDS="residential-2 avenue-3"': "hours",
    "make ablation-real ROOT=/path/to/dataset": "needs real frames, hours",
    "make semi": "hours",
    "make networks": "hours",
    "make surround SEEDS=config/surround/seeds.yaml": "an hour",
    "make surround": "minutes; its rules run in tests/test_workflow.py",
    "make feature-codings": "hours",
    "make test-mutants MUTANTS=losses": "minutes; tests/test_mutants.py looks at its parts",
    "make bench": "half an hour of measuring",
    "make bench-features": "minutes of measuring",
    "make bench-data ROOT=/path/to/dataset": "needs real frames",
    "make bench-gpu": "needs a GPU",
    "make bench-gpus": "needs several GPUs",
}
"""Command -> why make only says what it would do."""


def commands(text: str) -> Iterator[str]:
    """The commands of a page's shell blocks, without comments, each in one line."""
    for block in re.findall(r"^```(?:bash|sh|shell|console)\n(.*?)^```", text, re.M | re.S):
        for line in block.replace("\\\n", " ").splitlines():
            if command := re.sub(r"(^|\s+)# .*$", "", line).strip():
                yield re.sub(r"\s+", " ", command)


DOCUMENTED = sorted({command for page in PAGES for command in commands(page.read_text())})


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout as the pages assume it, with this Python as its .venv, a tiny dataset, and a home of its own."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in (
        "Makefile",
        "Snakefile",
        "benchmarks",
        "config",
        "docs",
        "envs",
        "ignet",
        "profiles",
        "tests",
        "workflow",
    ):
        (folder / name).symlink_to(ROOT / name)
    programs = folder / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name, start in (("python", ""), ("ignet", "-m ignet"), ("snakemake", "-m snakemake")):
        (programs / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {start} "$@"\n')
        (programs / name).chmod(0o755)
    for name in (".local/share/bash-completion/completions", ".zfunc", ".config/fish/completions"):
        (folder / "home" / name).mkdir(parents=True)
    tree = write_tree(folder / "ROOT", ("00", "08"), 2, 400)
    shutil.copy(tree / "sequences/08/velodyne/000000.bin", folder / "scan.bin")
    predictions = folder / "results/scribblekitti/predict/ignet/seed0/sequences/08/predictions"
    predictions.mkdir(parents=True)
    for scan in (tree / "sequences/08/velodyne").iterdir():
        np.full(400, 40, "<u4").tofile(predictions / f"{scan.stem}.label")
    settings = MinkUNetConfig(voxel=0.5, stem=4, encoder=(4, 4, 8, 8), decoder=(8, 4, 4, 4))
    save_network(
        folder / "results/demo/train_3d/ignet/seed0/model.safetensors",
        build_network(settings, label_set=SEMANTICKITTI),
        settings,
        "torch",
    )
    values = read_yaml(ROOT / "config" / "demo.yaml")
    (folder / "my-experiment.yaml").write_text(
        # JSON is YAML with its texts in quotes, as experiment files ask for
        json.dumps(
            {**values, "dataset": {"train_sequences": ["00"], "val_sequences": ["08"]}, "results": "results/mine"}
        )
    )
    page = (ROOT / "docs/your-own-sensor.md").read_text(encoding="utf-8")
    robot = re.findall(r"^```yaml\n(results: .*?)^```$", page, re.M | re.S)
    (folder / "rover-experiment.yaml").write_text(robot[0], encoding="utf-8")
    for frame in ("000000", "000001"):
        write_object_frame(folder / "data/kitti/object", frame, tree, "00", frame, TINY_CALIBRATION, np.eye(3))
    small = WorldConfig(preset="surround", frames=1, azimuths=300, image_width=128, image_height=72)
    write_nuscenes(small, folder / "data/nuscenes", ["scene-0061"])
    return folder


def execute(sandbox: Path, command: str) -> subprocess.CompletedProcess[str]:
    """Run a command by a shell, with the places that a reader puts in."""
    if command.startswith(".venv/bin/ignet check /data/my-tree") and not (sandbox / "data/my-tree").exists():
        execute(sandbox, ".venv/bin/ignet import kitti_object /data/kitti/object /data/my-tree")
    # what ignet imports has no labels, so that Snakemake gets the other tree
    trees = {"/data/my-tree": f"{sandbox}/ROOT"} if "/snakemake" in command else {"/data/": f"{sandbox}/data/"}
    there = reduce(lambda text, place: text.replace(f" {place}", f" {trees[place]}"), trees, command)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "HOME": str(sandbox / "home")}
    return subprocess.run(
        ["bash", "-c", f"set -o pipefail; {there}"],
        cwd=sandbox,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def words(sandbox: Path, command: str) -> list[str]:
    """The words that a shell makes of a command, after the program."""
    done = subprocess.run(
        ["bash", "-c", f"printf '%s\\0' {command}"], cwd=sandbox, capture_output=True, text=True, check=True
    )
    return done.stdout.split("\0")[1:-1]


def test_every_documented_command_is_tested_or_listed_with_what_it_lacks() -> None:
    kinds = (RUN, DRY_RUN, PARSED, MAKE)
    known = [command for kind in kinds for command in kind]
    assert len(known) == len(set(known))
    new = sorted(set(DOCUMENTED) - set(known))
    assert not new, f"say in {Path(__file__).name} how these are tested: {new}"
    gone = sorted(set(known) - set(DOCUMENTED))
    assert not gone, f"no page has these any more: {gone}"


@pytest.mark.slow
@pytest.mark.parametrize("command", RUN)
def test_run(sandbox: Path, command: str) -> None:
    done = execute(sandbox, command)
    assert done.returncode == RUN[command], done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    # a fault is no success and no silence
    assert done.returncode == 0 or done.stdout + done.stderr
    if found := re.search(r"> (\S+)$", command):
        path = Path(found[1].replace("~", str(sandbox / "home")))
        assert (sandbox / path).stat().st_size > 0


@pytest.mark.slow
@pytest.mark.parametrize("command", DRY_RUN)
def test_dry_run(sandbox: Path, command: str) -> None:
    done = execute(sandbox, f"{command} --dry-run")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^total\s+\d\d", done.stdout, re.M)


@pytest.mark.parametrize("command", PARSED)
def test_words(sandbox: Path, command: str) -> None:
    program, arguments = command.split()[0], words(sandbox, command)
    if program.endswith("/ignet"):
        assert make_parser().parse_args(arguments).run
    elif program.endswith("/snakemake"):
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(sandbox)
            _, parsed = parse_args(arguments)
            files = [read_yaml(path) for path in parsed.configfile or [Path("config/demo.yaml")]]
            assert load_experiment(reduce(merge, files), command).runs
    elif program.endswith("/python"):
        options = {word for word in arguments if word.startswith("--")}
        done = execute(sandbox, f"{program} {arguments[0]} --help")
        assert options <= set(re.findall(r"--[\w-]+", done.stdout)), done.stderr
    else:
        assert program == "xdg-open"


@pytest.mark.parametrize("command", MAKE)
def test_make_knows_what_it_would_do(sandbox: Path, command: str) -> None:
    done = execute(sandbox, f"{command} --just-print")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout


def test_what_a_page_adds_is_noticed() -> None:
    assert list(commands("```bash\nmake x  # what\n# only words\na \\\n  b\n```\n```yaml\nc\n```\n")) == [
        "make x",
        "a b",
    ]


# --- commands within the text -------------------------------------------------


def within_text(*programs: str) -> Iterator[list[str]]:
    """Commands of these programs in single backticks outside of blocks, as words after the program."""
    for page in PAGES:
        text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S)
        for code in re.findall(r"`([^`\n]+)`", text):
            program, *arguments = code.split()
            if program in programs and arguments:
                yield arguments


def test_commands_of_ignet_within_the_text_exist() -> None:
    below = commands_of_ignet()
    found = [
        arguments for arguments in within_text("ignet", ".venv/bin/ignet") if arguments[0] not in ("COMMAND", "--help")
    ]
    assert len(found) > 20
    for command, *arguments in found:
        assert command in below, f"ignet {command}"
        options = {word for word in arguments if word.startswith("--")}
        assert options <= set(below[command]._option_string_actions), f"ignet {command} {arguments}"


def test_options_of_snakemake_within_the_text_exist() -> None:
    options = set(get_argument_parser()._option_string_actions)
    found = {
        word
        for arguments in within_text("snakemake", ".venv/bin/snakemake")
        for word in arguments
        if word.startswith("--")
    }
    assert len(found) > 3
    assert found <= options


def test_the_command_line_page_has_every_target() -> None:
    targets = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.M))
    cells = re.findall(r"^\| (`make[ `][^|]*) \|", (ROOT / "docs" / "command-line.md").read_text(), re.M)
    named = {code.removeprefix("make ").split()[0] for cell in cells for code in re.findall(r"`([^`]+)`", cell)} - {
        "make"
    }
    assert named == targets - {"help"}
