import copy
import os
import pickle
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
from torch.optim import lr_scheduler

from convae_lib import Autoencoder, ConvLayer, DenseLayer, History, PyTorchTrainer, permute_data


def sgd(model, lr=0.1):
    return torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)


def trainer_of(model, criterion=None, lr=0.1):
    return PyTorchTrainer(model, sgd(model, lr), criterion or nn.MSELoss())


def pairs(rows=10, inputs=3, outputs=2):
    generator = torch.Generator().manual_seed(rows)
    x = torch.randn(rows, inputs, generator=generator)
    return x, torch.randn(rows, outputs, generator=generator)


def state_of(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def timeless(history):
    return [{**row, "seconds": 0} for row in history.rows], history.batch_losses


class Counting:
    """A criterion that asks ``at(k)`` at the k-th training batch, from 1, for another loss."""

    def __init__(self, at):
        self.at, self.calls = at, 0

    def __call__(self, output, y):
        if output.requires_grad:
            self.calls += 1
            if (replaced := self.at(self.calls)) is not None:
                return output.sum() * replaced
        return nn.functional.mse_loss(output, y)


class Recorder(nn.Linear):
    """A linear model that remembers how it was called."""

    def __init__(self):
        super().__init__(3, 2)
        self.calls = []

    def forward(self, x):
        mode = "train" if self.training else "eval"
        graph = torch.is_grad_enabled() and not torch.is_inference_mode_enabled()
        self.calls.append((len(x), mode, graph))
        return super().forward(x)


# ---- permute_data


@given(rows=st.integers(1, 40), columns=st.integers(1, 3), seed=st.integers(0, 9))
def test_permuting_copies_both_in_the_order_that_torch_draws(rows, columns, seed):
    X = torch.arange(rows * columns).reshape(rows, columns)
    y = X[:, 0] * 10
    torch.manual_seed(seed)
    order = torch.randperm(rows)
    torch.manual_seed(seed)
    shuffled_X, shuffled_y = permute_data(X, y)
    assert torch.equal(shuffled_X, X[order]) and torch.equal(shuffled_y, X[order, 0] * 10)
    assert X.flatten().tolist() == list(range(rows * columns)) and y.tolist() == sorted(y.tolist())
    one, two = permute_data(X, X)
    assert one is two and one.data_ptr() != X.data_ptr()


# ---- fit: what it computes


@pytest.mark.parametrize(
    ("make", "options"),
    [
        (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9}),
        (torch.optim.AdamW, {"lr": 0.01}),
        (torch.optim.AdamW, {"lr": 0.01, "fused": True}),
        (torch.optim.AdamW, {"lr": 0.01, "foreach": True}),
    ],
)
def test_training_after_a_step_by_hand_equals_plain_torch(make, options):
    images = torch.rand(11, 2, 6, 6) * 2 - 1
    model = ConvLayer(2, 2, 3, activation=nn.Tanh())
    by_hand = copy.deepcopy(model)
    optimizers = [make(one.parameters(), **options) for one in (model, by_hand)]

    def step(model, optimizer, batch):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(batch), batch)
        loss.backward()
        optimizer.step()
        return loss.item()

    step(model, optimizers[0], images[:4])
    history = PyTorchTrainer(model, optimizers[0], nn.MSELoss()).fit(
        images, images, images, images, epochs=2, eval_every=1, batch_size=4, seed=7
    )
    step(by_hand, optimizers[1], images[:4])
    torch.manual_seed(7)
    for epoch in range(2):
        batches = torch.randperm(11).split(4)
        losses = [step(by_hand, optimizers[1], images[rows]) for rows in batches]
        assert history.batch_losses[3 * epoch : 3 * epoch + 3] == pytest.approx(losses, rel=1e-5)
        mean = sum(loss * len(rows) for loss, rows in zip(losses, batches, strict=True)) / 11
        assert history.rows[epoch]["train_loss"] == pytest.approx(mean, rel=1e-5)
    for ours, expected in zip(model.parameters(), by_hand.parameters(), strict=True):
        torch.testing.assert_close(ours, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", ["usual", "shared", "flat", "channels last"])
def test_the_memory_that_the_parameters_lie_in_stays_theirs(kind):
    model = ConvLayer(3, 4, 3)
    weight, bias = model.conv.weight, model.conv.bias
    flat = torch.zeros(weight.numel() + bias.numel())
    if kind == "shared":
        model.share_memory()
    if kind == "flat":
        weight.data = flat[: weight.numel()].view_as(weight)
        bias.data = flat[weight.numel() :]
    if kind == "channels last":
        model.to(memory_format=torch.channels_last)
    before = [(p.data_ptr(), p.stride(), p.is_shared(), id(p)) for p in (weight, bias)]
    x, y = torch.randn(5, 3, 8, 8), torch.randn(5, 4, 8, 8)
    trainer_of(model).fit(x, y, x, y, epochs=1)
    after = [(p.data_ptr(), p.stride(), p.is_shared(), id(p)) for p in model.parameters()]
    assert before == after
    assert (flat.abs().sum() > 0) == (kind == "flat")


def test_data_are_left_as_they_were_also_with_gradients():
    x, y = pairs()
    x.requires_grad_()
    hidden = x * 2  # with a graph of its own, which a second step would find freed
    before = hidden.detach().clone(), y.clone()
    trainer_of(nn.Linear(3, 2)).fit(hidden, y, hidden, y, epochs=2, batch_size=4)
    assert torch.equal(hidden, before[0]) and torch.equal(y, before[1])
    assert x.grad is None


def test_a_classifier_of_class_numbers_trains_too():
    x = torch.randn(60, 2)
    labels = (x[:, 0] > 0).long()
    model = nn.Linear(2, 2)
    history = PyTorchTrainer(model, sgd(model), nn.CrossEntropyLoss()).fit(x, labels, x, labels, 10)
    assert history.frame["test_loss"].iloc[-1] < 0.3 < history.batch_losses[0]
    expected = nn.functional.cross_entropy(model(x), labels).item()
    assert history.rows[-1]["test_loss"] == pytest.approx(expected)


@pytest.mark.parametrize("kind", [tuple, list])
def test_the_first_of_several_outputs_is_compared(kind):
    class Several(nn.Linear):
        def forward(self, x):
            return kind([super().forward(x), torch.full((1,), torch.nan)])

    x, y = pairs()
    plain, several = nn.Linear(3, 2), Several(3, 2)
    several.load_state_dict(plain.state_dict())
    one, other = (trainer_of(m).fit(x, y, x, y, epochs=2, seed=0) for m in (plain, several))
    assert timeless(one) == timeless(other)


def test_every_batch_is_trained_on_in_training_mode_and_tested_on_in_evaluation_mode():
    x, y = pairs(rows=7)
    model = Recorder().eval()
    trainer_of(model).fit(x, y, x[:3], y[:3], epochs=2, eval_every=1, batch_size=3)
    batches = [(3, "train", True), (3, "train", True), (1, "train", True), (3, "eval", False)]
    assert model.calls == batches * 2
    assert not model.training


def test_a_scheduler_is_stepped_after_every_batch():
    x, y = pairs(rows=10)
    model = nn.Linear(3, 2)
    optimizer, rates = sgd(model, lr=1.0), []
    scheduler = lr_scheduler.LambdaLR(optimizer, lambda step: 1e-3 * 0.5**step)
    criterion = Counting(lambda k: rates.append(optimizer.param_groups[0]["lr"]))
    trainer = PyTorchTrainer(model, optimizer, criterion)
    trainer.fit(x, y, x, y, epochs=2, batch_size=4, scheduler=scheduler)
    assert rates == pytest.approx([1e-3 * 0.5**step for step in range(6)])


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_models_are_trained_in_the_precision_they_have(dtype):
    x, y = (part.to(dtype) for part in pairs())
    model = nn.Linear(3, 2, dtype=dtype)
    losses = trainer_of(model).fit(x, y, x, y, epochs=20, seed=0).batch_losses
    assert losses[-1] < losses[0] and model.weight.dtype == dtype


# ---- fit: repeatability


def test_a_seed_repeats_every_bit_and_leaves_the_global_generator_as_it_was():
    runs = []
    for seed in (4, np.int64(4), 5):
        trainer, scheduler = noisy_trainer()
        torch.rand(len(runs))
        before = torch.get_rng_state()
        history = noisy_fit(trainer, scheduler, seed=seed)
        assert torch.equal(torch.get_rng_state(), before)
        runs.append((timeless(history), state_of(trainer.model)))
    assert runs[0][0] == runs[1][0] and equal(runs[0][1], runs[1][1])
    assert runs[2][0] != runs[0][0]
    trainer.criterion = Counting(lambda k: torch.nan)
    with pytest.raises(FloatingPointError):
        noisy_fit(trainer, scheduler, seed=1)
    assert torch.equal(torch.get_rng_state(), before)


def test_dropout_too_depends_on_the_seed():
    x, y = torch.ones(1, 50), torch.ones(1, 1)  # one row: shuffling changes nothing
    losses = []
    for seed in (1, 1, 0, None):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Dropout(0.5), nn.Linear(50, 1))
        torch.manual_seed(0)
        losses.append(trainer_of(model).fit(x, y, x, y, epochs=1, seed=seed).batch_losses)
    assert losses[0] == losses[1] != losses[2] == losses[3]


