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


def assert_same(layer, plain, x):
    """Values and gradients, of the weights and of the input, are those of plain torch."""
    results = []
    for module in (layer, plain):
        leaf = x.detach().clone().requires_grad_()
        y = module(leaf)
        gradients = torch.autograd.grad(y.sin().sum(), [leaf, *module.parameters()])
        results.append([y, *gradients])
    torch.testing.assert_close(*results, rtol=1e-4, atol=1e-5)


class Activated(nn.Sequential):
    def __init__(self, *modules, activation):
        super().__init__(*modules)
        self.activate = (activation or nn.Identity(),)

    def forward(self, x):
        first, *others = self
        return nn.Sequential(*others)(self.activate[0](first(x)))


@given(rows=sizes, inputs=sizes, neurons=sizes, activation=activations, dtype=dtypes)
def test_a_dense_layer_equals_nn_linear_then_its_activation(
    rows, inputs, neurons, activation, dtype
):
    linear = nn.Linear(inputs, neurons, dtype=dtype)
    layer = DenseLayer(inputs, neurons, activation=activation).to(dtype)
    layer.linear.load_state_dict(linear.state_dict())
    assert_same(
        layer, Activated(linear, activation=activation), torch.randn(rows, inputs, dtype=dtype)
    )


@given(
    shape=st.tuples(sizes, sizes, sizes, sizes),
    filters=sizes,
    filter_size=st.sampled_from([1, 3, 5, 7]),
    activation=activations,
    flatten=st.booleans(),
    layout=layouts,
    weights=layouts,
)
def test_a_conv_layer_equals_nn_conv2d_then_its_activation_in_any_memory_format(
    shape, filters, filter_size, activation, flatten, layout, weights
):
    conv = nn.Conv2d(shape[1], filters, filter_size, padding="same")
    layer = ConvLayer(shape[1], filters, filter_size, activation=activation, flatten=flatten)
    layer.conv.load_state_dict(conv.state_dict())
    layer.to(memory_format=weights)
    plain = Activated(conv, *[nn.Flatten()] * flatten, activation=activation)
    assert_same(layer, plain, torch.randn(shape).contiguous(memory_format=layout))


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


@given(rows=sizes, channels=sizes, height=sizes, width=sizes, layout=layouts)
def test_a_residual_block_adds_two_convolutions_to_its_input(rows, channels, height, width, layout):
    class Plain(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
            self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

        def forward(self, x):
            return x + self.conv2(F.gelu(self.conv1(F.gelu(x))))

    block, plain = ResidualBlock(channels), Plain()
    for ours, theirs in ((block.conv1, plain.conv1), (block.conv2, plain.conv2)):
        ours.conv.load_state_dict(theirs.state_dict())
    x = torch.randn(rows, channels, height, width).contiguous(memory_format=layout)
    assert_same(block, plain, x)


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
    layer.dropout = nn.Identity()
    assert torch.equal(full, layer(x))


def test_the_smallest_filters_and_a_dropout_of_1_are_allowed():
    assert ConvLayer(1, 1, 1, dropout=1)(torch.ones(1, 1, 2, 2)).shape == (1, 1, 2, 2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ConvLayer(1, 1, 4), "^filter_size must be odd, got 4; use 3 or 5, or the size"),
        (lambda: ConvLayer(1, 1, 0), "^filter_size must be odd, got 0; use 1 or 3"),
        (lambda: ConvLayer(1, 1, -3), "^filter_size must be odd, got -3; use 1 or 3"),
        (lambda: DenseLayer(2, 2, 0), r"^dropout, the chance to keep .* in \(0, 1\], got 0$"),
        (lambda: ConvLayer(2, 2, 3, dropout=1.001), r"^dropout, .* got 1.001$"),
        (lambda: DenseLayer(2, 2, float("nan")), "^dropout, .* got nan$"),
        (lambda: DenseLayer(2, 2, nn.Tanh()), r"^dropout, .* got Tanh\(\)$"),
    ],
)
def test_a_layer_refuses_settings_that_have_no_meaning(make, message):
    with pytest.raises(ValueError, match=message):
        make()
