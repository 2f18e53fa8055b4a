from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ignet.config.mixing import FOVMixConfig
from ignet.data.label_sets.label_set import SEMANTICKITTI
from ignet.data.lidar.augment import rotate_z
from ignet.data.lidar.mixing.fovmix import check_disjoint, fovmix, merged, mix, of_one_camera, turn_sectors
from ignet.data.lidar.mixing.sample import Sample, join
from ignet.data.projection.geometry import in_sector

WIDE = 4


def sample(number: int, points: int, sector: tuple[float, float], seed: int = 0, width: int = WIDE) -> Sample:
    """A scan whose remission tells each point's origin exactly: scan number + 64 * point number, below 2^24.

    Label and feature are functions of that origin, so that a mixed point shows whether they came along.
    """
    rng = np.random.default_rng([seed, number])
    origin = number + 64 * np.arange(points)
    xyz = np.column_stack([rng.uniform(-50, 50, (points, 2)), rng.uniform(-3, 1, points)])
    cloud = np.column_stack([xyz, origin]).astype(np.float32)
    seen = in_sector(cloud, *sector) & (rng.random(points) < 0.7)
    rows = rng.permutation(np.flatnonzero(seen)).astype(np.int32)  # rows in another order than the points
    feature_of = np.full(points, -1, np.int32)
    feature_of[rows] = np.arange(len(rows))
    return Sample(cloud, label_of(origin), seen, feature_for(origin[rows], width), feature_of, {2: sector})


def bare(points: int, labels: int) -> Sample:
    """Points at the origin without features."""
    nothing = np.zeros((0, 0), np.float32)
    return Sample(
        np.zeros((points, 4), np.float32),
        np.zeros(labels, np.uint8),
        np.zeros(points, bool),
        nothing,
        -np.ones(points, np.int32),
        {2: (0, 1)},
    )


def label_of(origin: np.ndarray) -> np.ndarray:
    label = (origin * 7 % 23).astype(np.uint8)
    return np.where(label > 18, 255, label).astype(np.uint8)


def feature_for(origin: np.ndarray, width: int = WIDE) -> np.ndarray:
    return np.sin(origin[:, None] * np.arange(1, width + 1)).astype(np.float32)


def check_travelled(mixed: Sample, sources: dict[int, tuple[Sample, float]]) -> None:
    """Every point of ``mixed`` is one point of its source (turned by the source's angle), with its own label, in_fov
    and feature."""
    origin = mixed.points[:, 3].astype(np.int64)
    assert len(np.unique(origin)) == len(origin)  # none twice
    assert np.array_equal(mixed.labels, label_of(origin))
    has = mixed.feature_of >= 0
    assert np.array_equal(mixed.feature[mixed.feature_of[has]], feature_for(origin[has], mixed.feature.shape[1]))
    assert has.sum() == len(mixed.feature)
    for number, (source, angle) in sources.items():
        mine = origin % 64 == number
        index = origin[mine] // 64
        assert np.array_equal(mixed.points[mine], rotate_z(source.points[index], angle))
        assert np.array_equal(mixed.in_fov[mine], source.in_fov[index])
        assert np.array_equal(has[mine], source.feature_of[index] >= 0)
    assert np.isin(origin % 64, list(sources)).all()


sectors = st.tuples(st.floats(-3, 3), st.floats(0.05, 1.5)).map(lambda s: (s[0], s[0] + s[1]))


