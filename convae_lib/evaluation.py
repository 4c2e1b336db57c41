"""Measuring an autoencoder: reconstructions, errors, baselines, maps and probes of the code.

Lessons 00 to 08 use every function here.
"""

import numpy as np
import pandas as pd
import torch
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.manifold import TSNE, trustworthiness
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from sklearn.model_selection import StratifiedKFold, StratifiedShuffleSplit, cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler
from torch import nn

from ._checks import check_count, check_not_empty, check_pairs, check_tensor
from ._inference import device_of, inference

_LABEL_COUNTS = (10, 100, 1000)  # what `probe_codes` tells its classifier


def reconstruct(model, images, *, batch_size=250):
    """Run images through an autoencoder, a batch at a time.

    Parameters
    ----------
    model : nn.Module
        Returns ``(reconstruction, code)``, as `Autoencoder` and `pca_baseline` do. Its mode and
        device are left as they are.
    images : torch.Tensor
        (N, 1, 28, 28), in [-1, 1].
    batch_size : int, default 250
        Images at a time; memory holds the activations of one batch only.

    Returns
    -------
    reconstructions : torch.Tensor
        (N, 1, 28, 28), on the CPU.
    codes : torch.Tensor
        (N, hidden_dim), on the CPU.

    Raises
    ------
    ValueError, TypeError
        If the images are none, of another shape or of another type, or ``batch_size < 1``.

    Notes
    -----
    First used in lesson 00.
    """
    check_tensor(images, ("N", 1, 28, 28), "images")
    check_not_empty(images, "images")
    check_count(batch_size, "batch_size")
    device = device_of(model)
    reconstructions = torch.empty(images.shape)
    codes = None
    for start in range(0, len(images), batch_size):
        rows = slice(start, start + batch_size)
        with inference(model):
            reconstruction, code = model(images[rows].to(device))
        if codes is None:
            codes = torch.empty(len(images), *code.shape[1:])
        reconstructions[rows] = reconstruction.cpu()
        codes[rows] = code.cpu()
    return reconstructions, codes


def reconstruction_error(images, reconstructions):
    """Return the mean squared error of each image, over its pixels.

    Parameters
    ----------
    images, reconstructions : torch.Tensor
        (N, 1, 28, 28), on one scale; with pixels in [-1, 1] an error lies in [0, 4].

    Returns
    -------
    torch.Tensor
        (N,); its mean is the test loss that `PyTorchTrainer` prints for ``nn.MSELoss()``.

    Raises
    ------
    ValueError, TypeError
        If either is not a floating-point tensor (N, 1, 28, 28), or they differ in N.

    Notes
    -----
    First used in lesson 00.
    """
    check_tensor(images, ("N", 1, 28, 28), "images")
    check_tensor(reconstructions, ("N", 1, 28, 28), "reconstructions")
    check_pairs(images, reconstructions, "images", "reconstructions")
    return (images - reconstructions).square().mean(dim=(1, 2, 3))  # (N,)


class _LinearAutoencoder(nn.Module):
    """PCA with the interface of a network: ``(reconstruction, code)``."""

    def __init__(self, components, mean):
        super().__init__()
        self.register_buffer("components", components)  # (code_size, 784)
        self.register_buffer("mean", mean)  # (784,)

    def forward(self, x):
        code = (x.flatten(start_dim=1) - self.mean) @ self.components.T  # (N, code_size)
        pixels = code @ self.components + self.mean  # (N, 784)
        return pixels.reshape(x.shape), code  # (N, 1, 28, 28), (N, code_size)


def pca_baseline(train_images, code_size=28):
    """Fit PCA, the best linear autoencoder, and return it as a model.

    Parameters
    ----------
    train_images : torch.Tensor
        (N, 1, 28, 28); PCA is fitted on these.
    code_size : int, default 28
        Components kept, at most 784 and below N.

    Returns
    -------
    nn.Module
        Returns ``(reconstruction, code)``, so that `reconstruct` takes it like any network.
        ``components`` (code_size, 784) has orthonormal rows, ``mean`` (784,) is the mean image.

    Raises
    ------
    ValueError, TypeError
        If the images are of another shape or type, or ``code_size`` is out of range.

    Notes
    -----
    Lesson 00 shows why this is the baseline, and uses it first. No linear autoencoder has a
    smaller squared error on its training images [1]_. Computed by scikit-learn.

    .. [1] P. Baldi and K. Hornik, "Neural networks and principal component analysis: learning
       from examples without local minima", Neural Networks 2 (1989).
    """
    check_tensor(train_images, ("N", 1, 28, 28), "train_images")
    check_not_empty(train_images, "train_images")
    check_count(code_size, "code_size")
    pixels = train_images.detach().cpu().flatten(start_dim=1).numpy()  # (N, 784)
    most = min(len(pixels) - 1, 784)
    if code_size > most:
        raise ValueError(
            f"code_size must be at most {most} here (784, and below the number of images), got "
            f"{code_size}; ask for fewer components or pass more images"
        )
    pca = PCA(code_size, svd_solver="covariance_eigh").fit(pixels)
    return _LinearAutoencoder(
        torch.tensor(pca.components_, dtype=torch.float32),
        torch.tensor(pca.mean_, dtype=torch.float32),
    )


