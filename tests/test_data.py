import _thread
import gzip
import hashlib
import http.server
import multiprocessing
import os
import re
import socket
import struct
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pooch
import pytest
import requests  # noqa: F401 - before anybody waits for it
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch.utils.data import Subset, TensorDataset
from torchvision.datasets import MNIST, FakeData, ImageFolder
from torchvision.transforms import ToTensor

from convae_lib import ImageData, _download, from_dataset, load_mnist, scale_images


@given(st.integers(0, 3), st.sampled_from([(28, 28), (1, 8, 8), (3, 16, 24), (4, 5, 3), (5, 4, 5)]))
def test_pixels_become_numbers_in_order_and_stay_as_they_were(count, shape):
    pixels = torch.randint(0, 256, (count, *shape), dtype=torch.uint8)
    before, scaled = pixels.clone(), scale_images(pixels)
    assert scaled.shape == (count, *((1,) * (3 - len(shape))), *shape)
    expected = (2 * before.double() / 255 - 1).reshape(scaled.shape)
    torch.testing.assert_close(scaled.double(), expected, rtol=0, atol=2e-7)
    assert scaled.dtype == torch.float32 and torch.equal(pixels, before)


IMAGES, LABELS = torch.zeros(2, 1, 8, 8), torch.tensor([0, 1])


def image_data(**changes):
    parts = {"train_images": IMAGES, "train_labels": LABELS, "source": "embedded"}
    parts |= {"test_images": IMAGES.repeat(600, 1, 1, 1), "test_labels": LABELS.repeat(600)}
    return ImageData(**(parts | changes))


def scale(*shape):
    return scale_images(torch.zeros(shape, dtype=torch.uint8))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: scale_images(IMAGES), TypeError, "8-bit pixels.* got Tensor of torch.float32"),
        (lambda: scale_images([[0]]), TypeError, "must be a tensor .* got list of no dtype"),
        (lambda: scale(8, 8), ValueError, r"\(N, H, W\) or .* got \(8, 8\)"),
        (lambda: scale(1, 1, 2, 8, 8), ValueError, r"got \(1, 1, 2, 8, 8\)"),
        (lambda: scale(2, 5, 5, 3), ValueError, r"permute\(0, 3, 1, 2"),
        (lambda: scale(2, 5, 5, 4), ValueError, "move the channels"),
        ({"source": "web"}, ValueError, 'must be "mnist" or "embedded", got .web'),
        ({"train_images": [0]}, TypeError, "must be a torch.Tensor, got list"),
        ({"train_labels": [0, 1]}, TypeError, "must be a torch.Tensor, got list"),
        ({"test_images": IMAGES[0]}, ValueError, r"shape \(N, C, H, W\), got \(1, 8, 8\)"),
        ({"train_images": IMAGES.byte()}, TypeError, "got torch.uint8; .*scale_images"),
        ({"test_images": IMAGES.double()}, TypeError, "must hold torch.float32 .* torch.float64"),
        ({"train_images": IMAGES[:0]}, ValueError, "at least one"),
        ({"train_images": IMAGES + torch.nan}, ValueError, "must be finite"),
        ({"test_images": IMAGES}, ValueError, "and test_labels must .* 2 and 1200"),
        ({"train_labels": LABELS[:, None]}, TypeError, r"int64 \(N,\).* of shape \(2, 1\)"),
        ({"train_labels": LABELS.int()}, TypeError, "must be int64 .* got torch.int32"),
        ({"train_labels": LABELS.to("meta")}, TypeError, "on cpu, got .* on meta"),
    ],
)
def test_what_is_no_pixels_and_no_image_data_is_refused(call, error, message):
    name = "images" if callable(call) else next(iter(call))
    with pytest.raises(error, match=f"^{name} .*{message}"):
        call() if callable(call) else image_data(**call)


def test_image_data_says_what_it_holds_and_cannot_be_changed():
    data = image_data()
    assert data != image_data() and {data}  # not compared pixel by pixel
    assert repr(data) == "2 training and 1,200 test images (source: embedded)"
    with pytest.raises(AttributeError, match="cannot assign to field 'source'"):
        data.source = "mnist"


# ---- the two real tiers


