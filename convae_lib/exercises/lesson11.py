"""Exercises of lesson 11: sixteen bits, patches apart, channels in batches, cosines."""

import itertools
import math

import numpy as np
import torch
from scipy.fft import idct

from ._exercise import Lesson, Trial

lesson = Lesson("11")
progress = lesson.progress


@lesson.exercise(
    "Of 65,535, the brightest, and of 0, what becomes? And is what lies between rounded?",
    hints=(
        "65,535 is 255 · 257: dividing by 257 takes the one scale to the other.",
        "np.round gives fractions that are whole: .astype(np.uint8) makes 8-bit numbers of them.",
        "np.round(pixels / 257).astype(np.uint8): the division makes fractions, so nothing wraps.",
    ),
    shown="White stays white, and 256 greys are left of 65,536: that is all that 8 bits can keep.",
)
def eight_bits(pixels):
    return np.round(pixels / 257).astype(np.uint8)


@eight_bits.judge
def _(trial: Trial) -> None:
    rng = np.random.default_rng(0)
    for pixels in (
        np.array([[0, 300, 65_535]]),
        rng.integers(20_000, 60_000, (5, 7)),
        rng.integers(0, 4_096, (6, 4)),  # twelve bits, as many cameras have
        np.full((3, 3), 65_535),
    ):
        expected = [[math.floor(value / 65_535 * 255 + 0.5) for value in row] for row in pixels]
        given = trial(pixels.astype(np.uint16))
        given.gives(np.array(expected, np.uint8), "one by one they are")
        if given.value.dtype != np.uint8:
            trial.wrong(f"has the right numbers, as {given.value.dtype}.", BITS)


BITS = "Numbers of 8 bits are asked for: which type of NumPy's has them?"


@eight_bits.mistake(BITS)
def _(pixels):
    return np.round(pixels / 257)


@eight_bits.mistake("All that is brighter than 255 has become white: that is Pillow's mistake.")
def _(pixels):
    return pixels.clip(0, 255).astype(np.uint8)


@eight_bits.mistake("A number too large for 8 bits begins again at 0. What has to happen first?")
def _(pixels):
    return pixels.astype(np.uint8)


