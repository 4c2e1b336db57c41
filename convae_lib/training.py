"""A trainer for any model: the source lesson's, corrected. Lesson 03 builds it."""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.optim import LBFGS, Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from tqdm import tqdm

from ._checks import check_count, check_pairs
from ._utils import device_of, evaluating, seeded

if TYPE_CHECKING:
    import pandas as pd

Pair = tuple[Tensor, Tensor]
COLUMNS = ["epoch", "steps", "seconds", "train_loss", "test_loss"]


def permute_data(X: Tensor, y: Tensor) -> Pair:
    """Return copies of ``X`` and ``y`` with one random permutation of their rows.

    Parameters
    ----------
    X, y : Tensor
        Examples and targets with the same number of rows (N, ...). If ``y`` is ``X`` itself, as
        for an autoencoder, the rows are copied once and returned twice.

    Returns
    -------
    tuple of Tensor
        Permuted copies of ``X`` and ``y``, without a computational graph. The order comes from
        torch's global generator.

    Raises
    ------
    TypeError, ValueError
        If they are not tensors with the same number of rows.

    Notes
    -----
    Built in lesson 03.

    Examples
    --------
    >>> X, y = torch.arange(10), 10 * torch.arange(10)
    >>> X_permuted, y_permuted = permute_data(X, y)
    >>> bool((y_permuted == 10 * X_permuted).all())
    True
    """
    check_pairs(X, y, "X", "y")
    order = torch.randperm(len(X), device="cpu")
    X_permuted = X.detach()[order]
    y_permuted = X_permuted if y is X else y.detach()[order]
    return X_permuted, y_permuted