def code_size_sweep(fits, train_images, test_images, code_sizes):
    """Measure test error against the number of numbers in a code.

    Parameters
    ----------
    fits : dict of str to callable
        ``fit(train_images, code_size)`` returns a model with the ``(reconstruction, code)``
        contract, trained on these images; `pca_baseline` is such a function.
    train_images, test_images : torch.Tensor
        (N, 1, 28, 28) each, in [-1, 1].
    code_sizes : sequence of int

    Returns
    -------
    pandas.DataFrame
        One row per code size, the index ``code_size``; one column per fit, its mean squared error
        on the test images.

    Raises
    ------
    ValueError, TypeError
        If there are no fits or no sizes, images are of another shape or type, or a model's code
        has another size than was asked for.

    Notes
    -----
    Used in lesson 08.
    """
    if not fits or not len(code_sizes):
        raise ValueError(
            f"fits and code_sizes must not be empty, got {len(fits)} and {len(code_sizes)}; pass "
            'for instance {"PCA": pca_baseline} and [2, 28]'
        )
    errors = pd.DataFrame(
        index=pd.Index(code_sizes, name="code_size"), columns=[*fits], dtype=float
    )
    for name, fit in fits.items():
        for code_size in code_sizes:
            reconstructions, codes = reconstruct(fit(train_images, code_size), test_images)
            check_tensor(codes, ("N", code_size), f"the code of {name!r}")
            error = reconstruction_error(test_images, reconstructions).mean()
            errors.loc[code_size, name] = error.item()
    return errors


def tsne_embedding(codes, *, perplexity=30.0, iterations=400, init="pca", seed=0):
    """Draw a map of codes with t-SNE: neighbours in the code stay neighbours in the plane.

    Parameters
    ----------
    codes : array-like or torch.Tensor
        (N, features), N above ``perplexity``.
    perplexity : float, default 30
        How many neighbours each point tries to keep near.
    iterations : int, default 400
        Steps of gradient descent, at least 250; on 10,000 codes more hardly helps.
    init : {"pca", "random"}
        Where the points start. PCA keeps more of the large-scale arrangement.
    seed : int, default 0

    Returns
    -------
    numpy.ndarray
        (N, 2). Axes, distances between clusters and their sizes have no units and no meaning.

    Raises
    ------
    ValueError
        If the codes are not a table of finite numbers, or a setting is out of range
        (from scikit-learn).

    Notes
    -----
    Used in lessons 06 and 07. scikit-learn's Barnes-Hut t-SNE [1]_ with fewer steps than by
    default, at four times the automatic learning rate, and an angle of 1: distant points are
    summed up more coarsely. On 10,000 codes it takes about a quarter of the time; trustworthiness
    and kNN accuracy stay within 0.003 of scikit-learn's defaults.

    .. [1] L. van der Maaten, "Accelerating t-SNE using tree-based algorithms", JMLR 15 (2014).
    """
    codes = _as_array(codes).astype(np.float32)
    tsne = TSNE(
        perplexity=perplexity,
        max_iter=iterations,
        learning_rate=max(len(codes) / 12, 200),
        init=init,
        angle=1.0,
        random_state=seed,
        n_jobs=-1,
    )
    return tsne.fit_transform(codes)


def embedding_quality(codes, embedding, labels, *, neighbors=5, sample=2000, seed=0):
    """Measure how far a map can be trusted.

    Parameters
    ----------
    codes : array-like or torch.Tensor
        (N, features): what the map was drawn from.
    embedding : array-like or torch.Tensor
        (N, D): the map, or any other description of the same points.
    labels : array-like or torch.Tensor
        (N,): the class of each point, used for the score only.
    neighbors : int, default 5
        Neighbours that count.
    sample : int, default 2000
        Trustworthiness compares all pairs, so it is taken on a random sample of this size.
    seed : int, default 0

    Returns
    -------
    dict of str to float
        ``trustworthiness`` in [0, 1]: 1 if neighbours on the map are neighbours in the code [1]_;
        ``knn_accuracy`` in [0, 1]: how often the nearest neighbours on the map name the right
        class of a held-out point, in five-fold cross-validation over all N.

    Raises
    ------
    ValueError
        If codes, embedding and labels differ in length, or there are too few points (from
        scikit-learn).

    Notes
    -----
    Used in lesson 06.

    .. [1] J. Venna and S. Kaski, "Neighborhood preservation in nonlinear projection methods: an
       experimental study", ICANN (2001).
    """
    codes, embedding, labels = (_as_array(a) for a in (codes, embedding, labels))
    check_pairs(codes, embedding, "codes", "embedding")
    check_pairs(codes, labels, "codes", "labels")
    rows = np.random.default_rng(seed).permutation(len(codes))[:sample]
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    knn = KNeighborsClassifier(neighbors)
    return {
        "trustworthiness": float(
            trustworthiness(codes[rows], embedding[rows], n_neighbors=neighbors)
        ),
        "knn_accuracy": float(cross_val_score(knn, embedding, labels, cv=folds).mean()),
    }


