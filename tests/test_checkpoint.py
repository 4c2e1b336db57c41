import copy
import os
import signal
import sys
import time
from datetime import datetime
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import l1_loss, mse_loss
from torch.optim import lr_scheduler

from convae_lib import Checkpoint, PyTorchTrainer

X = torch.randn(10, 3, generator=torch.Generator().manual_seed(1))
Y = torch.randn(10, 2, generator=torch.Generator().manual_seed(2))


def adamw(model):
    return torch.optim.AdamW(model.parameters(), lr=0.01)


def one_cycle(optimizer):
    return lr_scheduler.OneCycleLR(optimizer, 0.1, 100_000)


def make_model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.3), nn.Linear(4, 2))


def make_trainer(model=None, optimizer=adamw, scheduler=one_cycle, criterion=mse_loss):
    """Return a trainer and a schedule: a model with all that a step changes, and noise."""
    model = make_model() if model is None else model
    optim = optimizer(model)
    schedule = None if scheduler is None else scheduler(optim)
    trainer = PyTorchTrainer(model, optim, criterion)
    return trainer, schedule


def fit(trainer, schedule, path, epochs, x=X, y=Y, batch_size=4, seed=5, callbacks=()):
    checkpoint = [] if path is None else [Checkpoint(path)]
    return trainer.fit(
        x, y, x, y, epochs, 1, batch_size,
        scheduler=schedule, seed=seed, callbacks=[*checkpoint, *callbacks],
    )  # fmt: skip


def result_of(trainer):
    """Return everything that must be equal to the bit."""
    rows = [{**row, "seconds": 0} for row in trainer.history.rows]
    model = getattr(trainer.model, "_orig_mod", trainer.model)
    model = getattr(model, "module", model)
    state = {name: tensor.tolist() for name, tensor in model.state_dict().items()}
    return rows, trainer.history.batch_losses, state


def train(path, epochs, callbacks=(), seed=5, verbose=True, **parts):
    trainer, schedule = make_trainer(**parts)
    trainer.verbose = verbose
    fit(trainer, schedule, path, epochs, callbacks=callbacks, seed=seed)
    return result_of(trainer)


