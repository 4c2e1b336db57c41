"""Lesson 09: networks that were trained on corrupted images, to denoise and to inpaint."""

import math
from functools import partial

import torch
from recipes import TWO_EPOCHS, fit
from torch import nn

from convae_lib import ConvLayer, ResidualBlock, load_pretrained, reconstruct

NOISE_LEVELS = (0.25, 0.5, 1.0, 2.0)  # standard deviations; pixels lie in [-1, 1]
HIDDEN_PATCHES = (12, 24, 36)  # of the 49


class Corrupted(nn.Module):
    """A model whose input is corrupted, with new randomness at every training step.

    In evaluation mode the input stays as it is.
    """

    def __init__(self, model, corrupt):
        super().__init__()
        self.model = model
        self.corrupt = corrupt

    def forward(self, x):
        """Return what the model returns for the corrupted images (N, C, H, W)."""
        if self.training:
            x = self.corrupt(x)
        return self.model(x)


class NoBottleneck(nn.Module):
    """A denoiser with 49 × 32 features instead of 28 latent variables.

    It predicts a correction, which is subtracted from the image.
    """

    def __init__(self, channels=32):
        super().__init__()
        self.patchify = nn.Conv2d(1, channels, 4, stride=4)
        self.blocks = nn.Sequential(ResidualBlock(channels), ResidualBlock(channels), nn.GELU())
        self.correction = nn.Sequential(ConvLayer(channels, 16, 3), nn.PixelShuffle(4))

    def forward(self, x):
        """Return the corrected images (N, 1, H, W) and the features (N, channels * 49)."""
        features = self.blocks(self.patchify(x))  # (N, channels, 7, 7)
        return x - self.correction(features), features.flatten(start_dim=1)


def add_noise(images, strength, generator=None):
    """Return images (N, C, H, W) with Gaussian noise of a standard deviation."""
    return images + strength * torch.randn(images.shape, generator=generator)


def add_mixed_noise(images):
    """Return images with noise, whose strength is sampled from `NOISE_LEVELS` for each image."""
    choices = torch.randint(len(NOISE_LEVELS), (len(images), 1, 1, 1))
    return add_noise(images, torch.tensor(NOISE_LEVELS)[choices])


def visible(images, n_hidden, generator=None):
    """Return a mask (N, 1, H, W) that is False in ``n_hidden`` random patches of each image."""
    n_images, _, height, width = images.shape
    n_patches = height * width // 16
    order = torch.rand(n_images, n_patches, generator=generator).argsort(dim=1)
    mask = (order >= n_hidden).reshape(n_images, 1, height // 4, width // 4)
    return mask.repeat_interleave(4, dim=2).repeat_interleave(4, dim=3)


def hide(images, n_hidden, generator=None):
    """Return images (N, C, H, W) in which random patches are gray, that is, 0."""
    return images * visible(images, n_hidden, generator)


def psnr(images, restored):
    """Return the peak signal-to-noise ratio in decibels; the pixels have a range of 2."""
    error = (images - restored.clamp(-1, 1)).square().mean().item()
    return 10 * math.log10(4 / error)


CORRUPTIONS = {f"noise {level:g}": partial(add_noise, strength=level) for level in NOISE_LEVELS}
CORRUPTIONS["mixed noise"] = add_mixed_noise
CORRUPTIONS["mixed noise, no bottleneck"] = add_mixed_noise
CORRUPTIONS["24 patches hidden"] = partial(hide, n_hidden=24)
LEARNED_FROM = ("clean images", *CORRUPTIONS)


def train_denoiser(images, learned_from, seed):
    """Return a network that learned from images which were corrupted in one way.

    It is the shipped residual network after one more epoch, or a new network after two.
    """
    if learned_from == "clean images":
        return load_pretrained("residual")
    corrupt = CORRUPTIONS[learned_from]
    if learned_from == "mixed noise, no bottleneck":
        recipe = TWO_EPOCHS | {"network": lambda: Corrupted(NoBottleneck(), corrupt)}
    else:
        recipe = TWO_EPOCHS | {"lr": 2e-3, "epochs": 1}
        recipe["network"] = lambda: Corrupted(load_pretrained("residual"), corrupt)
    model, _ = fit(images.train, images.validation, seed, **recipe)
    return model


def measure_denoising(images, learned_from, seed):
    """Measure how well one network restores images that are corrupted in several ways.

    PSNR in dB on the first 1,000 test images. Each network was trained on images that were
    corrupted in one way (rows) and is tested on images that are corrupted in all ways (columns).
    Where patches are hidden, the PSNR is that of the hidden pixels.
    """
    model = train_denoiser(images, learned_from, seed)
    clean = images.test[:1000]
    scores = {"clean": psnr(clean, reconstruct(model, clean)[0])}
    for level in NOISE_LEVELS:
        noisy = add_noise(clean, level, torch.Generator().manual_seed(seed))
        scores[f"noise {level:g}"] = psnr(clean, reconstruct(model, noisy)[0])
    for n_hidden in HIDDEN_PATCHES:
        mask = visible(clean, n_hidden, torch.Generator().manual_seed(seed))
        filled, _ = reconstruct(model, clean * mask)
        scores[f"{n_hidden} hidden"] = psnr(clean[~mask], filled[~mask])
    return scores
