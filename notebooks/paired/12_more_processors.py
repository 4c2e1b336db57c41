# %% [markdown]
# # 12 · More processors
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/YOUR_GITHUB_NAME/convae-course/blob/main/notebooks/12_more_processors.ipynb)
# [![Open in Binder](https://mybinder.org/badge_logo.svg)](https://mybinder.org/v2/gh/YOUR_GITHUB_NAME/convae-course/main?urlpath=lab/tree/notebooks/12_more_processors.ipynb)
#
# **How does the same training run on a GPU, in mixed precision, and in several processes?**
#
# You will be able to
#
# - take a training step apart, and say how far from the processor's limits it runs, and why;
# - move a training to a GPU, to 16 bits and through a compiler, and check that it is still the same training;
# - train in several processes, prove that they do what one does, and go on after one of them has died;
# - count what the processes tell each other, and work out when a second machine stops paying.
#
# *Before you start:* [11 · Your own images](11_your_own_images.ipynb), for checkpoints; lessons 02 and 08 for the counting of operations.
# From "Several processes" on it takes Linux, macOS or Colab; on Windows, WSL.
# *Time:* two minutes on two cores.

# %%
import sys

if "google.colab" in sys.modules:  # installs the course; Colab keeps its own torch
    course = "git+https://github.com/YOUR_GITHUB_NAME/convae-course"
    get_ipython().run_line_magic("pip", f"install --quiet --no-deps pooch safetensors {course}")

# %% [markdown]
# So far one process has done all the work, on one processor. Before we ask for more of them, let us see what this one does all day: whoever buys a
# second machine without knowing what the first is waiting for has often bought another one that waits.

# %%
import inspect
import os
import re
import socket
import subprocess
import tempfile
from functools import partial
from pathlib import Path
from time import perf_counter
from timeit import repeat

os.environ["KINETO_LOG_LEVEL"] = "99"  # the profiler keeps its own log to itself

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.nn.utils import parameters_to_vector
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from convae_lib import Autoencoder, PyTorchTrainer, ResidualAutoencoder, load_mnist

# %% tags=["nbval-ignore-output"]
data = load_mnist()
train_images, test_images = data.train_images[:2001], data.test_images[:500]
print(data)
assert len(train_images) % 128 == 81  # the last batch of an epoch is smaller, and odd

# %% [markdown]
# ## Where the time goes
#
# The network is lesson 08's, in batches of 128; we look at the clock, not at the digits, and a few images will do. *Predict:* which shares of
# a training step have the way forward, the way back, and the optimizer?


# %%
def make(device="cpu", network=ResidualAutoencoder):
    torch.manual_seed(0)
    model = network(hidden_dim=28).to(device)
    return model, torch.optim.AdamW(model.parameters(), lr=5e-4, fused=True)


def step(model, optimizer, x):
    clock = [perf_counter()]
    optimizer.zero_grad()
    loss = nn.functional.mse_loss(model(x)[0], x)
    clock.append(perf_counter())
    loss.backward()
    clock.append(perf_counter())
    optimizer.step()
    clock.append(perf_counter())
    return np.diff(clock)


# %% tags=["nbval-ignore-output"]
guess = None  # three shares: forward, backward, optimizer

model, optimizer = make()
batch = train_images[:128]
parts = np.median([step(model, optimizer, batch) for _ in range(30)][5:], axis=0)
for name, seconds in zip(("forward", "backward", "optimizer"), parts, strict=True):
    print(f"{name:<10}{1000 * seconds:6.2f} ms{seconds / sum(parts):6.0%}")
print("your guess:", guess)
assert sum(p.numel() for p in model.parameters()) == 312_052

# %% [markdown]
# The way back takes longest: for each product of the way forward it computes two, one for the layer's weights and one for its input. The optimizer
# hardly counts, though it touches all 312,052 parameters.
#
# What is inside? `torch.profiler` notes every operator that runs, and how long it took without those that it called in turn, its *self* time:

# %% tags=["nbval-ignore-output"]
with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiler:
    for _ in range(10):
        step(model, optimizer, batch)
found = [(event.key, event.count, event.self_cpu_time_total) for event in profiler.key_averages()]
operators = pd.DataFrame(found, columns=["operator", "calls", "milliseconds"])
operators["calls"] /= 10  # of ten steps
operators["milliseconds"] /= 1e4  # of microseconds in ten steps
operators = operators.sort_values("milliseconds", ascending=False, ignore_index=True)
operators["operator"] = operators["operator"].str.replace(r"aten::|.*: |#.*", "", regex=True)
operators["share"] = operators["milliseconds"] / operators["milliseconds"].sum()
multiplies = operators["operator"].str.contains(r"conv|mm$")
display(operators.head(10).round(3))
products = operators["share"][multiplies].sum()
print(f"{operators['calls'].sum():.0f} calls in a step; {products:.0%} of the time in products")
assert operators["calls"].sum() > 60

# %% tags=["hide-input"]
shown = operators.head(10)
figure, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
for kind, chosen, style in (("products", multiplies, {"color": "C0"}),
                            ("everything else", ~multiplies, {"color": "0.8", "hatch": "//"})):
    rows = shown[chosen.head(10)]
    ax.barh(rows.index, rows["milliseconds"], label=kind, edgecolor="0.3", lw=0.5, **style)
for place, row in shown.iterrows():
    ax.text(row["milliseconds"], place, f" {row['share']:.0%}", va="center", fontsize=9)