@eight_bits.mistake("16 bits overflow as well: 300 · 255 is more than they hold. Divide first.")
def _(pixels):
    return (pixels * np.uint16(255) // np.uint16(65_535)).astype(np.uint8)


@eight_bits.mistake("That stretches each picture by its own range: a dark one would turn bright.")
def _(pixels):
    low, high = pixels.min(), pixels.max()
    return np.round(255 * (pixels - low) / max(high - low, 1)).astype(np.uint8)


@eight_bits.mistake("That stretches each picture by its own range: a dark one would turn bright.")
def _(pixels):
    return np.round(255 * (pixels / pixels.max())).astype(np.uint8)


@eight_bits.mistake("The upper eight bits round down. Which whole number is nearest?")
def _(pixels):
    return (pixels // 256).astype(np.uint8)


@eight_bits.mistake("You round down. Which whole number is nearest?")
def _(pixels):
    return (pixels // 257).astype(np.uint8)


@lesson.exercise(
    "Two squares share a pixel if they overlap in rows and in columns. And of which photograph?",
    hints=(
        "Compare all with all: train[:, None] - test has the shape (N, M, 3).",
        "Two sides of `size` pixels overlap if they start fewer than `size` pixels apart.",
        "A pair shares pixels where the photograph is the same, and both distances are < size.",
    ),
    shown="What is left touches no test patch. Whether it also looks unlike one is another matter.",
)
def apart(train, test, size):
    away = (train[:, None] - test).abs()  # (N, M, 3): photograph, row, column
    shared = (away[..., 0] == 0) & (away[..., 1:] < size).all(dim=-1)  # (N, M)
    return ~shared.any(dim=1)


@apart.judge
def _(trial: Trial) -> None:
    for many, few, size, reach in ((40, 3, 8, 40), (60, 5, 5, 25), (30, 1, 32, 100), (50, 4, 3, 9)):
        draw = lambda rows, reach=reach: torch.randint(reach, (rows, 2))  # noqa: E731
        train = torch.cat([torch.randint(2, (many, 1)), draw(many)], dim=1)
        test = torch.cat([torch.randint(2, (few, 1)), draw(few)], dim=1)
        train[:4, 0] = test[0, 0]  # a neighbour on each side, and one pixel nearer
        sides = torch.tensor([[0, size], [-size, 0], [0, size - 1], [1 - size, 0]])
        train[:4, 1:] = test[0, 1:] + sides
        painted = torch.zeros(2, reach + 3 * size, reach + 3 * size, dtype=torch.bool)
        for photo, row, column in (test + torch.tensor([0, size, size])).tolist():
            painted[photo, row : row + size, column : column + size] = True
        expected = [
            not painted[photo, row : row + size, column : column + size].any()
            for photo, row, column in (train + torch.tensor([0, size, size])).tolist()
        ]
        trial(train, test, size).gives(torch.tensor(expected), "painting them gives")


def _apart(away, size, shared=None):
    near = away[..., 1:] < size
    return (away[..., 0] == 0) & (near.all(dim=-1) if shared is None else shared(near))


@apart.mistake("Those are the patches that do overlap. Which were to be kept?")
def _(train, test, size):
    return _apart((train[:, None] - test).abs(), size).any(dim=1)


@apart.mistake("Patches that start `size` pixels apart touch, and share nothing: they may stay.")
def _(train, test, size):
    return ~_apart((train[:, None] - test).abs(), size + 1).any(dim=1)


@apart.mistake("In the same rows, yes, but far to the side: is that an overlap?")
def _(train, test, size):
    return ~_apart((train[:, None] - test).abs(), size, lambda near: near.any(dim=-1)).any(dim=1)


@apart.mistake("Only columns were compared. What of the rows?")
def _(train, test, size):
    return ~_apart((train[:, None] - test).abs(), size, lambda near: near[..., 1]).any(dim=1)


@apart.mistake("Only rows were compared. What of the columns?")
def _(train, test, size):
    return ~_apart((train[:, None] - test).abs(), size, lambda near: near[..., 0]).any(dim=1)


@apart.mistake("A patch at the same place of another photograph shares no pixel.")
def _(train, test, size):
    return ~((train[:, None] - test).abs()[..., 1:] < size).all(dim=-1).any(dim=1)


@apart.mistake("A patch above or to the left overlaps as well: distances have no sign.")
def _(train, test, size):
    away = train[:, None] - test
    return ~((away[..., 0] == 0) & (away[..., 1:] >= 0).all(-1) & _apart(away, size)).any(dim=1)


@apart.mistake("Far from one test patch is not enough. How many must it stay away from?")
def _(train, test, size):
    return (~_apart((train[:, None] - test).abs(), size)).any(dim=1)


@apart.mistake("Squares, not discs: they overlap at a corner although their centres are far apart.")
def _(train, test, size):
    away = (train[:, None] - test).double()
    return ~((away[..., 0] == 0) & (away[..., 1:].norm(dim=-1) < size)).any(dim=1)


@lesson.exercise(
    "What can be added up over batches, so that in the end all pixels have counted alike?",
    hints=(
        "Add up three things for each channel: how many pixels, their sum, the sum of squares.",
        "The variance is the mean of the squares less the square of the mean. Take its root.",
        "Add in float64: batch.double().sum(dim=(0, 2, 3)) has one number for each channel.",
    ),
    shown="One batch at a time is all it takes in memory, however many pictures there are.",
)
def channel_statistics(batches):
    count, total, squares = 0, 0, 0
    for batch in batches:  # (N, C, H, W)
        pixels = batch.double()
        count += pixels[:, 0].numel()
        total = total + pixels.sum(dim=(0, 2, 3))  # (C,)
        squares = squares + pixels.square().sum(dim=(0, 2, 3))
    mean = total / count
    return mean, (squares / count - mean.square()).sqrt()


@channel_statistics.judge
def _(trial: Trial) -> None:
    for sizes, channels, shift in (
        ((4, 4, 1), 3, 0.0),
        ((5, 2), 1, 0.3),
        ((3, 3, 3), 2, 0.0),
        ((8, 8, 2), 3, 500.0),  # sums of squares of 32 bits are too coarse here
    ):
        levels = torch.arange(sum(sizes)).reshape(-1, 1, 1, 1) / 9  # every batch has its own mean
        scales = 1 + torch.arange(channels).reshape(1, -1, 1, 1)
        images = shift + levels + scales * torch.randn(sum(sizes), channels, 4, 6)
        pixels = images.double().transpose(0, 1).flatten(1).numpy()  # (C, N * H * W)
        expected = torch.tensor(pixels.mean(axis=1)), torch.tensor(pixels.std(axis=1))
        trial([*images.split(sizes)]).gives(expected, "all at once they are", tolerance=1e-5)


def _exact(batches, correction=0):
    images = torch.cat([*batches]).double()
    return images.mean(dim=(0, 2, 3)), images.std(dim=(0, 2, 3), correction=correction)


def _means_of(function, batches):
    return torch.stack([function(batch.double()) for batch in batches]).mean(dim=0)


def _own_mean(batch):
    return batch.mean(dim=(0, 2, 3))


def _own_spread(batch):
    return batch.std(dim=(0, 2, 3), correction=0)


@channel_statistics.mistake("A batch of one image counts as much as a batch of four. Should it?")
def _(batches):
    mean = _means_of(_own_mean, batches)
    squares = _means_of(lambda batch: _own_mean(batch.square()), batches)
    return mean, (squares - mean.square()).sqrt()


@channel_statistics.mistake(
    "The spread inside the batches is not all: their means differ from each other, too."
)
def _(batches):
    return _exact(batches)[0], _means_of(_own_spread, batches)


@channel_statistics.mistake(
    "Means of means: small batches count too much, and the spread between batches is lost."
)
def _(batches):
    return _means_of(_own_mean, batches), _means_of(_own_spread, batches)


@channel_statistics.mistake("That is one number for all channels. Over which axes is a sum taken?")
def _(batches):
    images = torch.cat([*batches]).double()
    return images.mean(), images.std(correction=0)


@channel_statistics.mistake("That is the variance. Its root has the unit of the pixels.")
def _(batches):
    mean, spread = _exact(batches)
    return mean, spread.square()


@channel_statistics.mistake("Divide by the number of pixels of a channel, not by one less.")
def _(batches):
    return _exact(batches, correction=1)


@channel_statistics.mistake("That is the mean square. What of the square of the mean?")
def _(batches):
    images = torch.cat([*batches]).double()
    return images.mean(dim=(0, 2, 3)), images.square().mean(dim=(0, 2, 3)).sqrt()


@channel_statistics.mistake("Only the last batch has counted. What has to outlive the loop?")
def _(batches):
    return _exact(batches[-1:])


@lesson.exercise(
    "At pixel x, how far has the cosine number i come, which makes i half waves over the side?",
    hints=(
        "One side first: cos(π · i · (x + ½) / size) for all i and x makes a table (size, size).",
        "Divide each row of it by its own norm, and all rows are of length 1.",
        "A row of the answer is an outer product of two such rows: first i, then j.",
        "Sort the pairs (i, j) by (i + j, i), and take the first `count`.",
    ),
    shown="These are JPEG's: with size=8, what its files keep of every 8 × 8 block.",
)
def cosines(count, size):
    places = torch.arange(size, dtype=torch.float64)
    waves = torch.cos(math.pi * places[:, None] * (places + 0.5) / size)  # (size, size)
    waves = waves / waves.norm(dim=1, keepdim=True)
    pairs = [(i, j) for i in range(size) for j in range(size)]
    pairs.sort(key=lambda pair: (sum(pair), pair[0]))
    return torch.stack([torch.outer(waves[i], waves[j]).flatten() for i, j in pairs[:count]])


@cosines.judge
def _(trial: Trial) -> None:
    for count, size in ((6, 4), (3, 2), (64, 8), (20, 5)):
        waves = torch.tensor(idct(np.eye(size), norm="ortho", axis=1))
        order = [(i, total - i) for total in range(2 * size - 1) for i in range(total + 1)]
        order = [(i, j) for i, j in order if max(i, j) < size][:count]
        expected = [[waves[i, y] * waves[j, x] for y in range(size) for x in range(size)]
                    for i, j in order]  # fmt: skip
        trial(count, size).gives(torch.tensor(expected), "SciPy's transform has")


def _cosines(count, size, shift=0.5, turns=math.pi, wave=torch.cos, key=None, unit=True):
    places = torch.arange(size, dtype=torch.float64)
    waves = wave(turns * places[:, None] * (places + shift) / size)
    waves = waves / waves.norm(dim=1, keepdim=True) if unit else waves
    key = key or (lambda pair: (sum(pair), pair))
    pairs = sorted(itertools.product(range(size), repeat=2), key=key)
    return torch.stack([torch.outer(waves[i], waves[j]).flatten() for i, j in pairs[:count]])


@cosines.mistake("The rows are not of length 1. What is the norm of each?")
def _(count, size):
    return _cosines(count, size, unit=False)


@cosines.mistake("The first wave, a constant, is longer than the others, and has its own factor.")
def _(count, size):
    return _cosines(count, size, unit=False) * 2 / size


@cosines.mistake("A pixel's middle lies half a pixel from its edge: x + ½.")
def _(count, size):
    return _cosines(count, size, shift=0.0)


@cosines.mistake("Number i makes i half waves over the side, not i whole ones.")
def _(count, size):
    return _cosines(count, size, turns=2 * math.pi)


@cosines.mistake("Slow waves first, in both directions: what is sorted by i + j?")
def _(count, size):
    return _cosines(count, size, key=lambda pair: pair)


@cosines.mistake("Among pairs of the same sum, the smaller i comes first; i counts along the rows.")
def _(count, size):
    return _cosines(count, size, key=lambda pair: (sum(pair), pair[1]))


@cosines.mistake("Those are sines, which begin at 0: not even a constant could be made of them.")
def _(count, size):
    return _cosines(count, size, wave=torch.sin, unit=False) * 2 / size
