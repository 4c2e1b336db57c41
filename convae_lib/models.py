"""Autoencoders: the source lesson's, residual, iterative, variational and linear ones.

Every model takes images (N, C, H, W) with pixels in [-1, 1]. It is called as ``x_hat, z =
model(x)`` and returns the reconstruction (N, C, H, W) and the latent vectors (N, hidden_dim).
``hidden_dim`` is the latent dimension, and ``image_shape`` the shape (C, H, W) of one image.
"""

from importlib.resources import as_file, files
from typing import Literal

import torch
from safetensors.torch import load_model
from torch import Tensor, nn
from torch.nn.functional import gelu, pixel_shuffle

from ._checks import check_count, check_images
from .layers import ConvLayer, DenseLayer, ResidualBlock

ImageShape = tuple[int, int, int]
MNIST_SHAPE = (1, 28, 28)
PATCH_SIZE = 4  # pixels on a side


class Encoder(nn.Module):
    """Encode images as latent vectors with two convolutions and a dense layer.

    All three layers have a tanh activation, so every latent variable lies in [-1, 1].

    Parameters
    ----------
    hidden_dim : int
        Latent dimension.
    image_shape : tuple of int
        Shape (C, H, W) of one image.

    Raises
    ------
    ValueError
        If a size is not positive, or images of another shape are passed in.
    TypeError
        If a size is not an integer, or images of another dtype are passed in.

    Notes
    -----
    The encoder of the source lesson, after S. Weidman, *Deep Learning from Scratch* (2019).
    Built in lesson 02.

    Examples
    --------
    >>> import torch
    >>> Encoder(hidden_dim=28)(torch.zeros(5, 1, 28, 28)).shape
    torch.Size([5, 28])
    """

    def __init__(self, hidden_dim: int = 28, *, image_shape: ImageShape = MNIST_SHAPE):
        super().__init__()
        check_count(hidden_dim, "hidden_dim")
        channels, height, width = _check_image_shape(image_shape)
        self.image_shape = channels, height, width
        self.conv1 = ConvLayer(channels, 14, 5, activation=nn.Tanh())
        self.conv2 = ConvLayer(14, 7, 5, activation=nn.Tanh(), flatten=True)
        self.dense1 = DenseLayer(7 * height * width, hidden_dim, activation=nn.Tanh())

    def forward(self, x: Tensor) -> Tensor:
        """Return the latent vectors (N, hidden_dim) of images (N, C, H, W)."""
        check_images(x, "images", self.image_shape, self.conv1.conv.weight.dtype)
        x = self.conv1(x)  # (N, 14, H, W)
        x = self.conv2(x)  # (N, 7 * H * W)
        z: Tensor = self.dense1(x)  # (N, hidden_dim)
        return z


class Decoder(nn.Module):
    """Decode latent vectors into images; the layers of `Encoder` in reverse order.

    Parameters
    ----------
    hidden_dim : int
        Latent dimension.
    image_shape : tuple of int
        Shape (C, H, W) of one image.

    Raises
    ------
    ValueError, TypeError
        If a size is not a positive integer.

    Notes
    -----
    The last activation is a tanh, so pixels lie in [-1, 1]. Built in lesson 02.

    Examples
    --------
    >>> import torch
    >>> Decoder(hidden_dim=28)(torch.zeros(5, 28)).shape
    torch.Size([5, 1, 28, 28])
    """

    def __init__(self, hidden_dim: int = 28, *, image_shape: ImageShape = MNIST_SHAPE):
        super().__init__()
        check_count(hidden_dim, "hidden_dim")
        channels, height, width = _check_image_shape(image_shape)
        self.image_shape = channels, height, width
        self.dense1 = DenseLayer(hidden_dim, 7 * height * width, activation=nn.Tanh())
        self.conv1 = ConvLayer(7, 14, 5, activation=nn.Tanh())
        self.conv2 = ConvLayer(14, channels, 5, activation=nn.Tanh())

    def forward(self, z: Tensor) -> Tensor:
        """Return the images (N, C, H, W) of latent vectors (N, hidden_dim)."""
        _, height, width = self.image_shape
        x = self.dense1(z)  # (N, 7 * H * W)
        x = x.unflatten(1, (7, height, width))  # (N, 7, H, W)
        x = self.conv1(x)  # (N, 14, H, W)
        x_hat: Tensor = self.conv2(x)  # (N, C, H, W)
        return x_hat


