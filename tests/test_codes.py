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

from convae_lib import embedding_quality, load_pretrained, probe_codes, reconstruct, tsne_embedding


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def make_blobs(n_rows=80, n_classes=4, n_features=3, spread=0.05):
    """Well separated clusters: points (N, features) and their labels (N,)."""
    labels = np.arange(n_rows) % n_classes
    centers = 10 * normal(n_classes, n_features)
    return centers[labels] + spread * normal(n_rows, n_features, seed=1), labels


def split(codes, labels, n_train):
    return codes[:n_train], labels[:n_train], codes[n_train:], labels[n_train:]


def sample(table, n_rows, seed=0):
    return table[np.random.default_rng(seed).permutation(len(table))[:n_rows]]


# t-SNE


@pytest.fixture(scope="module")
def tables(offline_data):
    """Tables to embed: scikit-learn's digits, and the lesson network's codes of MNIST digits."""
    _, z = reconstruct(load_pretrained("lesson"), offline_data.train_images)
    return {"digits": load_digits().data.astype(np.float32), "latents": z.numpy()}


@pytest.mark.parametrize("data", ["digits", "latents"])
@pytest.mark.parametrize("n_rows", [31, 35, 50, 80, 120, 200, 350, 600])
def test_an_embedding_is_as_trustworthy_as_that_of_scikit_learns_defaults(tables, data, n_rows):
    codes = sample(tables[data], n_rows)
    ours = trustworthiness(codes, tsne_embedding(codes), n_neighbors=5)
    theirs = trustworthiness(codes, TSNE(random_state=0).fit_transform(codes), n_neighbors=5)
    assert ours >= theirs - 0.02


def test_a_large_embedding_is_as_trustworthy_as_that_of_scikit_learns_defaults(tables):
    codes = sample(tables["latents"], 2000)
    ours = trustworthiness(codes, tsne_embedding(codes), n_neighbors=5)
    default = TSNE(random_state=0, n_jobs=-1).fit_transform(codes)
    assert ours >= trustworthiness(codes, default, n_neighbors=5) - 0.02


