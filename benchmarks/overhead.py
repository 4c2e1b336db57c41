"""What the trainer adds to a training step: a tiny model, trained by it and by a plain loop."""

import io
from contextlib import redirect_stderr, redirect_stdout
from statistics import median
from time import perf_counter

import torch
from new_process import run_in_new_process
from torch import nn

from convae_lib import PyTorchTrainer

BATCH_SIZE = 4
N_STEPS = 1000  # of a run
N_PAIRS = 21  # of runs, one by the loop and one by the trainer


def measure_overhead(images, model, seed):
    """Measure the microseconds of a training step by a plain loop and by the trainer.

    Microseconds of one training step of a tiny model, by a plain PyTorch loop that shuffles the
    rows and records every batch loss, and by `PyTorchTrainer.fit`. The model is so small that the
    step costs little but the calls themselves. The runs of 1,000 steps take turns, in a process of
    their own. The columns are medians over 21 pairs of runs, and *ratio* is the median of the
    pairs' ratios.
    """
    return run_in_new_process(compare_runs, seed)


def make_training(seed):
    """Return a tiny model, its optimizer and its criterion."""
    torch.manual_seed(seed)
    model = nn.Linear(8, 8)
    return model, torch.optim.SGD(model.parameters(), lr=0.01), nn.MSELoss()


def run_plain_loop(x, y, seed):
    """Train for an epoch by a plain loop; return the batch losses and the seconds of a step."""
    model, optimizer, criterion = make_training(seed)
    losses = []
    start = perf_counter()
    torch.manual_seed(seed)
    order = torch.randperm(len(x))
    x, y = x[order], y[order]
    model.train()
    for first in range(0, len(x), BATCH_SIZE):
        x_batch, y_batch = x[first : first + BATCH_SIZE], y[first : first + BATCH_SIZE]
        optimizer.zero_grad()
        loss = criterion(model(x_batch), y_batch)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses, (perf_counter() - start) / len(losses)


def run_trainer(x, y, seed):
    """Train for an epoch by the trainer; return the batch losses and the seconds of a step."""
    trainer = PyTorchTrainer(*make_training(seed))
    start = perf_counter()
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        history = trainer.fit(
            x, y, x[:BATCH_SIZE], y[:BATCH_SIZE], epochs=1, batch_size=BATCH_SIZE, seed=seed
        )
    return history.batch_losses, (perf_counter() - start) / len(history.batch_losses)


def compare_runs(seed, n_pairs=N_PAIRS, n_steps=N_STEPS):
    """Return the medians of pairs of runs, the trainer's run first in every second pair."""
    torch.manual_seed(seed)
    x, y = torch.randn(n_steps * BATCH_SIZE, 8), torch.randn(n_steps * BATCH_SIZE, 8)
    run_plain_loop(x, y, seed)  # the first runs are slower, and do not count
    run_trainer(x, y, seed)
    plain_seconds, trainer_seconds = [], []
    for pair in range(n_pairs):
        if pair % 2 == 0:
            plain_seconds.append(run_plain_loop(x, y, seed)[1])
            trainer_seconds.append(run_trainer(x, y, seed)[1])
        else:
            trainer_seconds.append(run_trainer(x, y, seed)[1])
            plain_seconds.append(run_plain_loop(x, y, seed)[1])
    ratios = [
        trainer / plain for trainer, plain in zip(trainer_seconds, plain_seconds, strict=True)
    ]
    return {
        "plain_microseconds": 1e6 * median(plain_seconds),
        "trainer_microseconds": 1e6 * median(trainer_seconds),
        "ratio": median(ratios),
    }
