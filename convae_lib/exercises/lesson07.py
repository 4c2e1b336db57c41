"""Exercises of lesson 07: what a fair probe is made of."""

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch.nn.functional import cross_entropy

from ._exercise import Lesson, Trial

lesson = Lesson("07")
progress = lesson.progress


@lesson.exercise(
    "Which images may settle the mean and the scale, and how many numbers is the scale?",
    hints=(
        "Mean (features,) and spread, one number, are measured on the training codes alone.",
        "train.var(axis=0).mean() is the mean variance. Divided by what will codes have one of 1?",
        "spread = np.sqrt(train.var(axis=0).mean()); then (codes - train.mean(axis=0)) / spread.",
    ),
    shown="The test codes stay test codes, and no direction of the code has changed.",
)
def one_scale(train, test):
    mean, spread = train.mean(axis=0), np.sqrt(train.var(axis=0).mean())
    return (train - mean) / spread, (test - mean) / spread


@one_scale.judge
def _(trial: Trial) -> None:
    rng = np.random.default_rng(0)
    for count, features in ((40, 5), (7, 1), (200, 28)):
        sizes = rng.uniform(0.5, 9, size=features)
        train, test = (rng.normal(3, sizes, size=(n, features)) for n in (count, 10))
        far = train - sum(train) / count
        length = (sum((row**2).mean() for row in far) / count) ** 0.5
        expected = (far / length, (test - sum(train) / count) / length)
        trial(train, test).gives(expected, "measured on the training codes alone, it is")


@one_scale.mistake("Your test codes have settled their own mean. May a test image do that?")
def _(train, test):
    return tuple((x - x.mean(axis=0)) / np.sqrt(x.var(axis=0).mean()) for x in (train, test))


@one_scale.mistake("You have measured training and test codes together.")
def _(train, test):
    both = np.concatenate([train, test])
    spread = np.sqrt(both.var(axis=0).mean())
    return (train - both.mean(axis=0)) / spread, (test - both.mean(axis=0)) / spread


@one_scale.mistake("Every feature has its own scale here: a border pixel becomes as loud as any.")
def _(train, test):
    return tuple((x - train.mean(axis=0)) / train.std(axis=0) for x in (train, test))


@one_scale.mistake("A variance is a squared size. What should codes be divided by?")
def _(train, test):
    variance = train.var(axis=0).mean()
    return (train - train.mean(axis=0)) / variance, (test - train.mean(axis=0)) / variance


@one_scale.mistake("The scale is in order. Where is the middle of the codes?")
def _(train, test):
    spread = np.sqrt(train.var(axis=0).mean())
    return train / spread, test / spread


@one_scale.mistake("Nothing has changed yet.")
def _(train, test):
    return train, test


@lesson.exercise(
    "Every digit names one cluster: under which naming are most images right?",
    hints=(
        "If two clusters want one name, the sum decides. All namings compete as a whole.",
        "linear_sum_assignment(counts, maximize=True) pairs rows with columns; rows are digits.",
        "digit, cluster = linear_sum_assignment(…); names = np.empty_like(digit); names[…] = …",
    ),
    shown="Without the rule of one name each, more clusters would always look better.",
)
def name_clusters(counts):
    digit, cluster = linear_sum_assignment(counts, maximize=True)
    names = np.empty_like(digit)
    names[cluster] = digit
    return names


@name_clusters.judge
def _(trial: Trial) -> None:
    rng = np.random.default_rng(0)
    tempting = np.array([[3, 4, 50], [90, 80, 1], [85, 10, 2]])  # greed takes the 90 and gets a 10
    tables = [tempting, *(rng.integers(0, 10_000, size=(k, k)) for k in (2, 4, 7, 10))]
    for counts in tables:
        names = linear_sum_assignment(counts.T, maximize=True)[1]
        trial(counts).gives(names, "most images are right under")


@name_clusters.mistake("Two of your clusters have one name. Every digit may be used once.")
def _(counts):
    return counts.argmax(axis=0)


@name_clusters.mistake("The largest count first: is the sum the largest, too?")
def _(counts):
    left, names = counts.astype(float), np.zeros(len(counts), dtype=int)
    for _ in counts:
        digit, cluster = np.unravel_index(left.argmax(), left.shape)
        names[cluster] = digit
        left[digit], left[:, cluster] = -1, -1
    return names


@name_clusters.mistake("That says which cluster a digit has. Which digit does a cluster have?")
def _(counts):
    return linear_sum_assignment(counts, maximize=True)[1]


@name_clusters.mistake("Under your naming as few as possible are right. Who looks for the most?")
def _(counts):
    return linear_sum_assignment(counts.T)[1]


@name_clusters.mistake("Cluster 0 need not be digit 0: k-means numbers its clusters by chance.")
def _(counts):
    return np.arange(len(counts))