@pytest.mark.parametrize("n_rows", [10, 20, 30])
def test_an_embedding_of_few_rows_is_trustworthy_where_scikit_learns_default_raises(tables, n_rows):
    codes = sample(tables["digits"], n_rows)
    assert trustworthiness(codes, tsne_embedding(codes), n_neighbors=n_rows // 6) > 0.85
    with pytest.raises(ValueError, match="perplexity"):
        TSNE().fit(codes)


@pytest.mark.parametrize("n_rows", [60, 300])
def test_the_fewest_steps_allowed_are_enough(tables, n_rows):
    codes = sample(tables["digits"], n_rows)
    fewest = trustworthiness(codes, tsne_embedding(codes, max_iter=400), n_neighbors=5)
    many = trustworthiness(codes, tsne_embedding(codes, max_iter=1000), n_neighbors=5)
    assert fewest >= many - 0.02


@pytest.mark.parametrize(
    ("n_rows", "documented"),
    [
        (40, {"perplexity": 20, "learning_rate": 10, "max_iter": 1000, "angle": 0.5}),
        (300, {"perplexity": 30, "learning_rate": 50, "max_iter": 1000, "angle": 0.5}),
        (1200, {"perplexity": 30, "learning_rate": 100, "max_iter": 400, "angle": 1}),
    ],
    ids=["few rows", "hundreds of rows", "many rows"],
)
def test_an_embedding_is_scikit_learns_with_the_documented_settings(n_rows, documented):
    codes = 5 + normal(n_rows, 3)
    scaled = ((codes - codes.mean(axis=0)) / np.ptp(codes, axis=0).max()).astype(np.float32)
    oracle = TSNE(init="pca", random_state=0, **documented)
    embedding = tsne_embedding(codes)
    assert embedding.shape == (n_rows, 2)
    assert embedding.dtype == np.float32
    np.testing.assert_allclose(embedding, oracle.fit_transform(scaled), rtol=1e-4, atol=1e-3)


def test_arguments_are_passed_on_to_scikit_learn():
    codes = normal(50, 3)
    scaled = ((codes - codes.mean(axis=0)) / np.ptp(codes, axis=0).max()).astype(np.float32)
    oracle = TSNE(perplexity=5, max_iter=450, init="random", random_state=3, learning_rate=12.5)
    embedding = tsne_embedding(codes, perplexity=5, max_iter=450, init="random", seed=3)
    np.testing.assert_allclose(embedding, oracle.fit_transform(scaled), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("scale", [1, 2.0**40, 2.0**-40], ids=["as is", "large", "small"])
def test_an_embedding_depends_on_the_seed_but_not_on_the_scale(scale):
    codes = normal(60, 1)
    first = tsne_embedding(codes, max_iter=400, init="random")
    again = tsne_embedding(scale * codes, max_iter=400, init="random")
    other_seed = tsne_embedding(scale * codes, max_iter=400, init="random", seed=1)
    assert np.array_equal(first, again)
    assert not np.allclose(first, other_seed)


UNUSUAL_CODES = {
    "nearly equal": 1 + 1e-7 * normal(40, 3),
    "tiny": 1e-14 * normal(40, 3),
    "huge": 1e14 * normal(40, 3),
    "one differs in the last bit": np.r_[np.ones((39, 2)), [[1, 1 + 2e-16]]],
    "only two values": np.repeat([[0.0, 1], [1, 0]], 20, axis=0),
    "int8": (normal(40, 3) * 60).clip(-128, 127).astype(np.int8),
    "bool": normal(40, 3) > 0,
    "float16": normal(40, 3).astype(np.float16),
    "nested lists": normal(40, 3).tolist(),
    "bfloat16": torch.randn(40, 3).bfloat16(),
    "with gradients": torch.randn(3, 40, requires_grad=True).T,
    "two rows": normal(2, 3),
}


@pytest.mark.parametrize("init", ["pca", "random"])
@pytest.mark.parametrize("codes", UNUSUAL_CODES.values(), ids=UNUSUAL_CODES)
def test_codes_of_any_type_and_scale_have_a_finite_embedding(codes, init):
    assert np.isfinite(tsne_embedding(codes, max_iter=400, init=init)).all()


# Quality of an embedding


@pytest.mark.parametrize(
    ("n_rows", "n_neighbors", "seed"), [(300, 5, 0), (2100, 3, 2)], ids=["all rows", "sampled rows"]
)
def test_quality_is_scikit_learns_on_the_documented_rows_and_folds(n_rows, n_neighbors, seed):
    codes, labels = make_blobs(n_rows, n_features=6, spread=8)
    embedding = codes[:, :2]
    rows = np.random.default_rng(seed).permutation(n_rows)[:2000]
    trust = trustworthiness(codes[rows], embedding[rows], n_neighbors=n_neighbors)
    knn = KNeighborsClassifier(n_neighbors)
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    accuracy = cross_val_score(knn, embedding, labels, cv=folds).mean()
    quality = embedding_quality(codes, embedding, labels, n_neighbors=n_neighbors, seed=seed)
    assert quality == {"trustworthiness": trust, "knn_accuracy": accuracy}
    assert all(type(number) is float for number in quality.values())


def test_quality_looks_at_five_neighbors_by_default():
    codes, labels = make_blobs(100, n_features=6, spread=8)
    by_default = embedding_quality(codes, codes[:, :2], labels)
    assert by_default == embedding_quality(codes, codes[:, :2], labels, n_neighbors=5, seed=0)


def test_an_embedding_that_equals_the_codes_is_perfect_and_a_random_one_is_at_chance():
    codes = torch.randn(200, 2, requires_grad=True)
    labels = np.array(["even", "odd"] * 100)
    assert embedding_quality(codes, codes, labels)["trustworthiness"] == 1
    chance = embedding_quality(codes, normal(200, 2), labels)
    assert chance["trustworthiness"] == pytest.approx(0.5, abs=0.1)
    assert chance["knn_accuracy"] == pytest.approx(0.5, abs=0.1)


# Probes


@pytest.fixture
def digit_codes():
    digits = load_digits()
    return digits.data @ normal(64, 8) * np.arange(1, 9), digits.target // 2


@pytest.mark.parametrize(("n_train", "seed"), [(1200, 0), (300, 4)])
def test_the_supervised_probes_equal_scikit_learns(digit_codes, n_train, seed):
    train, y_train, test, y_test = split(*digit_codes, n_train)
    scale = ((train - train.mean(0)) ** 2).mean() ** 0.5
    X_train = (train - train.mean(0)) / scale
    X_test = (test - train.mean(0)) / scale

    order = np.random.default_rng(seed).permutation(n_train)
    held_out, fitted = np.split(order, [n_train // 5])
    probes = [LogisticRegression(C=C, max_iter=1000, tol=1e-3) for C in (1, 0.1, 0.01)]
    accuracies = []
    for probe in probes:
        probe.fit(X_train[fitted], y_train[fitted])
        accuracies.append(probe.score(X_train[held_out], y_train[held_out]))
    best = probes[accuracies.index(max(accuracies))]

    knn = KNeighborsClassifier(5).fit(train, y_train)
    expected = {"kNN": knn.score(test, y_test)}
    expected["linear probe"] = best.fit(X_train, y_train).score(X_test, y_test)
    for n_labels in (10, 100):
        samples = StratifiedShuffleSplit(5, train_size=n_labels, random_state=seed)
        accuracies = []
        for rows, _ in samples.split(train, y_train):
            best.fit(X_train[rows], y_train[rows])
            accuracies.append(best.score(X_test, y_test))
        mean = sum(accuracies) / 5
        variance = sum((accuracy - mean) ** 2 for accuracy in accuracies) / 4
        expected[f"{n_labels} labels"] = mean
        expected[f"{n_labels} labels sd"] = variance**0.5

    scores = probe_codes(train, y_train, test, y_test, seed=seed)
    assert {name: scores[name] for name in expected} == pytest.approx(expected, abs=1e-9)
    assert all(type(score) is float for score in scores.values())


@pytest.mark.parametrize(("n_train", "seed"), [(1200, 0), (300, 4)])
def test_the_cluster_scores_equal_scikit_learns_and_a_search_of_all_assignments(
    digit_codes, n_train, seed
):
    train, y_train, test, y_test = split(*digit_codes, n_train)
    kmeans = KMeans(5, n_init=10, random_state=seed).fit(train)
    clusters = kmeans.predict(test)

    def train_hits(assignment):
        return (np.array(assignment)[kmeans.labels_] == y_train).sum()

    assignment = max(permutations(range(5)), key=train_hits)
    scores = probe_codes(train, y_train, test, y_test, seed=seed)
    assert scores["k-means"] == pytest.approx((np.array(assignment)[clusters] == y_test).mean())
    assert scores["NMI"] == pytest.approx(normalized_mutual_info_score(y_test, clusters))
    assert scores["ARI"] == pytest.approx(adjusted_rand_score(y_test, clusters))


ALWAYS = {"kNN", "linear probe", "k-means", "NMI", "ARI"}
WITH_10 = {"10 labels", "10 labels sd"}
WITH_100 = {"100 labels", "100 labels sd"}


@pytest.mark.parametrize(
    ("n_classes", "few_labels"),
    [(2, WITH_10), (3, WITH_10), (10, WITH_10 | WITH_100), (12, WITH_100), (30, WITH_100)],
)
def test_separated_classes_score_1_whatever_their_number_and_names(n_classes, few_labels):
    codes, labels = make_blobs(21 * n_classes, n_classes, n_features=12)
    names = np.array([f"class {label}" for label in range(n_classes)])[labels]
    scores = probe_codes(*split(codes, names, 11 * n_classes))
    assert set(scores) == ALWAYS | few_labels
    for name in sorted(ALWAYS):
        assert scores[name] == pytest.approx(1, abs=0.05), name


def test_only_the_training_codes_are_fitted_and_only_the_test_codes_are_scored():
    codes, labels = make_blobs(200)
    train, y_train, test, y_test = split(torch.tensor(codes), torch.tensor(labels), 120)
    scores = probe_codes(train, y_train, test, (y_test + 1) % 4)
    accuracies = [scores[name] for name in ("kNN", "linear probe", "10 labels", "k-means")]
    assert accuracies == [0, 0, 0, 0]
    assert scores["ARI"] == 1


def test_a_rare_class_may_be_missing_among_ten_labels():
    codes, labels = normal(400, 2), (np.arange(400) % 40 == 0).astype(int)
    scores = probe_codes(*split(codes, labels, 200))
    assert scores["10 labels"] == 0.975
    assert scores["10 labels sd"] == pytest.approx(0)


def test_the_smallest_training_set_allowed_is_enough():
    codes, labels = normal(400, 2), np.arange(400) % 2
    assert probe_codes(codes[:5], [0, 0, 1, 1, 0], codes, labels)["kNN"] > 0


def test_of_collapsed_codes_every_cluster_is_the_largest_class():
    labels = np.array([3, 5, 5, 7] * 20)
    with pytest.warns(ConvergenceWarning, match="distinct clusters"):
        scores = probe_codes(*split(np.zeros((80, 2)), labels, 40))
    assert scores["k-means"] == 0.5
    assert scores["ARI"] == 0


# Wrong arguments

CODES, LABELS = make_blobs(60)


def with_missing(value):
    labels = LABELS.astype(object)
    labels[[2, 7]] = value
    return labels


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        (np.full((40, 3), 0.7), "codes must differ, got equal rows; did the encoder collapse"),
        (CODES[:1], "codes must differ, got equal rows"),
        (1e-30 * CODES, "codes must lie between 1e-15 and 1e15 in size, got .*e-29; divide"),
        (1e300 * CODES, r"codes must lie between 1e-15 and 1e15 in size, got .*e\+301; divide"),
        (CODES * np.nan, "codes must be finite, got nan; a training that diverged"),
        (np.where(CODES > 0, CODES, -np.inf), "codes must be finite, got inf"),
        (CODES[:, 0], r"codes must be a table .* got float64 of shape \(60,\); flatten"),
        (CODES[:0], r"codes must be a table .* got float64 of shape \(0, 3\)"),
        (CODES + 0j, "codes must be a table .* of real numbers, got complex128"),
        (CODES[:, :1], 'codes must have 2 features for init="pca", got 1; use init="random"'),
    ],
    ids=[
        "equal rows",
        "one row",
        "too small",
        "too large",
        "NaN",
        "infinite",
        "no table",
        "no rows",
        "complex",
        "one feature",
    ],
)
def test_codes_without_an_embedding_are_refused(codes, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        tsne_embedding(codes)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"max_iter": 250}, ValueError, "max_iter must be at least 400, got 250; the first 250"),
        ({"max_iter": 399}, ValueError, "max_iter must be at least 400, got 399"),
        ({"max_iter": 1e3}, TypeError, "max_iter must be a whole number, got 1000.0"),
        ({"perplexity": 60}, ValueError, "perplexity must lie above 0 and below .* 60 for 60 rows"),
        ({"perplexity": 0}, ValueError, "perplexity must lie above 0 .* got 0 for 60 rows"),
        ({"perplexity": np.nan}, ValueError, "perplexity must lie above 0 .* got nan for 60 rows"),
    ],
    ids=str,
)
def test_settings_of_t_sne_that_cannot_work_are_refused(settings, error, message):
    with pytest.raises(error, match=f"^{message}"):
        tsne_embedding(CODES, **settings)


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"embedding": CODES[:5]}, ValueError, "embedding must have 60 rows, .* got 5"),
        ({"labels": LABELS[:, None]}, ValueError, r"labels must have shape \(60,\), .* \(60, 1\)"),
        ({"labels": with_missing(np.nan)}, ValueError, "labels must hold a label for .* nan in 2"),
        ({"labels": with_missing(None)}, ValueError, "labels must hold a label for .* None in 2"),
        ({"n_neighbors": 2.5}, TypeError, "n_neighbors must be a whole number, got 2.5"),
        ({"n_neighbors": 0}, ValueError, "n_neighbors must be at least 1, got 0"),
        ({"n_neighbors": 30}, ValueError, "n_neighbors must be less than half of 60 rows, got 30"),
    ],
    ids=[
        "rows of the embedding",
        "labels in a column",
        "labels that are NaN",
        "labels that are None",
        "n_neighbors not whole",
        "no neighbors",
        "too many neighbors",
    ],
)
def test_wrong_arguments_of_embedding_quality_are_refused(changed, error, message):
    arguments = {"codes": CODES, "embedding": CODES[:, :2], "labels": LABELS} | changed
    with pytest.raises(error, match=f"^{message}"):
        embedding_quality(**arguments)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"test_labels": LABELS[:, None]}, r"test_labels must have shape \(60,\), .* \(60, 1\)"),
        ({"train_labels": LABELS[:9]}, r"train_labels must have shape \(60,\), .* \(9,\)"),
        ({"test_codes": CODES[:, :2]}, r"train_.* same features, got \(60, 3\) and \(60, 2\)"),
        ({"train_codes": 1e30 * CODES}, "train_codes must lie between 1e-15 and 1e15"),
        ({"test_codes": CODES * np.inf}, "test_codes must be finite, got inf"),
        ({"train_labels": 0 * LABELS}, "train_labels must name 2 classes, .* got 1 on 60 rows"),
        ({"train_labels": np.arange(60) == 0}, "train_labels .* each twice, .* got 2 on 60 rows"),
        (
            {"train_codes": CODES[:4], "train_labels": [0, 1, 0, 1]},
            "train_labels must .* on 5 rows, got 2 on 4 rows",
        ),
    ],
    ids=[
        "test labels in a column",
        "too few labels",
        "other features",
        "too large",
        "infinite",
        "one class",
        "a class of one row",
        "four rows",
    ],
)
def test_wrong_arguments_of_probe_codes_are_refused(changed, message):
    arguments = {"train_codes": CODES, "train_labels": LABELS}
    arguments |= {"test_codes": CODES, "test_labels": LABELS}
    with pytest.raises(ValueError, match=f"^{message}"):
        probe_codes(**arguments | changed)
