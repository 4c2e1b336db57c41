"""What buys a smaller error: one change at a time, and numbers in the code."""

from functools import partial
from time import perf_counter

from recipes import ABLATION, BETTER, RIVALS, fit

from convae_lib import ResidualAutoencoder, mean_error, pca_baseline

STUDIES = {"ablation": ABLATION, "rival": RIVALS}
CODE_SIZES = (2, 4, 8, 16, 28, 64)


def ablation(images, study, name, seed):
    """Trained on 55,000 images: PCA, the recipes that lead to the better one, and two rivals."""
    if study == "baseline":
        start = perf_counter()
        model = pca_baseline(images.train)
        seconds = perf_counter() - start
    else:
        model, history = fit(images.train, images.validation, seed, **STUDIES[study][name])
        seconds = history.rows[-1]["seconds"]
    weights = [*model.parameters(), *model.buffers()]  # what PCA has learned are buffers
    return {
        "seconds": seconds,
        "parameters": sum(tensor.numel() for tensor in weights),
        "validation_error": mean_error(model, images.validation),
        "test_error": mean_error(model, images.test),
    }


def code_sizes(images, seed, code_size):
    """Test errors of PCA and of the better network after two epochs, by numbers in the code."""
    pca = pca_baseline(images.train, code_size)
    recipe = BETTER | {"network": partial(ResidualAutoencoder, code_size), "epochs": 2}
    model, _ = fit(images.train, images.validation, seed, **recipe)
    return {"PCA": mean_error(pca, images.test), "network": mean_error(model, images.test)}
