"""Exercises of lesson 09: a measure, blind noise, a ranking, a threshold that keeps its word."""

import math
from typing import Any, NoReturn

import numpy as np
import torch
from scipy.stats import rankdata
from sklearn.metrics import roc_auc_score

from ._exercise import Lesson, Trial

lesson = Lesson("09")
progress = lesson.progress


@lesson.exercise(
    "The square of the range over the error of which image, after what was done to its pixels?",
    hints=(
        "First .clamp(-1, 1). Then a mean over all axes but the first: one error for every image.",
        "Decibels are ten times the decimal logarithm of a ratio of squares: torch.log10.",
        "10 * torch.log10(4 / errors), where errors, (N,), are means over dim=(1, 2, 3).",
    ),
    shown="The mean of these is not the decibels of the mean error: a logarithm favours the easy.",
)
def psnr_of_each(images, restored):
    errors = (images - restored.clamp(-1, 1)).square().mean(dim=(1, 2, 3))  # (N,)
    return 10 * torch.log10(4 / errors)


@psnr_of_each.judge
def _(trial: Trial) -> None:
    for shape in ((5, 1, 4, 4), (3, 3, 2, 5), (1, 1, 6, 3)):
        images = 2 * torch.rand(shape) - 1
        restored = images + torch.rand(shape[0], 1, 1, 1) * torch.randn(shape)
        expected = []
        for pair in zip(images.flatten(1).tolist(), restored.flatten(1).tolist(), strict=True):
            squares = [(a - min(max(b, -1), 1)) ** 2 for a, b in zip(*pair, strict=True)]
            expected.append(10 * math.log10(2**2 / (sum(squares) / len(squares))))
        trial(images, restored).gives(torch.tensor(expected), "a slow loop gives")


def _decibels(images, restored, peak=4.0, times=10.0, log=torch.log10, dim=(1, 2, 3)):
    return times * log(peak / (images - restored.clamp(-1, 1)).square().mean(dim=dim))


@psnr_of_each.mistake("That is one number for all of them. Over which axes is an image's own mean?")
def _(images, restored):
    return _decibels(images, restored, dim=(0, 1, 2, 3))


@psnr_of_each.mistake("Pixels run from −1 to 1. How wide is that, and what is its square?")
def _(images, restored):
    return _decibels(images, restored, peak=1.0)


@psnr_of_each.mistake("The range enters squared, as the error does.")
def _(images, restored):
    return _decibels(images, restored, peak=2.0)


@psnr_of_each.mistake("Twenty belongs to a ratio of sizes. Yours is one of squares.")
def _(images, restored):
    return _decibels(images, restored, times=20.0)


@psnr_of_each.mistake("That is the natural logarithm. Decibels count powers of ten.")
def _(images, restored):
    return _decibels(images, restored, log=torch.log)


@psnr_of_each.mistake("The better the image, the larger the number. What is divided by what?")
def _(images, restored):
    return -_decibels(images, restored)


@psnr_of_each.mistake("No pixel is darker than black. What was to be done with those that are?")
def _(images, restored):
    return 10 * torch.log10(4 / (images - restored).square().mean(dim=(1, 2, 3)))


@psnr_of_each.mistake("PSNR compares squares: mean absolute differences are another measure.")
def _(images, restored):
    return 10 * torch.log10(4 / (images - restored.clamp(-1, 1)).abs().mean(dim=(1, 2, 3)))


ONE = "One strength for a whole batch: draw one for each image."
PIXELS = "A strength for each pixel: within an image all pixels share one."
CLIPPED = "Clipped noise has no mean of zero at black pixels: leave it as it is."
SPREAD = "A strength is a standard deviation, not a variance."
EVEN = "Is that a bell? torch.randn draws from one, torch.rand does not."
RNG = "Same seed, other noise: who drew, if not the generator?"
COPIES = "All images got the same noise: draw for every pixel of every image."
UNEQUAL = "Every strength should come as often as any other."
NOTHING = "Nothing has been added."


@lesson.exercise(
    "What is drawn once for each image, and what for each pixel, and by whom?",
    hints=(
        "Two draws: which strength, (N,), by torch.randint, and noise of the images' shape.",
        "Both take generator=generator. strengths[which] has the shape (N,): it must meet (N, …).",
        "strengths[which].reshape(-1, 1, 1, 1) * torch.randn(images.shape, generator=generator)",
    ),
    shown="Trained on this, one network serves every strength, and need not be told which.",
)
def blind_noise(images, strengths, generator):
    which = torch.randint(len(strengths), (len(images),), generator=generator)
    noise = torch.randn(images.shape, generator=generator)  # (N, C, H, W)
    return images + strengths[which].reshape(-1, 1, 1, 1) * noise


def _unlike(trial: Trial, what: str, help: str) -> NoReturn:
    trial.wrong(f"{what}.", help)


def _added(trial: Trial, images: Any, strengths: Any, seed: int) -> Any:
    """The noise, (N, C, H, W), that an answer adds."""
    given = trial(images, strengths, torch.Generator().manual_seed(seed)).value
    if not isinstance(given, torch.Tensor) or given.shape != images.shape:
        _unlike(trial, "gave no images", f"A tensor of shape {tuple(images.shape)} is asked for.")
    return given.detach() - images


