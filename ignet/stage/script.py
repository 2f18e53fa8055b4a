"""The harness of every stage's script: arguments, settings, identity, errors."""

import argparse
import functools
import hashlib
import json
import logging
import os
import platform
import signal
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, Generic, TypeVar

from ignet.config.base import Section, merge, read_yaml, validate
from ignet.data.formats.official import CAMERA
from ignet.data.label_sets.label_set import load_label_set
from ignet.errors import IgnetError
from ignet.files.atomic import file_hash, write_json
from ignet.files.names import Sequences
from ignet.log import log, start_logging
from ignet.stage.gpus import take_gpus
from ignet.stage.identity import code_hash

S = TypeVar("S", bound=Section)

COMMON: dict[str, dict[str, Any]] = {
    "dataset": {"type": Path, "required": True, "help": "folder of the target dataset, which holds sequences/"},
    "sequence": {"required": True, "help": "the sequence, such as 08"},
    "sequences": {"action": Sequences, "nargs": "+", "required": True, "help": "the sequences"},
    "cameras": {"type": int, "nargs": "+", "default": [CAMERA], "help": "numbers K of the cameras, of folders image_K"},
    "projection": {"type": Path, "required": True, "help": "correspondence: NN.h5 of a sequence, or the folder of all"},
    "network": {"type": Path, "required": True, "help": "weights of pretrain_2d, adapt_2d or teachers"},
    "networks-2d": {
        "nargs": "*",
        "default": [],
        "metavar": "NAME=FILE",
        "help": "weights of the 2D networks to compare",
    },
    "weights": {"type": Path, "required": True, "help": "weights of train_3d"},
    "source": {"type": Path, "required": True, "help": "folder of the source dataset"},
    "layout": {"default": "gtav", "help": "layout of the source dataset: gtav, synthia or cityscapes"},
    "label-set": {"type": load_label_set, "default": "semantickitti", "help": "label set: its name, or a YAML file"},
    "evaluate-on": {
        "choices": ("labels", "scribbles"),
        "default": "labels",
        "help": "what is evaluated on: dense labels, or scribbles",
    },
    "remission-scale": {"type": float, "default": 1.0, "help": "what stands for a remission of 1 in the scans"},
}
"""Arguments that several stages have, each with the same meaning."""


def command(main: Callable[..., None]) -> Callable[..., None]:
    """Make a function a command line: ``IgnetError`` is one line and exit code 1, Ctrl-C one line and 130."""

    @functools.wraps(main)
    def run(*args: Any) -> None:
        try:
            main(*args)
        except IgnetError as error:
            if not first_process():
                # as a rule all processes of a training meet the same fault; the launcher ends this one as soon as the
                # first has said it
                time.sleep(2)
            print(f"error: {error}", file=sys.stderr)
            sys.exit(1)
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            sys.exit(128 + signal.SIGINT)

    return run


def first_process() -> bool:
    """Of the processes that torchrun starts for one training, the one that talks; true without torchrun."""
    return os.environ.get("RANK", "0") == "0"


