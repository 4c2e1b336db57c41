"""The library against a plain writing of the source lesson, and against other libraries.

The contenders of a comparison take turns in one process. Seconds of training leave evaluation
out, which is compared by itself.
"""

import threading
import time
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import psutil
import torch
from plain import PlainTraining
from recipes import FAST, LESSON
from sklearn.manifold import TSNE
from studies import error
from torch import nn

from convae_lib import (
    Autoencoder,
    PyTorchTrainer,
    embedding_quality,
    load_pretrained,
    reconstruct,
    tsne_embedding,
)

try:
    import peers
except ImportError:  # the optional extra "bench" is not installed
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


@contextmanager
def measured():
    """Yield a dict; on leaving, it holds the ``seconds`` and the growth of memory, ``peak_mb``."""
    process, stop, result = psutil.Process(), threading.Event(), {}
    before = peak = process.memory_info().rss

    def watch():
        nonlocal peak
        while not stop.wait(0.01):
            peak = max(peak, process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    start = time.perf_counter()
    try:
        yield result
    finally:
        result["seconds"] = time.perf_counter() - start
        stop.set()
        watcher.join()
        result["peak_mb"] = (peak - before) / 1e6


def speed(images, seeds, quick, report):
    """Yield a row for each turn of each contender."""
    if peers is None:
        report("Lightning, pythae and openTSNE are left out: pip install -e '.[bench]'")
    for contest in (to_target, epoch, embedding):
        for seed in seeds:
            report(f"{contest.__name__.replace('_', ' ')}, turn {seed + 1} of {len(seeds)}")
            for row in contest(images, seed, quick):
                yield {"comparison": row.pop("comparison"), "seed": seed, **row}


def to_target(images, seed, quick):
    """How long it takes to reach the lesson's error."""
    name = f"training to a test error of {TARGET}"
    plain = PlainTraining(images.train, seed)
    result = 1.0
    for steps in plain.steps(epochs=5):
        if (steps % 25 == 0 and steps > 700) or (quick and steps == 20):
            result = error(plain.model, images.test)
            if result <= TARGET or quick:
                break
    yield _row(name, "plain", plain.seconds, test_error=result)
    model, history = FAST.fit(images.train, images.validation, seed)
    seconds = history.rows[-1]["seconds"]
    yield _row(name, "convae_lib, recipe FAST", seconds, test_error=error(model, images.test))


def epoch(images, seed, quick):
    """An epoch of the lesson's network with the lesson's recipe, then its evaluation."""
    plain = PlainTraining(images.train, seed)
    for _ in plain.steps():
        pass
    with measured() as evaluation:
        result = plain.evaluate(images.test)
    yield from _epoch_rows("plain", plain.seconds, evaluation, result)

    model, history = LESSON.fit(images.train, images.validation, seed)
    trainer = PyTorchTrainer(model, None, nn.MSELoss())
    with measured() as evaluation:
        ours = trainer.evaluate(images.test, images.test)
    if abs(ours - result) > 1e-4:
        raise RuntimeError(f"the same recipe must give the same error, got {result} and {ours}")
    yield from _epoch_rows("convae_lib", history.rows[-1]["seconds"], evaluation, ours)

    wrapped, history = replace(LESSON, network=lambda: InBFloat16(Autoencoder())).fit(
        images.train, images.validation, seed
    )
    seconds, rounded = history.rows[-1]["seconds"], error(wrapped.model, images.test)
    if abs(rounded / ours - 1) > 0.01:
        raise RuntimeError(f"bfloat16 must not change the error, got {ours} and {rounded}")
    yield _row("epoch of training", "convae_lib in bfloat16", seconds, test_error=rounded)

    for peer in ("lightning", "pythae") if peers else ():
        with measured() as training:
            model = getattr(peers, f"{peer}_epoch")(images.train, seed)
        result = error(model, images.test)
        yield _row("epoch of training", peer, training["seconds"], test_error=result)


def _epoch_rows(contender, training, evaluation, test_error):
    yield _row("epoch of training", contender, training, test_error=test_error)
    yield _row("evaluation of 10,000 images", contender, **evaluation)
    yield _row("epoch of training and evaluation", contender, training + evaluation["seconds"])


def embedding(images, seed, quick):
    """A map of the test codes: the lesson's call, ours, and openTSNE's."""
    count = 500 if quick else 10_000
    codes = reconstruct(load_pretrained("lesson"), images.test[:count])[1].numpy()
    labels = images.test_labels[:count]
    contenders = {
        "scikit-learn's default": lambda: TSNE(n_components=2, random_state=seed).fit_transform(
            codes
        ),
        "convae_lib": lambda: tsne_embedding(codes, seed=seed),
    }
    if peers:
        contenders["openTSNE's default"] = lambda: np.asarray(peers.open_tsne(codes, seed))
    for name, draw in contenders.items():
        with measured() as drawing:
            drawn = draw()
        quality = embedding_quality(codes, drawn, labels)
        yield _row("t-SNE of 10,000 codes", name, drawing["seconds"], **quality)


def _row(comparison, contender, seconds, **result):
    rounded = {key: round(value, 5) for key, value in result.items()}
    return {
        "comparison": comparison,
        "contender": contender,
        "seconds": round(seconds, 3),
        **rounded,
    }
