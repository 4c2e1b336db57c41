"""Training: the source lesson's trainer, with its mistakes mended.

Lesson 03 builds it step by step and shows what each mistake costs.
"""

import math
import time
from contextlib import contextmanager
from dataclasses import dataclass, field

import pandas as pd
import torch
from tqdm import tqdm

from ._checks import check_count, check_is_tensor, check_pairs
from ._inference import device_of, inference


def permute_data(X, y):
    """Shuffle ``X`` and ``y`` with one random permutation of their rows.

    Parameters
    ----------
    X, y : torch.Tensor
        Any shapes with the same number of rows. Where ``y`` is ``X`` itself, as for an
        autoencoder, the rows are copied once and returned twice.

    Returns
    -------
    tuple of torch.Tensor
        Copies of both, in the same new order, drawn from torch's default generator.

    Raises
    ------
    ValueError
        If the numbers of rows differ or are zero.

    Notes
    -----
    Built in lesson 03.
    """
    check_pairs(X, y, "X", "y")
    order = torch.randperm(len(X)).to(X.device)
    shuffled = X[order]
    return shuffled, shuffled if y is X else y[order.to(y.device)]


@dataclass(repr=False)
class History:
    """What happened during one call of `PyTorchTrainer.fit`.

    Attributes
    ----------
    rows : list of dict
        One per evaluation: ``epoch``, ``steps`` (batches trained on so far), ``seconds`` (spent
        training so far, evaluations left out), ``train_loss`` (mean over the epoch's images, as
        they were trained on) and ``test_loss``.
    batch_losses : list of float
        The loss of every batch, before the step it led to.
    interrupted : bool
        True if Ctrl-C ended the training early.

    Notes
    -----
    Built in lesson 03.
    """

    rows: list = field(default_factory=list)
    batch_losses: list = field(default_factory=list)
    interrupted: bool = False

    @property
    def frame(self):
        """The rows as a pandas DataFrame, one line per evaluation."""
        return pd.DataFrame(
            self.rows, columns=["epoch", "steps", "seconds", "train_loss", "test_loss"]
        )

    def __repr__(self):
        return self.frame.to_string(index=False)


