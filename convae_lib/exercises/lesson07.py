"""Exercises of lesson 07: what a fair probe is made of."""

from typing import Any

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from scipy.special import softmax
from torch.nn.functional import cross_entropy

from ._exercise import Lesson, Trial

lesson = Lesson("07")
progress = lesson.progress


@lesson.exercise(
    "Which images may settle the mean and the scale, and how many numbers is the scale?",
    hints=(
        "Mean (features,) and spread, one number, are measured on the training codes alone.",
        "The mean variance is train.var(axis=0).mean(). By what must you divide to bring it to 1?",
        "Variances go with the square of a size: np.sqrt. The way back multiplies, then adds.",
    ),
    shown="Test codes stay test codes, no direction has changed, and every code finds back.",
)
def one_scale(train, codes, back):
    mean, spread = train.mean(axis=0), np.sqrt(train.var(axis=0).mean())
    return codes * spread + mean if back else (codes - mean) / spread


@one_scale.judge
def _(trial: Trial) -> None:
    rng = np.random.default_rng(0)
    for count, features in ((40, 5), (7, 1), (200, 28)):
        means, sizes = rng.uniform(-5, 5, size=features), rng.uniform(0.5, 9, size=features)
        train, test = (rng.normal(means, sizes, size=(n, features)) for n in (count, 10))
        middle = sum(train) / count
        length = (sum(((row - middle) ** 2).mean() for row in train) / count) ** 0.5
        for codes in (test, train):
            scaled = (codes - middle) / length
            trial(train, codes, back=False).gives(scaled, "by the training codes it is")
        trial(train, (test - middle) / length, back=True).gives(test, "before it was")


@one_scale.mistake("Your test codes have settled their own mean. May a test image do that?")
def _(train, codes, back):
    return (codes - codes.mean(axis=0)) / np.sqrt(codes.var(axis=0).mean())


@one_scale.mistake("You have measured training and test codes together.")
def _(train, codes, back):
    return one_scale.answer(np.concatenate([train, codes]), codes, back)


@one_scale.mistake("Every feature has its own scale here: a border pixel becomes as loud as any.")
def _(train, codes, back):
    return (codes - train.mean(axis=0)) / train.std(axis=0)


@one_scale.mistake("A variance is a squared size. What should codes be divided by?")
def _(train, codes, back):
    return (codes - train.mean(axis=0)) / train.var(axis=0).mean()


@one_scale.mistake("train.std() counts the gaps between the features' means, too. Center first.")
def _(train, codes, back):
    return (codes - train.mean(axis=0)) / train.std()


@one_scale.mistake("You took the mean of the standard deviations. Variances are to average to one.")
def _(train, codes, back):
    return (codes - train.mean(axis=0)) / train.std(axis=0).mean()


@one_scale.mistake("Your variances are divided by N − 1, those of np.var by N.")
def _(train, codes, back):
    return (codes - train.mean(axis=0)) / np.sqrt(train.var(axis=0, ddof=1).mean())


@one_scale.mistake("The scale is in order. Where is the middle of the codes?")
def _(train, codes, back):
    return codes / np.sqrt(train.var(axis=0).mean())


@one_scale.mistake("Every feature has a mean of its own.")
def _(train, codes, back):
    return (codes - train.mean()) / np.sqrt(train.var(axis=0).mean())


@one_scale.mistake("The middle is in order. By what must the codes be divided?")
def _(train, codes, back):
    return codes - train.mean(axis=0)


@one_scale.mistake("With back=True the codes are scaled ones. Which way do they go?")
def _(train, codes, back):
    return one_scale.answer(train, codes, False)


@one_scale.mistake("The last step is undone first: multiply, then add.")
def _(train, codes, back):
    mean, spread = train.mean(axis=0), np.sqrt(train.var(axis=0).mean())
    return (codes + mean) * spread if back else (codes - mean) / spread


@one_scale.mistake("Nothing has changed yet.")
def _(train, codes, back):
    return codes


