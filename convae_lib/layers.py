"""Layers of the networks: a dense layer, a convolutional layer, and a residual block.

The first two are a linear map, an activation function, and dropout, in this order.
"""

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn.functional import gelu

Activation = Callable[[Tensor], Tensor] | None


class DenseLayer(nn.Module):
    """A fully connected layer: a linear map, an activation function, and dropout.

    Parameters
    ----------
    input_size : int
        Number of input features.
    neurons : int
        Number of output features.
    dropout : float
        Probability of *keeping* a unit in training mode, in (0, 1]; the probability of
        ``nn.Dropout`` is that of dropping it. Kept units are divided by it.
    activation : callable, optional
        Activation function, for example ``nn.Tanh()``. Without it, the layer is linear.

    Raises
    ------
    ValueError
        If ``dropout`` does not lie in (0, 1].

    Notes
    -----
    Dropout is described in N. Srivastava et al., "Dropout: a simple way to prevent neural networks
    from overfitting", JMLR 15, 2014. Built in lesson 01.

    Examples
    --------
    >>> import torch
    >>> layer = DenseLayer(784, 28, activation=nn.Tanh())
    >>> layer(torch.zeros(5, 784)).shape
    torch.Size([5, 28])
    """

    def __init__(
        self, input_size: int, neurons: int, dropout: float = 1.0, activation: Activation = None
    ):
        super().__init__()
        self.linear = nn.Linear(input_size, neurons)
        self.activation = activation
        self.dropout = _dropout_keeping(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Map features (N, input_size) to features (N, neurons)."""
        x = self.linear(x)  # (N, neurons)
        if self.activation is not None:
            x = self.activation(x)
        x = self.dropout(x)
        return x


class ConvLayer(nn.Module):
    """A convolution that keeps height and width, an activation function, and dropout.

    Parameters
    ----------
    in_channels, out_channels : int
        Number of channels of the input and of the output.
    filter_size : int
        Height and width of the filters, an odd number. The input is padded with
        ``filter_size // 2`` zeros on each side.
    activation : callable, optional
        Activation function, for example ``nn.Tanh()``. Without it, the layer is linear.
    dropout : float
        Probability of *keeping* a unit, as in `DenseLayer`.
    flatten : bool
        Whether to flatten each output (out_channels, H, W) to a vector, channel by channel.

    Raises
    ------
    ValueError
        If ``filter_size`` is even or negative, or ``dropout`` does not lie in (0, 1].

    Notes
    -----
    Built in lesson 01.

    Examples
    --------
    >>> import torch
    >>> images = torch.zeros(5, 1, 28, 28)
    >>> ConvLayer(1, 14, filter_size=5)(images).shape
    torch.Size([5, 14, 28, 28])
    >>> ConvLayer(1, 14, filter_size=5, flatten=True)(images).shape
    torch.Size([5, 10976])
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
        """Map images (N, in_channels, H, W) to feature maps (N, out_channels, H, W)."""
        x = self.conv(x)  # (N, out_channels, H, W)
        if self.activation is not None:
            x = self.activation(x)
        if self.flatten:
            x = x.flatten(start_dim=1)  # (N, out_channels * H * W)
        x = self.dropout(x)
        return x


class ResidualBlock(nn.Module):
    """Two 3 × 3 convolutions whose output is added to their input (a skip connection).

    Parameters
    ----------
    channels : int
        Number of channels of the input and of the output.

    Notes
    -----
    A GELU stands before each convolution, after K. He et al., "Identity mappings in deep residual
    networks", ECCV 2016, without batch normalization. Built in lesson 08.

    Examples
    --------
    >>> import torch
    >>> ResidualBlock(32)(torch.zeros(5, 32, 7, 7)).shape
    torch.Size([5, 32, 7, 7])
    """

    def __init__(self, channels: int):
        super().__init__()
        self.conv1 = ConvLayer(channels, channels, 3, activation=nn.GELU())
        self.conv2 = ConvLayer(channels, channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Map feature maps (N, channels, H, W) to feature maps of the same shape."""
        x = x + self.conv2(self.conv1(gelu(x)))  # (N, channels, H, W)
        return x


def _dropout_keeping(keep: float) -> nn.Dropout:
    """Return a dropout layer that keeps a unit with probability ``keep``."""
    if callable(keep) or not 0 < keep <= 1:  # an activation is the next argument of DenseLayer
        got = f"{keep}; pass 1 for no dropout"
        raise ValueError(f"dropout, the chance to keep a unit, must lie in (0, 1], got {got}")
    return nn.Dropout(1 - keep)
