"""Exercises of lesson 01: filters that shift, two layers by hand, dropout, and a matrix."""

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.functional import conv2d, pad

from ._exercise import Lesson, Outcome, Trial

lesson = Lesson("01")
progress = lesson.progress


@lesson.exercise(
    "What does a window read, and where does it write? Try it on an image with a single dot.",
    hints=(
        "All zeros and a single 1. In the middle of the filter it leaves the image as it is.",
        "To move the image to the right, each place must fetch what stands to the left of it.",
        "The 1 stands `right` columns to the left of the middle, and `down` rows above it.",
    ),
    shown="Behind a filter, a pixel may know what stood beside it: layers build on that.",
)
def shift_filter(size, right, down):
    weight = torch.zeros(size, size)
    weight[size // 2 - down, size // 2 - right] = 1
    return weight


@shift_filter.judge
def _(trial: Trial) -> None:
    for size, right, down in ((3, 1, 0), (3, 0, -1), (5, 2, 1), (7, -3, 2), (5, 0, 0), (9, -1, -4)):
        _judge_shift(trial, size, right, down)


def _judge_shift(trial: Trial, size: int, right: int, down: int) -> None:
    border = size // 2
    image = pad(torch.rand(8, 10), [border] * 4)
    shifted = image.roll((down, right), (0, 1))[border:-border, border:-border]
    weight = trial(size, right, down).value
    if not torch.is_tensor(weight) or weight.shape != (size, size):
        Outcome(trial, weight, lambda mistaken: None).gives(torch.zeros(size, size), "a filter is")

    def move(filter: torch.Tensor) -> torch.Tensor:  # whatever its numbers' type
        return conv2d(image[None, None], filter[None, None].to(image))[0, 0]

    trial.call = f"an image under {trial.call}"
    moved = Outcome(trial, move(weight), lambda mistaken: move(mistaken(size, right, down)))
    moved.gives(shifted, "shifted it has")


@shift_filter.mistake("The image went the other way. Who moves: what is read, or what is written?")
def _(size, right, down):
    return shift_filter.answer(size, -right, -down)


@shift_filter.mistake("Which index of a tensor is the row, and which the column?")
def _(size, right, down):
    return shift_filter.answer(size, down, right)


@shift_filter.mistake("Nothing has moved.")
def _(size, right, down):
    return shift_filter.answer(size, 0, 0)


@shift_filter.mistake(
    "Brighter or darker than it was: what do the weights of the filter add up to?"
)
def _(size, right, down):
    return shift_filter.answer(size, right, down) / size**2


@lesson.exercise(
    "Is it tanh(x Wᵀ + b), with W and b parameters that a trainer would find?",
    hints=(
        "nn.Parameter(…) around a tensor tells the module, and the optimizer, that it learns.",
        "The weight has a row for each output: (outputs, inputs). The bias has a number for each.",
        "forward: (x @ self.weight.T + self.bias).tanh(), the weight drawn by torch.randn before.",
    ),
    shown="Value and gradients are nn.Linear's: there is nothing more in a dense layer.",
)
class DenseByHand(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / inputs**0.5)
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x):  # (N, inputs)
        return (x @ self.weight.T + self.bias).tanh()  # (N, outputs)


ALIKE = "Rows that start alike learn alike: the outputs stay copies of one. How should they start?"


@DenseByHand.judge
def _(trial: Trial) -> None:
    trial.refuse(nn.Linear, "__init__", "nn.Linear")
    for inputs, outputs in ((5, 3), (2, 4), (16, 1)):
        layer = trial(inputs, outputs)
        weight, bias = layer.parameters((outputs, inputs), (outputs,))
        if outputs > 1 and (weight == weight[:1]).all():
            trial.wrong("starts with all rows of its weight alike.", ALIKE)
        with torch.no_grad():
            bias.normal_()
        x = torch.randn(6, inputs, requires_grad=True)
        expected = F.linear(x, weight, bias).tanh()
        layer(x).gives(expected, "nn.Linear and tanh give", gradients=[x, weight, bias])


@DenseByHand.mistake(ALIKE)
def _(inputs, outputs):
    layer = DenseByHand.answer(inputs, outputs)
    nn.init.zeros_(layer.weight)
    return layer


@DenseByHand.mistake("A plain tensor is not learned. What makes it a parameter of the module?")
def _(inputs, outputs):
    layer = nn.Identity()
    layer.weight, layer.bias = torch.randn(outputs, inputs), torch.zeros(outputs)
    return layer


@DenseByHand.mistake("The activation is missing. Which one was it?")
def _(inputs, outputs):
    layer = DenseByHand.answer(inputs, outputs)
    layer.forward = lambda x: x @ layer.weight.T + layer.bias
    return layer


@DenseByHand.mistake("Is the bias added before the activation, or behind it?")
def _(inputs, outputs):
    layer = DenseByHand.answer(inputs, outputs)
    layer.forward = lambda x: (x @ layer.weight.T).tanh() + layer.bias
    return layer


