"""Study latent vectors: t-SNE embeddings, how far to trust them, and probes.

Each row of a table of latent vectors ("codes") describes one image. The functions import
scikit-learn when they are called, because that takes about a second.
"""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ._checks import Array, as_labels, as_table, check_count

MIN_STEPS = 400  # t-SNE: 250 of early exaggeration, and 150 that minimize the divergence
FAST_FROM = 500  # t-SNE: from so many rows on, fewer steps and coarser sums
MAX_TRUST_ROWS = 2000  # trustworthiness compares all pairs of so many rows at most


def tsne_embedding(
    codes: Array,
    *,
    perplexity: float | None = None,
    max_iter: int | None = None,
    init: Literal["pca", "random"] = "pca",
    seed: int = 0,
) -> NDArray[np.float32]:
    """Embed latent vectors in the plane with t-SNE, so that neighbors stay neighbors.

    The axes of the embedding have no meaning. Distances between clusters and sizes of clusters have
    little.

    Parameters
    ----------
    codes : Tensor or array
        Latent vectors (N, features), of at least two rows that differ.
    perplexity : float, optional
        About how many neighbors each point keeps, above 0 and below N. By default 30, or half of
        N if there are fewer than 60 rows.
    max_iter : int, optional
        Number of gradient steps, at least 400. The first 250 are scikit-learn's early exaggeration,
        which gathers the points but does not yet minimize the divergence. By default 1,000 for
        fewer than 500 rows, and 400 from there on.
    init : {"pca", "random"}
        Where the points start: at the first two principal components, which keeps some of the
        arrangement of the data, or at random places.
    seed : int
        Seed of the random numbers.

    Returns
    -------
    array of float32
        Points (N, 2).

    Raises
    ------
    TypeError
        If ``max_iter`` is not an integer.
    ValueError
        If ``codes`` is not a table of finite numbers, all rows are equal, ``perplexity`` or
        ``max_iter`` is out of range, or there is one feature only and ``init`` is ``"pca"``.

    Notes
    -----
    scikit-learn's t-SNE, of codes that are centered and divided by their largest range. The
    learning rate is scikit-learn's automatic one, 50, from 200 to 600 rows; N / 4 below, because 50
    is too large for a few rows; and N / 12 above. From 500 rows on, 400 steps take the place of
    1,000, and the angle of the Barnes-Hut approximation is 1 instead of 0.5, which sums distant
    points more coarsely.

    These settings were compared with scikit-learn's defaults on scikit-learn's digits, MNIST
    pixels, PCA and network latents, and Gaussian clusters, by trustworthiness with five neighbors.
    From 120 to 10,000 rows, it was lower by at most 0.015 in any run, and by at most 0.01 on
    average. From 35 to 80 rows, it was lower by at most 0.01 on average and 0.03 in a single run;
    two runs of scikit-learn that differ in rounding only differ by up to 0.05 there. With their
    perplexity of 30, scikit-learn's defaults need 31 rows, and often fail below 35. From 500 rows
    on, the KL divergence is 5 % to 20 % larger than with scikit-learn's defaults. In return, the
    embedding takes about half of the time at 1,000 rows, and a third or less from 2,000 rows on.
    First used in lesson 06.

    References
    ----------
    L. van der Maaten, "Accelerating t-SNE using tree-based algorithms", JMLR 15, 2014.
    A. Belkina et al., "Automated optimized parameters for t-distributed stochastic neighbor
    embedding improve visualization and analysis of large datasets", Nature Communications 10, 2019.

    Examples
    --------
    >>> codes = np.random.default_rng(0).normal(size=(40, 28))
    >>> tsne_embedding(codes).shape
    (40, 2)
    """
    from sklearn.manifold import TSNE

    table = as_table(codes, "codes")
    n_rows, n_features = table.shape
    spread = np.ptp(table, axis=0).max()
    if spread == 0:
        raise ValueError("codes must differ, got equal rows; did the encoder collapse?")
    if init == "pca" and n_features < 2:
        raise ValueError('codes must have 2 features for init="pca", got 1; use init="random"')
    if perplexity is None:
        perplexity = min(30.0, n_rows / 2)
    if not 0 < perplexity < n_rows:
        got = f"{perplexity} for {n_rows} rows; leave it out for a default that fits"
        raise ValueError(f"perplexity must lie above 0 and below the number of rows, got {got}")
    is_large = n_rows >= FAST_FROM
    if max_iter is None:
        max_iter = 400 if is_large else 1000
    check_count(max_iter, "max_iter")
    if max_iter < MIN_STEPS:
        got = f"{max_iter}; the first 250 steps are early exaggeration, and the rest must converge"
        raise ValueError(f"max_iter must be at least {MIN_STEPS}, got {got}")

    tsne = TSNE(
        perplexity=perplexity,
        max_iter=max_iter,
        learning_rate=max(n_rows / 12, min(n_rows / 4, 50)),
        angle=1.0 if is_large else 0.5,
        init=init,
        random_state=seed,
        n_jobs=-1,
    )
    # t-SNE does not depend on position and scale. In single precision, values near 0 lose least.
    centered = table - table.mean(axis=0, dtype=np.float64)
    scaled = (centered / spread).astype(np.float32)
    return np.asarray(tsne.fit_transform(scaled))


