"""Exercises of lesson 06: t-SNE from its parts, and what a map keeps."""

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
    "Do near images get more than far ones, and all of them together one?",
    hints=(
        "First the height of a bell curve for each image, then each height's share of their sum.",
        "The height at distance d is exp(−d² / 2σ²), and `squared` holds d² already.",
        "heights = np.exp(-squared / (2 * width**2)); divide them by heights.sum().",
    ),
    shown="It is a softmax, and the width of each image is all that the perplexity settles.",
)
def pick(squared, width):
    heights = np.exp(-squared / (2 * width**2))
    return heights / heights.sum()


@pick.judge
def _(trial: Trial) -> None:
    rng = np.random.default_rng(0)
    for others in (3, *rng.integers(2, 30, size=50)):
        squared, width = rng.uniform(0.5, 9, size=others), rng.uniform(1.1, 2.5)
        trial(squared, width).gives(softmax(-squared / (2 * width**2)), "a softmax gives")


@pick.mistake("Those are heights. What turns heights into probabilities?")
def _(squared, width):
    return np.exp(-squared / (2 * width**2))


@pick.mistake("Who should be picked more often, a near image or a far one?")
def _(squared, width):
    return softmax(squared / (2 * width**2))


@pick.mistake("That heavy tail belongs on the map. In the code, images pick by a Gaussian.")
def _(squared, width):
    heights = 1 / (1 + squared / (2 * width**2))
    return heights / heights.sum()


@pick.mistake("Your images are all picked alike, however far away they are.")
def _(squared, width):
    return np.full_like(squared, 1 / len(squared))


@lesson.exercise(
    "Does a pair count once for each of its two orders, and no point with itself?",
    hints=(
        "points[:, None] - points, of shape (N, N, 2), is the way from every point to every other.",
        "1 / (1 + d²) for every pair; nothing on the diagonal; and one sum to divide by.",
        "near = 1 / (1 + ((points[:, None] - points) ** 2).sum(2)); np.fill_diagonal(near, 0).",
    ),
    shown="With the p of exercise 1 you hold both sides of the divergence.",
)
def map_probabilities(points):
    near = 1 / (1 + ((points[:, None] - points) ** 2).sum(axis=2))  # (N, N)
    np.fill_diagonal(near, 0)
    return near / near.sum()


@map_probabilities.judge
def _(trial: Trial) -> None:
    rng = np.random.default_rng(0)
    for count in (3, 4, 10, 30):
        points = rng.normal(scale=2, size=(count, 2))
        near = squareform(1 / (1 + pdist(points, "sqeuclidean")))
        trial(points).gives(near / near.sum(), "pair by pair it is", tolerance=1e-6)


@map_probabilities.mistake("What stands on your diagonal? No image is a neighbour of its own.")
def _(points):
    near = 1 / (1 + squareform(pdist(points, "sqeuclidean")))
    return near / near.sum()


@map_probabilities.mistake("Your rows sum to one. On the map, what must sum to one?")
def _(points):
    near = squareform(1 / (1 + pdist(points, "sqeuclidean")))
    return near / near.sum(axis=1, keepdims=True)


@map_probabilities.mistake("That is the code's Gaussian. Which tail does the map have?")
def _(points):
    near = squareform(np.exp(-pdist(points, "sqeuclidean")))
    return near / near.sum()


@map_probabilities.mistake("All pairs are equally likely here. Where do distances come in?")
def _(points):
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


@kept_neighbours.judge
def _(trial: Trial) -> None:
    rng = np.random.default_rng(0)
    for count, k in ((12, 2), (30, 3), (60, 5), (40, 1)):
        codes = rng.normal(size=(count, 4))
        points = 3 * codes[:, :2] + rng.normal(scale=0.3, size=(count, 2))
        both = zip(_nearest(codes, k), _nearest(points, k), strict=True)
        share = np.mean([len({*a} & {*b}) / k for a, b in both])
        trial(codes, points, k).gives(share, "scikit-learn's neighbours say")


@kept_neighbours.mistake("Who is the nearest point of all to a point? It should not count.")
def _(codes, points, k):
    tables = (squareform(pdist(table)).argsort(axis=1)[:, :k] for table in (codes, points))
    return np.mean([len({*a} & {*b}) / k for a, b in zip(*tables, strict=True)])


@kept_neighbours.mistake("A second nearest that has become the nearest is a neighbour kept.")
def _(codes, points, k):
    return np.mean(_nearest(codes, k) == _nearest(points, k))


