from dataclasses import replace

import make_weights
import torch
from safetensors.torch import load_model

from convae_lib import Autoencoder, ResidualAutoencoder, SecondLook


def test_every_copy_of_an_excluded_image_is_left_out_and_the_others_stay_in_order(embedded):
    images = embedded.train_images[[0, 1, 0, 2, 3, 0]].clone()
    almost = embedded.train_images[:1].clone()
    almost[0, 0, 14, 14] += 0.5
    kept = make_weights.without(torch.cat([images, almost]), images[:1])
    assert torch.equal(kept, torch.cat([images[[1, 3, 4]], almost]))
    assert torch.equal(make_weights.without(images, images[:0]), images)


def test_the_command_writes_weights_that_load(embedded, tmp_path, monkeypatch, capsys):
    train = torch.cat([embedded.train_images[:80], embedded.test_images[:40]])
    labels = torch.zeros(120).long()
    mnist = replace(embedded, train_images=train, train_labels=labels, source="mnist")
    monkeypatch.setattr(make_weights, "load_mnist", iter([mnist, embedded]).__next__)
    monkeypatch.setenv("CONVAE_OFFLINE", "0")
    make_weights.main(tmp_path)
    assert "lesson: training on 80 images" in capsys.readouterr().out
    networks = {"lesson": Autoencoder, "better": ResidualAutoencoder, "second_look": SecondLook}
    for name, network in networks.items():
        assert load_model(network(), tmp_path / f"{name}.safetensors") == (set(), [])
