"""Figures of the course: each function draws on ``ax``, or on new axes, and returns the axes.

Images have pixels in [-1, 1] and are grayscale (1, H, W) or RGB (3, H, W).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import color_sequences
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullFormatter
from numpy.typing import NDArray
from torch import Tensor

from ._checks import Array, as_array, as_labels, as_table, check_images
from .training import History

DIGIT_COLORS = tuple(color_sequences["petroff10"][i] for i in (3, 8, 5, 4, 0, 9, 7, 2, 6, 1))
"""Ten colors, hexadecimal strings; ``DIGIT_COLORS[d]`` is the color of the digit ``d``.

They are Matplotlib's ``"petroff10"``, which readers with a color vision deficiency can tell apart
(M. A. Petroff, "Accessible color sequences for data visualization", arXiv:2107.02270). The order
gives digits whose clusters often touch, such as 4 and 9, colors that differ clearly.
"""


def display_image(ax: Axes | None, t: Array) -> Axes:
    """Display one image on the fixed scale of [-1, 1], without ticks.

    Parameters
    ----------
    ax : Axes or None
        Where to draw; None makes a new figure.
    t : Tensor or array
        Image (H, W), (1, H, W) or (3, H, W) of floating-point pixels in [-1, 1]. Further leading
        axes of length 1 are dropped, so a batch of one image is accepted.

    Returns
    -------
    Axes
        The axes with the image.

    Raises
    ------
    TypeError
        If the pixels are not floating-point numbers.
    ValueError
        If ``t`` is not one image.

    Notes
    -----
    First used in lesson 00.

    Examples
    --------
    >>> ax = display_image(None, np.zeros((28, 28)))
    >>> ax.images[0].get_clim()
    (-1.0, 1.0)
    """
    image = as_array(t)
    if image.dtype.kind != "f":
        raise TypeError(f"t must hold pixels in [-1, 1], got {image.dtype}; use scale_images(...)")
    while image.ndim > 3 and len(image) == 1:
        image = image[0]
    if image.ndim == 2:
        image = image[None]  # (1, H, W)
    if image.ndim != 3 or len(image) not in (1, 3):
        got = f"{tuple(np.shape(t))}; index the batch first, as in images[0]"
        raise ValueError(f"t must be one image, (H, W), (1, H, W) or (3, H, W), got {got}")
    ax = _axes_or_new(ax, figsize=(3, 3))
    ax.imshow(_to_imshow(image), cmap="gray", vmin=-1, vmax=1)
    ax.set_axis_off()
    return ax


def show_reconstructions(
    rows: Mapping[str, Tensor], *, captions: Sequence[str] | None = None, ax: Axes | None = None
) -> Axes:
    """Show rows of images below each other, for example originals above their reconstructions.

    All images are drawn on the fixed scale of [-1, 1].

    Parameters
    ----------
    rows : mapping of str to Tensor
        Images (N, C, H, W) by the name of their row, all of one shape; C is 1 or 3.
    captions : sequence of str, optional
        The captions of the N columns.
    ax : Axes, optional
        Where to draw; by default a new figure.

    Returns
    -------
    Axes
        The axes with all images.

    Raises
    ------
    TypeError
        If the images of a row are not a floating-point tensor.
    ValueError
        If ``rows`` is not a mapping or is empty, or shapes or the number of captions differ.

    Notes
    -----
    First used in lesson 00.

    Examples
    --------
    >>> import torch
    >>> images = torch.zeros(8, 1, 28, 28)
    >>> ax = show_reconstructions({"original": images, "reconstruction": images})
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['original', 'reconstruction']
    """
    if not isinstance(rows, Mapping) or not rows:
        raise ValueError(f'rows must be named images, {{"originals": images, …}}, got {rows!r:.40}')
    shape = np.shape(next(iter(rows.values())))
    for name, images in rows.items():
        check_images(images, f"rows[{name!r}]")
        if images.shape != shape or images.shape[1] not in (1, 3):
            got = f"{tuple(shape)} and {tuple(images.shape)} in {name!r}; show as many of each"
            raise ValueError(f"rows must have one shape (N, C, H, W), C being 1 or 3, got {got}")
    n_columns, channels, height, width = shape
    if captions is not None and len(captions) != n_columns:
        raise ValueError(f"captions must name {n_columns} columns, got {len(captions)}")

    grid = np.stack([as_array(images) for images in rows.values()])  # (rows, N, C, H, W)
    border = np.nan if channels == 1 else 1  # NaN is transparent in gray; white in RGB
    grid = np.pad(grid, [(0, 0), (0, 0), (0, 0), (1, 1), (1, 1)], constant_values=border)
    grid = grid.transpose(2, 0, 3, 1, 4)  # (C, rows, H + 2, N, W + 2)
    grid = grid.reshape(channels, len(rows) * (height + 2), n_columns * (width + 2))

    figsize = (0.9 * n_columns + 1, 0.9 * len(rows) * height / width + 0.5)
    ax = _axes_or_new(ax, figsize=figsize)
    ax.imshow(_to_imshow(grid), cmap="gray", vmin=-1, vmax=1)
    row_centers = (np.arange(len(rows)) + 0.5) * (height + 2) - 0.5
    column_centers = (np.arange(n_columns) + 0.5) * (width + 2) - 0.5
    ax.set_yticks(row_centers, list(rows))
    ax.set_xticks([] if captions is None else column_centers, captions)
    ax.xaxis.tick_top()
    ax.tick_params(length=0, labelsize="small")
    ax.spines[:].set_visible(False)
    return ax


def plot_history(
    history: History, *, baselines: Mapping[str, float] | None = None, ax: Axes | None = None
) -> Axes:
    """Plot the training loss of every batch and the test loss of every evaluation.

    The loss axis is logarithmic. If any loss or baseline is zero or negative, it is linear,
    because a logarithmic axis cannot show such values.

    Parameters
    ----------
    history : History
        What `PyTorchTrainer.fit` returns.
    baselines : mapping of str to float, optional
        Test losses of baselines by name, drawn as dashed lines.
    ax : Axes, optional
        Where to draw; by default a new figure.

    Returns
    -------
    Axes
        The axes with the curves.

    Raises
    ------
    TypeError
        If ``history`` is not a `History`, or ``baselines`` is not a mapping.

    Notes
    -----
    First used in lesson 04.

    Examples
    --------
    >>> rows = [{"steps": 2, "test_loss": 0.2}]
    >>> ax = plot_history(History(rows, batch_losses=[0.9, 0.4]), baselines={"PCA": 0.07})
    >>> ax.get_yscale()
    'log'
    """
    if not isinstance(history, History):
        got = f"{type(history).__name__}; pass what fit returns, or trainer.history"
        raise TypeError(f"history must be a History, got {got}")
    if baselines is None:
        baselines = {}
    if not isinstance(baselines, Mapping):
        raise TypeError(f'baselines must be named losses, {{"PCA": 0.07}}, got {baselines!r:.40}')
    ax = _axes_or_new(ax, figsize=(7, 4))
    batch_losses, evaluations = history.batch_losses, history.frame
    steps, test_losses = evaluations["steps"], evaluations["test_loss"]
    batches = range(1, len(batch_losses) + 1)
    ax.plot(batches, batch_losses, color="0.6", lw=0.8, label="training, each batch")
    ax.plot(steps, test_losses, "o-", color="C0", label="test")

    right_edge = ax.get_yaxis_transform()  # x = 1 is the right edge, y is a loss
    for name, loss in baselines.items():
        ax.axhline(loss, color="0.2", linestyle="--", linewidth=0.8)
        ax.text(1.01, loss, f"{name} {loss:.3f}", va="center", transform=right_edge)

    losses = np.array([*batch_losses, *test_losses, *baselines.values()], dtype=float)
    if not (losses <= 0).any():
        ax.set_yscale("log")
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.yaxis.set_minor_formatter(NullFormatter())
    ax.yaxis.set_major_formatter("{x:g}")
    ax.set(xlabel="batches", ylabel="loss")
    ax.legend(frameon=False)
    return ax


def plot_embedding(
    embedding: Array, labels: Array, *, names: bool = True, ax: Axes | None = None
) -> Axes:
    """Plot a two-dimensional embedding, colored by label.

    The axes have no ticks, because those of a t-SNE embedding have no meaning.

    Parameters
    ----------
    embedding : Tensor or array
        Points (N, 2).
    labels : Tensor or array
        Labels (N,), numbers or strings. If all are digits from 0 to 9, each has its color of
        `DIGIT_COLORS`. Up to ten other classes take these colors in order; more classes take
        colors of Matplotlib's ``"turbo"``.
    names : bool
        Whether to write each label near the median of its points. Labels that would overlap are
        moved apart.
    ax : Axes, optional
        Where to draw; by default a new figure.

    Returns
    -------
    Axes
        The axes with the points.

    Raises
    ------
    ValueError
        If ``embedding`` is not a finite table (N, 2), or ``labels`` does not hold one label for
        each point.

    Notes
    -----
    First used in lesson 06.

    Examples
    --------
    >>> ax = plot_embedding([[0, 0], [1, 1], [5, 2]], [3, 3, 7])
    >>> [text.get_text() for text in ax.texts]
    ['3', '7']
    """
    points = as_table(embedding, "embedding")
    if points.shape[1] != 2:
        raise ValueError(f"embedding must be (N, 2), got {points.shape}; try tsne_embedding(...)")
    labels = as_labels(labels, "labels", rows=len(points))
    classes, class_indices = np.unique(labels, return_inverse=True)  # (K,), (N,) in 0 … K - 1
    palette = _class_colors(classes)
    ax = _axes_or_new(ax, figsize=(7, 7))
    size = np.clip(16_000 / len(points), 4, 16)
    colors = palette[class_indices]
    ax.scatter(points[:, 0], points[:, 1], c=colors, s=size, linewidths=0, alpha=0.6)
    if names:
        medians = [np.median(points[labels == label], axis=0) for label in classes]
        places = _push_apart(np.array(medians), room=0.08 * np.ptp(points, axis=0).max())
        for label, color, (x, y) in zip(classes, palette, places, strict=True):
            shape = "circle" if len(str(label)) == 1 else "round"
            box = {"boxstyle": f"{shape},pad=0.2", "facecolor": "white", "edgecolor": color}
            ax.text(x, y, str(label), ha="center", va="center", bbox=box | {"linewidth": 2})
    ax.set(xticks=[], yticks=[], box_aspect=1, adjustable="datalim", aspect="equal")
    return ax


def _class_colors(classes: NDArray[Any]) -> NDArray[Any]:
    """Return one color for each of the sorted classes (K,)."""
    if np.isin(classes, np.arange(10)).all():
        colors = np.array(DIGIT_COLORS)[classes.astype(int)]
    elif len(classes) <= len(DIGIT_COLORS):
        colors = np.array(DIGIT_COLORS)[: len(classes)]
    else:
        colors = plt.get_cmap("turbo")(np.linspace(0, 1, len(classes)))
    return np.asarray(colors)


def _push_apart(places: NDArray[Any], room: float) -> NDArray[Any]:
    """Move places (K, 2) apart, so that two that are closer than ``room`` are about so far apart.

    Each of the two moves by half of what is missing, away from the other. Places that coincide
    stay where they are.
    """
    apart = places[:, None] - places  # (K, K, 2), from the second place to the first
    distances = np.linalg.norm(apart, axis=2).clip(1e-9)  # (K, K)
    missing = (room / distances - 1).clip(0)  # (K, K), as a fraction of the distance
    moves = (apart * missing[..., None] / 2).sum(axis=1)  # (K, 2)
    return np.asarray(places + moves)


def _to_imshow(image: NDArray[Any]) -> NDArray[Any]:
    """Turn (1, H, W) into (H, W), and (3, H, W) in [-1, 1] into (H, W, 3) in [0, 1]."""
    if len(image) == 1:
        return np.asarray(image[0])
    return np.moveaxis(np.clip((image + 1) / 2, 0, 1), 0, 2)


def _axes_or_new(ax: Axes | None, figsize: tuple[float, float]) -> Axes:
    """Return the given axes, or those of a new figure of this size in inches."""
    if ax is not None:
        return ax
    _, new_ax = plt.subplots(figsize=figsize, layout="constrained")
    return new_ax
