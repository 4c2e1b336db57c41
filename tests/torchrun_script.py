"""Run by `test_distributed.py` in two processes: torchrun torchrun_script.py FOLDER CASE."""

import gc
import os
import signal
import sys
from datetime import timedelta
from pathlib import Path

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import AdamW, lr_scheduler

from convae_lib import Checkpoint, DistributedTrainer
from convae_lib.distributed import unwrap


def make_trainer(*layers, wrap=lambda model: model):
    """Return a trainer and its schedule, with more ``layers`` in the middle of the model."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), *layers, nn.Linear(4, 2)).double()
    model = wrap(model)
    optimizer = AdamW(model.parameters(), lr=0.01)
    schedule = lr_scheduler.CosineAnnealingWarmRestarts(optimizer, 3, 2)
    return DistributedTrainer(model, optimizer, nn.MSELoss()), schedule


def make_noisy_trainer():
    return make_trainer(nn.BatchNorm1d(4), nn.Dropout(0.5))


def make_pairs(n_rows):
    generator = torch.Generator().manual_seed(n_rows)
    data = torch.randn(n_rows, 5, generator=generator, dtype=torch.float64)
    return data.split([3, 2], dim=1)


def fit(trainer, schedule, epochs=4, n_rows=9, checkpoint=None, callbacks=(), **options):
    """Train; return the history without seconds, and the state. The last of 9 rows is alone."""
    if checkpoint is not None:
        callbacks = [Checkpoint(checkpoint), *callbacks]
    options = {"batch_size": 4, "eval_every": 1, "seed": 5} | options
    history = trainer.fit(
        *make_pairs(n_rows), *make_pairs(6), epochs,
        scheduler=schedule, callbacks=callbacks, **options,
    )  # fmt: skip
    rows = [{**row, "seconds": 0} for row in history.rows]
    return rows, history.batch_losses, unwrap(trainer.model).state_dict()


def note_training_rows(trainer, noted):
    """Let ``noted`` collect the rows that this process trains on."""

    def hook(module, args):
        if module.training:
            noted.append(args[0])

    trainer.module.register_forward_pre_hook(hook)


def train_in_every_way(folder, rank):
    results = {}
    results["plain"] = fit(*make_trainer())
    results["wrapped"] = fit(*make_trainer(wrap=DistributedDataParallel))
    results["compiled"] = fit(
        *make_trainer(wrap=lambda m: torch.compile(DistributedDataParallel(m), backend="eager"))
    )

    for name, seed in (("seeded", 5), ("not seeded", None)):
        torch.manual_seed(rank)
        trainer, schedule = make_noisy_trainer()
        results[name] = []
        note_training_rows(trainer, results[name])
        torch.manual_seed(rank)
        fit(trainer, schedule, n_rows=14, batch_size=5, seed=seed)

    noisy = {"n_rows": 14, "batch_size": 5}
    fit(*make_noisy_trainer(), epochs=2, checkpoint=folder / "noisy.pt", **noisy)
    results["whole"] = fit(*make_noisy_trainer(), **noisy)
    results["in two parts"] = fit(*make_noisy_trainer(), checkpoint=folder / "noisy.pt", **noisy)

    masks = []
    trainer, schedule = make_noisy_trainer()
    dropout = trainer.module[2]
    dropout.register_forward_hook(lambda module, args, output: masks.append(output == 0))
    fit(trainer, schedule, epochs=1, n_rows=4)
    results["mask"] = masks[0]

    n_calls = 0

    def stop_on_rank_0(trainer):
        nonlocal n_calls
        n_calls += 1
        trainer.stop = rank == 0

    results["stopped"] = fit(*make_trainer(), callbacks=[stop_on_rank_0])[0], n_calls

    def loss_of_the_last_batch(output, y):
        last = output.requires_grad and len(y) == 1
        return nn.functional.mse_loss(output, y) * (torch.nan if last and rank == 0 else 1)

    trainer, schedule = make_trainer()
    trainer.criterion = loss_of_the_last_batch
    try:
        fit(trainer, schedule)
    except FloatingPointError as error:
        results["not finite"] = str(error)

    for name in ("killed.pt", "one.pt"):
        results[name] = fit(*make_trainer(), checkpoint=folder / name)
    fit(*make_trainer(), epochs=2, checkpoint=folder / "two.pt")
    return results


def train_and_die(folder, rank):
    """Let rank 1 die in its third epoch."""
    trainer, schedule = make_trainer()
    noted = []
    note_training_rows(trainer, noted)

    def die_in_the_third_epoch(output, y):
        if len(noted) > 7:
            os.kill(os.getpid(), signal.SIGKILL)
        return nn.functional.mse_loss(output, y)

    if rank == 1:
        trainer.criterion = die_in_the_third_epoch
    fit(trainer, schedule, checkpoint=folder / "killed.pt")


if __name__ == "__main__":
    distributed.init_process_group("gloo", timeout=timedelta(minutes=1))
    folder, rank = Path(sys.argv[1]), distributed.get_rank()
    cases = {"every way": train_in_every_way, "die": train_and_die}
    results = cases[sys.argv[2]](folder, rank)
    torch.save(results, folder / f"{rank}.pt")
    gc.collect()  # a model that still holds the group may crash the process when it ends
    distributed.barrier()
    distributed.destroy_process_group()