@dataclass(repr=False)
class History:
    """Losses recorded during one call of `PyTorchTrainer.fit`.

    Attributes
    ----------
    rows : list of dict
        One dictionary for each evaluation, with the keys ``epoch``, ``steps`` (batches so far),
        ``seconds`` (of training so far, without evaluations), ``train_loss`` (mean over the last
        epoch, measured before each step) and ``test_loss``.
    batch_losses : list of float
        The training loss of every batch.
    interrupted : bool
        Whether Ctrl-C ended the training.

    Notes
    -----
    Built in lesson 03.

    Examples
    --------
    >>> history = History(rows=[dict(epoch=1, steps=5, seconds=0.1, train_loss=2., test_loss=3.)])
    >>> history.frame["test_loss"].tolist()
    [3.0]
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    batch_losses: list[float] = field(default_factory=list)
    interrupted: bool = False

    def add(self, epoch: int, seconds: float, train_loss: float, test_loss: float) -> None:
        """Append the row of an evaluation; ``steps`` is the number of batches so far."""
        row = {
            "epoch": epoch,
            "steps": len(self.batch_losses),
            "seconds": seconds,
            "train_loss": train_loss,
            "test_loss": test_loss,
        }
        self.rows.append(row)

    @property
    def frame(self) -> "pd.DataFrame":
        """The rows as a table."""
        import pandas as pd  # takes half a second, which others need not wait

        return pd.DataFrame(self.rows, columns=COLUMNS)

    @property
    def last_epoch(self) -> int:
        """The epoch of the last evaluation, 0 before the first."""
        return int(self.rows[-1]["epoch"]) if self.rows else 0

    @property
    def seconds(self) -> float:
        """Seconds of training until the last evaluation."""
        return float(self.rows[-1]["seconds"]) if self.rows else 0.0

    def __repr__(self) -> str:
        """Return the rows as text."""
        return self.frame.to_string(index=False)


@dataclass(frozen=True)
class FitArguments:
    """The arguments of a call of `PyTorchTrainer.fit`, for callbacks that need them."""

    x_train: Tensor
    y_train: Tensor
    x_test: Tensor
    y_test: Tensor
    epochs: int
    batch_size: int
    scheduler: LRScheduler | None
    seed: int | None


class PyTorchTrainer:
    """Train a model on pairs of examples and targets with mini-batch gradient descent.

    To train with another loss or another kind of step, derive a class and override
    `batch_loss` or `train_step`.

    Parameters
    ----------
    model : nn.Module
        Called with a batch ``x``. If it returns several values, the first one is the output.
    optim : Optimizer
        An optimizer of the model's parameters that steps without a closure.
    criterion : callable
        ``criterion(output, y)`` returns the mean loss of a batch, a tensor with one element.

    Attributes
    ----------
    history : History
        Losses of the latest call of `fit`.
    stop : bool
        Set it to True in a callback to end the training after this evaluation.
    verbose : bool
        Whether `fit` prints a line for each evaluation and shows a progress bar.

    Raises
    ------
    TypeError
        If ``criterion`` is a class instead of an instance or a function.
    ValueError
        If ``criterion`` sums over the batch instead of taking the mean.

    Notes
    -----
    Built in lesson 03.

    Examples
    --------
    >>> model = nn.Linear(3, 2)
    >>> optim = torch.optim.SGD(model.parameters(), lr=0.1)
    >>> trainer = PyTorchTrainer(model, optim, nn.MSELoss())
    >>> x, y = torch.zeros(8, 3), torch.ones(8, 2)
    >>> history = trainer.fit(x, y, x, y, epochs=2, eval_every=2, seed=0)  # doctest: +ELLIPSIS
    epoch 2: train loss ..., test loss ...
    """

    def __init__(
        self, model: nn.Module, optim: Optimizer, criterion: Callable[[Tensor, Tensor], Tensor]
    ):
        if isinstance(criterion, type):
            raise TypeError(
                f"criterion must be called with (output, y), got the class {criterion.__name__}; "
                f"pass {criterion.__name__}()"
            )
        reduction = getattr(criterion, "reduction", "mean")
        if reduction != "mean":
            raise ValueError(
                f'criterion must return the mean of a batch, got reduction="{reduction}"; '
                'use reduction="mean"'
            )
        self.model = model
        self.optim = optim
        self.criterion = criterion
        self.history = History()
        self.stop = False
        self.verbose = True

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
        callbacks: Sequence[Callable[[Any], Any]] = (),
    ) -> History:
        """Train for a number of epochs, each over all batches in a new random order.

        Parameters
        ----------
        x_train, y_train : Tensor
            Training examples and targets (N, ...). Batches are moved to the model's device.
        x_test, y_test : Tensor
            Pairs that are evaluated, with the same trailing shapes and dtypes. While you choose
            hyperparameters, pass a validation set here.
        epochs : int
            Number of passes over the training set.
        eval_every : int
            The test pairs are evaluated every ``eval_every`` epochs, and after the last epoch.
        batch_size : int
            Number of examples in a batch; the last batch of an epoch may be smaller.
        scheduler : LRScheduler, optional
            A learning-rate schedule of the trainer's optimizer, stepped after every batch.
        seed : int, optional
            With a seed, the order of the examples and dropout repeat, to the bit on one machine
            with one number of threads. The states of torch's generators are restored afterwards.
        callbacks : sequence of callable
            Each is called with the trainer after every evaluation. What it returns is ignored; to
            end the training it sets ``trainer.stop = True``. A callback that has a method
            ``start(trainer, arguments)`` is called before the first epoch with the
            `FitArguments`, and a method ``finish(trainer)`` after the last. See `Checkpoint`.

        Returns
        -------
        History
            The losses, also kept as ``trainer.history``. Ctrl-C ends the training: the weights
            stay as they are and the history so far is returned, with ``interrupted`` set. The
            model is left in evaluation mode.

        Raises
        ------
        TypeError, ValueError
            If an argument does not fit; the message says which and what to do.
        FloatingPointError
            If a loss is infinite or NaN. The weights are those before that step.
        """
        check_count(epochs, "epochs")
        check_count(eval_every, "eval_every")
        check_count(batch_size, "batch_size")
        check_pairs(x_train, y_train, "x_train", "y_train")
        check_pairs(x_test, y_test, "x_test", "y_test")
        _check_same_kind(x_train, x_test, "x")
        _check_same_kind(y_train, y_test, "y")
        _check_optimizer(self.model, self.optim, scheduler)
        _check_callbacks(callbacks)
        arguments = FitArguments(
            x_train, y_train, x_test, y_test, epochs, batch_size, scheduler, seed
        )

        self.stop = False
        self.history = history = History()
        with seeded(seed, device_of(self.model)):
            for callback in callbacks:
                if hasattr(callback, "start"):
                    callback.start(self, arguments)
            seconds = history.seconds
            try:
                for epoch in range(history.last_epoch + 1, epochs + 1):
                    if self.should_stop():
                        break
                    start = time.perf_counter()
                    train_loss = self.train_epoch(
                        x_train, y_train, batch_size, scheduler, f"epoch {epoch}"
                    )
                    seconds += time.perf_counter() - start
                    if epoch % eval_every == 0 or epoch == epochs:
                        test_loss = self.evaluate(x_test, y_test)
                        history.add(epoch, seconds, train_loss, test_loss)
                        if self.verbose:
                            print(
                                f"epoch {epoch}: train loss {train_loss:.4f}, "
                                f"test loss {test_loss:.4f}"
                            )
                        for callback in callbacks:
                            callback(self)
            except KeyboardInterrupt:
                history.interrupted = True
                if self.verbose:
                    print(f"interrupted after {len(history.batch_losses)} batches")
            finally:
                self.model.eval()
            for callback in callbacks:
                if hasattr(callback, "finish"):
                    callback.finish(self)
        return history

    def train_epoch(
        self,
        x_train: Tensor,
        y_train: Tensor,
        batch_size: int,
        scheduler: LRScheduler | None = None,
        title: str = "epoch",
    ) -> float:
        """Take one step on every batch, in a new random order.

        Parameters
        ----------
        x_train, y_train : Tensor
            Training examples and targets (N, ...).
        batch_size : int
            Number of examples in a batch.
        scheduler : LRScheduler, optional
            Stepped after every batch.
        title : str
            Shown next to the progress bar.

        Returns
        -------
        float
            The mean loss of all examples, each measured before the step on its batch.
        """
        device = device_of(self.model)
        self.model.train()
        x_shuffled, y_shuffled = self.shuffle(x_train, y_train)
        batches: Iterable[Pair] = self._generate_batches(x_shuffled, y_shuffled, batch_size)
        if self.verbose:
            n_batches = math.ceil(len(x_train) / batch_size)
            batches = tqdm(batches, title, n_batches, leave=False)
        total_loss = 0.0
        for x, y in batches:
            loss = self.train_step(x.to(device), y.to(device))
            total_loss += loss * len(x)
            self.history.batch_losses.append(loss)
            if scheduler is not None:
                scheduler.step()
        return total_loss / len(x_train)

    def train_step(self, x: Tensor, y: Tensor) -> float:
        """Take one optimization step on a batch and return the loss before the step.

        Parameters
        ----------
        x, y : Tensor
            A batch of examples and targets, on the model's device.

        Returns
        -------
        float
            The mean loss of the batch.

        Raises
        ------
        FloatingPointError
            If the loss is infinite or NaN; the weights are not changed then.
        """
        self.optim.zero_grad()
        loss = self.batch_loss(x, y)
        loss_value = check_loss(loss, "training loss")
        loss.backward()
        self.optim.step()
        return loss_value

    def batch_loss(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the mean loss of a batch, which is used in training and in evaluation.

        Override it for losses that need more than the model's output and ``y``, for example::

            class VariationalTrainer(PyTorchTrainer):
                def batch_loss(self, x, y):
                    return negative_elbo(self.model, x).mean()

        Parameters
        ----------
        x, y : Tensor
            A batch of examples and targets, on the model's device.

        Returns
        -------
        Tensor
            A tensor with one element.

        Raises
        ------
        TypeError, ValueError
            If the output is no tensor, or its shape does not fit ``y``.
        """
        output = self.model(x)
        if isinstance(output, tuple | list):
            output = output[0]
        _check_target(output, y)
        return self.criterion(output, y)

    def evaluate(self, x: Tensor, y: Tensor, batch_size: int = 250) -> float:
        """Return the mean loss over all rows, in evaluation mode and without gradients.

        Parameters
        ----------
        x, y : Tensor
            Examples and targets (N, ...), on any device.
        batch_size : int
            Number of rows that are evaluated at once; it bounds the memory that is needed.

        Returns
        -------
        float
            The mean loss. Every row counts the same, also those of a smaller last batch.

        Raises
        ------
        TypeError, ValueError
            If ``x`` and ``y`` are not tensors with the same number of rows.
        FloatingPointError
            If a loss is infinite or NaN.
        """
        check_pairs(x, y, "x", "y")
        check_count(batch_size, "batch_size")
        device = device_of(self.model)
        total_loss = 0.0
        with evaluating(self.model):
            for x_batch, y_batch in self._generate_batches(x, y, batch_size):
                loss = self.batch_loss(x_batch.to(device), y_batch.to(device))
                total_loss += check_loss(loss, "test loss") * len(x_batch)
        return total_loss / len(x)

    def shuffle(self, x: Tensor, y: Tensor) -> Pair:
        """Return the examples and targets in a new random order, once for each epoch."""
        return permute_data(x, y)

    def should_stop(self) -> bool:
        """Whether a callback has asked to end the training."""
        return self.stop

    def _generate_batches(self, x: Tensor, y: Tensor, size: int = 32) -> Iterator[Pair]:
        """Yield ``size`` rows of ``x`` and ``y`` at a time, in order; the last may be fewer."""
        for start in range(0, len(x), size):
            yield x[start : start + size], y[start : start + size]


