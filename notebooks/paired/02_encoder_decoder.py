# %% [markdown]
# # 02 · Encoder and decoder
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/YOUR_GITHUB_NAME/convae-course/blob/main/notebooks/02_encoder_decoder.ipynb)
# [![Open in Binder](https://mybinder.org/badge_logo.svg)](https://mybinder.org/v2/gh/YOUR_GITHUB_NAME/convae-course/main?urlpath=lab/tree/notebooks/02_encoder_decoder.ipynb)
#
# **How do layers become a bottleneck?**
#
# You will be able to
#
# - write an autoencoder in full, and name the shape of the data after every layer;
# - count by hand what each layer must learn and compute, and test whether that predicts the seconds;
# - find out how much of the image one number inside the network can see.
#
# *Before you start:* [01 · Layers](01_layers.ipynb)
# *Time:* a quarter of a minute on two cores. *Next:* [03 · The trainer](03_trainer.ipynb)

# %%
import sys

if "google.colab" in sys.modules:  # installs the course; Colab keeps its own torch
    course = "git+https://github.com/YOUR_GITHUB_NAME/convae-course"
    get_ipython().run_line_magic("pip", f"install --quiet --no-deps pooch safetensors {course}")

# %% [markdown]
# The network of the [source lesson](../README.md#the-source-lesson), the blog post this course grew out
# of, has six layers: three write the code, three read it. We write all of it out, from lesson 01's two
# kinds of layer, and then take it apart.

# %%
import time

import matplotlib.pyplot as plt
import pandas as pd
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from convae_lib import Autoencoder, ConvLayer, DenseLayer
from convae_lib import load_mnist, load_pretrained, show_reconstructions

# %% [markdown]
# ## The encoder
#
# Two convolutions turn the image into 14 feature maps, then 7, all of the image's own size. The numbers
# of the seven maps are then laid in one row, and a dense layer condenses the row into the code. The
# activation is $\tanh$ everywhere, so each code number lies between −1 and 1. Every line that changes
# the shape ends with the new one.


# %%
class SmallEncoder(nn.Module):
    def __init__(self, hidden_dim=28):
        super().__init__()
        self.conv1 = ConvLayer(1, 14, 5, activation=nn.Tanh())
        self.conv2 = ConvLayer(14, 7, 5, activation=nn.Tanh(), flatten=True)
        self.dense1 = DenseLayer(7 * 28 * 28, hidden_dim, activation=nn.Tanh())

    def forward(self, x):  # (N, 1, 28, 28)
        x = self.conv1(x)  # (N, 14, 28, 28)
        x = self.conv2(x)  # (N, 5488)
        return self.dense1(x)  # (N, hidden_dim)


# %% [markdown]
# ## The decoder
#
# Its mirror image: a dense layer unfolds the code into 5,488 numbers, `reshape` arranges them as seven
# maps again, and two convolutions draw one picture from the seven. The last $\tanh$ keeps pixels between
# −1 and 1, the range of our images.


# %%
class SmallDecoder(nn.Module):
    def __init__(self, hidden_dim=28):
        super().__init__()
        self.dense1 = DenseLayer(hidden_dim, 7 * 28 * 28, activation=nn.Tanh())
        self.conv1 = ConvLayer(7, 14, 5, activation=nn.Tanh())
        self.conv2 = ConvLayer(14, 1, 5, activation=nn.Tanh())

    def forward(self, code):  # (N, hidden_dim)
        x = self.dense1(code)  # (N, 5488)
        x = x.reshape(-1, 7, 28, 28)  # (N, 7, 28, 28)
        x = self.conv1(x)  # (N, 14, 28, 28)
        return self.conv2(x)  # (N, 1, 28, 28)


# %% [markdown]
# ## The autoencoder
#
# One after the other. The code is returned beside the reconstruction, because the two serve different
# ends: the reconstruction is what training compares with the image, the code is what we are after.


