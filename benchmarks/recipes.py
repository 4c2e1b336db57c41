"""Recipes, as options of `fit`: `ABLATION` leads from the source lesson's to the better one.

Every number in it was chosen on validation images, the last 5,000 of MNIST's training set.
"""

import math
from functools import partial
from itertools import pairwise, starmap

import torch
from torch import nn
from torch.optim.lr_scheduler import OneCycleLR

from convae_lib import Autoencoder, DenseLayer, PyTorchTrainer, ResidualAutoencoder


def fit(train, test, seed, network, optimizer, lr, batch_size, epochs, rise=None, **options):
    """Train on images (N, 1, 28, 28); with ``rise``, the rate rises in that share of the steps."""
    torch.manual_seed(seed)
    model = network()
    optimizer, scheduler = optimizer(model.parameters(), lr=lr, **options), None
    if rise is not None:
        steps = epochs * math.ceil(len(train) / batch_size)
        scheduler = OneCycleLR(optimizer, lr, steps, pct_start=rise, cycle_momentum=False)
    history = PyTorchTrainer(model, optimizer, nn.MSELoss()).fit(
        *(train, train, test, test, epochs, epochs, batch_size), scheduler=scheduler, seed=seed
    )
    if history.interrupted:  # a network trained in part is no result
        raise KeyboardInterrupt("nothing is stored")
    return model, history


def lesson_network(activation=nn.Tanh, code_activation=None):
    """The lesson's network with other activations; the image's own tanh stays."""
    model = Autoencoder()
    encoder, decoder = model.encoder, model.decoder
    for layer in (encoder.conv1, encoder.conv2, decoder.dense1, decoder.conv1):
        layer.activation = activation()
    encoder.dense1.activation = code_activation
    return model


def residual_network(width, hidden_layer):
    """`ResidualAutoencoder` without its residual blocks, with or without its hidden layers."""
    model = ResidualAutoencoder(width=width)
    model.encoder.block = model.decoder.block = nn.Identity()
    if not hidden_layer:
        model.encoder.dense1 = model.decoder.dense1 = nn.Identity()
        model.encoder.dense2 = DenseLayer(width * 7 * 7, 28)
        model.decoder.dense2 = DenseLayer(28, width * 7 * 7)
    return model


def dense_network():
    """784-1000-500-250-28 and back: the shape of Hinton and Salakhutdinov's network (2006)."""
    sizes, layer = [784, 1000, 500, 250, 28], partial(DenseLayer, activation=nn.GELU())
    encoder = nn.Sequential(nn.Flatten(), *starmap(layer, pairwise(sizes)))
    decoder = nn.Sequential(*starmap(layer, pairwise(sizes[::-1])), nn.Unflatten(1, (1, 28, 28)))
    encoder[-1].activation, decoder[-2].activation = None, nn.Tanh()
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
    "stride 4": {"network": partial(residual_network, 16, hidden_layer=False)},
    "64 channels": {"network": partial(residual_network, 64, hidden_layer=False)},
    "hidden layer": {"network": partial(residual_network, 64, hidden_layer=True)},
    "residual block": {"network": ResidualAutoencoder},
    "4 epochs": {"epochs": 4},
    "batch of 128": {"batch_size": 128, "lr": 5e-3},
    "weight decay": {"weight_decay": 0.3},
    "14 epochs": {"epochs": 14},
}
ABLATION, recipe = {}, LESSON
for name, change in CHANGES.items():
    ABLATION[name] = recipe = recipe | change
BETTER = ABLATION["14 epochs"]
RIVALS = {  # other networks, trained in the better one's way, in less time
    "the lesson's network, linear code, 4 epochs": {"network": lesson_network, "epochs": 4},
    "dense network, 14 epochs": {"network": dense_network, "lr": 3e-3, "weight_decay": 0.0},
}
RIVALS = {name: BETTER | change for name, change in RIVALS.items()}
