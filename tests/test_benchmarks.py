"""The benchmarks behind the stored results, and the results themselves."""

import re
from unittest.mock import Mock

import bench
import drawing
import evaluation
import maps
import numpy as np
import pandas as pd
import processors
import pytest
import recipes
import studies
import torch
import training
import uses
from scipy.spatial.distance import pdist
from sklearn.manifold import TSNE

from convae_lib import Autoencoder, ResidualAutoencoder, mean_error, reconstruct

STORED = {part: pd.read_csv(bench.RESULTS / f"{part}.csv") for part in bench.PARTS}


@pytest.fixture
def tiny(embedded):
    train, test, labels = embedded.train_images, embedded.test_images, embedded.train_labels
    images = train[:150], train[150:170], test[:60]
    return bench.Images(*images, labels[:150], labels[150:170], embedded.test_labels[:60])


@pytest.mark.parametrize("name", studies.RECIPES)
def test_every_network_keeps_the_contract_and_has_the_stored_number_of_parameters(name):
    network = studies.RECIPES[name]["network"]()
    reconstruction, code = network(torch.zeros(3, 1, 28, 28))
    assert reconstruction.shape == (3, 1, 28, 28) and code.shape == (3, 28)
    assert reconstruction.abs().max() <= 1
    stored = STORED["ablation"].query("name == @name")["parameters"]
    assert set(stored) == {sum(parameter.numel() for parameter in network.parameters())}


def test_a_plain_loop_gives_the_librarys_weights_and_bfloat16_nearly(tiny):
    train = tiny.train.repeat(4, 1, 1, 1)  # 10 steps
    names = ("plain", "convae_lib", "convae_lib, in bfloat16")
    models = (training.CONTENDERS[name](train, 3)[0] for name in names)
    plain, exact, rounded = (dict(model.named_parameters()) for model in models)
    torch.manual_seed(3)
    for name, start in Autoencoder().named_parameters():
        torch.testing.assert_close(exact[name], plain[name])
        moved, error = exact[name] - start, rounded[name] - exact[name]
        assert 0 < error.norm() < 0.1 * moved.norm(), name


def test_a_training_that_is_interrupted_gives_no_result(tiny, monkeypatch):
    monkeypatch.setattr(Autoencoder, "forward", Mock(side_effect=KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt, match="nothing is stored"):
        recipes.fit(tiny.train, tiny.test, 0, **recipes.LESSON)


def test_better_codes_come_of_each_images_own_gradient_and_the_decoder_stays(tiny):
    model = ResidualAutoencoder(4, width=4, neurons=9)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    codes = reconstruct(model, tiny.test)[1]
    better = studies.improve(model.decoder, tiny.test, codes, 3)
    alone = studies.improve(model.decoder, tiny.test[5:6], codes[5:6], 3)
    torch.testing.assert_close(better[5:6], alone)
    first = codes.clone().requires_grad_()
    (gradient,) = torch.autograd.grad((model.decoder(first) - tiny.test).square().sum(), first)
    step = studies.improve(model.decoder, tiny.test, codes, 1)
    torch.testing.assert_close(step, codes - 0.03 * 1.8 * gradient)  # Nesterov: 1 + 0.8
    errors = [studies.refined_error(model, tiny.test, steps) for steps in (0, 3, 9)]
    assert (
        errors[0] == pytest.approx(mean_error(model, tiny.test)) and errors == sorted(errors)[::-1]
    )
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name]) and not tensor.requires_grad
    assert all(weight.grad is None for weight in model.parameters())


def test_the_limit_counts_every_multiplication_and_addition(tiny):
    first, second, dense = 784 * 25 * 1 * 14, 784 * 25 * 14 * 7, 784 * 7 * 28
    forward = 2 * (first + second + dense)  # the encoder's, and the decoder's, which mirrors it
    backward = 2 * forward - first  # for weights and inputs, but not for the images
    counted = training.limit(tiny.train)["billion_operations"]
    assert counted == pytest.approx(len(tiny.train) * 2 * (forward + backward) / 1e9)


