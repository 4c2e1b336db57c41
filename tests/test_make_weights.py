import importlib.util
from pathlib import Path

import pytest
import torch

TOOL = Path(__file__).parents[1] / "tools" / "make_weights.py"


@pytest.fixture(scope="module")
def make_weights():
    spec = importlib.util.spec_from_file_location("make_weights", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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


def test_the_weights_are_written_where_the_library_reads_them(make_weights):
    assert (make_weights.WEIGHTS / "lesson.safetensors").is_file()


def test_the_test_images_of_the_embedded_tier_are_in_mnists_training_set(
    make_weights, data, embedded
):
    if data.source != "mnist":
        pytest.skip("needs all of MNIST")
    kept = make_weights.without(data.train_images, embedded.test_images)
    assert len(kept) == 59_000
