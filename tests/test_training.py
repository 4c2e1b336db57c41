import copy
import pickle
import signal
import time
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import l1_loss, mse_loss
from torch.optim import lr_scheduler

from convae_lib import ConvLayer, History, PyTorchTrainer, permute_data


def make_trainer(model, criterion=mse_loss, lr=0.1):
    optimizer = torch.optim.SGD(model.parameters(), lr, momentum=0.9)
    return PyTorchTrainer(model, optimizer, criterion)


def make_pairs(n_rows=10):
    generator = torch.Generator().manual_seed(n_rows)
    return torch.randn(n_rows, 5, generator=generator).split([3, 2], dim=1)


def state_of(model):
    return {name: tensor.tolist() for name, tensor in model.state_dict().items()}


def without_seconds(history):
    return [{**row, "seconds": 0} for row in history.rows], history.batch_losses


class CountedLoss:
    """Mean squared error that calls ``action(k)`` at the k-th training batch."""

    def __init__(self, action):
        self.action = action
        self.n_batches = 0

    def __call__(self, output, y):
        loss = mse_loss(output, y)
        if output.requires_grad:
            self.n_batches += 1
            added = self.action(self.n_batches)
            if added is not None:
                loss = loss + added
        return loss


def test_permute_data_copies_both_with_the_order_that_torch_draws():
    X = torch.arange(120).reshape(40, 3)
    y = X[:, 0] * 10
    order = torch.randperm(40)
    torch.manual_seed(0)
    X_permuted, y_permuted = permute_data(X, y)
    assert torch.equal(X_permuted, X[order])
    assert torch.equal(y_permuted, y[order])
    assert X.flatten().tolist() == list(range(120))


def test_permute_data_copies_an_autoencoders_images_once():
    X = torch.arange(12.0).reshape(4, 3)
    first, second = permute_data(X, X)
    assert first is second
    assert first is not X


def test_permute_data_refuses_unequal_numbers_of_rows():
    X, y = make_pairs()
    with pytest.raises(ValueError, match=r"^X and y must pair up"):
        permute_data(X, torch.cat([y, y]))


OUTPUTS = {
    "a tensor": lambda module, args, output: output,
    "a tuple": lambda module, args, output: (output, None),
    "a list": lambda module, args, output: [output, None],
}


