import copy
import os
import pickle
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import mse_loss
from torch.optim import lr_scheduler

from convae_lib import ConvLayer, History, PyTorchTrainer, permute_data


@pytest.fixture(autouse=True)
def listening():
    """To Ctrl-C, which a shell lets its background jobs ignore."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def trainer_of(model, criterion=mse_loss, lr=0.1):
    return PyTorchTrainer(model, torch.optim.SGD(model.parameters(), lr, momentum=0.9), criterion)


def pairs(rows=10):
    generator = torch.Generator().manual_seed(rows)
    return torch.randn(rows, 3, generator=generator), torch.randn(rows, 2, generator=generator)


def state_of(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def timeless(history):
    return [{**row, "seconds": 0} for row in history.rows], history.batch_losses


def at_batch(act):
    """A criterion that calls ``act(k)`` at the k-th training batch, and adds what it returns."""
    batches = []

    def criterion(output, y):
        if output.requires_grad:
            batches.append(1)
            return mse_loss(output, y) + (act(len(batches)) or 0)
        return mse_loss(output, y)

    return criterion


def noisy_trainer():
    """With all that a step changes: weights, buffers, an optimizer's state, a rate."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.3), nn.Linear(4, 2))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    scheduler = lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=30)
    return PyTorchTrainer(model, optimizer, mse_loss), scheduler


def noisy_fit(trainer, scheduler, epochs=3, rows=10, **options):
    x, y = pairs(rows)
    options = {"eval_every": 1, "batch_size": 4, "scheduler": scheduler, "seed": 5} | options
    return trainer.fit(x, y, x, y, epochs, **options)


@given(rows=st.integers(1, 40), columns=st.integers(1, 3), seed=st.integers(0, 9))
def test_permuting_copies_both_in_the_order_that_torch_draws(rows, columns, seed):
    X = torch.arange(rows * columns).reshape(rows, columns)
    y = X[:, 0] * 10
    torch.manual_seed(seed)
    order = torch.randperm(rows)
    torch.manual_seed(seed)
    shuffled_X, shuffled_y = permute_data(X, y)
    assert torch.equal(shuffled_X, X[order]) and torch.equal(shuffled_y, X[order, 0] * 10)
    assert X.flatten().tolist() == list(range(rows * columns))
    one, two = permute_data(X, X)
    assert one is two and one.data_ptr() != X.data_ptr()
    with pytest.raises(ValueError, match=r"^X and y must pair up"):
        permute_data(X, torch.cat([y, y]))


# ---- what fit computes


