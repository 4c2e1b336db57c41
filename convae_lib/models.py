"""The autoencoder of the source lesson, and its trained weights.

Lesson 02 builds `Encoder`, `Decoder` and `Autoencoder`; lessons 05 and 06 look at the trained one.
"""

from importlib.resources import as_file, files

from safetensors.torch import load_model
from torch import nn

from ._checks import check_count, check_tensor
from .layers import ConvLayer, DenseLayer

_PRETRAINED = {"lesson": 28}  # name: hidden_dim of the network that weights/<name>.safetensors fits


class Encoder(nn.Module):
    """Compress images (N, 1, 28, 28) into codes (N, hidden_dim) between -1 and 1.

    Parameters
    ----------
    hidden_dim : int, default 28
        Numbers in a code.

    Attributes
    ----------
    conv1, conv2 : ConvLayer
        1 → 14 and 14 → 7 channels, 5 × 5 filters, tanh.
    dense1 : DenseLayer
        7 · 28 · 28 → hidden_dim, tanh.

    Raises
    ------
    ValueError, TypeError
        If ``hidden_dim`` is below 1 or no whole number; if an input is not a floating-point
        tensor of shape (N, 1, 28, 28).

    Notes
    -----
    Built in lesson 02. The architecture is the source lesson's, after S. Weidman, *Deep Learning
    from Scratch* (O'Reilly, 2019), chapter 7.
    """

    def __init__(self, hidden_dim=28):
        super().__init__()
        check_count(hidden_dim, "hidden_dim")
        self.conv1 = ConvLayer(1, 14, 5, activation=nn.Tanh())
        self.conv2 = ConvLayer(14, 7, 5, activation=nn.Tanh(), flatten=True)
        self.dense1 = DenseLayer(7 * 28 * 28, hidden_dim, activation=nn.Tanh())

    def forward(self, x):
        """Map images (N, 1, 28, 28) to codes (N, hidden_dim)."""
        check_tensor(x, ("N", 1, 28, 28), "images", self.conv1.conv.weight.dtype)
        x = self.conv1(x)  # (N, 14, 28, 28)
        x = self.conv2(x)  # (N, 5488)
        return self.dense1(x)  # (N, hidden_dim)


class Decoder(nn.Module):
    """Restore images (N, 1, 28, 28) between -1 and 1 from codes (N, hidden_dim).

    Parameters
    ----------
    hidden_dim : int, default 28
        Numbers in a code.

    Attributes
    ----------
    dense1 : DenseLayer
        hidden_dim → 7 · 28 · 28, tanh.
    conv1, conv2 : ConvLayer
        7 → 14 and 14 → 1 channels, 5 × 5 filters, tanh.

    Raises
    ------
    ValueError, TypeError
        If ``hidden_dim`` is below 1 or no whole number; if an input is not a floating-point
        tensor of shape (N, hidden_dim).

    Notes
    -----
    Built in lesson 02; the mirror image of `Encoder`.
    """

    def __init__(self, hidden_dim=28):
        super().__init__()
        check_count(hidden_dim, "hidden_dim")
        self.dense1 = DenseLayer(hidden_dim, 7 * 28 * 28, activation=nn.Tanh())
        self.conv1 = ConvLayer(7, 14, 5, activation=nn.Tanh())
        self.conv2 = ConvLayer(14, 1, 5, activation=nn.Tanh())

    def forward(self, code):
        """Map codes (N, hidden_dim) to images (N, 1, 28, 28)."""
        x = self.dense1(code)  # (N, 5488)
        x = x.reshape(-1, 7, 28, 28)  # (N, 7, 28, 28)
        x = self.conv1(x)  # (N, 14, 28, 28)
        return self.conv2(x)  # (N, 1, 28, 28)


class Autoencoder(nn.Module):
    """An `Encoder` and a `Decoder`, trained together to return what came in.

    Maps images (N, 1, 28, 28) to ``(reconstruction, code)``: (N, 1, 28, 28) and (N, hidden_dim).

    Parameters
    ----------
    hidden_dim : int, default 28
        Numbers in a code. With 28 the network has 318,480 parameters.

    Attributes
    ----------
    encoder : Encoder
    decoder : Decoder

    Raises
    ------
    ValueError, TypeError
        As in `Encoder`.

    Notes
    -----
    Built in lesson 02, trained in lesson 04.

    Examples
    --------
    >>> import torch
    >>> reconstruction, code = Autoencoder(hidden_dim=28)(torch.zeros(3, 1, 28, 28))
    >>> reconstruction.shape, code.shape
    (torch.Size([3, 1, 28, 28]), torch.Size([3, 28]))
    """

    def __init__(self, hidden_dim=28):
        super().__init__()
        self.encoder = Encoder(hidden_dim)
        self.decoder = Decoder(hidden_dim)

    def forward(self, x):
        """Return ``(reconstruction, code)``: (N, 1, 28, 28) and (N, hidden_dim)."""
        code = self.encoder(x)  # (N, hidden_dim)
        return self.decoder(code), code  # (N, 1, 28, 28), (N, hidden_dim)


def load_pretrained(name):
    """Return a trained network from weights that ship with the course, in evaluation mode.

    Parameters
    ----------
    name : {"lesson"}
        ``"lesson"``: ``Autoencoder(28)`` after the recipe of lesson 04, one epoch of SGD with
        learning rate 0.01 and momentum 0.9 in batches of 60.

    Returns
    -------
    Autoencoder
        On the CPU. ``make weights`` trains it anew; no image that `load_mnist` tests on, in
        either tier, was in its training set.

    Raises
    ------
    ValueError
        If there is no network of that name.

    Notes
    -----
    First used in lesson 05. The weights are stored as safetensors: numbers only, no pickled code.
    """
    if name not in _PRETRAINED:
        raise ValueError(
            f"name must be one of {sorted(_PRETRAINED)}, got {name!r}; "
            "train a network of your own with PyTorchTrainer"
        )
    model = Autoencoder(_PRETRAINED[name])
    with as_file(files(__package__) / "weights" / f"{name}.safetensors") as path:
        load_model(model, path)
    return model.eval()
