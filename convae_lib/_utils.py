"""How a model is run: on which device, without training it, and from which seed."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain

import torch
from torch import Tensor, nn


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Set evaluation mode and turn autograd off inside; restore every module's mode afterwards."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        model.eval()
        with torch.inference_mode():
            yield
    finally:
        for module, training in modes:
            module.training = training


def device_of(model: nn.Module) -> torch.device:
    """Return the device of the model's first parameter or buffer, or the CPU if it has neither."""
    first = next(chain(model.parameters(), model.buffers()), None)
    return torch.device("cpu") if first is None else first.device


def get_rng_states(device: torch.device) -> list[Tensor]:
    """Return the states of the random generators of the CPU and of ``device``, if it is another."""
    states = [torch.get_rng_state()]
    if device.type == "mps":
        states.append(torch.mps.get_rng_state())
    elif device.type not in ("cpu", "meta"):
        states.append(torch.get_device_module(device).get_rng_state(device))
    return states


def set_rng_states(states: list[Tensor], device: torch.device) -> None:
    """Restore what `get_rng_states` returned; a state of another kind of device is left out."""
    torch.set_rng_state(states[0])
    if len(states) == 1 or device.type in ("cpu", "meta"):
        return
    if device.type == "mps":
        torch.mps.set_rng_state(states[1])
    else:
        torch.get_device_module(device).set_rng_state(states[1], device)


@contextmanager
def seeded(seed: int | None, device: torch.device) -> Iterator[None]:
    """Seed torch's generators inside, and restore their states afterwards; None changes nothing."""
    if seed is None:
        yield
        return
    before = get_rng_states(device)
    torch.manual_seed(seed)
    try:
        yield
    finally:
        set_rng_states(before, device)
