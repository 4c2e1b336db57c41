"""What `test_processes.py` runs in two processes under torchrun: python together.py FOLDER CASE."""

import gc
import os
import signal
import sys
from datetime import timedelta
from functools import partial
from pathlib import Path

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import AdamW, lr_scheduler

from convae_lib import PyTorchTrainer


def trainer_of(*more, wrapped=True):
    """In float64, with ``more`` layers in the middle; the weights are the same in every process."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), *more, nn.Linear(4, 2)).double()
    if wrapped and distributed.is_initialized():
        model = DistributedDataParallel(model)
    optimizer = AdamW(model.parameters(), lr=0.01)
    schedule = lr_scheduler.CosineAnnealingWarmRestarts(optimizer, 3, 2)
    return PyTorchTrainer(model, optimizer, nn.MSELoss()), schedule


def noisy():
    return trainer_of(nn.BatchNorm1d(4), nn.Dropout(0.5))


def pairs(rows):
    generator = torch.Generator().manual_seed(rows)
    data = torch.randn(rows, 5, generator=generator, dtype=torch.float64)
    return data.split([3, 2], dim=1)


def fit(parts, epochs=4, rows=9, **options):
    """Train; return the history without seconds, and the state. The last of 9 rows is alone."""
    trainer, schedule = parts
    options = {"batch_size": 4, "eval_every": 1, "seed": 5, "scheduler": schedule} | options
    history = trainer.fit(*pairs(rows), *pairs(6), epochs, **options)
    model = trainer.model
    state = getattr(model, "module", model).state_dict()
    return [{**row, "seconds": 0} for row in history.rows], history.batch_losses, state


def note_rows(parts, seen):
    """Have ``seen`` collect the rows that the model is trained on."""
    model = parts[0].model
    model.register_forward_pre_hook(lambda _, x: seen.append(x[0]) if model.training else None)
    return parts


def alone(wrapped):
    try:
        return fit(trainer_of(wrapped=wrapped))
    except TypeError as error:
        return str(error)


def everything(folder, rank):
    found = {"plain": fit(trainer_of()), "unwrapped": alone(wrapped=False)}
    for name, seed in (("seeded", 5), ("not seeded", None)):
        torch.manual_seed(rank)
        found[name] = []
        fit(note_rows(noisy(), found[name]), rows=14, batch_size=5, seed=seed)

    fit(noisy(), 2, rows=14, batch_size=5, checkpoint=folder / "noisy.pt")
    for name, options in (("whole", {}), ("in two parts", {"checkpoint": folder / "noisy.pt"})):
        found[name] = fit(noisy(), rows=14, batch_size=5, **options)

    masks = []
    parts = noisy()
    parts[0].model.module[2].register_forward_hook(lambda *call: masks.append(call[2] == 0))
    fit(parts, 1, rows=4)
    found["mask"] = masks[0]

    calls = []
    stop = partial(lambda first, history: calls.append(1) or first, rank == 0)
    found["stopped"] = fit(trainer_of(), callback=stop)[0], len(calls)
    for name in ("killed.pt", "one.pt"):
        found[name] = fit(trainer_of(), checkpoint=folder / name)
    fit(trainer_of(), 2, checkpoint=folder / "two.pt")
    return found


def killed(folder, rank):
    """The second process dies in its third epoch, without a word."""
    parts = note_rows(trainer_of(), seen := [])
    parts[0].criterion = lambda output, y: (
        os.kill(os.getpid(), signal.SIGKILL) if rank and len(seen) > 7 else nn.MSELoss()(output, y)
    )
    fit(parts, checkpoint=folder / "killed.pt")


if __name__ == "__main__":
    distributed.init_process_group("gloo", timeout=timedelta(minutes=1))
    folder, rank = Path(sys.argv[1]), distributed.get_rank()
    found = {"everything": everything, "killed": killed}[sys.argv[2]](folder, rank)
    torch.save(found, folder / f"{rank}.pt")
    gc.collect()  # a model that still holds the group may crash the process when it ends
    distributed.barrier()
    distributed.destroy_process_group()
