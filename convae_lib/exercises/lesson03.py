"""Exercises of lesson 03: one step, shuffled batches, an evaluation, a large batch in pieces."""

from copy import deepcopy
from functools import partial

import torch
from torch import nn

from ._exercise import Lesson, Trial

lesson = Lesson("03")
progress = lesson.progress


class Network(nn.Module):
    """Returns (reconstruction, code), as ours do, and notes what it was asked."""

    def __init__(self, norm):
        super().__init__()
        self.encoder, self.norm, self.decoder = nn.Linear(6, 3), norm, nn.Linear(3, 6)
        self.most, self.recorded = 0, False

    def forward(self, x):
        self.most, self.recorded = max(self.most, len(x)), self.recorded or torch.is_grad_enabled()
        code = self.norm(self.encoder(x)).tanh()
        return self.decoder(code), code

    def at_once(self, size):
        return "more" if self.most > size else "at most `size` rows at once"


def _parts(rows):
    model = Network(nn.Identity())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    return model, optimizer, nn.MSELoss(), torch.randn(rows, 6), torch.randn(rows, 6)


def _again(record, *parts):
    """The record of another function, from the same start."""
    parts = deepcopy(parts)
    return lambda function: record(function, *deepcopy(parts))


def _trained(step, model, *parts):
    """The losses of three steps, then the weights."""
    losses = [step(model, *parts) for _ in range(3)]
    return None if any(loss is None for loss in losses) else [*losses, *model.parameters()]


def _by_hand(model, optimizer, criterion, x, y):
    """The same, by gradients and a momentum of our own."""
    losses, weights = [], [*model.parameters()]
    speeds = [torch.zeros_like(weight) for weight in weights]
    for _ in range(3):
        loss = criterion(model(x)[0], y)
        losses.append(loss.item())
        for n, gradient in enumerate(torch.autograd.grad(loss, weights)):
            speeds[n] = 0.9 * speeds[n] + gradient
            weights[n].data -= 0.1 * speeds[n]
    return [*losses, *weights]


ORACLE = "a loop by hand, three losses and then the weights, has"


@lesson.exercise(
    "Forget, forward, compare, backward, step: which of the five is missing or misplaced?",
    hints=(
        "Clear the old gradients first, and step last, when the new ones are there.",
        "The network returns a pair: compare model(x)[0] with y by the criterion.",
        "zero_grad(), loss = criterion(model(x)[0], y), loss.backward(), step(); loss.item().",
    ),
    shown="Every training in this course is this step, some thousand times.",
)
def training_step(model, optimizer, criterion, x, y):
    optimizer.zero_grad()
    loss = criterion(model(x)[0], y)
    loss.backward()
    optimizer.step()
    return loss.item()


TENSOR = "A tensor holds on to its graph. How do you get the plain number out of it?"


@training_step.judge
def _(trial: Trial) -> None:
    trial.function = partial(_trained, trial.function)
    for rows in (4, 7, 20):
        parts = _parts(rows)
        expected, again = _by_hand(*deepcopy(parts)), _again(_trained, *parts)
        outcome = trial(*parts)
        if isinstance(outcome.value[0], torch.Tensor):
            trial.wrong("gave a tensor, not a number.", TENSOR)
        outcome.gives(expected, ORACLE, again=again)


@training_step.mistake("What did the step before leave in .grad?")
def _(model, optimizer, criterion, x, y):
    loss = criterion(model(x)[0], y)
    loss.backward()
    optimizer.step()
    return loss.item()


@training_step.mistake("No weight has moved. Is there a gradient yet when optimizer.step() comes?")
def _(model, optimizer, criterion, x, y):
    optimizer.zero_grad()
    loss = criterion(model(x)[0], y)
    optimizer.step()
    loss.backward()
    return loss.item()


@training_step.mistake(TENSOR)
def _(model, optimizer, criterion, x, y):
    return torch.tensor(training_step.answer(model, optimizer, criterion, x, y))


@training_step.mistake("You compare with the input. Where does an autoencoder's target come in?")
def _(model, optimizer, criterion, x, y):
    return training_step.answer(model, optimizer, criterion, x, x)


@training_step.mistake("That is the loss after the step. Which loss did the step come from?")
def _(model, optimizer, criterion, x, y):
    training_step.answer(model, optimizer, criterion, x, y)
    return criterion(model(x)[0], y).item()


@training_step.mistake("That is one number for every batch. Does the model see it at all?")
def _(model, optimizer, criterion, x, y):
    return 0.0


