"""How jobs are carried out.

Nothing here changes a result by more than rounding, so nothing here is part of a stage's identity.
"""

from pydantic import Field, field_validator, model_validator

from ignet.config.base import Section

DEVICE = r"^(auto|cpu|cuda(:\d+)?)$"
"""Pattern of a device's name."""

TRAININGS = ("pretrain_2d", "adapt_2d", "train_3d")
"""Stages that keep a state: a job that reaches its time limit is resumed by the next one."""

USE_GPU = ("teachers", "evaluate_2d", "features_pca", "features", "predict", "pseudo_label")
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
    "teachers": (3000, 60),
    "evaluate_2d": (3000, 60),
    "features_pca": (3000, 120),
    "features": (3000, 120),
    "predict": (3000, 120),
    "pseudo_label": (3000, 240),
    "evaluate": (2000, 60),
    "submission": (2000, 60),
    "compare": (2000, 30),
    "figures_data": (2000, 20),
    "figures_predictions": (3000, 20),
    "report": (4000, 30),
}
"""What a job of each other stage asks for: MB of memory, minutes."""


GPU_WORKERS = 4
"""Loader processes that feed a GPU by default (our choice; no GPU has been measured)."""

PROCESS_MB, WORKER_MB = 4000, 2000
"""MB of a training process and of a loader process: each keeps up to 1 GB of scans
(`ignet.data.lidar.lidar_dataset`), and some batches."""


class StageResources(Section):
    """What the jobs of one stage ask the scheduler for; a key that is left out keeps its default."""

    mem_mb: int | None = Field(
        None, ge=100, description="MB: memory of a job; a retry asks for 1.5 times, then 2 times as much"
    )
    runtime: int | None = Field(
        None, ge=1, description="minutes: time of a job; a retry of no training asks for twice as many"
    )
    gpus: int | None = Field(None, ge=0, description="GPUs of a job")


class ExecutionConfig(Section):
    """Devices, threads and loader processes."""

    device: str = Field("auto", pattern=DEVICE, description="auto, cpu, cuda or cuda:N")
    threads: int = Field(
        1,
        ge=1,
        description="CPU threads of each training process, extraction and prediction job; another number changes "
        "results in rounding",
    )
    workers: int | None = Field(
        None,
        ge=0,
        description=f"loader processes of each training process; 0: samples are made in it; null: {GPU_WORKERS} where "
        "trainings use a GPU, else 0",
    )
    checkpoint_every: float = Field(60.0, gt=0, description="seconds: time between two checkpoints of a training")
    mem_mb: int | None = Field(
        None,
        ge=500,
        description=f"MB: memory that a training job asks the scheduler for; null: {PROCESS_MB} for each of its "
        f"processes and {WORKER_MB} for each loader process",
    )
    runtime: int = Field(240, ge=1, description="minutes: time that a training job asks the scheduler for")
    gpus: int = Field(0, ge=0, description="GPUs that a training job asks the scheduler for; one process runs on each")
    processes: int | None = Field(
        None, ge=1, description="processes that share each training's batch; null: one a GPU, at least one"
    )
    verify_features: bool = Field(
        True, description="compare the checksum of each scan's features when a training reads them"
    )
    stages: dict[str, StageResources] = Field(
        default_factory=dict,
        description="what a stage's jobs ask for where that differs: rule -> {mem_mb, runtime, gpus}",
    )

    @field_validator("stages")
    @classmethod
    def _known(cls, stages: dict[str, StageResources]) -> dict[str, StageResources]:
        known = sorted((*TRAININGS, *ASKED))
        if unknown := sorted(set(stages) - set(known)):
            raise ValueError(f"found the stages {unknown}, expected some of {known}")
        return stages

    @model_validator(mode="after")
    def _one_process_a_gpu(self) -> "ExecutionConfig":
        for stage in TRAININGS:
            gpus, processes = job_gpus(self, stage), job_processes(self, stage)
            if self.device != "cpu" and gpus and processes > gpus:
                raise ValueError(
                    f"processes is {processes}, but the gpus of {stage} are {gpus}; a GPU takes one process of a "
                    "training"
                )
            if ":" in self.device and processes > 1:
                raise ValueError(
                    f"device is {self.device}, one GPU for {processes} processes of {stage}; set it to cuda"
                )
        return self


def job_processes(execution: ExecutionConfig, stage: str) -> int:
    """Processes of a training; one on the CPU has one unless ``processes`` says otherwise."""
    if execution.processes is not None:
        return execution.processes
    return max(1, job_gpus(execution, stage)) if execution.device != "cpu" else 1


def job_workers(execution: ExecutionConfig, gpus: int) -> int:
    """Loader processes of each process of a training that uses ``gpus`` GPUs."""
    return execution.workers if execution.workers is not None else GPU_WORKERS * bool(gpus)


def job_memory(execution: ExecutionConfig, stage: str, attempt: int = 1, gpus: int | None = None) -> int:
    """MB that the ``attempt``-th try (from 1) of a job asks for: 1, 1.5, then always 2 times the setting.

    Args:
        execution: the settings.
        stage: the job's rule.
        attempt: from 1.
        gpus: that the job uses; None: as many as it asks the scheduler for.
    """
    workers = job_workers(execution, job_gpus(execution, stage) if gpus is None else gpus)
    of_training = execution.mem_mb or job_processes(execution, stage) * (PROCESS_MB + workers * WORKER_MB)
    own = execution.stages.get(stage)
    asked = (own and own.mem_mb) or (of_training if stage in TRAININGS else ASKED[stage][0])
    return asked * min(attempt + 1, 4) // 2


def job_runtime(execution: ExecutionConfig, stage: str, attempt: int = 1) -> int:
    """Minutes that the ``attempt``-th try (from 1) of a job asks for.

    A training resumes where it stopped, so it needs no more.
    """
    own = execution.stages.get(stage)
    asked = (own and own.runtime) or (execution.runtime if stage in TRAININGS else ASKED[stage][1])
    return asked if stage in TRAININGS else asked * min(attempt, 2)


def job_gpus(execution: ExecutionConfig, stage: str) -> int:
    """GPUs that a job asks for."""
    own = execution.stages.get(stage)
    if own is not None and own.gpus is not None:
        return own.gpus
    return execution.gpus if stage in TRAININGS else min(execution.gpus, 1) if stage in USE_GPU else 0
