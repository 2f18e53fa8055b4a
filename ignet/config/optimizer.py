"""Settings of the optimiser, the same keys for the 2D and the 3D trainings."""

from typing import Literal

from pydantic import Field

from ignet.config.base import Section


class OptimizerConfig(Section):
    """AdamW, and the number format of the forward pass."""

    steps: int = Field(400, ge=1, description="training steps")
    learning_rate: float = Field(1e-3, gt=0, description="after the warm-up")
    weight_decay: float = Field(0.01, ge=0, description="of AdamW")
    decay_norms_and_biases: bool = Field(
        False, description="weight decay on normalisation layers and biases, too; false: on all other weights alone"
    )
    warmup_steps: int | None = Field(0, ge=0, description="steps of linear warm-up")
    gradient_clip: float | None = Field(
        None, gt=0, description="largest norm of the whole gradient; null: gradients are not clipped"
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto",
        description="of the forward pass; auto: bfloat16 on a GPU that has it, else float32 (DAFormer: float32)",
    )