OPTIMIZERS = {
    "SGD": lambda model: torch.optim.SGD(model.parameters(), 0.01, momentum=0.9),
    "AdamW": adamw,
    "Adam with amsgrad": lambda model: torch.optim.Adam(model.parameters(), amsgrad=True),
    "RMSprop": lambda model: torch.optim.RMSprop(model.parameters(), 0.01),
    "Adagrad": lambda model: torch.optim.Adagrad(model.parameters(), 0.01),
    "a tensor as rate": lambda model: torch.optim.AdamW(model.parameters(), torch.tensor(0.01)),
    "two groups": lambda model: torch.optim.AdamW(
        [{"params": model[0].parameters(), "lr": 0.1}, {"params": model[3].parameters()}], 0.01
    ),
}
SCHEDULES = {
    "none": None,
    "OneCycleLR": one_cycle,
    "warm restarts": lambda optim: lr_scheduler.CosineAnnealingWarmRestarts(optim, 2, 2),
    "a NumPy function": lambda optim: lr_scheduler.LambdaLR(optim, lambda k: np.cos(k / 20)),
    "MultiStepLR": lambda optim: lr_scheduler.MultiStepLR(optim, [3, 8]),
    "CyclicLR": lambda optim: lr_scheduler.CyclicLR(optim, 0.01, 0.1, 3, cycle_momentum=False),
    "SequentialLR": lambda optim: lr_scheduler.SequentialLR(
        optim,
        [lr_scheduler.ConstantLR(optim, 0.1), lr_scheduler.ExponentialLR(optim, 0.9)],
        milestones=[7],
    ),
    "ChainedScheduler": lambda optim: lr_scheduler.ChainedScheduler(
        [lr_scheduler.ConstantLR(optim, 0.1), lr_scheduler.StepLR(optim, 5)]
    ),
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_a_resumed_training_has_the_bits_of_a_whole_one_with_every_optimizer(optimizer, tmp_path):
    expected = train(None, 4, optimizer=optimizer, scheduler=None)
    train(tmp_path / "run.pt", 2, optimizer=optimizer, scheduler=None)
    assert train(tmp_path / "run.pt", 4, optimizer=optimizer, scheduler=None) == expected


@pytest.mark.parametrize("scheduler", SCHEDULES.values(), ids=SCHEDULES)
def test_a_resumed_training_has_the_bits_of_a_whole_one_with_every_schedule(scheduler, tmp_path):
    optimizer = OPTIMIZERS["SGD"]
    expected = train(None, 4, optimizer=optimizer, scheduler=scheduler)
    train(tmp_path / "run.pt", 2, optimizer=optimizer, scheduler=scheduler)
    assert train(tmp_path / "run.pt", 4, optimizer=optimizer, scheduler=scheduler) == expected


def test_without_a_seed_the_global_generator_is_resumed_too(tmp_path):
    torch.manual_seed(3)
    trainer, schedule = make_trainer()
    fit(trainer, schedule, None, 4, seed=None)
    expected, expected_next = result_of(trainer), torch.rand(1)
    train(tmp_path / "run.pt", 2, seed=None)
    torch.rand(7)
    assert train(tmp_path / "run.pt", 4, seed=None) == expected
    assert torch.equal(torch.rand(1), expected_next)


def test_a_resumed_training_says_so_and_its_seconds_go_on(tmp_path, capsys):
    path = tmp_path / "run.pt"
    train(path, 2)
    trainer, schedule = make_trainer()
    history = fit(trainer, schedule, path, 4)
    assert f"{path}: resuming after epoch 2\n" in capsys.readouterr().out
    assert history.frame["seconds"].is_monotonic_increasing
    assert not trainer.model.training


def test_fit_can_be_called_again_with_the_same_trainer(tmp_path):
    path = tmp_path / "run.pt"
    trainer, schedule = make_trainer()
    fit(trainer, schedule, path, 2)
    fit(trainer, schedule, path, 4)
    assert result_of(trainer) == train(None, 4)


def test_fit_can_be_called_again_after_a_callback_changed_the_rate(tmp_path):
    def halve(trainer):
        for group in trainer.optim.param_groups:
            group["lr"] /= 2

    path = tmp_path / "run.pt"
    trainer, _ = make_trainer(scheduler=None)
    trainer.fit(X, Y, X, Y, 2, 1, callbacks=[halve, Checkpoint(path)])
    trainer.fit(X, Y, X, Y, 3, 1, callbacks=[halve, Checkpoint(path)])
    assert trainer.optim.param_groups[0]["lr"] == 0.01 / 8


def test_a_change_of_the_current_folder_does_not_move_the_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    train("run.pt", 2, callbacks=[lambda trainer: os.chdir("/")])
    assert [path.name for path in tmp_path.iterdir()] == ["run.pt"]


def test_a_callback_that_raises_does_not_cost_the_evaluations_file(tmp_path):
    def fail(trainer):
        if len(trainer.history.rows) == 2:
            raise RuntimeError("no more")

    path = tmp_path / "run.pt"
    with pytest.raises(RuntimeError, match="no more"):
        train(path, 4, callbacks=[fail])
    assert train(path, 4) == train(None, 4)


def stop_after_two(trainer):
    if len(trainer.history.rows) == 2:
        trainer.stop = True


@pytest.mark.parametrize("checkpoint_first", [True, False])
def test_a_stopped_training_stays_stopped_and_says_so(checkpoint_first, tmp_path, capsys):
    path = tmp_path / "run.pt"
    for _ in range(2):
        trainer, schedule = make_trainer()
        callbacks = [Checkpoint(path), stop_after_two]
        if not checkpoint_first:
            callbacks.reverse()
        history = trainer.fit(X, Y, X, Y, 9, 1, 4, scheduler=schedule, seed=5, callbacks=callbacks)
        assert history.frame["epoch"].tolist() == [1, 2]
    printed = capsys.readouterr().out
    assert f"{path}: a callback stopped this training after epoch 2\n" in printed
    assert "resuming" not in printed


def test_fewer_epochs_than_the_file_has_are_refused(tmp_path):
    path = tmp_path / "run.pt"
    train(path, 4)
    content = path.read_bytes()
    with pytest.raises(ValueError, match=r"^epochs must be at least 4, .*run.pt .*, got 2; ask"):
        train(path, 2)
    assert path.read_bytes() == content


def test_as_many_epochs_as_the_file_has_are_done_already(tmp_path, capsys):
    path = tmp_path / "run.pt"
    expected = train(path, 3)
    capsys.readouterr()
    assert train(path, 3) == expected
    assert capsys.readouterr().out == f"{path}: all 3 epochs are done\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="it forks")
@pytest.mark.skipif(torch.accelerator.is_available(), reason="a GPU does not survive a fork")
@pytest.mark.filterwarnings("ignore:.*fork")
@pytest.mark.parametrize(
    ("optimizer", "scheduler"),
    [("SGD", "warm restarts"), ("AdamW", "OneCycleLR"), ("RMSprop", "none")],
)
def test_kills_at_random_moments_leave_a_file_that_resumes_to_the_same_bits(
    optimizer, scheduler, tmp_path, request
):
    epochs = 60
    parts = {"optimizer": OPTIMIZERS[optimizer], "scheduler": SCHEDULES[scheduler]}
    threads = torch.get_num_threads()
    request.addfinalizer(partial(torch.set_num_threads, threads))
    torch.set_num_threads(1)  # threads do not survive a fork
    path = tmp_path / "run.pt"
    expected = train(None, epochs, **parts)
    moments = np.random.default_rng(0).uniform(0.002, 0.06, size=20)
    for moment in moments:
        child = os.fork()
        if child == 0:
            try:
                signal.alarm(60)
                # A progress bar's lock is shared with the parent, which would wait for the dead.
                train(path, epochs, verbose=False, **parts)
            finally:
                os._exit(0)
        time.sleep(moment)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        if path.exists():
            torch.load(path, weights_only=True)
    assert train(path, epochs, **parts) == expected
    assert list(tmp_path.iterdir()) == [path]


WRAPPERS = {
    "plain": lambda model: model,
    "compiled": lambda model: torch.compile(model, backend="eager"),
    "DataParallel": nn.DataParallel,
}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("compiled", "plain"),
        ("plain", "compiled"),
        ("DataParallel", "plain"),
        ("compiled", "DataParallel"),
    ],
)
def test_compiled_and_wrapped_models_resume_plain_ones_and_the_reverse(first, second, tmp_path):
    path = tmp_path / "run.pt"
    train(path, 2, model=WRAPPERS[first](make_model()))
    assert train(path, 4, model=WRAPPERS[second](make_model())) == train(None, 4)


