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
    ResidualAutoencoder,
    load_pretrained,
    reconstruct,
    reconstruction_error,
)
from convae_lib.layers import ResidualBlock
from convae_lib.models import ResidualDecoder, ResidualEncoder


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


def test_the_better_network_reaches_its_error_with_28_numbers(data):
    model = load_pretrained("better")
    assert isinstance(model, ResidualAutoencoder) and not model.training
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    reconstructions, codes = reconstruct(model, data.test_images)
    error = reconstruction_error(data.test_images, reconstructions).mean().item()
    assert 0.008 < error < 0.0153
    assert codes.shape == (len(data.test_images), 28)


@pytest.mark.parametrize("name", ["Lesson", "", "best"])
def test_an_unknown_pretrained_name_is_refused(name):
    message = rf"name must be one of \['better', 'lesson'\], got '{name}'; train"
    with pytest.raises(ValueError, match=message):
        load_pretrained(name)


# ---- the residual autoencoder


class PlainBlock(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.path = nn.Sequential(
            nn.GELU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.GELU(),
            nn.Conv2d(channels, channels, 3, padding=1),
        )

    def forward(self, x):
        return x + self.path(x)


def plain_residual_autoencoder(hidden_dim, width):
    """The architecture in torch's own building blocks, parameters in the same order."""
    encoder = nn.Sequential(
        nn.Conv2d(1, width, 4, stride=4),
        PlainBlock(width),
        nn.GELU(),
        nn.Flatten(),
        nn.Linear(width * 49, 512),
        nn.GELU(),
        nn.Linear(512, hidden_dim),
    )
    decoder = nn.Sequential(
        nn.Linear(hidden_dim, 512),
        nn.GELU(),
        nn.Linear(512, width * 49),
        nn.Unflatten(1, (width, 7, 7)),
        PlainBlock(width),
        nn.GELU(),
        nn.Conv2d(width, 16, 3, padding=1),
        nn.Tanh(),
        nn.PixelShuffle(4),
    )
    return nn.Sequential(encoder, decoder)


@pytest.mark.parametrize(("hidden_dim", "width"), [(3, 4), (28, 8)])
def test_the_residual_autoencoder_equals_the_same_network_in_plain_torch(hidden_dim, width):
    model = ResidualAutoencoder(hidden_dim, width)
    plain = plain_residual_autoencoder(hidden_dim, width)
    copy_weights(model, plain)
    images = torch.randn(3, 1, 28, 28)
    reconstruction, code = model(images)
    torch.testing.assert_close(code, plain[0](images))
    torch.testing.assert_close(reconstruction, plain(images))
    assert code.shape == (3, hidden_dim) and reconstruction.shape == images.shape
    F.mse_loss(reconstruction, images).backward()
    F.mse_loss(plain(images), images).backward()
    for ours, theirs in zip(model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad)


def test_the_residual_autoencoder_has_3402156_parameters():
    assert sum(p.numel() for p in ResidualAutoencoder().parameters()) == 3_402_156


def test_a_residual_block_whose_second_convolution_is_silent_changes_nothing():
    block = ResidualBlock(3)
    nn.init.zeros_(block.conv2.conv.weight)
    nn.init.zeros_(block.conv2.conv.bias)
    x = torch.randn(2, 3, 5, 6)
    assert torch.equal(block(x), x)


def test_the_residual_autoencoder_takes_any_memory_format():
    permuted = torch.randn(3, 28, 28).unsqueeze(3).permute(0, 3, 1, 2)
    model = ResidualAutoencoder(4, width=8)
    relaid = copy.deepcopy(model).to(memory_format=torch.channels_last)
    torch.testing.assert_close(relaid(permuted), model(permuted.contiguous()))


@pytest.mark.parametrize("part", [ResidualEncoder, ResidualDecoder, ResidualAutoencoder])
@pytest.mark.parametrize("setting", ["hidden_dim", "width"])
def test_a_residual_network_refuses_sizes_that_are_none(part, setting):
    with pytest.raises(ValueError, match=f"^{setting} must be at least 1, got 0; pass 1 or more"):
        part(**{setting: 0})
    with pytest.raises(TypeError, match=f"^{setting} must be a whole number, got 1.5; pass an int"):
        part(**{setting: 1.5})


@pytest.mark.parametrize(
    ("images", "error"),
    [(torch.zeros(2, 1, 32, 32), ValueError), (torch.zeros(2, 1, 28, 28).byte(), TypeError)],
)
def test_a_residual_network_refuses_anything_but_images(images, error):
    with pytest.raises(error, match=r"^images must "):
        ResidualAutoencoder(2, 4)(images)


def test_a_residual_decoder_refuses_a_code_of_another_size():
    with pytest.raises(ValueError, match=r"must have shape \(N, 4\), got \(2, 5\)"):
        ResidualDecoder(4, 4)(torch.zeros(2, 5))