def check_parts(data, train, test):
    for part, counts in (("train", train), ("test", test)):
        images, labels = getattr(data, f"{part}_images"), getattr(data, f"{part}_labels")
        assert images.shape == (sum(counts), 1, 28, 28) and images.dtype == torch.float32
        assert images.min() == -1 and images.max() == 1
        assert labels.dtype == torch.int64 and labels.bincount().tolist() == counts


def test_the_embedded_tier_has_no_image_twice_and_the_labels_of_its_images(embedded):
    check_parts(embedded, [400] * 10, [100] * 10)
    assert embedded.train_labels[:12].tolist() == [*range(10), 0, 1]  # any part is balanced
    train, test = embedded.train_images.flatten(1), embedded.test_images.flatten(1)
    assert len({image.numpy().tobytes() for image in (*train, *test)}) == 5000
    means = torch.stack([train[embedded.train_labels == digit].mean(dim=0) for digit in range(10)])
    nearest = torch.cdist(test, means).argmin(dim=1)
    assert (nearest == embedded.test_labels).float().mean() > 0.7


def test_offline_no_folder_is_looked_at_and_one_line_says_so(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("CONVAE_OFFLINE", "1")
    state = torch.get_rng_state()
    assert load_mnist(tmp_path / "never_made").source == "embedded"
    assert torch.equal(torch.get_rng_state(), state) and not (tmp_path / "never_made").exists()
    line = "Using the 5,000 embedded MNIST images: CONVAE_OFFLINE=1 is set; unset it for all 70,000"
    assert capsys.readouterr().out == f"{line}.\n"


def test_all_of_mnist_where_it_is_found(data):
    if data.source != "mnist":
        pytest.skip("needs all of MNIST")
    train = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    check_parts(data, train, [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009])
    assert data.train_images.mean().item() == pytest.approx(2 * 0.1306604762738429 - 1, abs=1e-5)


# ---- a small MNIST, and mirrors of it on this machine


def idx_file(values):
    head = struct.pack(f">{1 + values.ndim}I", 0x800 + values.ndim, *values.shape)
    return head + values.byte().numpy().tobytes()


NAMES = list(_download.FILES)
NAME = NAMES[2]  # of the test images
PIXELS = torch.randint(0, 256, (14, 28, 28))
SMALL = [idx_file(v) for v in (PIXELS[:9], torch.arange(9), PIXELS[9:], torch.arange(5))]
SMALL = dict(zip(NAMES, SMALL, strict=True))
ARCHIVES = {f"{name}.gz": gzip.compress(content, mtime=0) for name, content in SMALL.items()}
FOR_EVER = 20  # seconds: far more than the patience of these tests
MANNERS = {  # what is sent at once, what then, in steps of how many bytes, after how many seconds
    "answers": lambda head, body: (head + body, b"", 1, 0),
    "has nothing": lambda head, body: (b"HTTP/1.0 404 Not Found\r\n\r\n", b"", 1, 0),
    "talks nonsense": lambda head, body: (b"this is no HTTP\r\n\r\n", b"", 1, 0),
    "changes a byte": lambda head, body: (head + body[:-1] + bytes([body[-1] ^ 1]), b"", 1, 0),
    "cuts short": lambda head, body: (head + body[:-100], b"", 1, 0),
    "is silent": lambda head, body: (b"", head + body, 9999, FOR_EVER),
    "has a slow head": lambda head, body: (b"", head + body, 1, 0.05),
    "has a slow body": lambda head, body: (head, body, 1, 0.05),
    "slows down": lambda head, body: (head + body[:-60], body[-60:], 1, 0.05),
    "stalls": lambda head, body: (head + body[:-60], body[-60:], 60, FOR_EVER),
    "is steady": lambda head, body: (head, body, len(body) // 20, 0.05),
    "interrupts": lambda head, body: (b"", head + body, 9999, _thread.interrupt_main() or FOR_EVER),
}


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        server, body = self.server, ARCHIVES[self.path[1:]]
        server.asked.append(self.path[1:-3])
        head = f"HTTP/1.0 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        at_once, slowly, step, pause = MANNERS[server.manner](head, body)
        self.wfile.write(at_once)
        for start in range(0, len(slowly), step):
            if not server.over.wait(pause):
                self.wfile.write(slowly[start : start + step])


@pytest.fixture
def mirror(monkeypatch):
    """Each call starts a mirror of the small MNIST and adds it to the list, at first empty."""
    servers = []
    for name in ("CONVAE_OFFLINE", "CONVAE_DATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("no_proxy", "*")
    md5 = [{n: hashlib.md5(c).hexdigest() for n, c in f.items()} for f in (SMALL, ARCHIVES)]
    monkeypatch.setattr(_download, "FILES", md5[0])
    monkeypatch.setattr(MNIST, "resources", [*md5[1].items()])
    monkeypatch.setattr(_download, "SLOWEST", 500)
    monkeypatch.setattr(MNIST, "mirrors", [])

    def start(manner="answers"):
        if manner != "answers":
            monkeypatch.setattr(_download, "PATIENCE", 0.6)
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.manner, server.asked, server.over = manner, [], threading.Event()
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        MNIST.mirrors.append(f"http://127.0.0.1:{server.server_port}/")
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.over.set()
        server.shutdown()
        server.server_close()


def put(folder, **changes):
    """Write the small MNIST into ``folder``; a changed file gets other content, or none."""
    (raw := folder / "MNIST" / "raw").mkdir(parents=True)
    for name, content in (SMALL | changes).items():
        if content is not None:
            (raw / name).write_bytes(content)
    return raw


def stored(folder):
    return sorted(path.name for path in folder.rglob("*") if path.name not in ("MNIST", "raw"))


def check_small_mnist(data):
    assert data.source == "mnist"
    assert torch.equal(data.train_images, scale_images(PIXELS[:9].byte()))
    assert torch.equal(data.test_images, scale_images(PIXELS[9:].byte()))
    assert data.train_labels.tolist() == [*range(9)] and data.test_labels.tolist() == [*range(5)]


def test_files_that_are_there_are_read_and_neither_touched_nor_asked_for(
    mirror, tmp_path, monkeypatch, capsys
):
    for name in ("HOME", "USERPROFILE", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    if not (cache := Path(pooch.os_cache("convae"))).is_relative_to(tmp_path):
        pytest.skip("the user's cache folder cannot be moved")
    raw, server = put(cache), mirror()
    before = [(path.name, path.stat().st_mtime_ns) for path in sorted(raw.iterdir())]
    check_small_mnist(load_mnist())
    monkeypatch.setenv("CONVAE_DATA", str(cache.rename(tmp_path / "chosen")))
    check_small_mnist(load_mnist())
    raw = (tmp_path / "chosen").rename(tmp_path / "named") / "MNIST" / "raw"
    check_small_mnist(load_mnist("~/named"))
    assert [(path.name, path.stat().st_mtime_ns) for path in sorted(raw.iterdir())] == before
    assert server.asked == [] and capsys.readouterr().out == ""


def test_what_is_missing_is_downloaded_and_what_killed_processes_left_goes(mirror, tmp_path):
    (tmp_path / "data" / "MNIST").mkdir(parents=True)
    (tmp_path / "data" / "MNIST" / "raw").symlink_to(tmp_path)
    (tmp_path / NAMES[1]).write_bytes(SMALL[NAMES[1]])
    (tmp_path / f"{NAME}.123-456.part").write_bytes(b"half")
    (tmp_path / "film.part").write_bytes(b"the reader's")
    server = mirror()
    for _ in range(2):
        check_small_mnist(load_mnist(tmp_path / "data"))
    assert server.asked == [NAMES[3], NAME, NAMES[0]]  # the smallest first
    assert stored(tmp_path) == sorted([*NAMES, "data", "film.part"])


@pytest.mark.parametrize("manner", [*MANNERS][:-1])
def test_where_a_mirror_fails_and_only_there_the_next_one_is_asked(mirror, tmp_path, manner):
    put(tmp_path, **{NAME: None})
    first, good = mirror(manner), mirror()
    check_small_mnist(load_mnist(tmp_path))
    assert first.asked == [NAME] and stored(tmp_path) == sorted(NAMES)
    assert good.asked == [NAME] * (manner not in ("answers", "is steady"))
    assert all(t.daemon for t in threading.enumerate() if t is not threading.main_thread())


def test_dead_ports_and_names_looked_up_for_ever_do_not_matter(mirror, tmp_path, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as unused:
        dead = f"http://127.0.0.1:{unused.getsockname()[1]}/"
    look_up, over = socket.getaddrinfo, threading.Event()
    hang = {"a.invalid": lambda *rest: over.wait(FOR_EVER)}
    monkeypatch.setattr(socket, "getaddrinfo", lambda h, *rest: hang.get(h, look_up)(h, *rest))
    monkeypatch.setattr(_download, "PATIENCE", 0.6)
    MNIST.mirrors.extend([dead, "http://a.invalid/"])
    good = mirror()
    put(tmp_path, **{NAME: None})
    check_small_mnist(load_mnist(tmp_path))
    assert good.asked == [NAME] and not over.set()


def test_without_network_one_line_says_so_and_no_folder_matters(mirror, tmp_path, embedded, capsys):
    (tmp_path / "file").touch()
    bad, folder = mirror("has nothing"), tmp_path / "file" / "below"
    data = load_mnist(folder)
    for part in ("train_images", "train_labels", "test_images", "test_labels"):
        assert torch.equal(getattr(data, part), getattr(embedded, part))
    line = rf".* MNIST cannot be downloaded \(.*{NAMES[3]}.gz: HTTPError\); put the files in .*raw"
    assert re.fullmatch(f"{line}, or try again online for all 70,000.\n", capsys.readouterr().out)
    assert data.source == "embedded" and bad.asked == NAMES[3:]
    mirror()
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(OSError, match=r"MNIST must be stored, got .*raw \(.*\); set CONVAE_DA"):
            load_mnist(folder)
    assert stored(tmp_path) == ["file"]


HINDRANCES = {
    "one byte changed": lambda path: path.write_bytes(SMALL[NAME][:-1] + b"?"),
    "truncated": lambda path: path.write_bytes(SMALL[NAME][:-1]),
    "a folder": lambda path: path.mkdir(),
    "a dangling link": lambda path: path.symlink_to("nowhere"),
    "a pipe": lambda path: os.mkfifo(path) if hasattr(os, "mkfifo") else path.mkdir(),
}


@pytest.mark.parametrize("hinder", HINDRANCES.values(), ids=HINDRANCES)
def test_what_is_no_mnist_file_is_not_read_but_named_or_kept_beside(
    mirror, tmp_path, capsys, hinder
):
    raw = put(tmp_path, **{NAME: None, NAMES[0]: SMALL[NAME], NAMES[1]: None})
    hinder(raw / NAME)
    before, node = stored(tmp_path), (raw / NAME).lstat().st_ino
    with pytest.raises(ValueError, match=f"{NAMES[0]}, [^ ]*{NAME}: expected .* CONVAE_OFFLINE=1"):
        load_mnist(tmp_path)
    assert stored(tmp_path) == before and (raw / NAME).lstat().st_ino == node
    server = mirror()
    check_small_mnist(load_mnist(tmp_path))
    assert server.asked == [NAME, NAMES[1], NAMES[0]]
    kept, other = (name for name in stored(tmp_path) if name not in NAMES)
    assert kept.startswith(f"{NAME}.rejected-") and (raw / kept).lstat().st_ino == node
    assert other.startswith(f"{NAMES[0]}.rejected-")
    line = f"{NAME} was not the MNIST file: kept as {kept}, replaced\n"
    assert capsys.readouterr().out.startswith(line)


def test_ctrl_c_in_a_download_leaves_nothing(mirror, tmp_path):
    mirror("interrupts")
    with pytest.raises(KeyboardInterrupt):
        load_mnist(tmp_path)
    assert stored(tmp_path) == []


@pytest.mark.parametrize("killed", [False, True])
def test_threads_and_processes_at_once_leave_nothing_killed_or_not(mirror, tmp_path, killed):
    mirror()
    limit, fork = socket.getdefaulttimeout(), multiprocessing.get_context("fork")
    processes = [fork.Process(target=load_mnist, args=(tmp_path,)) for _ in range(2)]
    with warnings.catch_warnings(action="ignore"), ThreadPoolExecutor(2) as pool:
        for process in processes if hasattr(os, "fork") else ():  # it warns of threads
            process.start()
        if killed:
            time.sleep(0.02)
            [process.kill() for process in processes]
        for data in pool.map(load_mnist, [tmp_path, tmp_path]):
            check_small_mnist(data)
        [process.join() for process in processes]
    assert killed or [process.exitcode for process in processes] == [0, 0]
    check_small_mnist(load_mnist(tmp_path))  # may clean up
    assert socket.getdefaulttimeout() == limit and stored(tmp_path) == sorted(NAMES)


# ---- any other images


@pytest.fixture
def pictures(tmp_path):
    """A folder of two classes of two PNG files each, and the pixels in them."""
    pixels = torch.randint(0, 256, (4, 16, 24, 3), dtype=torch.uint8)
    for index, image in enumerate(pixels.numpy()):
        folder = tmp_path / "pictures" / "ab"[index // 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"{index}.png")
    return tmp_path / "pictures", pixels.permute(0, 3, 1, 2)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_folder_of_pictures_becomes_tensors_and_a_broken_file_is_named(pictures, workers):
    folder, pixels = pictures
    images, labels = from_dataset(ImageFolder(folder), workers=workers)
    assert torch.equal(images, scale_images(pixels)) and labels.tolist() == [0, 0, 1, 1]
    images, _ = from_dataset(ImageFolder(folder, ToTensor()), workers=workers)
    assert torch.equal(images, pixels / 255)  # fractions, as they are
    (folder / "b" / "3.png").write_bytes(b"no picture")
    wanted = r"^item 3 \(.*3.png\) must be .* cannot identify image"
    with pytest.raises(ValueError, match=wanted) as caught:
        from_dataset(ImageFolder(folder), workers=workers)
    assert caught.value.__cause__ and multiprocessing.active_children() == []


GREY = Image.fromarray(np.array([[255, 0]], dtype=np.uint8))


@pytest.mark.parametrize("default", ["cpu", "meta"])
def test_any_dataset_with_a_length_is_read_onto_the_cpu(default):
    fake = FakeData(3, (3, 8, 8), num_classes=4)
    pictures, digits = zip(*fake, strict=True)
    floats = torch.rand(5, 2, 3, 4, dtype=torch.float64, requires_grad=True)
    pairs = TensorDataset(floats, torch.arange(5).to(torch.uint8))
    with torch.device(default):
        images, labels = from_dataset(fake)
        same, numbers = from_dataset(Subset(pairs, [4, 2]))
        grey, sevens = from_dataset([(GREY, 7)] * 2)
    pixels = torch.stack([torch.tensor(np.array(picture)) for picture in pictures])
    assert torch.equal(images, scale_images(pixels.permute(0, 3, 1, 2)))
    assert labels.tolist() == [*digits] and labels.dtype == torch.int64
    assert torch.equal(same, floats[[4, 2]]) and numbers.tolist() == [4, 2]
    assert same.dtype == torch.float64 and not same.requires_grad
    assert grey.tolist() == [[[[1, -1]]]] * 2 and sevens.tolist() == [7, 7]


GOOD = torch.zeros(1, 4, 4)


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize(
    ("item", "message"),
    [
        ((torch.zeros(1, 4, 5), 0), r"like the first, torch.float32 .*\(1, 4, 4\), .*\(1, 4, 5\)"),
        ((GOOD.double(), 0), "like the first, torch.float32 .* got torch.float64"),
        ((GOOD[0], 0), r"got Tensor of torch.Size\(\[4, 4\]\), no tensor"),
        ((GOOD + torch.nan, 0), "NaN or infinite"),
        ((GOOD.long(), 0), "floating-point pixels, got torch.int64"),
        ((Image.new("P", (4, 4)), 0), r"got Image of P, .*\.convert\('RGB'\)"),
        (("image", 0), "got str of no shape"),
        ((GOOD, 0.5), "a whole number, got .* as an integer"),
        (GOOD, "got not enough values to unpack"),
    ],
)
def test_the_item_that_does_not_fit_is_named(item, message, workers):
    with pytest.raises(ValueError, match=f"^item 2 must be an image .*{message}"):
        from_dataset([(GOOD, 0), (GOOD, 1), item], workers=workers)


@pytest.mark.parametrize("dataset", [[], None, iter([(GOOD, 0)])])
def test_a_dataset_without_items_or_length_is_refused(dataset):
    with pytest.raises(ValueError, match=r"must have a length and items, got \w+"):
        from_dataset(dataset)
