# %% [markdown]
# # 01 · Layers
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/YOUR_GITHUB_NAME/convae-course/blob/main/notebooks/01_layers.ipynb)
# [![Open in Binder](https://mybinder.org/badge_logo.svg)](https://mybinder.org/v2/gh/YOUR_GITHUB_NAME/convae-course/main?urlpath=lab/tree/notebooks/01_layers.ipynb)
#
# **What do a dense and a convolutional layer compute?**
#
# You will be able to
#
# - compute a convolution, a pooling and a transposed convolution by hand, and predict what size comes out;
# - count the parameters of any such layer, and say what a convolution takes for granted;
# - avoid three traps, in the padding, in the dropout and in the memory.
#
# *Before you start:* [00 · Why autoencoders?](00_why_autoencoders.ipynb)
# *Time:* a quarter of a minute on two cores. *Next:* [02 · Encoder and decoder](02_encoder_decoder.ipynb)

# %%
import sys

if "google.colab" in sys.modules:  # installs the course; Colab keeps its own torch
    course = "git+https://github.com/YOUR_GITHUB_NAME/convae-course"
    get_ipython().run_line_magic("pip", f"install --quiet --no-deps pooch safetensors {course}")

# %% [markdown]
# The network of the [source lesson](../README.md#the-source-lesson), the blog post this course grew out of, is made
# of two kinds of layer only. We write both from scratch, check them against PyTorch, and only then import the
# library's. Three relatives that most other autoencoders use come along: strides, pooling, transposed convolutions.

# %%
import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.nn.functional import avg_pool2d, conv2d, conv_transpose2d, max_pool2d, pad

from convae_lib import load_mnist

# %% [markdown]
# ## A convolution by hand
#
# Before any digit, six by six pixels: 0 on the left, 1 on the right. A *filter* is a small window of weights, here
# 3 × 3. It slides over the image; at every position, pixels and weights are multiplied one by one and added up.
# This filter subtracts left from right.
#
# *Predict:* where will the result be zero, and what is the largest number in it?

# %%
guess = None  # the largest number
image = torch.zeros(6, 6)
image[:, 3:] = 1.0
edges = torch.tensor([[-1.0, 0.0, 1.0], [-1.0, 0.0, 1.0], [-1.0, 0.0, 1.0]])