@DenseByHand.mistake("There is one weight for each pair of numbers, but no bias yet.")
def _(inputs, outputs):
    layer = DenseByHand.answer(inputs, outputs)
    layer.bias = None
    layer.forward = lambda x: (x @ layer.weight.T).tanh()
    return layer


@lesson.exercise(
    "At each place: all channels of the window, times the filter, added up, plus its bias?",
    hints=(
        "Start from the lesson's convolve: two loops over the places, and a window at each.",
        "A window of all images is (N, C, k, k); with an axis for the filters, (N, 1, C, k, k).",
        "maps[:, :, row, column] = (window[:, None] * weight).sum(dim=(2, 3, 4)) + bias",
    ),
    shown="You can replace nn.Conv2d now, gradients included, if you have the time.",
)
def apply_filters(images, weight, bias, padding):
    padded, size = pad(images, [padding] * 4), weight.shape[-1]
    rows, columns = padded.shape[2] - size + 1, padded.shape[3] - size + 1
    maps = torch.zeros(len(images), len(weight), rows, columns)
    for row in range(rows):
        for column in range(columns):
            window = padded[:, :, row : row + size, column : column + size]  # (N, C, k, k)
            maps[:, :, row, column] = (window[:, None] * weight).sum(dim=(2, 3, 4)) + bias
    return maps  # (N, O, rows, columns)


@apply_filters.judge
def _(trial: Trial) -> None:
    for owner in (F, torch):
        trial.refuse(owner, "conv2d", "conv2d")
    for many, channels, filters, size, padding in (
        (2, 3, 4, 3, 1),
        (1, 2, 2, 5, 2),
        (3, 1, 2, 1, 0),
        (2, 2, 1, 2, 0),
    ):
        images = torch.randn(many, channels, 6, 5, requires_grad=True)
        weight = torch.randn(filters, channels, size, size, requires_grad=True)
        bias = torch.randn(filters, requires_grad=True)
        maps = conv2d(images, weight, bias, padding=padding)
        given = trial(images, weight, bias, padding)
        given.gives(maps, "conv2d gives", gradients=[images, weight, bias])


@apply_filters.mistake("That flips the filter first. In deep learning the window is used as it is.")
def _(images, weight, bias, padding):
    return apply_filters.answer(images, weight.flip(2, 3), bias, padding)


@apply_filters.mistake("Every filter adds one number of its own at every place.")
def _(images, weight, bias, padding):
    return apply_filters.answer(images, weight, torch.zeros_like(bias), padding)


@apply_filters.mistake("Where can the window stand, if a border is added on all four sides?")
def _(images, weight, bias, padding):
    return apply_filters.answer(images, weight, bias, 0)


@apply_filters.mistake("A filter looks at all channels at once, not at the first one alone.")
def _(images, weight, bias, padding):
    return apply_filters.answer(images[:, :1], weight[:, :1], bias, padding)


@apply_filters.mistake("Nothing leads back to the filters: they would stay as they are.")
def _(images, weight, bias, padding):
    return apply_filters.answer(images, weight.detach(), bias.detach(), padding)


@apply_filters.mistake("Of the right shape, and empty.")
def _(images, weight, bias, padding):
    return torch.zeros_like(apply_filters.answer(images, weight, bias, padding))


@lesson.exercise(
    "How many numbers stay, what becomes of them, and what happens in evaluation mode?",
    hints=(
        "self.training says which mode a module is in; layer.eval() makes it False.",
        "torch.rand_like(x) < keep is True with the probability keep, for each number by itself.",
        "In training x * kept / keep, so that the sum stays the same on average; else x as it is.",
    ),
    shown="So do the layers of this course with dropout=keep, and nn.Dropout with 1 − keep.",
)
class KeepDropout(nn.Module):
    def __init__(self, keep):
        super().__init__()
        self.keep = keep

    def forward(self, x):
        if not self.training:
            return x
        return x * (torch.rand_like(x) < self.keep) / self.keep


TOGETHER = "Whole images, or the same numbers of all. How many draws does it take?"
ANEW = "Each call draws anew. Is the draw made once, or from one and the same seed?"


@KeepDropout.judge
def _(trial: Trial) -> None:
    for keep in (0.9, 0.5, 0.2):
        for training in (True, False):
            for shape in ((100, 200), (20_000,), (4, 5, 20, 50)):
                _judge_dropout(trial, keep, training, shape)