@pytest.mark.parametrize("returns", OUTPUTS.values(), ids=OUTPUTS)
@pytest.mark.parametrize(
    ("make", "options", "dtype"),
    [
        (torch.optim.SGD, {"momentum": 0.9}, torch.float64),
        (torch.optim.AdamW, {"foreach": True}, torch.float32),
        (torch.optim.AdamW, {"fused": True}, torch.float32),
    ],
    ids=["SGD", "AdamW foreach", "AdamW fused"],
)
def test_fit_equals_a_plain_loop(make, options, dtype, returns):
    images = torch.rand(11, 2, 6, 6, dtype=dtype) * 2 - 1
    test_images = images[:3]
    model = ConvLayer(2, 2, 3, activation=nn.Tanh()).to(dtype)
    plain = copy.deepcopy(model)
    model.register_forward_hook(returns)

    optimizer = make(model.parameters(), lr=0.01, **options)
    scheduler = lr_scheduler.LambdaLR(optimizer, lambda step: 0.9**step)
    trainer = PyTorchTrainer(model, optimizer, nn.MSELoss())
    history = trainer.fit(
        images, images, test_images, test_images, 2, 1, 4, scheduler=scheduler, seed=7
    )

    optimizer = make(plain.parameters(), lr=0.01, **options)
    scheduler = lr_scheduler.LambdaLR(optimizer, lambda step: 0.9**step)
    torch.manual_seed(7)
    losses = []
    for row in history.rows:
        for rows in torch.randperm(11).split(4):
            optimizer.zero_grad()
            loss = mse_loss(plain(images[rows]), images[rows])
            loss.backward()
            optimizer.step()
            scheduler.step()
            losses.append(loss.item())
        train_loss = np.average(losses[-3:], weights=[4, 4, 3])
        assert row["train_loss"] == pytest.approx(train_loss, rel=1e-5)
        test_loss = mse_loss(plain(test_images), test_images).item()
        assert row["test_loss"] == pytest.approx(test_loss, rel=1e-5)
    assert history.batch_losses == pytest.approx(losses, rel=1e-5)
    torch.testing.assert_close([*model.parameters()], [*plain.parameters()], rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", ["shared", "flat", "channels last"])
def test_the_parameters_stay_in_their_memory(kind):
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
    make_trainer(model).fit(x, y, x, y, epochs=2, batch_size=4)
    after = [(p.data_ptr(), p.stride(), p.is_shared(), id(p)) for p in model.parameters()]
    assert after == before
    assert bool(flat.any()) == (kind == "flat")


def test_data_with_a_graph_are_neither_changed_nor_given_gradients():
    leaves = [torch.randn(5, width, requires_grad=True) for width in (3, 2)]
    x, y = (leaf * 2 for leaf in leaves)  # a second step would find this graph freed
    make_trainer(nn.Linear(3, 2)).fit(x, y, x, y, epochs=2, batch_size=4)
    assert torch.equal(x, leaves[0] * 2)
    assert torch.equal(y, leaves[1] * 2)
    assert leaves[0].grad is None
    assert leaves[1].grad is None


def test_training_and_evaluation_use_their_modes():
    x, y = make_pairs()
    model = nn.Sequential(nn.Dropout(), nn.Linear(3, 2)).eval()
    calls = []

    def record(module, args, output):
        modes = module.training, output.requires_grad, torch.is_inference_mode_enabled()
        calls.append((len(output), *modes))

    model[1].register_forward_hook(record)
    make_trainer(model).fit(x[:7], y[:7], x[:3], y[:3], epochs=2, eval_every=1, batch_size=3)
    training, evaluation = (True, True, False), (False, False, True)
    one_epoch = [(3, *training), (3, *training), (1, *training), (3, *evaluation)]
    assert calls == one_epoch * 2
    assert not model.training


def test_evaluate_counts_every_row_the_same_and_restores_the_modes():
    x, y = make_pairs(257)
    model = nn.Sequential(nn.Dropout(), nn.Linear(3, 2))
    model[0].eval()
    trainer = make_trainer(model)
    losses = [trainer.evaluate(x, y)]
    losses += [trainer.evaluate(x, y, batch_size) for batch_size in (1, 100, 257)]
    expected = mse_loss(nn.functional.linear(x, *model[1].parameters()), y).item()
    assert losses == pytest.approx([expected] * 4, rel=1e-5)
    assert [module.training for module in model.modules()] == [True, False, True]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (lambda x, y: (x[:, :2], y), RuntimeError, "shapes cannot"),
        (lambda x, y: (x, y[:1]), ValueError, "^x and y must"),
        (lambda x, y: (x, y, 0), ValueError, "^batch_size"),
    ],
    ids=["features", "rows", "batch size"],
)
def test_evaluate_refuses_what_does_not_fit_and_restores_the_modes(arguments, error, message):
    model = nn.Linear(3, 2)
    with pytest.raises(error, match=message):
        make_trainer(model).evaluate(*arguments(*make_pairs()))
    assert model.training


