"""How long an epoch takes by the library, by a plain loop and by other libraries."""

import tempfile
from functools import partial
from time import perf_counter
from timeit import repeat

import torch
from new_process import run_in_new_process
from recipes import LESSON, SGD, fit
from torch.nn.functional import mse_loss
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.flop_counter import FlopCounterMode

from convae_lib import Autoencoder, mean_error


def train_by_plain_loop(train, seed):
    """Train as the source lesson does, by a loop without any library."""
    torch.manual_seed(seed)
    model = Autoencoder()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    torch.manual_seed(seed)  # so that the order of the images is the library's
    start = perf_counter()
    order = torch.randperm(len(train))
    x_train, y_train = train[order], train[order]
    for first in range(0, len(train), 60):
        x, y = x_train[first : first + 60], y_train[first : first + 60]
        optimizer.zero_grad()
        x_hat, _ = model(x)
        loss = mse_loss(x_hat, y)
        loss.backward()
        optimizer.step()
    return model, perf_counter() - start


def train_by_convae_lib(train, seed, bfloat16=False):
    """Train by the library's trainer."""
    model, history = fit(train, train[:1000], seed, **LESSON, bfloat16=bfloat16)
    return model, history.rows[-1]["seconds"]


def train_by_lightning(train, seed):
    """Train by Lightning, without its logger, checkpoints and progress bar."""
    import lightning

    class LightningAutoencoder(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.model = Autoencoder()

        def training_step(self, batch):
            (x,) = batch
            x_hat, _ = self.model(x)
            return mse_loss(x_hat, x)

        def configure_optimizers(self):
            return SGD(self.parameters(), lr=0.01)

    torch.manual_seed(seed)
    module = LightningAutoencoder()
    trainer = lightning.Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    start = perf_counter()
    trainer.fit(module, DataLoader(TensorDataset(train), batch_size=60, shuffle=True))
    return module.model, perf_counter() - start


def train_by_pythae(train, seed):
    """Train by pythae, which also copies the best model and stores it."""
    from pythae import models, trainers
    from pythae.data.datasets import BaseDataset
    from pythae.models.base.base_utils import ModelOutput

    class PythaeEncoder(models.nn.BaseEncoder):
        def __init__(self, network):
            super().__init__()
            self.network = network

        def forward(self, x):
            return ModelOutput(embedding=self.network(x))

    class PythaeDecoder(models.nn.BaseDecoder):
        def __init__(self, network):
            super().__init__()
            self.network = network

        def forward(self, z):
            return ModelOutput(reconstruction=self.network(z))

    torch.manual_seed(seed)
    network = Autoencoder()
    encoder, decoder = PythaeEncoder(network.encoder), PythaeDecoder(network.decoder)
    model_config = models.AEConfig(input_dim=(1, 28, 28), latent_dim=28)
    model = models.AE(model_config, encoder, decoder)
    dataset = BaseDataset(train, torch.zeros(len(train)))  # it requires labels
    with tempfile.TemporaryDirectory() as folder:
        training_config = trainers.BaseTrainerConfig(
            output_dir=folder,
            num_epochs=1,
            per_device_train_batch_size=60,
            optimizer_cls="SGD",
            optimizer_params={"momentum": 0.9},
            learning_rate=0.01 / 784,  # its loss is the sum over the pixels, not the mean
            no_cuda=True,
            seed=seed,
        )
        trainer = trainers.BaseTrainer(model, dataset, training_config=training_config)
        start = perf_counter()
        trainer.train()
        return network, perf_counter() - start


def arithmetic_limit(train):
    """Return the seconds of the epoch's arithmetic at the speed of large matrix products."""
    model = Autoencoder()
    batch = train[:60]
    with FlopCounterMode(display=False) as counter:
        x_hat, _ = model(batch)
        mse_loss(x_hat, batch).backward()
    n_operations = counter.get_total_flops() / len(batch) * len(train)
    matrix = torch.rand(2048, 2048)
    seconds = min(repeat(lambda: matrix @ matrix, number=1, repeat=10))
    operations_per_second = 2 * len(matrix) ** 3 / seconds
    return {
        "seconds": n_operations / operations_per_second,
        "billion_operations": n_operations / 1e9,
    }


CONTENDERS = {
    "the limit": arithmetic_limit,
    "plain": train_by_plain_loop,
    "convae_lib": train_by_convae_lib,
    "convae_lib, in bfloat16": partial(train_by_convae_lib, bfloat16=True),
    "lightning": train_by_lightning,
    "pythae": train_by_pythae,
}


def measure(images, contender, seed):
    """Measure one contender's epoch.

    An epoch of the lesson's network by the lesson's recipe: 55,000 images in batches of 60. Seconds
    are those of the training alone, in a process of its own. *The limit* is not a training: it is
    the time that the arithmetic of the epoch, forward and backward, would take at the speed at
    which the same threads multiply two large float32 matrices.
    """
    if contender == "the limit":
        return arithmetic_limit(images.train)
    model, seconds = run_in_new_process(CONTENDERS[contender], images.train, seed)
    return {"seconds": seconds, "test_error": mean_error(model, images.test)}
