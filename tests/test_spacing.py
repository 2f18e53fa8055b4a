import numpy as np
import pytest

from ignet.data.lidar.spacing import evenly_spaced_indices, middles


@pytest.mark.parametrize(
    ("count", "most", "expected"), [(5, 9, [0, 1, 2, 3, 4]), (5, 3, [0, 2, 4]), (5, 2, [0, 4]), (5, 1, [0]), (0, 3, [])]
)
def test_by_hand(count, most, expected):
    assert evenly_spaced_indices(count, most).tolist() == expected


def test_each_once_and_in_order():
    for count in range(2, 60):
        for most in range(1, count + 2):
            found = evenly_spaced_indices(count, most)
            assert len(found) == min(most, count) and (np.diff(found) > 0).all() and found[-1] < count


def test_middles_of_equally_long_parts() -> None:
    assert middles(["00", "01", "02", "03"], 2) == ["01", "03"]
    assert middles(["00", "01"], 9) == ["00", "01"]
    assert middles(["00", "01"], 0) == middles([], 2) == []
    assert middles(range(10), 2) == [2, 7]
    assert middles(range(10), 1) == [5]