def fit_with_noise(seed):
    """Train with all that a step changes: weights, buffers, an optimizer's state, a rate."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.3), nn.Linear(4, 2))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    scheduler = lr_scheduler.OneCycleLR(optimizer, 0.1, 30)
    trainer = PyTorchTrainer(model, optimizer, mse_loss)
    x, y = make_pairs()
    torch.manual_seed(123)
    history = trainer.fit(x, y, x, y, 3, 1, 4, scheduler=scheduler, seed=seed)
    return without_seconds(history), state_of(model)


def test_a_seed_repeats_every_bit():
    first = fit_with_noise(seed=1)
    assert fit_with_noise(seed=np.int64(1)) == first
    assert fit_with_noise(seed=2) != first


@pytest.mark.parametrize("seed", [0, 5])
def test_a_seed_leaves_the_global_generator_as_it_was(seed):
    fit_with_noise(seed)
    after = torch.rand(1)
    torch.manual_seed(123)
    assert torch.equal(after, torch.rand(1))


def test_without_a_seed_the_global_generator_decides():
    first = fit_with_noise(seed=None)
    assert fit_with_noise(seed=None) == first
    torch.manual_seed(123)
    assert not torch.equal(torch.rand(1), torch.rand(1))
    assert fit_with_noise(seed=123) == first


@pytest.mark.skipif(not torch.accelerator.is_available(), reason="needs a GPU")
def test_a_seed_repeats_and_restores_the_generator_of_the_models_gpu():
    device = torch.accelerator.current_accelerator()
    x, y = (part.to(device) for part in make_pairs())
    states = []
    for _ in range(2):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5), nn.Linear(4, 2)).to(device)
        before = torch.rand(1, device=device)
        make_trainer(model).fit(x, y, x, y, 2, seed=1)
        states.append((state_of(model), before.item(), torch.rand(1, device=device).item()))
    assert states[0] == states[1]


COPIES = {
    "copied": copy.deepcopy,
    "pickled": lambda trainer: pickle.loads(pickle.dumps(trainer)),
    "compiled": copy.deepcopy,
}


@pytest.mark.parametrize("kind", COPIES)
def test_a_copied_pickled_or_compiled_model_trains_to_the_same_bits(kind):
    x, y = make_pairs()
    trainer = make_trainer(nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)))
    trainer.fit(x, y, x, y, epochs=1, seed=0)
    other = COPIES[kind](trainer)
    if kind == "compiled":
        other.model = torch.compile(other.model, backend="eager")
    expected = without_seconds(trainer.fit(x, y, x, y, epochs=2, seed=1))
    assert without_seconds(other.fit(x, y, x, y, epochs=2, seed=1)) == expected


def test_another_default_device_changes_nothing():
    x, y = make_pairs()
    trainer = make_trainer(nn.Linear(3, 2))
    other = copy.deepcopy(trainer)
    expected = without_seconds(trainer.fit(x, y, x, y, epochs=2, seed=1))
    with torch.device("meta"):
        assert without_seconds(other.fit(x, y, x, y, epochs=2, seed=1)) == expected
        assert permute_data(x, y)[0].device.type == "cpu"


def test_batches_are_moved_to_the_models_device():
    x, y = make_pairs(4)
    devices = []

    def criterion(output, y):
        devices.extend([output.device.type, y.device.type])
        return torch.ones((), requires_grad=True)

    trainer = make_trainer(nn.Linear(3, 2, device="meta"), criterion)
    trainer.fit(x, y, x, y, epochs=1)
    assert devices == ["meta"] * 4


def test_a_model_with_buffers_only_has_their_device():
    x, _ = make_pairs(4)
    devices = []

    def criterion(output, y):
        devices.append(y.device.type)
        return torch.ones(())

    model = nn.BatchNorm1d(3, affine=False, device="meta")
    PyTorchTrainer(model, None, criterion).evaluate(x, x)
    assert devices == ["meta"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [({"epochs": np.int64(5), "eval_every": np.int64(2)}, [2, 4, 5]), ({}, [*range(10, 101, 10)])],
    ids=["every second epoch", "defaults"],
)
def test_evaluations_come_every_so_many_epochs_and_are_printed(options, expected, capsys):
    x, y = make_pairs(33)
    trainer = make_trainer(nn.Linear(3, 2), lr=0.001)
    history = trainer.fit(x, y, x, y, **options)
    frame = history.frame
    assert trainer.history is history
    assert list(frame.columns) == ["epoch", "steps", "seconds", "train_loss", "test_loss"]
    assert frame["epoch"].tolist() == expected
    assert frame["steps"].tolist() == [2 * epoch for epoch in expected]
    line = "epoch {epoch}: train loss {train_loss:.4f}, test loss {test_loss:.4f}"
    printed = capsys.readouterr().out.splitlines()
    assert printed == [line.format(**row) for row in history.rows]


def test_seconds_are_those_of_training_without_evaluations(monkeypatch):
    clock = []
    monkeypatch.setattr(time, "perf_counter", lambda: sum(clock))

    def criterion(output, y):
        clock.append(1 if output.requires_grad else 100)
        return mse_loss(output, y)

    x, y = make_pairs(33)  # two batches
    history = make_trainer(nn.Linear(3, 2), criterion).fit(x, y, x, y, 3, 1)
    assert history.frame["seconds"].tolist() == [2, 4, 6]


def test_every_fit_has_a_history_of_its_own():
    x, y = make_pairs()
    trainer = make_trainer(nn.Linear(3, 2))
    first = trainer.fit(x, y, x, y, 1)
    second = trainer.fit(x, y, x, y, 1)
    assert first is not second
    assert len(first.batch_losses) == len(second.batch_losses) == 1


def test_a_history_prints_as_a_table_also_when_it_is_empty():
    assert list(History().frame.columns) == ["epoch", "steps", "seconds", "train_loss", "test_loss"]
    x, y = make_pairs()
    history = make_trainer(nn.Linear(3, 2)).fit(x, y, x, y, 2, 1)
    assert len(repr(history).splitlines()) == 3
    assert "test_loss" in repr(history)


def test_verbose_false_prints_nothing(capsys):
    x, y = make_pairs()
    trainer = make_trainer(nn.Linear(3, 2))
    trainer.verbose = False
    trainer.fit(x, y, x, y, 1)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("returned", [True, 1, "text", np.bool_(True), torch.ones(1)], ids=repr)
def test_what_a_callback_returns_is_ignored(returned):
    x, y = make_pairs()
    trainer = make_trainer(nn.Linear(3, 2))
    history = trainer.fit(x, y, x, y, 5, 1, callbacks=[lambda trainer: returned])
    assert history.frame["epoch"].tolist() == [1, 2, 3, 4, 5]


def test_callbacks_get_the_trainer_after_every_evaluation():
    x, y = make_pairs()
    calls = []

    def first(trainer):
        calls.append(("first", trainer, len(trainer.history.rows)))

    def second(trainer):
        calls.append(("second", trainer, len(trainer.history.batch_losses)))

    trainer = make_trainer(nn.Linear(3, 2))
    trainer.fit(x, y, x, y, 4, eval_every=2, batch_size=5, callbacks=(first, second))
    assert calls == [
        ("first", trainer, 1),
        ("second", trainer, 4),
        ("first", trainer, 2),
        ("second", trainer, 8),
    ]


def test_a_callback_stops_the_training_by_setting_stop():
    def stop_after_two(trainer):
        trainer.stop = len(trainer.history.rows) == 2

    x, y = make_pairs()
    trainer = make_trainer(nn.Linear(3, 2))
    history = trainer.fit(x, y, x, y, 9, 2, callbacks=[stop_after_two])
    assert history.frame["epoch"].tolist() == [2, 4]
    assert not history.interrupted
    assert not trainer.model.training
    assert trainer.fit(x, y, x, y, 3, 1).frame["epoch"].tolist() == [1, 2, 3]


class Recorder:
    def __init__(self):
        self.calls = []

    def start(self, trainer, arguments):
        self.calls.append(("start", arguments.epochs, arguments.batch_size, arguments.seed))

    def __call__(self, trainer):
        self.calls.append("evaluation")

    def finish(self, trainer):
        self.calls.append("finish")


def test_a_callback_may_have_a_start_and_a_finish():
    x, y = make_pairs()
    recorder = Recorder()
    make_trainer(nn.Linear(3, 2)).fit(x, y, x, y, 2, 1, 5, seed=3, callbacks=[recorder])
    assert recorder.calls == [("start", 2, 5, 3), "evaluation", "evaluation", "finish"]


def test_a_derived_trainer_changes_the_loss_of_training_and_evaluation():
    class L1Trainer(PyTorchTrainer):
        def batch_loss(self, x, y):
            return l1_loss(self.model(x), y)

    x, y = make_pairs()
    torch.manual_seed(1)
    model = nn.Linear(3, 2)
    expected = make_trainer(copy.deepcopy(model), l1_loss).fit(x, y, x, y, 3, 1, seed=0)
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    history = L1Trainer(model, optimizer, nn.MSELoss()).fit(x, y, x, y, 3, 1, seed=0)
    assert without_seconds(history) == without_seconds(expected)


def test_a_derived_trainer_changes_the_step():
    class TwoSteps(PyTorchTrainer):
        def train_step(self, x, y):
            super().train_step(x, y)
            return super().train_step(x, y)

    x, y = make_pairs()
    losses = CountedLoss(lambda k: None)
    model = nn.Linear(3, 2)
    trainer = TwoSteps(model, torch.optim.SGD(model.parameters(), 0.1), losses)
    trainer.fit(x, y, x, y, 1, batch_size=5)
    assert losses.n_batches == 4


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_a_loss_that_is_not_finite_raises_before_the_step(value):
    x, y = make_pairs()
    model = nn.Linear(3, 2)
    states = []

    def action(k):
        states.append(state_of(model))
        return value if k == 4 else None

    trainer = make_trainer(model, CountedLoss(action))
    generator = torch.get_rng_state()
    with pytest.raises(FloatingPointError, match=r"^the training loss must be finite, .*; lower"):
        trainer.fit(x, y, x, y, epochs=5, eval_every=1, batch_size=5, seed=1)
    assert state_of(model) == states[3]
    assert not model.training
    assert len(trainer.history.batch_losses) == 3
    assert len(trainer.history.rows) == 1
    assert torch.equal(torch.get_rng_state(), generator)


def test_evaluate_refuses_a_loss_that_is_not_finite():
    x, y = make_pairs()
    with pytest.raises(FloatingPointError, match=r"^the test loss must be finite, got nan"):
        make_trainer(nn.Linear(3, 2)).evaluate(x, y * torch.nan)


ctrl_c = partial(signal.raise_signal, signal.SIGINT)


@pytest.fixture
def _interruptible():
    """Listen to Ctrl-C, which a shell lets its background jobs ignore."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_interruptible")
