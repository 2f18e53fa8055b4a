"""The probe that reads LiDAR classes from stored 2D features."""

import numpy as np
import pytest
import torch

from ignet.errors import IgnetError
from ignet.models.probe import fit_probe


def ring_and_middle(count: int = 600) -> tuple[np.ndarray, np.ndarray]:
    """Two channels far from 0; class 2 in the middle, class 5 in a ring around it: no line parts them."""
    rng = np.random.default_rng(0)
    radius, angle = (
        np.where(np.arange(count) % 2, rng.uniform(2, 3, count), rng.uniform(0, 1, count)),
        rng.uniform(0, 2 * np.pi, count),
    )
    x = np.stack([100 + radius * np.cos(angle), 0.01 * radius * np.sin(angle)], axis=1)
    return x.astype(np.float32), np.where(np.arange(count) % 2, 5, 2)


def fitted(seed: int = 0, **rest):
    return fit_probe(*ring_and_middle(), **{"classes": 7, "hidden": 32, "steps": 200, "seed": seed, **rest})


def test_learns_what_a_line_cannot_part_whatever_the_channels_scales() -> None:
    features, labels = ring_and_middle()
    logits = fitted()(torch.from_numpy(features))
    assert logits.shape == (len(features), 7) and logits.dtype == torch.float32
    assert (logits.argmax(1).numpy() == labels).mean() > 0.98


def test_a_rare_class_is_not_drowned() -> None:
    rng = np.random.default_rng(0)
    labels = (np.arange(2000) < 20).astype(np.int64)
    features = (labels[:, None] + rng.normal(0, 0.35, (2000, 4))).astype(np.float32)
    found = fit_probe(features, labels, 2, 16, 200, 0)(torch.from_numpy(features)).argmax(1).numpy()
    assert (found == labels)[labels == 1].mean() > 0.9


def test_is_frozen_and_a_function_of_the_seed_alone() -> None:
    torch.manual_seed(1)
    one, state = fitted(), torch.get_rng_state()
    torch.manual_seed(1)
    assert torch.equal(torch.get_rng_state(), state)  # the global random numbers are as they were
    torch.manual_seed(2)
    two, other = fitted(), fitted(seed=1)
    assert not any(p.requires_grad for p in one.parameters()) and not one.training
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_the_recipe_by_hand() -> None:
    """Three steps of AdamW on 5000 points, written out: 2048, 2048 and 904 of them, each point once."""
    rng = np.random.default_rng(3)
    features, labels = rng.normal(5, 2, (5000, 3)).astype(np.float32), (rng.random(5000) < 0.1).astype(np.int64)
    probe = fit_probe(features, labels, 2, 4, 3, 7)
    torch.manual_seed(7)
    expected = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
    optimizer = torch.optim.AdamW(expected.parameters(), lr=0.003, betas=(0.9, 0.999), weight_decay=0.001)
    x, y = torch.from_numpy((features - features.mean(0)) / features.std(0)), torch.from_numpy(labels)
    rarity = torch.tensor([1 / np.mean(labels == 0) ** 0.5, 1 / np.mean(labels == 1) ** 0.5], dtype=torch.float32)
    for chosen in torch.randperm(5000).split(2048):
        each = torch.nn.functional.cross_entropy(expected(x[chosen]), y[chosen], reduction="none")
        loss = (each * rarity[y[chosen]]).sum() / rarity[y[chosen]].sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    for one, other in zip(probe.layers.parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=2e-5, atol=1e-6)
    torch.testing.assert_close(probe.deviation, torch.from_numpy(features.std(0)))


def test_a_channel_of_tiny_values_is_as_good_as_any() -> None:
    features, labels = ring_and_middle()
    features = (features - [100, 0]).astype(np.float32) * np.float32(1e-9)
    predicted = fit_probe(features, labels, 7, 32, 200, 0)(torch.from_numpy(features)).argmax(1)
    assert (predicted.numpy() == labels).mean() > 0.98


@pytest.mark.parametrize("value", [0.0, 3.1, 30000.1])
def test_a_channel_that_is_constant_where_labels_are_is_not_blown_up_elsewhere(value: float) -> None:
    features, labels = ring_and_middle()
    features[:, 1] = value
    probe, elsewhere = fit_probe(features, labels, 7, 8, 20, 0), torch.from_numpy(features).clone()
    elsewhere[:, 1] += 0.5
    assert probe(elsewhere).abs().max() < 100


def test_takes_half_precision() -> None:
    features, _ = ring_and_middle()
    assert fitted()(torch.from_numpy(features).half()).dtype == torch.float32


def test_exceptions() -> None:
    with pytest.raises(IgnetError, match="found none"):
        fit_probe(np.zeros((0, 3), np.float32), np.zeros(0, np.uint8), 19, 8, 5, 0)
    with pytest.raises(ValueError, match="expected as many"):
        fit_probe(np.zeros((2, 3), np.float32), np.zeros(3, np.uint8), 19, 8, 5, 0)
