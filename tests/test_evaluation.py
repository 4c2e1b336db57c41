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

from convae_lib import Autoencoder, ResidualAutoencoder
from convae_lib.evaluation import mean_error, pca_baseline, reconstruct, reconstruction_error

SHAPES = [(1, 28, 28), (3, 32, 32), (3, 16, 24), (1, 8, 8)]
shapes = pytest.mark.parametrize("shape", SHAPES, ids=str)


class Halving(nn.Module):
    """An autoencoder of arithmetic: half the image, and the sums of its halves as a code."""

    def __init__(self):
        super().__init__()
        self.dropout = nn.Dropout(0.5)
        self.batches = []

    def forward(self, x):
        self.batches.append((len(x), self.training, torch.is_grad_enabled()))
        return self.dropout(x / 2), x.flatten(1).unflatten(1, (2, -1)).sum(dim=2)


class Returning(nn.Module):
    """A model that returns what a function makes of the images."""

    def __init__(self, function):
        super().__init__()
        self.forward = function


def some_images(*shape):
    if shape[1:] == (1, 8, 8):
        return torch.tensor(load_digits().images[: shape[0], None] / 8 - 1, dtype=torch.float32)
    return torch.rand(shape) * 2 - 1


@shapes
@pytest.mark.parametrize("network", [Autoencoder, ResidualAutoencoder])
def test_results_are_what_the_model_returns_whatever_the_batches(network, shape):
    model, images = network(5, image_shape=shape).eval(), some_images(7, *shape)
    expected = [part.detach() for part in model(images)]
    for batch_size in (3, np.int64(7), 10**30):
        results = reconstruct(model, images, batch_size=batch_size)
        torch.testing.assert_close([*results], expected)
    assert mean_error(model, images) == pytest.approx(F.mse_loss(expected[0], images).item())


@given(
    rows=st.integers(1, 8),
    batch_size=st.integers(1, 9),
    dtype=st.sampled_from([torch.float64, torch.float32, torch.bfloat16, torch.float16]),
    grad=st.booleans(),
)
def test_a_network_of_ones_own_is_run_in_batches_and_keeps_the_type(rows, batch_size, dtype, grad):
    model = Halving()
    images = torch.randn(rows, 6, 4, 3).permute(0, 3, 1, 2).to(dtype).requires_grad_(grad)
    before = images.detach().clone()
    reconstructions, codes = reconstruct(model, images, batch_size=batch_size)
    assert torch.equal(images, before) and images.requires_grad == grad
    assert torch.equal(reconstructions, before / 2)
    torch.testing.assert_close(codes, before.reshape(rows, 2, -1).sum(dim=2))
    assert [size for size, _, _ in model.batches] == [*map(len, before.split(batch_size))]
    errors = reconstruction_error(before, reconstructions)
    assert errors.dtype == reconstructions.dtype == codes.dtype == dtype
    assert mean_error(model, images) == pytest.approx(errors.double().mean().item(), rel=1e-9)


def test_the_model_runs_in_evaluation_mode_and_gets_every_mode_back_also_after_an_error():
    model = nn.Sequential(Halving())
    model[0].dropout.eval()
    reconstruct(model, some_images(2, 1, 4, 4))
    assert model[0].batches == [(2, False, False)]
    assert [module.training for module in model.modules()] == [True, True, False]
    model.append(Returning(lambda pair: 1 / 0))
    with pytest.raises(ZeroDivisionError):
        reconstruct(model, some_images(2, 1, 4, 4))
    assert [module.training for module in model.modules()] == [True, True, False, True]
    assert torch.is_grad_enabled() and not torch.is_inference_mode_enabled()


@pytest.mark.parametrize("model", [Autoencoder(2), Returning(lambda x: [x, x.flatten(1)])])
def test_results_have_no_graph_share_nothing_and_can_be_used_in_autograd(model):
    images = some_images(3, 1, 28, 28)
    for result in reconstruct(model, images):
        assert not result.requires_grad and not result.is_inference()
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


def test_ten_thousand_images_add_at_most_300_mb_over_the_result():
    status = Path("/proc/self/status")
    if not status.exists() or "VmHWM" not in status.read_text():
        pytest.skip("the peak memory of a process is read from Linux's /proc")
    run = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert int(run.stdout) <= 300


@shapes
def test_errors_are_means_over_pixels_and_images_a_shorter_last_batch_weighed_right(shape):
    images = some_images(253, *shape)
    images[250:] *= 3
    expected = [(image - image / 2).square().sum() / image.numel() for image in images]
    torch.testing.assert_close(reconstruction_error(images, images / 2), torch.stack(expected))
    error = mean_error(Halving(), images)
    assert type(error) is float and error == pytest.approx(
        nn.MSELoss()(images / 2, images).item(), rel=1e-5
    )


