"""Lesson 10: images sampled from autoencoders, and what the weight of the KL divergence changes."""

import math
from functools import cache
from time import process_time
from typing import NamedTuple

import numpy as np
import torch
from recipes import raise_if_interrupted
from sklearn.metrics import pairwise_distances_argmin_min
from sklearn.mixture import GaussianMixture
from torch import Tensor, nn
from torch.nn.functional import gelu

from convae_lib import (
    PyTorchTrainer,
    ResidualAutoencoder,
    VariationalAutoencoder,
    elbo_terms,
    mean_error,
    negative_elbo,
    pca_baseline,
    reconstruct,
)

EPOCHS = 3
BATCH_SIZE = 128
N_SAMPLES = 1000
WEIGHTS = (1, 3, 10, 30, 100, 1000)  # of the KL divergence
BEST_WEIGHT = 30
MIXTURE_SIZES = (1, 3, 10, 30)
CONTENDERS = {  # the model, and the sizes of the mixtures that its latent vectors are sampled from
    "real, never seen": None,
    "real, copied": None,
    "PCA, a Gaussian": ("PCA", (1,)),
    "PCA, a mixture": ("PCA", MIXTURE_SIZES),
    "plain, a Gaussian": ("plain", (1,)),
    "plain, a mixture": ("plain", MIXTURE_SIZES),
    "variational": ("variational", None),  # from its prior, the standard normal
    "variational, a mixture": ("variational", MIXTURE_SIZES),
}


class Split(NamedTuple):
    """Images (N, 1, 28, 28) to train on, and two random samples to compare with."""

    train: Tensor
    train_labels: Tensor
    held_out: Tensor  # training images that no model sees
    real: Tensor  # test images


class Classifier(nn.Module):
    """A small classifier of images (N, 1, 28, 28), which judges generated images."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 3, stride=2, padding=1)
        self.conv2 = nn.Conv2d(16, 32, 3, stride=2, padding=1)
        self.dense1 = nn.Linear(32 * 7 * 7, 32)
        self.dense2 = nn.Linear(32, 10)

    def features(self, x):
        """Return the features (N, 32) that the scores are computed from."""
        x = gelu(self.conv1(x))  # (N, 16, 14, 14)
        x = gelu(self.conv2(x))  # (N, 32, 7, 7)
        return gelu(self.dense1(x.flatten(1)))  # (N, 32)

    def forward(self, x):
        """Return the scores (N, 10) of the digits."""
        return self.dense2(self.features(x))  # (N, 10)


class VariationalTrainer(PyTorchTrainer):
    """A trainer whose loss is the negative ELBO; the targets and the criterion are not used."""

    def __init__(self, model, optim, beta):
        super().__init__(model, optim, nn.MSELoss())
        self.beta = beta

    def batch_loss(self, x, y):
        """Return the mean loss of a batch of images (N, 1, 28, 28)."""
        return negative_elbo(self.model, x, beta=self.beta).mean()


def make_optimizer(model):
    """Make the optimizer of the residual network's recipe."""
    return torch.optim.AdamW(
        model.parameters(), lr=5e-3, betas=(0.9, 0.95), weight_decay=0.1, fused=True
    )


def fit(trainer, x, y, seed, epochs=EPOCHS):
    """Train with a one-cycle learning rate and return the CPU seconds."""
    start = process_time()
    n_steps = epochs * math.ceil(len(x) / BATCH_SIZE)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(
        trainer.optim, 5e-3, total_steps=n_steps, cycle_momentum=False
    )
    history = trainer.fit(
        x,
        y,
        x[:N_SAMPLES],
        y[:N_SAMPLES],
        epochs=epochs,
        eval_every=epochs,
        batch_size=BATCH_SIZE,
        scheduler=scheduler,
        seed=seed,
    )
    raise_if_interrupted(history)
    return process_time() - start