class Autoencoder(nn.Module):
    """The source lesson's autoencoder: an `Encoder` followed by a `Decoder`.

    It has 318,480 parameters for 28 × 28 grayscale images and a latent dimension of 28.

    Parameters
    ----------
    hidden_dim : int
        Latent dimension.
    image_shape : tuple of int
        Shape (C, H, W) of one image.

    Raises
    ------
    ValueError, TypeError
        If a size is not a positive integer, or images of another shape or dtype are passed in.

    Notes
    -----
    Built in lesson 02, trained in lesson 04.

    Examples
    --------
    >>> import torch
    >>> x_hat, z = Autoencoder(hidden_dim=28)(torch.zeros(5, 1, 28, 28))
    >>> x_hat.shape, z.shape
    (torch.Size([5, 1, 28, 28]), torch.Size([5, 28]))
    """

    def __init__(self, hidden_dim: int = 28, *, image_shape: ImageShape = MNIST_SHAPE):
        super().__init__()
        self.encoder = Encoder(hidden_dim, image_shape=image_shape)
        self.decoder = Decoder(hidden_dim, image_shape=image_shape)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the reconstructions (N, C, H, W) and the latent vectors (N, hidden_dim)."""
        z = self.encoder(x)  # (N, hidden_dim)
        x_hat = self.decoder(z)  # (N, C, H, W)
        return x_hat, z


class ResidualEncoder(nn.Module):
    """Encode images as latent vectors with patches, a residual block and two dense layers.

    A convolution with a stride of 4 turns every patch of 4 × 4 pixels into one position of the
    feature map. The residual block lets neighboring patches exchange information, and the dense
    layers compute the latent vector. There is no activation at the bottleneck.

    Parameters
    ----------
    hidden_dim : int
        Latent dimension.
    channels : int
        Number of channels of the feature maps.
    neurons : int
        Size of the hidden dense layer.
    image_shape : tuple of int
        Shape (C, H, W) of one image. H and W must be divisible by 4.

    Raises
    ------
    ValueError, TypeError
        If a size is not a positive integer, H or W is not divisible by 4, or images of another
        shape or dtype are passed in.

    Notes
    -----
    Patches as in vision transformers: A. Dosovitskiy et al., "An image is worth 16x16 words",
    ICLR 2021. Built in lesson 08.

    Examples
    --------
    >>> import torch
    >>> ResidualEncoder(hidden_dim=28)(torch.zeros(5, 1, 28, 28)).shape
    torch.Size([5, 28])
    """

    def __init__(
        self,
        hidden_dim: int = 28,
        channels: int = 32,
        neurons: int = 84,
        *,
        image_shape: ImageShape = MNIST_SHAPE,
    ):
        super().__init__()
        check_count(hidden_dim, "hidden_dim")
        check_count(channels, "channels")
        check_count(neurons, "neurons")
        self.image_shape = _check_image_shape(image_shape, multiple_of=PATCH_SIZE)
        n_patches = _count_patches(self.image_shape)
        self.patchify = nn.Conv2d(image_shape[0], channels, PATCH_SIZE, stride=PATCH_SIZE)
        self.block = ResidualBlock(channels)
        self.dense1 = DenseLayer(channels * n_patches, neurons, activation=nn.GELU())
        self.dense2 = DenseLayer(neurons, hidden_dim)

    def forward(self, x: Tensor) -> Tensor:
        """Return the latent vectors (N, hidden_dim) of images (N, C, H, W)."""
        check_images(x, "images", self.image_shape, self.patchify.weight.dtype)
        x = self.patchify(x)  # (N, channels, H / 4, W / 4)
        x = gelu(self.block(x))  # (N, channels, H / 4, W / 4)
        x = self.dense1(x.flatten(start_dim=1))  # (N, neurons)
        z: Tensor = self.dense2(x)  # (N, hidden_dim)
        return z


class ResidualDecoder(nn.Module):
    """Decode latent vectors into images; the layers of `ResidualEncoder` in reverse order.

    Parameters
    ----------
    hidden_dim : int
        Latent dimension.
    channels : int
        Number of channels of the feature maps.
    neurons : int
        Size of the hidden dense layer.
    image_shape : tuple of int
        Shape (C, H, W) of one image. H and W must be divisible by 4.

    Raises
    ------
    ValueError, TypeError
        If a size is not a positive integer, or H or W is not divisible by 4.

    Notes
    -----
    The upsampling is a sub-pixel convolution, which lays 16 channels out as 4 × 4 pixels:
    W. Shi et al., "Real-time single image and video super-resolution", CVPR 2016. The last
    activation is a tanh, so pixels lie in [-1, 1]. Built in lesson 08.

    Examples
    --------
    >>> import torch
    >>> ResidualDecoder(hidden_dim=28)(torch.zeros(5, 28)).shape
    torch.Size([5, 1, 28, 28])
    """

    def __init__(
        self,
        hidden_dim: int = 28,
        channels: int = 32,
        neurons: int = 84,
        *,
        image_shape: ImageShape = MNIST_SHAPE,
    ):
        super().__init__()
        check_count(hidden_dim, "hidden_dim")
        check_count(channels, "channels")
        check_count(neurons, "neurons")
        self.image_shape = _check_image_shape(image_shape, multiple_of=PATCH_SIZE)
        n_patches = _count_patches(self.image_shape)
        pixels_per_patch = PATCH_SIZE * PATCH_SIZE * image_shape[0]
        self.dense1 = DenseLayer(hidden_dim, neurons, activation=nn.GELU())
        self.dense2 = DenseLayer(neurons, channels * n_patches)
        self.block = ResidualBlock(channels)
        self.unpatchify = ConvLayer(channels, pixels_per_patch, 3, activation=nn.Tanh())

    def forward(self, z: Tensor) -> Tensor:
        """Return the images (N, C, H, W) of latent vectors (N, hidden_dim)."""
        _, height, width = self.image_shape
        x = self.dense2(self.dense1(z))  # (N, channels * H / 4 * W / 4)
        x = x.unflatten(1, (-1, height // PATCH_SIZE, width // PATCH_SIZE))
        x = gelu(self.block(x))  # (N, channels, H / 4, W / 4)
        x = self.unpatchify(x)  # (N, 16 * C, H / 4, W / 4)
        return pixel_shuffle(x, PATCH_SIZE)  # (N, C, H, W)


class ResidualAutoencoder(nn.Module):
    """A `ResidualEncoder` followed by a `ResidualDecoder`.

    It has 312,052 parameters for MNIST with the default sizes, fewer than `Autoencoder`.

    Parameters
    ----------
    hidden_dim : int
        Latent dimension.
    channels : int
        Number of channels of the feature maps.
    neurons : int
        Size of the hidden dense layers.
    image_shape : tuple of int
        Shape (C, H, W) of one image. H and W must be divisible by 4.

    Raises
    ------
    ValueError, TypeError
        If a size is not a positive integer, H or W is not divisible by 4, or images of another
        shape or dtype are passed in.

    Notes
    -----
    Built in lesson 08.

    Examples
    --------
    >>> import torch
    >>> x_hat, z = ResidualAutoencoder(16, image_shape=(3, 32, 32))(torch.zeros(5, 3, 32, 32))
    >>> x_hat.shape, z.shape
    (torch.Size([5, 3, 32, 32]), torch.Size([5, 16]))
    """

    def __init__(
        self,
        hidden_dim: int = 28,
        channels: int = 32,
        neurons: int = 84,
        *,
        image_shape: ImageShape = MNIST_SHAPE,
    ):
        super().__init__()
        self.encoder = ResidualEncoder(hidden_dim, channels, neurons, image_shape=image_shape)
        self.decoder = ResidualDecoder(hidden_dim, channels, neurons, image_shape=image_shape)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the reconstructions (N, C, H, W) and the latent vectors (N, hidden_dim)."""
        z = self.encoder(x)  # (N, hidden_dim)
        x_hat = self.decoder(z)  # (N, C, H, W)
        return x_hat, z


