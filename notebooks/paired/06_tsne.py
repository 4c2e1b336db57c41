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
# *Time:* a minute on two cores. *Next:* [07 · Probing the code](07_probing_the_code.ipynb)

# %%
import sys

if "google.colab" in sys.modules:  # installs the course; Colab keeps its own torch
    course = "git+https://github.com/YOUR_GITHUB_NAME/convae-course"
    get_ipython().run_line_magic("pip", f"install --quiet --no-deps pooch safetensors {course}")

# %% [markdown]
# A code has 28 numbers, and nobody sees in 28 dimensions. The [source lesson](../README.md#the-source-lesson), the blog post
# this course grew out of, ends with a map of all codes in two. It is a beautiful picture. We draw it, and then take it apart.
#
# The codes come from `load_pretrained("lesson")`, lesson 04's network, trained for an epoch and shipped with the course. It never saw a
# test image. We need its encoder only.

# %%
import time

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from scipy.optimize import brentq
from scipy.spatial.distance import pdist, squareform
from scipy.special import softmax
from scipy.stats import entropy, spearmanr
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.metrics import silhouette_score
from sklearn.neighbors import NearestNeighbors

from convae_lib import digit_map, embedding_quality, load_mnist, load_pretrained, pca_baseline
from convae_lib import plot_embedding, reconstruct, tsne_embedding

# %% tags=["nbval-ignore-output"]
data = load_mnist()
labels = data.test_labels.numpy()
encoder = load_pretrained("lesson").encoder
with torch.inference_mode():
    codes = torch.cat([encoder(images) for images in data.test_images.split(250)]).numpy()
print(data)
assert codes.shape == (len(labels), 28) and set(labels) == set(range(10))

# %% [markdown]
# ## What t-SNE optimises
#
# t-SNE puts one question to the code and to the map, and moves the points of the map until both answer alike: *if
# image $i$ picks a neighbour, how likely is it $j$?* In the code, near images are picked with a Gaussian around $i$, just as wide
# as makes about 30 others likely, the *perplexity*. Half of $i$'s pick and half of $j$'s make
# $p_{ij} = (p_{j|i} + p_{i|j}) / 2N$, which sums to one.

# %% [markdown]
# On the map the same probability falls off more slowly, $q_{ij} \propto 1 / (1 + \lVert y_i - y_j \rVert^2)$. This *heavy tail* gives
# far pairs room: 28 dimensions hold more neighbours at one distance than a plane can. What is minimised is the Kullback–Leibler divergence,
# $\mathrm{KL}(P \Vert Q) = \sum_{ij} p_{ij} \log \frac{p_{ij}}{q_{ij}}$.
#
# A pair of neighbours torn apart is expensive; two strangers placed side by side cost next to nothing. Distances enter only through each point's
# own width, so sizes and densities drop out; labels do not occur at all. Here is the formula as code, for 300 codes.


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
few = codes[:300]
exact = TSNE(n_components=2, method="exact", random_state=0).fit(few)
by_hand = divergence(neighbour_probabilities(few), exact.embedding_)
print(f"divergence by hand / scikit-learn's kl_divergence_: {by_hand / exact.kl_divergence_:.2f}")
assert abs(by_hand / exact.kl_divergence_ - 1) < 0.01

# %% [markdown]
# The formula is all there is to it; the rest is how to descend. Two tricks matter. *Early exaggeration*: for the first 250 steps all
# $p_{ij}$ count twelvefold, so that neighbours find each other before the map is large. And *Barnes–Hut*: far points are summed up in groups,
# which makes ten thousand points possible.
#
# What one writes is a single call. From 500 points on `tsne_embedding`, the library's, takes 400 steps instead of 1,000, a learning rate of up to four times
# the automatic one, and an *angle* of 1, at which far points are grouped most coarsely. *Predict:* what does that cost?

# %% tags=["nbval-ignore-output"]
guess = None  # your number: by how many percent does the divergence grow?

