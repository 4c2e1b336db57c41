# %% [markdown]
# # 03 · The trainer
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/YOUR_GITHUB_NAME/convae-course/blob/main/notebooks/03_trainer.ipynb)
# [![Open in Binder](https://mybinder.org/badge_logo.svg)](https://mybinder.org/v2/gh/YOUR_GITHUB_NAME/convae-course/main?urlpath=lab/tree/notebooks/03_trainer.ipynb)
#
# **What happens in one training step, and what goes wrong when it is written carelessly?**
#
# You will be able to
#
# - write a training loop from memory, and say what each of its lines is for;
# - choose a learning rate by its symptoms, and without looking at the test images;
# - recognise four careless loops, measure what each costs, and check a new network in seconds.
#
# *Before you start:* [02 · Encoder and decoder](02_encoder_decoder.ipynb)
# *Time:* one minute on two cores. *Next:* [04 · MNIST](04_mnist.ipynb)

# %%
import sys

if "google.colab" in sys.modules:  # installs the course; Colab keeps its own torch
    course = "git+https://github.com/YOUR_GITHUB_NAME/convae-course"
    get_ipython().run_line_magic("pip", f"install --quiet --no-deps pooch safetensors {course}")

# %% [markdown]
# A training loop is a dozen lines; several can be missing without an error message. We go through them one
# at a time, first on a single weight, then on a few hundred images, and leave four out on purpose.

# %%
import time
import timeit

import matplotlib.pyplot as plt
import pandas as pd
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from convae_lib import Autoencoder, DenseLayer, History, PyTorchTrainer, load_mnist, mean_error
from convae_lib import permute_data, reconstruct, show_reconstructions

# %% [markdown]
# ## Batches, and what `yield` does
#
# A function with `yield` in it does not run when it is called. It returns a *generator*: a paused
# computation. Each `next` runs it up to the following `yield`, hands out that value and pauses again,
# local variables and all. A `for` loop calls `next` until there is nothing left.


# %%
def batches_of(x, size):
    for start in range(0, len(x), size):
        print(f"  [cutting rows {start} to {min(start + size, len(x)) - 1}]")
        yield x[start : start + size]


batches = batches_of(torch.arange(10), size=4)
print("nothing has been cut yet")
print(next(batches))
for batch in batches:
    print(batch)
print("and again:", list(batches))

# %% [markdown]
# Each batch is made when it is asked for, and can be forgotten after. The last batch is smaller. And a
# generator is used up after one pass: each epoch must make a new one.
#
# Images and their targets are shuffled with *one* permutation, or every image would get somebody else's
# target. By hand, and by the library's `permute_data`:

# %%
numbers = torch.arange(6)
torch.manual_seed(0)
order = torch.randperm(6)
by_hand = numbers[order], (10 * numbers)[order]

torch.manual_seed(0)
X, y = permute_data(numbers, 10 * numbers)
print(X, y)
assert torch.equal(X, by_hand[0]) and torch.equal(y, by_hand[1])
assert torch.equal(y, 10 * X) and not torch.equal(X, numbers)

# %% [markdown]
# ## One step, by hand
#
# A step has five lines. To see what they do, take the smallest model there is, one weight $w$ and no
# `nn.Module` at all: predict $wx$ for $x = 3$, want 12, start at $w = 1$.
#
# *Predict* the gradient of $(3w - 12)^2$ and the weight after one step of size 0.01.

# %%
guess = None, None  # gradient, new weight
w = torch.tensor(1.0, requires_grad=True)
optimizer = torch.optim.SGD([w], lr=0.01)

optimizer.zero_grad()  # 1. forget the previous gradients
prediction = 3 * w  # 2. forward: autograd records the operations
loss = (prediction - 12) ** 2  # 3. compare
loss.backward()  # 4. walk the record backwards: w.grad is filled
optimizer.step()  # 5. w ← w − 0.01 · w.grad
print(f"gradient {w.grad.item():.0f}, new weight {w.item():.2f}, you: {guess}")
assert w.grad == 2 * (3 * 1 - 12) * 3 and torch.isclose(w, torch.tensor(1 - 0.01 * -54))