def test_without_a_seed_the_global_generator_is_used_and_goes_on():
    x, y = pairs()
    losses = []
    for seed in (1, 1, 2):
        torch.manual_seed(0)
        trainer = trainer_of(nn.Linear(3, 2))
        torch.manual_seed(seed)
        losses.append(trainer.fit(x, y, x, y, epochs=2, batch_size=3).batch_losses)
    assert losses[0] == losses[1] != losses[2]
    goes_on = torch.randperm(10)
    torch.manual_seed(2)
    assert torch.equal([torch.randperm(10) for _ in range(3)][2], goes_on)


def test_compiled_copied_and_pickled_models_train_to_the_same_bits():
    x, y = pairs()
    trainer = trainer_of(nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)))
    trainer.fit(x, y, x, y, epochs=1, seed=0)
    others = [copy.deepcopy(trainer), pickle.loads(pickle.dumps(trainer)), copy.deepcopy(trainer)]
    others[2].model = torch.compile(others[2].model, backend="eager")
    expected = timeless(trainer.fit(x, y, x, y, epochs=2, seed=1))
    assert [timeless(one.fit(x, y, x, y, epochs=2, seed=1)) for one in others] == [expected] * 3


# ---- fit: devices


def test_batches_are_moved_to_the_model_and_the_generators_stay_where_they_are():
    devices = []

    def criterion(output, y):
        devices.append((output.device.type, y.device.type))
        return torch.zeros((), requires_grad=True) + 1

    x, y = pairs(rows=4)
    model = nn.Linear(3, 2, device="meta")
    history = trainer_of(model, criterion).fit(x, y, x, y, epochs=1, batch_size=3)
    assert devices == [("meta", "meta")] * 3
    assert history.rows[0]["train_loss"] == 1


