import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.colors import same_color

from convae_lib import (
    DIGIT_COLORS,
    Autoencoder,
    History,
    PyTorchTrainer,
    display_image,
    plot_embedding,
    plot_history,
    show_reconstructions,
)

image_types = pytest.mark.parametrize(
    ("shape", "dtype"),
    [((1, 8, 8), torch.float32), ((3, 9, 9), torch.bfloat16), ((3, 16, 24), torch.float16)],
    ids=["gray", "RGB bfloat16", "wide RGB float16"],
)


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def random_images(n_images, *shape, dtype=None):
    return (torch.rand(n_images, *shape) * 3 - 1.5).to(dtype)


def expected_array(image):
    """The array that a figure must hold for an image (C, H, W)."""
    image = image.detach().double()
    if len(image) == 1:
        return image[0]
    return ((image.permute(1, 2, 0) + 1) / 2).clip(0, 1)


def make_history():
    rows = [{"steps": 3, "test_loss": 0.4}, {"steps": 6, "test_loss": 0.2}]
    return History(rows, [0.9, 0.7, 0.6, 0.5, 0.4, 0.09])


def any_overlap(items):
    boxes = [item.get_window_extent() for item in items]
    return any(a.overlaps(b) for a in boxes for b in boxes if a is not b)


def texts(items):
    return [item.get_text() for item in items]


EMBEDDING = np.array([[0.0, 0], [1, 1], [5, 2], [10, 10], [12, 10]])


def draw_image(ax=None):
    return display_image(ax, random_images(1, 1, 8, 8)[0])


def draw_rows(ax=None):
    return show_reconstructions({"originals": random_images(2, 3, 8, 8)}, ax=ax)


def draw_history(ax=None):
    return plot_history(make_history(), ax=ax)


def draw_embedding(ax=None):
    return plot_embedding(EMBEDDING, [3, 3, 3, 7, 7], ax=ax)


@pytest.mark.parametrize("draw", [draw_image, draw_rows, draw_history, draw_embedding])
def test_every_figure_is_drawn_on_the_given_axes_or_new_ones_and_returns_them(draw):
    given = plt.subplots()[1]
    assert draw(given) is given
    assert given.has_data()
    assert len(plt.get_fignums()) == 1
    new = draw()
    assert new is not given
    assert new.has_data()
    assert len(plt.get_fignums()) == 2
    new.figure.canvas.draw()


# Images


@image_types
def test_an_image_is_shown_on_the_fixed_scale_right_side_up_in_its_colors(shape, dtype):
    image = random_images(1, *shape, dtype=dtype).requires_grad_()[0]
    (shown,) = display_image(None, image).images
    np.testing.assert_allclose(shown.get_array(), expected_array(image), atol=1e-3)
    assert shown.get_clim() == (-1, 1)
    assert shown.cmap.name == "gray"
    assert shown.origin == "upper"
    assert not shown.axes.axison


def test_leading_axes_of_length_1_do_not_matter():
    image = random_images(1, 1, 8, 8)
    for t in (image[0, 0], image[0], image, image[None]):
        (shown,) = display_image(None, t).images
        np.testing.assert_allclose(shown.get_array(), image[0, 0])


@image_types
@pytest.mark.parametrize("n_columns", [1, 3])
def test_each_image_is_in_its_row_and_column_on_one_scale(n_columns, shape, dtype):
    names = ["originals", "network", "PCA"]
    captions = ["best", "median", "worst"][:n_columns]
    rows = {name: random_images(n_columns, *shape, dtype=dtype) for name in names}
    rows["network"].requires_grad_()
    ax = show_reconstructions(rows, captions=captions)
    (shown,) = ax.images
    assert shown.get_clim() == (-1, 1)
    assert shown.cmap.name == "gray"
    assert shown.origin == "upper"
    assert texts(ax.get_yticklabels()) == names
    assert texts(ax.get_xticklabels()) == captions

    canvas = shown.get_array()
    is_between = np.ones(canvas.shape[:2], dtype=bool)
    for images, y in zip(rows.values(), ax.get_yticks(), strict=True):
        for image, x in zip(images, ax.get_xticks(), strict=True):
            top = int(y - (shape[1] - 1) / 2)  # the ticks are at the middle of each image
            left = int(x - (shape[2] - 1) / 2)
            place = np.s_[top : top + shape[1], left : left + shape[2]]
            np.testing.assert_allclose(canvas[place], expected_array(image), atol=1e-3)
            assert is_between[place].all()  # images do not overlap
            is_between[place] = False
    is_blank = np.ma.getmaskarray(canvas) if shape[0] == 1 else (canvas == 1).all(axis=2)
    assert is_blank[is_between].all()
    for edge in (is_between[0], is_between[-1], is_between[:, 0], is_between[:, -1]):
        assert edge.all()


