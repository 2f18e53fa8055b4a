from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import torch
from one_camera import seen_by_one
from torch.utils.data import DataLoader

from ignet.config.backbones import LocalContextConfig, MinkUNetConfig
from ignet.config.mixing import FOVMixConfig, MixingConfig
from ignet.config.training_3d import AugmentConfig
from ignet.data.features.store import FeatureWriter
from ignet.data.formats.kitti import label_path, scan_path, scribble_path
from ignet.data.label_sets.label_set import IGNORE, SEMANTICKITTI
from ignet.data.lidar import batches as training_data
from ignet.data.lidar import lidar_dataset
from ignet.data.lidar.batches import Batch, BatchDataset
from ignet.data.lidar.lidar_dataset import LidarDataset
from ignet.data.lidar.mixing import fovmix as fovmix_module
from ignet.data.projection.correspondence import CorrespondenceWriter
from ignet.data.projection.geometry import in_sector
from ignet.errors import IgnetError
from ignet.models.backbones.registry import collate_for

SECTOR = (-0.7, 0.7)
CHANNELS = 3
FRAMES = {"00": ["000000", "000001", "000002"], "03": ["000000", "000004"]}
OFF = FOVMixConfig()
STILL = AugmentConfig(rotation=0, flip=False, scale=0, noise=0)
VOXEL = 0.2
FINE = collate_for(MinkUNetConfig(voxel=1e-3), label_set=SEMANTICKITTI)


