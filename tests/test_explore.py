"""Interactive figures: as data in Python, their networks in Node.js, the whole in Chromium."""

import copy
import json
import re
import subprocess
from base64 import b64decode
from importlib.resources import files
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from draw.page import TEMPLATE, drawing
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from PIL import Image
from torch import nn

import convae_lib
from convae_lib import (
    Autoencoder,
    ConvLayer,
    Decoder,
    IterativeAutoencoder,
    LinearAutoencoder,
    ResidualAutoencoder,
    VariationalAutoencoder,
    code_sliders,
    digit_map,
    load_pretrained,
    pca_baseline,
    reconstruct,
    reconstruction_error,
)
from convae_lib.explore.html import build_page
from convae_lib.explore.network import as_data

DRAW = Path(__file__).parents[1] / "docs/draw"


def library_script(name):
    return (files("convae_lib.explore") / f"{name}.js").read_text("utf-8")


@pytest.fixture(scope="session")
def javascript(node):
    """A function that evaluates a JavaScript expression of ``value`` with the pages' functions."""

    def evaluate(expression, value):
        code = [library_script("html"), library_script("network")]
        code.append((DRAW / "prepare.js").read_text("utf-8"))
        code.append("const value = JSON.parse(require('fs').readFileSync(0, 'utf8'));")
        code.append(f"console.log(JSON.stringify({expression}));")
        command = [node, "-e", "\n".join(code)]
        result = subprocess.run(command, input=json.dumps(value), capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
        return json.loads(result.stdout)

    return evaluate


@pytest.fixture(scope="session")
def run_in_page(javascript):
    """A function that applies a network to a batch as a page does it."""

    def run(network, inputs):
        value = {"network": as_data(network), "rows": inputs.flatten(1).tolist()}
        outputs = javascript(
            "((run) => value.rows.map((row) => Array.from(run(Float32Array.from(row)))))"
            "(buildNetwork(value.network))",
            value,
        )
        return torch.tensor(outputs)

    return run


def run_in_torch(network, inputs):
    network.eval()
    with torch.inference_mode():
        return network(inputs).flatten(1)


# Networks

RGB = {"image_shape": (3, 8, 12), "channels": 5, "neurons": 9}


def pca(data):
    return pca_baseline(data.train_images)


MODELS = {
    "lesson": lambda data: load_pretrained("lesson"),
    "residual": lambda data: load_pretrained("residual"),
    "iterative": lambda data: load_pretrained("iterative"),
    "variational": lambda data: VariationalAutoencoder(),
    "PCA": pca,
    "RGB": lambda data: Autoencoder(6, image_shape=(3, 5, 7)),
    "residual-RGB": lambda data: ResidualAutoencoder(6, **RGB),
    "iterative-RGB": lambda data: IterativeAutoencoder(6, **RGB),
}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("part", ["encoder", "decoder"])
def test_a_network_computes_in_the_page_what_it_computes_in_torch(
    name, part, offline_data, run_in_page
):
    model = MODELS[name](offline_data)
    network = getattr(model, part)
    rounded = copy.deepcopy(network).half().float()  # the weights that the page has
    images = offline_data.test_images[:100]
    if name.endswith("RGB"):
        images = torch.rand(100, 3, *model.decoder.image_shape[1:]) * 2 - 1
    inputs = reconstruct(model, images)[1]
    if part == "encoder":
        inputs = torch.cat([images, images / 2], dim=1) if "iterative" in name else images
    output = run_in_page(network, inputs)
    expected = run_in_torch(rounded, inputs)
    assert output.shape == expected.shape
    assert expected.std() > 0.01
    torch.testing.assert_close(output, expected, atol=2e-3, rtol=1e-3)
    torch.testing.assert_close(output, run_in_torch(network, inputs), atol=0.02, rtol=0)


def with_relu():
    decoder = Decoder(6)
    decoder.dense1.activation = nn.ReLU()
    decoder.conv1.activation = None
    return decoder, torch.randn(5, 6)


def with_padded_patches():
    encoder = ResidualAutoencoder(6).encoder
    encoder.patchify = nn.Conv2d(1, 32, 5, stride=4, padding=1, bias=False)
    return encoder, torch.randn(5, 1, 28, 28)


def with_dropout():
    decoder = Decoder(6)
    decoder.dense1.dropout = nn.Dropout(0.5)
    decoder.train()
    return decoder, torch.randn(5, 6)


def with_large_weights():
    decoder = Decoder(6)
    with torch.no_grad():
        decoder.dense1.linear.weight.mul_(1e6)
    return decoder, torch.randn(5, 6) / 1e6


def with_small_weights():
    decoder = Decoder(6)
    with torch.no_grad():
        decoder.dense1.linear.weight.mul_(1e-8)
    return decoder, torch.randn(5, 6) * 1e8


CHANGED_NETWORKS = [
    with_relu,
    with_padded_patches,
    with_dropout,
    with_large_weights,
    with_small_weights,
]


@pytest.mark.parametrize("change", CHANGED_NETWORKS)
def test_a_changed_network_computes_in_the_page_what_it_computes_in_torch(change, run_in_page):
    network, inputs = change()
    expected = run_in_torch(network, inputs)
    torch.testing.assert_close(run_in_page(network, inputs), expected, atol=3e-3, rtol=0)


def test_a_networks_weights_are_in_half_precision_where_that_is_precise_enough():
    assert as_data(Decoder(6))["weights"]["dtype"] == "float16"
    assert as_data(with_large_weights()[0])["weights"]["dtype"] == "float32"
    assert as_data(with_small_weights()[0])["weights"]["dtype"] == "float32"


class AddsOne(Decoder):
    def forward(self, z):
        return super().forward(z) + 1


class Shifted(nn.Tanh):
    def forward(self, x):
        return super().forward(x) + 1


def decoder_with(**changes):
    """A decoder with other attributes of its first dense and its first convolutional layer."""
    decoder = Decoder(6)
    for name, value in changes.items():
        layer, attribute = name.split("_", 1)
        setattr(getattr(decoder, layer), attribute, value)
    return decoder


def decoder_without_dense():
    decoder = Decoder(6)
    decoder.dense1 = nn.Sequential(nn.Linear(6, 7 * 28 * 28), nn.Sigmoid())
    return decoder


def decoder_with_function():
    decoder = Decoder(6)
    decoder.conv1 = ConvLayer(7, 14, 5, activation=torch.sigmoid)
    return decoder


def decoder_with_nan():
    decoder = Decoder(6)
    with torch.no_grad():
        decoder.conv2.conv.bias.fill_(torch.nan)
    return decoder


CONVOLUTION = "conv1.conv must be a convolution with equal numbers for height and width"
REFUSED_NETWORKS = {
    "sigmoid": (
        lambda: decoder_with(dense1_activation=nn.Sigmoid()),
        TypeError,
        r"dense1.activation must be None, .*nn.ReLU\(\) or nn.GELU\(\), got Sigmoid\(\)",
    ),
    "approximate GELU": (
        lambda: decoder_with(conv1_activation=nn.GELU(approximate="tanh")),
        TypeError,
        "conv1.activation must be None, .*got GELU",
    ),
    "function": (decoder_with_function, TypeError, "conv1.activation must be None, .*got sigmoid"),
    "changed activation": (
        lambda: decoder_with(conv1_activation=Shifted()),
        TypeError,
        "conv1.activation must be None, .*got Shifted",
    ),
    "groups": (
        lambda: decoder_with(conv1_conv=nn.Conv2d(7, 14, 5, padding=2, groups=7)),
        ValueError,
        CONVOLUTION,
    ),
    "dilation": (
        lambda: decoder_with(conv1_conv=nn.Conv2d(7, 14, 3, padding=2, dilation=2)),
        ValueError,
        CONVOLUTION,
    ),
    "padding mode": (
        lambda: decoder_with(conv1_conv=nn.Conv2d(7, 14, 5, padding=2, padding_mode="reflect")),
        ValueError,
        CONVOLUTION,
    ),
    "padding by name": (
        lambda: decoder_with(conv1_conv=nn.Conv2d(7, 14, 5, padding="same")),
        ValueError,
        CONVOLUTION,
    ),
    "rectangular kernel": (
        lambda: decoder_with(conv1_conv=nn.Conv2d(7, 14, (3, 5), padding=2)),
        ValueError,
        CONVOLUTION,
    ),
    "unequal strides": (
        lambda: decoder_with(conv1_conv=nn.Conv2d(7, 14, 5, padding=2, stride=(1, 2))),
        ValueError,
        CONVOLUTION,
    ),
    "unequal padding": (
        lambda: decoder_with(conv1_conv=nn.Conv2d(7, 14, 5, padding=(2, 1))),
        ValueError,
        CONVOLUTION,
    ),
    "other layer": (decoder_without_dense, TypeError, "dense1 must be a DenseLayer, .*Sequential"),
    "NaN": (decoder_with_nan, ValueError, "the weights of conv2.conv must be finite"),
    "changed decoder": (lambda: AddsOne(6), TypeError, "network must be one of .*got AddsOne"),
    "other network": (lambda: nn.Linear(2, 2), TypeError, "network must be one of .*got Linear"),
}


@pytest.mark.parametrize(
    ("make", "error", "message"), REFUSED_NETWORKS.values(), ids=REFUSED_NETWORKS
)
def test_a_network_that_the_page_cannot_run_is_refused(make, error, message):
    network = make()
    with pytest.raises(error, match=message):
        as_data(network)


def test_sliders_refuse_a_layer_that_the_page_cannot_run(examples):
    model = Autoencoder(28)
    model.decoder.conv2.activation = nn.Sigmoid()
    with pytest.raises(TypeError, match=r"conv2\.activation must be None"):
        sliders_of(examples, model=model)


# Preparation of a drawing


@pytest.fixture(scope="session")
def prepare(javascript):
    """A function that scales and centers drawings (height, width) in [0, 1], sent in 8 bits."""

    def prepare(drawings):
        pixels = [(drawing * 255).round().byte() for drawing in drawings]
        value = [
            {"ink": p.flatten().tolist(), "width": p.shape[1], "height": len(p)} for p in pixels
        ]
        images = javascript(
            "value.map(({ ink, width, height }) =>"
            " Array.from(prepareDrawing(ink.map((bits) => bits / 255), width, height)))",
            value,
        )
        return torch.tensor(images, dtype=torch.float32).unflatten(1, (28, 28))

    return prepare


def placed_at_random(image, height, width):
    """An image (28, 28) somewhere on a larger black sheet."""
    top = int(torch.randint(height - 28, ()))
    left = int(torch.randint(width - 28, ()))
    sheet = torch.zeros(height, width)
    sheet[top : top + 28, left : left + 28] = image
    return sheet


def mean_squared(a, b):
    return (a - b).square().mean()


def resized(sheet):
    """A sheet 2.3 times as large, with smooth strokes."""
    options = {"scale_factor": 2.3, "mode": "bicubic", "antialias": True}
    larger = nn.functional.interpolate(sheet[None, None], **options)[0, 0].clamp(0, 1)
    return torch.where(larger < 0.03, 0, larger)


def test_a_drawing_is_scaled_and_centered_as_mnists_digits_were(offline_data, prepare):
    digits = (offline_data.test_images[:300, 0] + 1) / 2
    sheets = [placed_at_random(digit, 50, 70) for digit in digits]
    largest_difference = (prepare(sheets) - digits).abs().amax(dim=(1, 2))
    assert (largest_difference < 1e-6).float().mean() > 0.99

    tripled = [sheet.repeat_interleave(3, 0).repeat_interleave(3, 1) for sheet in sheets[:50]]
    largest_difference = (prepare(tripled) - digits[:50]).abs().amax(dim=(1, 2))
    assert (largest_difference < 1e-6).float().mean() > 0.95

    error = mean_squared(prepare([resized(sheet) for sheet in sheets[:50]]), digits[:50])
    error_of_one_pixel = mean_squared(digits[:50].roll(1, dims=2), digits[:50])
    assert error < 0.4 * error_of_one_pixel


def test_a_dot_at_the_edge_fills_the_center(prepare):
    dot = torch.zeros(40, 40)
    dot[-1, -1] = 1
    expected = torch.zeros(1, 28, 28)
    expected[:, 4:24, 4:24] = 1
    torch.testing.assert_close(prepare([dot]), expected)


def test_an_empty_drawing_is_nothing(javascript):
    assert javascript("prepareDrawing(value, 5, 5)", [0] * 25) is None


# Pages as data


def page_data(page):
    """The data inside a page."""
    return json.loads(re.search(r"^const data = (.+);$", page.html, re.MULTILINE)[1])


def unpacked(packed):
    dtype = np.dtype(packed["dtype"]).newbyteorder("<")
    return np.frombuffer(b64decode(packed["base64"]), dtype)


def decoded_png(uri):
    return np.asarray(Image.open(BytesIO(b64decode(uri.partition("base64,")[2]))), dtype=float)


@pytest.fixture(scope="session")
def examples(offline_data):
    """Sixty images with reconstructions, latent vectors, labels and a 2-D embedding."""
    images, labels = offline_data.test_images[:60], offline_data.test_labels[:60]
    reconstructions, codes = reconstruct(load_pretrained("lesson"), images)
    embedding = codes[:, :2] * torch.tensor([2.0, 1])
    return {
        "embedding": embedding,
        "images": images,
        "reconstructions": reconstructions,
        "codes": codes,
        "labels": labels,
    }


def map_of(examples, **changes):
    return digit_map(**(examples | changes))


def sliders_of(examples, **changes):
    names = ("codes", "images", "labels")
    arguments = {name: examples[name] for name in names} | {"model": load_pretrained("lesson")}
    return code_sliders(**(arguments | changes))


def test_a_map_holds_positions_neighbors_and_labels(examples):
    data = page_data(map_of(examples, n_neighbors=4))
    codes, embedding = examples["codes"].double(), examples["embedding"].numpy()
    neighbors = torch.cdist(codes, codes).argsort(dim=1)[:, 1:5]
    np.testing.assert_array_equal(unpacked(data["neighbors"]).reshape(60, 4), neighbors)
    points = unpacked(data["points"]).reshape(60, 2) / 65535
    assert np.ptp(points[:, 0]) == pytest.approx(0.94, abs=1e-4)  # the longer side
    scale = 0.94 / np.ptp(embedding, axis=0).max()
    expected = (embedding - embedding[0]) * scale * [1, -1]
    np.testing.assert_allclose(points - points[0], expected, atol=1e-4)
    names = [data["names"][number] for number in unpacked(data["classes"])]
    assert names == [str(label) for label in examples["labels"].tolist()]
    assert data["colors"] == [to_hex(color) for color in convae_lib.DIGIT_COLORS]


def test_a_map_labels_each_class_near_its_points(examples):
    data = page_data(map_of(examples))
    assert [number for number, _, _ in data["labelPositions"]] == list(range(10))
    points = unpacked(data["points"]).reshape(60, 2) / 65535
    for number, x, y in data["labelPositions"]:
        center = np.median(points[examples["labels"].numpy() == number], axis=0)
        assert np.linalg.norm(center - [x, y]) < 0.2


def test_a_map_starts_with_the_point_whose_neighbors_lie_farthest(examples):
    data = page_data(map_of(examples))
    embedding = examples["embedding"].numpy()
    neighbors = unpacked(data["neighbors"]).reshape(60, 6)
    medians = [
        np.median(np.linalg.norm(embedding[neighbors[row]] - embedding[row], axis=1))
        for row in range(60)
    ]
    assert data["first"] == np.argmax(medians)


@pytest.mark.parametrize("name", ["images", "reconstructions"])
def test_a_map_holds_all_images(examples, name):
    packed = page_data(map_of(examples))[name]
    sheet = decoded_png(packed["uri"]) / 127.5 - 1
    for index in (0, 7, 59):
        row, column = divmod(index, packed["columns"])
        image = sheet[28 * row : 28 * row + 28, 28 * column : 28 * column + 28]
        np.testing.assert_allclose(image, examples[name][index, 0].clamp(-1, 1), atol=0.02)


def test_sliders_hold_latent_vectors_and_their_principal_axes(examples):
    data = page_data(sliders_of(examples, n_axes=3))
    codes = examples["codes"].double().numpy()
    centered = codes - codes.mean(axis=0)
    _, singular_values, vectors = np.linalg.svd(centered, full_matrices=False)
    assert len(data["axes"]) == 3
    for k, axis in enumerate(data["axes"]):
        assert abs(np.dot(axis["vector"], vectors[k])) == pytest.approx(1, abs=1e-4)
        assert axis["sd"] == pytest.approx(singular_values[k] / 59**0.5, rel=1e-3)
        share = singular_values[k] ** 2 / (singular_values**2).sum()
        assert axis["share"] == pytest.approx(share, abs=1e-3)
    np.testing.assert_allclose(unpacked(data["codes"]).reshape(60, 28), codes, atol=1e-3)
    np.testing.assert_allclose(data["mean"], codes.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(data["sd"], codes.std(axis=0), rtol=1e-5)
    distances = torch.cdist(examples["codes"].double(), examples["codes"].double())
    nearest = distances.fill_diagonal_(torch.inf).amin(dim=1)
    assert data["usualDistance"] == pytest.approx(np.median(nearest), rel=0.01)


@pytest.mark.parametrize(
    ("scale", "shift", "dtype"),
    [(1, 0, "float16"), (1e6, 0, "float32"), (1e-8, 0, "float32"), (1, 1000, "float32")],
)
def test_latent_vectors_of_any_size_are_precise(examples, scale, shift, dtype):
    codes = examples["codes"] * scale + shift
    data = page_data(sliders_of(examples, codes=codes))
    assert data["codes"]["dtype"] == dtype
    error = np.abs(unpacked(data["codes"]).reshape(60, 28).astype(float) - codes.numpy())
    assert (error <= 0.01 * codes.numpy().std(axis=0)).all()
    np.testing.assert_allclose(data["mean"], codes.double().mean(dim=0), rtol=1e-6)
    np.testing.assert_allclose(data["sd"], codes.double().std(dim=0, correction=0), rtol=1e-5)


def test_sliders_take_every_model_with_a_decoder_of_the_library(examples, offline_data):
    models = {
        "residual": load_pretrained("residual"),
        "iterative": load_pretrained("iterative"),
        "variational": VariationalAutoencoder(),
        "PCA": pca_baseline(offline_data.train_images),
    }
    layers = {}
    for name, model in models.items():
        _, codes = reconstruct(model, examples["images"])
        data = page_data(sliders_of(examples, model=model, codes=codes))
        layers[name] = [layer["type"] for layer in data["decoder"]["layers"]]
    assert layers["PCA"] == ["dense"]
    assert layers["residual"] == layers["iterative"] == layers["variational"]
    assert layers["residual"][-1] == "pixelShuffle"


def test_sliders_change_neither_the_models_mode_nor_its_weights(examples):
    model = load_pretrained("lesson").train()
    before = copy.deepcopy(model.state_dict())
    sliders_of(examples, model=model)
    assert all(module.training for module in model.modules())
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(tensor, before[name], rtol=0, atol=0)


@pytest.mark.parametrize(
    ("make", "option"), [(map_of, {"n_neighbors": 3}), (sliders_of, {"n_axes": 3})]
)
def test_a_page_is_small_and_equal_data_give_equal_text(examples, make, option):
    page = make(examples)
    assert page == make(examples)
    assert page.html != make(examples, **option).html
    assert len(page.html) < 800_000
    assert "html" not in repr(page)
    assert not re.search(r'(?:src|href)="(?!data:)|https?://(?!www.w3.org)', page.html)


@pytest.mark.parametrize("make", [map_of, sliders_of])
def test_a_page_starts_with_a_still_picture(examples, make):
    page = make(examples)
    start = r'<div class="convae-\w{12}"><img src="data:image/png;base64,(.+?)" alt="\w'
    still = b64decode(re.match(start, page.html)[1])
    assert page._repr_html_() == page.html
    assert page._repr_png_() == page.still == still
    assert 300 < Image.open(BytesIO(still)).width < 900
    assert len(still) < 60_000


def test_maps_and_sliders_do_not_hold_the_code_of_the_drawing_page(examples):
    for page in (map_of(examples), sliders_of(examples)):
        assert "prepareDrawing" not in page.html
    assert "buildNetwork" not in map_of(examples).html


def test_rgb_images_are_stored_in_color():
    images = torch.rand(12, 3, 8, 8) * 2 - 1
    model = ResidualAutoencoder(4, 5, 6, image_shape=(3, 8, 8))
    _, codes = reconstruct(model, images)
    page = code_sliders(model, codes, images, ["cat", "dog", "bird"] * 4)
    sheet = decoded_png(page_data(page)["images"]["uri"]) / 127.5 - 1
    np.testing.assert_allclose(sheet[:8, 8:16], images[1].permute(1, 2, 0), atol=0.02)


HOSTILE = ["</script>", "<!--<script>", "a & b", "\"'><img src=x>", "$\\frac$", "\u2028"]


def hostile_labels(count):
    return np.array([HOSTILE[row % len(HOSTILE)] for row in range(count)])


@pytest.mark.filterwarnings("ignore:Glyph .* missing")
@pytest.mark.parametrize("make", [map_of, sliders_of])
def test_labels_that_look_like_markup_stay_text(examples, make):
    page = make(examples, labels=hostile_labels(60))
    assert page_data(page)["names"] == sorted(HOSTILE)
    values = re.search(r"^const data = (.+);$", page.html, re.MULTILINE)[1]
    assert "<" not in values
    assert values.isascii()
    assert page.html.count("<script>") == page.html.count("</script>") == 1
    assert "<!--" not in page.html


def test_text_around_a_page_is_escaped():
    alt, notice = 'A "map" <of> 3 & 4', "</p><script>"
    page = build_page("show", [], {}, Figure(figsize=(1, 1)), alt, notice=notice)
    assert 'alt="A &quot;map&quot; &lt;of&gt; 3 &amp; 4"' in page.html
    assert "<p>&lt;/p&gt;&lt;script&gt;</p>" in page.html


def test_data_that_json_cannot_hold_are_refused():
    with pytest.raises(ValueError, match="not JSON compliant"):
        build_page("show", [], {"sd": float("nan")}, Figure(figsize=(1, 1)), "A map")


GRAY = torch.zeros(60, 1, 28, 28)
NOT_FINITE = GRAY.clone()
NOT_FINITE[3] = torch.nan
REFUSED_MAPS = {
    "3-D embedding": (
        {"embedding": np.ones((60, 3))},
        r"embedding must have shape \(N, 2\), got \(60, 3\); use tsne",
    ),
    "short embedding": ({"embedding": np.ones((59, 2))}, "embedding must have 60 rows"),
    "few images": ({"images": GRAY[:9]}, r"images must have shape \(60, C, H, W\)"),
    "two channels": ({"images": torch.zeros(60, 2, 8, 8)}, r"grayscale .*\(60, 2, 8, 8\)"),
    "NaN": ({"images": NOT_FINITE}, "images must be finite"),
    "other size": (
        {"reconstructions": GRAY[..., :8]},
        "reconstructions must have the shape of images",
    ),
    "few labels": ({"labels": [1, 2]}, r"labels must .*\(60,\)"),
    "many neighbors": ({"n_neighbors": 60}, "n_neighbors must be less than .* 60, got 60"),
    "no neighbors": ({"n_neighbors": 0}, "n_neighbors must be at least 1"),
    "images as codes": ({"codes": GRAY}, "codes must be a table"),
    "many labels": (
        {
            "embedding": np.random.default_rng(0).random((201, 2)),
            "images": torch.zeros(201, 1, 4, 4),
            "reconstructions": torch.zeros(201, 1, 4, 4),
            "codes": np.random.default_rng(0).random((201, 3)),
            "labels": range(201),
        },
        "labels must have at most 200 different values, got 201",
    ),
}


@pytest.mark.parametrize(("changes", "message"), REFUSED_MAPS.values(), ids=REFUSED_MAPS)
def test_a_map_refuses_wrong_input(examples, changes, message):
    with pytest.raises(ValueError, match=message):
        map_of(examples, **changes)


REFUSED_SLIDERS = {
    "no decoder": (
        {"model": nn.Linear(2, 2)},
        TypeError,
        "model must have a decoder of class .*got a model of class Linear",
    ),
    "other latent dimension": (
        {"codes": GRAY.flatten(1) + 1},
        ValueError,
        r"codes must have shape \(N, 28\) .*got \(60, 784\)",
    ),
    "other images": (
        {"images": GRAY[..., :8]},
        ValueError,
        r"images must have shape \(N, 1, 28, 28\), got \(60, 1, 28, 8\); pass",
    ),
    "equal codes": ({"codes": np.ones((60, 28))}, ValueError, "codes must differ"),
    "no axes": ({"n_axes": 0}, ValueError, "n_axes must be at least 1"),
}


@pytest.mark.parametrize(
    ("changes", "error", "message"), REFUSED_SLIDERS.values(), ids=REFUSED_SLIDERS
)
def test_sliders_refuse_wrong_input(examples, changes, error, message):
    with pytest.raises(error, match=message):
        sliders_of(examples, **changes)


# Pages in a browser

READY = "[...document.querySelectorAll('[class^=convae]')].every((host) => 'ready' in host.dataset)"
FRAME_WAS_DRAWN = "([host, before]) => host.dataset.frames !== before"


@pytest.fixture(scope="session")
def draw_page():
    return drawing()


@pytest.fixture
def show(chromium, tmp_path):
    """Open pages in one document; nothing may be loaded from elsewhere or be an error."""
    complaints, contexts = [], []
    path = tmp_path / "page.html"

    def note_request(request):
        if request.url != path.as_uri() and not request.url.startswith("data:"):
            complaints.append(request.url)

    def show(*pages, **options):
        path.write_text(TEMPLATE.format(body="".join(pages)), encoding="utf-8")
        context = chromium.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", note_request)
        page.goto(path.as_uri())
        if options.get("java_script_enabled", True):
            page.wait_for_function(READY)
        return page

    yield show
    for context in contexts:
        context.close()
    assert complaints == []


def pixels(canvas):
    """The image of a canvas (H, W), with pixels from -1 to 1."""
    read = "(c) => Array.from(c.getContext('2d').getImageData(0, 0, c.width, c.height).data)"
    width = int(canvas.get_attribute("width"))
    return np.reshape(canvas.evaluate(read), (-1, width, 4))[..., 0] / 127.5 - 1


def assert_shows(canvas, image):
    """A canvas shows an image (1, H, W), but for 64 shades and half precision."""
    np.testing.assert_allclose(pixels(canvas), image[0].clamp(-1, 1), atol=0.03)


def circle_x(page):
    """Where the selected point is, from 0 to 1000."""
    return float(page.locator(".lines circle").last.get_attribute("cx"))


def test_pointing_at_a_map_shows_an_image_and_its_neighbors(show, examples):
    interactive = map_of(examples)
    page, data = show(interactive.html), page_data(interactive)
    neighbors = unpacked(data["neighbors"]).reshape(60, 6)
    points = unpacked(data["points"]).reshape(60, 2) / 65535
    labels = examples["labels"].tolist()
    box = page.locator(".map").bounding_box()
    image, reconstruction = page.locator(".pictures canvas").all()
    for index in (0, 17, 42):
        x, y = points[index]
        page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
        names = ", ".join(str(labels[row]) for row in neighbors[index])
        expected = f"Label: {labels[index]}. Labels of the 6 nearest neighbors: {names}."
        assert page.locator(".live").inner_text().startswith(expected)
        assert_shows(image, examples["images"][index])
        assert_shows(reconstruction, examples["reconstructions"][index])
        circles = page.locator(".lines circle").evaluate_all(
            "(all) => all.map((circle) => [circle.cx, circle.cy].map((v) => v.baseVal.value))"
        )
        expected = 1000 * points[[*neighbors[index], index]]
        np.testing.assert_allclose(circles, expected, atol=0.01)


def test_a_map_says_how_many_neighbors_are_far_away(show, examples):
    interactive = map_of(examples)
    page, data = show(interactive.html), page_data(interactive)
    points = unpacked(data["points"]).reshape(60, 2) / 65535
    first = data["first"]
    neighbors = unpacked(data["neighbors"]).reshape(60, 6)[first]
    is_far = np.linalg.norm(points[neighbors] - points[first], axis=1) > 0.094
    assert f"Of these neighbors, {is_far.sum()} " in page.locator(".live").inner_text()
    texts = page.locator(".neighbors button span").all_inner_texts()
    assert [text.endswith("far") for text in texts] == is_far.tolist()


def test_a_neighbors_button_selects_it(show, examples):
    interactive = map_of(examples)
    page, data = show(interactive.html), page_data(interactive)
    neighbors = unpacked(data["neighbors"]).reshape(60, 6)[data["first"]]
    assert_shows(page.locator(".neighbors canvas").nth(3), examples["images"][neighbors[3]])
    page.locator(".neighbors button").nth(3).click()
    assert_shows(page.locator(".pictures canvas").first, examples["images"][neighbors[3]])


def test_a_map_is_used_by_keyboard(show, examples):
    page = show(map_of(examples).html)
    page.keyboard.press("Tab")
    style = page.locator(".map").evaluate("(map) => getComputedStyle(map).outlineStyle")
    assert style == "solid"
    start = circle_x(page)
    page.keyboard.press("ArrowLeft")
    left = circle_x(page)
    assert left < start
    page.keyboard.press("ArrowRight")
    right = circle_x(page)
    assert right > left
    page.keyboard.press("Shift+ArrowRight")
    assert circle_x(page) >= right + 100


def decoded(model, code):
    with torch.inference_mode():
        return model.decoder(code[None])[0]


def position_along(axis, data, code):
    mean = torch.tensor(data["mean"])
    return ((code - mean) @ torch.tensor(axis["vector"])).item() / axis["sd"]


def test_sliders_move_a_latent_vector_along_an_axis(show, examples):
    model, interactive = load_pretrained("lesson"), sliders_of(examples)
    page, data = show(interactive.html), page_data(interactive)
    codes, images, labels = examples["codes"], examples["images"], examples["labels"]
    start_canvas, decoded_canvas, nearest_canvas = page.locator("canvas").all()
    live = page.locator(".live")
    expected = f"This is the latent vector of an image with the label {labels[0]}."
    assert live.inner_text() == expected
    assert_shows(decoded_canvas, decoded(model, codes[0]))

    page.get_by_role("button", name="3", exact=True).click()
    start = int((labels == 3).nonzero()[0])
    assert_shows(start_canvas, images[start])
    axis = data["axes"][1]
    page.get_by_role("slider").nth(1).focus()
    page.keyboard.press("Home")  # to -4 standard deviations
    step = (-4 - position_along(axis, data, codes[start])) * axis["sd"]
    moved = codes[start] + step * torch.tensor(axis["vector"])
    assert_shows(decoded_canvas, decoded(model, moved))
    assert page.locator("output").nth(1).inner_text() == "−4.0"
    distances = (codes - moved).norm(dim=1)
    nearest = int(distances.argmin())
    assert_shows(nearest_canvas, images[nearest])
    ratio = distances[nearest] / data["usualDistance"]
    text = live.inner_text()
    assert f"that of an image with the label {labels[nearest]}. It is {ratio:.1f} times" in text


def test_sliders_change_single_variables_and_are_reset(show, examples):
    model, interactive = load_pretrained("lesson"), sliders_of(examples)
    page, data = show(interactive.html), page_data(interactive)
    codes, decoded_canvas = examples["codes"], page.locator("canvas").nth(1)
    page.get_by_label("single latent variables").check()
    assert page.get_by_role("slider").count() == 28
    page.get_by_role("slider").nth(5).fill("2")
    moved = codes[0].clone()
    moved[5] = data["mean"][5] + 2 * data["sd"][5]
    assert_shows(decoded_canvas, decoded(model, moved))
    page.get_by_role("button", name="Reset the sliders").click()
    assert_shows(decoded_canvas, decoded(model, codes[0]))


def test_a_labels_button_takes_its_images_in_turn(show, examples):
    page = show(sliders_of(examples).html)
    rows = (examples["labels"] == 3).flatten().nonzero().flatten().tolist()
    button = page.get_by_role("button", name="3", exact=True)
    for row in [*rows, rows[0]]:
        button.click()
        assert_shows(page.locator("canvas").first, examples["images"][row])


def test_sliders_run_pca(show, examples, offline_data):
    model = pca_baseline(offline_data.train_images)
    _, codes = reconstruct(model, examples["images"])
    page = show(sliders_of(examples, model=model, codes=codes).html)
    assert_shows(page.locator("canvas").nth(1), decoded(model, codes[0]))
    page.get_by_label("single latent variables").check()
    page.get_by_role("slider").first.fill("-3")
    codes[0, 0] = codes[:, 0].mean() - 3 * codes[:, 0].std(correction=0)
    assert_shows(page.locator("canvas").nth(1), decoded(model, codes[0]))


@pytest.mark.parametrize("scale", [1e6, 1e-8])
def test_sliders_work_at_any_scale_of_the_latent_vectors(show, examples, offline_data, scale):
    pca = pca_baseline(offline_data.train_images)
    model = LinearAutoencoder(pca.components, pca.mean)
    model.decoder.components = pca.components / scale
    _, codes = reconstruct(pca, examples["images"])
    usual = show(sliders_of(examples, model=pca, codes=codes).html)
    scaled = show(sliders_of(examples, model=model, codes=codes * scale).html)
    for page in (usual, scaled):
        page.get_by_label("single latent variables").check()
        page.get_by_role("slider").nth(2).fill("2.5")
    expected = usual.locator("output").all_inner_texts()
    assert scaled.locator("output").all_inner_texts() == expected
    assert scaled.locator(".live").inner_text() == usual.locator(".live").inner_text()
    difference = pixels(scaled.locator("canvas").nth(1)) - pixels(usual.locator("canvas").nth(1))
    assert np.abs(difference).max() < 0.02


def test_sliders_of_duplicates_give_a_distance(show, examples):
    twice = {name: values[:30].repeat_interleave(2, dim=0) for name, values in examples.items()}
    page = show(sliders_of(twice).html)
    page.get_by_role("slider").first.fill("2")
    assert re.match(
        "The nearest latent vector, at a distance of 0", page.locator(".live").inner_text()
    )


@pytest.mark.filterwarnings("ignore:Glyph .* missing")
@pytest.mark.parametrize("make", [map_of, sliders_of])
def test_labels_that_look_like_markup_leave_the_document_whole(show, examples, make):
    page = show(
        make(examples, labels=hostile_labels(60)).html, "<p id=after>This is after the page.</p>"
    )
    assert page.locator("#after").inner_text() == "This is after the page."
    shown = ".labels text" if make is map_of else "[role=group] button[aria-pressed]"
    texts = page.locator(shown).all_text_contents()
    assert sorted(texts) == sorted(HOSTILE)
    assert page.locator("img").count() == 0  # neither the still picture nor one in a label


def test_equal_pages_in_one_document_all_run(show, examples):
    page = show(map_of(examples).html, sliders_of(examples).html, map_of(examples).html)
    assert page.locator(".map").count() == 2
    assert page.locator(".sliders").count() == 1


def test_without_scripts_a_still_picture_stands(show, examples):
    page = show(map_of(examples).html, java_script_enabled=False)
    assert page.locator("img").bounding_box()["width"] > 300
    assert page.get_by_text("This is a still picture.").is_visible()


@pytest.mark.parametrize("width", [390, 1280])
def test_pages_fit_a_screen(show, examples, draw_page, width):
    pages = [map_of(examples).html, sliders_of(examples).html, draw_page.html]
    page = show(*pages, viewport={"width": width, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_are_accessible(show, examples, draw_page, scheme):
    from axe_playwright_python.sync_playwright import Axe

    pages = [map_of(examples).html, sliders_of(examples).html, draw_page.html]
    page = show(*pages, color_scheme=scheme)
    rules = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
    result = Axe().run(page, options={"runOnly": rules, "resultTypes": ["violations"]})
    assert result.violations_count == 0, result.generate_report()


def wait_for(locator, text):
    """Wait until the text of an element starts with ``text``."""
    locator.filter(has_text=re.compile(f"^{text}")).wait_for(timeout=30_000)


def draw_a_seven(page):
    """Draw with the mouse, waiting for the results after every move."""
    host, box = page.locator("[data-ready]"), page.locator(".pen").bounding_box()
    across = [(0.3 + 0.02 * i, 0.2) for i in range(20)]
    down = [(0.7 - 0.01 * i, 0.2 + 0.03 * i) for i in range(20)]
    for number, (x, y) in enumerate(across + down):
        frames = host.get_attribute("data-frames")
        page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
        if number == 0:
            page.mouse.down()
        page.wait_for_function(FRAME_WAS_DRAWN, arg=[host.element_handle(), frames])
    page.mouse.up()


def test_a_drawing_is_reconstructed_and_its_error_ranked(show, draw_page, offline_data):
    page = show(draw_page.html)
    page.get_by_role("button", name="Clear").click()
    live, meter = page.locator(".live"), page.locator("meter")
    wait_for(live, "Nothing is drawn yet")
    assert pixels(page.locator(".tools canvas")).max() == -1
    assert meter.evaluate("(meter) => meter.value") == 0

    draw_a_seven(page)
    image = torch.from_numpy(pixels(page.locator(".tools canvas"))).float()[None, None]
    assert 0.05 < (image > 0).float().mean() < 0.4
    models = [pca(offline_data), load_pretrained("lesson"), load_pretrained("residual")]
    for canvas, model in zip(page.locator(".results canvas").all(), models, strict=True):
        reconstruction, _ = reconstruct(model, image)
        expected = reconstruction[0, 0].clamp(-1, 1)
        np.testing.assert_allclose(pixels(canvas), expected, atol=0.05)
    error = reconstruction_error(image, reconstruction)
    others, _ = reconstruct(models[-1], offline_data.test_images)
    is_smaller = reconstruction_error(offline_data.test_images, others) < error
    percentage = 100 * is_smaller.double().mean().item()
    written = re.search(r"larger than on (\d+)% of 1,000", live.inner_text())[1]
    assert int(written) == pytest.approx(percentage, abs=2)
    assert meter.evaluate("(meter) => meter.value") == pytest.approx(percentage, abs=2)

    page.get_by_role("button", name="Undo").click()
    wait_for(live, "Nothing is drawn yet")


def test_an_example_is_prepared_as_what_it_is(show, draw_page, offline_data):
    page = show(draw_page.html)
    page.get_by_role("button", name="Clear").click()
    wait_for(page.locator(".live"), "Nothing is drawn yet")
    page.get_by_role("button", name="choose this 8").click()
    wait_for(page.locator(".live"), "How unusual is it")
    eight = offline_data.test_images[offline_data.test_labels == 8][0, 0]
    np.testing.assert_allclose(pixels(page.locator(".tools canvas")), eight, atol=0.01)


def test_bars_are_latent_variables_in_standard_deviations(show, draw_page, offline_data):
    page = show(draw_page.html)
    three = offline_data.test_images[offline_data.test_labels == 3][:1]
    charts = page.locator(".results svg").all()
    models = [pca(offline_data), load_pretrained("lesson"), load_pretrained("residual")]
    for chart, model in zip(charts, models, strict=True):
        _, codes = reconstruct(model, offline_data.test_images)
        _, code = reconstruct(model, three)
        expected = ((code[0] - codes.mean(dim=0)) / codes.std(dim=0)).clamp(-3, 3)
        bars = chart.locator("rect").evaluate_all(
            "(all) => all.map((bar) => [bar.y, bar.height].map((v) => v.baseVal.value))"
        )
        assert len(bars) == 28 + 1  # and the axis
        top, height = np.transpose(bars)[:, :28]
        np.testing.assert_allclose(np.where(top < 0, height, -height), expected, atol=0.02)


def test_a_finger_draws(show, draw_page):
    page = show(draw_page.html, has_touch=True, viewport={"width": 390, "height": 844})
    page.get_by_role("button", name="Clear").tap()
    wait_for(page.locator(".live"), "Nothing is drawn yet")
    box = page.locator(".pen").bounding_box()
    page.touchscreen.tap(box["x"] + 100, box["y"] + 100)
    wait_for(page.locator(".live"), "How unusual is it")
    assert pixels(page.locator(".tools canvas")).max() > 0.9