@lesson.exercise(
    "Is every row in exactly one batch, beside its own y, in an order that changes every time?",
    hints=(
        "Draw one order for both: torch.randperm(len(x)).",
        "Cut the order into pieces of `size` numbers; the last piece may be shorter.",
        "for rows in torch.randperm(len(x)).split(size): yield x[rows], y[rows].",
    ),
    shown="Called once in every epoch, it is a DataLoader for data in memory.",
)
def shuffled_batches(x, y, size):
    for rows in torch.randperm(len(x)).split(size):
        yield x[rows], y[rows]


def _described(batches, x, y, size):
    """Two epochs of batches in words, which do not depend on the order drawn."""
    epochs = [batches(x, y, size), batches(x, y, size)]
    if None in epochs:
        return None
    first, second = ([*epoch] for epoch in epochs)
    if not first or not all(isinstance(b, tuple | list) and len(b) == 2 for b in first):
        return ("no pairs of batches",) * 4
    given, targets, later = (
        torch.cat([batch[n] for batch in epoch])
        for epoch, n in ((first, 0), (first, 1), (second, 0))
    )
    order = "the same twice" if torch.equal(given, later) else "another every time"
    return (
        f"batches of {[len(batch) for batch, _ in first]}",
        "every row once" if torch.equal(given.sort()[0], x.sort()[0]) else "not every row once",
        "each x beside its y" if torch.equal(targets, 10 * given) else "some beside another's y",
        "as the rows came" if torch.equal(given, x) else order,
    )


RIGHT = "every row once", "each x beside its y", "another every time"


