import functools
import gzip
import hashlib
import http.server
import json
import os
import socket
import struct
import subprocess
import sys
import threading
import time

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from convae_lib import ImageData, load_mnist, scale_images
from convae_lib import data as data_module

NAMES = [
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
]


# ---- scale_images


def test_every_pixel_value_lands_where_the_formula_says():
    pixels = torch.arange(256, dtype=torch.uint8).repeat(4)[: 28 * 28].reshape(1, 28, 28)
    scaled = scale_images(pixels)
    assert scaled.dtype == torch.float32
    assert scaled.min() == -1 and scaled.max() == 1
    expected = 2 * pixels.double() / 255 - 1
    torch.testing.assert_close(scaled[:, 0].double(), expected, rtol=0, atol=2e-7)


@given(rows=st.integers(0, 5), seed=st.integers(0, 10**6))
def test_scaling_keeps_order_and_range_and_can_be_undone(rows, seed):
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (rows, 28, 28), dtype=torch.uint8, generator=generator)
    before = pixels.clone()
    scaled = scale_images(pixels)
    assert scaled.shape == (rows, 1, 28, 28)
    assert ((scaled >= -1) & (scaled <= 1)).all()
    assert torch.equal(((scaled[:, 0] + 1) * 127.5).round().byte(), pixels)
    assert torch.equal(pixels, before)


@pytest.mark.parametrize(
    ("images", "error", "message"),
    [
        (
            torch.zeros(2, 28, 28),
            TypeError,
            r"8-bit pixels \(torch.uint8\), got Tensor of torch.float32; pass",
        ),
        (
            torch.zeros(2, 28, 28, dtype=torch.int64),
            TypeError,
            "got Tensor of torch.int64; pass the raw",
        ),
        ([[0]], TypeError, "images must be a torch.Tensor of 8-bit pixels .* got list"),
        (
            torch.zeros(28, 28).byte(),
            ValueError,
            r"\(N, H, W\), got \(28, 28\); pass them without",
        ),
        (torch.zeros(2, 1, 28, 28).byte(), ValueError, r"\(N, H, W\), got \(2, 1, 28, 28\)"),
    ],
)
def test_only_raw_pixels_can_be_scaled(images, error, message):
    with pytest.raises(error, match=message):
        scale_images(images)


# ---- ImageData


def image_data(**changes):
    parts = {
        "train_images": torch.zeros(1200, 1, 28, 28),
        "train_labels": torch.zeros(1200, dtype=torch.int64),
        "test_images": torch.zeros(3, 1, 28, 28),
        "test_labels": torch.zeros(3, dtype=torch.int64),
        "source": "embedded",
    }
    return ImageData(**(parts | changes))


def test_image_data_says_what_it_holds():
    assert repr(image_data()) == "1,200 training and 3 test images (source: embedded)"


def test_image_data_cannot_be_changed():
    with pytest.raises(AttributeError, match="cannot assign to field 'source'"):
        image_data().source = "mnist"


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        (
            {"train_images": torch.zeros(1200, 28, 28)},
            ValueError,
            r"^train_images must have shape \(N, 1, 28, 28\), got \(1200, 28, 28\)",
        ),
        (
            {"test_images": torch.zeros(3, 1, 28, 28).byte()},
            TypeError,
            "^test_images must hold floating-point numbers, got torch.uint8",
        ),
        (
            {"train_labels": torch.zeros(1199)},
            ValueError,
            "^train_images and train_labels must have one row each .* got 1200 and 1199",
        ),
        (
            {"test_labels": torch.zeros(4)},
            ValueError,
            "^test_images and test_labels must have one row each .* got 3 and 4",
        ),
        (
            {"test_images": torch.zeros(0, 1, 28, 28), "test_labels": torch.zeros(0)},
            ValueError,
            "^test_images must hold at least one example, got none",
        ),
    ],
)
def test_images_and_labels_that_do_not_match_are_refused(changes, error, message):
    with pytest.raises(error, match=message):
        image_data(**changes)


# ---- the two real tiers


