"""Exercises of lesson 12: a share of every batch, one gradient of several, machines, 16 bits."""

import torch
from torch.nn.functional import mse_loss

from ._exercise import Lesson, Trial

lesson = Lesson("12")
progress = lesson.progress


@lesson.exercise(
    "Together, do the processes take exactly the batches that one process would have taken?",
    hints=(
        "First the batches of one process: order.split(batch_size). Then each process's part.",
        "A slice has a start and a stride: batch[rank::processes].",
    ),
    shown="All batches stay what they were: several processes take the steps of one.",
)
def own_rows(order, batch_size, rank, processes):
    return [batch[rank::processes] for batch in order.split(batch_size)]


@own_rows.judge
def _(trial: Trial) -> None:
    for rows, batch_size, processes in ((13, 5, 2), (12, 4, 2), (14, 6, 3), (9, 4, 3), (5, 8, 1)):
        order = torch.randperm(rows)
        for rank in range(processes):
            expected = []
            for start in range(0, rows, batch_size):
                stop = min(start + batch_size, rows)
                mine = [order[i] for i in range(start, stop) if (i - start) % processes == rank]
                expected.append(torch.tensor(mine, dtype=order.dtype))
            trial(order, batch_size, rank, processes).gives(expected, "counted one by one it is")


@own_rows.mistake("That shares out the epoch first: each step then uses `processes` batches.")
def _(order, batch_size, rank, processes):
    return [*order[rank::processes].split(batch_size)]