UNREADABLE = {
    "an array": (np.zeros(3), "ndarray"),
    "np.int32": (np.int32(3), "int32"),
    "a date": (datetime(2026, 1, 1), "datetime"),
    "a path": (Path("a"), r"P\w*Path"),
    "a function": (len, "builtin_function_or_method"),
    "a nested array": ({"list": [1, {"array": np.ones(1)}]}, "ndarray"),
}


@pytest.mark.parametrize(("value", "kind"), UNREADABLE.values(), ids=UNREADABLE)
def test_what_could_not_be_restored_is_refused_at_the_first_save(value, kind, tmp_path):
    def note(trainer):
        trainer.history.rows[-1]["mine"] = value

    trainer, _ = make_trainer()
    message = rf"^a checkpoint can hold numbers, .*\['rows'\]\[0\]\['mine'\].* of type {kind}; conv"
    with pytest.raises(ValueError, match=message):
        trainer.fit(X, Y, X, Y, 3, 1, callbacks=[note, Checkpoint(tmp_path / "run.pt")])
    assert len(trainer.history.rows) == 1
    assert list(tmp_path.iterdir()) == []


READABLE = {
    "a number": 0.5,
    "a tensor": torch.ones(2),
    "np.float64": np.float64(0.1),
    "a list": [1, "two", None, {"three": (4, 5)}],
}


