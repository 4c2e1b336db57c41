"""Codes to touch: pages inside a notebook, or on the site, that need no server."""

from typing import Any

import numpy as np
import torch
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors
from torch import Tensor, nn

from ._checks import Array, as_labels, as_table, check_count, check_images
from ._page import Interactive, as_data, packed, page, picture, rounded, sprite
from ._utils import device_of, evaluating
from .models import Decoder, ResidualDecoder
from .plots import plot_embedding, show_reconstructions


def digit_map(
    points: Array,
    images: Tensor,
    reconstructions: Tensor,
    codes: Array,
    labels: Array,
    *,
    neighbors: int = 6,
) -> Interactive:
    """Show a map (N, 2) to be explored: point at a code to see what it stands for.

    That is its image and its reconstruction, (N, C, H, W) both, and its nearest ``neighbors`` in
    the codes (N, features), marked wherever they lie on the map: what t-SNE tore apart. The first
    to be shown is the one with the farthest. Colours as in `plot_embedding`; at most 10,000 points
    and 200 labels. First used in lesson 06.
    """
    table = as_table(codes, "codes")
    drawn = as_table(points, "points", rows=len(table))
    if drawn.shape[1] != 2:
        raise ValueError(f"points must be (N, 2), got {drawn.shape}; try tsne_embedding(...)")
    check_count(neighbors, "neighbors")
    _check_pictures(images, "images", len(table), 10_000)
    _check_pictures(reconstructions, "reconstructions", len(table), 10_000)
    if images.shape != reconstructions.shape:
        got = f"{tuple(images.shape)} and {tuple(reconstructions.shape)}; pass pairs"
        raise ValueError(f"reconstructions must have the shape of images, got {got}")
    if neighbors >= len(table):
        raise ValueError(f"neighbors must be below {len(table)}, got {neighbors}; pass fewer")
    names, classes = _classes(labels, len(table))

    near = _nearest(table, neighbors)[1]  # (N, neighbors)
    figure = Figure(figsize=(6, 6), layout="constrained")
    ax = plot_embedding(drawn, labels, ax=figure.subplots())
    low, reach = drawn.min(axis=0), np.ptp(drawn, axis=0).max() or 1.0
    spread = (drawn - low - np.ptp(drawn, axis=0) / 2) / reach  # the longer side from -0.5 to 0.5

    def place(xy: Any) -> NDArray[np.float64]:
        """On the page, from 0 to 1 and down, with a margin."""
        middle = low + np.ptp(drawn, axis=0) / 2
        return np.asarray(0.5 + 0.94 * (np.asarray(xy) - middle) / reach * [1, -1], np.float64)

    apart = np.linalg.norm(spread[near] - spread[:, None], axis=2)  # (N, neighbors)
    first = int(np.median(apart, axis=1).argmax())
    for other in near[first]:
        ax.plot(*drawn[[first, other]].T, color="black", linewidth=0.8, marker="o", mfc="none")
    ax.set_title("A point, and its nearest in the code", fontsize="medium")
    colors: NDArray[Any] = ax.collections[0].get_facecolors()  # type: ignore[attr-defined]
    order = [int(np.flatnonzero(classes == c)[0]) for c in range(len(names))]
    data = {
        "points": packed((place(drawn).clip(0, 1) * 65535).round(), np.uint16),
        "neighbors": packed(near, np.uint16),
        "classes": packed(classes, np.uint8),
        "names": names,
        "colors": [to_hex(colors[row][:3]) for row in order],
        "places": [
            [names.index(text.get_text()), *rounded(1000 * place(text.get_position()), 1)]
            for text in ax.texts
        ],
        "first": first,
        "images": sprite(images),
        "reconstructions": sprite(reconstructions),
    }
    alt = f"A map of {len(table)} codes, one marked, with lines to its nearest in the code"
    return page("digitMap", "map", data, picture(figure), alt)


