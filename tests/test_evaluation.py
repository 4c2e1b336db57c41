import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from torch import nn

from convae_lib import (
    Autoencoder,
    embedding_quality,
    load_pretrained,
    pca_baseline,
    probe_codes,
    reconstruct,
    reconstruction_error,
    tsne_embedding,
)


class Halving(nn.Module):
    """An autoencoder of arithmetic: half the image, and the sums of its halves as a code."""

    def __init__(self):
        super().__init__()
        self.dropout = nn.Dropout(0.5)
        self.batches = []

    def forward(self, x):
        self.batches.append((len(x), self.training, torch.is_grad_enabled()))
        return self.dropout(x / 2), x.flatten(1).unflatten(1, (2, -1)).sum(dim=2)


def random_images(rows):
    return torch.rand(rows, 1, 28, 28) * 2 - 1


# ---- reconstruct


def test_reconstructions_and_codes_are_what_the_model_returns():
    model = Autoencoder(5).eval()
    images = random_images(7)
    reconstructions, codes = reconstruct(model, images, batch_size=3)
    expected = model(images)
    torch.testing.assert_close(
        (reconstructions, codes), (expected[0].detach(), expected[1].detach())
    )


@given(rows=st.integers(1, 8), batch_size=st.integers(1, 9))
def test_the_batch_size_changes_nothing_but_the_batches(rows, batch_size):
    model = Halving()
    images = random_images(rows)
    reconstructions, codes = reconstruct(model, images, batch_size=batch_size)
    assert torch.equal(reconstructions, images / 2)
    torch.testing.assert_close(codes, images.reshape(rows, 2, -1).sum(dim=2))
    sizes = [size for size, _, _ in model.batches]
    assert max(sizes) <= batch_size and sum(sizes) == rows


def test_the_model_runs_in_evaluation_mode_and_gets_every_mode_back():
    model = nn.Sequential(Halving())
    model[0].dropout.eval()
    reconstruct(model, random_images(2))
    assert model[0].batches == [(2, False, False)]
    assert [module.training for module in model.modules()] == [True, True, False]


def test_modes_are_given_back_also_after_an_error():
    class Failing(nn.Module):
        def forward(self, x):
            raise RuntimeError("broken")

    model = Failing()
    with pytest.raises(RuntimeError, match="broken"):
        reconstruct(model, random_images(2))
    assert model.training and torch.is_grad_enabled()


def test_the_results_can_be_used_in_autograd():
    reconstructions, codes = reconstruct(Autoencoder(2), random_images(3))
    assert not reconstructions.requires_grad and not codes.requires_grad
    assert not reconstructions.is_inference() and not codes.is_inference()
    layer = nn.Linear(2, 1)
    layer(codes).sum().backward()
    torch.testing.assert_close(layer.weight.grad[0], codes.sum(dim=0))


def test_the_images_are_left_as_they_were_and_may_be_channels_last():
    images = torch.randn(3, 28, 28)
    permuted = images.unsqueeze(3).permute(0, 3, 1, 2)
    before = images.clone()
    model = Autoencoder(4)
    torch.testing.assert_close(
        reconstruct(model, permuted), reconstruct(model, images.unsqueeze(1))
    )
    assert torch.equal(images, before)


MEMORY = """
import torch
from convae_lib import Autoencoder, reconstruct

def status(field):
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith(field)) * 1024

model, images = Autoencoder(28), torch.rand(10_000, 1, 28, 28)
reconstruct(model, images[:1])  # what the first call allocates for good is not counted
before = status("VmRSS")
result = reconstruct(model, images)
size = sum(tensor.numel() * tensor.element_size() for tensor in result)
print(int((status("VmHWM") - before - size) / 1e6))
"""


def test_ten_thousand_images_add_at_most_300_mb_over_the_result():
    status = Path("/proc/self/status")
    if not status.exists() or "VmHWM" not in status.read_text():
        pytest.skip("the peak memory of a process is read from Linux's /proc")
    run = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert int(run.stdout) <= 300


