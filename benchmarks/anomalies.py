"""Lesson 09: anomaly scores for the images of a digit that was left out of the training."""

import math
from functools import cache

import numpy as np
import torch
from recipes import TWO_EPOCHS, fit
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from torch import nn

from convae_lib import ResidualAutoencoder, pca_baseline, reconstruct, reconstruction_error


def stroke_length(images):
    """Return the length (N,) of the strokes in pixels: half the length of all edges."""
    ink = nn.functional.pad((images + 1) / 2, (1, 1, 1, 1))  # (N, C, H + 2, W + 2), in [0, 1]
    down = ink.diff(dim=2)[..., :-1]
    right = ink.diff(dim=3)[..., :-1, :]
    return torch.hypot(down, right).sum(dim=(1, 2, 3)) / 2


def error_score(model):
    """Return a function that scores images (N, C, H, W) by their reconstruction errors (N,)."""

    def score(images):
        recon, _ = reconstruct(model, images)
        return reconstruction_error(images, recon)

    return score


def relative_to_length(score, normal_images):
    """Return a score divided by what is expected for an image's stroke length.

    The expected score is a power of the stroke length, fitted to normal images.
    """
    log_lengths = stroke_length(normal_images).log().numpy()
    log_scores = score(normal_images).log().numpy()
    slope, intercept = np.polyfit(log_lengths, log_scores, 1)

    def relative_score(images):
        return score(images) / stroke_length(images) ** slope / math.exp(intercept)

    return relative_score


@cache
def nearest_distances(images):
    """Return distances (N, 10) of test images from the nearest training image of each digit."""
    of_digit = [images.train[images.train_labels == digit].flatten(1) for digit in range(10)]
    distances = []
    for batch in images.test.flatten(1).split(500):
        to_nearest = [torch.cdist(batch, train).amin(dim=1) for train in of_digit]
        distances.append(torch.stack(to_nearest, dim=1))
    return torch.cat(distances)


def measure_anomalies(images, digit, seed):
    """Measure how well several scores tell one digit from the others.

    AUROC on all test images, of which those of one digit are the anomalies. The scores are fitted
    to training images of the other nine digits. A larger reconstruction error, or a larger
    distance, means a more anomalous image.
    """
    train = images.train[images.train_labels != digit]
    normal = images.validation[images.validation_labels != digit]
    network, _ = fit(train, normal, seed, network=ResidualAutoencoder, **TWO_EPOCHS)
    network_score = error_score(network)
    pca_score = error_score(pca_baseline(train))
    forest = IsolationForest(random_state=seed).fit(train.flatten(1).numpy())
    other_digits = torch.arange(10) != digit
    test = images.test
    scores = {
        "network": network_score(test),
        "PCA-28": pca_score(test),
        "network, by length": relative_to_length(network_score, normal)(test),
        "PCA-28, by length": relative_to_length(pca_score, normal)(test),
        "nearest image": nearest_distances(images)[:, other_digits].amin(dim=1),
        "isolation forest": -forest.score_samples(test.flatten(1).numpy()),
        "stroke length alone": stroke_length(test),
    }
    is_anomaly = images.test_labels == digit
    return {name: roc_auc_score(is_anomaly, score) for name, score in scores.items()}
