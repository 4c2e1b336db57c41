"""Lesson 08: which change makes the error smaller, and what limits the latent vector."""

import math
from functools import cache, partial
from time import perf_counter

import torch
from new_process import run_in_new_process
from recipes import ABLATION, OTHER_NETWORKS, RESIDUAL, fit

from convae_lib import ResidualAutoencoder, mean_error, pca_baseline, reconstruct

RECIPES = ABLATION | OTHER_NETWORKS
STUDIES = {"ablation": ABLATION, "rival": OTHER_NETWORKS}
OPTIMIZED_NETWORKS = ("hidden layer", "iterative")  # by latent optimization
OPTIMIZATION_STEPS = (0, 2, 5, 20)
CODE_SIZES = (2, 4, 8, 16, 28, 64)


@cache
def train_recipe(images, name, seed):
    """Return the network that a recipe trains; each is trained once."""
    model, _ = fit(images.train, images.validation, seed, **RECIPES[name])
    return model


def measure_tuning(images, name, seed, **setting):
    """Measure the validation error of one setting that was tried.

    Validation errors of the hyperparameters that were tried, for one seed. The errors of the values
    that the recipes use are at most a tenth above the smallest. Rows with 20 *steps* are about
    latent optimization, on 1,000 validation images. The lesson's network with GELU and the dense
    network were tried for two epochs; the network with ten times the parameters was tuned in an
    earlier search.
    """
    if name in OPTIMIZED_NETWORKS:
        model = train_recipe(images, name, seed)
        error = error_after_steps(model, images.validation[:1000], **setting)
    else:
        recipe = RECIPES[name] | setting
        model, _ = fit(images.train, images.validation, seed, **recipe)
        error = mean_error(model, images.validation)
    return {"validation_error": error}


def measure_ablation(images, study, name, seed):
    """Measure the size and the errors of one recipe's network.

    Trained on 55,000 images: PCA, then the recipes that lead from the lesson's to the residual
    network (*hidden layer*) and the iterative one, each with one change more than the row above,
    then other networks for comparison.
    """
    if study == "baseline":
        model = pca_baseline(images.train)
        encoder = model.encoder  # the decoder uses the same numbers
        n_parameters = encoder.components.numel() + encoder.mean.numel()
    else:
        model = train_recipe(images, name, seed)
        n_parameters = sum(parameter.numel() for parameter in model.parameters())
    return {
        "parameters": n_parameters,
        "validation_error": mean_error(model, images.validation),
        "test_error": mean_error(model, images.test),
    }


def optimize_latents(decoder, images, latents, steps, lr=0.03):
    """Return latent vectors (N, hidden_dim) after gradient steps on each image's squared error.

    The decoder stays as it is. The steps are Nesterov's, with a learning rate that falls to zero
    like a cosine.
    """
    latents = latents.clone().requires_grad_()
    optimizer = torch.optim.SGD([latents], lr=lr, momentum=0.8, nesterov=True)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        # The gradient of the sum for one image's latent vector comes from its own error alone.
        squared_error = (decoder(latents) - images).square().sum()
        (latents.grad,) = torch.autograd.grad(squared_error, latents)
        optimizer.step()
        scheduler.step()
    return latents.detach()


def error_after_steps(model, images, steps, **options):
    """Return the mean squared error on images (N, C, H, W) after latent optimization."""
    total = 0.0
    for batch in images.split(500):
        recon, latents = reconstruct(model, batch)
        if steps > 0:
            latents = optimize_latents(model.decoder, batch, latents, steps, **options)
            recon = model.decoder(latents)
        total += (recon - batch).square().mean().item() * len(batch)
    return total / len(images)


def measure_bottleneck(images, network, steps, seed):
    """Measure the test error after some steps of latent optimization.

    Test-time latent optimization: the latent vector of every test image is improved by gradient
    steps on the error of its reconstruction, and the decoder stays as it is. Milliseconds are those
    of one image, in batches of 500.
    """
    model = train_recipe(images, network, seed)
    start = perf_counter()
    error = error_after_steps(model, images.test, steps)
    seconds = perf_counter() - start
    return {"test_error": error, "milliseconds": 1000 * seconds / len(images.test)}


def measure_code_sizes(images, code_size, seed):
    """Measure PCA and the residual network with one latent dimension.

    Test errors of PCA and of the residual network after two epochs, by latent dimension.
    """
    pca = pca_baseline(images.train, code_size)
    recipe = RESIDUAL | {"network": partial(ResidualAutoencoder, code_size), "epochs": 2}
    model, _ = fit(images.train, images.validation, seed, **recipe)
    return {"PCA": mean_error(pca, images.test), "network": mean_error(model, images.test)}


def measure_pace(images, name, seed):
    """Measure how long one recipe's training takes, from 50 of its steps.

    Milliseconds of a training step, each recipe in a process of its own, all of them in turn within
    an hour. Seconds are those of all the steps that the recipe takes.
    """
    recipe = RECIPES[name]
    batch_size = recipe["batch_size"]
    n_steps = recipe["epochs"] * math.ceil(len(images.train) / batch_size)
    some_batches = images.train[: 50 * batch_size]
    train = partial(fit, **recipe | {"epochs": 1})
    _, history = run_in_new_process(train, some_batches, some_batches[:50], seed)
    seconds = history.rows[-1]["seconds"] / len(history.batch_losses)
    return {"milliseconds": 1000 * seconds, "steps": n_steps, "seconds": seconds * n_steps}
