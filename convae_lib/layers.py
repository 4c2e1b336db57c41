"""A dense and a convolutional layer: linear map, activation, dropout; and a residual block."""

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn.functional import gelu

Activation = Callable[[Tensor], Tensor] | None


class DenseLayer(nn.Module):
    """A fully connected layer, (N, input_size) → (N, neurons).

    ``dropout``, in (0, 1], is the probability of *keeping* a unit, unlike that of ``nn.Dropout``;
    in training kept ones are scaled by its inverse (N. Srivastava et al., JMLR 15). Lesson 01.
    """

    def __init__(
        self, input_size: int, neurons: int, dropout: float = 1.0, activation: Activation = None
    ):
        super().__init__()
        self.linear = nn.Linear(input_size, neurons)
        self.activation = activation
        self.dropout = _dropout_keeping(dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = self.linear(x)  # (N, neurons)
        if self.activation is not None:
            x = self.activation(x)
        x = self.dropout(x)
        return x


class ConvLayer(nn.Module):
    """A convolution that keeps the size: (N, in_channels, H, W) → (N, out_channels, H, W).

    ``filter_size`` is odd, the border ``filter_size // 2`` zeros; ``dropout`` as in `DenseLayer`;
    with ``flatten``, (N, out_channels · H · W), channel by channel. Built in lesson 01.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        filter_size: int,
        activation: Activation = None,
        dropout: float = 1.0,
        flatten: bool = False,
    ):
        super().__init__()
        if filter_size < 1 or filter_size % 2 == 0:
            odd = f"{max(filter_size - 1, 1)} or {max(filter_size + 1, 3)}, or the size changes"
            raise ValueError(f"filter_size must be odd, got {filter_size}; use {odd}")
        self.conv = nn.Conv2d(in_channels, out_channels, filter_size, padding=filter_size // 2)
        self.activation = activation
        self.flatten = flatten
        self.dropout = _dropout_keeping(dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)  # (N, out_channels, H, W)
        if self.activation is not None:
            x = self.activation(x)
        if self.flatten:
            x = x.flatten(start_dim=1)  # (N, out_channels * H * W)
        x = self.dropout(x)
        return x


class ResidualBlock(nn.Module):
    """Two 3 × 3 convolutions, added to their input, (N, channels, H, W) → the same shape.

    After K. He et al., "Identity mappings in deep residual networks", ECCV 2016. From lesson 08.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.conv1 = ConvLayer(channels, channels, 3, activation=nn.GELU())
        self.conv2 = ConvLayer(channels, channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.conv2(self.conv1(gelu(x)))  # (N, channels, H, W)
        return x


def _dropout_keeping(keep: float) -> nn.Dropout:
    if callable(keep) or not 0 < keep <= 1:  # an activation is the next argument of DenseLayer
        raise ValueError(f"dropout, the chance to keep a unit, must lie in (0, 1], got {keep}")
    return nn.Dropout(1 - keep)
