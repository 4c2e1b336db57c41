"""Exercises of lesson 08: pixels laid out, one cycle, a residual block, and better codes."""

import math
from copy import deepcopy

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from ._exercise import Lesson, Trial

lesson = Lesson("08")
progress = lesson.progress


@lesson.exercise(
    "Follow one number: to which channel, row and column of the image does it go?",
    hints=(
        "Channel, row and column inside a square were one axis. Make three of it, in this order.",
        "reshape to (N, C, factor, factor, H, W). A pixel's row is H · factor + a square's row.",
        "permute(0, 1, 4, 2, 5, 3) pairs H with the row, W with the column; then reshape again.",
    ),
    shown="Sub-pixel upsampling computes nothing: it is two reshapes and a change of order.",
)
def shuffle_pixels(maps, factor):
    many, channels, height, width = maps.shape
    squares = maps.reshape(many, channels // factor**2, factor, factor, height, width)
    squares = squares.permute(0, 1, 4, 2, 5, 3)  # (N, C, H, factor, W, factor)
    return squares.reshape(many, -1, height * factor, width * factor)


@shuffle_pixels.judge
def _(trial: Trial) -> None:
    for owner in (F, torch):
        trial.refuse(owner, "pixel_shuffle", "pixel_shuffle")
    shapes = [(1, 2, 2, 2, 3), (2, 1, 4, 3, 3), (3, 3, 3, 1, 2), (2, 2, 1, 4, 3), (1, 1, 2, 5, 1)]
    for many, channels, factor, height, width in shapes:
        shape = many, channels * factor**2, height, width
        maps = torch.arange(math.prod(shape)).float().reshape(shape).requires_grad_()
        image = F.pixel_shuffle(maps, factor)
        trial(maps, factor).gives(image, "nn.PixelShuffle gives", gradients=[maps])


def _laid(maps, factor, axes, order):
    """An answer that splits the channels into other axes, or puts them into another order."""
    many, channels, height, width = maps.shape
    sizes = {"C": channels // factor**2, "r": factor}
    squares = maps.reshape(many, *(sizes[axis] for axis in axes), height, width).permute(*order)
    return squares.reshape(many, -1, height * factor, width * factor)


@shuffle_pixels.mistake("A reshape moves no number. What has to happen between the two of them?")
def _(maps, factor):
    return _laid(maps, factor, "Crr", (0, 1, 2, 3, 4, 5))


@shuffle_pixels.mistake("Each square lies on its side. Which of its two axes goes with the rows?")
def _(maps, factor):
    return _laid(maps, factor, "Crr", (0, 1, 4, 3, 5, 2))


@shuffle_pixels.mistake("Whole maps lie side by side. What belongs together: a map, or a place?")
def _(maps, factor):
    return _laid(maps, factor, "Crr", (0, 1, 2, 4, 3, 5))


@shuffle_pixels.mistake("The image's channels are mixed: which of the three axes changes slowest?")
def _(maps, factor):
    return _laid(maps, factor, "rrC", (0, 3, 4, 1, 5, 2))


@shuffle_pixels.mistake("An empty image has the shape, and nothing of the maps.")
def _(maps, factor):
    return torch.zeros_like(shuffle_pixels.answer(maps, factor))


@lesson.exercise(
    "Which way is this step on, how far along, and what are the rates at that way's two ends?",
    hints=(
        "Up until step 0.3 · steps − 1, then down: find `share`, from 0 to 1 along either way.",
        "Half a cosine wave from a to b: a + (b − a) · (1 − cos(π · share)) / 2.",
        "On the way down share = (step − top) / (steps − 1 − top), where top = 0.3 · steps − 1.",
    ),
    shown="That is OneCycleLR with all its defaults: high in between, and fine at the end.",
)
def one_cycle(step, steps, highest):
    top = 0.3 * steps - 1
    if step <= top:
        start, end, share = highest / 25, highest, step / top
    else:
        start, end, share = highest, highest / 250_000, (step - top) / (steps - 1 - top)
    return start + (end - start) * (1 - math.cos(math.pi * share)) / 2


def _rates(steps, highest):
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, highest, total_steps=steps, cycle_momentum=False
    )
    for _ in range(steps):
        yield optimizer.param_groups[0]["lr"]
        optimizer.step()
        schedule.step()


@one_cycle.judge
def _(trial: Trial) -> None:
    for steps, highest in ((100, 1.0), (10, 0.02), (61, 3e-3)):
        rates = [*_rates(steps, highest)]
        for step in (steps // 5, 0, steps // 2, steps - 1, *range(1, steps, 5)):
            trial(step, steps, highest).gives(rates[step], "OneCycleLR has")


def _half_wave(share):
    return (1 - math.cos(math.pi * share)) / 2


def _cycle(top, step, steps, highest):
    """The cycle with another top."""
    if step <= top:
        return highest / 25 + (highest - highest / 25) * _half_wave(step / top)
    down = _half_wave((step - top) / (steps - 1 - top))
    return highest + (highest / 250_000 - highest) * down


@one_cycle.mistake("Straight lines have corners. Which curve leaves and arrives level?")
def _(step, steps, highest):
    top = 0.3 * steps - 1
    return float(np.interp(step, [0, top, steps - 1], [highest / 25, highest, highest / 250_000]))


@one_cycle.mistake("Steps are counted from 0. At which number have three in ten been taken?")
def _(step, steps, highest):
    return _cycle(0.3 * steps, step, steps, highest)


@one_cycle.mistake("The top may lie between two steps. Who has rounded it?")
def _(step, steps, highest):
    return _cycle(int(0.3 * steps) - 1, step, steps, highest)


@one_cycle.mistake("A first step of no length would be wasted. How high does the cycle start?")
def _(step, steps, highest):
    top = 0.3 * steps - 1
    if step < top:
        return highest * _half_wave(step / top)
    return one_cycle.answer(step, steps, highest)


DOWN = "On the way down, is the share 0 at the top, and 1 at the last step?"


@one_cycle.mistake(DOWN)
def _(step, steps, highest):
    top = 0.3 * steps - 1
    down = highest + (highest / 250_000 - highest) * _half_wave((step - top) / (steps - top))
    return one_cycle.answer(step, steps, highest) if step <= top else down


@one_cycle.mistake(DOWN)
def _(step, steps, highest):
    down = highest + (highest / 250_000 - highest) * _half_wave(step / (steps - 1))
    return one_cycle.answer(step, steps, highest) if step <= 0.3 * steps - 1 else down


@one_cycle.mistake("That starts at the top, which it is to reach later.")
def _(step, steps, highest):
    top = 0.3 * steps - 1
    if step <= top:
        return highest / 25 + (highest - highest / 25) * (1 - _half_wave(step / top))
    return one_cycle.answer(step, steps, highest)


@one_cycle.mistake("That is a constant rate, which is to be reached at the top alone.")
def _(step, steps, highest):
    return highest


@lesson.exercise(
    "Does x come through as it was, and what is added to it: GELU, convolution, and both again?",
    hints=(
        "Two nn.Conv2d in __init__: from channels to inside, and back, with a size that stays.",
        "Both with padding=1. In forward, each reads what GELU gives; the sum comes last.",
        "x + self.conv2(gelu(self.conv1(gelu(x)))), where gelu is nn.functional.gelu.",
    ),
    shown="Whatever the convolutions say, x comes through, and its gradient comes back.",
)
class BlockByHand(nn.Module):
    def __init__(self, channels, inside):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, inside, 3, padding=1)
        self.conv2 = nn.Conv2d(inside, channels, 3, padding=1)

    def forward(self, x):  # (N, channels, H, W)
        found = self.conv1(nn.functional.gelu(x))  # (N, inside, H, W)
        return x + self.conv2(nn.functional.gelu(found))


LAYER = "nn.GELU() is a layer, which is called in its turn. nn.functional.gelu is the function."
PADDING = "Both convolutions keep the size: which padding does a window of 3 × 3 need for that?"


@BlockByHand.judge
def _(trial: Trial) -> None:
    trial.explain({"The size of tensor a": PADDING, "got (GELU": LAYER})
    for channels, inside, height, width in ((4, 6, 7, 7), (5, 2, 3, 4), (1, 3, 5, 1)):
        block = trial(channels, inside)
        shapes = [(inside, channels, 3, 3), (inside,), (channels, inside, 3, 3), (channels,)]
        weights = w1, b1, w2, b2 = block.parameters(*shapes)
        x = (2 * torch.randn(3, channels, height, width)).requires_grad_()
        found = F.conv2d(F.gelu(x), w1, b1, padding=1)
        amended = x + F.conv2d(F.gelu(found), w2, b2, padding=1)
        block(x).gives(amended, "layer by layer it is", gradients=[x, *weights])


@BlockByHand.mistake(PADDING)
def _(channels, inside):
    block = BlockByHand.answer(channels, inside)
    block.conv2.padding = 0, 0
    return block


@BlockByHand.mistake(PADDING)
def _(channels, inside):
    block = BlockByHand.answer(channels, inside)
    block.conv1.padding, block.conv2.padding = (2, 2), (0, 0)
    return block


def _block(forward):
    """A block of the right parameters, which computes forward(x, conv1, conv2)."""

    def made(channels, inside):
        block = BlockByHand.answer(channels, inside)
        block.forward = lambda x: forward(x, block.conv1, block.conv2)
        return block

    return made


@BlockByHand.mistake("That replaces x. Where is the shortcut, by which x itself comes through?")
@_block
def _(x, conv1, conv2):
    return conv2(F.gelu(conv1(F.gelu(x))))


@BlockByHand.mistake("GELU bends the sum, and x with it. Should anything stand behind a shortcut?")
@_block
def _(x, conv1, conv2):
    return F.gelu(x + conv2(F.gelu(conv1(x))))


@BlockByHand.mistake("You add to GELU of x. Where does the shortcut leave: before GELU, or behind?")
@_block
def _(x, conv1, conv2):
    return F.gelu(x) + conv2(F.gelu(conv1(F.gelu(x))))


@BlockByHand.mistake("GELU stands behind each convolution. Was it to come before, or after?")
@_block
def _(x, conv1, conv2):
    return x + F.gelu(conv2(F.gelu(conv1(x))))


@BlockByHand.mistake("Two convolutions in a row are one. What has to stand between them?")
@_block
def _(x, conv1, conv2):
    return x + conv2(conv1(F.gelu(x)))


@BlockByHand.mistake("Which activation was asked for, and which stands there?")
@_block
def _(x, conv1, conv2):
    return x + conv2(F.relu(conv1(F.relu(x))))


@BlockByHand.mistake(LAYER)
@_block
def _(x, conv1, conv2):
    return x + conv2(nn.GELU(conv1(nn.GELU(x))))


@BlockByHand.mistake("x came out as it went in. What have the convolutions to say?")
@_block
def _(x, conv1, conv2):
    return x


@lesson.exercise(
    "Against the gradient of each image's sum of squares: which of its codes draws it best?",
    hints=(
        "torch.autograd.grad(total, codes) is the gradient of the codes, and of nothing else.",
        "Keep two things for every image: the lowest error so far, and the code that had it.",
        "best = torch.where((errors < lowest)[:, None], codes, best), before the step is taken.",
        "codes = (codes - rate * gradient).detach().requires_grad_() starts each step anew.",
    ),
    shown="An encoder's code is a first guess: the decoder itself knows the way to a better one.",
)
def improve(decoder, images, codes, steps, rate):
    best, lowest = codes, torch.full((len(codes),), torch.inf)
    for _ in range(steps + 1):  # the codes given, and those after each step
        codes = codes.detach().requires_grad_()
        errors = (images - decoder(codes)).square().flatten(1).sum(dim=1)  # (N,)
        best = torch.where((errors < lowest)[:, None], codes, best)
        lowest = torch.minimum(errors, lowest)
        (gradient,) = torch.autograd.grad(errors.sum(), codes)
        codes = codes - rate * gradient
    return best.detach()


FROZEN = "What was frozen stays frozen, and what was not does not. Need you change either?"
GIVEN = "They belong to the caller. On what could you ask for a gradient instead?"
TRAINED = "The decoder has learned in place of the codes. Whose gradient is asked for?"
BACKWARD = "backward() leaves a gradient in every weight. What asks for the codes' alone?"
GRAPH = "The codes drag along the graph of their last step. What cuts a tensor off it?"


def _way(decoder, images, codes, steps, rate):
    """Codes given and after each step (steps + 1, N, length), and errors (steps + 1, N)."""
    whole = []
    for image, code in zip(images, codes, strict=True):
        way = [code]
        for _ in range(steps):
            code = way[-1].clone().requires_grad_()
            error = ((decoder(code[None])[0] - image) ** 2).sum()
            way.append(way[-1] - rate * torch.autograd.grad(error, code)[0])
        whole.append(torch.stack(way))
    ways = torch.stack(whole, dim=1)
    with torch.no_grad():
        errors = [((decoder(codes) - images) ** 2).flatten(1).sum(dim=1) for codes in ways]
    return ways, torch.stack(errors)


@improve.judge
def _(trial: Trial) -> None:
    for many, length, shape, steps, rate in (  # steps of 0.5 and more overshoot
        (8, 3, (1, 4, 4), 5, 1.2),
        (5, 2, (2, 3, 5), 3, 0.5),
        (1, 4, (1, 4, 4), 7, 0.3),
        (3, 2, (1, 3, 3), 0, 0.1),
    ):
        size = math.prod(shape)
        decoder = nn.Sequential(nn.Linear(length, size), nn.Tanh(), nn.Unflatten(1, shape))
        decoder(torch.randn(9, length)).sum().backward()  # some training, earlier
        decoder[0].bias.requires_grad_(False)  # frozen since, and to stay so
        images = decoder(torch.randn(many, length)).detach() + 0.3 * torch.randn(many, *shape)
        _judge_codes(trial, decoder, images, torch.randn(many, length), steps, rate)


def _judge_codes(trial, decoder, *rest):
    weights, (way, errors) = [*decoder.parameters()], _way(decoder, *rest)
    before = [(weight.detach().clone(), weight.grad.clone()) for weight in weights]
    frozen = [not weight.requires_grad for weight in weights]
    given = trial(decoder, *rest)
    for weight, (value, gradient) in zip(weights, before, strict=True):
        if not torch.equal(weight, value):
            trial.wrong("changed the weights of the decoder.", TRAINED)
        if weight.grad is None or not torch.equal(weight.grad, gradient):
            trial.wrong("left something else in the .grad of the decoder.", BACKWARD)
    if frozen != [not weight.requires_grad for weight in weights]:
        trial.wrong("left another requires_grad in the decoder.", FROZEN)
    if rest[1].requires_grad:
        trial.wrong("left a requires_grad on the codes that it was given.", GIVEN)
    if getattr(given.value, "requires_grad", False):
        trial.wrong("gave codes that require a gradient.", GRAPH)
    best = way[errors.argmin(dim=0), torch.arange(way.shape[1])]
    given.gives(best, "a slow loop has", again=lambda mistaken: mistaken(deepcopy(decoder), *rest))


@improve.mistake("No code is better than it was. Which way does a gradient point, up or down?")
def _(decoder, images, codes, steps, rate):
    return codes


@improve.mistake("A step can overshoot. What if the code before it drew the image better?")
def _(*parts):
    return _way(*parts)[0][-1]


@improve.mistake("The code that was given counts, too. What if no step betters it?")
def _(*parts):
    way, errors = _way(*parts)
    return way[1 + errors[1:].argmin(dim=0), torch.arange(way.shape[1])]


@improve.mistake("Images do not mix: one has its best code after three steps, another after five.")
def _(*parts):
    way, errors = _way(*parts)
    return way[errors.sum(dim=1).argmin()]


@improve.mistake("The last step was taken. Has anybody looked at the codes that it led to?")
def _(decoder, images, codes, steps, rate):
    return improve.answer(decoder, images, codes, steps - 1, rate)


@improve.mistake("Does an image take shorter steps, the more images or pixels there are?")
def _(decoder, images, codes, steps, rate):
    return improve.answer(decoder, images, codes, steps, rate / images.numel())


@improve.mistake("Does an image take shorter steps, the more images or pixels there are?")
def _(decoder, images, codes, steps, rate):
    return improve.answer(decoder, images, codes, steps, rate / len(images))


@improve.mistake("Does an image take shorter steps, the more images or pixels there are?")
def _(decoder, images, codes, steps, rate):
    return improve.answer(decoder, images, codes, steps, rate / images[0].numel())


@improve.mistake(BACKWARD)
def _(decoder, images, *rest):
    (images - decoder(rest[0])).square().sum().backward()
    return improve.answer(decoder, images, *rest)


@improve.mistake(FROZEN)
def _(decoder, *rest):
    return improve.answer(decoder.requires_grad_(False), *rest)


@improve.mistake(FROZEN)
def _(decoder, *rest):
    codes = improve.answer(decoder.requires_grad_(False), *rest)
    decoder.requires_grad_(True)
    return codes


@improve.mistake(GIVEN)
def _(decoder, images, codes, *rest):
    return improve.answer(decoder, images, codes.requires_grad_(), *rest)


@improve.mistake(TRAINED)
def _(decoder, *rest):
    for weight in decoder.parameters():
        weight.data -= 0.1 * weight.grad
    return improve.answer(decoder, *rest)


@improve.mistake(GRAPH)
def _(*parts):
    return improve.answer(*parts).requires_grad_()
