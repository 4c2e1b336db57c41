"""MNIST's four files, verified: found in a folder, or downloaded into it, whole or not at all."""

import gzip
import hashlib
import os
import threading
import time
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import pooch
from torchvision.datasets import MNIST
from torchvision.datasets.utils import calculate_md5
from tqdm import tqdm

FILES = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}
PATIENCE = 4  # seconds between two looks at a download
SLOWEST = 10_000  # bytes a second that a mirror must send, else the next one is asked


def good(path: Path) -> bool:
    return path.is_file() and calculate_md5(path) == FILES[path.name]


def complete(raw: Path) -> None:
    """Download the files that ``raw`` lacks, or raise ConnectionError."""
    lacking = [name for name in reversed(FILES) if not good(raw / name)]  # the smallest first
    for name in lacking:
        errors = []
        for mirror in MNIST.mirrors:
            try:
                content = _fetch(f"{mirror}{name}.gz", dict(MNIST.resources)[f"{name}.gz"])
                break
            except ConnectionError as error:
                errors.append(str(error))
        else:
            raise ConnectionError(f"MNIST cannot be downloaded ({'; '.join(errors)})")
        try:
            _put(gzip.decompress(content), raw / name)
        except OSError as error:
            advice = "set CONVAE_DATA to a folder that can be written, or CONVAE_OFFLINE=1"
            raise OSError(f"MNIST must be stored, got {raw} ({error}); {advice}") from error
    for part in raw.glob("*.part") if lacking else ():  # of processes that were killed
        with suppress(OSError):
            part.unlink()


def _fetch(url: str, md5: str) -> bytes:
    """Download a file into memory, or raise ConnectionError, soon where it comes too slowly."""
    errors: list[Exception] = []
    with BytesIO() as content, tqdm(desc=url, unit="B", unit_scale=True, leave=False) as bar:

        def download() -> None:
            try:
                pooch.HTTPDownloader(progressbar=bar, timeout=PATIENCE)(url, content, None)
            except Exception as error:
                errors.append(error)

        thread = threading.Thread(target=download, daemon=True)
        thread.start()
        start = time.monotonic()
        while thread.is_alive():
            thread.join(timeout=PATIENCE)
            if thread.is_alive() and content.tell() < SLOWEST * (time.monotonic() - start):
                raise ConnectionError(f"{url} sends less than {SLOWEST:,} bytes a second")
        if errors or hashlib.md5(content.getvalue()).hexdigest() != md5:
            raise ConnectionError(f"{url}: {errors[0] if errors else 'another checksum'}")
        return content.getvalue()


def _put(content: bytes, path: Path) -> None:
    """Write a file, whole or not at all; another one that lies there is kept beside it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}.part")
    part.write_bytes(content)
    if os.path.lexists(path) and not good(path):
        kept = path.with_name(f"{path.name}.rejected-{time.time_ns()}")
        path.rename(kept)
        print(f"{path.name} was not the MNIST file: kept as {kept.name}, replaced")
    with suppress(FileNotFoundError):  # another process put all in place, and cleaned up
        part.replace(path)