@pytest.mark.parametrize(
    ("make", "options", "dtype", "returns"),
    [
        (torch.optim.SGD, {"momentum": 0.9}, torch.float64, lambda output: output),
        (torch.optim.AdamW, {"foreach": True}, torch.float32, lambda output: (output, None)),
        (torch.optim.AdamW, {"fused": True}, torch.float32, lambda output: [output, None]),
    ],
)
def test_training_after_a_step_by_hand_equals_plain_torch(make, options, dtype, returns):
    class Model(ConvLayer):
        def forward(self, x):
            return returns(super().forward(x))

    images = torch.rand(11, 2, 6, 6, dtype=dtype) * 2 - 1
    model = Model(2, 2, 3, activation=nn.Tanh()).to(dtype)
    by_hand = copy.deepcopy(model)
    ours, theirs = (make(one.parameters(), lr=0.01, **options) for one in (model, by_hand))
    rates = [lr_scheduler.LambdaLR(one, lambda step: 0.9**step) for one in (ours, theirs)]

    def loss_of(model, batch):
        return mse_loss(ConvLayer.forward(model, batch), batch)

    def step(model, optimizer, batch):
        optimizer.zero_grad()
        loss = loss_of(model, batch)
        loss.backward()
        optimizer.step()
        return loss.item()

    step(model, ours, images[:4])
    data = images, images, images[:3], images[:3]
    trainer = PyTorchTrainer(model, ours, nn.MSELoss())
    history = trainer.fit(*data, epochs=2, eval_every=1, batch_size=4, scheduler=rates[0], seed=7)
    step(by_hand, theirs, images[:4])
    torch.manual_seed(7)
    for epoch in range(2):
        losses, batches = [], torch.randperm(11).split(4)
        for rows in batches:
            losses.append(step(by_hand, theirs, images[rows]))
            rates[1].step()
        assert history.batch_losses[3 * epoch : 3 * epoch + 3] == pytest.approx(losses, rel=1e-5)
        mean = sum(loss * len(rows) for loss, rows in zip(losses, batches, strict=True)) / 11
        assert history.rows[epoch]["train_loss"] == pytest.approx(mean, rel=1e-5)
        tested = loss_of(by_hand, images[:3]).item()
        assert history.rows[epoch]["test_loss"] == pytest.approx(tested, rel=1e-5)
    for ours, expected in zip(model.parameters(), by_hand.parameters(), strict=True):
        torch.testing.assert_close(ours, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", ["usual", "shared", "flat", "channels last"])
def test_the_memory_that_the_parameters_lie_in_stays_theirs(kind):
    model = ConvLayer(3, 4, 3)
    flat = torch.zeros(112)
    if kind == "shared":
        model.share_memory()
    if kind == "flat":
        model.conv.weight.data = flat[:108].view(4, 3, 3, 3)
        model.conv.bias.data = flat[108:]
    if kind == "channels last":
        model.to(memory_format=torch.channels_last)
    before = [(p.data_ptr(), p.stride(), p.is_shared(), id(p)) for p in model.parameters()]
    x, y = torch.randn(5, 3, 8, 8), torch.randn(5, 4, 8, 8)
    trainer_of(model).fit(x, y, x, y, epochs=1)
    assert before == [(p.data_ptr(), p.stride(), p.is_shared(), id(p)) for p in model.parameters()]
    assert (flat.abs().sum() > 0) == (kind == "flat")


def test_data_are_left_as_they_were_also_with_gradients():
    x, y = (part.requires_grad_() for part in pairs())
    hidden, targets = x * 2, y * 2  # with graphs, which a second step would find freed
    trainer_of(nn.Linear(3, 2)).fit(hidden, targets, hidden, targets, epochs=2, batch_size=4)
    assert torch.equal(hidden, x * 2) and torch.equal(targets, y * 2)
    assert x.grad is None and y.grad is None


class Recorder(nn.Linear):
    def forward(self, x):
        graph = torch.is_grad_enabled() and not torch.is_inference_mode_enabled()
        self.calls.append((len(x), self.training, graph, torch.is_inference_mode_enabled()))
        return super().forward(x)


def test_training_and_evaluation_have_their_modes():
    x, y = pairs(rows=257)
    model = nn.Sequential(nn.Dropout(), Recorder(3, 2)).eval()
    calls = model[1].calls = []
    trainer = trainer_of(model)
    trainer.fit(x[:7], y[:7], x[:3], y[:3], epochs=2, eval_every=1, batch_size=3)
    batches = [(3, True, True, False)] * 2 + [(1, True, True, False), (3, False, False, True)]
    assert calls == batches * 2
    model[1].train()
    trainer.evaluate(x, y)
    assert [call[0] for call in calls[8:]] == [250, 7] and not any(call[1] for call in calls[8:])
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        trainer.evaluate(x[:, :2], y)
    with pytest.raises(ValueError, match=r"^x and y must pair up by row, got 257 and 1"):
        trainer.evaluate(x, y[:1])
    with pytest.raises(ValueError, match=r"^batch_size must be at least 1, got 0"):
        trainer.evaluate(x, y, 0)
    assert [module.training for module in model.modules()] == [False, False, True]


@given(rows=st.integers(1, 12), batch_size=st.integers(1, 13))
def test_every_row_counts_the_same_whatever_the_batch_size(rows, batch_size):
    x, y = pairs(rows)
    model = nn.Linear(3, 2)
    expected = mse_loss(model(x), y).item()
    assert trainer_of(model).evaluate(x, y, batch_size) == pytest.approx(expected, rel=1e-5)


# ---- repeatability and devices


def test_a_seed_repeats_every_bit_and_leaves_the_global_generator_as_it_was():
    runs = []
    for seed in (1, np.int64(1), None, 0):
        trainer, scheduler = noisy_trainer()
        torch.manual_seed(len(runs) - 1)  # 1 for None
        before = torch.get_rng_state()
        history = noisy_fit(trainer, scheduler, seed=seed)
        assert torch.equal(torch.get_rng_state(), before) == (seed is not None)
        runs.append((timeless(history), state_of(trainer.model)))
        assert (runs[-1][0] == runs[0][0]) == (seed != 0)
        assert equal(runs[-1][1], runs[0][1]) == (seed != 0)
    trainer.criterion = at_batch(lambda k: torch.nan)
    with pytest.raises(FloatingPointError):
        noisy_fit(trainer, scheduler, seed=1)
    assert torch.equal(torch.get_rng_state(), before)


def test_compiled_copied_and_pickled_models_train_to_the_same_bits():
    x, y = pairs()
    trainer = trainer_of(nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)))
    trainer.fit(x, y, x, y, epochs=1, seed=0)
    others = [copy.deepcopy(trainer), pickle.loads(pickle.dumps(trainer)), copy.deepcopy(trainer)]
    others[2].model = torch.compile(others[2].model, backend="eager")
    expected = timeless(trainer.fit(x, y, x, y, epochs=2, seed=1))
    assert [timeless(one.fit(x, y, x, y, epochs=2, seed=1)) for one in others] == [expected] * 3


