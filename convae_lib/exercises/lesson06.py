"""Exercises of lesson 06: t-SNE from its parts, and what a map keeps."""

import contextlib
from typing import Any

import numpy as np
import torch
from scipy.spatial.distance import pdist, squareform
from scipy.special import softmax
from sklearn.model_selection import LeaveOneOut, cross_val_score
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

from ._exercise import Lesson, Trial

lesson = Lesson("06")
progress = lesson.progress


@lesson.exercise(
    "Do near images get more than far ones, and do all that one image picks from sum to one?",
    hints=(
        "First the height of a bell curve for each pair, then each height's share of its row.",
        "The height is exp(−d² / 2σ²), `squared` holds d² already, and the own image gets none.",
        "widths[:, None] gives each row its σ; np.fill_diagonal(heights, 0) leaves the image out.",
    ),
    shown="Each row is a softmax, and its width is all that the perplexity settles.",
)
def pick(squared, widths):
    heights = np.exp(-squared / (2 * widths[:, None] ** 2))  # (N, N)
    np.fill_diagonal(heights, 0)
    return heights / heights.sum(axis=1, keepdims=True)


def _picked(heights, own=0):
    np.fill_diagonal(heights, own)
    return heights / heights.sum(axis=1, keepdims=True)


@pick.judge
def _(trial: Trial) -> None:
    rng = np.random.default_rng(0)
    for count in (4, *rng.integers(4, 20, size=30)):
        images = rng.normal(size=(count, 3))
        if count > 4:
            images[1] = images[0]  # two equal ones
        squared, widths = squareform(pdist(images, "sqeuclidean")), rng.uniform(0.8, 2, size=count)
        scores = -squared / (2 * widths[:, None] ** 2)
        scores[np.diag_indices(count)] = -np.inf
        row_by_row = softmax(scores, axis=1)
        trial(squared, widths).gives(row_by_row, "a softmax gives", tolerance=1e-6)


@pick.mistake("Those are heights. What turns heights into probabilities?")
def _(squared, widths):
    heights = np.exp(-squared / (2 * widths[:, None] ** 2))
    np.fill_diagonal(heights, 0)
    return heights


@pick.mistake("No image picks itself: what stands on your diagonal?")
def _(squared, widths):
    return _picked(np.exp(-squared / (2 * widths[:, None] ** 2)), own=1)


@pick.mistake("Two equal images, at distance 0, are still two. Leave out i = j, and nobody else.")
def _(squared, widths):
    return _picked(np.exp(-squared / (2 * widths[:, None] ** 2)) * (squared > 0))


@pick.mistake("Every image picks for itself: over what should probabilities sum to one?")
def _(squared, widths):
    heights = np.exp(-squared / (2 * widths[:, None] ** 2))
    np.fill_diagonal(heights, 0)
    return heights / heights.sum()


@pick.mistake("Row i is what image i picks. Over what should probabilities sum to one?")
def _(squared, widths):
    heights = np.exp(-squared / (2 * widths[:, None] ** 2))
    np.fill_diagonal(heights, 0)
    return heights / heights.sum(axis=0)


@pick.mistake("Row i is what image i picks: whose width does it take?")
def _(squared, widths):
    return _picked(np.exp(-squared / (2 * widths**2)))


@pick.mistake("Look at the formula again: half of d² / σ² is in the exponent.")
def _(squared, widths):
    return _picked(np.exp(-squared / widths[:, None] ** 2))


@pick.mistake("`widths` holds σ: what does the formula divide by?")
def _(squared, widths):
    return _picked(np.exp(-squared / (2 * widths[:, None])))


@pick.mistake("`squared` holds d² already.")
def _(squared, widths):
    return _picked(np.exp(-(squared**2) / (2 * widths[:, None] ** 2)))


@pick.mistake("Who should be picked more often, a near image or a far one?")
def _(squared, widths):
    return _picked(np.exp(squared / (2 * widths[:, None] ** 2)))


@pick.mistake("That heavy tail belongs on the map. In the code, images pick by a Gaussian.")
def _(squared, widths):
    return _picked(1 / (1 + squared / (2 * widths[:, None] ** 2)))


@pick.mistake("Your images are all picked alike, however far away they are.")
def _(squared, widths):
    return _picked(np.ones_like(squared))


