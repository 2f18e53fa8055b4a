"""Principal components for the feature store: what they keep, and that all sequences get the same."""

from pathlib import Path

import numpy as np
import pytest
import torch

from ignet.data.features.pca import PCA, Classifier, Moments, fit_pca, read_pca, write_pca
from ignet.data.features.store import FeatureStore, FeatureWriter, int8_scale
from ignet.errors import IgnetError
from ignet.losses.guidance import class_guidance, guidance

D, CLASSES = 40, 5
RNG = np.random.default_rng(0)
CLASSIFIER = Classifier(RNG.normal(size=(CLASSES, D)).astype(np.float32), RNG.normal(size=CLASSES).astype(np.float32))


def features(count: int = 4000, seed: int = 1) -> np.ndarray:
    """Not negative as those of a decoder, with far more variance in some directions than in others."""
    rng = np.random.default_rng(seed)
    mixed = rng.normal(size=(count, D)) * 0.8 ** np.arange(D)
    turned = mixed @ np.linalg.qr(np.random.default_rng(2).normal(size=(D, D)))[0]
    return np.maximum(turned + 0.5, 0).astype(np.float32)


def moments(*parts: np.ndarray) -> Moments:
    found = Moments(D)
    for part in parts:
        found.add(part)
    return found


def logits(feature: np.ndarray, classifier: Classifier) -> np.ndarray:
    return feature.astype(np.float64) @ classifier.weight.T + classifier.bias


def coordinates(pca: PCA, feature: np.ndarray) -> np.ndarray:
    return pca.reduce(feature) + pca.offset


def test_moments_of_parts_are_those_of_all() -> None:
    whole, some = features(), moments(features()[:100], features()[100:100], features()[100:])
    np.testing.assert_allclose(some.mean, whole.astype(np.float64).mean(axis=0), rtol=1e-9)
    np.testing.assert_allclose(some.covariance, np.cov(whole.astype(np.float64).T, bias=True), atol=1e-9)


@pytest.mark.parametrize("channels", [6, 12, 39, 40])
def test_rows_are_orthonormal_and_sorted_by_variance(channels: int) -> None:
    pca = fit_pca(moments(features()), channels, CLASSIFIER)
    np.testing.assert_allclose(pca.components @ pca.components.T, np.eye(channels), atol=1e-5)
    assert (np.diff(pca.reduce(features()).var(axis=0)) <= 1e-6).all()


@pytest.mark.parametrize("channels", [6, 12])
def test_logits_and_mean_are_kept_whatever_is_left_out(channels: int) -> None:
    """Also for features that the components were not fitted to."""
    pca, unseen = fit_pca(moments(features()), channels, CLASSIFIER), features(500, seed=9)
    kept, full = logits(coordinates(pca, unseen), pca.compose(CLASSIFIER)), logits(unseen, CLASSIFIER)
    np.testing.assert_allclose(kept, full, atol=1e-4)
    np.testing.assert_allclose(pca.components.T @ pca.offset, pca.mean, atol=1e-5)
    plain = fit_pca(moments(features()), channels)
    assert np.abs(logits(coordinates(plain, unseen), plain.compose(CLASSIFIER)) - full).max() > 0.1


def test_without_a_classifier_it_is_principal_component_analysis() -> None:
    data = features()
    pca = fit_pca(moments(data), 7)
    centred = data.astype(np.float64) - data.astype(np.float64).mean(axis=0)
    expected = np.linalg.svd(centred, full_matrices=False)[2][:7]
    np.testing.assert_allclose(np.abs((pca.components * expected).sum(axis=1)), 1, atol=1e-6)
    error = ((pca.restore(coordinates(pca, data)) - data) ** 2).sum(axis=1).mean()
    assert error == pytest.approx(np.linalg.eigvalsh(moments(data).covariance)[: D - 7].sum(), rel=1e-3)


def test_all_channels_lose_nothing() -> None:
    pca, data = fit_pca(moments(features()), D, CLASSIFIER), features(100)
    np.testing.assert_allclose(pca.restore(coordinates(pca, data)), data, atol=1e-5)


def test_the_guidance_losses_are_those_of_the_full_features() -> None:
    """A prediction in the pca is judged as the same prediction among all channels."""
    pca, target = fit_pca(moments(features()), 30, CLASSIFIER), features(300, seed=4)
    guess = pca.restore(coordinates(pca, features(300, seed=5)))
    full, reduced = (torch.from_numpy(x) for x in (guess, coordinates(pca, guess)))
    t_full, t_reduced = torch.from_numpy(target), torch.from_numpy(coordinates(pca, target))
    weights = [tuple(torch.from_numpy(x) for x in c) for c in (CLASSIFIER, pca.compose(CLASSIFIER))]
    assert class_guidance(reduced, t_reduced, *weights[1]) == pytest.approx(
        class_guidance(full, t_full, *weights[0]).item(), rel=1e-4
    )
    assert guidance(reduced, t_reduced).item() == pytest.approx(guidance(full, t_full).item(), rel=0.02)


def test_fitting_is_deterministic_and_signs_are_settled() -> None:
    one, two = (fit_pca(moments(features()), 10, CLASSIFIER) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))
    assert (one.components[np.arange(10), np.abs(one.components).argmax(axis=1)] > 0).all()


@pytest.mark.parametrize("channels", [5, 41])
def test_too_few_and_too_many_channels(channels: int) -> None:
    with pytest.raises(ValueError, match="expected 6 to 40"):
        fit_pca(moments(features()), channels, CLASSIFIER)


def test_a_pca_comes_back_and_belongs_to_its_network(tmp_path: Path) -> None:
    pca = fit_pca(moments(features()), 8, CLASSIFIER)
    for name in ("a", "b"):
        write_pca(tmp_path / name, pca, "1" * 64)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert all(np.array_equal(x, y) for x, y in zip(read_pca(tmp_path / "a", "1" * 64), pca, strict=True))
    with pytest.raises(IgnetError, match="was fitted to the 2D network 1{12}, expected 2{12}.*features_pca"):
        read_pca(tmp_path / "a", "2" * 64)


@pytest.mark.parametrize(("dtype", "tolerance"), [("int8", 0.05), ("float16", 1e-2), ("float32", 1e-4)])
def test_a_store_in_a_pca_gives_coordinates_and_the_classifier_for_them(
    tmp_path: Path, dtype: str, tolerance: float
) -> None:
    pca, data = fit_pca(moments(features()), 12, CLASSIFIER), features(200, seed=6)
    reduced = pca.reduce(data)
    scale = int8_scale([reduced]) if dtype == "int8" else None
    with FeatureWriter(tmp_path / "00.h5", 12, dtype, scale, classifier=CLASSIFIER, pca=pca) as writer:
        writer.add("000000", np.arange(200, dtype=np.int32), reduced)
    store = FeatureStore(tmp_path / "00.h5")
    found = store.read("000000")[1]
    np.testing.assert_allclose(found, coordinates(pca, data), atol=tolerance)
    assert store.classifier is not None and store.pca is not None
    assert all(np.array_equal(a, b) for a, b in zip(store.pca, pca, strict=True))
    np.testing.assert_allclose(logits(found, store.classifier), logits(data, CLASSIFIER), atol=40 * tolerance)
    np.testing.assert_allclose(store.moments[0] / 200, found.mean(axis=0), atol=1e-4)