few = codes[:1000]
ways = {
    "TSNE(…), 1,000 steps": lambda: TSNE(n_components=2, random_state=0).fit_transform(few),
    "tsne_embedding, 400 steps": lambda: tsne_embedding(few),
}
P, rows = neighbour_probabilities(few), {}
for name, draw in ways.items():
    start = time.perf_counter()
    points = draw()
    rows[name] = {"seconds": time.perf_counter() - start, "divergence": divergence(P, points)}
speed = pd.DataFrame(rows).T
display(speed.round(2))
growth = speed["divergence"].iloc[1] / speed["divergence"].iloc[0] - 1
print(f"the divergence grew by {growth:.0%}; your guess: {guess}")
assert 0 < growth < 0.25

# %% [markdown]
# A little more divergence, in a good deal less time. So here are all test images.

# %%
embedding = tsne_embedding(codes)
ax = plot_embedding(embedding, labels)
ax.set_title("The codes of all test images, coloured by a label the network never saw")
plt.show()

# %% [markdown]
# Some digits have islands of their own; 4 and 9 share one, with the 7s at its end, and 5 and 8 touch, near the 3s. It is tempting to say that
# islands touch where digits share strokes. Hold that thought.
#
# First walk around on it. Here are the first 2,000 digits of the map, to point at, or to visit with the arrow keys; lines lead from each to its six
# nearest *in the code*. *Predict:* of six neighbours in 28 numbers, how many lie far off on the map, by more than a tenth of its width?

# %% tags=["nbval-ignore-output"]
guess = None  # your number, of six, on average

images, count = data.test_images[:2000], len(data.test_images[:2000])
by_network, _ = reconstruct(load_pretrained("lesson"), images)
shown, places, some = embedding[:count], codes[:count], labels[:count]
display(digit_map(shown, images, by_network, places, some))
near = NearestNeighbors(n_neighbors=6).fit(places).kneighbors(return_distance=False)  # (N, 6)
apart = np.linalg.norm(shown[near] - shown[:, None], axis=2) / np.ptp(shown, axis=0).max()
print(f"far off: {6 * (apart > 0.1).mean():.1f} of six on average; your guess: {guess}")
print(f"all six near: {(apart < 0.1).all(axis=1).mean():.0%} of the digits")
assert 0.1 < 6 * (apart > 0.1).mean() < 2 and (apart < 0.1).all(axis=1).mean() > 0.4

# %% [markdown]
# Most digits have all six beside them, and yet one neighbour in six or so has been torn away: a plane has no room for all neighbours of 28
# dimensions. Some of these pairs resemble each other, as a 4 and a 9; others only the code takes for neighbours. The map shows neither.
#
# ## Can the map be trusted?
#
# Two numbers. *Trustworthiness* asks whether neighbours on the map are neighbours in the code; 1 is
# perfect (it is taken on a random sample of 2,000). *kNN accuracy* asks how often five nearest neighbours
# on the map name a point's digit, in five-fold cross-validation; a tenth would be chance.

# %% [markdown]
# *Predict:* the source lesson guesses that 28 numbers separate the digits even better than two. Do they? And how
# would the two best *linear* numbers do, the first two principal components?

# %% tags=["nbval-ignore-output"]
guess = None  # your number: the kNN accuracy of two principal components

pca = PCA(2)
flat = pca.fit_transform(codes)
numbers = {"28 numbers, no map": codes, "t-SNE, 2 numbers": embedding, "PCA, 2 numbers": flat}
quality = pd.DataFrame({name: embedding_quality(codes, x, labels) for name, x in numbers.items()}).T
quality.iloc[0, 0] = np.nan  # what is compared with itself
display(quality.round(3).astype(object).fillna("—"))
in_28, on_map, on_pca = quality["knn_accuracy"]
print(f"two principal components: {on_pca:.2f}; your guess: {guess}")
print(f"the plane of PCA has {pca.explained_variance_ratio_.sum():.0%} of the codes' variance")
assert quality.loc["t-SNE, 2 numbers", "trustworthiness"] > 0.95
assert on_map > 0.75 and abs(in_28 - on_map) < 0.03 and on_pca < 0.5 * in_28

# %% [markdown]
# The map keeps nearly all that 28 numbers tell such a reader, the plane of PCA not half of it. One caution: every judged point helped to draw
# the map; t-SNE has no place for a new image. Look at both:

