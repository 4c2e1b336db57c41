"""Exercises of lesson 10: walks, draws with gradients, a divergence, coverage, noise in shape."""

from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from scipy.spatial.distance import cdist
from torch.distributions import Normal, kl_divergence

from ._exercise import CUT, Lesson, Trial

lesson = Lesson("10")
progress = lesson.progress


@lesson.exercise(
    "How many codes has a leg, and which of them has the next leg already?",
    hints=(
        "A leg of `steps` steps has steps + 1 codes, but it ends where the next one begins.",
        "Let every leg leave out its last code, and add the very last stop at the end.",
        "share = torch.arange(steps)[:, None] / steps; a leg is start + share * (end - start).",
    ),
    shown="Of all these codes only the stops belong to images: the rest is the decoder's guess.",
)
def walk(stops, steps):
    share = torch.arange(steps)[:, None] / steps  # (steps, 1)
    legs = stops[:-1, None] + share * (stops[1:] - stops[:-1])[:, None]  # (K - 1, steps, D)
    return torch.cat([legs.flatten(0, 1), stops[-1:]])


def _walked(stops, shares, arrive=True):
    """A walk that is at each of the shares of every leg, and, it may be, at the last stop."""
    legs = [a + share * (b - a) for a, b in pairwise(stops) for share in shares]
    return torch.stack([*legs, stops[-1]] if arrive else legs)


@walk.judge
def _(trial: Trial) -> None:
    for count, length, steps in ((4, 3, 5), (2, 28, 4), (3, 1, 1), (5, 2, 2), (2, 2, 9)):
        stops = torch.randn(count, length, requires_grad=True)
        expected = _walked(stops, [step / steps for step in range(steps)])
        trial(stops, steps).gives(expected, "step by step it is", gradients=[stops])


@walk.mistake("You stand still at every stop: it ends one leg, and begins the next.")
def _(stops, steps):
    return _walked(stops, [step / steps for step in range(steps + 1)], arrive=False)


@walk.mistake("Where does your walk end? The last stop belongs to it, too.")
def _(stops, steps):
    return _walked(stops, [step / steps for step in range(steps)], arrive=False)


@walk.mistake("`steps` steps join steps + 1 codes. Yours are longer, and one too few.")
def _(stops, steps):
    return _walked(stops, [step / (steps - 1) for step in range(steps - 1)])


@walk.mistake("You go backwards: `stops` are in the order of the walk.")
def _(stops, steps):
    return walk.answer(stops.flip(0), steps)


@walk.mistake("Each leg runs from its end to its start. Which of the two has a share of 0?")
def _(stops, steps):
    return _walked(stops, [1 - step / steps for step in range(steps)])


@walk.mistake("You go straight from the first stop to the last. What about those between?")
def _(stops, steps):
    shares = torch.linspace(0, 1, (len(stops) - 1) * steps + 1)[:, None]
    return stops[0] + shares * (stops[-1] - stops[0])


@walk.mistake("Those are the stops. What lies between them?")
def _(stops, steps):
    return stops.clone()


@walk.mistake("Those are zeros. Where does the walk start?")
def _(stops, steps):
    return torch.zeros((len(stops) - 1) * steps + 1, stops.shape[1])


@lesson.exercise(
    "How wide is an image's Gaussian in each number, and where is its middle?",
    hints=(
        "A draw is mean + deviation · noise. What is the deviation, given the log of a variance?",
        "The deviation is the root of the variance: (log_variance / 2).exp(), of shape (N, D).",
        "K draws of each image: mean[:, None] has shape (N, 1, D), and fits (N, K, D).",
    ),
    shown="The luck comes in from outside, so a draw has gradients for mean and variance.",
)
def draws(mean, log_variance, noise):
    deviation = (log_variance / 2).exp()  # (N, D)
    return mean[:, None] + deviation[:, None] * noise  # (N, K, D)


@draws.judge
def _(trial: Trial) -> None:
    trial.refuse(torch, "normal", "torch.normal")
    trial.refuse(torch, "randn", "torch.randn")
    trial.refuse(torch, "randn_like", "torch.randn_like")
    for count, many, length in ((5, 3, 4), (4, 4, 4), (1, 7, 28), (6, 1, 2)):
        mean, log_variance = (torch.randn(count, length, requires_grad=True) for _ in range(2))
        noise = torch.randn(count, many, length)
        one_by_one = [
            torch.stack([mean[n] + log_variance[n].exp().sqrt() * noise[n, k] for k in range(many)])
            for n in range(count)
        ]
        given = trial(mean, log_variance, noise)
        given.gives(torch.stack(one_by_one), "one by one they are", gradients=[mean, log_variance])


