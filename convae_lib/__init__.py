"""A small library for learning convolutional autoencoders, built lesson by lesson.

- data: MNIST and any other images as tensors (lessons 00, 04, 11)
- layers: the dense and the convolutional layer, a residual block (01, 08)
- models: the source lesson's autoencoder, better ones, one that draws, PCA (02, 08, 10, 00)
- training: the trainer and what it remembers, in one process or several (03, 12)
- evaluation: reconstructions, their errors, the baseline (00 to 10)
- codes: maps of a code, and questions to it (06, 07)
- plots: the figures (00 to 10)
- explore: a map and a decoder to play with, in the page (05, 06, 10)
"""

from ._page import Interactive
from .codes import embedding_quality, probe_codes, tsne_embedding
from .data import ImageData, from_dataset, load_mnist, scale_images
from .evaluation import mean_error, pca_baseline, reconstruct, reconstruction_error
from .explore import code_sliders, digit_map
from .layers import ConvLayer, DenseLayer, ResidualBlock
from .models import (
    Autoencoder,
    Decoder,
    Encoder,
    LinearAutoencoder,
    ResidualAutoencoder,
    ResidualDecoder,
    ResidualEncoder,
    SecondLook,
    VariationalAutoencoder,
    VariationalLoss,
    load_pretrained,
)
from .plots import DIGIT_COLORS, display_image, plot_embedding, plot_history, show_reconstructions
from .training import History, PyTorchTrainer, permute_data

# fmt: off
__all__ = [
    "DIGIT_COLORS", "Autoencoder", "ConvLayer", "Decoder", "DenseLayer", "Encoder", "History",
    "ImageData", "Interactive", "LinearAutoencoder", "PyTorchTrainer", "ResidualAutoencoder",
    "ResidualBlock", "ResidualDecoder", "ResidualEncoder", "SecondLook",
    "VariationalAutoencoder", "VariationalLoss", "code_sliders", "digit_map", "display_image",
    "embedding_quality", "from_dataset", "load_mnist", "load_pretrained", "mean_error",
    "pca_baseline", "permute_data", "plot_embedding", "plot_history", "probe_codes",
    "reconstruct", "reconstruction_error", "scale_images", "show_reconstructions",
    "tsne_embedding",
]
