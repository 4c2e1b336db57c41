"""Train the networks whose weights ship with the course: `make weights`.

Needs all of MNIST. Every image that a tier of `load_mnist` tests on is left out of the training:
MNIST's own test set is apart already; the embedded tier tests on images of MNIST's training set,
which are found by content and removed.
"""

import os
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from convae_lib import Autoencoder, PyTorchTrainer, load_mnist

WEIGHTS = Path(__file__).parents[1] / "convae_lib" / "weights"


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
    print(f"training on {len(train):,} images")

    torch.manual_seed(0)
    model = Autoencoder(hidden_dim=28)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    trainer = PyTorchTrainer(model, optimizer, nn.MSELoss())
    test = data.test_images
    history = trainer.fit(train, train, test, test, epochs=1, batch_size=60, seed=0)
    if history.interrupted:
        sys.exit("Interrupted: the weights on disk are as they were.")
    save_file(model.state_dict(), WEIGHTS / "lesson.safetensors")


if __name__ == "__main__":
    main()
