"""The two layers of the source lesson, dense and convolutional, and a residual block.

The two are a linear map, then an activation, then dropout; lesson 01 builds them by hand, lesson 08
the block.
"""

from torch import nn
from torch.nn.functional import gelu

from ._checks import check_count, check_tensor


class DenseLayer(nn.Module):
    """A fully connected layer: ``dropout(activation(x @ W.T + b))``.

    Maps (N, input_size) to (N, neurons).

    Parameters
    ----------
    input_size : int
        Numbers that come in per example.
    neurons : int
        Numbers that go out per example.
    dropout : float, default 1.0
        The probability of *keeping* a unit, in (0, 1]; 1.0 keeps all. This is the opposite of
        ``nn.Dropout(p)``, where ``p`` is the probability of dropping one.
    activation : callable, optional
        Applied element by element, for instance ``nn.Tanh()``; ``None`` leaves the layer linear.

    Attributes
    ----------
    linear : nn.Linear
        Weight (neurons, input_size) and bias (neurons,).

    Raises
    ------
    ValueError
        If a size is below 1, ``dropout`` lies outside (0, 1], or an input has another shape.
    TypeError
        If a size is no whole number, or an input no floating-point tensor.

    Notes
    -----
    Built in lesson 01. Kept units are scaled by ``1 / dropout`` during training [1]_, so that
    nothing needs rescaling in evaluation mode.

    .. [1] N. Srivastava et al., "Dropout: a simple way to prevent neural networks from
       overfitting", JMLR 15 (2014).

    Examples
    --------
    >>> import torch
    >>> DenseLayer(5, 2, activation=torch.tanh)(torch.zeros(3, 5)).shape
    torch.Size([3, 2])
    """

    def __init__(self, input_size, neurons, dropout=1.0, activation=None):
        super().__init__()
        check_count(input_size, "input_size")
        check_count(neurons, "neurons")
        self.linear = nn.Linear(input_size, neurons)
        self.activation = activation
        self.dropout = _dropout_keeping(dropout)

    def forward(self, x):
        """Map ``x`` of shape (N, input_size) to (N, neurons)."""
        weight = self.linear.weight
        check_tensor(x, ("N", weight.shape[1]), "the input of DenseLayer", weight.dtype)
        x = self.linear(x)  # (N, neurons)
        if self.activation is not None:
            x = self.activation(x)
        return self.dropout(x)


class ConvLayer(nn.Module):
    """A convolution that keeps height and width: ``dropout(flatten(activation(conv(x))))``.

    Parameters
    ----------
    in_channels, out_channels : int
        Feature maps that come in and go out.
    filter_size : int
        Side of the square filter, in pixels. Odd, so that a border of ``filter_size // 2``
        zeros keeps the size of the image.
    activation : callable, optional
        Applied element by element; ``None`` leaves the layer linear.
    dropout : float, default 1.0
        The probability of *keeping* a unit, in (0, 1], as in `DenseLayer`.
    flatten : bool, default False
        Return (N, out_channels * H * W) instead of (N, out_channels, H, W).

    Attributes
    ----------
    conv : nn.Conv2d
        Weight (out_channels, in_channels, filter_size, filter_size) and bias (out_channels,).

    Raises
    ------
    ValueError
        If a size is below 1, ``filter_size`` is even, ``dropout`` lies outside (0, 1], or an
        input has another rank or number of channels.
    TypeError
        If a size is no whole number, or an input no floating-point tensor.

    Notes
    -----
    Built in lesson 01. What deep learning calls convolution is a cross-correlation: the filter
    is not flipped. Inputs may have any memory format; flattening always goes channel by channel.

    Examples
    --------
    >>> import torch
    >>> ConvLayer(1, 14, 5)(torch.zeros(3, 1, 28, 28)).shape
    torch.Size([3, 14, 28, 28])
    >>> ConvLayer(1, 14, 5, flatten=True)(torch.zeros(3, 1, 28, 28)).shape
    torch.Size([3, 10976])
    """

    def __init__(
        self, in_channels, out_channels, filter_size, activation=None, dropout=1.0, flatten=False
    ):
        super().__init__()
        check_count(in_channels, "in_channels")
        check_count(out_channels, "out_channels")
        check_count(filter_size, "filter_size")
        if filter_size % 2 == 0:
            raise ValueError(
                f"filter_size must be odd, got {filter_size}: padding by filter_size // 2 would "
                f"return images one pixel larger; use {filter_size - 1} or {filter_size + 1}"
            )
        self.conv = nn.Conv2d(in_channels, out_channels, filter_size, padding=filter_size // 2)
        self.activation = activation
        self.flatten = flatten
        self.dropout = _dropout_keeping(dropout)

    def forward(self, x):
        """Map ``x`` of shape (N, in_channels, H, W) to (N, out_channels, H, W), or flattened."""
        weight = self.conv.weight
        check_tensor(x, ("N", weight.shape[1], "H", "W"), "the input of ConvLayer", weight.dtype)
        x = self.conv(x)  # (N, out_channels, H, W)
        if self.activation is not None:
            x = self.activation(x)
        if self.flatten:
            x = x.flatten(start_dim=1)  # (N, out_channels * H * W)
        return self.dropout(x)


class ResidualBlock(nn.Module):
    """Two 3 × 3 convolutions, added to their input: ``x + conv2(gelu(conv1(gelu(x))))``.

    Maps (N, channels, H, W) to the same shape.

    Parameters
    ----------
    channels : int
        Feature maps that come in and go out.

    Attributes
    ----------
    conv1, conv2 : ConvLayer

    Raises
    ------
    ValueError, TypeError
        If ``channels`` is below 1 or no whole number; if an input is not a floating-point tensor
        with that many channels.

    Notes
    -----
    Built in lesson 08. The shortcut passes gradients on unchanged, so the block can begin by
    doing little; activation before convolution keeps the shortcut clean [1]_.

    .. [1] K. He et al., "Identity mappings in deep residual networks", ECCV (2016).

    Examples
    --------
    >>> import torch
    >>> ResidualBlock(8)(torch.zeros(3, 8, 7, 7)).shape
    torch.Size([3, 8, 7, 7])
    """

    def __init__(self, channels):
        super().__init__()
        check_count(channels, "channels")
        self.conv1 = ConvLayer(channels, channels, 3, activation=nn.GELU())
        self.conv2 = ConvLayer(channels, channels, 3)

    def forward(self, x):
        """Map ``x`` of shape (N, channels, H, W) to the same shape."""
        weight = self.conv1.conv.weight
        check_tensor(x, ("N", len(weight), "H", "W"), "the input of ResidualBlock", weight.dtype)
        return x + self.conv2(self.conv1(gelu(x)))  # (N, channels, H, W)


def _dropout_keeping(keep):
    if not 0 < keep <= 1:
        raise ValueError(
            f"dropout is the probability of keeping a unit and must lie in (0, 1], got {keep}; "
            "use 1.0 for no dropout, 0.9 to drop one unit in ten"
        )
    return nn.Dropout(1 - keep)