# %%
class SmallAutoencoder(nn.Module):
    def __init__(self, hidden_dim=28):
        super().__init__()
        self.encoder, self.decoder = SmallEncoder(hidden_dim), SmallDecoder(hidden_dim)

    def forward(self, x):  # (N, 1, 28, 28)
        code = self.encoder(x)  # (N, hidden_dim)
        return self.decoder(code), code  # (N, 1, 28, 28), (N, hidden_dim)


# %% [markdown]
# That is the whole network. The library's `Encoder`, `Decoder` and `Autoencoder` are these three with
# documentation, other image sizes (`image_shape=(3, 32, 32)`, say) and a few checks, such as that images have
# the promised shape. Given the same weights, they must give the same numbers:

# %%
torch.manual_seed(0)
ours, theirs = SmallAutoencoder(), Autoencoder(hidden_dim=28)
theirs.load_state_dict(ours.state_dict())  # fails unless all names and shapes agree

images = torch.rand(3, 1, 28, 28) * 2 - 1
for name, mine, other in zip(("reconstruction", "code"), ours(images), theirs(images), strict=True):
    difference = (mine - other).abs().max().item()
    print(f"{name:<15} {tuple(other.shape)!s:<15} largest difference {difference}")
    assert difference == 0

# %% [markdown]
# ## One digit's walk
#
# To see more than noise we take weights that lesson 04's recipe has trained, and the first test image.
#
# *Predict:* behind which of the six layers would you still recognise the digit, if you saw their numbers as
# pictures?

# %% tags=["nbval-ignore-output"]
guess = None  # names of layers
data = load_mnist()
digit = data.test_images[:1]  # (1, 1, 28, 28)
model = load_pretrained("lesson")
layers = ["encoder.conv1", "encoder.conv2", "encoder.dense1"]
layers += ["decoder.dense1", "decoder.conv1", "decoder.conv2"]

walk, x = {"image": digit}, digit
with torch.no_grad():
    for layer in layers:
        if layer == "decoder.conv1":
            x = x.reshape(-1, 7, 28, 28)  # as the decoder's forward does
        walk[layer] = x = model.get_submodule(layer)(x)

for layer, x in walk.items():
    print(f"{layer:<15} {tuple(x.shape)!s:<16} {x.numel():>6,} numbers")
assert [x.numel() for x in walk.values()] == [784, 10_976, 5_488, 28, 5_488, 10_976, 784]

# %% [markdown]
# The same walk as a picture, every number a grey value from −1, black, to 1, white. Rows of 5,488
# numbers are drawn as the seven maps they consist of; the code, in the middle, is a column of 28.