@pytest.fixture
def no_settings(monkeypatch):
    """Neither environment variable is set, and no proxy stands before this machine."""
    monkeypatch.delenv("CONVAE_OFFLINE", raising=False)
    monkeypatch.delenv("CONVAE_DATA", raising=False)
    monkeypatch.setenv("no_proxy", "*")


def check_parts(data, train, test):
    for images, labels, count in (
        (data.train_images, data.train_labels, train),
        (data.test_images, data.test_labels, test),
    ):
        assert images.shape == (count, 1, 28, 28) and images.dtype == torch.float32
        assert images.min() == -1 and images.max() == 1
        assert labels.shape == (count,) and labels.dtype == torch.int64
        assert labels.unique().tolist() == list(range(10))


def test_the_embedded_tier_is_4000_and_1000_images_with_each_digit_equally_often(embedded):
    assert embedded.source == "embedded"
    check_parts(embedded, 4000, 1000)
    assert embedded.train_labels.bincount().tolist() == [400] * 10
    assert embedded.test_labels.bincount().tolist() == [100] * 10
    assert embedded.train_labels[:12].tolist() == [*range(10), 0, 1]  # any part is balanced


def test_no_image_is_in_both_parts_of_the_embedded_tier(embedded):
    train, test = (
        {image.numpy().tobytes() for image in images}
        for images in (embedded.train_images, embedded.test_images)
    )
    assert len(train) == 4000 and len(test) == 1000
    assert not train & test


def test_the_embedded_labels_belong_to_their_images(embedded):
    """The nearest mean image of a class names most digits; shuffled labels would give a tenth."""
    means = torch.stack(
        [embedded.train_images[embedded.train_labels == d].mean(dim=0).flatten() for d in range(10)]
    )
    nearest = torch.cdist(embedded.test_images.flatten(1), means).argmin(dim=1)
    assert (nearest == embedded.test_labels).float().mean() > 0.7


def test_offline_the_embedded_tier_comes_with_one_line_and_the_same_every_time(
    embedded, monkeypatch, capsys, tmp_path
):
    monkeypatch.setenv("CONVAE_OFFLINE", "1")
    state = torch.get_rng_state()
    again = load_mnist(tmp_path / "never_made")
    assert torch.equal(torch.get_rng_state(), state)
    for part in ("train_images", "train_labels", "test_images", "test_labels"):
        assert torch.equal(getattr(again, part), getattr(embedded, part))
    assert capsys.readouterr().out == (
        "Using the 5,000 embedded MNIST images: CONVAE_OFFLINE=1 is set; unset it for all 70,000.\n"
    )
    assert not (tmp_path / "never_made").exists()


def test_all_of_mnist_where_it_is_found(data):
    if data.source != "mnist":
        pytest.skip("needs all of MNIST")
    check_parts(data, 60_000, 10_000)
    digits = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert data.train_labels.bincount().tolist() == digits
    assert data.test_labels.bincount().tolist() == [
        *(980, 1135, 1032, 1010, 982),
        *(892, 958, 1028, 974, 1009),
    ]
    assert data.train_images.mean().item() == pytest.approx(2 * 0.1306604762738429 - 1, abs=1e-5)


# ---- a small MNIST, and a server for it on this machine


def idx_file(values):
    """The bytes of an IDX file: two zeros, 8 for uint8, the rank, the sizes, the numbers."""
    sizes = struct.pack(f">{values.ndim}I", *values.shape)
    return bytes([0, 0, 8, values.ndim]) + sizes + values.numpy().tobytes()


def small_mnist():
    generator = torch.Generator().manual_seed(0)
    files = []
    for count in (12, 5):
        size = (count, 28, 28)
        files.append(torch.randint(0, 256, size, dtype=torch.uint8, generator=generator))
        files.append((torch.arange(count) % 10).to(torch.uint8))
    return {name: idx_file(values) for name, values in zip(NAMES, files, strict=True)}


