"""Evaluate an autoencoder on images (N, C, H, W): reconstructions, errors, and a PCA baseline."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from ._checks import as_table, check_count, check_images
from ._utils import device_of, evaluating
from .models import LinearAutoencoder

BATCH_SIZE = 250  # large enough to be fast, small enough for little memory


def reconstruct(
    model: nn.Module, images: Tensor, *, batch_size: int = BATCH_SIZE
) -> tuple[Tensor, Tensor]:
    """Compute the reconstructions and latent vectors of images, batch by batch.

    The model runs in evaluation mode, without gradients, on the device of its parameters.
    Afterwards it is back in the mode it was in.

    Parameters
    ----------
    model : nn.Module
        Autoencoder that returns ``(x_hat, z)``, the reconstructions and latent vectors of a batch.
    images : Tensor
        Images (N, C, H, W) of the floating-point type that the model takes.
    batch_size : int
        Number of images in a batch, at least 1. It changes memory and speed, not the results.

    Returns
    -------
    x_hat : Tensor
        Reconstructions (N, C, H, W), on the CPU.
    z : Tensor
        Latent vectors (N, hidden_dim), on the CPU.

    Raises
    ------
    TypeError
        If ``images`` is not a floating-point tensor, or ``batch_size`` is not an integer.
    ValueError
        If ``images`` is not (N, C, H, W), or the model returns something else than such a pair.

    Notes
    -----
    First used in lesson 00.

    Examples
    --------
    >>> from convae_lib import Autoencoder
    >>> x_hat, z = reconstruct(Autoencoder(28), torch.zeros(5, 1, 28, 28))
    >>> x_hat.shape, z.shape
    (torch.Size([5, 1, 28, 28]), torch.Size([5, 28]))
    """
    check_images(images, "images")
    check_count(batch_size, "batch_size")
    reconstructions, latents = [], []
    for _, x_hat, z in _run_batches(model, images, batch_size):
        reconstructions.append(x_hat.clone())  # a view would keep the whole tensor in memory
        latents.append(z.clone())
    return torch.cat(reconstructions), torch.cat(latents)


def reconstruction_error(images: Tensor, reconstructions: Tensor) -> Tensor:
    """Compute the mean squared error of each image over its pixels.

    The mean of these errors is the test loss that `PyTorchTrainer` prints for ``nn.MSELoss()``.

    Parameters
    ----------
    images, reconstructions : Tensor
        Images (N, C, H, W) and their reconstructions, of the same shape, on the same device and
        with pixels on the same scale.

    Returns
    -------
    Tensor
        Errors (N,). With pixels in [-1, 1], an error lies in [0, 4].

    Raises
    ------
    TypeError
        If one of the two is not a floating-point tensor.
    ValueError
        If their shapes differ, or are not (N, C, H, W).

    Notes
    -----
    First used in lesson 00.

    Examples
    --------
    >>> reconstruction_error(torch.ones(2, 1, 4, 4), torch.zeros(2, 1, 4, 4))
    tensor([1., 1.])
    """
    check_images(images, "images")
    check_images(reconstructions, "reconstructions")
    if images.shape != reconstructions.shape:
        got = f"{tuple(images.shape)} and {tuple(reconstructions.shape)}; pass pairs"
        raise ValueError(f"images and reconstructions must have one shape, got {got}")
    return (images - reconstructions).square().mean(dim=(1, 2, 3))  # (N,)


def mean_error(model: nn.Module, images: Tensor) -> float:
    """Compute the mean squared error of a model's reconstructions, over all images and pixels.

    Parameters
    ----------
    model : nn.Module
        Autoencoder that returns ``(x_hat, z)``; see `reconstruct`.
    images : Tensor
        Images (N, C, H, W) of the floating-point type that the model takes.

    Returns
    -------
    float
        The mean of `reconstruction_error`.

    Raises
    ------
    TypeError, ValueError
        As for `reconstruct`.

    Notes
    -----
    First used in lesson 00.

    Examples
    --------
    >>> images = torch.rand(100, 1, 8, 8)
    >>> mean_error(pca_baseline(images, hidden_dim=64), images) < 1e-6
    True
    """
    check_images(images, "images")
    errors = []
    for batch, x_hat, _ in _run_batches(model, images, BATCH_SIZE):
        errors.append(reconstruction_error(batch.detach().cpu(), x_hat))
    return torch.cat(errors).double().mean().item()


def pca_baseline(train_images: Tensor, hidden_dim: int = 28) -> LinearAutoencoder:
    """Fit PCA, the best linear autoencoder, to images.

    No linear autoencoder with the same latent dimension has a smaller squared error on the
    training images, so it is the baseline for every network with that latent dimension.

    Parameters
    ----------
    train_images : Tensor
        Images (N, C, H, W).
    hidden_dim : int
        Latent dimension: the number of principal components, at least 1, below N and at most
        C * H * W.

    Returns
    -------
    LinearAutoencoder
        PCA as a model, on the CPU, of the dtype of the images.

    Raises
    ------
    TypeError
        If ``train_images`` is not a floating-point tensor, or ``hidden_dim`` is not an integer.
    ValueError
        If ``train_images`` is not (N, C, H, W) or not finite, or ``hidden_dim`` is too large.

    Notes
    -----
    scikit-learn's ``PCA``, with an exact solver. The optimality is proved in P. Baldi and
    K. Hornik, "Neural networks and principal component analysis: learning from examples without
    local minima", Neural Networks 2, 1989. First used in lesson 00.

    Examples
    --------
    >>> model = pca_baseline(torch.rand(100, 1, 8, 8), hidden_dim=10)
    >>> x_hat, z = model(torch.rand(5, 1, 8, 8))
    >>> z.shape
    torch.Size([5, 10])
    """
    from sklearn.decomposition import PCA  # takes a second, which others need not wait

    check_images(train_images, "train_images")
    check_count(hidden_dim, "hidden_dim")
    pixels = as_table(train_images.flatten(start_dim=1), "train_images")  # (N, C * H * W)
    n_images, n_pixels = pixels.shape
    largest = min(n_images - 1, n_pixels)
    if hidden_dim > largest:
        got = f"{hidden_dim} for {n_images} images of {n_pixels} values; pass more images"
        raise ValueError(f"hidden_dim must be at most {largest} here, got {got}")
    solver = "covariance_eigh" if n_pixels <= n_images else "full"  # the faster of two exact ones
    pca = PCA(hidden_dim, svd_solver=solver).fit(pixels)
    components = torch.from_numpy(pca.components_).to(train_images.dtype)  # (hidden_dim, C * H * W)
    mean = torch.from_numpy(pca.mean_).to(train_images.dtype).reshape(train_images.shape[1:])
    return LinearAutoencoder(components, mean)


def _run_batches(
    model: nn.Module, images: Tensor, batch_size: int
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yield each batch with its reconstructions and latent vectors, these two on the CPU."""
    device = device_of(model)
    for batch in images.split(min(int(batch_size), len(images))):
        with evaluating(model):
            output = model(batch.to(device))
        _check_output(output, batch)
        x_hat, z = output
        yield batch, x_hat.cpu(), z.cpu()


def _check_output(output: Any, images: Tensor) -> None:
    """Raise unless a model's output is a pair: reconstructions, and one latent row per image."""
    results = output if isinstance(output, tuple | list) else [output]
    shapes = [tuple(x.shape) if isinstance(x, Tensor) else type(x).__name__ for x in results]
    is_pair = len(results) == 2 and all(isinstance(x, Tensor) for x in results)
    if not is_pair or shapes[0] != tuple(images.shape) or shapes[1][:1] != (len(images),):
        wanted = f"(reconstruction, code) for images {tuple(images.shape)}, alike and row by row"
        raise ValueError(f"model must return {wanted}, got {shapes}; let forward return both")