def test_another_default_device_changes_nothing(tmp_path):
    x, y = pairs()
    runs = []
    for device in ("cpu", "meta"):
        torch.manual_seed(0)
        trainer = trainer_of(nn.Linear(3, 2))
        file = tmp_path / device
        with torch.device(device):
            trainer.fit(x, y, x, y, epochs=1, seed=0, checkpoint=file)
            runs.append(timeless(trainer.fit(x, y, x, y, epochs=2, seed=0, checkpoint=file)))
            assert permute_data(x, y)[0].device.type == "cpu"
    assert runs[0] == runs[1]


class SecondGPU(nn.Linear):
    """As if it lay on a second GPU: data that are asked to move there stay on the CPU."""

    def parameters(self, recurse=True):
        yield SimpleNamespace(device=torch.device("cuda:1"))
        yield from super().parameters(recurse)


class Staying(torch.Tensor):
    def to(self, device):
        assert device == torch.device("cuda:1")
        return self.as_subclass(torch.Tensor)


def test_the_generator_of_the_models_own_gpu_is_seeded_restored_and_kept(monkeypatch, tmp_path):
    x, y = (part.as_subclass(Staying) for part in pairs())
    gpus = [torch.Generator().manual_seed(1), torch.Generator().manual_seed(2)]
    monkeypatch.setattr(torch.cuda, "default_generators", gpus)
    drawn = []

    def fit(seed, epochs, file=None):
        model = SecondGPU(3, 2)
        optimizer = torch.optim.SGD([model.weight, model.bias], lr=0.1)
        drawn.clear()
        criterion = Counting(lambda k: drawn.append(torch.rand(1, generator=gpus[1]).item()))
        trainer = PyTorchTrainer(model, optimizer, criterion)
        trainer.fit(x, y, x, y, epochs, 1, seed=seed, checkpoint=file)
        return [*drawn]

    before = [gpu.get_state() for gpu in gpus]
    whole = fit(7, 4)
    assert whole == torch.rand(4, generator=torch.Generator().manual_seed(7)).tolist()
    assert all(torch.equal(gpu.get_state(), b) for gpu, b in zip(gpus, before, strict=True))
    assert fit(7, 2, tmp_path / "run.pt") + fit(7, 4, tmp_path / "run.pt") == whole


