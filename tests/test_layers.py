import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from convae_lib import ConvLayer, DenseLayer, ResidualBlock

sizes = st.integers(1, 7)
activations = st.sampled_from([None, torch.tanh, nn.Tanh(), nn.ReLU()])
layouts = st.sampled_from([torch.contiguous_format, torch.channels_last])


def channels_last(images):
    """(N, H, W) images as the source lesson shapes them, with the strides of channels-last."""
    return images.unsqueeze(3).permute(0, 3, 1, 2)


def activated(activation, x):
    return x if activation is None else activation(x)


@given(rows=st.integers(0, 5), inputs=sizes, neurons=sizes, activation=activations)
def test_a_dense_layer_equals_nn_linear_then_its_activation(rows, inputs, neurons, activation):
    linear = nn.Linear(inputs, neurons)
    layer = DenseLayer(inputs, neurons, activation=activation)
    layer.linear.load_state_dict(linear.state_dict())
    x = torch.randn(rows, inputs)
    assert torch.equal(layer(x), activated(activation, linear(x)))


def test_a_dense_layer_computes_what_its_docstring_says():
    layer = DenseLayer(3, 2, activation=torch.tanh)
    weight, bias = layer.linear.weight, layer.linear.bias
    assert weight.shape == (2, 3) and bias.shape == (2,)
    x = torch.randn(4, 3)
    torch.testing.assert_close(layer(x), torch.tanh(x @ weight.T + bias))


@given(
    rows=st.integers(1, 3),
    channels=st.tuples(sizes, sizes),
    height=sizes,
    width=sizes,
    filter_size=st.sampled_from([1, 3, 5, 7]),
    activation=activations,
    layout=layouts,
)
def test_a_conv_layer_equals_nn_conv2d_then_its_activation(
    rows, channels, height, width, filter_size, activation, layout
):
    conv = nn.Conv2d(*channels, filter_size, padding="same")
    layer = ConvLayer(*channels, filter_size, activation=activation)
    layer.conv.load_state_dict(conv.state_dict())
    x = torch.randn(rows, channels[0], height, width)
    y = layer(x.contiguous(memory_format=layout))
    assert y.shape == (rows, channels[1], height, width)
    torch.testing.assert_close(y, activated(activation, conv(x)), rtol=1e-4, atol=1e-5)


def test_a_conv_layer_does_not_flip_its_filter():
    layer = ConvLayer(1, 1, 3)
    nn.init.zeros_(layer.conv.bias)
    nn.init.zeros_(layer.conv.weight)
    with torch.no_grad():
        layer.conv.weight[0, 0, 1, 2] = 1  # takes the pixel to the right
    image = torch.arange(6.0).reshape(1, 1, 2, 3)
    assert layer(image).tolist() == [[[[1, 2, 0], [4, 5, 0]]]]


