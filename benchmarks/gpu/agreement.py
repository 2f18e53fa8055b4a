"""Do the sparse engines agree on this device, in every number format that trainings use?

Each backbone's outputs and gradients are compared with those of the torch engine in float64 on the CPU.
"""

from copy import deepcopy
from typing import NamedTuple

import torch
from cases import PRECISIONS, autocast_of, backbone_settings, engines, make_batch, read_case, tf32

from ignet.data.label_sets.label_set import SEMANTICKITTI
from ignet.data.lidar.network_input import Input
from ignet.devices import autocast
from ignet.models.segmentor3d import Network3D, build_network


class Tolerance(NamedTuple):
    """Largest accepted |difference| / |reference| by Euclidean norms."""

    output: float
    gradient: float


UNET = {
    "float64": Tolerance(1e-9, 1e-9),
    "float32": Tolerance(2e-5, 0.02),
    "tf32": Tolerance(0.02, 0.2),
    "bfloat16": Tolerance(0.06, 0.5),
}
TOLERANCES = {
    "minkunet": UNET,
    "spvcnn": UNET,
    "cylinder3d": {
        "float64": Tolerance(1e-9, 1e-9),
        "float32": Tolerance(1e-4, 0.03),
        "tf32": Tolerance(0.05, 0.3),
        "bfloat16": Tolerance(0.2, 0.7),
    },
}
"""By backbone and number format.

float32 and bfloat16 are two to eight times what the CPU has on 20,000 points of two real frames: outputs 3e-6 and 0.02
(Cylinder3D: 4e-5 and 0.05), gradients 4e-3 and 0.22 (7e-3 and 0.29). Gradients differ by far more than outputs,
because an activation near zero that falls on the other side changes all behind it. Those of TF32 lie between.
"""


def compute(network: Network3D, batch: Input, engine: str, precision: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits, and all gradients of their mean square, float64 on the CPU."""
    device = next(network.parameters()).device
    network.zero_grad()
    with tf32(precision == "tf32"), autocast(device, autocast_of(precision)):
        logits, _ = network(batch.to(device), engine)
        logits.double().square().mean().backward()
    gradients = [parameter.grad.flatten() for parameter in network.parameters() if parameter.grad is not None]
    return logits.detach().double().cpu(), torch.cat(gradients).double().cpu()


def error(found: torch.Tensor, reference: torch.Tensor) -> float:
    """Relative, by norms."""
    return float((found - reference).norm() / reference.norm())


def main() -> None:
    """Compare, and write a row for each case; exit code 1 where one does not agree."""
    case = read_case(__doc__)
    # a part of a scan, so that the reference takes seconds
    scans = [case.stages("agreement").scans()[0][: 1000 if case.tiny else 20000]]
    wrong = []
    for name, settings in backbone_settings("demo").items():
        torch.manual_seed(0)
        network, batch = build_network(settings, SEMANTICKITTI), make_batch(settings, scans).student
        without_dropout(network)
        reference = compute(deepcopy(network).double(), as_double(batch), "torch", "float64")
        for engine in engines(case.device):
            for precision in ("float64", *PRECISIONS):
                double = precision == "float64"
                trained = deepcopy(network).to(case.device, torch.float64 if double else torch.float32)
                found = compute(trained, as_double(batch) if double else batch, engine, precision)
                errors = [error(one, other) for one, other in zip(found, reference, strict=True)]
                ok = all(one <= most for one, most in zip(errors, TOLERANCES[name][precision], strict=True))
                row = {"backbone": name, "engine": engine, "precision": precision, "agrees": ok}
                case.write("agreement", **row, output_error=errors[0], gradient_error=errors[1])
                wrong += [] if ok else [f"{name} {engine} {precision}"]
    if wrong:
        raise SystemExit(f"error: no agreement: {', '.join(wrong)}")


def without_dropout(network: Network3D) -> None:
    """Devices draw other random numbers."""
    for module in network.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0


def as_double(batch: Input) -> Input:
    """The same with coordinates as they are and features in float64."""
    return batch._each(  # type: ignore[attr-defined]
        lambda part: part.double() if isinstance(part, torch.Tensor) and part.is_floating_point() else part
    )


if __name__ == "__main__":
    main()
