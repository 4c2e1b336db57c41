"""What buys a smaller error: one change at a time, more numbers in the code, steps on the code."""

from functools import cache, partial
from time import perf_counter

import torch
from evaluation import alone
from recipes import ABLATION, BETTER, RIVALS, fit

from convae_lib import (
    ResidualAutoencoder,
    mean_error,
    pca_baseline,
    probe_codes,
    reconstruct,
    tsne_embedding,
)

RECIPES = ABLATION | RIVALS
STUDIES = {"ablation": ABLATION, "rival": RIVALS}
NETWORKS = ("hidden layer", "second look")
STEPS = (0, 2, 5, 20)
CODE_SIZES = (2, 4, 8, 16, 28, 64)
DESCRIPTIONS = ("pixels", "PCA-28", "untrained", "lesson", "better")


@cache
def trained(images, name, seed):
    return fit(images.train, images.validation, seed, **RECIPES[name])[0]


def tuning(images, name, seed, **tried):
    """What was tried, for one seed: errors on validation images, by which the recipes were chosen,
    to a tenth, and the rate of the bottleneck's 20 steps (on 1,000 of them). Rivals had two epochs;
    the one with ten times the parameters is of an earlier search."""
    if name in NETWORKS:
        error = refined_error(trained(images, name, seed), images.validation[:1000], **tried)
    else:
        model, _ = fit(images.train, images.validation, seed, **RECIPES[name] | tried)
        error = mean_error(model, images.validation)
    return {"validation_error": error}


def ablation(images, study, name, seed):
    """Trained on 55,000 images: PCA, the recipes that lead to the better networks, and rivals."""
    model = pca_baseline(images.train) if study == "baseline" else trained(images, name, seed)
    weights = [*model.parameters(), *model.buffers()]  # what PCA has learned are buffers
    return {
        "parameters": sum(tensor.numel() for tensor in weights),
        "validation_error": mean_error(model, images.validation),
        "test_error": mean_error(model, images.test),
    }


def improve(decoder, images, codes, steps, lr=0.03):
    """Take Nesterov's steps on the codes (N, length) alone, at a rate that falls like a cosine."""
    codes = codes.clone().requires_grad_()
    optimizer = torch.optim.SGD([codes], lr=lr, momentum=0.8, nesterov=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        error = (decoder(codes) - images).square().sum()  # each image's own, summed over pixels
        (codes.grad,) = torch.autograd.grad(error, codes)
        optimizer.step()
        schedule.step()
    return codes.detach()


def refined_error(model, images, steps, **options):
    total = 0.0
    for part in images.split(500):
        drawn, codes = reconstruct(model, part)
        if steps:
            codes = improve(model.decoder, part, codes, steps, **options)
            drawn = model.decoder(codes)
        total += (drawn - part).square().mean().item() * len(part)
    return total / len(images)


def bottleneck(images, network, steps, seed):
    """The 28 numbers of every test image, improved by steps against the gradient of its error. The
    decoder stays as it was. Milliseconds are those of one image, in batches of 500."""
    model, start = trained(images, network, seed), perf_counter()
    error = refined_error(model, images.test, steps)
    return {"test_error": error, "milliseconds": 1000 * (perf_counter() - start) / len(images.test)}


def code_sizes(images, seed, code_size):
    """Test errors of PCA and of the better network after two epochs, by numbers in the code."""
    pca = pca_baseline(images.train, code_size)
    recipe = BETTER | {"network": partial(ResidualAutoencoder, code_size), "epochs": 2}
    model, _ = fit(images.train, images.validation, seed, **recipe)
    return {"PCA": mean_error(pca, images.test), "network": mean_error(model, images.test)}


def probes(images, description, of, seed):
    """What probes find in three networks: half of the test images teach them, the other half ask.
    Of a map: t-SNE places both halves together, without labels."""
    torch.manual_seed(seed)
    rows = torch.randperm(len(images.test))
    model = {
        "PCA-28": partial(pca_baseline, images.train),
        "untrained": ResidualAutoencoder,
        "lesson": partial(trained, images, "the lesson's recipe", seed),
        "better": partial(trained, images, "hidden layer", seed),
    }.get(description)
    codes = reconstruct(model(), images.test[rows])[1] if model else images.test[rows].flatten(1)
    codes = tsne_embedding(codes, seed=seed) if of == "map" else codes.numpy()
    labels, half = images.test_labels[rows].numpy(), len(rows) // 2
    return probe_codes(codes[:half], labels[:half], codes[half:], labels[half:], seed=seed)


def pace(images, name, seed):
    """Milliseconds of a training step, taken by turns in one hour, each in a process of its own;
    seconds are those of all the steps that the recipe takes."""
    recipe = RECIPES[name]
    size = recipe["batch_size"]
    few, steps = images.train[: 50 * size], recipe["epochs"] * -(-len(images.train) // size)
    _, history = alone(partial(fit, **recipe | {"epochs": 1}), few, few[:50], seed)
    step = history.rows[-1]["seconds"] / len(history.batch_losses)
    return {"milliseconds": 1000 * step, "steps": steps, "seconds": step * steps}