@pytest.mark.parametrize("has_captions", [False, True], ids=["rows only", "with captions"])
def test_names_next_to_narrow_images_do_not_overlap(has_captions):
    rows = dict.fromkeys(("originals", "network", "PCA"), random_images(6, 3, 8, 24))
    captions = [f"error {error:.2f}" for error in range(6)] if has_captions else None
    ax = show_reconstructions(rows, captions=captions)
    ax.figure.canvas.draw()
    assert not any_overlap([*ax.get_yticklabels(), *ax.get_xticklabels()])
    assert ax.get_window_extent().height > ax.figure.bbox.height / 2  # no empty figure
    assert len(ax.get_xticks()) == (6 if has_captions else 0)


# Histories


def test_every_batch_every_evaluation_and_every_baseline_is_plotted():
    baselines = {"mean image": 0.2712, "PCA-28": 0.0745}
    ax = plot_history(make_history(), baselines=baselines)
    batches, evaluations, *dashed = ax.lines
    assert batches.get_xdata().tolist() == [1, 2, 3, 4, 5, 6]
    assert batches.get_ydata().tolist() == [0.9, 0.7, 0.6, 0.5, 0.4, 0.09]
    assert evaluations.get_xydata().tolist() == [[3, 0.4], [6, 0.2]]
    assert [line.get_ydata() for line in dashed] == [[0.2712, 0.2712], [0.0745, 0.0745]]
    assert {line.get_linestyle() for line in dashed} == {"--"}
    assert texts(ax.texts) == ["mean image 0.271", "PCA-28 0.074"]
    assert [text.get_position() for text in ax.texts] == [(1.01, 0.2712), (1.01, 0.0745)]
    ax.figure.canvas.draw()
    assert not any_overlap([ax, *ax.texts])


def test_positive_losses_have_a_logarithmic_axis_with_plain_numbers():
    ax = plot_history(make_history())
    assert ax.get_yscale() == "log"
    assert ax.get_xlabel() == "batches"
    assert ax.get_ylabel() == "loss"
    assert texts(ax.get_legend().get_texts()) == ["training, each batch", "test"]
    ax.figure.canvas.draw()
    assert set(texts(ax.get_yticklabels())) >= {"0.1", "0.2", "0.5", "1"}
    assert not any(texts(ax.get_yticklabels(minor=True)))


@pytest.mark.parametrize(
    ("batch_losses", "test_loss", "baselines"),
    [
        ([0.5, -0.5], 0.3, {}),
        ([0.5, 0.4], -0.3, {}),
        ([0.5, 0.4], 0.0, {}),
        ([0.5, 0.4], 0.3, {"minus the similarity": -0.9}),
    ],
    ids=["batch loss", "test loss", "test loss of zero", "baseline"],
)
def test_losses_of_zero_or_less_are_in_view_on_a_linear_axis(batch_losses, test_loss, baselines):
    history = History([{"steps": 2, "test_loss": test_loss}], batch_losses)
    ax = plot_history(history, baselines=baselines)
    ax.figure.canvas.draw()
    assert ax.get_yscale() == "linear"
    lowest, highest = ax.get_ylim()
    for loss in (*batch_losses, test_loss, *baselines.values()):
        assert lowest < loss < highest


