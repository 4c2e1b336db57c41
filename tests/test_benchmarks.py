"""The benchmarks behind the stored results, and the results themselves."""

import bench
import contests
import pandas as pd
import pytest
import recipes
import studies
import torch
from plain import PlainTraining, evaluate_in_one_piece
from torch import nn

from convae_lib import Autoencoder, ResidualAutoencoder, load_pretrained

ABLATION = pd.read_csv(bench.RESULTS / "ablation.csv")
SIZES = pd.read_csv(bench.RESULTS / "code_sizes.csv")
SPEED = pd.read_csv(bench.RESULTS / "speed.csv")


@pytest.fixture
def tiny(embedded):
    train, test = embedded.train_images, embedded.test_images
    return bench.Images(train[:150], train[150:170], test[:60], embedded.test_labels[:60])


# ---- recipes


def test_the_ablation_leads_from_the_lesson_to_the_better_recipe():
    steps = list(recipes.ABLATION.values())
    assert steps[0] == recipes.LESSON and steps[-1] == recipes.BETTER
    assert recipes.BETTER.network is ResidualAutoencoder
    assert len(set(map(str, steps))) == len(steps), "every step changes something"


@pytest.mark.parametrize("name", [*recipes.ABLATION, *recipes.RIVALS])
def test_every_network_keeps_the_contract(name):
    recipe = (recipes.ABLATION | recipes.RIVALS)[name]
    reconstruction, code = recipe.network()(torch.zeros(3, 1, 28, 28))
    assert reconstruction.shape == (3, 1, 28, 28) and code.shape == (3, 28)
    assert reconstruction.abs().max() <= 1


def test_the_lessons_network_with_its_own_activations_is_the_lessons_network():
    x = torch.rand(3, 1, 28, 28)
    torch.manual_seed(1)
    ours = recipes.lesson_network(nn.Tanh, nn.Tanh())(x)
    torch.manual_seed(1)
    expected = Autoencoder(28)(x)
    assert torch.equal(ours[0], expected[0]) and torch.equal(ours[1], expected[1])


def test_a_network_without_blocks_and_hidden_layers_is_four_linear_maps():
    model = recipes.residual_network(16, hidden_layer=False)
    assert sum(p.numel() for p in model.parameters()) == (
        (16 * 16 + 16) + (784 * 28 + 28) + (28 * 784 + 784) + (16 * 16 * 9 + 16)
    )


def test_the_fast_recipe_takes_two_hundred_steps():
    assert recipes.FAST.images / recipes.FAST.batch_size == 200
    _, history = recipes.FAST.fit(torch.zeros(130, 1, 28, 28), torch.zeros(1, 1, 28, 28))
    assert len(history.batch_losses) == 3


# ---- contests


def test_the_plain_writing_gives_the_librarys_weights(tiny):
    plain = PlainTraining(tiny.train, seed=3)
    assert list(plain.steps(epochs=2)) == [1, 2, 3, 4, 5, 6]
    model, _ = recipes.replace(recipes.LESSON, epochs=2).fit(tiny.train, tiny.test, seed=3)
    for ours, expected in zip(plain.model.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-3, atol=1e-5)
    loss = evaluate_in_one_piece(plain.model, tiny.test)
    assert loss == pytest.approx(studies.error(model, tiny.test), rel=1e-4)
    assert loss == pytest.approx(contests.evaluate_in_batches(model, tiny.test), rel=1e-4)
    assert plain.seconds > 0


@pytest.mark.parametrize("make", [Autoencoder, lambda: load_pretrained("lesson")])
def test_bfloat16_rounds_and_no_more(make, embedded):
    model = make()
    x = embedded.test_images[:60]
    results = []
    for forward in (model, contests.InBFloat16(model)):
        model.zero_grad()
        reconstruction, code = forward(x)
        assert reconstruction.dtype == code.dtype == torch.float32
        nn.functional.mse_loss(reconstruction, x).backward()
        results.append([reconstruction.detach(), *(p.grad for p in model.parameters())])
    for exact, rounded in zip(*results, strict=True):
        assert not torch.equal(exact, rounded)
        assert torch.cosine_similarity(exact.flatten(), rounded.flatten(), dim=0) > 0.99
        assert 0.85 < rounded.norm() / exact.norm() < 1.15
    assert (results[0][0] - results[1][0]).abs().max() < 0.1


