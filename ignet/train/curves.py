"""TensorBoard's curves, which must never cost a training."""

from pathlib import Path
from typing import Any

from ignet.log import log


class Curves:
    """Writes event files; after the first error (a full disk) it says so once and writes no more."""

    def __init__(self, folder: Path, first_step: int) -> None:
        """Args: folder: where the event files go.

        Made where it is missing. first_step: a resumed training's first step; TensorBoard then leaves out what an
        earlier attempt wrote from there on.
        """
        self.folder = folder
        self._writer: Any = None
        try:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(folder), purge_step=first_step)
        except OSError as error:
            self._give_up(error)

    def add_scalar(self, name: str, value: float, step: int) -> None:
        """Add one figure of one step."""
        if self._writer:
            try:
                self._writer.add_scalar(name, value, step)
            except OSError as error:
                self._give_up(error)

    def close(self) -> None:
        """Write what is left."""
        if self._writer:
            try:
                self._writer.close()
            except OSError as error:
                self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        log.warning(
            "%s: TensorBoard's files cannot be written (%s); the training continues without them", self.folder, error
        )
        self._writer = None