FILES = small_mnist()
ARCHIVES = {f"{name}.gz": gzip.compress(content, mtime=0) for name, content in FILES.items()}
MD5 = {name: hashlib.md5(content).hexdigest() for name, content in FILES.items()}
RESOURCES = [(name, hashlib.md5(content).hexdigest()) for name, content in ARCHIVES.items()]


embedded_arrays = functools.cache(data_module.mnist_data)  # reading them takes a second


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves ``server.content`` by name and writes down what was asked."""

    def do_HEAD(self):
        self.answer(body=False)

    def do_GET(self):
        self.server.may_send.wait()
        time.sleep(self.server.delay)
        if self.headers["Method"] != "HEAD":  # torchvision's look for redirects is no download
            self.server.downloads.append(self.path[1:])
        self.answer(body=True)

    def answer(self, body):
        content = self.server.content.get(self.path[1:])
        if content is None:
            self.send_error(404)
            return
        if body and self.server.garbled:
            self.wfile.write(b"this is no HTTP\r\n\r\n")
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, *args):
        pass


@pytest.fixture
def serve():
    servers = []

    def start(content=ARCHIVES, delay=0.0):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.content, server.delay = dict(content), delay
        server.garbled, server.downloads = False, []
        server.may_send = threading.Event()
        server.may_send.set()
        server.url = f"http://127.0.0.1:{server.server_port}/"
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.may_send.set()
        server.shutdown()
        server.server_close()


@pytest.fixture
def mirrors(monkeypatch, no_settings):
    """The small MNIST stands for the real one; its list of mirrors is to be filled."""
    urls = []
    monkeypatch.setattr(data_module, "_MD5", MD5)
    monkeypatch.setattr(data_module.MNIST, "resources", RESOURCES)
    monkeypatch.setattr(data_module.MNIST, "mirrors", urls)
    monkeypatch.setattr(data_module, "mnist_data", embedded_arrays)
    return urls


@pytest.fixture
def mirror(serve, mirrors):
    server = serve()
    mirrors.append(server.url)
    return server


@pytest.fixture
def silent_port():
    """A socket that accepts connections and never says a word."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(16)
        yield listener.getsockname()[1]


def put(folder, **changes):
    """Write the small MNIST into ``folder``; a changed file gets other content, or none."""
    raw = folder / "MNIST" / "raw"
    raw.mkdir(parents=True)
    contents = {name: FILES[name] for name in NAMES} | changes
    for name, content in contents.items():
        if content is not None:
            (raw / name).write_bytes(content)
    return raw


def stored(folder):
    """Names below ``folder / MNIST``, without the lock, which stays."""
    paths = (folder / "MNIST").rglob("*")
    return sorted(path.name for path in paths if path.name not in ("raw", "download.lock"))


def check_small_mnist(data):
    assert data.source == "mnist"
    assert torch.equal(data.train_labels, torch.arange(12) % 10)
    assert torch.equal(data.test_labels, torch.arange(5))
    for name, images in (
        ("train-images-idx3-ubyte", data.train_images),
        ("t10k-images-idx3-ubyte", data.test_images),
    ):
        pixels = torch.tensor(list(FILES[name][16:]), dtype=torch.uint8).reshape(-1, 28, 28)
        assert torch.equal(images, scale_images(pixels))


def test_files_that_are_there_are_read_without_asking_a_mirror(mirror, tmp_path, capsys):
    put(tmp_path)
    check_small_mnist(load_mnist(tmp_path))
    assert mirror.downloads == []
    assert stored(tmp_path) == sorted(NAMES)
    assert capsys.readouterr().out == ""


def test_the_folder_comes_from_the_environment_or_the_users_cache(mirror, tmp_path, monkeypatch):
    put(tmp_path / "chosen")
    monkeypatch.setenv("CONVAE_DATA", str(tmp_path / "chosen"))
    check_small_mnist(load_mnist())
    put(tmp_path / "named")
    monkeypatch.setenv("CONVAE_DATA", str(tmp_path / "empty"))
    check_small_mnist(load_mnist(tmp_path / "named"))
    monkeypatch.delenv("CONVAE_DATA")
    put(tmp_path / "cache")
    monkeypatch.setattr(data_module, "user_cache_dir", lambda name: str(tmp_path / "cache"))
    check_small_mnist(load_mnist())
    assert mirror.downloads == []
    assert not (tmp_path / "empty").exists()


