"""Exercises of lesson 05: errors image by image, rounded codes, an alarm, what a code costs."""

from itertools import count

import numpy as np
import torch
from sklearn.metrics import mean_squared_error, roc_auc_score
from torch import nn

from ._exercise import HELPS, Lesson, Trial

lesson = Lesson("05")
progress = lesson.progress


@lesson.exercise(
    "What is averaged, and what is kept apart?",
    hints=(
        "The difference, squared, has the images' shape. Which of its axes are an image's own?",
        "Average over channel, row and column, and leave the first axis alone.",
        "(images - reconstructions).square().mean(dim=(1, 2, 3)).",
    ),
    shown="With it you can sort: best, median, worst.",
)
def errors_per_image(images, reconstructions):
    return (images - reconstructions).square().mean(dim=(1, 2, 3))  # (N,)


@errors_per_image.judge
def _(trial: Trial) -> None:
    for shape in ((6, 1, 4, 4), (4, 3, 5, 2), (1, 1, 3, 3), (3, 1, 3, 7)):
        images, others = torch.rand(shape) * 2 - 1, torch.rand(shape) * 2 - 1
        pairs = zip(images.flatten(1), others.flatten(1), strict=True)
        errors = torch.tensor([mean_squared_error(image, other) for image, other in pairs])
        trial(images, others).gives(errors, "scikit-learn, image by image, has")


@errors_per_image.mistake("That is one number for all. Which images are the worst?")
def _(images, reconstructions):
    return (images - reconstructions).square().mean()


@errors_per_image.mistake("A sum grows with the size of the image. Over what is a mean taken?")
def _(images, reconstructions):
    return (images - reconstructions).square().sum(dim=(1, 2, 3))


@errors_per_image.mistake("Those are absolute differences. Which error do we train on?")
def _(images, reconstructions):
    return (images - reconstructions).abs().mean(dim=(1, 2, 3))


@errors_per_image.mistake("You took the root. Then the mean of all is no longer the test loss.")
def _(images, reconstructions):
    return errors_per_image.answer(images, reconstructions).sqrt()


@errors_per_image.mistake("That is an error for each pixel, over all images. The first axis stays.")
def _(images, reconstructions):
    return (images - reconstructions).square().mean(dim=0)


@errors_per_image.mistake("All your errors are alike. Where do the images come in?")
def _(images, reconstructions):
    return torch.full((len(images),), 0.07)


@lesson.exercise(
    "Whose range is cut into how many steps, and is a code outside of it moved to the end?",
    hints=(
        "Lowest and highest of each column of the training codes: amin(dim=0), amax(dim=0).",
        "2 ** bits values have 2 ** bits − 1 steps between them. Scale to 0…1, clamp, round.",
        "numbers = (((codes - low) / (high - low)).clamp(0, 1) * steps).round(), restored = "
        "low + numbers / steps * (high - low); the numbers as .long().",
    ),
    shown="Stored are the whole numbers alone; at four bits two of them share a byte.",
)
def quantised(codes, training_codes, bits):
    low, high = training_codes.amin(dim=0), training_codes.amax(dim=0)  # (K,), (K,)
    steps = 2**bits - 1
    numbers = (((codes - low) / (high - low)).clamp(0, 1) * steps).round()  # (N, K)
    return numbers.long(), low + numbers / steps * (high - low)


@quantised.judge
def _(trial: Trial) -> None:
    for bits, width in ((4, 28), (1, 3), (2, 3), (8, 2)):
        spread, middle = 0.5 + torch.rand(width), torch.randn(width)
        training, codes = (torch.randn(n, width) * spread + middle for n in (30, 50))
        ends = training.numpy().min(axis=0), training.numpy().max(axis=0)
        levels = np.linspace(*ends, 2**bits)  # (2 ** bits, K)
        nearest = np.abs(codes.numpy() - levels[:, None]).argmin(axis=0)  # (N, K)
        restored = np.take_along_axis(levels, nearest, axis=0)
        expected = torch.from_numpy(nearest), torch.from_numpy(restored)
        trial(codes, training, bits).gives(expected, "the nearest level is")


def _between(codes, low, high, steps, whole=torch.round, clamp=True):
    position = (codes - low) / (high - low)
    numbers = whole((position.clamp(0, 1) if clamp else position) * steps)
    return numbers.long(), low + numbers / steps * (high - low)


@quantised.mistake("That range is of the codes themselves. Would a decoder, elsewhere, know it?")
def _(codes, training_codes, bits):
    return quantised.answer(codes, codes, bits)


@quantised.mistake("Training codes and new ones together make that range. Which were to make it?")
def _(codes, training_codes, bits):
    return quantised.answer(codes, torch.cat([codes, training_codes]), bits)


@quantised.mistake(HELPS["torch.return_types"])
def _(codes, training_codes, bits):
    return _between(codes, training_codes.min(dim=0), training_codes.max(dim=0), 2**bits - 1)


