"""Encoders and decoders as data, which ``network.js`` runs in a page.

A page runs few kinds of layers. All others are refused: a page that left one out would show
wrong images without a word.
"""

from collections.abc import Callable
from typing import Any, TypeGuard, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from ..layers import ConvLayer, DenseLayer, ResidualBlock
from ..models import (
    PATCH_SIZE,
    Decoder,
    Encoder,
    LinearDecoder,
    LinearEncoder,
    ResidualDecoder,
    ResidualEncoder,
)
from .html import pack_floats

Module = TypeVar("Module", bound=nn.Module)
NETWORKS = (Encoder, Decoder, ResidualEncoder, ResidualDecoder, LinearEncoder, LinearDecoder)
HALF_PRECISION = 2.0**-11  # relative rounding error of a number in half precision


def as_data(network: nn.Module) -> dict[str, Any]:
    """Return an encoder or a decoder as data for ``network.js``: its layers and its weights.

    Parameters
    ----------
    network : Encoder, Decoder or their residual or linear counterparts
        Its mode does not matter: the page runs it in evaluation mode.

    Returns
    -------
    dict
        ``layers``, a list with the type and the sizes of every layer, and ``weights``, all
        weights in their order, in half precision where that is precise enough.

    Raises
    ------
    TypeError
        If the network or one of its layers is of a kind that the page does not run.
    ValueError
        If a convolution has options that the page does not know, or a weight is not finite.

    Notes
    -----
    First used in lesson 05.

    Examples
    --------
    >>> from convae_lib import Decoder
    >>> data = as_data(Decoder(hidden_dim=28))
    >>> [layer["type"] for layer in data["layers"]]
    ['dense', 'tanh', 'conv', 'tanh', 'conv', 'tanh']
    """
    if _computes(network, Encoder):
        recorder = _Recorder(*network.image_shape[1:])
        recorder.add_layers(network, "conv1", "conv2", "dense1")
    elif _computes(network, Decoder):
        recorder = _Recorder(*network.image_shape[1:])
        recorder.add_layers(network, "dense1", "conv1", "conv2")
    elif _computes(network, ResidualEncoder):
        recorder = _Recorder(*network.image_shape[1:])
        recorder.add_layers(network, "patchify", "block")
        recorder.add_layer("gelu")
        recorder.add_layers(network, "dense1", "dense2")
    elif _computes(network, ResidualDecoder):
        channels, height, width = network.image_shape
        recorder = _Recorder(height // PATCH_SIZE, width // PATCH_SIZE)
        recorder.add_layers(network, "dense1", "dense2", "block")
        recorder.add_layer("gelu")
        recorder.add_layers(network, "unpatchify")
        recorder.add_pixel_shuffle(channels, PATCH_SIZE)
    elif _computes(network, LinearEncoder):
        recorder = _Recorder(*network.mean.shape[1:])
        components = network.components.cpu().double()
        bias = -components @ network.mean.cpu().double().flatten()
        recorder.add_dense(components, bias, "components")
    elif _computes(network, LinearDecoder):
        recorder = _Recorder(*network.mean.shape[1:])
        recorder.add_dense(network.components.T, network.mean.flatten(), "components")
    else:
        names = ", ".join(kind.__name__ for kind in NETWORKS)
        raise TypeError(
            f"network must be one of {names}, with the forward method of this class, "
            f"got {type(network).__name__}; a page cannot run other networks"
        )
    return {"layers": recorder.layers, "weights": recorder.pack_weights()}


class _Recorder:
    """Collect the layers of a network as data, and their weights, in the order in which they run.

    ``height`` and ``width`` are the size of the feature maps that the next layer takes.
    """

    def __init__(self, height: int, width: int):
        self.height = height
        self.width = width
        self.layers: list[dict[str, Any]] = []
        self.weights: list[NDArray[np.float64]] = []

    def add_layers(self, network: nn.Module, *names: str) -> None:
        """Add attributes of a network."""
        for name in names:
            self.add_module(getattr(network, name), name)

    def add_layer(self, kind: str, **sizes: Any) -> None:
        """Add a layer of a type that ``network.js`` knows."""
        self.layers.append({"type": kind, **sizes})

    def add_module(self, module: nn.Module, name: str) -> None:
        """Add a layer of the library or of PyTorch. In evaluation mode, dropout does nothing."""
        if _computes(module, DenseLayer):
            self.add_module(module.linear, f"{name}.linear")
            self.add_activation(module.activation, f"{name}.activation")
        elif _computes(module, ConvLayer):
            self.add_module(module.conv, f"{name}.conv")
            self.add_activation(module.activation, f"{name}.activation")
        elif _computes(module, ResidualBlock):
            self.add_residual_block(module, name)
        elif _computes(module, nn.Linear):
            self.add_dense(module.weight, module.bias, name)
        elif _computes(module, nn.Conv2d):
            self.add_convolution(module, name)
        else:
            raise TypeError(
                f"{name} must be a DenseLayer, ConvLayer, ResidualBlock, nn.Linear or nn.Conv2d, "
                f"got {_describe(module)}; a page cannot run other layers"
            )

    def add_activation(self, activation: Callable[[Tensor], Tensor] | None, name: str) -> None:
        """Add an activation function that ``network.js`` knows."""
        if activation is None:
            return
        if _computes(activation, nn.Tanh):
            self.add_layer("tanh")
        elif _computes(activation, nn.ReLU):
            self.add_layer("relu")
        elif _computes(activation, nn.GELU) and activation.approximate == "none":
            self.add_layer("gelu")
        else:
            raise TypeError(
                f"{name} must be None, nn.Tanh(), nn.ReLU() or nn.GELU(), "
                f"got {_describe(activation)}; a page cannot run other activations"
            )

    def add_dense(self, weight: Tensor, bias: Tensor | None, name: str) -> None:
        """Add a dense layer with weights (outputs, inputs)."""
        outputs, inputs = weight.shape
        self.add_layer("dense", inputs=inputs, outputs=outputs)
        self.add_weights(weight, bias, name)

    def add_convolution(self, conv: nn.Conv2d, name: str) -> None:
        """Add a plain convolution, and note the size of its feature maps."""
        kernel_size, stride, padding = conv.kernel_size[0], conv.stride[0], conv.padding[0]
        is_plain = (
            conv.kernel_size == (kernel_size, kernel_size)
            and conv.stride == (stride, stride)
            and conv.padding == (padding, padding)
            and conv.dilation == (1, 1)
            and conv.groups == 1
            and conv.padding_mode == "zeros"
        )
        if not is_plain:
            raise ValueError(
                f"{name} must be a convolution with equal numbers for height and width, zero "
                f"padding, dilation=1 and groups=1, got {conv}; a page cannot run other ones"
            )
        self.add_layer(
            "conv",
            inputs=conv.in_channels,
            outputs=conv.out_channels,
            kernelSize=kernel_size,
            stride=stride,
            padding=padding,
            height=self.height,
            width=self.width,
        )
        self.add_weights(conv.weight, conv.bias, name)
        self.height = (self.height + 2 * int(padding) - kernel_size) // stride + 1
        self.width = (self.width + 2 * int(padding) - kernel_size) // stride + 1

    def add_residual_block(self, block: ResidualBlock, name: str) -> None:
        """Add a layer whose own layers compute what is added to its input."""
        outer_layers = self.layers
        self.layers = []
        self.add_layer("gelu")
        self.add_module(block.conv1, f"{name}.conv1")
        self.add_module(block.conv2, f"{name}.conv2")
        outer_layers.append({"type": "residual", "layers": self.layers})
        self.layers = outer_layers

    def add_pixel_shuffle(self, channels: int, factor: int) -> None:
        """Add `torch.nn.functional.pixel_shuffle`, which returns ``channels`` channels."""
        size = {"height": self.height, "width": self.width}
        self.add_layer("pixelShuffle", factor=factor, channels=channels, **size)

    def add_weights(self, weight: Tensor, bias: Tensor | None, name: str) -> None:
        """Add the weights of a layer, then its biases: zeros if it has none."""
        if bias is None:
            bias = weight.new_zeros(len(weight))
        for tensor in (weight, bias):
            values = tensor.detach().cpu().float().flatten()
            if not values.isfinite().all():
                raise ValueError(
                    f"the weights of {name} must be finite numbers of float32, "
                    "got NaN or infinity; train the model again with a smaller learning rate"
                )
            self.weights.append(values.double().numpy())

    def pack_weights(self) -> dict[str, str]:
        """Return all weights, in half precision if that suits the largest of every tensor."""
        tolerances = [
            np.full(values.shape, HALF_PRECISION * np.abs(values).max()) for values in self.weights
        ]
        return pack_floats(np.concatenate(self.weights), np.concatenate(tolerances))


def _computes(layer: Any, kind: type[Module]) -> TypeGuard[Module]:
    """Tell whether a layer is of a class and computes what this class does.

    A subclass may override ``forward``.
    """
    return isinstance(layer, kind) and type(layer).forward is kind.forward


def _describe(layer: Any) -> str:
    """Return a short text for a layer or a function, for error messages."""
    if isinstance(layer, nn.Module):
        return repr(layer).partition("\n")[0]
    return getattr(layer, "__name__", type(layer).__name__)
