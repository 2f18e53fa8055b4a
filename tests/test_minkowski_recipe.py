"""The recipe that builds MinkowskiEngine, and the set-up that calls it: the real scripts, with a pip and an nvcc that
only note what they are asked for."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TOLD = {"CXX", "CUDA_HOME", "CUDA_PACKAGES", "TORCH_CUDA_ARCH_LIST", "MAX_JOBS", "MINKOWSKI", "TORCH_INDEX_URL"}

# The Python of an environment whose torch was built for CUDA 13.0. Its pip "compiles" by calling g++ or nvcc as the
# environment tells it to, and what it installs says what it was built for.
PYTHON = """#!/bin/bash
case "$*" in
  -) echo "$TORCH_CUDA|$VISIBLE|lib|$SITE" ;;
  "- lib") ;;
  *find_spec*) ;;
  "-c "*cuda-toolkit*) echo 13.0.3 ;;
  "-m pip wheel"*)
    options=$(grep -o -- '--[a-z]*_[a-z]*' "${@: -1}")
    echo "build $options" >> "$NOTES"
    [ "$options" != --force_cuda ] || "$CUDA_HOME/bin/nvcc" $NVCC_PREPEND_FLAGS -c kernel.cu || exit 1
    while [ "$1" != --wheel-dir ]; do shift; done
    mkdir -p "$2" && echo "$options" > "$2/MinkowskiEngine.whl" ;;
  *--target*) while [ "$1" != --target ]; do shift; done; mkdir -p "$2" && cp "$3" "$2/" ;;
  *MinkowskiEngine.whl) echo "install $(cat "${@: -1}")" >> "$NOTES"; cp "${@: -1}" "$(dirname "$0")" ;;
  *nvcc,cccl*)
    echo "pip ${@: -1}" >> "$NOTES"
    [ -z "$PIP_ERROR" ] || { echo "$PIP_ERROR" >&2; exit 1; }
    cp nvcc "$SITE/nvidia/cu13/bin/" ;;
  "-m pip"*) echo "pip ${@: -1}" >> "$NOTES" ;;
  *selftest.py)
    built=$(cat "${PYTHONPATH:-$(dirname "$0")}/MinkowskiEngine.whl") || exit 1
    [ "$built" != "$BROKEN" ] || { echo "ImportError: undefined symbol"; exit 1; }
    echo "MinkowskiEngine 0.5.4, built for $built, computes on cpu" ;;
  *doctor*) ;;
  *) exec "$REAL" "$@" ;;
esac
"""
NVCC = """#!/bin/bash
case "$*" in
  *--version*) echo "Cuda compilation tools, release $NVCC_RELEASE, V$NVCC_RELEASE.88" ;;
  *--dryrun*) echo "#$ TOP=$(dirname "$0")/.." >&2 ;;
  *)
    echo "nvcc $TORCH_CUDA_ARCH_LIST" >> "$NOTES"
    for library in cudart cusparse; do [ -f "${LDFLAGS#-L}/lib$library.so" ] || echo "no lib$library" >> "$NOTES"; done
    compiles() { g++ "$@" -E -x c++ - > /dev/null || echo "a header is missing" >> "$NOTES"; }
    echo '#include <cblas.h>' | compiles $(printf '%s\\n' "$@" | grep -- '^-I')
    printf '#include <%s.h>\\n' cblas thrust cudnn | compiles $CFLAGS
    [ -z "$NVCC_ERROR" ] || { printf '  %s\\n' 'error: subprocess-exited-with-error' "$NVCC_ERROR" >&2; exit 1; } ;;
