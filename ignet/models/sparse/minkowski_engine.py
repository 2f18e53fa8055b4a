"""Sparse convolution by MinkowskiEngine 0.5.4, the engine of the field's published code.

Only its coordinate manager and its convolution functions are used, on this package's own weights: layers and
checkpoints are the same for both engines.
"""

import collections
import collections.abc
import warnings
from typing import Any

import torch
from torch import Tensor

from ignet.models.sparse.geometry import check_convolution, check_coordinates, duplicate_error, is_transposed
from ignet.models.sparse.levels import VOXELS, Axes, Level, Stride, as_axes, as_level, find_sites, unpack

# MinkowskiEngine 0.5.4 imports the name from where python had it before 3.10
collections.Sequence = collections.abc.Sequence  # type: ignore[attr-defined]

with warnings.catch_warnings():
    # a build for the CPU says so on every import
    warnings.filterwarnings("ignore", message="The MinkowskiEngine was compiled with CPU_ONLY")
    import MinkowskiEngine as ME
    from MinkowskiEngineBackend._C import ConvolutionMode


def supports_cuda() -> bool:
    """The installed MinkowskiEngine was compiled for CUDA."""
    return bool(ME.is_cuda_available())


class MinkowskiGeometry:
    """Voxels and kernel maps in MinkowskiEngine; see `ignet.models.sparse.geometry.Geometry`."""

    engine = "minkowski"

    def __init__(self, coordinates: Tensor):
        """Take int32 (N, 4) coordinates (batch, x, y, z), each voxel once.

        Raises:
            IgnetError: wrong shape or type, out of range, or duplicates.
        """
        check_coordinates(coordinates)
        self.device = coordinates.device
        self._manager = ME.CoordinateManager(
            D=3,
            num_threads=torch.get_num_threads(),
            coordinate_map_type=ME.CoordinateMapType.CUDA if self.device.type == "cuda" else ME.CoordinateMapType.CPU,
        )
        key, (unique, _) = self._manager.insert_and_map(coordinates.contiguous(), 1, "")
        if self._manager.size(key) != len(coordinates):
            raise duplicate_error(len(coordinates), self._manager.size(key))
        self._keys = {VOXELS: key}
        self._coordinates = coordinates
        # its rows may stand in another order than the caller's: ours[to_engine] are its rows, its[to_caller] ours
        self._to_engine: Tensor | None = None
        self._to_caller: Tensor | None = None
        found = self._manager.get_coordinates(key)
        if not torch.equal(found, coordinates):
            self._to_engine = unique.long()
            self._to_caller = torch.argsort(self._to_engine)
            if not torch.equal(found, coordinates[self._to_engine]):
                raise RuntimeError("MinkowskiEngine's map of unique coordinates does not give the order of its rows")

    def rows(self, stride: Stride) -> int:
        """Number of voxels of a level."""
        return int(self._manager.size(self._key(as_level(stride))))

    def coordinates(self, stride: Stride) -> Tensor:
        """int32 (rows, 4) of a level."""
        if as_level(stride) == VOXELS:
            return self._coordinates
        found: Tensor = self._manager.get_coordinates(self._key(as_level(stride)))
        return found

    def convolve(
        self, features: Tensor, kernel: Tensor, kernel_size: int | Axes, in_stride: Stride, out_stride: Stride
    ) -> Tensor:
        """Sparse convolution; see `ignet.models.sparse.geometry.Geometry.convolve`.

        Half precision is computed in the weight's.
        """
        check_convolution(self.rows(in_stride), features, kernel, kernel_size, in_stride, out_stride)
        source, target, transposed = as_level(in_stride), as_level(out_stride), is_transposed(in_stride, out_stride)
        fine, coarse = (target, source) if transposed else (source, target)
        function = ME.MinkowskiConvolutionTransposeFunction if transposed else ME.MinkowskiConvolutionFunction
        generator = ME.KernelGenerator(
            kernel_size=list(as_axes(kernel_size)),
            stride=[large // small for large, small in zip(coarse.stride, fine.stride, strict=True)],
            dilation=1,
            dimension=3,
        )
        if source == VOXELS and self._to_engine is not None:
            features = features.index_select(0, self._to_engine)
        with torch.autocast(self.device.type, enabled=False):
            result: Tensor = function.apply(
                features.to(kernel.dtype),
                kernel,
                generator,
                ConvolutionMode.DEFAULT,
                self._key(source),
                self._key(target),
                self._manager,
            )
        if target == VOXELS and self._to_caller is not None:
            result = result.index_select(0, self._to_caller)
        return result

    def _key(self, level: Level) -> Any:
        if level not in self._keys:
            self._keys[level] = self._make(level)
        return self._keys[level]

    def _make(self, level: Level) -> Any:
        """The engine's own key of a new level."""
        if level.reach is None:
            return self._manager.stride(self._keys[VOXELS], list(level.stride))
        keys, first = find_sites(self._coordinates, level)
        # a name, as another level may have the same stride
        return self._manager.insert_and_map(unpack(keys[first]), list(level.stride), str(len(self._keys)))[0]
