"""Pseudo-labels and ClassMix: what the adaptation makes of a source image and a target image.

Pure functions of tensors.
"""

import numpy as np
import torch
from torch import Tensor


def pseudo_label(logits: Tensor, confidence: float) -> tuple[Tensor, Tensor]:
    """The teacher's labels and how much they count.

    Args:
        logits: float (B, C, H, W).
        confidence: smallest softmax probability of a pixel that counts as sure.

    Returns:
        labels: int64 (B, H, W), the likeliest class of each pixel.
        q: float (B,), the share of sure pixels of each image (DACS; DAFormer takes one q a batch).
    """
    probability, labels = torch.softmax(logits.float(), dim=1).max(dim=1)
    return labels, (probability >= confidence).float().mean(dim=(1, 2))


def overwrite_with_scribbles(labels: Tensor, q: Tensor, known: Tensor, ignore: int = 255) -> tuple[Tensor, Tensor]:
    """Pseudo-labels overwritten with true ones where there are any.

    Args:
        labels: int64 (B, H, W), pseudo-labels.
        q: float (B,), their weights.
        known: int64 (B, H, W), true labels, ``ignore`` elsewhere.
        ignore: the label of a pixel that has none.

    Returns:
        labels: int64 (B, H, W).
        weight: float (B, H, W): 1 where a label is true, q elsewhere.
    """
    is_known = known != ignore
    weight = q.view(-1, 1, 1).expand(labels.shape)
    return torch.where(is_known, known, labels), torch.where(is_known, torch.ones_like(weight), weight)


def chosen_classes(label: Tensor, rng: np.random.Generator, ignore: int = 255) -> Tensor:
    """Half of the classes of a label image (H, W), rounded up, drawn without replacement: sorted int64 (k,)."""
    present = torch.unique(label[label != ignore]).cpu().numpy()
    picked = rng.choice(present, size=(len(present) + 1) // 2, replace=False) if len(present) else present
    return torch.from_numpy(np.sort(picked)).to(label)


def classmix(
    source_image: Tensor,
    source_label: Tensor,
    source_weight: Tensor,
    target_image: Tensor,
    target_label: Tensor,
    target_weight: Tensor,
    rng: np.random.Generator,
) -> tuple[Tensor, Tensor, Tensor]:
    """Paste half of the source image's classes onto the target image.

    Source: Olsson et al., "ClassMix", WACV 2021, across domains as in DACS (Tranheden et al., WACV 2021).

    Args:
        source_image: float (3, H, W).
        source_label: int64 (H, W); ignored pixels (255) are never pasted.
        source_weight: float (H, W).
        target_image: float (3, H, W).
        target_label: int64 (H, W).
        target_weight: float (H, W).
        rng: draws the classes.

    Returns:
        image (3, H, W), label (H, W) and weight (H, W): the source's pixel where one was pasted, the target's
        elsewhere.
    """
    pasted = torch.isin(source_label, chosen_classes(source_label, rng))
    image = torch.where(pasted, source_image, target_image)
    label = torch.where(pasted, source_label, target_label)
    return image, label, torch.where(pasted, source_weight, target_weight)
