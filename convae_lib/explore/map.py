"""A 2-D embedding to explore: its points show their images and their nearest neighbors."""

from typing import Any

import numpy as np
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from .._checks import Array, as_table, check_count
from ..plots import plot_embedding
from ._inputs import as_classes, check_pictures, nearest_neighbors
from .html import Interactive, build_page, image_sheet, pack, read_script, rounded

FILLED = 0.94  # the part of the map's width that its points fill
UINT16_MAX = 65535


def digit_map(
    embedding: Array,
    images: Tensor,
    reconstructions: Tensor,
    codes: Array,
    labels: Array,
    *,
    n_neighbors: int = 6,
) -> Interactive:
    """Show a 2-D embedding as a map whose points show what they stand for.

    Point at a latent vector to see its image, its reconstruction, and its nearest neighbors in
    the latent space, wherever they lie in the embedding. At first, the map shows a latent vector
    whose neighbors lie far away from it.

    Parameters
    ----------
    embedding : array_like
        Positions (N, 2), such as those of `tsne_embedding`. N is at most 10,000.
    images : Tensor
        Grayscale or RGB images (N, C, H, W) with pixels in [-1, 1].
    reconstructions : Tensor
        Reconstructions of the images, of the same shape.
    codes : array_like
        Latent vectors (N, hidden_dim) of the images. Their Euclidean distances define the
        neighbors.
    labels : array_like
        Labels (N,), with at most 200 different values. Colors are as in `plot_embedding`.
    n_neighbors : int
        Number of nearest neighbors to show, at least 1 and less than N.

    Returns
    -------
    Interactive
        The map. A notebook displays it.

    Raises
    ------
    ValueError, TypeError
        If shapes do not match, a number is not finite, or there are too many images or labels.

    Notes
    -----
    First used in lesson 06.

    Examples
    --------
    >>> import torch
    >>> images, codes = torch.rand(8, 1, 28, 28), torch.randn(8, 28)
    >>> labels = [0, 1, 2, 3, 4, 5, 6, 7]
    >>> digit_map(codes[:, :2], images, images, codes, labels, n_neighbors=3)
    Interactive()
    """
    latents = as_table(codes, "codes")
    positions = as_table(embedding, "embedding", rows=len(latents))
    if positions.shape[1] != 2:
        raise ValueError(
            f"embedding must have shape (N, 2), got {positions.shape}; use tsne_embedding(codes)"
        )
    check_count(n_neighbors, "n_neighbors")
    if n_neighbors >= len(latents):
        raise ValueError(
            f"n_neighbors must be less than the number of codes, {len(latents)}, "
            f"got {n_neighbors}; pass a smaller number"
        )
    check_pictures(images, "images", len(latents))
    check_pictures(reconstructions, "reconstructions", len(latents))
    if images.shape != reconstructions.shape:
        raise ValueError(
            f"reconstructions must have the shape of images, {tuple(images.shape)}, "
            f"got {tuple(reconstructions.shape)}; pass one for each image"
        )
    names, classes = as_classes(labels, len(latents))

    neighbors, _ = nearest_neighbors(latents, n_neighbors)  # (N, n_neighbors)
    first = _farthest_from_neighbors(positions, neighbors)
    figure = Figure(figsize=(6, 6), layout="constrained")
    ax = plot_embedding(positions, labels, ax=figure.subplots())
    for neighbor in neighbors[first]:
        line = positions[[first, neighbor]]  # (2, 2)
        ax.plot(line[:, 0], line[:, 1], color="black", linewidth=0.8, marker="o", mfc="none")
    ax.set_title("A latent vector and its nearest neighbors in the latent space", fontsize="medium")
    for text in ax.texts:
        text.set_parse_math(False)  # a dollar sign in a label is no formula

    point_colors = np.asarray(ax.collections[0].get_facecolor())  # (N, 4): RGB and opacity
    _, first_rows = np.unique(classes, return_index=True)
    class_colors = [to_hex(tuple(color)) for color in point_colors[first_rows, :3].tolist()]
    label_positions = [
        [names.index(text.get_text()), *rounded(_on_the_page(text.get_position(), positions), 4)]
        for text in ax.texts
    ]
    data = {
        "points": pack((_on_the_page(positions, positions) * UINT16_MAX).round(), "uint16"),
        "neighbors": pack(neighbors, "uint16"),
        "classes": pack(classes, "uint8"),
        "names": names,
        "colors": class_colors,
        "labelPositions": label_positions,
        "first": first,
        "images": image_sheet(images),
        "reconstructions": image_sheet(reconstructions),
    }
    alt = (
        f"Embedding of {len(latents)} latent vectors; "
        "lines connect one of them with its nearest neighbors in the latent space"
    )
    return build_page("digitMap", [read_script("map")], data, figure, alt)


def _width(positions: NDArray[Any]) -> float:
    """Return the longer side of the embedding, or 1 if all points coincide."""
    return float(np.ptp(positions, axis=0).max()) or 1.0


def _on_the_page(xy: Any, positions: NDArray[Any]) -> NDArray[np.float64]:
    """Return where on the page points of the embedding lie: from 0 to 1, to the right and down."""
    low, high = positions.min(axis=0), positions.max(axis=0)
    from_center = (np.asarray(xy) - (low + high) / 2) / _width(positions)
    fractions: NDArray[np.float64] = 0.5 + FILLED * from_center * [1, -1]
    return fractions.clip(0, 1)


def _farthest_from_neighbors(positions: NDArray[Any], neighbors: NDArray[Any]) -> int:
    """Return the row whose neighbors lie farthest away in the embedding, by their median."""
    differences = positions[neighbors] - positions[:, None]  # (N, n_neighbors, 2)
    distances = np.linalg.norm(differences, axis=2)  # (N, n_neighbors)
    return int(np.median(distances, axis=1).argmax())