def test_batches_are_moved_to_the_model():
    devices = []

    def criterion(output, y):
        devices.append((output.device.type, y.device.type))
        return torch.ones((), requires_grad=True)

    x, y = pairs(rows=4)
    model = nn.BatchNorm1d(3, affine=False, device="meta")  # buffers, but no parameters
    assert trainer_of(nn.Linear(3, 2, device="meta"), criterion).fit(x, y, x, y, 1).rows
    assert PyTorchTrainer(model, None, criterion).evaluate(x, x) == 1
    assert devices == [("meta", "meta")] * 3


def test_another_default_device_changes_nothing(tmp_path):
    (x, y), runs = pairs(), []
    for device in ("cpu", "meta"):
        torch.manual_seed(0)
        trainer = trainer_of(nn.Linear(3, 2))
        options = {"seed": 0, "checkpoint": tmp_path / device}
        with torch.device(device):
            trainer.fit(x, y, x, y, epochs=1, **options)
            runs.append(timeless(trainer.fit(x, y, x, y, epochs=2, **options)))
            assert permute_data(x, y)[0].device.type == "cpu"
    assert runs[0] == runs[1]


class Elsewhere(nn.Linear):
    """As if it lay on a GPU: data that are asked to move there stay on the CPU."""

    def parameters(self, recurse=True):
        yield SimpleNamespace(device=self.device)
        yield from super().parameters(recurse)


class Staying(torch.Tensor):
    def to(self, device):
        assert device == Elsewhere.device
        return self.as_subclass(torch.Tensor)


@pytest.mark.parametrize("device", ["cuda:1", "mps:0"])
def test_the_generator_of_the_models_own_gpu_is_seeded_and_kept(device, monkeypatch, tmp_path):
    x, y = (part.as_subclass(Staying) for part in pairs())
    gpus = [torch.Generator().manual_seed(number) for number in (1, 2)]
    monkeypatch.setattr(torch.cuda, "default_generators", gpus)
    monkeypatch.setattr(torch.mps, "_get_default_mps_generator", lambda: gpus[1])
    Elsewhere.device = torch.device(device)

    def fit(epochs, file=None):
        drawn, model = [], Elsewhere(3, 2)
        optimizer = torch.optim.SGD([model.weight, model.bias], lr=0.1)
        criterion = at_batch(lambda k: drawn.append(torch.rand(1, generator=gpus[1]).item()))
        trainer = PyTorchTrainer(model, optimizer, criterion)
        trainer.fit(x, y, x, y, epochs, 1, seed=7, checkpoint=file)
        return drawn

    before = [gpu.get_state() for gpu in gpus]
    whole = fit(4)
    assert whole == [*torch.rand(4, generator=torch.Generator().manual_seed(7))]
    assert fit(2, tmp_path / "run.pt") + fit(4, tmp_path / "run.pt") == whole
    assert all(torch.equal(gpu.get_state(), b) for gpu, b in zip(gpus, before, strict=True))


