# %% [markdown]
# # 11 · Your own images
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/YOUR_GITHUB_NAME/convae-course/blob/main/notebooks/11_your_own_images.ipynb)
# [![Open in Binder](https://mybinder.org/badge_logo.svg)](https://mybinder.org/v2/gh/YOUR_GITHUB_NAME/convae-course/main?urlpath=lab/tree/notebooks/11_your_own_images.ipynb)
#
# **How do I do it on images of my own, in colour and of another size, and keep what a long training reached?**
#
# You will be able to
#
# - look through a folder of pictures before you train on it, and read whatever it holds alike;
# - hold pictures out so that the error answers your question, and measure what another split would have told you;
# - kill a training, go on, and prove that nothing was lost; hand a network over to a process that does not know its class.
#
# *Before you start:* [10 · Generating digits](10_generating_digits.ipynb), and lesson 08 for the network; you need not have run them.
# *Time:* two minutes on two cores. *Next:* [12 · More processors](12_more_processors.ipynb)

# %%
import sys

if "google.colab" in sys.modules:  # installs the course; Colab keeps its own torch
    course = "git+https://github.com/YOUR_GITHUB_NAME/convae-course"
    get_ipython().run_line_magic("pip", f"install --quiet --no-deps pooch safetensors {course}")

# %%
import json
import math
import os
import subprocess
import tempfile
import warnings
from hashlib import sha256
from pathlib import Path
from time import perf_counter

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from PIL import Image, ImageOps
from safetensors.torch import load_file, save_file, save_model
from scipy.fft import dctn, idctn
from sklearn.datasets import load_sample_images
from torch import nn
from torch.utils.data import DataLoader, Dataset, Subset, TensorDataset
from convae_lib import PyTorchTrainer, ResidualAutoencoder, from_dataset, pca_baseline, reconstruct
from convae_lib import scale_images, show_reconstructions
import convae_lib.torchvision_cpu  # lets the next line work next to a CPU-only torch
from torchvision import transforms
from torchvision.datasets import FashionMNIST, ImageFolder

# %% [markdown]
# ## A folder of pictures
#
# MNIST is tidy: one size, one channel, a test set that others have held out. Your own pictures will not be, so we start with a folder. scikit-learn ships
# two photographs, `china` and `flower`, 427 × 640 pixels in colour. Cut into patches of 32 × 32, one every 8 pixels, they make a little data set whose
# images overlap, as in most sets that were cut from larger images, or filmed. We write them as PNG files, a folder for each photograph.

# %%
workplace = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)  # goes when the kernel ends
work, patches = Path(workplace.name), Path(workplace.name) / "patches"
photos = dict(zip(("china", "flower"), load_sample_images().images, strict=True))

for name, photo in photos.items():
    (patches / name).mkdir(parents=True)
    for row in range(0, 427 - 31, 8):
        for column in range(0, 640 - 31, 8):
            patch = Image.fromarray(photo[row : row + 32, column : column + 32])
            patch.save(patches / name / f"{row:03}_{column:03}.png")
    print(f"{name}: {len(list((patches / name).glob('*.png'))):,} files")

# %% [markdown]
# First look, then train. A picture's size and *mode* (RGB, L for grey, P for a palette, and others) stand at the head of its file; but only reading all
# of it shows whether it is whole. And a hash of the bytes, the same for the same file whatever its name, finds copies.


# %%
def survey(folder, most=None):
    rows = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file())[:most]:
        row = {"file": path.relative_to(folder).as_posix()}
        try:
            row["hash"] = sha256(path.read_bytes()).hexdigest()
            with Image.open(path) as picture:
                row |= {"format": picture.format, "mode": picture.mode}
                row |= {"width": picture.width, "height": picture.height}
                picture.load()  # half a file can be opened, but not read
        except Exception as error:
            row["problem"] = type(error).__name__
        rows.append(row)
    columns = ["file", "hash", "format", "mode", "width", "height", "problem"]
    return pd.DataFrame(rows, columns=columns)


found = survey(patches)
display(found.groupby(["format", "mode", "width", "height"]).size().to_frame("files"))
print(found["problem"].notna().sum(), "unreadable,", found["hash"].duplicated().sum(), "copies")

# %% [markdown]
# One size, one mode, all whole, no copies. Where every class has a folder, torchvision's `ImageFolder` is the whole dataset, and `from_dataset` turns it
# into what all our lessons worked on: one tensor, scaled to [−1, 1], three channels instead of one. Nothing in the library cares.

