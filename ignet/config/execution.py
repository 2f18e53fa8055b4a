"""How jobs are carried out. Nothing here can change a result, so nothing here is part of a stage's identity."""

from pydantic import Field, model_validator

from ignet.config.base import Section


class ExecutionConfig(Section):
    """Devices, threads and loader processes."""

    device: str = Field("auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$", description="auto, cpu, cuda or cuda:N")
    threads: int = Field(1, ge=1, description="CPU threads of each training process, extraction and prediction job")
    workers: int = Field(0, ge=0, description="loader processes of each training process; 0: samples are made in it")
    checkpoint_every: float = Field(60.0, gt=0, description="seconds between two checkpoints of a training")
    mem_mb: int = Field(4000, ge=500, description="MB of memory that a training job asks the scheduler for")
    runtime: int = Field(240, ge=1, description="minutes that a training job asks the scheduler for")
    gpus: int = Field(0, ge=0, description="GPUs that a training job asks the scheduler for; one process runs on each")
    processes: int | None = Field(None, ge=1, description="processes that share each training's batch; none: one a GPU, at least one")

    @model_validator(mode="after")
    def _one_process_a_gpu(self) -> "ExecutionConfig":
        if self.device != "cpu" and self.gpus and self.training_processes > self.gpus:
            raise ValueError(f"processes is {self.processes}, but gpus is {self.gpus}; a GPU takes one process of a training")
        if ":" in self.device and self.training_processes > 1:
            raise ValueError(f"device is {self.device}, one GPU for {self.training_processes} processes; set it to cuda")
        return self

    @property
    def training_processes(self) -> int:
        """Processes of each training; a training on the CPU has one unless ``processes`` says otherwise."""
        if self.processes is not None:
            return self.processes
        return max(1, self.gpus) if self.device != "cpu" else 1
