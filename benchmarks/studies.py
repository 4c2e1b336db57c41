"""What buys a smaller error: one change at a time, and numbers in the code.

Everything trains on the first 55,000 images of MNIST's training set; validation errors are those
of the other 5,000, test errors those of the test set.
"""

import time
from dataclasses import replace
from functools import partial

from recipes import ABLATION, BETTER, RIVALS

from convae_lib import (
    ResidualAutoencoder,
    code_size_sweep,
    pca_baseline,
    reconstruct,
    reconstruction_error,
)

CODE_SIZES = (2, 4, 8, 16, 28, 64)


def error(model, images):
    """Mean squared error of a model on images (N, 1, 28, 28)."""
    return reconstruction_error(images, reconstruct(model, images)[0]).mean().item()


def ablation(images, seeds, quick, report):
    """Yield a row for each seed of each recipe in `ABLATION` and `RIVALS`, and one for PCA."""
    start = time.perf_counter()
    pca = pca_baseline(images.train)
    yield _row("baseline", "PCA-28", 0, pca, time.perf_counter() - start, images)
    studies = [("ablation", ABLATION), ("rival", RIVALS)]
    total = len(seeds) * sum(len(recipes) for _, recipes in studies)
    done = 0
    for seed in seeds:
        for study, recipes in studies:
            for name, recipe in recipes.items():
                done += 1
                report(f"[{done}/{total}] {name}, seed {seed}")
                if quick:
                    recipe = replace(recipe, epochs=1)
                model, history = recipe.fit(images.train, images.validation, seed)
                seconds = history.rows[-1]["seconds"]
                yield _row(study, name, seed, model, seconds, images)


def _row(study, name, seed, model, seconds, images):
    weights = [*model.parameters(), *model.buffers()]  # what PCA has learned are buffers
    return {
        "study": study,
        "name": name,
        "seed": seed,
        "seconds": round(seconds, 2),
        "parameters": sum(tensor.numel() for tensor in weights),
        "validation_error": error(model, images.validation),
        "test_error": error(model, images.test),
    }


def code_sizes(images, seeds, quick, report):
    """Yield a row for each code size and seed: test errors of PCA and of the better network."""
    recipe = replace(BETTER, epochs=1 if quick else 2)

    def fit(train, code_size, seed):
        report(f"a code of {code_size} numbers, seed {seed}")
        network = partial(ResidualAutoencoder, hidden_dim=code_size)
        return replace(recipe, network=network).fit(train, images.validation, seed)[0]

    for seed in seeds:
        fits = {"PCA": pca_baseline, "network": partial(fit, seed=seed)}
        sweep = code_size_sweep(fits, images.train, images.test, CODE_SIZES)
        for row in sweep.reset_index().to_dict("records"):
            yield {"seed": seed, **row}
