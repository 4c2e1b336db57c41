"""The course's figures: every function draws on ``ax``, or a new one, and returns it.

One colour per digit in every figure, from a palette made for colour-blind readers too.
"""

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.ticker import LogLocator, NullFormatter

from ._checks import check_not_empty, check_pairs, check_tensor

DIGIT_COLORS = tuple(matplotlib.color_sequences["petroff10"])
"""Ten colours, one for each digit 0 to 9 (M. A. Petroff, arXiv:2107.02270)."""


def display_image(ax, t):
    """Show one image in grey, black at -1 and white at 1, without axes.

    Parameters
    ----------
    ax : matplotlib Axes, or None for a new one
    t : torch.Tensor
        (28, 28), or with extra axes of length 1; on any device, with or without gradients.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        If ``t`` holds more than one image.
    TypeError
        If its pixels are whole numbers: they are not scaled yet.

    Notes
    -----
    First used in lesson 00. The scale is fixed, so that two images can be compared by eye.
    """
    image = torch.as_tensor(t).detach().cpu()
    if not image.is_floating_point():
        raise TypeError(
            f"t must hold pixels in [-1, 1], got {image.dtype}; "
            "turn 8-bit pixels into that with scale_images(...)"
        )
    shape, image = tuple(image.shape), image.squeeze()
    if image.ndim != 2:
        raise ValueError(
            f"t must be one image, (28, 28) or (1, 28, 28), got {shape}; "
            "index the batch first, as in images[0]"
        )
    ax = _axes(ax, figsize=(3, 3))
    ax.imshow(image.numpy(), cmap="gray", vmin=-1, vmax=1)
    ax.set_axis_off()
    return ax


def show_reconstructions(rows, *, captions=None, ax=None):
    """Show images in rows, originals above their reconstructions, all on one grey scale.

    Parameters
    ----------
    rows : dict of str to torch.Tensor
        Name of a row and its images, (N, 1, H, W) in [-1, 1], the same N in every row.
    captions : sequence of str, optional
        One above each column.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError, TypeError
        If there are no rows, one is not a tensor (N, 1, H, W), or rows or captions differ in
        length.

    Notes
    -----
    First used in lesson 00.
    """
    check_not_empty(rows, "rows")
    first_name, first = next(iter(rows.items()))
    check_tensor(first, ("N", 1, "H", "W"), f"rows[{first_name!r}]")
    for name, images in rows.items():
        check_tensor(images, ("N", 1, *first.shape[2:]), f"rows[{name!r}]")
        check_pairs(first, images, f"rows[{first_name!r}]", f"rows[{name!r}]")
    if captions is not None:
        check_pairs(first, captions, f"rows[{first_name!r}]", "captions")
    count, _, height, width = first.shape
    gap = 2
    canvas = torch.full((len(rows) * (height + gap), count * (width + gap)), torch.nan)
    for row, images in enumerate(rows.values()):
        top = row * (height + gap)
        for column, image in enumerate(images.detach().cpu()):
            left = column * (width + gap)
            canvas[top : top + height, left : left + width] = image[0]
    ax = _axes(ax, figsize=(0.9 * count + 1, 0.95 * len(rows) + 0.4))
    ax.imshow(canvas.numpy(), cmap="gray", vmin=-1, vmax=1)
    ax.set_yticks(np.arange(len(rows)) * (height + gap) + height / 2, rows)
    columns = np.arange(count) * (width + gap) + width / 2
    ax.set_xticks(columns if captions is not None else [], captions)
    ax.xaxis.tick_top()
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    return ax


def plot_history(history, *, baselines=None, ax=None):
    """Plot the loss of every batch, every evaluation, and baselines as dashed lines.

    Parameters
    ----------
    history : History
        From `PyTorchTrainer.fit`.
    baselines : dict of str to float, optional
        Name and test error of each.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes
        Loss on a logarithmic scale against the number of batches.

    Notes
    -----
    First used in lesson 04.
    """
    ax = _axes(ax, figsize=(7, 4))
    frame = history.frame
    ax.plot(
        np.arange(1, len(history.batch_losses) + 1),
        history.batch_losses,
        color="0.6",
        linewidth=0.8,
        label="training, each batch",
    )
    ax.plot(frame["steps"], frame["test_loss"], "o-", color=DIGIT_COLORS[0], label="test")
    for name, error in (baselines or {}).items():
        ax.axhline(error, color="0.2", linestyle="--", linewidth=0.8)
        ax.annotate(
            f"{name} {error:.3f}",
            (1, error),
            xycoords=("axes fraction", "data"),
            xytext=(4, 0),
            textcoords="offset points",
            verticalalignment="center",
        )
    ax.set_yscale("log")
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.set_xlabel("batches")
    ax.set_ylabel("mean squared error")
    ax.legend(frameon=False)
    return ax


def plot_embedding(embedding, labels, *, names=True, ax=None):
    """Draw a map of digits, coloured by label, each cluster named by its digit.

    Parameters
    ----------
    embedding : array-like
        (N, 2).
    labels : array-like or torch.Tensor
        (N,), digits 0 to 9.
    names : bool, default True
        Write each digit at the median of its points.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes
        Without ticks: the axes of a t-SNE map have no meaning.

    Raises
    ------
    ValueError
        If the map is not (N, 2), there is not one label per point, or a label is no digit.

    Notes
    -----
    First used in lesson 06.
    """
    embedding, labels = np.asarray(embedding), np.asarray(labels)
    check_pairs(embedding, labels, "embedding", "labels")
    if embedding.ndim != 2 or embedding.shape[1] != 2:
        raise ValueError(
            f"embedding must have shape (N, 2), got {embedding.shape}; "
            "reduce it to two columns, with tsne_embedding for instance"
        )
    if labels.dtype.kind not in "iu" or not np.isin(labels, np.arange(10)).all():
        raise ValueError(
            f"labels must be digits 0 to 9, got {np.unique(labels)}; pass the digit of each point"
        )
    ax = _axes(ax, figsize=(7, 7))
    colors = np.array(DIGIT_COLORS)[labels]
    ax.scatter(*embedding.T, c=colors, s=4, linewidths=0, alpha=0.6)
    for digit in np.unique(labels) if names else ():
        ax.text(
            *np.median(embedding[labels == digit], axis=0),
            str(digit),
            ha="center",
            va="center",
            bbox={
                "boxstyle": "circle,pad=0.2",
                "facecolor": "white",
                "edgecolor": DIGIT_COLORS[digit],
                "linewidth": 2,
            },
        )
    ax.margins(0.05)
    ax.set(xticks=[], yticks=[])
    ax.set_box_aspect(1)
    ax.set_aspect("equal", adjustable="datalim")
    return ax


def _axes(ax, figsize):
    if ax is not None:
        return ax
    return plt.subplots(figsize=figsize, layout="constrained")[1]
