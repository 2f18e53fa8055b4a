"""The 3D networks that ``train_3d.backbone.name`` can name: one line each."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from torch import Tensor

from ignet.config.backbones import BackboneConfig, Cylinder3DConfig, MinkUNetConfig, SPVCNNConfig
from ignet.data.label_sets.label_set import LabelSet
from ignet.data.lidar.network_input import Collate, Input
from ignet.models.backbones import cylinder3d, minkunet, spvcnn
from ignet.models.sparse.engine import Engine


class Backbone(Protocol):
    """A module from the scans of a batch to features of their points."""

    channels: int

    def __call__(self, batch: Any, engine: Engine) -> tuple[Tensor, Tensor | None]:
        """Features of the N points of a batch.

        Args:
            batch: what ``collate`` of the same backbone made.
            engine: resolved sparse engine, for `ignet.models.sparse.engine.make_geometry`.

        Returns:
            features float (R, channels), and int64 (N,), the row of each point; None: row n is point n. Points that
            share a row, such as those of a voxel, share what is computed from it.
        """
        ...


@dataclass(frozen=True)
class Spec:
    """How a backbone is made.

    Attributes:
        settings: class of its settings, whose ``name`` is the key in ``BACKBONES``.
        collate: (scans, labels, settings, classes) -> Input, as `Collate`; only a network with local context reads
            labels and their number of classes.
        build: (settings, classes) -> the module, with fresh weights from torch's global generator.
    """

    settings: type[BackboneConfig]
    collate: Callable[..., Input]
    build: Callable[[Any, int], Any]


BACKBONES = {
    "minkunet": Spec(MinkUNetConfig, minkunet.collate_scans, minkunet.build),
    "spvcnn": Spec(SPVCNNConfig, minkunet.collate_scans, spvcnn.SPVCNN),
    "cylinder3d": Spec(Cylinder3DConfig, cylinder3d.collate_scans, cylinder3d.Cylinder3D),
}


def collate_for(config: BackboneConfig, label_set: LabelSet) -> Collate:
    """What makes the input of the network with these settings."""
    return partial(BACKBONES[config.name].collate, config=config, classes=len(label_set))