@pytest.mark.parametrize("seed", [None, 3])
def test_ctrl_c_keeps_the_weights_and_returns_the_history(seed, capsys):
    x, y = make_pairs()
    states = []

    def action(k):
        states.append(state_of(model))
        if k == 6:
            ctrl_c()

    model = nn.Linear(3, 2)
    trainer = make_trainer(model, CountedLoss(action))
    generator = torch.get_rng_state()
    history = trainer.fit(x, y, x, y, 5, 1, 5, seed=seed)
    assert history.interrupted
    assert history is trainer.history
    assert len(history.batch_losses) == 5
    assert history.frame["epoch"].tolist() == [1, 2]
    assert state_of(model) == states[5]
    assert not model.training
    assert torch.equal(torch.get_rng_state(), generator) == (seed is not None)
    assert capsys.readouterr().out.splitlines()[-1] == "interrupted after 5 batches"


@pytest.mark.usefixtures("_interruptible")
def test_a_users_signal_handler_is_left_alone():
    handled = []

    def handler(number, frame):
        handled.append(number)

    signal.signal(signal.SIGINT, handler)
    x, y = make_pairs()
    losses = CountedLoss(lambda k: ctrl_c() if k == 2 else None)
    history = make_trainer(nn.Linear(3, 2), losses).fit(x, y, x, y, epochs=3)
    assert len(history.batch_losses) == 3
    assert handled == [signal.SIGINT]
    assert signal.getsignal(signal.SIGINT) is handler