@own_rows.mistake("That shares out the epoch first: are the batches still those of one process?")
def _(order, batch_size, rank, processes):
    return [*order[rank::processes].split(max(batch_size // processes, 1))]


@own_rows.mistake("Whole batches for each: then the steps are fewer. What is to be divided?")
def _(order, batch_size, rank, processes):
    return [*order.split(batch_size)[rank::processes]]


@own_rows.mistake("One run of neighbours for each: which rows were asked for?")
def _(order, batch_size, rank, processes):
    batches = order.split(batch_size)
    return [batch.tensor_split(processes)[rank] for batch in batches]


@own_rows.mistake("An empty share is a share: without it, this process has fewer steps, and waits.")
def _(order, batch_size, rank, processes):
    return [share for share in own_rows.answer(order, batch_size, rank, processes) if len(share)]


@own_rows.mistake("The last batch is smaller, and its images count as well.")
def _(order, batch_size, rank, processes):
    batches = [batch for batch in order.split(batch_size) if len(batch) == batch_size]
    return [batch[rank::processes] for batch in batches]


@own_rows.mistake("Processes are counted from 0: which row does the first one begin with?")
def _(order, batch_size, rank, processes):
    return [batch[rank + 1 :: processes] for batch in order.split(batch_size)]


@own_rows.mistake("Everyone has everything: that is the same work, several times over.")
def _(order, batch_size, rank, processes):
    return [*order.split(batch_size)]


@lesson.exercise(
    "Each image should count the same: how much does a share of `rows` images weigh?",
    hints=(
        "The batch's loss is a sum over all rows, divided by their number. So is its gradient.",
        "rows · gradient is a share's sum. Add the sums up, and divide by all rows.",
        "Whoever has no row has None: `if many` leaves it out of the sum.",
    ),
    shown="The weighted mean of the shares' gradients is the gradient of the whole batch.",
)
def merge_gradients(gradients, rows):
    sums = [many * gradient for gradient, many in zip(gradients, rows, strict=True) if many]
    return sum(sums) / sum(rows)


NOTHING = "Who had no image has None for a gradient: it has to stay out of the sum."


@merge_gradients.judge
def _(trial: Trial) -> None:
    trial.explain({"NoneType": NOTHING})
    for rows in ([3, 3], [4, 3], [5, 1, 2], [2, 2, 1, 0], [6]):
        x, y, w = torch.randn(sum(rows), 3), torch.randn(sum(rows)), torch.randn(3)
        w.requires_grad_()
        (whole,) = torch.autograd.grad(mse_loss(x @ w, y), w)
        gradients: list[torch.Tensor | None] = []
        for share, its in zip(x.split(rows), y.split(rows), strict=True):
            own = torch.autograd.grad(mse_loss(share @ w, its), w) if len(its) else [None]
            gradients += own
        trial(gradients, rows).gives(whole, "the whole batch has")


@merge_gradients.mistake("A plain mean: an image in a small share counts for more than another.")
def _(gradients, rows):
    return torch.stack(gradients).mean(dim=0)


@merge_gradients.mistake("That is the sum of the shares' means. Larger steps, the more processes?")
def _(gradients, rows):
    return torch.stack(gradients).sum(dim=0)


@merge_gradients.mistake("Weighted, and summed up. Whose mean is the loss of a batch?")
def _(gradients, rows):
    return sum(many * gradient for gradient, many in zip(gradients, rows, strict=True) if many)


@merge_gradients.mistake(NOTHING)
def _(gradients, rows):
    return sum(n * g for g, n in zip(gradients, rows, strict=True)) / sum(rows)


@merge_gradients.mistake("Weights of rows / all add up to 1. Must you then divide once more?")
def _(gradients, rows):
    return merge_gradients.answer(gradients, rows) / len(rows)


@merge_gradients.mistake("That is the first process's own gradient, which the others never see.")
def _(gradients, rows):
    return gradients[0]


@lesson.exercise(
    "For one machine and for two, term by term: how long does each work, and then exchange?",
    hints=(
        "Write the seconds of a step on w machines as a line; a single one exchanges nothing.",
        "seconds / w + 2 · (w − 1) · (latency + size / w / bandwidth).",
        "min(range(1, most + 1), key=step) is the number for which step(w) is smallest.",
    ),
    shown="Work shrinks with every machine, the exchange does not: somewhere they cross.",
)
def best_count(seconds, size, bandwidth, latency, most):
    def step(w):
        return seconds / w + 2 * (w - 1) * (latency + size / w / bandwidth)

    return min(range(1, most + 1), key=step)


CASES = [
    (0.012, 1.25e6, 1.25e8, 5e-5, 64),  # Gigabit Ethernet: alone
    (0.5, 1e6, 1e9, 1e-3, 64),
    (0.1, 1.25e6, 1.25e8, 2e-4, 100),
    (0.05, 1e6, 1e9, 0.0, 40),  # nothing to wait for: all of them
    (0.03, 1.25e6, 1.25e9, 1e-4, 32),
    (2.0, 4e8, 1.25e9, 1e-3, 200),
    (0.3, 1e5, 1e10, 0.01, 16),
    (0.9, 1e6, 1e9, 1e-3, 5),
]


def _best(step, most):
    times = [step(w) for w in range(1, most + 1)]
    return times.index(min(times)) + 1


@best_count.judge
def _(trial: Trial) -> None:
    for seconds, size, bandwidth, latency, most in CASES:
        best, best_time = 1, seconds
        for w in range(2, most + 1):
            sent = 2 * (w - 1) * size / w  # by each machine, in 2 (w − 1) messages
            if (time := seconds / w + sent / bandwidth + 2 * (w - 1) * latency) < best_time:
                best, best_time = w, time
        trial(seconds, size, bandwidth, latency, most).gives(best, "tried one by one it is")


@best_count.mistake("Not the seconds were asked for, but the number of machines.")
def _(seconds, size, bandwidth, latency, most):
    w = best_count.answer(seconds, size, bandwidth, latency, most)
    return seconds / w + 2 * (w - 1) * (latency + size / w / bandwidth)


@best_count.mistake("Each of the 2 (w − 1) messages has to wait, not only the first.")
def _(seconds, size, bandwidth, latency, most):
    return _best(
        lambda w: seconds / w + (2 * (w - 1) * size / w / bandwidth + latency) * (w > 1), most
    )


@best_count.mistake("Messages are as many in both rounds: one adds up, one hands out.")
def _(seconds, size, bandwidth, latency, most):
    return _best(lambda w: seconds / w + (w - 1) * (latency + size / w / bandwidth), most)


@best_count.mistake("In a ring each message is a w-th of the gradient. Who sends all of it?")
def _(seconds, size, bandwidth, latency, most):
    return _best(lambda w: seconds / w + 2 * (w - 1) * (latency + size / bandwidth), most)


@best_count.mistake("The work is divided among the machines.")
def _(seconds, size, bandwidth, latency, most):
    return _best(lambda w: seconds + 2 * (w - 1) * (latency + size / w / bandwidth), most)


@best_count.mistake("All there are: is the exchange for nothing?")
def _(seconds, size, bandwidth, latency, most):
    return most


@best_count.mistake("May one use all machines that there are? range ends before its end.")
def _(seconds, size, bandwidth, latency, most):
    return best_count.answer(seconds, size, bandwidth, latency, most - 1)


@lesson.exercise(
    "Is every gradient finite? Then where is it divided, in 16 bits or in 32?",
    hints=(
        "all(g.isfinite().all() for g in gradients): one inf or NaN, and the step is left out.",
        "g.float() has room for what g / scale is; the quotient in float16 would be 0 again.",
        "Return (new weights, scale), or (the weights as they are, scale / 2).",
    ),
    shown="That is what torch.amp.GradScaler does, which also raises the scale now and then.",
)
def scaled_step(weights, gradients, scale, rate):
    if not all(gradient.isfinite().all() for gradient in gradients):
        return [*weights], scale / 2
    pairs = zip(weights, gradients, strict=True)
    return [weight - rate * gradient.float() / scale for weight, gradient in pairs], scale


@scaled_step.judge
def _(trial: Trial) -> None:
    for sizes, spoiled in (((3,), None), ((2, 4), None), ((3, 2), torch.inf), ((2, 3), torch.nan)):
        scale, rate = 65536.0, 1e5
        weights = [torch.randn(size) for size in sizes]
        small = [torch.randn(size) * 1e-8 for size in sizes]  # in float16: 0
        gradients = [(scale * gradient).half() for gradient in small]
        if spoiled is not None:
            gradients[-1][0] = spoiled
            trial(weights, gradients, scale, rate).gives((weights, scale / 2), "skipped it is")
            continue
        expected = [
            torch.tensor([w - rate * g / scale for w, g in zip(ws, gs, strict=True)])
            for ws, gs in zip(
                (w.double().tolist() for w in weights),
                (g.double().tolist() for g in gradients),
                strict=True,
            )
        ]
        trial(weights, gradients, scale, rate).gives((expected, scale), "in 64 bits it is")


def _scaled(weights, gradients, scale, rate, bad=lambda g: ~g.isfinite(), divide=None):
    """A step with another test for what is bad, or another division."""
    if any(bad(gradient).any() for gradient in gradients):
        return [*weights], scale / 2
    divide = divide or (lambda gradient: gradient.float() / scale)
    pairs = zip(weights, gradients, strict=True)
    return [weight - rate * divide(gradient) for weight, gradient in pairs], scale


@scaled_step.mistake("In float16 the quotient is 0 again. What has room for it?")
def _(weights, gradients, scale, rate):
    return _scaled(weights, gradients, scale, rate, divide=lambda g: (g / scale).float())


@scaled_step.mistake("The gradients are those of scale · loss. Who divides by the scale?")
def _(weights, gradients, scale, rate):
    return _scaled(weights, gradients, scale, rate, divide=lambda g: g.float())


@scaled_step.mistake("Against the gradient, not along it.")
def _(weights, gradients, scale, rate):
    return _scaled(weights, gradients, scale, -rate)


@scaled_step.mistake("Too large for 16 bits is inf, and inf − inf is NaN: neither is a gradient.")
def _(weights, gradients, scale, rate):
    return _scaled(weights, gradients, scale, rate, bad=lambda g: g.isnan())


@scaled_step.mistake("Too large for 16 bits is inf, and inf − inf is NaN: neither is a gradient.")
def _(weights, gradients, scale, rate):
    return _scaled(weights, gradients, scale, rate, bad=lambda g: g.isinf())


@scaled_step.mistake("If one tensor overflowed, the whole step is left out, not that tensor's.")
def _(weights, gradients, scale, rate):
    moved, _ = _scaled(weights, gradients, scale, rate, bad=torch.zeros_like)
    good = [gradient.isfinite().all() for gradient in gradients]
    kept = [new if fine else old for new, old, fine in zip(moved, weights, good, strict=True)]
    return kept, scale if all(good) else scale / 2


@scaled_step.mistake("After an overflow the scale was too large. What is to become of it?")
def _(weights, gradients, scale, rate):
    return scaled_step.answer(weights, gradients, scale, rate)[0], scale


@scaled_step.mistake("The scale shrinks only after an overflow.")
def _(weights, gradients, scale, rate):
    return scaled_step.answer(weights, gradients, scale, rate)[0], scale / 2