# %% tags=["hide-input"]
figure, ax = plt.subplots(figsize=(9.6, 6.4), layout="constrained")
left = 0
for layer, x in walk.items():
    maps = x.reshape(-1, 28, 28) if x.numel() > 28 else x.reshape(1, 28, 1)
    high = min(len(maps), 7)
    width, height = (28, 28) if x.numel() > 28 else (14, 196)
    for n, values in enumerate(maps):
        x0 = left + 31 * (n // 7)
        y0 = 31 * (n % 7) + (217 - 3 - (31 * high - 3 if height == 28 else height)) / 2
        shown = ax.imshow(values, cmap="gray", vmin=-1, vmax=1, extent=(x0, x0 + width, y0 + height, y0))
        ax.add_patch(plt.Rectangle((x0, y0), width, height, fill=False, edgecolor="0.6", linewidth=0.6))
    right = left + 31 * ((len(maps) - 1) // 7) + width
    shape = "28" if height == 196 else f"{len(maps)} × 28 × 28"
    name = layer.replace(".", "\n") if "." in layer else f"{layer}\n"
    ax.text((left + right) / 2, -6, name, ha="center", va="bottom")
    ax.text((left + right) / 2, 222, shape, ha="center", va="top")
    left = right + 22
ax.set(xlim=(-14, left - 8), ylim=(236, -28))
ax.axis("off")
figure.colorbar(shown, ax=ax, shrink=0.3, ticks=[-1, 0, 1])
figure.suptitle("Fourteen times wider, then 28 numbers, and back")
plt.show()
print(f"you expected to recognise the digit behind: {guess}")

# %% [markdown]
# Many of the encoder's maps show edges of the stroke, light on one side and dark on the other, some are
# copies of the digit, and all show the frame that lesson 01's zero padding draws. In the code no digit is left
# to be seen. Behind the decoder's dense layer the maps look like noise, and yet the digit must be in them:
# nothing else reaches the output. After the next convolution a few maps show it, after the last it stands
# there.

# %% [markdown]
# ## Where is the bottleneck?
#
# *Bottleneck* suggests a funnel, and this is none. The image first grows fourteenfold, and a single dense
# layer then squeezes 5,488 numbers into 28. Until then there is room for everything, 5,488 ≥ 784; only the
# last step has to leave something out. Lesson 08's network narrows in several steps.

# %% [markdown]
# ## Count by hand
#
# A convolution from $i$ to $o$ channels with $k \times k$ filters has $o \cdot i \cdot k^2 + o$ parameters; a
# dense layer from $i$ to $o$ numbers has $o \cdot i + o$. A *multiply–add* is one weight times one number, added
# to a sum; biases and $\tanh$ are not counted. A dense layer uses each weight once per image, a convolution at
# every one of the 784 positions.
#
# *Predict:* what share of the parameters sits in the two dense layers, and what share of the
# multiply–adds?

# %%
guesses = None, None  # per cent of parameters, per cent of multiply–adds


def convolution(inputs, outputs, size=5, pixels=28 * 28):
    weights = outputs * inputs * size * size
    return weights + outputs, weights * pixels


def dense(inputs, outputs):
    return outputs * inputs + outputs, outputs * inputs


by_hand = [convolution(1, 14), convolution(14, 7), dense(5488, 28)]
by_hand += [dense(28, 5488), convolution(7, 14), convolution(14, 1)]
counts = pd.DataFrame(by_hand, index=layers, columns=["parameters", "multiply–adds"])

is_dense = counts.index.str.contains("dense")
shares = counts[is_dense].sum() / counts.sum()
print(counts)
print(f"dense layers: {shares.iloc[0]:.1%} and {shares.iloc[1]:.1%}, you: {guesses}")
assert shares.iloc[0] > 0.98 and shares.iloc[1] < 0.07

# %% [markdown]
# Two different networks, depending on what you count. Nearly all that is *learned* sits in the dense
# layers, nearly all that is *computed* in the convolutions. Does PyTorch agree? Parameters lie in the
# modules; `FlopCounterMode` counts the operations of a real forward pass (a multiply–add is two).

# %%
parameters = [sum(p.numel() for p in model.get_submodule(layer).parameters()) for layer in layers]
with FlopCounterMode(display=False) as counter, torch.no_grad():
    model(digit)
multiply_adds = counter.get_total_flops() // 2

by_hand = counts.sum()
print(f"parameters:    {by_hand['parameters']:>9,} by hand, {sum(parameters):>9,} in the modules")
print(f"multiply–adds: {by_hand['multiply–adds']:>9,} by hand, {multiply_adds:>9,} by PyTorch")
assert parameters == counts["parameters"].tolist() and sum(parameters) == 318_480
assert multiply_adds == by_hand["multiply–adds"]

# %% [markdown]
# ## Multiply–adds and seconds
#
# Does work predict time? Let 125 images walk through the layers, seven times, and take each layer's
# median. The decoder's last convolution has a seventh of the multiply–adds of the one before.
#
# *Predict* its share of the seconds.

# %% tags=["nbval-ignore-output"]
guess = None  # per cent of the seconds
walks = []
with torch.inference_mode():
    for _ in range(7):
        x, seconds = data.test_images[:125], {}
        for layer in layers:
            if layer == "decoder.conv1":
                x = x.reshape(-1, 7, 28, 28)
            start = time.perf_counter()
            x = model.get_submodule(layer)(x)
            seconds[layer] = time.perf_counter() - start
        walks.append(seconds)

counts["seconds"] = pd.DataFrame(walks).median()
percent = (100 * counts / counts.sum()).round(1)
price = counts["seconds"] / counts["multiply–adds"]
dearer = price["decoder.conv2"] / price["decoder.conv1"]
print(f"decoder.conv2: {percent.loc['decoder.conv2', 'seconds']} % of the seconds, you: {guess}")
print(f"its multiply–adds cost {dearer:.1f} times as much as decoder.conv1's")
work = counts["multiply–adds"]
assert work["decoder.conv1"] == 7 * work["decoder.conv2"]

# %% tags=["hide-input"]
figure, ax = plt.subplots(figsize=(8, 4.6), layout="constrained")
styles = {"parameters": "0.82", "multiply–adds": "0.55", "seconds": "0.15"}
for offset, (column, color) in zip((-0.27, 0, 0.27), styles.items(), strict=True):
    places = [place + offset for place in range(len(layers))]
    bars = ax.barh(places, percent[column], height=0.27, color=color, label=column)
    ax.bar_label(bars, fmt="%.1f", padding=3, fontsize=9)
ax.set_yticks(range(len(layers)), layers)
ax.set(xlim=(0, 57), xlabel="per cent of the whole network")
ax.set_title("Dense layers hold the parameters, convolutions take the work and the time")
ax.invert_yaxis()
ax.legend(frameon=False, loc="lower right")
ax.spines[["top", "right"]].set_visible(False)
plt.show()

# %% [markdown]
# In kind, work predicts time: it goes into the convolutions. In amount it does not. The two dense layers
# have equal multiply–adds, and so have the first convolution and the last, yet not equal seconds; and the last
# convolution costs several times as much *per multiply–add* as the one before it. The count leaves out
# $\tanh$, the writing of outputs, and how well a shape suits the processor. Before you make a network faster,
# time its layers.

# %% [markdown]
# ## What one number can see
#
# A number behind one 5 × 5 convolution depends on 5 × 5 pixels. That is its *receptive field*. Autograd can
# measure it: take one number in the middle of the second layer's output and ask which pixels its gradient
# reaches.
#
# *Predict:* how many pixels on a side?

# %%
guess = None  # pixels on a side
probe = digit.clone().requires_grad_()
features = model.encoder.conv1(probe)  # (1, 14, 28, 28)
features = model.encoder.conv2(features).reshape(1, 7, 28, 28)
features[0, 0, 14, 14].backward()
reach = probe.grad[0, 0].abs()  # (28, 28)

rows, columns = reach.nonzero(as_tuple=True)
height, width = (rows.max() - rows.min() + 1).item(), (columns.max() - columns.min() + 1).item()
print(f"one number after two convolutions sees {height} × {width} pixels, you: {guess}")
assert (height, width) == (9, 9)

# %% [markdown]
# Each layer adds two pixels on each side. The gradient's *size* says more: how strongly the number answers
# to each pixel. Average it over ten digits, and over the seven numbers at that place, or the 28 of the code.
#
# *Predict:* how many times as strongly as to the rim of its window does a number answer to the middle? And to
# which pixels does the code answer most?

# %%
guess = None  # middle : rim
probes = data.test_images[:10].clone().requires_grad_()


def mean_gradient(outputs):  # of numbers (N, K), pixel by pixel
    total = torch.zeros(28, 28)
    for output in outputs.T:
        # Images do not mix, so the gradient of their sum is each image's own.
        (gradient,) = torch.autograd.grad(output.sum(), probes, retain_graph=True)
        total += gradient[:, 0].abs().mean(dim=0)
    return total / total.max()


maps = model.encoder.conv2(model.encoder.conv1(probes)).reshape(-1, 7, 28, 28)
local, whole = mean_gradient(maps[:, :, 14, 14]), mean_gradient(model.encoder(probes))

# %% tags=["hide-input", "nbval-ignore-output"]
figure, axes = plt.subplots(1, 2, figsize=(7.5, 3.8), layout="constrained")
fields = {"a number after conv2": local, "a code number": whole}
for ax, (title, field) in zip(axes, fields.items(), strict=True):
    shown = ax.imshow(field, cmap="viridis", vmin=0, vmax=1)
    ax.set(title=title, xlabel="pixel column", ylabel="pixel row")
figure.colorbar(shown, ax=axes, shrink=0.8, label="mean |gradient|, 1 = largest")
figure.suptitle("After two convolutions a window, in the code the whole image")
plt.show()

window = local[10:19, 10:19]
rim = torch.cat([window[0], window[-1], window[1:-1, 0], window[1:-1, -1]]).mean()
middle, inked = window[3:6, 3:6].mean(), (probes.detach() > -0.9).any(dim=0)[0]
on_ink = whole[inked].mean() / whole[~inked].mean()
print(f"after conv2: {local.count_nonzero()} pixels, the middle {middle / rim:.1f} times the rim, you: {guess}")
print(f"code: {whole.count_nonzero()} pixels, those where a stroke is in any digit {on_ink:.1f} times the others")
assert local.count_nonzero() == window.count_nonzero() == 81 and whole.count_nonzero() == 784
assert middle > 2 * rim and on_ink > 1.2

# %% [markdown]
# A window of 9 × 9 holds a piece of a stroke, never a digit, and its middle counts more than its rim: more
# paths lead there (25 to the centre pixel, one to each corner). The code depends on every pixel, most on those
# where strokes occur. Whatever it knows about whole digits, the dense layer has to put together, from all
# 5,488 local findings at once.

# %% [markdown]
# ## Before any training
#
# *Predict:* what does an untrained network return for digits? And how much of what tells the digits apart is
# left in it?

# %% tags=["nbval-ignore-output"]
guess = None  # per cent
torch.manual_seed(0)
untrained, digits = Autoencoder(hidden_dim=28), data.test_images[:8]
with torch.no_grad():
    rows = {"original": digits, "untrained": untrained(digits)[0], "trained": model(digits)[0]}

ax = show_reconstructions(rows)
ax.set_title("Before training: nearly the same grey for every digit")
plt.show()
spread = {name: images.std(dim=0).mean().item() for name, images in rows.items()}
print("how far the eight differ (mean standard deviation of a pixel):")
print(", ".join(f"{name} {value:.3f}" for name, value in spread.items()))
print(f"untrained: {spread['untrained'] / spread['original']:.0%} of the original, you: {guess}")
assert spread["untrained"] < 0.1 * spread["original"] < 0.5 * spread["trained"]

# %% [markdown]
# Grey, and nearly the same grey for every digit: its eight outputs differ from one another by less than a tenth
# of what the inputs do. The shapes are right; nothing else is, yet. Between the second row and the third
# lies a training, and that is what the next two lessons are about.

# %% [markdown]
# ## What you can do now
#
# - Write an autoencoder, and walk through it: 1 × 28 × 28, 14 × 28 × 28, 5,488 in a row, 28, and back.
# - Count: 318,480 parameters, 98 % of them in dense layers; 4.7 million multiply–adds, 93 % in
#   convolutions. And time, because multiply–adds differ in price.
# - Measure a receptive field: after two convolutions a number sees at most 9 × 9 pixels, the code all of them.
#
# **An honest limit.** This network is not a good design: it works at full resolution throughout and
# narrows in one step. And $\tanh$ reaches −1, the value of black, only in the limit, so the last layer must
# be pushed far to draw it.

# %% [markdown]
# ## Exercises
#
# Write in the cell, run it, and it answers; hints and a solution stand commented out below. Nothing later
# depends on them.

# %%
from convae_lib.exercises import lesson02 as ex

# %% [markdown]
# ### 02.1 · The size that comes out *(easy, 3 minutes)*
#
# Write `output_size(size, kernel, stride, padding)`: how many pixels wide is the feature map that a convolution
# makes of an image `size` pixels wide, with `padding` zeros on both sides?


# %%
def output_size(size, kernel, stride, padding):
    raise NotImplementedError  # your turn


ex.output_size.check(output_size)
# ex.output_size.hint()
# ex.output_size.solution()

# %% [markdown]
# ### 02.2 · Parameters for any code *(easy, 5 minutes)*
#
# `Autoencoder(28)` has 318,480 parameters. How many has `Autoencoder(2)`? Write `count_parameters(hidden_dim)`,
# which says it for a code of any length, without building the network.


# %%
def count_parameters(hidden_dim):
    raise NotImplementedError  # your turn


ex.count_parameters.check(count_parameters)
# ex.count_parameters.hint()
# ex.count_parameters.solution()

# %% [markdown]
# ### 02.3 · An encoder that narrows in steps *(medium, 10 minutes)*
#
# Write `StridedEncoder(hidden_dim)`, from images (N, 1, 28, 28) to codes (N, hidden_dim): two `nn.Conv2d` with
# 5 × 5 filters, a stride of 2 and a padding of 2, from 1 to 14 channels and from 14 to 7; the maps in a row;
# one `nn.Linear`; $\tanh$ behind each of the three.


# %%
class StridedEncoder(nn.Module):
    def __init__(self, hidden_dim):
        super().__init__()
        raise NotImplementedError  # your turn

    def forward(self, images):  # (N, 1, 28, 28)
        raise NotImplementedError  # your turn


ex.StridedEncoder.check(StridedEncoder)
# ex.StridedEncoder.hint()
# ex.StridedEncoder.solution()

# %% [markdown]
# ### 02.4 · The decoder that mirrors it *(medium, 10 minutes)*
#
# Write `StridedDecoder(hidden_dim)`, from codes (N, hidden_dim) to images (N, 1, 28, 28): one `nn.Linear`, its
# numbers as maps (N, 7, 7, 7); two `nn.ConvTranspose2d`, from 7 to 14 channels and from 14 to 1, which double
# the size with a stride of 2 and, as lesson 01 advises, filters of 4 × 4; $\tanh$ behind each of the three.


# %%
class StridedDecoder(nn.Module):
    def __init__(self, hidden_dim):
        super().__init__()
        raise NotImplementedError  # your turn

    def forward(self, code):  # (N, hidden_dim)
        raise NotImplementedError  # your turn


ex.StridedDecoder.check(StridedDecoder)
# ex.StridedDecoder.hint()
# ex.StridedDecoder.solution()

# %% [markdown]
# ### 02.5 · How far one number sees *(hard, 15 minutes)*
#
# Write `receptive_field(layers)`. `layers` is a list of pairs (kernel, stride), one for each convolution, the
# first being nearest to the image; return how many pixels on a side a number behind the last one sees, away from
# the border (no stride exceeds its kernel). `[(5, 1), (5, 1)]` gives 9, and an empty list 1: a pixel sees itself.


# %%
def receptive_field(layers):
    raise NotImplementedError  # your turn


ex.receptive_field.check(receptive_field)
# ex.receptive_field.hint()
# ex.receptive_field.solution()

# %%
ex.progress()

# %% [markdown]
# ## Further reading
#
# - S. Weidman, *Deep Learning from Scratch*, O'Reilly (2019), chapter 7: where this network comes from.
# - A. Araujo, W. Norris and J. Sim, "Computing receptive fields of convolutional neural networks",
#   *Distill* (2019): formulas for every stride and padding.
# - W. Luo, Y. Li, R. Urtasun and R. Zemel, "Understanding the effective receptive field in deep
#   convolutional neural networks", *NIPS* (2016): why the middle of the window counts most.
# - I. Goodfellow, Y. Bengio and A. Courville, *Deep Learning*, MIT Press (2016), chapter 14: autoencoders,
#   and other ways than a narrow code to keep them from copying.

# %% [markdown]
# **Next:** [03 · The trainer](03_trainer.ipynb) makes it learn, and shows what careless training costs.
