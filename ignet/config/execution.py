"""How jobs are carried out.

Nothing here changes a result by more than rounding, so nothing here is part of a stage's identity.
"""

from pydantic import Field, field_validator, model_validator

from ignet.config.base import Section
from ignet.workflow.resources import ASKED, TRAININGS, gpus_of, processes_of

DEVICE = r"^(auto|cpu|cuda(:\d+)?)$"
"""Pattern of a device's name."""


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
    workers: int = Field(0, ge=0, description="loader processes of each training process; 0: samples are made in it")
    checkpoint_every: float = Field(60.0, gt=0, description="seconds: time between two checkpoints of a training")
    mem_mb: int = Field(4000, ge=500, description="MB: memory that a training job asks the scheduler for")
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
            gpus, processes = gpus_of(self, stage), processes_of(self, stage)
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
