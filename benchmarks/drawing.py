"""Networks that draw digits, what the weight of a rate does to them, and a judge of draws."""

import math
from functools import cache
from time import process_time

import numpy as np
import torch
from sklearn.metrics import pairwise_distances_argmin_min
from sklearn.mixture import GaussianMixture
from torch import nn
from torch.nn.functional import gelu

from convae_lib import (
    PyTorchTrainer,
    ResidualAutoencoder,
    VariationalAutoencoder,
    VariationalLoss,
    mean_error,
    pca_baseline,
    reconstruct,
)

EPOCHS, BATCH, COUNT = 3, 128, 1000
WEIGHTS = (1, 3, 10, 30, 100, 1000)
WEIGHT = 30
SIZES = (1, 3, 10, 30)  # of mixtures
CONTENDERS = {  # what gives codes, and how many Gaussians they are drawn from
    "real, never seen": None,
    "real, copied": None,
    "PCA, a Gaussian": ("PCA", (1,)),
    "PCA, a mixture": ("PCA", SIZES),
    "plain, a Gaussian": ("plain", (1,)),
    "plain, a mixture": ("plain", SIZES),
    "variational": ("variational", ()),
    "variational, a mixture": ("variational", SIZES),
}


class Judge(nn.Module):
    """A small classifier of images (N, 1, 28, 28): scores (N, 10), made from 32 features."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 3, stride=2, padding=1)
        self.conv2 = nn.Conv2d(16, 32, 3, stride=2, padding=1)
        self.dense1 = nn.Linear(32 * 7 * 7, 32)
        self.dense2 = nn.Linear(32, 10)

    def features(self, x):
        x = gelu(self.conv2(gelu(self.conv1(x))))  # (N, 32, 7, 7)
        return gelu(self.dense1(x.flatten(1)))  # (N, 32)

    def forward(self, x):
        return self.dense2(self.features(x))  # (N, 10)


def fit(model, criterion, x, y, seed, epochs=EPOCHS, rate=5e-3):
    """Train in the better network's way; return the seconds of one core."""
    start = process_time()
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=rate, betas=(0.9, 0.95), weight_decay=0.1, fused=True
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, rate, total_steps=epochs * math.ceil(len(x) / BATCH), cycle_momentum=False
    )
    history = PyTorchTrainer(model, optimizer, criterion).fit(
        *(x, y, x[:COUNT], y[:COUNT], epochs, epochs, BATCH), scheduler=schedule, seed=seed
    )
    if history.interrupted:  # a network trained in part is no result
        raise KeyboardInterrupt("nothing is stored")
    return process_time() - start


@cache
def parts(images):
    """By lot: all training images but 1,000, and their labels; the 1,000; and 1,000 test images."""
    whole = torch.cat([images.train, images.validation])
    labels = torch.cat([images.train_labels, images.validation_labels])
    order, rows = (
        torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
        for x in (whole, images.test)
    )
    kept = order[COUNT:]
    return whole[kept], labels[kept], whole[order[:COUNT]], images.test[rows[:COUNT]]


@cache
def judge(images, seed):
    train, labels, *_ = parts(images)
    torch.manual_seed(seed)
    model = Judge()
    fit(model, nn.CrossEntropyLoss(), train, labels, seed, epochs=2)
    return model


@cache
def trained(images, kind, seed, weight=WEIGHT):
    """A model that has a decoder, and the seconds it took."""
    train, *_ = parts(images)
    torch.manual_seed(seed)
    if kind == "plain":
        model = ResidualAutoencoder()
        return model, fit(model, nn.MSELoss(), train, train, seed)
    if kind == "variational":
        model = VariationalAutoencoder()
        loss = VariationalLoss(model, weight)
        return model, fit(loss, nn.L1Loss(), train, torch.zeros(len(train)), seed)
    start, model = process_time(), pca_baseline(train)
    model.decoder = lambda codes: (
        model.mean + (codes @ model.components).reshape(-1, *model.mean.shape)
    )
    return model, process_time() - start