def test_a_training_whose_losses_fall_below_zero_is_plotted_whole():
    class Logits(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.autoencoder = Autoencoder(3, image_shape=(1, 8, 8))

        def forward(self, x):
            x_hat, z = self.autoencoder(x)
            return 5 * x_hat, z

    x = torch.rand(64, 1, 8, 8) * 2 - 1  # outside of [0, 1], where this loss has no lower bound
    model = Logits()
    optim = torch.optim.AdamW(model.parameters(), 1e-3)
    trainer = PyTorchTrainer(model, optim, torch.nn.BCEWithLogitsLoss())
    history = trainer.fit(x, x, x, x, epochs=40, eval_every=10, batch_size=16, seed=0)
    losses = history.frame["test_loss"]
    assert losses.min() < 0
    assert plot_history(history).get_ylim()[0] < losses.min()


@pytest.mark.parametrize("batch_losses", [[], [0.5, 0.4]], ids=["nothing", "two batches"])
def test_an_interrupted_history_without_evaluations_can_be_plotted(batch_losses):
    ax = plot_history(History(batch_losses=batch_losses, interrupted=True))
    batches, evaluations = ax.lines
    assert batches.get_ydata().tolist() == batch_losses
    assert evaluations.get_xdata().size == 0
    ax.figure.canvas.draw()
    labels = [text for text in texts(ax.get_yticklabels()) if text]
    assert 2 <= len(labels) < 25


# Embeddings


@pytest.mark.parametrize("kind", [np.array, torch.tensor, list], ids=["array", "tensor", "list"])
def test_points_and_names_have_the_colors_of_their_digits(kind):
    labels = [3, 3, 3, 7, 7]
    ax = plot_embedding(kind(EMBEDDING), kind(labels))
    (points,) = ax.collections
    assert np.array_equal(points.get_offsets(), EMBEDDING)
    for color, label in zip(points.get_facecolors(), labels, strict=True):
        assert same_color(color[:3], DIGIT_COLORS[label])
    assert texts(ax.texts) == ["3", "7"]
    assert [text.get_position() for text in ax.texts] == [(1, 1), (11, 10)]
    for text, digit in zip(ax.texts, (3, 7), strict=True):
        assert same_color(text.get_bbox_patch().get_edgecolor()[:3], DIGIT_COLORS[digit])
    assert ax.get_aspect() == ax.get_box_aspect() == 1
    assert ax.get_xticks().size == ax.get_yticks().size == 0


def test_names_can_be_left_out():
    assert not plot_embedding(EMBEDDING, [3, 3, 3, 7, 7], names=False).texts


def test_names_of_clusters_that_touch_are_moved_apart():
    close = np.array([[0.0, 0], [0.1, 0], [10, 10]])
    ax = plot_embedding(close, ["a", "b", "far"])
    a, b, far = (np.array(text.get_position()) for text in ax.texts)
    assert np.linalg.norm(a - b) == pytest.approx(0.08 * 10)
    assert (a + b) / 2 == pytest.approx([0.05, 0])
    assert far == pytest.approx([10, 10])


@pytest.mark.parametrize(
    "classes",
    [range(10), range(1, 16), range(100), ["cat", "dog"], [-1, 20]],
    ids=["digits", "15 classes", "100 classes", "strings", "other numbers"],
)
def test_every_class_has_its_own_color_and_its_name(classes):
    labels = np.repeat([*classes], 2)
    points = torch.randn(len(labels), 2).to(torch.bfloat16).requires_grad_()
    ax = plot_embedding(points, labels)
    assert texts(ax.texts) == [str(label) for label in classes]
    colors = [tuple(color) for color in ax.collections[0].get_facecolors()]
    assert len(set(colors)) == len(classes)
    assert colors[::2] == colors[1::2]


@pytest.mark.parametrize("classes", [range(10), ["cat", "dog"], [-1, 20]], ids=str)
def test_up_to_ten_classes_take_the_colors_of_the_digits_in_order(classes):
    ax = plot_embedding(np.random.default_rng(0).normal(size=(len(classes), 2)), [*classes])
    for color, expected in zip(ax.collections[0].get_facecolors(), DIGIT_COLORS, strict=False):
        assert same_color(color[:3], expected)


# Wrong arguments

GRAY = torch.zeros(3, 1, 4, 4)


@pytest.mark.parametrize(
    ("t", "error", "message"),
    [
        (GRAY, ValueError, r"t must be one image, .* got \(3, 1, 4, 4\); index the batch first"),
        (torch.zeros(2, 4, 4), ValueError, r"t must be one image, .* got \(2, 4, 4\)"),
        (GRAY[0].byte(), TypeError, r"t must hold pixels in \[-1, 1\], got uint8; use scale_imag"),
    ],
    ids=["a batch", "two channels", "bytes"],
)
def test_what_is_no_image_is_refused_before_a_figure_is_made(t, error, message):
    with pytest.raises(error, match=f"^{message}"):
        display_image(None, t)
    assert plt.get_fignums() == []


@pytest.mark.parametrize(
    ("rows", "captions", "message"),
    [
        ({}, None, "rows must be named images"),
        ([GRAY], None, "rows must be named images.* got .tens"),
        ({"a": GRAY[0]}, None, r"rows\['a'\] must have shape \(N, C, H, W\), got \(1, 4, 4\); for"),
        ({"a": GRAY, "b": GRAY[1:]}, None, "rows must have one shape .* in 'b'; show as many"),
        ({"a": torch.zeros(3, 2, 4, 4)}, None, "rows must have one shape .*C being 1 or 3"),
        ({"a": GRAY}, ["b"], "captions must name 3 columns, got 1"),
    ],
    ids=["nothing", "a list", "one image", "different numbers", "two channels", "few captions"],
)
def test_rows_that_do_not_fit_are_refused_before_a_figure_is_made(rows, captions, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        show_reconstructions(rows, captions=captions)
    assert plt.get_fignums() == []


@pytest.mark.parametrize(
    ("history", "baselines", "message"),
    [
        (make_history(), 0.1, "baselines must be named losses, .* got 0.1"),
        ([0.5, 0.4], None, "history must be a History, got list; pass what fit returns"),
    ],
    ids=["baseline without a name", "list of losses"],
)
def test_what_is_no_history_is_refused_before_a_figure_is_made(history, baselines, message):
    with pytest.raises(TypeError, match=f"^{message}"):
        plot_history(history, baselines=baselines)
    assert plt.get_fignums() == []


@pytest.mark.parametrize(
    ("embedding", "labels", "message"),
    [
        (np.zeros((4, 3)), [0] * 4, r"embedding must be \(N, 2\), got \(4, 3\); try tsne_embed"),
        (EMBEDDING, [1, 2], r"labels must have shape \(5,\), .* got \(2,\)"),
        (EMBEDDING, [1, 2, 3, None, 5], "labels must hold a label for every row, got None in 1"),
        (EMBEDDING * np.nan, [1] * 5, "embedding must be finite, got nan"),
    ],
    ids=["three dimensions", "few labels", "a missing label", "NaN"],
)
def test_what_is_no_embedding_is_refused_before_a_figure_is_made(embedding, labels, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        plot_embedding(embedding, labels)
    assert plt.get_fignums() == []