# ---- evaluations and history


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"epochs": 5, "eval_every": 2}, [2, 4, 5]),
        ({"epochs": np.int64(2), "eval_every": np.int64(1), "batch_size": np.int64(32)}, [1, 2]),
        ({"epochs": 1}, [1]),
        ({}, list(range(10, 101, 10))),
    ],
)
def test_evaluations_come_every_so_many_epochs_and_at_the_last(options, expected, capsys):
    x, y = pairs(rows=33)
    trainer = trainer_of(nn.Linear(3, 2), lr=0.001)
    first, history = trainer.history, trainer.fit(x, y, x, y, **options)
    assert trainer.history is history is not first and not first.batch_losses
    frame, columns = history.frame, ["epoch", "steps", "seconds", "train_loss", "test_loss"]
    assert list(frame.columns) == list(History().frame.columns) == columns
    assert frame["epoch"].tolist() == expected
    assert frame["steps"].tolist() == [2 * epoch for epoch in expected]  # 32 + 1 rows
    assert len(history.batch_losses) == 2 * expected[-1]
    assert len(repr(history).splitlines()) == len(expected) + 1 and "test_loss" in repr(history)
    printed = "epoch {epoch}: train loss {train_loss:.4f}, test loss {test_loss:.4f}"
    assert capsys.readouterr().out.splitlines() == [printed.format(**row) for row in history.rows]
    with pytest.raises(TypeError, match="positional arguments"):
        trainer.fit(x, y, x, y, 1, 1, 1, None)


def test_the_seconds_are_those_of_training_without_evaluations():
    def criterion(output, y):
        time.sleep(0.02 if output.requires_grad else 0.5)
        return mse_loss(output, y)

    x, y = pairs(rows=4)
    start = time.perf_counter()
    seconds = trainer_of(nn.Linear(3, 2), criterion).fit(x, y, x, y, 3, 2, 2).frame["seconds"]
    elapsed = time.perf_counter() - start
    assert 0.07 <= seconds[0] <= seconds[1] - 0.035 and seconds[1] < elapsed - 0.9


def test_a_callback_sees_every_evaluation_and_can_stop(tmp_path):
    seen = []

    def callback(history):
        seen.append((history, len(history.rows), len(history.batch_losses)))
        return np.bool_(len(history.rows) == 2) if len(history.rows) > 1 else None

    file = tmp_path / "run.pt"
    ended = noisy_fit(*noisy_trainer(), 9, eval_every=2, callback=callback, checkpoint=file)
    assert seen == [(ended, 1, 6), (ended, 2, 12)]
    trainer, scheduler = noisy_trainer()
    again = noisy_fit(trainer, scheduler, 9, eval_every=2, checkpoint=file)
    assert again.rows == ended.rows and len(again.batch_losses) == 12
    assert not trainer.model.training and not ended.interrupted


# ---- errors


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_a_loss_that_is_no_number_stops_before_the_step(value):
    x, y = pairs()
    reached = []
    criterion = at_batch(lambda k: reached.append(state_of(model)) or (value if k == 4 else 0))
    model = nn.Linear(3, 2)
    trainer = trainer_of(model, criterion)
    message = r"^the training loss must be finite, got .*; lower the learning rate"
    with pytest.raises(FloatingPointError, match=message):
        trainer.fit(x, y, x, y, epochs=5, eval_every=1, batch_size=5)
    assert equal(state_of(model), reached[3]) and not model.training
    assert len(trainer.history.batch_losses) == 3 and len(trainer.history.rows) == 1
    for call in (trainer.evaluate, lambda x, y: trainer.fit(x, x[:, :2], x, y, 1)):
        with pytest.raises(FloatingPointError, match=r"^the test loss must be finite, got"):
            call(x, y * value)


