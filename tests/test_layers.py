import re

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from convae_lib import ConvLayer, DenseLayer, ResidualBlock

sizes = st.integers(1, 6)
activations = st.sampled_from([None, torch.cos, nn.Tanh(), nn.ReLU()])
layouts = st.sampled_from([torch.contiguous_format, torch.channels_last])
dtypes = st.sampled_from([torch.float32, torch.float64])


def values_and_gradients(function, parameters, x):
    """The output, and the gradients of its sine's sum for the input and for the parameters."""
    x = x.detach().clone().requires_grad_()
    y = function(x)
    return [y, *torch.autograd.grad(y.sin().sum(), [x, *parameters])]


def assert_same(layer, plain_function, plain_parameters, x):
    """A layer has the values and gradients of a function of plain torch."""
    ours = values_and_gradients(layer, layer.parameters(), x)
    plain = values_and_gradients(plain_function, plain_parameters, x)
    torch.testing.assert_close(ours, plain, rtol=1e-4, atol=1e-5)


@given(n=sizes, inputs=sizes, neurons=sizes, activation=activations, dtype=dtypes)
def test_a_dense_layer_equals_nn_linear_then_its_activation(n, inputs, neurons, activation, dtype):
    linear = nn.Linear(inputs, neurons, dtype=dtype)
    layer = DenseLayer(inputs, neurons, activation=activation).to(dtype)
    layer.linear.load_state_dict(linear.state_dict())

    def plain(x):
        return linear(x) if activation is None else activation(linear(x))

    assert_same(layer, plain, linear.parameters(), torch.randn(n, inputs, dtype=dtype))


@given(
    shape=st.tuples(sizes, sizes, sizes, sizes),
    filters=sizes,
    filter_size=st.sampled_from([1, 3, 5, 7]),
    activation=activations,
    flatten=st.booleans(),
    layout=layouts,
    weights_layout=layouts,
)
def test_a_conv_layer_equals_nn_conv2d_then_its_activation_in_any_memory_format(
    shape, filters, filter_size, activation, flatten, layout, weights_layout
):
    conv = nn.Conv2d(shape[1], filters, filter_size, padding="same")
    layer = ConvLayer(shape[1], filters, filter_size, activation=activation, flatten=flatten)
    layer.conv.load_state_dict(conv.state_dict())
    layer.to(memory_format=weights_layout)

    def plain(x):
        y = conv(x) if activation is None else activation(conv(x))
        return y.flatten(1) if flatten else y

    x = torch.randn(shape).contiguous(memory_format=layout)
    assert_same(layer, plain, conv.parameters(), x)


def test_flattening_goes_channel_by_channel_then_row_by_row():
    layer = ConvLayer(1, 2, 1, flatten=True)
    with torch.no_grad():
        layer.conv.weight.copy_(torch.tensor([1.0, 10.0]).reshape(2, 1, 1, 1))
        layer.conv.bias.zero_()
    image = torch.tensor([[[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]]])
    assert layer(image).tolist() == [[1, 2, 3, 4, 5, 6, 10, 20, 30, 40, 50, 60]]


def test_a_conv_layer_does_not_flip_its_filter_and_adds_a_border_of_zeros():
    layer = ConvLayer(1, 1, 3)
    with torch.no_grad():
        layer.conv.bias.zero_()
        layer.conv.weight.zero_()[0, 0, 1, 2] = 1  # takes the pixel to the right
    image = torch.arange(6.0).reshape(1, 1, 2, 3)
    assert layer(image).tolist() == [[[[1, 2, 0], [4, 5, 0]]]]


@given(n=sizes, channels=sizes, height=sizes, width=sizes, layout=layouts)
def test_a_residual_block_adds_two_convolutions_to_its_input(n, channels, height, width, layout):
    conv1 = nn.Conv2d(channels, channels, 3, padding=1)
    conv2 = nn.Conv2d(channels, channels, 3, padding=1)
    block = ResidualBlock(channels)
    block.conv1.conv.load_state_dict(conv1.state_dict())
    block.conv2.conv.load_state_dict(conv2.state_dict())

    def plain(x):
        return x + conv2(F.gelu(conv1(F.gelu(x))))

    x = torch.randn(n, channels, height, width).contiguous(memory_format=layout)
    assert_same(block, plain, [*conv1.parameters(), *conv2.parameters()], x)


@pytest.mark.parametrize(
    ("layer", "x"),
    [
        (DenseLayer(4, 500, 0.8, torch.cos), torch.ones(200, 4)),
        (ConvLayer(1, 10, 3, torch.cos, 0.8), torch.ones(20, 1, 20, 25)),
        (ConvLayer(1, 10, 3, torch.cos, 0.8, True), torch.ones(20, 1, 20, 25)),
    ],
    ids=["dense", "conv", "conv flattened"],
)
def test_dropout_keeps_its_fraction_after_the_activation_and_scales_by_the_inverse(layer, x):
    trained, full = layer.train()(x), layer.eval()(x)
    kept = trained != 0
    assert kept.float().mean().item() == pytest.approx(0.8, abs=0.01)  # 100,000 units: ± 8 sigma
    torch.testing.assert_close(trained[kept], full[kept] / 0.8)
    layer.dropout = nn.Identity()  # evaluation is as without dropout
    assert torch.equal(full, layer(x))


def test_the_smallest_filters_and_a_dropout_of_1_are_allowed():
    assert ConvLayer(1, 1, 1, dropout=1)(torch.ones(1, 1, 2, 2)).shape == (1, 1, 2, 2)


@pytest.mark.parametrize(
    ("filter_size", "message"),
    [
        (4, "got 4; use 3 or 5, or the size changes"),
        (0, "got 0; use 1 or 3"),
        (-3, "got -3; use 1 or 3"),
    ],
)
def test_a_filter_without_a_middle_is_refused(filter_size, message):
    with pytest.raises(ValueError, match=f"^filter_size must be odd, {message}"):
        ConvLayer(1, 1, filter_size)


@pytest.mark.parametrize("dropout", [0, -0.5, 1.001, float("nan"), nn.Tanh()], ids=str)
def test_a_probability_to_keep_a_unit_outside_of_0_to_1_is_refused(dropout):
    message = rf"^dropout, .* must lie in \(0, 1\], got {re.escape(str(dropout))}; pass 1 for no dr"
    with pytest.raises(ValueError, match=message):
        DenseLayer(2, 2, dropout)
    with pytest.raises(ValueError, match=message):
        ConvLayer(2, 2, 3, dropout=dropout)