# ---- fit: evaluations and history


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"epochs": 5, "eval_every": 2}, [2, 4, 5]),
        ({"epochs": 4, "eval_every": 2}, [2, 4]),
        ({"epochs": np.int64(2), "eval_every": np.int64(1), "batch_size": np.int64(32)}, [1, 2]),
        ({"epochs": 1}, [1]),
        ({}, list(range(10, 101, 10))),
    ],
)
def test_evaluations_come_every_so_many_epochs_and_at_the_last(options, expected):
    x, y = pairs(rows=33)
    history = trainer_of(nn.Linear(3, 2), lr=0.001).fit(x, y, x, y, **options)
    assert history.frame["epoch"].tolist() == expected
    assert history.frame["steps"].tolist() == [2 * epoch for epoch in expected]  # 32 + 1 rows
    assert len(history.batch_losses) == 2 * expected[-1]


def test_the_history_is_that_of_the_latest_fit_and_shows_as_a_table(capsys):
    x, y = pairs(rows=20)
    trainer = trainer_of(nn.Linear(3, 2))
    first = trainer.fit(x[:12], y[:12], x[12:], y[12:], epochs=1)
    history = trainer.fit(x[:12], y[:12], x[12:], y[12:], epochs=3, eval_every=2)
    assert trainer.history is history is not first
    assert len(first.rows) == 1
    expected = nn.functional.mse_loss(trainer.model(x[12:]), y[12:]).item()
    assert history.rows[-1]["test_loss"] == pytest.approx(expected)
    columns = ["epoch", "steps", "seconds", "train_loss", "test_loss"]
    assert list(history.frame.columns) == list(History().frame.columns) == columns
    assert len(repr(history).splitlines()) == 3 and "test_loss" in repr(history)
    lines = [
        f"epoch {row['epoch']}: train loss {row['train_loss']:.4f}, test loss {row['test_loss']:.4f}"
        for row in (*first.rows, *history.rows)
    ]
    assert capsys.readouterr().out.splitlines() == lines


def test_the_seconds_are_those_of_training_without_evaluations():
    def criterion(output, y):
        time.sleep(0.02 if output.requires_grad else 1)
        return nn.functional.mse_loss(output, y)

    x, y = pairs(rows=4)
    start = time.perf_counter()
    trainer = trainer_of(nn.Linear(3, 2), criterion)
    first, second = trainer.fit(x, y, x, y, 3, 2, 2).frame["seconds"]
    elapsed = time.perf_counter() - start
    assert 4 * 0.02 <= first < second - 2 * 0.02 * 0.99
    assert second <= elapsed - 2


def test_a_callback_sees_every_evaluation_and_can_stop():
    x, y = pairs(rows=4)
    seen = []

    def callback(history):
        seen.append((history, len(history.rows), len(history.batch_losses)))
        return np.bool_(len(history.rows) == 3) if len(history.rows) > 1 else None

    trainer = trainer_of(nn.Linear(3, 2))
    history = trainer.fit(x, y, x, y, epochs=20, eval_every=2, batch_size=2, callback=callback)
    assert seen == [(history, 1, 4), (history, 2, 8), (history, 3, 12)]
    assert len(history.batch_losses) == 12 and not history.interrupted
    assert not trainer.model.training


# ---- fit: errors


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_a_loss_that_is_no_number_stops_before_the_step(value):
    x, y = pairs(rows=10)
    model = nn.Linear(3, 2)
    reached = {}

    def at(k):
        reached.update(state_of(model))
        return value if k == 4 else None

    trainer = trainer_of(model, Counting(at))
    message = "^the training loss must be finite, got .*; lower the learning rate"
    with pytest.raises(FloatingPointError, match=message):
        trainer.fit(x, y, x, y, epochs=5, eval_every=1, batch_size=5)
    assert equal(state_of(model), reached)
    assert len(trainer.history.batch_losses) == 3
    assert trainer.history.frame["epoch"].tolist() == [1]
    assert not trainer.history.interrupted and not model.training


def test_a_test_loss_that_is_no_number_is_an_error_too():
    x, y = pairs()
    trainer = trainer_of(nn.Linear(3, 2))
    with pytest.raises(FloatingPointError, match="^the test loss must be finite, got nan"):
        trainer.fit(x, y, x * torch.nan, y, epochs=4, eval_every=2, batch_size=5)
    assert trainer.history.rows == [] and len(trainer.history.batch_losses) == 4
    with pytest.raises(FloatingPointError, match="^the test loss must be finite"):
        trainer.evaluate(x, y * torch.inf)