@lesson.exercise(
    "What is the sum of your matrix? Is the distance squared?",
    hints=(
        "points[:, None] - points, of shape (N, N, 2), is the way from every point to every other.",
        "The tail for every pair; nothing on the diagonal; and one sum to divide by.",
        "(1 + d² / freedom) ** (-(freedom + 1) / 2), a zero diagonal by np.fill_diagonal, a sum.",
    ),
    shown="At freedom 1 it is t-SNE's q. The p it is compared with is exercise 1's, symmetrised.",
)
def map_probabilities(points, freedom):
    squared = ((points[:, None] - points) ** 2).sum(axis=2)  # (N, N)
    near = (1 + squared / freedom) ** (-(freedom + 1) / 2)
    np.fill_diagonal(near, 0)
    return near / near.sum()


def _tail(points, freedom, metric="sqeuclidean"):
    return squareform((1 + pdist(points, metric) / freedom) ** (-(freedom + 1) / 2))


@map_probabilities.judge
def _(trial: Trial) -> None:
    rng = np.random.default_rng(0)
    for count, freedom in ((4, 1), (3, 2), (10, 1), (10, 0.5), (30, 8)):
        points = rng.normal(scale=2, size=(count, 2))
        if count == 10:
            points[1] = points[0]  # two on one spot
        near = _tail(points, freedom)
        expected = near / near.sum()
        trial(points, freedom).gives(expected, "pair by pair it is", tolerance=1e-6)


@map_probabilities.mistake("What stands on your diagonal? No image is a neighbour of its own.")
def _(points, freedom):
    near = _tail(points, freedom) + np.eye(len(points))
    return near / near.sum()


@map_probabilities.mistake("Your rows sum to one. On the map, what must sum to one?")
def _(points, freedom):
    near = _tail(points, freedom)
    return near / near.sum(axis=1, keepdims=True)


@map_probabilities.mistake("Those are heights: what is the sum of your matrix?")
def _(points, freedom):
    return _tail(points, freedom)


@map_probabilities.mistake("A pair stands in your matrix twice, in both orders: what is its sum?")
def _(points, freedom):
    near = _tail(points, freedom)
    return 2 * near / near.sum()


@map_probabilities.mistake("Is the distance squared?")
def _(points, freedom):
    near = _tail(points, freedom, "euclidean")
    return near / near.sum()


@map_probabilities.mistake("That is the tail at freedom 1. Where does another freedom come in?")
def _(points, freedom):
    near = _tail(points, 1)
    return near / near.sum()


@map_probabilities.mistake("Where has the exponent gone, −(freedom + 1) / 2?")
def _(points, freedom):
    near = squareform(1 / (1 + pdist(points, "sqeuclidean") / freedom))
    return near / near.sum()


@map_probabilities.mistake("Two points on one spot are still two. Nothing but i = j is left out.")
def _(points, freedom):
    near = _tail(points, freedom) * (squareform(pdist(points)) > 0)
    return near / near.sum()


@map_probabilities.mistake("That is the code's Gaussian. Which tail does the map have?")
def _(points, freedom):
    near = squareform(np.exp(-pdist(points, "sqeuclidean")))
    return near / near.sum()


@map_probabilities.mistake("All pairs are equally likely here. Where do distances come in?")
def _(points, freedom):
    near = 1 - np.eye(len(points))
    return near / near.sum()


@lesson.exercise(
    "Whom does a point meet among its k nearest, in the code and on the map?",
    hints=(
        "For each point: its k nearest in the code, its k nearest on the map, and who is in both.",
        "A point is its own nearest. Put np.inf on the diagonal of the distances before argsort.",
        "len(set(a) & set(b)) / k for each pair of rows of indices, and the mean of all of them.",
    ),
    shown="Unlike trustworthiness it also counts those whom the map has sent away.",
)
def kept_neighbours(codes, points, k):
    nearest = []
    for table in (codes, points):
        squared = ((table[:, None] - table) ** 2).sum(axis=2)  # (N, N)
        np.fill_diagonal(squared, np.inf)
        nearest.append(squared.argsort(axis=1)[:, :k])
    shares = [len(set(a) & set(b)) / k for a, b in zip(*nearest, strict=True)]
    return np.mean(shares)


def _nearest(table, k):
    return NearestNeighbors(n_neighbors=k).fit(table).kneighbors(return_distance=False)


def _shared(codes, points, k):
    both = zip(_nearest(codes, k), _nearest(points, k), strict=True)
    return np.mean([len({*a} & {*b}) for a, b in both])


@kept_neighbours.judge
def _(trial: Trial) -> None:
    rng = np.random.default_rng(0)
    for count, k in ((14, 3), (30, 2), (60, 5), (40, 1)):
        codes = rng.normal(size=(count, 4))
        points = 3 * codes[:, :2] + rng.normal(scale=0.3, size=(count, 2))
        share = _shared(codes, points, k) / k
        trial(codes, points, k).gives(share, "scikit-learn's neighbours say")


