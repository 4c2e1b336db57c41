"""Train the networks that ship with the course (`make weights`), on all of MNIST but the images
that a tier of `load_mnist` tests on: the embedded tier's are found by content, and left out."""

import os
import sys
from pathlib import Path

import torch
from recipes import BETTER, LESSON, SECOND_LOOK, fit
from safetensors.torch import save_file

from convae_lib import load_mnist

WEIGHTS = Path(__file__).parents[1] / "convae_lib" / "weights"
SHIPPED = {
    "lesson": (LESSON, torch.float32),
    "better": (BETTER, torch.float16),
    "second_look": (SECOND_LOOK, torch.float16),
}


def without(images, excluded):
    """Return the images, (N, 1, 28, 28), that equal none of the excluded ones."""
    banned = {image.numpy().tobytes() for image in excluded}
    return images[torch.tensor([image.numpy().tobytes() not in banned for image in images])]


def main(folder=WEIGHTS):
    data = load_mnist()
    if data.source != "mnist":
        sys.exit("The weights are trained on all of MNIST, which was not found (see above).")
    os.environ["CONVAE_OFFLINE"] = "1"
    train = without(data.train_images, load_mnist().test_images)
    for name, (recipe, dtype) in SHIPPED.items():
        print(f"{name}: training on {len(train):,} images")
        model, _ = fit(train, data.test_images, seed=0, **recipe)
        save_file(model.to(dtype).state_dict(), folder / f"{name}.safetensors")


if __name__ == "__main__":
    main()
