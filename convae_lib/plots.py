"""The course's figures: every function draws on ``ax``, or a new one, and returns it.

Images are in [-1, 1], grey (1, H, W), or red, green and blue (3, H, W).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import color_sequences
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullFormatter
from torch import Tensor

from ._checks import Array, as_array, as_labels, as_table, check_images
from .training import History

DIGIT_COLORS = tuple(color_sequences["petroff10"][i] for i in (3, 8, 5, 4, 0, 9, 7, 2, 6, 1))
"""Ten colours, one a digit, look-alikes kept apart (M. A. Petroff, arXiv:2107.02270)."""


def display_image(ax: Axes | None, t: Array) -> Axes:
    """Show one image, (H, W) or (C, H, W), on the fixed scale of [-1, 1] and without axes.

    Leading axes of length 1 do not matter. First used in lesson 00.
    """
    image = as_array(t)
    if image.dtype.kind != "f":
        raise TypeError(f"t must hold pixels in [-1, 1], got {image.dtype}; use scale_images(...)")
    while image.ndim > 3 and len(image) == 1:
        image = image[0]
    image = image[None] if image.ndim == 2 else image  # (C, H, W)
    if image.ndim != 3 or len(image) not in (1, 3):
        got = f"{tuple(np.shape(t))}; index the batch first, as in images[0]"
        raise ValueError(f"t must be one image, (H, W), (1, H, W) or (3, H, W), got {got}")
    ax = _axes(ax, figsize=(3, 3))
    ax.imshow(_pixels(image), cmap="gray", vmin=-1, vmax=1)
    ax.set_axis_off()
    return ax


def show_reconstructions(
    rows: Mapping[str, Tensor], *, captions: Sequence[str] | None = None, ax: Axes | None = None
) -> Axes:
    """Show images in named rows, originals above their reconstructions, all on one scale.

    Every row holds as many images (N, C, H, W) of one size, C being 1 or 3; ``captions`` name the
    columns. First used in lesson 00.
    """
    if not isinstance(rows, Mapping) or not rows:
        raise ValueError(f'rows must be named images, {{"originals": images, …}}, got {rows!r:.40}')
    shape = np.shape(next(iter(rows.values())))
    for name, images in rows.items():
        check_images(images, f"rows[{name!r}]")
        if images.shape != shape or images.shape[1] not in (1, 3):
            got = f"{tuple(shape)} and {tuple(images.shape)} in {name!r}; show as many of each"
            raise ValueError(f"rows must have one shape (N, C, H, W), C being 1 or 3, got {got}")
    count, channels, height, width = shape
    if captions is not None and len(captions) != count:
        raise ValueError(f"captions must name {count} columns, got {len(captions)}")
    grid = np.stack([as_array(images) for images in rows.values()])  # (R, N, C, H, W)
    around = np.nan if channels == 1 else 1  # drawn as nothing, or white
    grid = np.pad(grid, [(0, 0)] * 3 + [(1, 1)] * 2, constant_values=around)
    grid = grid.transpose(2, 0, 3, 1, 4).reshape(channels, len(rows) * (height + 2), -1)
    ax = _axes(ax, figsize=(0.9 * count + 1, 0.9 * len(rows) * height / width + 0.5))
    ax.imshow(_pixels(grid), cmap="gray", vmin=-1, vmax=1)
    ax.set_yticks((np.arange(len(rows)) + 0.5) * (height + 2) - 0.5, [*rows])
    columns = (np.arange(count) + 0.5) * (width + 2) - 0.5
    ax.set_xticks(columns if captions is not None else [], captions)
    ax.xaxis.tick_top()
    ax.tick_params(length=0, labelsize="small")
    ax.spines[:].set_visible(False)
    return ax


def plot_history(
    history: History, *, baselines: Mapping[str, float] | None = None, ax: Axes | None = None
) -> Axes:
    """Plot the loss of every batch and of every evaluation, on a logarithmic scale.

    ``baselines`` are test losses, drawn as dashed lines with their names. First used in lesson 04.
    """
    if baselines is not None and not isinstance(baselines, Mapping):
        raise TypeError(f'baselines must be named losses, {{"PCA": 0.07}}, got {baselines!r:.40}')
    ax = _axes(ax, figsize=(7, 4))
    losses, frame = history.batch_losses, history.frame
    ax.plot(range(1, len(losses) + 1), losses, color="0.6", lw=0.8, label="training, each batch")
    ax.plot(frame["steps"], frame["test_loss"], "o-", color="C0", label="test")
    right = ax.get_yaxis_transform()  # 1 is the right edge
    for name, loss in (baselines or {}).items():
        ax.axhline(loss, color="0.2", linestyle="--", linewidth=0.8)
        ax.text(1.01, loss, f"{name} {loss:.3f}", va="center", transform=right)
    ax.set_yscale("log")
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.set(xlabel="batches", ylabel="loss")
    ax.legend(frameon=False)
    return ax


def plot_embedding(
    embedding: Array, labels: Array, *, names: bool = True, ax: Axes | None = None
) -> Axes:
    """Draw a map (N, 2), coloured by label (N,), with each label near the median of its points.

    Digits have their colours of `DIGIT_COLORS`; other labels take these in order, or a rainbow if
    more than ten. No ticks: the axes of a t-SNE map have no meaning. First used in lesson 06.
    """
    points = as_table(embedding, "embedding")
    if points.shape[1] != 2:
        raise ValueError(f"embedding must be (N, 2), got {points.shape}; try tsne_embedding(...)")
    labels = as_labels(labels, "labels", rows=len(points))
    classes, number = np.unique(labels, return_inverse=True)  # (K,), (N,) in 0…K-1
    if np.isin(classes, np.arange(10)).all():
        palette = np.array(DIGIT_COLORS)[classes.astype(int)]
    else:
        rainbow = plt.get_cmap("turbo")(np.linspace(0, 1, len(classes)))
        palette = np.array(DIGIT_COLORS)[: len(classes)] if len(classes) <= 10 else rainbow
    ax, size = _axes(ax, figsize=(7, 7)), np.clip(16_000 / len(points), 4, 16)
    ax.scatter(points[:, 0], points[:, 1], c=palette[number], s=size, linewidths=0, alpha=0.6)
    places = np.array([np.median(points[labels == label], axis=0) for label in classes])  # (K, 2)
    apart = places[:, None] - places  # (K, K, 2)
    room = 0.08 * np.ptp(points, axis=0).max() / np.linalg.norm(apart, axis=2).clip(1e-9)
    places += (apart * (room - 1).clip(0)[..., None] / 2).sum(axis=1)  # where badges would overlap
    for label, color, (x, y) in zip(classes, palette, places, strict=True) if names else ():
        shape = "circle" if len(str(label)) == 1 else "round"
        box = {"boxstyle": f"{shape},pad=0.2", "facecolor": "white", "edgecolor": color, "lw": 2}
        ax.text(x, y, str(label), ha="center", va="center", bbox=box)
    ax.set(xticks=[], yticks=[], box_aspect=1, adjustable="datalim", aspect="equal")
    return ax


def _pixels(image: Any) -> Any:
    """(1, H, W) as (H, W), and (3, H, W) in [-1, 1] as (H, W, 3) in [0, 1]."""
    return image[0] if len(image) == 1 else np.moveaxis(np.clip((image + 1) / 2, 0, 1), 0, 2)


def _axes(ax: Axes | None, figsize: tuple[float, float]) -> Axes:
    return plt.subplots(figsize=figsize, layout="constrained")[1] if ax is None else ax