@blind_noise.judge
def _(trial: Trial) -> None:
    for strengths in (
        torch.tensor([0.1, 0.4, 1.6]),
        torch.tensor([2.0, 0.25]),
        torch.tensor([0.5]),
    ):
        images = torch.full((600, 1, 14, 14), -1.0)
        images[:, :, 4:10, 4:10] = 2 * torch.rand(600, 1, 6, 6) - 1
        noise = _added(trial, images, strengths, 0)
        if not torch.equal(noise, _added(trial, images, strengths, 0)):
            _unlike(trial, "gave other images when it was called again", RNG)
        if not noise.abs().max() > 0:
            _unlike(trial, "gave the images back", NOTHING)
        if noise.flatten(1).mean(dim=1).abs().max() > strengths.max() or noise.mean() > 0.05:
            _unlike(trial, f"added {noise.mean():.2f} to the mean pixel", CLIPPED)
        if torch.allclose(noise[0], noise[1:], atol=1e-5):
            _unlike(trial, "added one and the same noise to every image", COPIES)
        _judge_sizes(trial, noise, strengths)


def _judge_sizes(trial: Trial, noise: Any, strengths: Any) -> None:
    sizes = noise.flatten(1).std(dim=1)  # (N,), within a fifth of what was drawn from
    ratios = sizes[:, None] / strengths  # (N, K)
    own = ratios.log().abs().argmin(dim=1)
    far = (ratios.gather(1, own[:, None]).log().abs() > 0.25).float().mean().item()
    kurtosis = ((noise / sizes.reshape(-1, 1, 1, 1)) ** 4).mean().item()  # 3 for a bell
    if far > 0.05 and sizes.std() < 0.1 * sizes.mean() and len(strengths) > 1:
        _unlike(trial, f"made {far:.0%} of the images noisy by no strength of the list", PIXELS)
    if kurtosis < 2.5:
        _unlike(trial, "added noise without tails", EVEN)
    if far > 0.05:
        _unlike(trial, f"made {far:.0%} of the images noisy by no strength of the list", SPREAD)
    counts = own.bincount(minlength=len(strengths))
    if counts.max() == len(own) and len(strengths) > 1:
        _unlike(trial, "made all images noisy by the same strength", ONE)
    if counts.min() < 0.7 * len(own) / len(strengths):
        _unlike(trial, f"used the strengths {counts.tolist()} times", UNEQUAL)


@blind_noise.mistake(ONE)
def _(images, strengths, generator):
    which = torch.randint(len(strengths), (1,), generator=generator)
    return images + strengths[which] * torch.randn(images.shape, generator=generator)


@blind_noise.mistake(PIXELS)
def _(images, strengths, generator):
    which = torch.randint(len(strengths), images.shape, generator=generator)
    return images + strengths[which] * torch.randn(images.shape, generator=generator)


@blind_noise.mistake(CLIPPED)
def _(images, strengths, generator):
    return blind_noise.answer(images, strengths, generator).clamp(-1, 1)


@blind_noise.mistake(SPREAD)
def _(images, strengths, generator):
    return blind_noise.answer(images, strengths.sqrt(), generator)


@blind_noise.mistake(EVEN)
def _(images, strengths, generator):
    which = torch.randint(len(strengths), (len(images), 1, 1, 1), generator=generator)
    return images + strengths[which] * (2 * torch.rand(images.shape, generator=generator) - 1)


@blind_noise.mistake(RNG)
def _(images, strengths, generator):
    which = torch.randint(len(strengths), (len(images), 1, 1, 1), generator=generator)
    return images + strengths[which] * torch.randn_like(images)


@blind_noise.mistake(COPIES)
def _(images, strengths, generator):
    which = torch.randint(len(strengths), (1,), generator=generator)
    return images + strengths[which] * torch.randn(images.shape[1:], generator=generator)


@blind_noise.mistake(UNEQUAL)
def _(images, strengths, generator):
    which = (torch.rand(len(images), generator=generator) ** 3 * len(strengths)).long()
    return images + strengths[which, None, None, None] * torch.randn(
        images.shape, generator=generator
    )


@blind_noise.mistake(NOTHING)
def _(images, strengths, generator):
    return images.clone()


@lesson.exercise(
    "Of all pairs of an anomaly and a normal image: in what share is the anomaly's score higher?",
    hints=(
        "Rank all scores together, from 1: an anomaly's rank counts what is below it, and itself.",
        "Take from the sum of n anomalies' ranks what they have among themselves: n(n + 1) / 2.",
        "Ties share the mean of their ranks (scipy.stats.rankdata). Divide by all n · m pairs.",
    ),
    shown="One sort in place of all pairs, and a tie is worth a half, as in scikit-learn.",
)
def auroc(scores, anomalous):
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]  # from 1; of equal scores the mean
    many = anomalous.sum()
    return (ranks[anomalous].sum() - many * (many + 1) / 2) / (many * (~anomalous).sum())


