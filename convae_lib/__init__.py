"""A small library for learning convolutional autoencoders, built lesson by lesson.

========== ================================================================== =======
module     holds                                                              lessons
========== ================================================================== =======
data       load_mnist, ImageData, scale_images                                00, 04
layers     DenseLayer, ConvLayer                                              01
models     Encoder, Decoder, Autoencoder, ResidualAutoencoder,                02, 05,
           load_pretrained                                                    07
training   permute_data, PyTorchTrainer, History                              03
evaluation reconstruct, reconstruction_error, pca_baseline, tsne_embedding,   04–07
           embedding_quality, probe_codes
plots      display_image, show_reconstructions, plot_history, plot_embedding, 00–07
           DIGIT_COLORS
========== ================================================================== =======

After this import, ``import torchvision`` works beside any build of torch.
"""

from .data import ImageData, load_mnist, scale_images
from .evaluation import (
    embedding_quality,
    pca_baseline,
    probe_codes,
    reconstruct,
    reconstruction_error,
    tsne_embedding,
)
from .layers import ConvLayer, DenseLayer
from .models import Autoencoder, Decoder, Encoder, ResidualAutoencoder, load_pretrained
from .plots import (
    DIGIT_COLORS,
    display_image,
    plot_embedding,
    plot_history,
    show_reconstructions,
)
from .training import History, PyTorchTrainer, permute_data

__all__ = [
    "DIGIT_COLORS",
    "Autoencoder",
    "ConvLayer",
    "Decoder",
    "DenseLayer",
    "Encoder",
    "History",
    "ImageData",
    "PyTorchTrainer",
    "ResidualAutoencoder",
    "display_image",
    "embedding_quality",
    "load_mnist",
    "load_pretrained",
    "pca_baseline",
    "permute_data",
    "plot_embedding",
    "plot_history",
    "probe_codes",
    "reconstruct",
    "reconstruction_error",
    "scale_images",
    "show_reconstructions",
    "tsne_embedding",
]