# %% [markdown]
# So it is *tensors* that record operations, whenever `requires_grad` is set. `nn.Module` merely collects
# weights under names. The [source lesson](../README.md#the-source-lesson), the blog post this course grew
# out of, credits the module with the gradients, and calls `zero_grad` an initialisation of the parameters.
# It touches no parameter. It clears `.grad`, because `backward` *adds* to what is there:

# %%
weight = torch.tensor(1.0, requires_grad=True)
for repetition in (1, 2, 3):
    ((3 * weight - 12) ** 2).backward()
    gradient = weight.grad.item()
    print(f"after backward number {repetition}: gradient {gradient:.0f}, weight {weight.item():.0f}")
assert weight.grad == 3 * -54 and weight == 1

torch.optim.SGD([weight], lr=0.01).zero_grad()
print(f"after zero_grad: gradient {weight.grad}, weight {weight.item():.0f}")
assert weight.grad is None and weight == 1

# %% [markdown]
# ## How far to step
#
# The gradient says which way is down, not how far to go; that is the *learning rate* $\eta$. Here the
# gradient is $2 \cdot 3 \cdot (3w - 12) = 18(w - 4)$. So the best weight is 4, and each step multiplies the
# distance $w - 4$ by $1 - 18\eta$.
#
# *Predict:* from which learning rate on does the weight no longer settle?

# %%
guess = None  # the learning rate
settled = []
for rate in (0.001, 0.05, 0.11, 0.12):
    weight, path = torch.tensor(1.0, requires_grad=True), []
    optimizer = torch.optim.SGD([weight], lr=rate)
    for _ in range(8):
        optimizer.zero_grad()
        ((3 * weight - 12) ** 2).backward()
        optimizer.step()
        path.append(weight.item())
    print(f"{rate:<6}", " ".join(f"{value:7.2f}" for value in path))
    settled += [rate] if abs(path[-1] - 4) < abs(path[0] - 4) else []
print(f"measured: between {settled[-1]} and {rate}; 2/18 = {2 / 18:.3f}; you: {guess}")
assert settled == [0.001, 0.05, 0.11]

# %% [markdown]
# Too small: it creeps. Right: it is there after a few steps. Larger: it jumps across the goal and back, each
# time a little nearer; too large: each time further. A network has no such formula, so one tries a few rates
# and keeps the best.
#
# ## Choosing needs images of its own
#
# On which images, though? A hundred people toss coins to answer a hundred questions. *Predict* the score
# of the best of them, and what she scores on new questions.

# %%
guess = None, None  # per cent
torch.manual_seed(0)
truth, answers = torch.randint(2, (10_100,)), torch.randint(2, (100, 10_100))  # one row a person
right = (answers == truth).float()
scores, later = right[:, :100].mean(dim=1), right[:, 100:].mean(dim=1)

best = scores.argmax()
print(f"a hundred questions: average {scores.mean():.0%}, best {scores[best]:.0%}")
print(f"the same person on 10,000 new ones: {later[best]:.0%}, you: {guess}")
assert scores[best] > 0.58 and abs(later[best] - 0.5) < 0.02

# %% [markdown]
# Nobody knew anything. *Choosing* the best made her look good, on the questions she was chosen by. It is
# the same with learning rates, epochs or networks: the score that chose them is too good to report. So
# a part of the training images is set aside for choosing, the *validation* images. The test images
# answer one question, at the end.

# %% tags=["nbval-ignore-output"]
data = load_mnist()
print(data)

order = torch.randperm(len(data.train_images), generator=torch.Generator().manual_seed(0))
few, validation = data.train_images[order[:600]], data.train_images[order[600:1200]]
print(f"to train on here: {len(few)}, to choose by: {len(validation)}")
assert few.shape == validation.shape == (600, 1, 28, 28) and order[:1200].unique().numel() == 1200

