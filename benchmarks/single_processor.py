"""Lesson 12: training steps on a single processor, in mixed precision and compiled."""

import os
import tempfile
from statistics import median
from time import perf_counter

import torch
from new_process import run_in_new_process
from recipes import ADAMW
from torch.nn.functional import mse_loss

from convae_lib import ResidualAutoencoder, mean_error

BATCH_SIZE = 128
MODES = {  # options of `train_steps`
    "float32": {"bfloat16": False, "compiled": False},
    "bfloat16": {"bfloat16": True, "compiled": False},
    "compiled": {"bfloat16": False, "compiled": True},
    "compiled, bfloat16": {"bfloat16": True, "compiled": True},
}


def measure_processors(images, name, seed):
    """Measure a hundred training steps in one mode, in a process of its own.

    A hundred training steps of the residual network, with batches of 128 images and a constant
    learning rate, on the accelerator if there is one. *First step* is in seconds and includes the
    compilation, without a cache.
    """
    n_steps = min(len(images.train) // BATCH_SIZE, 100)
    train_images = images.train[: n_steps * BATCH_SIZE]
    return run_in_new_process(
        train_without_cache, train_images, images.validation, seed, MODES[name]
    )


def train_without_cache(train_images, validation_images, seed, options):
    """Call `train_steps` with an empty cache of the compiler."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = folder
        return train_steps(train_images, validation_images, seed, **options)


def default_device():
    """Return the accelerator if there is one, and else the CPU."""
    if torch.accelerator.is_available():
        return torch.accelerator.current_accelerator()
    return torch.device("cpu")


def train_steps(train_images, validation_images, seed, *, bfloat16, compiled):
    """Train for one epoch and measure every step."""
    device = default_device()
    torch.manual_seed(seed)
    model = ResidualAutoencoder().to(device)
    optimizer = ADAMW(model.parameters(), lr=1e-3)
    run_model = torch.compile(model) if compiled else model
    seconds = []
    for x in train_images.to(device).split(BATCH_SIZE):
        start = perf_counter()
        with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
            x_hat, _ = run_model(x)
            loss = mse_loss(x_hat, x)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()  # waits until an accelerator has finished
        seconds.append(perf_counter() - start)
    return {
        "device": torch.cuda.get_device_name() if device.type == "cuda" else device.type,
        "first_step": seconds[0],
        "milliseconds": 1000 * median(seconds[1:]),
        "validation_error": mean_error(model, validation_images),
    }
