"""Recipes: a network and everything that decides how it is trained.

`LESSON` is the source lesson's, `BETTER` was chosen on validation images, the last 5,000 of
MNIST's training set.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from convae_lib import Autoencoder, PyTorchTrainer, ResidualAutoencoder


@dataclass(frozen=True)
class Recipe:
    """How a network is made, and how it is trained."""

    network: Callable[[], nn.Module] = Autoencoder
    optimizer: Callable = torch.optim.SGD
    options: tuple = (("lr", 0.01), ("momentum", 0.9))  # of the optimizer
    one_cycle: bool = False  # the rate rises to lr in 30 % of the steps, then falls to 0
    batch_size: int = 60
    epochs: int = 1

    def fit(self, train, test, seed=0):
        """Train on images (N, 1, 28, 28); return the model and its `History`."""
        torch.manual_seed(seed)
        model = self.network()
        optimizer = self.optimizer(model.parameters(), **dict(self.options))
        scheduler = None
        if self.one_cycle:
            scheduler = torch.optim.lr_scheduler.OneCycleLR(
                optimizer,
                max_lr=dict(self.options)["lr"],
                total_steps=self.epochs * math.ceil(len(train) / self.batch_size),
                pct_start=0.1,
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
        return model, history


LESSON = Recipe()
BETTER = Recipe(
    network=ResidualAutoencoder,
    optimizer=torch.optim.AdamW,
    options=(("lr", 5e-3), ("betas", (0.9, 0.95)), ("weight_decay", 0.3), ("fused", True)),
    one_cycle=True,
    batch_size=128,
    epochs=15,
)
