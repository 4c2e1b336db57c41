from itertools import permutations

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.manifold import TSNE, trustworthiness
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from sklearn.model_selection import StratifiedKFold, StratifiedShuffleSplit, cross_val_score
from sklearn.neighbors import KNeighborsClassifier

from convae_lib import embedding_quality, probe_codes, tsne_embedding

quick = {"perplexity": 5, "iterations": 250}


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def blobs(rows=80, classes=4, features=3, spread=0.05):
    """Well separated clusters: points (N, features) and their labels (N,)."""
    labels = np.arange(rows) % classes
    return 10 * normal(classes, features)[labels] + spread * normal(rows, features, seed=1), labels


def parts(codes, labels, train):
    return codes[:train], labels[:train], codes[train:], labels[train:]


@pytest.mark.parametrize(
    ("rows", "settings"), [(100, {}), (2700, {"init": "random", "seed": 3} | quick)]
)
def test_a_map_is_scikit_learns_with_the_settings_of_the_docstring(rows, settings):
    codes = 5 + normal(rows, 3)
    scaled = ((codes - codes.mean(axis=0)) / np.ptp(codes, axis=0).max()).astype(np.float32)
    asked = {"perplexity": 30, "iterations": 400, "init": "pca", "seed": 0} | settings
    oracle = TSNE(2, perplexity=asked["perplexity"], max_iter=asked["iterations"], angle=1)
    oracle.set_params(init=asked["init"], random_state=asked["seed"])
    oracle.set_params(learning_rate=4 * max(rows / 12 / 4, 50))
    embedding = tsne_embedding(codes, **settings)
    assert embedding.shape == (rows, 2) and embedding.dtype == np.float32
    np.testing.assert_allclose(embedding, oracle.fit_transform(scaled), rtol=1e-4, atol=1e-3)


def test_the_same_seed_draws_the_same_map_whatever_the_scale_and_another_seed_another():
    codes = normal(60, 1)
    first = tsne_embedding(codes, **quick, init="random")
    for again in (codes, 2.0**40 * codes, 2.0**-40 * codes):
        assert np.array_equal(first, tsne_embedding(again, **quick, init="random"))
    assert not np.allclose(first, tsne_embedding(codes, **quick, init="random", seed=1))


@pytest.mark.parametrize("init", ["pca", "random"])
@pytest.mark.parametrize(
    "codes",
    [
        1 + 1e-7 * normal(40, 3),
        1e-14 * normal(40, 3),
        1e14 * normal(40, 3),
        np.r_[np.ones((39, 2)), [[1, 1 + 2e-16]]],
        np.repeat([[0.0, 1], [1, 0]], 20, axis=0),
        (normal(40, 3) * 60).clip(-128, 127).astype(np.int8),
        normal(40, 3) > 0,
        normal(40, 3).astype(np.float16),
        normal(40, 3).tolist(),
        torch.randn(40, 3).bfloat16(),
        torch.randn(3, 40, requires_grad=True).T,
    ],
    ids=range(11),
)
def test_codes_of_any_type_and_scale_have_a_map_even_if_they_hardly_differ(codes, init):
    assert np.isfinite(tsne_embedding(codes, **quick, init=init)).all()


@pytest.mark.parametrize(("rows", "settings"), [(300, {}), (2100, {"neighbors": 3, "seed": 2})])
def test_quality_is_scikit_learns_on_the_drawn_rows_and_folds(rows, settings):
    neighbors, seed = settings.get("neighbors", 5), settings.get("seed", 0)
    codes, labels = blobs(rows, features=6, spread=8)
    embedding = codes[:, :2]
    sample = np.random.default_rng(seed).permutation(rows)[:2000]
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    knn = KNeighborsClassifier(neighbors)
    quality = embedding_quality(codes, embedding, labels, **settings)
    assert quality == {
        "trustworthiness": trustworthiness(codes[sample], embedding[sample], n_neighbors=neighbors),
        "knn_accuracy": cross_val_score(knn, embedding, labels, cv=folds).mean(),
    }
    assert all(type(number) is float for number in quality.values())