ax.set_yticks(shown.index, shown["operator"])
ax.invert_yaxis()
ax.set_xmargin(0.12)
ax.set(xlabel="milliseconds in each step, without the operators called")
ax.set_title("Convolutions take most of a step")
ax.legend(frameon=False, loc="lower right")
ax.spines[["top", "right"]].set_visible(False)
plt.show()

# %% [markdown]
# Convolutions and matrix products (`mm`, `addmm`) do the arithmetic, and take most of the time. What they leave goes to functions, sums and copies.
#
# ## How far from the limit?
#
# First count the arithmetic, as in lesson 02: multiply–adds of one image, layer by layer. Forward once, back twice, but the first layer's input, the image, needs
# no gradient. PyTorch counts along.


# %%
def convolution(inputs, outputs, window, places=49):
    return inputs * outputs * window**2 * places


block = 2 * convolution(32, 32, 3)
forward = [convolution(1, 32, 4), block, 1568 * 84, 84 * 28]  # patches, block, dense, dense
forward += [28 * 84, 84 * 1568, block, convolution(32, 16, 3)]
by_hand = 2 * (3 * sum(forward) - forward[0])  # a multiply–add is two operations

with FlopCounterMode(display=False) as counter:
    nn.functional.mse_loss(model(batch)[0], batch).backward()
operations = counter.get_total_flops()
print(f"operations for each image: {by_hand:,} by hand, {operations // 128:,} by PyTorch")
assert by_hand * 128 == operations

# %% [markdown]
# Two things can limit a processor: how many operations it does in a second, its *peak*, and how many bytes its memory hands out, its *bandwidth*. Large
# products measure the first, a large copy the second; no data sheet is needed.
#
# And how much does a step move? Every operator reads its inputs and writes its result. Between PyTorch and its operators we can add that up:


# %%
class Traffic(TorchDispatchMode):
    """Adds up the bytes that operators read and write."""

    moved = 0

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        result = operator(*args, **(kwargs or {}))
        if not operator.is_view:  # which moves nothing
            tensors = [x for x in tree_leaves((args, kwargs, result)) if isinstance(x, torch.Tensor)]
            self.moved += sum(x.nbytes for x in tensors)
        return result


def cost(act):
    """Operations, bytes and seconds of what ``act`` does."""
    with FlopCounterMode(display=False) as counter, Traffic() as traffic:
        act()
    return counter.get_total_flops(), traffic.moved, min(repeat(act, number=1, repeat=12))


# %% [markdown]
# Operations per byte are called *intensity*. A processor does no more operations in a second than its peak, and no more than intensity times bandwidth: drawn
# over the intensity, the two limits look like a *roof* (Williams and others, 2009). The networks of lessons 04 and 08 stand below it, and 5 × 5 convolutions of a few channels. *Predict:* which shares of the peak do the
# two networks reach?

# %% tags=["nbval-ignore-output"]
guess = None  # two shares of the peak: lesson 04, lesson 08

matrix, numbers, copies = torch.rand(1024, 1024), torch.rand(2**23), torch.empty(2**23)
works = {"matrix product": lambda: matrix @ matrix}
for channels in (2, 8, 32):
    maps, filters = torch.rand(128, channels, 28, 28), torch.rand(channels, channels, 5, 5)
    works[f"{channels} channels"] = partial(nn.functional.conv2d, maps, filters, padding=2)
works["lesson 04, a step"] = partial(step, *make(network=Autoencoder), batch)
works["lesson 08, a step"] = partial(step, model, optimizer, batch)
costs = {name: cost(act) for name, act in works.items()}
roof = pd.DataFrame(costs, ["operations", "bytes", "seconds"]).T

bandwidth = 2 * numbers.nbytes / min(repeat(lambda: copies.copy_(numbers), number=1, repeat=12))
roof["intensity"] = roof["operations"] / roof["bytes"]
roof["billions a second"] = roof["operations"] / roof["seconds"] / 1e9
peak = roof["billions a second"].max()  # as much as we have seen anything do
roof["share of the peak"] = roof["billions a second"] / peak
display(roof.drop(columns=["operations", "bytes", "seconds"]).round(2))
print(f"{peak:.0f} billion operations, {bandwidth / 1e9:.0f} billion bytes a second; you: {guess}")
assert roof.loc["matrix product", "operations"] == 2 * 1024**3
assert roof.loc["lesson 08, a step", "operations"] == 128 * by_hand

# %% tags=["hide-input"]
figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
intensity = np.geomspace(1, 400, 100)
ax.plot(intensity, np.minimum(peak, intensity * bandwidth / 1e9), color="0.3", label="the roof")
markers = "sC7", "<C0", "^C0", ">C0", "XC1", "oC2"
for (name, row), marker in zip(roof.iterrows(), markers, strict=True):
    ax.plot(row["intensity"], row["billions a second"], marker, ms=8, label=name)
ax.set(xscale="log", yscale="log", xlim=(1, 400), xlabel="intensity: operations per byte moved")
ax.set(ylabel="billion operations a second", ylim=(0.04 * peak, 1.5 * peak))
ax.set_xticks([1, 3, 10, 30, 100, 300], [1, 3, 10, 30, 100, 300])
shares = [0.1, 0.2, 0.5, 1]
ax.set_yticks([share * peak for share in shares], [f"{share * peak:.0f}" for share in shares])
ax.minorticks_off()
ax.grid(alpha=0.3)
ax.set_title("Few channels keep a processor busy without getting much done")
ax.legend(frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(1, 1))
plt.show()

