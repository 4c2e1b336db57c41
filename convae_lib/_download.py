"""MNIST's files: found in a folder under any of their usual names, downloaded, stored whole."""

import gzip
import hashlib
import os
import secrets
import warnings
import zlib
from collections.abc import Sequence
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from urllib.parse import urlsplit

from tqdm import TqdmWarning, tqdm

with warnings.catch_warnings():  # pooch's progress bar recommends to install ipywidgets
    warnings.simplefilter("ignore", TqdmWarning)
    from pooch import HTTPDownloader
    from pooch import os_cache as os_cache


def find_file(folder: Path, name: str, md5: str) -> bytes | None:
    """Return the content of a file, or None if nothing lies in the folder under its names.

    A file is accepted by its content: ``md5`` is the checksum of the uncompressed bytes.
    """
    dotted = name.replace("-idx", ".idx")  # as Kaggle and some unpacking programs write it
    names = [name, f"{name}.gz", dotted, f"{dotted}.gz", f"{name}/{name}", f"{dotted}/{dotted}"]
    problems = []
    for path in [folder / name for name in names]:
        if not os.path.lexists(path):  # true for a broken link, too
            continue
        try:
            content = _read(path)
        except (OSError, EOFError, zlib.error) as error:
            found = "a folder" if path.is_dir() else f"an unreadable file ({error})"
        else:
            found = f"the checksum {md5_of(content)}"
            if md5_of(content) == md5:
                return content
        problems.append(f"{path} is not MNIST's file: expected the MD5 {md5}, got {found}.")
    if problems:
        raise ValueError(
            f"{' '.join(problems)} Move it to another folder, so that the right file can be "
            "downloaded, or set CONVAE_OFFLINE=1 to use the offline subset."
        )
    return None


def _read(path: Path) -> bytes:
    if not path.is_file():  # a pipe, for example, could be waited for without end
        raise OSError("not a regular file")
    content = path.read_bytes()
    return gzip.decompress(content) if path.suffix == ".gz" else content


def md5_of(content: bytes) -> str:
    """Return the MD5 checksum in hexadecimal. It detects accidents, and need not be secure."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def download(archive: str, md5: str, mirrors: Sequence[str], timeout: float) -> bytes:
    """Download a ``.gz`` file from the first mirror that has it, and return what it holds.

    A mirror that sends nothing for ``timeout`` seconds is left; a slow one is not.
    """
    problems = []
    for mirror in mirrors:
        data = BytesIO()
        with tqdm(desc=archive, total=1, unit="B", unit_scale=True, leave=False) as bar:
            try:
                HTTPDownloader(progressbar=bar, timeout=timeout)(f"{mirror}{archive}", data, None)
            except OSError as error:  # every error of the network is one
                problems.append(f"{urlsplit(mirror).netloc}: {type(error).__name__}")
                continue
        if md5_of(data.getvalue()) == md5:
            return gzip.decompress(data.getvalue())
        problems.append(f"{urlsplit(mirror).netloc}: wrong checksum")
    raise ConnectionError("; ".join(problems))


def store(content: bytes, path: Path) -> None:
    """Write a new file, whole or not at all, even if several processes do so at the same time."""
    part = path.with_name(f"{path.name}.{secrets.token_hex(8)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(content)
        if not os.path.lexists(path):
            with suppress(FileExistsError):  # on Windows, if another process was faster
                part.rename(path)
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
