import copy
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from convae_lib import Autoencoder, ConvLayer, DenseLayer, History, PyTorchTrainer, permute_data
from convae_lib import training as training_module


def sgd(model, lr=0.1, momentum=0.9):
    return torch.optim.SGD(model.parameters(), lr=lr, momentum=momentum)


def trainer_of(model, criterion=None, lr=0.1):
    return PyTorchTrainer(model, sgd(model, lr), criterion or nn.MSELoss())


def pairs(rows=10, inputs=3, outputs=2):
    return torch.randn(rows, inputs), torch.randn(rows, outputs)


def weights(model):
    return [p.detach().clone() for p in model.parameters()]


def equal(one, other):
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


class Counting:
    """A criterion that asks ``at(k)`` at the k-th training batch, from 1, for another loss."""

    def __init__(self, at, criterion=None):
        self.at, self.criterion, self.calls = at, criterion or nn.MSELoss(), 0

    def __call__(self, output, y):
        if output.requires_grad:
            self.calls += 1
            replaced = self.at(self.calls)
            if replaced is not None:
                return output.sum() * replaced
        return self.criterion(output, y)


class ModeRecorder(nn.Module):
    """A linear model that remembers in which mode, and with which rows, it was called."""

    def __init__(self, inputs=3, outputs=2):
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)
        self.calls = []

    def forward(self, x):
        self.calls.append(
            SimpleNamespace(
                training=self.training,
                rows=len(x),
                grad=torch.is_grad_enabled(),
                inference=torch.is_inference_mode_enabled(),
            )
        )
        return self.linear(x)


# ---- permute_data


@given(rows=st.integers(1, 40), columns=st.integers(1, 3))
def test_permuting_keeps_pairs_together_and_every_row_once(rows, columns):
    X = torch.arange(rows * columns).reshape(rows, columns)
    y = X[:, 0] * 10
    before = X.clone(), y.clone()
    shuffled_X, shuffled_y = permute_data(X, y)
    assert torch.equal(shuffled_X[:, 0] * 10, shuffled_y)
    assert sorted(shuffled_X.tolist()) == X.tolist()
    assert equal(before, (X, y))


def test_permuting_changes_the_order_and_depends_on_the_generator():
    X = torch.arange(100)
    y = X.clone()
    orders = {tuple(permute_data(X, y)[0].tolist()) for _ in range(3)}
    assert len(orders) == 3 and tuple(range(100)) not in orders
    torch.manual_seed(5)
    first = permute_data(X, y)[0]
    torch.manual_seed(5)
    assert torch.equal(permute_data(X, y)[0], first)


def test_rows_that_are_their_own_targets_are_copied_once():
    X = torch.randn(8, 2)
    one, two = permute_data(X, X)
    assert one is two
    assert one.data_ptr() != X.data_ptr()
    one, two = permute_data(X, X.clone())
    assert one is not two
    assert torch.equal(one, two)


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        (torch.zeros(3, 1), torch.zeros(4), "X and y must have one row each .* got 3 and 4; pass"),
        (torch.zeros(0, 1), torch.zeros(0), "X must hold at least one example, got none; pass"),
    ],
)
def test_rows_that_are_no_pairs_cannot_be_permuted(X, y, message):
    with pytest.raises(ValueError, match=message):
        permute_data(X, y)


# ---- fit: what it computes


def test_one_step_equals_a_step_written_by_hand():
    model = Autoencoder(3)
    images = torch.rand(6, 1, 28, 28) * 2 - 1
    by_hand = copy.deepcopy(model)
    optimizer = sgd(by_hand)
    loss = nn.functional.mse_loss(by_hand(images)[0], images)
    loss.backward()
    optimizer.step()

    history = trainer_of(model).fit(images, images, images, images, epochs=1, batch_size=6)
    assert history.batch_losses == [pytest.approx(loss.item(), rel=1e-5)]
    for ours, expected in zip(model.parameters(), by_hand.parameters(), strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-6)