zeros = torch.zeros
TARGETS = [
    # the model's output, targets, the error
    (zeros(4, 1), zeros(4), r"y must have the output's shape, \(4, 1\), got \(4,\), which"),
    (zeros(4), zeros(4, 1), r"shape, \(4,\), got \(4, 1\), which the criterion would broadcast"),
    (zeros(4, 3), zeros(4), r"shape, \(4, 3\), got \(4,\)"),
    (zeros(4, 3), zeros(4, 1), r"shape, \(4, 3\), got \(4, 1\)"),
    (zeros(4, 1), zeros(4).long(), r"shape, \(4, 1\), got \(4,\)"),
    (zeros(4, 3), zeros(4, 1).long(), r"shape, \(4, 3\), got \(4, 1\)"),
    (zeros(4, 3, 2), zeros(4).long(), r"shape, \(4, 3, 2\), got \(4,\)"),
    (zeros(4, 3), zeros(4, 3), None),
    (zeros(4, 1), zeros(4, 1).long(), None),
    (zeros(4), zeros(4).long(), None),
    (zeros(4, 3), zeros(4).long(), None),
    (zeros(4, 3, 2, 5), zeros(4, 2, 5).long(), None),
    ({"image": zeros(4)}, zeros(4), "model must return a tensor, or several, got dict"),
    (None, zeros(4), "model must return a tensor, or several, got NoneType"),
]


@pytest.mark.parametrize(("output", "y", "message"), TARGETS)
def test_targets_are_never_broadcast(output, y, message):
    class Fixed(nn.Linear):
        def forward(self, x):
            return output + self.bias.sum() if isinstance(output, torch.Tensor) else output

    def criterion(output, y):
        return output.sum() * 0 + 3

    trainer, x = trainer_of(Fixed(1, 1), criterion), zeros(4, 1)
    if message is None:
        assert trainer.evaluate(x, y) == 3
        assert trainer.fit(x, y, x, y, epochs=1).batch_losses == [3]
        return
    for call in (trainer.evaluate, lambda x, y: trainer.fit(x, y, x, y)):
        with pytest.raises((ValueError, TypeError), match=message):
            call(x, y)


@pytest.mark.parametrize(
    ("criterion", "message"),
    [
        (nn.MSELoss(reduction="sum"), 'must return a tensor, the mean .* reduction="sum"; take'),
        (nn.MSELoss(reduction="none"), 'reduction="none"; take the "mean"'),
        (lambda output, y: (output - y).square(), "criterion must return a tensor, the mean"),
        (lambda output, y: 0.5, "criterion must return a tensor, the mean of a batch, got 0.5"),
    ],
)
def test_a_criterion_that_gives_no_mean_is_refused(criterion, message):
    x, y = pairs()
    trainer = trainer_of(nn.Linear(3, 2), criterion)
    before = state_of(trainer.model)
    for call in (trainer.evaluate, lambda x, y: trainer.fit(x, y, x, y)):
        with pytest.raises(ValueError, match=message):
            call(x, y)
    assert equal(state_of(trainer.model), before)


OTHER = torch.optim.SGD(nn.Linear(3, 2).parameters(), lr=0.1)
REFUSALS = [
    ({"x_train": [0.0]}, TypeError, "x_train must be a torch.Tensor, got list"),
    ({"y_train": None}, TypeError, "y_train must be a torch.Tensor, got NoneType"),
    ({"x_test": np.zeros((2, 3))}, TypeError, "x_test must be a torch.Tensor, got ndarray"),
    ({"y_test": 3}, TypeError, "y_test must be a torch.Tensor, got int"),
    ({"x_train": zeros(3, 3)}, ValueError, "x_train and y_train must .* got 3 and 4"),
    ({"y_test": zeros(5, 2)}, ValueError, "x_test and y_test must .* got 2 and 5"),
    ({"x_train": zeros(0, 3), "y_train": zeros(0, 2)}, ValueError, "x_train must hold at least"),
    ({"x_test": zeros(0, 3), "y_test": zeros(0, 2)}, ValueError, "x_test must hold at least"),
    ({"x_test": zeros(2, 3).double()}, ValueError, "x_test must be like x_train, torch.float32 of"),
    ({"x_test": zeros(2, 5)}, ValueError, r"of shape \(3,\), got torch.float32 of shape \(5,\)"),
    ({"y_test": zeros(2, 1)}, ValueError, "y_test must be like y_train"),
    ({"epochs": 0}, ValueError, "epochs must be at least 1, got 0"),
    ({"epochs": 1.5}, TypeError, "epochs must be a whole number, got 1.5"),
    ({"eval_every": None}, TypeError, "eval_every must be a whole number, got None"),
    ({"eval_every": 0}, ValueError, "eval_every must be at least 1, got 0"),
    ({"batch_size": 32.0}, TypeError, "batch_size must be a whole number, got 32.0"),
    ({"batch_size": -1}, ValueError, "batch_size must be at least 1, got -1"),
    ({"optim": OTHER}, ValueError, "optim must hold the model's parameters, got others"),
    ({"optim": torch.optim.SGD}, ValueError, "optim must hold the model's parameters"),
    ({"optim": torch.optim.LBFGS}, ValueError, "optim and scheduler must step without .* LBFGS"),
    ({"scheduler": lr_scheduler.StepLR(OTHER, 1)}, ValueError, "scheduler must step the trainer's"),
    ({"scheduler": "cosine"}, ValueError, "scheduler must step the trainer's optim"),
    ({"scheduler": lr_scheduler.ReduceLROnPlateau}, ValueError, "optim and .* ReduceLROnPlateau"),
    ({"checkpoint": "missing/run.pt"}, OSError, "checkpoint must lie in a folder to write to, got"),
    ({"checkpoint": f"{__file__}/run.pt"}, OSError, "checkpoint must lie in a folder"),
    ({"checkpoint": Path(__file__)}, ValueError, "checkpoint must be a file of fit's, got .*read"),
    ({"checkpoint": Path(__file__).parent}, ValueError, "checkpoint must be a file of fit's"),
]


