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
# *Time:* one minute on two cores, half of it training. *Next:* [05 · Reconstruction](05_reconstruction.ipynb)

# %%
import sys

if "google.colab" in sys.modules:  # installs the course; Colab keeps its own torch
    course = "git+https://github.com/YOUR_GITHUB_NAME/convae-course"
    get_ipython().run_line_magic("pip", f"install --quiet --no-deps pooch safetensors {course}")

# %% [markdown]
# The [source lesson](../README.md#the-source-lesson), the blog post this course grew out of, trains its
# network for one epoch, reports a test loss of 0.0679 and calls it quite low. This lesson repeats the run, and
# asks: low compared with what? But first, the data.

# %%
import math
import os
import struct
import tempfile
import timeit
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import torch
from torch import nn
from torch.utils.data import DataLoader, Subset

from convae_lib import Autoencoder, LinearAutoencoder, PyTorchTrainer, from_dataset, load_mnist
from convae_lib import load_pretrained, mean_error, pca_baseline, plot_history, scale_images
from convae_lib import show_reconstructions

import pooch

import convae_lib.torchvision_cpu  # lets the next line work next to a CPU-only torch
from torchvision.datasets import MNIST
from torchvision.transforms import Compose, Normalize, ToTensor

# %% tags=["nbval-ignore-output"]
data = load_mnist()
train, test = data.train_images, data.test_images
epochs = math.ceil(60_000 / len(train))  # 1; with the offline subset 15, for as many steps
print(data)
assert len(train) >= 4 * len(test) and epochs * len(train) == 60_000

# %% [markdown]
# ## As most people load it
#
# `load_mnist` is this course's own. In most code you will meet `torchvision.datasets.MNIST`, as in the source
# lesson. It reads the very files that `load_mnist` has just found or stored. (If there are none of these names,
# for example because you are offline, the folded cell writes the images into such files.)

# %% tags=["hide-input"]
folder = Path(os.environ.get("CONVAE_DATA") or pooch.os_cache("convae")).expanduser()

if data.source == "offline" or not (folder / "MNIST/raw/train-images-idx3-ubyte").exists():
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
# No compression: sixteen bytes of header, then one byte per pixel, row by row. The magic number is
# 8 · 256 + 3: 8 stands for unsigned bytes, 3 for three axes. You have read MNIST without a library.
#
# ## Look first
#
# Five images of every digit, one column each. A minute spent here has saved many a project: are the labels
# right, are images cropped, inverted, empty?

# %% tags=["nbval-ignore-output"]
where = torch.stack([(data.train_labels == digit).nonzero()[:5, 0] for digit in range(10)])  # (10, 5)
rows = {f"example {n + 1}": data.train_images[where[:, n]] for n in range(5)}
ax = show_reconstructions(rows, captions=[str(digit) for digit in range(10)])
ax.set_title("Five training images of every digit, under the digit's name")
plt.show()

faintest, border = train.amax(dim=(1, 2, 3)).min(), train[..., 0, :].mean()
print(f"brightest pixel of the faintest of all {len(train):,}: {faintest:.2f}; mean of the top row {border:.4f}")
assert faintest > 0 > -0.99 > border

# %% [markdown]
# These fifty are upright, centred and labelled as we would; beside some a speck of ink lies. Of all the others
# we have asked at least whether one is empty, inverted, or cut off at the top. Now the pixels: how often does
# each of the 256 values occur? *Predict* the share of pixels that are exactly black, 0.

# %% tags=["nbval-ignore-output"]
guess = None  # your number: the share of black pixels, in percent

values = torch.arange(256)
counts = sum(torch.bincount(part.flatten(), minlength=256) for part in dataset.data.split(1000))
shares = counts.double() / counts.sum()
mean = (shares * values).sum() / 255
std = ((shares * (values / 255 - mean) ** 2).sum()).sqrt()
black, grey, white = shares[0], shares[1:230].sum(), shares[230:].sum()
print(f"black, 0: {black:.0%} (your guess: {guess})")
print(f"grey, 1 to 229: {grey:.0%}; white or nearly, 230 to 255: {white:.0%}")
print(f"on a scale from 0 to 1: mean {mean:.4f}, standard deviation {std:.4f}")
tolerance = 0.00005 if data.source == "mnist" else 0.002
assert abs(mean - 0.1307) < tolerance and abs(std - 0.3081) < tolerance and 0.79 < black < 0.83

