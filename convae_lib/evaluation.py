"""Measuring an autoencoder on images (N, C, H, W): reconstructions, errors, PCA as baseline."""

from typing import Any

import torch
from sklearn.decomposition import PCA
from torch import Tensor, nn

from ._checks import as_table, check_count, check_images
from ._utils import device_of, evaluating
from .models import LinearAutoencoder


def reconstruct(
    model: nn.Module, images: Tensor, *, batch_size: int = 250
) -> tuple[Tensor, Tensor]:
    """Return reconstructions (N, C, H, W) and codes (N, hidden_dim) of images, on the CPU.

    Batch by batch, in evaluation mode, without gradients. First used in lesson 00.
    """
    check_images(images, "images")
    check_count(batch_size, "batch_size")
    device, results = device_of(model), []
    for batch in images.split(min(int(batch_size), len(images))):
        with evaluating(model):
            output = model(batch.to(device))
        _check_output(output, batch)
        results.append([part.cpu().clone() for part in output])  # a view may hold far more
    reconstructions, codes = zip(*results, strict=True)
    return torch.cat(reconstructions), torch.cat(codes)


def reconstruction_error(images: Tensor, reconstructions: Tensor) -> Tensor:
    """Return the mean squared error (N,) of each image over its pixels.

    Both (N, C, H, W) on one scale; with pixels in [-1, 1] an error lies in [0, 4]. Its mean is the
    test loss that `PyTorchTrainer` prints for ``nn.MSELoss()``. First used in lesson 00.
    """
    check_images(images, "images")
    check_images(reconstructions, "reconstructions")
    if images.shape != reconstructions.shape:
        got = f"{tuple(images.shape)} and {tuple(reconstructions.shape)}; pass pairs"
        raise ValueError(f"images and reconstructions must have one shape, got {got}")
    return (images - reconstructions).square().mean(dim=(1, 2, 3))  # (N,)


def mean_error(model: nn.Module, images: Tensor) -> float:
    """Return a model's mean squared error on images (N, C, H, W), batch by batch. Lesson 00."""
    check_images(images, "images")
    batches = images.split(250)
    errors = [reconstruction_error(batch.cpu(), reconstruct(model, batch)[0]) for batch in batches]
    return torch.cat(errors).double().mean().item()


def pca_baseline(train_images: Tensor, code_size: int = 28) -> LinearAutoencoder:
    """Fit PCA, the best linear autoencoder, and return it as a model, on the CPU.

    Fitted on images (N, C, H, W) by scikit-learn; ``code_size`` is at most C · H · W, and below N.
    No linear autoencoder has a smaller squared error on its training images (P. Baldi and
    K. Hornik, "Neural networks and principal component analysis", Neural Networks 2, 1989). Lesson
    00 shows why this is the baseline.
    """
    check_images(train_images, "train_images")
    check_count(code_size, "code_size")
    pixels = as_table(train_images.flatten(start_dim=1), "train_images")  # (N, C * H * W)
    if code_size > (most := min(len(pixels) - 1, pixels.shape[1])):
        got = f"{code_size}; there must be more images, and as many pixels"
        raise ValueError(f"code_size must be at most {most} here, got {got}")
    solver = "covariance_eigh" if pixels.shape[1] <= len(pixels) else "full"  # both are exact
    pca = PCA(code_size, svd_solver=solver).fit(pixels)
    mean = pca.mean_.reshape(train_images.shape[1:])
    components, mean = (torch.from_numpy(x).to(train_images.dtype) for x in (pca.components_, mean))
    return LinearAutoencoder(components, mean)


def _check_output(output: Any, images: Tensor) -> None:
    pair = output if isinstance(output, tuple | list) else [output]
    shapes = [tuple(part.shape) if isinstance(part, Tensor) else type(part) for part in pair]
    if len(pair) != 2 or shapes[0] != tuple(images.shape) or shapes[1][:1] != (len(images),):
        wanted = f"(reconstruction, code) for images {tuple(images.shape)}, alike and row by row"
        raise ValueError(f"model must return {wanted}, got {shapes}; let forward return both")
