"""Train the networks whose weights ship with the course: `make weights`.

Needs all of MNIST. Every image that a tier of `load_mnist` tests on is left out of the training:
MNIST's own test set is apart already; the embedded tier tests on images of MNIST's training set,
which are found by content and removed.
"""

import os
import sys
from pathlib import Path

import torch
from recipes import BETTER, LESSON
from safetensors.torch import save_file

from convae_lib import load_mnist

WEIGHTS = Path(__file__).parents[1] / "convae_lib" / "weights"
SHIPPED = {"lesson": (LESSON, torch.float32), "better": (BETTER, torch.float16)}


def without(images, excluded):
    """Return the images, (N, 1, 28, 28), that equal none of the excluded ones."""
    banned = {image.numpy().tobytes() for image in excluded}
    keep = [image.numpy().tobytes() not in banned for image in images]
    return images[torch.tensor(keep)]


def main():
    data = load_mnist()
    if data.source != "mnist":
        sys.exit("The weights are trained on all of MNIST, which was not found (see above).")
    os.environ["CONVAE_OFFLINE"] = "1"
    train = without(data.train_images, load_mnist().test_images)
    for name, (recipe, dtype) in SHIPPED.items():
        print(f"{name}: training on {len(train):,} images")
        model, _ = recipe.fit(train, data.test_images)
        save_file(model.to(dtype).state_dict(), WEIGHTS / f"{name}.safetensors")


if __name__ == "__main__":
    main()