@shuffled_batches.judge
def _(trial: Trial) -> None:
    trial.function = partial(_described, trial.function)
    for count, size in ((10, 4), (12, 4), (9, 20), (30, 7), (25, 1), (64, 32)):
        x = torch.randperm(100)[:count].float()
        sizes = [size] * (count // size) + [count % size] * (count % size > 0)
        again = _again(_described, x, 10 * x, size)
        trial(x, 10 * x, size).gives((f"batches of {sizes}", *RIGHT), "wanted are", again=again)


def _cut(rows, others, x, y, size):
    return [(x[a], y[b]) for a, b in zip(rows.split(size), others.split(size), strict=True)]


@shuffled_batches.mistake("Some rows come in no batch. What becomes of a last, smaller one?")
def _(x, y, size):
    order = torch.randperm(len(x))[: max(len(x) // size, 1) * size]
    return _cut(order, order, x, y, size)


@shuffled_batches.mistake("Two orders were drawn. Whose target stands beside an image now?")
def _(x, y, size):
    return _cut(torch.randperm(len(x)), torch.randperm(len(x)), x, y, size)


@shuffled_batches.mistake("The rows come as they lie. What if they are sorted by digit?")
def _(x, y, size):
    return zip(x.split(size), y.split(size), strict=True)


@shuffled_batches.mistake("Drawn with replacement, some rows come twice. Which then never come?")
def _(x, y, size):
    order = torch.randint(len(x), (len(x),))
    return _cut(order, order, x, y, size)


@shuffled_batches.mistake("The second epoch has the order of the first. Where is it fixed?")
def _(x, y, size):
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    return _cut(order, order, x, y, size)


@shuffled_batches.mistake("All rows are in one batch. Where does the size come in?")
def _(x, y, size):
    return shuffled_batches.answer(x, y, len(x))


@lesson.exercise(
    "Evaluation mode, no graph, a batch at a time: and does every row count alike?",
    hints=(
        "model.eval() first; then, under torch.inference_mode(), one batch after the other.",
        "A batch's loss is the mean of its rows. What must it be multiplied by before adding up?",
        "Add criterion(model(a)[0], b).item() * len(a) over the batches, and divide by len(x).",
    ),
    shown="It takes the memory of one batch, however many images you ask about.",
)
def evaluate(model, criterion, x, y, size):
    model.eval()
    total = 0.0
    with torch.inference_mode():
        for a, b in zip(x.split(size), y.split(size), strict=True):
            total += criterion(model(a)[0], b).item() * len(a)
    return total / len(x)


def _watched(function, model, criterion, x, y, size):
    """What an evaluation gives, and how it asked the model."""
    value = function(model, criterion, x, y, size)
    graph = "a graph" if model.recorded else "no graph"
    return None if value is None else (value, model.at_once(size), graph)


@evaluate.judge
def _(trial: Trial) -> None:
    trial.function = partial(_watched, trial.function)
    for rows, size in ((10, 4), (12, 4), (23, 5), (6, 10)):
        model, _, criterion, x, y = _parts(rows)
        model.norm = nn.BatchNorm1d(3, momentum=0.5)
        model.norm(3 * torch.randn(9, 3))  # some training, earlier
        parts = model, criterion, x, y, size
        again, copy = _again(_watched, *parts), deepcopy(model).eval()
        expected = criterion(copy(x)[0], y).item(), copy.at_once(rows), "no graph"
        trial(*parts).gives(expected, "it should be", again=again)


@evaluate.mistake("A row of a short last batch counts more than the others. How much should it?")
@torch.inference_mode()
def _(model, criterion, x, y, size):
    pairs = [*zip(x.split(size), y.split(size), strict=True)]
    return sum(evaluate.answer(model, criterion, a, b, size) for a, b in pairs) / len(pairs)


@evaluate.mistake("Batch normalisation asks the neighbours here. In which mode is the model?")
def _(model, criterion, x, y, size):
    model.eval = model.train
    return evaluate.answer(model, criterion, x, y, size)


@evaluate.mistake("A right number, but autograd kept a graph for it. How do you tell it not to?")
def _(model, criterion, x, y, size):
    model.recorded = True
    return evaluate.answer(model, criterion, x, y, size)


@evaluate.mistake("All rows went through the model at once. What if there are 10,000?")
def _(model, criterion, x, y, size):
    return evaluate.answer(model, criterion, x, y, len(x))


@evaluate.mistake("That is one loss for all models. Was this one asked?")
def _(model, criterion, x, y, size):
    return 0.5


@lesson.exercise(
    "Gradients add up by themselves. How much does each piece weigh, and when is the step?",
    hints=(
        "Once zero_grad, then backward for every piece of at most `size` rows, then once step.",
        "A piece's loss is a mean over its rows; the whole batch's is a mean over all of them.",
        "loss = criterion(model(a)[0], b) * len(a) / len(x), and loss.backward(), for each piece.",
    ),
    shown="A batch of any size fits into a small memory; only the time grows.",
)
def accumulated_step(model, optimizer, criterion, x, y, size):
    optimizer.zero_grad()
    total = 0.0
    for a, b in zip(x.split(size), y.split(size), strict=True):
        loss = criterion(model(a)[0], b) * len(a) / len(x)
        loss.backward()
        total += loss.item()
    optimizer.step()
    return total


def _trained_in_pieces(step, model, *parts):
    record = _trained(step, model, *parts)
    return record and [*record, model.at_once(parts[-1])]


@accumulated_step.judge
def _(trial: Trial) -> None:
    trial.function = partial(_trained_in_pieces, trial.function)
    for rows, size in ((12, 4), (10, 4), (7, 3), (5, 8)):
        parts = _parts(rows)
        expected = [*_by_hand(*deepcopy(parts)), parts[0].at_once(rows)]
        again = _again(_trained_in_pieces, *parts, size)
        trial(*parts, size).gives(expected, ORACLE, again=again)


def _summed(weight, clear, model, optimizer, criterion, x, y, size):
    total, pieces = 0.0, [*zip(x.split(size), y.split(size), strict=True)]
    optimizer.zero_grad()
    for a, b in pieces:
        if clear:
            optimizer.zero_grad()
        loss = criterion(model(a)[0], b) * weight(len(a) / len(x), len(pieces))
        loss.backward()
        total += loss.item()
    optimizer.step()
    return total


@accumulated_step.mistake("Your pieces are added whole. How large is such a sum beside a mean?")
def _(*parts):
    return _summed(lambda share, pieces: 1, False, *parts)


@accumulated_step.mistake("Every piece counts alike. Should one of two rows weigh as one of four?")
def _(*parts):
    return _summed(lambda share, pieces: 1 / pieces, False, *parts)


@accumulated_step.mistake("Only the last piece is left in .grad. Who has cleared the others?")
def _(*parts):
    return _summed(lambda share, pieces: share, True, *parts)


@accumulated_step.mistake("One step was asked for, after all pieces. How many do you take?")
def _(model, optimizer, criterion, x, y, size):
    pieces = zip(x.split(size), y.split(size), strict=True)
    losses = [training_step.answer(model, optimizer, criterion, a, b) * len(a) for a, b in pieces]
    return sum(losses) / len(x)


@accumulated_step.mistake("All rows go through the model at once. Do they fit into the memory?")
def _(model, optimizer, criterion, x, y, size):
    return training_step.answer(model, optimizer, criterion, x, y)


@accumulated_step.mistake("That is one number for every batch. Does the model see it at all?")
def _(model, optimizer, criterion, x, y, size):
    return 0.0