@kept_neighbours.mistake("Who is the nearest point of all to a point? It should not count.")
def _(codes, points, k):
    tables = (squareform(pdist(table)).argsort(axis=1)[:, :k] for table in (codes, points))
    return np.mean([len({*a} & {*b}) / k for a, b in zip(*tables, strict=True)])


@kept_neighbours.mistake("A second nearest that has become the nearest is a neighbour kept.")
def _(codes, points, k):
    return np.mean(_nearest(codes, k) == _nearest(points, k))


@kept_neighbours.mistake("That is the share of those lost. How many were kept?")
def _(codes, points, k):
    return 1 - _shared(codes, points, k) / k


@kept_neighbours.mistake("You have counted them. What is their share of k?")
def _(codes, points, k):
    return _shared(codes, points, k)


@kept_neighbours.mistake("Those are percent. A share lies between 0 and 1.")
def _(codes, points, k):
    return 100 * _shared(codes, points, k) / k


@kept_neighbours.mistake("Divide by k, the neighbours in the code; not by all who occur in either.")
def _(codes, points, k):
    both = zip(_nearest(codes, k), _nearest(points, k), strict=True)
    return np.mean([len({*a} & {*b}) / len({*a} | {*b}) for a, b in both])


@kept_neighbours.mistake("A map that kept everybody? Look at the code and at the map, both.")
def _(codes, points, k):
    return 1.0


@lesson.exercise(
    "Who may vote on a point, and what does the vote have to equal?",
    hints=(
        "For each point: the labels of its k nearest others, and the most frequent one among them.",
        "np.bincount(votes).argmax() is that label. Distances on the diagonal become np.inf first.",
        "With near (N, k), labels[near] are the votes, a row for each point. Compare with labels.",
    ),
    shown="No folds needed: each point is named by all the others.",
)
def leave_one_out(points, labels, k):
    squared = ((points[:, None] - points) ** 2).sum(axis=2)  # (N, N)
    np.fill_diagonal(squared, np.inf)
    near = squared.argsort(axis=1)[:, :k]  # (N, k)
    named = [np.bincount(votes).argmax() for votes in labels[near]]
    return np.mean(named == labels)


