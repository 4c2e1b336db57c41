import dataclasses

import make_weights as tool
import pytest
import torch
from safetensors.torch import load_model

from convae_lib import Autoencoder, ResidualAutoencoder


@pytest.fixture
def make_weights():
    return tool


def test_excluded_images_are_left_out_and_the_others_stay_in_order(make_weights, embedded):
    images = embedded.train_images[:50]
    kept = make_weights.without(images, images[[3, 20, 49]])
    expected = [row for row in range(50) if row not in (3, 20, 49)]
    assert torch.equal(kept, images[expected])


def test_the_test_images_of_the_embedded_tier_are_found_among_others(make_weights, embedded):
    mixed = torch.cat([embedded.test_images[:100], embedded.train_images[:200]])
    order = torch.randperm(len(mixed))
    kept = make_weights.without(mixed[order], embedded.test_images)
    assert torch.equal(kept, mixed[order[order >= 100]])


def test_copies_of_an_excluded_image_are_all_left_out(make_weights, embedded):
    images = embedded.train_images[[0, 1, 0, 2, 0]]
    kept = make_weights.without(images, embedded.train_images[:1])
    assert torch.equal(kept, embedded.train_images[1:3])


def test_an_image_that_differs_in_one_pixel_stays(make_weights, embedded):
    images = embedded.train_images[:3].clone()
    images[1, 0, 14, 14] += 0.5
    kept = make_weights.without(images, embedded.train_images[:3])
    assert torch.equal(kept, images[1:2])


def test_nothing_excluded_leaves_everything(make_weights, embedded):
    images = embedded.train_images[:5]
    assert torch.equal(make_weights.without(images, images[:0]), images)


def test_the_command_writes_weights_that_the_networks_load(
    make_weights, embedded, tmp_path, monkeypatch
):
    small = dataclasses.replace(
        embedded,
        train_images=torch.cat([embedded.train_images[:80], embedded.test_images[:40]]),
        train_labels=torch.zeros(120, dtype=torch.int64),
        source="mnist",
    )
    monkeypatch.setattr(make_weights, "WEIGHTS", tmp_path)
    monkeypatch.setattr(make_weights, "load_mnist", iter([small, embedded]).__next__)
    monkeypatch.setenv("CONVAE_OFFLINE", "0")
    make_weights.main()
    assert load_model(Autoencoder(28), tmp_path / "lesson.safetensors") == (set(), [])
    assert load_model(ResidualAutoencoder(28), tmp_path / "better.safetensors") == (set(), [])


def test_the_test_images_of_the_embedded_tier_are_in_mnists_training_set(
    make_weights, data, embedded
):
    if data.source != "mnist":
        pytest.skip("needs all of MNIST")
    kept = make_weights.without(data.train_images, embedded.test_images)
    assert len(kept) == 59_000
