import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from convae_lib import (
    Autoencoder,
    ConvLayer,
    Decoder,
    DenseLayer,
    Encoder,
    load_pretrained,
    reconstruct,
    reconstruction_error,
)


def plain_autoencoder(hidden_dim):
    """The architecture in torch's own building blocks, parameters in the same order."""
    return nn.Sequential(
        nn.Conv2d(1, 14, 5, padding=2),
        nn.Tanh(),
        nn.Conv2d(14, 7, 5, padding=2),
        nn.Tanh(),
        nn.Flatten(),
        nn.Linear(7 * 28 * 28, hidden_dim),
        nn.Tanh(),
        nn.Linear(hidden_dim, 7 * 28 * 28),
        nn.Tanh(),
        nn.Unflatten(1, (7, 28, 28)),
        nn.Conv2d(7, 14, 5, padding=2),
        nn.Tanh(),
        nn.Conv2d(14, 1, 5, padding=2),
        nn.Tanh(),
    )


def copy_weights(source, target):
    with torch.no_grad():
        for ours, theirs in zip(source.parameters(), target.parameters(), strict=True):
            theirs.copy_(ours)


@pytest.mark.parametrize("hidden_dim", [1, 2, 28, 40])
def test_the_parameters_are_as_many_as_counted_by_hand(hidden_dim):
    convolutions = (1 * 25 + 1) * 14 + (14 * 25 + 1) * 7 + (7 * 25 + 1) * 14 + (14 * 25 + 1) * 1
    dense = (5488 + 1) * hidden_dim + (hidden_dim + 1) * 5488
    count = sum(p.numel() for p in Autoencoder(hidden_dim).parameters())
    assert count == convolutions + dense


def test_with_a_code_of_28_numbers_there_are_318480_parameters():
    assert sum(p.numel() for p in Autoencoder(hidden_dim=28).parameters()) == 318_480
    assert sum(p.numel() for p in Autoencoder().parameters()) == 318_480


def test_every_part_has_the_name_it_has_in_the_source_lesson():
    model = Autoencoder()
    assert isinstance(model.encoder, Encoder) and isinstance(model.decoder, Decoder)
    for part in (model.encoder, model.decoder):
        for layer in (part.conv1, part.conv2):
            assert isinstance(layer, ConvLayer)
            assert isinstance(layer.conv, nn.Conv2d) and isinstance(layer.activation, nn.Tanh)
        assert isinstance(part.dense1, DenseLayer)
        assert isinstance(part.dense1.linear, nn.Linear)
        assert isinstance(part.dense1.activation, nn.Tanh)


@pytest.mark.parametrize("hidden_dim", [1, 28])
@pytest.mark.parametrize("rows", [1, 3])
def test_images_become_codes_and_codes_become_images(rows, hidden_dim):
    model = Autoencoder(hidden_dim)
    images = torch.rand(rows, 1, 28, 28) * 2 - 1
    reconstruction, code = model(images)
    assert reconstruction.shape == (rows, 1, 28, 28)
    assert code.shape == (rows, hidden_dim)
    assert torch.equal(code, model.encoder(images))
    assert torch.equal(reconstruction, model.decoder(code))


def test_codes_and_reconstructions_stay_within_minus_one_and_one():
    for output in Autoencoder()(1000 * torch.randn(5, 1, 28, 28)):
        assert output.abs().max() <= 1


@pytest.mark.parametrize("hidden_dim", [3, 28])
def test_the_autoencoder_equals_the_same_network_in_plain_torch(hidden_dim):
    model, plain = Autoencoder(hidden_dim), plain_autoencoder(hidden_dim)
    copy_weights(model, plain)
    images = torch.randn(4, 1, 28, 28)
    reconstruction, code = model(images)
    torch.testing.assert_close(reconstruction, plain(images))
    torch.testing.assert_close(code, plain[:7](images))


def test_the_gradients_equal_those_of_plain_torch():
    model, plain = Autoencoder(5), plain_autoencoder(5)
    copy_weights(model, plain)
    images = torch.randn(3, 1, 28, 28)
    F.mse_loss(model(images)[0], images).backward()
    F.mse_loss(plain(images), images).backward()
    for ours, theirs in zip(model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad)