@draws.mistake("e to that power is a variance, a squared size. How wide is the Gaussian?")
def _(mean, log_variance, noise):
    return mean[:, None] + log_variance.exp()[:, None] * noise


@draws.mistake("A log variance may be below zero, a width may not. What undoes the logarithm?")
def _(mean, log_variance, noise):
    return mean[:, None] + log_variance[:, None] * noise


@draws.mistake("Every image draws as widely as every other. Where does log_variance come in?")
def _(mean, log_variance, noise):
    return mean[:, None] + noise


@draws.mistake("You have widened the mean, too: it is the noise that a deviation multiplies.")
def _(mean, log_variance, noise):
    return (log_variance / 2).exp()[:, None] * (mean[:, None] + noise)


@draws.mistake("Those draws lie around zero. Around what should they?")
def _(mean, log_variance, noise):
    return (log_variance / 2).exp()[:, None] * noise


@draws.mistake("That is the mean, as often as asked for: nothing has been drawn.")
def _(mean, log_variance, noise):
    return mean[:, None].expand_as(noise)


@draws.mistake("log_variance is the log of a variance, not of a deviation: what is half of it?")
def _(mean, log_variance, noise):
    return mean[:, None] + (2 * log_variance).exp()[:, None] * noise


@draws.mistake("That subtracts: a draw as likely, but not the one of this noise.")
def _(mean, log_variance, noise):
    return mean[:, None] - (log_variance / 2).exp()[:, None] * noise


@draws.mistake("Draws stand behind their image: (N, K, D). Along which axis did you add one?")
def _(mean, log_variance, noise):
    return draws.answer(mean, log_variance, noise).transpose(0, 1)


@draws.mistake(CUT)
def _(mean, log_variance, noise):
    return draws.answer(mean, log_variance.detach(), noise)


@lesson.exercise(
    "What is the divergence of a Gaussian from itself? And what if only the means differ?",
    hints=(
        "Number by number, then the sum over an image's numbers: independent ones add up.",
        "For variances v and w, and means d apart: (log(w / v) + (v + d²) / w − 1) / 2.",
        "log(w / v) is other_log_variance - log_variance; v / w is the exp of its negative.",
    ),
    shown="With the other's mean and log variance at zero, this is the lesson's rate.",
)
def divergence(mean, log_variance, other_mean, other_log_variance):
    log_ratio = other_log_variance - log_variance  # (N, D)
    apart = (mean - other_mean).square() / other_log_variance.exp()
    return (log_ratio + (-log_ratio).exp() + apart - 1).sum(dim=1) / 2  # (N,)


@divergence.judge
def _(trial: Trial) -> None:
    trial.refuse(torch.distributions, "kl_divergence", "torch.distributions.kl_divergence")
    trial.refuse(torch.distributions.kl, "kl_divergence", "torch.distributions.kl_divergence")
    for count, length in ((3, 4), (5, 2), (1, 28), (7, 1)):
        mean, log_variance = (torch.randn(count, length, requires_grad=True) for _ in range(2))
        other_mean, other_log = (torch.randn(length, requires_grad=True) for _ in range(2))
        of, other = (
            Normal(m, v.exp().sqrt()) for m, v in ((mean, log_variance), (other_mean, other_log))
        )
        given = trial(mean, log_variance, other_mean, other_log)
        given.gives(
            kl_divergence(of, other).sum(dim=1),
            "torch.distributions has",
            gradients=[mean, log_variance, other_mean, other_log],
        )


def _numbers(mean, log_variance, other_mean, other_log):
    """Twice the divergence of each number (N, D)."""
    ratio, apart = log_variance - other_log, mean - other_mean
    return ratio.exp() + apart**2 / other_log.exp() - 1 - ratio


@divergence.mistake("A divergence has a direction, and this is the other one.")
def _(mean, log_variance, other_mean, other_log):
    return _numbers(other_mean, other_log, mean, log_variance).sum(dim=1) / 2


@divergence.mistake("That is twice too much: there is a half in the divergence.")
def _(*parts):
    return _numbers(*parts).sum(dim=1)


@divergence.mistake("Independent numbers add up: over an image's numbers, a sum, not a mean.")
def _(*parts):
    return _numbers(*parts).mean(dim=1) / 2


@divergence.mistake("One number for each image is asked for: (N,).")
def _(*parts):
    return _numbers(*parts) / 2


@divergence.mistake("You have added up the images, too. One number for each of them is asked for.")
def _(*parts):
    return _numbers(*parts).sum() / 2


@divergence.mistake("From itself a Gaussian diverges by zero. What does yours give?")
def _(*parts):
    return (_numbers(*parts) + 1).sum(dim=1) / 2


