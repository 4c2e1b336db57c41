import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from torch import nn
from torch.nn import functional as F

from convae_lib import (
    Autoencoder,
    ResidualAutoencoder,
    mean_error,
    pca_baseline,
    reconstruct,
    reconstruction_error,
)

SHAPES = [(1, 28, 28), (3, 32, 32), (3, 16, 24), (1, 8, 8)]
image_shapes = pytest.mark.parametrize("shape", SHAPES, ids=str)


class Halving(nn.Module):
    """An autoencoder without weights: half of each image, and the sums of its two halves."""

    def __init__(self):
        super().__init__()
        self.dropout = nn.Dropout(0.5)
        self.calls = []

    def forward(self, x):
        self.calls.append((len(x), self.training, torch.is_grad_enabled()))
        z = x.flatten(1).unflatten(1, (2, -1)).sum(dim=2)  # (N, 2)
        return self.dropout(x / 2), z


class Returning(nn.Module):
    """A model that returns what a function makes of the images."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def make_images(*shape):
    if shape[1:] == (1, 8, 8):
        return torch.tensor(load_digits().images[: shape[0], None] / 8 - 1, dtype=torch.float32)
    return torch.rand(shape) * 2 - 1


# Reconstructions and errors


@image_shapes
@pytest.mark.parametrize("network", [Autoencoder, ResidualAutoencoder])
@pytest.mark.parametrize("batch_size", [3, np.int64(7), 10**30], ids=["3", "NumPy 7", "all"])
def test_results_are_what_the_model_returns_whatever_the_batch_size(network, shape, batch_size):
    model, images = network(5, image_shape=shape).eval(), make_images(7, *shape)
    with torch.no_grad():
        expected_x_hat, expected_z = model(images)
    x_hat, z = reconstruct(model, images, batch_size=batch_size)
    torch.testing.assert_close(x_hat, expected_x_hat)
    torch.testing.assert_close(z, expected_z)


@given(
    n_images=st.integers(1, 8),
    batch_size=st.integers(1, 9),
    dtype=st.sampled_from([torch.float64, torch.float32, torch.bfloat16, torch.float16]),
    requires_grad=st.booleans(),
)
def test_any_model_is_run_in_batches_and_keeps_the_dtype(
    n_images, batch_size, dtype, requires_grad
):
    model = Halving()
    images = torch.randn(n_images, 6, 4, 3).permute(0, 3, 1, 2).to(dtype)
    images.requires_grad_(requires_grad)
    before = images.detach().clone()
    x_hat, z = reconstruct(model, images, batch_size=batch_size)
    assert torch.equal(images, before)
    assert images.requires_grad == requires_grad
    assert torch.equal(x_hat, before / 2)
    torch.testing.assert_close(z, before.reshape(n_images, 2, -1).sum(dim=2))
    assert x_hat.dtype == z.dtype == dtype
    assert [size for size, _, _ in model.calls] == [len(b) for b in before.split(batch_size)]
    errors = reconstruction_error(before, x_hat)
    assert errors.dtype == dtype
    assert mean_error(model, images) == pytest.approx(errors.double().mean().item(), rel=1e-9)


def test_the_model_runs_in_evaluation_mode_without_gradients_and_gets_its_modes_back():
    model = nn.Sequential(Halving())
    model[0].dropout.eval()
    reconstruct(model, make_images(2, 1, 4, 4))
    assert model[0].calls == [(2, False, False)]
    assert [module.training for module in model.modules()] == [True, True, False]


def test_the_model_gets_its_modes_back_after_an_error_too():
    model = nn.Sequential(Halving(), Returning(lambda pair: 1 / 0))
    model[0].dropout.eval()
    with pytest.raises(ZeroDivisionError):
        reconstruct(model, make_images(2, 1, 4, 4))
    assert [module.training for module in model.modules()] == [True, True, False, True]
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()


@pytest.mark.parametrize(
    "model",
    [Autoencoder(2), Returning(lambda x: [x, x.flatten(1)])],
    ids=["autoencoder", "returns its input"],
)
def test_results_have_no_graph_share_no_memory_and_can_be_used_in_autograd(model):
    images = make_images(3, 1, 28, 28)
    for result in reconstruct(model, images):
        assert not result.requires_grad
        assert not result.is_inference()
        assert result.data_ptr() != images.data_ptr()
        layer = nn.Linear(result[0].numel(), 1)
        layer(result.flatten(1)).sum().backward()
        torch.testing.assert_close(layer.weight.grad[0], result.flatten(1).sum(dim=0))


MEMORY = """
import torch
from convae_lib import reconstruct
def status(field):
    return int(open("/proc/self/status").read().split(field)[1].split()[0]) * 1024

