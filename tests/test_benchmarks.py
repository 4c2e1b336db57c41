"""The benchmarks behind the stored results, and the results themselves."""

import re
from unittest.mock import Mock

import bench
import evaluation
import maps
import numpy as np
import pandas as pd
import pytest
import recipes
import studies
import torch
import training
from scipy.spatial.distance import pdist
from sklearn.manifold import TSNE

from convae_lib import Autoencoder, ResidualAutoencoder, mean_error, reconstruct

STORED = {part: pd.read_csv(bench.RESULTS / f"{part}.csv") for part in bench.PARTS}


@pytest.fixture
def tiny(embedded):
    train, test = embedded.train_images, embedded.test_images
    return bench.Images(train[:150], train[150:170], test[:60], embedded.test_labels[:60])


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