def test_a_folder_may_be_a_string_and_start_at_home(mirrors, tmp_path, monkeypatch):
    put(tmp_path / "digits")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    check_small_mnist(load_mnist("~/digits"))


def test_missing_files_are_downloaded_verified_and_put_in_place(mirror, tmp_path):
    check_small_mnist(load_mnist(tmp_path / "new" / "folder"))
    assert mirror.downloads == list(ARCHIVES)
    assert stored(tmp_path / "new" / "folder") == sorted(NAMES)
    check_small_mnist(load_mnist(tmp_path / "new" / "folder"))
    assert mirror.downloads == list(ARCHIVES)


def test_only_what_is_missing_is_downloaded(mirror, tmp_path):
    put(tmp_path, **{NAMES[1]: None, NAMES[2]: None})
    check_small_mnist(load_mnist(tmp_path))
    assert mirror.downloads == [f"{NAMES[1]}.gz", f"{NAMES[2]}.gz"]


@pytest.mark.parametrize(
    "content",
    [FILES[NAMES[0]][:-1000], b"", FILES[NAMES[2]], FILES[NAMES[0]][:-1] + b"\0"],
    ids=["truncated", "empty", "foreign", "one byte changed"],
)
def test_a_wrong_file_is_replaced_and_kept_beside(mirror, tmp_path, capsys, content):
    raw = put(tmp_path, **{NAMES[0]: content})
    check_small_mnist(load_mnist(tmp_path))
    assert mirror.downloads == [f"{NAMES[0]}.gz"]
    rejected = f"{NAMES[0]}.rejected-{hashlib.md5(content).hexdigest()[:8]}"
    assert stored(tmp_path) == sorted([*NAMES, rejected])
    assert (raw / rejected).read_bytes() == content
    line = f"{NAMES[0]} was not the MNIST file: kept as {rejected}, replaced\n"
    assert line in capsys.readouterr().out


def test_a_wrong_file_is_never_read_where_no_good_one_can_be_had(mirrors, tmp_path):
    content = FILES[NAMES[0]][:-1] + b"\0"
    raw = put(tmp_path, **{NAMES[0]: content, NAMES[3]: None})
    message = (
        f"{NAMES[0]}: expected the MNIST file of that name, got other content "
        r".*, and no mirror of MNIST can be reached .*; remove it, or set CONVAE_OFFLINE=1"
    )
    with pytest.raises(ValueError, match=message):
        load_mnist(tmp_path)
    assert (raw / NAMES[0]).read_bytes() == content


def test_every_wrong_file_is_named(mirrors, tmp_path):
    put(tmp_path, **{NAMES[0]: b"x", NAMES[3]: b"y"})
    with pytest.raises(ValueError, match=f"{NAMES[0]}, .*{NAMES[3]}: expected"):
        load_mnist(tmp_path)


def test_a_copy_that_an_old_torchvision_left_unverified_is_not_read(mirrors, tmp_path):
    put(tmp_path)
    processed = tmp_path / "MNIST" / "processed"
    processed.mkdir()
    foreign = torch.zeros(3, 28, 28, dtype=torch.uint8), torch.zeros(3, dtype=torch.int64)
    for name in ("training.pt", "test.pt"):
        torch.save(foreign, processed / name)
    check_small_mnist(load_mnist(tmp_path))


def test_an_archive_with_the_wrong_checksum_is_not_installed(mirror, tmp_path, capsys):
    other = FILES[NAMES[2]][:-1] + b"\0"
    mirror.content[f"{NAMES[2]}.gz"] = gzip.compress(other, mtime=0)
    assert load_mnist(tmp_path).source == "embedded"
    assert stored(tmp_path) == sorted(NAMES[:2])
    line = f"Using the 5,000 embedded MNIST images: the download of {NAMES[2]}.gz failed ("
    assert line in capsys.readouterr().out


