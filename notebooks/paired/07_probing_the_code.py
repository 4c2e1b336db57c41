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
# - choose the comparisons and controls without which the answers mean nothing;
# - say what a better reconstruction does for a code, what a map does, and what luck does.
#
# *Before you start:* [06 · t-SNE](06_tsne.ipynb); you need not have run it.
# *Time:* a minute on two cores. *Next:* [08 · A better autoencoder](08_a_better_autoencoder.ipynb)

# %%
import sys

if "google.colab" in sys.modules:  # installs the course; Colab keeps its own torch
    course = "git+https://github.com/YOUR_GITHUB_NAME/convae-course"
    get_ipython().run_line_magic("pip", f"install --quiet --no-deps pooch safetensors {course}")

# %% [markdown]
# An autoencoder never sees a label. Whether its code nevertheless knows the digits is not a matter of looking
# at a map: it is a question one can ask. A *probe* is a simple classifier that gets the code and nothing else.
# What it can tell, the code must contain, and in an easy form.

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
import torch
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from convae_lib import load_mnist, load_pretrained, mean_error, pca_baseline, plot_embedding
from convae_lib import probe_codes, show_reconstructions, tsne_embedding

# %% tags=["nbval-ignore-output"]
data = load_mnist()
print(data)
assert set(data.train_labels.tolist()) == set(data.test_labels.tolist()) == set(range(10))

# %% [markdown]
# ## Six descriptions of one image
#
# A probe's score says little until others stand beside it. So each image is described in six ways: *noise*, 28 numbers that have nothing to do
# with it; its 784 *pixels*; *PCA-28*; the code of the source lesson's network; the code of `load_pretrained("residual")`, lesson 08's, whose error
# is several times smaller with as many numbers; and the code of that same network *untrained*, its weights drawn anew. (The
# [source lesson](../README.md#the-source-lesson) is the blog post this course grew out of.)

# %%
torch.manual_seed(0)
pca = pca_baseline(data.train_images, hidden_dim=28)
networks = {"untrained": load_pretrained("residual"), "lesson": load_pretrained("lesson")}
networks["residual"] = load_pretrained("residual")
for layer in networks["untrained"].modules():
    if hasattr(layer, "reset_parameters"):
        layer.reset_parameters()


@torch.inference_mode()
def describe(images):
    described = {"noise": torch.randn(len(images), 28), "pixels": images.flatten(1)}
    described["PCA-28"] = pca(images)[1]
    for name, network in networks.items():
        described[name] = torch.cat([network.encoder(part) for part in images.split(250)])
    return {name: table.numpy() for name, table in described.items()}


# %% [markdown]
# Which images teach a probe, which test it, which ten labels it is told, where k-means starts: all of that is drawn, and luck in the draw can
# reverse two rows of a table. So we draw three times, 1,500 training and 1,000 test images each, and name no winner that does not win three times.

# %%
def draw(images, labels, count, seed):
    rows = np.random.default_rng(seed).permutation(len(images))[:count]
    return describe(images[rows]), labels[rows].numpy()


draws = []  # of (training codes, their labels, test codes, their labels), codes by their description
for seed in range(3):
    told = draw(data.train_images, data.train_labels, 1500, seed)
    draws.append((*told, *draw(data.test_images, data.test_labels, 1000, seed)))
train, train_labels, test, test_labels = draws[0]
print({name: table.shape for name, table in train.items()})

# %% [markdown]
# How well do the four models redraw the first draw's test images?

# %% tags=["nbval-ignore-output"]
images = torch.from_numpy(test["pixels"]).unflatten(1, (1, 28, 28))
models = {"PCA-28": pca} | networks
errors = {name: mean_error(model, images) for name, model in models.items()}
display(pd.Series(errors, name="test error").round(4).to_frame())
assert errors["residual"] < 0.3 * min(errors["lesson"], errors["PCA-28"])
assert errors["untrained"] > 3 * errors["lesson"]

# %% [markdown]
# *Predict* now, before any probe: which of the six knows the digits best? Does the residual network's code know them better
# than the lesson's? Does an untrained one know anything?

# %%
guess = None  # "noise", "pixels", "PCA-28", "untrained", "lesson" or "residual"