# %% tags=["hide-input"]
figure, axes = plt.subplots(1, 2, figsize=(10, 5.2), layout="constrained")
for ax, points, name in zip(axes, (flat, embedding), ("PCA", "t-SNE"), strict=True):
    plot_embedding(points, labels, ax=ax).set_title(name)
figure.suptitle("The same codes in two numbers: the plane of largest spread, and a map of neighbours")
plt.show()

# %% [markdown]
# The plane of largest spread keeps distances as well as any *projection* onto a plane can, and piles most digits on each other. That is
# the bargain of t-SNE (and of UMAP, its faster cousin with another formula for the same wish): neighbourhoods are kept, distances are given up.
#
# ## Is it the autoencoder?
#
# "The labels were not used in training, yet the colours separate." True, and tempting: surely the network has
# discovered digits? A claim like that needs a comparison. Draw the same map from raw pixels, and from PCA-28.
# *Predict* which of the three separates worst.

# %%
guess = None  # "pixels", "PCA-28" or "network"

_, pca_codes = reconstruct(pca_baseline(data.train_images, hidden_dim=28), data.test_images)
n = min(1500, len(labels))  # the first test images, to be quick
some_labels, some_codes = labels[:n], codes[:n]
spaces = {
    "pixels": data.test_images[:n].flatten(1).numpy(),
    "PCA-28": pca_codes[:n].numpy(),
    "network": some_codes,
}
maps = {name: tsne_embedding(space) for name, space in spaces.items()}

# %% tags=["hide-input"]
figure, axes = plt.subplots(1, 3, figsize=(12, 4.3), layout="constrained")
for ax, (name, points) in zip(axes, maps.items(), strict=True):
    plot_embedding(points, some_labels, ax=ax).set_title(name)
figure.suptitle("Three descriptions of the same images: islands in all of them")
plt.show()

# %% [markdown]
# All three show islands, and in all three 4 runs into 9, and 5 into 3 and 8. (The 5s lie in pieces: the badge stands at their median.)
#
# Now the numbers. Trustworthiness compares each map with its own description, so it does not rank descriptions. The last column scores the description itself, all its dimensions, without a map.

# %% tags=["nbval-ignore-output"]
table = pd.DataFrame(
    {name: embedding_quality(space, maps[name], some_labels) for name, space in spaces.items()}
).T
table["without the map"] = [
    embedding_quality(space, space, some_labels)["knn_accuracy"] for space in spaces.values()
]
display(table.round(3))
print("separates worst, without the map:", table["without the map"].idxmin(), "| your guess:", guess)
pca_in_28 = embedding_quality(pca_codes, pca_codes, labels)["knn_accuracy"]
print(f"on all test images, without a map: PCA-28 {pca_in_28:.3f}, the network's code {in_28:.3f}")
assert table["trustworthiness"].min() > 0.95 and table["knn_accuracy"].min() > 0.75
pixels, pca, network = table["without the map"]
assert pca > max(network, pixels) and abs(network - pixels) < 0.03 and pca_in_28 > in_28

# %% [markdown]
# Digits separate in raw pixels already. The code does about as well as the pixels, and PCA-28 a little better than
# both. (The table's scores are lower than on all images: with fewer of them, the nearest neighbour is farther away.) So the islands are a property of
# MNIST: images of one digit resemble each other. The picture is no evidence that the network understands digits. The source lesson calls the code
# "like a deep-learning PCA"; at this task plain PCA is better than *this* network after its one epoch.

# %% [markdown]
# ## A control
#
# Would t-SNE show islands in anything? Shuffle each of the 28 code numbers among the images, independently. Every single number
# keeps its distribution; what belonged together no longer does. *Predict* the map.
#
# Whether there are islands can be measured without a label: let k-means cut a map into ten pieces, and ask how much nearer
# a point is to its own piece than to the next one. That is the *silhouette*. It is 1 for ten distant dots; points strewn evenly over a disc say
# what no island at all would give.

# %% tags=["nbval-ignore-output"]
def clumps(points):
    pieces = KMeans(10, n_init=3, random_state=0).fit_predict(points)
    return silhouette_score(points, pieces)


