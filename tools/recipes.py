"""Training recipes of the course's networks, as keyword arguments of `fit`.

`ABLATION` leads from the source lesson's recipe to those of the residual and the iterative
network, one change at a time. The hyperparameters were chosen on validation images, the last
5,000 of MNIST's training set; `TUNED` holds the other values that were tried.
"""

import math
from functools import partial

import torch
from torch import nn
from torch.optim.lr_scheduler import OneCycleLR

from convae_lib import (
    Autoencoder,
    DenseLayer,
    IterativeAutoencoder,
    PyTorchTrainer,
    ResidualAutoencoder,
)


def fit(
    train_images,
    test_images,
    seed,
    *,
    network,
    optimizer,
    lr,
    batch_size,
    epochs,
    warmup=None,
    bfloat16=False,
    **optimizer_options,
):
    """Train a new network by a recipe and return the model and its history.

    Parameters
    ----------
    train_images, test_images : Tensor
        Images (N, 1, 28, 28) with pixels in [-1, 1].
    seed : int
        Seed of the initial weights and of the order of the images.
    network : callable
        Makes the network, without arguments.
    optimizer : callable
        Makes the optimizer from parameters, ``lr`` and ``optimizer_options``.
    lr : float
        Learning rate; the highest one, if there is a warm-up.
    batch_size, epochs : int
        Images in a batch, and passes over the training images.
    warmup : float, optional
        Train with a one-cycle learning rate that rises in this fraction of the steps.
    bfloat16 : bool
        Whether to train in mixed precision.

    Returns
    -------
    model : Module
        The trained network, in evaluation mode.
    history : History
        The history of the training, evaluated after the last epoch.

    Raises
    ------
    KeyboardInterrupt
        If the training was interrupted, because a half-trained network is no result.
    """
    torch.manual_seed(seed)
    model = network()
    optim = optimizer(model.parameters(), lr=lr, **optimizer_options)
    scheduler = None
    if warmup is not None:
        n_steps = epochs * math.ceil(len(train_images) / batch_size)
        scheduler = OneCycleLR(optim, lr, n_steps, pct_start=warmup, cycle_momentum=False)
    trainer = PyTorchTrainer(model, optim, nn.MSELoss())
    with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16, cache_enabled=False):
        history = trainer.fit(
            train_images,
            train_images,
            test_images,
            test_images,
            epochs=epochs,
            eval_every=epochs,
            batch_size=batch_size,
            scheduler=scheduler,
            seed=seed,
        )
    raise_if_interrupted(history)
    return model, history


def raise_if_interrupted(history):
    """Raise `KeyboardInterrupt` if Ctrl-C ended a training, so that nothing is stored of it."""
    if history.interrupted:
        raise KeyboardInterrupt("the training was interrupted, so nothing is stored")


def lesson_network(activation=nn.Tanh):
    """Make the lesson's network without activation at the bottleneck.

    ``activation`` replaces the tanh of the hidden layers; the tanh of the image stays.
    """
    model = Autoencoder()
    encoder, decoder = model.encoder, model.decoder
    for layer in (encoder.conv1, encoder.conv2, decoder.dense1, decoder.conv1):
        layer.activation = activation()
    encoder.dense1.activation = None
    return model


def residual_network(block):
    """Make a `ResidualAutoencoder` without hidden dense layers.

    ``block`` tells whether it keeps its residual blocks.
    """
    model = ResidualAutoencoder()
    if not block:
        model.encoder.block = nn.Identity()
        model.decoder.block = nn.Identity()
    model.encoder.dense1 = nn.Identity()
    model.encoder.dense2 = DenseLayer(1568, 28)
    model.decoder.dense1 = nn.Identity()
    model.decoder.dense2 = DenseLayer(28, 1568)
    return model