@kept_neighbours.mistake("You have counted them. What is their share of k?")
def _(codes, points, k):
    both = zip(_nearest(codes, k), _nearest(points, k), strict=True)
    return np.mean([len({*a} & {*b}) for a, b in both])


@kept_neighbours.mistake("A map that kept everybody? Look at the code and at the map, both.")
def _(codes, points, k):
    return 1.0


@lesson.exercise(
    "Who may vote on a point, and what does the vote have to equal?",
    hints=(
        "For each point: the labels of its k nearest others, and the most frequent one among them.",
        "np.bincount(votes).argmax() is that label. Distances on the diagonal become np.inf first.",
        "named = [np.bincount(votes).argmax() for votes in labels[near]]; np.mean(named == labels)",
    ),
    shown="No folds needed: each point is named by all the others.",
)
def leave_one_out(points, labels, k):
    squared = ((points[:, None] - points) ** 2).sum(axis=2)  # (N, N)
    np.fill_diagonal(squared, np.inf)
    near = squared.argsort(axis=1)[:, :k]  # (N, k)
    named = [np.bincount(votes).argmax() for votes in labels[near]]
    return np.mean(named == labels)


@leave_one_out.judge
def _(trial: Trial) -> None:
    rng = np.random.default_rng(0)
    for count, k in ((16, 3), (30, 5), (24, 1), (40, 7)):
        labels = rng.permutation(np.arange(count) % 3 % 2)  # two, and an odd k: no vote is a tie
        points = rng.normal(size=(count, 2)) + labels[:, None]
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


@leave_one_out.mistake("Is that the share named rightly, or the other one?")
def _(points, labels, k):
    votes = labels[_nearest(points, k)].mean(axis=1) > 0.5
    return np.mean(votes != labels)


@leave_one_out.mistake("So often guesses rightly who looks at no point at all.")
def _(points, labels, k):
    return np.bincount(labels).max() / len(labels)


@lesson.exercise(
    "Do true neighbours too far apart pull, and strangers too near push?",
    hints=(
        "The gradient at point i is 4 · Σⱼ (pᵢⱼ − qᵢⱼ) (yᵢ − yⱼ) / (1 + ‖yᵢ − yⱼ‖²).",
        "Q is the matrix 1 / (1 + d²) divided by its sum; the formula needs it again, undivided.",
        "apart = points[:, None] - points; 4 * (((P - Q) * near)[:, :, None] * apart).sum(axis=1).",
    ),
    shown="Step against it a few hundred times and you have written t-SNE.",
)
def gradient(P, points):
    apart = points[:, None] - points  # (N, N, 2)
    near = 1 / (1 + (apart**2).sum(axis=2))  # (N, N)
    np.fill_diagonal(near, 0)
    Q = near / near.sum()
    return 4 * (((P - Q) * near)[:, :, None] * apart).sum(axis=1)  # (N, 2)


@gradient.judge
def _(trial: Trial) -> None:
    rng = np.random.default_rng(0)
    for count in (4, 8, 15):
        heights = squareform(np.exp(-pdist(rng.normal(size=(count, 3)), "sqeuclidean")))
        P, points = heights / heights.sum(), rng.normal(size=(count, 2))
        y = torch.tensor(points, requires_grad=True)
        near = (1 - torch.eye(count)) / (1 + (y[:, None] - y).square().sum(2))
        p, q = torch.tensor(P), near / near.sum()
        (slope,) = torch.autograd.grad((p * ((p + 1e-30) / (q + 1e-30)).log()).sum(), y)
        trial(P, points).gives(slope.numpy(), "autograd finds", tolerance=1e-6)


def _forces(P, points, power=1):
    apart = points[:, None] - points
    near = squareform(1 / (1 + pdist(points, "sqeuclidean")))
    weight = (P - near / near.sum()) * near**power
    return (weight[:, :, None] * apart).sum(axis=1)


@gradient.mistake("The direction is right. How long should it be?")
def _(P, points):
    return _forces(P, points)


@gradient.mistake("That is the way downhill. A gradient points uphill.")
def _(P, points):
    return -4 * _forces(P, points)


@gradient.mistake("The heavy tail has left a factor behind, 1 / (1 + d²) for each pair.")
def _(P, points):
    return 4 * _forces(P, points, power=0)


@gradient.mistake("Nothing moves. Is the map finished where it stands?")
def _(P, points):
    return np.zeros_like(points)
