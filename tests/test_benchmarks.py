"""The benchmarks behind the stored results, and the results themselves."""

import ast
import math
import os
import re

import ablation
import anomalies
import bench
import denoising
import generation
import import_time
import numpy as np
import overhead
import pandas as pd
import pytest
import recipes
import single_processor
import speed_evaluation
import speed_training
import speed_tsne
import torch
from scipy.spatial.distance import pdist
from sklearn.manifold import TSNE
from sklearn.mixture import GaussianMixture
from torch import nn
from torch.nn.functional import gelu

from convae_lib import (
    Autoencoder,
    ResidualAutoencoder,
    VariationalAutoencoder,
    elbo_terms,
    mean_error,
    reconstruct,
)

STORED = {name: pd.read_csv(bench.RESULTS / f"{name}.csv") for name in bench.PARTS}
PAIRED = bench.HERE.parent / "notebooks" / "paired"


@pytest.fixture(scope="module")
def tiny(offline_data):
    images, labels = offline_data.train_images, offline_data.train_labels
    return bench.Images(
        images[:150],
        images[150:170],
        offline_data.test_images[:60],
        labels[:150],
        labels[150:170],
        offline_data.test_labels[:60],
    )


# Recipes and ablation study


@pytest.mark.parametrize("name", ablation.RECIPES)
def test_every_network_returns_a_reconstruction_and_a_latent_vector(name):
    network = ablation.RECIPES[name]["network"]()
    recon, latents = network(torch.zeros(3, 1, 28, 28))
    assert recon.shape == (3, 1, 28, 28)
    assert latents.shape == (3, 28)
    assert recon.abs().max() <= 1


@pytest.mark.parametrize("name", ablation.RECIPES)
def test_every_network_has_the_stored_number_of_parameters(name):
    network = ablation.RECIPES[name]["network"]()
    stored = STORED["ablation"].query("name == @name")["parameters"]
    assert set(stored) == {sum(parameter.numel() for parameter in network.parameters())}


def test_the_parameters_of_pca_are_its_components_and_its_mean(tiny):
    row = ablation.measure_ablation(tiny, "baseline", "PCA-28", 0)
    assert row["parameters"] == 28 * 784 + 784


def test_a_recipe_holds_the_changes_of_all_rows_above_it():
    changes = {"first": {}, "second": {"lr": 2}, "third": {"epochs": 3}}
    combined = recipes.accumulate_changes({"lr": 1, "epochs": 1}, changes)
    assert combined["first"] == {"lr": 1, "epochs": 1}
    assert combined["second"] == {"lr": 2, "epochs": 1}
    assert combined["third"] == {"lr": 2, "epochs": 3}


def test_an_interrupted_training_gives_no_result(tiny):
    class InterruptedAutoencoder(Autoencoder):
        def forward(self, x):
            raise KeyboardInterrupt

    recipe = recipes.LESSON | {"network": InterruptedAutoencoder}
    with pytest.raises(KeyboardInterrupt, match="nothing is stored"):
        recipes.fit(tiny.train, tiny.test, 0, **recipe)


@pytest.fixture
def small_model():
    return ResidualAutoencoder(4, channels=4, neurons=9)


def test_latent_optimization_treats_every_image_alone(tiny, small_model):
    latents = reconstruct(small_model, tiny.test)[1]
    together = ablation.optimize_latents(small_model.decoder, tiny.test, latents, 3)
    alone = ablation.optimize_latents(small_model.decoder, tiny.test[5:6], latents[5:6], 3)
    torch.testing.assert_close(together[5:6], alone)


def test_the_first_step_of_latent_optimization_is_nesterovs(tiny, small_model):
    latents = reconstruct(small_model, tiny.test)[1]
    start = latents.clone().requires_grad_()
    error = (small_model.decoder(start) - tiny.test).square().sum()
    (gradient,) = torch.autograd.grad(error, start)
    step = ablation.optimize_latents(small_model.decoder, tiny.test, latents, 1)
    momentum = 0.8
    torch.testing.assert_close(step, latents - 0.03 * (1 + momentum) * gradient)


def test_steps_of_latent_optimization_make_the_error_smaller(tiny, small_model):
    errors = [ablation.error_after_steps(small_model, tiny.test, steps) for steps in (0, 3, 9)]
    assert errors[0] == pytest.approx(mean_error(small_model, tiny.test))
    assert errors == sorted(errors, reverse=True)


