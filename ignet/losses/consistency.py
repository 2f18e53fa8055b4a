"""Agreement of the student with its teacher."""

import torch
import torch.nn.functional as F
from torch import Tensor

from ignet.losses.cross_entropy import Normalisation


def consistency(
    student_logits: Tensor, teacher_logits: Tensor, mask: Tensor, normalisation: Normalisation = "own"
) -> Tensor:
    r"""Mean KL divergence of the student's from the teacher's prediction over the masked points.

    .. math::
        L = \frac{1}{|M|} \sum_{i \in M} \sum_c t_{ic} \log \frac{t_{ic}}{s_{ic}}, \qquad t, s =
        \mathrm{softmax}(\text{logits})

    Source: the mean teacher term of ScribbleKITTI (Unal et al., CVPR 2022), on the points without a label;
    its code divides by N instead.

    Args:
        student_logits: float (N, C).
        teacher_logits: float (N, C); no gradient flows to them.
        mask: bool (N,), the points that count.
        normalisation: own: divide by the number of masked points; all: by N.

    Returns:
        A scalar; 0, with a graph, where the mask is empty.

    Raises:
        ValueError: the shapes or the dtype of the mask do not fit.
    """
    if (
        student_logits.ndim != 2
        or teacher_logits.shape != student_logits.shape
        or mask.shape != student_logits.shape[:1]
    ):
        raise ValueError(
            f"found student {tuple(student_logits.shape)}, teacher {tuple(teacher_logits.shape)} and mask "
            f"{tuple(mask.shape)}, expected (N, C), (N, C) and (N,)"
        )
    if mask.dtype != torch.bool:
        raise ValueError(f"mask is {mask.dtype}, expected torch.bool")
    index = mask.nonzero().squeeze(1)
    student = F.log_softmax(student_logits[index], dim=1)
    teacher = F.log_softmax(teacher_logits.detach()[index], dim=1)
    total = F.kl_div(student, teacher, reduction="sum", log_target=True)
    return total / max(len(mask if normalisation == "all" else index), 1)


def pseudo_labels(teacher_logits: Tensor, mask: Tensor, confidence: float, ignore: int = 255) -> Tensor:
    """The teacher's likeliest class, where it is confident.

    Source: the pseudo-labels of LaserMix (Kong et al., CVPR 2023).

    Args:
        teacher_logits: float (N, C).
        mask: bool (N,), the points that may get one.
        confidence: probability of the likeliest class from which a point gets it.
        ignore: what the others get.

    Returns:
        int64 (N,), classes 0..C-1 or ``ignore``, without a gradient.

    Raises:
        ValueError: the shapes or the dtype of the mask do not fit.
    """
    if teacher_logits.ndim != 2 or mask.shape != teacher_logits.shape[:1] or mask.dtype != torch.bool:
        raise ValueError(
            f"found teacher {tuple(teacher_logits.shape)} and mask {mask.dtype} {tuple(mask.shape)}, expected (N, C) "
            "and bool (N,)"
        )
    probability, likeliest = teacher_logits.detach().softmax(dim=1).max(dim=1)
    return torch.where(mask & (probability >= confidence), likeliest, ignore)
