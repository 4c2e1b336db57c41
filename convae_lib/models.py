"""The source lesson's autoencoder, two better ones, a variational one, PCA, and trained weights.

Each takes images (N, C, H, W) in [-1, 1], ``image_shape`` being (C, H, W), and returns
``(reconstruction, code)``: (N, C, H, W) and (N, hidden_dim).
"""

from importlib.resources import as_file, files
from typing import Literal

import torch
from safetensors.torch import load_model
from torch import Tensor, nn
from torch.nn.functional import gelu, pixel_shuffle

from ._checks import check_count, check_images
from .layers import ConvLayer, DenseLayer, ResidualBlock

Size = tuple[int, int, int]
MNIST = (1, 28, 28)


class Encoder(nn.Module):
    """Compress images into codes between -1 and 1: two convolutions and a dense layer, all tanh.

    The source lesson's, after S. Weidman, *Deep Learning from Scratch* (2019). Built in lesson 02.
    """

    def __init__(self, hidden_dim: int = 28, *, image_shape: Size = MNIST):
        super().__init__()
        self.image_shape = channels, height, width = _checked(image_shape, hidden_dim=hidden_dim)
        self.conv1 = ConvLayer(channels, 14, 5, activation=nn.Tanh())
        self.conv2 = ConvLayer(14, 7, 5, activation=nn.Tanh(), flatten=True)
        self.dense1 = DenseLayer(7 * height * width, hidden_dim, activation=nn.Tanh())

    def forward(self, x: Tensor) -> Tensor:
        check_images(x, "images", self.image_shape, self.conv1.conv.weight.dtype)
        x = self.conv1(x)  # (N, 14, H, W)
        x = self.conv2(x)  # (N, 7 * H * W)
        code: Tensor = self.dense1(x)  # (N, hidden_dim)
        return code


class Decoder(nn.Module):
    """Restore images between -1 and 1 from codes; the mirror image of `Encoder`, from lesson 02."""

    def __init__(self, hidden_dim: int = 28, *, image_shape: Size = MNIST):
        super().__init__()
        self.image_shape = channels, height, width = _checked(image_shape, hidden_dim=hidden_dim)
        self.dense1 = DenseLayer(hidden_dim, 7 * height * width, activation=nn.Tanh())
        self.conv1 = ConvLayer(7, 14, 5, activation=nn.Tanh())
        self.conv2 = ConvLayer(14, channels, 5, activation=nn.Tanh())

    def forward(self, code: Tensor) -> Tensor:
        _, height, width = self.image_shape
        x = self.dense1(code)  # (N, 7 * H * W)
        x = x.unflatten(1, (7, height, width))  # (N, 7, H, W)
        x = self.conv1(x)  # (N, 14, H, W)
        image: Tensor = self.conv2(x)  # (N, C, H, W)
        return image


class Autoencoder(nn.Module):
    """An `Encoder` and a `Decoder`, trained together to return what came in.

    318,480 parameters for 28 × 28 grey pixels and 28 numbers. Built in lesson 02, trained in 04.
    """

    def __init__(self, hidden_dim: int = 28, *, image_shape: Size = MNIST):
        super().__init__()
        self.encoder = Encoder(hidden_dim, image_shape=image_shape)
        self.decoder = Decoder(hidden_dim, image_shape=image_shape)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        code = self.encoder(x)  # (N, hidden_dim)
        return self.decoder(code), code  # (N, C, H, W), (N, hidden_dim)


class ResidualEncoder(nn.Module):
    """Compress images, height and width divisible by four, into codes of any real numbers.

    A strided convolution cuts 4 × 4 patches, as vision transformers do (A. Dosovitskiy et al., ICLR
    2021); a residual block lets neighbours talk; two dense layers make the code. From lesson 08.
    """

    def __init__(
        self, hidden_dim: int = 28, width: int = 32, neurons: int = 84, *, image_shape: Size = MNIST
    ):
        super().__init__()
        counts = {"hidden_dim": hidden_dim, "width": width, "neurons": neurons}
        self.image_shape = _checked(image_shape, 4, **counts)
        channels, patches = image_shape[0], image_shape[1] * image_shape[2] // 16
        self.patches = nn.Conv2d(channels, width, 4, stride=4)
        self.block = ResidualBlock(width)
        self.dense1 = DenseLayer(width * patches, neurons, activation=nn.GELU())
        self.dense2 = DenseLayer(neurons, hidden_dim)

    def forward(self, x: Tensor) -> Tensor:
        check_images(x, "images", self.image_shape, self.patches.weight.dtype)
        x = self.patches(x)  # (N, width, H / 4, W / 4)
        x = gelu(self.block(x))  # (N, width, H / 4, W / 4)
        x = self.dense1(x.flatten(start_dim=1))  # (N, neurons)
        code: Tensor = self.dense2(x)  # (N, hidden_dim)
        return code