@given(rows=st.integers(1, 3), channels=sizes, height=sizes, width=sizes, layout=layouts)
def test_flattening_goes_channel_by_channel_then_row_by_row(rows, channels, height, width, layout):
    layer = ConvLayer(2, channels, 3, flatten=True)
    x = torch.randn(rows, 2, height, width)
    flat = layer(x.contiguous(memory_format=layout))
    maps = layer.conv(x)
    expected = torch.stack([torch.cat([row for m in image for row in m]) for image in maps])
    assert flat.shape == (rows, channels * height * width)
    torch.testing.assert_close(flat, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("flatten", [False, True])
def test_images_permuted_as_in_the_source_lesson_give_the_same_result(flatten):
    images = torch.randn(4, 28, 28)
    layer = ConvLayer(1, 3, 5, activation=nn.Tanh(), flatten=flatten)
    torch.testing.assert_close(layer(channels_last(images)), layer(images.unsqueeze(1)))


def test_a_flattening_layer_with_channels_last_weights_gives_the_same_result():
    layer = ConvLayer(3, 4, 5, flatten=True)
    x = torch.randn(2, 3, 6, 6)
    before = layer(x)
    layer.to(memory_format=torch.channels_last)
    after = layer(x.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(after, before)


@pytest.mark.parametrize(
    ("layer", "x"),
    [
        (DenseLayer(4, 500, dropout=0.8), torch.ones(200, 4)),
        (ConvLayer(1, 10, 3, dropout=0.8), torch.ones(20, 1, 20, 25)),
        (ConvLayer(1, 10, 3, dropout=0.8, flatten=True), torch.ones(20, 1, 20, 25)),
    ],
    ids=["dense", "conv", "conv flattened"],
)
def test_dropout_keeps_its_fraction_and_scales_by_the_inverse(layer, x):
    trained = layer(x)
    full = layer.eval()(x)
    kept = trained != 0
    assert kept.float().mean().item() == pytest.approx(0.8, abs=0.01)  # 100,000 units: ± 8 sigma
    torch.testing.assert_close(trained[kept], full[kept] / 0.8)


@pytest.mark.parametrize("layer", [DenseLayer(2, 3, dropout=0.5), ConvLayer(2, 3, 1, dropout=0.5)])
def test_no_unit_is_dropped_in_evaluation_mode(layer):
    x = torch.randn(1000, 2)
    expected = layer.linear(x) if isinstance(layer, DenseLayer) else None
    if expected is None:
        x = x.reshape(1000, 2, 1, 1)
        expected = layer.conv(x)
    assert torch.equal(layer.eval()(x), expected)


def test_no_unit_is_dropped_by_default():
    x = torch.randn(500, 1, 8, 8)
    conv, dense = ConvLayer(1, 2, 3, flatten=True).train(), DenseLayer(128, 5).train()
    flat = F.conv2d(x, conv.conv.weight, conv.conv.bias, padding=1).flatten(1)
    torch.testing.assert_close(
        dense(conv(x)), F.linear(flat, dense.linear.weight, dense.linear.bias)
    )


def test_dropout_comes_after_the_activation():
    layer = DenseLayer(1, 1000, dropout=0.5, activation=torch.cos)
    nn.init.zeros_(layer.linear.weight)
    nn.init.zeros_(layer.linear.bias)
    assert set(layer(torch.zeros(1, 1)).flatten().tolist()) == {0.0, 2.0}


@pytest.mark.parametrize("name", ["input_size", "neurons"])
@pytest.mark.parametrize(
    ("size", "error", "message"),
    [
        (0, ValueError, "must be at least 1, got 0; pass 1 or more"),
        (-3, ValueError, "must be at least 1, got -3"),
        (2.0, TypeError, "must be a whole number, got 2.0; pass an int"),
        (True, TypeError, "must be a whole number, got True"),
        ("3", TypeError, "must be a whole number, got '3'"),
    ],
)
def test_a_dense_layer_refuses_wrong_sizes(name, size, error, message):
    with pytest.raises(error, match=f"^{name} {message}"):
        DenseLayer(**{"input_size": 2, "neurons": 2, name: size})


@pytest.mark.parametrize("name", ["in_channels", "out_channels", "filter_size"])
@pytest.mark.parametrize(
    ("size", "error", "message"),
    [
        (0, ValueError, "must be at least 1, got 0; pass 1 or more"),
        (None, TypeError, "must be a whole number, got None; pass an int"),
        (5.0, TypeError, "must be a whole number, got 5.0"),
    ],
)
def test_a_conv_layer_refuses_wrong_sizes(name, size, error, message):
    with pytest.raises(error, match=f"^{name} {message}"):
        ConvLayer(**{"in_channels": 1, "out_channels": 1, "filter_size": 3, name: size})


@given(half=st.integers(1, 10))
def test_an_even_filter_size_is_refused_with_both_neighbours_offered(half):
    even = 2 * half
    message = rf"must be odd, got {even}: .* one pixel larger; use {even - 1} or {even + 1}$"
    with pytest.raises(ValueError, match=message):
        ConvLayer(1, 1, even)


@pytest.mark.parametrize("dropout", [0, -0.1, 1.0001, float("nan")])
@pytest.mark.parametrize("layer", [DenseLayer, ConvLayer])
def test_dropout_outside_0_to_1_is_refused(layer, dropout):
    sizes = (2, 2) if layer is DenseLayer else (2, 2, 3)
    with pytest.raises(
        ValueError, match=rf"keeping a unit and must lie in \(0, 1\], got {dropout}"
    ):
        layer(*sizes, dropout=dropout)


@pytest.mark.parametrize(
    ("layer", "x", "error", "message"),
    [
        (
            DenseLayer(3, 2),
            torch.zeros(4, 5),
            ValueError,
            r"the input of DenseLayer must have shape \(N, 3\), got \(4, 5\); reshape it",
        ),
        (DenseLayer(3, 2), torch.zeros(3), ValueError, r"shape \(N, 3\), got \(3,\)"),
        (
            DenseLayer(3, 2),
            torch.zeros(4, 3, dtype=torch.int64),
            TypeError,
            r"must hold floating-point numbers, got torch.int64; turn 8-bit pixels into \[-1, 1\]",
        ),
        (
            DenseLayer(3, 2),
            [[1.0, 2.0, 3.0]],
            TypeError,
            r"must be a torch.Tensor, got list; convert it with torch.as_tensor",
        ),
        (
            ConvLayer(1, 2, 3),
            torch.zeros(4, 2, 8, 8),
            ValueError,
            r"the input of ConvLayer must have shape \(N, 1, H, W\), got \(4, 2, 8, 8\)",
        ),
        (
            ConvLayer(1, 2, 3),
            torch.zeros(1, 28, 28),
            ValueError,
            r"must have shape \(N, 1, H, W\), got \(1, 28, 28\)",
        ),
        (
            ConvLayer(1, 2, 3),
            torch.zeros(4, 1, 8, 8, dtype=torch.uint8),
            TypeError,
            "must hold floating-point numbers, got torch.uint8",
        ),
        (ConvLayer(1, 2, 3), None, TypeError, "must be a torch.Tensor, got NoneType"),
        (
            ResidualBlock(2),
            torch.zeros(4, 3, 7, 7),
            ValueError,
            r"the input of ResidualBlock must have shape \(N, 2, H, W\), got \(4, 3, 7, 7\)",
        ),
        (
            ResidualBlock(2),
            torch.zeros(4, 2, 7, 7, dtype=torch.int64),
            TypeError,
            "the input of ResidualBlock must hold floating-point numbers, got torch.int64",
        ),
    ],
)
def test_a_layer_refuses_wrong_inputs(layer, x, error, message):
    with pytest.raises(error, match=message):
        layer(x)