class PyTorchTrainer:
    """Trains any model on pairs (x, y); lesson 03 builds it.

    Parameters
    ----------
    model : nn.Module
        Its output, or the first element if it returns a tuple, is compared with ``y``.
        It is used where it lies, on the CPU or a GPU; batches are moved to it.
    optim : torch.optim.Optimizer
        Holds the model's parameters.
    criterion : callable
        ``criterion(output, y)`` gives the mean loss of a batch, for instance ``nn.MSELoss()``.

    Attributes
    ----------
    history : History
        Of the latest `fit`, also when that ended with an error.
    """

    def __init__(self, model, optim, criterion):
        self.model = model
        self.optim = optim
        self.criterion = criterion
        self.history = History()

    def fit(
        self,
        x_train,
        y_train,
        x_test,
        y_test,
        epochs=100,
        eval_every=10,
        batch_size=32,
        *,
        scheduler=None,
        seed=None,
        progress=True,
        callback=None,
    ):
        """Train for a number of epochs, each over all batches in a new random order.

        Parameters
        ----------
        x_train, y_train, x_test, y_test : torch.Tensor
            Examples and targets, row by row; for an autoencoder both are the images,
            (N, 1, 28, 28) in [-1, 1].
        epochs : int, default 100
        eval_every : int, default 10
            Epochs between two evaluations on the test pairs; the last epoch is always evaluated.
        batch_size : int, default 32
        scheduler : torch.optim.lr_scheduler.LRScheduler, optional
            Stepped after every batch.
        seed : int, optional
            Makes shuffling and dropout repeatable, and leaves torch's global generator as it
            was. The same seed and the same initial weights on the same machine give the same
            numbers to the bit.
        progress : bool, default True
            Show a progress bar on stderr (the environment variable ``TQDM_DISABLE=1`` hides it).
        callback : callable, optional
            ``callback(history)`` is called after every evaluation; training ends if it returns
            something true.

        Returns
        -------
        History
            Complete up to the last evaluation. Ctrl-C ends the training, not the program: the
            weights reached so far and the history are kept.

        Raises
        ------
        ValueError, TypeError
            If data are no tensors or empty, x and y differ in length, test data differ from
            training data in the shape or type of an example, or a count is below 1.
        FloatingPointError
            If the loss becomes infinite or NaN. No step is taken on such a batch.

        Notes
        -----
        Each evaluation prints one line. Convolutions are trained in the channels-last memory
        format, which is faster and changes results by rounding only. The model is left in
        evaluation mode.
        """
        for name, tensor in zip(
            ("x_train", "y_train", "x_test", "y_test"),
            (x_train, y_train, x_test, y_test),
            strict=True,
        ):
            check_is_tensor(tensor, name)
        check_pairs(x_train, y_train, "x_train", "y_train")
        check_pairs(x_test, y_test, "x_test", "y_test")
        _check_alike(x_train, x_test, "x_train", "x_test")
        _check_alike(y_train, y_test, "y_train", "y_test")
        check_count(epochs, "epochs")
        check_count(eval_every, "eval_every")
        check_count(batch_size, "batch_size")

        history = self.history = History()
        seconds = 0.0
        rows = torch.arange(len(x_train))  # shuffled in place of the images: no copy of those
        self._convert_convolutions(torch.channels_last)
        try:
            with _seeded(seed, device_of(self.model)):
                for epoch in range(1, epochs + 1):
                    start = time.perf_counter()
                    batches = tqdm(
                        self._generate_batches(*permute_data(rows, rows), batch_size),
                        desc=f"epoch {epoch}",
                        total=math.ceil(len(x_train) / batch_size),
                        leave=False,
                        **({} if progress else {"disable": True}),
                    )
                    pairs = ((x_train[chosen], y_train[chosen]) for chosen, _ in batches)
                    train_loss = self._train_epoch(pairs, scheduler, epoch)
                    seconds += time.perf_counter() - start
                    if epoch % eval_every != 0 and epoch != epochs:
                        continue
                    test_loss = self.evaluate(x_test, y_test)
                    _check_finite(test_loss, f"test loss after epoch {epoch}")
                    steps = len(history.batch_losses)
                    history.rows.append(
                        {
                            "epoch": epoch,
                            "steps": steps,
                            "seconds": seconds,
                            "train_loss": train_loss,
                            "test_loss": test_loss,
                        }
                    )
                    print(f"epoch {epoch}: train loss {train_loss:.4f}, test loss {test_loss:.4f}")
                    if callback is not None and callback(history):
                        break
        except KeyboardInterrupt:
            history.interrupted = True
            print(
                f"interrupted after {len(history.batch_losses)} batches: "
                "the weights reached so far and the history are kept"
            )
        finally:
            self._convert_convolutions(torch.contiguous_format)
            self.model.eval()
        return history

    def evaluate(self, x, y, batch_size=250):
        """Return the mean loss over all rows of ``x`` and ``y``, a float.

        Batch by batch, in evaluation mode and without gradients, so that memory stays small;
        every row counts the same, also those of a shorter last batch.

        Parameters
        ----------
        x, y : torch.Tensor
            Examples and targets, row by row.
        batch_size : int, default 250

        Raises
        ------
        ValueError, TypeError
            If x and y are no tensors, differ in length or are empty, or ``batch_size < 1``.
        """
        check_is_tensor(x, "x")
        check_is_tensor(y, "y")
        check_pairs(x, y, "x", "y")
        check_count(batch_size, "batch_size")
        total = 0.0
        with inference(self.model):
            for x_batch, y_batch in self._generate_batches(x, y, batch_size):
                total += self._loss(x_batch, y_batch).item() * len(x_batch)
        return total / len(x)

    def _convert_convolutions(self, memory_format):
        for parameter in self.model.parameters():
            if parameter.ndim == 4:  # the weights of a 2-D convolution
                # Not .contiguous(): with one channel it takes either format for the other.
                relaid = torch.empty_like(parameter, memory_format=memory_format)
                parameter.data = relaid.copy_(parameter.data)

    def _generate_batches(self, x, y, size=32):
        """Yield ``size`` rows of ``x`` and ``y`` at a time, in order; the last may be fewer."""
        for start in range(0, len(x), size):
            yield x[start : start + size], y[start : start + size]

    def _train_epoch(self, pairs, scheduler, epoch):
        self.model.train()
        total = rows = 0
        for x, y in pairs:
            self.optim.zero_grad()
            loss = self._loss(x, y)
            value = loss.item()
            _check_finite(value, f"training loss in epoch {epoch}")
            loss.backward()
            self.optim.step()
            if scheduler is not None:
                scheduler.step()
            self.history.batch_losses.append(value)
            total += value * len(x)
            rows += len(x)
        return total / rows

    def _loss(self, x, y):
        device = device_of(self.model)
        output = self.model(x.to(device))
        if isinstance(output, tuple | list):
            output = output[0]
        return self.criterion(output, y.to(device))


@contextmanager
def _seeded(seed, device):
    if seed is None:
        yield
        return
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


def _check_alike(train, test, train_name, test_name):
    if train.shape[1:] != test.shape[1:] or train.dtype != test.dtype:
        raise ValueError(
            f"{test_name} must hold examples like those of {train_name}, {train.dtype} of shape "
            f"{tuple(train.shape[1:])}, got {test.dtype} of shape {tuple(test.shape[1:])}; "
            "prepare both in the same way"
        )


def _check_finite(loss, name):
    if not math.isfinite(loss):
        raise FloatingPointError(
            f"the {name} must be a finite number, got {loss}; lower the learning rate, and look "
            "for NaN or unscaled values in the data"
        )