# %% tags=["hide-input"]
figure, ax = plt.subplots(figsize=(7, 3.2), layout="constrained")
ax.step(values, shares.cumsum(0), where="post", color="0.3")
ax.axvline(229.5, color="0.8", linewidth=1)
for place, name in ((115, f"grey: {grey:.0%}"), (247, f"white: {white:.0%}")):
    ax.text(place, 0.77, name, ha="center")
ax.set(ylim=(0.75, 1), xlabel="pixel value, 0 black to 255 white", ylabel="share of pixels up to this value")
ax.set_title("Four pixels in five are black; of the rest, half are grey")
plt.show()

# %% [markdown]
# Strokes have soft edges, so about half of the ink is grey. But most of an image is empty. A network that draws
# a black picture is right about 80 % of the pixels. So the share of right pixels says nothing; what the missing
# ink costs in squared error, the baselines below will tell.
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
# a silent one.
#
# ## Three steps of scaling
#
# So the source lesson scales by hand: divide by 255; subtract 0.1305 and divide by 0.3081; then map the
# smallest value of the training set to −1 and the largest to 1. *Predict* the largest change of any pixel if
# the mean is taken to be 42.


# %%
guess = None  # your number, on the scale from −1 to 1


def three_steps(x, mean, std=0.3081):
    x = x.double() / 255
    x = (x - mean) / std
    return 2 * (x - x.min()) / (x.max() - x.min()) - 1


one_step = 2 * values.double() / 255 - 1  # of every value that a pixel can have
for mean_used in (0.1305, 0.1307, 42.0):
    difference = (three_steps(values, mean_used) - one_step).abs().max().item()
    print(f"mean {mean_used:>7}: largest difference from 2x/255 − 1: {difference:.10f}")
    assert difference < 1e-10
print(f"your guess: {guess}")
ours = scale_images(values.byte().reshape(1, 16, 16)).flatten().double()
assert torch.allclose(ours, one_step, atol=1e-6)

# %% [markdown]
# Nothing changes. The middle step is an increasing straight line, and the last one undoes *any* such line, since
# the training set holds both pure black and pure white. What remains is $2x/255 - 1$; `scale_images` does just
# that. (0.1305 is a slip too, for 0.1307, and harmless.)
#
# Why −1 to 1? Because the decoder ends in a $\tanh$, which cannot leave that range. Suppose that the
# transform *had* run, and nothing else: white would be 2.82. A step of 1 on that scale is 0.3081 of the way from
# black to white, and 2 × 0.3081 on ours. *Predict* the error, on ours, that a perfect decoder would still make.

# %%
guess = None  # your number, on this course's scale, where PCA with 28 numbers makes 0.07 to 0.08

wanted = (values / 255 - 0.1305) / 0.3081
best = wanted.clamp(-1, 1)  # the nearest that tanh can come
floor = (shares * (wanted - best) ** 2).sum() * (2 * 0.3081) ** 2  # back on the scale of [−1, 1]
out_of_reach = int((wanted <= 1).sum())
print(f"white is {wanted.max():.2f}; out of reach is every pixel value from {out_of_reach} on")
print(f"a perfect decoder's error: {floor:.2f} (your guess: {guess})")
assert floor > 0.1 and wanted[out_of_reach - 1] <= 1 < wanted[out_of_reach]

# %% [markdown]
# No training could mend that: every pixel from that value on lies out of reach. The scale of the data and the
# range of the last activation belong together. With torchvision, `Normalize((0.5,), (0.5,))` gives the same −1
# to 1, since $(x/255 - 0.5)/0.5 = 2x/255 - 1$.
#
# ## Item by item, or all at once
#
# First as lesson 03 did it, a `DataLoader` that asks the dataset for one item after the other; then all items
# at once.

