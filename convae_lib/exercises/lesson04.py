"""Exercises of lesson 04: steps and epochs, pixels to numbers and back, honest baselines."""

import math

import numpy as np
import torch
from sklearn.dummy import DummyRegressor
from sklearn.metrics import mean_squared_error
from sklearn.neighbors import NearestCentroid

from ._exercise import Lesson, Trial

lesson = Lesson("04")
progress = lesson.progress


@lesson.exercise(
    "How many batches has one epoch, the short last one included? And then, how many epochs?",
    hints=(
        "First the steps of one epoch. Ten images in batches of four are three batches.",
        "Whole epochs are wanted, and too few steps are not allowed: round up a second time.",
        "in_an_epoch = math.ceil(images / batch_size), and then math.ceil(steps / in_an_epoch).",
    ),
    shown="Trainings on data sets of different sizes can be compared now, at equal steps.",
)
def epochs_needed(images, batch_size, steps):
    return math.ceil(steps / math.ceil(images / batch_size))


@epochs_needed.judge
def _(trial: Trial) -> None:
    trial.explain({"ZeroDivisionError": "A batch larger than the set is one batch, not none."})
    cases = [(60_000, 60, 1000), (12, 4, 12), (10, 20, 7), (4000, 60, 1000), (10, 4, 3)]
    cases += torch.stack([torch.randint(1, top, (60,)) for top in (90, 30, 90)], dim=1).tolist()
    for images, batch_size, steps in cases:
        epochs, taken = 0, 0
        while taken < steps:
            epochs, taken = epochs + 1, taken + len(torch.arange(images).split(batch_size))
        trial(images, batch_size, steps).gives(epochs, "counting batch by batch makes")


