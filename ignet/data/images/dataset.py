"""Training images of the 2D network: rare-class sampling, crops, colours, and the batch of each step.

Everything random takes a numpy generator, so that a step's batch is a function of (seed, step) alone.
"""

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from kornia.enhance import (
    adjust_brightness_accumulative,
    adjust_contrast_with_mean_subtraction,
    adjust_hue,
    adjust_saturation,
)
from kornia.filters import gaussian_blur2d
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from ignet.config.teachers import HeadConfig
from ignet.config.training_2d import ImageConfig
from ignet.data.formats.source_images import SourceDataset
from ignet.data.images.target import TargetFrames
from ignet.data.label_sets.label_set import IGNORE
from ignet.devices import step_generator
from ignet.errors import IgnetError

SOURCE_STREAM, TARGET_STREAM, MIX_STREAM, MASK_STREAM = 0, 1, 2, 3
"""Second key of `step_generator`: which of a step's random numbers."""

_CROP_TRIES = 10
_LABEL_PIXELS = 16


def rare_class_probabilities(frequencies: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    """Probability of each class to be the one that an image is chosen for.

    P(c) ~ exp((1 - f_c) / T) over the classes that occur.

    Source: DAFormer (Hoyer et al., CVPR 2022), equation 8.

    Args:
        frequencies: float64 (C,), share of the pixels of each class.
        temperature: T; the smaller, the more the rare classes are favoured.

    Returns:
        float64 (C,), 0 for a class that does not occur.

    Raises:
        ValueError: no class occurs.
    """
    occurs = frequencies > 0
    if not occurs.any():
        raise ValueError("no class occurs")
    exponent = np.where(occurs, (1 - frequencies) / temperature, -np.inf)
    weights = np.exp(exponent - exponent.max())
    return weights / weights.sum()


def crop_window(
    size: tuple[int, ...],
    crop: tuple[int, int],
    rng: np.random.Generator,
    label: NDArray[np.uint8] | None = None,
    wanted: int | None = None,
) -> tuple[slice, slice]:
    """A random window of at most ``crop`` (height, width) within an image.

    Args:
        size: height and width of the image.
        crop: height and width of the window; an image that is smaller is taken whole on that side.
        rng: draws the place.
        label: uint8 (H, W); with ``wanted``, windows are drawn until one holds 16 pixels of that class; after ten tries
            the window is placed over a random pixel of the class.
        wanted: the class that the window should hold.
    """
    height, width = size
    rows, columns = min(crop[0], height), min(crop[1], width)

    def window(top: int, left: int) -> tuple[slice, slice]:
        return slice(top, top + rows), slice(left, left + columns)

    def anywhere() -> tuple[slice, slice]:
        return window(int(rng.integers(height - rows + 1)), int(rng.integers(width - columns + 1)))

    if label is None or wanted is None or not (label == wanted).any():
        return anywhere()
    for _ in range(_CROP_TRIES):
        place = anywhere()
        if np.count_nonzero(label[place] == wanted) >= _LABEL_PIXELS:
            return place
    return crop_over(label, crop, rng, wanted)


def crop_over(
    label: NDArray[np.uint8], crop: tuple[int, int], rng: np.random.Generator, wanted: int
) -> tuple[slice, slice]:
    """A window as `crop_window` gives, over a random pixel of the class ``wanted``, which must occur."""
    (height, width), (rows, columns) = label.shape, np.minimum(crop, label.shape).tolist()
    v, u = (int(axis) for axis in rng.choice(np.argwhere(label == wanted)))
    top, left = v - int(rng.integers(rows)), u - int(rng.integers(columns))
    top, left = min(max(top, 0), height - rows), min(max(left, 0), width - columns)
    return slice(top, top + rows), slice(left, left + columns)


def to_crop(
    image: NDArray[np.uint8], label: NDArray[np.uint8], place: tuple[slice, slice], crop: tuple[int, int], flip: bool
) -> tuple[Tensor, Tensor]:
    """Cut, mirror if asked, and convert to tensors.

    Returns:
        image float32 (3, h, w), RGB 0..1, and label int64 (h, w), where (h, w) is ``crop``; what an image lacks is 0
        and 255, at the right and the bottom.
    """
    pixels, ids = image[place], label[place]
    if flip:
        pixels, ids = pixels[:, ::-1], ids[:, ::-1]
    full_image, full_label = np.zeros((*crop, 3), np.uint8), np.full(crop, IGNORE, np.uint8)
    full_image[: pixels.shape[0], : pixels.shape[1]] = pixels
    full_label[: ids.shape[0], : ids.shape[1]] = ids
    return torch.from_numpy(full_image).permute(2, 0, 1).float() / 255, torch.from_numpy(full_label).long()


def colour_jitter(images: Tensor, strength: float, hue: float, rng: np.random.Generator) -> Tensor:
    """Change brightness, contrast, saturation and hue of each image at random.

    The first three by a factor 1 +- ``strength``, the hue by +- ``hue`` of the circle.

    Args:
        images: float (B, 3, H, W), RGB 0..1.
        strength: largest relative change; 0 for none.
        hue: largest turn, 0..0.5; 0 for none.
        rng: draws four numbers an image.

    Returns:
        float (B, 3, H, W), 0..1.
    """
    drawn = torch.from_numpy(rng.uniform(-1, 1, (4, len(images)))).to(images)
    brightness, contrast, saturation = 1 + strength * drawn[:3]
    if strength:
        images = adjust_brightness_accumulative(images, brightness)
        images = adjust_contrast_with_mean_subtraction(images, contrast)
        images = adjust_saturation(images, saturation)
    return adjust_hue(images, 2 * torch.pi * hue * drawn[3]) if hue else images


def strong_augmentation(images: Tensor, jitter: float, blur: float, rng: np.random.Generator) -> Tensor:
    """DAFormer's augmentation of mixed images: colour jitter with probability 0.8, Gaussian blur with probability 0.5.

    Args:
        images: float (B, 3, H, W), RGB 0..1.
        jitter: as in `colour_jitter`; the hue turns by up to a quarter of it.
        blur: pixels, largest sigma (the smallest is 0.15); 0 for none.
        rng: draws whether and how much, for each image.
    """
    result = []
    for image in images.unbind(0):
        jittered, blurred = rng.uniform(size=2) < (0.8, 0.5)
        sigma = float(rng.uniform(0.15, max(blur, 0.15)))
        changed = colour_jitter(image[None], jitter if jittered else 0.0, jitter / 4 if jittered else 0.0, rng)
        if blurred and blur:
            side = 2 * int(np.ceil(3 * sigma)) + 1
            changed = gaussian_blur2d(changed, (side, side), (sigma, sigma))
        result.append(changed)
    return torch.cat(result)


class SourceBatches(Dataset):
    """Batches of source crops; item s is the batch of step s.

    Args:
        source: labelled images.
        indices: the images to draw from.
        settings: crop, scale, jitter and rare-class temperature.
        batch: B.
        seed: of the sampling.

    Items: image float32 (B, 3, h, w) RGB 0..1, and label int64 (B, h, w), 255 ignored.
    """

    def __init__(
        self, source: SourceDataset, indices: Sequence[int], settings: ImageConfig, batch: int, seed: int
    ) -> None:
        self.source, self.settings, self.batch, self.seed = source, settings, batch, seed
        self.indices = np.asarray(indices)
        self.presence = source.class_presence()[self.indices]
        frequencies = np.where(self.presence.any(axis=0), source.class_frequencies(), 0.0)
        if not frequencies.any():
            raise IgnetError(
                f"source: found no labelled pixel in {len(self.indices)} images, expected Cityscapes classes; check "
                "source.layout"
            )
        self.probabilities = rare_class_probabilities(frequencies, settings.rare_class_temperature)

    def __getitem__(self, step: int) -> tuple[Tensor, Tensor]:
        rng = step_generator(self.seed, step, SOURCE_STREAM)
        crops = [self._sample(rng) for _ in range(self.batch)]
        images = torch.stack([image for image, _ in crops])
        return colour_jitter(images, self.settings.jitter, 0.0, rng), torch.stack([label for _, label in crops])

    def _sample(self, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        wanted = int(rng.choice(len(self.probabilities), p=self.probabilities))
        image, label = self.source.read(int(rng.choice(self.indices[self.presence[:, wanted]])))
        image, label = rescale(
            image, label, self.settings.source_scale * random_factor(self.settings.source_scale_range, rng)
        )
        place = crop_window(label.shape, self.settings.crop, rng, label, wanted)
        return to_crop(image, label, place, self.settings.crop, bool(rng.integers(2)))


class TargetBatches(Dataset):
    """Batches of target crops with sparse labels; item s is the batch of step s.

    Where there are unlabelled frames, labelled and unlabelled ones take turns.

    Args:
        frames: the frames to draw from.
        settings: crop.
        batch: B.
        seed: of the sampling.
        temperature: T of the rare-class sampling of labelled frames; None: at random.

    Items: image float32 (B, 3, h, w) RGB 0..1, and label int64 (B, h, w), 255 where there is none.
    """

    def __init__(
        self,
        frames: TargetFrames,
        settings: ImageConfig | HeadConfig,
        batch: int,
        seed: int,
        temperature: float | None = None,
    ) -> None:
        self.frames, self.settings, self.batch, self.seed = frames, settings, batch, seed
        self._presence: NDArray[np.bool_] | None = None
        if temperature is not None and (counts := frames.class_counts()).any():
            self._presence = counts > 0
            self._probabilities = rare_class_probabilities(counts.sum(axis=0) / counts.sum(), temperature)

    def __getitem__(self, step: int) -> tuple[Tensor, Tensor]:
        rng = step_generator(self.seed, step, TARGET_STREAM)
        crops = [self._sample(rng, step * self.batch + b) for b in range(self.batch)]
        return torch.stack([image for image, _ in crops]), torch.stack([label for _, label in crops])

    def _sample(self, rng: np.random.Generator, turn: int) -> tuple[Tensor, Tensor]:
        pool, wanted = np.asarray(self.frames.pools[turn % len(self.frames.pools)]), None
        if self._presence is not None and self._presence[pool].any():
            wanted = int(rng.choice(len(self._probabilities), p=self._probabilities))
            having = pool[self._presence[pool, wanted]]
            pool, wanted = (having, wanted) if len(having) else (pool, None)
        image, label = self.frames.read(int(pool[rng.integers(len(pool))]))
        place = crop_window(label.shape, self.settings.crop, rng)
        # of several labels in one pixel the last counts, so that the wanted one may be gone
        if wanted is not None and rng.integers(2) and (label == wanted).any():
            place = crop_over(label, self.settings.crop, rng, wanted)
        return to_crop(image, label, place, self.settings.crop, bool(rng.integers(2)))


def random_factor(between: tuple[float, float], rng: np.random.Generator) -> float:
    """A factor, log-uniform within its limits; nothing is drawn where these are equal."""
    low, high = between
    return float(np.exp(rng.uniform(np.log(low), np.log(high)))) if low < high else low


def rescale(
    image: NDArray[np.uint8], label: NDArray[np.uint8], factor: float
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Resize an image (bilinear or by area) and its label (nearest) by a factor."""
    if factor == 1:
        return image, label
    size = (max(round(image.shape[1] * factor), 1), max(round(image.shape[0] * factor), 1))
    smooth = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    resized = (
        cv2.resize(image, size, interpolation=smooth),
        cv2.resize(label, size, interpolation=cv2.INTER_NEAREST_EXACT),
    )
    return np.asarray(resized[0], np.uint8), np.asarray(resized[1], np.uint8)