@pytest.mark.parametrize(
    ("shape", "dtype", "code_size"),
    [(shape, torch.float32, 2) for shape in SHAPES]
    + [((1, 8, 8), torch.float64, 28), ((1, 8, 8), torch.bfloat16, 1)],
)
def test_the_pca_baseline_equals_a_full_singular_value_decomposition(shape, dtype, code_size):
    images = (some_images(110, *shape) + 0.2).to(dtype)
    train, test = images[:70], images[70:]
    oracle = PCA(code_size, svd_solver="full").fit(train.flatten(1).double().numpy())
    codes = oracle.transform(test.flatten(1).double().numpy())
    expected = torch.tensor(oracle.inverse_transform(codes)).reshape_as(test)
    model = pca_baseline(train.requires_grad_(), code_size)
    assert model.components.dtype == model.mean.dtype == dtype and not train.grad
    reconstructions, ours = reconstruct(model, test)
    tolerance = {"rtol": 0, "atol": 0.06 if dtype == torch.bfloat16 else 1e-4}
    torch.testing.assert_close(reconstructions, expected.to(dtype), **tolerance)
    assert ours.shape == (40, code_size) and ours.dtype == reconstructions.dtype == dtype
    products = model.components @ model.components.T
    torch.testing.assert_close(products, torch.eye(code_size, dtype=dtype), **tolerance)
    torch.testing.assert_close(model.mean, train.mean(dim=0).detach(), **tolerance)


def test_the_pca_baseline_has_28_numbers_moves_with_to_and_is_left_alone_by_optimizers():
    model = pca_baseline(some_images(100, 1, 8, 8))
    assert not [*model.parameters()] and {*model.state_dict()} == {"components", "mean"}
    assert model.components.shape == (28, 64)
    assert {buffer.device.type for buffer in model.to("meta").buffers()} == {"meta"}


@pytest.mark.parametrize(
    ("shape", "size"),  # the covariance of the pixels of the last would fill 57 GB
    [((20, 1, 28, 28), 19), ((90, 1, 2, 2), 4), ((4, 3, 200, 200), 3)],
)
def test_as_many_components_as_there_can_be_restore_every_training_image(shape, size):
    images = some_images(*shape)
    assert mean_error(pca_baseline(images, size), images) < 1e-9
    with pytest.raises(ValueError, match=f"^code_size must be at most {size} .* got {size + 1}"):
        pca_baseline(images, size + 1)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x,  # two rows are no pair
        lambda x: torch.stack([x, x]),
        lambda x: (x, x.flatten(1), x),
        lambda x: (x.mean((1, 2, 3), keepdim=True), x.flatten(1)),
        lambda x: (x, x.mean()),
        lambda x: (x, x.flatten(1)[:1]),
        lambda x: (x.numpy(), x.flatten(1)),
    ],
)
def test_a_model_that_returns_no_pair_for_the_images_is_refused(function):
    message = r"^model must return \(reconstruction, code\) for images \(2, 1, 4, 4\), .* got"
    with pytest.raises(ValueError, match=message):
        reconstruct(Returning(function), torch.rand(2, 1, 4, 4))


x = torch.rand(9, 1, 4, 4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: reconstruct(Halving(), x[0]), r"images .* \(N, C, H, W\), got \(1, 4"),
        (lambda: reconstruct(Halving(), x[:0]), "images must hold at least one"),
        (lambda: reconstruct(Halving(), x[..., :0]), "images must hold at least one"),
        (lambda: reconstruct(Halving(), [1]), "images must be a torch.Tensor, got list"),
        (lambda: reconstruct(Halving(), x, batch_size=0), "batch_size must be at least 1, got 0"),
        (lambda: mean_error(Halving(), x.byte()), "images must hold floating-point pixels"),
        (lambda: reconstruction_error(x, x[:1]), r"images and .*\(9, .* and \(1, .*pairs"),
        (lambda: mean_error(Halving(), [1]), "images must be a torch.Tensor, got list"),
        (lambda: reconstruction_error(x.byte(), x), "images must hold floating-point pixels"),
        (lambda: reconstruction_error(x, x[:, 0]), "reconstructions must have shape"),
        (lambda: pca_baseline(x.byte()), "train_images must hold floating-point"),
        (lambda: pca_baseline(x * torch.nan, 1), "train_images must be finite, .* nan"),
        (lambda: pca_baseline(x, 0.9), "code_size must be a whole number, got 0.9"),
    ],
)
def test_wrong_arguments_are_refused_in_the_words_of_the_function(call, message):
    with pytest.raises((TypeError, ValueError), match=f"^{message}"):
        call()