class TestOneFrustum:
    def test_by_hand(self):
        # base A has points ahead, left and behind; donor B ahead and behind; the camera sees 45 degrees to both sides
        # of x
        a = Sample(
            points=np.array([[5, 1, 0, 0.1], [0, 5, 0, 0.2], [-5, 0, 0, 0.3]], np.float32),
            labels=np.array([1, 2, 255], np.uint8),
            in_fov=np.array([True, False, False]),
            feature=np.array([[1, 1]], np.float32),
            feature_of=np.array([0, -1, -1], np.int32),
            sectors={2: (-np.pi / 4, np.pi / 4)},
        )
        b = Sample(
            points=np.array([[-6, 0, 0, 0.4], [6, 1, 0, 0.5], [7, -1, 0, 0.6]], np.float32),
            labels=np.array([4, 5, 6], np.uint8),
            in_fov=np.array([False, False, True]),
            feature=np.array([[2, 2]], np.float32),
            feature_of=np.array([-1, -1, 0], np.int32),
            sectors={2: (-np.pi / 4, np.pi / 4)},
        )
        mixed = fovmix(a, [b])
        assert np.array_equal(
            mixed.points, np.array([[0, 5, 0, 0.2], [-5, 0, 0, 0.3], [6, 1, 0, 0.5], [7, -1, 0, 0.6]], np.float32)
        )
        assert mixed.labels.tolist() == [2, 255, 5, 6]
        assert mixed.in_fov.tolist() == [False, False, False, True]
        assert mixed.feature_of.tolist() == [-1, -1, -1, 0] and mixed.feature.tolist() == [[2, 2]]
        assert mixed.sectors == b.sectors

    @settings(max_examples=60)
    @given(sectors, sectors, st.integers(0, 80), st.integers(0, 80), st.integers(0, 1000))
    def test_conserves(self, sector_a, sector_b, points_a, points_b, seed):
        a, b = sample(0, points_a, sector_a, seed), sample(1, points_b, sector_b, seed)
        mixed = fovmix(a, [b])
        check_travelled(mixed, {0: (a, 0.0), 1: (b, 0.0)})
        # counts add up, and every point outside A's hole and inside B's sector is there
        from_b = mixed.points[:, 3].astype(int) % 64 == 1
        assert (~from_b).sum() == (~in_sector(a.points, *sector_b)).sum()
        assert from_b.sum() == in_sector(b.points, *sector_b).sum()
        assert in_sector(mixed.points[from_b], *sector_b).all()
        assert not in_sector(mixed.points[~from_b], *sector_b).any()

    def test_sector_across_the_negative_x_axis(self):
        sector = (3.0, -3.0)  # counter-clockwise over pi, as camera_sector gives it
        a, b = sample(0, 400, sector), sample(1, 400, sector)
        mixed = fovmix(a, [b])
        check_travelled(mixed, {0: (a, 0.0), 1: (b, 0.0)})
        from_b = mixed.points[:, 3].astype(int) % 64 == 1
        azimuth = np.abs(np.arctan2(mixed.points[:, 1], mixed.points[:, 0]))
        assert 0 < from_b.sum() < 100 and (azimuth[from_b] >= 3 - 1e-6).all() and (azimuth[~from_b] <= 3 + 1e-6).all()

    def test_a_scan_mixed_with_itself_is_itself(self):
        a = sample(0, 100, (-0.7, 0.7))
        mixed = fovmix(a, [a])
        order = np.argsort(mixed.points[:, 3])
        assert np.array_equal(mixed.points[order], a.points) and np.array_equal(mixed.in_fov[order], a.in_fov)

    def test_arguments_are_not_written_to(self):
        a, b = sample(0, 100, (-0.7, 0.7)), sample(1, 100, (-0.7, 0.7))
        for source in (a, b):
            for array in (source.points, source.labels, source.in_fov, source.feature, source.feature_of):
                array.setflags(write=False)
        fovmix(a, [b, a])