def test_a_map_that_is_the_code_is_trusted_fully_and_one_that_ignores_it_hardly():
    codes, labels = torch.randn(200, 2, requires_grad=True), np.array(["even", "odd"] * 100)
    assert embedding_quality(codes, codes, labels)["trustworthiness"] == 1
    lost = embedding_quality(codes, normal(200, 2), labels)
    assert [*lost.values()] == pytest.approx([0.5, 0.5], abs=0.1)


@pytest.mark.parametrize(("size", "settings", "seed"), [(1200, {}, 0), (300, {"seed": 4}, 4)])
def test_the_probes_equal_scikit_learns_on_the_digits(size, settings, seed):
    digits = load_digits()
    codes, labels = digits.data @ normal(64, 8) * np.arange(1, 9), digits.target // 2
    train, names, test, truth = parts(codes, labels, size)
    scores = probe_codes(train, names, test, truth, **settings)
    spread = ((train - train.mean(0)) ** 2).mean() ** 0.5
    scaled, scaled_test = (train - train.mean(0)) / spread, (test - train.mean(0)) / spread

    def linear(rows):
        return (best.fit(scaled[rows], names[rows]).predict(scaled_test) == truth).mean()

    held, kept = np.split(np.random.default_rng(seed).permutation(size), [size // 5])
    probes = [LogisticRegression(C=C, max_iter=1000, tol=1e-3) for C in (1, 0.1, 0.01)]
    right = [p.fit(scaled[kept], names[kept]).score(scaled[held], names[held]) for p in probes]
    best = probes[right.index(max(right))]
    nearest = KNeighborsClassifier(5).fit(train, names).predict(test)
    expected = {"kNN": (nearest == truth).mean()}
    expected["linear probe"] = linear(slice(None))
    for count in (10, 100):
        draws = StratifiedShuffleSplit(5, train_size=count, random_state=seed)
        told = [linear(rows) for rows, _ in draws.split(train, names)]
        mean = sum(told) / 5
        expected[f"{count} labels"] = mean
        expected[f"{count} labels sd"] = (sum((one - mean) ** 2 for one in told) / 4) ** 0.5
    kmeans = KMeans(5, n_init=10, random_state=seed).fit(train)
    clusters = kmeans.predict(test)
    expected["NMI"] = normalized_mutual_info_score(truth, clusters)
    expected["ARI"] = adjusted_rand_score(truth, clusters)
    right = [(np.array(order)[kmeans.labels_] == names).sum() for order in permutations(range(5))]
    best = [*permutations(range(5))][np.argmax(right)]  # class of each cluster
    expected["k-means"] = (np.array(best)[clusters] == truth).mean()
    assert scores == pytest.approx(expected, abs=1e-9)
    assert all(type(score) is float for score in scores.values())


@pytest.mark.parametrize("classes", [2, 3, 10, 12, 30])
def test_separated_classes_pass_every_probe_whatever_their_number_and_names(classes):
    codes, labels = blobs(21 * classes, classes, features=12)
    names = np.array([f"class {label}" for label in range(classes)])[labels]
    scores = probe_codes(*parts(codes, names, 11 * classes))
    told = {
        f"{n} labels{e}" for n in (10, 100) if classes <= n <= 10 * classes for e in ("", " sd")
    }
    assert {*scores} == {"kNN", "linear probe", "k-means", "NMI", "ARI"} | told
    for name in {*scores} - told:
        assert scores[name] == pytest.approx(1, abs=0.05), name


def test_only_the_training_part_teaches_and_only_the_test_part_is_scored():
    train_codes, train_labels, test_codes, test_labels = parts(*map(torch.tensor, blobs(200)), 120)
    renamed = (test_labels + 1) % 4
    scores = probe_codes(train_codes, train_labels, test_codes, renamed)
    for name in ("kNN", "linear probe", "10 labels", "k-means"):
        assert scores[name] == 0, name
    assert scores["ARI"] == 1


def test_a_rare_class_may_be_missing_among_the_labels_that_are_told():
    codes, labels = normal(400, 2), (np.arange(400) % 40 == 0).astype(int)
    scores = probe_codes(*parts(codes, labels, 200))
    assert probe_codes(codes[:5], [0, 0, 1, 1, 0], codes, labels)["kNN"] > 0  # the fewest
    assert scores["10 labels"] == 0.975 and scores["10 labels sd"] == pytest.approx(0)


def test_a_collapsed_code_is_named_after_its_largest_class():
    labels = np.array([3, 5, 5, 7] * 20)
    with pytest.warns(ConvergenceWarning, match="distinct clusters"):
        scores = probe_codes(*parts(np.zeros((80, 2)), labels, 40))
    assert scores["k-means"] == 0.5 and scores["ARI"] == 0


codes, labels = blobs(60)


def probe(train=codes, names=labels, test=codes, truth=labels):
    return probe_codes(train, names, test, truth)


def tsne(codes=codes, **settings):
    return tsne_embedding(codes, **settings)


def quality(embedding=codes[:, :2], labels=labels, **settings):
    return embedding_quality(codes, embedding, labels, **settings)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: tsne(np.full((40, 3), 0.7)), "codes must differ, got equal ones"),
        (lambda: tsne(1e-30 * codes), "codes must be finite, 1e-15 to 1e15 .*e-2"),
        (lambda: tsne(1e300 * codes), r"codes must be finite, .*e\+301; look why"),
        (lambda: tsne(codes * np.nan), "codes must be finite, .* got nan"),
        (lambda: tsne(codes[:, 0]), r"codes must be a table .* shape \(60,\); flatten"),
        (lambda: tsne(codes[:0]), r"codes must be a table .* shape \(0, 3\)"),
        (lambda: tsne(codes + 0j), "codes must be a table .* got complex128"),
        (lambda: tsne(codes[:, :1]), 'codes must have 2 features for init="pca", got 1'),
        (lambda: tsne(iterations=249), "iterations must be 250 .* got 249, and 30"),
        (lambda: tsne(perplexity=60), "iter.*perplexity below N, .* 60 for 60"),
        (lambda: tsne(perplexity=0), "iter.*perplexity below N, .* 0 for 60"),
        (lambda: quality(embedding=codes[:5]), "embedding must have 60 rows, .* got 5"),
        (lambda: quality(labels=labels[:, None]), r"labels must have shape \(60,\), .* \(60, 1\)"),
        (lambda: quality(labels=np.where(labels, labels, np.nan)), "labels must name every row"),
        (lambda: quality(neighbors=2.5), "neighbors must be a whole number, got 2.5"),
        (lambda: quality(neighbors=0), "neighbors must be at least 1, got 0"),
        (lambda: quality(neighbors=30), "neighbors must be less than half of 60 rows, got 30"),
        (lambda: probe(truth=labels[:, None]), r"test_labels must have shape \(60,\), .* 1\)"),
        (lambda: probe(names=labels[:9]), r"train_labels must have shape \(60,\), .* \(9,\)"),
        (lambda: probe(test=codes[:, :2]), r"train_.* same features, got \(60, 3\) and \(60, 2\)"),
        (lambda: probe(train=1e30 * codes), "train_codes must be finite"),
        (lambda: probe(test=codes * np.inf), "test_codes must be finite, .* got inf"),
        (lambda: probe(names=0 * labels), "train_labels must name 2 classes, .* got 1 on 60 rows"),
        (lambda: probe(names=np.arange(60) == 0), "train_labels .* each twice, .* got 2 on 60"),
        (lambda: probe(codes[:4], [0, 1, 0, 1]), "train_labels must .* on 5 rows, got 2 on 4 rows"),
    ],
)
def test_wrong_arguments_are_refused_in_the_words_of_the_function(call, message):
    with pytest.raises((TypeError, ValueError), match=f"^{message}"):
        call()