def test_latent_optimization_leaves_the_decoder_as_it_is(tiny, small_model):
    before = {name: tensor.clone() for name, tensor in small_model.state_dict().items()}
    latents = reconstruct(small_model, tiny.test)[1]
    ablation.optimize_latents(small_model.decoder, tiny.test, latents, 3)
    for name, tensor in small_model.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    assert all(weight.grad is None for weight in small_model.parameters())


# Speed, overhead and import time


@pytest.fixture(scope="module")
def ten_steps(tiny):
    return tiny.train.repeat(4, 1, 1, 1)


def weights_after(contender, images):
    model, _ = speed_training.CONTENDERS[contender](images, 3)
    return dict(model.named_parameters())


def test_a_plain_loop_gives_the_librarys_weights(ten_steps):
    plain, library = weights_after("plain", ten_steps), weights_after("convae_lib", ten_steps)
    for name, weight in library.items():
        torch.testing.assert_close(weight, plain[name])


def test_bfloat16_gives_nearly_the_librarys_weights(ten_steps):
    exact = weights_after("convae_lib", ten_steps)
    rounded = weights_after("convae_lib, in bfloat16", ten_steps)
    torch.manual_seed(3)
    for name, start in Autoencoder().named_parameters():
        change = (exact[name] - start).norm()
        difference = (rounded[name] - exact[name]).norm()
        assert 0 < difference < 0.1 * change, name


def test_the_limit_counts_every_multiplication_and_addition(tiny):
    first, second, dense = 784 * 25 * 1 * 14, 784 * 25 * 14 * 7, 784 * 7 * 28
    forward = 2 * (first + second + dense)  # the encoder's, and the decoder's, which mirrors it
    backward = 2 * forward - first  # for weights and inputs, but not for the images
    counted = speed_training.arithmetic_limit(tiny.train)["billion_operations"]
    assert counted == pytest.approx(len(tiny.train) * 2 * (forward + backward) / 1e9)


def test_both_evaluations_give_the_same_error(tiny):
    model = Autoencoder()
    in_one_batch = speed_evaluation.evaluate_in_one_batch(model, tiny.test)
    assert in_one_batch == pytest.approx(mean_error(model, tiny.test))


def test_the_peak_of_an_evaluation_is_the_memory_of_its_activations(tiny):
    n_images = 1000
    feature_maps = n_images * 14 * 28 * 28 * 4 / 1e6  # megabytes of the first layer's output
    images = tiny._replace(test=torch.zeros(n_images, 1, 28, 28))
    peak = speed_evaluation.measure(images, "plain", 0)["peak_megabytes"]
    assert 4 * feature_maps < peak < 6 * feature_maps


def test_an_error_in_a_watched_evaluation_is_raised():
    def fail(model, images):
        raise RuntimeError("no evaluation")

    with pytest.raises(RuntimeError, match="no evaluation"):
        speed_evaluation.evaluate_and_watch_memory(fail, 1)


def test_the_divergence_of_an_embedding_is_scikit_learns(offline_data):
    rows = offline_data.train_images[:400, 0, 14].numpy()
    tsne = TSNE(angle=0.2, random_state=0, max_iter=500)
    embedding = tsne.fit_transform(rows)
    divergence = speed_tsne.kl_divergence(rows, embedding)
    assert divergence == pytest.approx(tsne.kl_divergence_, rel=0.003)


def test_the_divergence_of_an_embedding_is_that_of_the_formula():
    embedding = np.random.default_rng(0).normal(size=(31, 2))
    q = 1 / (1 + pdist(embedding, "sqeuclidean"))
    expected = -np.log(q / q.mean()).mean()  # each row of the identity has 30 equal neighbors
    divergence = speed_tsne.kl_divergence(np.eye(31), embedding)
    assert divergence == pytest.approx(expected, rel=0.003)


def test_the_trainer_whose_overhead_is_measured_takes_the_plain_loops_steps():
    x, y = torch.randn(2, 10 * overhead.BATCH_SIZE, 8)
    plain_losses, _ = overhead.run_plain_loop(x, y, seed=3)
    trainer_losses, _ = overhead.run_trainer(x, y, seed=3)
    assert len(plain_losses) == 10
    assert plain_losses == pytest.approx(trainer_losses)


def test_the_overhead_is_the_ratio_of_a_pair_of_runs():
    row = overhead.compare_runs(seed=0, n_pairs=1, n_steps=10)
    assert row["plain_microseconds"] > 0
    expected = row["trainer_microseconds"] / row["plain_microseconds"]
    assert row["ratio"] == pytest.approx(expected)