@pytest.mark.parametrize(("wrong", "error", "message"), REFUSALS)
def test_wrong_arguments_are_refused_before_anything_happens(wrong, error, message):
    model = nn.Linear(3, 2)
    trainer = trainer_of(model)
    arguments = {"x_train": zeros(4, 3), "y_train": zeros(4, 2)} | {"x_test": zeros(2, 3)}
    arguments |= {"y_test": zeros(2, 2), "seed": 1} | wrong
    if optim := arguments.pop("optim", None):
        lbfgs = optim is torch.optim.LBFGS
        trainer.optim = optim(model.parameters()) if lbfgs else optim
    if arguments.get("scheduler") is lr_scheduler.ReduceLROnPlateau:
        arguments["scheduler"] = lr_scheduler.ReduceLROnPlateau(trainer.optim)
    before, drawn = state_of(model), torch.get_rng_state()
    with pytest.raises(error, match=message):
        trainer.fit(**arguments)
    assert equal(state_of(model), before) and model.training
    assert torch.equal(torch.get_rng_state(), drawn)


def test_the_options_are_keyword_only():
    x, y = pairs()
    with pytest.raises(TypeError, match="positional arguments"):
        trainer_of(nn.Linear(3, 2)).fit(x, y, x, y, 1, 1, 1, None)


# ---- Ctrl-C


def at_line(number, act, run):
    """Call ``run``, and ``act`` at one line, counted from 1, of the library's, torch's, Python's."""
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


TRACED = ("convae_lib", "contextlib.py", "optim", "serialization.py", "pathlib")


def ctrl_c():
    signal.raise_signal(signal.SIGINT)