@divergence.mistake("A divergence is never negative: look at your signs.")
def _(*parts):
    return -_numbers(*parts).sum(dim=1) / 2


@divergence.mistake("Where do the means come in?")
def _(mean, log_variance, other_mean, other_log):
    return _numbers(mean, log_variance, mean, other_log).sum(dim=1) / 2


@divergence.mistake("That is the divergence from the standard normal. The other may be any.")
def _(mean, log_variance, other_mean, other_log):
    zeros = torch.zeros_like(other_mean)
    return _numbers(mean, log_variance, zeros, zeros).sum(dim=1) / 2


@divergence.mistake("Means are apart in units of the other's deviation. What are your units?")
def _(mean, log_variance, other_mean, other_log):
    ratio = log_variance - other_log
    return (ratio.exp() + (mean - other_mean) ** 2 - 1 - ratio).sum(dim=1) / 2


@divergence.mistake("Those are logs of variances, not of deviations.")
def _(mean, log_variance, other_mean, other_log):
    return _numbers(mean, 2 * log_variance, other_mean, 2 * other_log).sum(dim=1) / 2


@divergence.mistake("That is zero for all. Are the Gaussians all the same?")
def _(mean, *others):
    return torch.zeros(len(mean))


@lesson.exercise(
    "How large is the ball around one centre, and is a point in at least one of all balls?",
    hints=(
        "Two tables of distances: of the centres from each other, and of points from centres.",
        "Sort each centre's distances to all centres: the first is its own, 0, the next is k = 1.",
        "apart = np.linalg.norm(points[:, None] - centres, axis=2) is the second; <=, any, mean.",
    ),
    shown="Real centres and drawn points: precision. Drawn centres and real points: recall.",
)
def covered(centres, points, k):
    among = np.linalg.norm(centres[:, None] - centres, axis=2)  # (N, N)
    radii = np.sort(among, axis=1)[:, k]  # (N,): the first is the centre itself
    apart = np.linalg.norm(points[:, None] - centres, axis=2)  # (M, N)
    return (apart <= radii).any(axis=1).mean()


def _inside(centres, points, k):
    """Whether a point (row) is in the ball around a centre (column), by a slow loop."""
    inside = np.zeros((len(points), len(centres)), dtype=bool)
    for column, centre in enumerate(centres):
        others = np.delete(centres, column, axis=0)
        radius = sorted(np.linalg.norm(others - centre, axis=1))[k - 1]
        inside[:, column] = np.linalg.norm(points - centre, axis=1) <= radius
    return inside


@covered.judge
def _(trial: Trial) -> None:
    rng = np.random.default_rng(0)
    for many, count, features, k in ((40, 97, 3, 2), (60, 31, 5, 3), (25, 80, 2, 1), (9, 50, 4, 8)):
        centres = rng.normal(size=(many, features)) * rng.uniform(0.3, 2, size=(many, 1))
        points = rng.normal(0.5, 1.2, size=(count, features))
        share = _inside(centres, points, k).any(axis=1).mean()
        trial(centres, points, k).gives(share, "by a slow loop it is", tolerance=1e-6)


@covered.mistake("The nearest centre of a centre is itself. Whom does your k count first?")
def _(centres, points, k):
    radii = np.sort(cdist(centres, centres), axis=1)[:, k - 1]
    return (cdist(points, centres) <= radii).any(axis=1).mean()


@covered.mistake("That is the share of balls with a point. Which share of points is in a ball?")
def _(centres, points, k):
    return _inside(centres, points, k).any(axis=0).mean()


@covered.mistake("In one of the balls is enough; need a point be in all?")
def _(centres, points, k):
    return _inside(centres, points, k).all(axis=1).mean()


@covered.mistake("You count a point once for every ball. Once is enough.")
def _(centres, points, k):
    return _inside(centres, points, k).mean()


@covered.mistake("That is how many points, not which share of them.")
def _(centres, points, k):
    return _inside(centres, points, k).any(axis=1).sum()


@covered.mistake("All your balls are of one size. Where centres are rare, theirs should be large.")
def _(centres, points, k):
    radius = np.sort(cdist(centres, centres), axis=1)[:, k].mean()
    return (cdist(points, centres) <= radius).any(axis=1).mean()


@covered.mistake("Your radii have been measured among the points. A ball belongs to a centre.")
def _(centres, points, k):
    radii = np.sort(cdist(points, points), axis=1)[:, k]
    return (cdist(points, centres).min(axis=1) <= radii).mean()


@covered.mistake("Points and centres have changed places.")
def _(centres, points, k):
    return covered.answer(points, centres, k)


