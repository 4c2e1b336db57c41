"""The checks of arguments that several modules share, each with one clear error."""

import numbers

import torch


def check_is_tensor(x, name):
    """Raise unless ``x`` is a tensor."""
    if not isinstance(x, torch.Tensor):
        raise TypeError(
            f"{name} must be a torch.Tensor, got {type(x).__name__}; "
            "convert it with torch.as_tensor(...)"
        )


def check_tensor(x, shape, name, dtype=None):
    """Raise unless ``x`` is a floating-point tensor of ``shape``; a letter stands for any size.

    With ``dtype``, its numbers must have that type, unless autocast converts them anyway.
    """
    check_is_tensor(x, name)
    wanted = f"({', '.join(str(size) for size in shape)})"
    if not x.is_floating_point():
        raise TypeError(
            f"{name} must hold floating-point numbers, got {x.dtype}; "
            "turn 8-bit pixels into [-1, 1] with scale_images(...)"
        )
    if dtype not in (None, x.dtype) and not torch.is_autocast_enabled(x.device.type):
        raise TypeError(
            f"{name} must hold {dtype} numbers, got {x.dtype}; convert them with .to({dtype})"
        )
    fits = x.ndim == len(shape) and all(
        isinstance(want, str) or have == want for have, want in zip(x.shape, shape, strict=True)
    )
    if not fits:
        raise ValueError(
            f"{name} must have shape {wanted}, got {tuple(x.shape)}; "
            "reshape it, or build the layers for the shape you have"
        )


def check_count(value, name):
    """Raise unless ``value`` is a whole number of at least 1."""
    if not isinstance(value, numbers.Integral) or isinstance(value, bool):
        raise TypeError(f"{name} must be a whole number, got {value!r}; pass an int")
    if value < 1:
        raise ValueError(f"{name} must be at least 1, got {value}; pass 1 or more")


def check_pairs(x, y, x_name, y_name):
    """Raise unless ``x`` and ``y`` hold the same number of rows, at least one."""
    if len(x) != len(y):
        raise ValueError(
            f"{x_name} and {y_name} must have one row each per example, "
            f"got {len(x)} and {len(y)}; pass pairs that belong together"
        )
    check_not_empty(x, x_name)


def check_not_empty(x, name):
    """Raise unless ``x`` holds at least one row."""
    if len(x) == 0:
        raise ValueError(f"{name} must hold at least one example, got none; pass some data")