rng = np.random.default_rng(0)
shuffled = np.column_stack([rng.permutation(column) for column in some_codes.T])
controls = {f"perplexity {p}": tsne_embedding(shuffled, perplexity=p) for p in (30, 2)}
turn, radius = rng.uniform(0, 2 * np.pi, n), np.sqrt(rng.uniform(size=n))
disc = np.column_stack([radius * np.cos(turn), radius * np.sin(turn)])
silhouettes = {"codes": clumps(maps["network"]), "an even disc": clumps(disc)}
silhouettes |= {f"shuffled, {name}": clumps(points) for name, points in controls.items()}
display(pd.Series(silhouettes, name="silhouette").round(2).to_frame())
assert silhouettes["codes"] > max([*silhouettes.values()][1:]) + 0.02

# %% tags=["hide-input"]
figure, axes = plt.subplots(1, 2, figsize=(8, 4.3), layout="constrained")
for ax, (name, points) in zip(axes, controls.items(), strict=True):
    plot_embedding(points, some_labels, names=False, ax=ax).set_title(name)
figure.suptitle("Shuffled codes: no islands at perplexity 30, crumbs at 2")
plt.show()

# %% [markdown]
# One cloud at perplexity 30, no more clumped than a disc: what we saw in the codes is in the codes. At perplexity 2 the same noise falls into
# crumbs of three or four points. Small perplexities make clumps of anything, so a clump alone proves nothing: draw a control beside it.
#
# ## What changes with the settings
#
# Same codes, four more maps: two other perplexities, and two random starts in place of the first two principal components.
# *Predict* what will differ.

# %%
settings = {
    "perplexity 5": {"perplexity": 5},
    "perplexity 100": {"perplexity": 100},
    "random start 0": {"init": "random"},
    "random start 1": {"init": "random", "seed": 1},
}
variants = {"perplexity 30": maps["network"]}
variants |= {name: tsne_embedding(some_codes, **options) for name, options in settings.items()}

# %% tags=["hide-input"]
figure, axes = plt.subplots(2, 2, figsize=(8.5, 8.8), layout="constrained")
for ax, name in zip(axes.flat, settings, strict=True):
    plot_embedding(variants[name], some_labels, ax=ax).set_title(name)
figure.suptitle("Four more maps of the same codes: gaps, places and even an island change")
plt.show()

# %% [markdown]
# Most digits keep together in all of them. But at perplexity 5 the gaps close, and at 100, on all of MNIST, some of the 7s lie far from the others.
# With a random start the map may come out turned or mirrored, which means nothing.
#
# Does at least the *arrangement* mean something, which islands are near and which far? Take the centre of each digit and the 45 distances
# between centres. *Rank correlation* tells how well two orders of near and far agree: 1 is the same order, 0 no relation.


# %%
def distances(points, classes):
    return pdist([np.median(points[classes == c], axis=0) for c in np.unique(classes)])


def agreement(one, other, classes=some_labels):
    return spearmanr(distances(one, classes), distances(other, classes)).statistic


# %% [markdown]
# We compare each map with the first one, at perplexity 30, and then with the distances in the code itself, all 28 dimensions. The plane of PCA
# stands beside them. *Predict:* how well do the maps agree with the code they were drawn from?

# %% tags=["nbval-ignore-output"]
guess = None  # your number: the correlation of a map's distances with the code's

kept = {name: embedding_quality(some_codes, x, some_labels) for name, x in variants.items()}
scores = pd.DataFrame(kept).T
scores["like first map"] = [agreement(x, maps["network"]) for x in variants.values()]
scores["like the code"] = [agreement(x, some_codes) for x in variants.values()]
display(scores.round(2))
low, high = scores["like the code"].min(), scores["like the code"].max()
print(f"the maps with the code: {low:.2f} to {high:.2f}; your guess: {guess}")
print(f"PCA's plane with the code: {agreement(flat[:n], some_codes):.2f}")
_, *perplexities, seed_0, seed_1 = scores["like first map"]
random_starts = np.array([seed_0, seed_1])
assert data.source != "mnist" or 0.3 < low and high < 0.85
assert scores["knn_accuracy"].max() - scores["knn_accuracy"].min() < 0.1
if data.source == "mnist":
    assert max(perplexities) < random_starts.min() and random_starts.min() > 0.9