def convolve(image, weight):
    size = len(weight)
    padded = pad(image, [size // 2] * 4)  # a border of zeros
    result = torch.zeros_like(image)
    for row in range(image.shape[0]):
        for column in range(image.shape[1]):
            window = padded[row : row + size, column : column + size]
            result[row, column] = (window * weight).sum()
    return result


result = convolve(image, edges)
print(f"largest {result.max():g}, smallest {result.min():g}, you: {guess}")

# %% tags=["hide-input"]
def show_numbers(ax, values, title, limit):
    ax.imshow(values, cmap="RdBu_r", vmin=-limit, vmax=limit)
    for (row, column), value in np.ndenumerate(np.asarray(values)):
        color = "white" if abs(value) > 0.7 * limit else "black"
        ax.text(column, row, f"{value:g}", ha="center", va="center", color=color, fontsize=9)
    ax.set(title=title, xticks=[], yticks=[])


figure, axes = plt.subplots(1, 3, figsize=(8, 3.4), width_ratios=[6, 3, 6], layout="constrained")
panels = {"image": image, "filter": edges, "result": result}
for ax, (title, values) in zip(axes, panels.items(), strict=True):
    show_numbers(ax, values, title, limit=3)
figure.suptitle("The filter answers at the edge, and at the border")
plt.show()

# %% [markdown]
# Zero inside each half, and 3 along the edge: the filter answers to one pattern, wherever it appears. Look at the
# margins too: −3 on the right, although the image has no edge there, and 2 in place of 3 at the top and the bottom.
# The border of zeros does that.
#
# PyTorch computes the same. (It calls this a convolution; strictly it is a *cross-correlation*, because the filter
# is not flipped first. For learned filters it makes no difference.)

# %%
by_torch = conv2d(image[None, None], edges[None, None], padding=1)  # (1, 1, 6, 6)
print(f"largest difference from PyTorch's: {(result - by_torch[0, 0]).abs().max():g}")
assert torch.equal(result, by_torch[0, 0])

# %% [markdown]
# ## A real digit
#
# A filter's answers at all positions form a picture again: its **feature map**. Take a real digit, and four filters:
# two for edges, one that takes the mean of nine pixels, and one that compares a pixel with its eight neighbours.
#
# *Predict:* which map will look most like the digit? Which are empty where the image is all black?

# %% tags=["nbval-ignore-output"]
data = load_mnist()
digit = data.test_images[data.test_labels == 4][:1]  # (1, 1, 28, 28)
centre = torch.zeros(3, 3)
centre[1, 1] = 9.0
filters = {
    "left to right": edges,
    "top to bottom": edges.T,
    "mean of nine": torch.full((3, 3), 1 / 9),
    "centre − neighbours": centre - 1,
}
weight = torch.stack([*filters.values()]).unsqueeze(1)  # (4, 1, 3, 3)
maps = conv2d(digit, weight)  # (1, 4, 26, 26)
print(data, tuple(maps.shape), sep="\n")
assert maps.shape == (1, 4, 26, 26)

# %% tags=["hide-input"]
figure, axes = plt.subplots(2, 5, figsize=(10, 4.3), layout="constrained")
axes[0, 0].imshow(digit[0, 0], cmap="gray", vmin=-1, vmax=1)
axes[0, 0].set_title("digit")
for column, (name, values) in enumerate(filters.items(), start=1):
    feature_map = maps[0, column - 1]
    show_numbers(axes[0, column], values.numpy().round(2), name, limit=values.abs().max().item())
    strongest = feature_map.abs().max()
    axes[1, column].imshow(feature_map, cmap="RdBu_r", vmin=-strongest, vmax=strongest)
axes[1, 1].set_ylabel("feature map", color="black")
for ax in axes.flat:
    ax.set(xticks=[], yticks=[])
axes[1, 0].set_axis_off()
figure.suptitle("Four filters, four feature maps (blue negative, red positive)")
plt.show()

# %% [markdown]
# The mean of nine is the digit, blurred, and −1 on black. The others answer to *differences* only, so black gives them nothing: the
# first two draw the flanks of strokes, red where it gets brighter and blue where it gets darker, the last one a stroke and
# the dark beside it. A network is given no filters; it *learns* them. The maps are 26 × 26: without a border, a window of
# 3 fits at 26 places only.

# %% [markdown]
# ## Trap one: the frame that padding draws
#
# To keep 28 × 28, one pads with zeros. On the six by six pixels that went unseen on the dark side, which was 0 itself, and
# drew an edge on the bright one. The images of this course have −1 for black, and zero is grey: no side is safe.
#
# *Predict:* how strongly will the last filter answer in the corner of an image, where nothing is drawn?

# %%
guess = None  # the answer in the corner
outline = weight[3:]  # (1, 1, 3, 3)
padded = {name: pad(digit, [1] * 4, value=value) for name, value in (("zeros", 0.0), ("−1", -1.0))}
answers = {name: conv2d(images, outline)[0, 0] for name, images in padded.items()}  # (28, 28)
for name, answer in answers.items():
    print(f"padded with {name}: {answer[0, 0]:g} in the corner, {answer[0, 1:4].tolist()} beside it")
print(f"you: {guess}")
assert answers["zeros"][0, 0] == -5 and answers["−1"][0].abs().max() == 0

# %% tags=["hide-input"]
figure, axes = plt.subplots(1, 4, figsize=(10, 2.9), layout="constrained")
for n, name in enumerate(padded):
    axes[2 * n].imshow(padded[name][0, 0], cmap="gray", vmin=-1, vmax=1)
    axes[2 * n].set_title(f"padded with {name}")
    axes[2 * n + 1].imshow(answers[name], cmap="RdBu_r", vmin=-9, vmax=9)
    axes[2 * n + 1].set_title("feature map")
for ax in axes:
    ax.set(xticks=[], yticks=[])
figure.suptitle("Where black is −1, zeros draw a grey frame, and the filter finds it")
plt.show()

# %% [markdown]
# In the corner the centre gives −8, and of its eight neighbours only the three real, black ones answer, with +1 each: −5. Almost
# every filter sees such a frame around each digit. A trained network learns to live with it,
# and even learns from it where the border is. The layers of this course keep zeros, as the source lesson does; on images of
# your own, `padding_mode="replicate"` is worth a try. It is only a trap if you do not know.

# %% [markdown]
# ## What size comes out?
#
# A window of size $k$ fits into $n$ pixels at $n - k + 1$ places. Padding with $p$ on both sides makes it $n + 2p - k + 1$. A
# *stride* $s$ moves the window by $s$ pixels at a time and visits one place in $s$:
#
# $$\left\lfloor \frac{n + 2p - k}{s} \right\rfloor + 1 .$$
#
# *Predict* six sizes for $n = 28$.

# %%
guesses = [None] * 6  # the size of each feature map, row by row
cases = [(5, 0, 1), (5, 2, 1), (4, 2, 1), (3, 1, 2), (4, 1, 2), (4, 0, 4)]  # filter, padding, stride
for (size, padding, stride), guess in zip(cases, guesses, strict=True):
    formula = (28 + 2 * padding - size) // stride + 1
    made = nn.Conv2d(1, 1, size, stride=stride, padding=padding)(digit).shape[-1]
    print(f"filter {size}, padding {padding}, stride {stride}: formula {formula:>2}, PyTorch {made:>2}, you {guess}")
    assert formula == made

# %% [markdown]
# With $p = \lfloor k/2 \rfloor$ the size stays if $k$ is odd (second row). If $k$ is even it grows by one (third row), layer by
# layer: that is why filters are odd where the size shall stay. A stride of 2 halves the size (rows four and five), as
# exercise 02.3 wants, and a stride as large as the filter cuts the image into tiles (last row), as lesson 08 does.

# %% [markdown]
# ## Channels, and counting parameters
#
# Real layers have many filters, one for each *output channel*, and every filter looks at all *input channels* at once: a
# block of `in × k × k` weights, and one bias. The source lesson's first layer has 14 filters of 5 × 5 on one channel, its
# second 7 filters on those 14. *Predict* both counts.

# %%
guesses = None, None  # parameters of the two layers
torch.manual_seed(0)
first, second = nn.Conv2d(1, 14, 5, padding=2), nn.Conv2d(14, 7, 5, padding=2)
for layer, by_hand, guess in zip((first, second), (14 * (1 * 5 * 5) + 14, 7 * (14 * 5 * 5) + 7), guesses, strict=True):
    counted = sum(p.numel() for p in layer.parameters())
    print(f"{counted:>5,} parameters, by hand {by_hand:>5,}, you: {guess}")
    assert counted == by_hand

# %% [markdown]
# ## A dense layer by hand
#
# A *dense* (fully connected) layer has one weight for every pair of an input and an output number: $xW^\top + b$. It knows
# nothing of rows and columns. Here is one with an activation behind it, and the count that makes convolutions attractive:
# what would a dense layer cost that maps an image to as many numbers as the 14 feature maps hold?

# %%
guess = None  # parameters of such a dense layer
dense = nn.Linear(5, 3)
x = torch.randn(4, 5)  # (N, 5)
by_hand = torch.tanh(x @ dense.weight.T + dense.bias)  # (N, 3)
print(f"by hand against nn.Linear: {(by_hand - torch.tanh(dense(x))).abs().max():.6f}")

outputs = 14 * 28 * 28
cost, convolution = outputs * 784 + outputs, sum(p.numel() for p in first.parameters())
print(f"784 → {outputs:,}: dense {cost:,} parameters, convolution {convolution}, you: {guess}")
assert torch.allclose(by_hand, torch.tanh(dense(x)), atol=1e-6) and cost > 20_000 * convolution

# %% [markdown]
# A factor of more than 20,000, from two assumptions: pixels matter to their *neighbours*, and the same pattern is worth
# finding *everywhere*. The second has a name, *translation equivariance*: shift the image, and the feature maps shift
# along. A dense layer promises nothing of the kind. Test both on a blob, away from the border.

# %%
blob = torch.zeros(1, 1, 28, 28)
blob[..., 10:14, 10:16] = 1.0
fully = nn.Sequential(nn.Flatten(), nn.Linear(784, 784), nn.Unflatten(1, (1, 28, 28)))
with torch.no_grad():
    for name, layer in (("convolution", first), ("dense", fully)):
        shifted_after = layer(blob).roll((3, 5), dims=(2, 3))
        shifted_before = layer(blob.roll((3, 5), dims=(2, 3)))
        gap = (shifted_after - shifted_before).abs().max() / shifted_before.abs().max()
        print(f"{name}: shifting before or after differs by {gap:.0%} of the largest answer")
        assert gap < 1e-5 if name == "convolution" else gap > 0.5

# %% [markdown]
# ## Pooling
#
# Another way to a smaller image has no weights at all. *Max pooling* keeps the largest number of each 2 × 2 block, *average
# pooling* the mean. By hand, that is one `reshape` which gives rows and columns within a block axes of their own.
#
# *Predict:* what do both make of the numbers 0 to 15?

# %%
guess = None  # the four numbers of max pooling
numbers = torch.arange(16.0).reshape(4, 4)
blocks = numbers.reshape(2, 2, 2, 2)  # block row, row within, block column, column within
largest, average = blocks.amax(dim=(1, 3)), blocks.mean(dim=(1, 3))  # (2, 2), (2, 2)
print(f"{numbers}\nmax {largest.tolist()}, you: {guess}\naverage {average.tolist()}")
assert torch.equal(largest, max_pool2d(numbers[None, None], 2)[0, 0])
assert torch.equal(average, avg_pool2d(numbers[None, None], 2)[0, 0])

# %% [markdown]
# A classifier is glad to lose where in its block the largest number stood. An autoencoder has to draw that place again. That is
# why many autoencoders prefer a stride of 2: it shrinks as much, and its weights learn what to keep.

# %% [markdown]
# ## The way back: transposed convolution
#
# A decoder has to make images larger. A *transposed convolution* works the other way round: instead of reading a window, every
# input number *stamps* the filter, scaled by that number, onto the output, $s$ pixels further each time. Where stamps overlap,
# they add up.

# %%
def stamp(image, weight, stride):
    size, height, width = len(weight), *image.shape
    result = torch.zeros((height - 1) * stride + size, (width - 1) * stride + size)
    for row in range(height):
        for column in range(width):
            top, left = row * stride, column * stride
            result[top : top + size, left : left + size] += image[row, column] * weight
    return result


small = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
cross = torch.tensor([[0.0, 1.0, 0.0], [1.0, 1.0, 1.0], [0.0, 1.0, 0.0]])
stamped = stamp(small, cross, stride=2)
print(stamped)
assert torch.equal(stamped, conv_transpose2d(small[None, None], cross[None, None], stride=2)[0, 0])

# %% [markdown]
# Two by two became five by five: $(n - 1)\,s + k$, less $2p$ if a padding is cut off. Find the four crosses in the numbers, and
# the 3 in the second row, where two of them overlap: 1 + 2.
#
# Now the best-known failure of this layer. *Predict:* stamp a filter of ones with stride 2 on an image that is 1 everywhere.
# Does an even image come out, with a filter of 3? With a filter of 4?

# %%
ones = torch.ones(4, 4)
figure, axes = plt.subplots(1, 2, figsize=(8, 4.2), layout="constrained")
for ax, size in zip(axes, (3, 4), strict=True):
    even = stamp(ones, torch.ones(size, size), stride=2)
    inside = even[size - 1 : 1 - size, size - 1 : 1 - size]
    ax.imshow(even, cmap="gray", vmin=0, vmax=4)
    for (row, column), value in np.ndenumerate(even.numpy()):
        ax.text(column, row, f"{value:g}", ha="center", va="center", color="black" if value > 2 else "white")
    ax.set(title=f"filter {size} × {size}", xticks=[], yticks=[])
    print(f"filter {size} × {size}: {len(even)} × {len(even)}, inside the border {sorted(set(inside.flatten().tolist()))}")
figure.suptitle("With stride 2, a filter of 3 draws a checkerboard, one of 4 does not")
plt.show()

# %% [markdown]
# A filter of 3 overlaps its neighbour in every other row and column only. Generated images show it as a fine checkerboard.
# The cure is a filter whose size the stride divides, such as 4 and 2, or another way up: repeat each pixel, then convolve.
# Lesson 02 avoids the question by keeping 28 × 28 throughout; lesson 08 lays numbers out as tiles.

# %% [markdown]
# ## Our two layers
#
# A layer of this course does three things in turn: a linear map, an activation, dropout. Only `forward` is written. The
# backward pass needs no code, because *tensors* record how they were made (lesson 03 shows it without any `nn.Module`).


# %%
class Dense(nn.Module):
    def __init__(self, input_size, neurons, dropout=1.0, activation=None):
        super().__init__()
        self.linear = nn.Linear(input_size, neurons)
        self.activation = nn.Identity() if activation is None else activation
        self.dropout = nn.Dropout(1 - dropout)

    def forward(self, x):
        return self.dropout(self.activation(self.linear(x)))  # (N, neurons)


class Conv(nn.Module):
    def __init__(self, in_channels, out_channels, filter_size, activation=None, dropout=1.0, flatten=False):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, filter_size, padding=filter_size // 2)
        self.activation = nn.Identity() if activation is None else activation
        self.flatten = nn.Flatten() if flatten else nn.Identity()
        self.dropout = nn.Dropout(1 - dropout)

    def forward(self, x):  # (N, in_channels, H, W)
        return self.dropout(self.flatten(self.activation(self.conv(x))))  # (N, out_channels, H, W), or flat


# %% [markdown]
# The library's versions refuse an even filter and an impossible dropout, and must otherwise agree. `load_state_dict` copies
# the weights across; it also fails unless the parameters carry the same names and shapes.

# %%
from convae_lib import ConvLayer, DenseLayer

pairs = [
    (Conv(1, 14, 5, activation=nn.Tanh(), flatten=True), ConvLayer(1, 14, 5, activation=nn.Tanh(), flatten=True), digit),
    (Dense(5, 3, activation=nn.Tanh()), DenseLayer(5, 3, activation=nn.Tanh()), x),
]
for ours, theirs, given in pairs:
    theirs.load_state_dict(ours.state_dict())
    gap = (ours(given) - theirs(given)).abs().max()
    print(f"{tuple(given.shape)} → {tuple(theirs(given).shape)}, largest difference {gap:g}")
    assert torch.equal(ours(given), theirs(given))
try:
    ConvLayer(1, 14, 4)
except ValueError as error:
    print("ValueError:", error)

# %% [markdown]
# ## Trap two: dropout that means its opposite
#
# Dropout sets random units to zero during training, so that no unit can rely on another. In this course's layers, as in the
# source lesson, `dropout=0.9` is the probability of *keeping* a unit. In PyTorch `nn.Dropout(0.9)` is the probability of
# *dropping* one.
#
# *Predict* the share of zeros that each leaves of 100,000 ones, and what becomes of the others.

# %%
guesses = None, None  # per cent of zeros: DenseLayer(dropout=0.9), nn.Dropout(0.9)
torch.manual_seed(0)
keeping = DenseLayer(1, 100_000, dropout=0.9)
nn.init.ones_(keeping.linear.weight)
nn.init.zeros_(keeping.linear.bias)
one, ones = torch.ones(1, 1), torch.ones(1, 100_000)
with torch.no_grad():
    kept = {"DenseLayer(dropout=0.9)": keeping(one), "nn.Dropout(0.9)": nn.Dropout(0.9)(ones)}
    for (name, units), guess in zip(kept.items(), guesses, strict=True):
        zeros, others = (units == 0).float().mean(), units[units != 0].unique().item()
        print(f"{name:<24} {zeros:.0%} zeros, the others {others:.4f}, mean {units.mean():.1f}; you: {guess}")
    keeping.eval()
    print(f"in evaluation mode       {(keeping(one) == 0).float().mean():.0%} zeros, all {keeping(one).unique().item():.4f}")
assert abs((kept["DenseLayer(dropout=0.9)"] == 0).float().mean() - 0.1) < 0.01

# %% [markdown]
# Ten per cent against ninety: whoever confuses the two trains a network on a tenth of its units and wonders. The survivors
# are scaled up, by 1/0.9 or by 10, so that the sum stays the same on average. And in evaluation mode dropout does
# nothing at all.

# %% [markdown]
# ## Trap three: the order in memory
#
# A shape (N, C, H, W) says how a tensor is *indexed*, not how it lies in memory. *Strides* (nothing to do with those of a
# window) tell how many numbers to skip for one step along each axis. The source lesson adds the channel axis last and then
# moves it:

# %%
pictures = data.test_images[:60].squeeze(1)  # (60, 28, 28)
plain = pictures.unsqueeze(1)
moved = pictures.unsqueeze(3).permute(0, 3, 1, 2)
for name, tensor in {"unsqueeze(1)": plain, "unsqueeze(3).permute(…)": moved}.items():
    print(f"{name:<24} {tuple(tensor.shape)}, strides {tensor.stride()}")
print(f"they begin {moved.data_ptr() - plain.data_ptr()} bytes apart")
with torch.no_grad():
    features = {"unsqueeze(1)": first(plain), "unsqueeze(3).permute(…)": first(moved)}  # (60, 14, 28, 28)
for name, tensor in features.items():
    print(f"after a convolution: {name:<24} strides {tensor.stride()}")

# %% [markdown]
# Both are the same numbers at the same place: with a single channel nobody ever takes a step along that axis, so its stride is no
# more than a hint. But PyTorch takes the hint. The convolution's answer to the second lies in memory pixel by pixel, all 14
# channels of one together: *channels-last*.
#
# *Predict:* the usual way to lay such features in a row is `x.view(x.shape[0], -1)`. What will happen?

# %%
last = features["unsqueeze(3).permute(…)"]
try:
    row = last.view(60, -1)
except RuntimeError as error:
    row = None
    print("view: RuntimeError:", str(error).partition(" (")[0])
flat = last.flatten(start_dim=1)  # (60, 10976)
gap = (flat - features["unsqueeze(1)"].flatten(start_dim=1)).abs().max()
print(f"flatten: {tuple(flat.shape)}, differs from the plain layout's by {gap:.4f}")
assert row is None and gap < 1e-5

# %% [markdown]
# `view` only relabels memory that already lies in the right order. `flatten` (or `reshape`) copies when it has to, and always
# goes channel by channel, so weights trained in one layout work in the other. That is why our `Conv` flattens, and why
# pasting older code that uses `view` may fail on your images.

# %% [markdown]
# ## What you can do now
#
# - Compute by hand: windows for a convolution, blocks for pooling, stamps for a transposed convolution; and sizes,
#   $\lfloor (n + 2p - k)/s \rfloor + 1$ down, $(n - 1)s + k - 2p$ up.
# - Count: `out · (in · k · k) + out` for a convolution, which takes for granted that neighbours belong together and that
#   patterns may appear anywhere; `out · in + out` for a dense layer.
# - Avoid three traps: zeros draw a frame where black is −1, `dropout` here is the probability of keeping, and `flatten`,
#   not `view`, is safe in any layout.
#
# **An honest limit.** Equivariance ends at the border. And digits in MNIST are centred, so "anywhere" is less of an advantage
# here than in photographs.

# %% [markdown]
# ## Exercises
#
# Write in the cell, run it, and it answers; hints and a solution stand commented out below. Nothing later
# depends on them.

# %%
from convae_lib.exercises import lesson01 as ex

# %% [markdown]
# ### 01.1 · A filter that moves the image *(easy, 5 minutes)*
#
# Which 3 × 3 filter leaves an image as it is, and which one shifts it by a pixel to the right? Write
# `shift_filter(size, right, down)`, a filter (size, size), `size` odd, under which `conv2d` with a border of zeros
# moves an image by `right` pixels to the right and `down` pixels down. Both may be negative; neither exceeds
# `size // 2`.


# %%
def shift_filter(size, right, down):
    raise NotImplementedError  # your turn


ex.shift_filter.check(shift_filter)
# ex.shift_filter.hint()
# ex.shift_filter.solution()

# %% [markdown]
# ### 01.2 · A dense layer of two tensors *(easy, 5 minutes)*
#
# Write `DenseByHand(inputs, outputs)` without `nn.Linear`: a module with two parameters, a weight (outputs, inputs)
# that starts at random and a bias (outputs,), which turns $x$, (N, inputs), into $\tanh(xW^\top + b)$, (N, outputs).


# %%
class DenseByHand(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        raise NotImplementedError  # your turn

    def forward(self, x):  # (N, inputs)
        raise NotImplementedError  # your turn


ex.DenseByHand.check(DenseByHand)
# ex.DenseByHand.hint()
# ex.DenseByHand.solution()

# %% [markdown]
# ### 01.3 · Many filters, many channels *(medium, 10 minutes)*
#
# The lesson's `convolve` knows one image, one channel and one filter. Write `apply_filters(images, weight, bias,
# padding)` for images (N, C, H, W), weight (O, C, k, k) and bias (O,): surround the images with `padding` zeros, and
# return the O feature maps of each, one number for every place where the window fits, without `conv2d`. Loops over
# the places are fine; gradients must come through.


# %%
def apply_filters(images, weight, bias, padding):
    raise NotImplementedError  # your turn


ex.apply_filters.check(apply_filters)
# ex.apply_filters.hint()
# ex.apply_filters.solution()

# %% [markdown]
# ### 01.4 · Dropout that keeps *(medium, 10 minutes)*
#
# Write `KeepDropout(keep)`. In training mode each number of its input, of any shape, stays with the
# probability `keep`, independently of the others, and is then divided by `keep`; the rest becomes zero. In
# evaluation mode nothing happens.


# %%
class KeepDropout(nn.Module):
    def __init__(self, keep):
        super().__init__()
        raise NotImplementedError  # your turn

    def forward(self, x):
        raise NotImplementedError  # your turn


ex.KeepDropout.check(KeepDropout)
# ex.KeepDropout.hint()
# ex.KeepDropout.solution()

# %% [markdown]
# ### 01.5 · A convolution is a dense layer *(hard, 15 minutes)*
#
# Any convolution is a dense layer with a special matrix. Write `filter_matrix(weight, height, width)`: for a filter
# (k, k), k odd, return the matrix $M$, (H·W, H·W), for which `M @ image.flatten()` is the flattened feature map of an
# image (H, W) with a border of `k // 2` zeros. Then look at it, `plt.imshow(filter_matrix(edges, 6, 6))`: how many
# different numbers are in it?


# %%
def filter_matrix(weight, height, width):
    raise NotImplementedError  # your turn


ex.filter_matrix.check(filter_matrix)
# ex.filter_matrix.hint()
# ex.filter_matrix.solution()

# %%
ex.progress()

# %% [markdown]
# ## Further reading
#
# - V. Dumoulin and F. Visin, "A guide to convolution arithmetic for deep learning", arXiv:1603.07285: every combination of
#   size, padding and stride, transposed ones too, drawn.
# - A. Odena, V. Dumoulin and C. Olah, "Deconvolution and checkerboard artifacts", *Distill* (2016): the checkerboard in
#   generated images, and the cure.
# - M. A. Islam, S. Jia and N. Bruce, "How much position information do convolutional neural networks encode?", *ICLR* (2020):
#   what networks learn from the frame of zeros.
# - N. Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", *JMLR* 15
#   (2014). The paper's $p$, like ours, is the probability of keeping a unit.
# - PyTorch's tutorial "Channels last memory format": why the order in memory matters for speed.

# %% [markdown]
# **Next:** [02 · Encoder and decoder](02_encoder_decoder.ipynb) stacks these layers into a bottleneck.
