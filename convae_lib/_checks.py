"""Argument checks shared by the library's modules; each raises one clear error."""

import numbers
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

Array = ArrayLike | torch.Tensor


def check_tensor(x: Any, name: str) -> None:
    """Raise unless ``x`` is a tensor with at least one row and no empty axis."""
    if not isinstance(x, torch.Tensor):
        got = f"{type(x).__name__}; convert it with torch.as_tensor(...)"
        raise TypeError(f"{name} must be a torch.Tensor, got {got}")
    if x.ndim == 0 or 0 in x.shape:
        raise ValueError(f"{name} must hold at least one example, got shape {tuple(x.shape)}")


def check_images(
    x: Any, name: str, shape: tuple[int, ...] | None = None, dtype: torch.dtype | None = None
) -> None:
    """Raise unless ``x`` holds floating-point images (N, C, H, W).

    If ``shape`` is given, it must be the shape (C, H, W) of each image. If ``dtype`` is given, the
    images must have it, or autocast must convert them to it.
    """
    check_tensor(x, name)
    if not x.is_floating_point():
        got = f"{x.dtype}; use scale_images(...)"
        raise TypeError(f"{name} must hold floating-point pixels, got {got}")
    if shape is None and x.ndim != 4:
        got = f"{tuple(x.shape)}; for a single image, pass image[None]"
        raise ValueError(f"{name} must have shape (N, C, H, W), got {got}")
    if shape is not None and tuple(x.shape[1:]) != tuple(shape):
        wanted = ", ".join(str(size) for size in shape)
        got = f"{tuple(x.shape)}; make the network with image_shape=images.shape[1:]"
        raise ValueError(f"{name} must have shape (N, {wanted}), got {got}")
    if dtype is not None and x.dtype != dtype and not _autocast_converts(x, dtype):
        got = f"{x.dtype}; use .to({dtype})"
        raise TypeError(f"{name} must hold {dtype} numbers, got {got}")


def check_pairs(x: Any, y: Any, x_name: str, y_name: str) -> None:
    """Raise unless ``x`` and ``y`` are tensors with the same number of rows, at least one."""
    check_tensor(x, x_name)
    check_tensor(y, y_name)
    if len(x) != len(y):
        got = f"{len(x)} and {len(y)}; pass one target for each example"
        raise ValueError(f"{x_name} and {y_name} must pair up by row, got {got}")


def check_count(value: Any, name: str) -> None:
    """Raise unless ``value`` is a whole number of at least 1."""
    if not isinstance(value, numbers.Integral) or isinstance(value, bool):
        raise TypeError(f"{name} must be a whole number, got {value!r}; pass an int")
    if value < 1:
        raise ValueError(f"{name} must be at least 1, got {value}; pass 1 or more")


def as_array(values: Any) -> NDArray[Any]:
    """Return a tensor, or anything array-like, as a NumPy array.

    A tensor may lie on any device and may require gradients. NumPy has no bfloat16, so such a
    tensor becomes float32.
    """
    if not isinstance(values, torch.Tensor):
        return np.asarray(values)
    tensor = values.detach().cpu()
    if tensor.dtype == torch.bfloat16:
        tensor = tensor.float()
    return np.asarray(tensor.numpy())


def as_table(values: Any, name: str, rows: int | None = None) -> NDArray[Any]:
    """Return the values as a floating-point array (N, features), or raise a clear error.

    The largest absolute value must lie between 1e-15 and 1e15, or all values must be 0. Distances
    and variances sum squares, often in single precision, where the square of 1e20 is infinite and
    the square of 1e-25 is 0: the results would be wrong without an error.
    """
    table = as_array(values)
    if table.ndim != 2 or 0 in table.shape or table.dtype.kind not in "biuf":
        got = f"{table.dtype} of shape {table.shape}; flatten images with images.flatten(1)"
        raise ValueError(f"{name} must be a table (N, features) of real numbers, got {got}")
    if rows is not None and len(table) != rows:
        raise ValueError(f"{name} must have {rows} rows, one for each image, got {len(table)}")
    table = table.astype(np.result_type(table, np.float32), copy=False)
    largest = np.maximum(-table.min(), table.max())  # is NaN if any value is
    if not np.isfinite(largest):
        got = f"{largest}; a training that diverged gives such numbers"
        raise ValueError(f"{name} must be finite, got {got}")
    if largest != 0 and not 1e-15 < largest < 1e15:
        got = f"{largest:.0e}; divide them by their standard deviation"
        raise ValueError(f"{name} must lie between 1e-15 and 1e15 in size, got {got}")
    return table


def as_labels(values: Any, name: str, rows: int) -> NDArray[Any]:
    """Return the values as an array (rows,) of labels, or raise a clear error."""
    import pandas as pd  # takes half a second, which others need not wait

    labels = as_array(values)
    if labels.shape != (rows,):
        raise ValueError(f"{name} must have shape ({rows},), one for each row, got {labels.shape}")
    missing = pd.isna(labels)
    if missing.any():
        got = f"{labels[missing][0]} in {missing.sum()} of them; leave these rows out"
        raise ValueError(f"{name} must hold a label for every row, got {got}")
    return labels


def _autocast_converts(x: torch.Tensor, dtype: torch.dtype) -> bool:
    """Whether autocast is on and converts ``x`` and a layer's weights of ``dtype`` to one type.

    Autocast leaves double precision as it is. The meta device, which computes shapes only, has no
    autocast.
    """
    if x.is_meta or torch.float64 in (x.dtype, dtype):
        return False
    return torch.is_autocast_enabled(x.device.type)
