"""Which sparse engine runs."""

import importlib.util
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ignet.errors import IgnetError
from ignet.models.sparse.geometry import Convolution, Geometry
from ignet.models.sparse.torch_engine import TorchGeometry

ENGINES = ("torch", "minkowski")
Engine = str | Callable[[Tensor], Geometry]


def resolve_engine(name: str, device: torch.device) -> str:
    """Turn ``auto``, ``torch`` or ``minkowski`` into the engine that will run on ``device``.

    ``auto`` takes torch, on CUDA too: minkowski has not been measured there. A named engine is taken or refused, never
    replaced.

    Raises:
        IgnetError: the name is unknown, or the named engine cannot run here.
    """
    if name == "auto":
        return "torch"
    if name not in ENGINES:
        raise IgnetError(f"sparse engine: found '{name}', expected auto, {' or '.join(ENGINES)}")
    fault = minkowski_fault(device) if name == "minkowski" else None
    if fault:
        raise IgnetError(
            f"sparse engine minkowski: {fault}; install it with `make setup`, or set engine: torch (same weights and "
            "results)"
        )
    return name


def minkowski_fault(device: torch.device) -> str | None:
    """Why MinkowskiEngine cannot run on ``device``; none where it can."""
    if importlib.util.find_spec("MinkowskiEngine") is None:
        return "MinkowskiEngine is not installed"
    try:
        from ignet.models.sparse.minkowski_engine import supports_cuda
    except Exception as error:  # a build for another torch fails in many ways
        return f"MinkowskiEngine is installed but cannot be imported ({' '.join(str(error).split())})"
    if device.type == "cuda" and not supports_cuda():
        return f"the installed MinkowskiEngine was built without CUDA, and the device is {device}"
    return None


def make_geometry(engine: Engine, coordinates: Tensor, convolutions: Sequence[Convolution] = ()) -> Geometry:
    """The voxels of one batch in an engine from `resolve_engine`.

    Args:
        engine: ``torch``, ``minkowski``, or a function from coordinates to a geometry, such as one that only counts.
        coordinates: int32 (N, 4) batch, x, y, z; each voxel once; on the device that computes.
        convolutions: what the network will ask for, none of them transposed. An engine that waits for a GPU while it
            finds neighbours then does so once for all.

    Raises:
        IgnetError: the engine is not there, or the coordinates are not as they should be.
    """
    if callable(engine):
        return engine(coordinates)
    if resolve_engine(engine, coordinates.device) == "minkowski":
        from ignet.models.sparse.minkowski_engine import MinkowskiGeometry

        return MinkowskiGeometry(coordinates)
    return TorchGeometry(coordinates, convolutions)