class TestManyFrusta:
    @settings(max_examples=40)
    @given(st.integers(2, 4), st.floats(-3, 3), st.floats(0.1, np.pi / 2 - 1e-6), st.integers(0, 1000))
    def test_conserves_and_is_disjoint(self, frusta, low, width, seed):
        sector = (low, low + width)
        a = sample(0, 120, sector, seed)
        donors = [sample(j + 1, 60, sector, seed) for j in range(frusta)]
        mixed = fovmix(a, donors)
        angles = [2 * np.pi * j / frusta for j in range(frusta)]
        check_travelled(mixed, {0: (a, 0.0), **{j + 1: (donor, angles[j]) for j, donor in enumerate(donors)}})
        number = mixed.points[:, 3].astype(int) % 64
        turned = [(low + angle, low + width + angle) for angle in angles]
        hole = np.any([in_sector(a.points, *s) for s in turned], axis=0)
        assert (number == 0).sum() == (~hole).sum()
        # a turned point lies in its own sector and in no other, but for the rounding of its coordinates at an edge
        slack = 1e-5
        for j, donor in enumerate(donors):
            assert (number == j + 1).sum() == in_sector(donor.points, *sector).sum()
            mine = mixed.points[number == j + 1]
            assert in_sector(mine, turned[j][0] - slack, turned[j][1] + slack).all()
            for other in (s for i, s in enumerate(turned) if i != j and width > 2 * slack):
                assert not in_sector(mine, other[0] + slack, other[1] - slack).any()

    def test_quarter_turns_are_exact(self):
        sector = (-0.7, 0.7)
        donors = [sample(j + 1, 200, sector) for j in range(4)]
        mixed = fovmix(sample(0, 200, sector), donors)
        number, index = np.divmod(mixed.points[:, 3].astype(int), 64)[::-1]
        x, y = mixed.points[number == 2, :2].T
        original = donors[1].points[index[number == 2]]
        assert len(x) > 10 and np.array_equal(x, -original[:, 1]) and np.array_equal(y, original[:, 0])

    def test_more_points_carry_features(self):
        sector = (-0.7, 0.7)
        a, donors = sample(0, 4000, sector), [sample(j + 1, 4000, sector) for j in range(4)]
        share = [(mixed.feature_of >= 0).mean() for mixed in (a, fovmix(a, donors[:1]), fovmix(a, donors))]
        assert share[2] > 3.5 * share[1] and abs(share[1] - share[0]) < 0.03

    def test_a_general_sector_is_a_control(self):
        a, b = sample(0, 500, (-0.7, 0.7)), sample(1, 500, (-0.7, 0.7))
        mixed = fovmix(a, turn_sectors([b], 2.2))
        check_travelled(mixed, {0: (a, 0.0), 1: (b, 0.0)})
        assert not mixed.in_fov[mixed.points[:, 3].astype(int) % 64 == 1].any()

    @pytest.mark.parametrize(
        ("frusta", "width", "fits"),
        [(4, np.pi / 2, True), (4, 1.6, False), (3, 2.09, True), (3, 2.1, False), (1, 6.2, True)],
    )
    def test_overlap(self, frusta, width, fits):
        donors = [sample(j + 1, 20, (-width / 2, width / 2)) for j in range(frusta)]
        if fits:
            fovmix(sample(0, 20, (0, 1)), donors)
        else:
            with pytest.raises(ValueError, match=f"take at most {frusta - 1} frusta"):
                fovmix(sample(0, 20, (0, 1)), donors)

    def test_the_sector_is_that_of_the_first_donor(self):
        mixed = fovmix(sample(0, 20, (0, 1)), [sample(1, 20, (0.1, 0.6)), sample(2, 20, (0.2, 0.4))])
        assert mixed.sectors == {2: (0.1, 0.6)}

    def test_sectors_turn(self):
        a, b = sample(1, 20, (0.1, 0.6)), sample(2, 20, (0.2, 0.4))
        np.testing.assert_allclose(a.rotated(1.0).sectors[2], (1.1, 1.6))
        np.testing.assert_allclose(
            [turned.sectors[2] for turned in turn_sectors([a, b], 1.0)], [(1.1, 1.6), (1.2, 1.4)]
        )

    def test_no_donor(self):
        with pytest.raises(ValueError, match="found no donor"):
            fovmix(sample(0, 5, (0, 1)), [])

    def test_features_of_other_width(self):
        with pytest.raises(ValueError, match=r"widths \[3, 4\]"):
            fovmix(sample(0, 5, (0, 1)), [sample(1, 5, (0, 1), width=3)])