@torch.inference_mode()
def codes_of(model, images):
    """Codes (N, 28), a variational model's drawn."""
    if not isinstance(model, VariationalAutoencoder):
        return reconstruct(model, images)[1].double().numpy()
    outputs = torch.cat([model.encoder(part) for part in images.split(250)])
    mean, log_variance = outputs.chunk(2, dim=1)  # (N, 28) each
    return (mean + (log_variance / 2).exp() * torch.randn_like(mean)).double().numpy()


def mixture(codes, held_out, sizes, seed):
    """A mixture of Gaussians fitted to codes, of that size which makes others the likeliest."""
    options = {"reg_covar": 1e-3, "tol": 0.01, "max_iter": 200, "random_state": seed}
    fitted = [GaussianMixture(size, **options).fit(codes) for size in sizes]
    return max(fitted, key=lambda one: one.score(held_out))


@torch.inference_mode()
def decoded(model, codes):
    return torch.cat([model.decoder(part) for part in codes.float().split(250)]).clamp(-1, 1)


def frechet(features, others):
    """The distance of the Gaussians of two tables (N, D), over the variance of the second."""
    gap = features.mean(axis=0) - others.mean(axis=0)
    one, other = np.cov(features.T), np.cov(others.T)
    roots = np.sqrt(np.linalg.eigvals(one @ other).real.clip(0))
    return (gap @ gap + np.trace(one + other) - 2 * roots.sum()) / np.trace(other)


def nearest(images, train):
    """How far images are from the nearest training image: the median of the first 200."""
    asked, known = (x.flatten(1).numpy() for x in (images[:200], train))
    return float(np.median(pairwise_distances_argmin_min(asked, known)[1]))


@torch.inference_mode()
def verdict(judge, drawn, real):
    features, others = judge.features(drawn), judge.features(real)
    chances = judge.dense2(features).softmax(dim=1)  # (N, 10)
    return {
        "sure": (chances.amax(dim=1) > 0.95).float().mean().item(),
        "entropy": torch.special.entr(chances.mean(dim=0)).sum().item(),
        "frechet": frechet(features.double().numpy(), others.double().numpy()),
    }


def weights(images, weight, seed):
    """The weight of the rate, for three epochs: both terms in nats and the numbers in use, on test
    images; and what a judge says of 1,000 draws, against validation images."""
    fresh = parts(images)[2]
    seeing, (model, _) = judge(images, seed), trained(images, "variational", seed, weight)
    torch.manual_seed(seed)
    with torch.inference_mode():
        terms = [VariationalLoss(model, weight).terms(part) for part in images.test.split(250)]
    distortion, rates = (torch.cat(term) for term in zip(*terms, strict=True))
    return {
        "distortion": distortion.mean().item(),
        "rate": rates.sum(dim=1).mean().item(),
        "in_use": (rates.mean(dim=0) > 0.05).sum().item(),
        "test_error": mean_error(model, images.test),
        **verdict(seeing, decoded(model, torch.randn(COUNT, 28)), fresh),
    }


def drawing(images, name, seed):
    """Who draws best? A judge looks at 1,000 draws: the share it is sure of, the entropy of all it
    takes them for, and the Fréchet distance of its features from those of 1,000 test images, over
    their variance. *Nearest* is the distance from the nearest training image, in units of a test
    image's. Core seconds are those that one core trained and fitted."""
    train, _, fresh, real = parts(images)
    drawn = {"real, never seen": fresh, "real, copied": train[:COUNT]}
    seconds = gaussians = None
    if name not in drawn:
        kind, sizes = CONTENDERS[name]
        model, seconds = trained(images, kind, seed, WEIGHT)
        torch.manual_seed(seed)
        start, codes = process_time(), torch.randn(COUNT, 28)
        if sizes:
            fitted = mixture(codes_of(model, train[:20_000]), codes_of(model, fresh), sizes, seed)
            codes, gaussians = torch.from_numpy(fitted.sample(COUNT)[0]), fitted.n_components
            codes = codes[torch.randperm(COUNT)]  # they came Gaussian by Gaussian
        seconds += process_time() - start
        drawn[name] = decoded(model, codes)
    found = verdict(judge(images, seed), drawn[name], real)
    found["nearest"] = nearest(drawn[name], train) / nearest(real, train)
    return {"core_seconds": seconds, "gaussians": gaussians} | found
