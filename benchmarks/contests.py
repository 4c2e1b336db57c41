"""The library against a plain writing of the source lesson, and against other libraries.

The contenders of a comparison take turns in one process. Seconds of training leave evaluation
out, which is compared by itself and then added.
"""

import multiprocessing
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace

import numpy as np
import psutil
import torch
from plain import PlainTraining, evaluate_in_one_piece
from recipes import FAST, LESSON
from sklearn.manifold import TSNE
from studies import error
from torch import nn

from convae_lib import Autoencoder, PyTorchTrainer, embedding_quality, reconstruct, tsne_embedding

try:
    import peers
except ModuleNotFoundError:  # the optional extra "bench" is not installed
    peers = None

TARGET = 0.0679  # the test error that the source lesson reports


class InBFloat16(nn.Module):
    """A model whose convolutions and products of matrices run in bfloat16."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        with torch.autocast("cpu", torch.bfloat16):
            reconstruction, code = self.model(x)
        return reconstruction.float(), code.float()


def speed(images, seeds, quick, report):
    """Yield a row for each turn of each contender."""
    if peers is None and not quick:
        sys.exit("Lightning, pythae and openTSNE are needed: pip install -e '.[bench]'")
    for contest in (to_target, epoch, embedding):
        for seed in seeds:
            report(f"{contest.__name__.replace('_', ' ')}, turn {seed + 1} of {len(seeds)}")
            for row in contest(images, seed, quick):
                yield {"comparison": row.pop("comparison"), "seed": seed, **row}


def in_turn(contenders, seed):
    """Names and contenders, in the other direction every second time: none is always first."""
    return reversed(contenders.items()) if seed % 2 else contenders.items()


# ---- training to a target


def to_target(images, seed, quick):
    """How long it takes to reach the lesson's error."""
    contenders = {
        "plain": plain_to_target,
        "convae_lib, another network and recipe (FAST)": fast_to_target,
    }
    for name, train in in_turn(contenders, seed):
        seconds, reached = train(images, seed, quick)
        if reached > TARGET and not quick:
            raise RuntimeError(f"{name}: the error must come down to {TARGET}, got {reached}")
        yield _row(f"training to a test error of {TARGET}", name, seconds, test_error=reached)


def plain_to_target(images, seed, quick):
    plain = PlainTraining(images.train, seed)
    for steps in plain.steps(epochs=5):
        # No seed is there after 700 steps; each look at the error, every 25, is not timed.
        if (steps > 700 and steps % 25 == 0) or (quick and steps == 3):
            reached = error(plain.model, images.test)
            if reached <= TARGET or quick:
                break
    return plain.seconds, reached


def fast_to_target(images, seed, quick):
    model, history = FAST.fit(images.train, images.validation, seed)
    return history.rows[-1]["seconds"], error(model, images.test)


# ---- an epoch


def epoch(images, seed, quick):
    """An epoch of the lesson's network with the lesson's recipe, and its evaluation."""
    contenders = {
        "plain": plain_epoch,
        "convae_lib": library_epoch,
        "convae_lib, in bfloat16": bfloat16_epoch,
    }
    if peers:
        contenders |= {"lightning": peers.lightning_epoch, "pythae": peers.pythae_epoch}
    evaluations = {"plain": evaluate_in_one_piece, "convae_lib": evaluate_in_batches}
    errors = {}
    for name, train in in_turn(contenders, seed):
        model, seconds = train(images.train, seed)
        errors[name] = error(model, images.test)
        yield _row("epoch of training", name, seconds, test_error=errors[name])
        if name not in evaluations:
            continue
        start = time.perf_counter()
        evaluations[name](model, images.test)
        more = time.perf_counter() - start
        peak = peak_megabytes(evaluations[name], len(images.test))
        yield _row(f"evaluation of {len(images.test):,} images", name, more, peak_mb=peak)
        yield _row("epoch of training and evaluation", name, seconds + more)
    exact, ours, rounded = (errors[name] for name in list(contenders)[:3])
    if abs(ours - exact) > 1e-4 or abs(rounded / exact - 1) > 0.01:
        raise RuntimeError(f"the same recipe must give the same error, got {errors}")


def plain_epoch(train, seed):
    plain = PlainTraining(train, seed)
    for _ in plain.steps():
        pass
    return plain.model, plain.seconds


def library_epoch(train, seed, network=Autoencoder):
    model, history = replace(LESSON, network=network).fit(train, train[:1000], seed)
    return model, history.rows[-1]["seconds"]


def bfloat16_epoch(train, seed):
    wrapped, seconds = library_epoch(train, seed, lambda: InBFloat16(Autoencoder()))
    return wrapped.model, seconds


def evaluate_in_batches(model, test):
    """The library's evaluation."""
    return PyTorchTrainer(model, None, nn.MSELoss()).evaluate(test, test)


def peak_megabytes(evaluate, count):
    """How far an evaluation of ``count`` images raises the memory of a process of its own."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as pool:
        return pool.submit(_watch_memory, evaluate, count).result()


def _watch_memory(evaluate, count):
    model, images = Autoencoder(), torch.zeros(count, 1, 28, 28)
    process, stop = psutil.Process(), threading.Event()
    before = peak = process.memory_info().rss

    def watch():
        nonlocal peak
        while not stop.wait(0.005):
            peak = max(peak, process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    evaluate(model, images)
    stop.set()
    watcher.join()
    return (peak - before) / 1e6


# ---- a map


def embedding(images, seed, quick):
    """A map of the test codes of a network trained with this seed: the lesson's call, and ours."""
    model, _ = library_epoch(images.train, seed)
    count = 500 if quick else len(images.test)
    codes = reconstruct(model, images.test[:count])[1].numpy()
    labels = images.test_labels[:count]
    contenders = {
        "scikit-learn's default": lambda: TSNE(n_components=2, random_state=seed).fit_transform(
            codes
        ),
        "convae_lib": lambda: tsne_embedding(codes, seed=seed),
    }
    if peers:
        contenders["openTSNE's default"] = lambda: np.asarray(peers.open_tsne(codes, seed))
    for name, draw in in_turn(contenders, seed):
        start = time.perf_counter()
        drawn = draw()
        seconds = time.perf_counter() - start
        quality = embedding_quality(codes, drawn, labels)
        yield _row(f"t-SNE of {count:,} codes", name, seconds, **quality)


def _row(comparison, contender, seconds, **result):
    rounded = {key: round(value, 5) for key, value in result.items()}
    return {
        "comparison": comparison,
        "contender": contender,
        "seconds": round(seconds, 3),
        **rounded,
    }