@lesson.exercise(
    "One cluster for every digit, −1 for the rest: under which naming are most images right?",
    hints=(
        "If two clusters want one name, the sum decides. All namings compete as a whole.",
        "linear_sum_assignment(counts, maximize=True) pairs rows with columns; rows are digits.",
        "Begin with np.full(K, -1). At the place of each paired cluster then stands its digit.",
    ),
    shown="Without the rule of one name each, more clusters would always look better.",
)
def name_clusters(counts):
    digit, cluster = linear_sum_assignment(counts, maximize=True)
    names = np.full(counts.shape[1], -1)
    names[cluster] = digit
    return names


def _named(counts, maximize=True, without=-1):
    names = np.full(counts.shape[1], without)
    cluster, digit = linear_sum_assignment(counts.T, maximize=maximize)
    names[cluster] = digit
    return names


@name_clusters.judge
def _(trial: Trial) -> None:
    rng = np.random.default_rng(0)
    tempting = np.array([[3, 4, 50], [90, 80, 1], [85, 10, 2]])  # greed takes the 90 and gets a 10
    sizes = ((2, 2), (3, 5), (10, 10), (10, 14), (4, 9))
    for counts in (tempting, *(rng.integers(0, 10_000, size=size) for size in sizes)):
        trial(counts).gives(_named(counts), "the best naming has")


@name_clusters.mistake("Two of your clusters have one name. Every digit may be used once.")
def _(counts):
    return counts.argmax(axis=0)


@name_clusters.mistake("The largest count first: is the sum the largest, too?")
def _(counts):
    left, names = counts.astype(float), np.full(counts.shape[1], -1)
    for _ in counts:
        digit, cluster = np.unravel_index(left.argmax(), left.shape)
        names[cluster] = digit
        left[digit], left[:, cluster] = -1, -1
    return names


@name_clusters.mistake("That says which cluster a digit has. Which digit does a cluster have?")
def _(counts):
    return linear_sum_assignment(counts, maximize=True)[1]


@name_clusters.mistake("A cluster that no digit has named is called −1. The name 0 is a digit's.")
def _(counts):
    return _named(counts, without=0)


@name_clusters.mistake("Every digit once: who comes away empty is called −1.")
def _(counts):
    names = _named(counts)
    return np.where(names < 0, counts.argmax(axis=0), names)


@name_clusters.mistake("Name every cluster: the array has a place for each, −1 where no digit is.")
def _(counts):
    return np.array([name for name in _named(counts) if name >= 0])


@name_clusters.mistake("Under your naming as few as possible are right. Who looks for the most?")
def _(counts):
    return _named(counts, maximize=False)


@name_clusters.mistake("Cluster 0 need not be digit 0: k-means numbers its clusters by chance.")
def _(counts):
    return np.arange(counts.shape[1])


CHANCE = "Every row of a class should have the same chance: use rng."
BY_CLASS = "As many of each class, however rare: draw class by class."
TWICE = "A row that was drawn must not be drawn again."
LABELS = "Those are labels, not row numbers."
WITHIN = "Those count within a class: which rows of `labels` are they?"
RNG = "Same seed, other rows: who drew, if not rng?"


@lesson.exercise(
    "What does rng draw from, and how often may it take the same row?",
    hints=(
        "Class by class: where are its rows, and which of them does rng take?",
        "np.flatnonzero(labels == c) are the rows of class c. rng.choice puts back what it took …",
        "rng.choice(rows, per_class, replace=False) for each class, and np.concatenate for all.",
    ),
    shown="With ten labels, a draw without this rule often misses a digit or two.",
)
def fair_draw(labels, per_class, rng):
    rows = [np.flatnonzero(labels == c) for c in np.unique(labels)]
    return np.concatenate([rng.choice(own, per_class, replace=False) for own in rows])