class ResidualDecoder(nn.Module):
    """Restore images between -1 and 1 from codes; the mirror image of `ResidualEncoder`.

    Sub-pixel upsampling lays 16 numbers out as 4 × 4 pixels (W. Shi et al., CVPR 2016). Lesson 08.
    """

    def __init__(
        self, hidden_dim: int = 28, width: int = 32, neurons: int = 84, *, image_shape: Size = MNIST
    ):
        super().__init__()
        counts = {"hidden_dim": hidden_dim, "width": width, "neurons": neurons}
        self.image_shape = _checked(image_shape, 4, **counts)
        channels, patches = image_shape[0], image_shape[1] * image_shape[2] // 16
        self.dense1 = DenseLayer(hidden_dim, neurons, activation=nn.GELU())
        self.dense2 = DenseLayer(neurons, width * patches)
        self.block = ResidualBlock(width)
        self.patches = ConvLayer(width, 16 * channels, 3, activation=nn.Tanh())

    def forward(self, code: Tensor) -> Tensor:
        _, height, width = self.image_shape
        x = self.dense2(self.dense1(code))  # (N, width * H / 4 * W / 4)
        x = x.unflatten(1, (-1, height // 4, width // 4))  # (N, width, H / 4, W / 4)
        x = gelu(self.block(x))  # (N, width, H / 4, W / 4)
        return pixel_shuffle(self.patches(x), 4)  # (N, C, H, W)


class ResidualAutoencoder(nn.Module):
    """A `ResidualEncoder` and a `ResidualDecoder`: a better autoencoder.

    312,052 parameters for MNIST by default, fewer than `Autoencoder` has. Built in lesson 08.
    """

    def __init__(
        self, hidden_dim: int = 28, width: int = 32, neurons: int = 84, *, image_shape: Size = MNIST
    ):
        super().__init__()
        self.encoder = ResidualEncoder(hidden_dim, width, neurons, image_shape=image_shape)
        self.decoder = ResidualDecoder(hidden_dim, width, neurons, image_shape=image_shape)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        code = self.encoder(x)  # (N, hidden_dim)
        return self.decoder(code), code  # (N, C, H, W), (N, hidden_dim)


class SecondLook(nn.Module):
    """A residual autoencoder that looks more than once, and encodes what it has missed so far.

    Each of ``looks`` times the encoder sees the image and what the decoder lacks of it, side by
    side as channels, and adds to the code. 312,564 parameters for MNIST. Built in lesson 08.
    """

    def __init__(
        self,
        hidden_dim: int = 28,
        width: int = 32,
        neurons: int = 84,
        *,
        looks: int = 2,
        image_shape: Size = MNIST,
    ):
        super().__init__()
        check_count(looks, "looks")
        self.looks, self.hidden_dim = looks, hidden_dim
        self.decoder = ResidualDecoder(hidden_dim, width, neurons, image_shape=image_shape)
        self.image_shape = channels, rows, columns = self.decoder.image_shape
        seen = 2 * channels, rows, columns
        self.encoder = ResidualEncoder(hidden_dim, width, neurons, image_shape=seen)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        check_images(x, "images", self.image_shape, self.encoder.patches.weight.dtype)
        code = x.new_zeros(1, self.hidden_dim)  # at first all images have the same
        for _ in range(self.looks):
            missed = x - self.decoder(code)  # (N, C, H, W)
            code = code + self.encoder(torch.cat([x, missed], dim=1))  # (N, hidden_dim)
        return self.decoder(code), code  # (N, C, H, W), (N, hidden_dim)


class VariationalAutoencoder(nn.Module):
    """An autoencoder that can draw: ``decoder`` of standard normal codes (N, hidden_dim).

    The encoder gives (N, 2 · hidden_dim): means, which are the code, and logarithms of variances.
    To train it, train its `VariationalLoss`. After D. Kingma and M. Welling, "Auto-encoding
    variational Bayes", ICLR 2014. 314,432 parameters for MNIST. Built in lesson 10.
    """

    def __init__(
        self, hidden_dim: int = 28, width: int = 32, neurons: int = 84, *, image_shape: Size = MNIST
    ):
        super().__init__()
        self.decoder = ResidualDecoder(hidden_dim, width, neurons, image_shape=image_shape)
        self.encoder = ResidualEncoder(2 * hidden_dim, width, neurons, image_shape=image_shape)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        code, _ = self.encoder(x).chunk(2, dim=1)  # (N, hidden_dim)
        return self.decoder(code), code  # (N, C, H, W), (N, hidden_dim)


class VariationalLoss(nn.Module):
    """What a `VariationalAutoencoder` learns from: the loss in nats of images (N, C, H, W), (N,).

    Distortion, half the squared error over ``variance``, when codes are drawn from the encoder's
    Gaussians; plus ``weight`` times the rate, by which these diverge from the standard normal.
    With a weight of 1 it bounds −log p(image) on average, but for a constant. For the trainer it
    is a model: ``PyTorchTrainer(VariationalLoss(model), optim, nn.L1Loss())``, with y zeros (N,).
    Built in lesson 10.
    """

    def __init__(
        self, model: VariationalAutoencoder, weight: float = 1.0, *, variance: float = 0.02
    ):
        super().__init__()
        if not (weight >= 0 and variance > 0):
            got = f"{weight} and {variance}; try 1.0 and the mean squared error you hope for"
            raise ValueError(f"weight must be at least 0, and variance above it, got {got}")
        self.model, self.weight, self.variance = model, weight, variance

    def forward(self, x: Tensor) -> Tensor:
        distortion, rates = self.terms(x)
        return distortion + self.weight * rates.sum(dim=1)  # (N,)

    def terms(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return distortions (N,), and rates (N, hidden_dim), one for each number of the code."""
        mean, log_variance = self.model.encoder(x).chunk(2, dim=1)  # (N, hidden_dim)
        code = mean + (log_variance / 2).exp() * torch.randn_like(mean)  # (N, hidden_dim)
        error = (x - self.model.decoder(code)).square().sum(dim=(1, 2, 3))  # (N,)
        rates = (mean.square() + log_variance.exp() - 1 - log_variance) / 2  # (N, hidden_dim)
        return error / (2 * self.variance), rates


class LinearAutoencoder(nn.Module):
    """PCA as an autoencoder: what `pca_baseline` fits, from lesson 00.

    ``components`` (hidden_dim, C · H · W) has orthonormal rows, ``mean`` (C, H, W) is the mean
    image; no optimizer changes them.
    """

    def __init__(self, components: Tensor, mean: Tensor):
        super().__init__()
        self.components, self.mean = nn.Buffer(components), nn.Buffer(mean)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        check_images(x, "images", self.mean.shape, self.mean.dtype)
        code = (x - self.mean).flatten(start_dim=1) @ self.components.T  # (N, hidden_dim)
        image = self.mean + (code @ self.components).reshape(x.shape)  # (N, C, H, W)
        return image, code


def load_pretrained(
    name: Literal["lesson", "better", "second_look"],
) -> Autoencoder | ResidualAutoencoder | SecondLook:
    """Return a trained network for MNIST, on the CPU and in evaluation mode.

    ``"lesson"`` is ``Autoencoder(28)`` after lesson 04's recipe, ``"better"`` and
    ``"second_look"`` are lesson 08's; ``make weights`` trains all anew. No image that `load_mnist`
    tests on, in either tier, was in their training set. First used in lesson 05.
    """
    networks: dict[str, type[Autoencoder | ResidualAutoencoder | SecondLook]]
    networks = {"lesson": Autoencoder, "better": ResidualAutoencoder, "second_look": SecondLook}
    if name not in [*networks]:
        raise ValueError(f"name must be one of {sorted(networks)}, got {name!r}; or train your own")
    with torch.device("cpu"):
        model = networks[name](hidden_dim=28)
    with as_file(files(__package__) / "weights" / f"{name}.safetensors") as path:
        load_model(model, path)
    return model.eval()


def _checked(image_shape: Size, multiple: int = 1, **counts: int) -> Size:
    for name, count in counts.items():
        check_count(count, name)
    sizes = tuple(image_shape) if isinstance(image_shape, list | tuple) else ()
    whole = all(isinstance(size, int) and size > 0 for size in sizes)
    if len(sizes) != 3 or not whole or any(size % multiple for size in sizes[1:]):
        sides = f", the sides divisible by {multiple}" if multiple > 1 else ""
        got = f"{image_shape}; crop or resize the images, and pass images.shape[1:]"
        raise ValueError(f"image_shape must be (channels, height, width){sides}, got {got}")
    return sizes[0], sizes[1], sizes[2]
