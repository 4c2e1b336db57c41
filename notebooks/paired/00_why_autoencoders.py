# %% [markdown]
# # 00 · Why autoencoders?
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/YOUR_GITHUB_NAME/convae-course/blob/main/notebooks/00_why_autoencoders.ipynb)
# [![Open in Binder](https://mybinder.org/badge_logo.svg)](https://mybinder.org/v2/gh/YOUR_GITHUB_NAME/convae-course/main?urlpath=lab/tree/notebooks/00_why_autoencoders.ipynb)
#
# **What can be learned without labels, what is it good for, and why is the linear case PCA?**
#
# You will be able to
#
# - say what an encoder, a code and a decoder are, what training asks of them, and what they are for;
# - explain, in four steps, what the best linear autoencoder is, and test the argument;
# - name the baselines that every later network of this course must beat.
#
# *Before you start:* you have trained one classifier in PyTorch and had one course of linear algebra.
# *Time:* one minute on two cores. *Next:* [01 · Layers](01_layers.ipynb)

# %%
import sys

if "google.colab" in sys.modules:  # installs the course; Colab keeps its own torch
    course = "git+https://github.com/YOUR_GITHUB_NAME/convae-course"
    get_ipython().run_line_magic("pip", f"install --quiet --no-deps pooch safetensors {course}")

# %% [markdown]
# ## Images without labels
#
# A classifier needs a label for every image, and somebody has to write it. Images alone are nearly free.
# What could a network learn from them? This course works on one answer: *describe each image in a few
# numbers, so well that it can be drawn again from the description.*
#
# We import what this lesson needs, and load MNIST: handwritten digits of 28 × 28 grey pixels.

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from scipy.linalg import subspace_angles
from torch import nn

from convae_lib import LinearAutoencoder, display_image, load_mnist, load_pretrained, mean_error
from convae_lib import pca_baseline, reconstruct, reconstruction_error, show_reconstructions

# %% tags=["nbval-ignore-output"]
data = load_mnist()
train, test = data.train_images, data.test_images
print(data)
assert train.shape[1:] == test.shape[1:] == (1, 28, 28)
assert train.min() == test.min() == -1 and train.max() == test.max() == 1

# %% [markdown]
# The source is `mnist` if all 70,000 images were found or downloaded, and `offline` if there was no
# network: then the *offline subset* is used, 5,000 real MNIST images that come with the package, and every lesson
# works the same. Pixels run from −1 (black) to 1 (white). Test images stay apart: nothing is learned from them.
#
# Here is where we are going, with a network that lesson 08 builds.

# %% tags=["hide-input"]
network = load_pretrained("residual")
image = test[data.test_labels == 2][:1]  # (1, 1, 28, 28)
drawn, code = reconstruct(network, image)  # (1, 1, 28, 28), (1, 28)

ink = "#777777"  # legible on white and on black
figure, axes = plt.subplots(1, 5, figsize=(9, 2.9), width_ratios=[2, 1.2, 0.9, 1.2, 2], layout="constrained")
figure.patch.set_alpha(0)
for ax in axes:
    ax.set_axis_off()
for ax, picture, title in ((axes[0], image, "image $x$"), (axes[4], drawn, "reconstruction $\\hat{x}$")):
    display_image(ax, picture)
    ax.set_title(f"{title}\n784 numbers", color=ink, fontsize=11)
for ax, name, (left, right) in ((axes[1], "encoder", (1, 0.6)), (axes[3], "decoder", (0.6, 1))):
    corners = [(0, 0.5 - left / 2), (0, 0.5 + left / 2), (0.8, 0.5 + right / 2), (0.8, 0.5 - right / 2)]
    ax.add_patch(plt.Polygon(corners, facecolor="#3f90da", alpha=0.35))
    ax.text(0.4, 0.5, name, ha="center", va="center", color=ink, fontsize=11, weight="bold")
    ax.annotate("", (1.02, 0.5), (0.82, 0.5), arrowprops={"arrowstyle": "-|>", "color": ink, "lw": 1.5})
    ax.set(xlim=(-0.1, 1.05), ylim=(-0.1, 1.1))