# %% [markdown]
# ## The sanity check: overfit one batch
#
# Before a long training, try a short one: can the network learn eight images by heart? If it cannot,
# something is broken, and more data will not mend it. If it can, the network and the step work. Whether every
# image has its *own* target, this check cannot tell: wrong pairs can be learnt by heart as well.
#
# *Predict* the loss after 150 steps. The loss of drawing the mean of the eight images for each of them is
# printed beside.


# %% tags=["nbval-ignore-output"]
def overfit(batch, seed, steps=150, clear_gradients=True):
    torch.manual_seed(seed)
    model = Autoencoder(hidden_dim=28)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    losses = []
    for _ in range(steps):
        if clear_gradients:
            optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(batch)[0], batch)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return model, losses


guess = None  # the loss
eight = few[:8]
model, losses = overfit(eight, seed=0)
mean_image = (eight - eight.mean(dim=0)).square().mean().item()
print(f"loss {losses[0]:.2f} at first, {losses[-1]:.3f} at the end; mean image {mean_image:.3f}; you: {guess}")
assert losses[-1] < 0.2 * mean_image

# %% [markdown]
# By heart, or nearly.
#
# ## Careless, first: no `zero_grad`
#
# The same eight images, without line 1. Each step now follows the sum of *all* gradients so far. One run
# proves little, so there are two of each kind, from other starts. Beside the loss stands how far the eight
# pictures, and the eight codes, differ from one another: the standard deviation of a pixel, or a code number.
#
# *Predict* the loss: falls slower, faster, gets stuck?

# %% tags=["nbval-ignore-output"]
guess = None  # a word
runs = {"zero_grad": [(model, losses), overfit(eight, seed=1)]}
runs["without"] = [overfit(eight, seed, clear_gradients=False) for seed in (0, 1)]
all_black = (eight + 1).square().mean().item()
rows, table = {"batch": eight}, []
for name, pair in runs.items():
    for network, losses in pair:
        drawn, codes = reconstruct(network, eight)
        rows.setdefault(name, drawn)  # the first run's
        differ = [numbers.std(dim=0).mean().item() for numbers in (drawn, codes)]
        table.append((name, losses[-1], *differ, codes.abs().mean().item()))
columns = ["run", "loss", "pictures differ", "codes differ", "mean |code|"]
table = pd.DataFrame(table, columns=columns).set_index("run")
print(table.round(3).to_string())
print(f"mean image: loss {mean_image:.3f}; all black: {all_black:.3f}; you: {guess}")

show_reconstructions(rows).set_title("Without zero_grad one picture for all eight")
plt.show()
with_it, without = table.loc["zero_grad"], table.loc["without"]
assert without["loss"].min() > 1.2 * mean_image and with_it["loss"].max() < 0.8 * mean_image
assert 20 * without["pictures differ"].max() < with_it["pictures differ"].min()
assert 3 * without["codes differ"].max() < with_it["codes differ"].min()

# %% tags=["hide-input"]
figure, ax = plt.subplots(figsize=(7, 3.4), layout="constrained")
for (name, pair), style in zip(runs.items(), ("C0-", "C1--"), strict=True):
    for n, (_, losses) in enumerate(pair):
        ax.semilogy(range(1, 151), losses, style, lw=1.4, label=None if n else name)
for name, level in {"all black": all_black, "mean image": mean_image}.items():
    ax.axhline(level, color="0.2", linestyle=":", linewidth=1)
    ax.text(151, level, name, va="center")
ax.set(xlim=(1, 150), xlabel="step", ylabel="mean squared error")
ax.set_title("Without zero_grad the loss stays above the mean image's")
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# The loss falls for a few steps, overshoots, and stays above the mean image's. Pictures and codes say why: one
# and the same stroke for all eight, from nearly the same code, whose numbers lie at −1 and 1. There the $\tanh$
# is flat, and hardly a gradient comes back to the encoder. No error, no warning; and the curve alone does not
# give the cause away, as you are about to see.