def check_loss(loss: Tensor, name: str) -> float:
    """Return a loss as a number, or raise unless it is one finite number."""
    if not isinstance(loss, Tensor) or loss.numel() != 1:
        shape = tuple(loss.shape) if isinstance(loss, Tensor) else type(loss).__name__
        raise ValueError(
            f"criterion must return a tensor with one element, the mean of a batch, got {shape}"
        )
    value = loss.item()
    if not math.isfinite(value):
        raise FloatingPointError(
            f"the {name} must be finite, got {value}; lower the learning rate, and look for NaN "
            "or unscaled values in the data"
        )
    return value


def _check_target(output: Any, y: Tensor) -> None:
    """Raise if the output is no tensor, or if the criterion would broadcast it against ``y``."""
    if not isinstance(output, Tensor):
        raise TypeError(f"model must return a tensor, or several, got {type(output).__name__}")
    if y.shape == output.shape:
        return
    holds_class_indices = not y.is_floating_point() and output.ndim > 1 and output.shape[1] > 1
    scores_shape = output.shape[:1] + output.shape[2:]  # of scores (N, K, ...) without K
    if holds_class_indices and y.shape == scores_shape:
        return
    raise ValueError(
        f"y must have the output's shape, {tuple(output.shape)}, got {tuple(y.shape)}, which the "
        "criterion would broadcast; reshape y"
    )