axes[2].barh(range(28), code[0], color="#3f90da")
axes[2].axvline(0, color=ink, linewidth=0.8)
axes[2].set_title("code $z$\n28 numbers", color=ink, fontsize=11)
figure.suptitle("An autoencoder squeezes a digit through 28 numbers, and draws it again", color=ink)
plt.show()

# %% [markdown]
# Left to right: an image that the network has never seen; the **encoder**, which turns it into a **code** of
# 28 numbers (the bars); the **decoder**, which draws an image from the code alone. Together they are an
# **autoencoder**, and the only demand on them is that the two images agree. The image is its own target,
# so no label is needed.

# %% [markdown]
# ## What is it good for?
#
# Let that same network draw two digits that we drown in noise, and a chessboard.
#
# *Predict:* will the noise come back? And what will the chessboard become?

# %%
guess = None  # what the chessboard becomes
clean = torch.cat([test[data.test_labels == digit][:1] for digit in (2, 7)])  # (2, 1, 28, 28)
noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
noisy = (clean + 0.6 * noise).clamp(-1, 1)
squares = torch.arange(28) // 7 % 2  # (28,)
chessboard = 1 - 2.0 * (squares[:, None] ^ squares).reshape(1, 1, 28, 28)

given = torch.cat([clean, noisy, chessboard])  # (5, 1, 28, 28)
drawn = reconstruct(network, given)[0]
ax = show_reconstructions({"goes in": given, "comes out": drawn}, captions=[*"abcde"])
ax.set_title("Noise is lost in 28 numbers, and so is a chessboard")
plt.show()

# %% tags=["nbval-ignore-output"]
left = [reconstruction_error(clean, images).mean().item() for images in (noisy, drawn[2:4])]
board = reconstruction_error(chessboard, drawn[4:]).item()
largest = reconstruction_error(test[:1000], reconstruct(network, test[:1000])[0]).max().item()
print(f"c, d: distance to the clean digits {left[0]:.2f} before, {left[1]:.2f} after")
print(f"e: error {board:.2f}, the largest among 1,000 digits {largest:.2f}; you guessed: {guess}")
assert left[1] < 0.7 * left[0] and board > 5 * largest

# %% [markdown]
# What is common to digits fits into 28 numbers; noise and chessboards do not. Out of that come the uses:
#
# - **denoising:** what the code has no room for disappears (c, d), the more so if one trains for it;
# - **anomalies:** a large error says that an image is unlike all that the network has seen (e), though a small one
#   proves nothing (lesson 05);
# - **compression:** 28 numbers instead of 784 (lesson 05 counts the bits);
# - **pre-training:** millions of images without labels teach an encoder, fewer labelled ones then put it to use;
# - **image generators:** many of those behind today's text-to-image models work on the codes of an
#   autoencoder, and leave the pixels to its decoder.

# %% [markdown]
# ## The marks to beat
#
# An error means little without another beside it. Two guesses ignore the image altogether: an all-black
# picture, and the mean of the training images. Their *mean squared error* per pixel is where our scale begins.
#
# *Predict:* black is −1 and white 1, so an error lies between 0 and 4. Where will these two lie?

# %% tags=["nbval-ignore-output"]
guesses = None, None  # all black, mean image
mean_image = train.mean(dim=0)  # (1, 28, 28)
marks = pd.Series(
    {
        "all black": reconstruction_error(test, -torch.ones_like(test)).mean().item(),
        "mean image": reconstruction_error(test, mean_image.expand_as(test)).mean().item(),
    }
)
print(f"{marks.round(3).to_string()}\nyou: {guesses}")
assert 0.42 < marks["all black"] < 0.49 and 0.25 < marks["mean image"] < 0.29

# %% [markdown]
# ## The simplest autoencoder
#
# Both halves *linear*: one matrix down to 28 numbers, one back up, a bias each. It works on what differs
# from the mean image; why that matters is a surprise at the end. The weights start as perpendicular
# directions (`orthogonal_`), so that no code number begins as nearly a copy of another. Every model of this
# course returns a pair: the reconstruction and the code.