# %% [markdown]
# ## A learning rate for the network
#
# Four rates, each ten times the one before, with SGD and momentum (each step keeps nine tenths of the last
# one), four epochs over the 600 images. *Predict* which one wins on the validation images.

# %% tags=["nbval-ignore-output"]
guess = None  # one of the four
curves, models = {}, {}
for rate in (0.0003, 0.003, 0.03, 0.3):
    torch.manual_seed(0)
    models[rate], curves[rate] = Autoencoder(hidden_dim=28), []
    optimizer = torch.optim.SGD(models[rate].parameters(), lr=rate, momentum=0.9)
    for _ in range(4):
        for x in permute_data(few, few)[0].split(60):
            optimizer.zero_grad()
            loss = nn.functional.mse_loss(models[rate](x)[0], x)
            loss.backward()
            optimizer.step()
            curves[rate].append(loss.item())

errors = pd.Series({rate: mean_error(network, validation) for rate, network in models.items()})
best = errors.idxmin()
test_error = mean_error(models[best], data.test_images[:1000])  # once, after the choice
black = (reconstruct(models[0.3], validation)[0] < -0.99).float().mean()
all_black = (validation + 1).square().mean().item()  # the error of black images
print(errors.round(3).to_string())
print(f"chosen {best}, you: {guess}; on test images {test_error:.3f}; at 0.3, {black:.0%} of the pixels black")
assert best == 0.03 and errors[0.0003] > 1.5 * errors[best] and errors[0.3] > 1.3 * errors[best]
assert abs(test_error / errors[best] - 1) < 0.1 and errors[0.3] > 0.8 * all_black

# %% tags=["hide-input"]
figure, ax = plt.subplots(figsize=(7, 3.4), layout="constrained")
names = {0.0003: "too small", 0.003: "small", 0.03: "best here", 0.3: "too large"}
for (rate, name), style in zip(names.items(), (":", "-.", "-", "--"), strict=True):
    ax.plot(range(1, 41), curves[rate], style, lw=1.4, label=f"{rate:g}  {name}")
ax.axhline((few + 1).square().mean(), color="0.2", linewidth=0.7)
ax.text(40.5, (few + 1).square().mean(), "all black", va="center")
ax.set(xlim=(1, 40), ylim=(0.2, 0.95), xlabel="step", ylabel="mean squared error of the batch")
ax.set_title("Too small creeps, too large ends in the dark")
ax.legend(title="learning rate", frameon=False, ncols=2)
plt.show()

# %% [markdown]
# Too small falls smoothly, and too slowly. Too large falls *fastest* at first and then stays at a black
# image's loss: stuck, like the loop without `zero_grad`. A symptom does not name its cause.
#
# On test images the chosen one does about as well as on those it was chosen by: with four rates so far apart,
# luck had no part in the choice. Among a hundred similar ones it would.

# %% [markdown]
# ## Careless, second: evaluating with the graph kept
#
# `model(test_images)`, in one call and while autograd is recording, looks innocent. It must remember every
# layer's output, because a backward pass would need it: by lesson 02's count 10,976 + 5,488 + 28 + 5,488 +
# 10,976 + 784 numbers per image, four bytes each. *Predict* the total for 10,000 images; then we ask autograd
# what it really saves.

# %%
guess = None  # gigabytes for 10,000 images
images = data.test_images[:50].clone()
known = {tensor.untyped_storage().data_ptr() for tensor in (images, *model.parameters())}


def saved_per_image(mode):
    stored = {}

    def note(tensor):
        memory = tensor.untyped_storage()
        if memory.data_ptr() not in known:
            stored[memory.data_ptr()] = memory.nbytes()
        return tensor

    with mode, torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        output = model(images)  # kept, as its graph is
    return sum(stored.values()) // len(images)