@quantised.mistake("One range for all: a number that moves little then has few levels left.")
def _(codes, training_codes, bits):
    return _between(codes, training_codes.min(), training_codes.max(), 2**bits - 1)


@quantised.mistake("One range for all, and of the codes themselves. Whose was asked for?")
def _(codes, training_codes, bits):
    return _between(codes, codes.min(), codes.max(), 2**bits - 1)


@quantised.mistake("a tuple of 2 is asked for")
def _(codes, training_codes, bits):
    return quantised.answer(codes, training_codes, bits)[0]


@quantised.mistake("With that many steps there is one level more than the bits can name.")
def _(codes, training_codes, bits):
    return _between(codes, training_codes.amin(dim=0), training_codes.amax(dim=0), 2**bits)


@quantised.mistake("So many levels have one step fewer between them, and are counted from 0.")
def _(codes, training_codes, bits):
    numbers, restored = quantised.answer(codes, training_codes, bits)
    return numbers + 1, restored


@quantised.mistake("First the numbers of the levels, then the values they stand for.")
def _(codes, training_codes, bits):
    return quantised.answer(codes, training_codes, bits)[::-1]


@quantised.mistake("Your levels are right. On which scale are the values: the code's, or 0 to 1?")
def _(codes, training_codes, bits):
    numbers, _ = quantised.answer(codes, training_codes, bits)
    return numbers, numbers / (2**bits - 1)


@quantised.mistake("You round down. Which level is the nearest?")
def _(codes, training_codes, bits):
    low, high = training_codes.amin(dim=0), training_codes.amax(dim=0)
    return _between(codes, low, high, 2**bits - 1, whole=torch.floor)


@quantised.mistake("Some numbers need more bits than there are. What of codes beyond the range?")
def _(codes, training_codes, bits):
    low, high = training_codes.amin(dim=0), training_codes.amax(dim=0)
    return _between(codes, low, high, 2**bits - 1, clamp=False)


@quantised.mistake("All codes are alike in yours. Where do the ones that came in play a part?")
def _(codes, training_codes, bits):
    return torch.zeros_like(codes).long(), training_codes.amin(dim=0).expand_as(codes)


@lesson.exercise(
    "Of all pairs, a stranger and a digit, in how many has the stranger the larger error?",
    hints=(
        "Split the errors into those of strangers and those of digits: errors[strange].",
        "errors[strange][:, None] > errors[~strange] compares every stranger with every digit.",
        "Add half of the pairs that are equal, and divide by the number of all pairs.",
    ),
    shown="It judges an alarm without a threshold, and the number of strangers does not matter.",
)
def area_under_roc(errors, strange):
    strangers, digits = errors[strange][:, None], errors[~strange]
    wins, ties = (strangers > digits).double(), (strangers == digits).double()  # each (S, D)
    return (wins + ties / 2).mean().item()


@area_under_roc.judge
def _(trial: Trial) -> None:
    for size, distance, ties in ((9, 1, False), (60, 0.5, False), (50, 1, True), (40, -1, True)):
        strange = torch.rand(size) < 0.3
        strange[:2] = torch.tensor([True, False])
        errors = torch.rand(size) + distance * torch.rand(size) * strange
        errors = (errors * 4).round() / 4 if ties else errors
        trial(errors, strange).gives(roc_auc_score(strange, errors), "scikit-learn has")


@area_under_roc.mistake("A perfect alarm has 1. Whose error should be the larger?")
def _(errors, strange):
    return area_under_roc.answer(-errors, strange)


@area_under_roc.mistake("Where the two errors are equal, a coin decides. How often does it win?")
def _(errors, strange):
    return (errors[strange][:, None] > errors[~strange]).double().mean().item()


@area_under_roc.mistake("You count equal errors as won. A coin would win how many of those?")
def _(errors, strange):
    return (errors[strange][:, None] >= errors[~strange]).double().mean().item()


@area_under_roc.mistake("That is the share judged rightly by one threshold. Who chose it?")
def _(errors, strange):
    return ((errors > errors.median()) == strange).double().mean().item()


@area_under_roc.mistake(
    "That is how far apart the means are. How often has the stranger the larger one?"
)
def _(errors, strange):
    return (errors[strange].mean() - errors[~strange].mean()).item()


@area_under_roc.mistake("That is a coin's. Were the errors looked at?")
def _(errors, strange):
    return 0.5


@lesson.exercise(
    "When do n images cost less as codes, the decoder included, and can that never happen?",
    hints=(
        "Every image sent as a code saves image − code bytes; the decoder costs its bytes once.",
        "n must be larger than decoder / (image − code), not equal: what if it divides evenly?",
        "decoder // (image - code) + 1, if a code is smaller than an image, else infinity.",
    ),
    shown="A code pays in the long run, or never. How long is a matter of the decoder.",
)
def break_even(decoder, code, image):
    if code >= image:
        return float("inf")
    return decoder // (image - code) + 1