class Wide(torch.nn.Module):  # its 14 channels would fill 440 MB for all images at once
    def forward(self, x):
        wide = x.repeat(1, 14, 1, 1)
        return wide[:, :1], wide.mean(dim=(2, 3))

images = torch.rand(10_000, 1, 28, 28)
before = status("VmRSS:")
result = reconstruct(Wide(), images)
size = sum(tensor.nbytes for tensor in result)
print(int((status("VmHWM:") - before - size) / 1e6))
"""


def test_ten_thousand_images_add_at_most_300_mb_to_the_result():
    status = Path("/proc/self/status")
    if not status.exists() or "VmHWM" not in status.read_text():
        pytest.skip("the peak memory of a process is read from Linux's /proc")
    run = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert int(run.stdout) <= 300


@image_shapes
def test_errors_are_means_over_pixels_and_images_even_if_the_last_batch_is_shorter(shape):
    images = make_images(253, *shape)
    images[250:] *= 3
    expected = [(image - image / 2).square().sum() / image.numel() for image in images]
    torch.testing.assert_close(reconstruction_error(images, images / 2), torch.stack(expected))
    error = mean_error(Halving(), images)
    assert type(error) is float
    assert error == pytest.approx(F.mse_loss(images / 2, images).item(), rel=1e-5)


# PCA


@pytest.mark.parametrize(
    ("shape", "dtype", "hidden_dim", "tolerance"),
    [
        ((1, 28, 28), torch.float32, 2, 1e-4),
        ((3, 32, 32), torch.float32, 2, 1e-4),
        ((3, 16, 24), torch.float32, 2, 1e-4),
        ((1, 8, 8), torch.float32, 2, 1e-4),
        ((1, 8, 8), torch.float64, 28, 1e-4),
        ((1, 8, 8), torch.bfloat16, 1, 0.06),
    ],
    ids=["MNIST", "RGB", "wide RGB", "digits", "digits float64", "digits bfloat16"],
)
def test_the_pca_baseline_equals_a_full_singular_value_decomposition(
    shape, dtype, hidden_dim, tolerance
):
    images = (make_images(110, *shape) + 0.2).to(dtype)
    train, test = images[:70].requires_grad_(), images[70:].detach()
    train_pixels = train.detach().flatten(1).double().numpy()
    oracle = PCA(hidden_dim, svd_solver="full").fit(train_pixels)
    expected = oracle.inverse_transform(oracle.transform(test.flatten(1).double().numpy()))
    expected = torch.tensor(expected).reshape_as(test).to(dtype)

    model = pca_baseline(train, hidden_dim)
    x_hat, z = reconstruct(model, test)
    close = {"rtol": 0, "atol": tolerance}
    torch.testing.assert_close(x_hat, expected, **close)
    assert z.shape == (40, hidden_dim)
    assert z.dtype == x_hat.dtype == dtype
    assert model.components.dtype == model.mean.dtype == dtype
    products = model.components @ model.components.T
    torch.testing.assert_close(products, torch.eye(hidden_dim, dtype=dtype), **close)
    torch.testing.assert_close(model.mean, train.detach().mean(dim=0), **close)


def test_the_pca_baseline_has_28_components_and_no_parameters():
    model = pca_baseline(make_images(100, 1, 8, 8))
    assert model.components.shape == (28, 64)
    assert list(model.parameters()) == []


@pytest.mark.parametrize(
    ("shape", "largest"),
    [((20, 1, 28, 28), 19), ((90, 1, 2, 2), 4), ((4, 3, 200, 200), 3)],
    ids=["few images", "few pixels", "a covariance of 57 GB"],
)
def test_with_the_largest_latent_dimension_every_training_image_is_restored(shape, largest):
    images = make_images(*shape)
    assert mean_error(pca_baseline(images, hidden_dim=largest), images) < 1e-9
    message = f"^hidden_dim must be at most {largest} here, got {largest + 1} for {shape[0]} images"
    with pytest.raises(ValueError, match=message):
        pca_baseline(images, hidden_dim=largest + 1)


# Wrong arguments

NO_PAIRS = {
    "one tensor": lambda x: x,
    "one tensor of two rows": lambda x: torch.stack([x, x]),
    "three tensors": lambda x: (x, x.flatten(1), x),
    "other size": lambda x: (x.mean((1, 2, 3), keepdim=True), x.flatten(1)),
    "one code for all": lambda x: (x, x.mean()),
    "one row of codes": lambda x: (x, x.flatten(1)[:1]),
    "an array": lambda x: (x.numpy(), x.flatten(1)),
    "no code": lambda x: (x, None),
}


@pytest.mark.parametrize("function", NO_PAIRS.values(), ids=NO_PAIRS)
def test_a_model_that_returns_no_reconstruction_and_code_of_each_image_is_refused(function):
    message = r"^model must return \(reconstruction, code\) for images \(2, 1, 4, 4\), .* got"
    with pytest.raises(ValueError, match=message):
        reconstruct(Returning(function), torch.rand(2, 1, 4, 4))
    with pytest.raises(ValueError, match=message):
        mean_error(Returning(function), torch.rand(2, 1, 4, 4))


x = torch.rand(9, 1, 4, 4)


@pytest.mark.parametrize("function", [reconstruct, mean_error])
@pytest.mark.parametrize(
    ("images", "error", "message"),
    [
        (x[0], ValueError, r"images must have shape \(N, C, H, W\), got \(1, 4, 4\); for a sing"),
        (x[:0], ValueError, "images must hold at least one example"),
        (x[..., :0], ValueError, "images must hold at least one example"),
        (x.byte(), TypeError, "images must hold floating-point pixels, got torch.uint8; use scale"),
        ([1], TypeError, "images must be a torch.Tensor, got list; convert it"),
    ],
    ids=["one image", "no images", "no pixels", "bytes", "a list"],
)
def test_what_are_no_images_is_refused(function, images, error, message):
    with pytest.raises(error, match=f"^{message}"):
        function(Halving(), images)


def test_an_empty_batch_is_refused():
    with pytest.raises(ValueError, match=r"^batch_size must be at least 1, got 0"):
        reconstruct(Halving(), x, batch_size=0)


@pytest.mark.parametrize(
    ("images", "reconstructions", "error", "message"),
    [
        (x, x[:1], ValueError, r"images and reconstructions must have .*\(9, .* and \(1, .*pairs"),
        (x.byte(), x, TypeError, "images must hold floating-point pixels"),
        (x, x[:, 0], ValueError, r"reconstructions must have shape \(N, C, H, W\), got \(9, 4, 4"),
    ],
    ids=["different numbers", "bytes", "without channels"],
)
def test_what_are_no_pairs_of_images_is_refused(images, reconstructions, error, message):
    with pytest.raises(error, match=f"^{message}"):
        reconstruction_error(images, reconstructions)


@pytest.mark.parametrize(
    ("train_images", "hidden_dim", "error", "message"),
    [
        (x.byte(), 1, TypeError, "train_images must hold floating-point pixels"),
        (x * torch.nan, 1, ValueError, "train_images must be finite, got nan"),
        (x, 0.9, TypeError, "hidden_dim must be a whole number, got 0.9"),
        (x, 0, ValueError, "hidden_dim must be at least 1, got 0"),
    ],
    ids=["bytes", "NaN", "a fraction", "zero"],
)
def test_pca_of_wrong_arguments_is_refused(train_images, hidden_dim, error, message):
    with pytest.raises(error, match=f"^{message}"):
        pca_baseline(train_images, hidden_dim)
