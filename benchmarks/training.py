"""An epoch of the lesson's network by the lesson's recipe: 55,000 images in batches of 60.

Seconds are of training alone, in a process of its own. *The limit* is no run: the arithmetic of the
epoch, forward and backward, at the rate at which the same threads multiply two float32 matrices.
"""

import tempfile
from functools import partial
from time import perf_counter
from timeit import repeat

import torch
from evaluation import alone
from recipes import LESSON, SGD, fit
from torch.nn.functional import mse_loss
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.flop_counter import FlopCounterMode

from convae_lib import Autoencoder, mean_error


def plain(train, seed):
    """The source lesson's training, written straightforwardly."""
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
        loss = mse_loss(model(x)[0], y)
        loss.backward()
        optimizer.step()
    return model, perf_counter() - start


def library(train, seed, bfloat16=False):
    model, history = fit(train, train[:1000], seed, **LESSON, bfloat16=bfloat16)
    return model, history.rows[-1]["seconds"]


def lightning(train, seed):
    import lightning

    torch.manual_seed(seed)
    module = lightning.LightningModule()
    module.model = Autoencoder()
    module.training_step = lambda batch: mse_loss(module.model(batch[0])[0], batch[0])
    module.configure_optimizers = lambda: SGD(module.parameters(), lr=0.01)
    no = ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary")
    trainer = lightning.Trainer(max_epochs=1, accelerator="cpu", **dict.fromkeys(no, False))
    start = perf_counter()
    trainer.fit(module, DataLoader(TensorDataset(train), batch_size=60, shuffle=True))
    return module.model, perf_counter() - start


def pythae(train, seed):
    """The seconds include what pythae always does: it copies the best model, and stores it."""
    from pythae import models, trainers
    from pythae.data.datasets import BaseDataset
    from pythae.models.base.base_utils import ModelOutput

    torch.manual_seed(seed)
    encoder, decoder, network = models.nn.BaseEncoder(), models.nn.BaseDecoder(), Autoencoder()
    encoder.network, decoder.network = network.encoder, network.decoder
    encoder.forward = lambda x: ModelOutput(embedding=network.encoder(x))
    decoder.forward = lambda code: ModelOutput(reconstruction=network.decoder(code))
    model = models.AE(models.AEConfig(input_dim=(1, 28, 28), latent_dim=28), encoder, decoder)
    images = BaseDataset(train, torch.zeros(len(train)))  # labels are asked for, not used
    rate = 0.01 / 784  # its loss is the sum over the pixels, ours the mean
    options = {"optimizer_cls": "SGD", "optimizer_params": {"momentum": 0.9}, "learning_rate": rate}
    options |= {"num_epochs": 1, "per_device_train_batch_size": 60, "no_cuda": True, "seed": seed}
    with tempfile.TemporaryDirectory() as folder:
        config = trainers.BaseTrainerConfig(output_dir=folder, **options)
        trainer = trainers.BaseTrainer(model, images, training_config=config)
        start = perf_counter()
        trainer.train()
        return network, perf_counter() - start


def limit(train):
    model, batch, matrix = Autoencoder(), train[:60], torch.rand(2048, 2048)
    with FlopCounterMode(display=False) as counter:
        mse_loss(model(batch)[0], batch).backward()
    operations = counter.get_total_flops() / len(batch) * len(train)
    peak = 2 * len(matrix) ** 3 / min(repeat(lambda: matrix @ matrix, number=1, repeat=10))
    return {"seconds": operations / peak, "billion_operations": operations / 1e9}


CONTENDERS = {"the limit": limit, "plain": plain, "convae_lib": library}
CONTENDERS |= {"convae_lib, in bfloat16": partial(library, bfloat16=True)}
CONTENDERS |= {"lightning": lightning, "pythae": pythae}


def measure(images, contender, seed):
    if contender == "the limit":
        return limit(images.train)
    model, seconds = alone(CONTENDERS[contender], images.train, seed)
    return {"seconds": seconds, "test_error": mean_error(model, images.test)}