def test_several_epochs_equal_a_loop_written_by_hand():
    x, y = pairs(rows=11)
    model = nn.Linear(3, 2)
    by_hand = copy.deepcopy(model)
    history = trainer_of(model).fit(x, y, x, y, epochs=3, eval_every=1, batch_size=4, seed=7)

    optimizer, losses, epoch_losses = sgd(by_hand), [], []
    torch.manual_seed(7)
    for _ in range(3):
        order = torch.randperm(11)
        total = 0.0
        for rows in order.split(4):
            optimizer.zero_grad()
            loss = nn.functional.mse_loss(by_hand(x[rows]), y[rows])
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            total += loss.item() * len(rows)
        epoch_losses.append(total / 11)
    assert history.batch_losses == pytest.approx(losses, rel=1e-5)
    assert history.frame["train_loss"].tolist() == pytest.approx(epoch_losses, rel=1e-5)
    for ours, expected in zip(model.parameters(), by_hand.parameters(), strict=True):
        torch.testing.assert_close(ours, expected)


def test_training_lowers_the_error():
    x = torch.randn(64, 3)
    y = x @ torch.randn(3, 2) + 1
    history = trainer_of(nn.Linear(3, 2)).fit(x, y, x, y, epochs=40, seed=0)
    assert history.frame["test_loss"].iloc[-1] < 0.01 < history.batch_losses[0]


def test_a_classifier_of_labels_trains_too():
    torch.manual_seed(1)
    x = torch.randn(60, 2)
    labels = (x[:, 0] > 0).long()
    model = nn.Linear(2, 2)
    history = trainer_of(model, nn.CrossEntropyLoss()).fit(x, labels, x, labels, epochs=10)
    assert history.frame["test_loss"].iloc[-1] < 0.3
    assert (model(x).argmax(dim=1) == labels).float().mean() > 0.9


@pytest.mark.parametrize("layer", [nn.Conv1d, nn.Conv2d, nn.Conv3d])
def test_convolutions_of_any_dimension_train(layer):
    model = layer(1, 1, 3, padding=1)
    x = torch.randn(4, 1, *[5] * (model.weight.ndim - 2))
    before = weights(model)
    trainer_of(model).fit(x, x, x, x, epochs=1)
    assert not equal(weights(model), before)


def test_the_first_element_of_a_tuple_is_compared():
    class Pair(nn.Linear):
        def forward(self, x):
            return super().forward(x), torch.full((1,), torch.nan)

    x, y = pairs()
    plain, tuples = nn.Linear(3, 2), Pair(3, 2)
    tuples.load_state_dict(plain.state_dict())
    one = trainer_of(plain).fit(x, y, x, y, epochs=2, seed=0)
    other = trainer_of(tuples).fit(x, y, x, y, epochs=2, seed=0)
    assert one.batch_losses == other.batch_losses
    assert one.rows[0]["test_loss"] == other.rows[0]["test_loss"]


def test_every_batch_of_every_epoch_is_trained_on_in_training_mode():
    x, y = pairs(rows=7)
    model = ModeRecorder()
    trainer_of(model).fit(x, y, x[:3], y[:3], epochs=2, eval_every=1, batch_size=3)
    assert [call.rows for call in model.calls] == [3, 3, 1, 3] * 2
    assert [call.training for call in model.calls] == [True, True, True, False] * 2
    assert not model.training


def test_a_model_left_in_evaluation_mode_is_trained_in_training_mode():
    x, y = pairs()
    model = nn.Sequential(nn.Dropout(), ModeRecorder()).eval()
    trainer_of(model).fit(x, y, x, y, epochs=1, batch_size=5)
    assert [call.training for call in model[1].calls] == [True, True, False]


def test_inputs_are_left_as_they_were():
    images, labels = torch.randn(6, 1, 8, 8), torch.randn(6, 1, 8, 8)
    before = images.clone(), labels.clone()
    trainer_of(ConvLayer(1, 1, 3)).fit(images, labels, images, labels, epochs=2, batch_size=4)
    assert equal(before, (images, labels))
    assert images.is_contiguous() and not images.requires_grad


