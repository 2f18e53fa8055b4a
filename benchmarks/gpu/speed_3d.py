"""Scans a second of each backbone, engine, number format and batch, and the memory that they take.

A training step is the mean-teacher baseline's: student, teacher, losses, backward pass, AdamW. Batches lie on the
device before the clock starts; kernel maps are made anew in each step, as a training does.
"""

import itertools

import torch
from cases import PRECISIONS, autocast_of, backbone_settings, engines, make_batch, peak_mb, read_case, seconds, tf32

from ignet.config.backbones import BackboneConfig
from ignet.config.training_3d import Train3DConfig
from ignet.data.label_sets.label_set import SEMANTICKITTI
from ignet.data.lidar.batches import Batch
from ignet.devices import autocast
from ignet.models.segmentor3d import build_network
from ignet.train.distributed import Ranks
from ignet.train.objective import Objective3D
from ignet.train.schedule import one_cycle
from ignet.train.trainer import Trainer


def measure(
    settings: BackboneConfig, engine: str, precision: str, batch: Batch, device: torch.device, repeats: int
) -> dict[str, float | None]:
    """A training step and a prediction; seconds and MB."""
    torch.manual_seed(0)
    run = Train3DConfig(backbone=settings, precision=autocast_of(precision), steps=1000)
    ranks = Ranks(device=device)
    network = build_network(settings, SEMANTICKITTI)
    trainer = Trainer(Objective3D(network, run, engine, ranks=ranks).to(device), run, one_cycle, ranks)
    batch = batch.to(device)

    def predict() -> None:
        network.eval()
        with torch.no_grad(), autocast(device, run.precision):
            network(batch.student, engine)

    with tf32(precision == "tf32"):
        memory = peak_mb(device, lambda: trainer.step(0, batch)), peak_mb(device, predict)
        step = seconds(lambda: trainer.step(1, batch), device, repeats)
        inference = seconds(predict, device, repeats)
    return {"step_s": step, "step_mb": memory[0], "predict_s": inference, "predict_mb": memory[1]}


def main() -> None:
    """Measure each case; one that does not fit into memory says so."""
    case = read_case(__doc__)
    device = case.device
    scans = [scan[: 500 if case.tiny else None] for scan in case.stages("speed_3d").scans()]
    backbones = backbone_settings("demo" if case.tiny else "paper").items()
    order = itertools.product(engines(device), PRECISIONS[::-1], (1, 2 if case.tiny else 4), backbones)
    for engine, precision, size, (name, settings) in order:
        batch = make_batch(settings, [scans[i % len(scans)] for i in range(size)])
        row = {"backbone": name, "engine": engine, "precision": precision, "batch": size}
        try:
            found = measure(settings, engine, precision, batch, device, case.repeats)
        except torch.OutOfMemoryError as error:
            case.write("speed_3d", **row, fault=str(error).split(". ")[0])
            continue
        rates = {"trained_scans_per_s": size / found["step_s"], "predicted_scans_per_s": size / found["predict_s"]}  # type: ignore[operator]
        case.write("speed_3d", **row, **found, **rates)


if __name__ == "__main__":
    main()