def test_imported_packages_are_found_and_others_are_not():
    packages = import_time.imported_packages("xml.dom")
    assert "xml" in packages
    assert "torchvision" not in packages


@pytest.mark.skipif(os.name != "posix", reason="Windows does not count child processes")
def test_the_cpu_time_of_an_import_counts_the_work_and_not_the_waiting(tmp_path, monkeypatch):
    work = "import time\nwhile time.process_time() < 0.3: pass\ntime.sleep(2)"
    (tmp_path / "slow_module.py").write_text(work)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert 0.25 < import_time.import_seconds("slow_module") < 2


# Denoising and anomalies


def test_images_are_corrupted_again_at_every_training_step(tiny):
    model = denoising.Corrupted(nn.Identity(), denoising.CORRUPTIONS["noise 0.5"])
    first_noise, second_noise = model(tiny.test) - tiny.test, model(tiny.test) - tiny.test
    assert first_noise.std().item() == pytest.approx(0.5, rel=0.02)
    assert (first_noise != second_noise).all()


def test_images_are_not_corrupted_in_evaluation(tiny):
    model = denoising.Corrupted(nn.Identity(), denoising.CORRUPTIONS["noise 0.5"])
    assert torch.equal(model.eval()(tiny.test), tiny.test)


def test_mixed_noise_has_each_of_the_strengths(tiny):
    noise = denoising.add_mixed_noise(tiny.test) - tiny.test
    strengths = noise.flatten(1).std(dim=1)
    levels = torch.tensor(denoising.NOISE_LEVELS)
    distances, nearest = (strengths[:, None] / levels).log().abs().min(dim=1)
    assert set(nearest.tolist()) == {0, 1, 2, 3}
    assert distances.max() < 0.15


@pytest.fixture
def mask(tiny):
    return denoising.visible(tiny.test, 12, torch.Generator().manual_seed(0))


def test_exactly_as_many_patches_are_hidden_in_every_image(mask):
    visible_fraction = nn.functional.avg_pool2d(mask.float(), 4)  # of each patch
    assert set(visible_fraction.unique().tolist()) == {0, 1}
    assert ((visible_fraction == 0).sum(dim=(1, 2, 3)) == 12).all()


def test_other_patches_are_hidden_in_every_image(mask):
    assert len({row.numpy().tobytes() for row in mask}) == len(mask)


def test_hidden_pixels_are_gray_and_others_stay(tiny, mask):
    hidden = denoising.hide(tiny.test, 12, torch.Generator().manual_seed(0))
    assert torch.equal(hidden[mask], tiny.test[mask])
    assert (hidden[~mask] == 0).all()


def test_decibels_are_those_of_the_mean_error_after_clipping():
    images = torch.tensor([[1.0, -1.0], [0.0, 0.0]])
    restored = images + torch.tensor([0.2, -0.2])
    expected = 10 * np.log10(4 / (0.04 / 2))  # the first row is clipped and has no error
    assert denoising.psnr(images, restored) == pytest.approx(expected)


def test_without_a_bottleneck_the_correction_is_subtracted_from_the_image(tiny):
    network = denoising.NoBottleneck()
    for weight in network.correction.parameters():
        nn.init.zeros_(weight)
    x_hat, features = network(tiny.test)
    assert torch.equal(x_hat, tiny.test)
    assert features.shape == (60, 1568)


def test_the_stroke_length_of_a_bar_is_half_its_outline():
    bars = torch.full((2, 1, 28, 28), -1.0)
    bars[0, 0, 4:24, 12:16] = 1
    bars[1, 0, 10:13, 2:26] = 1
    assert anomalies.stroke_length(bars).tolist() == pytest.approx([24, 27], abs=0.5)


def test_a_score_that_is_a_power_of_the_length_is_1_relative_to_it(tiny):
    def score(images):
        return 3 * anomalies.stroke_length(images) ** 1.7

    relative = anomalies.relative_to_length(score, tiny.validation)(tiny.test)
    torch.testing.assert_close(relative, torch.ones(60))


def test_the_distance_from_each_digit_is_the_smallest_of_all_pairs(tiny):
    every_pair = (tiny.test[:, None] - tiny.train).flatten(2).norm(dim=2)  # (60, 150)
    distances = anomalies.nearest_distances(tiny)
    for digit in range(10):
        expected = every_pair[:, tiny.train_labels == digit].amin(dim=1)
        torch.testing.assert_close(distances[:, digit], expected, rtol=1e-3, atol=1e-3)