# %% [markdown]
# Both quality measures rate the maps within a few points. With another perplexity the order of distances changes; random starts return to it (on
# the full data set). With the code every map agrees in part only. So a map that comes out the same
# again and again is *stable*; that does not make it *true*. "The 0s are far from the 1s" must be checked in the code.

# %% [markdown]
# Surprising, though: is a random start not known to scramble a map? Here ten clouds that do not touch, in ten dimensions. *Predict:* do three
# random starts agree with each other now?

# %% tags=["nbval-ignore-output"]
guess = None  # your number: their mean agreement

centres = 30 * rng.normal(size=(10, 10))
islands = np.concatenate([rng.normal(centre, 1, size=(50, 10)) for centre in centres])
cloud = np.repeat(np.arange(10), 50)
starts = [tsne_embedding(islands, init="random", seed=seed) for seed in range(3)]
pairs = [agreement(starts[a], starts[b], cloud) for a, b in ((0, 1), (0, 2), (1, 2))]
with_data = [agreement(points, islands, cloud) for points in starts]
print(f"three random starts with each other: {np.round(pairs, 2)}; your guess: {guess}")
print(f"random starts with the data:         {np.round(with_data, 2)}")
pca_start = agreement(tsne_embedding(islands), islands, cloud)
print(f"a PCA start with the data:           {pca_start:.2f}")
assert np.mean(pairs) < 0.5 < random_starts.mean() and max(pca_start, *with_data) < 0.8

# %% [markdown]
# Now the arrangement is a matter of luck. Clouds without a bridge have no neighbours in common, so nothing in the objective says where one lies
# from another. A start from PCA brings the same map back every time, but its arrangement agrees with that of the data only in part. The likely reason that our digits came
# out alike: between them there are bridges, sloppy 4s that could be 9s, and early exaggeration pulls the map together along them.
#
# ## What the picture cannot tell
#
# Sizes and distances. Three clouds in ten dimensions, the second three times and the third nine times as wide as the first, their centres
# *on one straight line*. *Predict* what the map will make of it.

# %% tags=["nbval-ignore-output"]
guess = None  # your number: how many times as wide as the first will the third be drawn?

widths = (1, 3, 9)
clouds = [rng.normal(200 * k, width, size=(150, 10)) for k, width in enumerate(widths)]
cloud_map = tsne_embedding(np.concatenate(clouds))
parts = np.split(cloud_map, 3)
middles = [np.median(part, axis=0) for part in parts]
drawn = [np.linalg.norm(p - m, axis=1).mean() for p, m in zip(parts, middles, strict=True)]
sizes = " : ".join(f"{size / drawn[0]:.1f}" for size in drawn)
print(f"widths 1 : 3 : 9 are drawn as {sizes}; your guess: {guess}")
one, two, three = pdist(middles)[[0, 2, 1]]  # 1–2, 2–3, 1–3
print(f"distances 1 : 1 : 2 are drawn as 1 : {two / one:.1f} : {three / one:.1f}")
assert max(drawn) < 4 * min(drawn)

# %% tags=["hide-input"]
figure, axes = plt.subplots(1, 2, figsize=(9, 4.2), layout="constrained")
titles = ("the data: two of ten coordinates", "the map")
for ax, groups, title in zip(axes, (clouds, parts), titles, strict=True):
    for points, width, color, marker in zip(groups, widths, ("C0", "C1", "C2"), "os^", strict=True):
        label = f"width {width}"
        ax.scatter(*points[:, :2].T, s=10, color=color, marker=marker, linewidths=0, label=label)
    ax.set_aspect("equal", adjustable="datalim")
    ax.set_title(title)
axes[1].set(xticks=[], yticks=[])
axes[1].legend(frameon=False, markerscale=2.5, loc="center left", bbox_to_anchor=(1, 0.5))
figure.suptitle("Nine times as wide, and in one line; but not on the map")
plt.show()

