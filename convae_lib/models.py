"""The autoencoder of the source lesson, a better one, and their trained weights.

Lesson 02 builds the first, lesson 08 the second; lessons 05 to 07 look at trained ones.
"""

from importlib.resources import as_file, files

from safetensors.torch import load_model
from torch import nn
from torch.nn.functional import gelu, pixel_shuffle

from ._checks import check_count, check_tensor
from .layers import ConvLayer, DenseLayer, ResidualBlock


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


class ResidualEncoder(nn.Module):
    """Compress images (N, 1, 28, 28) into codes (N, hidden_dim), any real numbers.

    Parameters
    ----------
    hidden_dim : int, default 28
        Numbers in a code.
    width : int, default 64
        Channels of every feature map.

    Attributes
    ----------
    patches : nn.Conv2d
        1 → width channels, 4 × 4 filters, stride 4: each filter sees 49 patches side by side.
    block : ResidualBlock
        Lets neighbouring patches talk.
    dense1, dense2 : DenseLayer
        width · 7 · 7 → 512 with GELU, then → hidden_dim, linear.

    Raises
    ------
    ValueError, TypeError
        If a size is below 1 or no whole number; if an input is not a floating-point tensor of
        shape (N, 1, 28, 28).

    Notes
    -----
    Built in lesson 08. Cutting an image into patches with one strided convolution is the stem of
    vision transformers [1]_.

    .. [1] A. Dosovitskiy et al., "An image is worth 16x16 words", ICLR (2021).
    """

    def __init__(self, hidden_dim=28, width=64):
        super().__init__()
        check_count(hidden_dim, "hidden_dim")
        check_count(width, "width")
        self.patches = nn.Conv2d(1, width, 4, stride=4)
        self.block = ResidualBlock(width)
        self.dense1 = DenseLayer(width * 7 * 7, 512, activation=nn.GELU())
        self.dense2 = DenseLayer(512, hidden_dim)

    def forward(self, x):
        """Map images (N, 1, 28, 28) to codes (N, hidden_dim)."""
        check_tensor(x, ("N", 1, 28, 28), "images", self.patches.weight.dtype)
        x = self.patches(x)  # (N, width, 7, 7)
        x = gelu(self.block(x))  # (N, width, 7, 7)
        x = self.dense1(x.flatten(start_dim=1))  # (N, 512)
        return self.dense2(x)  # (N, hidden_dim)


class ResidualDecoder(nn.Module):
    """Restore images (N, 1, 28, 28) between -1 and 1 from codes (N, hidden_dim).

    Parameters
    ----------
    hidden_dim : int, default 28
        Numbers in a code.
    width : int, default 64
        Channels of every feature map.

    Attributes
    ----------
    dense1, dense2 : DenseLayer
        hidden_dim → 512 with GELU, then → width · 7 · 7, linear.
    block : ResidualBlock
    patches : ConvLayer
        width → 16 channels, 3 × 3 filters, tanh; sub-pixel upsampling then lays the 16 numbers of
        each place out as a patch of 4 × 4 pixels [1]_.

    Raises
    ------
    ValueError, TypeError
        If a size is below 1 or no whole number; if an input is not a floating-point tensor of
        shape (N, hidden_dim).

    Notes
    -----
    Built in lesson 08; the mirror image of `ResidualEncoder`.

    .. [1] W. Shi et al., "Real-time single image and video super-resolution using an efficient
       sub-pixel convolutional neural network", CVPR (2016).
    """

    def __init__(self, hidden_dim=28, width=64):
        super().__init__()
        check_count(hidden_dim, "hidden_dim")
        check_count(width, "width")
        self.dense1 = DenseLayer(hidden_dim, 512, activation=nn.GELU())
        self.dense2 = DenseLayer(512, width * 7 * 7)
        self.block = ResidualBlock(width)
        self.patches = ConvLayer(width, 16, 3, activation=nn.Tanh())

    def forward(self, code):
        """Map codes (N, hidden_dim) to images (N, 1, 28, 28)."""
        x = self.dense2(self.dense1(code))  # (N, width * 7 * 7)
        x = x.unflatten(1, (-1, 7, 7))  # (N, width, 7, 7)
        x = gelu(self.block(x))  # (N, width, 7, 7)
        return pixel_shuffle(self.patches(x), 4)  # (N, 1, 28, 28)


class ResidualAutoencoder(nn.Module):
    """A `ResidualEncoder` and a `ResidualDecoder`: a better autoencoder.

    Maps images (N, 1, 28, 28) to ``(reconstruction, code)``: (N, 1, 28, 28) and (N, hidden_dim).

    Parameters
    ----------
    hidden_dim : int, default 28
        Numbers in a code.
    width : int, default 64
        Channels of every feature map. With 64, and 28 numbers in a code, the network has
        3,402,156 parameters.

    Attributes
    ----------
    encoder : ResidualEncoder
    decoder : ResidualDecoder

    Raises
    ------
    ValueError, TypeError
        As in `ResidualEncoder`.

    Notes
    -----
    Built in lesson 08, which measures what each part of it is worth; lesson 07 probes its code.

    Examples
    --------
    >>> import torch
    >>> reconstruction, code = ResidualAutoencoder()(torch.zeros(3, 1, 28, 28))
    >>> reconstruction.shape, code.shape
    (torch.Size([3, 1, 28, 28]), torch.Size([3, 28]))
    """

    def __init__(self, hidden_dim=28, width=64):
        super().__init__()
        self.encoder = ResidualEncoder(hidden_dim, width)
        self.decoder = ResidualDecoder(hidden_dim, width)

    def forward(self, x):
        """Return ``(reconstruction, code)``: (N, 1, 28, 28) and (N, hidden_dim)."""
        code = self.encoder(x)  # (N, hidden_dim)
        return self.decoder(code), code  # (N, 1, 28, 28), (N, hidden_dim)


_PRETRAINED = {"lesson": Autoencoder, "better": ResidualAutoencoder}  # with 28 numbers in a code


def load_pretrained(name):
    """Return a trained network from weights that ship with the course, in evaluation mode.

    Parameters
    ----------
    name : {"lesson", "better"}
        ``"lesson"``: ``Autoencoder(28)`` after the recipe of lesson 04, one epoch of SGD with
        learning rate 0.01 and momentum 0.9 in batches of 60. ``"better"``:
        ``ResidualAutoencoder(28)`` after the last recipe of lesson 08, 14 epochs of AdamW in
        batches of 128, weight decay 0.3; the learning rate rises to 0.005 and falls to 0 in one
        cycle.

    Returns
    -------
    Autoencoder or ResidualAutoencoder
        On the CPU. ``make weights`` trains it anew; no image that `load_mnist` tests on, in
        either tier, was in its training set.

    Raises
    ------
    ValueError
        If there is no network of that name.

    Notes
    -----
    First used in lessons 05 and 07. The weights are stored as safetensors: numbers only, no
    pickled code; those of ``"better"`` in half precision, half as large.
    """
    if name not in _PRETRAINED:
        raise ValueError(
            f"name must be one of {sorted(_PRETRAINED)}, got {name!r}; "
            "train a network of your own with PyTorchTrainer"
        )
    model = _PRETRAINED[name](hidden_dim=28)
    with as_file(files(__package__) / "weights" / f"{name}.safetensors") as path:
        load_model(model, path)
    return model.eval()