# %%
to_tanh = Compose([ToTensor(), Normalize((0.5,), (0.5,))])  # from −1 to 1
dataset.transform = to_tanh  # the same as MNIST(folder, train=True, transform=to_tanh)
loader = DataLoader(dataset, batch_size=60, shuffle=True)
images, labels = next(iter(loader))
print(images.dtype, tuple(images.shape), labels.dtype, tuple(labels.shape))

images, labels = from_dataset(Subset(MNIST(folder, train=False, transform=to_tanh), range(1000)))
print(f"{len(images)} items, largest difference from load_mnist's: {(images - test[:1000]).abs().max():.6f}")
assert torch.allclose(images, test[:1000], atol=1e-6) and torch.equal(labels, data.test_labels[:1000])

# %% [markdown]
# `from_dataset` fetches every item of any dataset once and returns two tensors. (Given pictures without a
# transform, it applies $2x/255 - 1$ itself.) `train` is such a tensor: MNIST's 60,000 training images take
# 188 MB. From then on, a batch is an index: `train[rows]`. *Predict* how many times faster that is than the
# loader.

# %% tags=["nbval-ignore-output"]
guess = None  # your number: the loader's time, divided by the tensor's

part = Subset(dataset, range(min(len(dataset), 10_000)))


def by_loader():
    return [images for images, labels in DataLoader(part, batch_size=60, shuffle=True)]


def by_index():
    return [train[rows] for rows in torch.randperm(len(part)).split(60)]


from_loader = len(part) / min(timeit.repeat(by_loader, number=1, repeat=2))
from_tensor = len(part) / min(timeit.repeat(by_index, number=1, repeat=10))
print(f"images per second, no training: loader {from_loader:,.0f}, tensor {from_tensor:,.0f}")
print(f"{from_tensor / from_loader:.0f} times faster (your guess: {guess})")
assert sum(len(images) for images in by_index()) == len(part)

# %% [markdown]
# Lesson 03's loader was a few times slower than indexing; the rest is the transform, which turns every image into
# a picture, the picture into a tensor, and scales it, anew in every epoch. `num_workers=2` would share that
# among two processes. A loader is the right tool where images do not fit in memory, or where a random transform
# must be drawn afresh in each epoch: a tensor would freeze it.
#
# ## Baselines before training
#
# Decide what would be good *before* looking at your own number. Rivals, from crude to good, learn what they
# need from the training images, and are scored on the test images.

# %% tags=["nbval-ignore-output"]
del loader, dataset  # done with; frees their copy of the bytes
pca = pca_baseline(train, hidden_dim=64)  # one fit
baselines = {"all black": (test + 1).square().mean().item()}
for size in (0, 16, 28, 32, 64):
    first = LinearAutoencoder(pca.components[:size], pca.mean)  # its first components, in order
    baselines[f"PCA-{size}" if size else "mean image"] = mean_error(first, test)
print(pd.Series(baselines, name="test error").round(4).to_string())
assert 0.070 < baselines["PCA-28"] < 0.080 and baselines["mean image"] > 3 * baselines["PCA-28"]

# %% [markdown]
# PCA nests: the best 28 components are the first 28 of the best 64 (tested below on 4,000 images), and with none
# at all it draws the mean image. So one fit gives a whole curve. Components are orthonormal, so by Pythagoras
# each takes its squared code number off the error of an image,
# $\text{error}(k) = \frac{1}{784}(\lVert x-\bar x\rVert^2 - z_1^2 - \dots - z_k^2)$, averaged over the images.

# %% tags=["nbval-ignore-output"]
centred = (test - pca.mean).flatten(start_dim=1)  # (N, 784)
taken_off = (centred @ pca.components.T).double().square().sum(dim=0).cumsum(dim=0)  # (64,)
curve = (centred.double().square().sum() - taken_off) / test.numel()  # of 1, 2, …, 64 components
print(f"28 components: {curve[27]:.5f} by Pythagoras, {baselines['PCA-28']:.5f} by reconstruction")

