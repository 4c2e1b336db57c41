"""Lesson 07: what probes find in latent vectors of several encoders, and in their embeddings."""

import torch
from ablation import train_recipe

from convae_lib import ResidualAutoencoder, pca_baseline, probe_codes, reconstruct, tsne_embedding

DESCRIPTIONS = ("pixels", "PCA-28", "untrained", "lesson", "residual")


def describe(images, description, seed, test_images):
    """Return what one encoder makes of test images: a table (N, features), on the CPU."""
    if description == "pixels":
        return test_images.flatten(start_dim=1)
    if description == "PCA-28":
        model = pca_baseline(images.train)
    elif description == "untrained":
        model = ResidualAutoencoder()
    elif description == "lesson":
        model = train_recipe(images, "the lesson's recipe", seed)
    else:
        model = train_recipe(images, "hidden layer", seed)
    _, latents = reconstruct(model, test_images)
    return latents


def measure_probes(images, description, of, seed):
    """Measure the scores of the probes for one representation.

    Probes of the pixels, and of the latent vectors of PCA, an untrained network and two trained
    ones. The probes are trained on one half of the test images and scored on the other half. *Map*
    means a two-dimensional t-SNE embedding, which is fitted to both halves together, without
    labels.
    """
    torch.manual_seed(seed)
    order = torch.randperm(len(images.test))
    codes = describe(images, description, seed, images.test[order])
    codes = tsne_embedding(codes, seed=seed) if of == "map" else codes.numpy()
    labels = images.test_labels[order].numpy()
    half = len(order) // 2
    return probe_codes(codes[:half], labels[:half], codes[half:], labels[half:], seed=seed)
