"""The error of the lesson's network on 10,000 images: by the library, and plainly in one piece.

In one piece autograd keeps every activation. The peak is what a run adds to a process of its own.
"""

import logging
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, wait
from multiprocessing import get_context
from time import perf_counter

import psutil
import torch
from torch.nn.functional import mse_loss

from convae_lib import Autoencoder, mean_error


def plain(model, images):
    return mse_loss(model(images)[0], images).item()


CONTENDERS = {"plain": plain, "convae_lib": mean_error}


def measure(images, contender, seed):
    return alone(watch, CONTENDERS[contender], len(images.test))


def alone(function, *arguments):
    """Call it, without a word, in a new process: memory that others have used makes it slower."""
    with ProcessPoolExecutor(1, get_context("spawn"), logging.disable, [logging.INFO]) as pool:
        return pool.submit(function, *arguments).result()


def watch(evaluate, count):
    """Evaluate ``count`` images, looking at the memory every two milliseconds."""
    model, images, process = Autoencoder(), torch.rand(count, 1, 28, 28), psutil.Process()
    sizes, start = [process.memory_info().rss], perf_counter()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(evaluate, model, images)
        while wait([running], timeout=0.002).not_done:
            sizes.append(process.memory_info().rss)
    return {"seconds": perf_counter() - start, "peak_megabytes": (max(sizes) - sizes[0]) / 1e6}