def noisy_trainer():
    """With all that a step changes: weights, buffers, an optimizer's state, a rate."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.3), nn.Linear(4, 2))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    scheduler = lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=30)
    return PyTorchTrainer(model, optimizer, nn.MSELoss()), scheduler


def noisy_fit(trainer, scheduler, epochs=3, rows=10, **options):
    x, y = pairs(rows)
    options = {"eval_every": 1, "batch_size": 4, "scheduler": scheduler, "seed": 5} | options
    return trainer.fit(x, y, x, y, epochs, **options)


@pytest.mark.parametrize("seed", [5, None])
def test_ctrl_c_at_any_line_keeps_the_weights_after_the_last_batch_in_the_history(seed, tmp_path):
    """And a run that goes on from its checkpoint ends with the bits of one never interrupted."""
    handler = signal.getsignal(signal.SIGINT)
    trainer, scheduler = noisy_trainer()
    expected, drawn = [state_of(trainer.model)], torch.get_rng_state()
    scheduler.step = lambda step=scheduler.step: step() or expected.append(state_of(trainer.model))
    whole = noisy_fit(trainer, scheduler, seed=seed)
    options = {"seed": seed, "checkpoint": tmp_path / "run.pt"}
    _, lines = at_line(0, None, lambda: noisy_fit(*noisy_trainer(), **options))
    returned = 0
    for number in range(1, lines - 500, lines // 31):
        options["checkpoint"] = tmp_path / f"{number}.pt"
        trainer, scheduler = noisy_trainer()
        try:
            history, _ = at_line(number, ctrl_c, lambda: noisy_fit(trainer, scheduler, **options))
            assert history is trainer.history and history.interrupted
            assert not trainer.model.training
            assert seed is None or torch.equal(torch.get_rng_state(), drawn)
            returned += 1
        except KeyboardInterrupt:  # in the first or the last lines, outside the training
            pass
        done = scheduler.last_epoch
        assert trainer.history.batch_losses == whole.batch_losses[:done]
        assert equal(state_of(trainer.model), expected[done])
        assert signal.getsignal(signal.SIGINT) is handler
        again, scheduler = noisy_trainer()
        assert timeless(noisy_fit(again, scheduler, **options)) == timeless(whole)
        assert equal(state_of(again.model), expected[9]) and not again.history.interrupted
    assert returned > 24


def test_a_second_ctrl_c_within_a_batch_waits_too_and_training_can_go_on(capsys):
    x, y = pairs()
    one = trainer_of(nn.Linear(3, 2), Counting(lambda k: (ctrl_c(), ctrl_c())[k > 9]))
    other = copy.deepcopy(one)
    history = one.fit(x, y, x, y, epochs=3, batch_size=4, seed=1)
    assert history.interrupted and len(history.batch_losses) == 1
    assert capsys.readouterr().out == "interrupted after 1 batches, which are kept\n"
    rows = torch.randperm(10, generator=torch.Generator().manual_seed(1))[:4]
    other.criterion = nn.MSELoss()
    other.fit(x[rows], y[rows], x, y, epochs=1)
    for ours, expected in zip(one.model.parameters(), other.model.parameters(), strict=True):
        torch.testing.assert_close(ours, expected)
    one.criterion = nn.MSELoss()
    assert not one.fit(x, y, x, y, epochs=1).interrupted


@pytest.mark.parametrize("where", ["batch", "evaluation", "callback"])
def test_an_interrupt_raised_by_the_readers_code_keeps_what_was_reached(where):
    def interrupt(*_):
        raise KeyboardInterrupt

    def criterion(output, y):
        training, done = output.requires_grad, len(trainer.history.batch_losses)
        if where == ("batch" if training else "evaluation") and done == 6:
            interrupt()
        return nn.functional.mse_loss(output, y)

    x, y = pairs(rows=10)
    trainer = trainer_of(nn.Sequential(nn.Linear(3, 2), nn.Dropout()), criterion)
    callback = interrupt if where == "callback" else None
    history = trainer.fit(x, y, x, y, epochs=9, batch_size=5, eval_every=3, callback=callback)
    assert history.interrupted and len(history.batch_losses) == 6
    assert len(history.rows) == (where != "evaluation")
    assert not any(module.training for module in trainer.model.modules())


@pytest.mark.parametrize("handler", [signal.SIG_IGN, lambda *_: calls.append(1)])
def test_a_handler_of_the_readers_own_is_obeyed(handler):
    calls.clear()
    before = signal.signal(signal.SIGINT, handler)
    try:
        x, y = pairs()
        trainer = trainer_of(nn.Linear(3, 2), Counting(lambda k: ctrl_c() if k == 2 else None))
        history = trainer.fit(x, y, x, y, epochs=3)
        assert signal.getsignal(signal.SIGINT) is handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert not history.interrupted and len(history.batch_losses) == 3
    assert calls == [1] * (handler != signal.SIG_IGN)


calls = []


def test_ctrl_c_does_not_reach_a_training_in_another_thread():
    trainer = trainer_of(nn.Linear(3, 2), Counting(lambda k: ctrl_c() if k == 2 else None))
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
import os, signal, sys, torch
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
    "none": lambda optim: None,
}


@pytest.mark.parametrize("name", SCHEDULERS)
def test_more_epochs_go_on_from_the_file_with_every_scheduler(name, tmp_path, capsys):
    def fit(epochs, again=None, **options):
        trainer = again or noisy_trainer()[0]
        return trainer, noisy_fit(trainer, SCHEDULERS[name](trainer.optim), epochs, **options)

    whole, expected = fit(4, seed=None)
    drawn = torch.rand(1)
    options = {"seed": None, "checkpoint": str(tmp_path / "run.pt"), "batch_size": np.int64(4)}
    part, first = fit(2, **options)
    capsys.readouterr()
    trainer, history = fit(4, **options)
    assert capsys.readouterr().out.startswith(f"{tmp_path / 'run.pt'}: going on after epoch 2\n")
    assert torch.equal(torch.rand(1), drawn)
    assert timeless(history) == timeless(expected)
    assert equal(state_of(trainer.model), state_of(whole.model))
    assert trainer.optim.param_groups[0]["lr"] == whole.optim.param_groups[0]["lr"]
    assert (
        history.rows[1] == first.rows[1] and history.rows[2]["seconds"] > first.rows[1]["seconds"]
    )
    assert timeless(fit(4, **options)[1]) == timeless(fit(1, **options)[1]) == timeless(history)


def test_a_run_that_the_callback_ended_stays_ended(tmp_path):
    file = tmp_path / "run.pt"
    ended = noisy_fit(*noisy_trainer(), checkpoint=file, callback=lambda h: len(h.rows) == 2)
    trainer, scheduler = noisy_trainer()
    history = noisy_fit(trainer, scheduler, 9, checkpoint=file)
    assert history.rows == ended.rows and len(history.batch_losses) == 6
    assert not trainer.model.training


def other_run(**changes):
    """`noisy_fit` on a changed trainer: its model, optimizer, scheduler or the call's options."""
    trainer, scheduler = noisy_trainer()
    trainer.model = changes.pop("model", trainer.model)
    make = changes.pop("make", lambda parameters: torch.optim.AdamW(parameters, lr=0.01))
    trainer.optim = make(trainer.model.parameters())
    schedule = changes.pop("schedule", lambda o: lr_scheduler.OneCycleLR(o, 0.1, total_steps=30))
    return trainer, lambda **options: noisy_fit(
        trainer, schedule(trainer.optim), **changes | options
    )