def test_a_download_that_failed_goes_on_where_it_stopped(mirror, tmp_path):
    missing = f"{NAMES[2]}.gz"
    del mirror.content[missing]
    assert load_mnist(tmp_path).source == "embedded"
    mirror.content[missing] = ARCHIVES[missing]
    mirror.downloads.clear()
    check_small_mnist(load_mnist(tmp_path))
    assert mirror.downloads == [missing, f"{NAMES[3]}.gz"]


def test_a_mirror_that_cuts_every_download_short_gives_the_embedded_tier(mirror, tmp_path, capsys):
    mirror.content[f"{NAMES[0]}.gz"] = ARCHIVES[f"{NAMES[0]}.gz"][:-100]
    assert load_mnist(tmp_path).source == "embedded"
    assert stored(tmp_path) == []
    assert f"the download of {NAMES[0]}.gz failed" in capsys.readouterr().out


def test_a_mirror_that_talks_nonsense_gives_the_embedded_tier(mirror, tmp_path):
    mirror.garbled = True
    assert load_mnist(tmp_path).source == "embedded"
    assert stored(tmp_path) == []


def test_a_download_that_stalls_does_not_hold_the_reader_for_ever(mirror, tmp_path, monkeypatch):
    monkeypatch.setattr(data_module, "_PATIENCE", 0.5)
    mirror.may_send.clear()
    reader = threading.Thread(target=load_mnist, args=(tmp_path,), daemon=True)
    reader.start()
    reader.join(timeout=5)
    held = reader.is_alive()
    mirror.may_send.set()
    reader.join(timeout=30)
    assert not held