# %% [markdown]
# Both steps do some twenty operations with each byte, so with one core or two memory is not what they wait for: the slope of the roof is to their left. It is the *shape* of the products. A core multiplies four to sixteen numbers with one
# instruction, one for each channel; lesson 04's layers have 1, 14 and 7 channels, and leave places empty. Lesson 08's have 32. That is one reason, with the tanh of its full-size maps, why lesson 04's step does fewer operations in a second.
#
# ## Threads and batches
#
# What keeps lesson 08's step from the peak? A part of it multiplies nothing, as the profiler says. Then there are calls, which cost the same for one image
# as for five hundred; and threads, which share the arithmetic but not the calls, and wait for each other. *Predict* the images in a second: a batch of 512, against
# one of 1? Two threads, against one?

# %% tags=["nbval-ignore-output"]
guess = None  # times as many with 512 as with 1; times as many with all threads

most, sizes, speed = torch.get_num_threads(), (1, 8, 32, 128, 512), {}
for threads in sorted({1, most}):
    torch.set_num_threads(threads)
    for size in sizes:
        x, times = train_images[:size], range(6 if size > 99 else 20)
        speed[threads, size] = size / min(sum(step(model, optimizer, x)) for _ in times)
torch.set_num_threads(most)
speed = pd.Series(speed).unstack(0)
display(speed.rename_axis(index="batch", columns="threads").round(-1).astype(int))
gain, shared = speed[1][512] / speed[1][1], speed[most][512] / speed[1][512]
print(f"512 against 1: {gain:.1f} times; {most} threads: {shared:.2f} times; you: {guess}")
calls = 1 / speed[1][1] - 1 / speed[1][512]  # seconds, of the calls of a step
print(f"calls in a step of 128, one thread: {calls * speed[1][128] / 128:.0%}")
assert torch.get_num_threads() == most  # as before

# %% tags=["hide-input"]
figure, ax = plt.subplots(figsize=(6.5, 3.6), layout="constrained")
for threads, style in zip(speed, ("o-", "s--"), strict=False):
    ax.plot(sizes, speed[threads], style, label=f"{threads} thread{'s' * (threads > 1)}")
ax.plot(sizes, [size / (calls + size / speed[1][512]) for size in sizes], ":", color="0.4",
        label="calls + images, 1 thread")
ax.set(xscale="log", yscale="log", xlabel="batch", ylabel="images a second")
ax.set_xticks(sizes, sizes)
ticks, limits = [100, 300, 1000, 3000, 10_000, 30_000], ax.get_ylim()
ax.set_yticks(ticks, [f"{tick:,}" for tick in ticks])
ax.set_ylim(limits)
ax.minorticks_off()
ax.grid(alpha=0.3)
ax.set_title("The images of a batch share the price of the calls")
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# The dotted line knows two numbers, the milliseconds of the calls and those of an image, and tells most of the story: calls rule small batches only. Threads help most where arithmetic prevails, in large batches; in small ones, or on a
# busy machine, they wait for each other. A large batch also means fewer steps: what fewer, better ones are worth is a question for validation images (lesson 08).
#
# ## Another processor, other numbers
#
# A GPU has thousands of small cores, and a memory ten times as fast and more. For a training it is another `device`: move the model there *before* you make the optimizer,
# and the trainer has each batch follow. Both kinds of processor multiply faster in 16 bits. But what becomes of small numbers?

# %%
kinds = (torch.float32, torch.bfloat16, torch.float16)
for kind in kinds:
    about = torch.finfo(kind)
    small = torch.tensor([1e-8, 1 + 1 / 256]).to(kind).tolist()
    print(f"{str(kind)[6:]:<9} largest {about.max:.0e}, next to 1: 1 + {about.eps:.0e}", end=";  ")
    print(f"1e-8 → {small[0]:.0e}, 1 + 1/256 → {small[1]:.4f}")
assert torch.tensor(1e-8).half() == 0 and (torch.tensor(1e-8) * 65536).half() > 0

# %% [markdown]
# *float16* loses small gradients, unless the loss is scaled up first (`torch.amp.GradScaler`; exercise 12.4). *bfloat16* has float32's range and fewer digits.
# `torch.autocast` multiplies in it, and keeps weights, sums and losses in float32. One trap: it remembers converted weights to the end of its block. Around
# a whole training, switch that off, or every step uses the first one's. *Predict:* after 128 steps, how much larger is the error in
# bfloat16, and are the steps faster? The cell takes a GPU where there is one, and says so.


# %% tags=["nbval-ignore-output"]
guess = None  # your change of the error in percent, and of the milliseconds

available = torch.accelerator.is_available()
device = torch.accelerator.current_accelerator() if available else torch.device("cpu")
rows, gradients = {}, []
for name, enabled in (("float32", False), ("bfloat16", True)):
    model, optimizer = make(device)
    trainer, x = PyTorchTrainer(model, optimizer, nn.MSELoss()), batch.to(device)
    with torch.autocast(device.type, torch.bfloat16, enabled=enabled, cache_enabled=False):
        loss = nn.functional.mse_loss(model(x)[0], x)
        parts = torch.autograd.grad(loss, [*model.parameters()])
        gradients.append(torch.cat([part.flatten() for part in parts]))
        pairs = train_images, train_images, test_images, test_images
        last = trainer.fit(*pairs, epochs=8, eval_every=8, batch_size=128, seed=0).rows[-1]
    rows[name] = 1000 * last["seconds"] / last["steps"], last["test_loss"]
exact, rounded = gradients
change = ((rounded - exact).norm() / exact.norm()).item()
precision = pd.DataFrame(rows, ["milliseconds a step", "test error"]).T
display(precision.round(4))
print(f"on {device}; the first gradient differs by {change:.2%}; your guess: {guess}")
assert 1e-5 < change < 0.03 and 0.9 < rows["bfloat16"][1] / rows["float32"][1] < 1.1