class Tree:
    """A tiny dataset, with the truth beside it. Remission tells a point's scan and number: scan / 8 + point / 8192,
    exact in float32."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.points: list[np.ndarray] = []
        self.dense: list[np.ndarray] = []
        self.scribbles: list[np.ndarray] = []
        self.seen: list[np.ndarray] = []
        self.correspondence = {sequence: root / "projection" / f"{sequence}.h5" for sequence in FRAMES}
        self.features = {sequence: root / "features" / f"{sequence}.h5" for sequence in FRAMES}
        for sequence, frames in FRAMES.items():
            with (
                CorrespondenceWriter(self.correspondence[sequence]) as correspondence,
                FeatureWriter(self.features[sequence], CHANNELS, "float32") as features,
            ):
                for frame in frames:
                    index = self._scan(sequence, frame)
                    pixel, scribble = np.ones((len(index), 2), np.float32), np.full(len(index), 255, np.uint8)
                    correspondence.add(frame, seen_by_one(index, pixel, scribble, len(self.points[-1]), 64, 32, SECTOR))
                    features.add(frame, index[::2], feature_of(self.points[-1][index[::2], 3]))

    def _scan(self, sequence: str, frame: str) -> np.ndarray:
        number = len(self.points)
        rng = np.random.default_rng(number)
        count = 300 + 10 * number
        remission = number / 8 + np.arange(count) / 8192
        points = np.column_stack([rng.uniform(-20, 20, (count, 2)), rng.uniform(-2, 1, count), remission]).astype(
            np.float32
        )
        dense = rng.integers(0, 19, count).astype(np.uint8)
        scribbles = np.where(rng.random(count) < 0.2, dense, 255).astype(np.uint8)
        seen = np.flatnonzero(in_sector(points, *SECTOR) & (rng.random(count) < 0.8)).astype(np.int32)
        for path, array in (
            (scan_path(self.root, sequence, frame), points),
            (label_path(self.root, sequence, frame), SEMANTICKITTI.to_raw_ids(dense)),
            (scribble_path(self.root / "drawn", sequence, frame), SEMANTICKITTI.to_raw_ids(scribbles)),
        ):
            path.parent.mkdir(parents=True, exist_ok=True)
            array.tofile(path)
        self.points.append(points)
        self.dense.append(dense)
        self.scribbles.append(scribbles)
        self.seen.append(seen)
        return seen

    def source(self, **changes) -> LidarDataset:
        arguments = {
            "frames": FRAMES,
            "supervision": "scribbles",
            "labels_root": self.root / "drawn",
            "correspondence": self.correspondence,
            "features": self.features,
        }
        return LidarDataset(self.root, **{**arguments, **changes}, label_set=SEMANTICKITTI)


def feature_of(remission: np.ndarray) -> np.ndarray:
    return np.sin(remission[:, None] * np.array([1, 10, 100])).astype(np.float32)


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Tree:
    return Tree(tmp_path_factory.mktemp("tree"))


def samples(
    source: LidarDataset,
    batch: int = 2,
    seed: int = 0,
    fovmix: FOVMixConfig = OFF,
    augment: AugmentConfig = STILL,
    context: LocalContextConfig | None = None,
    **more,
):
    collate = collate_for(MinkUNetConfig(voxel=VOXEL, local_context=context), label_set=SEMANTICKITTI)
    dropout = context.dropout if context else None
    return BatchDataset(
        source, batch, seed, collate, MixingConfig(fovmix=fovmix), augment, label_dropout=dropout, **more
    )


def tensors(batch: Batch) -> list[torch.Tensor]:
    views = [view for view in (batch.student, batch.teacher) if view is not None]
    parts = [tensor for view in views for tensor in (view.coordinates, view.features, view.inverse)]
    return [*parts, batch.labels, batch.in_fov, batch.guided, batch.feature]


def same(a: Batch, b: Batch) -> bool:
    return len(tensors(a)) == len(tensors(b)) and all(
        torch.equal(x, y) for x, y in zip(tensors(a), tensors(b), strict=True)
    )


class TestLidarDataset:
    def test_scans_in_order(self, tree):
        assert tree.source().scans == [
            ("00", "000000"),
            ("00", "000001"),
            ("00", "000002"),
            ("03", "000000"),
            ("03", "000004"),
        ]

    @pytest.mark.parametrize("number", range(5))
    def test_loads_what_is_on_disk(self, tree, number):
        sample = tree.source().load(number)
        assert np.array_equal(sample.points, tree.points[number])
        assert np.array_equal(sample.labels, tree.scribbles[number])
        assert np.array_equal(np.flatnonzero(sample.in_fov), tree.seen[number])
        guided = sample.feature_of >= 0
        assert np.array_equal(np.flatnonzero(guided), tree.seen[number][::2])
        assert np.array_equal(sample.feature[sample.feature_of[guided]], feature_of(sample.points[guided, 3]))
        assert sample.sectors == {2: pytest.approx(SECTOR)}

    def test_dense_supervision_reads_the_dense_labels(self, tree):
        assert np.array_equal(tree.source(supervision="dense", labels_root=None).load(3).labels, tree.dense[3])

    def test_scribble_supervision_never_opens_the_dense_labels(self, tree, tmp_path):
        copy = scan_path(tmp_path, "00", "000000")
        copy.parent.mkdir(parents=True)
        copy.write_bytes(scan_path(tree.root, "00", "000000").read_bytes())
        source = LidarDataset(tmp_path, {"00": ["000000"]}, "scribbles", tree.root / "drawn", label_set=SEMANTICKITTI)
        assert np.array_equal(source.load(0).labels, tree.scribbles[0])

    def test_without_camera_and_features(self, tree):
        source = tree.source(correspondence=None, features=None)
        sample = source.load(0)
        assert not source.has_camera and source.channels == 0 and sample.sectors == {}
        assert not sample.in_fov.any() and (sample.feature_of == -1).all() and sample.feature.shape == (0, 0)

    def test_standardized_features_have_mean_0_and_deviation_1_over_all_scans(self, tree):
        source = tree.source(standardize=True)
        feature = np.concatenate([source.load(i).feature for i in range(len(source))])
        np.testing.assert_allclose(feature.mean(axis=0), 0, atol=1e-5)
        np.testing.assert_allclose(feature.std(axis=0), 1, atol=1e-5)

    @pytest.mark.parametrize(("most", "scans"), [(9, [0, 1, 2, 3, 4]), (3, [0, 2, 4])])
    def test_features_and_labels_of_points_that_have_both(self, tree, most, scans):
        features, labels = tree.source().labelled_features(most)
        both = [tree.seen[i][::2][tree.scribbles[i][tree.seen[i][::2]] != IGNORE] for i in scans]
        assert len(labels) > 0
        assert np.array_equal(
            labels, np.concatenate([tree.scribbles[i][index] for i, index in zip(scans, both, strict=True)])
        )
        expected = [feature_of(tree.points[i][index, 3]) for i, index in zip(scans, both, strict=True)]
        assert np.array_equal(features, np.concatenate(expected))

    def test_features_of_labelled_scans_alone(self, tree):
        labelled = [("00", "000001")]
        source = tree.source(labelled=labelled)
        sample = tree.source().load(1)
        assert len(source.labelled_features(9)[1]) == int(((sample.feature_of >= 0) & (sample.labels != IGNORE)).sum())

    def test_cache_keeps_scans(self, tree):
        source = tree.source(cache=True)
        assert source.load(1) is source.load(1)
        plain = tree.source()
        assert plain.load(1) is not plain.load(1)

    def test_cache_is_bounded(self, tree, monkeypatch):
        assert lidar_dataset.CACHE_BYTES == 2**30
        source = tree.source(cache=True)
        first = source.load(0)
        parts = (first.points, first.labels, first.in_fov, first.feature, first.feature_of)
        size = sum(part.nbytes for part in parts)
        for limit, kept in ((size, True), (size - 1, False)):
            monkeypatch.setattr("ignet.data.lidar.lidar_dataset.CACHE_BYTES", limit)
            other = tree.source(cache=True)
            assert (other.load(0) is other.load(0)) == kept
        monkeypatch.setattr("ignet.data.lidar.lidar_dataset.CACHE_BYTES", 1000)
        assert source.load(0) is first and source.load(1) is not source.load(1)

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"frames": {}}, "found no frame in sequences none"),
            ({"frames": {"00": []}}, "found no frame in sequences 00"),
            ({"frames": {"00": ["000000", "000009"]}}, "lacks 1 frames, first 000009"),
            ({"correspondence": {}}, "found no correspondence file"),
            ({"features": {}}, "found no feature file"),
        ],
    )
    def test_exception_at_construction(self, tree, changes, message):
        with pytest.raises(IgnetError, match=message):
            tree.source(**changes)

    def test_missing_scribbles(self, tree):
        with pytest.raises(IgnetError, match="scribbles"):
            tree.source(labels_root=None).load(0)

    def test_points_that_are_not_finite(self, tree, tmp_path):
        path = scan_path(tmp_path, "00", "000000")
        path.parent.mkdir(parents=True)
        np.array([[1, 2, 3, 0], [np.nan, 0, 0, 0], [0, np.inf, 0, 0]], np.float32).tofile(path)
        with pytest.raises(IgnetError, match=r"000000\.bin: found 2 points that are not finite"):
            LidarDataset(tmp_path, {"00": ["000000"]}, "dense", label_set=SEMANTICKITTI).load(0)

    def test_correspondence_of_another_scan(self, tree, tmp_path):
        with CorrespondenceWriter(tmp_path / "00.h5") as writer:
            none = np.zeros(0, np.int32)
            writer.add(
                "000000",
                seen_by_one(none, np.zeros((0, 2), np.float32), np.zeros(0, np.uint8), 7, 64, 32, SECTOR),
            )
        source = tree.source(frames={"00": ["000000"]}, correspondence={"00": tmp_path / "00.h5"}, features=None)
        with pytest.raises(IgnetError, match="made of 7 points, but its scan has 300"):
            source.load(0)

    def test_features_of_another_scan(self, tree, tmp_path):
        with FeatureWriter(tmp_path / "00.h5", 2, "float32") as writer:
            writer.add("000000", np.array([300], np.int32), np.zeros((1, 2), np.float32))
        source = tree.source(frames={"00": ["000000"]}, features={"00": tmp_path / "00.h5"})
        with pytest.raises(IgnetError, match="names point 300, but its scan has 300"):
            source.load(0)

    def test_damaged_features_are_noticed_unless_that_is_switched_off(self, tree, tmp_path):
        path = tmp_path / "00.h5"
        path.write_bytes(tree.features["00"].read_bytes())
        with h5py.File(path, "a") as file:
            file["feature"][0, 0] += 1
        changes = {"frames": {"00": FRAMES["00"]}, "features": {"00": path}}
        with pytest.raises(IgnetError, match="checksum"):
            tree.source(**changes).load(0)
        assert tree.source(**changes, verify=False).load(0).feature.shape[1] == CHANNELS

    def test_stores_of_different_width(self, tree, tmp_path):
        with FeatureWriter(tmp_path / "03.h5", 2, "float32") as writer:
            for frame in FRAMES["03"]:
                writer.add(frame, np.zeros(0, np.int32), np.zeros((0, 2), np.float32))
        with pytest.raises(IgnetError, match="different numbers of channels"):
            tree.source(features={**tree.features, "03": tmp_path / "03.h5"})

    @pytest.mark.parametrize("supervision", ["scribbles", "dense"])
    def test_labels_of_unlabelled_scans_are_never_opened(self, tree, tmp_path, supervision):
        labelled = [("00", "000001"), ("03", "000004")]
        for sequence, frames in FRAMES.items():
            for frame in frames:
                for path in (scan_path, label_path, scribble_path) if (sequence, frame) in labelled else (scan_path,):
                    copy = path(tmp_path, sequence, frame)
                    copy.parent.mkdir(parents=True, exist_ok=True)
                    copy.write_bytes(
                        path(tree.root / "drawn" if path is scribble_path else tree.root, sequence, frame).read_bytes()
                    )
        source = LidarDataset(
            tmp_path,
            FRAMES,
            supervision,
            None,
            tree.correspondence,
            tree.features,
            labelled=labelled,
            label_set=SEMANTICKITTI,
        )
        assert [pool.tolist() for pool in source.pools] == [[1, 4], [0, 2, 3]]
        for number in range(5):
            sample, whole = source.load(number), tree.source(supervision=supervision).load(number)
            assert np.array_equal(sample.labels, whole.labels) if number in (1, 4) else (sample.labels == 255).all()
            assert np.array_equal(sample.feature, whole.feature) and np.array_equal(sample.in_fov, whole.in_fov)


class TestOrder:
    @pytest.mark.parametrize("batch", [1, 2, 3, 7])
    def test_every_scan_comes_once_an_epoch(self, tree, batch):
        dataset = samples(tree.source(), batch)
        drawn = [scan for step in range(20) for scan in dataset.scan_indices(step)]
        for epoch in range(len(drawn) // 5):
            assert sorted(drawn[5 * epoch : 5 * epoch + 5]) == [0, 1, 2, 3, 4]

    def test_epochs_and_seeds_differ(self, tree):
        dataset = samples(tree.source(), 5)
        assert len({tuple(dataset.scan_indices(step)) for step in range(10)}) > 5
        assert dataset.scan_indices(0) != samples(tree.source(), 5, seed=1).scan_indices(0)


LABELLED = [("00", "000002"), ("03", "000000")]
LABELLED_NUMBERS = {2, 3}


class TestLabelledAndUnlabelled:
    @pytest.mark.parametrize("batch", [1, 2, 3, 4])
    def test_take_turns(self, tree, batch):
        dataset = samples(tree.source(labelled=LABELLED), batch)
        steps = [dataset.scan_indices(step) for step in range(24)]
        drawn = [scan for scans in steps for scan in scans]
        assert [scan in LABELLED_NUMBERS for scan in drawn] == [place % 2 == 0 for place in range(len(drawn))]
        if batch % 2 == 0:
            assert all(sum(scan in LABELLED_NUMBERS for scan in scans) == batch // 2 for scans in steps)

    def test_each_kind_has_its_epochs(self, tree):
        dataset = samples(tree.source(labelled=LABELLED), 2)
        drawn = np.array([dataset.scan_indices(step) for step in range(60)])
        assert (np.sort(drawn[:, 0].reshape(-1, 2), axis=1) == [2, 3]).all()
        assert (np.sort(drawn[:, 1].reshape(-1, 3), axis=1) == [0, 1, 4]).all()
        assert (
            len(np.unique(drawn[:, 0].reshape(-1, 2), axis=0)) == 2
            and len(np.unique(drawn[:, 1].reshape(-1, 3), axis=0)) > 3
        )

    def test_the_streams_of_random_numbers_are_fixed(self):
        """They are part of the recipe: other numbers would draw other batches."""
        streams = ("_ORDER", "_MIX", "_STUDENT", "_TEACHER", "_ORDER_UNLABELLED", "_CONTEXT")
        assert [getattr(training_data, name) for name in streams] == [101, 102, 103, 104, 105, 106]

    def test_a_function_of_seed_and_step(self, tree):
        one, other = (samples(tree.source(labelled=LABELLED), 2, seed=seed) for seed in (0, 1))
        again = samples(tree.source(labelled=LABELLED), 2)
        forward = [one.scan_indices(step) for step in range(12)]
        assert forward == [again.scan_indices(step) for step in reversed(range(12))][::-1]
        assert forward != [other.scan_indices(step) for step in range(12)]

    def test_all_labelled_is_the_order_without_a_split(self, tree):
        everything = [(sequence, frame) for sequence, frames in FRAMES.items() for frame in frames]
        whole, split = samples(tree.source(), 2), samples(tree.source(labelled=everything), 2)
        assert all(same(whole[step], split[step]) for step in range(4))

    def test_batches_hold_the_labels_of_the_labelled_scans_alone(self, tree):
        dataset = samples(tree.source(labelled=LABELLED), 2)
        for step in range(4):
            batch, (first, second) = dataset[step], dataset.scan_indices(step)
            expected = np.concatenate([tree.scribbles[first], np.full(len(tree.points[second]), 255)])
            assert np.array_equal(batch.labels, expected)
            assert len(batch.guided) == len(tree.seen[first][::2]) + len(tree.seen[second][::2])

    def test_fovmix_mixes_both_kinds(self, tree):
        dataset = samples(tree.source(labelled=LABELLED, supervision="dense"), 1, fovmix=FOVMixConfig(probability=1.0))
        shares = [(dataset[step].labels != 255).float().mean() for step in range(30)]
        assert any(0 < share < 1 for share in shares[::2]) and any(0 < share < 1 for share in shares[1::2])


class TestBatch:
    def test_shapes_and_dtypes(self, tree):
        batch = samples(tree.source(), 2)[0]
        count = len(batch.labels)
        assert batch.labels.dtype == torch.int64 and batch.in_fov.dtype == torch.bool and batch.in_fov.shape == (count,)
        assert batch.guided.dtype == torch.int64 and batch.feature.dtype == torch.float32
        assert batch.feature.shape == (len(batch.guided), CHANNELS)
        for view in (batch.student, batch.teacher):
            assert view.coordinates.dtype == torch.int32 and view.coordinates.shape[1] == 4
            assert view.features.dtype == torch.float32 and len(view.features) == len(view.coordinates)
            assert view.inverse.dtype == torch.int64 and view.inverse.shape == (count,)
            assert sorted(view.inverse.unique().tolist()) == list(range(len(view.coordinates)))
            assert len(view.coordinates.unique(dim=0)) == len(view.coordinates)
            assert view.coordinates[:, 0].unique().tolist() == [0, 1]

    def test_points_labels_and_features_belong_together(self, tree):
        dataset = samples(tree.source(), 2)
        batch, scans = dataset[4], dataset.scan_indices(4)
        points = np.concatenate([tree.points[scan] for scan in scans])
        assert np.array_equal(batch.labels, np.concatenate([tree.scribbles[scan] for scan in scans]))
        assert np.array_equal(batch.feature, feature_of(points[batch.guided, 3]))
        assert batch.in_fov[batch.guided].all() and batch.in_fov.sum() > len(batch.guided) > 0

    def test_voxels_hold_their_points(self, tree):
        dataset = samples(tree.source(), 2)
        batch, scans = dataset[4], dataset.scan_indices(4)
        points = np.concatenate([tree.points[scan] for scan in scans])
        number = np.repeat([0, 1], [len(tree.points[scan]) for scan in scans])
        for view in (batch.student, batch.teacher):
            voxels = view.coordinates[view.inverse].numpy()
            assert np.array_equal(voxels[:, 0], number)
            # one lattice for the whole batch, up to a shift of each scan
            for b in (0, 1):
                offset = voxels[number == b, 1:] * VOXEL - points[number == b, :3].astype(np.float64)
                assert (np.ptp(offset, axis=0) <= VOXEL + 1e-5).all()

    def test_augmented_views_differ_and_hold_the_same_points(self, tree):
        batch = samples(tree.source(), 2, augment=AugmentConfig())[0]
        assert len(batch.student.inverse) == len(batch.teacher.inverse) == len(batch.labels)
        assert not torch.equal(
            batch.student.coordinates[batch.student.inverse], batch.teacher.coordinates[batch.teacher.inverse]
        )

    def test_teacher_view_is_rigid_and_student_view_is_scaled(self, tree):
        # voxels this small hold one point each, so that the input features are the points of the view
        dataset = BatchDataset(tree.source(), 1, 0, FINE, MixingConfig(), AugmentConfig(scale=0.05, noise=0))
        for step in range(4):
            batch = dataset[step]
            length = np.linalg.norm(tree.points[dataset.scan_indices(step)[0]][:, :3], axis=1)
            ratio = [
                view.features[view.inverse][:, :3].norm(dim=1).numpy() / length
                for view in (batch.teacher, batch.student)
            ]
            np.testing.assert_allclose(ratio[0], 1, atol=1e-5)
            assert np.ptp(ratio[1]) < 1e-4 < abs(ratio[1].mean() - 1) <= 0.05 + 1e-4

    def test_noise_reaches_the_student_alone(self, tree):
        dataset = BatchDataset(
            tree.source(), 1, 0, FINE, MixingConfig(), AugmentConfig(rotation=0, flip=False, scale=0, noise=0.05)
        )
        batch, points = dataset[0], tree.points[dataset.scan_indices(0)[0]]
        shift = [(view.features[view.inverse].numpy() - points)[:, :3] for view in (batch.teacher, batch.student)]
        assert not shift[0].any() and 0.04 < shift[1].std() < 0.06

    def test_the_student_view_alone_is_shifted_and_its_height_kept_if_asked(self, tree):
        view = AugmentConfig(rotation=0, flip=False, scale=0.2, scale_axes="xy", noise=0, shift=0.5)
        dataset = BatchDataset(tree.source(), 1, 0, FINE, MixingConfig(), view)
        for step in range(4):
            batch, points = dataset[step], tree.points[dataset.scan_indices(step)[0]][:, :3]
            student, teacher = (view.features[view.inverse][:, :3].numpy() for view in (batch.student, batch.teacher))
            np.testing.assert_allclose(teacher, points, atol=1e-5)
            slopes, shifts = np.transpose([np.polyfit(points[:, i], student[:, i], 1) for i in range(3)])
            np.testing.assert_allclose(student, points * slopes + shifts, atol=1e-3)
            assert slopes[0] == pytest.approx(slopes[1], abs=1e-4)
            assert 1e-4 < abs(slopes[0] - 1) <= 0.2 and slopes[2] == pytest.approx(1, abs=1e-4)
            assert (np.abs(shifts) > 1e-4).all() and np.abs(shifts).max() < 3

    def test_each_step_and_each_scan_of_a_batch_has_its_own_view(self, tree):
        turned = AugmentConfig(rotation=180, flip=False, scale=0, noise=0)
        dataset = BatchDataset(tree.source(frames={"00": ["000000"]}), 2, 0, FINE, MixingConfig(), turned)
        angles = []
        for batch in (dataset[0], dataset[1]):
            for view in (batch.student, batch.teacher):
                points = view.features[view.inverse].numpy().reshape(2, -1, 4)  # the same scan twice
                angles += [float(np.arctan2(scan[0, 1], scan[0, 0])) for scan in points]
        assert len(np.unique(np.round(angles, 3))) == 8

    def test_without_teacher_all_else_is_the_same(self, tree):
        source = tree.source()
        with_teacher = samples(source, augment=AugmentConfig())[3]
        without = samples(source, augment=AugmentConfig(), teacher_view=False)[3]
        assert without.teacher is None
        for a, b in zip(tensors(without), tensors(with_teacher)[:3] + tensors(with_teacher)[6:], strict=True):
            assert torch.equal(a, b)

    def test_without_features(self, tree):
        batch = samples(tree.source(features=None, correspondence=None))[0]
        assert batch.guided.shape == (0,) and batch.feature.shape == (0, 0) and not batch.in_fov.any()

    def test_to_moves_all(self, tree):
        moved = samples(tree.source())[0].to(torch.device("meta"))
        assert all(tensor.device.type == "meta" for tensor in tensors(moved))
        assert samples(tree.source(), teacher_view=False)[0].to(torch.device("cpu")).teacher is None


class TestFOVMix:
    def test_mixes_sectors_of_other_scans(self, tree):
        dataset = samples(tree.source(supervision="dense"), 1, fovmix=FOVMixConfig(probability=1.0))
        for step in range(5):
            (base,) = dataset.scan_indices(step)
            batch = dataset[step]
            outside = (~in_sector(tree.points[base], *np.float32(SECTOR))).sum()
            inside = [in_sector(points, *np.float32(SECTOR)).sum() for points in tree.points]
            assert len(batch.labels) - outside in [count for scan, count in enumerate(inside) if scan != base]
            assert len(batch.guided) in [len(seen[::2]) for scan, seen in enumerate(tree.seen) if scan != base]

    def test_labels_and_features_travel(self, tree):
        # remission, which no view changes, tells each point's origin; voxels this small hold one point each
        dataset = BatchDataset(
            tree.source(), 2, 0, FINE, MixingConfig(fovmix=FOVMixConfig(probability=1.0, frusta=4)), STILL
        )
        batch = dataset[1]
        assert len(batch.student.coordinates) == len(batch.labels)
        remission = batch.student.features[batch.student.inverse][:, -1].double().numpy()
        scan, number = np.divmod(np.rint(remission * 8192).astype(int), 1024)
        assert len(set(scan)) > 2
        assert np.array_equal(batch.labels, [tree.scribbles[s][n] for s, n in zip(scan, number, strict=True)])
        assert np.array_equal(batch.in_fov, [n in tree.seen[s] for s, n in zip(scan, number, strict=True)])
        assert np.array_equal(batch.feature, feature_of(remission[batch.guided].astype(np.float32)))

    def test_probability(self, tree):
        source = tree.source(cache=True)
        plain = samples(source, 1)
        half = samples(source, 1, fovmix=FOVMixConfig(probability=0.5))
        mixed = sum(not same(plain[step], half[step]) for step in range(60))
        assert 18 <= mixed <= 42  # 3 sigma

    def test_random_sectors_ignore_the_camera(self, tree):
        source = tree.source(cache=True)
        random = samples(source, 1, fovmix=FOVMixConfig(probability=1.0, sector="random"))
        seen = [len(random[step].guided) for step in range(30)]
        # most directions cut the camera's view of the donor or leave the base some of its own
        assert sum(count not in [len(whole[::2]) for whole in tree.seen] for count in seen) > 3

    def test_random_sectors_point_everywhere(self, tree, monkeypatch):
        turn, angles = fovmix_module.turn_sectors, []
        monkeypatch.setattr(
            fovmix_module, "turn_sectors", lambda mixed, angle: angles.append(angle) or turn(mixed, angle)
        )
        random = samples(tree.source(cache=True), 2, fovmix=FOVMixConfig(probability=1.0, sector="random"))
        for step in range(20):
            random[step]
        assert 0 <= min(angles) < 0.7 and 5.5 < max(angles) <= 2 * np.pi

    def test_more_frusta_than_scans(self, tree):
        source = tree.source(frames={"00": ["000000"]})
        assert len(samples(source, 1, fovmix=FOVMixConfig(probability=1.0, frusta=3))[0].labels) > 0

    def test_donors_are_other_scans_each_once_as_long_as_there_are_enough(self, tree, monkeypatch):
        mix, donors = fovmix_module.fovmix, []
        monkeypatch.setattr(
            fovmix_module, "fovmix", lambda base, mixed: donors.append((base, *mixed)) or mix(base, mixed)
        )
        source = tree.source(frames={"00": FRAMES["00"][:3]}, cache=True)
        mixed = samples(source, 1, fovmix=FOVMixConfig(probability=1.0, frusta=2))
        for step in range(12):
            mixed[step]
        assert len(donors) == 12
        assert all(len({id(sample) for sample in drawn}) == 3 for drawn in donors)

    def test_of_two_scans_each_is_the_others_donor(self, tree, monkeypatch):
        mix, drawn = fovmix_module.fovmix, []
        monkeypatch.setattr(
            fovmix_module, "fovmix", lambda base, mixed: drawn.append((base, *mixed)) or mix(base, mixed)
        )
        source = tree.source(frames={"00": FRAMES["00"][:2]}, cache=True)
        mixed = samples(source, 1, fovmix=FOVMixConfig(probability=1.0, frusta=1))
        mixed[0], mixed[1]
        assert all(base is not donor for base, donor in drawn) and len(drawn) == 2

    def test_too_many_frusta(self, tree):
        with pytest.raises(IgnetError, match=r"mixing\.fovmix: 5 camera sectors .* take at most 4 frusta"):
            samples(tree.source(), 1, fovmix=FOVMixConfig(probability=1.0, frusta=5))[0]

    def test_needs_the_camera(self, tree):
        with pytest.raises(IgnetError, match=r"mixing\.fovmix\.probability: .* no correspondence was given"):
            samples(tree.source(correspondence=None, features=None), fovmix=FOVMixConfig(probability=0.5))


class TestLocalContext:
    def test_both_views_of_a_sample_have_it_or_neither(self, tree):
        config = LocalContextConfig(levels=((2, 4),), dropout=0.5)
        dataset, plain = samples(tree.source(), 2, context=config), samples(tree.source(), 2)
        kept = []
        for step in range(8):
            batch, without = dataset[step], plain[step]
            assert torch.equal(batch.student.features[:, :4], without.student.features) and torch.equal(
                batch.labels, without.labels
            )
            for b in (0, 1):
                known = [
                    bool(view.features[view.coordinates[:, 0] == b, 4:].any())
                    for view in (batch.student, batch.teacher)
                ]
                assert known[0] == known[1]
                kept.append(known[0])
        assert 2 < sum(kept) < 14
        assert same(dataset[3], samples(tree.source(), 2, context=config)[3])

    @pytest.mark.parametrize(("dropout", "least", "most"), [(0.0, 10, 10), (0.2, 6, 10), (0.8, 0, 4), (1.0, 0, 0)])
    def test_dropout_is_the_share_without_it(self, tree, dropout, least, most):
        dataset = samples(tree.source(), 1, context=LocalContextConfig(levels=((2, 4),), dropout=dropout))
        assert least <= sum(bool(dataset[step].student.features[:, 4:].any()) for step in range(10)) <= most

    def test_labels_that_the_training_does_not_see_are_not_in_it(self, tree):
        source = tree.source(labelled=[("00", "000000")], supervision="dense")
        dataset = samples(source, 2, context=LocalContextConfig(dropout=0.0))
        batch = dataset[0]
        unlabelled = [b for b, scan in enumerate(dataset.scan_indices(0)) if scan != 0]
        assert unlabelled and not any(
            batch.student.features[batch.student.coordinates[:, 0] == b, 4:].any() for b in unlabelled
        )


class TestDeterminism:
    MIX = FOVMixConfig(probability=0.5, frusta=2)

    def dataset(self, tree, **more):
        return samples(tree.source(**more), 2, seed=7, fovmix=self.MIX, augment=AugmentConfig())

    def test_a_step_does_not_depend_on_those_before(self, tree):
        forward = self.dataset(tree)
        first = [forward[step] for step in range(6)]
        backward = self.dataset(tree, cache=True)
        second = {step: backward[step] for step in reversed(range(6))}
        assert all(same(first[step], second[step]) for step in range(6))

    def test_steps_and_seeds_differ(self, tree):
        dataset = self.dataset(tree)
        other = samples(tree.source(), 2, seed=8, fovmix=self.MIX, augment=AugmentConfig())
        assert not same(dataset[0], dataset[1]) and not same(dataset[0], other[0])

    @pytest.mark.parametrize("workers", [0, 2])
    def test_a_loader_gives_the_same_from_any_start(self, tree, workers):
        dataset = self.dataset(tree, cache=True)
        dataset[0]  # files are open in this process before the workers are forked
        loader = DataLoader(dataset, batch_size=None, sampler=range(3, 9), num_workers=workers)
        loaded = list(loader)
        assert len(loaded) == 6 and all(isinstance(batch, Batch) for batch in loaded)
        assert all(same(batch, self.dataset(tree)[step]) for step, batch in zip(range(3, 9), loaded, strict=True))


@pytest.mark.parametrize("feature_of", [[0, 1, 2], [2, 0, 1], [1, 1, 0], [2, 1]])
def test_rows_of_features_are_those_of_their_points(feature_of):
    """In the store's order, in another one, twice, and fewer than the store has: FOVMix gives each."""
    feature = np.arange(6, dtype=np.float32).reshape(3, 2)
    sample = SimpleNamespace(feature=feature, feature_of=np.array([-1, *feature_of]))
    rows = training_data._rows(sample, np.arange(1, 1 + len(feature_of)))
    assert rows.tolist() == feature[feature_of].tolist()


def test_real_scans(kitti_sample):
    frames = {"00": ["000000", "000009"]}
    dataset = BatchDataset(
        LidarDataset(kitti_sample, frames, "dense", label_set=SEMANTICKITTI),
        2,
        0,
        collate_for(MinkUNetConfig(voxel=0.05), label_set=SEMANTICKITTI),
        MixingConfig(),
        AugmentConfig(),
    )
    batch = dataset[0]
    assert len(batch.labels) > 200_000 and 50_000 < len(batch.student.coordinates) < len(batch.labels)
    assert (batch.labels != 255).float().mean() > 0.9