zeros = torch.zeros
MEAN = r"^criterion must return a tensor, the mean of a batch, got .*"
TARGETS = [
    # the model's output, the targets, the criterion, the error
    (zeros(4, 1), zeros(4), nn.MSELoss(), r"^y must have the output's shape, \(4, 1\), got \(4,\)"),
    (zeros(4), zeros(4, 1), nn.MSELoss(), r"\(4,\), got \(4, 1\), which .* would broadcast"),
    (zeros(4, 3), zeros(4), nn.MSELoss(), r"shape, \(4, 3\), got \(4,\)"),
    (zeros(4, 1), zeros(4).long(), nn.MSELoss(), r"shape, \(4, 1\), got \(4,\)"),
    (zeros(4, 3), zeros(4, 1).long(), nn.MSELoss(), r"shape, \(4, 3\), got \(4, 1\)"),
    (zeros(4, 3, 2), zeros(4).long(), nn.CrossEntropyLoss(), r"shape, \(4, 3, 2\), got \(4,\)"),
    (zeros(4, 3), zeros(4, 3), nn.MSELoss(), None),
    (zeros(4, 1), zeros(4, 1).long(), nn.L1Loss(), None),
    (zeros(4, 3), zeros(4).long(), nn.CrossEntropyLoss(), None),
    (zeros(4, 3, 2, 5), zeros(4, 2, 5).long(), nn.CrossEntropyLoss(), None),
    ({"image": 1}, zeros(4), nn.MSELoss(), "^model must return a tensor, or several, got dict"),
    (None, zeros(4), nn.MSELoss(), "^model must return a tensor, or several, got NoneType"),
    (zeros(4, 3), zeros(4, 3), nn.MSELoss(reduction="sum"), MEAN + 'reduction="sum"; take the'),
    (zeros(4, 3), zeros(4, 3), nn.MSELoss(reduction="none"), MEAN + 'reduction="none"; take'),
    (zeros(4, 3), zeros(4, 3), lambda output, y: (output - y).square(), MEAN),
    (zeros(4, 3), zeros(4, 3), lambda output, y: 0.5, MEAN + "0.5"),
]


@pytest.mark.parametrize(("output", "y", "criterion", "message"), TARGETS)
def test_targets_are_never_broadcast_and_losses_are_means(output, y, criterion, message):
    class Fixed(nn.Linear):
        def forward(self, x):
            return output + self.bias.sum() if isinstance(output, torch.Tensor) else output

    trainer, x = trainer_of(Fixed(1, 1), criterion), zeros(4, 1)
    before = state_of(trainer.model)
    for call in (trainer.evaluate, lambda x, y: trainer.fit(x, y, x, y, 1).batch_losses[0]):
        if message is None:
            expected = criterion(trainer.model(x), y).item()
            assert call(x, y) == pytest.approx(expected)
            continue
        with pytest.raises((ValueError, TypeError), match=message):
            call(x, y)
        assert equal(state_of(trainer.model), before)


OTHER = torch.optim.SGD(nn.Linear(3, 2).parameters(), lr=0.1)
REFUSALS = [
    ({"x_train": [0.0]}, TypeError, "^x_train must be a torch.Tensor, got list"),
    ({"x_train": zeros(3, 3)}, ValueError, "^x_train and y_train must .* got 3 and 4"),
    ({"x_train": zeros(0, 3), "y_train": zeros(0, 2)}, ValueError, "x_train must hold at least"),
    ({"y_test": zeros(5, 2)}, ValueError, "^x_test and y_test must .* got 2 and 5"),
    ({"x_test": zeros(2, 3).double()}, ValueError, "x_test must be like x_train, torch.float32 of"),
    ({"x_test": zeros(2, 5)}, ValueError, r"of shape \(3,\), got torch.float32 of shape \(5,\)"),
    ({"y_test": zeros(2, 1)}, ValueError, "^y_test must be like y_train"),
    ({"epochs": 0}, ValueError, "^epochs must be at least 1, got 0"),
    ({"epochs": 1.5}, TypeError, "^epochs must be a whole number, got 1.5"),
    ({"eval_every": 0}, ValueError, "^eval_every must be at least 1, got 0"),
    ({"batch_size": 32.0}, TypeError, "^batch_size must be a whole number, got 32.0"),
    ({"optim": OTHER}, ValueError, "^optim must hold the model's parameters, got others"),
    ({"optim": torch.optim.SGD}, ValueError, "^optim must hold the model's parameters"),
    ({"optim": torch.optim.LBFGS}, ValueError, "^optim and scheduler must step without .* LBFGS"),
    ({"scheduler": lr_scheduler.StepLR(OTHER, 1)}, ValueError, "^scheduler must step the trainer"),
    ({"scheduler": "cosine"}, ValueError, "^scheduler must step the trainer's optim"),
    ({"scheduler": lr_scheduler.ReduceLROnPlateau}, ValueError, "^optim and .* ReduceLROnPlateau"),
    ({"criterion": nn.MSELoss}, TypeError, "^criterion must be called .*, got a class; add"),
    (
        {"checkpoint": "missing/run.pt"},
        OSError,
        r"^checkpoint must be a file that .* got missing/run.pt$",
    ),
    ({"checkpoint": f"{__file__}/run.pt"}, OSError, "^checkpoint must be a file that can be"),
    ({"checkpoint": Path(__file__)}, ValueError, "^checkpoint must be a file of fit's, got .*read"),
    ({"checkpoint": Path(__file__).parent}, OSError, "^checkpoint must be a file that can be"),
]


