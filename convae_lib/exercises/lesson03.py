"""Exercises of lesson 03: one step, shuffled batches, an evaluation, a large batch in pieces."""

from contextlib import contextmanager
from copy import deepcopy
from functools import partial
from operator import itemgetter
from weakref import WeakSet

import torch
from torch import nn

from ._exercise import Lesson, Trial, brief, difference

lesson = Lesson("03")
progress = lesson.progress

PAIR = "model(x) is a pair. Which of the two is the reconstruction?"
HELPS = {
    "'tuple'": PAIR,
    "not tuple": PAIR,
    "The size of tensor a (3)": PAIR,
    "'float' object has no attribute 'backward'": "A plain number has no graph. Is it too early "
    "for .item()?",
}
OWN = "You compute an error of your own. What is `criterion` for?"


def _plain(trial, value, many="One number for all of them is asked for."):
    """Find the answer wrong where a plain number was asked for and a tensor came."""
    if isinstance(value, torch.Tensor):
        graph = "A tensor holds on to its graph. How do you get the plain number out of it?"
        help = graph if value.requires_grad else ".item() makes it a number."
        trial.wrong(f"gave a {brief(value)}, not a number.", many if value.numel() > 1 else help)


class Call:
    """One pass through the network; its graph, as long as it lives, holds on to it."""

    def __init__(self, rows):
        self.rows = rows


class Watch:
    """Notes what a network and all its copies were asked."""

    def __init__(self):
        self.most, self.held, self.recorded = 0, 0, False
        self.alive: WeakSet[Call] = WeakSet()

    def __deepcopy__(self, memo):
        return self

    @contextmanager
    def call(self, rows):
        call = Call(rows)
        self.alive.add(call)
        self.most = max(self.most, rows)
        self.held = max(self.held, sum(other.rows for other in self.alive))
        with torch.autograd.graph.saved_tensors_hooks(
            lambda saved: (saved.detach(), call), itemgetter(0)
        ):
            yield


class Network(nn.Module):
    """Returns (reconstruction, code), as ours do."""

    def __init__(self, norm):
        super().__init__()
        self.encoder, self.norm, self.decoder = nn.Linear(6, 3), norm, nn.Linear(3, 6)
        self.watch = Watch()

    def forward(self, x):
        with self.watch.call(len(x)):
            code = self.norm(self.encoder(x)).tanh()
            drawn = self.decoder(code)
        self.watch.recorded |= drawn.requires_grad
        return drawn, code


def _parts(rows, criterion):
    model = Network(nn.Identity())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    return model, optimizer, criterion, torch.randn(rows, 6), torch.randn(rows, 6)


def _again(record, *parts):
    """The record of another function, from the same start."""
    parts = deepcopy(parts)
    return lambda function: record(function, *deepcopy(parts))


def _told(trial, outcome, again, what, of, help=None):
    """Find the answer wrong; a mistake is recognised by these parts of the record alone."""
    outcome.value = [outcome.value[n] for n in of]
    outcome._again = lambda mistaken: [again(mistaken)[n] for n in of]
    trial.wrong(what, outcome.recognised() or help)


def _trained(step, model, *parts):
    """The losses of three steps, the weights, the most rows at once, and the most in graphs."""
    model.watch = Watch()
    losses = [step(model, *parts) for _ in range(3)]
    if any(loss is None for loss in losses):
        return None
    return [*losses, *model.parameters(), model.watch.most, model.watch.held]


def _by_hand(model, optimizer, criterion, x, y):
    """The losses and weights, by gradients and a momentum of our own."""
    losses, weights = [], [*model.parameters()]
    speeds = [torch.zeros_like(weight) for weight in weights]
    for _ in range(3):
        loss = criterion(model(x)[0], y)
        losses.append(loss.item())
        for n, gradient in enumerate(torch.autograd.grad(loss, weights)):
            speeds[n] = 0.9 * speeds[n] + gradient
            weights[n].data -= 0.1 * speeds[n]
    return [*losses, *weights]