def code_sliders(
    model: nn.Module, codes: Array, images: Tensor, labels: Array, *, axes: int = 8
) -> Interactive:
    """Let a decoder draw what sliders ask for, in the page itself.

    ``model`` has a ``decoder`` of the library's. The sliders start from the code of an image, and
    move along the first principal ``axes`` of the codes (N, hidden_dim), or along single numbers.
    Beside stands that of the images (N, C, H, W), labelled (N,), whose code is nearest. First used
    in lesson 05.
    """
    decoder = getattr(model, "decoder", None)
    if not isinstance(decoder, Decoder | ResidualDecoder):
        got = f"{type(model).__name__}; pass an Autoencoder or a residual or variational one"
        raise TypeError(f"model must have a decoder of convae_lib, got {got}")
    table, size = as_table(codes, "codes"), decoder.dense1.linear.in_features
    if table.shape[1] != size or len(table) < 2:
        got = f"{table.shape}; pass two or more of this model's"
        raise ValueError(f"codes must have shape (N, {size}), got {got}")
    check_count(axes, "axes")
    _check_pictures(images, "images", len(table), 10_000)
    if tuple(images.shape[1:]) != decoder.image_shape:
        got = f"{tuple(images.shape)}; pass those that the codes are of"
        raise ValueError(f"images must have shape (N, *{decoder.image_shape}), got {got}")
    names, classes = _classes(labels, len(table))

    pca = PCA(min(axes, size, len(table)), svd_solver="full").fit(table)
    mean, deviations = table.mean(axis=0), table.std(axis=0)
    spreads = np.sqrt(pca.explained_variance_)
    found = zip(pca.components_, spreads, pca.explained_variance_ratio_, strict=True)
    directions = [
        {"vector": rounded(vector), "sd": rounded(sd), "share": rounded(share, 3)}
        for vector, sd, share in found
    ]
    data = {
        "decoder": as_data(decoder),
        "codes": packed(table, np.float16),
        "mean": rounded(mean),
        "sd": rounded(deviations),
        "axes": directions,
        "usual": rounded(np.median(_nearest(table, 1)[0])),
        "classes": packed(classes, np.uint8),
        "names": names,
        "images": sprite(images),
    }

    steps, rows = np.linspace(-3, 3, 7), {}
    for number, (axis, sd) in enumerate(zip(pca.components_[:3], spreads, strict=False), start=1):
        moved = table[0] + (steps * sd - (table[0] - mean) @ axis)[:, None] * axis
        with evaluating(decoder):
            inputs = torch.from_numpy(moved).to(decoder.dense1.linear.weight)
            rows[f"axis {number}"] = decoder(inputs.to(device_of(decoder))).cpu().float()
    figure = Figure(figsize=(8, len(rows) + 0.4), layout="constrained")
    captions = [f"{step:+.0f} sd" for step in steps]
    show_reconstructions(rows, captions=captions, ax=figure.subplots())
    alt = "What the decoder draws when a code moves along its first principal axes"
    return page("codeSliders", "sliders", data, picture(figure), alt)


def _classes(labels: Array, count: int) -> tuple[list[str], NDArray[Any]]:
    """The names of all classes, and each row's number among them."""
    classes, numbers = np.unique(as_labels(labels, "labels", rows=count), return_inverse=True)
    if len(classes) > 200:
        got = f"{len(classes)}; leave some out"
        raise ValueError(f"labels must name at most 200 classes, got {got}")
    return [str(name) for name in classes], numbers


def _check_pictures(images: Tensor, name: str, count: int, most: int) -> None:
    check_images(images, name)
    if len(images) != count or count > most or images.shape[1] not in (1, 3):
        wanted = f"({count}, C, H, W), at most {most:,} grey or RGB pictures, one for each code"
        raise ValueError(f"{name} must have shape {wanted}, got {tuple(images.shape)}")


def _nearest(table: NDArray[Any], count: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Distances and rows (N, count) of the nearest others of each row."""
    distances, rows = NearestNeighbors(n_neighbors=count).fit(table).kneighbors()
    return distances, rows