# %% [markdown]
# The gradient is off by less than a percent, and the error stays, within a few. Whether steps are faster, the processor decides: one with instructions for bfloat16 gains,
# one without converts for nothing.
#
# `torch.compile` is after the calls: it reads a model once, and makes one piece of machine code of many operators. That needs a C++ compiler, and time. So its results are
# *stored*: `make bench ONLY=processors` measures them anew, on a GPU where there is one. *Predict* the seconds of waiting.

# %%
results = Path("../benchmarks/results")
if not results.exists():  # in Colab there is only this notebook
    results = "https://raw.githubusercontent.com/YOUR_GITHUB_NAME/convae-course/main/benchmarks/results"
stored = pd.read_csv(f"{results}/processors.csv")
for (machine, date, on), rows in stored.groupby(["machine", "date", "device"]):
    print(f"{len(rows)} runs on {machine}, {date}; device: {on}")
ways = stored.groupby("name", sort=False)[["first_step", "milliseconds", "validation_error"]].median()
spread = stored.groupby("name", sort=False)["milliseconds"].agg(["min", "max"]).add_suffix(" ms")
plain = ways.loc[["float32", "bfloat16"] * 2].set_index(ways.index)  # the same, not compiled
waiting, saved = ways["first_step"] - plain["first_step"], plain["milliseconds"] - ways["milliseconds"]
pays = (1000 * waiting / saved).where((saved > 0) & (waiting > 1))
ways = ways.join(spread).assign(pays=pays.map("{:,.0f} steps".format).replace("nan steps", "–"))
ways.round({"first_step": 1, "milliseconds": 2, "validation_error": 4})

# %% [markdown]
# *first_step* is in seconds: the waiting. *pays* divides it by what each later step saves against the same numbers uncompiled. But look at the fastest and
# the slowest of the three runs: they differ by more than compiling saves on these two cores. (No GPU was at hand for this table. There the arithmetic shrinks and the calls do not, so that
# a compiler has more to gain.)
#
# ## Several processes: the same step, shared
#
# More cores than a process can use, more GPUs than one, more machines: each time it takes several *processes*. Each has a copy of the model, and a share of every
# batch, of which it computes the mean loss and its gradient. The mean of these gradients should be the whole batch's. Is it? Seven images, shared by two. *Predict:* by how much
# is the mean of both wrong?

# %% tags=["nbval-ignore-output"]
guess = None  # your share of the gradient's size

model, _ = make()


def gradient(images):
    loss = nn.functional.mse_loss(model(images)[0], images)
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, [*model.parameters()])])


seven = train_images[:7]
whole, four, three = gradient(seven), gradient(seven[0::2]), gradient(seven[1::2])
plain = ((four + three) / 2 - whole).norm() / whole.norm()
weighted = ((4 * four + 3 * three) / 7 - whole).norm() / whole.norm()
print(f"plain mean: wrong by {plain:.1%}; weighted by images: {weighted:.0e}; your guess: {guess}")
assert plain > 1e-3 and weighted < 1e-5

# %% [markdown]
# An image in the smaller share had more to say. Weighted by their numbers of images, the shares give the whole gradient, but for rounding.
#
# How do $w$ processes get the sum of $w$ gradients? If all sent theirs to one, that one's wire would carry everything. In a *ring* each talks to its neighbour only, about one of
# $w$ parts at a time. In a first round sums travel and grow; in a second they are handed on:


# %%
def ring(gradients):
    """The sum of all, for everyone; and how many numbers each has sent."""
    many, sent = len(gradients), 0
    parts = [list(gradient.chunk(many)) for gradient in gradients]
    for turn in range(2 * (many - 1)):
        which = [(rank - turn) % many for rank in range(many)]  # part that each one sends
        messages = [parts[rank][which[rank]] for rank in range(many)]
        for rank, numbers in enumerate(messages):
            to, part = (rank + 1) % many, which[rank]
            parts[to][part] = parts[to][part] + numbers if turn < many - 1 else numbers
        sent += len(messages[0])
    return [torch.cat(own) for own in parts], sent


four_gradients = [torch.arange(8) * 10**rank for rank in range(4)]
sums, sent = ring(four_gradients)
print(*sums, sep="\n")
print(f"each of 4 sends {sent} numbers, 2 · 3/4 of its 8")
assert all(torch.equal(own, sum(four_gradients)) for own in sums) and sent == 2 * 3 / 4 * 8

# %% [markdown]
# That is an *all-reduce*: each sends $2(w-1)/w$ of the gradient, less than twice its size, however many they are.
#
# PyTorch has all of it. `DistributedDataParallel`, *DDP*, wraps a model: it gives all processes the first one's weights, and averages gradients *during* `backward`, a bucket as soon as it
# is full. `torchrun` (`python -m torch.distributed.run` is the same) starts the processes, and tells each its number, its *rank*. They talk through *gloo*, GPUs through *nccl*.

# %%
temporary = tempfile.TemporaryDirectory()
folder = Path(temporary.name).resolve()
torch.save((train_images.clone(), test_images.clone()), folder / "images.pt")


