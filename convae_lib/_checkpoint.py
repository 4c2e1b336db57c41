"""The file in which `PyTorchTrainer.fit` keeps a long training."""

import os
from pathlib import Path
from textwrap import shorten
from typing import Any

import torch

from ._running import generators

ADVICE = "choose another name, or delete it to begin anew"


class Checkpoint:
    """The whole state of a run: its ``parts`` that have a ``state_dict``, and the generators.

    ``settings`` are what a run that goes on must share with the one that wrote the file.
    """

    def __init__(
        self, path: Path, parts: dict[str, Any], device: torch.device, settings: dict[str, Any]
    ):
        self.path, self.generators = path, generators(device)
        self.parts = {name: part for name, part in parts.items() if part is not None}
        self.settings = settings | {name: _describe(part) for name, part in self.parts.items()}
        if not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
            raise OSError(f"checkpoint must lie in a folder that can be written, got {path}")

    def save(self, **progress: Any) -> None:
        """Write all of it, or leave the file as it was."""
        state = {name: part.state_dict() for name, part in self.parts.items()} | progress
        state["generators"] = [generator.get_rng_state() for generator in self.generators]
        unfinished = self.path.with_name(f"{self.path.name}.part")
        torch.save(state | {"settings": self.settings}, unfinished)
        unfinished.replace(self.path)

    def load(self) -> Any:
        """Restore what `save` wrote, and return it; None where there is no file."""
        if not self.path.exists():
            return None
        try:
            state = torch.load(self.path, map_location="cpu", weights_only=True)
            found = state["settings"]
        except Exception as error:
            reason = f"{self.path}, which cannot be read ({error}); {ADVICE}"
            raise ValueError(f"checkpoint must be a file of fit's, got {reason}") from error
        for name in self.settings | found:
            theirs, ours = (str(settings.get(name)) for settings in (found, self.settings))
            if theirs != ours:
                got = (
                    f"{self.path} of another {name}: {shorten(theirs, 80)}, not {shorten(ours, 80)}"
                )
                raise ValueError(f"checkpoint must belong to this training, got {got}; {ADVICE}")
        for name, part in self.parts.items():
            part.load_state_dict(state[name])
        for generator, before in zip(self.generators, state["generators"], strict=False):
            generator.set_rng_state(before)
        return state


def _describe(part: Any) -> str:
    made_of: Any = ""
    if isinstance(part, torch.nn.Module):
        made_of = {name: [*tensor.shape] for name, tensor in part.state_dict().items()}
    elif isinstance(part, torch.optim.Optimizer):
        made_of = part.defaults, [len(group["params"]) for group in part.param_groups]
    return f"{type(part).__name__} {made_of}"
