"""Masks of masked image consistency."""

import numpy as np
import torch
from torch import Tensor

from ignet.models.teachers.segformer import IMAGENET_MEAN


def mask_patches(images: Tensor, ratio: float, block: int, rng: np.random.Generator) -> Tensor:
    """Images of which random square blocks have ImageNet's mean colour, and so are 0 after the normalisation.

    Source: Hoyer et al., "MIC: Masked Image Consistency for Context-Enhanced Domain Adaptation", CVPR 2023.

    Args:
        images: float (B, 3, H, W), RGB 0..1.
        ratio: probability of a block to be hidden.
        block: pixels along its side; the first one starts at the top left.
        rng: draws the blocks of all images.

    Returns:
        float (B, 3, H, W).
    """
    count, _, height, width = images.shape
    shown = rng.random((count, 1, -(-height // block), -(-width // block))) >= ratio
    mask = torch.from_numpy(shown.repeat(block, axis=2).repeat(block, axis=3)[..., :height, :width]).to(images.device)
    return torch.where(mask, images, images.new_tensor(IMAGENET_MEAN).view(1, 3, 1, 1))