@pytest.mark.parametrize(
    ("images", "batch_size", "error", "message"),
    [
        (
            torch.zeros(0, 1, 28, 28),
            5,
            ValueError,
            "images must hold at least one example, got none",
        ),
        (torch.zeros(2, 28, 28), 5, ValueError, r"\(N, 1, 28, 28\), got \(2, 28, 28\); reshape it"),
        (torch.zeros(2, 3, 28, 28), 5, ValueError, r"\(N, 1, 28, 28\), got \(2, 3, 28, 28\)"),
        (torch.zeros(2, 1, 28, 28).byte(), 5, TypeError, "floating-point numbers, got torch.uint8"),
        (np.zeros((2, 1, 28, 28)), 5, TypeError, "must be a torch.Tensor, got ndarray; convert"),
        (torch.zeros(2, 1, 28, 28), 0, ValueError, "batch_size must be at least 1, got 0"),
        (torch.zeros(2, 1, 28, 28), 2.5, TypeError, "batch_size must be a whole number, got 2.5"),
    ],
)
def test_reconstruct_refuses_wrong_arguments(images, batch_size, error, message):
    with pytest.raises(error, match=message):
        reconstruct(Autoencoder(2), images, batch_size=batch_size)


# ---- reconstruction_error


def test_the_error_of_each_image_is_its_mean_over_pixels():
    images, others = random_images(4), random_images(4)
    expected = [
        nn.functional.mse_loss(one, other) for one, other in zip(images, others, strict=True)
    ]
    errors = reconstruction_error(images, others)
    assert errors.shape == (4,)
    torch.testing.assert_close(errors, torch.stack(expected))


def test_the_extremes_of_the_error_are_0_and_4():
    white, black = torch.ones(1, 1, 28, 28), -torch.ones(1, 1, 28, 28)
    assert reconstruction_error(white, white).item() == 0
    assert reconstruction_error(white, black).item() == 4


@pytest.mark.parametrize(
    ("images", "others", "error", "message"),
    [
        (
            torch.zeros(2, 1, 28, 28),
            torch.zeros(1, 1, 28, 28),
            ValueError,
            "images and reconstructions must have one row each .* got 2 and 1",
        ),
        (
            torch.zeros(2, 784),
            torch.zeros(2, 1, 28, 28),
            ValueError,
            r"^images must have shape \(N, 1, 28, 28\), got \(2, 784\)",
        ),
        (
            torch.zeros(2, 1, 28, 28),
            torch.zeros(2, 28, 28),
            ValueError,
            r"^reconstructions must have shape \(N, 1, 28, 28\), got \(2, 28, 28\)",
        ),
        (
            torch.zeros(2, 1, 28, 28).byte(),
            torch.zeros(2, 1, 28, 28),
            TypeError,
            "^images must hold floating-point numbers, got torch.uint8",
        ),
    ],
)
def test_the_error_of_images_that_do_not_match_is_refused(images, others, error, message):
    with pytest.raises(error, match=message):
        reconstruction_error(images, others)


# ---- pca_baseline


@pytest.mark.parametrize("code_size", [1, 28])
def test_the_pca_baseline_equals_a_full_singular_value_decomposition(embedded, code_size):
    train, test = embedded.train_images[:300], embedded.test_images[:50]
    oracle = PCA(code_size, svd_solver="full").fit(train.flatten(1).double().numpy())
    codes = oracle.transform(test.flatten(1).double().numpy())
    expected = torch.tensor(oracle.inverse_transform(codes), dtype=torch.float32)
    reconstructions, codes = reconstruct(pca_baseline(train, code_size), test)
    torch.testing.assert_close(reconstructions, expected.reshape_as(test), rtol=0, atol=1e-3)
    assert codes.shape == (50, code_size)


def test_the_components_are_orthonormal_around_the_mean_image(embedded):
    train = embedded.train_images[:300]
    model = pca_baseline(train)
    assert model.components.shape == (28, 784)
    torch.testing.assert_close(
        model.components @ model.components.T, torch.eye(28), rtol=0, atol=1e-5
    )
    torch.testing.assert_close(model.mean, train.mean(dim=0).flatten(), rtol=0, atol=1e-5)


def test_more_components_never_do_worse_on_the_training_images(embedded):
    train = embedded.train_images[:200]
    errors = []
    for code_size in (1, 16):
        reconstructions, _ = reconstruct(pca_baseline(train, code_size), train)
        errors.append(reconstruction_error(train, reconstructions).mean().item())
    assert errors == sorted(errors, reverse=True)
    assert errors[0] < (train - train.mean(dim=0)).square().mean().item()


def test_one_component_less_than_images_restores_them_all(embedded):
    train = embedded.train_images[:20]
    channels_last = train[:, 0].unsqueeze(3).permute(0, 3, 1, 2)
    reconstructions, _ = reconstruct(pca_baseline(channels_last, 19), train)
    torch.testing.assert_close(reconstructions, train, rtol=0, atol=1e-3)