def test_the_auroc_of_the_stroke_length_is_the_fraction_of_ordered_pairs(tiny):
    row = anomalies.measure_anomalies(tiny, digit=1, seed=0)
    lengths = anomalies.stroke_length(tiny.test)
    is_one = tiny.test_labels == 1
    fraction = (lengths[is_one][:, None] > lengths[~is_one]).float().mean().item()
    assert row["stroke length alone"] == pytest.approx(fraction)
    assert fraction < 0.1
    assert all(0 <= auroc <= 1 for auroc in row.values())


# Generated images


@pytest.fixture
def features():
    return np.random.default_rng(0).normal(size=(200, 3)) * (1, 2, 3)


def test_the_frechet_distance_of_equal_features_is_0(features):
    assert generation.frechet(features, features) == pytest.approx(0, abs=1e-6)


def test_the_frechet_distance_of_shifted_features_is_the_squared_shift(features):
    variance = np.cov(features.T).trace()
    shift = np.array([3.0, 0, -1])
    assert generation.frechet(features + shift, features) == pytest.approx(10 / variance)


@pytest.mark.parametrize(("factor", "expected"), [(3, 4), (0, 1)])
def test_the_frechet_distance_of_stretched_features_is_known(features, factor, expected):
    mean = features.mean(axis=0)
    stretched = factor * (features - mean) + mean
    assert generation.frechet(stretched, features) == pytest.approx(expected)  # (factor - 1)²


def test_a_mixture_has_as_many_components_as_there_are_clusters():
    rng = np.random.default_rng(0)
    centers = np.repeat(rng.normal(size=(3, 4)), 300, axis=0)
    latents = centers + rng.normal(0, 0.02, size=(900, 4))
    held_out = centers + rng.normal(0, 0.02, size=(900, 4))
    mixture = generation.fit_mixture(latents, held_out, (1, 3), seed=0)
    assert mixture.n_components == 3
    distances = np.linalg.norm(mixture.means_[:, None] - centers, axis=2)
    assert distances.min(axis=1).max() < 0.02


def test_training_images_for_generation_keep_their_labels_and_held_out_ones_are_others(tiny):
    split = generation.split_images(tiny, 40)
    assert len(split.train) == len(split.train_labels) == 130
    assert generation.nearest_neighbor_distance(split.held_out, split.train) > 1
    every_image = torch.cat([tiny.train, tiny.validation])
    every_label = torch.cat([tiny.train_labels, tiny.validation_labels])
    for image, label in zip(split.train, split.train_labels, strict=True):
        is_same = (every_image == image).flatten(1).all(dim=1)
        assert label in every_label[is_same]


@pytest.fixture(scope="module")
def drawing_rows(tiny):
    return {
        name: generation.measure_drawing(tiny, name, 1, n_samples=40)
        for name in generation.CONTENDERS
    }


@pytest.mark.parametrize("name", generation.CONTENDERS)
def test_every_contender_gets_scores(drawing_rows, name):
    row = drawing_rows[name]
    assert 0 <= row["sure"] <= 1
    assert 0 < row["entropy"] < 2.4
    assert row["frechet"] > 0
    assert (row["core_seconds"] is None) == name.startswith("real")


def test_copies_of_training_images_are_the_only_ones_at_no_distance(drawing_rows):
    copied = [name for name, row in drawing_rows.items() if row["nearest"] < 0.01]
    assert copied == ["real, copied"]


def test_samples_repeat_with_their_seed(tiny, drawing_rows):
    generation.train_model.cache_clear()
    again = generation.measure_drawing(tiny, "variational", 1, n_samples=40)
    again["core_seconds"] = drawing_rows["variational"]["core_seconds"]
    assert again == drawing_rows["variational"]


def test_the_loss_of_the_variational_trainer_is_the_negative_elbo(tiny):
    model = VariationalAutoencoder(4, channels=4, neurons=9)
    trainer = generation.VariationalTrainer(model, generation.make_optimizer(model), beta=7)
    torch.manual_seed(5)
    distortion, kl = elbo_terms(model, tiny.test)
    torch.manual_seed(5)
    loss = trainer.batch_loss(tiny.test, tiny.test)
    torch.testing.assert_close(loss, distortion.mean() + 7 * kl.sum(dim=1).mean())