class IterativeAutoencoder(nn.Module):
    """A residual autoencoder that refines its latent vector in several steps.

    In every step the encoder receives the image and the residual of the current reconstruction,
    as two groups of channels, and its output is added to the latent vector. The same encoder
    serves all steps. The model has 312,564 parameters for MNIST.

    Parameters
    ----------
    hidden_dim : int
        Latent dimension.
    channels : int
        Number of channels of the feature maps.
    neurons : int
        Size of the hidden dense layers.
    n_steps : int
        Number of encoding steps. The attribute may be changed after training.
    image_shape : tuple of int
        Shape (C, H, W) of one image. H and W must be divisible by 4.

    Raises
    ------
    ValueError, TypeError
        If a size is not a positive integer, H or W is not divisible by 4, or images of another
        shape or dtype are passed in.

    Notes
    -----
    Iterative inference with an encoder: J. Marino et al., "Iterative amortized inference", ICML
    2018. Built in lesson 08.

    Examples
    --------
    >>> import torch
    >>> x_hat, z = IterativeAutoencoder(hidden_dim=28, n_steps=2)(torch.zeros(5, 1, 28, 28))
    >>> x_hat.shape, z.shape
    (torch.Size([5, 1, 28, 28]), torch.Size([5, 28]))
    """

    def __init__(
        self,
        hidden_dim: int = 28,
        channels: int = 32,
        neurons: int = 84,
        *,
        n_steps: int = 2,
        image_shape: ImageShape = MNIST_SHAPE,
    ):
        super().__init__()
        check_count(n_steps, "n_steps")
        self.n_steps = n_steps
        self.hidden_dim = hidden_dim
        self.decoder = ResidualDecoder(hidden_dim, channels, neurons, image_shape=image_shape)
        self.image_shape = self.decoder.image_shape
        image_channels, height, width = self.image_shape
        with_residual = 2 * image_channels, height, width
        self.encoder = ResidualEncoder(hidden_dim, channels, neurons, image_shape=with_residual)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the reconstructions (N, C, H, W) and the latent vectors (N, hidden_dim)."""
        check_images(x, "images", self.image_shape, self.encoder.patchify.weight.dtype)
        z = x.new_zeros(1, self.hidden_dim)  # all images start from the same latent vector
        for _ in range(self.n_steps):
            residual = x - self.decoder(z)  # (N, C, H, W)
            z = z + self.encoder(torch.cat([x, residual], dim=1))  # (N, hidden_dim)
        x_hat = self.decoder(z)  # (N, C, H, W)
        return x_hat, z


class VariationalAutoencoder(nn.Module):
    """An autoencoder whose decoder generates images from standard normal latent vectors.

    The encoder returns the means and the logarithms of the variances of the approximate
    posterior, a diagonal Gaussian, as one tensor (N, 2 * hidden_dim). Calling the model decodes
    the means, without noise. Train it with `negative_elbo`. It has 314,432 parameters for MNIST.

    Parameters
    ----------
    hidden_dim : int
        Latent dimension.
    channels : int
        Number of channels of the feature maps.
    neurons : int
        Size of the hidden dense layers.
    image_shape : tuple of int
        Shape (C, H, W) of one image. H and W must be divisible by 4.

    Raises
    ------
    ValueError, TypeError
        If a size is not a positive integer, H or W is not divisible by 4, or images of another
        shape or dtype are passed in.

    Notes
    -----
    D. P. Kingma and M. Welling, "Auto-encoding variational Bayes", ICLR 2014. Built in lesson 10.

    Examples
    --------
    >>> import torch
    >>> model = VariationalAutoencoder(hidden_dim=28)
    >>> model.decoder(torch.randn(5, 28)).shape  # five generated images
    torch.Size([5, 1, 28, 28])
    """

    def __init__(
        self,
        hidden_dim: int = 28,
        channels: int = 32,
        neurons: int = 84,
        *,
        image_shape: ImageShape = MNIST_SHAPE,
    ):
        super().__init__()
        self.decoder = ResidualDecoder(hidden_dim, channels, neurons, image_shape=image_shape)
        self.encoder = ResidualEncoder(2 * hidden_dim, channels, neurons, image_shape=image_shape)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the reconstructions (N, C, H, W) and the latent vectors (N, hidden_dim)."""
        mu, _ = self.encoder(x).chunk(2, dim=1)  # (N, hidden_dim)
        x_hat = self.decoder(mu)  # (N, C, H, W)
        return x_hat, mu


