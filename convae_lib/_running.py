"""How a model runs: where it lies, without training, from a seed, undisturbed by Ctrl-C."""

import signal
import threading
import time
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
    tensors = chain(model.parameters(), model.buffers(), [torch.empty(0, device="cpu")])
    return next(tensors).device


def generators(device: torch.device) -> list[torch.Generator]:
    """What torch draws from by default: the CPU's generator, and that of a GPU."""
    own = [torch.cuda.default_generators[device.index]] if device.type == "cuda" else []
    own += [torch.mps._get_default_mps_generator()] if device.type == "mps" else []
    return [torch.default_generator, *own]


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
    waiting: list[float] = []

    def wait(number: int, frame: object) -> None:
        waiting.append(time.monotonic())
        if waiting[-1] - waiting[0] > 3:  # asked again: the block hangs
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, wait)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if waiting:
            signal.raise_signal(signal.SIGINT)