esac
"""


class Machine:
    """A copy of the scripts beside such an environment; `notes` are what its pip and nvcc were asked for."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.home = folder / "site/nvidia/cu13"
        shutil.copytree(ROOT / "envs", folder / "envs")
        for name in ("pyproject.toml", "ignet/cli/doctor.py"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
        for name in (
            "include/cccl/thrust.h",
            "../cudnn/include/cudnn.h",
            "lib/libcudart.so.13",
            "lib/libcusparse.so.12",
        ):
            (self.home / name).parent.mkdir(parents=True, exist_ok=True)
            (self.home / name).touch()
        self._script(folder / ".venv/bin/python", PYTHON)
        self._script(self.home / "bin/nvcc", NVCC)

    @staticmethod
    def _script(path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)

    @property
    def notes(self) -> list[str]:
        path = self.folder / "notes"
        return path.read_text().splitlines() if path.exists() else []

    def run(self, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        (self.folder / "notes").unlink(missing_ok=True)
        pretended = {
            "NOTES": str(self.folder / "notes"),
            "REAL": sys.executable,
            "TORCH_CUDA": "13.0",
            "SITE": str(self.folder / "site"),
            "CUDA_HOME": str(self.home),
            "NVCC_RELEASE": "13.0",
            "VISIBLE": "",
            "BROKEN": "none",
            "NVCC_ERROR": "",
            "PIP_ERROR": "",
        }
        return subprocess.run(
            [self.folder / command[0], *command[1:]],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            cwd=self.folder,
            env={**{key: value for key, value in os.environ.items() if key not in TOLD}, **pretended, **environment},
        )

    def build(self, **environment: str) -> subprocess.CompletedProcess[str]:
        return self.run("envs/minkowski/build.sh", str(self.folder / ".venv"), **environment)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_for_cuda_both_compilers_find_headers_and_the_linker_its_libraries(machine: Machine) -> None:
    answer = machine.build(TORCH_CUDA_ARCH_LIST="8.0;9.0")
    assert answer.returncode == 0, answer.stderr
    assert machine.notes == ["build --force_cuda", "nvcc 8.0;9.0", "install --force_cuda"]
    assert "compiling for CUDA 13.0 (8.0;9.0)" in answer.stdout
    assert answer.stdout.endswith("[3/4] MinkowskiEngine 0.5.4, built for --force_cuda, computes on cpu\n")


@pytest.mark.parametrize(
    "error",
    [
        "kernel.cu(7): error: no thrust here",
        "nvcc error   : 'cicc' died",
        "ptxas fatal   : Unresolved extern",
        "Killed",
    ],
)
def test_where_nvcc_fails_the_cpu_build_is_installed_and_one_line_says_why(machine: Machine, error: str) -> None:
    answer = machine.build(TORCH_CUDA_ARCH_LIST="9.0", NVCC_ERROR=error)
    assert answer.returncode == 0, answer.stderr
    assert machine.notes == ["build --force_cuda", "nvcc 9.0", "build --cpu_only", "install --cpu_only"]
    said = [line for line in answer.stdout.splitlines() if "for the CPU only" in line]
    assert len(said) == 1
    assert f"for the CPU only: the CUDA build failed: {error} (see " in said[0]


def test_a_cuda_build_that_cannot_be_imported_is_never_installed(machine: Machine) -> None:
    answer = machine.build(VISIBLE="9.0", BROKEN="--force_cuda")
    assert answer.returncode == 0, answer.stderr
    assert machine.notes == ["build --force_cuda", "nvcc 9.0", "build --cpu_only", "install --cpu_only"]
    assert "the CUDA build failed: ImportError: undefined symbol" in answer.stdout


def test_a_cpu_build_that_cannot_be_imported_is_a_failure(machine: Machine) -> None:
    answer = machine.build(TORCH_CUDA="", BROKEN="--cpu_only")
    assert answer.returncode not in {0, 3}
    assert machine.notes == ["build --cpu_only"]


@pytest.mark.parametrize(
    ("environment", "reason"),
    [
        ({"NVCC_RELEASE": "12.9", "VISIBLE": "9.0"}, "torch was built with CUDA 13.0, and nvcc is CUDA 12.9"),
        (
            {"CUDA_HOME": "nowhere", "SITE": "nowhere", "VISIBLE": "9.0"},
            "torch was built with CUDA 13.0, and there is no nvcc",
        ),
        ({"VISIBLE": ""}, "no GPU is visible; set TORCH_CUDA_ARCH_LIST"),
    ],
)
def test_without_what_cuda_needs_the_build_is_for_the_cpu(
    machine: Machine, environment: dict[str, str], reason: str
) -> None:
    answer = machine.build(**environment)
    assert answer.returncode == 0, answer.stderr
    assert machine.notes == ["build --cpu_only", "install --cpu_only"]
    assert f"for the CPU only: {reason}" in answer.stdout


def test_the_compiler_comes_from_packages_of_the_release_that_torch_asks_for(machine: Machine) -> None:
    (machine.home / "bin/nvcc").rename(machine.folder / "nvcc")
    answer = machine.build(VISIBLE="9.0", CUDA_HOME="nowhere", CUDA_PACKAGES="yes")
    assert "installing CUDA's compiler" in answer.stdout
    asked, *built = machine.notes
    assert asked == "pip cuda-toolkit[nvcc,cccl]==13.0.3"
    assert built == ["build --force_cuda", "nvcc 9.0", "install --force_cuda"]


def test_where_the_packages_of_the_compiler_do_not_come_one_line_says_why(machine: Machine) -> None:
    (machine.home / "bin/nvcc").unlink()
    failing = {"CUDA_PACKAGES": "yes", "PIP_ERROR": "ERROR: No matching distribution found"}
    answer = machine.build(VISIBLE="9.0", CUDA_HOME="nowhere", **failing)
    assert answer.returncode == 0, answer.stderr
    said = [line for line in answer.stdout.splitlines() if "for the CPU only" in line]
    assert len(said) == 1
    assert "could not be installed: ERROR: No matching distribution found (see " in said[0]
    assert machine.notes[1:] == ["build --cpu_only", "install --cpu_only"]


def test_packages_for_cuda_are_refused_where_torch_is_for_the_cpu(machine: Machine) -> None:
    answer = machine.build(TORCH_CUDA="", CUDA_PACKAGES="yes")
    assert answer.returncode == 3
    assert answer.stderr.startswith("the installed torch was built for the CPU, expected a CUDA build")
    assert machine.notes == []


def test_without_a_compiler_the_recipe_says_so_in_one_line(machine: Machine, tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("bash", "env", "dirname", "mkdir", "mktemp", "rm"):
        (tools / name).symlink_to(shutil.which(name) or name)
    answer = machine.build(PATH=str(tools))
    assert answer.returncode == 3
    assert answer.stderr == "no C++ compiler (Debian, Ubuntu: apt install g++)\n"


def test_with_a_compiler_that_fails_the_recipe_says_so_in_one_line(machine: Machine) -> None:
    answer = machine.build(CXX="false")
    assert answer.returncode == 3
    assert len(answer.stderr.splitlines()) == 1
    assert answer.stderr.startswith("false does not compile C++20 with OpenMP")


def test_setup_remembers_what_a_build_was_told(machine: Machine) -> None:
    """A later call that says nothing keeps the CUDA build; one that says another thing makes it anew."""
    first = machine.run("envs/setup.sh", TORCH_CUDA_ARCH_LIST="9.0")
    assert first.returncode == 0, first.stderr
    assert "install --force_cuda" in machine.notes
    later = machine.run("envs/setup.sh", CUDA_HOME="")
    assert "[3/4] MinkowskiEngine: up to date" in later.stdout
    assert machine.notes == []
    for environment in ({"TORCH_CUDA_ARCH_LIST": "8.0"}, {"MINKOWSKI": "again"}):
        machine.run("envs/setup.sh", CUDA_HOME="", **environment)
        assert machine.notes == ["build --force_cuda", "nvcc 8.0", "install --force_cuda"]


def test_setup_tries_a_failed_build_again_only_when_told_to(machine: Machine) -> None:
    failing = {"TORCH_CUDA": "", "BROKEN": "--cpu_only"}
    first = machine.run("envs/setup.sh", **failing)
    assert first.returncode == 0, first.stderr
    assert "[3/4] MinkowskiEngine: not built, " in first.stdout
    later = machine.run("envs/setup.sh", **failing)
    assert "the build failed before" in later.stdout
    assert machine.notes == []
    machine.run("envs/setup.sh", **failing, MINKOWSKI="again")
    assert machine.notes[0] == "build --cpu_only"


def test_setup_keeps_a_build_that_it_did_not_make_until_told_otherwise(machine: Machine) -> None:
    (machine.folder / ".venv/bin/MinkowskiEngine.whl").write_text("another")
    answer = machine.run("envs/setup.sh")
    assert "MinkowskiEngine 0.5.4, built for another, computes on cpu: kept" in answer.stdout
    (machine.folder / ".venv/stamps/minkowski").unlink()
    machine.run("envs/setup.sh", MINKOWSKI="again")
    assert "install --cpu_only" in machine.notes
