"""Confusion matrix and IoU against values by hand and against the definition, written out slowly."""

import json
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ignet.evaluate.confusion import accuracy, confusion_matrix, iou, mean_iou_occurring, mean_iou_official, summary

CLASSES = 4
ids = st.sampled_from([0, 1, 2, 3, 255])
pairs = st.integers(0, 40).flatmap(lambda n: st.tuples(*[arrays(np.uint8, n, elements=ids)] * 2))


def slow_iou(truth, predicted, classes, ignore=255):
    """IoU from its definition: sets of point numbers, ignored truth left out of all of them."""
    counted = {i for i, t in enumerate(truth.tolist()) if t != ignore}
    values = []
    for c in range(classes):
        is_c = {i for i in counted if truth[i] == c}
        said_c = {i for i in counted if predicted[i] == c}
        values.append(len(is_c & said_c) / len(is_c | said_c) if is_c | said_c else float("nan"))
    return values


def benchmark_mean_iou(truth, predicted, classes):
    """np_ioueval.iouEval as published: raw ids with 0 ignored, matrix (prediction, truth), union + 1e-15, mean over
    included."""
    x, y = (np.where(a == 255, 0, a.astype(np.int64) + 1) for a in (predicted, truth))
    matrix = np.zeros((classes + 1, classes + 1), dtype=np.int64)
    np.add.at(matrix, (x, y), 1)
    matrix[:, 0] = 0
    hits = np.diag(matrix)
    union = matrix.sum(1) + matrix.sum(0) - hits + 1e-15
    return (hits[1:] / union[1:]).mean()


def test_by_hand():
    truth = np.array([0, 0, 0, 1, 1, 2, 255, 255], np.uint8)
    predicted = np.array([0, 0, 1, 1, 255, 3, 0, 255], np.uint8)
    confusion = confusion_matrix(truth, predicted, CLASSES)
    expected = [[2, 1, 0, 0, 0], [0, 1, 0, 0, 1], [0, 0, 0, 1, 0], [0, 0, 0, 0, 0]]
    assert confusion.dtype == np.int64 and confusion.tolist() == expected
    # class 0: 2 / 3; class 1: 1 hit, 1 missed as nothing, 1 false; class 2: missed; class 3: only predicted
    np.testing.assert_allclose(iou(confusion), [2 / 3, 1 / 3, 0, 0])
    assert mean_iou_official(confusion) == pytest.approx(1 / 4)
    assert mean_iou_occurring(confusion) == pytest.approx(1 / 3)
    assert accuracy(confusion) == pytest.approx(3 / 6)


def test_class_absent_from_truth_and_prediction():
    confusion = confusion_matrix(np.array([0, 1], np.uint8), np.array([0, 1], np.uint8), 4)
    np.testing.assert_array_equal(iou(confusion), [1, 1, np.nan, np.nan])
    assert mean_iou_official(confusion) == 0.5
    assert mean_iou_occurring(confusion) == 1


def test_nothing_labelled():
    confusion = confusion_matrix(np.full(3, 255, np.uint8), np.array([0, 1, 255], np.uint8), 2)
    assert confusion.sum() == 0
    assert np.isnan(iou(confusion)).all() and np.isnan(accuracy(confusion)) and np.isnan(mean_iou_occurring(confusion))
    assert mean_iou_official(confusion) == 0
    with warnings.catch_warnings(action="error"):
        assert np.isnan(iou(confusion)).all()


def test_predicting_nothing_is_a_miss_not_a_dropped_point():
    truth = np.zeros(4, np.uint8)
    assert iou(confusion_matrix(truth, np.array([0, 0, 255, 255], np.uint8), 1))[0] == 0.5


@given(pairs)
def test_agrees_with_the_definition(pair):
    truth, predicted = pair
    confusion = confusion_matrix(truth, predicted, CLASSES)
    np.testing.assert_allclose(iou(confusion), slow_iou(truth, predicted, CLASSES))
    assert mean_iou_official(confusion) == pytest.approx(benchmark_mean_iou(truth, predicted, CLASSES))


@given(pairs)
def test_counts_add_up(pair):
    truth, predicted = pair
    confusion = confusion_matrix(truth, predicted, CLASSES)
    assert confusion.sum() == (truth != 255).sum()
    half = len(truth) // 2
    parts = [confusion_matrix(truth[s], predicted[s], CLASSES) for s in (slice(half), slice(half, None))]
    np.testing.assert_array_equal(sum(parts), confusion)
    values = iou(confusion)
    assert ((values >= 0) & (values <= 1) | np.isnan(values)).all()


@given(pairs)
def test_stacked_matrices_give_stacked_figures(pair):
    confusion = confusion_matrix(*pair, CLASSES)
    stack = np.stack([confusion, 3 * confusion])
    for figure in (iou, mean_iou_official, mean_iou_occurring, accuracy):
        np.testing.assert_allclose(figure(stack), np.stack([figure(confusion)] * 2))


@pytest.mark.parametrize(("truth", "predicted"), [([0, 4], [0, 0]), ([0, 0], [0, 4]), ([0, 0], [-1, 0])])
def test_unknown_ids_are_refused(truth, predicted):
    with pytest.raises(ValueError, match="neither a class below 4 nor 255"):
        confusion_matrix(truth, predicted, CLASSES)


def test_shapes_must_agree():
    with pytest.raises(ValueError, match="must be equal"):
        confusion_matrix(np.zeros(3, np.uint8), np.zeros(2, np.uint8), CLASSES)


def test_summary_has_no_nan():
    figures = summary(np.array([[3, 0, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0]]), ("a", "b", "c"))
    assert figures["iou"] == {"a": 0.75, "b": None, "c": 0.0}
    assert figures["miou"] == 0.25 and figures["miou_occurring"] == 0.75 and figures["accuracy"] == 0.75
    assert figures["points"] == 4 and figures["points_of_class"] == {"a": 4, "b": 0, "c": 0}
    empty = summary(np.zeros((1, 2), np.int64), ("a",))
    assert empty["miou_occurring"] is None and empty["accuracy"] is None and empty["iou"] == {"a": None}
    json.dumps([figures, empty], allow_nan=False)


@pytest.mark.parametrize("names", [("a",), ("a", "b", "c")])
def test_a_summary_names_every_class(names):
    with pytest.raises(ValueError):
        summary(np.ones((2, 3), np.int64), names)