class TestSeveralCameras:
    @settings(max_examples=60)
    @given(st.lists(sectors, min_size=1, max_size=4), st.integers(0, 80), st.integers(0, 80), st.integers(0, 1000))
    def test_the_union_is_taken(self, drawn, points_a, points_b, seed):
        a = sample(0, points_a, (-0.5, 0.5), seed)
        b = replace(sample(1, points_b, drawn[0], seed), sectors=dict(enumerate(drawn)))
        inside = [np.any([in_sector(each.points, *s) for s in drawn], axis=0) for each in (a, b)]
        try:
            mixed = fovmix(a, [b])
        except ValueError:
            rays = np.column_stack([np.cos(CIRCLE), np.sin(CIRCLE)])
            assert np.all(np.any([in_sector(rays, *s) for s in drawn], axis=0))
            return
        check_travelled(mixed, {0: (a, 0.0), 1: (b, 0.0)})
        from_b = mixed.points[:, 3].astype(int) % 64 == 1
        assert (~from_b).sum() == (~inside[0]).sum() and from_b.sum() == inside[1].sum()
        assert mixed.sectors == b.sectors

    def test_overlapping_views_of_one_donor_are_no_fault_and_of_two_are(self):
        front = {0: (-0.5, 0.3), 1: (0.1, 0.9)}
        donors = [replace(sample(j + 1, 200, (0, 1)), sectors=front) for j in range(4)]
        mixed = fovmix(sample(0, 200, (0, 1)), donors)
        turns = {j + 1: (donor, np.pi * j / 2) for j, donor in enumerate(donors)}
        check_travelled(mixed, {0: (sample(0, 200, (0, 1)), 0.0), **turns})
        assert set(range(1, 5)) <= set((mixed.points[:, 3].astype(int) % 64).tolist())
        with pytest.raises(ValueError, match="5 camera sectors of up to 80 degrees overlap, .* take at most 4 frusta"):
            fovmix(sample(0, 20, (0, 1)), [*donors, donors[0]])

    def test_a_donor_s_cameras_that_go_all_round_leave_nothing(self):
        around = {number: (number * 1.0, number * 1.0 + 1.1) for number in range(7)}
        with pytest.raises(ValueError, match="the sectors of 7 cameras go all round.*set cameras to one"):
            fovmix(sample(0, 20, (0, 1)), [replace(sample(1, 20, (0, 1)), sectors=around)])

    def test_a_donor_without_an_image_gives_nothing(self):
        base, donor = sample(0, 50, (0, 1)), replace(sample(1, 50, (0, 1)), sectors={})
        assert np.array_equal(fovmix(base, [donor]).points, base.points)

    def test_one_camera_is_drawn_for_all_donors_among_those_that_all_have(self):
        seen = {0: (0.0, 0.5), 1: (2.0, 2.6), 5: (-2.0, -1.4)}
        donors = [replace(sample(1, 90, (0, 1)), sectors=seen), replace(sample(2, 90, (0, 1)), sectors=dict(seen))]
        del donors[1].sectors[1]
        draws = [of_one_camera(donors, np.random.default_rng(seed)) for seed in range(30)]
        assert all(first.sectors == second.sectors for first, second in draws)
        assert {tuple(first.sectors.items()) for first, _ in draws} == {((0, seen[0]),), ((5, seen[5]),)}
        none = of_one_camera([donors[0], replace(donors[1], sectors={7: (0.0, 1.0)})], np.random.default_rng(0))
        assert [each.sectors for each in none] == [{}, {}]

    def test_of_one_camera_nothing_is_drawn(self):
        rng = np.random.default_rng(0)
        donors = [sample(1, 9, (0.0, 1.0)), sample(2, 9, (0.5, 1.0))]
        assert [each.sectors for each in of_one_camera(donors, rng)] == [each.sectors for each in donors]
        assert rng.random() == np.random.default_rng(0).random()

    @pytest.mark.parametrize("cameras", ["one", "all"])
    @pytest.mark.parametrize("sector", ["camera", "random"])
    def test_the_strategy(self, cameras, sector):
        seen = {0: (0.0, 0.5), 4: (2.0, 2.5)}
        base = sample(0, 4000, (0, 0.5))
        donor = replace(sample(1, 4000, (0, 0.5)), sectors=seen)
        chosen = FOVMixConfig(probability=1, cameras=cameras, sector=sector)
        mixed = mix(base, [donor], np.random.default_rng(3), chosen, SEMANTICKITTI)
        share = (mixed.points[:, 3].astype(int) % 64 == 1).mean()
        assert share == pytest.approx((0.5 if cameras == "one" else 1.0) / (2 * np.pi), abs=0.03)

    def test_merged_by_hand(self):
        assert merged([(0.0, 1.0), (0.5, 2.0), (3.0, 4.0)]) == [(0.0, 2.0), (3.0, 4.0)]
        ((low, high),) = merged([(-0.5, 0.5), (0.4, 1.0)])  # over the seam
        assert (low, high) == pytest.approx((2 * np.pi - 0.5, 2 * np.pi + 1.0))
        assert merged([]) == []


