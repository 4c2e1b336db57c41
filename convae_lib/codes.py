"""What a code knows: maps of it, how far they can be trusted, and probes. A row an image."""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression
from sklearn.manifold import TSNE, trustworthiness
from sklearn.metrics import adjusted_rand_score, confusion_matrix, normalized_mutual_info_score
from sklearn.model_selection import StratifiedKFold, StratifiedShuffleSplit, cross_val_score
from sklearn.neighbors import KNeighborsClassifier

from ._checks import Array, as_labels, as_table, check_count


def tsne_embedding(
    codes: Array,
    *,
    perplexity: float = 30.0,
    iterations: int = 400,
    init: Literal["pca", "random"] = "pca",
    seed: int = 0,
) -> NDArray[np.float32]:
    """Draw a map (N, 2) of codes (N, features): neighbours in the code stay neighbours.

    Each point tries to keep about ``perplexity`` neighbours, fewer than N, in 250 ``iterations`` or
    more. Axes, distances between clusters and their sizes have no meaning. scikit-learn's t-SNE
    (L. van der Maaten, "Accelerating t-SNE using tree-based algorithms", JMLR 15, 2014) of codes
    centred and divided by their range, with fewer steps, four times the automatic rate, and an
    angle of 1, which sums distant points up more coarsely. First used in lesson 06.
    """
    table = as_table(codes, "codes")
    if iterations < 250 or not 0 < perplexity < len(table):
        got = f"{iterations}, and {perplexity} for {len(table)} codes"
        raise ValueError(f"iterations must be 250 or more, perplexity below N, got {got}")
    spread = np.ptp(table, axis=0).max()
    if spread == 0:
        raise ValueError("codes must differ, got equal ones; did the encoder collapse?")
    table = (table - table.mean(axis=0, dtype=np.float64)) / spread  # else the start may be NaN
    if init == "pca" and table.shape[1] < 2:
        raise ValueError('codes must have 2 features for init="pca", got 1; use init="random"')
    tsne = TSNE(perplexity=perplexity, max_iter=iterations, init=init, random_state=seed, n_jobs=-1)
    tsne.set_params(learning_rate=max(len(table) / 12, 200), angle=1.0)
    return np.asarray(tsne.fit_transform(table.astype(np.float32)))


def embedding_quality(
    codes: Array, embedding: Array, labels: Array, *, neighbors: int = 5, seed: int = 0
) -> dict[str, float]:
    """Measure how far a map, (N, any), of codes (N, features) can be trusted.

    ``trustworthiness`` is 1 if neighbours on the map are neighbours in the code (J. Venna and
    S. Kaski, ICANN 2001); it compares all pairs, so it is taken on 2,000 random rows.
    ``knn_accuracy`` is the share of points that their nearest neighbours on the map name rightly,
    in five-fold cross-validation. First used in lesson 06.
    """
    check_count(neighbors, "neighbors")
    table = as_table(codes, "codes")
    drawn = as_table(embedding, "embedding", rows=len(table))
    classes = as_labels(labels, "labels", rows=len(table))
    rows = np.random.default_rng(seed).permutation(len(table))[:2000]
    if 2 * neighbors >= len(rows):
        raise ValueError(f"neighbors must be less than half of {len(rows)} rows, got {neighbors}")
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    knn = KNeighborsClassifier(neighbors)
    return {
        "trustworthiness": float(trustworthiness(table[rows], drawn[rows], n_neighbors=neighbors)),
        "knn_accuracy": float(cross_val_score(knn, drawn, classes, cv=folds).mean()),
    }


def probe_codes(
    train_codes: Array, train_labels: Array, test_codes: Array, test_labels: Array, *, seed: int = 0
) -> dict[str, float]:
    """Ask simple classifiers what codes (N, features) know about labels (N,).

    All are fitted on the training codes and scored on the test codes. ``"kNN"``: accuracy of the
    five nearest training codes. ``"linear probe"``: of a logistic regression (G. Alain and Y.
    Bengio, ICLR workshop 2017) on codes centred and divided by one number, with the penalty that
    does best on training codes held out. ``"10 labels"``, ``"100 labels"``: the same told only
    these, each class in proportion; the mean of five draws, and under ``"… sd"`` their standard
    deviation; left out where the training set is too small. ``"k-means"``: accuracy of as many
    clusters as classes, named by the best one-to-one matching (H. W. Kuhn, 1955). ``"NMI"``,
    ``"ARI"``: agreement without names (N. X. Vinh, J. Epps and J. Bailey, JMLR 11, 2010); 1 is the
    same partition, an ARI of 0 is chance. First used in lesson 07.
    """
    train, test = as_table(train_codes, "train_codes"), as_table(test_codes, "test_codes")
    if train.shape[1] != test.shape[1]:
        got = f"{train.shape} and {test.shape}; pass codes of one network"
        raise ValueError(f"train_codes and test_codes must have the same features, got {got}")
    names = as_labels(train_labels, "train_labels", rows=len(train))
    truth = as_labels(test_labels, "test_labels", rows=len(test))
    classes, numbers = np.unique(names, return_inverse=True)  # (K,), (N,) in 0…K-1
    if len(classes) < 2 or len(train) < 5 or np.bincount(numbers).min() < 2:
        got = f"{len(classes)} on {len(train)} rows; pass more, or leave rare classes out"
        raise ValueError(f"train_labels must name 2 classes, each twice, on 5 rows, got {got}")

    scores: dict[str, Any] = {"kNN": KNeighborsClassifier(5).fit(train, names).score(test, truth)}
    spread = np.sqrt(train.var(axis=0).mean()) or 1.0  # 0: the encoder collapsed
    scaled, asked = ((table - train.mean(axis=0)) / spread for table in (train, test))

    def accuracy(C: float, rows: Any, codes: Any, right: Any) -> float:
        told = names[rows]
        if (told == told[0]).all():
            return float(np.mean(right == told[0]))
        probe = LogisticRegression(C=C, max_iter=1000, tol=1e-3).fit(scaled[rows], told)
        return float(probe.score(codes, right))

    held, kept = np.split(np.random.default_rng(seed).permutation(len(train)), [len(train) // 5])
    C = max((1, 0.1, 0.01), key=lambda C: accuracy(C, kept, scaled[held], names[held]))
    scores["linear probe"] = accuracy(C, slice(None), asked, truth)
    for count in (10, 100):
        if len(classes) <= count <= len(train) - len(classes):
            draws = StratifiedShuffleSplit(5, train_size=count, random_state=seed)
            accuracies = [accuracy(C, rows, asked, truth) for rows, _ in draws.split(train, names)]
            scores[f"{count} labels"] = np.mean(accuracies)
            scores[f"{count} labels sd"] = np.std(accuracies, ddof=1)

    kmeans = KMeans(len(classes), n_init=10, random_state=seed).fit(train)
    counts = confusion_matrix(numbers, kmeans.labels_)  # of a class (row) in a cluster (column)
    row = linear_sum_assignment(counts.T, maximize=True)[1]  # (K,), of every cluster
    clusters = kmeans.predict(test)
    scores["k-means"] = np.mean(classes[row][clusters] == truth)
    scores["NMI"] = normalized_mutual_info_score(truth, clusters)
    scores["ARI"] = adjusted_rand_score(truth, clusters)
    return {name: float(score) for name, score in scores.items()}