def _fairly_drawn(trial: Trial, labels: Any, per_class: int, seed: int) -> Any:
    """The rows that an answer draws, after all that can be said of one draw."""
    given = trial(labels, per_class, np.random.default_rng(seed)).value
    classes, sizes = np.unique(labels, return_counts=True)
    total = per_class * len(classes)
    try:
        rows = np.asarray(given).ravel()
    except (TypeError, ValueError):
        rows = np.zeros(0)
    if len(rows) != total or rows.dtype.kind not in "iu":
        what = f"{per_class} for each of {len(classes)} classes"
        trial.wrong(f"does not give {total} row numbers.", f"What is asked for: {what}.")
    if rows.min() < 0 or rows.max() >= len(labels):
        trial.wrong("gave rows that there are not.", "Row numbers count from 0 to N − 1.")
    if per_class > 1 and (np.sort(rows) == np.repeat(classes, per_class)).all():
        trial.wrong("gave the classes.", LABELS)
    found = [int((labels[rows] == c).sum()) for c in classes]
    twice = len(set(rows.tolist())) < total
    if twice or max(found) > per_class:
        inside = (rows.reshape(-1, per_class) < sizes[:, None]).all()
        what = "gave a row twice." if twice else f"gave {found} rows of the classes."
        trial.wrong(what, WITHIN if inside else TWICE if twice else BY_CLASS)
    return np.sort(rows)


@fair_draw.judge
def _(trial: Trial) -> None:
    rng, draws = np.random.default_rng(0), 300
    for classes, sizes, per_class in (
        ([0, 1, 2, 7], [8, 20, 40, 5], 4),
        ([3, 5], [6, 9], 1),
        ([0, 1, 4], [3, 10, 7], 3),  # all there are of class 0
    ):
        labels = rng.permutation(np.repeat(classes, sizes))
        taken = np.zeros(len(labels))
        for seed in range(draws):
            rows = _fairly_drawn(trial, labels, per_class, seed)
            if seed < 3 and (rows != _fairly_drawn(trial, labels, per_class, seed)).any():
                trial.wrong("gave other rows when it was called again.", RNG)
            taken[rows] += 1
        share = taken / draws * np.bincount(labels)[labels] / per_class  # about 1 for every row
        if share.max() > 2 or share.min() < 0.3:
            trial.wrong(f"took some rows far more often than others, in {draws} draws.", CHANCE)


@fair_draw.mistake(CHANCE)
def _(labels, per_class, rng):
    return np.concatenate([np.flatnonzero(labels == c)[:per_class] for c in np.unique(labels)])


@fair_draw.mistake(CHANCE)
def _(labels, per_class, rng):
    return fair_draw.answer(labels, per_class, np.random.default_rng(0))


@fair_draw.mistake(RNG)
def _(labels, per_class, rng):
    rows = [np.flatnonzero(labels == c) for c in np.unique(labels)]
    return np.concatenate([np.random.permutation(own)[:per_class] for own in rows])


@fair_draw.mistake(TWICE)
def _(labels, per_class, rng):
    rows = [np.flatnonzero(labels == c) for c in np.unique(labels)]
    return np.concatenate([rng.choice(own, per_class) for own in rows])


@fair_draw.mistake(BY_CLASS)
def _(labels, per_class, rng):
    return rng.choice(len(labels), per_class * len(np.unique(labels)), replace=False)


@fair_draw.mistake(LABELS)
def _(labels, per_class, rng):
    return labels[fair_draw.answer(labels, per_class, rng)]


@fair_draw.mistake(WITHIN)
def _(labels, per_class, rng):
    sizes = np.unique(labels, return_counts=True)[1]
    return np.concatenate([rng.choice(n, per_class, replace=False) for n in sizes])


@fair_draw.mistake("What is asked for: 4 for each of 4 classes.")
def _(labels, per_class, rng):
    return 0