def dense_network():
    """Make a dense autoencoder with 784-1000-500-250-28 neurons and back.

    The shape is that of G. Hinton and R. Salakhutdinov, "Reducing the dimensionality of data with
    neural networks", Science 313, 2006. PyTorch's own initial weights are too small for eight
    layers; these are those of K. He et al., "Delving deep into rectifiers", ICCV 2015.
    """
    encoder = nn.Sequential(
        nn.Flatten(),
        DenseLayer(784, 1000, activation=nn.GELU()),
        DenseLayer(1000, 500, activation=nn.GELU()),
        DenseLayer(500, 250, activation=nn.GELU()),
        DenseLayer(250, 28),
    )
    decoder = nn.Sequential(
        DenseLayer(28, 250, activation=nn.GELU()),
        DenseLayer(250, 500, activation=nn.GELU()),
        DenseLayer(500, 1000, activation=nn.GELU()),
        DenseLayer(1000, 784, activation=nn.Tanh()),
        nn.Unflatten(1, (1, 28, 28)),
    )
    for layer in [*encoder, *decoder]:
        if isinstance(layer, DenseLayer):
            nonlinearity = "relu" if isinstance(layer.activation, nn.GELU) else "linear"
            nn.init.kaiming_normal_(layer.linear.weight, nonlinearity=nonlinearity)
            nn.init.zeros_(layer.linear.bias)
    model = Autoencoder()
    model.encoder, model.decoder = encoder, decoder
    return model


def accumulate_changes(recipe, changes):
    """Return a recipe for each change, which holds this change and all earlier ones."""
    recipes = {}
    for name, change in changes.items():
        recipe = recipe | change
        recipes[name] = recipe
    return recipes


SGD = partial(torch.optim.SGD, momentum=0.9)
ADAMW = partial(torch.optim.AdamW, betas=(0.9, 0.95), fused=True)
LESSON = {"network": Autoencoder, "optimizer": SGD, "lr": 0.01, "batch_size": 60, "epochs": 1}
ABLATION = accumulate_changes(
    LESSON,
    {  # where a change called for another learning rate, that was tuned again
        "the lesson's recipe": {},
        "rate of 0.03": {"lr": 0.03},
        "AdamW": {"optimizer": ADAMW, "lr": 1e-3, "weight_decay": 0.0},
        "one-cycle rate": {"warmup": 0.3, "lr": 3e-3},
        "linear code": {"network": lesson_network},
        "GELU": {"network": partial(lesson_network, nn.GELU)},
        "patches": {"network": partial(residual_network, block=False)},
        "residual block": {"network": partial(residual_network, block=True)},
        "4 epochs": {"epochs": 4},
        "batch of 128": {"batch_size": 128, "lr": 7e-3},
        "weight decay": {"weight_decay": 0.1},
        "bfloat16": {"bfloat16": True},
        "49 epochs": {"epochs": 49},
        "hidden layer": {"network": ResidualAutoencoder},
        "iterative": {"network": IterativeAutoencoder, "epochs": 24},
    },
)
RESIDUAL = ABLATION["hidden layer"]
ITERATIVE = ABLATION["iterative"]
# Networks to compare with, trained like the residual one, for about as long, at their own rates.
OTHER_NETWORKS = {
    "the lesson's, linear code, GELU": RESIDUAL
    | {"network": partial(lesson_network, nn.GELU), "lr": 1e-2, "epochs": 7, "bfloat16": False},
    "dense": RESIDUAL | {"network": dense_network, "lr": 4e-3, "epochs": 45},
    "ten times the parameters": RESIDUAL
    | {
        "network": partial(ResidualAutoencoder, channels=64, neurons=512),
        "lr": 5e-3,
        "weight_decay": 0.3,
        "epochs": 14,
        "bfloat16": False,
    },
}
# A short training of a network that the caller adds: lesson 09's studies.
TWO_EPOCHS = {
    "optimizer": ADAMW,
    "lr": 5e-3,
    "weight_decay": 0.1,
    "warmup": 0.3,
    "batch_size": 64,
    "epochs": 2,
}
# The values tried, the chosen one among them. "steps" are those of latent optimization.
TUNED = {
    "rate of 0.03": {"lr": [0.01, 0.03, 0.1]},
    "AdamW": {"lr": [5e-4, 1e-3, 2e-3]},
    "one-cycle rate": {"lr": [2e-3, 3e-3, 5e-3]},
    "batch of 128": {"lr": [5e-3, 7e-3, 1e-2]},
    "weight decay": {"weight_decay": [0.03, 0.1, 0.3]},
    "the lesson's, linear code, GELU": {"epochs": [2], "lr": [5e-3, 7e-3, 1e-2]},
    "dense": {"epochs": [2], "lr": [2e-3, 4e-3, 8e-3]},
    "hidden layer": {"steps": [20], "lr": [0.01, 0.03, 0.1]},
    "iterative": {"steps": [20], "lr": [0.01, 0.03, 0.1]},
}
