import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.colors import same_color, to_rgba

from convae_lib import (
    DIGIT_COLORS,
    History,
    display_image,
    plot_embedding,
    plot_history,
    show_reconstructions,
)


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture
def ax():
    return plt.subplots()[1]


def images(count):
    return torch.linspace(-1, 0.9, count * 28 * 28).reshape(count, 1, 28, 28)


def history():
    rows = [
        {"epoch": 1, "steps": 3, "seconds": 1.0, "train_loss": 0.5, "test_loss": 0.4},
        {"epoch": 2, "steps": 6, "seconds": 2.0, "train_loss": 0.3, "test_loss": 0.2},
    ]
    return History(rows=rows, batch_losses=[0.9, 0.7, 0.6, 0.5, 0.4, 0.3])


EMBEDDING = np.array([[0.0, 0], [1, 1], [5, 2], [10, 10], [12, 10]])
LABELS = [3, 3, 3, 7, 7]
DRAWINGS = [
    lambda ax: display_image(ax, images(1)[0]),
    lambda ax: show_reconstructions({"originals": images(2)}, ax=ax),
    lambda ax: plot_history(history(), ax=ax),
    lambda ax: plot_embedding(EMBEDDING, LABELS, ax=ax),
]
NAMES = ["display_image", "show_reconstructions", "plot_history", "plot_embedding"]


@pytest.mark.parametrize("draw", DRAWINGS, ids=NAMES)
def test_every_figure_is_drawn_on_the_given_axes_and_returns_them(draw, ax):
    assert draw(ax) is ax
    assert plt.get_fignums() == [ax.figure.number]
    assert ax.has_data()
    ax.figure.canvas.draw()


@pytest.mark.parametrize("draw", DRAWINGS, ids=NAMES)
def test_every_figure_makes_its_own_axes_where_none_are_given(draw):
    ax = draw(None)
    assert plt.get_fignums() == [ax.figure.number]
    assert ax.has_data()
    ax.figure.canvas.draw()


def test_there_is_one_colour_for_each_digit():
    assert len({to_rgba(color) for color in DIGIT_COLORS}) == len(DIGIT_COLORS) == 10


# ---- display_image


@pytest.mark.parametrize("shape", [(28, 28), (1, 28, 28), (1, 1, 28, 28)])
def test_an_image_is_shown_in_grey_on_the_fixed_scale(ax, shape):
    image = images(1).reshape(shape) / 4
    display_image(ax, image)
    (shown,) = ax.images
    assert np.array_equal(shown.get_array(), image.reshape(28, 28).numpy())
    assert shown.get_clim() == (-1, 1)
    assert shown.cmap.name == "gray"
    assert not ax.axison


def test_an_image_that_requires_grad_is_shown_and_stays_as_it_was(ax):
    image = images(1)[0].requires_grad_()
    display_image(ax, image)
    assert np.array_equal(ax.images[0].get_array(), image.detach()[0].numpy())
    assert image.requires_grad


@pytest.mark.parametrize("shape", [(2, 1, 28, 28), (3, 28, 28), (784,), ()])
def test_what_is_not_one_image_is_refused(ax, shape):
    with pytest.raises(ValueError, match=r"t must be one image, .* got \(.*\); index the batch"):
        display_image(ax, torch.zeros(shape))
    assert not ax.has_data()


# ---- show_reconstructions


def test_each_image_stands_in_its_row_and_column_on_one_scale(ax):
    rows = {"originals": images(3) / 2, "network": images(3) / 3, "PCA": images(3) / 4}
    show_reconstructions(rows, ax=ax)
    (shown,) = ax.images
    assert shown.get_clim() == (-1, 1)
    canvas = shown.get_array()
    pitch = 28 + 2
    used = np.zeros(canvas.shape, dtype=bool)
    for row, batch in enumerate(rows.values()):
        for column, image in enumerate(batch):
            place = np.s_[pitch * row : pitch * row + 28, pitch * column : pitch * column + 28]
            assert np.array_equal(canvas[place], image[0].numpy())
            used[place] = True
    assert np.ma.getmaskarray(canvas)[~used].all()  # nothing is drawn between the images


def test_rows_and_columns_are_named_at_their_middle(ax):
    rows = {"originals": images(3), "network": images(3)}
    show_reconstructions(rows, captions=["best", "median", "worst"], ax=ax)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["originals", "network"]
    assert ax.get_yticks().tolist() == [14, 44]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["best", "median", "worst"]
    assert ax.get_xticks().tolist() == [14, 44, 74]
    assert ax.xaxis.get_ticks_position() == "top"


def test_without_captions_the_columns_have_no_names(ax):
    show_reconstructions({"originals": images(3)}, ax=ax)
    assert ax.get_xticks().size == 0


def test_images_of_another_size_and_with_gradients_can_be_shown(ax):
    batch = torch.zeros(2, 1, 6, 9, requires_grad=True)
    show_reconstructions({"filters": batch}, ax=ax)
    assert ax.images[0].get_array().shape == (8, 22)