def start(script, *arguments, options=("--standalone", "--nproc-per-node", 2)):
    command = [sys.executable, "-m", "torch.distributed.run", *options, script, folder, *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    environment = os.environ | {"OMP_NUM_THREADS": "1"}  # a thread for each
    return subprocess.Popen([*map(str, command)], env=environment, **pipes)


def end(process):
    try:
        output, errors = process.communicate(timeout=300)
    finally:
        process.kill()  # if it hangs; nothing, if it has ended
    assert process.returncode == 0, errors
    return output.replace(f"{folder}{os.sep}", "")


# %%
head = '''
import os
import sys
from pathlib import Path

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils import parameters_to_vector
from convae_lib import Checkpoint, DistributedTrainer, PyTorchTrainer, ResidualAutoencoder

distributed.init_process_group("gloo")  # meet the others
rank, processes = distributed.get_rank(), distributed.get_world_size()
folder = Path(sys.argv[1])
'''
shares = '''
images, _ = torch.load(folder / "images.pt")
torch.manual_seed(rank)  # other weights in each; the next line gives all of them the first one's
model = DistributedDataParallel(ResidualAutoencoder(28))

own = images[:7][rank::processes]  # four images, or three
loss = len(own) * processes / 7 * nn.functional.mse_loss(model(own)[0], own)
loss.backward()  # and all gradients are the mean of both
found = {"gradient": torch.cat([p.grad.flatten() for p in model.parameters()])}
'''

# %% [markdown]
# With weights of $4 \cdot 2/7$ and $3 \cdot 2/7$, DDP's plain mean is the weighted one. The script goes on with clocks. `no_sync` makes the same step without an exchange; at the end of either, both
# wait for each other. And a *hook* counts what DDP exchanges. *Predict:* how many bytes in each step?

# %%
clocks = '''
from contextlib import nullcontext
from time import perf_counter
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook

sent, own = [], images[:128][rank::processes]

def count(state, bucket):
    sent.append(bucket.buffer().nbytes)
    return allreduce_hook(state, bucket)

def step(exchange):
    with nullcontext() if exchange else model.no_sync():
        nn.functional.mse_loss(model(own)[0], own).backward()
    distributed.all_reduce(torch.zeros(1))  # one number: wait for each other

def seconds(act, *arguments):
    distributed.barrier()
    start = perf_counter()
    act(*arguments)
    return perf_counter() - start
'''

# %% [markdown]
# Then twenty steps of either kind in turn, and all-reduces of four bytes to twelve million. Linux also counts what passes its loopback, over which processes of one machine talk. To meet, torchrun looks for a free port
# itself (`--standalone`). The gradient stands beside that of one process, computed above from the same seven images.
#
# And they part in order: what holds the group goes, both wait for each other, and the group ends. (With its last line alone, three runs of twelve crashed
# on their way out, here.)

# %%
measure = '''
def loopback():
    table = Path("/proc/net/dev")  # Linux only
    line = table.read_text().partition(" lo:")[2] if table.exists() else ""
    return int(line.split()[8]) if line else 0

model = DistributedDataParallel(model.module)
model.register_comm_hook(None, count)
for _ in range(5):
    step(True)
before, many = loopback(), len(sent)
found["steps"] = [(seconds(step, True), seconds(step, False)) for _ in range(20)]
found["bytes"], found["loopback"] = sum(sent[many:]) / 20, (loopback() - before) / 20
for numbers in (1, 10_000, 100_000, 312_052, 1_000_000, 3_000_000):
    message = torch.zeros(numbers)
    found[4 * numbers] = min(seconds(distributed.all_reduce, message) for _ in range(15))
torch.save(found, folder / f"shares-{rank}.pt")
del model
'''
leave = '''
import gc
gc.collect()  # models that nobody uses hold the group no longer
distributed.barrier()
distributed.destroy_process_group()
'''


# %% tags=["nbval-ignore-output"]
guess = None  # your number of bytes in each step

script = folder / "shares.py"
script.write_text(head + shares + clocks + measure + leave)
end(start(script))
found = [torch.load(folder / f"shares-{rank}.pt") for rank in (0, 1)]
wrong = max((process["gradient"] - whole).abs().max().item() for process in found)
largest = whole.abs().max()
print(f"two processes against one: gradients differ by {wrong:.0e} at most, of {largest:.0e}")
print(f"bytes handed over in a step: {found[0]['bytes']:,.0f}; your guess: {guess}")
print(f"bytes over the loopback, both together: {found[0]['loopback']:,.0f}")
assert torch.equal(found[0]["gradient"], found[1]["gradient"])
assert wrong < 1e-5 * largest and found[0]["bytes"] == 4 * 312_052
assert sys.platform != "linux" or found[0]["loopback"] > 2 * found[0]["bytes"]

# %% [markdown]
# Both have *the same* gradient, to the bit, and it is that of one, to rounding. Four bytes for each parameter; each of the two sends $2 \cdot \frac{1}{2}$ of that, both together
# twice as much, which the loopback has counted, with some envelopes.
#
# ## The trainer, in two processes
#
# `DistributedTrainer` is the library's trainer for several processes (`convae_lib/distributed.py`). It wraps the model in DDP. In every step each process takes the rows
# `rank::processes` of the batch, with their weight. Rank 0, the first process, chooses the order of the images for all of them, prints, and writes the checkpoint. In a function that trains,
# only the class of the trainer changes:


# %%
def train(trainer_class=PyTorchTrainer, **options):
    torch.manual_seed(0)
    model, seen = ResidualAutoencoder(28), []
    model.register_forward_pre_hook(lambda _, x: seen.append(x[0]) if model.training else None)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-4)
    x, test = torch.load(folder / "images.pt")
    trainer = trainer_class(model, optimizer, nn.MSELoss())
    history = trainer.fit(x, x, test, test, 4, 1, 128, seed=0, **options)
    weights = parameters_to_vector(model.parameters()).detach()
    return {"weights": weights, "seen": seen, "rows": history.rows}