@pytest.mark.parametrize(("wrong", "error", "message"), REFUSALS)
def test_wrong_arguments_are_refused_before_anything_happens(wrong, error, message):
    trainer = trainer_of(nn.Linear(3, 2))
    data = {"x_train": zeros(4, 3), "y_train": zeros(4, 2), "x_test": zeros(2, 3)}
    arguments = data | {"y_test": zeros(2, 2), "seed": 1} | wrong
    trainer.optim = arguments.pop("optim", trainer.optim)
    trainer.criterion = arguments.pop("criterion", trainer.criterion)
    if trainer.optim is torch.optim.LBFGS:
        trainer.optim = torch.optim.LBFGS(trainer.model.parameters())
    if arguments.get("scheduler") is lr_scheduler.ReduceLROnPlateau:
        arguments["scheduler"] = lr_scheduler.ReduceLROnPlateau(trainer.optim)
    before, drawn = state_of(trainer.model), torch.get_rng_state()
    with pytest.raises(error, match=message):
        trainer.fit(**arguments)
    assert equal(state_of(trainer.model), before) and trainer.model.training
    assert torch.equal(torch.get_rng_state(), drawn)


# ---- Ctrl-C


TRACED = ("convae_lib", "contextlib.py", "optim", "serialization.py", "pathlib")


def at_line(number, act, run):
    """Call ``run``, and ``act`` at one line, counted from 1, in the files that are traced."""
    count = 0

    def trace(frame, event, _):
        nonlocal count
        if event == "call" and not any(name in frame.f_code.co_filename for name in TRACED):
            return None
        if event == "line" and (count := count + 1) == number:
            act()
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        return run(), count
    finally:
        sys.settrace(before)


def ctrl_c():
    signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("seed", [5, None])