# %%
class LinearNetwork(nn.Module):
    def __init__(self, mean):
        super().__init__()
        self.mean = mean  # (1, 28, 28)
        self.encoder, self.decoder = nn.Linear(784, 28), nn.Linear(28, 784)
        for layer in (self.encoder, self.decoder):
            nn.init.orthogonal_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, images):
        code = self.encoder((images - self.mean).flatten(1))  # (N, 28)
        drawn = self.mean + self.decoder(code).reshape(images.shape)  # (N, 1, 28, 28)
        return drawn, code


# %% [markdown]
# How many numbers will it learn? Counting before running is a habit worth having: a wrong count is the
# cheapest sign of a wrong network. *Predict* it on paper, then let PyTorch count.

# %%
guess = None  # weights and biases of both halves
counted = sum(p.numel() for p in LinearNetwork(mean_image).parameters())
print(f"(784 · 28 + 28) + (28 · 784 + 784) = {784 * 28 + 28 + 28 * 784 + 784:,}")
print(f"counted {counted:,}, you: {guess}")
assert counted == (784 * 28 + 28) + (28 * 784 + 784)

# %% [markdown]
# The training loop is the one you know from classifiers, with the image in the place of the label:
# predict, compare, step. We take 3,000 steps with Adam, each on 256 random images. The schedule shrinks
# the steps to nothing, so that the jitter of small batches dies out.