CIRCLE = np.linspace(-np.pi, np.pi, 3600, endpoint=False)


class TestCheckDisjoint:
    def test_by_hand(self):
        check_disjoint([[(3.0, -3.0)], [(0.0, 1.0)]])  # counter-clockwise over pi
        with pytest.raises(ValueError, match="229 degrees overlap"):
            check_disjoint([[(0.0, 4.0)], [(2.0, 3.0)]])
        check_disjoint([[(-0.5, -0.4)], [(2 * np.pi - 0.3, 2 * np.pi - 0.2)]])  # more than a turn apart
        with pytest.raises(ValueError, match="overlap"):
            check_disjoint([[(-0.5, -0.4)], [(2 * np.pi - 0.45, 2 * np.pi - 0.2)]])

    @settings(max_examples=100)
    @given(st.lists(st.tuples(st.floats(-6, 6), st.floats(0.01, 3)), min_size=1, max_size=5))
    def test_agrees_with_sampling_the_circle(self, drawn):
        circle = np.linspace(-np.pi, np.pi, 3600, endpoint=False)
        rays = np.column_stack([np.cos(circle), np.sin(circle)])
        covered = np.sum([in_sector(rays, low, low + width) for low, width in drawn], axis=0).max()
        shrunk = np.sum(
            [in_sector(rays, low + 0.002, low + max(width - 0.002, 0.003)) for low, width in drawn], axis=0
        ).max()
        try:
            check_disjoint([[(low, low + width)] for low, width in drawn])
        except ValueError:
            # an overlap can be narrower than the rays are apart; it shows when the sectors are widened
            wide = [in_sector(rays, low - 0.002, low + width + 0.002) for low, width in drawn]
            assert covered > 1 or np.sum(wide, axis=0).max() > 1
        else:
            assert shrunk <= 1


class TestSample:
    def test_select_keeps_features_with_their_points(self):
        a = sample(0, 100, (-1, 1))
        part = a.select(np.arange(100) % 3 == 0)
        assert len(part) == 34
        check_travelled(part, {0: (a, 0.0)})
        assert part.feature_of.dtype == np.int32 and part.feature_of.min() == -1

    def test_points_may_share_a_feature(self):
        shared = Sample(
            np.zeros((3, 4), np.float32),
            np.zeros(3, np.uint8),
            np.ones(3, bool),
            np.array([[1.0], [2.0]], np.float32),
            np.array([1, 0, 1], np.int32),
            {2: (0.0, 1.0)},
        )
        part = shared.select(np.array([True, False, True]))
        assert part.feature[part.feature_of, 0].tolist() == [2, 2]

    def test_join_of_samples_without_features(self):
        empty = [bare(n, labels=n) for n in (2, 3)]
        joined = join(empty, {2: (0.0, 1.0)})
        assert len(joined) == 5 and joined.feature.shape == (0, 0) and (joined.feature_of == -1).all()
        assert joined.feature_of.dtype == np.int32

    def test_lengths_must_agree(self):
        with pytest.raises(ValueError, match="differ in length"):
            bare(2, labels=3)

    def test_feature_rows_must_exist(self):
        with pytest.raises(ValueError, match="names row 1"):
            replace(bare(2, labels=2), feature=np.zeros((1, 3), np.float32), feature_of=np.array([1, 0], np.int32))