def elbo_terms(
    model: VariationalAutoencoder, images: Tensor, *, variance: float = 0.02
) -> tuple[Tensor, Tensor]:
    """Return the two terms of the negative ELBO: the distortion and the KL divergence.

    Latent vectors are sampled from the approximate posterior with the reparameterization trick,
    one for each image, in training and in evaluation mode.

    Parameters
    ----------
    model : VariationalAutoencoder
        A model whose encoder returns means and log-variances.
    images : Tensor
        Images (N, C, H, W) with pixels in [-1, 1].
    variance : float
        Variance of the Gaussian likelihood of a pixel, greater than 0.

    Returns
    -------
    distortion : Tensor
        Shape (N,), in nats: the squared error summed over pixels, divided by ``2 * variance``.
        This is the negative log-likelihood without its constant.
    kl : Tensor
        Shape (N, hidden_dim), in nats: the KL divergence of each latent variable's approximate
        posterior from the standard normal prior.

    Raises
    ------
    ValueError
        If ``variance`` is not greater than 0.

    Notes
    -----
    Built in lesson 10.

    Examples
    --------
    >>> import torch
    >>> distortion, kl = elbo_terms(VariationalAutoencoder(28), torch.zeros(5, 1, 28, 28))
    >>> distortion.shape, kl.shape
    (torch.Size([5]), torch.Size([5, 28]))
    """
    if not variance > 0:
        raise ValueError(
            f"variance must be greater than 0, got {variance}; "
            "a good value is the mean squared error that you expect"
        )
    mu, log_var = model.encoder(images).chunk(2, dim=1)  # (N, hidden_dim)
    sigma = (log_var / 2).exp()
    z = mu + sigma * torch.randn_like(mu)  # (N, hidden_dim)
    squared_error = (images - model.decoder(z)).square().sum(dim=(1, 2, 3))  # (N,)
    kl = (mu.square() + log_var.exp() - 1 - log_var) / 2  # (N, hidden_dim)
    return squared_error / (2 * variance), kl


