"""The same network and recipe in other libraries, and another t-SNE (`pip install '.[bench]'`)."""

import logging
import tempfile
import time

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from convae_lib import Autoencoder, Decoder, Encoder  # first: it lets them import torchvision

# isort: split
import lightning
from openTSNE import TSNE
from pythae.data.datasets import BaseDataset
from pythae.models import AE, AEConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from pythae.trainers import BaseTrainer, BaseTrainerConfig

for name in ("lightning.pytorch", "pythae"):
    logging.getLogger(name).setLevel(logging.ERROR)


class _Lightning(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.model = Autoencoder(hidden_dim=28)

    def training_step(self, batch):
        (x,) = batch
        return nn.functional.mse_loss(self.model(x)[0], x)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01, momentum=0.9)


class _Encoder(BaseEncoder):
    def __init__(self):
        super().__init__()
        self.network = Encoder(hidden_dim=28)

    def forward(self, x):
        return ModelOutput(embedding=self.network(x))


class _Decoder(BaseDecoder):
    def __init__(self):
        super().__init__()
        self.network = Decoder(hidden_dim=28)

    def forward(self, code):
        return ModelOutput(reconstruction=self.network(code))


def lightning_epoch(train, seed):
    """Train the lesson's network for an epoch with Lightning; return it and the seconds."""
    torch.manual_seed(seed)
    module = _Lightning()
    trainer = lightning.Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    batches = DataLoader(TensorDataset(train), batch_size=60, shuffle=True)
    start = time.perf_counter()
    trainer.fit(module, batches)
    return module.model, time.perf_counter() - start


def pythae_epoch(train, seed):
    """Train the lesson's network for an epoch with pythae; return it and the seconds.

    They include what pythae always does: it keeps a copy of the best model and stores it.
    """
    torch.manual_seed(seed)
    model = AE(AEConfig(input_dim=(1, 28, 28), latent_dim=28), _Encoder(), _Decoder())
    with tempfile.TemporaryDirectory() as folder:
        config = BaseTrainerConfig(
            output_dir=folder,
            num_epochs=1,
            per_device_train_batch_size=60,
            optimizer_cls="SGD",
            optimizer_params={"momentum": 0.9},
            learning_rate=0.01 / 784,  # its loss is the sum over the pixels, ours the mean
            no_cuda=True,
            seed=seed,
        )
        labels = torch.zeros(len(train))  # asked for, not used
        trainer = BaseTrainer(model, BaseDataset(train, labels), training_config=config)
        start = time.perf_counter()
        trainer.train()
        seconds = time.perf_counter() - start
    network = Autoencoder(hidden_dim=28)
    network.encoder, network.decoder = model.encoder.network, model.decoder.network
    return network, seconds


def open_tsne(codes, seed):
    """A map of codes with openTSNE's defaults."""
    return TSNE(n_jobs=-1, random_state=seed).fit(codes)
