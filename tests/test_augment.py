import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ignet.data.lidar.augment import random_view, rotate_z


def scan(points: int = 200, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.column_stack([rng.uniform(-50, 50, (points, 3)), rng.random(points)]).astype(np.float32)


def distances(points: np.ndarray) -> np.ndarray:
    return np.linalg.norm(points[:, None, :3].astype(np.float64) - points[None, :, :3], axis=2)


class TestRotateZ:
    @pytest.mark.parametrize(
        ("quarters", "expected"), [(0, (3, 1)), (1, (-1, 3)), (2, (-3, -1)), (3, (1, -3)), (4, (3, 1))]
    )
    def test_quarter_turns_are_exact(self, quarters, expected):
        turned = rotate_z(np.array([[3, 1, 5, 0.25]], np.float32), quarters * np.pi / 2)
        assert turned.tolist() == [[*expected, 5, 0.25]]

    def test_quarter_turns_leave_no_rest(self):
        for quarters, expected in [(1, (0, 2)), (2, (-2, 0)), (3, (0, -2))]:
            assert rotate_z(np.array([[2, 0]], np.float32), quarters * np.pi / 2).tolist() == [[*expected]]

    def test_value_by_hand(self):
        turned = rotate_z(np.array([[2, 0, 1, 0.5]], np.float32), np.pi / 3)
        np.testing.assert_allclose(turned, [[1, np.sqrt(3), 1, 0.5]], rtol=1e-6)

    def test_turns_counter_clockwise_by_the_angle(self):
        points = scan()
        turned = rotate_z(points, 0.3)
        change = np.arctan2(turned[:, 1], turned[:, 0]) - np.arctan2(points[:, 1], points[:, 0])
        np.testing.assert_allclose(np.mod(change, 2 * np.pi), 0.3, atol=1e-5)

    def test_argument_is_unchanged_and_dtype_kept(self):
        points = scan()
        points.setflags(write=False)
        assert rotate_z(points, 1.0).dtype == np.float32


class TestRandomView:
    def test_all_off_is_the_identity(self):
        assert np.array_equal(random_view(scan(), np.random.default_rng(0), 0, False, 0, 0), scan())

    def test_equal_to_the_formula(self):
        """Rotated, mirrored, scaled, noisy, with the numbers drawn in this order."""
        for seed in range(8):
            rng = np.random.default_rng(seed)
            (angle, factor), mirrored = rng.uniform(-1, 1, 2), rng.random(2) < 0.5
            expected = rotate_z(scan(), np.deg2rad(40 * angle))
            expected[:, :3] *= (1 + 0.5 * factor) * np.where([*mirrored, False], -1, 1)
            expected[:, :3] += 0.1 * rng.standard_normal((3, 200), np.float32).T
            view = random_view(scan(), np.random.default_rng(seed), 40, True, 0.5, 0.1)
            np.testing.assert_allclose(view, expected, atol=1e-4)

    def test_the_published_view_is_equal_to_its_formula(self):
        """ScribbleKITTI's: rotated, mirrored, x and y scaled, one shift of the whole scan."""
        for seed in range(8):
            rng = np.random.default_rng(seed)
            (angle, factor), mirrored = rng.uniform(-1, 1, 2), rng.random(2) < 0.5
            expected = rotate_z(scan(), np.deg2rad(45 * angle))
            expected[:, :2] *= (1 + 0.05 * factor) * np.where(mirrored, -1, 1)
            expected[:, :3] += 0.1 * rng.standard_normal(3, np.float32)
            view = random_view(scan(), np.random.default_rng(seed), 45, True, 0.05, 0, 0.1, "xy")
            np.testing.assert_allclose(view, expected, atol=1e-4)

    def test_a_shift_is_one_of_all_points_and_of_its_size(self):
        quiet, moved = np.zeros((5, 4), np.float32), []
        for seed in range(2000):
            view = random_view(quiet, np.random.default_rng(seed), 0, False, shift_m=0.1)
            assert (view == view[0]).all() and view[0, 3] == 0
            moved.append(view[0, :3])
        assert np.std(moved, axis=0) == pytest.approx([0.1] * 3, rel=0.1)
        assert np.abs(np.corrcoef(np.transpose(moved)) - np.eye(3)).max() < 0.1

    def test_by_default_rotated_and_mirrored_alone(self):
        for seed in range(4):
            view = random_view(scan(), np.random.default_rng(seed))
            assert np.array_equal(view, random_view(scan(), np.random.default_rng(seed), 180, True, 0, 0))

    @settings(max_examples=25)
    @given(st.integers(0, 2**32))
    def test_teacher_view_is_rigid_up_to_mirroring(self, seed):
        points = scan(40)
        view = random_view(points, np.random.default_rng(seed), 180, True)
        np.testing.assert_allclose(distances(view), distances(points), atol=1e-4)
        assert np.array_equal(view[:, 2:], points[:, 2:])

    @settings(max_examples=25)
    @given(st.integers(0, 2**32))
    def test_scale_is_one_factor_within_its_range(self, seed):
        points = scan(40)
        view = random_view(points, np.random.default_rng(seed), 180, True, scale=0.05)
        off_diagonal = ~np.eye(40, dtype=bool)
        factor = distances(view)[off_diagonal] / distances(points)[off_diagonal]
        assert factor.max() - factor.min() < 1e-4 and 0.95 - 1e-5 <= factor.mean() <= 1.05 + 1e-5

    def test_rotation_stays_within_its_range(self):
        point = np.array([[10, 0, 0, 0]], np.float32)
        angles = [np.arctan2(*random_view(point, np.random.default_rng(s), 30, False)[0, 1::-1]) for s in range(300)]
        assert np.abs(angles).max() <= np.deg2rad(30) + 1e-6
        assert min(angles) < -0.4 and max(angles) > 0.4

    def test_flips_are_fair_and_independent(self):
        point = np.array([[1, 1, 1, 0]], np.float32)
        signs = np.array([random_view(point, np.random.default_rng(s), 0, True)[0, :3] for s in range(400)])
        counts = {pair: int((signs[:, :2] == pair).all(1).sum()) for pair in [(1, 1), (1, -1), (-1, 1), (-1, -1)]}
        assert sum(counts.values()) == 400 and min(counts.values()) > 60
        assert (signs[:, 2] == 1).all()

    def test_noise_is_independent_and_of_its_size(self):
        points = scan(20_000)
        noise = random_view(points, np.random.default_rng(1), 0, False, 0, noise_m=0.02)[:, :3] - points[:, :3]
        assert np.allclose(noise.std(0), 0.02, rtol=0.05) and np.abs(noise.mean(0)).max() < 1e-3
        assert np.abs(np.corrcoef(noise.T) - np.eye(3)).max() < 0.05

    def test_remission_is_unchanged(self):
        assert np.array_equal(random_view(scan(), np.random.default_rng(2), 180, True, 0.05, 0.02)[:, 3], scan()[:, 3])

    def test_same_generator_state_gives_the_same_bytes(self):
        views = [random_view(scan(), np.random.default_rng(3), 180, True, 0.05, 0.02).tobytes() for _ in range(2)]
        assert views[0] == views[1]

    def test_switching_noise_on_leaves_the_rest_as_it_was(self):
        quiet = random_view(scan(), np.random.default_rng(4), 180, True, 0.05, 0.0)
        noisy = random_view(scan(), np.random.default_rng(4), 180, True, 0.05, 0.001)
        assert 0 < np.abs(quiet - noisy).max() < 0.01

    def test_empty_scan(self):
        assert random_view(np.zeros((0, 4), np.float32), np.random.default_rng(0), 180, True, 0.05, 0.02).shape == (
            0,
            4,
        )

    @pytest.mark.parametrize(
        "wrong", [{"rotation_degrees": -1}, {"scale": 1.0}, {"scale": -0.1}, {"noise_m": -0.1}, {"shift_m": -0.1}]
    )
    def test_exception(self, wrong):
        with pytest.raises(ValueError, match="found"):
            random_view(scan(), np.random.default_rng(0), **wrong)