@lesson.exercise(
    "What does rng draw from, and how often may it take the same row?",
    hints=(
        "Class by class: where are its rows, and which of them does rng take?",
        "np.flatnonzero(labels == c) are the rows of class c. rng.choice puts back what it took …",
        "np.concatenate([rng.choice(rows, per_class, replace=False) for rows in …])",
    ),
    shown="With ten labels, a draw without this rule often misses a digit or two.",
)
def fair_draw(labels, per_class, rng):
    rows = [np.flatnonzero(labels == c) for c in np.unique(labels)]
    return np.concatenate([rng.choice(own, per_class, replace=False) for own in rows])


@fair_draw.judge
def _(trial: Trial) -> None:
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.repeat([0, 1, 2, 7], [8, 20, 40, 5]))
    taken = np.zeros(len(labels))
    for seed in range(200):
        rows = trial(labels, 4, np.random.default_rng(seed)).value
        if np.shape(rows) != (16,) or np.asarray(rows).dtype.kind not in "iu":
            what = "does not give 16 row numbers."
            trial.wrong(what, "What is asked for: row numbers, 4 for each of 4 classes.")
        if np.min(rows) < 0 or np.max(rows) >= len(labels):
            trial.wrong("gave rows that there are not.", "Row numbers count from 0 to N − 1.")
        if len(set(np.asarray(rows).tolist())) < 16:
            trial.wrong("gave a row twice.", "A row that was drawn must not be drawn again.")
        if (found := np.bincount(labels[rows], minlength=8)).max() > 4:
            what = f"gave {found[[0, 1, 2, 7]].tolist()} rows of the four classes."
            trial.wrong(what, "As many of each class, however rare: draw class by class.")
        taken[rows] += 1
    share = taken / 200 * np.bincount(labels)[labels] / 4  # about 1 for every row
    if share.max() > 2 or share.min() < 0.3:
        what = "took some rows far more often than others, in 200 draws."
        trial.wrong(what, "Every row of a class should have the same chance: use rng.")


@fair_draw.mistake("Every row of a class should have the same chance: use rng.")
def _(labels, per_class, rng):
    return np.concatenate([np.flatnonzero(labels == c)[:per_class] for c in np.unique(labels)])


@fair_draw.mistake("A row that was drawn must not be drawn again.")
def _(labels, per_class, rng):
    rows = [np.flatnonzero(labels == c) for c in np.unique(labels)]
    return np.concatenate([rng.choice(own, per_class) for own in rows])


@fair_draw.mistake("As many of each class, however rare: draw class by class.")
def _(labels, per_class, rng):
    return rng.choice(len(labels), per_class * len(np.unique(labels)), replace=False)


@fair_draw.mistake("What is asked for: row numbers, 4 for each of 4 classes.")
def _(labels, per_class, rng):
    return 0


@fair_draw.mistake("Every row of a class should have the same chance: use rng.")
def _(labels, per_class, rng):
    return fair_draw.answer(labels, per_class, np.random.default_rng(0))


@lesson.exercise(
    "What does each logit's gradient compare, and over how many images is the loss a mean?",
    hints=(
        "Softmax first: probabilities (N, K), each row summing to one.",
        "The gradient of the loss by the logits is (probabilities − one-hot labels) / N.",
        "With error = that matrix: W - rate * codes.T @ error, and b - rate * error.sum(axis=0).",
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
    for count, features, classes in ((5, 3, 2), (30, 28, 10), (8, 1, 4)):
        codes, labels = rng.normal(size=(count, features)), rng.integers(0, classes, size=count)
        W, b, rate = (
            rng.normal(size=(features, classes)),
            rng.normal(size=classes),
            rng.uniform(0.5, 2),
        )
        w, c = (torch.tensor(x, requires_grad=True) for x in (W, b))
        loss = cross_entropy(torch.tensor(codes) @ w + c, torch.tensor(labels))
        slopes = torch.autograd.grad(loss, (w, c))
        stepped = tuple(x - rate * slope.numpy() for x, slope in zip((W, b), slopes, strict=True))
        trial(codes, labels, W, b, rate).gives(stepped, "autograd goes to", tolerance=1e-6)


def _step(codes, labels, W, b, rate, axis=1, hot=1.0):
    error = torch.softmax(torch.tensor(codes @ W + b), dim=axis).numpy()
    error[np.arange(len(labels)), labels] -= hot
    return W - rate * codes.T @ error / len(codes), b - rate * error.mean(axis=0)


@probe_step.mistake("Your step is N times too long: is the loss a sum, or a mean?")
def _(codes, labels, W, b, rate):
    return _step(codes, labels, W, b, rate * len(codes))


@probe_step.mistake("You have walked uphill.")
def _(codes, labels, W, b, rate):
    return _step(codes, labels, W, b, -rate)


@probe_step.mistake("Your probabilities sum to one over the images. Over what should they?")
def _(codes, labels, W, b, rate):
    return _step(codes, labels, W, b, rate, axis=0)


@probe_step.mistake("W moves rightly, b stands still.")
def _(codes, labels, W, b, rate):
    return _step(codes, labels, W, b, rate)[0], b


@probe_step.mistake("Where do the labels come in? Without them a step cannot know its way.")
def _(codes, labels, W, b, rate):
    return _step(codes, labels, W, b, rate, hot=0.0)


@probe_step.mistake("Nothing has moved.")
def _(codes, labels, W, b, rate):
    return W, b