@covered.mistake("The nearest centre's ball may be small: a point can be in a farther, larger one.")
def _(centres, points, k):
    radii, far = np.sort(cdist(centres, centres), axis=1)[:, k], cdist(points, centres)
    return (far.min(axis=1) <= radii[far.argmin(axis=1)]).mean()


@covered.mistake("That is the share outside.")
def _(centres, points, k):
    return 1 - covered.answer(centres, points, k)


@covered.mistake("Are really all of them covered? What do `points` have to say?")
def _(centres, points, k):
    return 1.0


@lesson.exercise(
    "Which matrix gives noise the covariance of the codes, and where does a zero go?",
    hints=(
        "noise @ A.T + b has mean b and covariance A @ A.T. What must A @ A.T be?",
        "A root of np.cov(codes.T): np.linalg.cholesky has a triangular one, and any will do.",
        "codes.mean(axis=0) + noise @ np.linalg.cholesky(np.cov(codes.T)).T",
    ),
    shown="The same noise gives the same draws, and each number knows what the others do.",
)
def alike(codes, noise):
    root = np.linalg.cholesky(np.cov(codes.T))  # (D, D)
    return codes.mean(axis=0) + noise @ root.T  # (M, D)


def _covariance(answer, codes):
    """What an answer makes of one unit of noise in each number tells the covariance of draws."""
    root = np.asarray(answer(codes, np.eye(codes.shape[1]))) - codes.mean(axis=0)
    return root.T @ root


@alike.judge
def _(trial: Trial) -> None:
    rng = np.random.default_rng(0)
    for count, length, many in ((200, 3, 5), (50, 8, 2), (9, 2, 7)):
        spread, middle = rng.normal(size=(length, length)), rng.normal(0, 5, size=length)
        codes = middle + rng.normal(size=(count, length)) @ spread
        mean = sum(codes) / count
        covariance = (codes - mean).T @ (codes - mean) / (count - 1)
        trial(codes, np.zeros((many, length))).gives(
            np.tile(mean, (many, 1)), "without noise the mean is", tolerance=1e-6
        )
        units = trial(codes, np.eye(length))
        root = _array(trial, units.value, length) - mean
        units.value = root.T @ root
        units.gives(
            covariance,
            "the draws' covariance should be",
            again=partial(_covariance, codes=codes),
            tolerance=1e-6,
        )
        noise = rng.normal(size=(many, length))
        trial(codes, noise).gives(mean + noise @ root, "row by row it is", tolerance=1e-6)


def _array(trial: Trial, value: Any, length: int) -> Any:
    if not isinstance(value, np.ndarray) or value.shape != (length, length):
        trial.wrong("does not give an array (M, D).", "Every row of noise becomes a draw.")
    return value


@alike.mistake("noise @ root has the covariance root.T @ root. Which way round is it to stand?")
def _(codes, noise):
    return codes.mean(axis=0) + noise @ np.linalg.cholesky(np.cov(codes.T))


@alike.mistake("Each number is drawn by itself here: what becomes of their correlations?")
def _(codes, noise):
    return codes.mean(axis=0) + noise * codes.std(axis=0, ddof=1)


@alike.mistake("A covariance is made of squared sizes: noise times it is far too wide.")
def _(codes, noise):
    return codes.mean(axis=0) + noise @ np.cov(codes.T)


@alike.mistake("The root of a matrix is not the matrix of the roots.")
def _(codes, noise):
    return codes.mean(axis=0) + noise @ np.sqrt(np.abs(np.cov(codes.T)))


@alike.mistake("Your draws lie around zero. Where do the codes lie?")
def _(codes, noise):
    return alike.answer(codes, noise) - codes.mean(axis=0)


@alike.mistake("Every number has a mean of its own.")
def _(codes, noise):
    return alike.answer(codes, noise) - codes.mean(axis=0) + codes.mean()


@alike.mistake("Every direction is as wide as every other in yours.")
def _(codes, noise):
    return codes.mean(axis=0) + noise * np.sqrt(codes.var(axis=0, ddof=1).mean())


@alike.mistake("The middle is in order. How wide are the codes?")
def _(codes, noise):
    return codes.mean(axis=0) + noise


@alike.mistake("That has centred nothing: a covariance is taken around the mean.")
def _(codes, noise):
    root = np.linalg.cholesky(codes.T @ codes / (len(codes) - 1))
    return codes.mean(axis=0) + noise @ root.T


@alike.mistake("That is the mean, over and over: noise has to make a difference.")
def _(codes, noise):
    return np.tile(codes.mean(axis=0), (len(noise), 1))


@alike.mistake("Your covariance is divided by N, that of np.cov by N − 1.")
def _(codes, noise):
    root = np.linalg.cholesky(np.cov(codes.T, ddof=0))
    return codes.mean(axis=0) + noise @ root.T
