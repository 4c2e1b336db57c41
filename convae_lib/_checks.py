"""The checks that several doors share, each with one clear error."""

import numbers
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

Array = ArrayLike | torch.Tensor


def check_tensor(x: Any, name: str) -> None:
    """Raise unless ``x`` is a tensor with at least one row."""
    if not isinstance(x, torch.Tensor):
        raise TypeError(f"{name} must be a torch.Tensor, got {type(x).__name__}; make it one")
    if x.ndim == 0 or 0 in x.shape:
        raise ValueError(f"{name} must hold at least one example, got shape {tuple(x.shape)}")


def check_images(
    x: Any, name: str, shape: tuple[int, ...] | None = None, dtype: torch.dtype | None = None
) -> None:
    """Raise unless ``x`` holds floating-point images (N, C, H, W), of ``shape`` and ``dtype``."""
    check_tensor(x, name)
    if not x.is_floating_point():
        raise TypeError(f"{name} must hold floating-point pixels, got {x.dtype}; scale_images(...)")
    if x.ndim != 4 or shape not in (None, tuple(x.shape[1:])):
        wanted = ", ".join(map(str, shape or ("C", "H", "W")))
        remedy = "make the network with image_shape=images.shape[1:]" if shape else "reshape them"
        raise ValueError(f"{name} must have shape (N, {wanted}), got {tuple(x.shape)}; {remedy}")
    cast = torch.float64 not in (dtype, x.dtype) and not x.is_meta  # if autocast is on
    if dtype not in (None, x.dtype) and not (cast and torch.is_autocast_enabled(x.device.type)):
        raise TypeError(f"{name} must hold {dtype} numbers, got {x.dtype}; use .to({dtype})")


def check_pairs(x: Any, y: Any, x_name: str, y_name: str) -> None:
    """Raise unless ``x`` and ``y`` are tensors with the same number of rows, at least one."""
    check_tensor(x, x_name)
    check_tensor(y, y_name)
    if len(x) != len(y):
        raise ValueError(f"{x_name} and {y_name} must pair up by row, got {len(x)} and {len(y)}")


def check_count(value: Any, name: str) -> None:
    """Raise unless ``value`` is a whole number of at least 1."""
    if not isinstance(value, numbers.Integral) or isinstance(value, bool):
        raise TypeError(f"{name} must be a whole number, got {value!r}; pass an int")
    if value < 1:
        raise ValueError(f"{name} must be at least 1, got {value}; pass 1 or more")


def as_array(values: Any) -> NDArray[Any]:
    """A tensor, on any device and with gradients, or what else looks like an array, as one."""
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu()
        values = (values.float() if values.dtype == torch.bfloat16 else values).numpy()
    return np.asarray(values)


def as_table(values: Any, name: str, rows: int | None = None) -> NDArray[Any]:
    """The values as a floating-point array (N, features) of sane numbers, else a clear error."""
    table = as_array(values)
    if table.ndim != 2 or 0 in table.shape or table.dtype.kind not in "biuf":
        got = f"{table.dtype} of shape {table.shape}; flatten images with images.flatten(1)"
        raise ValueError(f"{name} must be a table (N, features) of real numbers, got {got}")
    table = table.astype(np.result_type(table, np.float32), copy=False)
    largest = np.maximum(-table.min(), table.max())
    if largest != 0 and not 1e-15 < largest < 1e15:  # squares must not be 0
        raise ValueError(f"{name} must be finite, 1e-15 to 1e15 in size, got {largest:g}; look why")
    if rows not in (None, len(table)):
        raise ValueError(f"{name} must have {rows} rows, one for each code, got {len(table)}")
    return table


def as_labels(values: Any, name: str, rows: int) -> NDArray[Any]:
    """The values as an array (rows,) of labels, else a clear error."""
    labels = as_array(values)
    if (labels != labels).any():
        raise ValueError(f"{name} must name every row, got NaN; leave rows without a label out")
    if labels.shape != (rows,):
        raise ValueError(f"{name} must have shape ({rows},), one for each row, got {labels.shape}")
    return labels
