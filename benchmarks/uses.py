"""What an autoencoder is good for: noise taken away, patches filled in, strange images found."""

import math
from functools import cache, partial

import numpy as np
import torch
from recipes import ADAMW, fit
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from torch import nn

from convae_lib import (
    ConvLayer,
    ResidualAutoencoder,
    ResidualBlock,
    load_pretrained,
    pca_baseline,
    reconstruct,
    reconstruction_error,
)

NOISES = (0.25, 0.5, 1.0, 2.0)  # standard deviations; pixels run from -1 to 1
HIDDEN = (12, 24, 36)  # patches of the 49
RECIPE = {"optimizer": ADAMW, "lr": 5e-3, "weight_decay": 0.1, "rise": 0.3}
RECIPE |= {"batch_size": 64, "epochs": 2}
GO_ON = {"network": partial(load_pretrained, "better"), "lr": 2e-3, "epochs": 1}


class Spoiled(nn.Module):
    """A model whose images are spoiled anew at every training step; in evaluation they are not."""

    def __init__(self, model, spoil):
        super().__init__()
        self.model, self.spoil = model, spoil

    def forward(self, x):
        return self.model(self.spoil(x) if self.training else x)


class NoBottleneck(nn.Module):
    """Patches and two residual blocks find what to amend: 49 · 32 numbers in place of 28."""

    def __init__(self, width=32):
        super().__init__()
        self.patches = nn.Conv2d(1, width, 4, stride=4)
        self.blocks = nn.Sequential(ResidualBlock(width), ResidualBlock(width), nn.GELU())
        self.amend = nn.Sequential(ConvLayer(width, 16, 3), nn.PixelShuffle(4))

    def forward(self, x):
        numbers = self.blocks(self.patches(x))  # (N, width, 7, 7)
        return x - self.amend(numbers), numbers.flatten(start_dim=1)


def add_noise(images, strength, generator=None):
    return images + strength * torch.randn(images.shape, generator=generator)


def add_any_noise(images):
    """Every image gets noise of another strength, drawn from `NOISES`."""
    return add_noise(images, torch.tensor(NOISES)[torch.randint(4, (len(images), 1, 1, 1))])


def visible(images, count, generator=None):
    """A mask, (N, 1, H, W), that hides ``count`` patches of 4 × 4 pixels of every image."""
    many, _, height, width = images.shape
    order = torch.rand(many, height * width // 16, generator=generator).argsort(dim=1)
    kept = (order >= count).reshape(many, 1, height // 4, width // 4)
    return kept.repeat_interleave(4, dim=2).repeat_interleave(4, dim=3)


def hide(images, count, generator=None):
    return images * visible(images, count, generator)  # grey, 0, where nothing is seen


LEARNED = {  # how images were spoiled; "better" goes on from its weights, others start anew
    "clean images": (lambda images: images, GO_ON | {"epochs": 0}),
    **{f"noise {s:g}": (partial(add_noise, strength=s), GO_ON) for s in NOISES},
    "mixed noise": (add_any_noise, GO_ON),
    "mixed noise, no bottleneck": (add_any_noise, {"network": NoBottleneck}),
    "24 patches hidden": (partial(hide, count=24), GO_ON),
}


def psnr(images, restored):
    """Decibels of the mean error; the range of the pixels is 2."""
    return 10 * math.log10(4 / (images - restored.clamp(-1, 1)).square().mean().item())


def learner(images, spoil, options, seed):
    recipe = RECIPE | options
    network = recipe.pop("network")
    if recipe["epochs"] == 0:
        return network()
    recipe["network"] = lambda: Spoiled(network(), spoil)
    return fit(images.train, images.validation, seed, **recipe)[0]


def denoising(images, learned_from, seed):
    """PSNR in dB on the first 1,000 test images, of networks that learned from images spoiled in
    one way, asked about others. Where patches are hidden, it is that of the hidden pixels."""
    model = learner(images, *LEARNED[learned_from], seed)
    clean = images.test[:1000]
    found = {"clean": psnr(clean, reconstruct(model, clean)[0])}
    for strength in NOISES:
        noisy = add_noise(clean, strength, torch.Generator().manual_seed(seed))
        found[f"noise {strength:g}"] = psnr(clean, reconstruct(model, noisy)[0])
    for count in HIDDEN:
        mask = visible(clean, count, torch.Generator().manual_seed(seed))
        filled = reconstruct(model, clean * mask)[0]
        found[f"{count} hidden"] = psnr(clean[~mask], filled[~mask])
    return found


def stroke_length(images):
    """How long the strokes of every image are, (N,), in pixels: half the length of their edges."""
    white = nn.functional.pad((images + 1) / 2, (1, 1, 1, 1))  # (N, C, H + 2, W + 2), 0 or 1
    down, right = white.diff(dim=2)[..., :-1], white.diff(dim=3)[..., :-1, :]
    return torch.hypot(down, right).sum(dim=(1, 2, 3)) / 2


def by_length(score, normal):
    """A score over what a power of the stroke length, fitted to normal images, leads to expect."""
    lengths, scores = (x.log().numpy() for x in (stroke_length(normal), score(normal)))
    slope, intercept = np.polyfit(lengths, scores, 1)
    return lambda images: score(images) / stroke_length(images) ** slope / math.exp(intercept)


@cache
def nearest(images):
    """Distances, (N, 10), from every test image to the nearest training image of each digit."""
    digits = [images.train[images.train_labels == digit].flatten(1) for digit in range(10)]
    parts = images.test.flatten(1).split(500)
    return torch.cat(
        [torch.stack([torch.cdist(x, y).amin(dim=1) for y in digits], dim=1) for x in parts]
    )


def anomalies(images, digit, seed):
    """AUROC on all test images of one digit against the other nine, for scores fitted to training
    images of those nine: the larger the error, or the distance, the stranger the image."""
    train = images.train[images.train_labels != digit]
    normal = images.validation[images.validation_labels != digit]
    network, _ = fit(train, normal, seed, ResidualAutoencoder, **RECIPE)

    def error_of(model):
        return lambda x: reconstruction_error(x, reconstruct(model, x)[0])

    forest = IsolationForest(random_state=seed).fit(train.flatten(1).numpy())
    scores = {"network": error_of(network), "PCA-28": error_of(pca_baseline(train))}
    scores |= {f"{name}, by length": by_length(score, normal) for name, score in scores.items()}
    scores["nearest image"] = lambda x: nearest(images)[:, torch.arange(10) != digit].amin(dim=1)
    scores["isolation forest"] = lambda x: -forest.score_samples(x.flatten(1).numpy())
    scores["stroke length alone"] = stroke_length
    strange = images.test_labels == digit
    return {name: roc_auc_score(strange, score(images.test)) for name, score in scores.items()}
