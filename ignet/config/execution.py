"""How jobs are carried out. Nothing here can change a result, so nothing here is part of a stage's identity."""

from pydantic import Field

from ignet.config.base import Section


class ExecutionConfig(Section):
    """Devices, threads and loader processes."""

    device: str = Field("auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$", description="auto, cpu, cuda or cuda:N")
    threads: int = Field(1, ge=1, description="CPU threads of each training, extraction and prediction job")
    workers: int = Field(0, ge=0, description="loader processes of each training; 0: samples are made in the training process")
    checkpoint_every: float = Field(60.0, gt=0, description="seconds between two checkpoints of a training")
    mem_mb: int = Field(4000, ge=500, description="MB of memory that a training job asks the scheduler for")
    runtime: int = Field(240, ge=1, description="minutes that a training job asks the scheduler for")
    gpus: int = Field(0, ge=0, description="GPUs that a training job asks the scheduler for")
