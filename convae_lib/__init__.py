"""A small PyTorch library for convolutional autoencoders, built lesson by lesson.

- ``data``: MNIST and your own images as tensors (lessons 00, 04, 11)
- ``layers``: dense layer, convolutional layer, residual block (01, 08)
- ``models``: the source lesson's autoencoder, residual, iterative, variational and linear ones
  (02, 08, 10, 00)
- ``training``: the trainer and its history (03)
- ``checkpoint``: stop a training and resume it (11)
- ``distributed``: train in several processes (12)
- ``evaluation``: reconstructions, their errors, the PCA baseline (00)
- ``codes``: t-SNE embeddings of latent vectors, and probes (06, 07)
- ``plots``: the course's figures (00)
- ``explore``: interactive figures that need no server (05, 06, 10)
"""

from .checkpoint import Checkpoint
from .codes import embedding_quality, probe_codes, tsne_embedding
from .data import ImageData, from_dataset, load_mnist, scale_images
from .distributed import DistributedTrainer
from .evaluation import mean_error, pca_baseline, reconstruct, reconstruction_error
from .explore import Interactive, code_sliders, digit_map
from .layers import ConvLayer, DenseLayer, ResidualBlock
from .models import (
    Autoencoder,
    Decoder,
    Encoder,
    IterativeAutoencoder,
    LinearAutoencoder,
    LinearDecoder,
    LinearEncoder,
    ResidualAutoencoder,
    ResidualDecoder,
    ResidualEncoder,
    VariationalAutoencoder,
    elbo_terms,
    load_pretrained,
    negative_elbo,
)
from .plots import DIGIT_COLORS, display_image, plot_embedding, plot_history, show_reconstructions
from .training import History, PyTorchTrainer, permute_data

__all__ = [
    "DIGIT_COLORS",
    "Autoencoder",
    "Checkpoint",
    "ConvLayer",
    "Decoder",
    "DenseLayer",
    "DistributedTrainer",
    "Encoder",
    "History",
    "ImageData",
    "Interactive",
    "IterativeAutoencoder",
    "LinearAutoencoder",
    "LinearDecoder",
    "LinearEncoder",
    "PyTorchTrainer",
    "ResidualAutoencoder",
    "ResidualBlock",
    "ResidualDecoder",
    "ResidualEncoder",
    "VariationalAutoencoder",
    "code_sliders",
    "digit_map",
    "display_image",
    "elbo_terms",
    "embedding_quality",
    "from_dataset",
    "load_mnist",
    "load_pretrained",
    "mean_error",
    "negative_elbo",
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
