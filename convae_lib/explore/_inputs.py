"""What maps and sliders check and compute alike."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from .._checks import Array, as_labels, check_images

MOST_IMAGES = 10_000  # of one page, whose numbers of images have 16 bits
MOST_CLASSES = 200


def check_pictures(images: Tensor, name: str, count: int) -> None:
    """Raise unless ``images`` are ``count`` finite grayscale or RGB images."""
    check_images(images, name)
    if len(images) != count or count > MOST_IMAGES or images.shape[1] not in (1, 3):
        raise ValueError(
            f"{name} must have shape ({count}, C, H, W), one grayscale or RGB image for each code "
            f"and at most {MOST_IMAGES:,}, got {tuple(images.shape)}"
        )
    if not images.isfinite().all():
        raise ValueError(f"{name} must be finite, got NaN or infinity; leave such images out")


def as_classes(labels: Array, count: int) -> tuple[list[str], NDArray[Any]]:
    """Return the names of all classes, and the number (N,) of each row's class."""
    classes, numbers = np.unique(as_labels(labels, "labels", rows=count), return_inverse=True)
    if len(classes) > MOST_CLASSES:
        raise ValueError(
            f"labels must have at most {MOST_CLASSES} different values, got {len(classes)}; "
            "pass fewer classes"
        )
    return [str(name) for name in classes], numbers


def nearest_neighbors(table: NDArray[Any], count: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the rows (N, count) of the nearest neighbors of each row, and their distances."""
    from sklearn.neighbors import NearestNeighbors  # takes a second

    distances, rows = NearestNeighbors(n_neighbors=count).fit(table).kneighbors()
    return rows, distances
