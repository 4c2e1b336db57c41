"""The processes that train one model together: those that torchrun started, or this one alone."""

from typing import Any, cast
from zlib import crc32

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from ._running import generators


def place() -> tuple[int, int]:
    """The number of this process, counted from 0, and how many there are."""
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1


def say(text: str) -> None:
    """Print it once, not once in every process."""
    if place()[0] == 0:
        print(text)


def unwrapped(model: nn.Module) -> nn.Module:
    """The model in its wrapper, which averages gradients and is needed among several processes."""
    if isinstance(model, DistributedDataParallel):
        return cast(nn.Module, model.module)
    if place()[1] > 1:
        got = f"{type(model).__name__} in one of {place()[1]} processes; wrap it"
        raise TypeError(f"model must be in torch's DistributedDataParallel, got {got}")
    return model


def shared(value: Any) -> Any:
    """The first process's value, in all of them."""
    box = [value]
    if place()[1] > 1:
        distributed.broadcast_object_list(box)
    return box[0]


def mean(number: Tensor) -> float:
    """The mean over all processes."""
    processes = place()[1]
    if processes > 1:
        distributed.all_reduce(number := number.detach() / processes)
    return number.item()


def shuffled(count: int, device: torch.device) -> Tensor:
    """The rows of an epoch in the first process's order; the others then draw noise of their own.

    That depends on the order alone, so that it is the same in a run that goes on from a file.
    """
    order: Tensor = shared(torch.randperm(count, device="cpu"))  # (count,)
    if rank := place()[0]:
        for generator in generators(device):
            generator.manual_seed(crc32(order.numpy().tobytes()) + rank)
    return order


def share(rows: Tensor) -> tuple[Tensor, float]:
    """This process's rows of a batch, and their weight: the mean over processes is the batch's.

    A process without a row takes the first, with no weight: all must take part in every step.
    """
    rank, processes = place()
    own = rows[rank::processes]
    return (own, len(own) * processes / len(rows)) if len(own) else (rows[:1], 0.0)