def test_a_dead_mirror_does_not_matter_where_another_one_answers(mirrors, serve, tmp_path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        dead = f"http://127.0.0.1:{unused.getsockname()[1]}/"
    mirrors += [dead, serve({}).url, serve().url]
    check_small_mnist(load_mnist(tmp_path))


def test_a_mirror_that_never_answers_costs_no_more_than_the_patience(
    mirrors, silent_port, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(data_module, "_PATIENCE", 0.5)
    mirrors += [f"http://127.0.0.1:{silent_port}/", f"http://127.0.0.1:{silent_port}/other/"]
    start = time.monotonic()
    data = load_mnist(tmp_path / "data")
    seconds = time.monotonic() - start
    assert data.source == "embedded"
    assert seconds < 5
    raw = tmp_path / "data" / "MNIST" / "raw"
    assert capsys.readouterr().out == (
        "Using the 5,000 embedded MNIST images: no mirror of MNIST can be reached "
        "(no answer within 0.5 seconds); "
        f"put the files in {raw}, or try again online for all 70,000.\n"
    )
    assert not (tmp_path / "data").exists()


def test_looking_up_a_name_for_ever_costs_no_more_than_the_patience(mirrors, tmp_path, monkeypatch):
    found = threading.Event()

    def look_up(request, timeout):
        found.wait(30)
        raise OSError("no such name")

    monkeypatch.setattr(data_module, "_PATIENCE", 0.5)
    monkeypatch.setattr(data_module, "urlopen", look_up)
    mirrors.append("http://mirror.invalid/")
    start = time.monotonic()
    assert load_mnist(tmp_path).source == "embedded"
    assert time.monotonic() - start < 5
    found.set()


def test_a_silent_mirror_does_not_hold_up_one_that_answers(
    mirrors, silent_port, serve, tmp_path, monkeypatch
):
    monkeypatch.setattr(data_module, "_PATIENCE", 30)
    mirrors += [f"http://127.0.0.1:{silent_port}/", serve().url]
    start = time.monotonic()
    check_small_mnist(load_mnist(tmp_path))
    assert time.monotonic() - start < 10


def test_an_unreachable_mirror_costs_less_than_ten_seconds_in_all(mirrors, tmp_path, monkeypatch):
    def find_none():
        return time.sleep(data_module._PATIENCE), "no mirror"

    monkeypatch.setattr(data_module, "_find_mirror", find_none)
    start = time.monotonic()
    assert load_mnist(tmp_path).source == "embedded"
    assert time.monotonic() - start < 10


def test_a_folder_that_cannot_be_written_is_one_clear_error(mirror, tmp_path):
    (tmp_path / "file").write_text("in the way")
    message = (
        r"MNIST must be stored in a folder that can be written, got .*raw \(.*\); "
        "set CONVAE_DATA to another folder, or CONVAE_OFFLINE=1"
    )
    with pytest.raises(OSError, match=message):
        load_mnist(tmp_path / "file" / "below")
    assert mirror.downloads == []


def test_a_folder_that_cannot_be_written_does_not_matter_without_a_mirror(mirrors, tmp_path):
    (tmp_path / "file").write_text("in the way")
    assert load_mnist(tmp_path / "file" / "below").source == "embedded"


def test_the_temporary_folder_goes_also_after_ctrl_c(mirror, tmp_path, monkeypatch):
    def interrupted(url, folder, md5):
        (folder / "half").write_bytes(b"half a file")
        raise KeyboardInterrupt

    monkeypatch.setattr(data_module, "download_and_extract_archive", interrupted)
    with pytest.raises(KeyboardInterrupt):
        load_mnist(tmp_path)
    assert stored(tmp_path) == []


PROCESS = """
import json, pathlib, sys, time
from convae_lib import data

settings = json.loads(sys.argv[1])
data._MD5 = settings["md5"]
data.MNIST.resources = settings["resources"]
data.MNIST.mirrors = [settings["mirror"]]
folder, me = pathlib.Path(settings["folder"]), sys.argv[2]
(folder / f"ready-{me}").touch()
while len(list(folder.glob("ready-*"))) < 2:
    time.sleep(0.01)
print(data.load_mnist(folder))
"""


def test_two_processes_at_once_get_the_data_from_one_download(mirror, tmp_path):
    mirror.delay = 0.2
    settings = {"md5": MD5, "resources": RESOURCES, "mirror": mirror.url, "folder": str(tmp_path)}
    start = functools.partial(
        subprocess.Popen, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ
    )
    command = [sys.executable, "-c", PROCESS, json.dumps(settings)]
    processes = [start([*command, name]) for name in ("one", "two")]
    for process in processes:
        out, err = process.communicate(timeout=120)
        assert "12 training and 5 test images (source: mnist)" in out, err
    assert sorted(mirror.downloads) == sorted(ARCHIVES)
    assert stored(tmp_path) == sorted(NAMES)


def test_the_checksums_are_those_of_four_files_that_torchvision_knows():
    assert list(data_module._MD5) == NAMES
    assert [archive for archive, _ in data_module.MNIST.resources] == list(ARCHIVES)


def test_a_lock_left_by_an_ended_process_does_not_matter(mirror, tmp_path):
    (tmp_path / "MNIST").mkdir()
    (tmp_path / "MNIST" / "download.lock").touch()
    check_small_mnist(load_mnist(tmp_path))


@pytest.mark.parametrize("labels", [torch.zeros(2), torch.zeros(2, 1, dtype=torch.int64)])
def test_labels_that_are_no_list_of_whole_numbers_are_refused(labels):
    images, good = torch.zeros(2, 1, 28, 28), torch.zeros(2, dtype=torch.int64)
    with pytest.raises(TypeError, match=r"test_labels must be whole numbers .* of shape \(N,\)"):
        ImageData(images, good, images, labels, "mnist")


def test_an_archive_that_the_first_mirror_spoils_comes_from_the_other(
    serve, mirrors, tmp_path, monkeypatch
):
    spoiled, good = serve(dict.fromkeys(ARCHIVES, b"spoiled")), serve()
    mirrors += [spoiled.url, good.url]
    monkeypatch.setattr(data_module, "_find_mirror", lambda: (spoiled.url, None))
    assert load_mnist(tmp_path).source == "mnist"
    assert spoiled.downloads and good.downloads