predicted = 4 * (10_976 + 5_488 + 28 + 5_488 + 10_976 + 784)
recording, careful = saved_per_image(torch.enable_grad()), saved_per_image(torch.inference_mode())
print(f"per image: {predicted:,} bytes predicted, {recording:,} saved, {careful} under inference_mode")
print(f"for 10,000 images: {10_000 * predicted / 1e9:.2f} GB, you: {guess}")
assert recording == predicted and careful == 0

# %% [markdown]
# More than a gigabyte for an evaluation that needs no gradient at all, and the layers' working space comes on
# top. Binder gives you two in all. The remedy is `inference_mode`, under which nothing is saved, and a batch
# at a time, which bounds the working space: `reconstruct` does both. A smaller relative of the mistake is to
# collect the losses themselves, tensors tied to a graph. Store `loss.item()`, a plain number.

# %% [markdown]
# ## Careless, third: no `eval()`
#
# `train()` and `eval()` compute nothing. They set a flag that some layers look at. This course's autoencoder
# has none of these, so forgetting the flag goes unpunished, until somebody adds one: *dropout*, say, which in
# training silences units at random, here every second one. Train a small network with it.
#
# *Predict* in which mode its validation loss is the higher, and what asking three times gives.

# %% tags=["nbval-ignore-output"]
guess = None  # "train" or "eval"
torch.manual_seed(0)
dropping = nn.Sequential(
    nn.Flatten(), DenseLayer(784, 64, dropout=0.5, activation=nn.Tanh()), DenseLayer(64, 784)
)
optimizer = torch.optim.Adam(dropping.parameters(), lr=1e-3)
for _ in range(20):
    for x in few.flatten(1).split(60):
        optimizer.zero_grad()
        nn.functional.mse_loss(dropping(x), x).backward()
        optimizer.step()

losses_in, x = {}, validation.flatten(1)
for mode in ("train", "eval"):
    getattr(dropping, mode)()
    with torch.inference_mode():
        losses_in[mode] = [nn.functional.mse_loss(dropping(x), x).item() for _ in range(3)]
    print(f"{mode}():", ", ".join(f"{loss:.5f}" for loss in losses_in[mode]))
print(f"you: {guess}")
assert len(set(losses_in["train"])) == 3 and len(set(losses_in["eval"])) == 1
assert min(losses_in["train"]) > 1.05 * losses_in["eval"][0]

# %% [markdown]
# Three answers to one question, all of them too high: half the units were missing. *Batch normalisation* is
# the more dangerous one. It subtracts a mean and divides by a deviation: those of *its batch* in training, in
# `eval()` the running averages that it has kept. Tiny first: it has seen numbers around 5 with a deviation
# of 2. *Predict* what it makes of an 8, beside a 1, a 5 and a 13.

# %%
guess = None  # three numbers in eval(), three in train()
neighbours = (1, 5, 13)
norm = nn.BatchNorm1d(1)
torch.manual_seed(0)
for _ in range(100):
    norm(5 + 2 * torch.randn(1000, 1))

answers, means = {}, {}
print(f"remembers mean {norm.running_mean.item():.1f}, deviation {norm.running_var.item() ** 0.5:.1f}")
for mode in ("eval", "train"):
    getattr(norm, mode)()
    found = [norm(torch.tensor([[8.0], [beside]]))[0].item() for beside in neighbours]
    answers[mode], means[mode] = [round(answer, 1) for answer in found], norm.running_mean.item()
    print(f"{mode}(): 8 beside {neighbours} becomes {answers[mode]}; then remembers mean {means[mode]:.1f}")
print(f"you: {guess}")
assert len(set(answers["eval"])) == 1 and answers["train"] == [1.0, 1.0, -1.0]
assert abs(means["eval"] - 5) < 0.1 and means["train"] > 5.3

# %% [markdown]
# Under `eval()` an 8 is an 8. Under `train()` it is whatever its neighbours make of it; and *asking*
# changed what the layer remembers, so evaluating in the wrong mode lets test images into the model. Call
# `eval()` before every evaluation, `train()` before every epoch.
#
# ## Careless, fourth: nothing is seeded
#
# Initial weights and shuffling are random. How much of a result is luck? One epoch on the 600 images, from
# four seeds, and the fourth once more. *Predict* the two differences.