@pytest.mark.parametrize(
    ("images", "code_size", "error", "message"),
    [
        (torch.zeros(9, 1, 28, 28), 10, ValueError, "code_size must be at most 8 .* got 10; ask"),
        (torch.zeros(800, 1, 28, 28), 785, ValueError, "code_size must be at most 784 .* got 785"),
        (torch.zeros(9, 1, 28, 28), 0, ValueError, "code_size must be at least 1, got 0"),
        (torch.zeros(9, 1, 28, 28), 0.9, TypeError, "code_size must be a whole number, got 0.9"),
        (
            torch.zeros(0, 1, 28, 28),
            1,
            ValueError,
            "train_images must hold at least one|code_size must be at most 0",
        ),
        (torch.zeros(9, 784), 2, ValueError, r"train_images must have shape \(N, 1, 28, 28\), got"),
        (torch.zeros(9, 1, 28, 28).byte(), 2, TypeError, "train_images must hold floating-point"),
    ],
)
def test_the_pca_baseline_refuses_wrong_arguments(images, code_size, error, message):
    with pytest.raises(error, match=message):
        pca_baseline(images, code_size)


# ---- code_size_sweep


def test_a_sweep_fits_each_model_at_each_size_and_measures_it(embedded):
    train, test = embedded.train_images[:200], embedded.test_images[:50]
    asked = []

    def fit(images, code_size):
        asked.append((images, code_size))
        return pca_baseline(images[:100], code_size)

    sweep = code_size_sweep({"half": fit, "PCA": pca_baseline}, train, test, [3, 1, 7])
    assert [code_size for _, code_size in asked] == [3, 1, 7]
    assert all(images is train for images, _ in asked)
    assert sweep.index.name == "code_size" and [*sweep.index] == [3, 1, 7]
    for name, fitted_on in (("half", train[:100]), ("PCA", train)):
        for code_size in (3, 1, 7):
            by_pca, _ = reconstruct(pca_baseline(fitted_on, code_size), test)
            expected = (test - by_pca).square().mean().item()
            assert sweep.loc[code_size, name] == pytest.approx(expected, rel=1e-5)


def test_a_sweep_refuses_a_model_whose_code_has_another_size(embedded):
    images = embedded.train_images[:50]
    with pytest.raises(ValueError, match=r"the code of 'stubborn' .*\(N, 3\).*\(50, 5\)"):
        code_size_sweep({"stubborn": lambda x, size: pca_baseline(x, 5)}, images, images, [3])


@pytest.mark.parametrize(("fits", "sizes"), [({}, [2]), ({"PCA": pca_baseline}, [])])
def test_a_sweep_over_nothing_is_refused(embedded, fits, sizes):
    images = embedded.train_images[:50]
    with pytest.raises(ValueError, match=r"fits and code_sizes must not be empty, got"):
        code_size_sweep(fits, images, images, sizes)


# ---- tsne_embedding


def blobs(per_class=25, classes=4, features=6, spread=0.05):
    """Well separated clusters: points (N, features) and their labels (N,)."""
    generator = np.random.default_rng(0)
    centres = generator.normal(size=(classes, features)) * 10
    labels = np.arange(classes * per_class) % classes
    return centres[labels] + generator.normal(size=(len(labels), features)) * spread, labels


def test_a_map_has_two_finite_numbers_for_each_code_and_keeps_clusters_apart():
    codes, labels = blobs()
    embedding = tsne_embedding(torch.tensor(codes), perplexity=10, iterations=300)
    assert isinstance(embedding, np.ndarray)
    assert embedding.shape == (100, 2)
    assert np.isfinite(embedding).all()
    assert embedding_quality(codes, embedding, labels)["knn_accuracy"] > 0.95


@pytest.mark.parametrize("init", ["pca", "random"])
def test_the_same_seed_draws_the_same_map(init):
    codes, _ = blobs(per_class=10)
    settings = {"perplexity": 8, "iterations": 250, "init": init}
    first = tsne_embedding(codes, **settings, seed=1)
    assert np.array_equal(first, tsne_embedding(codes, **settings, seed=1))
    if init == "random":
        assert not np.allclose(first, tsne_embedding(codes, **settings, seed=2))


def test_every_setting_of_the_map_counts():
    codes, _ = blobs(per_class=10)
    plain = {"perplexity": 8, "iterations": 250}
    first = tsne_embedding(codes, **plain)
    for other in ({"perplexity": 3}, {"iterations": 300}, {"init": "random"}):
        assert not np.allclose(first, tsne_embedding(codes, **(plain | other)))


