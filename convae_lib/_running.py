"""How a model runs: where it lies, without training, from a seed, undisturbed by Ctrl-C."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn


@contextmanager
def inference(model: nn.Module) -> Iterator[None]:
    """Evaluation mode and no autograd inside; every module's own mode is restored after."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        for module, training in modes:
            module.training = training


def device_of(model: nn.Module) -> torch.device:
    """The device of the model's first parameter or buffer, the CPU if it has neither."""
    for tensor in (*model.parameters(), *model.buffers()):
        return tensor.device
    return torch.device("cpu")


def generators(device: torch.device) -> list[Any]:
    """What holds the state of torch's generators: for the CPU, and for a GPU."""
    return [
        torch.random,
        *([getattr(torch, device.type)] if device.type in ("cuda", "mps") else []),
    ]


@contextmanager
def seeded(seed: int | None, device: torch.device) -> Iterator[None]:
    """Draw from ``seed`` inside, if it is one; the generators go on as before afterwards."""
    before = [(generator, generator.get_rng_state()) for generator in generators(device)]
    if seed is not None:
        torch.manual_seed(seed)
    try:
        yield
    finally:
        for generator, state in before if seed is not None else ():
            generator.set_rng_state(state)


@contextmanager
def undivided() -> Iterator[None]:
    """Let Ctrl-C, which reaches the main thread only, wait for the end of the block."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    waiting: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: waiting.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if waiting:
            raise KeyboardInterrupt
