"""Training images: sampling, crops, colours, sparse labels; each step's batch is a function of the step alone."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from kornia.enhance import adjust_hue, adjust_saturation
from one_camera import seen_by_one

from ignet.config.training_2d import ImageConfig
from ignet.data.formats import kitti
from ignet.data.formats.source_images import SourceDataset
from ignet.data.images.dataset import (
    MASK_STREAM,
    MIX_STREAM,
    SOURCE_STREAM,
    TARGET_STREAM,
    SourceBatches,
    TargetBatches,
    colour_jitter,
    crop_window,
    rare_class_probabilities,
    rescale,
    strong_augmentation,
    to_crop,
)
from ignet.data.images.target import (
    TargetFrames,
    class_labels,
    nearest_pixels,
    open_target,
    projected_labels,
    sparse_label_image,
)
from ignet.data.label_sets.label_set import SEMANTICKITTI
from ignet.data.projection.correspondence import Correspondence, CorrespondenceWriter
from ignet.errors import IgnetError
from ignet.log import log
from ignet.train.loader import read_ahead

ROAD, CAR = 0, 13
ROAD_LABEL, CAR_LABEL = 7, 26  # Cityscapes label ids


def test_rare_class_probabilities_by_hand():
    p = rare_class_probabilities(np.array([0.7, 0.2, 0.0, 0.1]), 0.1)
    assert p[2] == 0 and p.sum() == pytest.approx(1)
    assert p[1] / p[0] == pytest.approx(np.exp(5)) and p[3] / p[1] == pytest.approx(np.exp(1))
    even = rare_class_probabilities(np.array([0.9, 0.1, 0.0]), 1e9)
    assert even == pytest.approx([0.5, 0.5, 0])
    sharp = rare_class_probabilities(np.array([0.9, 0.1, 0.0]), 1e-4)  # no overflow
    assert sharp == pytest.approx([0, 1, 0])
    with pytest.raises(ValueError, match="no class"):
        rare_class_probabilities(np.zeros(3), 0.1)


def test_a_crop_holds_the_wanted_class_where_it_can():
    label = np.zeros((60, 80), np.uint8)
    label[50, 3] = CAR  # one pixel: never 16, so the window is laid over it
    for seed in range(30):
        rows, columns = crop_window(label.shape, (20, 30), np.random.default_rng(seed), label, CAR)
        assert label[rows, columns].shape == (20, 30)
        assert (label[rows, columns] == CAR).any()
    label[40:50, 60:70] = 5
    for seed in range(30):
        assert (
            np.count_nonzero(label[crop_window(label.shape, (20, 30), np.random.default_rng(seed), label, 5)] == 5) > 0
        )


def test_crops_reach_every_border_and_never_leave_the_image():
    places = [crop_window((10, 12), (4, 5), np.random.default_rng(seed)) for seed in range(300)]
    assert {rows.start for rows, _ in places} == set(range(7)) and {columns.start for _, columns in places} == set(
        range(8)
    )
    assert crop_window((3, 12), (4, 12), np.random.default_rng(0)) == (slice(0, 3), slice(0, 12))
    for label, wanted in ((None, CAR), (np.zeros((10, 12), np.uint8), CAR), (np.zeros((10, 12), np.uint8), None)):
        assert crop_window((10, 12), (4, 5), np.random.default_rng(0), label, wanted) == places[0]


def test_to_crop_mirrors_image_and_label_together_and_pads():
    image = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    label = np.array([[1, 2, 3], [4, 5, 6]], np.uint8)
    pixels, ids = to_crop(image, label, (slice(0, 2), slice(1, 3)), (3, 2), flip=True)
    assert ids.dtype == torch.int64 and ids.tolist() == [[3, 2], [6, 5], [255, 255]]
    assert pixels.dtype == torch.float32
    torch.testing.assert_close(pixels[:, 0, 0], torch.tensor([6.0, 7.0, 8.0]) / 255)
    assert pixels[:, 2].abs().max() == 0


def test_sparse_labels_land_on_the_nearest_pixel():
    pixel = np.array([[0.4, 0.0], [0.6, 0.2], [2.9, 1.7], [1.0, 1.0]], np.float32)
    image = sparse_label_image(pixel, np.array([3, 4, 5, 255], np.uint8), width=3, height=2)
    assert image.tolist() == [[3, 4, 255], [255, 255, 5]]  # (2.9, 1.7) would be column 3, row 2: kept inside
    columns, rows = nearest_pixels(np.array([[0.49, 0.5]]), 3, 2)
    assert (columns[0], rows[0]) == (0, 1)
    columns, rows = nearest_pixels(np.array([[-0.7, -2.0]]), 3, 2)
    assert (columns[0], rows[0]) == (0, 0)


def test_jitter_of_nothing_changes_nothing_and_of_something_does():
    images = torch.rand(3, 3, 8, 8)
    assert torch.equal(colour_jitter(images, 0.0, 0.0, np.random.default_rng(0)), images)
    changed = colour_jitter(images, 0.5, 0.1, np.random.default_rng(0))
    assert changed.shape == images.shape and changed.min() >= 0 and changed.max() <= 1
    assert (changed - images).abs().amax(dim=(1, 2, 3)).min() > 0.01
    assert torch.equal(changed, colour_jitter(images, 0.5, 0.1, np.random.default_rng(0)))


def test_brightness_factor_is_within_the_strength():
    grey = torch.full((200, 3, 2, 2), 0.5)  # contrast and saturation leave a flat grey as it is
    factors = colour_jitter(grey, 0.3, 0.0, np.random.default_rng(1)).mean(dim=(1, 2, 3)) / 0.5
    assert 0.7 <= factors.min() < 0.75 and 1.25 < factors.max() <= 1.3001


def test_strong_augmentation_blurs_half_of_the_images():
    checks = (torch.arange(32).view(-1, 1) + torch.arange(32)).remainder(2).float().expand(200, 3, 32, 32)
    blurred = (strong_augmentation(checks, 0.0, 2.0, np.random.default_rng(0)) - checks).abs().amax(
        dim=(1, 2, 3)
    ) > 0.01
    assert 60 < blurred.sum() < 110  # half, less those with a sigma too small to see
    assert torch.equal(strong_augmentation(checks, 0.0, 0.0, np.random.default_rng(0)), checks)


def test_strong_augmentation_jitters_four_of_five_images():
    grey = torch.full((400, 3, 2, 2), 0.5)
    changed = (strong_augmentation(grey, 0.4, 0.0, np.random.default_rng(0)) - grey).abs().amax(dim=(1, 2, 3)) > 1e-4
    assert 0.74 < changed.float().mean() < 0.86


def test_the_hue_turns_by_at_most_what_is_asked_for():
    """Of pure red, a turn towards green by h of the circle gives 6h green, one towards blue 6h blue."""
    red = torch.zeros(300, 3, 1, 1)
    red[:, 0] = 1
    turned = colour_jitter(red, 0.0, 0.1, np.random.default_rng(0))[:, 1:, 0, 0]
    assert (turned.amin(dim=1) < 1e-5).all()
    assert all(0.55 < largest <= 0.6001 for largest in turned.amax(dim=0).tolist())


def test_contrast_and_saturation_change_too():
    half = torch.zeros(200, 3, 1, 2)
    half[..., 0] = 0.4  # the spread of the two pixels changes by contrast, after brightness
    changed = colour_jitter(half, 0.3, 0.0, np.random.default_rng(2))
    ratio = (changed[:, 0, 0, 0] - changed[:, 0, 0, 1]) / 0.4
    assert ratio.min() < 0.65 and ratio.max() > 1.35  # 0.7 * 0.7 and 1.3 * 1.3 at most; 0.7 and 1.3 by one of both
    tint = torch.tensor([0.6, 0.5, 0.5]).view(1, 3, 1, 1).expand(200, 3, 1, 1)
    spread = colour_jitter(tint, 0.3, 0.0, np.random.default_rng(3))
    relative = (spread.amax(dim=1) - spread.amin(dim=1)) / spread.amax(dim=1) / (0.1 / 0.6)
    assert relative.min() < 0.8 and relative.max() > 1.2


def test_a_window_is_taken_once_it_holds_sixteen_pixels():
    """A block of 15 pixels is never enough, so that the window is laid over one of them; one of 16 is."""

    class Drawn:
        """Counts what is drawn; all windows start at the top left."""

        def __init__(self):
            self.integers_drawn = self.chosen = 0

        def integers(self, high):
            self.integers_drawn += 1
            return 0

        def choice(self, candidates):
            self.chosen += 1
            return candidates[0]

    for pixels, tries, chosen in ((16, 1, 0), (15, 10, 1)):
        label, drawn = np.zeros((30, 30), np.uint8), Drawn()
        label[0, :pixels] = CAR
        assert crop_window(label.shape, (20, 20), drawn, label, CAR) == (slice(0, 20), slice(0, 20))
        assert (drawn.integers_drawn, drawn.chosen) == (2 * tries + 2 * chosen, chosen)


def test_the_streams_of_random_numbers_are_fixed():
    assert (SOURCE_STREAM, TARGET_STREAM, MIX_STREAM, MASK_STREAM) == (0, 1, 2, 3)


def test_colour_jitter_equals_its_formula():
    """Factors 1 + strength * u with u drawn as brightness, contrast, saturation, hue, one of each an image."""
    images = torch.rand((3, 3, 5, 6), generator=torch.Generator().manual_seed(0))
    drawn = torch.from_numpy(np.random.default_rng(1).uniform(-1, 1, (4, 3))).float()
    brightness, contrast, saturation = 1 + 0.4 * drawn[:3]
    expected = (images * brightness.view(3, 1, 1, 1)).clamp(0, 1)
    grey = (expected * torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1).mean((1, 2)).view(3, 1, 1, 1)
    expected = (contrast.view(3, 1, 1, 1) * (expected - grey) + grey).clamp(0, 1)
    expected = adjust_hue(adjust_saturation(expected, saturation), 2 * torch.pi * 0.1 * drawn[3])
    rng = np.random.default_rng(1)
    torch.testing.assert_close(colour_jitter(images, 0.4, 0.1, rng), expected, atol=1e-3, rtol=0)
    assert rng.random() == np.random.default_rng(1).random(13)[12]  # four numbers an image and no more


def test_strong_augmentation_equals_its_formula():
    """Jitter where the first number is below 0.8, blur of 3 sigma to each side where the second is below 0.5."""
    image, blurs = torch.rand((1, 3, 12, 14), generator=torch.Generator().manual_seed(0)), set()
    for seed in range(12):
        rng, blur = np.random.default_rng(seed), (0.6, 1.7)[seed % 2]
        jittered, blurred = rng.uniform(size=2) < (0.8, 0.5)
        sigma = rng.uniform(0.15, blur)
        expected = colour_jitter(image, 0.2, 0.05, rng) if jittered else image
        if blurred:
            radius = int(np.ceil(3 * sigma))
            kernel = np.exp(-(np.arange(-radius, radius + 1) ** 2) / (2 * sigma**2))
            kernel = torch.from_numpy(kernel / kernel.sum()).float()
            padded = F.pad(expected, (radius,) * 4, mode="reflect")
            columns = F.conv2d(padded, kernel.view(1, 1, 1, -1).repeat(3, 1, 1, 1), groups=3)
            expected = F.conv2d(columns, kernel.view(1, 1, -1, 1).repeat(3, 1, 1, 1), groups=3)
        found = strong_augmentation(image, 0.2, blur, np.random.default_rng(seed))
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
        blurs.add((bool(jittered), bool(blurred)))
    assert len(blurs) == 4


def test_rescaling_averages_on_the_way_down_and_interpolates_on_the_way_up():
    image, label = np.array([[0, 100], [100, 200]], np.uint8)[..., None].repeat(3, axis=2), np.zeros((2, 2), np.uint8)
    assert rescale(image, label, 0.5)[0].tolist() == [[[100] * 3]]
    assert rescale(image, label, 2.0)[0][0, :, 0].tolist() == [0, 25, 75, 100]
    stripes = np.array([0, 100, 0, 200], np.uint8)[None, :, None].repeat(4, axis=0).repeat(3, axis=2)
    assert rescale(stripes, np.zeros((4, 4), np.uint8), 1.25)[0][0, :, 0].tolist() == [0, 70, 50, 60, 200]
    wide = np.array([0, 0, 0, 80, 80, 0, 0, 0], np.uint8)[None, :, None].repeat(4, axis=0).repeat(3, axis=2)
    assert rescale(wide, np.zeros((4, 8), np.uint8), 0.25)[0][0, :, 0].tolist() == [20, 20]
    assert rescale(image, label, 0.01)[0].shape == (1, 1, 3)
    assert rescale(image, label, 1)[0] is image


def test_rescaling_keeps_labels_whole():
    image, label = rescale(
        np.full((8, 12, 3), 9, np.uint8), np.repeat([[1, 200]], 8, axis=0).repeat(6, axis=1).astype(np.uint8), 0.5
    )
    assert image.shape == (4, 6, 3) and label.tolist() == [[1, 1, 1, 200, 200, 200]] * 4
    _, label = rescale(np.zeros((2, 2, 3), np.uint8), np.array([[1, 200], [1, 200]], np.uint8), 2.5)
    assert set(label.ravel().tolist()) == {1, 200}


@pytest.fixture
def source(tmp_path):
    """Ten road images; one has a small car."""
    rng = np.random.default_rng(0)
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    for number in range(10):
        label = np.full((40, 60), ROAD_LABEL, np.uint8)
        if number == 4:
            label[30:36, 50:56] = CAR_LABEL
        cv2.imwrite(str(tmp_path / "images" / f"{number:05d}.png"), rng.integers(0, 255, (40, 60, 3), dtype=np.uint8))
        cv2.imwrite(str(tmp_path / "labels" / f"{number:05d}.png"), label)
    return SourceDataset(tmp_path, "gtav")


SETTINGS = ImageConfig(crop=(16, 24), jitter=0.2, rare_class_temperature=0.1)


def test_rare_classes_fill_the_source_batches(source):
    batches = SourceBatches(source, range(10), SETTINGS, 4, seed=0)
    images, labels = batches[0]
    assert images.shape == (4, 3, 16, 24) and images.dtype == torch.float32
    assert labels.shape == (4, 16, 24) and labels.dtype == torch.int64
    shares = [
        (labels == CAR).flatten(1).any(dim=1).float().mean() for _, labels in (batches[step] for step in range(5))
    ]
    assert sum(shares) / 5 > 0.9  # one image in ten, 1.5 % of whose pixels are cars


def test_half_of_the_crops_are_mirrored_and_scaled_by_the_settings(source):
    whole = ImageConfig(crop=(40, 60), jitter=0.0, rare_class_temperature=1e-3)  # the image with the car, always
    batches = SourceBatches(source, range(10), whole, 10, seed=0)
    left = torch.cat([(batches[step][1][:, :, :30] == CAR).flatten(1).any(dim=1) for step in range(30)])
    assert 0.42 < left.float().mean() < 0.58
    for scale, between in ((0.5, (1.0, 1.0)), (1.0, (0.5, 0.5))):
        settings = whole.model_copy(update={"source_scale": scale, "source_scale_range": between})
        _, labels = SourceBatches(source, range(10), settings, 2, seed=0)[0]
        assert (labels[:, :20, :30] != 255).all() and (labels[:, 20:] == 255).all() and (labels[:, :, 30:] == 255).all()


def test_source_batches_change_no_hue(source, tmp_path):
    """Green equals blue in every pixel, and still does where brightness, contrast and saturation alone change."""
    settings = SETTINGS.model_copy(update={"jitter": 0.4})
    for number in range(10):
        pixels = np.random.default_rng(number).integers(60, 200, (40, 60, 1), dtype=np.uint8).repeat(3, axis=2)
        pixels[..., 2] = pixels[..., 2] // 2 + 100  # red
        cv2.imwrite(str(tmp_path / "images" / f"{number:05d}.png"), pixels)
    images, _ = SourceBatches(source, range(10), settings, 2, seed=0)[0]
    torch.testing.assert_close(images[:, 1], images[:, 2], atol=1e-5, rtol=0)


def test_held_out_images_are_never_drawn(source):
    batches = SourceBatches(source, [i for i in range(10) if i != 4], SETTINGS, 4, seed=0)
    assert batches.probabilities[CAR] == 0
    assert not any((batches[step][1] == CAR).any() for step in range(10))


def test_batches_are_a_function_of_seed_and_step(source):
    first, second = (SourceBatches(source, range(10), SETTINGS, 2, seed=3) for _ in range(2))
    expected = [first[step] for step in range(5)]
    for workers in (0, 2):
        for (images, labels), (images_again, labels_again) in zip(
            expected[2:], read_ahead(second, range(2, 5), workers), strict=True
        ):
            assert torch.equal(images, images_again) and torch.equal(labels, labels_again)
    assert not torch.equal(first[0][0], first[1][0])
    assert not torch.equal(first[0][0], SourceBatches(source, range(10), SETTINGS, 2, seed=4)[0][0])


def test_a_source_without_labels_is_refused(source, tmp_path):
    for path in (tmp_path / "labels").iterdir():
        cv2.imwrite(str(path), np.zeros((40, 60), np.uint8))
    with pytest.raises(IgnetError, match="no labelled pixel"):
        SourceBatches(SourceDataset(tmp_path, "gtav"), range(10), SETTINGS, 2, seed=0)


@pytest.fixture
def target(tmp_path):
    """One frame of 60 x 40 pixels with four points: a scribbled road, a car, a parking place, an ignored one."""
    root = tmp_path / "target"
    for path in (kitti.image_path(root, "00", "000000"), kitti.label_path(root, "00", "000000")):
        path.parent.mkdir(parents=True)
    cv2.imwrite(str(kitti.image_path(root, "00", "000000")), np.full((40, 60, 3), 90, np.uint8))
    np.array([40, 10, 44, 0, 40], np.uint32).tofile(kitti.label_path(root, "00", "000000"))
    with CorrespondenceWriter(tmp_path / "00.h5") as writer:
        pixel = np.array([[10, 30], [20, 31], [30, 32], [5, 5]], np.float32)
        scribble = np.array([ROAD, 255, 255, 255], np.uint8)
        writer.add("000000", seen_by_one(np.arange(4, dtype=np.int32), pixel, scribble, 5, 60, 40, (-0.7, 0.7)))
    return root, {"00": tmp_path / "00.h5"}


def test_target_frames_give_the_labels_of_their_supervision(target):
    found = {
        kind: TargetFrames(*target, kind, label_set=SEMANTICKITTI).read(0)[1] for kind in ("none", "scribbles", "dense")
    }
    assert {kind: np.count_nonzero(label != 255) for kind, label in found.items()} == {
        "none": 0,
        "scribbles": 1,
        "dense": 3,
    }
    assert found["scribbles"][30, 10] == ROAD
    assert (found["dense"][30, 10], found["dense"][31, 20], found["dense"][32, 30]) == (
        ROAD,
        CAR,
        ROAD,
    )  # parking counts as road


def test_scribbles_never_read_the_dense_labels(target):
    root, projections = target
    kitti.label_path(root, "00", "000000").unlink()
    assert TargetFrames(root, projections, "scribbles", label_set=SEMANTICKITTI).read(0)[1][30, 10] == ROAD
    with pytest.raises(IgnetError, match=r"000000\.label"):
        TargetFrames(root, projections, "dense", label_set=SEMANTICKITTI).read(0)


@pytest.mark.parametrize("supervision", ["scribbles", "dense"])
def test_labels_of_unlabelled_frames_are_never_used(target, supervision):
    root, projections = target
    kitti.label_path(root, "00", "000000").unlink()
    frames = TargetFrames(root, projections, supervision, labelled=[("00", "000001")], label_set=SEMANTICKITTI)
    assert (frames.read(0)[1] == 255).all()


@pytest.fixture
def two_frames(tmp_path):
    """Two frames of the same two points: dense labels and scribbles in files of the same name, in two trees."""
    dense, scribbles = tmp_path / "dense", tmp_path / "scribbles"
    with CorrespondenceWriter(tmp_path / "00.h5") as writer:
        for frame in ("000000", "000001"):
            for path in (kitti.scan_path(dense, "00", frame), kitti.image_path(dense, "00", frame)):
                path.parent.mkdir(parents=True, exist_ok=True)
            np.zeros((2, 4), np.float32).tofile(kitti.scan_path(dense, "00", frame))
            cv2.imwrite(str(kitti.image_path(dense, "00", frame)), np.zeros((40, 60, 3), np.uint8))
            for path in (kitti.label_path(dense, "00", frame), kitti.scribble_path(scribbles, "00", frame)):
                path.parent.mkdir(parents=True, exist_ok=True)
                np.array([40, 10], np.uint32).tofile(path)
            pixel, ids = np.array([[10, 30], [20, 31]], np.float32), np.array([ROAD, 255], np.uint8)
            writer.add(frame, seen_by_one(np.arange(2, dtype=np.int32), pixel, ids, 2, 60, 40, (-0.7, 0.7)))
    return dense, {"00": tmp_path / "00.h5"}, scribbles


@pytest.fixture
def said(monkeypatch):
    """The lines that opening target images logs."""
    lines = []
    monkeypatch.setattr(log, "info", lambda line, *values: lines.append(line % values))
    return lines


@pytest.mark.parametrize("own", [False, True], ids=["dense", "own-scribbles"])
def test_frames_without_a_label_file_are_unlabelled(two_frames, own, said):
    root, projections, scribbles = two_frames
    tree, kind, folder = (scribbles, "scribbles", {"scribbles": scribbles}) if own else (root, "dense", {})

    def opened():
        return open_target(root, projections, kind, None, label_set=SEMANTICKITTI, **folder)

    assert [pool.tolist() for pool in opened().pools] == [[0, 1]]
    assert said == []
    kitti.labels_path(tree, "00", "000001", kind).unlink()
    frames = opened()
    assert [pool.tolist() for pool in frames.pools] == [[0], [1]]
    assert len(said) == 1 and "1 of 2" in said[0] and "those with a label file" in said[0]
    assert [np.count_nonzero(frames.read(item)[1] != 255) for item in (0, 1)] == [2, 0]
    frames.class_counts()
    late = opened()
    kitti.labels_path(tree, "00", "000000", kind).unlink()
    with pytest.raises(IgnetError, match=r"000000\.label"):  # one that counts as labelled has to be there
        late.read(0)


@pytest.mark.parametrize("supervision", ["scribbles", "none"])
def test_labels_that_the_projection_holds_are_asked_for_in_no_file(two_frames, supervision):
    root, projections, _ = two_frames
    kitti.label_path(root, "00", "000001").unlink()
    frames = open_target(root, projections, supervision, None, label_set=SEMANTICKITTI)
    assert [pool.tolist() for pool in frames.pools] == [[0, 1]]


def test_a_share_of_labelled_frames_goes_before_the_files(two_frames, said):
    root, projections, _ = two_frames
    frames = open_target(root, projections, "dense", 50, label_set=SEMANTICKITTI)
    labelled, other = (int(pool.item()) for pool in frames.pools)
    assert len(said) == 1 and "1 of 2" in said[0]
    assert (frames.read(other)[1] == 255).all() and (frames.read(labelled)[1] != 255).any()
    kitti.label_path(root, *frames.items[labelled][:2]).unlink()
    with pytest.raises(IgnetError, match=r"\.label"):
        open_target(root, projections, "dense", 50, label_set=SEMANTICKITTI).read(labelled)


def test_labels_of_a_file_that_may_be_missing_are_none(two_frames):
    root, projections, _ = two_frames
    points = Correspondence(projections["00"]).read("000000")
    path = kitti.label_path(root, "00", "000000")
    assert class_labels(path, points, SEMANTICKITTI).tolist() == [8, 0]  # road, car
    assert projected_labels(path, points, SEMANTICKITTI).tolist() == [ROAD, CAR]
    path.unlink()
    assert class_labels(path, points, SEMANTICKITTI).tolist() == [255, 255]
    assert projected_labels(path, points, SEMANTICKITTI).tolist() == [255, 255]
    for read in (class_labels, projected_labels):
        with pytest.raises(IgnetError, match=r"000000\.label"):
            read(path, points, SEMANTICKITTI, required=True)


@pytest.mark.parametrize("batch", [1, 2])
def test_labelled_and_unlabelled_target_frames_take_turns(batch):
    read = []

    class Frames:
        pools = (np.array([3]), np.array([0, 1, 2]))

        def read(self, item):
            read.append(item)
            return np.zeros((64, 64, 3), np.uint8), np.full((64, 64), 255, np.uint8)

    for step in range(24 // batch):
        TargetBatches(Frames(), SETTINGS, batch, seed=0)[step]
    assert read[::2] == [3] * 12 and set(read[1::2]) == {0, 1, 2}


def test_class_counts_are_those_of_the_labels_that_may_be_used(target):
    root, projections = target
    scribbles, dense = (
        TargetFrames(root, projections, kind, label_set=SEMANTICKITTI).class_counts() for kind in ("scribbles", "dense")
    )
    assert scribbles.shape == dense.shape == (1, 19)
    assert (scribbles[0, ROAD], scribbles.sum()) == (1, 1)
    assert (dense[0, ROAD], dense[0, CAR], dense.sum()) == (2, 1, 3)
    assert not TargetFrames(root, projections, "none", label_set=SEMANTICKITTI).class_counts().any()


def test_own_classes_are_counted_where_a_folder_of_scribbles_is_given(target):
    root, projections = target
    label_set = replace(SEMANTICKITTI, classes=(*SEMANTICKITTI.classes, "water"))
    own = TargetFrames(root, projections, "scribbles", label_set=label_set, scribbles=root)
    camera = TargetFrames(root, projections, "scribbles", label_set=label_set)
    assert (own.classes, camera.classes) == (20, 19)


def test_rare_classes_of_the_target_are_drawn_and_cropped():
    class Frames:
        """Ten frames of road; one of them has one pixel of a car."""

        pools = (np.arange(10),)

        def class_counts(self):
            counts = np.zeros((10, 19), np.int64)
            counts[:, ROAD], counts[7, CAR] = 100, 1
            return counts

        def read(self, item):
            label = np.full((200, 200), ROAD, np.uint8)
            if item == 7:
                label[150, 20] = CAR
            return np.zeros((200, 200, 3), np.uint8), label

    def share(temperature):
        batches = TargetBatches(Frames(), SETTINGS, 1, 0, temperature)
        return np.mean([bool((batches[step][1] == CAR).any()) for step in range(200)])

    assert share(None) < 0.1
    assert 0.42 < share(0.1) < 0.58  # chosen nearly always, and every second crop lies over it
    drawn = TargetBatches(Frames(), SETTINGS, 1, 0, 1.0)._probabilities[[ROAD, CAR]]
    np.testing.assert_allclose(drawn, rare_class_probabilities(np.array([1000, 1]) / 1001, 1.0))


def test_a_wanted_class_that_another_label_covers_is_not_cropped_to():
    class Frames:
        """A frame that has a label of a car, in a pixel where a later one says road."""

        pools = (np.array([0]),)

        def class_counts(self):
            return np.eye(19, dtype=np.int64)[[CAR]]

        def read(self, item):
            return np.zeros((16, 24, 3), np.uint8), np.full((16, 24), ROAD, np.uint8)

    assert (TargetBatches(Frames(), SETTINGS, 10, 0, 1.0)[0][1] == ROAD).all()


def test_half_of_the_target_crops_are_mirrored():
    class Frames:
        """One frame, a car at its left border."""

        pools = (np.array([0]),)

        def read(self, item):
            label = np.full((16, 24), ROAD, np.uint8)
            label[:, 0] = CAR
            return np.zeros((16, 24, 3), np.uint8), label

    batches = TargetBatches(Frames(), SETTINGS, 300, seed=0)
    mirrored = (batches[0][1][:, 0, -1] == CAR).float().mean()
    assert 0.42 < mirrored < 0.58


def test_labels_of_another_scan_are_refused(target):
    root, projections = target
    frames = TargetFrames(root, projections, "dense", label_set=SEMANTICKITTI)
    np.zeros(4, np.uint32).tofile(kitti.label_path(root, "00", "000000"))
    with pytest.raises(IgnetError, match="found 4 labels, expected 5"):
        points = frames.correspondence["00"].read("000000")
        projected_labels(kitti.label_path(root, "00", "000000"), points, SEMANTICKITTI)


def test_an_image_of_another_size_is_refused(target):
    root, projections = target
    cv2.imwrite(str(kitti.image_path(root, "00", "000000")), np.zeros((41, 60, 3), np.uint8))
    with pytest.raises(IgnetError, match="found 60x41 pixels, expected 60x40"):
        TargetFrames(root, projections, "scribbles", label_set=SEMANTICKITTI).read(0)


def test_target_batches_keep_pixels_and_labels_together(target):
    root, projections = target
    image = np.full((40, 60, 3), 90, np.uint8)
    image[30, 10] = 255  # the scribbled pixel is white
    cv2.imwrite(str(kitti.image_path(root, "00", "000000")), image)
    batches = TargetBatches(TargetFrames(root, projections, "scribbles", label_set=SEMANTICKITTI), SETTINGS, 3, seed=0)
    seen = 0
    for images, labels in read_ahead(batches, range(20), 2):
        assert torch.equal(images[:, 0] == 1, labels == ROAD)
        seen += int((labels == ROAD).sum())
    assert seen > 5