# %% [markdown]
# A ninefold difference, gone: t-SNE measures each point's neighbourhood by its own yardstick. And the map does not keep the distances between
# the clouds: in the data, the third is twice as far from the first as the second is. An island's size says nothing about
# variety, and its distance is at best a hint of resemblance.

# %% [markdown]
# ## What you can do now
#
# - Write down what t-SNE minimises, draw a map of ten thousand codes, and say how well it keeps neighbours.
# - Compare before you credit a network: that colours separate is mostly MNIST's doing; pixels and PCA separate too.
# - Tell data from settings: neighbours survive; gaps, places, sizes do not, and where islands are not connected, their arrangement is luck.
#
# **An honest limit.** A map shows that a code *can* be read by neighbours. It says little about what can be read
# from it otherwise, by a linear classifier, or from a handful of labels; those questions need probes rather
# than pictures.

# %% [markdown]
# ## Exercises
#
# Write your answer in the cell and run it: it is checked at once. A hint and the solution stand below each check, commented out; nothing later
# depends on your answers. Tables are NumPy arrays here, those you get and those you return.

# %%
from convae_lib.exercises import lesson06 as ex

# %% [markdown]
# ### 06.1 · Picking a neighbour
#
# *(easy, 5 minutes)* `squared` (N, N) holds the squared distances $d_{ij}^2$ between images, `widths` (N,) a width $\sigma_i$ for each. Return the
# matrix (N, N) of $p_{j|i}$, whose row $i$ says how likely image $i$ picks each $j$: in proportion to $\exp(-d_{ij}^2 / (2\sigma_i^2))$, never
# itself. Each row sums to one.


# %%
def pick(squared, widths):
    raise NotImplementedError  # your turn


ex.pick.check(pick)
# ex.pick.hint()
# ex.pick.solution()

# %% [markdown]
# ### 06.2 · Neighbours on a map
#
# *(medium, 6 minutes)* The *t* in t-SNE is Student's distribution, with one degree of freedom; with many, its tail is a Gaussian's. `points` (N, 2)
# is a map, `freedom` a number $\nu$. Return the matrix (N, N) of $q_{ij}$: proportional to $(1 + d_{ij}^2 / \nu)^{-(\nu + 1) / 2}$ with
# $d_{ij} = \lVert y_i - y_j \rVert$, zero for $i = j$, and all of it summing to one.


# %%
def map_probabilities(points, freedom):
    raise NotImplementedError  # your turn


ex.map_probabilities.check(map_probabilities)
# ex.map_probabilities.hint()
# ex.map_probabilities.solution()

# %% [markdown]
# ### 06.3 · Neighbours kept
#
# *(medium, 8 minutes)* A plainer measure than trustworthiness. For each point take its `k` nearest others in `codes` (N, features) and its `k`
# nearest others on the map, `points` (N, 2). Return the share of the former that are among the latter, the mean over all points.


# %%
def kept_neighbours(codes, points, k):
    raise NotImplementedError  # your turn


ex.kept_neighbours.check(kept_neighbours)
# ex.kept_neighbours.hint()
# ex.kept_neighbours.solution()

# %% [markdown]
# ### 06.4 · Named by the others
#
# *(medium, 6 minutes)* kNN accuracy without folds: let every point be named by its `k` nearest others on the map, by their most frequent label, and
# return the share of points named rightly. `points` is (N, 2), `labels` (N,) holds whole numbers from 0. (No vote is tied.)


# %%
def leave_one_out(points, labels, k):
    raise NotImplementedError  # your turn


ex.leave_one_out.check(leave_one_out)
# ex.leave_one_out.hint()
# ex.leave_one_out.solution()

# %% [markdown]
# ### 06.5 · The forces on a map
#
# *(hard, 15 minutes)* `P` (N, N) holds the $p_{ij}$, `points` (N, 2) the map. Return the gradient (N, 2) of $\mathrm{KL}(P \Vert Q)$ with respect
# to the points. Derive it, or let the hints give the formula.


# %%
def gradient(P, points):
    raise NotImplementedError  # your turn


ex.gradient.check(gradient)
# ex.gradient.hint()
# ex.gradient.solution()

# %%
ex.progress()

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
