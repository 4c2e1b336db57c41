"""The command behind `make weights`."""

import make_weights
import pytest
import torch
from safetensors.torch import load_model

from convae_lib import Autoencoder, IterativeAutoencoder, ResidualAutoencoder


def test_every_copy_of_an_excluded_image_is_left_out_and_the_others_stay_in_order(offline_data):
    images = offline_data.train_images[[0, 1, 0, 2, 3, 0]].clone()
    similar = offline_data.train_images[:1].clone()
    similar[0, 0, 14, 14] += 0.5
    kept = make_weights.without(torch.cat([images, similar]), images[:1])
    assert torch.equal(kept, torch.cat([images[[1, 3, 4]], similar]))


def test_all_images_stay_if_none_is_excluded(offline_data):
    images = offline_data.train_images[:3]
    assert torch.equal(make_weights.without(images, images[:0]), images)


@pytest.fixture(scope="module")
def weights_folder(offline_data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    make_weights.train_and_save(
        offline_data.train_images[:80], offline_data.test_images[:40], folder
    )
    return folder


@pytest.mark.parametrize(
    ("name", "network"),
    [
        ("lesson", Autoencoder),
        ("residual", ResidualAutoencoder),
        ("iterative", IterativeAutoencoder),
    ],
)
def test_the_written_weights_load(weights_folder, name, network):
    missing, unexpected = load_model(network(), weights_folder / f"{name}.safetensors")
    assert not missing
    assert not unexpected


def test_every_shipped_file_is_made_by_the_command(weights_folder):
    shipped = {path.name for path in make_weights.WEIGHTS.glob("*.safetensors")}
    assert {path.name for path in weights_folder.iterdir()} == shipped


def test_the_command_does_not_replace_weights_without_all_of_mnist(monkeypatch):
    monkeypatch.setenv("CONVAE_OFFLINE", "1")
    with pytest.raises(SystemExit, match="all of MNIST"):
        make_weights.main()
