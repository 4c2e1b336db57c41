"""A hundred steps of the better network, by ways to use one processor: part of `bench.py`."""

import os
import tempfile
from statistics import median
from time import perf_counter

import torch
from evaluation import alone
from recipes import ADAMW
from torch.nn.functional import mse_loss

from convae_lib import ResidualAutoencoder, mean_error

BATCH = 128
WAYS = {  # bfloat16 or not, compiled or not
    "float32": (False, False),
    "bfloat16": (True, False),
    "compiled": (False, True),
    "compiled, bfloat16": (True, True),
}


def processors(images, name, seed):
    """A hundred steps of the better network, 128 images each, at a constant rate, on the
    accelerator where there is one. *First step* is in seconds, compiling included, without a cache.
    """
    steps = min(len(images.train) // BATCH, 100)
    return alone(train, images.train[: steps * BATCH], images.validation, *WAYS[name], seed)


def train(images, validation, bfloat16, compiled, seed):
    found = torch.accelerator.is_available() and torch.accelerator.current_accelerator()
    device = found or torch.device("cpu")
    torch.manual_seed(seed)
    model = ResidualAutoencoder().to(device)
    optimizer, seconds = ADAMW(model.parameters(), lr=1e-3), []
    with tempfile.TemporaryDirectory() as cache:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = cache
        run = torch.compile(model) if compiled else model
        for x in images.to(device).split(BATCH):
            start = perf_counter()
            with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
                loss = mse_loss(run(x)[0], x)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss.item()  # waits for a GPU
            seconds.append(perf_counter() - start)
    kind = torch.cuda.get_device_name() if device.type == "cuda" else device.type
    return {
        "device": kind,
        "first_step": seconds[0],
        "milliseconds": 1000 * median(seconds[1:]),
        "validation_error": mean_error(model, validation),
    }
