"""What test_distributed.py lets two processes do together; torchrun starts it with the path of a plan (JSON).

Each process computes the whole batch alone as well, and writes how far the two are apart. Then both run the plan's
scripts.
"""

import json
import runpy
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from torch import nn

from ignet.config.backbones import MinkUNetConfig
from ignet.config.training_3d import ContrastiveConfig, ImageGuidanceConfig, MeanTeacherConfig, Train3DConfig
from ignet.data.features.pca import Classifier
from ignet.data.label_sets.label_set import SEMANTICKITTI
from ignet.data.lidar.batches import Batch
from ignet.devices import pick_device
from ignet.models.backbones.registry import collate_for
from ignet.models.segmentor3d import build_network
from ignet.models.sparse.voxels import VoxelBatch
from ignet.train.batch_norm import SyncBatchNorm
from ignet.train.distributed import Ranks, join
from ignet.train.objective import Objective3D

BACKBONE = MinkUNetConfig(voxel=0.5, stem=4, encoder=(4, 4, 8, 8), decoder=(8, 4, 4, 4))
CONTRASTIVE = ContrastiveConfig(weight=0.5, ramp=0, channels=6, confidence=0.0, anchors=60)
GUIDED = Train3DConfig(
    backbone=BACKBONE, image_guidance=ImageGuidanceConfig(weight=1.0, loss="cosine"), contrastive=CONTRASTIVE
)
CASES = {
    "supervised": Train3DConfig(backbone=BACKBONE, mean_teacher=MeanTeacherConfig(weight=0)),
    "baseline": Train3DConfig(backbone=BACKBONE),
    "published baseline": Train3DConfig(
        backbone=BACKBONE, normalisation="all", mean_teacher=MeanTeacherConfig(batch_norm="own")
    ),
    "ignet": GUIDED,
    "all anchors, one scan unlabelled": GUIDED.model_copy(
        update={"contrastive": CONTRASTIVE.model_copy(update={"anchors": 5000})}
    ),
    "two-way": GUIDED.model_copy(update={"contrastive": CONTRASTIVE.model_copy(update={"direction": "two_way"})}),
    "classes": GUIDED.model_copy(
        update={"image_guidance": ImageGuidanceConfig(weight=1.0, loss="classifier_kl", confidence=0.4)}
    ),
}
COUNTS = (200, 300, 450)  # points of the three scans of a step: two processes take one and two
STEPS = 3


def make_batch(step: int, scans: range, unlabelled: bool) -> Batch:
    """Some of a step's scans, the same ones whoever asks, on the CPU."""
    clouds, labels, features = [], [], []
    for scan in scans:
        rng = np.random.default_rng([step, scan])
        clouds.append(
            np.concatenate([rng.uniform(-8, 8, (COUNTS[scan], 3)), rng.random((COUNTS[scan], 1))], axis=1).astype(
                np.float32
            )
        )
        share = 0.0 if unlabelled and scan == 0 else 0.1 + 0.2 * scan
        labels.append(np.where(rng.random(COUNTS[scan]) < share, rng.integers(0, 3 + 5 * scan, COUNTS[scan]), 255))
        features.append(rng.normal(size=(COUNTS[scan], 5)).astype(np.float32))
    in_fov = np.concatenate(clouds)[:, 0] > 3
    return Batch(
        student=view(clouds),
        teacher=view([cloud * np.float32([-1, 1, 1, 1]) for cloud in clouds]),
        labels=torch.from_numpy(np.concatenate(labels).astype(np.int64)),
        in_fov=torch.from_numpy(in_fov),
        guided=torch.from_numpy(np.flatnonzero(in_fov)),
        feature=torch.from_numpy(np.concatenate(features)[in_fov]),
    )


def view(clouds: list[np.ndarray]) -> VoxelBatch:
    made = collate_for(BACKBONE, label_set=SEMANTICKITTI)(clouds, None)
    return replace(made, features=made.features.double())


def make_objective(settings: Train3DConfig, ranks: Ranks) -> Objective3D:
    torch.manual_seed(0)
    # in float64, rounding cannot carry a value over the kink of a ReLU, where the gradient jumps; losses and projection
    # are float32 always
    network = build_network(settings.backbone, label_set=SEMANTICKITTI).double()
    classifier = Classifier(np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32), np.zeros(4, np.float32))
    stored = SimpleNamespace(channels=5, classifier=classifier)
    objective = Objective3D(network, settings, "torch", stored, ranks=ranks)
    for model in (objective.student, objective.teacher):
        if "image" in model.heads:
            model.heads["image"].double()
    return objective