# %% [markdown]
# ## A linear probe, and its penalty
#
# The probe that gave the method its name is logistic regression: a straight boundary between each two digits. It has one setting, a penalty on
# large weights, $1/C$. The right one for 784 numbers need not be right for 28, so a probe with one $C$ for all would judge the
# descriptions by their size. Each gets its own, chosen on a fifth of the training codes.
#
# Before that, all codes are centred and divided by *one* number, so that their mean variance is one. (To standardise each number by itself is a
# common habit. It would give a pixel at the border, nearly always black, as large a say as one in the middle.)

# %%
def scaled(train_codes, test_codes):
    spread = np.sqrt(train_codes.var(axis=0).mean())
    return [(codes - train_codes.mean(axis=0)) / spread for codes in (train_codes, test_codes)]


def accuracy(C, codes, names, asked, truth):
    probe = LogisticRegression(C=C, max_iter=1000, tol=1e-3).fit(codes, names)
    return probe.score(asked, truth)


def linear_probe(train_codes, names, test_codes, truth, penalties=(1, 0.1, 0.01), seed=0):
    """Accuracy on the test codes, and on those held out by penalty."""
    codes, asked = scaled(train_codes, test_codes)
    order = np.random.default_rng(seed).permutation(len(codes))
    held, kept = np.split(order, [len(codes) // 5])
    found = {C: accuracy(C, codes[kept], names[kept], codes[held], names[held]) for C in penalties}
    return accuracy(max(found, key=found.get), codes, names, asked, truth), found


# %% tags=["nbval-ignore-output"]
probed = {
    name: linear_probe(train[name], train_labels, test[name], test_labels, (1, 0.1, 0.01, 0.001))
    for name in ("pixels", "residual")
}
held_out = pd.DataFrame({name: found for name, (_, found) in probed.items()})
display(held_out.rename_axis("C").round(3))
print("on test codes:", {name: round(score, 3) for name, (score, _) in probed.items()})
cost = held_out.max() - held_out.loc[0.001]  # of the strongest penalty
assert cost["residual"] > cost["pixels"] + 0.03

# %% [markdown]
# A penalty that pixels hardly feel costs the code dearly: where 784 numbers add up, small weights will do. From here on each description has the
# best of three, 1, 0.1 and 0.01.
#
# ## Clusters without labels
#
# The hardest question, built by hand. k-means splits the training codes into ten clusters, knowing no
# label. Which cluster is which digit? We count how often each digit falls into each cluster, and choose the
# one-to-one naming under which most training images are named rightly: an assignment problem, solved exactly.

# %%
kmeans = KMeans(10, n_init=10, random_state=0).fit(train["residual"])

counts = np.zeros((10, 10), dtype=int)  # how many images of a digit (row) are in a cluster (column)
np.add.at(counts, (train_labels, kmeans.labels_), 1)
digit, cluster = linear_sum_assignment(counts, maximize=True)
names = np.empty(10, dtype=int)
names[cluster] = digit

named = names[kmeans.predict(test["residual"])]  # test images, named by the cluster they fall into
by_hand = np.mean(named == test_labels)

# %% tags=["hide-input"]
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
    drawn = networks["residual"].decoder(centres)
ax = show_reconstructions({"centre": drawn}, captions=[str(name) for name in range(10)])
ax.set_title("The centres of the ten clusters, decoded, each below its name")
plt.show()
assert drawn.shape == (10, 1, 28, 28)

# %% tags=["nbval-ignore-output"]
own = counts[digit, cluster] / counts[:, cluster].sum(axis=0)  # of each cluster: its name's digit
for name in own.argsort()[:3]:
    print(f"of the cluster that must be called {name}, {own[name]:.0%} are {name}s")
print(f"named rightly: {by_hand:.0%} of the test images")
assert own.min() < 0.5 and 0.4 < by_hand < 0.8

# %% [markdown]
# Where a digit is split, say into slanted and upright ones, only one half can have its name; the other gets a name that nobody else
# needed, and draws something else. k-means divides space where codes are dense, and nobody told it that slant does not matter.
#
# ## All questions to all descriptions
#
# `probe_codes` asks: five nearest neighbours; the linear probe; the same
# probe told only 100 or 10 labels, in five random draws each; and k-means, with *NMI*, a measure of
# agreement that needs no naming, 0 at chance. All is fitted on training codes and scored on test codes.

# %%
scores = pd.DataFrame(
    {
        (name, seed): probe_codes(told[name], names, asked[name], truth, seed=seed)
        for seed, (told, names, asked, truth) in enumerate(draws)
        for name in told
    }
).T
assert np.isclose(scores.loc[("residual", 0), "k-means"], by_hand)
again, _ = linear_probe(train["residual"], train_labels, test["residual"], test_labels)
assert np.isclose(scores.loc[("residual", 0), "linear probe"], again)

# %% [markdown]
# The library's k-means and linear probe give what ours gave by hand. Here is everything, the mean of three draws; chance is 0.1.

# %% tags=["nbval-ignore-output"]
questions = ["kNN", "linear probe", "100 labels", "10 labels", "k-means", "NMI"]
table = scores.groupby(level=0, sort=False).mean()
display(table[questions].round(3))
print("best at the linear probe:", table["linear probe"].idxmax(), "| your guess:", guess)
assert (table.loc["noise", questions[:5]] - 0.1).abs().max() < 0.05 and table.loc["noise", "NMI"] < 0.05
for question in ("kNN", "linear probe"):  # in every draw
    by_draw = scores[question].unstack(level=0)
    assert (by_draw["untrained"] > 0.5).all() and (by_draw["pixels"] > 0.8).all()
    trained = by_draw[["pixels", "PCA-28", "lesson", "residual"]].min(axis=1)
    assert (by_draw["untrained"] < trained).all()

# %% [markdown]
# A difference counts when it has the same sign in all three draws. Four pairs, the smallest and the largest lead of the three, in points:

# %% tags=["nbval-ignore-output"]
def leads(one, other, scores=scores):
    lead = 100 * (scores.loc[one, questions] - scores.loc[other, questions])
    return [f"{low:+.0f} to {high:+.0f}" for low, high in zip(lead.min(), lead.max(), strict=True)]


pairs = [("lesson", "pixels"), ("lesson", "PCA-28"), ("residual", "PCA-28"), ("residual", "lesson")]
display(pd.DataFrame({f"{a} over {b}": leads(a, b) for a, b in pairs}, index=questions))
residual_over_lesson = scores.loc["residual"] - scores.loc["lesson"]
assert (residual_over_lesson[["kNN", "linear probe", "100 labels"]] > 0).all(axis=None)
assert (scores.loc["lesson", "kNN"] - scores.loc["pixels", "kNN"]).abs().max() < 0.05

# %% [markdown]
# - *Noise* scores what knowing nothing scores. *Pixels* already know most of it: whoever reports nine in ten for a code and omits the pixels
#   reports MNIST.
# - The *untrained* network knows far more than chance: random filters keep similar images similar. Training
#   is to be credited with the difference to this row, not to zero.
# - The *lesson's* code is level with the pixels, give or take a few points. 784 numbers have become 28, and naming digits has hardly suffered. It
#   has not gained.
# - The *residual* network's code leads the lesson's by some points, in every draw and at every question that has labels; over PCA-28 by fewer. An error several times
#   smaller helps, but not several times: redrawing an image and naming it are different tasks.

# %% [markdown]
# ## Trained anew
#
# Three draws of images, but one network of each kind. Another training starts from other weights and ends in another code, which may answer
# otherwise. So three networks of each kind were trained, and probed with 5,000 codes to learn from and 5,000 to be asked about, test images all, halved anew
# each time. The results are stored; `make bench ONLY=probes` remakes them. *Predict:* which of the leads above survive?

# %%
results = Path("../benchmarks/results")
if not results.exists():  # in Colab there is only this notebook
    results = "https://raw.githubusercontent.com/YOUR_GITHUB_NAME/convae-course/main/benchmarks/results"
guess = None  # "lesson over pixels", "residual over lesson", …: those with one sign in every training

stored = pd.read_csv(f"{results}/probes.csv").set_index(["of", "description", "seed"])[questions]
trainings = stored.loc["codes"]
print("your guess:", guess)
pd.DataFrame({f"{a} over {b}": leads(a, b, trainings) for a, b in pairs}, index=questions)

# %% [markdown]
# In 10,000 test images and three trainings, the residual network's code leads the lesson's at *every* question, every time: a better reconstruction does know the
# digits better. Over PCA-28 it leads too, but for k-means, where the trainings disagree. And the lesson's code leads over pixels and PCA at next to nothing,
# as before. What three draws of a thousand images had left open, ten times as many settle.
#
# ## A control that can fail
#
# Noise was the test of the codes; now the test of the *probes*: labels without meaning. Take 100 training images as references, give each a
# digit by lot, and label every image like the reference that its pixels are nearest to. A probe that learns these labels as
# well as the true ones would tell nothing about digits. What is left is its *selectivity* (Hewitt and Liang, 2019): accuracy on digits minus
# accuracy on labels without meaning.
#
# Asked are the codes of 28 numbers, so that each probe has as many weights. *Predict:* which is more selective, neighbours or the linear one?

# %% tags=["nbval-ignore-output"]
guess = None  # "kNN" or "linear probe"

rows = {}
for seed, (told, names, asked, truth) in enumerate(draws):
    lots = np.random.default_rng(seed).permutation(100) % 10
    pixels = (torch.from_numpy(codes["pixels"]) for codes in (told, asked))
    blind, blind_truth = (
        lots[torch.cdist(part, torch.from_numpy(told["pixels"][:100])).argmin(dim=1)] for part in pixels
    )
    for name in ("PCA-28", "untrained", "lesson", "residual"):
        knn = KNeighborsClassifier(5).fit(told[name], blind).score(asked[name], blind_truth)
        linear, _ = linear_probe(told[name], blind, asked[name], blind_truth, seed=seed)
        rows[name, seed] = {"kNN": knn, "linear probe": linear}
blind_scores = pd.DataFrame(rows).T
selectivity = scores.loc[blind_scores.index, ["kNN", "linear probe"]] - blind_scores
both = {"without meaning": blind_scores, "selectivity": selectivity}
display(pd.concat(both, axis=1).groupby(level=0, sort=False).mean().round(2))
print("more selective:", selectivity.mean().idxmax(), "| your guess:", guess)
assert (blind_scores["kNN"] > 0.3).all()
assert (selectivity["linear probe"] > selectivity["kNN"]).all()

# %% [markdown]
# Neighbours fail the control: they learn some half of the labels without meaning. So a high kNN accuracy says first of
# all that a code keeps near images near, whatever they are called. The linear probe is more selective, in every draw and for every code: few
# straight boundaries fit arbitrary patches of space badly, and digits much better. Look down its last column, too: which code is the most selective?
#
# ## A handful of labels
#
# This is where an unsupervised code should shine: images are plenty, labels are dear. *Predict:* with one label for each digit, what matters more,
# the description, or which ten images happen to be labelled?

# %% tags=["hide-input"]
told_counts = {"10 labels": "10 labels", "100 labels": "100 labels", "linear probe": "1,500 labels"}
figure, axes = plt.subplots(1, 3, figsize=(10, 3), sharex=True, sharey=True, layout="constrained")
for ax, (question, title) in zip(axes, told_counts.items(), strict=True):
    spread = scores.groupby(level=0, sort=False)[question].std()
    if question != "linear probe":
        spread = table[f"{question} sd"]
    ax.errorbar(table[question], range(len(table)), xerr=spread, fmt="o", color="0.2", capsize=3)
    ax.set(title=title, xlabel="accuracy on test images", xlim=(0, 1))
    ax.grid(axis="x", alpha=0.4)
axes[0].set_yticks(range(len(table)), table.index)
axes[0].invert_yaxis()
figure.suptitle("With ten labels, luck in the draw outweighs the description (bars: one standard deviation)")
plt.show()

# %% tags=["nbval-ignore-output"]
trained = table.loc[["pixels", "PCA-28", "lesson", "residual"]]
luck = pd.DataFrame(
    {
        "luck: mean sd of draws": [trained[f"{n} labels sd"].mean() for n in (10, 100)],
        "description: sd of means": [trained[f"{n} labels"].std() for n in (10, 100)],
    },
    index=["10 labels", "100 labels"],
)
display(luck.round(3))
assert luck.iloc[0, 0] > 1.3 * luck.iloc[1, 0]
if data.source == "mnist":
    assert luck.iloc[0, 0] > 1.2 * luck.iloc[0, 1]

# %% [markdown]
# One label for each digit gives a third to a half, and which ten images you get moves the score more than the choice among pixels, PCA and the trained
# codes. So a paper's result from ten labels, in one draw, is a lottery ticket. With a hundred the bars are shorter; with 1,500 they
# are hardly wider than the dots, and the four still lie within a few points.

# %% [markdown]
# ## Two numbers against 28
#
# The source lesson says that 28 features would separate the labels *even better* than the two of its map. It sounds safe: the map
# was made from the 28, how could it know more? Ask maps the same questions. And, so that a gain is not credited to the wrong cause, draw maps of
# the pixels and of PCA-28 as well.
#
# scikit-learn's t-SNE cannot place new images on an old map, so training and test codes go on one map together, without labels. That is an advantage
# that no other description has: the maps were fitted to the test images too. *Predict:* which questions does a map answer better than what it
# was made from?

# %%
guess = None  # some of "kNN", "linear probe", "100 labels", "10 labels", "k-means", "NMI"

described = ["pixels", "PCA-28", "lesson", "residual"]
maps, rows = {}, {}
for seed, (told, names, asked, truth) in enumerate(draws):
    for name in described:
        points = tsne_embedding(np.concatenate([told[name], asked[name]]), seed=seed)
        maps[name, seed] = on_map, asked_on_map = np.split(points, [len(names)])
        rows[name, seed] = probe_codes(on_map, names, asked_on_map, truth, seed=seed)
map_scores = pd.DataFrame(rows).T

# %% tags=["nbval-ignore-output"]
gain = 100 * (map_scores - scores.loc[map_scores.index])[questions]
same_sign = (np.sign(gain).groupby(level=0, sort=False).sum().abs() == len(draws)).T
mean_gain = gain.groupby(level=0, sort=False).mean().T
display(mean_gain.round(0).map("{:+.0f}".format).where(same_sign, "undecided"))
print("all maps gain:", [*mean_gain.index[(same_sign & (mean_gain > 0)).all(axis=1)]], "| your guess:", guess)
assert (gain["NMI"] > 0).all() and mean_gain.loc["k-means"].min() > 5
assert (gain.loc[["pixels", "PCA-28", "lesson"], "linear probe"] < 0).all()
assert mean_gain.loc["kNN"].abs().max() < 5

# %% [markdown]
# Points that a map gains over what it was made from, the mean of three draws, or "undecided" where the draws disagree. So is the claim true? It
# depends on who asks. A linear probe makes more of the lesson's 28 numbers than of their map, as it does of 784 pixels; neighbours hardly care;
# clusters do *much better with two*.
#
# And the gain is not the network's doing. The maps of raw pixels and of PCA-28 gain in clusters as the lesson's does, if not as much as the residual network's. What
# gains is the method, t-SNE and then k-means, which N2D (2020) uses on autoencoders: it likes any description that keeps near images near.

# %% tags=["hide-input"]
figure, axes = plt.subplots(1, 2, figsize=(9, 3), sharey=True, layout="constrained")
means = map_scores.groupby(level=0, sort=False).mean()
for ax, question in zip(axes, ("linear probe", "k-means"), strict=True):
    ax.hlines(range(4), table.loc[described, question], means[question], color="0.7", zorder=0)
    ax.scatter(table.loc[described, question], range(4), color="C0", label="the description")
    ax.scatter(means[question], range(4), color="C1", marker="P", s=50, label="its map")
    ax.set(title=question, xlim=(0, 1), ylim=(3.5, -0.5), xlabel="accuracy on test images")
axes[0].set_yticks(range(4), described)
axes[1].legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
figure.suptitle("Maps gain what k-means needs, with a network or without, and most lose what a linear probe needs")
plt.show()

# %% [markdown]
# How can two numbers tell more than the 28 they came from? The map adds nothing about a single image, but it places each image knowing all the others,
# test images included. It pulls neighbours together and lets gaps open: classes that were curved become rounder islands, and k-means likes islands.
# Look at the maps of the first draw:

# %% tags=["hide-input"]
figure, axes = plt.subplots(2, 2, figsize=(8.5, 8.8), layout="constrained")
for ax, name in zip(axes.flat, described, strict=True):
    points, both_labels = np.concatenate(maps[name, 0]), np.concatenate([train_labels, test_labels])
    plot_embedding(points, both_labels, ax=ax).set_title(f"map of {name}")
figure.suptitle("Islands on every map, with or without a network")
plt.show()

# %% [markdown]
# Where several digits share an island, straight lines through the plane cannot part them well; in 28 dimensions there is
# more room for that.
#
# What a map costs: it saw the test images, cannot place a new one, and cannot be decoded into an image. It is a
# picture of this data set. The 28 numbers are a description of any digit.

# %% [markdown]
# ## What you can do now
#
# - Ask a code by neighbours, a linear probe with a penalty of its own, clusters, few labels: fitted on training codes, scored on test codes.
# - Keep noise, pixels, PCA, an untrained network and labels without meaning beside it.
# - Tell causes apart: a much better reconstruction names digits some points better; maps gain in clusters, whatever they are drawn from; with ten
#   labels, luck decides.
#
# **An honest limit.** The digits are an easy question: pixels answer it. On photographs, descriptions differ far more, and reconstruction is known to
# be a poor teacher of classes. And three trainings differ by their luck only: another architecture with the same error may know more, or less.

# %% [markdown]
# ## Exercises
#
# Write your answer in the cell and run it: it is checked at once. A hint and the solution stand below each check, commented out; nothing later
# depends on your answers. Tables are NumPy arrays here, those you get and those you return.

# %%
from convae_lib.exercises import lesson07 as ex

# %% [markdown]
# ### 07.1 · One scale for both
#
# *(easy, 5 minutes)* `train` (N, features) are training codes; `codes` (M, features) are any, a test image's too. Return `codes`, shifted and divided by
# one number, so that the *training* codes, treated alike, would have means of zero and variances (as `np.var`, divided by N) that average to one.
# With `back` true, `codes` have been scaled so before: return what they were.


# %%
def one_scale(train, codes, back):
    raise NotImplementedError  # your turn


ex.one_scale.check(one_scale)
# ex.one_scale.hint()
# ex.one_scale.solution()

# %% [markdown]
# ### 07.2 · Naming clusters
#
# *(medium, 6 minutes)* `counts` (D, K) says how many images of a digit (row) are in a cluster (column); there may be more clusters than digits. Return
# an array (K,) with a name for each cluster, under which most images are named rightly: every digit from 0 to D − 1 once, and −1 for clusters that
# are left over.


# %%
def name_clusters(counts):
    raise NotImplementedError  # your turn


ex.name_clusters.check(name_clusters)
# ex.name_clusters.hint()
# ex.name_clusters.solution()

# %% [markdown]
# ### 07.3 · A fair draw
#
# *(medium, 6 minutes)* Few labels, fairly drawn. Return the row numbers of `per_class` images of every class that occurs in `labels` (N,), all
# different and drawn with `rng`, a `np.random.Generator`: an array (classes · `per_class`,), in any order. Each class has at least `per_class`
# images.


# %%
def fair_draw(labels, per_class, rng):
    raise NotImplementedError  # your turn


ex.fair_draw.check(fair_draw)
# ex.fair_draw.hint()
# ex.fair_draw.solution()

# %% [markdown]
# ### 07.4 · A step of a linear probe
#
# *(hard, 12 minutes)* A probe is `codes @ W + b`, then a softmax; its loss is the mean cross-entropy with `labels` (N,), from 0 to K − 1. From
# `codes` (N, features), `W` (features, K) and `b` (K,) return new ones, `(W, b)`, after one step of gradient descent of size `rate`.


# %%
def probe_step(codes, labels, W, b, rate):
    raise NotImplementedError  # your turn


ex.probe_step.check(probe_step)
# ex.probe_step.hint()
# ex.probe_step.solution()

# %%
ex.progress()

# %% [markdown]
# ## Further reading
#
# - G. Alain and Y. Bengio, "Understanding intermediate layers using linear classifier probes", *ICLR workshop* (2017).
# - J. Hewitt and P. Liang, "Designing and interpreting probes with control tasks", *EMNLP* (2019): selectivity.
# - A. Coates, A. Ng and H. Lee, "An analysis of single-layer networks in unsupervised feature learning", *AISTATS* (2011):
#   what random and k-means features can do.
# - R. McConville, R. Santos-Rodríguez, R. Piechocki and I. Craddock, "N2D: (not too) deep clustering via clustering the local manifold of an
#   autoencoded embedding", *ICPR* (2020).
# - A. Oliver et al., "Realistic evaluation of deep semi-supervised learning algorithms", *NeurIPS* (2018): how few labels flatter.
# - K. He et al., "Masked autoencoders are scalable vision learners", *CVPR* (2022): reconstruction as a teacher, made harder.

# %% [markdown]
# **Next:** [08 · A better autoencoder](08_a_better_autoencoder.ipynb) shows how the residual network came about.