# %% tags=["nbval-ignore-output"]
def short_run(seed):
    torch.manual_seed(seed)
    model = Autoencoder(hidden_dim=28)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.03, momentum=0.9)
    for x in permute_data(few, few)[0].split(60):
        optimizer.zero_grad()
        nn.functional.mse_loss(model(x)[0], x).backward()
        optimizer.step()
    return mean_error(model, validation)


guess = None, None  # between seeds, with the same seed
reached = [short_run(seed) for seed in (0, 1, 2, 3, 3)]
spread = max(reached) - min(reached)
print("four seeds:", ", ".join(f"{error:.4f}" for error in reached[:4]))
print(f"between seeds {spread:.4f}, with the same seed {abs(reached[4] - reached[3])}, you: {guess}")
assert spread > 0.001 and reached[4] == reached[3]

# %% [markdown]
# With the seed set, the run repeats to the last bit on this machine. That repeats the luck, it does not remove
# it: a gain smaller than the spread may be luck, seeded or not. Seed to repeat; compare over several seeds.

# %% [markdown]
# ## The same loop with a `DataLoader`
#
# Elsewhere you will meet `for x, y in DataLoader(dataset, batch_size=60, shuffle=True)`. The dataset hands
# out one example at a time, the loader picks and stacks them. Told the order, it makes the very batches that
# indexing makes. *Predict* how much longer it takes to make an epoch's batches, while all images lie in
# memory.

# %% tags=["nbval-ignore-output"]
guess = None  # times
dataset, order = TensorDataset(few, few), torch.randperm(len(few))
by_loader = torch.cat([x for x, _ in DataLoader(dataset, batch_size=60, sampler=order.tolist())])
print(f"largest difference between their batches: {(by_loader - few[order]).abs().max().item()}")

ways = {
    "indexing": (20, lambda: [(few[rows], few[rows]) for rows in torch.randperm(len(few)).split(60)]),
    "DataLoader": (20, lambda: list(DataLoader(dataset, batch_size=60, shuffle=True))),
    "training": (1, lambda: short_run(seed=0)),
}
epoch = pd.Series(name="milliseconds", dtype=float)
for way, (rounds, make) in ways.items():  # of the quickest round, which was disturbed least
    epoch[way] = 1000 * min(timeit.repeat(make, number=1, repeat=rounds))
dearer = epoch["DataLoader"] / epoch["indexing"]
print(epoch.round(1).to_string())
print(f"the loader takes {dearer:.1f} times as long, you: {guess}")
assert torch.equal(by_loader, few[order])

# %% [markdown]
# A few times dearer than indexing, and still a small part of an epoch of *this* network on a processor.
# The faster the step, on a GPU for one, the more it matters. A loader earns its price where images lie on
# disk or are changed on the way in, with `num_workers` processes doing so (lesson 04 has such a dataset).
# Our images fit in memory, so we index.

# %% [markdown]
# ## Where it runs
#
# One line finds the machine's accelerator, if it has one. The model moves there before the optimizer is made
# (PyTorch's documentation asks for that order); each batch follows it. Where the two lie on different
# devices, torch stops with an error.

# %% tags=["nbval-ignore-output"]
device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else "cpu"

model = Autoencoder(hidden_dim=28).to(device)
optimizer = torch.optim.SGD(model.parameters(), lr=0.03, momentum=0.9)
x, losses = few[:60].to(device), []
for _ in range(2):
    optimizer.zero_grad()
    loss = nn.functional.mse_loss(model(x)[0], x)
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
print(f"on {device}: loss {losses[0]:.4f}, after a step {losses[1]:.4f}")
assert losses[1] < losses[0]