# %% [markdown]
# This very function goes into the script. And since in long trainings something always happens, the script has a fault: told to, its second process dies in the third epoch,
# without a word. *Predict:* what becomes of the first one, which waits for a gradient?

# %%
script = folder / "train.py"
script.write_text(
    head
    + "\n"
    + inspect.getsource(train)
    + '''
class DyingTrainer(DistributedTrainer):
    def train_step(self, x, y):
        steps = len(self.history.batch_losses)
        if "dies" in sys.argv and rank == 1 and steps == 36:  # in the third epoch
            os._exit(1)
        return super().train_step(x, y)

found = train(DyingTrainer, callbacks=[Checkpoint(folder / "run.pt")])
torch.save(found, folder / f"trained-{rank}.pt")
'''
    + leave
)
print(script.read_text())

# %% tags=["nbval-ignore-output"]
guess = None  # "waits for ever", "goes on alone", or your own words

clock = perf_counter()
process = start(script, "dies")
output, errors = process.communicate(timeout=300)
cause = errors.rpartition("Root Cause")[2]  # of torchrun's report
print(output, *re.findall(r"^ +(?:rank|exitcode) .*?(?= \(|$)", cause, re.MULTILINE), sep="\n")
print(f"ended after {perf_counter() - clock:.0f} s with status {process.returncode}; you: {guess}")
assert process.returncode != 0 and (folder / "run.pt").exists()
assert not list(folder.glob("trained-*")) and "epoch 4" not in output

# %% [markdown]
# The first does not wait for ever: its connection is cut, or torchrun ends it, and the error names who failed first. (Had a whole machine lost its plug, nothing
# would be cut: the others wait for a timeout, half an hour with gloo.) The checkpoint is left, written by the first process. With `--max-restarts 3` torchrun would start
# all of them again, and `fit` would go on from the file.
#
# We go on elsewhere: on two "machines", each with a torchrun of its own and one process. They meet at an address that both know.

# %% tags=["nbval-ignore-output"]
with socket.socket() as free:  # a port that nobody uses
    free.bind(("localhost", 0))
    port = free.getsockname()[1]
machine = ["--nnodes", 2, "--nproc-per-node", 1, "--rdzv-backend", "c10d", "--rdzv-id", "lesson12"]
machine += ["--rdzv-endpoint", f"localhost:{port}", "--local-addr", "localhost"]
print(*map(end, [start(script, options=machine) for _ in range(2)]), sep="")
two = [torch.load(folder / f"trained-{rank}.pt") for rank in (0, 1)]
one = train()
moved = (one["weights"] - parameters_to_vector(make()[0].parameters()).detach()).norm()
first, second = two[0]["weights"], two[1]["weights"]
apart = (first - one["weights"]).norm() / moved
errors = [run["rows"][-1]["test_loss"] for run in (*two, one)]
print(f"weights: the two are {(first - second).abs().max()} apart, and {apart:.0e} of the way from one's")
print("test errors:", *(f"{error:.5f}" for error in errors))
assert torch.equal(first, second) and errors[0] == errors[1]
assert apart < 0.01 and abs(errors[0] / errors[2] - 1) < 0.01

# %% [markdown]
# Two "machines" go on where two processes were stopped, and end where one process comes to that nobody disturbed. Their weights are the same bits; from those of the one
# they differ by the rounding of 64 steps.
#
# Did each do its share, and none a row twice? The hook in `train` has kept the images. We look up the number of each, epoch by epoch:

# %%
number = {image.numpy().tobytes(): k for k, image in enumerate(train_images)}
steps = len(train_images) // 128 + 1
epochs = len(two[0]["seen"]) // steps
for epoch in range(epochs):
    shares_seen = [torch.cat(run["seen"][epoch * steps : (epoch + 1) * steps]) for run in two]
    numbers = [[number[image.numpy().tobytes()] for image in images] for images in shares_seen]
    print(f"epoch {5 - epochs + epoch}: {len(numbers[0])} + {len(numbers[1])} images,", end=" ")
    print(f"{len({*numbers[0], *numbers[1]})} different ones")
    assert sorted(numbers[0] + numbers[1]) == list(range(2001))
assert epochs == 2 and len(number) == 2001
temporary.cleanup()

# %% [markdown]
# ## What it costs, and when it pays
#
# A model of the time, as simple as it gets. On $w$ machines the arithmetic takes $t/w$; the exchange takes $2(w-1)$ messages in turn, each a $w$-th part of the gradient:
#
# $$t(w) = \frac{t}{w} + 2(w-1)\left(\text{latency} + \frac{\text{bytes}}{w \cdot \text{bandwidth}}\right).$$
#
# Two numbers describe the wire, and the all-reduces have measured both. *Predict:* which share of a step in two processes is the exchange?

# %% tags=["nbval-ignore-output"]
guess = None  # your share

