import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.colors import same_color

import convae_lib
from convae_lib import DIGIT_COLORS, display_image, plot_embedding, plot_history

show = convae_lib.show_reconstructions
SHAPES = [((1, 8, 8), torch.float32), ((3, 9, 9), torch.bfloat16), ((3, 16, 24), torch.float16)]


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def images(count, *shape, dtype=None):
    return (torch.rand(count, *shape) * 3 - 1.5).to(dtype)


def drawn(image):
    """The array that a figure must hold for an image (C, H, W)."""
    image = image.detach().double()
    return image[0] if len(image) == 1 else ((image.permute(1, 2, 0) + 1) / 2).clip(0, 1)


def history():
    rows = [{"steps": 3, "test_loss": 0.4}, {"steps": 6, "test_loss": 0.2}]
    return convae_lib.History(rows, [0.9, 0.7, 0.6, 0.5, 0.4, 0.09])


def overlap(items):
    boxes = [item.get_window_extent() for item in items]
    return any(a.overlaps(b) for a in boxes for b in boxes if a is not b)


def texts(items):
    return [item.get_text() for item in items]


EMBEDDING = np.array([[0.0, 0], [1, 1], [5, 2], [10, 10], [12, 10]])
DRAWINGS = {
    "image": lambda ax=None: display_image(ax, images(1, 1, 8, 8)[0]),
    "rows": lambda ax=None: show({"originals": images(2, 3, 8, 8)}, ax=ax),
    "history": lambda ax=None: plot_history(history(), ax=ax),
    "map": lambda ax=None: plot_embedding(EMBEDDING, [3, 3, 3, 7, 7], ax=ax),
}


@pytest.mark.parametrize("draw", DRAWINGS.values(), ids=DRAWINGS)
def test_every_figure_is_drawn_on_the_given_axes_or_its_own_and_returns_them(draw):
    given = plt.subplots()[1]
    assert draw(given) is given and given.has_data() and len(plt.get_fignums()) == 1
    own = draw()
    assert own is not given and own.has_data() and len(plt.get_fignums()) == 2
    own.figure.canvas.draw()


@pytest.mark.parametrize(("shape", "dtype"), SHAPES)
def test_an_image_is_shown_on_the_fixed_scale_right_side_up_in_its_colours(shape, dtype):
    image = images(1, *shape, dtype=dtype).requires_grad_()[0]
    for t in (image, image[None], image[0] if len(image) == 1 else image):
        (shown,) = display_image(None, t).images
        np.testing.assert_allclose(shown.get_array(), drawn(image), atol=1e-3)
        assert shown.get_clim() == (-1, 1) and shown.cmap.name == "gray"
        assert shown.origin == "upper" and not shown.axes.axison


@pytest.mark.parametrize(("shape", "dtype"), SHAPES)
@pytest.mark.parametrize("count", [1, 3])
def test_each_image_stands_in_its_row_and_column_on_one_scale(count, shape, dtype):
    rows = {name: images(count, *shape, dtype=dtype) for name in ("originals", "network", "PCA")}
    rows["network"].requires_grad_()
    ax = show(rows, captions=["best", "median", "worst"][:count])
    (shown,) = ax.images
    assert shown.get_clim() == (-1, 1) and shown.cmap.name == "gray" and shown.origin == "upper"
    canvas, between = shown.get_array(), np.ones(shown.get_array().shape[:2], dtype=bool)
    for batch, y in zip(rows.values(), ax.get_yticks(), strict=True):
        for image, x in zip(batch, ax.get_xticks(), strict=True):
            top, left = y - (shape[1] - 1) / 2, x - (shape[2] - 1) / 2  # ticks at their middle
            place = np.s_[int(top) : int(top) + shape[1], int(left) : int(left) + shape[2]]
            np.testing.assert_allclose(canvas[place], drawn(image), atol=1e-3)
            assert between[place].all() and top % 1 == left % 1 == 0
            between[place] = False
    rest = np.ma.getmaskarray(canvas) if shape[0] == 1 else canvas == 1  # nothing, or white
    assert rest[between].all() and between[[0, -1]].all() and between[:, [0, -1]].all()
    assert texts(ax.get_yticklabels()) == [*rows]
    assert texts(ax.get_xticklabels()) == ["best", "median", "worst"][:count]


def test_names_beside_narrow_images_do_not_overlap_and_columns_may_have_none():
    rows = dict.fromkeys(("originals", "network", "PCA"), images(6, 3, 8, 24))
    captions = [f"error {error:.2f}" for error in range(6)]
    for ax in (show(rows), show(rows, captions=captions)):
        ax.figure.canvas.draw()
        assert not overlap([*ax.get_yticklabels(), *ax.get_xticklabels()])
        assert ax.get_window_extent().height > ax.figure.bbox.height / 2  # no empty figure
    assert show(rows).get_xticks().size == 0


