"""Write the page on which a reader draws a digit: one file that holds all it needs.

python docs/draw/page.py [build/draw.html]

It is made from what comes with the library, without MNIST and without a network. PCA is fitted to
the 4,000 training images of the offline subset. Its 1,000 test images, which trained none of the
three models, show how unusual an error is.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from convae_lib import (
    Interactive,
    load_mnist,
    load_pretrained,
    pca_baseline,
    reconstruct,
    reconstruction_error,
    show_reconstructions,
)
from convae_lib.explore.html import build_page, image_sheet, read_script, rounded
from convae_lib.explore.network import as_data

FOLDER = Path(__file__).parent
TEMPLATE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Draw a digit</title>
<style>
:root {{color-scheme: light dark}}
body {{font-family: system-ui, sans-serif; max-width: 56rem; margin: 1rem auto; padding: 0 1rem}}
</style>
<main>
<h1>Draw a digit</h1>
{body}
</main>
</html>
"""


@contextmanager
def offline_subset() -> Iterator[None]:
    """Let `load_mnist` return the images that come with the library, on every machine."""
    before = os.environ.get("CONVAE_OFFLINE")
    os.environ["CONVAE_OFFLINE"] = "1"
    try:
        with redirect_stdout(None):  # it says which images it loads
            yield
    finally:
        del os.environ["CONVAE_OFFLINE"]
        if before is not None:
            os.environ["CONVAE_OFFLINE"] = before


def drawing() -> Interactive:
    """Return the part of the page that the reader draws on, with its networks."""
    with offline_subset():
        data = load_mnist()
    images, labels = data.test_images, data.test_labels
    models = {
        "PCA": pca_baseline(data.train_images),
        "lesson network": load_pretrained("lesson"),
        "residual network": load_pretrained("residual"),
    }
    examples = [int((labels == digit).nonzero()[0]) for digit in range(10)]
    rows = {"MNIST": images[examples]}
    networks = []
    for name, model in models.items():
        recon, codes = reconstruct(model, images)
        rows[name] = recon[examples]
        networks.append(
            {
                "name": name,
                "encoder": as_data(model.encoder),
                "decoder": as_data(model.decoder),
                "mean": rounded(codes.mean(dim=0)),
                "sd": rounded(codes.std(dim=0)),
            }
        )
    errors = reconstruction_error(images, recon)  # of the last network
    content = {
        "networks": networks,
        "quantiles": rounded(np.quantile(errors, np.linspace(0, 1, 101))),
        "testDigits": len(images),
        "examples": image_sheet(images[examples], levels=256),
        "names": [str(digit) for digit in range(10)],
        "first": 3,
    }
    figure = Figure(figsize=(9, 4), layout="constrained")
    show_reconstructions(rows, ax=figure.subplots())
    scripts = [read_script("network")]
    scripts += [(FOLDER / name).read_text("utf-8") for name in ("prepare.js", "draw.js")]
    alt = "Ten digits and their reconstructions by PCA, the lesson network and the residual network"
    notice = "This is a still picture. To draw a digit, allow JavaScript on this page."
    return build_page("drawDigit", scripts, content, figure, alt, notice=notice)


def body() -> str:
    """Return the HTML that the site puts into its page."""
    return drawing().html


if __name__ == "__main__":
    target = Path(sys.argv[1] if len(sys.argv) > 1 else "build/draw.html")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(TEMPLATE.format(body=body()), encoding="utf-8")