@pytest.mark.parametrize(
    ("codes", "settings", "message"),
    [
        (np.zeros((5, 3)), {}, "perplexity"),
        (np.zeros((50, 3)), {"iterations": 100}, "max_iter"),
        (np.zeros((50, 3)), {"init": "umap"}, "init"),
        (np.zeros(50), {}, "2D array"),
        (np.full((50, 3), np.nan), {}, "NaN"),
    ],
)
def test_a_map_of_wrong_codes_or_settings_is_refused(codes, settings, message):
    with pytest.raises(ValueError, match=message):
        tsne_embedding(codes, **settings)


# ---- embedding_quality


def test_a_map_that_is_the_code_is_trusted_fully():
    codes = np.random.default_rng(0).normal(size=(100, 2))
    labels = np.arange(100) % 2
    assert embedding_quality(codes, codes, labels)["trustworthiness"] == 1


def test_separate_clusters_are_told_apart_and_shuffled_labels_are_not():
    codes, labels = blobs(per_class=50, features=2)
    quality = embedding_quality(codes, codes, labels)
    assert quality == {"trustworthiness": 1.0, "knn_accuracy": 1.0}
    assert all(type(number) is float for number in quality.values())
    shuffled = np.random.default_rng(1).permutation(labels)
    assert embedding_quality(codes, codes, shuffled)["knn_accuracy"] == pytest.approx(
        0.25, abs=0.12
    )


def test_a_map_that_ignores_the_code_is_hardly_trusted():
    generator = np.random.default_rng(0)
    codes, embedding = generator.normal(size=(200, 8)), generator.normal(size=(200, 2))
    quality = embedding_quality(codes, embedding, np.arange(200) % 2)
    assert quality["trustworthiness"] == pytest.approx(0.5, abs=0.1)


def test_a_map_that_folds_neighbours_together_is_trusted_less_than_one_that_unfolds_them():
    line = np.arange(100.0)[:, None]
    folded = abs(line - 50)
    labels = np.arange(100) % 2
    assert embedding_quality(line, folded, labels)["trustworthiness"] < 0.85
    assert embedding_quality(folded, line, labels)["trustworthiness"] > 0.95


def test_trustworthiness_looks_at_codes_and_accuracy_at_the_map():
    codes, labels = blobs(per_class=20, features=2)
    lost = np.random.default_rng(0).normal(size=codes.shape)
    lost_map, lost_code = (
        embedding_quality(*pair, labels)["knn_accuracy"] for pair in ((codes, lost), (lost, codes))
    )
    assert lost_map < 0.6 and lost_code == 1


def test_trustworthiness_is_taken_on_a_sample_which_the_seed_chooses():
    generator = np.random.default_rng(0)
    codes, embedding = generator.normal(size=(300, 4)), generator.normal(size=(300, 2))
    labels = np.arange(300) % 3

    def trust(**settings):
        return embedding_quality(codes, embedding, labels, **settings)["trustworthiness"]

    assert trust(sample=300) == pytest.approx(trust(sample=10_000))
    assert trust(sample=50, seed=1) == trust(sample=50, seed=1)
    assert trust(sample=50, seed=1) != trust(sample=50, seed=2)
    assert trust(sample=50, neighbors=3) != trust(sample=50, neighbors=10)


def test_no_matrix_of_all_pairs_is_built(monkeypatch):
    sizes = []

    def trustworthiness(X, embedding, **settings):
        sizes.append((len(X), len(embedding)))
        return 1.0

    monkeypatch.setattr("convae_lib.evaluation.trustworthiness", trustworthiness)
    codes = torch.randn(2500, 3)
    embedding_quality(codes, codes[:, :2], torch.arange(2500) % 2)
    assert sizes == [(2000, 2000)]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ((10, 9, 10), "codes and embedding must have one row each per example, got 10 and 9; pass"),
        ((10, 10, 11), "codes and labels must have one row each per example, got 10 and 11; pass"),
        ((0, 0, 0), "codes must hold at least one example, got none"),
    ],
)
def test_the_quality_of_things_that_do_not_match_is_refused(rows, message):
    codes, embedding, labels = rows
    with pytest.raises(ValueError, match=message):
        embedding_quality(np.zeros((codes, 3)), np.zeros((embedding, 2)), np.zeros(labels))


def test_the_code_of_the_pretrained_network_knows_the_digits(embedded):
    _, codes = reconstruct(load_pretrained("lesson"), embedded.test_images[:400])
    quality = embedding_quality(codes, codes, embedded.test_labels[:400])
    assert quality["trustworthiness"] == 1
    assert quality["knn_accuracy"] > 0.75


# ---- probe_codes


def parts(codes, labels, train):
    return codes[:train], labels[:train], codes[train:], labels[train:]