def test_an_interrupted_training_ends_the_program(tiny, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(recipes.PyTorchTrainer, "_train_epoch", interrupt)
    with pytest.raises(KeyboardInterrupt, match="nothing is stored"):
        recipes.LESSON.fit(tiny.train, tiny.test)


def test_contenders_change_turns():
    contenders = {"a": 1, "b": 2}
    assert [*contests.in_turn(contenders, 0)] == [("a", 1), ("b", 2)]
    assert [*contests.in_turn(contenders, 1)] == [("b", 2), ("a", 1)]


def test_a_target_that_is_not_reached_is_no_result(tiny, monkeypatch):
    monkeypatch.setattr(contests, "plain_to_target", lambda *_: (1.0, contests.TARGET))
    monkeypatch.setattr(contests, "fast_to_target", lambda *_: (1.0, 0.07))
    with pytest.raises(RuntimeError, match=r"must come down to 0\.0679, got 0\.07"):
        list(contests.to_target(tiny, 0, quick=False))


def test_a_contender_that_changes_the_error_is_no_result(tiny, monkeypatch):
    monkeypatch.setattr(contests, "peers", None)
    monkeypatch.setattr(contests, "peak_megabytes", lambda *_: 0.0)
    monkeypatch.setattr(contests, "bfloat16_epoch", lambda *_: (Autoencoder(), 1.0))
    with pytest.raises(RuntimeError, match="the same recipe must give the same error"):
        list(contests.epoch(tiny, 0, quick=False))


def test_without_peers_only_a_quick_run_is_possible(monkeypatch):
    monkeypatch.setattr(contests, "peers", None)
    with pytest.raises(SystemExit, match="Lightning, pythae and openTSNE are needed"):
        next(contests.speed(None, range(3), quick=False, report=print))


def test_the_memory_of_an_evaluation_is_measured():
    one_map = 400 * 14 * 28 * 28 * 4 / 1e6  # MB: what the first layer makes of 400 images
    in_one_piece = contests.peak_megabytes(evaluate_in_one_piece, 400)
    assert 2 * one_map < in_one_piece < 8 * one_map


# ---- bench


def test_a_quick_run_measures_every_part_and_stores_it_apart(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(bench, "ROOT", tmp_path)
    monkeypatch.setattr(bench, "load", lambda quick: tiny)
    monkeypatch.setattr(contests, "peers", None)
    monkeypatch.setattr(studies, "CODE_SIZES", (2, 28))
    for part in bench.PARTS:
        path = bench.measure(part, quick=True)
        assert path == tmp_path / "build" / f"{part}.csv"
        rows = pd.read_csv(path)
        stored = pd.read_csv(bench.RESULTS / f"{part}.csv")
        assert [*rows.columns] == [*stored.columns]
        assert rows["date"].notna().all()
    assert "| PCA-28 |" in bench.table(tmp_path / "build")


def test_the_table_shows_means_medians_and_factors(tmp_path):
    pd.DataFrame(
        {
            "name": ["14 epochs"] * 3 + ["unknown"],
            "parameters": [1234] * 4,
            "seconds": [1.0, 2.0, 60.0, 9.0],
            "test_error": [0.01, 0.02, 0.03, 9.0],
            "machine": "a pair of abaci",
            "torch": "2",
            "scikit-learn": "1",
            "date": ["yesterday"] * 3 + ["today"],
            "seed": [0, 1, 2, 0],
        }
    ).to_csv(tmp_path / "ablation.csv")
    pd.DataFrame(
        {
            "comparison": ["map"] * 4,
            "contender": ["theirs", "ours"] * 2,
            "seconds": [8.0, 2.0, 4.0, 1.0],
            "knn_accuracy": [0.5, 0.6, 0.7, 0.8],
            "test_error": None,
            "trustworthiness": None,
            "peak_mb": [None, 1000, None, 2000],
            "machine": "an abacus",
            "torch": "2",
            "scikit-learn": "1",
            "date": "today",
            "seed": [0, 0, 1, 1],
        }
    ).to_csv(tmp_path / "speed.csv")
    lines = bench.table(tmp_path).splitlines()
    assert "| `ResidualAutoencoder`, 14 epochs | 1,234 | 2 | 0.0200 ± 0.01000 |" in lines
    assert not any("unknown" in line for line in lines)
    assert "| map | theirs | 6.00 (4.00–8.00) | 1.0 | kNN 0.600 |" in lines
    ours = "| map | ours | 1.50 (1.00–2.00) | 4.0 | kNN 0.700, 1,500 MB more at the peak |"
    assert ours in lines
    assert lines[-1].endswith("an abacus, torch 2, scikit-learn 1, today.")
    studies = next(line for line in lines if "a pair of abaci" in line)
    assert studies.startswith("Seeds 0, 1, 2: means") and "yesterday; a pair of abaci" in studies


# ---- the stored results


def test_readme_shows_the_stored_results():
    assert f"{bench.MARKS[0]}\n{bench.table()}\n{bench.MARKS[1]}" in bench.README.read_text(
        encoding="utf-8"
    )


def test_every_recipe_and_size_is_stored_with_three_seeds():
    for names, study in ((recipes.ABLATION, "ablation"), (recipes.RIVALS, "rival")):
        stored = ABLATION[ABLATION["study"] == study]
        assert list(dict.fromkeys(stored["name"])) == list(names)
        assert set(zip(stored["name"], stored["seed"], strict=True)) == {
            (name, seed) for name in names for seed in range(3)
        }
    assert set(zip(SIZES["code_size"], SIZES["seed"], strict=True)) == {
        (size, seed) for size in studies.CODE_SIZES for seed in range(3)
    }
    for stored in (ABLATION, SIZES, SPEED):
        assert stored[[*bench.CIRCUMSTANCES]].notna().all(axis=None)


@pytest.mark.parametrize("name", [*recipes.ABLATION, *recipes.RIVALS])
def test_a_stored_row_counts_the_parameters_of_its_recipes_network(name):
    network = (recipes.ABLATION | recipes.RIVALS)[name].network()
    stored = ABLATION.loc[ABLATION["name"] == name, "parameters"]
    assert set(stored) == {sum(parameter.numel() for parameter in network.parameters())}


def test_the_better_network_is_better_in_five_minutes_with_every_seed():
    better = ABLATION[ABLATION["name"] == "14 epochs"]
    assert (better["test_error"] < 0.0153).all()
    assert better["test_error"].mean() <= 0.0120
    assert (better["seconds"] <= 300).all()


def contest(comparison, *columns):
    """Medians of the stored turns by contender, the plain or default one first."""
    rows = SPEED[SPEED["comparison"] == comparison].groupby("contender", sort=False)
    assert (rows["seed"].apply(sorted).map(tuple) == (0, 1, 2)).all()
    return rows[[*columns]].median()


def test_the_library_is_as_much_faster_as_the_course_says():
    training = contest(f"training to a test error of {contests.TARGET}", "seconds", "test_error")
    plain, fast = training.to_numpy()
    assert plain[0] > 6 * fast[0] and max(plain[1], fast[1]) <= contests.TARGET

    epoch = contest("epoch of training", "seconds", "test_error")
    assert [*epoch.index[:3]] == ["plain", "convae_lib", "convae_lib, in bfloat16"]
    assert [*epoch.index[3:]] == ["lightning", "pythae"]
    assert epoch["test_error"].max() - epoch["test_error"].min() < 0.002
    whole = contest("epoch of training and evaluation", "seconds")["seconds"]
    assert whole["plain"] > 1.2 * whole["convae_lib"]


def test_the_librarys_evaluation_takes_a_small_part_of_the_memory():
    peak = contest("evaluation of 10,000 images", "peak_mb")["peak_mb"]
    assert peak["plain"] > 1000 > 100 > peak["convae_lib"] > 10


def test_the_librarys_map_is_as_good_in_less_than_half_of_the_time():
    quality = ["trustworthiness", "knn_accuracy"]
    maps = contest("t-SNE of 10,000 codes", "seconds", *quality)
    default, ours = maps.loc["scikit-learn's default"], maps.loc["convae_lib"]
    assert default["seconds"] > 2.5 * ours["seconds"]
    assert (default[quality] - ours[quality] < 0.003).all()
    assert "openTSNE's default" in maps.index
