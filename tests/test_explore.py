"""The pages to play with: in Python, in node, and in Chromium."""

import copy
import json
import re
import shutil
import statistics
import subprocess
from base64 import b64decode
from functools import cache
from importlib.resources import files
from io import BytesIO

import draw
import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex
from PIL import Image
from torch import nn

import convae_lib
from convae_lib import (
    Autoencoder,
    ResidualAutoencoder,
    VariationalAutoencoder,
    code_sliders,
    digit_map,
    load_pretrained,
    pca_baseline,
    reconstruct,
    reconstruction_error,
)
from convae_lib._page import as_data

SCRIPTS = files(convae_lib) / "_explore"
NODE = shutil.which("node")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
in_node = pytest.mark.skipif(not NODE, reason="node is missing (Debian: apt install nodejs)")


def node(expression, value):
    """What JavaScript makes of ``value``, with the pages' functions at hand."""
    code = "\n".join((SCRIPTS / f"{name}.js").read_text("utf-8") for name in ("network", "prepare"))
    code += "\nconst value = JSON.parse(require('fs').readFileSync(0, 'utf8'));"
    code += f"\nconsole.log(JSON.stringify({expression}));"
    command = [NODE, "-e", code]
    result = subprocess.run(command, input=json.dumps(value), capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


# Networks


def halves(model):
    return nn.ModuleList([model.encoder, model.decoder])


COLOUR = {"image_shape": (3, 8, 12), "width": 5, "neurons": 9}
NETWORKS = {
    "lesson": lambda data: halves(load_pretrained("lesson")),
    "better": lambda data: halves(load_pretrained("better")),
    "variational": lambda data: halves(VariationalAutoencoder()),
    "PCA": lambda data: nn.ModuleList(draw.linear(*pca_baseline(data.train_images).buffers())),
    "in colour": lambda data: halves(Autoencoder(6, image_shape=(3, 5, 7))),
    "residual, in colour": lambda data: halves(ResidualAutoencoder(6, **COLOUR)),
}


def run(networks, inputs):
    """What the page's networks make of inputs, a batch for each."""
    value = [[as_data(n), x.flatten(1).tolist()] for n, x in zip(networks, inputs, strict=True)]
    each = "rows.map((row) => Array.from(run(Float32Array.from(row))))"
    outputs = node(f"value.map(([one, rows]) => ((run) => {each})(network(one)))", value)
    return [torch.tensor(output) for output in outputs]


@in_node
@pytest.mark.parametrize("name", NETWORKS)
def test_the_pages_encoder_and_decoder_equal_torchs_on_a_hundred_images(name, embedded):
    full = NETWORKS[name](embedded)
    rounded = copy.deepcopy(full).half().float()  # the weights that the page has
    images = embedded.test_images[:100]
    if "colour" in name:
        images = torch.rand(100, *full[0].image_shape) * 2 - 1
    images = images.flatten(1) if name == "PCA" else images
    with torch.inference_mode():
        codes = full[0](images)
        codes = codes.chunk(2, dim=1)[0] if name == "variational" else codes
        found = run(full, [images, codes])
        for part, (inputs, output) in enumerate(zip((images, codes), found, strict=True)):
            expected, unrounded = (n[part](inputs).flatten(1) for n in (rounded, full))
            assert output.shape == expected.shape and expected.std() > 0.01
            assert (output - expected).abs().max() < 1e-3
            assert (output - unrounded).abs().max() < 0.02


# MNIST's centring


def prepared(pictures):
    """What the page makes of drawings (height, width) in [0, 1], sent in 8 bits."""
    bits = [(picture * 255).round().byte() for picture in pictures]
    value = [[p.flatten().tolist(), p.shape[1], len(p)] for p in bits]
    each = "value.map(([ink, ...size]) => Array.from(prepare(ink.map((i) => i / 255), ...size)))"
    return torch.tensor(node(each, value)).unflatten(1, (28, 28))


def strewn(image, height, width):
    """An image (28, 28) somewhere on a larger sheet."""
    down, across = (int(torch.randint(room, ())) for room in (height - 28, width - 28))
    sheet = torch.zeros(height, width)
    sheet[down : down + 28, across : across + 28] = image
    return sheet


@in_node
def test_a_drawing_is_scaled_and_centred_as_mnists_digits_were(embedded):
    digits = (embedded.test_images[:300, 0] + 1) / 2
    sheets = [strewn(digit, 50, 70) for digit in digits]
    larger = [sheet.repeat_interleave(3, 0).repeat_interleave(3, 1) for sheet in sheets[:50]]
    for found in (prepared(sheets), prepared(larger)):  # wherever, and however large
        apart = (found - digits[: len(found)]).abs().amax(dim=(1, 2))
        assert (apart < 1e-6).float().mean() > 0.99

    options = {"scale_factor": 2.3, "mode": "bicubic", "antialias": True}
    smooth = [
        nn.functional.interpolate(sheet[None, None], **options)[0, 0] for sheet in sheets[:50]
    ]
    found = prepared([torch.where(sheet < 0.03, 0, sheet.clamp(0, 1)) for sheet in smooth])
    error, by_a_pixel = (((x - digits[:50]) ** 2).mean() for x in (found, digits[:50].roll(1, 2)))
    assert error < 0.4 * by_a_pixel


@in_node
def test_a_drawing_at_the_edge_is_kept_and_an_empty_one_is_none():
    dot = torch.zeros(40, 40)
    dot[-1, -1] = 1
    (image,) = prepared([dot])
    assert image.sum() == 400 and image[4:24, 4:24].min() == 1  # in the middle, as large as a digit
    assert node("prepare(value, 5, 5)", [0] * 25) is None


# In Python


def content(page):
    """The data inside a page."""
    return json.loads(re.search(r"^  \w+\(host, (\{.*\})\);$", page.html, re.MULTILINE)[1])


def unpacked(text, dtype):
    return np.frombuffer(b64decode(text), dtype)


def picture(uri):
    return np.asarray(Image.open(BytesIO(b64decode(uri.partition("base64,")[2]))), dtype=float)


@cache
def material():
    """Images, reconstructions, codes, labels and a map of sixty."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONVAE_OFFLINE", "1")
        data = convae_lib.load_mnist()
    images, labels = data.test_images[:60], data.test_labels[:60]
    reconstructions, codes = reconstruct(load_pretrained("lesson"), images)
    return images, reconstructions, codes, labels, codes[:, :2] * torch.tensor([2.0, 1])


def a_map(**options):
    images, reconstructions, codes, labels, points = material()
    return digit_map(points, images, reconstructions, codes, labels, **options)


def sliders(model="lesson", **options):
    images, _, codes, labels, _ = material()
    return code_sliders(load_pretrained(model), codes, images, labels, **options)


def test_a_map_holds_images_places_and_nearest_neighbours_in_the_code():
    data = content(a_map(neighbors=4))
    images, reconstructions, codes, labels, points = material()
    near = torch.cdist(codes.double(), codes.double()).argsort(dim=1)[:, 1:5]
    assert (unpacked(data["neighbors"], "<u2").reshape(60, 4) == near.numpy()).all()
    places = unpacked(data["points"], "<u2").reshape(60, 2) / 65535
    assert np.ptp(places[:, 0]) == pytest.approx(0.94, abs=1e-4)  # the longer side
    scale = 0.94 / np.ptp(points.numpy(), axis=0).max()
    moved = (points - points[0]).numpy() * scale * [1, -1]
    np.testing.assert_allclose(places - places[0], moved, atol=1e-4)
    assert [data["names"][c] for c in unpacked(data["classes"], "u1")] == [
        *map(str, labels.tolist())
    ]
    assert data["colors"] == [to_hex(color) for color in convae_lib.DIGIT_COLORS]
    for name, expected in (("images", images), ("reconstructions", reconstructions)):
        sheet, side = picture(data[name]["uri"]), data[name]["columns"]
        for index in (0, 7, 59):
            row, column = divmod(index, side)
            part = sheet[28 * row : 28 * row + 28, 28 * column : 28 * column + 28]
            assert abs(part / 127.5 - 1 - expected[index, 0].numpy()).max() < 0.02


def test_sliders_hold_the_decoder_the_codes_and_their_principal_axes():
    data = content(sliders(axes=3))
    codes = material()[2].double()
    centred = codes - codes.mean(dim=0)
    _, spread, vectors = np.linalg.svd(centred.numpy(), full_matrices=False)
    for k, axis in enumerate(data["axes"]):
        assert abs(np.dot(axis["vector"], vectors[k])) == pytest.approx(1, abs=1e-4)
        assert axis["sd"] == pytest.approx(spread[k] / 59**0.5, rel=1e-3)
        assert axis["share"] == pytest.approx(spread[k] ** 2 / (spread**2).sum(), abs=1e-3)
    np.testing.assert_allclose(unpacked(data["codes"], "<f2").reshape(60, 28), codes, atol=1e-3)
    gaps = torch.cdist(codes, codes).fill_diagonal_(torch.inf).amin(dim=1)
    assert data["usual"] == pytest.approx(gaps.quantile(0.5).item(), rel=0.05)


@pytest.mark.parametrize("make", [a_map, sliders])
def test_a_page_is_constant_small_and_starts_with_a_still_picture(make):
    page = make()
    assert page == make() and page._repr_html_() == page.html and len(page.html) < 800_000
    assert page.html != make(**({"neighbors": 3} if make is a_map else {"axes": 3})).html
    still = re.match(r'<div class="convae-\w{12}"><img src="data:image/png;(.+?)" alt="', page.html)
    assert page._repr_png_() == b64decode(still[1].partition(",")[2])
    assert 300 < Image.open(BytesIO(page.still)).width < 900 and len(page.still) < 60_000
    assert not re.search(r'(?:src|href)="(?!data:)|https?://(?!www.w3.org)', page.html)
    assert "html" not in repr(page)


def test_labels_that_look_like_markup_stay_text_and_colour_pictures_are_shown():
    images = torch.rand(12, 3, 8, 8) * 2 - 1
    model = ResidualAutoencoder(4, 5, 6, image_shape=(3, 8, 8))
    copies, codes = reconstruct(model, images)
    labels = ["</script>", "cat", "a & b"] * 4
    pages = (
        code_sliders(model, codes, images, labels),
        digit_map(codes[:, :2], images, copies, codes, labels),
    )
    for page in pages:
        assert content(page)["names"] == ["</script>", "a & b", "cat"]
        assert page.html.count("</script>") == 1
        sheet = picture(content(page)["images"]["uri"])
        assert sheet.shape[2] == 3
        assert abs(sheet[:8, 8:16] / 127.5 - 1 - images[1].permute(1, 2, 0).numpy()).max() < 0.02


def bad_map(**changes):
    images, reconstructions, codes, labels, points = material()
    values = {"points": points, "images": images, "reconstructions": reconstructions}
    return digit_map(**(values | {"codes": codes, "labels": labels} | changes))


def bad_sliders(**changes):
    images, _, codes, labels, _ = material()
    values = {
        "model": load_pretrained("lesson"),
        "codes": codes,
        "images": images,
        "labels": labels,
    }
    return code_sliders(**(values | changes))


GREY = torch.zeros(60, 1, 28, 28)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: bad_map(points=np.zeros((60, 3)) + 1),
            ValueError,
            r"points must be \(N, 2\), got",
        ),
        (lambda: bad_map(points=np.ones((59, 2))), ValueError, "points must have 60 rows"),
        (lambda: bad_map(images=GREY[:9]), ValueError, r"images must .*\(60, C, H, W\)"),
        (lambda: bad_map(images=torch.zeros(60, 2, 8, 8)), ValueError, r"grey .*\(60, 2, 8, 8\)"),
        (lambda: bad_map(reconstructions=GREY[..., :8]), ValueError, "must have the shape of"),
        (lambda: bad_map(labels=[1, 2]), ValueError, r"labels must .*\(60,\)"),
        (lambda: bad_map(neighbors=60), ValueError, "neighbors must be below 60, got 60"),
        (lambda: bad_map(neighbors=0), ValueError, "neighbors must be at least 1"),
        (lambda: bad_map(labels=range(60), codes=GREY), ValueError, "codes must be a table"),
        (
            lambda: bad_sliders(model=nn.Linear(2, 2)),
            TypeError,
            "decoder of convae_lib, got Linear",
        ),
        (
            lambda: bad_sliders(codes=GREY.flatten(1) + 1),
            ValueError,
            r"codes .*\(N, 28\), got \(60",
        ),
        (
            lambda: bad_sliders(images=GREY[..., :8]),
            ValueError,
            r"images .* \(60, 1, 28, 8\); pass",
        ),
        (lambda: bad_sliders(axes=0), ValueError, "axes must be at least 1"),
    ],
)
def test_what_cannot_be_played_with_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


# In a browser

DRAWN = "([host, before]) => host.dataset.frames !== before"
READY = "[...document.querySelectorAll('[class^=convae]')].every((host) => 'ready' in host.dataset)"


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    if not CHROMIUM:
        pytest.skip("Chromium is missing (Debian: apt install chromium)")
    with playwright.sync_playwright() as started:
        options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = started.chromium.launch(executable_path=CHROMIUM, args=options)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def drawing():
    return draw.drawing()


@pytest.fixture
def show(browser, tmp_path):
    """Open HTML; nothing may be asked for elsewhere, and nothing complain."""
    troubles, contexts = [], []

    def show(*bodies, **options):
        path = tmp_path / "page.html"
        path.write_text(draw.PAGE.format(body="".join(bodies)), encoding="utf-8")
        contexts.append(browser.new_context(**options))
        page = contexts[-1].new_page()
        page.on("console", lambda message: troubles.append(message.text))
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("request", lambda request: troubles.append(request.url))
        page.goto(path.as_uri())
        own = {path.as_uri()}
        troubles[:] = [t for t in troubles if t not in own and not t.startswith("data:")]
        if options.get("java_script_enabled", True):
            page.wait_for_function(READY)
        return page

    yield show
    for context in contexts:
        context.close()
    assert [text for text in troubles if not text.startswith("data:")] == []


def pixels(canvas):
    """A canvas of the page as an array (H, W) from -1 to 1."""
    read = "(c) => Array.from(c.getContext('2d').getImageData(0, 0, c.width, c.height).data)"
    width = int(canvas.get_attribute("width"))
    return np.reshape(canvas.evaluate(read), (-1, width, 4))[..., 0] / 127.5 - 1


def places(page, data):
    """Where on the screen a map's points are."""
    box = page.locator(".map").bounding_box()
    fractions = unpacked(data["points"], "<u2").reshape(-1, 2) / 65535
    return fractions * [box["width"], box["height"]] + [box["x"], box["y"]]


def test_pointing_at_the_map_and_its_keys_show_a_digit_and_its_neighbours(show):
    made = a_map()
    page, data = show(made.html), content(made)
    images, reconstructions, _, labels, points = material()
    near = unpacked(data["neighbors"], "<u2").reshape(60, 6)
    said, canvases = page.locator(".live"), page.locator(".pictures canvas")
    alone = torch.cdist(points, points).fill_diagonal_(torch.inf).amin(dim=1)
    for index in alone.argsort(descending=True)[:3].tolist():
        page.mouse.move(*places(page, data)[index])
        listed = ", ".join(str(int(labels[i])) for i in near[index])
        assert said.inner_text().startswith(
            f"Label {labels[index]}. Its 6 nearest in the code: {listed}."
        )
        for canvas, expected in zip(canvases.all(), (images, reconstructions), strict=True):
            assert abs(pixels(canvas) - expected[index, 0].numpy()).max() < 0.03
        centres = page.locator("svg circle").evaluate_all(
            "(all) => all.map((c) => [c.cx, c.cy].map((v) => v.baseVal.value))"
        )
        expected = unpacked(data["points"], "<u2").reshape(-1, 2)[[*near[index], index]] / 65.535
        np.testing.assert_allclose(centres, expected, atol=0.01)

    thumbnail = page.locator(".near canvas").nth(3)
    assert abs(pixels(thumbnail) - images[near[index, 3], 0].numpy()).max() < 0.03
    page.locator(".near button").first.click()  # goes there
    assert abs(pixels(canvases.first) - images[near[index, 0], 0].numpy()).max() < 0.03

    page.locator(".map").focus()
    here = float(page.locator("svg circle").last.get_attribute("cx"))
    for key, change in (("ArrowLeft", -1), ("ArrowRight", 1), ("Shift+ArrowRight", 100)):
        page.keyboard.press(key)
        now = float(page.locator("svg circle").last.get_attribute("cx"))
        assert (now - here) * np.sign(change) > abs(change) - 1
        here = now
    assert page.locator(".map").evaluate("(map) => getComputedStyle(map).outlineStyle") == "solid"


def drawn(model, code):
    with torch.inference_mode():
        return model.decoder(code[None])[0, 0].clamp(-1, 1).numpy()


def test_sliders_move_the_code_along_axes_and_single_numbers_and_back(show):
    model, made = load_pretrained("lesson"), sliders()
    images, _, codes, labels, _ = material()
    page, data = show(made.html), content(made)
    original, picture, neighbour = page.locator("canvas").all()
    said = page.locator(".live")
    assert said.inner_text() == f"Nearest in the code: a real {labels[0]}, whose code this is."
    assert abs(pixels(picture) - drawn(model, codes[0])).max() < 0.03

    page.get_by_role("button", name="3", exact=True).click()
    start = int((labels == 3).nonzero()[0])
    assert abs(pixels(original) - images[start, 0].numpy()).max() < 0.03
    axis, mean = data["axes"][1], torch.tensor(data["mean"])
    vector = torch.tensor(axis["vector"])
    slider = page.get_by_role("slider").nth(1)
    slider.focus()
    page.keyboard.press("Home")  # to -4 standard deviations
    moved = codes[start] + (-4 * axis["sd"] - (codes[start] - mean) @ vector) * vector
    assert abs(pixels(picture) - drawn(model, moved)).max() < 0.03
    assert page.locator("output").nth(1).inner_text() == "−4.0"
    index = int((codes - moved).square().sum(dim=1).argmin())
    far = f"{(codes[index] - moved).norm() / data['usual']:.1f} times as far"
    assert said.inner_text().startswith(f"Nearest in the code: a real {labels[index]}, {far} as")
    assert abs(pixels(neighbour) - images[index, 0].numpy()).max() < 0.03

    page.get_by_label("single numbers").check()
    assert page.get_by_role("slider").count() == 28
    page.get_by_role("slider").nth(5).fill("2")
    moved[5] = data["mean"][5] + 2 * data["sd"][5]
    assert abs(pixels(picture) - drawn(model, moved)).max() < 0.03
    page.get_by_role("button", name="Back to the image").click()
    assert abs(pixels(picture) - drawn(model, codes[start])).max() < 0.03
    page.get_by_role("button", name="3", exact=True).click()  # the next 3
    start = int((labels == 3).nonzero()[1])
    assert abs(pixels(original) - images[start, 0].numpy()).max() < 0.03


def test_every_slider_and_button_has_a_name_and_pages_fit_a_phone(show, drawing):
    page = show(a_map().html, sliders().html, drawing.html, viewport={"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    for control in page.locator("button, input").all():
        name = control.get_attribute("aria-label") or control.inner_text()
        assert name.strip() or control.evaluate("(input) => input.labels.length")


def test_equal_pages_in_one_document_all_run_and_without_scripts_a_picture_stands(show):
    page = show(a_map().html, sliders().html, a_map().html)
    assert page.locator(".map").count() == 2
    page = show(a_map().html, java_script_enabled=False)
    assert page.locator("img").bounding_box()["width"] > 300


def wait(locator, text):
    """Until it starts with that."""
    locator.filter(has_text=re.compile(f"^{text}")).wait_for(timeout=10_000)


def test_what_is_drawn_is_reconstructed_at_once_and_judged(show, drawing, embedded):
    page = show(drawing.html)
    said, host, meter = (page.locator(part) for part in (".live", "[data-ready]", "meter"))
    small, *copies = page.locator(".tools canvas, .results canvas").all()
    page.get_by_role("button", name="Clear").click()
    wait(said, "Nothing drawn")
    assert pixels(small).max() == -1 and meter.evaluate("(meter) => meter.value") == 0

    box, times = page.locator(".pen").bounding_box(), []
    across = [(0.3 + 0.02 * i, 0.2) for i in range(20)]
    down = [(0.7 - 0.01 * i, 0.2 + 0.03 * i) for i in range(20)]
    for x, y in across + down:  # a seven
        frames = host.get_attribute("data-frames")
        page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
        if not times:
            page.mouse.down()
        page.wait_for_function(DRAWN, arg=[host.element_handle(), frames])
        times.append(float(host.get_attribute("data-milliseconds")))
    page.mouse.up()
    print(f"{statistics.median(times):.0f} ms a frame, at most {max(times):.0f}")
    assert statistics.median(times) < 50

    image = torch.from_numpy(pixels(small)).float()[None, None]  # (1, 1, 28, 28)
    assert 0.05 < (image > 0).float().mean() < 0.4
    models = [pca_baseline(embedded.train_images), *map(load_pretrained, ("lesson", "better"))]
    for canvas, model in zip(copies, models, strict=True):
        copied = reconstruct(model, image)[0]
        assert abs(pixels(canvas) - copied[0, 0].clamp(-1, 1).numpy()).max() < 0.05
    error, held = reconstruction_error(image, copied), reconstruct(model, embedded.test_images)[0]
    share = 100 * (reconstruction_error(embedded.test_images, held) < error).double().mean().item()
    written = re.search(r"on (\d+)% of 1,000", said.inner_text())[1]
    assert int(written) == pytest.approx(share, abs=2)
    assert meter.evaluate("(meter) => meter.value") == pytest.approx(share, abs=2)
    assert page.locator(".results svg").count() == 3
    assert page.locator(".results svg").first.locator("rect").count() == 28 + 1  # and their axis

    page.get_by_role("button", name="Undo").click()
    wait(said, "Nothing drawn")
    page.get_by_role("button", name="take this 8").click()
    wait(said, "How unusual")
    eight = embedded.test_images[embedded.test_labels == 8][0, 0].numpy()
    assert abs(pixels(small) - eight).max() < 0.01  # prepared anew, MNIST's digit is what it was


def test_bars_are_codes_in_standard_deviations(show, drawing, embedded):
    page = show(drawing.html)
    three = embedded.test_images[embedded.test_labels == 3][:1]
    models = map(load_pretrained, ("lesson", "better"))
    for bars, model in zip(page.locator(".results svg").all()[1:], models, strict=True):
        codes, code = (reconstruct(model, x)[1] for x in (embedded.test_images, three))
        expected = ((code[0] - codes.mean(dim=0)) / codes.std(dim=0)).clamp(-3, 3)
        read = "(all) => all.map((r) => [r.y, r.height].map((v) => v.baseVal.value))"
        top, height = np.transpose(bars.locator("rect").evaluate_all(read))[:, :28]
        np.testing.assert_allclose(np.where(top < 0, height, -height), expected, atol=0.02)


def test_a_finger_draws_too(show, drawing):
    page = show(drawing.html, has_touch=True, viewport={"width": 390, "height": 844})
    page.get_by_role("button", name="Clear").tap()
    wait(page.locator(".live"), "Nothing drawn")
    box = page.locator(".pen").bounding_box()
    page.touchscreen.tap(box["x"] + 100, box["y"] + 100)
    wait(page.locator(".live"), "How unusual")
    assert pixels(page.locator(".tools canvas")).max() > 0.9
