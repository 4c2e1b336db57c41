"""A decoder that runs in the page: sliders move a latent vector."""

from itertools import chain
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor, nn

from .._checks import Array, as_table, check_count
from .._utils import evaluating
from ..models import Decoder, LinearDecoder, ResidualDecoder
from ..plots import show_reconstructions
from ._inputs import as_classes, check_pictures, nearest_neighbors
from .html import Interactive, build_page, image_sheet, pack, pack_floats, read_script, rounded
from .network import as_data

AnyDecoder = Decoder | ResidualDecoder | LinearDecoder
TOLERANCE = 0.01  # for rounding latent variables, in standard deviations
STILL_AXES = 3  # in the still picture


def code_sliders(
    model: nn.Module, codes: Array, images: Tensor, labels: Array, *, n_axes: int = 8
) -> Interactive:
    """Let a decoder run in the page, on a latent vector that sliders move.

    The sliders start from the latent vector of an image. They move it along the principal axes of
    all latent vectors, or change single latent variables. The page shows the decoded image next
    to the image whose latent vector is nearest.

    Parameters
    ----------
    model : nn.Module
        A model of the library: any whose ``decoder`` is a `Decoder`, a `ResidualDecoder` or a
        `LinearDecoder`. It is not changed.
    codes : array_like
        Latent vectors (N, hidden_dim), with N from 2 to 10,000.
    images : Tensor
        The images (N, C, H, W) that they encode, grayscale or RGB, with pixels in [-1, 1].
    labels : array_like
        Labels (N,), with at most 200 different values.
    n_axes : int
        Number of principal axes with a slider. There are never more than N or hidden_dim.

    Returns
    -------
    Interactive
        The sliders. A notebook displays them.

    Raises
    ------
    TypeError
        If the decoder, or a layer of it, is of a kind that the page cannot run.
    ValueError
        If shapes do not match, a number is not finite, or there are too many images or labels.

    Notes
    -----
    First used in lesson 05.

    Examples
    --------
    >>> import torch
    >>> from convae_lib import Autoencoder
    >>> model, images = Autoencoder(hidden_dim=4), torch.rand(8, 1, 28, 28)
    >>> _, codes = model(images)
    >>> code_sliders(model, codes, images, labels=[0, 1, 2, 3, 4, 5, 6, 7])
    Interactive()
    """
    from sklearn.decomposition import PCA  # takes a second, which others need not wait

    decoder = getattr(model, "decoder", None)
    if not isinstance(decoder, AnyDecoder):
        raise TypeError(
            "model must have a decoder of class Decoder, ResidualDecoder or LinearDecoder, "
            f"got a model of class {type(model).__name__}; pass an autoencoder of convae_lib"
        )
    hidden_dim, image_shape = _sizes(decoder)
    latents = as_table(codes, "codes")
    if latents.shape[1] != hidden_dim or len(latents) < 2:
        raise ValueError(
            f"codes must have shape (N, {hidden_dim}) with N at least 2, got {latents.shape}; "
            "pass latent vectors of this model"
        )
    if (latents == latents[0]).all():
        raise ValueError("codes must differ from each other, got equal ones; pass other images")
    check_count(n_axes, "n_axes")
    check_pictures(images, "images", len(latents))
    if tuple(images.shape[1:]) != image_shape:
        raise ValueError(
            f"images must have shape (N, {', '.join(map(str, image_shape))}), "
            f"got {tuple(images.shape)}; pass the images that the codes encode"
        )
    names, classes = as_classes(labels, len(latents))

    pca = PCA(min(n_axes, hidden_dim, len(latents)), svd_solver="full")
    pca.fit(latents.astype(np.float64))
    axes = [
        {"vector": rounded(vector), "sd": rounded(np.sqrt(variance)), "share": rounded(ratio, 3)}
        for vector, variance, ratio in zip(
            pca.components_, pca.explained_variance_, pca.explained_variance_ratio_, strict=True
        )
    ]
    standard_deviations = latents.std(axis=0, dtype=np.float64)  # (hidden_dim,)
    _, neighbor_distances = nearest_neighbors(latents, 1)
    data = {
        "decoder": as_data(decoder),
        "codes": pack_floats(latents, TOLERANCE * standard_deviations),
        "mean": rounded(pca.mean_, digits=9),
        "sd": rounded(standard_deviations),
        "axes": axes,
        "usualDistance": rounded(np.median(neighbor_distances)),
        "classes": pack(classes, "uint8"),
        "names": names,
        "images": image_sheet(images),
    }
    figure = _still_picture(decoder, latents[0], pca)
    alt = "Decoded images: a latent vector moves along the first principal axes, one in each row"
    scripts = [read_script("network"), read_script("sliders")]
    return build_page("codeSliders", scripts, data, figure, alt)


def _sizes(decoder: AnyDecoder) -> tuple[int, tuple[int, ...]]:
    """Return the latent dimension and the shape of an image."""
    if isinstance(decoder, LinearDecoder):
        return len(decoder.components), tuple(decoder.mean.shape)
    return decoder.dense1.linear.in_features, decoder.image_shape


def _still_picture(decoder: AnyDecoder, latent: NDArray[Any], pca: Any) -> Figure:
    """Draw what the decoder makes of a latent vector that moves along the first axes."""
    rows = {}
    for number, axis in enumerate(pca.components_[:STILL_AXES]):
        positions = np.linspace(-3, 3, 7) * np.sqrt(pca.explained_variance_[number])  # (7,)
        on_the_mean = latent - ((latent - pca.mean_) @ axis) * axis  # (hidden_dim,)
        rows[f"axis {number + 1}"] = _decode(decoder, on_the_mean + positions[:, None] * axis)
    captions = ["−3 SD", "−2 SD", "−1 SD", "mean", "+1 SD", "+2 SD", "+3 SD"]
    figure = Figure(figsize=(8, len(rows) + 0.4), layout="constrained")
    show_reconstructions(rows, captions=captions, ax=figure.subplots())
    return figure


def _decode(decoder: nn.Module, latents: NDArray[Any]) -> Tensor:
    """Return the decoded images on the CPU, in single precision."""
    weight = next(chain(decoder.parameters(), decoder.buffers()))
    with evaluating(decoder):
        images: Tensor = decoder(torch.from_numpy(latents).to(weight))
    return images.cpu().float()