@pytest.mark.parametrize("channels", [1, 3])
def test_convolutions_are_trained_channels_last_and_returned_in_the_usual_format(channels):
    model = ConvLayer(channels, 4, 3)
    x = torch.randn(2, channels, 8, 8)
    y = torch.randn(2, 4, 8, 8)
    usual = model.conv.weight.stride()
    while_training = []

    def criterion(output, target):
        while_training.append((model.conv.weight.stride(), output.stride()))
        return nn.functional.mse_loss(output, target)

    PyTorchTrainer(model, sgd(model), criterion).fit(x, y, x, y, epochs=1)
    channels_last = (9 * channels, 1, 3 * channels, channels), (4 * 64, 1, 4 * 8, 4)
    assert while_training == [channels_last, channels_last]
    assert model.conv.weight.stride() == usual == (9 * channels, 9, 3, 1)


def test_a_history_shows_its_evaluations_not_every_batch():
    x, y = pairs(rows=100)
    history = trainer_of(nn.Linear(3, 2)).fit(x, y, x, y, epochs=2, eval_every=1, batch_size=1)
    assert len(history.batch_losses) == 200
    assert len(repr(history).splitlines()) == 3 and "test_loss" in repr(history)


@pytest.mark.parametrize(
    ("x_test", "error", "message"),
    [
        (torch.zeros(4, 3).double(), ValueError, "x_test must hold examples like those of x_train"),
        (torch.zeros(4, 5), ValueError, r"of shape \(3,\), got torch.float32 of shape \(5,\)"),
        ([[0.0] * 3] * 4, TypeError, "x_test must be a torch.Tensor, got list"),
    ],
)
def test_a_test_set_unlike_the_training_set_is_refused_before_training(x_test, error, message):
    x, y = pairs(rows=4)
    model = nn.Linear(3, 2)
    before = model.weight.detach().clone()
    with pytest.raises(error, match=message):
        trainer_of(model).fit(x, y, x_test, y, epochs=1)
    assert torch.equal(model.weight, before)


def test_a_scheduler_is_stepped_after_every_batch():
    x, y = pairs(rows=10)
    model = nn.Linear(3, 2)
    optimizer = sgd(model, lr=1.0)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1e-3 * 0.5**step)
    rates = []
    criterion = Counting(lambda k: rates.append(optimizer.param_groups[0]["lr"]))
    PyTorchTrainer(model, optimizer, criterion).fit(
        x, y, x, y, epochs=2, batch_size=4, scheduler=scheduler
    )
    assert rates == pytest.approx([1e-3 * 0.5**step for step in range(6)])


# ---- fit: repeatability


def dropout_model():
    torch.manual_seed(3)
    return nn.Sequential(
        ConvLayer(1, 2, 3, activation=nn.Tanh(), dropout=0.7, flatten=True),
        DenseLayer(2 * 6 * 6, 2, dropout=0.9),
    )


def trained(seed, model=None):
    model = model or dropout_model()
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(20, 1, 6, 6, generator=generator)
    y = torch.randn(20, 2, generator=generator)
    history = trainer_of(model, lr=0.01).fit(x, y, x, y, epochs=3, batch_size=6, seed=seed)
    return history, weights(model)


def test_the_same_seed_gives_the_same_numbers_to_the_bit():
    (one, one_weights), (other, other_weights) = trained(4), trained(4)
    assert one.batch_losses == other.batch_losses
    columns = ["epoch", "steps", "train_loss", "test_loss"]
    assert one.frame[columns].equals(other.frame[columns])
    assert equal(one_weights, other_weights)


def test_different_seeds_give_different_numbers():
    assert trained(4)[0].batch_losses != trained(5)[0].batch_losses


