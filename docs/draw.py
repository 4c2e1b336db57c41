"""The page to draw a digit on, whole: weights, PCA and quantiles lie inline.

python docs/draw.py [build/draw.html]      from what is installed; needs no MNIST and no network

PCA-28 is fitted to the 4,000 embedded training images. How unusual an error is, the 1,000 embedded
test images say, which no shipped network was trained on.
"""

import os
import sys
from contextlib import redirect_stdout
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from convae_lib import (
    load_mnist,
    load_pretrained,
    pca_baseline,
    reconstruct,
    reconstruction_error,
    show_reconstructions,
)
from convae_lib._page import Interactive, as_data, page, picture, rounded, sprite

PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Draw a digit</title><style>:root {{color-scheme: light dark}}
body {{font-family: system-ui, sans-serif; max-width: 56rem; margin: 1rem auto; padding: 0 1rem}}
</style><h1>Draw a digit</h1>
{body}</html>
"""


def drawing() -> Interactive:
    """The part of the page that is drawn on, with what it needs."""
    offline = patch.dict(os.environ, CONVAE_OFFLINE="1")  # the same page on every machine
    with offline, redirect_stdout(None):
        data = load_mnist()
    held, labels = data.test_images, data.test_labels
    pca = pca_baseline(data.train_images, code_size=28)
    encoder, decoder = linear(pca.components, pca.mean)
    models = {"PCA-28": pca, "lesson's network": load_pretrained("lesson")}
    models["better network"] = better = load_pretrained("better")
    parts = {name: (model.encoder, model.decoder) for name, model in [*models.items()][1:]}
    parts["PCA-28"] = encoder, decoder
    first = [int((labels == digit).nonzero()[0]) for digit in range(10)]
    rows, networks = {"MNIST": held[first]}, []
    for name, model in models.items():
        copies, codes = reconstruct(model, held)
        rows[name] = copies[first]
        networks.append(
            {
                "name": name,
                "encoder": as_data(parts[name][0]),
                "decoder": as_data(parts[name][1]),
                "mean": rounded(codes.mean(dim=0)),
                "sd": rounded(codes.std(dim=0)),
            }
        )
    errors = reconstruction_error(held, reconstruct(better, held)[0])
    content = {
        "networks": networks,
        "quantiles": rounded(np.quantile(errors, np.linspace(0, 1, 101)), 6),
        "held": len(held),
        "examples": sprite(held[first], levels=256),
        "names": [str(digit) for digit in range(10)],
        "first": 3,
    }
    figure = Figure(figsize=(9, 4), layout="constrained")
    show_reconstructions(rows, ax=figure.subplots())
    alt = "Ten digits, and what PCA, the lesson's network and the better one make of them"
    return page("drawDigit", "draw", content, picture(figure), alt)


def linear(components: Tensor, mean: Tensor) -> tuple[nn.Linear, nn.Linear]:
    """PCA's two halves as dense layers."""
    encoder, decoder = nn.Linear(*components.shape[::-1]), nn.Linear(*components.shape)
    with torch.no_grad():
        encoder.weight.copy_(components)
        encoder.bias.copy_(-components @ mean.flatten())
        decoder.weight.copy_(components.T)
        decoder.bias.copy_(mean.flatten())
    return encoder, decoder


def body() -> str:
    """HTML to put into a page."""
    return drawing().html


if __name__ == "__main__":
    target = Path(*sys.argv[1:2] or ["build/draw.html"])
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(PAGE.format(body=body()), encoding="utf-8")