@pytest.mark.parametrize("value", READABLE.values(), ids=READABLE)
def test_what_a_callback_adds_to_the_history_is_restored(value, tmp_path):
    def note(trainer):
        trainer.history.rows[-1]["mine"] = value

    path = tmp_path / "run.pt"
    for epochs in (2, 3):
        trainer, _ = make_trainer(scheduler=None)
        trainer.fit(X, Y, X, Y, epochs, 1, callbacks=[note, Checkpoint(path)])
    assert [str(row["mine"]) for row in trainer.history.rows] == [str(value)] * 3


def other_groups(model):
    groups = [{"params": model[0].parameters(), "lr": 1e-5}, {"params": model[3].parameters()}]
    return torch.optim.AdamW(groups, 0.01)


class TwiceTheLoss(PyTorchTrainer):
    def batch_loss(self, x, y):
        return 2 * super().batch_loss(x, y)


TWO_GROUPS = {"optimizer": OPTIMIZERS["two groups"], "scheduler": None}
MILESTONES = {"scheduler": lambda optim: lr_scheduler.MultiStepLR(optim, [3, 9])}


@pytest.mark.parametrize(
    ("name", "first", "second", "options"),
    [
        pytest.param("model", {}, {"model": nn.Linear(3, 2)}, {}, id="model: Linear"),
        pytest.param(
            "model", {}, {"model": make_model().append(nn.Linear(2, 2))}, {}, id="model: longer"
        ),
        pytest.param("model", {}, {"model": make_model().half()}, {}, id="model: dtype"),
        pytest.param(
            "optimizer", {}, {"optimizer": OPTIMIZERS["Adam with amsgrad"]}, {}, id="optimizer"
        ),
        pytest.param(
            "optimizer",
            {"scheduler": None},
            {"scheduler": None, "optimizer": lambda m: torch.optim.AdamW(m.parameters(), 0.02)},
            {},
            id="optimizer: rate",
        ),
        pytest.param(
            "optimizer",
            {},
            {"optimizer": lambda m: torch.optim.AdamW(m.parameters(), 0.01, eps=1)},
            {},
            id="optimizer: eps",
        ),
        pytest.param(
            "optimizer",
            TWO_GROUPS,
            TWO_GROUPS | {"optimizer": other_groups},
            {},
            id="optimizer: rate of a group",
        ),
        pytest.param("scheduler", {}, {"scheduler": None}, {}, id="scheduler: none now"),
        pytest.param("scheduler", {"scheduler": None}, {}, {}, id="scheduler: one now"),
        pytest.param(
            "scheduler",
            {},
            {"scheduler": lambda optim: lr_scheduler.OneCycleLR(optim, 0.1, 50_000)},
            {},
            id="scheduler: steps",
        ),
        pytest.param(
            "scheduler",
            {"scheduler": SCHEDULES["MultiStepLR"]},
            MILESTONES,
            {},
            id="scheduler: milestones",
        ),
        pytest.param("loss", {}, {"criterion": l1_loss}, {}, id="loss: function"),
        pytest.param(
            "loss",
            {"criterion": nn.HuberLoss(delta=1.0)},
            {"criterion": nn.HuberLoss(delta=2.0)},
            {},
            id="loss: option",
        ),
        pytest.param(
            "loss",
            {"criterion": lambda output, y: (output - y).square().mean()},
            {"criterion": lambda output, y: (output - y).abs().mean()},
            {},
            id="loss: lambda",
        ),
        pytest.param("training data", {}, {}, {"x": (X + 1) / 2}, id="data: pixels"),
        pytest.param("training data", {}, {}, {"y": 0 * Y}, id="data: targets"),
        pytest.param("training data", {}, {}, {"x": X[:9], "y": Y[:9]}, id="data: rows"),
        pytest.param("call", {}, {}, {"batch_size": 5}, id="batch size"),
        pytest.param("call", {}, {}, {"seed": 6}, id="seed"),
        pytest.param("call", {}, {}, {"seed": None}, id="seed: none now"),
    ],
)
def test_the_file_of_another_training_is_refused_and_left_alone(
    name, first, second, options, tmp_path
):
    path = tmp_path / "run.pt"
    train(path, 2, **first)
    content = path.read_bytes()
    trainer, schedule = make_trainer(**copy.deepcopy(second))
    before = copy.deepcopy(trainer.model.state_dict())
    message = rf"run.pt belongs to another training: the {name} differs in .* now; use another file"
    with pytest.raises(ValueError, match=message):
        fit(trainer, schedule, path, 4, **options)
    torch.testing.assert_close(trainer.model.state_dict(), before, rtol=0, atol=0)
    assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