def test_dropout_too_depends_on_the_seed():
    x, y = torch.ones(1, 50), torch.ones(1, 1)  # one row: shuffling changes nothing
    losses = []
    for seed in (1, 1, 2):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Dropout(0.5), nn.Linear(50, 1))
        losses.append(trainer_of(model).fit(x, y, x, y, epochs=1, seed=seed).batch_losses)
    assert losses[0] == losses[1] != losses[2]


def test_a_seed_leaves_the_global_generator_as_it_was():
    model = dropout_model()
    state = torch.get_rng_state()
    trained(4, model)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_seed_leaves_the_global_generator_as_it_was_also_after_an_error():
    x, y = pairs()
    model = nn.Linear(3, 2)
    state = torch.get_rng_state()
    with pytest.raises(FloatingPointError):
        trainer_of(model, Counting(lambda k: torch.nan)).fit(x, y, x, y, seed=1)
    assert torch.equal(torch.get_rng_state(), state)


def test_without_a_seed_the_global_generator_is_used():
    losses = []
    for seed in (1, 1, 2):
        model = dropout_model()
        torch.manual_seed(seed)
        losses.append(trained(None, model)[0].batch_losses)
    assert losses[0] == losses[1] != losses[2]


# ---- fit: evaluations and history


@pytest.mark.parametrize(
    ("epochs", "eval_every", "expected"),
    [
        (5, 2, [2, 4, 5]),
        (4, 2, [2, 4]),
        (3, 1, [1, 2, 3]),
        (2, 10, [2]),
        (1, 1, [1]),
        (23, None, [10, 20, 23]),
    ],
)
def test_evaluations_come_every_so_many_epochs_and_at_the_last(epochs, eval_every, expected):
    x, y = pairs(rows=5)
    options = {} if eval_every is None else {"eval_every": eval_every}
    history = trainer_of(nn.Linear(3, 2)).fit(x, y, x, y, epochs, batch_size=2, **options)
    assert history.frame["epoch"].tolist() == expected
    assert history.frame["steps"].tolist() == [3 * epoch for epoch in expected]
    assert len(history.batch_losses) == 3 * epochs


def test_defaults_are_those_of_the_source_lesson():
    x, y = pairs(rows=33)
    history = trainer_of(nn.Linear(3, 2), lr=0.001).fit(x, y, x, y)
    assert history.frame["epoch"].tolist() == list(range(10, 101, 10))
    assert len(history.batch_losses) == 200  # 32 + 1 rows an epoch


def test_the_test_loss_is_the_evaluation_of_the_weights_reached():
    x, y = pairs(rows=20)
    trainer = trainer_of(nn.Linear(3, 2))
    history = trainer.fit(x[:12], y[:12], x[12:], y[12:], epochs=2)
    expected = nn.functional.mse_loss(trainer.model(x[12:]), y[12:]).item()
    assert history.rows[-1]["test_loss"] == pytest.approx(expected)
    assert trainer.history is history


def test_the_history_is_a_table():
    frame = History(rows=[{"epoch": 1, "steps": 2, "seconds": 0.5}]).frame
    assert list(frame.columns) == ["epoch", "steps", "seconds", "train_loss", "test_loss"]
    assert list(History().frame.columns) == list(frame.columns)
    assert len(History().frame) == 0 and len(frame) == 1


def test_every_fit_starts_a_new_history():
    x, y = pairs()
    trainer = trainer_of(nn.Linear(3, 2))
    first = trainer.fit(x, y, x, y, epochs=1)
    second = trainer.fit(x, y, x, y, epochs=1)
    assert first is not second
    assert len(first.rows) == len(second.rows) == 1


def test_the_seconds_are_those_of_training_without_evaluations(monkeypatch):
    clock = SimpleNamespace(now=0.0)
    fake_time = SimpleNamespace(perf_counter=lambda: clock.now)
    monkeypatch.setattr(training_module, "time", fake_time)

    def criterion(output, y):
        clock.now += 1 if output.requires_grad else 1000
        return nn.functional.mse_loss(output, y)

    x, y = pairs(rows=9)
    history = trainer_of(nn.Linear(3, 2), criterion).fit(
        x, y, x, y, epochs=5, eval_every=2, batch_size=3
    )
    assert history.frame["seconds"].tolist() == [6, 12, 15]