def _check_callbacks(callbacks: Any) -> None:
    if not isinstance(callbacks, list | tuple) or not all(callable(c) for c in callbacks):
        raise TypeError(
            f"callbacks must be a list of functions of the trainer, got {callbacks!r:.60}; "
            "pass callbacks=[function]"
        )


def _check_same_kind(train: Tensor, test: Tensor, name: str) -> None:
    if train.shape[1:] != test.shape[1:] or train.dtype != test.dtype:
        raise ValueError(
            f"{name}_test must be like {name}_train, {train.dtype} of shape "
            f"{tuple(train.shape[1:])}, got {test.dtype} of shape {tuple(test.shape[1:])}"
        )


def _check_optimizer(model: nn.Module, optim: Optimizer, scheduler: LRScheduler | None) -> None:
    optimized = [id(p) for group in optim.param_groups for p in group["params"]]
    if set(optimized).isdisjoint(id(p) for p in model.parameters()):
        raise ValueError(
            "optim must hold the model's parameters, got those of another model; "
            "create it from model.parameters() after the last change of the model"
        )
    if scheduler is not None and getattr(scheduler, "optimizer", None) is not optim:
        raise ValueError(
            "scheduler must belong to the trainer's optimizer, got another's; "
            "create it from the optimizer that you pass to the trainer"
        )
    if isinstance(optim, LBFGS) or isinstance(scheduler, ReduceLROnPlateau):
        raise ValueError(
            "optim and scheduler must step without the loss, got LBFGS or ReduceLROnPlateau; use "
            "another optimizer, or step ReduceLROnPlateau in a callback"
        )