def test_both_evaluations_agree_and_the_plain_one_takes_memory(tiny):
    model = Autoencoder()
    assert evaluation.plain(model, tiny.test) == pytest.approx(mean_error(model, tiny.test))
    one_map = 1000 * 14 * 28 * 28 * 4 / 1e6  # MB: what the first layer makes of 1,000 images
    images = tiny._replace(test=torch.zeros(1000, 1, 28, 28))
    assert 4 * one_map < evaluation.measure(images, "plain", 0)["peak_megabytes"] < 6 * one_map


def test_the_divergence_of_a_map_is_what_tsne_found_and_the_formula_gives(embedded):
    codes = embedded.train_images[:400, 0, 14].numpy()
    drawn = (tsne := TSNE(angle=0.2, random_state=0, max_iter=500)).fit_transform(codes)
    assert maps.kl_divergence(codes, drawn) == pytest.approx(tsne.kl_divergence_, rel=0.003)
    drawn = np.random.default_rng(0).normal(size=(31, 2))
    q = 1 / (1 + pdist(drawn, "sqeuclidean"))
    expected = -np.log(q / q.mean()).mean()  # each code has 30 neighbours, equally near
    assert maps.kl_divergence(np.eye(31), drawn) == pytest.approx(expected, rel=0.003)


def test_images_are_spoiled_anew_at_every_training_step_and_not_in_evaluation(tiny):
    model = uses.Spoiled(torch.nn.Identity(), uses.LEARNED["noise 0.5"][0])
    one, other = (model(tiny.test) - tiny.test for _ in range(2))
    assert one.std().item() == pytest.approx(0.5, rel=0.02) and (one != other).all()
    assert torch.equal(model.eval()(tiny.test), tiny.test)
    strengths = (uses.add_any_noise(tiny.test) - tiny.test).flatten(1).std(dim=1)
    nearest = (strengths[:, None] / torch.tensor(uses.NOISES)).log().abs().min(dim=1)
    assert len({*nearest.indices.tolist()}) == 4 and nearest.values.max() < 0.15


def test_exactly_as_many_patches_are_hidden_and_others_in_every_image(tiny):
    mask = uses.visible(tiny.test, 12, torch.Generator().manual_seed(0))
    patches = torch.nn.functional.avg_pool2d(mask.float(), 4)  # a share of each patch
    assert set(patches.unique().tolist()) == {0, 1} and ((patches == 0).sum((1, 2, 3)) == 12).all()
    assert len({row.numpy().tobytes() for row in mask}) == len(mask)
    hidden = uses.hide(tiny.test, 12, torch.Generator().manual_seed(0))
    assert torch.equal(hidden[mask], tiny.test[mask]) and (hidden[~mask] == 0).all()


def test_decibels_come_of_the_mean_error_after_clipping():
    images = torch.tensor([[1.0, -1.0], [0.0, 0.0]])
    assert uses.psnr(images, images + torch.tensor([0.2, -0.2])) == pytest.approx(
        10 * np.log10(4 / (0.04 / 2))
    )


def test_without_a_bottleneck_the_image_comes_through(tiny):
    network = uses.NoBottleneck()
    for weight in network.amend.parameters():
        torch.nn.init.zeros_(weight)
    image, numbers = network(tiny.test)
    assert torch.equal(image, tiny.test) and numbers.shape == (60, 1568)


def test_the_length_of_a_bar_is_half_its_outline_and_scores_are_divided_by_a_power_of_it(tiny):
    bars = torch.full((2, 1, 28, 28), -1.0)
    bars[0, 0, 4:24, 12:16] = bars[1, 0, 10:13, 2:26] = 1
    assert uses.stroke_length(bars).tolist() == pytest.approx([24, 27], abs=0.5)

    def score(images):
        return 3 * uses.stroke_length(images) ** 1.7

    torch.testing.assert_close(uses.by_length(score, tiny.validation)(tiny.test), torch.ones(60))


def test_the_nearest_image_of_each_digit_is_the_nearest_of_all_pairs(tiny):
    distances = (tiny.test[:, None] - tiny.train).flatten(2).norm(dim=2)  # (60, 150)
    for digit, found in enumerate(uses.nearest(tiny).T):
        expected = distances[:, tiny.train_labels == digit].amin(dim=1)
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


