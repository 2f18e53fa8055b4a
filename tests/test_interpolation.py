"""Interpolation between voxels of a coarser level, and means over the points in them, beside plain loops."""

import itertools
import math
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from test_minkunet import ENGINES, voxels
from torch import Tensor

from ignet.models.sparse.engine import make_geometry
from ignet.models.sparse.interpolation import find_corners, interpolate, scatter_mean

Cell = tuple[int, int, int, int]
double = partial(torch.tensor, dtype=torch.float64)


def interpolated(point: Cell, values: dict[Cell, float], stride: int) -> float:
    """The formula in plain numbers: a voxel counts by the volume of the box between the point and the far corner."""
    batch, low = point[0], [c // stride * stride for c in point[1:]]
    total = weights = 0.0
    for steps in itertools.product((0, 1), repeat=3):
        corner = (batch, *(origin + stride * step for origin, step in zip(low, steps, strict=True)))
        if corner in values:
            sides = (stride - abs(at - c) for at, c in zip(point[1:], corner[1:], strict=True))
            weight = math.prod(sides) / stride**3
            total, weights = total + weight * values[corner], weights + weight
    return total / weights


@given(
    st.lists(st.tuples(st.integers(0, 1), *[st.integers(-9, 9)] * 3), min_size=1, max_size=40),
    st.sampled_from([1, 2, 4, 16]),
    st.randoms(use_true_random=False),
)
def test_interpolation_and_means_are_those_of_plain_loops(cells: list[Cell], stride: int, random) -> None:
    owners = [(b, *(c // stride * stride for c in xyz)) for b, *xyz in cells]
    levels = list(dict.fromkeys(owners))
    random.shuffle(levels)  # an engine orders them as it likes
    values = {cell: random.uniform(-1, 1) for cell in levels}
    corners = find_corners(torch.tensor(cells).int(), torch.tensor(levels).int(), stride)
    assert corners.rows.dtype == torch.int64 and corners.weights.shape == (len(cells), 8)
    features = double([[values[cell], 1.0] for cell in levels])
    expected = [[interpolated(cell, values, stride), 1.0] for cell in cells]
    torch.testing.assert_close(interpolate(features, corners), double(expected), rtol=1e-12, atol=1e-12)
    assert corners.rows[:, 0].tolist() == [levels.index(owner) for owner in owners]

    points = double([[random.uniform(-1, 1), float(n)] for n in range(len(cells))])
    own = [[point for point, owner in zip(points.tolist(), owners, strict=True) if owner == cell] for cell in levels]
    means = [[sum(column) / len(part) for column in zip(*part, strict=True)] for part in own]
    found = scatter_mean(points, corners.rows[:, 0], len(levels))
    torch.testing.assert_close(found, double(means), rtol=1e-12, atol=1e-12)


def test_level_one_is_its_own_interpolation() -> None:
    coordinates, _, _ = voxels()
    features = torch.randn(len(coordinates), 3)
    corners = find_corners(coordinates, coordinates, 1)
    assert torch.equal(interpolate(features, corners), features)
    assert torch.equal(scatter_mean(features, corners.rows[:, 0], len(features)), features)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("stride", [2, 4, 8])
def test_a_linear_field_comes_back_where_all_eight_voxels_are_there(engine: str, stride: int) -> None:
    cube = torch.cartesian_prod(torch.arange(1), *[torch.arange(-12, 8)] * 3).int()
    geometry = make_geometry(engine, cube[torch.randperm(len(cube), generator=torch.Generator().manual_seed(0))])
    points, level = geometry.coordinates(1), geometry.coordinates(stride)
    corners = find_corners(points, level, stride)
    surrounded = (corners.rows.sort(1).values.diff(dim=1) > 0).all(1)
    field = level[:, 1:].double() @ double([[0.5], [-2.0], [3.0]])
    expected = points[:, 1:].double() @ double([[0.5], [-2.0], [3.0]])
    assert surrounded.sum() >= 512
    torch.testing.assert_close(interpolate(field, corners)[surrounded], expected[surrounded])


def test_scans_of_a_batch_do_not_mix() -> None:
    points = torch.tensor([[0, 1, 1, 1], [1, 1, 1, 1]]).int()
    level = torch.tensor([[1, 0, 0, 0], [0, 0, 0, 0], [1, 2, 0, 0]]).int()
    features = torch.tensor([[1.0], [5.0], [2.0]])
    assert interpolate(features, find_corners(points, level, 2)).tolist() == [[5.0], [1.5]]


def test_gradients() -> None:
    coordinates, _, _ = voxels()
    level = make_geometry("torch", coordinates).coordinates(4)
    corners = find_corners(coordinates[:60], level, 4)
    features = torch.randn(len(level), 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: interpolate(x, corners), features)
    rows = torch.tensor([2, 0, 1, 1, 0, 2, 2])
    points = torch.randn(7, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: scatter_mean(x, rows, 3), points)


def test_half_precision_is_interpolated_in_float32() -> None:
    coordinates, _, _ = voxels()
    level = make_geometry("torch", coordinates).coordinates(4)
    corners, features = find_corners(coordinates, level, 4), torch.randn(len(level), 2).bfloat16()
    found: Tensor = interpolate(features, corners)
    assert found.dtype == torch.float32 and torch.equal(found, interpolate(features.float(), corners))