@break_even.judge
def _(trial: Trial) -> None:
    cases = [[653_000, 14, 180], [91_000, 14, 180], [100, 10, 60], [100, 14, 14], [0, 3, 9]]
    cases += [torch.randint(1, top, (3,)).tolist() for top in (9, 30, 30, 99, 99, 300)]
    for decoder, code, image in cases:
        numbers = count(1) if code < image else ()
        less = (n for n in numbers if decoder + n * code < n * image)
        trial(decoder, code, image).gives(
            next(less, float("inf")), "trying one after the other gives"
        )


@break_even.mistake("At that number both cost the same, if it divides evenly. When is it less?")
def _(decoder, code, image):
    return -(-decoder // (image - code)) if code < image else float("inf")


@break_even.mistake("The codes have to be sent as well. What does each image really save?")
def _(decoder, code, image):
    return decoder // image + 1 if code < image else float("inf")


@break_even.mistake("One image fewer than it takes. Try your number in both costs.")
def _(decoder, code, image):
    return decoder // (image - code) if code < image else float("inf")


@break_even.mistake(
    "A code as large as the image, or larger, saves nothing. How many images make up for that?"
)
def _(decoder, code, image):
    return decoder // (image - code) + 1 if code != image else 1


@break_even.mistake("Whole images are sent. Which is the first number that is enough?")
def _(decoder, code, image):
    return decoder / (image - code) if code < image else float("inf")


@break_even.mistake("That is about the lesson's network. Here other decoders are asked about.")
def _(decoder, code, image):
    return 3_900


@lesson.exercise(
    "One number at a time, its mean in its place: by how much does the error grow?",
    hints=(
        "First the error with the codes as they are. Then, for each number, with a changed copy.",
        "changed = codes.clone(); changed[:, k] = codes[:, k].mean(), anew for every k.",
        "Stack (images - decoder(changed)).square().mean() for all k; subtract the first error.",
    ),
    shown="PCA's first number costs some ten times its last; the network has no such order.",
)
def importance(decoder, codes, images):
    errors = []
    for k in range(codes.shape[1]):
        changed = codes.clone()
        changed[:, k] = codes[:, k].mean()
        errors.append((images - decoder(changed)).square().mean())
    return torch.stack(errors) - (images - decoder(codes)).square().mean()  # (K,)


@importance.judge
def _(trial: Trial) -> None:
    for size in (3, 8, 2):
        decoder = nn.Sequential(nn.Linear(size, 12), nn.Tanh(), nn.Unflatten(1, (1, 3, 4)))
        decoder.requires_grad_(False)
        codes = (1 + torch.randn(20, size)) * torch.rand(size)
        images = decoder(codes) + 0.3 * torch.randn(20, 1, 3, 4)
        errors = np.zeros((size + 1, 20))  # behind the last number, with none replaced
        for k, n in np.ndindex(errors.shape):
            code = codes[n].numpy().copy()
            code[k : k + 1] = codes[:, k : k + 1].mean(dim=0)
            drawn = decoder(torch.from_numpy(code)[None])
            errors[k, n] = mean_squared_error(images[n].flatten(), drawn.flatten())
        growth = torch.from_numpy(errors[:-1].mean(axis=1) - errors[-1].mean())
        trial(decoder, codes, images).gives(growth, "image by image it is")


def _growth(decoder, codes, images, others, keep=False):
    errors, changed = [], codes.clone()
    for k in range(codes.shape[1]):
        changed = changed if keep else codes.clone()
        changed[:, k] = others[:, k]
        errors.append((images - decoder(changed)).square().mean())
    return torch.stack(errors) - (images - decoder(codes)).square().mean()


@importance.mistake("You put a zero in its place. Which value says nothing about a single image?")
def _(decoder, codes, images):
    return _growth(decoder, codes, images, torch.zeros_like(codes))


@importance.mistake("The numbers replaced before stay replaced. Which copy do you change?")
def _(decoder, codes, images):
    return _growth(decoder, codes, images, codes.mean(dim=0).expand_as(codes), keep=True)


@importance.mistake("One mean for all numbers: each has a mean of its own.")
def _(decoder, codes, images):
    return _growth(decoder, codes, images, codes.mean().expand_as(codes))


@importance.mistake("That is each image's own mean, over its numbers. Which mean was asked for?")
def _(decoder, codes, images):
    return _growth(decoder, codes, images, codes.mean(dim=1, keepdim=True).expand_as(codes))


@importance.mistake("Those are errors. How large was the error before?")
def _(decoder, codes, images):
    error = (images - decoder(codes)).square().mean()
    return importance.answer(decoder, codes, images) + error


@importance.mistake("That is how much the picture changes. Does it change for the worse?")
def _(decoder, codes, images):
    return importance.answer(decoder, codes, decoder(codes))


@importance.mistake("All numbers matter alike in yours. Was the decoder asked?")
def _(decoder, codes, images):
    return torch.ones(codes.shape[1])