def _without_ties(rng, count, k):
    """Points of four classes: no vote is tied, and some are won with half or less."""
    while True:
        corner = rng.permutation(count) % 4
        labels = np.array([0, 7, 3, 2])[corner]
        points = 2.5 * np.array([corner % 2, corner // 2]).T + rng.normal(size=(count, 2))
        votes = [np.bincount(row, minlength=8) for row in labels[_nearest(points, k)]]
        second, first = np.sort(votes)[:, -2:].T
        if (second < first).all() and (k < 4 or (2 * first <= k).any()):
            return points, labels


@leave_one_out.judge
def _(trial: Trial) -> None:
    rng = np.random.default_rng(3)  # no two mistakes of the first case come to one share
    for count, k in ((19, 5), (22, 4), (24, 1), (30, 3)):
        points, labels = _without_ties(rng, count, k)
        knn = KNeighborsClassifier(k)
        share = cross_val_score(knn, points, labels, cv=LeaveOneOut()).mean()
        trial(points, labels, k).gives(share, "scikit-learn's LeaveOneOut gives")


@leave_one_out.mistake("Each point votes on its own label. Would you call that a test?")
def _(points, labels, k):
    return KNeighborsClassifier(k).fit(points, labels).score(points, labels)


@leave_one_out.mistake("That is how often a neighbour agrees. Let the neighbours vote first.")
def _(points, labels, k):
    return np.mean(labels[_nearest(points, k)] == labels[:, None])


@leave_one_out.mistake("The nearest alone decides here. What does k ask for?")
def _(points, labels, k):
    return np.mean(labels[_nearest(points, 1)[:, 0]] == labels)


@leave_one_out.mistake("Labels are names, not sizes: no mean, no median.")
def _(points, labels, k):
    return np.mean(np.median(labels[_nearest(points, k)], axis=1) == labels)


@leave_one_out.mistake("Labels are names, not sizes: no mean, no median.")
def _(points, labels, k):
    return np.mean(labels[_nearest(points, k)].mean(axis=1).round() == labels)


@leave_one_out.mistake("The most frequent need not be more than half.")
def _(points, labels, k):
    return np.mean((labels[_nearest(points, k)] == labels[:, None]).mean(axis=1) > 0.5)


@leave_one_out.mistake("Is that the share named rightly, or the other one?")
def _(points, labels, k):
    return 1 - leave_one_out.answer(points, labels, k)


@leave_one_out.mistake("So often guesses rightly who looks at no point at all.")
def _(points, labels, k):
    return np.bincount(labels).max() / len(labels)


UPHILL = "That is the way downhill. A gradient points uphill."
LENGTH = "The direction is right. How long should it be?"
UNDIVIDED = "The last factor is 1 / (1 + d²) itself, not divided by the sum as in Q."


@lesson.exercise(
    "Do true neighbours too far apart pull, and strangers too near push?",
    hints=(
        "Two forces act along the line between two points: p pulls, q pushes. When do they cancel?",
        "The gradient at point i is 4 · Σⱼ (pᵢⱼ − qᵢⱼ) (yᵢ − yⱼ) / (1 + ‖yᵢ − yⱼ‖²).",
        "Q is the matrix 1 / (1 + d²) divided by its sum; the formula needs it again, undivided.",
        "apart = points[:, None] - points, (N, N, 2), times weights[:, :, None], summed over j.",
    ),
    shown="Step against it a few hundred times and you have written t-SNE.",
)
def gradient(P, points):
    apart = points[:, None] - points  # (N, N, 2)
    near = 1 / (1 + (apart**2).sum(axis=2))  # (N, N)
    np.fill_diagonal(near, 0)
    Q = near / near.sum()
    return 4 * (((P - Q) * near)[:, :, None] * apart).sum(axis=1)  # (N, 2)


def _multiple(value: Any, expected: Any) -> float | None:
    """How many times ``expected`` it is, unless once or never."""
    with contextlib.suppress(Exception):
        value = np.asarray(value, dtype=float)
        factor = float((value * expected).sum() / (expected**2).sum())
        near = 1e-6 * abs(factor * expected).max()
        if value.shape == expected.shape and abs(factor - 1) > 1e-6 and near > 0:
            return factor if (abs(value - factor * expected) < near).all() else None
    return None


@gradient.judge
def _(trial: Trial) -> None:
    rng = np.random.default_rng(0)
    for count in (4, 8, 15):
        heights = np.exp(-pdist(rng.normal(size=(count, 3)), "sqeuclidean"))
        heights[::3] = 0  # strangers
        P, points = squareform(heights) / heights.sum() / 2, rng.normal(size=(count, 2))
        y = torch.tensor(points, requires_grad=True)
        near = (1 - torch.eye(count)) / (1 + (y[:, None] - y).square().sum(2))
        p, q = torch.tensor(P), near / near.sum()
        (slope,) = torch.autograd.grad((p * ((p + 1e-30) / (q + 1e-30)).log()).sum(), y)
        outcome = trial(P, points)
        if factor := _multiple(outcome.value, slope.numpy()):
            shrunk = abs(factor * near.sum().item() - 1) < 1e-6
            help = UPHILL if factor < 0 else UNDIVIDED if shrunk else LENGTH
            trial.wrong(f"gave {factor:.3g} times what autograd finds.", help)
        outcome.gives(slope.numpy(), "autograd finds", tolerance=1e-6)


def _near(points):
    return squareform(1 / (1 + pdist(points, "sqeuclidean")))


def _summed(weights, points, factor=4):
    return factor * (weights[:, :, None] * (points[:, None] - points)).sum(axis=1)


@gradient.mistake(LENGTH)
def _(P, points):
    near = _near(points)
    return _summed((P - near / near.sum()) * near, points, factor=1)


@gradient.mistake(LENGTH)
def _(P, points):
    near = _near(points)
    return _summed((P - near / near.sum()) * near, points, factor=2)


@gradient.mistake(UPHILL)
def _(P, points):
    near = _near(points)
    return _summed((P - near / near.sum()) * near, points, factor=-4)


@gradient.mistake(UNDIVIDED)
def _(P, points):
    Q = _near(points) / _near(points).sum()
    return _summed((P - Q) * Q, points)


@gradient.mistake("The heavy tail has left a factor behind, 1 / (1 + d²) for each pair.")
def _(P, points):
    near = _near(points)
    return _summed(P - near / near.sum(), points)


@gradient.mistake("Strangers with p = 0 still push.")
def _(P, points):
    near = _near(points)
    return _summed(np.where(P > 0, P - near / near.sum(), 0) * near, points)


@gradient.mistake("No point is its own neighbour: what is on the diagonal when you sum up for Q?")
def _(P, points):
    near = _near(points)
    return _summed((P - near / (near.sum() + len(points))) * near, points)


@gradient.mistake("Your Q does not sum to one yet, as P does.")
def _(P, points):
    near = _near(points)
    return _summed((P - near) * near, points)


@gradient.mistake("Nothing moves. Is the map finished where it stands?")
def _(P, points):
    return np.zeros_like(points)