def by_layer(decay):
    return lambda parameters: torch.optim.AdamW(
        [{"params": [p], "weight_decay": decay * p.ndim} for p in parameters], lr=0.01
    )


MODEL = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.3), nn.Linear(4, 2))
FOREIGN = [
    ({"model": nn.Linear(3, 2)}, "another model: Sequential .*, not Linear"),
    ({"model": nn.Sequential(nn.Linear(3, 5), *MODEL[2:3], nn.Linear(5, 2))}, "another model"),
    ({"make": lambda p: torch.optim.AdamW(p, lr=0.02)}, "another optimizer: AdamW .*0.01.*0.02"),
    ({"make": lambda p: torch.optim.Adam(p, lr=0.01)}, "another optimizer: AdamW .*, not Adam "),
    ({"make": by_layer(0.1)}, "another optimizer"),
    ({"schedule": lambda o: None}, "another scheduler: OneCycleLR .*, not None"),
    ({"schedule": lambda o: lr_scheduler.StepLR(o, 9)}, "another scheduler: .*, not StepLR"),
    ({"schedule": lambda o: lr_scheduler.OneCycleLR(o, 0.1, total_steps=40)}, "scheduler: .*40"),
    ({"rows": 11}, r"another data: \[10, 3\], not \[11, 3\]; choose another name, or delete it"),
    ({"batch_size": 5}, "another batch_size: 4, not 5"),
    ({"seed": 6}, "another seed: 5, not 6"),
    ({"seed": None}, "another seed: 5, not None"),
]


@pytest.mark.parametrize(("changes", "message"), FOREIGN)
def test_the_file_of_another_training_is_refused_and_left_alone(changes, message, tmp_path):
    file = tmp_path / "run.pt"
    noisy_fit(*noisy_trainer(), 1, checkpoint=file)
    content = file.read_bytes()
    trainer, fit = other_run(**changes)
    before = state_of(trainer.model)
    with pytest.raises(ValueError, match=f"^checkpoint must belong to this training, .*{message}"):
        fit(checkpoint=file)
    assert equal(state_of(trainer.model), before) and file.read_bytes() == content
    assert trainer.model.training and list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("content", ["half", "text", "empty", "weights", "number", "code"])
def test_a_file_that_holds_no_training_is_refused_and_left_alone(content, tmp_path):
    file = tmp_path / "run.pt"
    noisy_fit(*noisy_trainer(), 1, checkpoint=file)
    if content in ("weights", "number", "code"):
        other = {
            "weights": MODEL.state_dict(),
            "number": {"settings": 3},
            "code": {"settings": eval},
        }
        torch.save(other[content], file)
    else:
        whole = file.read_bytes()
        file.write_bytes(
            {"half": whole[: len(whole) // 2], "text": b"hello", "empty": b""}[content]
        )
    written, (trainer, fit) = file.read_bytes(), other_run()
    before = state_of(trainer.model)
    with pytest.raises(
        ValueError, match=r"file of fit's, got .*run.pt, which cannot .*; choose"
    ) as e:
        fit(checkpoint=file)
    assert equal(state_of(trainer.model), before) and file.read_bytes() == written
    assert "weights_only" not in str(e.value)