@epochs_needed.mistake("Your epochs have too few steps: what becomes of a short last batch?")
def _(images, batch_size, steps):
    return math.ceil(steps / max(images // batch_size, 1))


@epochs_needed.mistake("After that many epochs some steps are missing. To which side do you round?")
def _(images, batch_size, steps):
    return steps // math.ceil(images / batch_size)


@epochs_needed.mistake("One epoch too many, where the last one is full already.")
def _(images, batch_size, steps):
    return steps // math.ceil(images / batch_size) + 1


@epochs_needed.mistake("That would be enough. But an epoch is whole: to which side do you round?")
def _(images, batch_size, steps):
    return steps / math.ceil(images / batch_size)


@epochs_needed.mistake("You count images. But a short last batch is a whole step, too.")
def _(images, batch_size, steps):
    return math.ceil(steps * batch_size / images)


@epochs_needed.mistake("12 images in batches of four are three batches, not four.")
def _(images, batch_size, steps):
    return math.ceil(steps / (images // batch_size + 1))


@epochs_needed.mistake("Those are the steps of one epoch. How often must it be gone through?")
def _(images, batch_size, steps):
    return math.ceil(images / batch_size)


@epochs_needed.mistake("That is right for the offline subset and 1,000 steps. And for others?")
def _(images, batch_size, steps):
    return 15


@lesson.exercise(
    "Where do 0, 127.5 and 255 go, on any image, and which type and axes has the result?",
    hints=(
        "Turn the pixels into float32 before you compute with them: 8 bits end at 255.",
        "Black, 0, becomes −1, and white, 255, becomes 1: a straight line. And an axis is missing.",
        "pixels.float() * 2 / 255 - 1, and unsqueeze(1).",
    ),
    shown="That is scale_images: no mean, no deviation, and nothing taken from the data.",
)
def to_images(pixels):
    return (pixels.float() * 2 / 255 - 1).unsqueeze(1)  # (N, 1, H, W)


def _typed(trial, images, dtype, help):
    outcome = trial(images)
    if torch.is_tensor(outcome.value) and outcome.value.dtype != dtype:
        trial.wrong(f"gave numbers of {outcome.value.dtype}, asked for is {dtype}.", help)
    return outcome


FLOAT = "Networks compute in 32 bits. Which type do you start from?"
BYTE = "In place, bytes stay bytes. In which type do you compute?"


@to_images.judge
def _(trial: Trial) -> None:
    trial.explain({"desired output type Byte": BYTE})
    for low, high in ((0, 256), (0, 256), (30, 200), (100, 101)):
        pixels = torch.randint(low, high, (5, 4, 6), dtype=torch.uint8)
        outcome = _typed(trial, pixels, torch.float32, FLOAT)
        scaled = np.interp(pixels.numpy(), (0, 255), (-1, 1))[:, None]
        outcome.gives(torch.from_numpy(scaled), "it should be")


@to_images.mistake("Two times 200 does not fit into eight bits. In which type do you compute?")
def _(pixels):
    return (2 * pixels / 255 - 1).unsqueeze(1)


@to_images.mistake(BYTE)
def _(pixels):
    return pixels.div_(127.5)


@to_images.mistake("Your black is 0. On which scale does the decoder's tanh draw it?")
def _(pixels):
    return pixels.float().unsqueeze(1) / 255


@to_images.mistake("Yours depends on the other images of the batch. What is white in all of them?")
def _(pixels):
    x = pixels.float().unsqueeze(1)
    return 2 * (x - x.min()) / (x.max() - x.min()) - 1


@to_images.mistake("White is 2.8 here. Can a tanh reach it?")
def _(pixels):
    return (pixels.float().unsqueeze(1) / 255 - 0.1307) / 0.3081


@to_images.mistake("Convolutions ask for (N, channels, H, W). Where is your channel?")
def _(pixels):
    return pixels.float() * 2 / 255 - 1


@to_images.mistake(FLOAT)
def _(pixels):
    return to_images.answer(pixels).double()


@to_images.mistake("All your pixels are alike. Where do the ones that came in play a part?")
def _(pixels):
    return torch.zeros(len(pixels), 1, *pixels.shape[1:])


@lesson.exercise(
    "Scale, clip, round, convert: which of the four is missing, or stands in the wrong place?",
    hints=(
        "Undo the line first: −1 becomes 0, and 1 becomes 255.",
        "PCA draws pixels below 0 and above 255, and a conversion to 8 bits cuts decimals off.",
        "((images + 1) * 127.5).clamp(0, 255).round().to(torch.uint8), and squeeze(1).",
    ),
    shown="Reconstructions can be stored as pictures now, every pixel as near as 8 bits allow.",
)
def to_pixels(images):
    pixels = ((images + 1) * 127.5).clamp(0, 255).round()
    return pixels.to(torch.uint8).squeeze(1)  # (N, H, W)


BYTES = "Those are no bytes yet. Which type has one of them for each pixel?"


@to_pixels.judge
def _(trial: Trial) -> None:
    for count, beyond in ((5, 0), (5, 0.2), (5, 0.5), (1, 0.2)):  # how far beyond the scale
        wanted = (1 + beyond) * (torch.rand(count, 1, 4, 6) * 2 - 1) * 127.5 + 127.5
        images = (wanted.round() + 0.8 * torch.rand(count, 1, 4, 6) - 0.4) / 127.5 - 1
        outcome = _typed(trial, images, torch.uint8, BYTES)
        nearest = np.rint(np.interp(images[:, 0].numpy(), (-1, 1), (0, 255)))
        outcome.gives(torch.from_numpy(nearest).to(torch.uint8), "it should be")


@to_pixels.mistake("Decimals are cut off, not rounded. What becomes of 199.9?")
def _(images):
    return ((images + 1) * 127.5).clamp(0, 255).to(torch.uint8).squeeze(1)


@to_pixels.mistake("After 255 a byte begins again at 0. What becomes of a pixel of 1.1?")
def _(images):
    return ((images + 1) * 127.5).round().int().to(torch.uint8).squeeze(1)


@to_pixels.mistake("Where does −1 land, and where should black be?")
def _(images):
    return (images * 255).clamp(0, 255).round().to(torch.uint8).squeeze(1)


@to_pixels.mistake("Pictures are (N, H, W). What is your channel axis still doing there?")
def _(images):
    return to_pixels.answer(images).unsqueeze(1)


@to_pixels.mistake("With one image, which axes does squeeze() remove?")
def _(images):
    return to_pixels.answer(images).squeeze()


@to_pixels.mistake(BYTES)
def _(images):
    return to_pixels.answer(images).float()


@to_pixels.mistake("All your pixels are alike. Where do the ones that came in play a part?")
def _(images):
    return torch.zeros(images[:, 0].shape, dtype=torch.uint8)


@lesson.exercise(
    "Which images may a baseline learn from, and which is it scored on?",
    hints=(
        "The mean image has a mean of its own at every pixel: train.mean(dim=0).",
        "It is learnt on the training images; it stands in for every test image.",
        "(test - train.mean(dim=0)).square().mean().item().",
    ),
    shown="An autoencoder that does not beat it has learnt nothing about the single image.",
)
def mean_image_error(train, test):
    return (test - train.mean(dim=0)).square().mean().item()


def _digits(count, classes=4):
    """Noisy images of some classes, (N, 1, 3, 5), and their labels, every class among them."""
    labels = torch.cat([torch.arange(classes), torch.randint(classes, (count - classes,))])
    patterns = torch.randn(classes, 1, 3, 5, generator=torch.Generator().manual_seed(classes))
    return patterns[labels] + torch.randn(count, 1, 3, 5), labels


PAIRS = "Training images and test images are no pairs. What is drawn for each test image?"


@mean_image_error.judge
def _(trial: Trial) -> None:
    trial.explain({"The size of tensor a": PAIRS})
    for count, tests in ((40, 15), (12, 30), (20, 1)):
        train, test = _digits(count)[0], torch.randn(tests, 1, 3, 5)
        dummy = DummyRegressor().fit(np.zeros((count, 1)), train.flatten(1))
        drawn = dummy.predict(np.zeros((tests, 1)))
        error = mean_squared_error(test.flatten(1), drawn)
        trial(train, test).gives(error, "scikit-learn's DummyRegressor makes")


@mean_image_error.mistake("Your mean image is made of test images. Who was to learn from those?")
def _(train, test):
    return (test - test.mean(dim=0)).square().mean().item()


@mean_image_error.mistake(
    "Test images had their part in your mean image. Who was to learn from them?"
)
def _(train, test):
    return (test - torch.cat([train, test]).mean(dim=0)).square().mean().item()


@mean_image_error.mistake(PAIRS)
def _(train, test):
    return (test - train).square().mean().item()


@mean_image_error.mistake("That is one grey everywhere. The mean image has a mean for each pixel.")
def _(train, test):
    return (test - train.mean()).square().mean().item()


@mean_image_error.mistake("That is the error on the training images. Which one was asked for?")
def _(train, test):
    return (train - train.mean(dim=0)).square().mean().item()


@mean_image_error.mistake("A sum grows with the number of pixels. The error is their mean.")
def _(train, test):
    return (test - train.mean(dim=0)).square().flatten(1).sum(dim=1).mean().item()


@mean_image_error.mistake("You took the root. The error is the mean of the squares itself.")
def _(train, test):
    return mean_image_error.answer(train, test) ** 0.5


@mean_image_error.mistake("Those are absolute differences. Which error do we train on?")
def _(train, test):
    return (test - train.mean(dim=0)).abs().mean().item()


@mean_image_error.mistake("That is the number of MNIST, near enough. These are other images.")
def _(train, test):
    return 0.27


@lesson.exercise(
    "Which mean image stands in for a test image of label 3, and how was it learnt?",
    hints=(
        "One mean image for each label, of the training images that carry it.",
        "Stack them, (K, 1, H, W), and pick for every test image the one of its label.",
        "means = torch.stack([train[labels == k].mean(dim=0) for k in labels.unique()]), then "
        "means[test_labels].",
    ),
    shown="On MNIST it makes 0.21 to 0.22, where one mean image makes 0.27: a code must say most "
    "of all how a digit was written.",
)
def label_mean_error(train, labels, test, test_labels):
    means = torch.stack([train[labels == k].mean(dim=0) for k in labels.unique()])
    return (test - means[test_labels]).square().mean().item()


PICKED = "One mean image for each test image is needed. Whose labels pick it?"
STACKED = "A list takes one index at a time. What makes one tensor of your means?"
EVERY = "Have you one mean image for each label, even for one that no test image carries?"


@label_mean_error.judge
def _(trial: Trial) -> None:
    trial.explain({"IndexError": EVERY, "The size of tensor a": PICKED, "to an index": STACKED})
    for count, tests, classes in ((60, 30, 4), (25, 9, 3), (80, 12, 10)):
        (train, labels), (test, test_labels) = _digits(count, classes), _digits(tests + 9, classes)
        centroids = NearestCentroid().fit(train.flatten(1), labels).centroids_
        if count == 25:  # not every label is among the test images
            test, test_labels = test[test_labels > 0], test_labels[test_labels > 0]
        error = mean_squared_error(test.flatten(1), centroids[test_labels])
        outcome = trial(train, labels, test, test_labels)
        outcome.gives(error, "with scikit-learn's centroids it is")


@label_mean_error.mistake("Your means are made of test images. Who was to learn from those?")
def _(train, labels, test, test_labels):
    return label_mean_error.answer(test, test_labels, test, test_labels)


@label_mean_error.mistake("That is one mean image for all. How does the label help?")
def _(train, labels, test, test_labels):
    return mean_image_error.answer(train, test)


@label_mean_error.mistake("You take the nearest mean, as if nobody had told the label.")
def _(train, labels, test, test_labels):
    means = torch.stack([train[labels == k].mean(dim=0) for k in labels.unique()])
    return (test[:, None] - means).square().mean(dim=(2, 3, 4)).amin(dim=1).mean().item()


@label_mean_error.mistake("Every label counts alike in yours, and rare ones too much. Every image?")
def _(train, labels, test, test_labels):
    parts = [(train[labels == k], test[test_labels == k]) for k in test_labels.unique()]
    return sum(mean_image_error.answer(*part) for part in parts) / len(parts)


@label_mean_error.mistake("You took the root. The error is the mean of the squares itself.")
def _(*parts):
    return label_mean_error.answer(*parts) ** 0.5


@label_mean_error.mistake("That is the error on the training images. Which one was asked for?")
def _(train, labels, test, test_labels):
    return label_mean_error.answer(train, labels, train, labels)


@label_mean_error.mistake(PICKED)
def _(train, labels, test, test_labels):
    means = torch.stack([train[labels == k].mean(dim=0) for k in labels.unique()])
    return (test - means[labels]).square().mean().item()


@label_mean_error.mistake(STACKED)
def _(train, labels, test, test_labels):
    means = [train[labels == k].mean(dim=0) for k in labels.unique()]
    return (test - means[test_labels]).square().mean().item()


@label_mean_error.mistake(EVERY)
def _(train, labels, test, test_labels):
    means = torch.stack([train[labels == k].mean(dim=0) for k in test_labels.unique()])
    return (test - means[test_labels]).square().mean().item()


@label_mean_error.mistake("That is the number of MNIST, near enough. These are other images.")
def _(train, labels, test, test_labels):
    return 0.21