sizes = [size for size in found[0] if isinstance(size, int)]
exchange = pd.Series({size: found[0][size] for size in sizes})
latency = exchange[4] / 2  # two messages in turn
speed_of_wire = (sizes[-1] - 4) / (exchange[sizes[-1]] - exchange[4])  # of two, each sends it once
together, silent = np.median(found[0]["steps"], axis=0)
predicted = silent + 2 * (latency + found[0]["bytes"] / 2 / speed_of_wire)
print(f"latency {1e6 * latency:.0f} µs, {speed_of_wire / 1e9:.1f} billion bytes a second")
print(f"a step without exchange {1000 * silent:.1f} ms, with it {1000 * together:.1f} ms")
own, ours = 1000 * (together - silent), 1000 * (predicted - silent)
print(f"the exchange: {own:.1f} ms measured, {ours:.1f} ms by the model")
alone = exchange[1_248_208] / (2 * latency + 1_248_208 / speed_of_wire)  # a size not fitted to
print(f"an all-reduce of as many bytes, by itself: {alone:.1f} times what the model says")
print(f"the exchange is {1 - silent / together:.0%} of it; your guess: {guess}")
assert len(found[0]["steps"]) == 20 and found[0]["bytes"] in sizes

# %% [markdown]
# The model knows the wire, and tells what an all-reduce by itself takes. Our step pays more: DDP copies gradients into buckets and back, gloo's threads want the cores that compute; a part is hidden
# behind `backward`. Take what it says of other wires for the least that an exchange costs. How long does the gradient take between two machines?


# %%
def step_time(w, work, latency, bandwidth, size=4 * 312_052):
    return work / w + 2 * (w - 1) * (latency + size / w / bandwidth)


wires = {  # seconds (usual ones), bytes a second
    "Gigabit Ethernet": (5e-5, 1.25e8),
    "10 Gigabit": (3e-5, 1.25e9),
    "InfiniBand": (2e-6, 5e10),
}
for wire, promise in wires.items():
    print(f"{wire:<17}{1000 * step_time(2, 0, *promise):7.3f} ms for the gradient, in two machines")
assert step_time(1, 1, *wires["InfiniBand"]) == 1 and step_time(2, 0, *wires["10 Gigabit"]) > 1e-3

# %% [markdown]
# Milliseconds, against microseconds. A second machine takes over half of the work, and adds this. *Predict:* joined by Gigabit Ethernet, how many machines like
# yours make a step of 128 images the shortest?

# %% tags=["nbval-ignore-output"]
guess = None  # your number of machines

work = 128 / speed[most][128]  # seconds of a step here, with all threads
machines, table = np.arange(1, 65), {}
for wire, (wait, rate) in wires.items():
    for batch_size in (128, 1024):
        times = step_time(machines, work * batch_size / 128, wait, rate)
        table[wire, batch_size] = (machines[times.argmin()], times[0] / times.min())
    pays = 2 * (wait + 4 * 312_052 / 2 / rate) / (work / 128 / 2)  # work saved = exchange
    print(f"{wire}: a second machine pays from a batch of {max(pays, 2):,.0f} on")
table = pd.DataFrame(table, ["machines", "times as fast"]).T
display(table.round(1))
print(f"a step here: {1000 * work:.1f} ms; your guess: {guess}")
fast = table["times as fast"]
assert fast["InfiniBand", 128] >= fast["10 Gigabit", 128] >= fast["Gigabit Ethernet", 128] >= 1

# %% tags=["hide-input"]
figure, axes = plt.subplots(1, 2, figsize=(9, 3.8), sharey=True, layout="constrained")
shown = [0, 1, 3, 7, 15, 31, 63]
for ax, batch_size in zip(axes, (128, 1024), strict=True):
    ax.plot(machines, machines, ":", color="0.5", label="ideal")
    for (wire, promise), style in zip(wires.items(), ("o-", "s-", "^-"), strict=True):
        times = step_time(machines, work * batch_size / 128, *promise)
        ax.plot(machines, times[0] / times, style, ms=4, markevery=shown, label=wire)
    ax.axhline(1, color="0.3", lw=1)
    ax.set(xscale="log", yscale="log", xlabel="machines", title=f"batches of {batch_size}")
    ax.set_xticks([1, 2, 4, 8, 16, 32, 64], [1, 2, 4, 8, 16, 32, 64])
    ax.minorticks_off()
    ax.grid(alpha=0.3)
axes[0].set_yticks([0.25, 0.5, 1, 2, 4, 8, 16, 32, 64], ["¼", "½", 1, 2, 4, 8, 16, 32, 64])
axes[0].set_ylabel("times as fast as one machine")
axes[0].legend(frameon=False, fontsize=9)
figure.suptitle("Which wire decides, and how much work a step has")
plt.show()

# %% [markdown]
# Below 1 all together are slower than one alone; where a line falls, each further machine makes a step longer. The bytes soon cost the same for ten machines as
# for sixty, $2(w-1)/w$; the waiting grows with every one, since $2(w-1)$ messages wait for each other, however small. (nccl can also pass sums along trees,
# where it grows with $\log w$.) And a faster processor moves all lines down: the less there is to compute, the sooner the wire is what everybody waits for. Larger batches
# help, as far as the training bears them.

# %% [markdown]
# ## Two machines with eight GPUs each
#
# It is the command that you have just seen, with other numbers. On *both* machines, at about the same time:
#
# ```console
# torchrun --nnodes 2 --nproc-per-node 8 --max-restarts 3 \
#     --rdzv-backend c10d --rdzv-endpoint first-machine:29500 --rdzv-id digits train.py
# ```
#
# - `--nnodes 2`, `--nproc-per-node 8`: two machines, and on each a process for every GPU; sixteen ranks.
# - `--max-restarts 3`: if one dies, start all of them again, at most three times; they go on from the checkpoint.
# - `--rdzv-backend c10d --rdzv-endpoint first-machine:29500`: the *rendezvous*. The machine of that name listens at that port, the others find it there, and learn who is who. No firewall may stand between.
# - `--rdzv-id digits`: the run's name, the same on all machines.
#
# In the script, `"nccl"` takes the place of `"gloo"`, and each process a GPU of its own before it makes anything there:
#
# ```python
# local = int(os.environ["LOCAL_RANK"])  # 0 to 7: the number on this machine
# torch.cuda.set_device(local)
# model = ResidualAutoencoder(28).to(local)  # DistributedTrainer wraps it in DDP
# ```
#
# Each machine needs the images. The checkpoint belongs in a folder that all of them share: rank 0 reads and writes it, and which machine has that rank the
# rendezvous decides. A batch of 128 has eight images for each GPU, next to nothing: take a larger one, and a learning rate to go
# with it (Goyal and others, 2017).