@cache
def split_images(images, n_samples=N_SAMPLES):
    """Hold random samples of ``n_samples`` training and test images out; use the rest to train."""
    every_image = torch.cat([images.train, images.validation])
    every_label = torch.cat([images.train_labels, images.validation_labels])
    order = torch.randperm(len(every_image), generator=torch.Generator().manual_seed(0))
    test_order = torch.randperm(len(images.test), generator=torch.Generator().manual_seed(0))
    held_out, train = order[:n_samples], order[n_samples:]
    return Split(
        every_image[train],
        every_label[train],
        every_image[held_out],
        images.test[test_order[:n_samples]],
    )


@cache
def train_classifier(images, seed, n_samples=N_SAMPLES):
    """Return the classifier that judges the samples; each is trained once."""
    split = split_images(images, n_samples)
    torch.manual_seed(seed)
    model = Classifier()
    trainer = PyTorchTrainer(model, make_optimizer(model), nn.CrossEntropyLoss())
    fit(trainer, split.train, split.train_labels, seed, epochs=2)
    return model


@cache
def train_model(images, kind, seed, weight=BEST_WEIGHT, n_samples=N_SAMPLES):
    """Return a model with a decoder and the CPU seconds of its training; each is trained once.

    ``kind`` is "PCA", "plain" or "variational", and ``weight`` that of the KL divergence.
    """
    train = split_images(images, n_samples).train
    if kind == "PCA":
        start = process_time()
        model = pca_baseline(train)
        return model, process_time() - start
    torch.manual_seed(seed)
    if kind == "plain":
        model = ResidualAutoencoder()
        trainer = PyTorchTrainer(model, make_optimizer(model), nn.MSELoss())
    else:
        model = VariationalAutoencoder()
        trainer = VariationalTrainer(model, make_optimizer(model), beta=weight)
    return model, fit(trainer, train, train, seed)


@torch.inference_mode()
def encode(model, images):
    """Return latent vectors (N, 28), sampled from the posterior if the model is variational."""
    if not isinstance(model, VariationalAutoencoder):
        _, latents = reconstruct(model, images)
        return latents.double().numpy()
    outputs = torch.cat([model.encoder(batch) for batch in images.split(250)])
    mu, log_var = outputs.chunk(2, dim=1)  # (N, 28)
    z = mu + (log_var / 2).exp() * torch.randn_like(mu)
    return z.double().numpy()


def fit_mixture(latents, held_out, sizes, seed):
    """Fit Gaussian mixtures and return the one that makes held-out latent vectors likeliest."""
    mixtures = []
    for size in sizes:
        mixture = GaussianMixture(size, reg_covar=1e-3, tol=0.01, max_iter=200, random_state=seed)
        mixtures.append(mixture.fit(latents))
    return max(mixtures, key=lambda mixture: mixture.score(held_out))


@torch.inference_mode()
def decode(model, latents):
    """Return the images (N, 1, 28, 28) of latent vectors, with pixels in [-1, 1]."""
    batches = latents.float().split(250)
    return torch.cat([model.decoder(batch) for batch in batches]).clamp(-1, 1)


def frechet(features, real_features):
    """Return the Fréchet distance of two tables (N, D), relative to the variance of the second."""
    gap = features.mean(axis=0) - real_features.mean(axis=0)
    cov, real_cov = np.cov(features.T), np.cov(real_features.T)
    # The trace of a matrix's square root is the sum of the roots of its eigenvalues.
    roots = np.sqrt(np.linalg.eigvals(cov @ real_cov).real.clip(0))
    distance = gap @ gap + np.trace(cov + real_cov) - 2 * roots.sum()
    return float(distance / np.trace(real_cov))


def nearest_neighbor_distance(images, train):
    """Return the median distance of the first 200 images from their nearest training image."""
    first = images[:200].flatten(1).numpy()
    _, distances = pairwise_distances_argmin_min(first, train.flatten(1).numpy())
    return float(np.median(distances))