@lesson.exercise(
    "What does each logit's gradient compare, and over how many images is the loss a mean?",
    hints=(
        "Softmax first: probabilities (N, K), each row summing to one.",
        "The gradient with respect to the logits is (probabilities − one-hot labels) / N.",
        "With that as error, W's gradient is codes.T @ error; b's is error, summed over images.",
    ),
    shown="A few hundred of these, with the penalty, are the lesson's linear probe.",
)
def probe_step(codes, labels, W, b, rate):
    logits = codes @ W + b  # (N, K)
    heights = np.exp(logits - logits.max(axis=1, keepdims=True))
    error = heights / heights.sum(axis=1, keepdims=True)  # probabilities
    error[np.arange(len(labels)), labels] -= 1
    return W - rate * codes.T @ error / len(codes), b - rate * error.mean(axis=0)


@probe_step.judge
def _(trial: Trial) -> None:
    rng = np.random.default_rng(0)
    for count, features, classes in ((5, 3, 2), (30, 28, 10), (8, 1, 4), (6, 3, 2)):
        codes, labels = rng.normal(size=(count, features)), rng.permutation(count) % classes
        if count == 6:
            labels[:] = 0  # class 1 does not occur
        W, b, rate = (
            rng.normal(size=(features, classes)),
            rng.normal(size=classes),
            round(rng.uniform(0.5, 2), 2),
        )
        w, c = (torch.tensor(x, requires_grad=True) for x in (W, b))
        loss = cross_entropy(torch.tensor(codes) @ w + c, torch.tensor(labels))
        slopes = torch.autograd.grad(loss, (w, c))
        stepped = tuple(x - rate * slope.numpy() for x, slope in zip((W, b), slopes, strict=True))
        trial(codes, labels, W, b, rate).gives(stepped, "autograd goes to", tolerance=1e-6)


def _step(codes, labels, W, b, rate, found=lambda logits: softmax(logits, axis=1), hot=1.0):
    wanted = hot * np.eye(W.shape[1])[labels]
    error = found(codes @ W + b) - wanted
    return W - rate * codes.T @ error / len(codes), b - rate * error.mean(axis=0)


@probe_step.mistake("Your step is N times too long: is the loss a sum, or a mean?")
def _(codes, labels, W, b, rate):
    return _step(codes, labels, W, b, rate * len(codes))


@probe_step.mistake("W moves rightly; b's step is N times too long.")
def _(codes, labels, W, b, rate):
    return _step(codes, labels, W, b, rate)[0], _step(codes, labels, W, b, rate * len(codes))[1]


@probe_step.mistake("You have walked uphill.")
def _(codes, labels, W, b, rate):
    return _step(codes, labels, W, b, -rate)


@probe_step.mistake("Your probabilities sum to one over the images. Over what should they?")
def _(codes, labels, W, b, rate):
    return _step(codes, labels, W, b, rate, lambda logits: softmax(logits, axis=0))


@probe_step.mistake("Your whole table of probabilities sums to one. Every row of it should.")
def _(codes, labels, W, b, rate):
    return _step(codes, labels, W, b, rate, softmax)


@probe_step.mistake("You have subtracted the labels from logits. What makes them probabilities?")
def _(codes, labels, W, b, rate):
    return _step(codes, labels, W, b, rate, lambda logits: logits)


@probe_step.mistake("W moves rightly, b stands still.")
def _(codes, labels, W, b, rate):
    return _step(codes, labels, W, b, rate)[0], b


@probe_step.mistake("b moves rightly, W stands still.")
def _(codes, labels, W, b, rate):
    return W, _step(codes, labels, W, b, rate)[1]


@probe_step.mistake("W has K columns, whether or not each class occurs.")
def _(codes, labels, W, b, rate):
    error = softmax(codes @ W + b, axis=1) - np.eye(labels.max() + 1)[labels]
    return W - rate * codes.T @ error / len(codes), b - rate * error.mean(axis=0)


@probe_step.mistake("Where do the labels come in? Without them a step cannot know its way.")
def _(codes, labels, W, b, rate):
    return _step(codes, labels, W, b, rate, hot=0.0)


@probe_step.mistake("Nothing has moved.")
def _(codes, labels, W, b, rate):
    return W, b
