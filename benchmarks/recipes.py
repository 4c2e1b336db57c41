"""Recipes, as options of `fit`: `ABLATION` leads from the source lesson's to the better one.

Numbers were chosen on validation images, the last 5,000 of MNIST's training set; `TUNED` says what
else was tried.
"""

import math
from functools import partial
from itertools import pairwise, starmap

import torch
from torch import nn
from torch.optim.lr_scheduler import OneCycleLR

from convae_lib import Autoencoder, DenseLayer, PyTorchTrainer, ResidualAutoencoder, SecondLook


def fit(train, test, seed, network, optimizer, lr, batch_size, epochs, **options):
    """Train on images (N, 1, 28, 28); with ``rise``, the rate rises in that share of the steps."""
    rise, bfloat16 = options.pop("rise", None), options.pop("bfloat16", False)
    torch.manual_seed(seed)
    model = network()
    optimizer, scheduler = optimizer(model.parameters(), lr=lr, **options), None
    if rise is not None:
        steps = epochs * math.ceil(len(train) / batch_size)
        scheduler = OneCycleLR(optimizer, lr, steps, pct_start=rise, cycle_momentum=False)
    with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16, cache_enabled=False):
        history = PyTorchTrainer(model, optimizer, nn.MSELoss()).fit(
            *(train, train, test, test, epochs, epochs, batch_size), scheduler=scheduler, seed=seed
        )
    if history.interrupted:  # a network trained in part is no result
        raise KeyboardInterrupt("nothing is stored")
    return model, history


def lesson_network(activation=nn.Tanh):
    """The lesson's network with a linear code and other activations; the image's own tanh stays."""
    model = Autoencoder()
    encoder, decoder = model.encoder, model.decoder
    for layer in (encoder.conv1, encoder.conv2, decoder.dense1, decoder.conv1):
        layer.activation = activation()
    encoder.dense1.activation = None
    return model


def residual_network(block):
    """`ResidualAutoencoder` without its hidden layers, and with or without its residual blocks."""
    model = ResidualAutoencoder()
    if not block:
        model.encoder.block = model.decoder.block = nn.Identity()
    model.encoder.dense1 = model.decoder.dense1 = nn.Identity()
    model.encoder.dense2, model.decoder.dense2 = DenseLayer(1568, 28), DenseLayer(28, 1568)
    return model


def dense_network():
    """784-1000-500-250-28 and back: the shape of Hinton and Salakhutdinov's network (2006).

    PyTorch's own initial weights are too small for eight layers; these are K. He's (2015).
    """
    sizes, layer = [784, 1000, 500, 250, 28], partial(DenseLayer, activation=nn.GELU())
    encoder = nn.Sequential(nn.Flatten(), *starmap(layer, pairwise(sizes)))
    decoder = nn.Sequential(*starmap(layer, pairwise(sizes[::-1])), nn.Unflatten(1, (1, 28, 28)))
    encoder[-1].activation, decoder[-2].activation = None, nn.Tanh()
    for dense in [*encoder[1:], *decoder[:-1]]:
        straight = dense.activation is None or dense is decoder[-2]
        nn.init.kaiming_normal_(dense.linear.weight, nonlinearity="linear" if straight else "relu")
        nn.init.zeros_(dense.linear.bias)
    model = Autoencoder()
    model.encoder, model.decoder = encoder, decoder
    return model


SGD = partial(torch.optim.SGD, momentum=0.9)
ADAMW = partial(torch.optim.AdamW, betas=(0.9, 0.95), fused=True)
LESSON = {"network": Autoencoder, "optimizer": SGD, "lr": 0.01, "batch_size": 60, "epochs": 1}
CHANGES = {  # each to the recipe before it; for some, the rate was chosen anew
    "the lesson's recipe": {},
    "rate of 0.03": {"lr": 0.03},
    "AdamW": {"optimizer": ADAMW, "lr": 1e-3, "weight_decay": 0.0},
    "one-cycle rate": {"rise": 0.3, "lr": 3e-3},
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
    "second look": {"network": SecondLook, "epochs": 24},
}
ABLATION, recipe = {}, LESSON
for name, change in CHANGES.items():
    ABLATION[name] = recipe = recipe | change
BETTER, SECOND_LOOK = ABLATION["hidden layer"], ABLATION["second look"]
RIVALS = {  # other networks, trained in the better one's way and time, at rates of their own
    "the lesson's, linear code, GELU": {
        "network": partial(lesson_network, nn.GELU), "lr": 1e-2, "epochs": 7, "bfloat16": False
    },
    "dense": {"network": dense_network, "lr": 4e-3, "epochs": 45},
    "ten times the parameters": {
        "network": partial(ResidualAutoencoder, width=64, neurons=512), "lr": 5e-3,
        "weight_decay": 0.3, "epochs": 14, "bfloat16": False,
    },
}  # fmt: skip
RIVALS = {name: BETTER | change for name, change in RIVALS.items()}
TUNED = {  # the chosen and its neighbours, for one seed; names of `bottleneck` are for its steps
    "rate of 0.03": {"lr": [0.01, 0.03, 0.1]},
    "AdamW": {"lr": [5e-4, 1e-3, 2e-3]},
    "one-cycle rate": {"lr": [2e-3, 3e-3, 5e-3]},
    "batch of 128": {"lr": [5e-3, 7e-3, 1e-2]},
    "weight decay": {"weight_decay": [0.03, 0.1, 0.3]},
    "the lesson's, linear code, GELU": {"epochs": [2], "lr": [5e-3, 7e-3, 1e-2]},
    "dense": {"epochs": [2], "lr": [2e-3, 4e-3, 8e-3]},
    "hidden layer": {"steps": [20], "lr": [0.01, 0.03, 0.1]},
    "second look": {"steps": [20], "lr": [0.01, 0.03, 0.1]},
}
