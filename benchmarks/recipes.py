"""Recipes: a network and everything that decides how it is trained.

`LESSON` is the source lesson's. `ABLATION` leads from it to `BETTER`, one change at a time;
`FAST` is for seconds. Every number in them was chosen on validation images, the last 5,000 of
MNIST's training set.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise

import torch
from torch import nn

from convae_lib import Autoencoder, DenseLayer, PyTorchTrainer, ResidualAutoencoder


@dataclass(frozen=True)
class Recipe:
    """How a network is made, and how it is trained."""

    network: Callable[[], nn.Module] = Autoencoder
    optimizer: Callable = torch.optim.SGD
    options: tuple = (("lr", 0.01), ("momentum", 0.9))  # of the optimizer
    rise: float | None = None  # the share of steps in which the rate rises to lr, to fall to 0
    batch_size: int = 60
    epochs: int = 1
    images: int | None = None  # how many of the training images are used; None for all

    def with_options(self, **options):
        return replace(self, options=tuple((dict(self.options) | options).items()))

    def fit(self, train, test, seed=0):
        """Train on images (N, 1, 28, 28); return the model and its `History`.

        Ctrl-C, which the trainer takes for an early end, ends the program here: nothing that is
        measured or shipped comes from a network trained in part.
        """
        train = train[: self.images]
        torch.manual_seed(seed)
        model = self.network()
        optimizer = self.optimizer(model.parameters(), **dict(self.options))
        scheduler = None
        if self.rise is not None:
            scheduler = torch.optim.lr_scheduler.OneCycleLR(
                optimizer,
                max_lr=dict(self.options)["lr"],
                total_steps=self.epochs * math.ceil(len(train) / self.batch_size),
                pct_start=self.rise,
                cycle_momentum=False,
            )
        history = PyTorchTrainer(model, optimizer, nn.MSELoss()).fit(
            train,
            train,
            test,
            test,
            epochs=self.epochs,
            eval_every=self.epochs,
            batch_size=self.batch_size,
            scheduler=scheduler,
            seed=seed,
        )
        if history.interrupted:
            raise KeyboardInterrupt("nothing is stored")
        return model, history


def lesson_network(activation=nn.Tanh, code_activation=None):
    """The lesson's network with other activations; the image's own tanh stays."""
    model = Autoencoder(hidden_dim=28)
    for layer in (
        model.encoder.conv1,
        model.encoder.conv2,
        model.decoder.dense1,
        model.decoder.conv1,
    ):
        layer.activation = activation()
    model.encoder.dense1.activation = code_activation
    return model


def residual_network(width, hidden_layer):
    """`ResidualAutoencoder` without its residual blocks, with or without its hidden layers."""
    model = ResidualAutoencoder(hidden_dim=28, width=width)
    for half in (model.encoder, model.decoder):
        half.block = nn.Identity()
        if not hidden_layer:
            half.dense1 = nn.Identity()
    if not hidden_layer:
        model.encoder.dense2 = DenseLayer(width * 7 * 7, 28)
        model.decoder.dense2 = DenseLayer(28, width * 7 * 7)
    return model


class DenseAutoencoder(nn.Module):
    """784-1000-500-250-code and back: the shape of Hinton and Salakhutdinov's network (2006)."""

    def __init__(self, hidden_dim=28):
        super().__init__()
        sizes = [784, 1000, 500, 250, hidden_dim]
        self.encoder = nn.Sequential(nn.Flatten(), *_dense(sizes))
        self.decoder = nn.Sequential(*_dense(sizes[::-1]), nn.Tanh(), nn.Unflatten(1, (1, 28, 28)))

    def forward(self, x):
        """Return ``(reconstruction, code)``: (N, 1, 28, 28) and (N, hidden_dim)."""
        code = self.encoder(x)
        return self.decoder(code), code


def _dense(sizes):
    layers = [DenseLayer(*pair, activation=nn.GELU()) for pair in pairwise(sizes)]
    layers[-1].activation = None
    return layers


LESSON = Recipe()
TUNED = LESSON.with_options(lr=0.03)
ADAMW = replace(
    LESSON,
    optimizer=torch.optim.AdamW,
    options=(("lr", 1e-3), ("betas", (0.9, 0.95)), ("weight_decay", 0.0), ("fused", True)),
)
ONE_CYCLE = replace(ADAMW.with_options(lr=3e-3), rise=0.3)
RESIDUAL = replace(ONE_CYCLE, network=ResidualAutoencoder)
LONGER = replace(RESIDUAL, epochs=4)
LARGE_BATCH = replace(LONGER.with_options(lr=5e-3), batch_size=128)
DECAY = LARGE_BATCH.with_options(weight_decay=0.3)
BETTER = replace(DECAY, epochs=14)

ABLATION = {  # each adds what its name tells to the one before; some change the rate as well
    "the lesson's recipe": LESSON,
    "rate of 0.03": TUNED,
    "AdamW": ADAMW,
    "one-cycle rate": ONE_CYCLE,
    "linear code": replace(ONE_CYCLE, network=lesson_network),
    "GELU": replace(ONE_CYCLE, network=partial(lesson_network, nn.GELU)),
    "stride 4": replace(ONE_CYCLE, network=partial(residual_network, 16, hidden_layer=False)),
    "64 channels": replace(ONE_CYCLE, network=partial(residual_network, 64, hidden_layer=False)),
    "hidden layer": replace(ONE_CYCLE, network=partial(residual_network, 64, hidden_layer=True)),
    "residual block": RESIDUAL,
    "4 epochs": LONGER,
    "batch of 128": LARGE_BATCH,
    "weight decay": DECAY,
    "14 epochs": BETTER,
}
RIVALS = {  # other networks, trained in the better one's way, in less time
    "the lesson's network, linear code, 4 epochs": replace(
        BETTER, network=lesson_network, epochs=4
    ),
    "dense network, 14 epochs": replace(
        BETTER.with_options(lr=3e-3, weight_decay=0.0), network=DenseAutoencoder
    ),
}
FAST = replace(
    RESIDUAL.with_options(lr=1e-2, betas=(0.9, 0.9)),
    network=partial(ResidualAutoencoder, width=16),
    rise=0.5,
    batch_size=64,
    images=200 * 64,  # two hundred steps
)
