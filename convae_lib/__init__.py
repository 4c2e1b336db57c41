"""A small library for learning convolutional autoencoders, built lesson by lesson.

========== =================================================================== =======
module     holds                                                               lessons
========== =================================================================== =======
data       load_mnist, ImageData, scale_images, from_dataset                   00, 04
layers     DenseLayer, ConvLayer, ResidualBlock                                01, 08
models     Encoder, Decoder, Autoencoder, load_pretrained, ResidualEncoder,    02, 05,
           ResidualDecoder, ResidualAutoencoder, LinearAutoencoder             08, 00
training   permute_data, PyTorchTrainer, History                               03
evaluation reconstruct, reconstruction_error, mean_error, pca_baseline         00–08
codes      tsne_embedding, embedding_quality, probe_codes                      06, 07
plots      display_image, show_reconstructions, plot_history, plot_embedding,  00–08
           DIGIT_COLORS
========== =================================================================== =======
"""

from . import _torchvision  # noqa: F401 - first: it lets the others import torchvision
from .codes import embedding_quality, probe_codes, tsne_embedding
from .data import ImageData, from_dataset, load_mnist, scale_images
from .evaluation import mean_error, pca_baseline, reconstruct, reconstruction_error
from .layers import ConvLayer, DenseLayer, ResidualBlock
from .models import (
    Autoencoder,
    Decoder,
    Encoder,
    LinearAutoencoder,
    ResidualAutoencoder,
    ResidualDecoder,
    ResidualEncoder,
    load_pretrained,
)
from .plots import DIGIT_COLORS, display_image, plot_embedding, plot_history, show_reconstructions
from .training import History, PyTorchTrainer, permute_data

# fmt: off
__all__ = [
    "DIGIT_COLORS", "Autoencoder", "ConvLayer", "Decoder", "DenseLayer", "Encoder", "History",
    "ImageData", "LinearAutoencoder", "PyTorchTrainer", "ResidualAutoencoder", "ResidualBlock",
    "ResidualDecoder", "ResidualEncoder", "display_image", "embedding_quality", "from_dataset",
    "load_mnist", "load_pretrained", "mean_error", "pca_baseline", "permute_data",
    "plot_embedding", "plot_history", "probe_codes", "reconstruct", "reconstruction_error",
    "scale_images", "show_reconstructions", "tsne_embedding",
]