of_64, of_28 = (pca_baseline(train[:4000], hidden_dim=size).components for size in (64, 28))
cosines = (of_64[:28] * of_28).sum(dim=1).abs()  # 1: the same axis; its sign is free
print(f"the first 28 of 64 beside the best 28: cosines from {cosines.min():.6f}")
assert cosines.min() > 0.999
assert all(abs(curve[k - 1] / baselines[f"PCA-{k}"] - 1) < 1e-4 for k in (16, 28, 32, 64))

# %% [markdown]
# ## The run
#
# The recipe: SGD with learning rate 0.01 and momentum 0.9, batches of 60, one epoch over 60,000 images, which is
# 1,000 steps. (With the offline subset we train for more epochs, for as many steps.) The target is the image itself.
#
# *Predict* before you start the cell: the test error, beside PCA-28's.

# %% tags=["nbval-ignore-output"]
guess = None  # your number

torch.manual_seed(1)
model = Autoencoder(hidden_dim=28)
optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
trainer = PyTorchTrainer(model, optimizer, nn.MSELoss())
options = {"epochs": epochs, "eval_every": epochs, "batch_size": 60, "seed": 1}
history = trainer.fit(train, train, test, test, **options)

reached, seconds = history.rows[-1]["test_loss"], history.rows[-1]["seconds"]
print(f"test error {reached:.4f} (your guess: {guess})")
print(f"60,000 images: {seconds:.0f} s; the loader would add about {60_000 / from_loader / seconds:.0%}")
assert 0.060 < reached < 0.080

# %% [markdown]
# ## Is that good?
#
# One run is an anecdote. So beside it stand the network that comes with the course, by the same recipe from
# seed 0 (on 59,000 of MNIST's training images: those that the offline subset tests on were left out), and three
# seeds of the course's benchmark (on 55,000, 917 steps), each against a PCA-28 scored on the same test images.
# And how many components does PCA need, to do as well as the network with 28 numbers?

# %% tags=["nbval-ignore-output"]
results = Path("../benchmarks/results")
if not results.exists():  # in Colab there is only this notebook
    results = "https://raw.githubusercontent.com/YOUR_GITHUB_NAME/convae-course/main/benchmarks/results"
stored = pd.read_csv(f"{results}/ablation.csv").set_index("name")["test_error"]

shipped = mean_error(load_pretrained("lesson"), test)
runs = {"this one": (reached, baselines["PCA-28"]), "shipped": (shipped, baselines["PCA-28"])}
for seed, error in enumerate(stored["the lesson's recipe"]):
    runs[f"stored, seed {seed}"] = error, stored["PCA-28"]
runs = pd.DataFrame(runs, index=["network", "PCA-28"]).T
runs["better by"] = 1 - runs["network"] / runs["PCA-28"]
print(runs.to_string(formatters={"better by": "{:.1%}".format}, float_format="{:.4f}".format))

needed = [int((curve > error).sum()) + 1 for error in (reached, shipped)]
weights = sum(parameter.numel() for parameter in model.parameters())
print(f"for the first two, PCA needs {min(needed)} and {max(needed)} components")
print(f"parameters: network {weights:,}, PCA-28 {28 * 784 + 784:,}")
assert runs["better by"].min() > 0, "better than PCA-28 in every run"
assert runs["better by"].max() < 0.15 and 28 < min(needed) and max(needed) <= 34, "and by little"

# %% tags=["hide-input"]
figure, ax = plt.subplots(figsize=(7, 3.8), layout="constrained")
shown = torch.arange(16, 41)
ax.plot(shown, curve[shown - 1], ".-", color="0.5", label="PCA")
for error, enough in zip((reached, shipped), needed, strict=True):
    ax.plot([28, enough], [error, error], "C0:")
    ax.plot(28, error, "D", color="C0", alpha=0.6)
ax.plot([], [], "D:", color="C0", label="network, two runs; dotted: to as many of PCA's")
ax.set(xlabel="numbers in the code", ylabel="mean squared error, test images", ylim=(0.05, 0.115))
ax.set_title(f"The network's 28 numbers are worth {min(needed)} to {max(needed)} of PCA's")
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# Low beside the mean image; beside PCA with equal code size it is lower in every run. But by little: a few per
# cent; a few more components, and PCA has caught up, without a gradient step and with a fourteenth of the
# parameters.
#
# Was the network at least done learning? The loss of every batch tells.