# %%
def train_network(model, steps=3000):
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    losses = []
    for _ in range(steps):
        batch = train[torch.randint(len(train), (256,))]  # (256, 1, 28, 28)
        loss = nn.functional.mse_loss(model(batch)[0], batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return losses


torch.manual_seed(0)
linear = LinearNetwork(mean_image)
losses = train_network(linear)

# %% [markdown]
# ## How good can it be?
#
# Before we look at its error: what is the best that any linear autoencoder could reach? The answer needs one
# course of linear algebra and one idea, which shows best in the plane. Take points with two coordinates,
# and a code of *one* number. A linear decoder turns one number into points of one line, so choose a line through
# the middle of the points.
#
# *Predict:* which angle loses least?

# %%
torch.manual_seed(0)
cloud = torch.randn(200, 2) @ torch.tensor([[2.0, 1.4], [0.0, 0.6]])  # (200, 2)
cloud -= cloud.mean(dim=0)

figure, ax = plt.subplots(figsize=(5, 3.8), layout="constrained")
ax.scatter(*cloud.T, s=10, color="0.6")
for degrees, style in ((0, "-"), (60, "--"), (120, ":")):
    end = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    ax.axline((0, 0), end, color="C0", ls=style, label=f"{degrees}°")
ax.set(aspect="equal", xlabel="first coordinate", ylabel="second coordinate", title="Which line loses least?")
ax.legend(title="angle", frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()

# %% [markdown]
# The best a line can do for a point is the nearest place on it, the foot of the perpendicular. Then
# Pythagoras holds: $|x|^2 = \text{kept}^2 + \text{lost}^2$. Averaged over all points, the left side is the same
# for every line. So *to lose least is to keep most*: the best line is the direction in which the points vary
# most. Turn the line through all angles and see.

# %%
guess = None  # degrees
angle = torch.arange(180)  # (180,)
lines = torch.stack([angle.deg2rad().cos(), angle.deg2rad().sin()])  # (2, 180)
codes = cloud @ lines  # (200, 180): a number for each point, on each line
feet = codes[:, None] * lines  # (200, 2, 180)
kept = feet.square().sum(dim=1).mean(dim=0)  # (180,)
lost = (cloud[:, :, None] - feet).square().sum(dim=1).mean(dim=0)

best = lost.argmin().item()
print(f"least lost at {best}°, most kept at {kept.argmax().item()}°, you: {guess}")
print(f"kept + lost: {(kept + lost).min():.3f} at least, {(kept + lost).max():.3f} at most")
assert best == kept.argmax() and (kept + lost).max() - (kept + lost).min() < 1e-4

# %% tags=["hide-input"]
figure, ax = plt.subplots(figsize=(6.5, 3), layout="constrained")
ax.plot(angle, kept, "C0--", label="kept")
ax.plot(angle, lost, "C1", label="lost")
ax.plot(angle, kept + lost, "0.5", ls=":", label="kept + lost")
ax.axvline(best, color="0.8", zorder=0)
ax.set(xlabel="angle of the line (degrees)", ylabel="mean square", xticks=range(0, 181, 30), ylim=(0, 6.8))
ax.set_title("What a line keeps and what it loses always add up to the same")
ax.legend(frameon=False, loc="upper center", ncols=3)
plt.show()

# %% [markdown]
# ## Why linear means PCA
#
# The same idea, from the plane to 784 dimensions and from 1 number to 28. Measure images from their mean: any
# other bias would only add to the loss.
#
# 1. A linear decoder draws mixtures of its 28 columns. They fill a flat 28-dimensional **subspace**, and
#    nothing outside it can be drawn.
# 2. The best drawing of $x$ there is its perpendicular foot. With 28 perpendicular unit vectors that span the
#    subspace as the columns of $U$, the code is $U^\top x$ and the drawing $UU^\top x$.
# 3. By Pythagoras, to lose least is to keep most. Kept, on average: $\operatorname{tr}(U^\top C\,U)$, where
#    $C$ is the covariance matrix, the mean of $xx^\top$.

# %% [markdown]
# 4. Let $v_1, v_2, \dots$ be the perpendicular eigenvectors of $C$, sorted, and $\lambda_i$ their eigenvalues,
#    the variance of the images along $v_i$. Then what is kept is
#
# $$\operatorname{tr}(U^\top C\,U) = \sum_i \lambda_i w_i, \qquad w_i = |U^\top v_i|^2 .$$
#
# Here $w_i$ is how much of $v_i$ lies inside the subspace: from 0 to 1, since $v_i$ has length 1. And all $w_i$
# add up to 28, since each of $U$'s 28 columns has length 1. So you have **a budget of 28, at most 1 on each
# direction**. Spend it on the 28 largest variances! That is what *principal component analysis* does. Lost:
# $\lambda_{29} + \dots + \lambda_{784}$. If $\lambda_{28} > \lambda_{29}$, no other subspace does as well. ∎

# %% [markdown]
# PCA is therefore no training at all, but three lines: the mean, the covariance, and its *singular value
# decomposition* (SVD), which for such a matrix gives the eigenvectors, sorted. (The SVD of the centred images
# themselves finds the same directions, but needs more memory.) `pca_baseline` gets them from scikit-learn and
# wraps them as a model, a `LinearAutoencoder`; ours must equal it.

# %%
mean = train.mean(dim=0)  # (1, 28, 28)
covariance = torch.cov(train.flatten(1).T, correction=0)  # (784, 784)
directions, variances, _ = torch.linalg.svd(covariance)  # (784, 784), (784,)

by_hand = LinearAutoencoder(directions[:, :28].T, mean)
pca = pca_baseline(train, 28)
cosines = (by_hand.components * pca.components).sum(dim=1).abs()  # (28,)
difference = (reconstruct(by_hand, test)[0] - reconstruct(pca, test)[0]).abs().max()
print(f"our 28 directions and scikit-learn's: |cosine| {cosines.min():.3f} at least")
print(f"reconstructions of test images: no pixel differs by more than {difference:.3f}")
assert cosines.min() > 0.9999 and difference < 1e-3

# %% [markdown]
# ## The theorem on trial
#
# The argument is about the images whose covariance it uses, the *training* images. On them it makes three
# predictions that can fail. PCA's error is $(\lambda_{29} + \dots + \lambda_{784})/784$. No linear network is
# below it. And one more number would lower it by $\lambda_{29}/784$, one fewer raise it by $\lambda_{28}/784$.
#
# *Predict:* by how many per cent does our network, after 3,000 noisy steps, miss the optimum?

# %% tags=["nbval-ignore-output"]
guess = None  # per cent
tails = {k: variances[k:].double().sum().item() / 784 for k in (27, 28, 29)}
table = pd.DataFrame({"theory": {f"PCA-{k}": tail for k, tail in tails.items()}})
models = {f"PCA-{k}": LinearAutoencoder(directions[:, :k].T, mean) for k in tails} | {"linear network": linear}
for name, model in models.items():
    table.loc[name, ["training images", "test images"]] = mean_error(model, train), mean_error(model, test)
excess = table.loc["linear network", "training images"] / table.loc["PCA-28", "training images"] - 1
print(f"{table.round(5).to_string(na_rep='')}\n\nnetwork above PCA-28: {excess:.3%} on training images, you: {guess}")
print(f"variances 28 and 29: {variances[27]:.3f} and {variances[28]:.3f}")
assert all(abs(table.loc[f"PCA-{k}", "training images"] / tail - 1) < 1e-4 for k, tail in tails.items())
assert -1e-6 < excess < 0.002 < 0.01 < tails[27] / tails[28] - 1 and variances[27] > 1.02 * variances[28]

# %% [markdown]
# PCA meets its formula, with 27, 28 and 29 numbers, and the network, which knows of no covariance, comes to within
# a fifth of a per cent from above: far closer than PCA-27 is. On *test* images nothing is promised, and there
# either may be ahead by a hair. Here are eight of them, and what both make of them.

# %%
eight = test[:8]
rows = {"original": eight, "network": reconstruct(linear, eight)[0], "PCA-28": reconstruct(pca, eight)[0]}
ax = show_reconstructions(rows)
ax.set_title("Two linear autoencoders draw the same blurred digits")
plt.show()
assert reconstruction_error(rows["network"], rows["PCA-28"]).max() < 0.005

# %% [markdown]
# ## The same subspace …
#
# Equal errors might be an accident; the argument says more: equal *subspaces*. So look at how the network spent
# its budget of 28. An orthonormal basis of its decoder's columns (the $Q$ of a QR decomposition) serves as $U$,
# and $w_i = |U^\top v_i|^2$. A subspace spanned by random directions stands beside it.

# %%
columns = linear.decoder.weight.detach()  # (784, 28)
random = torch.randn(784, 28, generator=torch.Generator().manual_seed(0))
spent = {
    name: (torch.linalg.qr(span).Q.T @ directions).square().sum(dim=0)  # (784,)
    for name, span in {"random subspace": random, "network": columns}.items()
}
figure, ax = plt.subplots(figsize=(7, 3), layout="constrained")
ax.step(np.arange(1, 61), np.arange(60) < 28, "k:", where="mid", label="PCA-28")
for (name, share), style in zip(spent.items(), ("s", "o"), strict=True):
    ax.plot(np.arange(1, 61), share[:60], style, markersize=4, label=name)
ax.set(xlabel="eigenvector number $i$", ylabel="$w_i$", title="The network spends its 28 as PCA does")
ax.legend(frameon=False)
plt.show()
for name, share in spent.items():
    print(f"{name}: {share.sum():.1f} spent, {share[:28].sum():.0f} of it on the first 28")
assert spent["network"][:28].min() > 0.98 and spent["random subspace"][:28].sum() < 3

# %% [markdown]
# The usual measure of it is the *principal angles*: the smallest is the angle between the two closest directions,
# one from each subspace; the next is between the closest two perpendicular to those; and so on to the 28th. All
# are zero if the subspaces coincide.

# %%
components = pca.components.T.double().numpy()  # (784, 28)
angles = {
    name: np.degrees(subspace_angles(span.double().numpy(), components))[::-1]  # (28,)
    for name, span in {"random subspace": random, "network": columns}.items()
}
figure, ax = plt.subplots(figsize=(7, 3), layout="constrained")
for (name, found), style in zip(angles.items(), ("s", "o"), strict=True):
    ax.plot(np.arange(1, 29), found, style, markersize=5, label=f"{name} and PCA-28")
ax.set(yscale="log", ylim=(0.1, 180), yticks=[0.1, 1, 10, 90], yticklabels=["0.1°", "1°", "10°", "90°"])
largest = angles["network"].max()
ax.set(xlabel="principal angle number", ylabel="angle")
ax.set_title(f"The network found PCA's subspace, to within {largest:.1f}°")
ax.legend(frameon=False, loc="center right")
plt.show()
assert largest < 8 and np.median(angles["network"]) < 1.5 and angles["random subspace"].min() > 60

# %% [markdown]
# ## … but not the same axes
#
# So is a linear autoencoder "the same as PCA", as the [source lesson](../README.md#the-source-lesson), the blog
# post this course grew out of, puts it? Compare single directions: the absolute cosine between every decoder
# column and every component.
#
# *Predict* the picture. If the axes agreed, each row would hold one black cell, and its cosine would be 1.

# %%
axes_found = (columns / columns.norm(dim=0)).double().numpy()  # (784, 28)
cosines = np.abs(axes_found.T @ components)  # (28, 28)
figure, ax = plt.subplots(figsize=(5.5, 4.5), layout="constrained")
shown = ax.imshow(cosines, vmin=0, vmax=1, cmap="Greys", extent=(0.5, 28.5, 28.5, 0.5))
figure.colorbar(shown, label="|cosine|")
ax.set(xlabel="principal component", ylabel="decoder column")
ax.set(xticks=[1, 7, 14, 21, 28], yticks=[1, 7, 14, 21, 28], title=f"No axis matches: the largest |cosine| is {cosines.max():.2f}")
plt.show()
assert cosines.max() < 0.8

# %% [markdown]
# Every column is a blend. The loss cannot prevent it: take any invertible matrix $A$, multiply the code by $A$
# and let the decoder undo it with $A^{-1}$. Let us do that to the trained network, with a random $A$.
#
# *Predict:* what happens to its error, and what to the code?

# %% tags=["nbval-ignore-output"]
guess = None  # the error after mixing
A = torch.randn(28, 28, generator=torch.Generator().manual_seed(0))
mixed = LinearNetwork(linear.mean)
with torch.no_grad():
    mixed.encoder.weight.copy_(A @ linear.encoder.weight)
    mixed.encoder.bias.copy_(A @ linear.encoder.bias)
    mixed.decoder.weight.copy_(linear.decoder.weight @ torch.linalg.inv(A))
    mixed.decoder.bias.copy_(linear.decoder.bias)

before, after = mean_error(linear, train), mean_error(mixed, train)
codes = [reconstruct(model, test[:1])[1][0, :3].numpy().round(1) for model in (linear, mixed)]
print(f"error on training images {before:.6f}, mixed {after:.6f}, you: {guess}")
print(f"the first code numbers of one image {codes[0]}, mixed {codes[1]}")
assert abs(after - before) < 1e-5 and np.abs(codes[0] - codes[1]).max() > 1

# %% [markdown]
# Another code, the same error: gradient descent has no reason to prefer PCA's axes to any others. Drawn as images,
# PCA's are sorted, from broad to fine; the network's are an unsorted blend. Remember it when somebody reads a meaning
# into "code number 7" of a *linear* autoencoder: alone, it has none. (A nonlinearity that acts on each code number by
# itself, as lesson 02's will, does single out axes, which still need not mean anything.)

# %% tags=["hide-input"]
scale = np.abs(components[:, :8]).max()
first = {
    name: torch.tensor(found[:, :8].T / scale).clamp(-1, 1).reshape(8, 1, 28, 28)
    for name, found in {"PCA": components, "network": axes_found}.items()
}
ax = show_reconstructions(first, captions=[str(n) for n in range(1, 9)])
ax.set_title("The first eight axes: PCA's go from broad to fine, the network's are blends (grey is zero)")
plt.show()

# %% [markdown]
# ## A failure: forgetting the mean
#
# Now the promised surprise. Train the same network in the same way, *without* subtracting the mean. The decoder has
# a bias for each of the 784 pixels, just what it takes to learn the mean image, so nothing is lost in principle.
#
# *Predict:* what error will it reach: that of PCA with 28 numbers, with fewer, or with more?

# %% tags=["nbval-ignore-output"]
guess = None  # PCA with how many numbers?
torch.manual_seed(0)
careless = LinearNetwork(torch.zeros(1, 28, 28))
careless_losses = train_network(careless)

reached = mean_error(careless, train)
for k in (29, 28, 27, 26):
    print(f"PCA-{k}: {variances[k:].sum() / 784:.5f}")
print(f"careless: {reached:.5f}, you: {guess}")
assert abs(reached / tails[27] - 1) < 0.008 and reached > 1.015 * tails[28]

# %% [markdown]
# As if it had 27 numbers. What became of the 28th? The mean is by far the largest thing to explain in images that were
# not centred, so it is the first suspect. Either the biases draw it, or the code does: the angle between the mean
# image and what the decoder's columns can draw will tell.

# %% tags=["nbval-ignore-output"]
with torch.inference_mode():
    leftover = torch.stack([(batch - careless(batch)[0]).mean(dim=0) for batch in train.split(1000)]).mean(dim=0)
mean = mean_image.flatten()  # (784,)
by_bias = (careless.decoder.bias @ mean / (mean @ mean)).item()
spans = {"careless": careless.decoder.weight.detach(), "careful": columns}
to_mean = {
    name: np.degrees(subspace_angles(span.double().numpy(), mean.double().numpy()[:, None]))[0]
    for name, span in spans.items()
}
print(f"angle from the mean image to the span: {to_mean['careless']:.0f}°, careful network {to_mean['careful']:.0f}°")
print(f"of the mean image the biases draw {by_bias:.0%}")
print(f"length of the mean image {mean.norm():.1f}, of the average leftover {leftover.norm():.2f}")
assert to_mean["careless"] < 10 < 45 < to_mean["careful"]
assert by_bias < 0.5 and leftover.norm() < 0.01 * mean.norm()

# %% [markdown]
# The code draws it: a whole code number is spent on what the biases could have given for nothing. Why did they not
# learn it? In the first steps both are pushed. But a step on a decoder weight changes the picture in proportion to
# its code number, and an enormous mean makes code numbers large: the weights get there first. From then on the average leftover
# is almost zero, and that leftover *is* the biases' gradient, up to a factor. No gradient, no change.
#
# *Predict:* would the loss curve have warned you?

# %%
figure, ax = plt.subplots(figsize=(7, 3), layout="constrained")
for (name, values), style in zip({"careful": losses, "careless": careless_losses}.items(), ("-", "--"), strict=True):
    smooth = pd.Series(values).rolling(50).mean()
    ax.plot(smooth, style, label=name)
ax.set(yscale="log", yticks=[0.08, 0.1, 0.2, 0.5], yticklabels=["0.08", "0.1", "0.2", "0.5"])
ax.set(xlabel="steps", ylabel="loss (mean of 50 steps)", title="Alone, the careless curve raises no alarm")
ax.minorticks_off()
ax.legend(frameon=False)
plt.show()
assert np.mean(careless_losses[-500:]) < 1.06 * np.mean(losses[-500:])

# %% [markdown]
# Nothing crashed, and the loss fell nicely. Only the comparison with PCA tells that something is missing, and even how
# much: one number of 28. That is what baselines are for, and every lesson from here on keeps one beside its network.

# %% [markdown]
# ## What you can do now
#
# - Say what an autoencoder is: an encoder writes a short code, a decoder draws the image, its own target, from it. What
#   the code has no room for is lost, such as noise, or gives itself away, as the chessboard did.
# - Explain the linear case: to lose least is to keep most, with a budget of 28. A linear network, trained well, finds
#   PCA's subspace, not its axes: any invertible mix of the code serves as well.
# - Name the marks to beat on MNIST's test images: all black about 0.46, the mean image 0.27, PCA-28 0.075.
#
# **An honest limit.** All of this is one flat subspace for all digits. The network at the top is not linear, and
# draws far sharper from as many numbers. Being nonlinear alone does not bring that about: how far the source lesson's
# network beats PCA, lesson 04 answers with less triumph than you may expect.

# %% [markdown]
# ## Exercises
#
# Write in the cell, run it, and it answers; hints and a solution stand commented out below. Nothing later
# depends on them.

# %%
from convae_lib.exercises import lesson00 as ex

# %% [markdown]
# ### 00.1 · From bytes to numbers *(easy, 3 minutes)*
#
# Image files hold 8-bit pixels, from 0 (black) to 255 (white). Write `scale_pixels(images)`: a `uint8` tensor (N, H, W)
# goes in, and what the networks of this course take comes out, `float32`, (N, 1, H, W), from −1 (black) to 1 (white).


# %%
def scale_pixels(images):
    raise NotImplementedError  # your turn


ex.scale_pixels.check(scale_pixels)
# ex.scale_pixels.hint()
# ex.scale_pixels.solution()

# %% [markdown]
# ### 00.2 · An error for each image *(easy, 3 minutes)*
#
# Write `error_per_image(images, reconstructions)`: both (N, C, H, W) go in, the mean squared error of each image over all
# its numbers, (N,), comes out. It should serve as a loss too, so gradients must come through.


# %%
def error_per_image(images, reconstructions):
    raise NotImplementedError  # your turn


ex.error_per_image.check(error_per_image)
# ex.error_per_image.hint()
# ex.error_per_image.solution()

# %% [markdown]
# ### 00.3 · PCA by SVD *(medium, 10 minutes)*
#
# The lesson took the SVD of the covariance. The SVD of the centred images finds the same directions. Write
# `pca_by_svd(images, k)`, which turns images (N, C, H, W) into a pair: the `k` broadest directions as rows,
# (k, C·H·W), sorted, and the codes of the images, (N, k). Signs do not matter.


# %%
def pca_by_svd(images, k):
    raise NotImplementedError  # your turn


ex.pca_by_svd.check(pca_by_svd)
# ex.pca_by_svd.hint()
# ex.pca_by_svd.solution()

# %% [markdown]
# ### 00.4 · From one code to the other *(medium, 10 minutes)*
#
# A linear network and PCA span the same subspace, along different axes: one drawing, two codes. Write
# `translation(decoder, components)`: given the network's decoder weight (pixels, k) and PCA's components (k, pixels),
# return the matrix (k, k) that turns the network's code `z` into PCA's code of the same drawing, `matrix @ z`. Leave
# biases and means aside.


# %%
def translation(decoder, components):
    raise NotImplementedError  # your turn


ex.translation.check(translation)
# ex.translation.hint()
# ex.translation.solution()

# %% [markdown]
# ### 00.5 · Axes in order *(medium, 10 minutes)*
#
# What could give the axes an order? Hide a random tail of each code while training: the first number is always there,
# and must carry most. Write `hide_tail(codes, kept)`: of the code n in `codes`, (N, K), only the first `kept[n]` numbers
# stay, the rest becomes 0; `kept`, (N,), holds whole numbers from 1 to K. With it in the `forward` of a
# `LinearNetwork`, you may train one and draw its axes again.


# %%
def hide_tail(codes, kept):
    raise NotImplementedError  # your turn


ex.hide_tail.check(hide_tail)
# ex.hide_tail.hint()
# ex.hide_tail.solution()

# %%
ex.progress()

# %% [markdown]
# ## Further reading
#
# - H. Bourlard and Y. Kamp, "Auto-association by multilayer perceptrons and singular value
#   decomposition", *Biological Cybernetics* 59 (1988): the linear case, solved.
# - P. Baldi and K. Hornik, "Neural networks and principal component analysis: learning from examples
#   without local minima", *Neural Networks* 2 (1989): why saddle points are all that is in the way.
# - G. Hinton and R. Salakhutdinov, "Reducing the dimensionality of data with neural networks",
#   *Science* 313 (2006): where depth begins to pay.
# - K. He et al., "Masked autoencoders are scalable vision learners", *CVPR* (2022): pre-training; R. Rombach et al.,
#   "High-resolution image synthesis with latent diffusion models", *CVPR* (2022): the codes inside image generators.
# - O. Rippel, M. Gelbart and R. Adams, "Learning ordered representations with nested dropout",
#   *ICML* (2014): the idea of exercise 00.5.

# %% [markdown]
# **Next:** [01 · Layers](01_layers.ipynb) opens the boxes: what a dense and a convolutional layer compute.