def embedding_quality(
    codes: Array, embedding: Array, labels: Array, *, n_neighbors: int = 5, seed: int = 0
) -> dict[str, float]:
    """Measure how far an embedding of latent vectors can be trusted.

    Parameters
    ----------
    codes : Tensor or array
        Latent vectors (N, features).
    embedding : Tensor or array
        Their embedding (N, any number of features), for example (N, 2).
    labels : Tensor or array
        Labels (N,), numbers or strings, at least five of each class.
    n_neighbors : int
        Number of nearest neighbors that both measures look at, less than half of the rows.
    seed : int
        Seed of the sampled rows and of the folds.

    Returns
    -------
    dict of str to float
        ``"trustworthiness"`` is 1 if the neighbors of each point in the embedding are its neighbors
        among the latent vectors, and near 0.5 if the embedding is random. It compares all pairs of
        rows, so it is taken on 2,000 random rows if there are more. ``"knn_accuracy"`` is the
        accuracy with which the nearest neighbors in the embedding predict a point's label, the
        mean of five-fold cross-validation.

    Raises
    ------
    TypeError
        If ``n_neighbors`` is not an integer.
    ValueError
        If the tables are not finite, their rows or the labels do not match, or ``n_neighbors`` is
        out of range.

    Notes
    -----
    Trustworthiness is defined in J. Venna and S. Kaski, "Neighborhood preservation in nonlinear
    projection methods: an experimental study", ICANN 2001. First used in lesson 06.

    Examples
    --------
    >>> codes = np.random.default_rng(0).normal(size=(100, 2))
    >>> labels = (codes[:, 0] > 0).astype(int)
    >>> quality = embedding_quality(codes, 3 * codes, labels)
    >>> quality["trustworthiness"], quality["knn_accuracy"] > 0.8
    (1.0, True)
    """
    from sklearn.manifold import trustworthiness
    from sklearn.model_selection import StratifiedKFold, cross_val_score
    from sklearn.neighbors import KNeighborsClassifier

    check_count(n_neighbors, "n_neighbors")
    table = as_table(codes, "codes")
    points = as_table(embedding, "embedding", rows=len(table))
    classes = as_labels(labels, "labels", rows=len(table))
    sample = np.random.default_rng(seed).permutation(len(table))[:MAX_TRUST_ROWS]
    if 2 * n_neighbors >= len(sample):
        got = f"{n_neighbors}; pass a smaller number"
        raise ValueError(f"n_neighbors must be less than half of {len(sample)} rows, got {got}")
    trust = trustworthiness(table[sample], points[sample], n_neighbors=n_neighbors)
    knn = KNeighborsClassifier(n_neighbors)
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    accuracies = cross_val_score(knn, points, classes, cv=folds)
    return {"trustworthiness": float(trust), "knn_accuracy": float(accuracies.mean())}


def probe_codes(
    train_codes: Array, train_labels: Array, test_codes: Array, test_labels: Array, *, seed: int = 0
) -> dict[str, float]:
    """Measure which class information latent vectors hold, with simple classifiers and k-means.

    All are fitted to the training codes and evaluated on the test codes.

    Parameters
    ----------
    train_codes, test_codes : Tensor or array
        Latent vectors (N, features) of training and test images, of one encoder.
    train_labels, test_labels : Tensor or array
        Their labels (N,), numbers or strings. The training set needs at least two classes, two
        rows of each, and five rows.
    seed : int
        Seed of the held-out rows, of the sampled labels, and of k-means.

    Returns
    -------
    dict of str to float
        * ``"kNN"``: test accuracy of the five nearest training codes.
        * ``"linear probe"``: test accuracy of a logistic regression. The codes are centered and
          divided by one number. The inverse L2 regularization strength, 1, 0.1 or 0.01, is the one
          with the highest accuracy on a held-out fifth of the training codes.
        * ``"10 labels"``, ``"100 labels"``: the same with only so many training labels, each class
          in proportion: the mean over five random samples. ``"10 labels sd"`` and
          ``"100 labels sd"`` are the standard deviations. Left out if there are more classes than
          labels, or too few rows.
        * ``"k-means"``: test accuracy of as many clusters as classes, after the best one-to-one
          assignment of clusters to classes on the training codes.
        * ``"NMI"``, ``"ARI"``: normalized mutual information and adjusted Rand index of clusters
          and classes on the test codes. They need no assignment; 1 is the same partition, and an
          ARI near 0 is chance.

    Raises
    ------
    ValueError
        If the tables are not finite, their features differ, the labels do not match their rows, or
        the training set is too small.

    Notes
    -----
    Linear probes: G. Alain and Y. Bengio, "Understanding intermediate layers using linear
    classifier probes", ICLR workshop 2017. Assignment: H. W. Kuhn, "The Hungarian method for the
    assignment problem", 1955. NMI and ARI: N. X. Vinh, J. Epps and J. Bailey, "Information
    theoretic measures for clusterings comparison", JMLR 11, 2010. First used in lesson 07.

    Examples
    --------
    >>> labels = np.arange(60) % 2
    >>> codes = labels[:, None] + np.random.default_rng(0).normal(scale=0.1, size=(60, 3))
    >>> scores = probe_codes(codes[:40], labels[:40], codes[40:], labels[40:])
    >>> scores["linear probe"], scores["k-means"]
    (1.0, 1.0)
    """
    from sklearn.neighbors import KNeighborsClassifier

    train = as_table(train_codes, "train_codes")
    test = as_table(test_codes, "test_codes")
    if train.shape[1] != test.shape[1]:
        got = f"{train.shape} and {test.shape}; pass codes of one network"
        raise ValueError(f"train_codes and test_codes must have the same features, got {got}")
    y_train = as_labels(train_labels, "train_labels", rows=len(train))
    y_test = as_labels(test_labels, "test_labels", rows=len(test))
    classes, class_sizes = np.unique(y_train, return_counts=True)
    if len(classes) < 2 or len(train) < 5 or class_sizes.min() < 2:
        got = f"{len(classes)} on {len(train)} rows; pass more, or leave rare classes out"
        raise ValueError(f"train_labels must name 2 classes, each twice, on 5 rows, got {got}")

    knn = KNeighborsClassifier(5).fit(train, y_train)
    scores = {"kNN": float(knn.score(test, y_test))}
    scores |= _linear_scores(train, y_train, test, y_test, seed)
    scores |= _cluster_scores(train, y_train, test, y_test, seed)
    return scores


