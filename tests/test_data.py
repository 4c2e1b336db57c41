import gzip
import hashlib
import http.server
import multiprocessing
import os
import re
import socket
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import pytest
import requests  # noqa: F401 - before anybody waits for it
import torch
from PIL import Image
from torch.utils.data import Subset, TensorDataset
from torchvision.datasets import MNIST, ImageFolder

from convae_lib import ImageData, _download, from_dataset, load_mnist, scale_images


@pytest.mark.parametrize("shape", [(2, 28, 28), (3, 1, 8, 8), (2, 4, 5, 3), (1, 5, 4, 5)])
def test_pixels_become_numbers_in_order_and_stay_as_they_were(shape):
    pixels = torch.randint(0, 256, shape, dtype=torch.uint8)
    before, scaled = pixels.clone(), scale_images(pixels)
    expected = (2 * before.double() / 255 - 1).reshape(shape[0], -1, *shape[-2:])
    torch.testing.assert_close(scaled.double(), expected, rtol=0, atol=2e-7)
    assert scaled.dtype == torch.float32 and torch.equal(pixels, before)


IMAGES, LABELS, GOOD = torch.zeros(2, 1, 8, 8), torch.tensor([0, 1]), torch.zeros(1, 4, 4)
DATA = ImageData(IMAGES, LABELS, IMAGES, LABELS, "embedded")
BYTES = torch.zeros(1, 5, 5, 4, dtype=torch.uint8)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: scale_images(IMAGES), TypeError, "^images .* 8-bit .* Tensor of torch.float32"),
        (lambda: scale_images([[0]]), TypeError, "^images must .* got list of no dtype"),
        (lambda: scale_images(BYTES[0, 0]), ValueError, r"^images .* \(N, H, W\) .* got \(5, 4\)"),
        (lambda: scale_images(BYTES[None]), ValueError, r"^images .* got \(1, 1, 5, 5, 4\)"),
        (lambda: scale_images(BYTES), ValueError, r"move the channels .*permute\(0, 3, 1, 2"),
        (lambda: setattr(DATA, "source", "mnist"), AttributeError, "cannot assign to field"),
        (lambda: from_dataset([]), ValueError, "^dataset must have a length and items, got list"),
        (lambda: from_dataset(iter([(GOOD, 0)])), ValueError, "a length and items, got list_it"),
        ({"source": "web"}, ValueError, 'must be "mnist" or "embedded", got .web'),
        ({"train_images": [0]}, TypeError, "must be a torch.Tensor, got list"),
        ({"train_labels": [0, 1]}, TypeError, "must be a torch.Tensor, got list"),
        ({"test_images": IMAGES[0]}, ValueError, r"shape \(N, C, H, W\), got \(1, 8, 8\)"),
        ({"train_images": IMAGES.byte()}, TypeError, "got torch.uint8; .*scale_images"),
        ({"test_images": IMAGES.double()}, TypeError, "must hold torch.float32 .* torch.float64"),
        ({"train_images": IMAGES + torch.nan}, ValueError, "must be finite"),
        ({"test_images": IMAGES[:1]}, ValueError, "and test_labels must .* 1 and 2"),
        ({"train_labels": LABELS[:, None]}, TypeError, r"int64 \(N,\).* of shape \(2, 1\)"),
        ({"train_labels": LABELS.int()}, TypeError, "must be int64 .* got torch.int32"),
        ({"train_labels": LABELS.to("meta")}, TypeError, "on cpu, got .* on meta"),
    ],
)
def test_what_is_no_pixels_and_no_image_data_is_refused(call, error, message):
    with pytest.raises(error, match=message if callable(call) else f"^{min(call)} .*{message}"):
        call() if callable(call) else ImageData(**(vars(DATA) | call))


def check_parts(data, train, test):
    for part, counts in (("train", train), ("test", test)):
        images, labels = getattr(data, f"{part}_images"), getattr(data, f"{part}_labels")
        assert images.shape == (sum(counts), 1, 28, 28) and images.dtype == torch.float32
        assert images.min() == -1 and images.max() == 1
        assert labels.dtype == torch.int64 and labels.bincount().tolist() == counts