# %%
dataset = ImageFolder(patches)
images, labels = from_dataset(dataset)
china, flower = images.split(labels.bincount().tolist())  # views, in the order of the folders
print(dataset.classes, labels.bincount().tolist())
print(f"{tuple(images.shape)}, from {images.min():.0f} to {images.max():.0f}")
print(f"{images.nbytes / 1e6:.0f} MB in memory")
for name, part in (("china", china), ("flower", flower)):
    print(f"{name}: red, green and blue are {part.mean(dim=(0, 2, 3)).numpy().round(2)} on average")
corner = torch.tensor(photos["china"][:32, :32]).permute(2, 0, 1)  # (3, 32, 32)
assert torch.equal(china[:1], scale_images(corner[None]))

# %% [markdown]
# ## In memory, or from files?
#
# A float32 tensor takes four bytes for every number: a million colour pictures of 224 × 224 would fill 600 GB. What does not fit is read anew in every epoch, by
# a `DataLoader`. `fit` wants tensors, so the loop is yours; it has six lines. *Predict:* how many times as long does an epoch take from files?

# %% tags=["nbval-ignore-output"]
guess = None  # your number


def an_epoch(loader):
    for batch, _ in loader:
        loss = nn.functional.mse_loss(model(batch)[0], batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


model = ResidualAutoencoder(64, image_shape=(3, 32, 32))
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
scaled = transforms.Compose([transforms.ToTensor(), transforms.Normalize([0.5] * 3, [0.5] * 3)])
ways, times = {"memory": TensorDataset(images, labels), "files": ImageFolder(patches, scaled)}, {}
for way, whole in ways.items():
    loader = DataLoader(Subset(whole, range(0, len(images), 4)), batch_size=64, shuffle=True)
    start, batches = perf_counter(), [*loader]
    read, _ = perf_counter(), an_epoch(batches)
    times[way] = {"reading": read - start, "reading and training": perf_counter() - start}
times = 1000 * pd.DataFrame(times).T / len(loader)
display(times.round(1).rename_axis("milliseconds a batch"))
print("files / memory:", *(times.loc["files"] / times.loc["memory"]).round(1), "; guess:", guess)
assert torch.allclose(ways["files"][9][0], images[9], atol=1e-6)

# %% [markdown]
# Reading files costs ten times as much and more; training hides part of it. And these files are tiny and just written, so that the system still holds
# them; large ones on a distant disk take far longer. So shrink large pictures *once*, and hold them in memory while count × channels × height × width × 4 bytes is less than half of what
# you have. Beyond that, `DataLoader(…, num_workers=4)` reads while the network trains. (On Windows and macOS, and on Linux from Python 3.14 on, its dataset's class must then stand in a
# file, not in a notebook.)
#
# ## Three ways to hold out
#
# Test patches come from four blocks of `china`, outlined below. What may be trained on? *At random*: all other patches, those that overlap included. *By
# region*: only what shares no pixel with a block. *By photograph*: `flower` alone. As many in each case.

# %%
draw = torch.Generator().manual_seed(0)


def some(allowed, count):
    rows = allowed.nonzero().squeeze(1)
    return rows[torch.randperm(len(rows), generator=draw)[:count]]


rows, columns = np.indices((427, 640))
held = torch.from_numpy((2 * (rows // 107) + columns // 128) % 5 == 2)  # (427, 640)
windows = held.unfold(0, 32, 8).unfold(1, 32, 8).flatten(2)  # (50, 77, 1024): a patch's pixels
inside, clear = windows.all(dim=2).flatten(), ~windows.any(dim=2).flatten()  # (3850,)
asked = some(inside, 164)  # a third of them
allowed = {"at random": torch.ones(len(images), dtype=torch.bool).index_fill(0, asked, False)}
allowed |= {"by region": clear.repeat(2), "by photograph": labels == 1}
splits = {split: some(rows, 2000) for split, rows in allowed.items()}
test = china[asked]
print({split: f"{len(splits[split]):,} of {rows.sum():,}" for split, rows in allowed.items()})

# %% tags=["hide-input"]
figure, axes = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
for ax, (name, photo) in zip(axes, photos.items(), strict=True):
    ax.imshow(photo)
    ax.set_title(name, fontsize=10)
    ax.set_axis_off()
for row, column in ((0, 2), (1, 0), (2, 3), (3, 1)):
    square = plt.Rectangle((128 * column, 107 * row), 127, 106, fill=False, ec="w", lw=2)
    axes[0].add_patch(square)
figure.suptitle("Test patches lie in the four outlined blocks, 20 % of one photograph")
plt.show()

# %% [markdown]
# Now the whole chain in one function, for whatever images: lesson 08's network, with a code of 64 numbers for 3,072; PCA with as many; and two answers
# that need no training. The *nearest training image* can redraw only what it has seen: if that does well, the split leaks. All in decibels, of lesson 09.
# *Predict* the network's three.


# %%
def psnr(images, restored):
    return 10 * math.log10(4 / (images - restored.clamp(-1, 1)).square().mean().item())


def chain(train, test, numbers=64, steps=600):
    """Fit a network and PCA to images (N, C, H, W), and return both, with decibels on others."""
    epochs = max(1, round(steps / math.ceil(len(train) / 64)))
    torch.manual_seed(0)
    network = ResidualAutoencoder(numbers, neurons=192, image_shape=tuple(train.shape[1:]))
    optimizer = torch.optim.AdamW(
        network.parameters(), 3e-3, betas=(0.9, 0.95), weight_decay=0.1, fused=True
    )
    total = epochs * math.ceil(len(train) / 64)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total, cycle_momentum=False)
    trainer = PyTorchTrainer(network, optimizer, nn.MSELoss())
    trainer.fit(train, train, test, test, epochs, epochs, 64, scheduler=schedule, seed=0)
    fitted = {"network": network, "PCA": pca_baseline(train, numbers)}
    restored = {name: reconstruct(model, test)[0] for name, model in fitted.items()}
    nearest = torch.cdist(test.flatten(1), train.flatten(1)).argmin(dim=1)
    restored["nearest training image"] = train[nearest]
    restored["mean image"] = train.mean(dim=0).expand_as(test)
    return fitted, {name: psnr(test, images) for name, images in restored.items()}


# %% tags=["nbval-ignore-output"]
guess = None  # decibels at random, by region, by photograph

fitted, decibels = {}, {}
for split, rows in splits.items():
    fitted[split], decibels[split] = chain(images[rows], test)
table = pd.DataFrame(decibels).T
display(table.round(1))
print("your guess:", guess)
nearest, network = table["nearest training image"], table["network"]
assert nearest["at random"] > nearest["by region"] + 0.4 and network["at random"] > nearest.max()
assert network["by region"] > network["by photograph"] + 4
assert table["PCA"]["by region"] - table["PCA"]["by photograph"] < 1
assert (table["PCA"] > network).all()

# %% [markdown]
# Read it by rows. Overlap gives the nearest neighbour half a decibel and more; PCA and this network, trained too briefly to learn patches by heart, next
# to nothing. The third row shows what counts: a network that has seen `china` redraws its other parts, and of a photograph it has not seen it makes
# a mess. All three are right answers, to different questions: *at random* and *by region* say how it does on photographs you have, *by photograph* on a
# new one. Split by what will be new.
#
# Read it by columns, and PCA beats the network everywhere, and hardly minds the new photograph. Look:

# %%
shown = test[torch.arange(0, len(test), len(test) // 10)[:10]]
rows = {"original": shown}
for name, split in zip(("network", "network", "PCA"), ("by region", *["by photograph"] * 2)):
    rows[f"{name}, {split}"] = reconstruct(fitted[split][name], shown)[0]
ax = show_reconstructions(rows)
ax.set_title("What learned from a flower alone: a network that sees flowers, and PCA")
plt.show()

# %% [markdown]
# ## What PCA has learned
#
# One photograph shows a network little of the world, so it learned the flower. PCA, with a mean and 64 fixed pictures, learned something that holds
# elsewhere. What? JPEG need not learn at all: it describes each 8 × 8 block by cosine waves, fixed in 1992, separately for brightness and tints. So take
# such waves over 32 × 32 pixels, and keep those 64 that vary most. *Predict:* how many decibels worse are they than PCA's 64, made for these very images?

# %% tags=["nbval-ignore-output"]
guess = None  # your number of decibels

train, pca = images[splits["by region"]], fitted["by region"]["PCA"]
colours = torch.cov(train.transpose(0, 1).flatten(1))  # (3, 3)
tints = torch.linalg.eigh(colours).eigenvectors.flip(1).T  # brightness, and two differences


def to_waves(images):  # (N, 3, 32, 32), and as many numbers
    waves = torch.from_numpy(dctn(images.numpy(), axes=(2, 3), norm="ortho"))
    return torch.einsum("tc,ncyx->ntyx", tints, waves)


def from_waves(numbers):
    waves = torch.einsum("tc,ntyx->ncyx", tints, numbers)
    return torch.from_numpy(idctn(waves.numpy(), axes=(2, 3), norm="ortho"))


variance = to_waves(train - pca.mean).var(dim=0)
kept = variance >= variance.flatten().topk(64).values[-1]
by_waves = psnr(test, pca.mean + from_waves(to_waves(test - pca.mean) * kept))
print(f"64 waves: {by_waves:.1f} dB, PCA: {decibels['by region']['PCA']:.1f}; your guess: {guess}")
assert abs(decibels["by region"]["PCA"] - by_waves) < 0.5
assert torch.allclose(from_waves(to_waves(test)), test, atol=1e-5)

# %% tags=["hide-input"]
components = pca.components[:12].reshape(12, 3, 32, 32)
numbers = to_waves(components)  # of each component; their squares add up to 1
share, best = numbers.square().flatten(1).max(dim=1)
alone = torch.zeros(12, 3072).scatter(1, best[:, None], numbers.flatten(1).gather(1, best[:, None]))
rows = {"PCA": components, "nearest wave": from_waves(alone.reshape(12, 3, 32, 32))}
rows = {name: part / part.abs().amax(dim=(1, 2, 3), keepdim=True) for name, part in rows.items()}
ax = show_reconstructions(rows, captions=[f"{part:.0%}" for part in share])
ax.set_title("PCA's first components of natural patches, and how much of each is one cosine wave")
plt.show()
assert share[:4].mean() > 0.7

# %% [markdown]
# Not worse at all (though which 64, and the tints, were still measured on training patches): PCA had to estimate 64 × 3,072 numbers from two thousand patches, and what it found are waves, as far as it could see them. There is a
# reason. A photograph shifted a little is as likely a photograph as before, and the components of whatever has that symmetry are waves, or nearly, where the
# picture ends. So PCA could
# learn almost as much from the flower alone as from both. And it is a warning, of two kinds. In the first two rows the network's loss on its
# *training* patches, printed above, is larger than PCA's on the test patches: 600 steps were too few. In the third it learned its own photograph far better
# than the new one: there no further patches of it would help, but other photographs might.
#
# ## Pictures as they come
#
# Now the untidy part. Here is one picture, saved in eight ways that lie in ordinary folders. *Predict:* which come out wrong from
# `Image.open(path).convert("RGB")`, which everybody writes, `ImageFolder` as well?


# %%
def save_as(kind, picture, path):
    options = {}
    if kind == "16 bits":
        picture = Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 257)
    elif kind == "animated":
        picture = picture.quantize(64)
        options = {"save_all": True, "append_images": [picture.rotate(90)]}
    elif kind == "erased":  # everything outside a disc is made transparent
        disc = Image.radial_gradient("L").resize(picture.size).point(lambda far: 255 * (far < 128))
        picture = Image.merge("RGBA", (*picture.split(), disc))
    elif kind == "on its side":  # how cameras save upright pictures, with a note to turn them
        picture, options = picture.transpose(Image.Transpose.ROTATE_90), {"exif": Image.Exif()}
        options["exif"][0x0112] = 6
    elif kind in ("L", "P", "CMYK"):
        picture = picture.convert(kind)
    suffix = {"CMYK": ".jpg", "on its side": ".jpg", "animated": ".gif"}.get(kind, ".png")
    picture.save(path.with_suffix(suffix), **options)
    return path.with_suffix(suffix)


KINDS = "RGB", "L", "P", "CMYK", "16 bits", "erased", "on its side", "animated"
cut = Image.fromarray(photos["china"][110:206, 80:176])
saved = {kind: save_as(kind, cut, work / f"kind{number}") for number, kind in enumerate(KINDS)}
print({kind: path.suffix for kind, path in saved.items()})

# %% [markdown]
# A reader of our own, then: it turns what was noted to be turned, brings sixteen bits down to eight instead of cutting them off, and lays what is
# transparent on white paper. Where it cannot know the range (floating-point numbers) or cannot read, it names the file.


# %%
def load_picture(path):
    try:
        with Image.open(path) as picture:
            picture = ImageOps.exif_transpose(picture)
        if picture.mode.startswith("I"):  # 16 bits; without a range of its own nobody can tell
            values = np.asarray(picture)
            if values.min() < 0 or values.max() > 65_535:
                raise ValueError("numbers that do not fit into 16 bits; scale them first")
            picture = Image.fromarray(np.round(values / 257).astype(np.uint8))
        elif picture.mode == "F":
            raise ValueError("floating-point numbers of unknown range; scale them first")
        if "A" in picture.getbands() or "transparency" in picture.info:
            picture = picture.convert("RGBA")
            picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
        return picture.convert("RGB")
    except Exception as error:
        raise ValueError(f"{Path(path).name}: {error}") from error


# %% tags=["hide-input"]
def as_images(pictures):
    return scale_images(torch.from_numpy(np.stack(list(pictures))).permute(0, 3, 1, 2))


guess = None  # the kinds that come out wrong

naive = [Image.open(path).convert("RGB") for path in saved.values()]
rows = {"as cut": as_images([cut] * 8), 'convert("RGB")': as_images(naive)}
rows["load_picture"] = as_images(map(load_picture, saved.values()))
ax = show_reconstructions(rows, captions=KINDS)
ax.set_title("Eight files of one picture, read in two ways")
plt.show()
white = {name: (images[4] > 0.99).float().mean().item() for name, images in rows.items()}
print({name: f"{share:.0%} white" for name, share in white.items()}, "| your guess:", guess)
far = {name: (images - rows["as cut"]).abs().mean((1, 2, 3)) for name, images in rows.items()}
assert white['convert("RGB")'] > 0.95 and white["load_picture"] < 0.2
assert far['convert("RGB")'][6] > 0.3 > 0.1 > far["load_picture"][6]  # on its side, and not
assert rows["load_picture"][5, :, 0, 0].min() == 1 > rows['convert("RGB")'][5, :, 0, 0].min()

# %% [markdown]
# Sixteen bits turn white: `convert` cuts off everything above 255, without a word. What was erased comes back. The picture on its side stays there. None
# of these raises an error, and a network trains on them all the same. (Of a camera with twelve bits in sixteen everything is dark: divide by the
# largest number it can give, 4,095. Of an animation only the first picture is read.)
#
# So let a folder have all of it: 300 pictures of all kinds and sizes, a copy under another name, one saved again at half its size, and four files that
# are no pictures or hardly any.

# %%
mixed, rng = work / "mixed", np.random.default_rng(0)
mixed.mkdir()
for number in range(300):
    height, width = rng.integers(48, 160, 2)
    top, left = rng.integers(0, 427 - height), rng.integers(0, 640 - width)
    photo = photos["china" if number % 2 else "flower"]
    picture = Image.fromarray(photo[top : top + height, left : left + width])
    save_as(KINDS[rng.integers(8)], picture, mixed / f"{number:03}")
for name in ("pagoda.png", "pagoda2.png"):
    cut.save(mixed / name)
cut.resize((48, 48)).save(mixed / "pagoda_small.jpg", quality=80)
(mixed / "notes.png").write_text("no picture")
(mixed / "empty.jpg").touch()
whole = saved["CMYK"].read_bytes()
(mixed / "half.jpg").write_bytes(whole[: len(whole) // 2])
Image.fromarray(np.ones((50, 50), np.float32)).save(mixed / "heights.tif")

# %% [markdown]
# From here on everything runs on **your own pictures**, if you name their folder, with or without folders inside, and run the lesson again from this
# cell. Each picture is shrunk and cropped to `SIZE` × `SIZE` pixels; a side must be divisible by four. (Every file
# is read up to four times: begin with few. What iPhones write, HEIC, Pillow cannot read: export it as JPEG.)

# %%
FOLDER = None  # a path of yours, such as "~/Pictures"
SIZE, MOST = 32, 5_000  # the side in pixels, and how many files to look at

folder = Path(FOLDER).expanduser() if FOLDER else mixed
found = survey(folder, MOST)
assert len(found) >= 10, f"{folder} has {len(found)} files; ten pictures are the least"
display(pd.crosstab(found["mode"].fillna("none"), found["format"].fillna("none")))
display(found[["width", "height"]].describe().loc[["min", "50%", "max"]])
display(found.loc[found["problem"].notna(), ["file", "problem"]])
print(found["hash"].duplicated().sum(), "copies")

# %% [markdown]
# A folder without classes needs a `Dataset` of its own: six lines, of which the two methods are what every `DataLoader` asks for. What is too small is
# enlarged, what is not square loses its ends: look at the sizes above before you agree. *Predict:* what happens at the first file that is no picture?

# %% tags=["nbval-ignore-output"]
guess = None  # your words


class Pictures(Dataset):
    def __init__(self, paths, transform):
        self.samples, self.transform = [(path, 0) for path in paths], transform

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index):
        path, label = self.samples[index]
        return self.transform(load_picture(path)), label


square = transforms.Compose([transforms.Resize(SIZE), transforms.CenterCrop(SIZE)])
said = "all files were read"
try:
    from_dataset(Pictures([folder / name for name in found["file"]], square))
except ValueError as error:
    said = str(error).replace(str(folder), "FOLDER")
print(said, "| your guess:", guess)
assert FOLDER or "empty.jpg" in said

# %% [markdown]
# It stops, and says at which file. That is what it should do: a file that is silently skipped is found missing years later. (With a folder for each class
# the same reader goes into `ImageFolder(folder, square, loader=load_picture)`.) So leave out by name what cannot be read, and the copies. Then look for
# what a hash does not find, pictures that *nearly* agree: 8 × 8 pixels are enough to compare all with all.

# %%
paths, left_out = [], []
for name in found["file"][~found["hash"].duplicated()]:
    try:
        load_picture(folder / name)
        paths.append(folder / name)
    except ValueError as error:
        left_out.append(str(error).partition(":")[0])
images, _ = from_dataset(Pictures(paths, square))
print(len(images), "pictures; left out, besides copies:", *left_out)

small = nn.functional.interpolate(images, (8, 8), mode="area").flatten(1)  # (N, 192)
small = small - small.mean(dim=1, keepdim=True)  # brightness does not matter,
small = small / (small.std(dim=1, keepdim=True) + 0.05)  # nor contrast, if there is any
unlike = torch.cdist(small, small).div(math.sqrt(192))
unlike[torch.ones_like(unlike, dtype=torch.bool).tril()] = math.inf  # each pair once
closest = [divmod(place, len(images)) for place in unlike.flatten().argsort()[:8].tolist()]
one, other = (images[list(side)] for side in zip(*closest, strict=True))
captions = [f"{unlike[pair]:.2f}" for pair in closest]
ax = show_reconstructions({"one": one, "other": other}, captions=captions)
ax.set_title("The eight closest pairs, and how far apart they are")
plt.show()
names = [{paths[i].name for i in pair} for pair in closest]
assert FOLDER or names[0] == {"pagoda.png", "pagoda_small.jpg"}

# %% [markdown]
# The picture that was saved again comes first; the others overlap by chance, or are as good as empty. Which are duplicates only you can tell. Keep such
# pairs on one side of the split, and pictures of one camera, patient or day as well. Here we split at random, which leaks, as you know by now, and run
# the chain.

# %% tags=["nbval-ignore-output"]
order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
train, test = images[order[len(images) // 5 :]], images[order[: len(images) // 5]]
numbers = min(64, len(train) // 4)
fitted, decibels = chain(train, test, numbers, steps=300)
model = fitted["network"]
display(pd.Series(decibels).to_frame(f"dB with {numbers} numbers").round(1))
shown = {"original": test[:10]} | {name: reconstruct(m, test[:10])[0] for name, m in fitted.items()}
show_reconstructions(shown).set_title("Ten test pictures, and what is left of them")
plt.show()
assert FOLDER or decibels["network"] > decibels["mean image"] + 2

# %% [markdown]
# ## Kill it
#
# A long training will be interrupted: by a closed lid, a full disk, a queue's time limit. `fit(…, callbacks=[Checkpoint(path)])` writes everything it needs after every
# evaluation: weights, the optimizer's moments, the schedule's place, the random generators. Is that everything? A program trains for 40 epochs; we run it
# to its end, and a second time kill it, by a signal it cannot catch. Then the same command once more. *Predict:* after it went on, how many of the
# weights' tensors differ from those of the run that was never stopped?

# %%
PROGRAM = """
import sys
import torch
from safetensors.torch import load_file, save_model
from convae_lib import Checkpoint, PyTorchTrainer, ResidualAutoencoder

images, checkpoint, weights = sys.argv[1:]
train, test = map(load_file(images).get, ("train", "test"))
torch.manual_seed(0)
model = ResidualAutoencoder(16, image_shape=tuple(train.shape[1:]))
optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 40 * -(-len(train) // 32))
trainer = PyTorchTrainer(model, optimizer, torch.nn.MSELoss())
trainer.fit(train, train, test, test, epochs=40, eval_every=5, scheduler=schedule, seed=0,
            callbacks=[Checkpoint(checkpoint)])
save_model(model, weights)
"""
(work / "train.py").write_text(PROGRAM, encoding="utf-8")
save_file({"train": train[:256], "test": test[:64]}, work / "images.safetensors")
for old in work.glob("*.checkpoint*"):  # of an earlier run
    old.unlink()

# %% tags=["nbval-ignore-output"]
guess = None  # your number


def run(name, until=None):
    """Run the program; give the lines it prints, and kill it after one that begins so."""
    files = [work / "images.safetensors", work / f"{name}.checkpoint", work / f"{name}.safetensors"]
    command, quiet = [sys.executable, "-u", work / "train.py", *files], {"TQDM_DISABLE": "1"}
    lines = []
    with subprocess.Popen(command, stdout=-1, text=True, env=os.environ | quiet) as process:
        for line in process.stdout:
            lines.append(line.strip().rpartition(f"{name}.checkpoint: ")[2])
            if until and line.startswith(until):
                process.kill()  # SIGKILL; on Windows, TerminateProcess
                break
    assert until or process.returncode == 0
    return lines


run("whole")
last, again = run("killed", until="epoch 20:")[-1], run("killed")
print(last, "(and killed)", *again[:2], sep="\n")
whole, resumed = (load_file(work / f"{name}.safetensors") for name in ("whole", "killed"))
differ = [name for name in whole if not torch.equal(whole[name], resumed[name])]
print(f"{len(differ)} of {len(whole)} tensors differ; your guess: {guess}")
assert not differ and len(whole) == 20 and again[0].startswith("resuming")

# %% [markdown]
# Not one bit. The file is written whole under another name and then renamed, so a kill at any moment leaves the last good one. (The line of an epoch is printed before
# its file is written: hence "after epoch 15", and the same losses for epoch 20 once more.) Weights alone would
# not have done: the optimizer would have begun with empty moments, the schedule at its start, and the order of the batches anew.
#
# ## Hand it over
#
# For others, save the weights alone, as *safetensors*: numbers with names, and no code, unlike Python's pickle, which runs whatever a stranger put into
# it. How to build the network belongs into the same file, or you will not know next year. A fresh process must give the same images.

# %%
settings = {"hidden_dim": numbers, "neurons": 192, "image_shape": [*images.shape[1:]]}
save_model(model, work / "model.safetensors", metadata={"settings": json.dumps(settings)})
save_file({"test": test}, work / "test.safetensors")

FRESH = """
import json, sys
from safetensors import safe_open
from safetensors.torch import load_file, load_model, save_file
from convae_lib import ResidualAutoencoder, reconstruct

with safe_open("model.safetensors", "pt") as file:
    model = ResidualAutoencoder(**json.loads(file.metadata()["settings"]))
load_model(model, "model.safetensors")
restored, codes = reconstruct(model, load_file("test.safetensors")["test"])
save_file({"restored": restored, "codes": codes}, "answer.safetensors")
"""
subprocess.run([sys.executable, "-c", FRESH], cwd=work, check=True)
answer, (restored, codes) = load_file(work / "answer.safetensors"), reconstruct(model, test)
print({name: tuple(part.shape) for name, part in answer.items()}, "from a fresh process")
assert torch.allclose(answer["restored"], restored, atol=1e-6)
assert torch.allclose(answer["codes"], codes, atol=1e-5)

# %% [markdown]
# That process knew the class. `torch.export` writes down the *computation* instead: it runs `forward` once with tensors that record what is done to them,
# and keeps that as a graph, with the weights. `Dim("batch")` says that the first size may vary; all others become fixed. The next process imports
# torch, and safetensors for the images: nothing of ours. (PyTorch warns that a later version may not read such a file: keep weights and settings as well.)
#
# A phone, a browser or a program in C++ reads *ONNX*. PyTorch writes it from the same graph, with two more packages (`pip install onnxscript
# onnxruntime`, or this course with `.[onnx]`).

# %%
shapes = {"x": {0: torch.export.Dim("batch")}}
exported = torch.export.export(model, (train[:2],), dynamic_shapes=shapes)
torch.export.save(exported, work / "model.pt2")

ALONE = """
import sys, torch
from safetensors.torch import load_file, save_file

network = torch.export.load("model.pt2").module()
restored, codes = network(load_file("test.safetensors")["test"])
assert "convae_lib" not in sys.modules
save_file({"restored": restored.detach(), "codes": codes.detach()}, "alone.safetensors")
"""
subprocess.run([sys.executable, "-c", ALONE], cwd=work, check=True)
answer = load_file(work / "alone.safetensors")
print({name: tuple(part.shape) for name, part in answer.items()}, "without the class")
assert torch.allclose(answer["restored"], restored, atol=1e-5)
assert torch.allclose(answer["codes"], codes, atol=1e-4)

# %% tags=["nbval-ignore-output"]
try:
    import onnxruntime
    import onnxscript
except ImportError:
    print("ONNX is skipped: pip install onnxscript onnxruntime, then run this cell again")
else:
    with warnings.catch_warnings(action="ignore"):  # of one part of the exporter about another
        program = torch.onnx.export(
            model, (train[:2],), dynamic_shapes=shapes, dynamo=True, verbose=False
        )
    program.save(work / "model.onnx")
    session = onnxruntime.InferenceSession(work / "model.onnx")
    drawn, _ = session.run(None, {session.get_inputs()[0].name: test.numpy()})
    difference = np.abs(drawn - restored.numpy()).max()
    print(f"ONNX Runtime: no pixel differs by more than {difference:.0e}")
    assert drawn.shape == restored.shape and difference < 1e-4

# %% [markdown]
# ## Another data set, in one call
#
# Fashion-MNIST has MNIST's sizes and files, and shows clothes. Where the folder that `CONVAE_DATA` names holds it as torchvision lays it out
# (`FashionMNIST/raw`; once, `FashionMNIST(folder, download=True)` fetches 30 MB), the whole chain runs on it. Its test images are others than its
# training images, so no split is ours to make.

# %% tags=["nbval-ignore-output"]
try:
    kept = os.environ.get("CONVAE_DATA") or "."
    halves = FashionMNIST(kept, train=True), FashionMNIST(kept, train=False)
except RuntimeError:
    print("Fashion-MNIST is skipped: no FashionMNIST/raw in the folder that CONVAE_DATA names")
else:
    parts = Subset(halves[0], range(12_000)), Subset(halves[1], range(2_000))
    _, decibels = chain(*(from_dataset(part)[0] for part in parts))
    display(pd.Series(decibels).to_frame("dB with 64 numbers").round(1))
    assert decibels["network"] > decibels["mean image"] + 4

# %% [markdown]
# ## What you can do now
#
# - Look before you train: sizes, modes, copies, near copies, what cannot be read. One line in general use turned sixteen bits white, laid pictures on
#   their side, and brought back what was erased.
# - Hold out what will be new. Overlapping patches flatter a nearest neighbour, a known photograph flatters a network by many decibels; and PCA, which
#   learned nearly waves, won in the time we gave.
# - Kill a training and go on to the same bits; hand over weights with their settings, or the computation itself, to a process without the class.
#
# **An honest limit.** Two photographs are one comparison, not a law: what a new photograph costs depends on which two they are, and the network was
# trained for a quarter of a minute. With thousands of photographs, or a longer training, the table may turn round. And 32 × 32 pixels are small: a dense layer that sees all of
# an image, as ours does, grows with its area.

# %% [markdown]
# ## Exercises
#
# Write your answer in the cell and run it: it is checked at once. A hint and the solution stand below each check, commented out; nothing later depends on
# your answers.

# %%
from convae_lib.exercises import lesson11 as ex

# %% [markdown]
# ### 11.1 · Sixteen bits, eight bits
#
# *(easy, 5 minutes)* `pixels` is a NumPy array (H, W) of type `uint16`, from 0, black, to 65,535, white. Return it as `uint8`, from 0 to 255, each
# rounded to the nearest.


# %%
def eight_bits(pixels):
    raise NotImplementedError  # your turn


ex.eight_bits.check(eight_bits)
# ex.eight_bits.hint()
# ex.eight_bits.solution()

# %% [markdown]
# ### 11.2 · Patches apart
#
# *(medium, 10 minutes)* `train` (N, 3) and `test` (M, 3) are tensors of whole numbers: a patch's photograph, and the row and column of its upper left
# pixel. All patches are `size` × `size`. Return a tensor (N,) of booleans, true for those training patches that share no pixel with any test patch.


# %%
def apart(train, test, size):
    raise NotImplementedError  # your turn


ex.apart.check(apart)
# ex.apart.hint()
# ex.apart.solution()

# %% [markdown]
# ### 11.3 · Statistics of what does not fit into memory
#
# *(medium, 10 minutes)* `batches` is a list of tensors (n, C, H, W) of different n; imagine a `DataLoader`. Going through it once, holding one batch at a
# time, return the mean (C,) and the standard deviation (C,) of each channel over all pixels of all images (dividing by their number), in float64.


# %%
def channel_statistics(batches):
    raise NotImplementedError  # your turn


ex.channel_statistics.check(channel_statistics)
# ex.channel_statistics.hint()
# ex.channel_statistics.solution()

# %% [markdown]
# ### 11.4 · JPEG's waves
#
# *(hard, 15 minutes)* On `size` pixels, wave number i is cos(π i (x + ½) / size) at pixel x, divided by its norm. On `size` × `size` pixels, wave (i, j)
# is wave i along the rows' axis times wave j along the columns'. Return the first `count` of them as a tensor (count, size · size) in float64, sorted by
# i + j, those of one sum by i. (Their rows are orthonormal, as PCA's are.)


# %%
def cosines(count, size):
    raise NotImplementedError  # your turn


ex.cosines.check(cosines)
# ex.cosines.hint()
# ex.cosines.solution()

# %%
ex.progress()

# %% [markdown]
# ## Further reading
#
# - S. Kapoor and A. Narayanan, "Leakage and the reproducibility crisis in machine-learning-based science", *Patterns* 4 (2023): how often splits leak,
#   and what it costs.
# - B. Recht, R. Roelofs, L. Schmidt and V. Shankar, "Do ImageNet classifiers generalize to ImageNet?", *ICML* (2019): what is new when it is really new.
# - B. Barz and J. Denzler, "Do we train on test data? Purging CIFAR of near-duplicates", *Journal of Imaging* 6 (2020).
# - N. Ahmed, T. Natarajan and K. R. Rao, "Discrete cosine transform", *IEEE Transactions on Computers* C-23 (1974): why cosines come close to PCA.
# - D. J. Field, "Relations between the statistics of natural images and the response properties of cortical cells", *JOSA A* 4 (1987), and G. K. Wallace,
#   "The JPEG still picture compression standard", *Communications of the ACM* 34 (1991): why waves, and what was made of them.
# - H. Xiao, K. Rasul and R. Vollgraf, "Fashion-MNIST: a novel image dataset for benchmarking machine learning algorithms" (2017).

# %% [markdown]
# **Next:** [12 · More processors](12_more_processors.ipynb) asks how the same training runs on a GPU, and in several processes.
