"""The file in which `PyTorchTrainer.fit` keeps a long training."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from ._processes import place, shared
from ._running import generators, undivided

State = dict[str, Any]
ADVICE = "choose another name, or delete it to begin anew"
CHANGED = {"lr", "momentum", "betas", "last_epoch", "T_i", "T_cur"}  # by the training
KINDS = [type(np.dtype(kind)) for kind in (np.bool_, np.int64, np.float32, np.float64)]
NUMBERS: list[Any] = [np.float64(0).__reduce__()[0], np.dtype, *KINDS]  # a rate may be numpy's


class Checkpoint:
    """The whole state of a run: its ``parts`` that have a ``state_dict``, and the generators.

    ``settings`` are what a run that goes on must share with the one that wrote the file.
    """

    def __init__(self, path: Path, parts: State, device: torch.device, settings: State):
        self.path, self.generators = path.resolve(), generators(device)
        self.parts = {name: part for name, part in parts.items() if part is not None}
        self.settings = settings | {name: _describe(part) for name, part in self.parts.items()}
        self.unfinished = self.path.with_name(f"{self.path.name}.part")
        if place()[0]:
            return  # the first process alone reads and writes
        try:
            self.unfinished.touch()
            self.unfinished.unlink()
            if self.path.exists():
                self.path.open("r+b").close()  # neither a folder nor a pipe
        except OSError as error:
            raise OSError(f"checkpoint must be a file that can be written, got {path}") from error

    @undivided()
    def save(self, **progress: Any) -> None:
        """Write all of it, or leave the file as it was."""
        if place()[0]:
            return
        state = {name: part.state_dict() for name, part in self.parts.items()} | progress
        state["generators"] = [generator.get_state() for generator in self.generators]
        torch.save(state | {"settings": self.settings}, self.unfinished)
        self.unfinished.replace(self.path)

    def load(self) -> Any:
        """Restore what `save` wrote, and return it; None where there is no file."""
        state = shared(self._read() if place()[0] == 0 else None)
        if state is None:
            return None
        found = state["settings"]
        for name in self.settings | found:
            theirs, ours = (str(x.get(name)) for x in (found, self.settings))
            if theirs != ours:
                got = f"{self.path} of another {name}: {theirs:.80}, not {ours:.80}; {ADVICE}"
                raise ValueError(f"checkpoint must belong to this training, got {got}")
        for name, part in self.parts.items():
            part.load_state_dict(state[name])
        for generator, before in zip(self.generators, state["generators"], strict=False):
            generator.set_state(before)
        return state

    def _read(self) -> State | None:
        if not self.path.exists():
            return None
        try:
            with torch.serialization.safe_globals(NUMBERS):
                state = torch.load(self.path, map_location="cpu", weights_only=True)
            return {**state, "settings": dict(state["settings"])}
        except Exception as error:
            got = f"{self.path}, which cannot be read ({type(error).__name__}); {ADVICE}"
            raise ValueError(f"checkpoint must be a file of fit's, got {got}") from error


def _describe(part: Any) -> str:
    """What is the same in two runs of one training, whenever one looks."""
    state = part.state_dict().items()
    if isinstance(part, torch.nn.Module):
        return f"{type(part).__name__} {[(name, x.dtype, *x.shape) for name, x in state]}"
    made_of: Any = {key: x for key, x in state if key[0] != "_" and key not in CHANGED}
    if isinstance(part, torch.optim.Optimizer):
        kept = [key for key in part.defaults if key not in CHANGED]
        groups = [(len(group["params"]), *map(group.get, kept)) for group in part.param_groups]
        made_of = part.defaults, groups
    return f"{type(part).__name__} {made_of}"