def test_ctrl_c_at_any_line_keeps_the_weights_after_the_last_batch(seed, tmp_path, capsys):
    """And a run that goes on from its checkpoint ends with the bits of one never interrupted."""
    trainer, scheduler = noisy_trainer()
    expected, drawn = [state_of(trainer.model)], torch.get_rng_state()
    scheduler.step = lambda step=scheduler.step: step() or expected.append(state_of(trainer.model))
    whole = noisy_fit(trainer, scheduler, seed=seed)
    options = {"seed": seed, "checkpoint": tmp_path / "run.pt"}
    _, lines = at_line(0, None, lambda: noisy_fit(*noisy_trainer(), **options))
    noisy_fit(*noisy_trainer(), 1, **options | {"checkpoint": tmp_path / "one.pt"})
    for number in (*range(1, lines * 9 // 10, lines // 30), *range(-2500, 0, 99)):
        options["checkpoint"] = tmp_path / f"{number}.pt"
        if number < 0:  # in a run that goes on after an epoch
            shutil.copy(tmp_path / "one.pt", options["checkpoint"])
        run = trainer, scheduler = noisy_trainer()
        act = [lambda: (ctrl_c(), ctrl_c()), ctrl_c][number % 2]  # one or two of them
        try:
            history, _ = at_line(abs(number), act, lambda run=run: noisy_fit(*run, **options))
            assert history is trainer.history and history.interrupted
            assert not trainer.model.training
            assert seed is None or torch.equal(torch.get_rng_state(), drawn)
            last = f"interrupted after {len(history.batch_losses)} batches, which are kept"
            assert capsys.readouterr().out.splitlines()[-1] == last
        except KeyboardInterrupt:  # in the lines before the training
            assert number < lines / 20
        done = scheduler.last_epoch
        assert trainer.history.batch_losses == whole.batch_losses[:done]
        assert equal(state_of(trainer.model), expected[done])
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        assert not [*tmp_path.glob("*.part")]
        again, scheduler = noisy_trainer()
        assert timeless(noisy_fit(again, scheduler, **options)) == timeless(whole)
        assert equal(state_of(again.model), expected[9]) and not again.history.interrupted


calls = []


@pytest.mark.parametrize("handler", [signal.SIG_IGN, lambda *_: calls.append(1)])
def test_a_handler_of_the_readers_own_is_obeyed(handler):
    calls.clear()
    signal.signal(signal.SIGINT, handler)
    x, y = pairs()
    trainer = trainer_of(nn.Linear(3, 2), at_batch(lambda k: ctrl_c() if k == 2 else None))
    history = trainer.fit(x, y, x, y, epochs=3)
    assert signal.getsignal(signal.SIGINT) is handler
    assert not history.interrupted and len(history.batch_losses) == 3
    assert calls == [1] * (handler != signal.SIG_IGN)


def test_ctrl_c_does_not_reach_a_training_in_another_thread():
    trainer = trainer_of(nn.Linear(3, 2), at_batch(lambda k: ctrl_c() if k == 2 else None))
    x, y = pairs()
    thread = threading.Thread(target=trainer.fit, args=(x, y, x, y), kwargs={"epochs": 3})
    with pytest.raises(KeyboardInterrupt):
        thread.start()
        thread.join()
        time.sleep(1)
    thread.join()
    assert len(trainer.history.batch_losses) == 3 and not trainer.history.interrupted


# ---- checkpoints


KILLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
from test_training import at_line, noisy_fit, noisy_trainer

noisy_trainer()[0].optim.zero_grad()  # what torch imports late is imported once
for number in map(int, sys.argv[3:]):
    if (child := os.fork()) == 0:
        die = lambda: os.kill(os.getpid(), signal.SIGKILL)
        at_line(number, die, lambda: noisy_fit(*noisy_trainer(), 9, checkpoint=sys.argv[2]))
        os._exit(0)
    print(os.waitpid(child, 0)[1])
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="it forks")
def test_a_killed_run_ends_with_the_bits_of_one_never_killed(tmp_path):
    file, lines = tmp_path / "run.pt", ["300", "5300", "5400", "7000", "5000", "9000"]
    command = [sys.executable, "-c", KILLED, Path(__file__).parent, file, *lines]
    environment = {key: value for key, value in os.environ.items() if key != "TQDM_DISABLE"}
    run = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert run.returncode == 0 and run.stdout.split().count("9") == len(lines), run.stderr
    assert "epoch 1:" in run.stderr  # the progress bar
    assert file.exists()
    (whole, one), (killed, other) = noisy_trainer(), noisy_trainer()
    expected = timeless(noisy_fit(whole, one, 9))
    assert timeless(noisy_fit(killed, other, 9, checkpoint=file)) == expected
    assert equal(state_of(killed.model), state_of(whole.model))
    assert list(tmp_path.iterdir()) == [file]


SCHEDULERS = {
    "one cycle": lambda optim: lr_scheduler.OneCycleLR(optim, 0.1, total_steps=20),
    "cosine": lambda optim: lr_scheduler.CosineAnnealingLR(optim, 20),
    "restarts": lambda optim: lr_scheduler.CosineAnnealingWarmRestarts(optim, 2, 2),
    "numpy": lambda optim: lr_scheduler.LambdaLR(optim, lambda step: np.cos(step / 20)),
    "steps": lambda optim: lr_scheduler.MultiStepLR(optim, [4, 8]),
    "several": lambda optim: lr_scheduler.SequentialLR(
        optim, [lr_scheduler.LinearLR(optim), lr_scheduler.StepLR(optim, 2)], [5]
    ),
    "momentum": lambda optim: lr_scheduler.OneCycleLR(optim, 0.1, total_steps=20),
    "none": lambda optim: None,
}


@pytest.mark.parametrize("name", SCHEDULERS)
def test_more_epochs_go_on_from_the_file_with_every_scheduler(name, tmp_path, capsys, monkeypatch):
    def fit(epochs, trainer, schedule=SCHEDULERS[name], **options):
        schedule = schedule(trainer.optim)
        return schedule, noisy_fit(trainer, schedule, epochs, seed=None, **options)

    trainers = [noisy_trainer()[0] for _ in range(3)]
    if name == "momentum":
        for trainer in trainers:
            trainer.optim = torch.optim.SGD(trainer.model.parameters(), 0.1, momentum=0.9)
    _, expected = fit(4, trainers[0])
    drawn = torch.rand(1)
    monkeypatch.chdir(tmp_path)
    options = {"checkpoint": "run.pt", "batch_size": np.int64(4)}
    torch.manual_seed(0)
    noisy_trainer()
    _, first = fit(2, trainers[1], callback=lambda _: os.chdir("/"), **options)
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    schedule, history = fit(4, trainers[2], **options)
    assert capsys.readouterr().out.startswith("run.pt: going on after epoch 2\n")
    assert torch.equal(torch.rand(1), drawn) and timeless(history) == timeless(expected)
    assert equal(state_of(trainers[2].model), state_of(trainers[0].model))
    assert (
        history.rows[1] == first.rows[1] and history.rows[2]["seconds"] > first.rows[1]["seconds"]
    )
    again = noisy_fit(trainers[2], schedule, 4, seed=None, **options)  # in the same process
    assert timeless(again) == timeless(history)


def split(decay):
    """AdamW with another weight decay for the first parameter."""

    def make(parameters):
        first, *others = parameters
        groups = [{"params": [first], "weight_decay": decay}, {"params": others}]
        return torch.optim.AdamW(groups, lr=0.01)

    return {"make": make}


def foreign(
    model=None, make=None, schedule=lr_scheduler.OneCycleLR, steps=30, write=None, **options
):
    """`noisy_fit`, its trainer changed; or something else that writes a file."""
    trainer, _ = noisy_trainer()
    trainer.model = model or trainer.model
    make = make or (lambda parameters: torch.optim.AdamW(parameters, lr=0.01))
    trainer.optim = make(trainer.model.parameters())
    schedule = schedule and schedule(trainer.optim, 0.1, steps)
    return trainer, write or (
        lambda file: noisy_fit(trainer, schedule, 1, checkpoint=file, **options)
    )


class Code:
    def __reduce__(self):
        return exec, ("raise SystemExit",)


MODEL = noisy_trainer()[0].model
THEIRS = "^checkpoint must belong to this training, got .*run.pt of another "
NONE = "^checkpoint must be a file of fit's, got .*run.pt, which cannot be read .*; choose another"
FOREIGN = [
    ({}, {"model": nn.Linear(3, 2)}, THEIRS + "model: Sequential .*, not Linear"),
    (
        {},
        {"model": nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), MODEL[2], nn.Linear(4, 9))},
        THEIRS + "model",
    ),
    ({}, {"model": noisy_trainer()[0].model.double()}, THEIRS + "model"),
    ({}, {"make": lambda p: torch.optim.AdamW(p, 0.02)}, THEIRS + "optimizer: .*0.01.*0.02"),
    ({}, {"make": lambda p: torch.optim.Adam(p, 0.01)}, THEIRS + "optimizer: AdamW .*, not Adam "),
    (split(0.01), {}, THEIRS + "optimizer"),
    (split(0.01), split(0.02), THEIRS + "optimizer"),
    ({}, {"schedule": None}, THEIRS + "scheduler: OneCycleLR .*, not None"),
    ({"schedule": None}, {}, THEIRS + "scheduler: None, not OneCycleLR"),
    ({}, {"schedule": lr_scheduler.StepLR}, THEIRS + "scheduler: .*, not StepLR"),
    ({}, {"steps": 40}, THEIRS + "scheduler: .*40"),
    ({}, {"rows": 11}, THEIRS + r"data: \[10, 3\], not \[11, 3\]; choose another name, or delete"),
    ({}, {"batch_size": 5}, THEIRS + "batch_size: 4, not 5"),
    ({}, {"seed": 6}, THEIRS + "seed: 5, not 6"),
    ({"write": lambda file: torch.save(MODEL.state_dict(), file)}, {}, NONE),
    ({"write": lambda file: torch.save({"settings": 3}, file)}, {}, NONE),
    ({"write": lambda file: torch.save({"settings": Code()}, file)}, {}, NONE),
    ({"write": lambda file: file.write_text("hello")}, {}, NONE),
    ({"write": Path.touch}, {}, NONE),
]


@pytest.mark.parametrize(("theirs", "ours", "message"), FOREIGN)
def test_the_file_of_something_else_is_refused_and_left_alone(theirs, ours, message, tmp_path):
    file = tmp_path / "run.pt"
    foreign(**theirs)[1](file)
    content, (trainer, fit) = file.read_bytes(), foreign(**ours)
    before = state_of(trainer.model)
    with pytest.raises(ValueError, match=message):
        fit(file)
    assert equal(state_of(trainer.model), before) and file.read_bytes() == content
    assert trainer.model.training and list(tmp_path.iterdir()) == [file]
    file.write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=NONE):
        fit(file)