def test_one_line_is_printed_for_each_evaluation(capsys):
    x, y = pairs()
    history = trainer_of(nn.Linear(3, 2)).fit(x, y, x, y, epochs=3, eval_every=2)
    lines = [
        f"epoch {row['epoch']}: train loss {row['train_loss']:.4f}, "
        f"test loss {row['test_loss']:.4f}"
        for row in history.rows
    ]
    assert len(lines) == 2
    assert capsys.readouterr().out.splitlines() == lines


def test_a_callback_sees_the_history_after_every_evaluation_and_can_stop():
    x, y = pairs(rows=4)
    seen = []

    def stop_at_the_third(history):
        seen.append((history, history.rows[-1]["epoch"], len(history.batch_losses)))
        return len(history.rows) == 3

    history = trainer_of(nn.Linear(3, 2)).fit(
        x, y, x, y, epochs=20, eval_every=2, batch_size=2, callback=stop_at_the_third
    )
    assert [epoch for _, epoch, _ in seen] == [2, 4, 6]
    assert [batches for _, _, batches in seen] == [4, 8, 12]
    assert all(history is one for one, _, _ in seen)
    assert len(history.batch_losses) == 12
    assert not history.interrupted


def test_a_callback_that_returns_nothing_does_not_stop():
    x, y = pairs()
    history = trainer_of(nn.Linear(3, 2)).fit(
        x, y, x, y, epochs=3, eval_every=1, callback=lambda history: None
    )
    assert len(history.rows) == 3


PROGRESS = """
import sys, torch
from convae_lib import PyTorchTrainer

model = torch.nn.Linear(2, 2)
x = torch.zeros(4, 2)
trainer = PyTorchTrainer(model, torch.optim.SGD(model.parameters(), lr=0.1), torch.nn.MSELoss())
trainer.fit(x, x, x, x, epochs=1, progress=False)
print("---", file=sys.stderr)
trainer.fit(x, x, x, x, epochs=1)
"""