def test_the_embedded_tier_has_no_image_twice_and_the_labels_of_its_images(embedded):
    check_parts(embedded, [400] * 10, [100] * 10)
    assert repr(embedded) == "4,000 training and 1,000 test images (source: embedded)"
    assert ImageData(**vars(DATA)) != DATA and {DATA}  # not compared pixel by pixel
    assert embedded.train_labels[:12].tolist() == [*range(10), 0, 1]  # any part is balanced
    train, test = embedded.train_images.flatten(1), embedded.test_images.flatten(1)
    assert len({image.numpy().tobytes() for image in (*train, *test)}) == 5000
    means = torch.stack([train[embedded.train_labels == digit].mean(dim=0) for digit in range(10)])
    assert (torch.cdist(test, means).argmin(dim=1) == embedded.test_labels).float().mean() > 0.7


def test_all_of_mnist_where_it_is_found(data):
    if data.source != "mnist":
        pytest.skip("needs all of MNIST")
    train = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    check_parts(data, train, [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009])
    assert data.train_images.mean().item() == pytest.approx(2 * 0.1306604762738429 - 1, abs=1e-5)


NAMES = list(_download.FILES)
NAME = NAMES[2]  # of the test images
PIXELS = torch.randint(0, 256, (14, 28, 28))
PARTS = dict(zip(NAMES, (PIXELS[:9], torch.arange(9), PIXELS[9:], torch.arange(5)), strict=True))
HEADS = {n: np.array([0x800 + v.ndim, *v.shape], ">u4").tobytes() for n, v in PARTS.items()}
SMALL = {n: HEADS[n] + v.byte().numpy().tobytes() for n, v in PARTS.items()}
ARCHIVES = {f"{name}.gz": gzip.compress(content, mtime=0) for name, content in SMALL.items()}
PARSED = cache(np.genfromtxt)  # the text of the embedded images, once for all tests
FOR_EVER = 20  # seconds: far more than the patience of these tests
MANNERS = {  # what is sent at once, what then byte by byte, and after how many seconds each
    "answers": lambda head, body: (head + body, b"", 0),
    "has nothing": lambda head, body: (b"HTTP/1.0 404 Not Found\r\n\r\n", b"", 0),
    "changes a byte": lambda head, body: (head + body[:-1] + bytes([body[-1] ^ 1]), b"", 0),
    "cuts short": lambda head, body: (head + body[:-100], b"", 0),
    "is silent": lambda head, body: (b"", head, FOR_EVER),
    "has a slow head": lambda head, body: (b"", head + body, 0.05),
    "has a slow body": lambda head, body: (head, body, 0.05),
    "slows down": lambda head, body: (head + body[:-60], body[-60:], 0.05),
}


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = ARCHIVES[self.path[1:]]
        self.server.asked.append(self.path[1:-3])
        head = f"HTTP/1.0 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        at_once, slowly, pause = MANNERS[self.server.manner](head, body)
        self.wfile.write(at_once)
        for byte in slowly:
            if not self.server.over.wait(pause):
                self.wfile.write(bytes([byte]))


@pytest.fixture
def mirror(monkeypatch):
    """Each call starts a mirror of the small MNIST and adds it to the list, at first empty."""
    servers = []
    for name, value in {"CONVAE_OFFLINE": "", "CONVAE_DATA": "", "no_proxy": "*"}.items():
        monkeypatch.setenv(name, value)
    md5 = [{n: hashlib.md5(c).hexdigest() for n, c in f.items()} for f in (SMALL, ARCHIVES)]
    monkeypatch.setattr(_download, "FILES", md5[0])
    monkeypatch.setattr(MNIST, "resources", [*md5[1].items()])
    monkeypatch.setattr(_download, "SLOWEST", 500)
    monkeypatch.setattr(np, "genfromtxt", PARSED)
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
    [(raw / n).write_bytes(content) for n, content in (SMALL | changes).items() if content]
    return raw


def stored(folder):
    return sorted(path.name for path in folder.rglob("*") if path.name not in ("MNIST", "raw"))