def test_channels_last_images_and_weights_change_nothing():
    images = torch.randn(3, 28, 28)
    permuted = images.unsqueeze(3).permute(0, 3, 1, 2)
    model = Autoencoder(4)
    relaid = copy.deepcopy(model).to(memory_format=torch.channels_last)
    expected = model(images.unsqueeze(1))
    for actual in (model(permuted), relaid(permuted)):
        torch.testing.assert_close(actual, expected)


@pytest.mark.parametrize("part", [Encoder, Decoder, Autoencoder])
@pytest.mark.parametrize(
    ("hidden_dim", "error", "message"),
    [
        (0, ValueError, "hidden_dim must be at least 1, got 0; pass 1 or more"),
        (-1, ValueError, "hidden_dim must be at least 1, got -1"),
        (2.5, TypeError, "hidden_dim must be a whole number, got 2.5; pass an int"),
    ],
)
def test_a_wrong_code_size_is_refused(part, hidden_dim, error, message):
    with pytest.raises(error, match=f"^{message}"):
        part(hidden_dim)


@pytest.mark.parametrize("part", [Encoder, Autoencoder])
@pytest.mark.parametrize(
    ("images", "error", "message"),
    [
        (torch.zeros(1, 28, 28), ValueError, r"\(N, 1, 28, 28\), got \(1, 28, 28\)"),
        (torch.zeros(2, 3, 28, 28), ValueError, r"\(N, 1, 28, 28\), got \(2, 3, 28, 28\)"),
        (torch.zeros(2, 28, 28, 1), ValueError, r"\(N, 1, 28, 28\), got \(2, 28, 28, 1\)"),
        (torch.zeros(2, 1, 32, 32), ValueError, r"\(N, 1, 28, 28\), got \(2, 1, 32, 32\)"),
        (
            torch.zeros(2, 1, 28, 28, dtype=torch.uint8),
            TypeError,
            r"must hold floating-point numbers, got torch.uint8; .* scale_images",
        ),
        ([0.0], TypeError, "must be a torch.Tensor, got list"),
    ],
)
def test_anything_but_a_batch_of_images_is_refused(part, images, error, message):
    with pytest.raises(error, match=f"^images must .*{message}|^images {message}"):
        part(4)(images)


@pytest.mark.parametrize("code", [torch.zeros(2, 5), torch.zeros(4), torch.zeros(2, 4, 1)])
def test_a_code_of_another_size_is_refused(code):
    with pytest.raises(ValueError, match=r"must have shape \(N, 4\), got "):
        Decoder(4)(code)


def test_the_pretrained_network_comes_in_evaluation_mode_and_the_same_every_time():
    torch.manual_seed(1)
    first = load_pretrained("lesson")
    torch.manual_seed(2)
    second = load_pretrained("lesson")
    assert isinstance(first, Autoencoder)
    assert not any(module.training for module in first.modules())
    assert first is not second
    for one, other in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, other)
        assert one.requires_grad


def test_loading_twice_gives_networks_that_do_not_share_weights():
    first, second = load_pretrained("lesson"), load_pretrained("lesson")
    nn.init.zeros_(first.encoder.conv1.conv.weight)
    assert second.encoder.conv1.conv.weight.abs().sum() > 0


def test_the_pretrained_network_beats_the_mean_image_on_test_images(data):
    reconstructions, codes = reconstruct(load_pretrained("lesson"), data.test_images)
    error = reconstruction_error(data.test_images, reconstructions).mean().item()
    mean_image = data.train_images.mean(dim=0, keepdim=True)
    baseline = (data.test_images - mean_image).square().mean().item()
    assert 0.06 <= error <= 0.08
    assert error < baseline / 3
    assert codes.shape == (len(data.test_images), 28)


@pytest.mark.parametrize("name", ["Lesson", "", "better"])
def test_an_unknown_pretrained_name_is_refused(name):
    with pytest.raises(ValueError, match=rf"name must be one of \['lesson'\], got '{name}'; train"):
        load_pretrained(name)