@pytest.mark.parametrize(
    ("rows", "captions", "message"),
    [
        ({"a": images(3), "b": images(2)}, None, r"rows\['a'\] and rows\['b'\] .* got 3 and 2"),
        ({"a": images(3)}, ["one"], r"rows\['a'\] and captions must have .* got 3 and 1"),
        ({"a": images(0)}, None, r"rows\['a'\] must hold at least one example, got none"),
    ],
)
def test_rows_that_do_not_match_are_refused(rows, captions, message):
    with pytest.raises(ValueError, match=message):
        show_reconstructions(rows, captions=captions)
    assert plt.get_fignums() == []


# ---- plot_history


def test_every_batch_and_every_evaluation_is_drawn(ax):
    plot_history(history(), ax=ax)
    batches, evaluations = ax.lines
    assert batches.get_xdata().tolist() == [1, 2, 3, 4, 5, 6]
    assert batches.get_ydata().tolist() == [0.9, 0.7, 0.6, 0.5, 0.4, 0.3]
    assert evaluations.get_xdata().tolist() == [3, 6]
    assert evaluations.get_ydata().tolist() == [0.4, 0.2]
    assert ax.get_yscale() == "log"
    assert ax.get_xlabel() == "batches" and ax.get_ylabel()
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert names == ["training, each batch", "test"]


def test_baselines_are_dashed_lines_with_their_names_and_errors(ax):
    plot_history(history(), baselines={"mean image": 0.2712, "PCA-28": 0.0745}, ax=ax)
    baselines = ax.lines[2:]
    assert [line.get_ydata()[0] for line in baselines] == [0.2712, 0.0745]
    assert all(line.get_ydata()[0] == line.get_ydata()[1] for line in baselines)
    assert all(line.get_linestyle() == "--" for line in baselines)
    assert [text.get_text() for text in ax.texts] == ["mean image 0.271", "PCA-28 0.074"]
    assert [text.xy[1] for text in ax.texts] == [0.2712, 0.0745]


@pytest.mark.parametrize("losses", [[], [0.5, 0.4]])
def test_an_interrupted_history_without_evaluations_can_be_drawn(ax, losses):
    plot_history(History(batch_losses=losses, interrupted=True), ax=ax)
    assert ax.lines[0].get_ydata().tolist() == losses
    assert ax.lines[1].get_xdata().size == 0
    ax.figure.canvas.draw()


# ---- plot_embedding


def test_every_point_has_the_colour_of_its_digit(ax):
    plot_embedding(EMBEDDING, torch.tensor(LABELS), ax=ax)
    (points,) = ax.collections
    assert np.array_equal(points.get_offsets(), EMBEDDING)
    for color, label in zip(points.get_facecolors(), LABELS, strict=True):
        assert same_color(color[:3], DIGIT_COLORS[label])


def test_every_digit_present_is_named_at_the_median_of_its_points(ax):
    plot_embedding(EMBEDDING, LABELS, ax=ax)
    assert [text.get_text() for text in ax.texts] == ["3", "7"]
    assert [text.get_position() for text in ax.texts] == [(1, 1), (11, 10)]
    for text, digit in zip(ax.texts, (3, 7), strict=True):
        assert same_color(text.get_bbox_patch().get_edgecolor()[:3], DIGIT_COLORS[digit])


def test_a_map_has_no_ticks_and_equal_axes(ax):
    plot_embedding(torch.tensor(EMBEDDING), np.array(LABELS), ax=ax)
    assert ax.get_xticks().size == ax.get_yticks().size == 0
    assert ax.get_aspect() == 1


@pytest.mark.parametrize(
    ("embedding", "labels", "message"),
    [
        (np.zeros((3, 2)), [1, 2], "embedding and labels must have one row each .* got 3 and 2"),
        (np.zeros((0, 2)), [], "embedding must hold at least one example, got none"),
        (np.zeros((2, 2)), [1, 10], r"labels must be digits 0 to 9, got \[ 1 10\]; pass the digit"),
        (np.zeros((2, 2)), [-1, 0], r"labels must be digits 0 to 9, got \[-1  0\]"),
        (np.zeros((2, 2)), [0.5, 1.0], "labels must be digits 0 to 9"),
    ],
)
def test_a_map_with_labels_that_are_no_digits_is_refused(embedding, labels, message):
    with pytest.raises(ValueError, match=message):
        plot_embedding(embedding, labels)
    assert plt.get_fignums() == []


def test_a_map_of_three_columns_is_refused():
    with pytest.raises(ValueError, match=r"embedding must have shape \(N, 2\), got \(4, 3\)"):
        plot_embedding(np.zeros((4, 3)), [0, 1, 2, 3])


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({}, "rows must hold at least one example"),
        ({"flat": torch.zeros(3, 28, 28)}, r"rows\['flat'\] must have shape \(N, 1, H, W\)"),
    ],
)
def test_rows_that_are_no_images_are_refused(rows, message):
    with pytest.raises(ValueError, match=message):
        show_reconstructions(rows)