def _linear_scores(
    train: NDArray[Any], y_train: NDArray[Any], test: NDArray[Any], y_test: NDArray[Any], seed: int
) -> dict[str, float]:
    """Return the accuracies of linear probes with all labels, with 10 and with 100."""
    from sklearn.model_selection import StratifiedShuffleSplit

    center = train.mean(axis=0)  # (features,)
    scale = np.sqrt(train.var(axis=0).mean())
    if scale == 0:  # the encoder collapsed
        scale = 1.0
    X_train = (train - center) / scale
    X_test = (test - center) / scale

    order = np.random.default_rng(seed).permutation(len(train))
    n_held_out = len(train) // 5
    held_out, fitted = order[:n_held_out], order[n_held_out:]
    best_C, best_accuracy = 0.0, -1.0
    for C in (1, 0.1, 0.01):
        accuracy = _probe_accuracy(
            C, X_train[fitted], y_train[fitted], X_train[held_out], y_train[held_out]
        )
        if accuracy > best_accuracy:
            best_C, best_accuracy = C, accuracy

    scores = {"linear probe": _probe_accuracy(best_C, X_train, y_train, X_test, y_test)}
    n_classes = len(np.unique(y_train))
    for n_labels in (10, 100):
        if not n_classes <= n_labels <= len(train) - n_classes:
            continue  # a stratified sample needs every class, and leaves every class
        samples = StratifiedShuffleSplit(5, train_size=n_labels, random_state=seed)
        accuracies = [
            _probe_accuracy(best_C, X_train[rows], y_train[rows], X_test, y_test)
            for rows, _ in samples.split(train, y_train)
        ]
        scores[f"{n_labels} labels"] = float(np.mean(accuracies))
        scores[f"{n_labels} labels sd"] = float(np.std(accuracies, ddof=1))
    return scores


def _probe_accuracy(
    C: float,
    X_train: NDArray[Any],
    y_train: NDArray[Any],
    X_test: NDArray[Any],
    y_test: NDArray[Any],
) -> float:
    """Return the test accuracy of a logistic regression, or of the only class if there is one."""
    from sklearn.linear_model import LogisticRegression

    if (y_train == y_train[0]).all():
        return float(np.mean(y_test == y_train[0]))
    probe = LogisticRegression(C=C, max_iter=1000, tol=1e-3).fit(X_train, y_train)
    return float(probe.score(X_test, y_test))


def _cluster_scores(
    train: NDArray[Any], y_train: NDArray[Any], test: NDArray[Any], y_test: NDArray[Any], seed: int
) -> dict[str, float]:
    """Return how well the clusters of k-means agree with the classes."""
    from scipy.optimize import linear_sum_assignment
    from sklearn.cluster import KMeans
    from sklearn.metrics import adjusted_rand_score, confusion_matrix, normalized_mutual_info_score

    classes, class_indices = np.unique(y_train, return_inverse=True)  # (K,), (N,) in 0 … K - 1
    kmeans = KMeans(len(classes), n_init=10, random_state=seed).fit(train)
    counts = confusion_matrix(class_indices, kmeans.labels_)  # rows of class i in cluster j
    _, class_of_cluster = linear_sum_assignment(counts.T, maximize=True)  # (K,)
    clusters = kmeans.predict(test)  # (N,)
    predictions = classes[class_of_cluster][clusters]
    return {
        "k-means": float(np.mean(predictions == y_test)),
        "NMI": float(normalized_mutual_info_score(y_test, clusters)),
        "ARI": float(adjusted_rand_score(y_test, clusters)),
    }