def negative_elbo(
    model: VariationalAutoencoder, images: Tensor, *, beta: float = 1.0, variance: float = 0.02
) -> Tensor:
    """Return the loss of a variational autoencoder for each image: distortion + beta * KL.

    With ``beta=1`` it is the negative evidence lower bound (ELBO) up to an additive constant. A
    trainer uses its mean: override ``batch_loss`` to return
    ``negative_elbo(self.model, x).mean()``.

    Parameters
    ----------
    model : VariationalAutoencoder
        The model to train.
    images : Tensor
        Images (N, C, H, W) with pixels in [-1, 1].
    beta : float
        Weight of the KL divergence, at least 0.
    variance : float
        Variance of the Gaussian likelihood of a pixel, greater than 0.

    Returns
    -------
    Tensor
        Shape (N,), in nats.

    Raises
    ------
    ValueError
        If ``beta`` is below 0, or ``variance`` is not greater than 0.

    Notes
    -----
    D. P. Kingma and M. Welling, "Auto-encoding variational Bayes", ICLR 2014; ``beta``: I.
    Higgins et al., "beta-VAE", ICLR 2017. Built in lesson 10.

    Examples
    --------
    >>> import torch
    >>> loss = negative_elbo(VariationalAutoencoder(28), torch.zeros(5, 1, 28, 28)).mean()
    >>> loss.backward()
    """
    if not beta >= 0:
        raise ValueError(f"beta must be at least 0, got {beta}; 1 gives the negative ELBO")
    distortion, kl = elbo_terms(model, images, variance=variance)
    return distortion + beta * kl.sum(dim=1)  # (N,)


class LinearEncoder(nn.Module):
    """Project images onto the principal components: the encoder of a `LinearAutoencoder`.

    Parameters
    ----------
    components : Tensor
        Orthonormal rows (hidden_dim, C * H * W).
    mean : Tensor
        Mean image (C, H, W), which is subtracted first.

    Notes
    -----
    Used since lesson 00.

    Examples
    --------
    >>> import torch
    >>> encoder = LinearEncoder(torch.eye(2, 16), torch.zeros(1, 4, 4))
    >>> encoder(torch.ones(5, 1, 4, 4)).shape
    torch.Size([5, 2])
    """

    def __init__(self, components: Tensor, mean: Tensor):
        super().__init__()
        self.components = nn.Buffer(components)
        self.mean = nn.Buffer(mean)

    def forward(self, x: Tensor) -> Tensor:
        """Return the latent vectors (N, hidden_dim) of images (N, C, H, W)."""
        check_images(x, "images", self.mean.shape, self.mean.dtype)
        return (x - self.mean).flatten(start_dim=1) @ self.components.T  # (N, hidden_dim)


class LinearDecoder(nn.Module):
    """Map latent vectors back to images: the decoder of a `LinearAutoencoder`.

    Parameters
    ----------
    components : Tensor
        Orthonormal rows (hidden_dim, C * H * W).
    mean : Tensor
        Mean image (C, H, W), which is added last.

    Notes
    -----
    Used since lesson 00.

    Examples
    --------
    >>> import torch
    >>> decoder = LinearDecoder(torch.eye(2, 16), torch.zeros(1, 4, 4))
    >>> decoder(torch.ones(5, 2)).shape
    torch.Size([5, 1, 4, 4])
    """

    def __init__(self, components: Tensor, mean: Tensor):
        super().__init__()
        self.components = nn.Buffer(components)
        self.mean = nn.Buffer(mean)

    def forward(self, z: Tensor) -> Tensor:
        """Return the images (N, C, H, W) of latent vectors (N, hidden_dim)."""
        x = (z @ self.components).unflatten(1, self.mean.shape)  # (N, C, H, W)
        x_hat: Tensor = self.mean + x
        return x_hat