def test_another_loss_in_a_derived_trainer_is_refused(tmp_path):
    path = tmp_path / "run.pt"
    train(path, 2)
    trainer, schedule = make_trainer()
    trainer.__class__ = TwiceTheLoss
    with pytest.raises(ValueError, match=r"the loss differs in method, .*TwiceTheLoss"):
        fit(trainer, schedule, path, 4)


def test_other_test_data_are_refused(tmp_path):
    path = tmp_path / "run.pt"
    for x_test, refused in ((X, False), (-X, True)):
        trainer, _ = make_trainer(scheduler=None)
        call = partial(trainer.fit, X, Y, x_test, Y, 2, 1, callbacks=[Checkpoint(path)])
        if refused:
            with pytest.raises(
                ValueError, match=r"the test data differs in x, torch.float32 \(10, 3\)"
            ):
                call()
        else:
            call()


class RunsCode:
    def __reduce__(self):
        return exec, ("raise SystemExit",)


FOREIGN = {
    "a state_dict": lambda path: torch.save(make_model().state_dict(), path),
    "code": lambda path: torch.save({"identity": RunsCode()}, path),
    "text": lambda path: path.write_text("no checkpoint"),
    "nothing": lambda path: path.touch(),
    "half a checkpoint": lambda path: (train(path, 1), os.truncate(path, 5000)),
}


@pytest.mark.parametrize("write", FOREIGN.values(), ids=FOREIGN)
def test_a_file_that_is_no_checkpoint_is_refused_and_left_alone(write, tmp_path):
    path = tmp_path / "run.pt"
    write(path)
    content = path.read_bytes()
    with pytest.raises(ValueError, match=r"run.pt must be a checkpoint .* cannot be read .*delete"):
        train(path, 1)
    assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("path", ["missing/run.pt", "."])
def test_a_path_that_cannot_be_written_is_refused_before_the_training(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    trainer, schedule = make_trainer()
    with pytest.raises(OSError, match=r"^checkpoint must be a file that can be written, got .*/"):
        fit(trainer, schedule, path, 1)
    assert trainer.history.batch_losses == []


@pytest.mark.skipif(sys.platform == "win32", reason="it limits the size of a file")
def test_a_full_disk_gives_one_clear_error_and_keeps_the_last_file(tmp_path):
    import resource

    def fill_the_disk(trainer):
        if len(trainer.history.rows) == 2:
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))

    path = tmp_path / "run.pt"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    trainer, schedule = make_trainer()
    trainer.verbose = False
    callbacks = [fill_the_disk, Checkpoint(path)]
    message = r"run.pt could not be written .* bytes are needed, and the checkpoint before it is"
    try:
        with pytest.raises(OSError, match=message):
            trainer.fit(X, Y, X, Y, 4, 1, 4, scheduler=schedule, seed=5, callbacks=callbacks)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == [path]
    assert train(path, 4) == train(None, 4)


def test_ctrl_c_leaves_the_file_of_the_last_evaluation(tmp_path):
    path = tmp_path / "run.pt"
    n_batches = 0

    def interrupted_loss(output, y):
        nonlocal n_batches
        n_batches += output.requires_grad
        if n_batches == 8:  # in the third epoch
            raise KeyboardInterrupt
        return mse_loss(output, y)

    trainer, schedule = make_trainer(criterion=interrupted_loss)
    history = fit(trainer, schedule, path, 4)
    assert history.interrupted
    state = torch.load(path, weights_only=True)
    assert [row["epoch"] for row in state["rows"]] == [1, 2]
    assert not state["stopped"]