def train(settings: Train3DConfig, ranks: Ranks, unlabelled: bool) -> dict[str, torch.Tensor]:
    """Losses and gradients of each step, and all weights and buffers at the end."""
    objective = make_objective(settings, ranks).to(ranks.device)
    compute = ranks.wrap(objective)
    optimizer = torch.optim.SGD(objective.student.parameters(), 0.1)
    found = {}
    for step in range(STEPS):
        scans = range(len(COUNTS))[ranks.local_slice(len(COUNTS))]
        batch = make_batch(step, scans, unlabelled).to(ranks.device)
        objective.student.train()
        losses = compute(step, batch)
        optimizer.zero_grad()
        ranks.backward(losses["loss"])
        found |= {f"{step} loss {name}": value.detach() for name, value in losses.items()}
        found |= {f"{step} gradient {name}": value.grad.clone() for name, value in objective.student.named_parameters()}
        optimizer.step()
        objective.update_teacher(step)
    return found | {f"state {name}": value for name, value in objective.state_dict().items()}


def largest_difference(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor], word: str) -> float:
    """Largest difference over the largest value, over all tensors whose name holds the word."""
    assert one.keys() == other.keys()
    pairs = [(one[name].double(), other[name].double()) for name in one if word in name]
    return float(max((a - b).abs().max() for a, b in pairs) / max(a.abs().max() for a, _ in pairs))


def normalise(ranks: Ranks, shape: tuple[int, ...]) -> dict[str, float]:
    """Differences between a synchronised batch norm and torch's, in float64, each process with another number of
    rows."""
    generator = torch.Generator().manual_seed(0)
    x, upstream = (torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(2))
    x, upstream = (5 * x + 100).to(ranks.device).requires_grad_(), upstream.to(ranks.device)
    plain = nn.BatchNorm1d(shape[1]) if len(shape) == 2 else nn.BatchNorm2d(shape[1])
    torch.nn.init.normal_(plain.weight, generator=generator)
    plain.double().to(ranks.device).train()
    layer = SyncBatchNorm(type(plain)(shape[1]).double().to(ranks.device), ranks.stack).train()
    layer.load_state_dict(plain.state_dict())
    own = slice(0, 2) if ranks.main else slice(2, None)
    part = x.detach()[own].requires_grad_()
    plain(x).backward(upstream)
    layer(part).backward(upstream[own])
    found = {name: (layer.state_dict()[name] - value).abs().max().item() for name, value in plain.state_dict().items()}
    pairs = {"x": (part.grad, x.grad[own]), "weight": (ranks.sum(layer.weight.grad), plain.weight.grad)}
    pairs["bias"] = (ranks.sum(layer.bias.grad), plain.bias.grad)
    found |= {f"gradient of {name}": (a - b).abs().max().item() for name, (a, b) in pairs.items()}
    with torch.no_grad():
        found["evaluation"] = (layer.eval()(part) - plain.eval()(x)[own]).abs().max().item()
    return found


def main() -> None:
    plan = json.loads(Path(sys.argv[1]).read_text())
    ranks = join(pick_device(plan["device"]))
    found: dict[str, dict[str, float]] = {}
    for name, settings in CASES.items():
        alone, together = (train(settings, who, "unlabelled" in name) for who in (Ranks(device=ranks.device), ranks))
        found[name] = {word: largest_difference(alone, together, word) for word in ("loss", "gradient", "state")}
    for shape in ((7, 3), (5, 3, 4, 6)):
        found[f"batch norm {len(shape)}"] = normalise(ranks, shape)
    found["processes"] = {"asked to stop": ranks.any(ranks.rank == 1), "nobody asked": ranks.any(False)}
    Path(plan["out"], f"differences{ranks.rank}.json").write_text(json.dumps(found))
    for path, *arguments in plan["scripts"]:
        sys.argv = [path, *arguments]
        runpy.run_path(path, run_name="__main__")


if __name__ == "__main__":
    main()