# %% [markdown]
# ## The trainer
#
# Put together, without the mistakes. First the parts: batches, the loss of one batch, one step, and the
# evaluation. Check that you know why each line is there. Why does `evaluate` count each batch's loss
# `len(x_batch)` times? Because the last batch may be smaller: of ten images in batches of 4, 4 and 2, a plain
# mean of the batch losses would count the last two double.


# %%
class TrainerParts:
    def __init__(self, model, optim, criterion):
        self.model = model
        self.optim = optim
        self.criterion = criterion

    def train_step(self, x, y):
        self.optim.zero_grad()  # 1. forget the previous gradients
        loss = self.batch_loss(x, y)  # 2. forward, 3. compare
        loss.backward()  # 4. new gradients
        self.optim.step()  # 5. a step against them
        return loss.item()

    def batch_loss(self, x, y):
        output = self.model(x)[0]
        return self.criterion(output, y)

    @torch.inference_mode()
    def evaluate(self, x, y, batch_size=250):
        self.model.eval()
        device = next(self.model.parameters()).device
        total_loss = 0.0
        for x_batch, y_batch in self._generate_batches(x, y, batch_size):
            loss = self.batch_loss(x_batch.to(device), y_batch.to(device))
            total_loss += loss.item() * len(x_batch)
        return total_loss / len(x)

    def _generate_batches(self, x, y, size=32):
        for start in range(0, len(x), size):
            yield x[start : start + size], y[start : start + size]


# %% [markdown]
# And now the loops: over the batches of an epoch, in a new random order, and over the epochs, with an evaluation
# every `eval_every` of them. A `History` of the library keeps the losses.


# %%
class SmallTrainer(TrainerParts):
    def fit(self, x_train, y_train, x_test, y_test, epochs=100, eval_every=10, batch_size=32):
        self.history = History()
        seconds = 0.0
        for epoch in range(1, epochs + 1):
            start = time.perf_counter()
            train_loss = self.train_epoch(x_train, y_train, batch_size)
            seconds += time.perf_counter() - start
            if epoch % eval_every == 0 or epoch == epochs:
                test_loss = self.evaluate(x_test, y_test)
                self.history.add(epoch, seconds, train_loss, test_loss)
                print(f"epoch {epoch}: train loss {train_loss:.4f}, test loss {test_loss:.4f}")
        self.model.eval()
        return self.history

    def train_epoch(self, x_train, y_train, batch_size):
        device = next(self.model.parameters()).device
        self.model.train()
        x_shuffled, y_shuffled = permute_data(x_train, y_train)
        total_loss = 0.0
        for x, y in self._generate_batches(x_shuffled, y_shuffled, batch_size):
            loss = self.train_step(x.to(device), y.to(device))
            total_loss += loss * len(x)
            self.history.batch_losses.append(loss)
        return total_loss / len(x_train)


# %% [markdown]
# The library's `PyTorchTrainer` (`convae_lib/training.py`) is this class with checks of its arguments, a progress
# bar, a seed, a learning-rate schedule, `callbacks`, and Ctrl-C, which ends the training and keeps the weights. A
# callback is a function that is called with the trainer after every evaluation; it ends the training by setting
# `trainer.stop = True`. From the same start, do the two agree, weight for weight? ("Test" is whatever you hand
# over second; here it is the validation images.)

# %% tags=["nbval-ignore-output"]
trained = []
for trainer_class, options in ((SmallTrainer, {}), (PyTorchTrainer, {"seed": 7})):
    torch.manual_seed(0)
    model = Autoencoder(hidden_dim=28)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    trainer = trainer_class(model, optimizer, nn.MSELoss())
    torch.manual_seed(7)
    pairs = few, few, validation, validation
    history = trainer.fit(*pairs, epochs=3, eval_every=2, batch_size=60, **options)
    trained.append((history.batch_losses, [p.detach() for p in model.parameters()]))

