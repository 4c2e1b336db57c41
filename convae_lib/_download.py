"""MNIST's four files, verified: found in a folder, or downloaded into it, whole or not at all."""

import gzip
import hashlib
import os
import threading
import time
import warnings
from contextlib import suppress
from io import BytesIO
from pathlib import Path

from torchvision.datasets import MNIST
from torchvision.datasets.utils import calculate_md5
from tqdm import TqdmWarning, tqdm

with warnings.catch_warnings(action="ignore", category=TqdmWarning):  # it would like ipywidgets
    from pooch import HTTPDownloader
    from pooch import os_cache as os_cache

FILES = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}
PATIENCE = 4  # seconds between two looks at a download
SLOWEST = 10_000  # bytes a second that a mirror must send, else the next one is asked


def good(path: Path) -> bool:
    return os.access(path, os.R_OK) and path.is_file() and calculate_md5(path) == FILES[path.name]


def complete(raw: Path) -> None:
    """Download the files that ``raw`` lacks, or raise ConnectionError."""
    try:
        for name in reversed(FILES):  # the smallest first
            if not good(raw / name):
                _put(gzip.decompress(_download(f"{name}.gz")), raw / name)
    finally:
        for part in [part for name in FILES for part in raw.glob(f"{name}.*.part")]:
            with suppress(OSError):  # also those of processes that were killed
                part.unlink()


def _download(archive: str) -> bytes:
    errors = "no mirror worked"
    for mirror in MNIST.mirrors:
        try:
            return _fetch(f"{mirror}{archive}", dict(MNIST.resources)[archive])
        except ConnectionError as error:
            errors += f"; {error}"
    raise ConnectionError(f"MNIST cannot be downloaded ({errors})")


def _fetch(url: str, md5: str) -> bytes:
    """Download a file into memory, or raise ConnectionError, soon where it comes too slowly."""
    errors: list[Exception] = []
    with BytesIO() as data, tqdm(desc=url, total=1, leave=False, unit="B", unit_scale=True) as bar:

        def download() -> None:
            try:
                HTTPDownloader(progressbar=bar, timeout=PATIENCE)(url, data, None)
            except Exception as error:
                errors.append(error)

        thread = threading.Thread(target=download, daemon=True)
        thread.start()
        seen = 0
        while thread.is_alive():
            thread.join(timeout=PATIENCE)
            before, seen = seen, data.tell()
            if thread.is_alive() and seen - before < SLOWEST * PATIENCE:
                raise ConnectionError(f"{url} sends less than {SLOWEST:,} bytes a second")
        if errors or hashlib.md5(data.getvalue()).hexdigest() != md5:
            why = type(errors[0]).__name__ if errors else "another checksum"
            raise ConnectionError(f"{url}: {why}")
        return data.getvalue()


def _put(content: bytes, path: Path) -> None:
    """Write a file, whole or not at all; another one that lies there is kept beside it."""
    part = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for _ in range(5):
            part.write_bytes(content)
            with suppress(FileNotFoundError):  # another process was faster, and cleaned up
                if os.path.lexists(path) and not good(path):
                    path.rename(kept := path.with_name(f"{path.name}.rejected-{time.time_ns()}"))
                    print(f"{path.name} was not the MNIST file: kept as {kept.name}, replaced")
                part.replace(path)
            if good(path):
                return
        raise OSError(f"{path.name} is not what was written")
    except OSError as error:
        advice = "set CONVAE_DATA to a folder that can be written, or CONVAE_OFFLINE=1"
        raise OSError(f"MNIST must be stored, got {path.parent} ({error}); {advice}") from error