def test_a_heavy_kl_divergence_leaves_no_latent_variable_active(tiny):
    light = generation.measure_weights(tiny, 1, 0, n_samples=40)
    heavy = generation.measure_weights(tiny, 1e5, 0, n_samples=40)
    assert heavy["in_use"] == 0
    assert light["in_use"] > 0
    assert heavy["rate"] < 0.1 * light["rate"]


def test_the_weight_of_the_contenders_has_the_smallest_frechet_distance():
    mean = STORED["weights"].groupby("weight")["frechet"].mean()
    assert mean.idxmin() == generation.BEST_WEIGHT


# A single processor


@pytest.fixture(scope="module")
def many_images(tiny):
    return tiny.train.repeat(20, 1, 1, 1)[: 20 * single_processor.BATCH_SIZE]


def test_steps_in_bfloat16_reach_nearly_the_same_error(tiny, many_images):
    errors = []
    for name in ("float32", "bfloat16"):
        mode = single_processor.MODES[name]
        row = single_processor.train_steps(many_images, tiny.validation, 0, **mode)
        errors.append(row["validation_error"])
    exact, rounded = errors
    assert 0 < abs(exact / rounded - 1) < 0.05


def test_every_image_takes_part_in_the_timed_steps(tiny, many_images):
    mode = single_processor.MODES["float32"]
    two_batches = many_images[: 2 * single_processor.BATCH_SIZE]
    long = single_processor.train_steps(many_images, tiny.validation, 0, **mode)
    short = single_processor.train_steps(two_batches, tiny.validation, 0, **mode)
    assert long["validation_error"] < 0.7 * short["validation_error"]
    assert short["first_step"] > 0
    assert short["milliseconds"] > 0


# The command


def test_a_stopped_run_continues_without_measuring_a_row_again(tmp_path):
    path = tmp_path / "build" / "part.jsonl"
    cases = [{"name": "a"}, {"name": "b"}]
    calls = []

    def measure(name, seed):
        calls.append((name, seed))
        if len(calls) == 4:
            raise KeyboardInterrupt
        return {"seconds": 0.1 * len(calls)}

    with pytest.raises(KeyboardInterrupt):
        bench.run(measure, cases, range(3), path)
    unfinished = '{"seed": 1, "name": "a", "sec'
    path.write_text(path.read_text() + unfinished)
    rows = bench.run(measure, cases, range(3), path)
    turns = [("a", 0), ("b", 0), ("b", 1), ("a", 1), ("a", 2), ("b", 2)]
    assert calls == [*turns[:4], *turns[3:]]
    assert list(zip(rows["name"], rows["seed"], strict=True)) == turns
    assert rows["date"].notna().all()
    pd.testing.assert_frame_equal(bench.run(measure, cases, range(3), path), rows)
    assert len(calls) == 7


def test_a_case_with_a_seed_of_its_own_is_measured_once():
    keys = bench.list_keys([{"name": "a", "seed": 0}, {"name": "b"}], range(2))
    named = [(key["name"], key["seed"]) for key in keys]
    assert named == [("a", 0), ("b", 0), ("b", 1)]


def test_a_table_shows_medians_with_their_ranges():
    environment = {"machine": "an abacus", "torch": "2", "scikit-learn": "1", "date": "today"}
    rows = pd.DataFrame({"seed": [0, 1, 2], "name": "ours", "seconds": [9.0, 1.0, 2.0]})
    rows = rows.assign(parameters=1234, nothing=None, **environment)
    *_, line, _, footer = bench.format_table(rows, ["name"]).splitlines()
    assert line == "| ours | 2.00 (1.00–9.00) | 1,234 |"
    assert footer == "an abacus, torch 2, scikit-learn 1, today"


def test_an_unknown_part_prints_how_to_call_the_command():
    with pytest.raises(SystemExit, match="make bench"):
        bench.main(["no such part"])


def test_the_help_names_every_part():
    listed = bench.__doc__.partition("QUICK")[0]
    assert all(re.search(rf"\b{name}\b", listed) for name in bench.PARTS)


# Stored results


@pytest.mark.parametrize("name", bench.PARTS)
def test_every_case_is_stored_with_its_seeds(name):
    expected = pd.DataFrame(bench.list_keys(bench.PARTS[name].cases, range(3)))
    columns = list(expected.columns)
    expected = expected.sort_values(columns, ignore_index=True)
    stored = STORED[name][columns].sort_values(columns, ignore_index=True)
    pd.testing.assert_frame_equal(stored, expected, check_dtype=False)