# %% [markdown]
# ## What you can do now
#
# - Take a step apart with clocks and the profiler, and put it under a roof that you measured yourself: what kept lesson 04's network from the peak was not memory; few channels had a large part in it.
# - Change the processor, or its numbers, and check that the training stays what it was: with bfloat16 the error did, within a few percent. Whether it is faster, a clock can tell.
# - Train in several processes: gradients are those of one, to rounding, weights the same bits in all, every image is seen once. A dead process ends the run, and the checkpoint goes on, elsewhere if need be.
# - Count an all-reduce, $2(w-1)/w$ of the gradient from each, and find the batch from which a second machine can pay.
#
# **An honest limit.** We had two processes on one machine, over a loopback that no wire resembles, and no GPU for what is stored: what we say about other wires, and about sixteen GPUs, is arithmetic and PyTorch's word. Batch
# normalisation sees its own share only (`nn.SyncBatchNorm` mends that, on GPUs). Every process evaluates all test images. And a model too large for one GPU has to be split itself, which is another course.

# %% [markdown]
# ## Exercises
#
# Write in the cell, run it, and it answers; hints and a solution stand commented out below. Nothing later
# depends on them.

# %%
from convae_lib.exercises import lesson12 as ex

# %% [markdown]
# ### 12.1 · The rows of one process *(easy, 4 minutes)*
#
# Write `own_rows(order, batch_size, rank, processes)`. `order` (N,) holds row numbers, shuffled; one process would train on batches of
# `batch_size` of them in turn, the last as small as it comes. Return a list, for each of these batches the row numbers that the process `rank` takes, counted from 0: every `processes`-th, beginning with number `rank` of the batch. A share may be empty.


# %%
def own_rows(order, batch_size, rank, processes):
    raise NotImplementedError  # your turn


ex.own_rows.check(own_rows)
# ex.own_rows.hint()
# ex.own_rows.solution()

# %% [markdown]
# ### 12.2 · One gradient of several *(medium, 6 minutes)*
#
# Write `merge_gradients(gradients, rows)`. Process k had `rows[k]` images, and `gradients[k]`, a tensor, is the gradient of *their* mean loss. Return
# the gradient of the mean loss of all images together. A process that had no image has None in place of a gradient.


# %%
def merge_gradients(gradients, rows):
    raise NotImplementedError  # your turn


ex.merge_gradients.check(merge_gradients)
# ex.merge_gradients.hint()
# ex.merge_gradients.solution()

# %% [markdown]
# ### 12.3 · How many machines? *(medium, 8 minutes)*
#
# Write `best_count(seconds, size, bandwidth, latency, most)`: the number of machines, from 1 to `most`, which makes a step the shortest, by the lesson's model. One machine
# takes `seconds`; the gradient has `size` bytes, a ring is used, `bandwidth` is in bytes a second, and each message in turn waits `latency` seconds.


# %%
def best_count(seconds, size, bandwidth, latency, most):
    raise NotImplementedError  # your turn


ex.best_count.check(best_count)
# ex.best_count.hint()
# ex.best_count.solution()

# %% [markdown]
# ### 12.4 · A step in 16 bits *(hard, 10 minutes)*
#
# Write `scaled_step(weights, gradients, scale, rate)`. `gradients` are float16 tensors, computed from `scale` times the loss so that small ones survive; `weights` are float32. Return a pair: a list of new weights after a step
# of gradient descent with the true gradients, and the scale. If any number of any gradient is infinite or NaN, the step is left out: the weights as they were, and half the scale.


# %%
def scaled_step(weights, gradients, scale, rate):
    raise NotImplementedError  # your turn


ex.scaled_step.check(scaled_step)
# ex.scaled_step.hint()
# ex.scaled_step.solution()

# %%
ex.progress()

# %% [markdown]
# ## Further reading
#
# - S. Williams, A. Waterman and D. Patterson, "Roofline: an insightful visual performance model for multicore architectures", *Communications of the ACM* 52 (2009).
# - P. Micikevicius et al., "Mixed precision training", *ICLR* (2018): float16, and why the loss is scaled.
# - P. Patarasuk and X. Yuan, "Bandwidth optimal all-reduce algorithms for clusters of workstations", *Journal of Parallel and Distributed Computing* 69 (2009): the ring.
# - S. Li et al., "PyTorch Distributed: experiences on accelerating data parallel training", *VLDB* (2020): buckets, and averaging during `backward`.
# - P. Goyal et al., "Accurate, large minibatch SGD: training ImageNet in 1 hour" (2017): what large batches ask of the learning rate.
# - J. Ansel et al., "PyTorch 2: faster machine learning through dynamic Python bytecode transformation and graph compilation", *ASPLOS* (2024): `torch.compile`.

# %% [markdown]
# This is the last lesson: from 784 pixels and a matrix to a network that trains on as many processors as there are. Back to the beginning, with other eyes:
# [00 · Why autoencoders?](00_why_autoencoders.ipynb)