zeros = torch.zeros
BROADCAST = r"^y must have the output's shape, "
TARGETS = {
    "column against row": (zeros(4, 1), zeros(4), BROADCAST + r"\(4, 1\), got \(4,\)"),
    "row against column": (zeros(4), zeros(4, 1), r"\(4,\), got \(4, 1\), which .* broadcast"),
    "table against row": (zeros(4, 3), zeros(4), BROADCAST + r"\(4, 3\), got \(4,\)"),
    "classes for one score": (zeros(4, 1), zeros(4).long(), BROADCAST + r"\(4, 1\), got \(4,\)"),
    "classes without places": (zeros(4, 3, 2), zeros(4).long(), BROADCAST + r"\(4, 3, 2\)"),
}


def train_on(output, y, criterion):
    """Train a model that returns a fixed output."""

    class Fixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(()))

        def forward(self, x):
            return output + self.weight if isinstance(output, torch.Tensor) else output

    trainer = make_trainer(Fixed(), criterion)
    return trainer.fit(zeros(4, 3), y, zeros(4, 3), y, 1)


@pytest.mark.parametrize(("output", "y", "message"), TARGETS.values(), ids=TARGETS)
def test_targets_that_the_loss_would_broadcast_are_refused(output, y, message):
    with pytest.raises(ValueError, match=message):
        train_on(output, y, nn.MSELoss())


@pytest.mark.parametrize("places", [(), (2, 5)], ids=["one score a class", "scores of places"])
def test_class_indices_are_accepted_for_scores(places):
    history = train_on(zeros(4, 3, *places), zeros(4, *places).long(), nn.CrossEntropyLoss())
    assert history.frame["test_loss"].tolist() == [pytest.approx(np.log(3), rel=0.1)]


def test_a_model_that_returns_no_tensor_is_refused():
    with pytest.raises(TypeError, match=r"^model must return a tensor, or several, got dict"):
        train_on({"image": 1}, zeros(4), nn.MSELoss())


NOT_A_MEAN = r"^criterion must return a tensor with one element, the mean of a batch, got "