def _judge_dropout(trial: Trial, keep: float, training: bool, shape: tuple[int, ...]) -> None:
    x = torch.randn(shape, requires_grad=True)
    layer = trial(keep)
    layer.parameters()  # none
    layer.value.train(training)
    given = layer(x)
    if not torch.is_tensor(given.value) or given.value.shape != x.shape:
        given.gives(x)

    def look(value: torch.Tensor) -> tuple[float, float]:
        kept = value != 0
        return kept.float().mean().item(), (value[kept] / x[kept]).mean().item()

    kept = given.value != 0
    alike = kept.ndim > 1 and ((kept == kept[:1]).all() or (kept == kept[:, :1]).all())
    if training and kept.any() and not kept.all():
        if alike:
            trial.wrong("dropped whole rows or columns at once.", TOGETHER)
        if torch.equal(kept, layer(x).value != 0):
            trial.wrong("dropped the same numbers in two calls.", ANEW)
    share, factor = look(given.value)
    seen = Outcome(trial, (share, factor), lambda m: look(m(keep).train(training)(x)))
    seen.tolerance, mode = 0.02, "training" if training else "evaluation"
    wanted = (keep, 1 / keep) if training else (1.0, 1.0)
    if abs(share - wanted[0]) > 0.02:
        words = f"kept {share:.0%} of the numbers in {mode}, {wanted[0]:.0%} were to stay."
        trial.wrong(words, seen.recognised())
    if abs(factor / wanted[1] - 1) > 0.02:
        words = f"multiplied what it kept by {factor:.3g} in {mode}, not by {wanted[1]:.3g}."
        trial.wrong(words, seen.recognised())
    given.gives(x * kept * wanted[1], "number by number it is", gradients=[x])
    trial.passed.clear()  # no two draws are alike


@KeepDropout.mistake("nn.Dropout takes the chance to drop a number. Which chance is given here?")
def _(keep):
    return nn.Dropout(keep)


@KeepDropout.mistake("With fewer numbers the sum shrinks. What makes up for it, on average?")
def _(keep):
    layer = KeepDropout.answer(keep)
    layer.forward = lambda x: x * (torch.rand_like(x) < keep) if layer.training else x
    return layer


@KeepDropout.mistake("Should a trained network answer at random? Ask self.training.")
def _(keep):
    layer = KeepDropout.answer(keep)
    layer.forward = lambda x: F.dropout(x, 1 - keep)
    return layer


@KeepDropout.mistake(TOGETHER)
def _(keep):
    layer = KeepDropout.answer(keep)
    layer.forward = lambda x: x * (torch.rand(x.shape[-1]) < keep) / keep if layer.training else x
    return layer


@KeepDropout.mistake(ANEW)
def _(keep):
    def forward(x):
        drawn = torch.rand(x.shape, generator=torch.Generator().manual_seed(0))
        return x * (drawn < keep) / keep if layer.training else x

    layer = KeepDropout.answer(keep)
    layer.forward = forward
    return layer


@KeepDropout.mistake("In training, nothing is dropped.")
def _(keep):
    return nn.Identity()


@lesson.exercise(
    "What does column j hold: what becomes of an image in which pixel j alone is 1?",
    hints=(
        "A matrix shows its columns if you multiply it by images that have a single 1.",
        "torch.eye(height * width), reshaped, holds all of those images: one for each pixel.",
        "Or by rows: row r · width + c holds the filter where the window around (r, c) reads.",
        "conv2d of them with padding=size // 2, flattened, has the columns as rows: transpose it.",
    ),
    shown="A convolution is a dense layer, sparse and shared. Transposed, its matrix stamps.",
)
def filter_matrix(weight, height, width):
    images = torch.eye(height * width).reshape(-1, 1, height, width)  # one for each pixel
    maps = conv2d(images, weight[None, None], padding=len(weight) // 2)  # (H·W, 1, H, W)
    return maps.flatten(1).T  # (H·W, H·W)


@filter_matrix.judge
def _(trial: Trial) -> None:
    for size, height, width in ((3, 6, 6), (3, 4, 5), (5, 3, 5), (1, 2, 3)):
        weight, rows = torch.randn(size, size), []
        for row in range(height):
            for column in range(width):  # the filter, laid where its window reads
                canvas = torch.zeros(height + size - 1, width + size - 1)
                canvas[row : row + size, column : column + size] = weight
                half = size // 2
                rows.append(canvas[half : half + height, half : half + width].flatten())
        trial(weight, height, width).gives(torch.stack(rows), "row by row it is")


@filter_matrix.mistake("That one stamps: it is the transposed convolution's. Rows or columns?")
def _(weight, height, width):
    return filter_matrix.answer(weight, height, width).T


@filter_matrix.mistake("How many numbers come out, if a border of zeros keeps the size?")
def _(weight, height, width):
    images = torch.eye(height * width).reshape(-1, 1, height, width)
    return conv2d(images, weight[None, None]).flatten(1).T


@filter_matrix.mistake("Beyond the right border comes nothing, not the left border again.")
def _(weight, height, width):
    images = torch.eye(height * width).reshape(-1, 1, height, width)
    images = pad(images, [len(weight) // 2] * 4, mode="circular")
    return conv2d(images, weight[None, None]).flatten(1).T


@filter_matrix.mistake("Beyond the end of a row comes nothing, not the beginning of the next one.")
def _(weight, height, width):
    matrix, half = torch.zeros(height * width, height * width), len(weight) // 2
    for row, column in torch.cartesian_prod(*2 * [torch.arange(len(weight))]).tolist():
        offset = (row - half) * width + column - half
        matrix += weight[row, column] * torch.ones(len(matrix) - abs(offset)).diag(offset)
    return matrix


@filter_matrix.mistake("That matrix leaves every image as it is, whatever the filter.")
def _(weight, height, width):
    return torch.eye(height * width)