def test_codes_that_tell_the_classes_apart_pass_every_probe():
    codes, labels = blobs(per_class=200, classes=8)
    order = np.random.default_rng(0).permutation(len(codes))
    scores = probe_codes(*parts(codes[order], labels[order], train=1200))
    for name in ("kNN", "linear probe", "10 labels", "100 labels", "1000 labels", "k-means"):
        assert scores[name] == pytest.approx(1, abs=0.01), name
    assert scores["NMI"] == pytest.approx(1) and scores["ARI"] == pytest.approx(1)
    assert all(type(score) is float for score in scores.values())


def test_codes_that_know_nothing_score_at_chance():
    generator = np.random.default_rng(0)
    codes, labels = generator.normal(size=(3000, 4)), np.arange(3000) % 10
    scores = probe_codes(*parts(codes, labels, train=1500))
    for name in ("kNN", "linear probe", "10 labels", "100 labels", "1000 labels", "k-means"):
        assert scores[name] == pytest.approx(0.1, abs=0.04), name
    assert scores["ARI"] == pytest.approx(0, abs=0.02) and scores["NMI"] < 0.03


def test_only_the_training_part_teaches_and_only_the_test_part_is_scored():
    codes, labels = blobs(per_class=400, features=3)
    order = np.random.default_rng(0).permutation(len(codes))
    train_codes, train_labels, test_codes, test_labels = parts(
        codes[order], labels[order], train=1200
    )
    renamed = (test_labels + 1) % 4
    scores = probe_codes(train_codes, train_labels, test_codes, renamed)
    for name in ("kNN", "linear probe", "10 labels", "k-means"):
        assert scores[name] == pytest.approx(0, abs=0.01), name
    assert scores["ARI"] == pytest.approx(1)


def test_classes_on_a_ring_are_known_to_neighbours_but_not_to_a_line():
    generator = np.random.default_rng(0)
    angle = generator.uniform(0, 2 * np.pi, 3000)
    labels = np.arange(3000) % 2
    codes = ((1 + labels) * np.stack([np.cos(angle), np.sin(angle)])).T
    scores = probe_codes(*parts(codes, labels, train=1500))
    assert scores["kNN"] == 1 and scores["linear probe"] < 0.6 and scores["k-means"] < 0.6


def test_the_few_labels_are_drawn_by_the_seed_and_their_spread_is_told():
    generator = np.random.default_rng(0)
    labels = np.arange(3000) % 10
    codes = generator.normal(size=(3000, 5)) + labels[:, None]
    first, again, other = (
        probe_codes(*parts(codes, labels, train=1500), seed=seed) for seed in (1, 1, 2)
    )
    assert first == again
    assert first["10 labels"] != other["10 labels"]
    assert first["10 labels sd"] > first["1000 labels sd"] > 0


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (((1200, 3), 1100, (50, 3), 50), "train_codes and train_labels must have one row each"),
        (((1200, 3), 1200, (50, 3), 60), "test_codes and test_labels must have one row each"),
        (((1200, 3), 1200, (50, 4), 50), r"same features, got \(1200, 3\) and \(50, 4\); flatten"),
        (((1200, 1, 3), 1200, (50, 1, 3), 50), r"must be \(N, features\)"),
        (((1009, 3), 1009, (50, 3), 50), "must hold at least 1010 codes, got 1009; pass more"),
    ],
)
def test_probes_refuse_codes_and_labels_that_do_not_fit(shapes, message):
    train, train_labels, test, test_labels = shapes
    with pytest.raises(ValueError, match=message):
        probe_codes(
            np.zeros(train), np.arange(train_labels) % 10, np.zeros(test), np.zeros(test_labels)
        )


def test_the_smallest_training_part_is_enough():
    codes, labels = blobs(per_class=110, classes=10)
    order = np.random.default_rng(0).permutation(len(codes))
    scores = probe_codes(*parts(codes[order], labels[order], train=1010))
    assert scores["1000 labels"] == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("classes", [1, 11])
def test_probes_refuse_too_few_and_too_many_classes(classes):
    labels = np.arange(1300) % classes
    with pytest.raises(ValueError, match=f"must name 2 to 10 classes, got {classes}; choose"):
        probe_codes(*parts(np.zeros((1300, 2)), labels, train=1200))


def test_a_collapsed_code_is_named_after_its_largest_class():
    labels = np.array([3, 5, 5, 7] * 400)
    with pytest.warns(ConvergenceWarning, match="distinct clusters"):
        scores = probe_codes(*parts(np.zeros((1600, 2)), labels, train=1200))
    assert scores["k-means"] == 0.5 and scores["ARI"] == 0
