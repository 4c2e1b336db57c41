"""How a model runs: where it lies, without training, from a seed, undisturbed by Ctrl-C."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain

import torch
from torch import nn


@contextmanager
def inference(model: nn.Module) -> Iterator[None]:
    """Evaluation mode and no autograd inside; every module's own mode is restored after."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        model.eval()
        with torch.inference_mode():
            yield
    finally:
        for module, training in modes:
            module.training = training


def device_of(model: nn.Module) -> torch.device:
    """The device of the model's first parameter or buffer, the CPU if it has neither."""
    for tensor in chain(model.parameters(), model.buffers()):
        return tensor.device
    return torch.device("cpu")


def generators(device: torch.device) -> list[torch.Generator]:
    """What torch draws from by default: the CPU's generator, and that of a GPU."""
    if device.type == "cuda":
        return [torch.default_generator, torch.cuda.default_generators[device.index]]
    if device.type == "mps":
        return [torch.default_generator, torch.mps._get_default_mps_generator()]
    return [torch.default_generator]


@contextmanager
def seeded(seed: int | None, device: torch.device) -> Iterator[None]:
    """Draw from ``seed`` inside, if it is one; the generators go on as before afterwards."""
    drawn = generators(device) if seed is not None else []
    before = [generator.get_state() for generator in drawn]
    try:
        for generator in drawn:
            generator.manual_seed(int(seed or 0))
        yield
    finally:
        for generator, state in zip(drawn, before, strict=True):
            generator.set_state(state)


@contextmanager
def undivided() -> Iterator[None]:
    """Let Ctrl-C, which reaches the main thread only, wait for the end of the block."""
    main = threading.current_thread() is threading.main_thread()
    if not main or not callable(signal.getsignal(signal.SIGINT)):
        yield
        return
    waiting: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: waiting.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if waiting:
            signal.raise_signal(signal.SIGINT)