class Stage(Generic[S]):
    """One stage of the workflow as a plain command line.

    Args:
        section: key of the stage's section in an experiment file.
        config: the section's class, or what gives the section from plain values and the words for where they stand.
        description: what ``--help`` says.
        variants: key of a mapping name -> differences (``runs``, ``adaptations``), or of one name -> section, where it
            is ``section`` itself; adds ``--name`` for use by hand.
    """

    def __init__(
        self,
        section: str,
        config: type[S] | Callable[[Any, str], S],
        description: str | None,
        variants: str | None = None,
    ) -> None:
        self.section, self.variants = section, variants
        self.validated = functools.partial(validate, config) if isinstance(config, type) else config
        self.script = Path(sys.argv[0]).resolve()
        self.parser = argparse.ArgumentParser(
            description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter
        )
        self.add("--config", type=Path, help=f"experiment file; its section '{section}' is used")
        if variants:
            self.add("--name", help=f"which of the experiment file's '{variants}' to take")
        self.add("--settings", help="the section as JSON instead of --config (what the workflow passes)")
        self.add("--code", help="code identity that this job was planned with; refused if the code has changed since")
        self.add("--device", default="auto", help="auto, cpu, cuda or cuda:N")
        self.add(
            "--threads",
            type=int,
            help="CPU threads of torch, shared by the processes of a training; default: torch's own choice",
        )

    def add(self, *names: str, **options: Any) -> None:
        """Add an argument, as ``argparse`` does."""
        self.parser.add_argument(*names, **options)

    def add_common(self, *names: str, out: str | None = None) -> None:
        """Add arguments of ``COMMON`` by name, and ``--out``, where ``out`` says what it is."""
        for name in names:
            self.add(f"--{name}", **COMMON[name])
        if out:
            self.add("--out", type=Path, required=True, help=out)

    def add_training(self, weights: str) -> None:
        """Add the arguments of every training; ``weights`` says what ``--out`` is."""
        self.add_common(out=f"{weights} to write (safetensors)")
        self.add("--metrics", type=Path, required=True, help="metrics of the training to write (JSON)")
        self.add("--curves-csv", type=Path, required=True, help="metrics of each step to write (CSV)")
        self.add("--curves", type=Path, help="folder for TensorBoard files")
        self.add(
            "--state",
            type=Path,
            required=True,
            help="folder of the training state, from which a killed training resumes",
        )
        self.add(
            "--workers", type=int, default=0, help="processes that prepare samples; the result does not depend on it"
        )
        self.add("--checkpoint-every", type=float, default=60.0, help="seconds between two checkpoints; nor on this")
        self.add(
            "--max-minutes",
            type=float,
            help="time limit of the scheduler's job: save and exit before it, for the next job to resume",
        )
        self.add(
            "--job-start", type=float, help="when that job started, in seconds since 1970; default: with this process"
        )

    def start(self) -> tuple[argparse.Namespace, S]:
        """Parse the command line; returns the arguments and the validated section.

        ``device`` is a ``torch.device`` where the script has loaded torch; one that computes without it, on the CPU,
        does not have to wait until it is loaded.

        Raises:
            IgnetError: a faulty setting, a missing device, or code that changed since the job was planned.
        """
        start_logging(logging.INFO if first_process() else logging.WARNING)
        self.args = self.parser.parse_args()
        self.settings = self._settings()
        self.code = code_hash(self.script)
        if self.args.code and self.args.code != self.code:
            raise IgnetError(
                f"{self.script.name}: the code is {self.code} now, this job was planned with {self.args.code}; start "
                "the workflow again"
            )
        self._device()
        log.info("%s on %s", self.script.stem, self.args.device)
        return self.args, self.settings

    def identity(self, **inputs: Any) -> str:
        """Hash of settings, code and the content of ``inputs``: names the state that a killed training left."""
        parts = {name: _content(value) for name, value in inputs.items()}
        text = json.dumps({"settings": self.settings.canonical(), "code": self.code, "inputs": parts}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def write_settings(self, path: Path | str, **facts: Any) -> None:
        """Write settings, code identity, versions, device, threads and ``facts`` beside a result."""
        torch = sys.modules.get("torch")
        versions = {"python": platform.python_version(), "torch": version("torch")}
        values = {"section": self.section, "settings": self.settings.read(), "code": self.code, "versions": versions}
        threads = torch.get_num_threads() if torch else self.args.threads
        where = {"device": str(self.args.device), "machine": platform.machine(), "threads": threads}
        write_json(path, {**values, **where, **facts})

    def _settings(self) -> S:
        if self.args.settings:
            return self.validated(json.loads(self.args.settings), f"--settings of {self.section}")
        if not self.args.config:
            return self.validated({}, self.section)
        values = read_yaml(self.args.config)
        section = {} if self.variants == self.section else values.get(self.section) or {}
        if self.variants and self.args.name:
            name = self.args.name
            variants = values.get(self.variants) or {}
            if name not in variants:
                raise IgnetError(
                    f"{self.args.config}: {self.variants} holds no '{name}', expected one of {sorted(variants)}"
                )
            differences = {key: value for key, value in (variants[name] or {}).items() if key != "seeds"}
            section = merge(section, differences)
        return self.validated(section, f"{self.args.config}: {self.section}")

    def _device(self) -> None:
        if self.args.device == "cpu" and "torch" not in sys.modules:
            return  # to load torch takes longer than most stages that compute without it
        if self.args.device in ("auto", "cuda"):
            take_gpus(1)  # before torch looks which there are; for several processes their launcher has done it
        from ignet.devices import pick_device

        self.args.device = pick_device(self.args.device)
        if self.args.threads:
            import torch

            torch.set_num_threads(max(1, self.args.threads // int(os.environ.get("LOCAL_WORLD_SIZE", 1))))


def _content(value: Any) -> Any:
    if isinstance(value, Path):
        return file_hash(value)
    if isinstance(value, dict):
        return {str(key): _content(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_content(part) for part in value]
    return value