@pytest.mark.parametrize("disabled", [False, True])
def test_the_progress_bar_can_be_switched_off_by_argument_and_by_environment(disabled):
    environment = {name: value for name, value in os.environ.items() if name != "TQDM_DISABLE"}
    environment |= {"TQDM_DISABLE": "1"} if disabled else {}
    run = subprocess.run(
        [sys.executable, "-c", PROGRESS], env=environment, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    assert len(run.stdout.splitlines()) == 2
    switched_off, default = run.stderr.split("---\n")
    assert switched_off == ""
    assert default == "" if disabled else "epoch 1:" in default


# ---- fit: errors and interruptions


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_a_loss_that_is_no_number_stops_before_the_step(value):
    x, y = pairs(rows=10)
    model = nn.Linear(3, 2)
    reached = []

    def at(k):
        reached[:] = weights(model)
        return value if k == 4 else None

    trainer = trainer_of(model, Counting(at))
    message = (
        "the training loss in epoch 2 must be a finite number, got .*; lower the learning rate"
    )
    with pytest.raises(FloatingPointError, match=message):
        trainer.fit(x, y, x, y, epochs=5, eval_every=1, batch_size=5)
    assert equal(weights(model), reached)
    assert all(w.isfinite().all() for w in reached)
    assert len(trainer.history.batch_losses) == 3
    assert trainer.history.frame["epoch"].tolist() == [1]
    assert not trainer.history.interrupted
    assert not model.training


def test_a_learning_rate_far_too_high_ends_with_the_clear_error():
    x, y = pairs(rows=100)
    model = nn.Linear(3, 2)
    trainer = trainer_of(model, lr=1e6)
    with pytest.raises(FloatingPointError, match="must be a finite number, got inf"):
        trainer.fit(x, y, x, y, epochs=100, batch_size=10)
    assert trainer.history.batch_losses


def test_a_test_loss_that_is_no_number_is_an_error_too():
    x, y = pairs()
    trainer = trainer_of(nn.Linear(3, 2))
    with pytest.raises(FloatingPointError, match="the test loss after epoch 2 must be a finite"):
        trainer.fit(x, y, x * torch.nan, y, epochs=4, eval_every=2, batch_size=5)
    assert trainer.history.rows == []
    assert len(trainer.history.batch_losses) == 4


def raise_interrupt():
    raise KeyboardInterrupt


def test_ctrl_c_during_a_batch_keeps_weights_and_history(capsys):
    x, y = pairs(rows=10)
    model = nn.Linear(3, 2)
    start, reached = weights(model), []

    def at(k):
        reached[:] = weights(model)
        if k == 5:
            raise_interrupt()

    trainer = trainer_of(model, Counting(at))
    history = trainer.fit(x, y, x, y, epochs=9, eval_every=1, batch_size=4)
    assert history.interrupted and history is trainer.history
    assert len(history.batch_losses) == 4
    assert history.frame["epoch"].tolist() == [1]
    assert equal(weights(model), reached) and not equal(reached, start)
    assert not model.training
    assert capsys.readouterr().out.splitlines()[-1] == (
        "interrupted after 4 batches: the weights reached so far and the history are kept"
    )


def test_ctrl_c_during_an_evaluation_keeps_weights_and_history():
    x, y = pairs(rows=10)

    def criterion(output, y):
        if not output.requires_grad:
            raise_interrupt()
        return nn.functional.mse_loss(output, y)

    model = nn.Sequential(nn.Linear(3, 2), nn.Dropout())
    history = trainer_of(model, criterion).fit(x, y, x, y, epochs=9, batch_size=5, eval_every=3)
    assert history.interrupted
    assert len(history.batch_losses) == 6
    assert history.rows == []
    assert not any(module.training for module in model.modules())


def test_ctrl_c_in_a_callback_keeps_the_evaluation_before():
    x, y = pairs()
    history = trainer_of(nn.Linear(3, 2)).fit(
        x, y, x, y, epochs=9, eval_every=2, callback=lambda history: raise_interrupt()
    )
    assert history.interrupted
    assert history.frame["epoch"].tolist() == [2]


def test_training_goes_on_after_an_interruption():
    x, y = pairs()
    trainer = trainer_of(nn.Linear(3, 2), Counting(lambda k: raise_interrupt() if k == 2 else None))
    assert trainer.fit(x, y, x, y, epochs=3).interrupted
    history = trainer.fit(x, y, x, y, epochs=3)
    assert not history.interrupted
    assert history.frame["epoch"].tolist() == [3]


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"x_train": torch.zeros(3, 3)}, ValueError, "x_train and y_train .* got 3 and 4; pass"),
        ({"y_test": torch.zeros(5, 2)}, ValueError, "x_test and y_test .* got 2 and 5; pass"),
        (
            {"x_train": torch.zeros(0, 3), "y_train": torch.zeros(0, 2)},
            ValueError,
            "x_train must hold at least one example, got none; pass some data",
        ),
        (
            {"x_test": torch.zeros(0, 3), "y_test": torch.zeros(0, 2)},
            ValueError,
            "x_test must hold at least one example, got none",
        ),
        ({"epochs": 0}, ValueError, "epochs must be at least 1, got 0; pass 1 or more"),
        ({"epochs": 1.5}, TypeError, "epochs must be a whole number, got 1.5; pass an int"),
        ({"eval_every": 0}, ValueError, "eval_every must be at least 1, got 0"),
        ({"eval_every": None}, TypeError, "eval_every must be a whole number, got None"),
        ({"batch_size": 0}, ValueError, "batch_size must be at least 1, got 0"),
        ({"batch_size": 32.0}, TypeError, "batch_size must be a whole number, got 32.0"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_happens(wrong, error, message):
    good = {
        "x_train": torch.zeros(4, 3),
        "y_train": torch.zeros(4, 2),
        "x_test": torch.zeros(2, 3),
        "y_test": torch.zeros(2, 2),
    }
    model = nn.Linear(3, 2)
    before = weights(model)
    with pytest.raises(error, match=f"^{message}"):
        trainer_of(model).fit(**(good | wrong))
    assert equal(weights(model), before)
    assert model.training


def test_the_options_are_keyword_only():
    x, y = pairs()
    with pytest.raises(TypeError, match="positional arguments"):
        trainer_of(nn.Linear(3, 2)).fit(x, y, x, y, 1, 1, 1, None)


# ---- evaluate


@given(rows=st.integers(1, 12), batch_size=st.integers(1, 13))
def test_every_row_counts_the_same_whatever_the_batch_size(rows, batch_size):
    x, y = pairs(rows)
    model = nn.Linear(3, 2)
    expected = nn.functional.mse_loss(model(x), y).item()
    assert trainer_of(model).evaluate(x, y, batch_size) == pytest.approx(expected, rel=1e-5)


def test_evaluation_goes_batch_by_batch_without_gradients_in_evaluation_mode():
    x, y = pairs(rows=7)
    model = ModeRecorder()
    trainer_of(model).evaluate(x, y, batch_size=3)
    assert [call.rows for call in model.calls] == [3, 3, 1]
    assert not any(call.training for call in model.calls)
    assert not any(call.grad for call in model.calls)
    assert all(call.inference for call in model.calls)


def test_evaluation_keeps_no_graph():
    x, y = pairs()
    losses = []

    def criterion(output, y):
        losses.append(nn.functional.mse_loss(output, y))
        return losses[-1]

    model = nn.Linear(3, 2)
    result = trainer_of(model, criterion).evaluate(x, y, batch_size=5)
    assert isinstance(result, float)
    assert len(losses) == 2
    assert all(loss.grad_fn is None and not loss.requires_grad for loss in losses)
    assert all(p.grad is None for p in model.parameters())


def test_evaluation_drops_nothing():
    model = nn.Sequential(nn.Linear(3, 2), nn.Dropout(0.9))
    x, y = pairs(rows=50)
    expected = nn.functional.mse_loss(model[0](x), y).item()
    assert trainer_of(model).evaluate(x, y) == pytest.approx(expected)
    assert model.training


@pytest.mark.parametrize("fails", [False, True])
def test_evaluation_gives_every_module_its_own_mode_back(fails):
    model = nn.Sequential(nn.Linear(3, 2), nn.Sequential(nn.Dropout(), nn.Identity()))
    model[1][0].eval()
    before = [module.training for module in model.modules()]
    assert before == [True, True, True, False, True]
    x, y = pairs()
    if fails:
        with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
            trainer_of(model).evaluate(x[:, :2], y)
    else:
        trainer_of(model).evaluate(x, y)
    assert [module.training for module in model.modules()] == before
    assert torch.is_grad_enabled() and not torch.is_inference_mode_enabled()


@pytest.mark.parametrize(
    ("rows", "batch_size", "error", "message"),
    [
        ((3, 4), 2, ValueError, "x and y must have one row each per example, got 3 and 4; pass"),
        ((0, 0), 2, ValueError, "x must hold at least one example, got none; pass some data"),
        ((2, 2), 0, ValueError, "batch_size must be at least 1, got 0; pass 1 or more"),
        ((2, 2), "all", TypeError, "batch_size must be a whole number, got 'all'; pass an int"),
    ],
)
def test_evaluation_refuses_wrong_arguments(rows, batch_size, error, message):
    trainer = trainer_of(nn.Linear(3, 2))
    with pytest.raises(error, match=f"^{message}"):
        trainer.evaluate(torch.zeros(rows[0], 3), torch.zeros(rows[1], 2), batch_size)
