"""A small library for learning convolutional autoencoders, built lesson by lesson.

========== ================================================================== =======
module     holds                                                              lessons
========== ================================================================== =======
data       load_mnist, ImageData, scale_images                                00, 04
layers     DenseLayer, ConvLayer, ResidualBlock                               01, 08
models     Encoder, Decoder, Autoencoder, load_pretrained,                    02, 05,
           ResidualEncoder, ResidualDecoder, ResidualAutoencoder              08
training   permute_data, PyTorchTrainer, History                              03
evaluation reconstruct, reconstruction_error, pca_baseline, tsne_embedding,   00–08
           embedding_quality, probe_codes, code_size_sweep
plots      display_image, show_reconstructions, plot_history, plot_embedding, 00–08
           DIGIT_COLORS
========== ================================================================== =======

After this import, ``import torchvision`` works beside any build of torch.
"""

from .data import ImageData, load_mnist, scale_images
from .evaluation import (
    code_size_sweep,
    embedding_quality,
    pca_baseline,
    probe_codes,
    reconstruct,
    reconstruction_error,
    tsne_embedding,
)
from .layers import ConvLayer, DenseLayer, ResidualBlock
from .models import (
    Autoencoder,
    Decoder,
    Encoder,
    ResidualAutoencoder,
    ResidualDecoder,
    ResidualEncoder,
    load_pretrained,
)
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
    "ResidualBlock",
    "ResidualDecoder",
    "ResidualEncoder",
    "code_size_sweep",
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