(small_losses, small_weights), (losses, weights) = trained
difference = max((a - b).abs().max().item() for a, b in zip(small_weights, weights, strict=True))
print(history.frame.round(4).to_string(index=False))
print(f"largest difference over all {sum(p.numel() for p in weights):,} weights: {difference}")
assert difference < 1e-6 and history.frame["epoch"].tolist() == [2, 3]
assert len(losses) == 3 * 10
assert torch.allclose(torch.tensor(small_losses), torch.tensor(losses), atol=1e-6)

# %% [markdown]
# ## What you can do now
#
# - Write the five lines of a step, and say what each does; you computed one by hand.
# - Choose a learning rate by its curve and on validation images, and say why not on test images.
# - Four silent mistakes: no `zero_grad` (a loss that gets stuck, as with too large a rate), the graph kept
#   (memory), no `eval` (answers that depend on chance and neighbours), no seed (no run repeats). And overfit
#   eight images, a test of seconds for any new network.
#
# **An honest limit.** "To the bit" holds on one machine with one number of threads. Another adds in another
# order, and over many steps the digits drift apart: so this course compares within tolerances.

# %% [markdown]
# ## Exercises
#
# Write your answer into a cell and run the cell: it tells you at once whether you are right, and if not, what to
# think about. Hints and a solution stand commented out below, and nothing later depends on your answers.

# %%
from convae_lib.exercises import lesson03 as ex

# %% [markdown]
# ### 03.1 · One training step
#
# *(easy, 4 minutes)* The five lines. `model(x)` returns a reconstruction and a code, as our autoencoder does;
# `criterion` compares the reconstruction with the target `y`; `.grad` may hold something old. Make one step,
# and return the loss that it came from as a plain number.


# %%
def training_step(model, optimizer, criterion, x, y):
    raise NotImplementedError  # your turn


ex.training_step.check(training_step)
# ex.training_step.hint()
# ex.training_step.solution()

# %% [markdown]
# ### 03.2 · Batches
#
# *(easy, 5 minutes)* Every epoch needs new batches. Return (or `yield`) pairs of batches, `x` and `y` both
# shuffled with one order, that is another one at every call. Each has `size` rows, the last one as many as are
# left.


# %%
def shuffled_batches(x, y, size):
    raise NotImplementedError  # your turn


ex.shuffled_batches.check(shuffled_batches)
# ex.shuffled_batches.hint()
# ex.shuffled_batches.solution()

# %% [markdown]
# ### 03.3 · An evaluation
#
# *(medium, 6 minutes)* Return the mean loss over all rows of `x` and `y`, a plain number: in evaluation mode,
# without a graph, never more than `size` rows at once through the model. `model(x)` returns a pair, as above,
# and `criterion` the mean loss of the rows that it is given.


# %%
def evaluate(model, criterion, x, y, size):
    raise NotImplementedError  # your turn


ex.evaluate.check(evaluate)
# ex.evaluate.hint()
# ex.evaluate.solution()

# %% [markdown]
# ### 03.4 · A large batch in a small memory
#
# *(hard, 8 minutes)* Make the *one* step of exercise 1, from the gradient of the whole batch, without ever
# sending more than `size` rows through the model at once, nor keeping the graph of more. Return the loss of the
# whole batch, a plain number. The last piece may be smaller.


# %%
def accumulated_step(model, optimizer, criterion, x, y, size):
    raise NotImplementedError  # your turn


ex.accumulated_step.check(accumulated_step)
# ex.accumulated_step.hint()
# ex.accumulated_step.solution()

# %%
ex.progress()

# %% [markdown]
# ## Further reading
#
# - A. Paszke et al., "Automatic differentiation in PyTorch", NIPS Autodiff Workshop (2017): the record that
#   `backward` walks.
# - S. Ioffe and C. Szegedy, "Batch normalization: accelerating deep network training by reducing internal
#   covariate shift", *ICML* (2015).
# - A. Karpathy, "A recipe for training neural networks" (2019): the sanity checks of a practitioner.
# - PyTorch's notes on reproducibility: which seeds there are, and what they cannot promise.

# %% [markdown]
# **Next:** [04 · MNIST](04_mnist.ipynb) trains for real, and asks whether the result is any good.