def test_a_digit_left_out_is_scored_against_all_others(tiny, monkeypatch):
    monkeypatch.setitem(uses.RECIPE, "epochs", 1)
    found = uses.anomalies(tiny, digit=1, seed=0)
    short = uses.stroke_length(tiny.test)
    ones = tiny.test_labels == 1
    pairs = (short[ones][:, None] > short[~ones]).float().mean().item()
    assert found["stroke length alone"] == pytest.approx(pairs) and pairs < 0.1
    assert all(0 <= value <= 1 for value in found.values()) and len(found) == 7


def test_the_frechet_distance_of_shifted_and_stretched_features_is_known():
    features = np.random.default_rng(0).normal(size=(200, 3)) * (1, 2, 3)
    variance = np.cov(features.T).trace()
    shift = np.array([3.0, 0, -1])
    assert drawing.frechet(features, features) == pytest.approx(0, abs=1e-6)
    assert drawing.frechet(features + shift, features) == pytest.approx(10 / variance)
    stretched = 3 * (features - features.mean(axis=0)) + features.mean(axis=0)
    assert drawing.frechet(stretched, features) == pytest.approx(4)  # (3 − 1)² of the variance
    assert drawing.frechet(0 * features + features.mean(axis=0), features) == pytest.approx(1)


def test_a_mixture_finds_as_many_clusters_as_there_are():
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(3, 4))
    codes, others = (np.repeat(centres, 300, 0) + rng.normal(0, 0.02, (900, 4)) for _ in range(2))
    fitted = drawing.mixture(codes, others, (1, 3), seed=0)
    assert fitted.n_components == 3
    apart = np.linalg.norm(fitted.means_[:, None] - centres, axis=2)
    assert apart.min(axis=1).max() < 0.02


def test_every_contender_draws_and_who_copies_is_found_out(tiny, monkeypatch):
    monkeypatch.setattr(drawing, "COUNT", 40)
    train, labels, fresh, _ = drawing.parts(tiny)
    assert len(train) == len(labels) == 130 and drawing.nearest(fresh, train) > 1
    whole = torch.cat([tiny.train, tiny.validation])
    all_labels = torch.cat([tiny.train_labels, tiny.validation_labels])
    for image, label in zip(train, labels, strict=True):
        assert label in all_labels[(whole == image).flatten(1).all(dim=1)]
    rows = {name: drawing.drawing(tiny, name, 1) for name in drawing.CONTENDERS}
    for name, row in rows.items():
        assert 0 <= row["sure"] <= 1 and 0 < row["entropy"] < 2.4 and row["frechet"] > 0
        assert (row["nearest"] < 0.01) == (name == "real, copied")
        assert (row["core_seconds"] is None) == name.startswith("real")
    drawing.trained.cache_clear()
    again = drawing.drawing(tiny, "variational", 1)
    assert again | {"core_seconds": 0} == rows["variational"] | {"core_seconds": 0}


def test_a_heavy_rate_leaves_no_number_in_use(tiny, monkeypatch):
    monkeypatch.setattr(drawing, "COUNT", 40)
    light, heavy = (drawing.weights(tiny, weight, 0) for weight in (1, 1e5))
    assert heavy["in_use"] == 0 < light["in_use"] and heavy["rate"] < 0.1 * light["rate"]


def test_the_weight_is_the_one_that_draws_best_on_validation_images():
    assert STORED["weights"].groupby("weight")["frechet"].mean().idxmin() == drawing.WEIGHT


def test_steps_in_bfloat16_come_to_nearly_the_same_and_are_timed_apart_from_the_first(
    tiny, monkeypatch
):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "")  # to be set anew
    images = tiny.train.repeat(20, 1, 1, 1)[: 20 * processors.BATCH]
    ways = (processors.WAYS[name] for name in ("float32", "bfloat16"))
    exact, rounded = (processors.train(images, tiny.validation, *way, 0) for way in ways)
    few = processors.train(images[: 2 * processors.BATCH], tiny.validation, False, False, 0)
    for row in (exact, rounded, few):
        assert 1e-4 < row["milliseconds"] / 1000 < 2 and row["first_step"] > 1e-4
    assert 0 < abs(exact["validation_error"] / rounded["validation_error"] - 1) < 0.05
    assert exact["validation_error"] < 0.7 * few["validation_error"]


