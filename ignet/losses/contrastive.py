"""One-way supervised contrastive loss: from the points that the camera sees to those that it does not.

Source: IGNet (Unal et al., WACV 2024) for the idea of the loss; the memory of class prototypes as written here is this
project's choice.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def prototypes(z: Tensor, classes: Tensor, valid: Tensor, number: int) -> tuple[Tensor, Tensor]:
    r"""Mean of z over the valid points of each class.

    .. math::
        \bar{z}_c = \frac{1}{n_c} \sum_{i : valid_i, \, c_i = c} z_i

    The mean is not re-normalised here, so that means of several steps can be averaged; :func:`one_way_contrastive` does
    that.

    Args:
        z: float (N, D), unit rows.
        classes: int64 (N,); only those of valid points are looked at.
        valid: bool (N,), the points that count.
        number: C, the number of classes.

    Returns:
        means, float (C, D), zero rows where a class has no point; counts n_c, int64 (C,).

    Raises:
        ValueError: the shapes do not fit, or a valid point's class is outside 0..C-1; on a GPU the classes are not
            looked at.
    """
    if z.ndim != 2 or classes.shape != z.shape[:1] or valid.shape != z.shape[:1]:
        raise ValueError(
            f"found z {tuple(z.shape)}, classes {tuple(classes.shape)} and valid {tuple(valid.shape)}, expected (N, "
            "D), (N,) and (N,)"
        )
    if classes.device.type == "cpu":
        chosen = classes[valid]
        if len(chosen) and (int(chosen.min()) < 0 or int(chosen.max()) >= number):
            raise ValueError(
                f"classes of valid points lie in {int(chosen.min())}..{int(chosen.max())}, expected 0..{number - 1}"
            )
    # points that do not count go to a row of their own: on a GPU nobody waits for their number
    row = classes.where(valid, torch.full_like(classes, number))
    count = classes.new_zeros(number + 1).index_add(0, row, torch.ones_like(row))[:-1]
    total = z.new_zeros(number + 1, z.shape[1]).index_add(0, row, z)[:-1]
    return total / count.clamp(min=1)[:, None], count


def update_prototypes(old: Tensor, seen: Tensor, new: Tensor, count: Tensor, momentum: float) -> tuple[Tensor, Tensor]:
    r"""Moving average of the prototypes over steps.

    .. math::
        p_c \leftarrow \mu p_c + (1 - \mu) \bar{z}_c

    for the classes that have points now; a class that is met for the first time takes :math:`\bar{z}_c` itself, and one
    without a point keeps its prototype.

    Args:
        old: float (C, D), the prototypes before.
        seen: bool (C,), the classes that have a prototype.
        new: float (C, D), the means of this step.
        count: int64 (C,), the points of each class in this step.
        momentum: :math:`\mu`, 0 <= mu < 1.

    Returns:
        The prototypes (C, D) and the seen classes (C,) after this step, new tensors.

    Raises:
        ValueError: the shapes do not fit.
    """
    if new.shape != old.shape or seen.shape != old.shape[:1] or count.shape != old.shape[:1]:
        raise ValueError(
            f"found old {tuple(old.shape)}, new {tuple(new.shape)}, seen {tuple(seen.shape)} and count "
            f"{tuple(count.shape)}, expected (C, D) twice and (C,) twice"
        )
    now = count > 0
    averaged = torch.where(seen[:, None], momentum * old + (1 - momentum) * new, new)
    return torch.where(now[:, None], averaged, old), seen | now


def with_gradient(prototypes: Tensor, means: Tensor, count: Tensor) -> Tensor:
    """Prototypes of unchanged value whose gradient flows to the student's own class means: the two-way control.

    The values stay those of the one-way loss, so that the two differ in the stopped gradient and in nothing else.

    Args:
        prototypes: float (C, D), without gradient.
        means: float (C, D), the student's means over the in-FOV points of each class, with gradient, see
            :func:`prototypes`.
        count: int64 (C,), points of each class; a class without a point passes no gradient on.

    Returns:
        float (C, D).
    """
    return prototypes.detach() + torch.where((count > 0)[:, None], means - means.detach(), 0)


def one_way_contrastive(
    z: Tensor, classes: Tensor, prototypes: Tensor, seen: Tensor, temperature: float = 0.1
) -> Tensor:
    r""":func:`contrastive` with the gradient stopped at the prototypes.

    Pulls the anchors to the prototype of their class and away from the others.

    What saw the image teaches what did not, never the other way. Arguments, result and errors are those of
    :func:`contrastive`.
    """
    return contrastive(z, classes, prototypes.detach(), seen, temperature)


def contrastive(z: Tensor, classes: Tensor, prototypes: Tensor, seen: Tensor, temperature: float = 0.1) -> Tensor:
    r"""Pull the anchors to the prototype of their class and away from the others.

    .. math::
        L_{con} = -\frac{1}{|A|} \sum_{i \in A} \log
            \frac{\exp(z_i \cdot p_{c_i} / \tau)}{\sum_{c \, seen} \exp(z_i \cdot p_c / \tau)}

    Prototypes are brought to unit length here (our choice), so that a class of scattered z does not count less. A
    gradient reaches them; :func:`one_way_contrastive` stops it.

    Args:
        z: float (n, D), unit rows: the anchors.
        classes: int64 (n,). Anchors whose class has no prototype, or is outside 0..C-1, are left out of A.
        prototypes: float (C, D).
        seen: bool (C,), the classes that have a prototype.
        temperature: :math:`\tau`.

    Returns:
        A scalar; 0, with a graph, where no anchor is left.

    Raises:
        ValueError: the shapes do not fit, or the temperature is not positive.
    """
    if z.ndim != 2 or classes.shape != z.shape[:1] or prototypes.shape != (*seen.shape, z.shape[1]):
        raise ValueError(
            f"found z {tuple(z.shape)}, classes {tuple(classes.shape)}, prototypes {tuple(prototypes.shape)} and "
            f"seen {tuple(seen.shape)}, expected (n, D), (n,), (C, D) and (C,)"
        )
    if temperature <= 0:
        raise ValueError(f"temperature is {temperature}, expected more than 0")
    known = (classes >= 0) & (classes < len(seen))
    index = (known & seen[classes.where(known, 0)]).nonzero().squeeze(1)
    directions = F.normalize(prototypes.to(z.dtype), dim=1)
    logits = (z[index] @ directions.t() / temperature).masked_fill(~seen, float("-inf"))
    return F.cross_entropy(logits, classes[index], reduction="sum") / max(len(index), 1)