@pytest.mark.parametrize(
    ("criterion", "message"),
    [
        (lambda output, y: (output - y).square(), NOT_A_MEAN + r"\(4, 3\)"),
        (lambda output, y: 0.5, NOT_A_MEAN + "float"),
    ],
    ids=["a loss for each pixel", "a number"],
)
def test_a_loss_that_is_no_mean_of_the_batch_is_refused(criterion, message):
    with pytest.raises(ValueError, match=message):
        train_on(zeros(4, 3), zeros(4, 3), criterion)


def test_a_loss_that_sums_over_the_batch_is_refused():
    with pytest.raises(ValueError, match=r'^criterion must return the mean .*reduction="sum"'):
        make_trainer(nn.Linear(3, 2), nn.MSELoss(reduction="sum"))


def test_a_loss_that_is_a_class_is_refused():
    with pytest.raises(TypeError, match=r"^criterion must be called .* class MSELoss; .*MSELoss\("):
        make_trainer(nn.Linear(3, 2), nn.MSELoss)


REFUSED = {
    "a list": ({"x_train": [0.0]}, TypeError, "^x_train must be a torch.Tensor, got list"),
    "rows": ({"x_train": zeros(3, 3)}, ValueError, "^x_train and y_train must .* got 3 and 4"),
    "no rows": (
        {"x_train": zeros(0, 3), "y_train": zeros(0, 2)},
        ValueError,
        "x_train must hold at least",
    ),
    "test rows": ({"y_test": zeros(5, 2)}, ValueError, "^x_test and y_test must .* got 2 and 5"),
    "test dtype": (
        {"x_test": zeros(2, 3).double()},
        ValueError,
        "x_test must be like x_train, torch.float32 of",
    ),
    "test shape": (
        {"x_test": zeros(2, 5)},
        ValueError,
        r"of shape \(3,\), got torch.float32 of shape \(5,\)",
    ),
    "test targets": ({"y_test": zeros(2, 1)}, ValueError, "^y_test must be like y_train"),
    "no epochs": ({"epochs": 0}, ValueError, "^epochs must be at least 1, got 0"),
    "half an epoch": ({"epochs": 1.5}, TypeError, "^epochs must be a whole number, got 1.5"),
    "eval_every": ({"eval_every": 0}, ValueError, "^eval_every must be at least 1, got 0"),
    "batch_size": ({"batch_size": True}, TypeError, "^batch_size must be a whole number, got True"),
    "one callback": ({"callbacks": print}, TypeError, r"^callbacks must be a list .*=\[function\]"),
    "no callable": ({"callbacks": ["stop"]}, TypeError, "^callbacks must be a list of functions"),
}


@pytest.mark.parametrize(("changes", "error", "message"), REFUSED.values(), ids=REFUSED)
def test_fit_refuses_what_does_not_fit(changes, error, message):
    arguments = {
        "x_train": zeros(4, 3),
        "y_train": zeros(4, 2),
        "x_test": zeros(2, 3),
        "y_test": zeros(2, 2),
    }
    trainer = make_trainer(nn.Linear(3, 2))
    before = state_of(trainer.model)
    with pytest.raises(error, match=message):
        trainer.fit(**(arguments | changes))
    assert state_of(trainer.model) == before


def test_an_optimizer_of_another_model_is_refused():
    x, y = make_pairs()
    trainer = make_trainer(nn.Linear(3, 2))
    trainer.model = nn.Linear(3, 2)
    with pytest.raises(ValueError, match=r"^optim must hold the model's parameters"):
        trainer.fit(x, y, x, y, 1)


def test_a_schedule_of_another_optimizer_is_refused():
    x, y = make_pairs()
    other = make_trainer(nn.Linear(3, 2)).optim
    scheduler = lr_scheduler.StepLR(other, 3)
    with pytest.raises(ValueError, match=r"^scheduler must belong to the trainer's optimizer"):
        make_trainer(nn.Linear(3, 2)).fit(x, y, x, y, 1, scheduler=scheduler)


def test_optimizers_and_schedules_that_need_the_loss_are_refused():
    x, y = make_pairs()
    model = nn.Linear(3, 2)
    trainer = PyTorchTrainer(model, torch.optim.LBFGS(model.parameters()), mse_loss)
    with pytest.raises(ValueError, match=r"^optim and scheduler must step without the loss"):
        trainer.fit(x, y, x, y, 1)
    trainer = make_trainer(model)
    plateau = lr_scheduler.ReduceLROnPlateau(trainer.optim)
    with pytest.raises(ValueError, match=r"^optim and scheduler must step without the loss"):
        trainer.fit(x, y, x, y, 1, scheduler=plateau)
