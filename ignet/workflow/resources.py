"""What jobs ask a scheduler for, and how many processes share a training, by the section `execution`."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ignet.config.execution import ExecutionConfig

TRAININGS = ("pretrain_2d", "adapt_2d", "train_3d")
"""Stages that keep a state: a job that reaches its time limit is resumed by the next one."""

USE_GPU = ("evaluate_2d", "features_pca", "features", "predict", "pseudo_label")
"""Stages that run a network once over the data; they take one GPU where the trainings have any."""

GPU_STAGES = (*TRAININGS, *USE_GPU)
"""Stages whose jobs take ``execution.device``; all others run on the CPU."""

# MB: on the embedded world and on single real frames 240-760 were measured, resident; the two Snakemakes of a SLURM job
# add about 250; the rest is room. Minutes: guesses with room, for nothing longer than such frames has been timed.
ASKED = {
    "world_source": (1500, 30),
    "world_target": (1500, 30),
    "scribbles": (1500, 60),
    "dataset_check": (1500, 60),
    "dataset_manifest": (1000, 10),
    "projection": (1500, 120),
    "figures_projection": (1500, 20),
    "evaluate_2d": (3000, 60),
    "features_pca": (3000, 120),
    "features": (3000, 120),
    "predict": (3000, 120),
    "pseudo_label": (3000, 240),
    "evaluate": (2000, 60),
    "compare": (2000, 30),
    "figures_data": (2000, 20),
    "figures_predictions": (3000, 20),
    "report": (4000, 30),
}
"""What a job of each other stage asks for: MB of memory, minutes."""


def processes_of(execution: "ExecutionConfig", stage: str) -> int:
    """Processes of a training; one on the CPU has one unless ``processes`` says otherwise."""
    if execution.processes is not None:
        return execution.processes
    return max(1, gpus_of(execution, stage)) if execution.device != "cpu" else 1


def memory_of(execution: "ExecutionConfig", stage: str, attempt: int = 1) -> int:
    """MB that the ``attempt``-th try (from 1) of a job asks for: 1, 1.5, then always 2 times the setting."""
    own = execution.stages.get(stage)
    asked = (own and own.mem_mb) or (execution.mem_mb if stage in TRAININGS else ASKED[stage][0])
    return asked * min(attempt + 1, 4) // 2


def runtime_of(execution: "ExecutionConfig", stage: str, attempt: int = 1) -> int:
    """Minutes that the ``attempt``-th try (from 1) of a job asks for.

    A training resumes where it stopped, so it needs no more.
    """
    own = execution.stages.get(stage)
    asked = (own and own.runtime) or (execution.runtime if stage in TRAININGS else ASKED[stage][1])
    return asked if stage in TRAININGS else asked * min(attempt, 2)


def gpus_of(execution: "ExecutionConfig", stage: str) -> int:
    """GPUs that a job asks for."""
    own = execution.stages.get(stage)
    if own is not None and own.gpus is not None:
        return own.gpus
    return execution.gpus if stage in TRAININGS else min(execution.gpus, 1) if stage in USE_GPU else 0