# %% tags=["nbval-ignore-output"]
some = {name: baselines[name] for name in ("all black", "mean image", "PCA-28")}
ax = plot_history(history, baselines=some)
losses = torch.tensor(history.batch_losses)
smooth = losses.unfold(0, 50, 1).mean(dim=1)
ax.plot(range(25, 25 + len(smooth)), smooth, color="C1", label="mean of 50 batches")
ax.set(ylabel="mean squared error", title="One run: still falling at the end")
ax.legend(frameon=False)
plt.show()

before, at_the_end = losses[-300:-200].mean(), losses[-100:].mean()
print(f"batches 300 to 200 before the end {before:.4f}, the last hundred {at_the_end:.4f}")
assert len(losses) >= 1000 and at_the_end < 0.97 * before

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
# - The recipe reaches about 0.07, a little better than PCA with as many numbers. That sentence needs the baseline
#   and the repeated run, both.
#
# **An honest limit.** All these errors are averages over pixels, and over images. They cannot say whether a 7
# still looks like a 7. Lesson 05 looks at the images.

# %% [markdown]
# ## Exercises
#
# Write your answer into a cell and run the cell: it tells you at once whether you are right, and if not, what to
# think about. Hints and a solution stand commented out below, and nothing later depends on your answers.

# %%
from convae_lib.exercises import lesson04 as ex

# %% [markdown]
# ### 04.1 · Equal steps
#
# *(easy, 3 minutes)* Small data sets need more epochs for as much training. There are `images` images, and an
# epoch's last batch may be smaller than `batch_size`. Return the smallest number of whole epochs that make at
# least `steps` steps.


# %%
def epochs_needed(images, batch_size, steps):
    raise NotImplementedError  # your turn


ex.epochs_needed.check(epochs_needed)
# ex.epochs_needed.hint()
# ex.epochs_needed.solution()

# %% [markdown]
# ### 04.2 · From bytes to a network's images
#
# *(easy, 3 minutes)* `pixels` (N, H, W) are bytes, 0 for black to 255 for white, of type `torch.uint8`. Return
# the images (N, 1, H, W), `torch.float32`, that this course trains on: black is −1, white is 1.


# %%
def to_images(pixels):
    raise NotImplementedError  # your turn


ex.to_images.check(to_images)
# ex.to_images.hint()
# ex.to_images.solution()

# %% [markdown]
# ### 04.3 · And back
#
# *(medium, 5 minutes)* The inverse, for reconstructions. `images` (N, 1, H, W) lie between −1 and 1, or
# somewhat beyond, as PCA's do. Return the bytes (N, H, W) of type `torch.uint8`, each the nearest there is.


# %%
def to_pixels(images):
    raise NotImplementedError  # your turn


ex.to_pixels.check(to_pixels)
# ex.to_pixels.hint()
# ex.to_pixels.solution()

# %% [markdown]
# ### 04.4 · The first baseline
#
# *(medium, 4 minutes)* `train` and `test` are images (N, 1, H, W). Return the mean squared error, a plain
# number, of the rival that draws the mean image for every test image. (From which images may it take that?)


# %%
def mean_image_error(train, test):
    raise NotImplementedError  # your turn


ex.mean_image_error.check(mean_image_error)
# ex.mean_image_error.hint()
# ex.mean_image_error.solution()

# %% [markdown]
# ### 04.5 · A rival who knows the digit
#
# *(hard, 6 minutes)* Now the label is told: draw for every test image the mean image *of its label*. The labels
# are whole numbers from 0 to K − 1, each of them at least once in `labels` (N,). Return the mean squared error
# over all test images.


# %%
def label_mean_error(train, labels, test, test_labels):
    raise NotImplementedError  # your turn


ex.label_mean_error.check(label_mean_error)
# ex.label_mean_error.hint()
# ex.label_mean_error.solution()

# %%
ex.progress()

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