@torch.inference_mode()
def score_samples(classifier, samples, real):
    """Return what a classifier says of samples (N, 1, 28, 28), next to real images."""
    features = classifier.features(samples)
    real_features = classifier.features(real)
    probabilities = classifier.dense2(features).softmax(dim=1)  # (N, 10)
    return {
        "sure": (probabilities.amax(dim=1) > 0.95).float().mean().item(),
        "entropy": torch.special.entr(probabilities.mean(dim=0)).sum().item(),
        "frechet": frechet(features.double().numpy(), real_features.double().numpy()),
    }


def measure_weights(images, weight, seed, *, n_samples=N_SAMPLES):
    """Measure a variational autoencoder that was trained with one weight of the KL divergence.

    Variational autoencoders after three epochs, by the weight of the KL divergence (β).
    *Distortion* and *rate*, the KL divergence, are in nats, on test images. *In use* counts the
    active units, the latent variables with a rate above 0.05. The last three columns are the
    classifier's scores of 1,000 samples, which are compared with held-out training images.
    """
    held_out = split_images(images, n_samples).held_out
    classifier = train_classifier(images, seed, n_samples)
    model, _ = train_model(images, "variational", seed, weight, n_samples)
    torch.manual_seed(seed)
    with torch.inference_mode():
        terms = [elbo_terms(model, batch) for batch in images.test.split(250)]
    distortion = torch.cat([batch_distortion for batch_distortion, _ in terms])  # (N,)
    kl = torch.cat([batch_kl for _, batch_kl in terms])  # (N, 28)
    samples = decode(model, torch.randn(n_samples, 28))
    return {
        "distortion": distortion.mean().item(),
        "rate": kl.sum(dim=1).mean().item(),
        "in_use": (kl.mean(dim=0) > 0.05).sum().item(),
        "test_error": mean_error(model, images.test),
        **score_samples(classifier, samples, held_out),
    }


def generate(images, name, seed, n_samples):
    """Return samples of a contender, the CPU seconds it took, and the size of its mixture."""
    split = split_images(images, n_samples)
    kind, mixture_sizes = CONTENDERS[name]
    model, seconds = train_model(images, kind, seed, BEST_WEIGHT, n_samples)
    torch.manual_seed(seed)
    start = process_time()
    latents = torch.randn(n_samples, 28)
    n_gaussians = None
    if mixture_sizes is not None:
        latents_to_fit = encode(model, split.train[:20_000])
        mixture = fit_mixture(latents_to_fit, encode(model, split.held_out), mixture_sizes, seed)
        latents = torch.from_numpy(mixture.sample(n_samples)[0])
        latents = latents[torch.randperm(n_samples)]  # they are sorted by component
        n_gaussians = mixture.n_components
    seconds += process_time() - start
    return decode(model, latents), seconds, n_gaussians


def measure_drawing(images, name, seed, *, n_samples=N_SAMPLES):
    """Measure the samples of one contender.

    Samples of several models, scored by a classifier: the fraction of 1,000 samples that it is
    confident of (*sure*), the entropy of its mean prediction, and the Fréchet distance of its
    features from those of 1,000 test images, divided by their variance. *Nearest* is the distance
    from the nearest training image, relative to that of a test image: copies of training images
    score 0. Core seconds are the CPU seconds of training and fitting.
    """
    split = split_images(images, n_samples)
    seconds = None
    n_gaussians = None
    if name == "real, never seen":
        samples = split.held_out
    elif name == "real, copied":
        samples = split.train[:n_samples]
    else:
        samples, seconds, n_gaussians = generate(images, name, seed, n_samples)
    scores = score_samples(train_classifier(images, seed, n_samples), samples, split.real)
    distance = nearest_neighbor_distance(samples, split.train)
    real_distance = nearest_neighbor_distance(split.real, split.train)
    return {
        "core_seconds": seconds,
        "gaussians": n_gaussians,
        **scores,
        "nearest": distance / real_distance,
    }
