"""How long an evaluation takes, and how much memory, by the library and in a single batch."""

from concurrent.futures import ThreadPoolExecutor, wait
from time import perf_counter

import psutil
import torch
from new_process import run_in_new_process
from torch.nn.functional import mse_loss

from convae_lib import Autoencoder, mean_error


def evaluate_in_one_batch(model, images):
    """Return the mean squared error, by a single call of the model with gradients enabled."""
    x_hat, _ = model(images)
    return mse_loss(x_hat, images).item()


CONTENDERS = {"plain": evaluate_in_one_batch, "convae_lib": mean_error}


def measure(images, contender, seed):
    """Measure one contender's evaluation.

    The error of the lesson's network on 10,000 images, by the library and by a single call of the
    model (*plain*). In the single call autograd keeps every activation. The peak is the memory that
    the evaluation adds to a process of its own.
    """
    evaluate = CONTENDERS[contender]
    return run_in_new_process(evaluate_and_watch_memory, evaluate, len(images.test))


def evaluate_and_watch_memory(evaluate, n_images):
    """Evaluate random images, and look at the memory of the process every two milliseconds."""
    model = Autoencoder()
    images = torch.rand(n_images, 1, 28, 28)
    process = psutil.Process()
    memory = [process.memory_info().rss]
    start = perf_counter()
    with ThreadPoolExecutor(1) as pool:
        evaluation = pool.submit(evaluate, model, images)
        while wait([evaluation], timeout=0.002).not_done:
            memory.append(process.memory_info().rss)
    seconds = perf_counter() - start
    evaluation.result()  # raises what the evaluation raised
    return {"seconds": seconds, "peak_megabytes": (max(memory) - memory[0]) / 1e6}
