"""Train the networks that ship with the course: `make weights`.

They are trained on all of MNIST's training images but those that the offline subset tests on,
which are found by their pixels and left out.
"""

import os
import sys
from pathlib import Path

import torch
from recipes import ITERATIVE, LESSON, RESIDUAL, fit
from safetensors.torch import save_file

from convae_lib import load_mnist

WEIGHTS = Path(__file__).parents[1] / "convae_lib" / "weights"
SHIPPED = {  # name: the recipe, and the dtype in which the weights are stored
    "lesson": (LESSON, torch.float32),
    "residual": (RESIDUAL, torch.float16),
    "iterative": (ITERATIVE, torch.float16),
}


def without(images, excluded):
    """Return the images (N, 1, 28, 28) that equal none of the excluded ones, in their order."""
    excluded_pixels = {image.numpy().tobytes() for image in excluded}
    keep = [image.numpy().tobytes() not in excluded_pixels for image in images]
    return images[torch.tensor(keep)]


def train_and_save(train_images, test_images, folder):
    """Train every shipped network on (N, 1, 28, 28) images and write its weights to a folder."""
    for name, (recipe, dtype) in SHIPPED.items():
        print(f"{name}: training on {len(train_images):,} images")
        model, _ = fit(train_images, test_images, seed=0, **recipe)
        save_file(model.to(dtype).state_dict(), folder / f"{name}.safetensors")


def main():
    """Train on all of MNIST and replace the weights in the library."""
    data = load_mnist()
    if data.source != "mnist":
        sys.exit("The weights are trained on all of MNIST, which was not found (see above).")
    os.environ["CONVAE_OFFLINE"] = "1"
    offline = load_mnist()
    train_and_save(without(data.train_images, offline.test_images), data.test_images, WEIGHTS)


if __name__ == "__main__":
    main()