class LinearAutoencoder(nn.Module):
    """Principal component analysis (PCA) in the form of an autoencoder.

    `pca_baseline` fits it. Its tensors are buffers, so no optimizer changes them.

    Parameters
    ----------
    components : Tensor
        Orthonormal rows (hidden_dim, C * H * W).
    mean : Tensor
        Mean image (C, H, W).

    Raises
    ------
    ValueError, TypeError
        If images of another shape or dtype are passed in.

    Notes
    -----
    Used since lesson 00.

    Examples
    --------
    >>> import torch
    >>> model = LinearAutoencoder(torch.eye(2, 16), torch.zeros(1, 4, 4))
    >>> x_hat, z = model(torch.ones(5, 1, 4, 4))
    >>> x_hat.shape, z.shape
    (torch.Size([5, 1, 4, 4]), torch.Size([5, 2]))
    """

    def __init__(self, components: Tensor, mean: Tensor):
        super().__init__()
        self.encoder = LinearEncoder(components, mean)
        self.decoder = LinearDecoder(components, mean)

    @property
    def components(self) -> Tensor:
        """Principal components (hidden_dim, C * H * W), one a row."""
        return self.encoder.components

    @property
    def mean(self) -> Tensor:
        """Mean image (C, H, W)."""
        return self.encoder.mean

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the reconstructions (N, C, H, W) and the latent vectors (N, hidden_dim)."""
        z = self.encoder(x)  # (N, hidden_dim)
        x_hat = self.decoder(z)  # (N, C, H, W)
        return x_hat, z


Pretrained = Autoencoder | ResidualAutoencoder | IterativeAutoencoder
PRETRAINED: dict[str, type[Pretrained]] = {
    "lesson": Autoencoder,
    "residual": ResidualAutoencoder,
    "iterative": IterativeAutoencoder,
}


def load_pretrained(name: Literal["lesson", "residual", "iterative"]) -> Pretrained:
    """Load a trained model for MNIST with a latent dimension of 28.

    No image that `load_mnist` tests on, in either data set, was in a training set of these
    models. ``make weights`` trains all of them again.

    Parameters
    ----------
    name : str
        ``"lesson"`` is an `Autoencoder` trained by lesson 04's recipe, ``"residual"`` the
        `ResidualAutoencoder` and ``"iterative"`` the `IterativeAutoencoder` of lesson 08.

    Returns
    -------
    Autoencoder, ResidualAutoencoder or IterativeAutoencoder
        The model, on the CPU and in evaluation mode.

    Raises
    ------
    ValueError
        If there is no pretrained model of this name.

    Notes
    -----
    First used in lesson 00.

    Examples
    --------
    >>> model = load_pretrained("residual")
    >>> type(model).__name__
    'ResidualAutoencoder'
    """
    names = list(PRETRAINED)
    if name not in names:
        raise ValueError(f"name must be one of {names}, got {name!r}; or train your own model")
    with torch.device("cpu"):
        model = PRETRAINED[name](hidden_dim=28)
    with as_file(files("convae_lib") / "weights" / f"{name}.safetensors") as path:
        load_model(model, path)
    return model.eval()


def _check_image_shape(image_shape: ImageShape, multiple_of: int = 1) -> ImageShape:
    """Return ``image_shape`` as a tuple, or raise."""
    is_shape = (
        isinstance(image_shape, list | tuple)
        and len(image_shape) == 3
        and all(isinstance(size, int) and size > 0 for size in image_shape)
    )
    if not is_shape or image_shape[1] % multiple_of or image_shape[2] % multiple_of:
        divisible = f" with H and W divisible by {multiple_of}" if multiple_of > 1 else ""
        raise ValueError(
            f"image_shape must be (channels, height, width){divisible}, got {image_shape}; "
            "crop or resize the images, and pass images.shape[1:]"
        )
    channels, height, width = image_shape
    return channels, height, width


def _count_patches(image_shape: ImageShape) -> int:
    _, height, width = image_shape
    return (height // PATCH_SIZE) * (width // PATCH_SIZE)