@pytest.mark.parametrize("name", recipes.TUNED)
def test_nothing_that_was_tried_is_much_better_than_the_recipe(name):
    rows = STORED["tuning"].query("name == @name")
    option = "weight_decay" if rows["lr"].isna().all() else "lr"
    is_optimized = name in ablation.OPTIMIZED_NETWORKS
    chosen = 0.03 if is_optimized else ablation.RECIPES[name][option]
    errors = rows.set_index(option)["validation_error"]
    assert errors[chosen] < 1.1 * errors.min()


def test_every_library_reaches_the_lesson_recipes_error():
    errors = STORED["speed"].groupby("contender")["test_error"].median().dropna()
    assert len(errors) == 5
    assert errors.max() - errors.min() < 0.002


def test_the_benchmarks_readme_shows_the_stored_results():
    assert bench.README.read_text(encoding="utf-8") == bench.format_results(bench.RESULTS)


def test_the_errors_in_the_courses_readme_are_stored():
    text = (bench.HERE.parent / "README.md").read_text(encoding="utf-8")
    results = re.search(r"^## Results$(.+?)^## ", text, re.MULTILINE | re.DOTALL)[1]
    medians = STORED["ablation"].groupby("name")["test_error"].median()
    shown = set(re.findall(r"\b0\.0\d+", results))
    assert shown
    assert shown <= {f"{error:.4f}" for error in medians}


# What lessons and benchmarks both define


def from_lesson(lesson, name):
    """Return the function or class that a lesson defines first under a name."""
    (path,) = PAIRED.glob(f"{lesson}_*.py")
    tree = ast.parse(path.read_text(encoding="utf-8"))
    definition = next(node for node in tree.body if getattr(node, "name", None) == name)
    namespace = {
        "GaussianMixture": GaussianMixture,
        "gelu": gelu,
        "math": math,
        "nn": nn,
        "np": np,
        "torch": torch,
    }
    exec(compile(ast.Module([definition], []), str(path), "exec"), namespace)
    return namespace[name]


@pytest.mark.parametrize("lesson", ["09", "11"])
def test_a_lessons_decibels_are_the_benchmarks(lesson):
    images = torch.rand(5, 1, 28, 28) * 2 - 1
    restored = images + torch.randn(5, 1, 28, 28) / 2
    psnr = from_lesson(lesson, "psnr")
    assert psnr(images, restored) == pytest.approx(denoising.psnr(images, restored))


def test_a_lessons_noise_is_the_benchmarks(tiny):
    add_noise = from_lesson("09", "add_noise")
    noisy = add_noise(tiny.test, 0.5, torch.Generator().manual_seed(1))
    expected = denoising.add_noise(tiny.test, 0.5, torch.Generator().manual_seed(1))
    assert torch.equal(noisy, expected)


def test_a_lessons_mask_is_the_benchmarks(tiny, mask):
    visible = from_lesson("09", "visible")
    assert torch.equal(visible(tiny.test, 12, torch.Generator().manual_seed(0)), mask)


def test_a_lessons_stroke_length_is_the_benchmarks(tiny):
    stroke_length = from_lesson("09", "stroke_length")
    torch.testing.assert_close(stroke_length(tiny.test), anomalies.stroke_length(tiny.test))


def test_a_lessons_latent_optimization_is_the_benchmarks(tiny, small_model):
    improve = from_lesson("08", "improve")
    latents = reconstruct(small_model, tiny.test)[1]
    improved = improve(small_model.decoder, tiny.test, latents, 4)
    expected = ablation.optimize_latents(small_model.decoder, tiny.test, latents, 4)
    torch.testing.assert_close(improved, expected)


def test_a_lessons_classifier_is_the_benchmarks(tiny):
    torch.manual_seed(0)
    classifier = from_lesson("10", "Judge")()
    torch.manual_seed(0)
    torch.testing.assert_close(classifier(tiny.test), generation.Classifier()(tiny.test))


def test_a_lessons_frechet_distance_is_the_benchmarks(features):
    frechet = from_lesson("10", "frechet")
    others = features[::-1] ** 2
    assert frechet(features, others) == pytest.approx(generation.frechet(features, others))


def test_a_lessons_mixture_is_the_benchmarks(features):
    mixture = from_lesson("10", "mixture")(features, features, (1, 3))
    expected = generation.fit_mixture(features, features, (1, 3), seed=0)
    assert mixture.means_ == pytest.approx(expected.means_)