def _judged_steps(trial, outcome, expected, again):
    """Three losses and the weights after them, each in a sentence of its own."""
    record, of = outcome.value, range(len(expected))
    for loss in record[:3]:
        _plain(trial, loss, "One loss for the whole batch is asked for.")
    moved = any(difference(*pair) for pair in zip(record[3:], expected[3:], strict=False))
    help = None if moved else "Your step is right. Whose loss do you return?"
    for number, (loss, wanted) in enumerate(zip(record[:3], expected[:3], strict=True), start=1):
        if difference(loss, wanted):
            got = f"{loss:.4g}" if isinstance(loss, int | float) else repr(loss)
            what = f"says that the loss in step {number} is {got}, by hand it is {wanted:.4g}."
            _told(trial, outcome, again, what, of, help)
    if moved:
        what = "gave the right losses, but after three steps a weight is not where it should be."
        _told(trial, outcome, again, what, of)


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


@training_step.judge
def _(trial: Trial) -> None:
    trial.function = partial(_trained, trial.function)
    trial.explain(HELPS)
    for rows, criterion in ((4, nn.MSELoss()), (7, nn.L1Loss()), (20, nn.MSELoss())):
        parts = _parts(rows, criterion)
        expected, again = _by_hand(*deepcopy(parts)), _again(_trained, *parts)
        _judged_steps(trial, trial(*parts), expected, again)


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


@training_step.mistake("A tensor holds on to its graph. How do you get the plain number out of it?")
def _(model, optimizer, criterion, x, y):
    optimizer.zero_grad()
    loss = criterion(model(x)[0], y)
    loss.backward()
    optimizer.step()
    return loss


@training_step.mistake(".item() makes it a number.")
def _(model, optimizer, criterion, x, y):
    return torch.tensor(training_step.answer(model, optimizer, criterion, x, y))


@training_step.mistake("A plain number has no graph. Is it too early for .item()?")
def _(model, optimizer, criterion, x, y):
    optimizer.zero_grad()
    loss = criterion(model(x)[0], y).item()
    loss.backward()
    optimizer.step()
    return loss


@training_step.mistake(PAIR)
def _(model, optimizer, criterion, x, y):
    criterion(model(x), y).backward()


@training_step.mistake(PAIR)
def _(model, optimizer, criterion, x, y):
    criterion(model(x)[1], y).backward()


@training_step.mistake(OWN)
def _(model, optimizer, criterion, x, y):
    return training_step.answer(model, optimizer, nn.MSELoss(), x, y)


@training_step.mistake("You compare with the input. Where does an autoencoder's target come in?")
def _(model, optimizer, criterion, x, y):
    return training_step.answer(model, optimizer, criterion, x, x)


@training_step.mistake("That is the loss after the step. Which loss did the step come from?")
def _(model, optimizer, criterion, x, y):
    training_step.answer(model, optimizer, criterion, x, y)
    return criterion(model(x)[0], y).item()


@training_step.mistake("Your step is right. Whose loss do you return?")
def _(model, optimizer, criterion, x, y):
    return training_step.answer(model, optimizer, criterion, x, y) * len(x)


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


ONE = "gave one pair of tensors, not pairs of batches"
TWO = "gave two lists, not pairs of batches"
ZIP = "A list of x and a list of y: zip them, and every x has its y."
FIRST = "`return` ends the loop at its first batch. Which word goes on?"