@auroc.judge
def _(trial: Trial) -> None:
    rng = np.random.default_rng(0)
    for count, share, steps in ((40, 0.5, 1e9), (31, 0.2, 4), (200, 0.05, 10), (5000, 0.1, 1e9)):
        anomalous = rng.permutation(count) < share * count
        scores = np.round((rng.normal(size=count) + anomalous) * steps) / steps
        trial(scores, anomalous).gives(roc_auc_score(anomalous, scores), "scikit-learn has")
    scores = np.array([0.2, 0.2, 0.2, 0.2])
    trial(scores, np.array([True, False, False, True])).gives(0.5, "scikit-learn has")


def _pairs(scores, anomalous, tie=0.5):
    above = scores[anomalous][:, None] - scores[~anomalous]  # (anomalies, normal images)
    return float(np.mean((above > 0) + tie * (above == 0)))


@auroc.mistake("The share is that of the anomaly's losses. Who should be above whom?")
def _(scores, anomalous):
    return 1 - _pairs(scores, anomalous)


@auroc.mistake("A tie is neither a win nor a loss. What lies between?")
def _(scores, anomalous):
    return _pairs(scores, anomalous, tie=0)


@auroc.mistake("You have counted every tie as a win. What is it worth?")
def _(scores, anomalous):
    return _pairs(scores, anomalous, tie=1)


@auroc.mistake("Anomalies outrank each other as well: how much of the sum is that?")
def _(scores, anomalous):
    return rankdata(scores)[anomalous].sum() / (anomalous.sum() * (~anomalous).sum())


@auroc.mistake("Sorting breaks ties by place in the list. Which ranks do equal scores deserve?")
def _(scores, anomalous):
    ranks = np.empty(len(scores))
    ranks[np.argsort(scores, kind="stable")] = np.arange(1, len(scores) + 1)
    many = anomalous.sum()
    return (ranks[anomalous].sum() - many * (many + 1) / 2) / (many * (~anomalous).sum())


@auroc.mistake("Pairs are of an anomaly and a normal image, not of any two.")
def _(scores, anomalous):
    return _pairs(scores, anomalous) * 2 * anomalous.mean() * (~anomalous).mean()


@auroc.mistake("That is a share of right decisions at one threshold. AUROC knows none.")
def _(scores, anomalous):
    return float(np.mean((scores > np.median(scores)) == anomalous))


@auroc.mistake("A half is what a score that knows nothing has.")
def _(scores, anomalous):
    return 0.5


@lesson.exercise(
    "In how many of n + 1 equally likely places does the new image lie above the threshold?",
    hints=(
        "Above a score with c normal scores above it there are c + 1 places of n + 1.",
        "So (c + 1) / (n + 1) must be at most `share`: c is known, if the scores are sorted.",
        "With k = floor(share · (n + 1)), the threshold is the k-th highest score, inf if k is 0.",
    ),
    shown="No bell was assumed: of any scores, at most the promised share are false alarms.",
)
def threshold(normal, share):
    allowed = math.floor(share * (len(normal) + 1) + 1e-9)  # 0.29 * 100 is 28.999…
    return np.sort(normal)[-allowed] if allowed else math.inf


@threshold.judge
def _(trial: Trial) -> None:
    rng = np.random.default_rng(0)
    for count, share in ((40, 0.1), (9, 0.25), (19, 0.05), (18, 0.05), (500, 0.033), (7, 0.5)):
        normal = rng.permutation(np.exp(rng.normal(size=count)))
        found = math.inf
        for score in normal:
            places = (normal > score).sum() + 1
            if places / (count + 1) <= share:
                found = min(found, score)
        trial(normal, share).gives(float(found), "counting places gives", tolerance=1e-9)


@threshold.mistake("A quantile of the old scores. The new one is a further place: n + 1 of them.")
def _(normal, share):
    return np.quantile(normal, 1 - share)


@threshold.mistake(
    "Above a score with k others above it there are k + 1 places, not k: one too many."
)
def _(normal, share):
    return np.sort(normal)[-1 - math.floor(share * len(normal))]


@threshold.mistake("That is the wrong end: high scores raise an alarm.")
def _(normal, share):
    allowed = math.floor(share * (len(normal) + 1))
    return np.sort(normal)[allowed - 1] if allowed else -math.inf


@threshold.mistake("With so few scores even the highest is too low. What is never exceeded?")
def _(normal, share):
    return np.sort(normal)[-max(math.floor(share * (len(normal) + 1)), 1)]


@threshold.mistake(
    "Safe, but not the lowest that keeps the promise: it lets more through than need be."
)
def _(normal, share):
    return normal.max() if share * (len(normal) + 1) >= 1 else math.inf


@threshold.mistake("Mean and spread tell a tail only if it is a bell's. Nobody has promised one.")
def _(normal, share):
    return normal.mean() + 2 * normal.std()


@threshold.mistake("That never raises an alarm, which keeps the promise, and catches nothing.")
def _(normal, share):
    return math.inf
