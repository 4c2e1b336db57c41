"""Train one model in several processes, which torchrun starts. Lesson 12 builds it."""

from collections.abc import Callable
from typing import Any, cast
from zlib import crc32

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DataParallel, DistributedDataParallel
from torch.optim import Optimizer

from ._utils import device_of
from .training import History, Pair, PyTorchTrainer, check_loss


def rank() -> int:
    """Return the number of this process.

    Returns
    -------
    int
        Counted from 0; 0 without a process group.

    Notes
    -----
    Used in lesson 12.

    Examples
    --------
    >>> rank()
    0
    """
    return distributed.get_rank() if _has_process_group() else 0


def world_size() -> int:
    """Return the number of processes.

    Returns
    -------
    int
        At least 1, which it is without a process group.

    Notes
    -----
    Used in lesson 12.

    Examples
    --------
    >>> world_size()
    1
    """
    return distributed.get_world_size() if _has_process_group() else 1


def broadcast(value: Any) -> Any:
    """Return rank 0's value in every process.

    Parameters
    ----------
    value : object
        Any object that can be pickled; only that of rank 0 matters.

    Returns
    -------
    object
        The value of rank 0.

    Notes
    -----
    Used in lesson 12.

    Examples
    --------
    >>> broadcast("the same in every process")
    'the same in every process'
    """
    values = [value]
    if world_size() > 1:
        distributed.broadcast_object_list(values)
    return values[0]


def all_reduce_mean(value: Tensor) -> Tensor:
    """Return the mean of a tensor over all processes.

    Parameters
    ----------
    value : Tensor
        A floating-point tensor, of the same shape in every process.

    Returns
    -------
    Tensor
        The mean, in every process, without a computational graph.

    Notes
    -----
    Used in lesson 12.

    Examples
    --------
    >>> all_reduce_mean(torch.tensor(3.0))
    tensor(3.)
    """
    mean = value.detach() / world_size()
    if world_size() > 1:
        distributed.all_reduce(mean)
    return mean


def shard(batch: Tensor) -> Tensor:
    """Return this process's rows of a batch: every ``world_size()``-th, from row ``rank()`` on.

    Parameters
    ----------
    batch : Tensor
        Examples (N, ...), the same in every process.

    Returns
    -------
    Tensor
        The shard, a view of the batch. It is empty if there are fewer rows than processes.

    Notes
    -----
    Used in lesson 12.

    Examples
    --------
    >>> shard(torch.arange(4))
    tensor([0, 1, 2, 3])
    """
    return batch[rank() :: world_size()]


def unwrap(model: nn.Module) -> nn.Module:
    """Return the module inside torch.compile, DistributedDataParallel and DataParallel.

    Parameters
    ----------
    model : nn.Module
        A model in any number of these wrappers, or in none.

    Returns
    -------
    nn.Module
        The plain model, whose parameters are those of the wrapped one.

    Notes
    -----
    Used in lessons 11 and 12.

    Examples
    --------
    >>> model = nn.Linear(3, 2)
    >>> unwrap(nn.DataParallel(model)) is model
    True
    """
    while True:
        if isinstance(model, DistributedDataParallel | DataParallel):
            model = model.module
        elif hasattr(model, "_orig_mod"):  # what torch.compile returns
            model = cast(nn.Module, model._orig_mod)
        else:
            return model


class DistributedTrainer(PyTorchTrainer):
    """Train a model in several processes, each on its shard of every batch.

    Every process runs the same program, started by torchrun, calls
    ``torch.distributed.init_process_group`` and makes this trainer from the same data. The
    gradients are averaged over the processes, so the weights stay equal in all of them, and equal
    those of a single process up to rounding. Without a process group it trains like
    `PyTorchTrainer`.

    All processes evaluate all test pairs and call all callbacks. Rank 0 alone prints, and decides
    with ``trainer.stop`` whether to stop.

    Parameters
    ----------
    model : nn.Module
        The model, on this process's device. It is wrapped in DistributedDataParallel, which gives
        every process rank 0's weights; pass a wrapped model to choose its options yourself.
    optim : Optimizer
        An optimizer of the model's parameters.
    criterion : callable
        ``criterion(output, y)`` returns the mean loss of a batch.

    Raises
    ------
    TypeError, ValueError
        As `PyTorchTrainer`.

    Notes
    -----
    Data parallelism: S. Li et al., "PyTorch distributed", VLDB 2020. Each batch is divided among
    the processes, so ``batch_size`` is that of all of them together. Ctrl-C ends all processes. A
    loss that is infinite or NaN raises FloatingPointError in all of them. Built in lesson 12.

    Examples
    --------
    >>> model = nn.Linear(3, 2)
    >>> optim = torch.optim.SGD(model.parameters(), lr=0.1)
    >>> trainer = DistributedTrainer(model, optim, nn.MSELoss())
    >>> trainer.module is model
    True
    """

    def __init__(
        self, model: nn.Module, optim: Optimizer, criterion: Callable[[Tensor, Tensor], Tensor]
    ):
        if world_size() > 1 and not _is_distributed(model):
            device = device_of(model)
            device_ids = None if device.type == "cpu" else [device]
            model = DistributedDataParallel(model, device_ids)
        super().__init__(model, optim, criterion)
        self.verbose = rank() == 0

    @property
    def module(self) -> nn.Module:
        """The model without its wrapper."""
        return unwrap(self.model)

    def fit(self, *args: Any, **options: Any) -> History:
        """Train as `PyTorchTrainer.fit` does, with the same arguments in every process."""
        history = super().fit(*args, **options)
        if history.interrupted and world_size() > 1:
            raise KeyboardInterrupt  # the other processes may be in another step
        return history

    def train_step(self, x: Tensor, y: Tensor) -> float:
        """Take a step on this process's shard of a batch; return the loss of the whole batch."""
        x_shard, y_shard = shard(x), shard(y)
        # With this weight the mean over the processes is the mean over the batch.
        weight = len(x_shard) * world_size() / len(x)
        if len(x_shard) == 0:  # every process must take part in the averaging
            x_shard, y_shard = x[:1], y[:1]
        self.optim.zero_grad()
        loss = weight * self.batch_loss(x_shard, y_shard)
        loss.backward()  # DistributedDataParallel averages the gradients here
        mean_loss = check_loss(all_reduce_mean(loss), "training loss")
        self.optim.step()
        return mean_loss

    def shuffle(self, x: Tensor, y: Tensor) -> Pair:
        """Return all examples in rank 0's random order, and give every other rank its own noise.

        The other ranks are seeded from rank 0's state, so that dropout differs between the ranks
        and repeats when a training is resumed.
        """
        state = broadcast(torch.get_rng_state())
        torch.set_rng_state(state)
        x_shuffled, y_shuffled = super().shuffle(x, y)
        if rank() > 0:
            torch.manual_seed(crc32(state.numpy().tobytes()) + rank())
        return x_shuffled, y_shuffled

    def should_stop(self) -> bool:
        """Whether a callback of rank 0 has asked to end the training."""
        self.stop = broadcast(self.stop)
        return self.stop


def _has_process_group() -> bool:
    return distributed.is_available() and distributed.is_initialized()


def _is_distributed(model: nn.Module) -> bool:
    return any(isinstance(module, DistributedDataParallel) for module in model.modules())