def test_a_killed_run_goes_on_without_repeating_a_row(tmp_path):
    path, cases = tmp_path / "build" / "part.jsonl", [{"name": "a"}, {"name": "b"}]
    found = [{"seconds": 0.1 * call} for call in range(6)]  # a call more is an error
    measure = Mock(side_effect=[*found[:3], KeyboardInterrupt, *found[3:]])
    with pytest.raises(KeyboardInterrupt):
        bench.run(measure, cases, range(3), path)
    path.write_text(path.read_text() + '{"seed": 1, "name": "a", "sec')  # cut short by the kill
    rows = bench.run(measure, cases, range(3), path)
    turns = [("a", 0), ("b", 0), ("b", 1), ("a", 1), ("a", 2), ("b", 2)]
    calls = [(call.kwargs["name"], call.kwargs["seed"]) for call in measure.call_args_list]
    assert calls == [*turns[:4], *turns[3:]] and rows["date"].notna().all()
    assert [*zip(rows["name"], rows["seed"], strict=True)] == turns
    assert bench.run(measure, cases, range(3), path).equals(rows)


def test_a_table_shows_medians_with_their_ranges():
    circumstances = {"machine": "an abacus", "torch": "2", "scikit-learn": "1", "date": "today"}
    rows = pd.DataFrame({"seed": [0, 1, 2], "name": "ours", "seconds": [9.0, 1.0, 2.0]})
    rows = rows.assign(parameters=1234, nothing=None, **circumstances)
    *_, line, _, footer = bench.table(rows, ["name"]).splitlines()
    assert line == "| ours | 2.00 (1.00–9.00) | 1,234 |"
    assert footer == "an abacus, torch 2, scikit-learn 1, today"


@pytest.mark.parametrize("part", bench.KEYS)
def test_every_case_is_stored_with_three_seeds(part):
    expected = pd.DataFrame(
        {"seed": seed} | case for seed in range(3) for case in bench.CASES[part]
    )
    stored, columns = STORED[part][[*expected]], [*expected]
    expected = expected.drop_duplicates().sort_values(columns, ignore_index=True)
    stored = stored.sort_values(columns, ignore_index=True)
    pd.testing.assert_frame_equal(stored, expected, check_dtype=False)


def test_nothing_that_was_tried_is_much_better_than_what_the_recipes_hold():
    for name, rows in STORED["tuning"].groupby("name"):
        option = "weight_decay" if rows["lr"].isna().all() else "lr"
        held = 0.03 if name in studies.NETWORKS else studies.RECIPES[name][option]
        errors = rows.set_index(option)["validation_error"]
        assert errors[held] < 1.1 * errors.min(), name


def test_whole_turns_of_the_contenders_are_stored_and_one_recipe_has_one_error():
    speed = STORED["speed"]
    cases = {(case["comparison"], case["contender"]) for case in bench.CASES["speed"]}
    turns = speed.groupby(["comparison", "contender"])["seed"].apply(sorted)
    assert {*turns.index} == cases and all(seeds == [0, 1, 2] for seeds in turns)
    errors = speed.groupby("contender")["test_error"].median().dropna()
    assert len(errors) == 5 and errors.max() - errors.min() < 0.002


def test_the_tables_and_readme_show_the_stored_results():
    assert bench.README.read_text(encoding="utf-8") == bench.tables(bench.RESULTS)
    text = (bench.HERE.parent / "README.md").read_text(encoding="utf-8")
    results = re.search(r"^## Results$(.+?)^## ", text, re.MULTILINE | re.DOTALL)[1]
    medians = STORED["ablation"].groupby("name")["test_error"].median()
    shown = set(re.findall(r"\b0\.0\d+", results))
    assert shown and shown <= {f"{error:.4f}" for error in medians}
