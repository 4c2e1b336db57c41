"""The source lesson's trainer with its mistakes mended; lesson 03 shows what each one costs."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn
from torch.optim import LBFGS, Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from tqdm import tqdm

from ._checkpoint import Checkpoint
from ._checks import check_count, check_pairs
from ._processes import mean, place, say, share, shared, shuffled, unwrapped
from ._running import device_of, inference, seeded, undivided

Pair = tuple[Tensor, Tensor]
COLUMNS = ["epoch", "steps", "seconds", "train_loss", "test_loss"]


def permute_data(X: Tensor, y: Tensor) -> Pair:
    """Copy ``X`` and ``y`` with one random permutation of their rows, from torch's generator.

    Where ``y`` is ``X`` itself, as for an autoencoder, the rows are copied once and returned twice.
    Built in lesson 03.
    """
    check_pairs(X, y, "X", "y")
    order = torch.randperm(len(X), device="cpu")
    shuffled = X[order]
    return shuffled, shuffled if y is X else y[order]


@dataclass(repr=False)
class History:
    """What happened during one call of `PyTorchTrainer.fit`, from lesson 03.

    ``rows`` holds a dict for each evaluation, ``frame`` the same as a table: ``epoch``, ``steps``
    (batches so far), ``seconds`` (of training so far, without evaluations), ``train_loss`` (mean
    over the epoch, before each step) and ``test_loss``. ``batch_losses`` has one of every batch.
    """

    rows: list[dict[str, float]] = field(default_factory=list)
    batch_losses: list[float] = field(default_factory=list)
    interrupted: bool = False

    @property
    def frame(self) -> pd.DataFrame:
        return pd.DataFrame(self.rows, columns=COLUMNS)

    def __repr__(self) -> str:
        return self.frame.to_string(index=False)


class PyTorchTrainer:
    """Trains any model on pairs (x, y), built in lesson 03.

    ``criterion(output, y)`` is the mean loss of a batch, ``output`` what the model returns, or the
    first of several. Batches are moved to the model's device. ``history`` is the latest `fit`'s.
    """

    def __init__(
        self, model: nn.Module, optim: Optimizer, criterion: Callable[[Tensor, Tensor], Tensor]
    ):
        self.model, self.optim, self.criterion = model, optim, criterion
        self.history = History()

    def fit(
        self,
        x_train: Tensor,
        y_train: Tensor,
        x_test: Tensor,
        y_test: Tensor,
        epochs: int = 100,
        eval_every: int = 10,
        batch_size: int = 32,
        *,
        scheduler: LRScheduler | None = None,
        seed: int | None = None,
        callback: Callable[[History], Any] | None = None,
        checkpoint: str | Path | None = None,
    ) -> History:
        """Train for a number of epochs, each over all batches in a new random order.

        Every ``eval_every`` epochs, and after the last, the test pairs are evaluated, a line is
        printed and ``callback(history)`` called; training ends if it returns something true.
        ``scheduler`` is stepped after every batch. With a ``seed`` shuffling and dropout repeat, to
        the bit on one machine, and torch's generators are left as they were. ``checkpoint`` names a
        file that keeps the whole state after every evaluation: the same call goes on from there, to
        the same bits as a run never interrupted. Ctrl-C ends the training, not the program, with
        the weights after the last batch in the history. A loss that is infinite or NaN raises
        `FloatingPointError` before its step. The model is left in evaluation mode.

        Among the processes of torchrun, each with the model in `DistributedDataParallel`, each
        takes its share of every batch. All evaluate, and have the same history; the first alone
        prints, writes the file, and has its callback obeyed. Ctrl-C ends them all. From lesson 12.
        """
        check_count(epochs, "epochs")
        check_count(eval_every, "eval_every")
        check_count(batch_size, "batch_size")
        check_pairs(x_train, y_train, "x_train", "y_train")
        check_pairs(x_test, y_test, "x_test", "y_test")
        _check_alike(x_train, x_test, "x")
        _check_alike(y_train, y_test, "y")
        self._check_optimizer(scheduler)
        model = unwrapped(self.model)

        history = self.history = History()
        device, first, seconds, file = device_of(self.model), 1, 0.0, None
        with seeded(seed, device):
            if checkpoint is not None:
                parts = {"model": model, "optimizer": self.optim, "scheduler": scheduler}
                settings = {"data": [*x_train.shape], "batch_size": batch_size, "seed": seed}
                with undivided():
                    file = Checkpoint(Path(checkpoint), parts, device, settings)
                    if state := file.load():
                        vars(history).update(state["history"])
                        first, seconds = state["epoch"] + 1, history.rows[-1]["seconds"]
                        epochs = 0 if state["stopped"] else epochs  # by the callback
                        say(f"{checkpoint}: going on after epoch {state['epoch']}")
            try:
                for epoch in range(first, epochs + 1):
                    start, total = time.perf_counter(), 0.0
                    self.model.train()
                    batches = shuffled(len(x_train), device).split(int(batch_size))
                    bar = tqdm(batches, desc=f"epoch {epoch}", leave=False)
                    for rows in batches if place()[0] else bar:
                        own, weight = share(rows)
                        loss = self._step(x_train[own], y_train[own], scheduler, weight)
                        total += loss * len(rows)
                    seconds += time.perf_counter() - start
                    if epoch % eval_every != 0 and epoch != epochs:
                        continue
                    train_loss, test_loss = total / len(x_train), self.evaluate(x_test, y_test)
                    row = (epoch, len(history.batch_losses), seconds, train_loss, test_loss)
                    history.rows.append(dict(zip(COLUMNS, row, strict=True)))
                    say(f"epoch {epoch}: train loss {train_loss:.4f}, test loss {test_loss:.4f}")
                    stop = shared(callback is not None and bool(callback(history)))
                    if file is not None:
                        file.save(epoch=epoch, stopped=stop, history=vars(history))
                    if stop:
                        break
            except KeyboardInterrupt:
                history.interrupted = True
                say(f"interrupted after {len(history.batch_losses)} batches, which are kept")
                if place()[1] > 1:
                    raise  # the others may be in another step
            finally:
                self.model.eval()
        return history

    def evaluate(self, x: Tensor, y: Tensor, batch_size: int = 250) -> float:
        """Return the mean loss over all rows, in evaluation mode and the memory of one batch."""
        check_pairs(x, y, "x", "y")
        check_count(batch_size, "batch_size")
        total = 0.0
        with inference(self.model):
            for x_batch, y_batch in self._generate_batches(x, y, batch_size):
                total += self._loss(x_batch, y_batch, "test loss").item() * len(x_batch)
        return total / len(x)

    def _generate_batches(self, x: Tensor, y: Tensor, size: int = 32) -> Iterator[Pair]:
        """Yield ``size`` rows of ``x`` and ``y`` at a time, in order; the last may be fewer."""
        for start in range(0, len(x), size):
            yield x[start : start + size], y[start : start + size]

    @undivided()
    def _step(self, x: Tensor, y: Tensor, scheduler: LRScheduler | None, weight: float) -> float:
        self.optim.zero_grad()
        loss = weight * self._loss(x, y, "training loss")
        loss.backward()  # among processes: to the mean of all their gradients
        self.optim.step()
        self.history.batch_losses.append(mean(loss))
        if scheduler is not None:
            scheduler.step()
        return self.history.batch_losses[-1]

    def _loss(self, x: Tensor, y: Tensor, name: str) -> Tensor:
        device = device_of(self.model)
        output, y = self.model(x.detach().to(device)), y.detach().to(device)
        output = output[0] if isinstance(output, tuple | list) else output
        if not isinstance(output, Tensor):
            raise TypeError(f"model must return a tensor, or several, got {type(output).__name__}")
        allowed = {output.shape}
        if not y.is_floating_point() and output.shape[1:2] != (1,):
            allowed.add(output.shape[:1] + output.shape[2:])  # class numbers for scores (N, K, …)
        if y.shape not in allowed:
            got = f"{tuple(y.shape)}, which the criterion would broadcast; reshape it"
            raise ValueError(f"y must have the output's shape, {tuple(output.shape)}, got {got}")
        loss = self.criterion(output, y)
        kind = getattr(self.criterion, "reduction", "mean")
        if not isinstance(loss, Tensor) or loss.numel() != 1 or kind == "sum":
            got = f'{getattr(loss, "shape", loss)}, reduction="{kind}"; take the "mean"'
            raise ValueError(f"criterion must return a tensor, the mean of a batch, got {got}")
        if not loss.isfinite().all():
            advice = "lower the learning rate, and look for NaN or unscaled values in the data"
            raise FloatingPointError(f"the {name} must be finite, got {loss}; {advice}")
        return loss

    def _check_optimizer(self, scheduler: LRScheduler | None) -> None:
        held = {id(p) for group in getattr(self.optim, "param_groups", []) for p in group["params"]}
        if held.isdisjoint(map(id, self.model.parameters())):
            raise ValueError("optim must hold the model's parameters, got others; make it anew")
        if scheduler is not None and getattr(scheduler, "optimizer", None) is not self.optim:
            raise ValueError("scheduler must step the trainer's optim, got another's; make it anew")
        if isinstance(self.criterion, type):
            raise TypeError("criterion must be called with (output, y), got a class; add ()")
        if isinstance(self.optim, LBFGS) or isinstance(scheduler, ReduceLROnPlateau):
            got = "LBFGS or ReduceLROnPlateau; use AdamW, call the latter's step in a callback"
            raise ValueError(f"optim and scheduler must step without the loss, got {got}")


def _check_alike(train: Tensor, test: Tensor, name: str) -> None:
    if train.shape[1:] != test.shape[1:] or train.dtype != test.dtype:
        wanted, got = (f"{x.dtype} of shape {tuple(x.shape[1:])}" for x in (train, test))
        raise ValueError(f"{name}_test must be like {name}_train, {wanted}, got {got}; mend it")
