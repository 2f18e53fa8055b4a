"""Pseudo-labels, ClassMix and the weighted loss, by hand."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ignet.losses.weighted_cross_entropy import frequency_weights, weighted_cross_entropy
from ignet.train.class_weights import domain_weights, weight_each
from ignet.train.classmix import chosen_classes, classmix, overwrite_with_scribbles, pseudo_label


def test_pseudo_labels_and_the_share_of_sure_pixels():
    probability = torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.05, 0.95]])  # four pixels, two classes
    logits = torch.stack([probability.T.reshape(2, 2, 2), torch.full((2, 2, 2), 0.5)]).log()
    labels, q = pseudo_label(logits, 0.85)
    assert labels[0].tolist() == [[0, 1], [0, 1]]
    assert q.tolist() == [0.5, 0.0]
    assert pseudo_label(logits, 0.5)[1].tolist() == [1.0, 1.0]


def test_known_labels_overwrite_with_weight_one():
    labels, q = torch.tensor([[[3, 4], [5, 6]], [[1, 1], [1, 1]]]), torch.tensor([0.25, 0.75])
    known = torch.tensor([[[255, 9], [255, 255]], [[255, 255], [1, 255]]])
    merged, weight = overwrite_with_scribbles(labels, q, known)
    assert merged.tolist() == [[[3, 9], [5, 6]], [[1, 1], [1, 1]]]
    assert weight.tolist() == [[[0.25, 1.0], [0.25, 0.25]], [[0.75, 0.75], [1.0, 0.75]]]


@pytest.mark.parametrize(("classes", "half"), [((), 0), ((7,), 1), ((1, 2), 1), ((1, 2, 3), 2), ((1, 2, 3, 4), 2)])
def test_half_of_the_classes_rounded_up_and_never_the_ignored(classes, half):
    label = torch.tensor([*classes, 255]).view(1, -1)
    chosen = chosen_classes(label, np.random.default_rng(0)).tolist()
    assert len(chosen) == half == len(set(chosen)) and set(chosen) <= set(classes)


def test_every_class_is_chosen_at_times():
    label = torch.tensor([[1, 2, 3, 4]])
    seen = {c for seed in range(40) for c in chosen_classes(label, np.random.default_rng(seed)).tolist()}
    assert seen == {1, 2, 3, 4}


def test_classmix_by_hand():
    source_label, target_label = torch.tensor([[7, 255], [7, 255]]), torch.tensor([[1, 2], [3, 255]])
    source_image, target_image = torch.full((3, 2, 2), 0.25), torch.full((3, 2, 2), 0.5)
    weight = torch.tensor([[0.1, 0.2], [1.0, 0.4]])
    source_weight = torch.tensor([[3.0, 4.0], [5.0, 6.0]])
    source, target = (source_image, source_label, source_weight), (target_image, target_label, weight)
    image, label, mixed_weight = classmix(*source, *target, np.random.default_rng(0))
    assert label.tolist() == [[7, 2], [7, 255]]  # the one class is pasted, the ignored pixels are not
    assert image[0].tolist() == [[0.25, 0.5], [0.25, 0.5]]
    torch.testing.assert_close(mixed_weight, torch.tensor([[3.0, 0.2], [5.0, 0.4]]))


@settings(max_examples=50)
@given(st.integers(0, 2**32 - 1))
def test_each_pixel_comes_whole_from_one_side(seed):
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed % 2**31)
    source_label, target_label = torch.randint(0, 5, (6, 7)), torch.randint(0, 5, (6, 7))
    source_label[0] = 255
    source_image, target_image, weight = torch.rand(3, 6, 7), torch.rand(3, 6, 7) + 1, torch.rand(6, 7) * 0.5
    source_weight = torch.rand(6, 7) + 1
    image, label, mixed = classmix(source_image, source_label, source_weight, target_image, target_label, weight, rng)
    pasted = image[0] < 1
    assert torch.equal(image, torch.where(pasted, source_image, target_image))
    assert torch.equal(label, torch.where(pasted, source_label, target_label))
    assert torch.equal(mixed, torch.where(pasted, source_weight, weight))
    whole, kept = set(source_label[pasted].tolist()), set(source_label[~pasted].tolist()) - {255}
    assert not whole & kept and 255 not in whole  # a class is pasted with all its pixels, or not at all
    assert len(whole) == (len(whole | kept) + 1) // 2


def test_weighted_cross_entropy_by_hand():
    logits = torch.log(torch.tensor([[0.25, 0.75], [0.5, 0.5], [0.9, 0.1]])).T.reshape(1, 2, 1, 3)
    labels, weight = torch.tensor([[[1, 0, 255]]]), torch.tensor([[[1.0, 0.5, 7.0]]])
    expected = -(np.log(0.75) + 0.5 * np.log(0.5)) / 2
    assert weighted_cross_entropy(logits, labels, weight).item() == pytest.approx(expected, rel=1e-6)
    assert weighted_cross_entropy(logits, labels).item() == pytest.approx(-(np.log(0.75) + np.log(0.5)) / 2, rel=1e-6)
    labels[0, 0, 0] = 255
    assert weighted_cross_entropy(logits, labels).item() == pytest.approx(-np.log(0.5), rel=1e-6)


def test_no_labelled_pixel_gives_zero_with_a_gradient():
    logits = torch.randn(1, 3, 2, 2, requires_grad=True)
    labels = torch.full((1, 2, 2), 255)
    for weight in (None, torch.ones(1, 2, 2)):
        loss = weighted_cross_entropy(logits, labels, weight)
        assert loss.item() == 0
        assert torch.autograd.grad(loss, logits)[0].abs().max() == 0


def test_gradients():
    torch.manual_seed(0)
    logits = torch.randn(2, 3, 2, 2, dtype=torch.float64, requires_grad=True)
    labels, weight = torch.tensor([[[0, 1], [2, 255]], [[255, 255], [1, 1]]]), torch.rand(2, 2, 2, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: weighted_cross_entropy(x, labels, weight), logits)


@pytest.mark.parametrize(
    ("logits", "labels", "weight"),
    [
        (torch.zeros(1, 3, 2, 2), torch.zeros(1, 2, 3, dtype=torch.int64), None),
        (torch.zeros(1, 3, 2, 2), torch.zeros(1, 2, 2, dtype=torch.int64), torch.zeros(1, 2, 3)),
        (torch.zeros(1, 3, 2, 2), torch.zeros(1, 2, 2, dtype=torch.uint8), None),
        (torch.zeros(3, 2), torch.zeros(3, dtype=torch.int64), None),
    ],
)
def test_shapes_and_dtypes_are_checked(logits, labels, weight):
    with pytest.raises(ValueError):
        weighted_cross_entropy(logits, labels, weight)


def test_frequency_weights_by_hand():
    counts = np.array([64, 0, 16])
    # shares 0.8 and 0.2 to the power -1/2: 1.118 and 2.236, whose mean over the labels is 1.3416
    assert frequency_weights(counts, 0.5).numpy() == pytest.approx([0.83333, 1, 1.66667], rel=1e-4)
    assert frequency_weights(counts, 0).numpy() == pytest.approx([1, 1, 1])
    even = frequency_weights(counts, 1.0).numpy()
    assert (even * counts)[[0, 2]] == pytest.approx([40, 40])
    assert frequency_weights(np.array([1, 0, 0]), 0.5).numpy() == pytest.approx([1, 1, 1])
    with np.errstate(all="raise"):
        assert frequency_weights(np.zeros(3, int), 0.5).numpy() == pytest.approx([1, 1, 1])
        assert frequency_weights(counts, 0.5).numpy() == pytest.approx([0.83333, 1, 1.66667], rel=1e-4)


def test_a_class_of_few_target_labels_does_not_rule_the_source_images():
    shares, counts = (
        np.array([0.6, 0.3, 0.1]),
        np.array([9000, 999, 1]),
    )  # one label of the last class, which fills a tenth of the source
    source, target = domain_weights(shares, counts, 0.5, "target")
    assert torch.equal(source, target) and target[2] > 50
    assert (shares * source.numpy()).sum() > 5  # the mean labelled pixel of the source, five times what is meant
    source, again = domain_weights(shares, counts, 0.5, "each")
    assert torch.equal(again, target)
    expected = shares**-0.5 / np.sqrt(shares).sum()
    assert source.numpy() == pytest.approx(expected, rel=1e-5) and (shares * source.numpy()).sum() == pytest.approx(1)


def test_a_class_below_a_billionth_of_the_source_is_one_that_it_does_not_have():
    few, fewer = (
        domain_weights(np.array([1 - share, share]), np.ones(2, int), 0.5, "each")[0][1].item()
        for share in (6e-10, 4e-10)
    )
    assert few == pytest.approx((1e-9) ** -0.5, rel=1e-3)
    assert fewer == 1


@pytest.mark.parametrize("of", ["target", "each"])
def test_without_an_exponent_all_classes_weigh_alike(of):
    weights = domain_weights(np.array([0.9, 0.1, 0.0]), np.array([7, 0, 2]), 0.0, of)
    assert all(torch.equal(each, torch.ones(3)) for each in weights)


def test_each_pixel_gets_the_weight_of_its_class():
    weights = weight_each(torch.tensor([[0, 2], [255, 1]]), torch.tensor([1.0, 2.0, 3.0]))
    assert weights[0].tolist() == [1.0, 3.0] and weights[1, 1] == 2.0
