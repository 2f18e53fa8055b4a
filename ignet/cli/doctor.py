"""The command ``ignet doctor``: what is installed, whether it computes, what is missing and the command that fixes it.

It needs no package beside Python's own library, so that it can say that the others are missing.
"""

import argparse
import importlib.metadata
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tomllib
import warnings
from pathlib import Path
from typing import Any

TOLERANCE = 1e-10  # float64: the largest difference that counts as the same result
ENGINES = ("torch", "minkowski")
SETUP = "make setup"


def add_doctor(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--json", action="store_true", help="the whole report, for scripts")
    parser.add_argument("--brief", action="store_true", help="only the engines, the devices and the problems")
    parser.set_defaults(run=doctor)


def report() -> dict[str, Any]:
    """Examine this Python and this machine.

    Returns:
        ``usable`` (bool), ``problems`` (list of {what, fix, fatal}), and what was found: ``python``, ``system``,
        ``packages`` (name -> version, None where missing), ``torch``, ``devices``, ``engines`` (name -> {version,
        differences, faults}, the latter two by device), ``tools``. Nothing is raised for what is missing: it becomes a
        problem.
    """
    problems: list[dict[str, Any]] = []
    facts: dict[str, Any] = {
        "python": platform.python_version(),
        "executable": sys.executable,
        "system": platform.platform(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "packages": _packages(problems),
        "torch": {},
        "devices": [],
        "engines": {},
        "tools": _tools(problems),
    }
    try:
        import torch
    except (ImportError, OSError) as error:
        _problem(problems, f"torch cannot be imported: {_line(error)}", SETUP, fatal=True)
    else:
        facts["torch"] = _torch(torch)
        facts["devices"] = _devices(torch)
        _check_cuda(torch, facts["tools"]["driver"], problems)
        facts["engines"] = _engines(torch, problems)
    return {**facts, "problems": problems, "usable": not any(problem["fatal"] for problem in problems)}


def describe(facts: dict[str, Any]) -> str:
    """The report as text for a person, one fact a line."""
    packages = facts["packages"]
    lines = [
        f"python      {facts['python']} ({facts['executable']}) on {facts['system']}, {facts['cores']} cores",
        "packages    " + ", ".join(f"{name} {version or 'MISSING'}" for name, version in packages.items()),
    ]
    if facts["torch"]:
        torch = facts["torch"]
        lines.append(
            f"torch       {torch['version']}, CUDA {torch['cuda'] or 'none'}, BLAS {torch['blas']}, "
            f"{torch['threads']} threads"
        )
    lines += [f"device      {device}" for device in facts["devices"]]
    lines += [f"engine      {_engine_line(name, engine)}" for name, engine in facts["engines"].items()]
    lines += [f"{name:<11} {version or 'none'}" for name, version in facts["tools"].items()]
    for problem in facts["problems"]:
        lines.append(f"{'ERROR' if problem['fatal'] else 'note'}: {problem['what']}; to fix it: {problem['fix']}")
    lines.append("usable" if facts["usable"] else "NOT usable")
    return "\n".join(lines)


def doctor(args: argparse.Namespace) -> int:
    """Print the report; 0 where the project can be used, else 1."""
    facts = report()
    shown = ("device", "engine", "ERROR", "note", "NOT") if args.brief else ("",)
    lines = [line for line in describe(facts).splitlines() if line.startswith(shown)]
    print(json.dumps(facts, indent=2) if args.json else "\n".join(lines))
    return 0 if facts["usable"] else 1


def _problem(problems: list[dict[str, Any]], what: str, fix: str, fatal: bool = False) -> None:
    problems.append({"what": what, "fix": fix, "fatal": fatal})


def _line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _requirements() -> list[str]:
    """The package's own requirements, without its extras: from the checkout, else from the installed metadata."""
    project = Path(__file__).parents[2] / "pyproject.toml"
    if project.is_file():
        return list(tomllib.loads(project.read_text(encoding="utf-8"))["project"]["dependencies"])
    try:
        return [text for text in importlib.metadata.requires("ignet") or [] if "extra ==" not in text]
    except importlib.metadata.PackageNotFoundError:
        return []


def _packages(problems: list[dict[str, Any]]) -> dict[str, str | None]:
    versions: dict[str, str | None] = {}
    for requirement in ["ignet", *_requirements()]:
        name = re.split(r"[^A-Za-z0-9._-]", requirement)[0]
        versions[name] = _version(name)
        if versions[name] is None:
            # the package runs from the checkout too; only scripts started elsewhere need it installed
            _problem(problems, f"{name} is not installed in {sys.executable}", SETUP, fatal=name != "ignet")
        elif not _satisfies(versions[name], requirement):
            _problem(problems, f"{name}: found {versions[name]}, expected {requirement}", SETUP)
    return versions


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _satisfies(version: str | None, requirement: str) -> bool:
    try:
        from packaging.requirements import Requirement
    except ImportError:  # missing itself, which is reported as such
        return True
    return Requirement(requirement).specifier.contains(version or "0", prereleases=True)


def _tools(problems: list[dict[str, Any]]) -> dict[str, str | None]:
    candidates = [os.environ["CXX"]] if os.environ.get("CXX") else ["g++", "c++", "clang++"]
    compiler = next((text for text in map(_first_line, candidates) if text), None)
    # the command beside this Python comes first: the one on the PATH may belong to another environment
    snakemake = shutil.which(
        "snakemake", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    )
    if snakemake is None:
        _problem(problems, "the snakemake command is missing", SETUP, fatal=True)
    return {
        "snakemake": snakemake,
        "compiler": compiler,
        "nvcc": _first_line("nvcc"),
        "driver": _driver(),
        "slurm": _first_line("sbatch"),
    }


def _driver() -> str | None:
    """Version of NVIDIA's driver and the newest CUDA that it runs, as ``nvidia-smi`` shows them; none without one."""
    versions = re.search(r"Driver Version:\s*([\d.]+)\s*CUDA Version:\s*([\d.]+)", _output("nvidia-smi"))
    return f"NVIDIA {versions[1]}, for CUDA up to {versions[2]}" if versions else None


def _first_line(command: str) -> str | None:
    """What ``command --version`` says; the line that names a release where there is one."""
    lines = [line.strip() for line in _output(command, "--version").splitlines() if line.strip()]
    return next((line for line in lines if "release" in line), lines[0] if lines else None)


def _output(command: str, *arguments: str) -> str:
    """What a command prints; empty where it is missing or fails."""
    path = shutil.which(command) or command
    try:
        return subprocess.run([path, *arguments], capture_output=True, text=True, timeout=60, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ""


def _torch(torch: Any) -> dict[str, Any]:
    blas = re.search(r"BLAS_INFO=(\w+)", torch.__config__.show())
    return {
        "version": torch.__version__,
        "cuda": torch.version.cuda,
        "blas": blas.group(1) if blas else "unknown",
        "threads": torch.get_num_threads(),
    }


def _devices(torch: Any) -> list[str]:
    devices = ["cpu"]
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        memory = properties.total_memory / 2**30
        devices.append(f"cuda:{index} {properties.name}, {memory:.0f} GiB, sm_{properties.major}{properties.minor}")
    return devices


def _check_cuda(torch: Any, driver: str | None, problems: list[dict[str, Any]]) -> None:
    """Report a GPU that is there, or that this process was given, and that torch cannot use."""
    from ignet.devices import CUDA_REMEDY, cuda_fault, given_gpus

    given = given_gpus()
    if (driver or given) and not torch.cuda.is_available():
        _problem(problems, f"a GPU is not used ({driver or given}): {cuda_fault()}", CUDA_REMEDY)


def _engines(torch: Any, problems: list[dict[str, Any]]) -> dict[str, Any]:
    engines: dict[str, Any] = {}
    devices = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    for name in ENGINES:
        engine: dict[str, Any] = {
            "version": _version("MinkowskiEngine" if name == "minkowski" else "torch"),
            "differences": {},
            "faults": {},
        }
        engines[name] = engine
        if engine["version"] is None:
            _problem(
                problems, "MinkowskiEngine is not installed, the torch engine is used", f"install g++, then {SETUP}"
            )
            continue
        for device in devices:
            fault = _try_engine(name, device, engine["differences"])
            if fault:
                engine["faults"][device] = fault
                fix = f"MINKOWSKI=again {SETUP}" if name == "minkowski" else SETUP
                _problem(problems, f"the {name} engine does not work on {device}: {fault}", fix, fatal=name == "torch")
    return engines


def _try_engine(name: str, device: str, differences: dict[str, float]) -> str | None:
    """Note how far the engine is from the dense convolution; returns what is wrong with it, none where nothing is."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # MinkowskiEngine warns at each import that it was built for the CPU, which is known
            differences[device] = convolution_difference(name, device)
    except Exception as error:  # a binary of another build fails in ways of its own; all of them mean the same here
        return _line(error)
    if not differences[device] <= TOLERANCE:
        return f"differs from a dense convolution by {differences[device]:.1e}"
    return None


def convolution_difference(engine: str, device: str) -> float:
    """How far a sparse convolution, and its gradients, are from the dense one of torch.

    A 3x3x3 convolution in float64, 3 to 4 channels, on every voxel of a small grid that a fixed pattern occupies; the
    dense convolution over the grid, with zeros where there is no voxel, is another way to the same numbers.

    Args:
        engine: ``torch`` or ``minkowski``.
        device: ``cpu`` or ``cuda``.

    Returns:
        Largest absolute difference of outputs, gradients of the features and gradients of the kernel; all values are
        about 1.

    Raises:
        IgnetError: the engine is not there.
    """
    import torch
    from torch.nn.functional import conv3d

    from ignet.models.sparse.engine import make_geometry

    side = 5
    draw = torch.Generator().manual_seed(0)
    occupied = (torch.rand(side, side, side, generator=draw) < 0.5).nonzero()
    coordinates = torch.cat([torch.zeros(len(occupied), 1, dtype=torch.int64), occupied], dim=1).int()
    features = torch.randn(len(occupied), 3, generator=draw, dtype=torch.float64)
    kernel = torch.randn(27, 3, 4, generator=draw, dtype=torch.float64) / 9
    weights = torch.randn(len(occupied), 4, generator=draw, dtype=torch.float64)

    def with_gradients(out: torch.Tensor, leaves: list[torch.Tensor]) -> list[torch.Tensor]:
        (out * weights.to(out.device)).sum().backward()
        return [out.detach().cpu(), *(leaf.grad.cpu() for leaf in leaves if leaf.grad is not None)]

    sparse = [tensor.to(device).requires_grad_() for tensor in (features.clone(), kernel.clone())]
    geometry = make_geometry(engine, coordinates.to(device))
    result = with_gradients(geometry.convolve(sparse[0], sparse[1], 3, 1, 1), sparse)

    dense = [tensor.clone().requires_grad_() for tensor in (features, kernel)]
    grid = torch.zeros(side, side, side, 3, dtype=torch.float64).index_put(tuple(occupied.T), dense[0])
    # k = ix + 3 iy + 9 iz, so the kernel's axes are z, y, x; conv3d wants (out, in, x, y, z)
    cube = dense[1].view(3, 3, 3, 3, 4).permute(4, 3, 2, 1, 0)
    out = conv3d(grid.permute(3, 0, 1, 2)[None], cube, padding=1)[0].permute(1, 2, 3, 0)[tuple(occupied.T)]
    expected = with_gradients(out, dense)
    return max((a - b).abs().max().item() for a, b in zip(result, expected, strict=True))


def _engine_line(name: str, engine: dict[str, Any]) -> str:
    if engine["version"] is None:
        return f"{name}: not installed"
    checked = [
        f"{device}: computes, differs from dense by {value:.0e}" for device, value in engine["differences"].items()
    ]
    faults = [f"{device}: {fault}" for device, fault in engine["faults"].items()]
    return f"{name} {engine['version']}, " + "; ".join(checked + faults)