def probe_codes(train_codes, train_labels, test_codes, test_labels, *, seed=0):
    """Ask simple classifiers what a code knows about the classes.

    Everything is fitted on the training codes and scored on the test codes.

    Parameters
    ----------
    train_codes, test_codes : array-like or torch.Tensor
        (N, features) each: any description of the images, pixels included.
    train_labels, test_labels : array-like or torch.Tensor
        (N,) each: the classes, 2 to 10 of them. The training part must hold at least 1,000
        codes and one more per class.
    seed : int, default 0
        Chooses the few labels, and where k-means starts.

    Returns
    -------
    dict of str to float
        ``"kNN"``: accuracy of the five nearest training codes. ``"linear probe"``: accuracy of a
        logistic regression on standardised codes [1]_. ``"10 labels"``, ``"100 labels"``,
        ``"1000 labels"``: the same classifier told only so many labels, of each class in
        proportion; the mean of ten draws, and under ``"… sd"`` their standard deviation.
        ``"k-means"``: accuracy of as many clusters as there are classes, found without labels,
        each then named so that most training images are named rightly (an optimal one-to-one
        matching [2]_). ``"NMI"`` and ``"ARI"``: how well these clusters agree with the classes,
        without naming them [3]_; 1 is the same partition, an ARI of 0 is chance.

    Raises
    ------
    ValueError
        If codes and labels differ in length, training and test codes in features, or there are
        too few training codes or classes, or too many classes.

    Notes
    -----
    Used in lesson 07.

    .. [1] G. Alain and Y. Bengio, "Understanding intermediate layers using linear classifier
       probes", ICLR workshop (2017).
    .. [2] H. W. Kuhn, "The Hungarian method for the assignment problem", Naval Research
       Logistics Quarterly 2 (1955).
    .. [3] N. X. Vinh, J. Epps and J. Bailey, "Information theoretic measures for clusterings
       comparison", JMLR 11 (2010).
    """
    train_codes, train_labels = _as_array(train_codes), _as_array(train_labels)
    test_codes, test_labels = _as_array(test_codes), _as_array(test_labels)
    check_pairs(train_codes, train_labels, "train_codes", "train_labels")
    check_pairs(test_codes, test_labels, "test_codes", "test_labels")
    if train_codes.ndim != 2 or train_codes.shape[1:] != test_codes.shape[1:]:
        raise ValueError(
            f"train_codes and test_codes must be (N, features) with the same features, got "
            f"{train_codes.shape} and {test_codes.shape}; flatten images with images.flatten(1)"
        )
    classes, train_classes = np.unique(train_labels, return_inverse=True)  # (K,), (N,) in 0…K-1
    if not 2 <= len(classes) <= min(_LABEL_COUNTS):
        raise ValueError(
            f"train_labels must name 2 to {min(_LABEL_COUNTS)} classes, got {len(classes)}; "
            "choose the classes to tell apart"
        )
    if len(train_codes) < max(_LABEL_COUNTS) + len(classes):
        raise ValueError(
            f"train_codes must hold at least {max(_LABEL_COUNTS) + len(classes)} codes, "
            f"got {len(train_codes)}; pass more of the training set"
        )

    knn = KNeighborsClassifier(5).fit(train_codes, train_labels)
    scores = {"kNN": knn.score(test_codes, test_labels)}

    scaler = StandardScaler().fit(train_codes)
    train_scaled, test_scaled = scaler.transform(train_codes), scaler.transform(test_codes)

    def linear_probe(rows):
        classifier = LogisticRegression(max_iter=1000, tol=1e-3)
        classifier.fit(train_scaled[rows], train_labels[rows])
        return classifier.score(test_scaled, test_labels)

    scores["linear probe"] = linear_probe(slice(None))
    for count in _LABEL_COUNTS:
        draws = StratifiedShuffleSplit(10, train_size=count, random_state=seed)
        accuracies = [linear_probe(rows) for rows, _ in draws.split(train_codes, train_labels)]
        scores[f"{count} labels"] = np.mean(accuracies)
        scores[f"{count} labels sd"] = np.std(accuracies, ddof=1)

    kmeans = KMeans(len(classes), n_init=10, random_state=seed).fit(train_codes)
    counts = np.zeros((len(classes), len(classes)), dtype=int)  # of a class (row) in a cluster
    np.add.at(counts, (train_classes, kmeans.labels_), 1)
    row, cluster = linear_sum_assignment(counts, maximize=True)
    names = np.empty_like(classes)
    names[cluster] = classes[row]
    clusters = kmeans.predict(test_codes)
    scores["k-means"] = np.mean(names[clusters] == test_labels)
    scores["NMI"] = normalized_mutual_info_score(test_labels, clusters)
    scores["ARI"] = adjusted_rand_score(test_labels, clusters)
    return {name: float(score) for name, score in scores.items()}


def _as_array(values):
    return values.detach().cpu().numpy() if isinstance(values, torch.Tensor) else np.asarray(values)