def test_every_batch_every_evaluation_and_every_baseline_is_drawn():
    losses = {"mean image": 0.2712, "PCA-28": 0.0745}
    ax = plot_history(history(), baselines=losses)
    batches, evaluations, *dashed = ax.lines
    assert batches.get_xydata().T.tolist() == [[*range(1, 7)], [0.9, 0.7, 0.6, 0.5, 0.4, 0.09]]
    assert evaluations.get_xydata().tolist() == [[3, 0.4], [6, 0.2]]
    assert (ax.get_yscale(), ax.get_xlabel(), ax.get_ylabel()) == ("log", "batches", "loss")
    assert texts(ax.get_legend().get_texts()) == ["training, each batch", "test"]
    ax.figure.canvas.draw()
    assert {*texts(ax.get_yticklabels())} >= {"0.1", "0.2", "0.5", "1"}
    assert not any(texts(ax.get_yticklabels(minor=True)))
    assert [line.get_ydata() for line in dashed] == [[loss] * 2 for loss in losses.values()]
    assert {line.get_linestyle() for line in dashed} == {"--"}
    assert texts(ax.texts) == ["mean image 0.271", "PCA-28 0.074"]
    assert [text.get_position() for text in ax.texts] == [(1.01, 0.2712), (1.01, 0.0745)]
    assert not overlap([ax, *ax.texts])


@pytest.mark.parametrize("losses", [[], [0.5, 0.4]])
def test_an_interrupted_history_without_evaluations_can_be_drawn(losses):
    ax = plot_history(convae_lib.History(batch_losses=losses, interrupted=True))
    assert ax.lines[0].get_ydata().tolist() == losses and ax.lines[1].get_xdata().size == 0
    ax.figure.canvas.draw()
    assert 2 <= len([text for text in texts(ax.get_yticklabels()) if text]) < 25


@pytest.mark.parametrize(("kind", "names"), [(np.array, True), (torch.tensor, False), (list, True)])
def test_points_and_names_have_the_colours_of_their_digits(kind, names):
    labels = [3, 3, 3, 7, 7]
    ax = plot_embedding(kind(EMBEDDING), kind(labels), names=names)
    (points,) = ax.collections
    assert np.array_equal(points.get_offsets(), EMBEDDING)
    assert all(map(same_color, points.get_facecolors()[:, :3], (DIGIT_COLORS[n] for n in labels)))
    assert texts(ax.texts) == ["3", "7"] * names
    assert [text.get_position() for text in ax.texts] == [(1, 1), (11, 10)] * names
    for text, digit in zip(ax.texts, (3, 7), strict=False):
        assert same_color(text.get_bbox_patch().get_edgecolor()[:3], DIGIT_COLORS[digit])
    assert ax.get_aspect() == ax.get_box_aspect() == 1
    assert ax.get_xticks().size == ax.get_yticks().size == 0


@pytest.mark.parametrize("classes", [range(10), range(1, 16), range(100), ["cat", "dog"], [-1, 20]])
def test_every_class_has_a_colour_and_its_name(classes):
    labels = np.repeat([*classes], 2)
    points = torch.randn(len(labels), 2).to(torch.bfloat16).requires_grad_()
    ax = plot_embedding(points, labels)
    assert texts(ax.texts) == [str(label) for label in classes]
    colors = [tuple(color) for color in ax.collections[0].get_facecolors()]
    assert len(set(colors)) == len(classes) and colors[::2] == colors[1::2]
    assert len(classes) > 10 or all(map(same_color, [c[:3] for c in colors[::2]], DIGIT_COLORS))


GREY = torch.zeros(3, 1, 4, 4)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: display_image(None, GREY), ValueError, r"t must .* got \(3, 1, 4, 4\); index"),
        (lambda: display_image(None, torch.zeros(2, 4, 4)), ValueError, r"got \(2, 4, 4\)"),
        (lambda: display_image(None, GREY.byte()), TypeError, "uint8; use scale_images"),
        (lambda: show({}), ValueError, "rows must be named images"),
        (lambda: show([GREY]), ValueError, "rows must be named images.* got .tens"),
        (lambda: show({"a": GREY[0]}), ValueError, r"rows\['a'\] .*\(1, 4, 4\)"),
        (lambda: show({"a": GREY, "b": GREY[1:]}), ValueError, "in 'b'; show as"),
        (lambda: show({"a": torch.zeros(3, 2, 4, 4)}), ValueError, "C being 1 or"),
        (lambda: show({"a": GREY}, captions=["b"]), ValueError, "3 columns, got 1"),
        (lambda: plot_history(history(), baselines=0.1), TypeError, "named losses, .* got 0.1"),
        (lambda: plot_embedding(np.zeros((4, 3)), [0] * 4), ValueError, r"\(N, 2\), got \(4, 3\)"),
        (lambda: plot_embedding(EMBEDDING, [1, 2]), ValueError, r"labels must .*\(5,\)"),
        (lambda: plot_embedding(EMBEDDING * np.nan, [1] * 5), ValueError, "must be finite"),
    ],
)
def test_what_cannot_be_drawn_is_refused_before_a_figure_is_made(call, error, message):
    with pytest.raises(error, match=message):
        call()
    assert plt.get_fignums() == []