def check_small_mnist(data):
    assert data.source == "mnist"
    assert torch.equal(data.train_images, scale_images(PIXELS[:9].byte()))
    assert torch.equal(data.test_images, scale_images(PIXELS[9:].byte()))
    assert data.train_labels.tolist() == [*range(9)] and data.test_labels.tolist() == [*range(5)]


def test_files_that_are_there_are_only_read(mirror, tmp_path, monkeypatch, capsys):
    for name in ("HOME", "USERPROFILE", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    cache, server = _download.os_cache("convae"), mirror()
    assert cache.is_relative_to(tmp_path)  # not the user's own
    before = {path.name: path.stat().st_mtime_ns for path in put(cache).iterdir()}
    check_small_mnist(load_mnist())
    monkeypatch.setenv("CONVAE_DATA", str(cache.rename(tmp_path / "chosen")))
    check_small_mnist(load_mnist())
    raw = (tmp_path / "chosen").rename(tmp_path / "named") / "MNIST" / "raw"
    check_small_mnist(load_mnist("~/named"))
    assert {path.name: path.stat().st_mtime_ns for path in raw.iterdir()} == before
    assert server.asked == [] and capsys.readouterr().out == ""


def test_what_is_missing_is_downloaded_and_what_killed_processes_left_goes(mirror, tmp_path):
    (tmp_path / "data" / "MNIST").mkdir(parents=True)
    (tmp_path / "data" / "MNIST" / "raw").symlink_to(tmp_path)
    (tmp_path / NAMES[1]).write_bytes(SMALL[NAMES[1]])
    (tmp_path / f"{NAME}.123-456.part").write_bytes(b"half")
    (tmp_path / "film.part").write_bytes(b"the reader's")
    server = mirror()
    check_small_mnist(load_mnist(tmp_path / "data"))
    assert server.asked == [NAMES[3], NAME, NAMES[0]]  # the smallest first
    assert stored(tmp_path) == sorted([*NAMES, "data", "film.part"])


@pytest.mark.parametrize("manner", MANNERS)
def test_where_a_mirror_fails_and_only_there_the_next_one_is_asked(mirror, tmp_path, manner):
    put(tmp_path, **{NAME: None})
    first, good = mirror(manner), mirror()
    check_small_mnist(load_mnist(tmp_path))
    assert first.asked == [NAME] and stored(tmp_path) == sorted(NAMES)
    assert good.asked == [NAME] * (manner != "answers")
    assert all(t.daemon for t in threading.enumerate() if t is not threading.main_thread())


def test_dead_ports_and_names_looked_up_for_ever_do_not_matter(mirror, tmp_path, monkeypatch):
    look_up, over = socket.getaddrinfo, threading.Event()
    hang = {"a.invalid": lambda *rest: over.wait(FOR_EVER)}
    monkeypatch.setattr(socket, "getaddrinfo", lambda h, *rest: hang.get(h, look_up)(h, *rest))
    MNIST.mirrors.extend(["http://127.0.0.1:1/", "http://a.invalid/"])
    bad, good = mirror("has nothing"), mirror()
    put(tmp_path, **{NAME: None})
    check_small_mnist(load_mnist(tmp_path))
    assert bad.asked == good.asked == [NAME] and not over.set()


def test_offline_or_without_network_a_line_says_so(mirror, tmp_path, embedded, monkeypatch, capsys):
    (tmp_path / "file").touch()
    bad, folder, state = mirror("has nothing"), tmp_path / "file" / "below", torch.get_rng_state()
    data = load_mnist(folder)
    for part in ("train_images", "train_labels", "test_images", "test_labels"):
        assert torch.equal(getattr(data, part), getattr(embedded, part))
    line = rf".* MNIST cannot be downloaded \(.*{NAMES[3]}.gz: HTTPError\); put the files in .*raw"
    assert re.fullmatch(f"{line}, or try again online for all 70,000.\n", capsys.readouterr().out)
    assert data.source == "embedded" and bad.asked == NAMES[3:]
    good = mirror()
    with pytest.raises(OSError, match=r"MNIST must be stored, got .*raw \(.*\); set CONVAE_DATA"):
        load_mnist(folder)
    monkeypatch.setenv("CONVAE_OFFLINE", "1")
    assert load_mnist(put(tmp_path).parents[1]).source == "embedded" and good.asked == NAMES[3:]
    line = "Using the 5,000 embedded MNIST images: CONVAE_OFFLINE=1 is set; unset it for all 70,000"
    assert capsys.readouterr().out == f"{line}.\n" and stored(tmp_path) == sorted(["file", *NAMES])
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    "hinder",
    [
        os.mkdir,
        getattr(os, "mkfifo", os.mkdir),
        lambda p: p.symlink_to("?"),
        lambda p: p.write_bytes(SMALL[NAME][:-1]),
    ],
)
def test_what_is_no_mnist_file_is_named_or_kept_beside(mirror, tmp_path, capsys, hinder):
    raw = put(tmp_path, **{NAME: None, NAMES[0]: SMALL[NAMES[0]][:-4] + b"four", NAMES[1]: None})
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
    assert f"{NAME} was not the MNIST file: kept as {kept}, replaced\n" in capsys.readouterr().out


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes start too slowly without fork")
@pytest.mark.parametrize("killed", [False, True])
def test_threads_and_processes_at_once_leave_nothing_killed_or_not(mirror, tmp_path, killed):
    mirror()
    fork = multiprocessing.get_context("fork")
    processes = [fork.Process(target=load_mnist, args=(tmp_path,)) for _ in range(2)]
    with warnings.catch_warnings(action="ignore"), ThreadPoolExecutor(2) as pool:
        [process.start() for process in processes]  # fork warns of threads
        time.sleep(0.02)
        [process.kill() for process in processes if killed]
        for data in pool.map(load_mnist, [tmp_path, tmp_path]):
            check_small_mnist(data)
        [process.join() for process in processes]
    assert killed or [process.exitcode for process in processes] == [0, 0]
    check_small_mnist(load_mnist(tmp_path))  # may clean up
    assert stored(tmp_path) == sorted(NAMES)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_folder_of_pictures_becomes_tensors_and_a_broken_file_is_named(tmp_path, workers):
    pixels = torch.randint(0, 256, (4, 16, 24, 3), dtype=torch.uint8)
    for index, image in enumerate(pixels.numpy()):
        (path := tmp_path / "ab"[index // 2] / f"{index}.png").parent.mkdir(exist_ok=True)
        Image.fromarray(image).save(path)
    images, labels = from_dataset(ImageFolder(tmp_path), workers=workers)
    assert torch.equal(images, scale_images(pixels.permute(0, 3, 1, 2)))
    assert labels.tolist() == [0, 0, 1, 1] and labels.dtype == torch.int64
    path.write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"^item 3 \(.*3.png\) .* cannot identify") as caught:
        from_dataset(ImageFolder(tmp_path), workers=workers)
    assert caught.value.__cause__ and multiprocessing.active_children() == []


@pytest.mark.parametrize("default", ["cpu", "meta"])
def test_any_dataset_with_a_length_is_read_onto_the_cpu(default):
    floats = torch.rand(5, 2, 3, 4, dtype=torch.float64, requires_grad=True)
    pairs = TensorDataset(floats, torch.arange(5).to(torch.uint8))
    picture = Image.fromarray(np.array([[255, 0]], dtype=np.uint8))
    with torch.device(default):
        images, labels = from_dataset(Subset(pairs, [4, 2]))
        grey, sevens = from_dataset([(picture, 7)] * 2)
    assert torch.equal(images, floats[[4, 2]]) and labels.tolist() == [4, 2]
    assert images.dtype == torch.float64 and not images.requires_grad
    assert grey.tolist() == [[[[1, -1]]]] * 2 and sevens.tolist() == [7, 7]


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
        ((Image.new("I;16", (4, 4)), 0), r"got Image of I;16, .* picture \(lesson 11's load_pict"),
        (("image", 0), "got str of no shape"),
        ((GOOD, 0.5), "a whole number, got .* as an integer"),
        (GOOD, "got not enough values to unpack"),
    ],
)
def test_the_item_that_does_not_fit_is_named(item, message, workers):
    with pytest.raises(ValueError, match=f"^item 2 must be an image .*{message}"):
        from_dataset([(GOOD, 0), (GOOD, 1), item], workers=workers)