def _described(batches, x, y, size):
    """Two epochs of batches in words, which do not depend on the order drawn."""
    epochs = [batches(x, y, size), batches(x, y, size)]
    if any(epoch is None for epoch in epochs):
        return None
    first, second = ([*epoch] for epoch in epochs)
    if len(first) == 2 and all(isinstance(part, torch.Tensor) for part in first):
        return (ONE,) * 4
    if len(first) == 2 and all(isinstance(p, tuple | list) and len(p) != 2 for p in first):
        return (TWO,) * 4
    if not first or not all(isinstance(b, tuple | list) and len(b) == 2 for b in first):
        return ("gave no pairs of batches",) * 4
    given, targets, later = (
        torch.cat([batch[n] for batch in epoch])
        for epoch, n in ((first, 0), (first, 1), (second, 0))
    )
    same = "gave the same order twice" if torch.equal(given, later) else ""
    return (
        "" if torch.equal(given.sort()[0], x.sort()[0]) else "does not give every row once",
        f"gave batches of {[len(batch) for batch, _ in first]} rows",
        "" if torch.equal(targets, 10 * given) else "put some x beside another's y",
        "left the rows in their order" if torch.equal(given, x) else same,
    )


@shuffled_batches.judge
def _(trial: Trial) -> None:
    trial.function = partial(_described, trial.function)
    for count, size in ((10, 4), (12, 4), (9, 20), (30, 7), (25, 1), (64, 32)):
        x = torch.randperm(100)[:count].float()
        sizes = [size] * (count // size) + [count % size] * (count % size > 0)
        wanted = "", f"gave batches of {sizes} rows", "", ""
        outcome, again = trial(x, 10 * x, size), _again(_described, x, 10 * x, size)
        for found, right in zip(outcome.value, wanted, strict=True):
            if found != right:
                more = f", {sizes} are wanted" if found.startswith("gave batches") else ""
                help = {ONE: FIRST, TWO: ZIP}.get(found)
                _told(trial, outcome, again, f"{found}{more}.", range(4), help)


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


@shuffled_batches.mistake("chunk(size) makes `size` pieces. What makes pieces of `size` rows?")
def _(x, y, size):
    return [(x[rows], y[rows]) for rows in torch.randperm(len(x)).chunk(size)]


@shuffled_batches.mistake(ZIP)
def _(x, y, size):
    order = torch.randperm(len(x))
    return x[order].split(size), y[order].split(size)


@shuffled_batches.mistake(FIRST)
def _(x, y, size):
    return next(shuffled_batches.answer(x, y, size))


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


GRAPH = "A right number, but autograd kept a graph for it. How do you tell it not to?"
FROZEN = "You left the model frozen, and nobody can train it any more. What leaves it as it was?"
CHUNK = "chunk(size) makes `size` pieces. What makes pieces of `size` rows?"


def _watched(function, model, *parts):
    """What an evaluation gives, the most rows at once, whether a graph was kept, and the frozen."""
    model.watch = Watch()
    value = function(model, *parts)
    frozen = sum(not parameter.requires_grad for parameter in model.parameters())
    return None if value is None else (value, model.watch.most, model.watch.recorded, frozen)


@evaluate.judge
def _(trial: Trial) -> None:
    trial.function = partial(_watched, trial.function)
    trial.explain(HELPS)
    for rows, size in ((10, 4), (12, 4), (23, 5), (23, 3), (6, 10)):
        criterion = nn.L1Loss() if size == 5 else nn.MSELoss()
        model, *_, x, y = _parts(rows, criterion)
        model.norm = nn.BatchNorm1d(3, momentum=0.5)
        model.norm(3 * torch.randn(9, 3))  # some training, earlier
        parts = model, criterion, x, y, size
        again, wanted = _again(_watched, *parts), criterion(deepcopy(model).eval()(x)[0], y).item()
        outcome = trial(*parts)
        value, most, recorded, frozen = outcome.value
        _plain(trial, value)
        if difference(value, wanted):
            got = f"{value:.4g}" if isinstance(value, int | float) else repr(value)
            _told(trial, outcome, again, f"gave {got}, all rows together have {wanted:.4g}.", [0])
        if most > size:
            what = f"is right, but more than `size` rows went through at once, {most}."
            _told(trial, outcome, again, what, [1])
        if frozen:
            trial.wrong("is right, but no parameter asks for a gradient now.", FROZEN)
        if recorded:
            trial.wrong("kept a graph.", GRAPH)


@evaluate.mistake("A row of a short last batch counts more than the others. How much should it?")
@torch.inference_mode()
def _(model, criterion, x, y, size):
    pairs = [*zip(x.split(size), y.split(size), strict=True)]
    return sum(evaluate.answer(model, criterion, a, b, size) for a, b in pairs) / len(pairs)


@evaluate.mistake("Batch normalisation asks the neighbours here. In which mode is the model?")
def _(model, criterion, x, y, size):
    model.eval = model.train
    return evaluate.answer(model, criterion, x, y, size)


@evaluate.mistake(GRAPH)
def _(model, criterion, x, y, size):
    model.eval()
    pairs = zip(x.split(size), y.split(size), strict=True)
    return sum(criterion(model(a)[0], b).item() * len(a) for a, b in pairs) / len(x)


@evaluate.mistake(FROZEN)
def _(model, criterion, x, y, size):
    return evaluate.answer(model.requires_grad_(False), criterion, x, y, size)


@evaluate.mistake("All rows went through the model at once. What if there are 10,000?")
def _(model, criterion, x, y, size):
    return evaluate.answer(model, criterion, x, y, len(x))


@evaluate.mistake("All rows went through the model at once. What if there are 10,000?")
def _(model, criterion, x, y, size):
    return evaluate.answer(deepcopy(model), criterion, x, y, len(x))


@evaluate.mistake(CHUNK)
def _(model, criterion, x, y, size):
    return evaluate.answer(model, criterion, x, y, -(-len(x) // size))


def _weighed(weight, model, criterion, x, y, size, *, whole=False, mean=len):
    """The sum over batches, or over whole ones alone, each with its weight."""
    pairs = [*zip(x.split(size), y.split(size), strict=True)]
    pairs = [pair for pair in pairs if len(pair[0]) == size or not whole] or pairs
    model.eval()
    with torch.inference_mode():
        total = sum(criterion(model(a)[0], b).item() * weight(len(a)) for a, b in pairs)
    return total / (sum(len(a) for a, _ in pairs) if mean is sum else len(x))


@evaluate.mistake("You multiply by `size`. How many rows has the last batch?")
def _(*parts):
    return _weighed(lambda rows: parts[-1], *parts)


@evaluate.mistake("You add means, and divide by rows. How many rows does a batch's mean stand for?")
def _(*parts):
    return _weighed(lambda rows: 1, *parts)


@evaluate.mistake("Some rows were never asked about. What becomes of a last, smaller batch?")
def _(*parts):
    return _weighed(lambda rows: rows, *parts, whole=True)


@evaluate.mistake("Some rows were never asked about. What becomes of a last, smaller batch?")
def _(*parts):
    return _weighed(lambda rows: rows, *parts, whole=True, mean=sum)


@evaluate.mistake("You compare with the input. Which tensor is the target?")
def _(model, criterion, x, y, size):
    return evaluate.answer(model, criterion, x, x, size)


@evaluate.mistake(PAIR)
def _(model, criterion, x, y, size):
    return criterion(model(x[:size]), y[:size]).item()


@evaluate.mistake(OWN)
def _(model, criterion, x, y, size):
    return evaluate.answer(model, nn.MSELoss(), x, y, size)


@evaluate.mistake(".item() makes it a number.")
def _(model, criterion, x, y, size):
    return torch.tensor(evaluate.answer(model, criterion, x, y, size))


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


ALIVE = "All pieces' graphs are alive until your one backward. When could the first be freed?"


@accumulated_step.judge
def _(trial: Trial) -> None:
    trial.function = partial(_trained, trial.function)
    trial.explain(HELPS)
    for rows, size in ((12, 4), (10, 4), (7, 3), (23, 3), (5, 8)):
        parts = _parts(rows, nn.L1Loss() if rows == 7 else nn.MSELoss())
        expected, again = _by_hand(*deepcopy(parts)), _again(_trained, *parts, size)
        outcome = trial(*parts, size)
        _judged_steps(trial, outcome, expected, again)
        *_, most, held = outcome.value
        if most > size:
            what = f"is right, but more than `size` rows went through at once, {most}."
            _told(trial, outcome, again, what, [-2])
        if held > size:
            trial.wrong(f"is right, but the graph of {held} rows was kept at a time.", ALIVE)


def _summed(weight, clear, model, optimizer, criterion, x, y, size):
    """The step in pieces, each with its weight; gradients cleared never, once or each time."""
    total, pieces = 0.0, [*zip(x.split(size), y.split(size), strict=True)]
    for n, (a, b) in enumerate(pieces):
        if clear == "each" or (clear == "once" and n == 0):
            optimizer.zero_grad()
        loss = criterion(model(a)[0], b) * weight(len(a) / len(x), len(pieces))
        loss.backward()
        total += loss.item()
    optimizer.step()
    return total


@accumulated_step.mistake("Your pieces are added whole. How large is such a sum beside a mean?")
def _(*parts):
    return _summed(lambda share, pieces: 1, "once", *parts)


@accumulated_step.mistake("Every piece counts alike. Should one of two rows weigh as one of four?")
def _(*parts):
    return _summed(lambda share, pieces: 1 / pieces, "once", *parts)


@accumulated_step.mistake("Only the last piece is left in .grad. Who has cleared the others?")
def _(*parts):
    return _summed(lambda share, pieces: share, "each", *parts)


@accumulated_step.mistake("What did the step before leave in .grad?")
def _(*parts):
    return _summed(lambda share, pieces: share, "never", *parts)


@accumulated_step.mistake("You compare with the input. Which tensor is the target?")
def _(model, optimizer, criterion, x, y, size):
    return accumulated_step.answer(model, optimizer, criterion, x, x, size)


@accumulated_step.mistake(OWN)
def _(model, optimizer, criterion, x, y, size):
    return accumulated_step.answer(model, optimizer, nn.MSELoss(), x, y, size)


@accumulated_step.mistake(PAIR)
def _(model, optimizer, criterion, x, y, size):
    criterion(model(x[:size]), y[:size]).backward()


@accumulated_step.mistake("One step was asked for, after all pieces. How many do you take?")
def _(model, optimizer, criterion, x, y, size):
    pieces = zip(x.split(size), y.split(size), strict=True)
    losses = [training_step.answer(model, optimizer, criterion, a, b) * len(a) for a, b in pieces]
    return sum(losses) / len(x)


@accumulated_step.mistake("All rows go through the model at once. Do they fit into the memory?")
def _(model, optimizer, criterion, x, y, size):
    return training_step.answer(model, optimizer, criterion, x, y)


@accumulated_step.mistake(CHUNK)
def _(model, optimizer, criterion, x, y, size):
    return accumulated_step.answer(model, optimizer, criterion, x, y, -(-len(x) // size))


@accumulated_step.mistake(ALIVE)
def _(model, optimizer, criterion, x, y, size):
    optimizer.zero_grad()
    pieces = zip(x.split(size), y.split(size), strict=True)
    loss = sum(criterion(model(a)[0], b) * len(a) / len(x) for a, b in pieces)
    loss.backward()
    optimizer.step()
    return loss.item()


@accumulated_step.mistake(ALIVE)
def _(model, optimizer, criterion, x, y, size):
    optimizer.zero_grad()
    loss = criterion(torch.cat([model(a)[0] for a in x.split(size)]), y)
    loss.backward()
    optimizer.step()
    return loss.item()


@accumulated_step.mistake("Your step is right. Whose loss do you return?")
def _(model, optimizer, criterion, x, y, size):
    accumulated_step.answer(model, optimizer, criterion, x, y, size)
    return criterion(model(x[-1:])[0], y[-1:]).item()


@accumulated_step.mistake(".item() makes it a number.")
def _(*parts):
    return torch.tensor(accumulated_step.answer(*parts))


@accumulated_step.mistake("That is one number for every batch. Does the model see it at all?")
def _(model, optimizer, criterion, x, y, size):
    return 0.0
