"""Exercises of lesson 00: pixels, errors, PCA by SVD, and codes that change their axes."""

import numpy as np
import torch
from sklearn.decomposition import PCA
from sklearn.metrics import mean_squared_error

from ._exercise import IN_PLACE, Lesson, Trial

lesson = Lesson("00")
progress = lesson.progress


@lesson.exercise(
    "Where do 0 and 255 land, and how many axes has the result?",
    hints=(
        "uint8 holds 0 to 255 only: 2 * 200 is 144 there. So first make the pixels floats.",
        "From 0 … 255 to 0 … 1, then to 0 … 2, then to −1 … 1. The channel axis stands second.",
        "images.unsqueeze(1).float(), divided by 255, times 2, minus 1.",
    ),
    shown="This is what load_mnist() does to the 47 million bytes of its training file.",
)
def scale_pixels(images):
    return images.unsqueeze(1).float() / 255 * 2 - 1  # (N, 1, H, W)


@scale_pixels.judge
def _(trial: Trial) -> None:
    trial(torch.tensor([[[0, 51], [204, 255]]], dtype=torch.uint8)).gives(
        torch.tensor([[[[-1.0, -0.6], [0.6, 1.0]]]]), "the scale says"
    )
    for brightest in (256, 100, 2):
        images = torch.randint(brightest, (3, 5, 4), dtype=torch.uint8)
        scaled = np.interp(images[:, None], [0, 255], [-1, 1])
        given = trial(images)
        given.gives(torch.tensor(scaled), "the scale says")
        if given.value.dtype != torch.float32:
            trial.wrong(f"gave {given.value.dtype}, networks take torch.float32.", "")


@scale_pixels.mistake("There are no numbers above 255 in uint8. What becomes of 2 * 204?")
def _(images):
    return (images * 2).unsqueeze(1) / 255 - 1


@scale_pixels.mistake("There is nothing below 0 in uint8. What becomes of 2 * 51 - 255?")
def _(images):
    return (images * 2 - 255).unsqueeze(1) / 255


@scale_pixels.mistake("That ends at 1, but where does it begin? Black was to be −1.")
def _(images):
    return images.unsqueeze(1) / 255


@scale_pixels.mistake("A network reads (N, C, H, W). Which axis is missing?")
def _(images):
    return images / 255 * 2 - 1


@scale_pixels.mistake(
    "One grey value must always get one number, however bright its neighbours are."
)
def _(images):
    images = images.unsqueeze(1).float()
    return (images - images.min()) / (images.max() - images.min()) * 2 - 1


@scale_pixels.mistake("All black, whatever came in.")
def _(images):
    return torch.full((len(images), 1, *images.shape[1:]), -1.0)


@lesson.exercise(
    "Over which axes is the mean, and which axis stays?",
    hints=(
        "One number for each image: everything but the first axis is averaged away.",
        "Square the differences, then take the mean over channels, rows and columns.",
        "(images - reconstructions).square().mean(dim=(1, 2, 3))",
    ),
    shown="Sort images by it, and you see at once what a network cannot draw (lesson 05).",
)
def error_per_image(images, reconstructions):
    return (images - reconstructions).square().mean(dim=(1, 2, 3))  # (N,)


@error_per_image.judge
def _(trial: Trial) -> None:
    for shape in ((3, 1, 4, 4), (5, 3, 6, 2), (1, 1, 28, 28)):
        images, drawn = torch.rand(2, *shape) * 2 - 1
        drawn.requires_grad_()
        pairs = zip(images.flatten(1), drawn.detach().flatten(1), strict=True)
        errors = torch.tensor([mean_squared_error(*pair) for pair in pairs])
        given = trial(images, drawn)
        given.gives(errors, "scikit-learn's mean_squared_error says")
        expected = torch.stack([((a - b) ** 2).mean() for a, b in zip(images, drawn, strict=True)])
        given.gives(expected, gradients=[drawn])


@error_per_image.mistake("That is the mean over all images. Which axis has to stay?")
def _(images, reconstructions):
    return (images - reconstructions).square().mean()


@error_per_image.mistake("A sum grows with the number of pixels. What would compare two sizes?")
def _(images, reconstructions):
    return (images - reconstructions).square().sum(dim=(1, 2, 3))


@error_per_image.mistake("That is the root of it. The course's errors are squares.")
def _(images, reconstructions):
    return (images - reconstructions).square().mean(dim=(1, 2, 3)).sqrt()


@error_per_image.mistake("That says that every image is drawn without error.")
def _(images, reconstructions):
    return torch.zeros(len(images))


@error_per_image.mistake("A loss made of it could train nothing. What cuts the graph?")
def _(images, reconstructions):
    return (images - reconstructions).detach().square().mean(dim=(1, 2, 3))


@lesson.exercise(
    "Are the images centred, are the rows directions, and do the broadest come first?",
    hints=(
        "Flatten the images to (N, pixels), subtract their mean, and ask torch.linalg.svd.",
        "Of u, s, vh = torch.linalg.svd(…, full_matrices=False) one has a direction in each row.",
        "components = vh[:k], and the codes of all images are centred @ components.T.",
    ),
    shown="That is the whole of PCA: pca_baseline gives these directions, but for their signs.",
)
def pca_by_svd(images, k):
    pixels = images.flatten(1)
    centred = pixels - pixels.mean(dim=0)  # (N, pixels)
    _, _, directions = torch.linalg.svd(centred, full_matrices=False)
    components = directions[:k]  # (k, pixels)
    return components, centred @ components.T  # (k, pixels), (N, k)


@pca_by_svd.judge
def _(trial: Trial) -> None:
    for many, k in ((40, 3), (50, 1), (30, 8)):
        images = torch.randn(36) + torch.randn(many, 20) @ torch.randn(20, 36) / 4
        images = images.reshape(many, 1, 6, 6)
        fitted = PCA(k, svd_solver="full").fit(images.flatten(1).numpy())
        rows = torch.tensor(fitted.components_)
        codes = torch.tensor(fitted.transform(images.flatten(1).numpy()))
        given = trial(images, k)
        signs = torch.ones(k)  # scikit-learn's are as arbitrary as any
        found = given.value[0] if isinstance(given.value, tuple | list) else None
        if isinstance(found, torch.Tensor) and found.shape == rows.shape:
            signs = torch.where((found * rows).sum(dim=1) < 0, -1.0, 1.0)
        expected = rows * signs[:, None], codes * signs
        given.gives(expected, "scikit-learn's PCA (but for signs) has", tolerance=1e-3)


def _svd(centred):
    return torch.linalg.svd(centred, full_matrices=False)


@pca_by_svd.mistake("The first direction of images that are not centred points at their mean.")
def _(images, k):
    pixels = images.flatten(1)
    components = _svd(pixels)[2][:k]
    return components, pixels @ components.T


@pca_by_svd.mistake("The directions are right. An image's code is measured from the mean.")
def _(images, k):
    pixels = images.flatten(1)
    components = _svd(pixels - pixels.mean(dim=0))[2][:k]
    return components, pixels @ components.T


@pca_by_svd.mistake("Which matrix of the SVD has a direction in each row: V, or its transpose?")
def _(images, k):
    centred = images.flatten(1) - images.flatten(1).mean(dim=0)
    components = _svd(centred)[2][:, :k].T
    return components, centred @ components.T


@pca_by_svd.mistake("U alone has columns of length one. Which numbers stretch them into codes?")
def _(images, k):
    centred = images.flatten(1) - images.flatten(1).mean(dim=0)
    u, _, components = _svd(centred)
    return components[:k], u[:, :k]


@pca_by_svd.mistake("The directions stand in columns. They were asked for as rows.")
def _(images, k):
    components, codes = pca_by_svd.answer(images, k)
    return components.T, codes


@pca_by_svd.mistake("Those are the directions in which the images vary least.")
def _(images, k):
    centred = images.flatten(1) - images.flatten(1).mean(dim=0)
    components = _svd(centred)[2][-k:]
    return components, centred @ components.T


@pca_by_svd.mistake("Those are the first k pixels, whatever the images are.")
def _(images, k):
    centred = images.flatten(1) - images.flatten(1).mean(dim=0)
    components = torch.eye(centred.shape[1])[:k]
    return components, centred @ components.T


@lesson.exercise(
    "Draw with one, then code with the other: which matrices meet on that way?",
    hints=(
        "From the network's code z to the drawing, from the drawing to PCA's code: two products.",
        "The drawing, seen from the mean, is decoder @ z; its PCA code is components @ drawing.",
        "So PCA's code is components @ decoder @ z. The matrix stands in front of z.",
    ),
    shown="So the two codes tell the same: each is the other, seen along other axes.",
)
def translation(decoder, components):
    return components @ decoder  # (k, k)


@translation.judge
def _(trial: Trial) -> None:
    for pixels, k in ((6, 2), (64, 5), (784, 28)):
        components = torch.linalg.qr(torch.randn(pixels, k)).Q.T  # (k, pixels)
        blend = torch.randn(k, k) / k**0.5 + torch.eye(k)
        decoder = components.T @ blend  # (pixels, k): other axes of the same subspace
        codes = torch.randn(4 * k, k)
        theirs = codes @ decoder.T @ components.T  # PCA's codes of what the network draws
        expected = torch.linalg.lstsq(codes, theirs).solution.T
        trial(decoder, components).gives(expected, "least squares finds", tolerance=1e-3)


@translation.mistake("That matrix goes behind a row of numbers. Which goes in front of a column?")
def _(decoder, components):
    return (components @ decoder).T


@translation.mistake("That leads from PCA's code to the network's. Which way was asked for?")
def _(decoder, components):
    return torch.linalg.inv(components @ decoder)


@translation.mistake("Its code is the same only if its axes are: are they?")
def _(decoder, components):
    return torch.eye(len(components))


@translation.mistake("A decoder's columns need not be perpendicular. Whose rows are?")
def _(decoder, components):
    return components @ torch.linalg.qr(decoder).Q


@lesson.exercise(
    "Which numbers of image n are to stay, and does a gradient reach the others?",
    hints=(
        "Make a mask of ones and zeros, (N, K), and multiply: then nothing is changed in place.",
        "torch.arange(K) numbers the columns. Compare it with how many each image keeps.",
        "kept[:, None] has shape (N, 1): torch.arange(K) < kept[:, None] has shape (N, K).",
    ),
    shown="Trained so, a linear network finds the first of PCA's axes, roughly in their order.",
)
def hide_tail(codes, kept):
    return codes * (torch.arange(codes.shape[1]) < kept[:, None])  # (N, K)


@hide_tail.judge
def _(trial: Trial) -> None:
    for many, size in ((4, 3), (5, 28), (5, 5)):
        codes = torch.randn(many, size, requires_grad=True)
        kept = torch.randint(1, size + 1, (many,))
        kept[0] = 1
        rows = [
            torch.cat([code[:n], torch.zeros(size - n)])
            for code, n in zip(codes, kept.tolist(), strict=True)
        ]
        trial(codes, kept).gives(torch.stack(rows), "row by row it is", gradients=[codes])


@hide_tail.mistake("One number too many stays. Are columns counted from 0 or from 1?")
def _(codes, kept):
    return codes * (torch.arange(codes.shape[1]) <= kept[:, None])


@hide_tail.mistake("There the tail stays and the head is hidden.")
def _(codes, kept):
    return codes * (torch.arange(codes.shape[1]) >= kept[:, None])


@hide_tail.mistake("Each image has its own number in kept, not all of them the first one's.")
def _(codes, kept):
    return codes * (torch.arange(codes.shape[1]) < kept[0])


@hide_tail.mistake("The numbers are right, but the encoder would learn nothing from them.")
def _(codes, kept):
    return codes.detach() * (torch.arange(codes.shape[1]) < kept[:, None])


def _emptied(codes, kept):
    for code, n in zip(codes, kept.tolist(), strict=True):
        code[n:] = 0
    return codes


@hide_tail.mistake(IN_PLACE)
def _(codes, kept):
    return _emptied(codes, kept)


@hide_tail.mistake("Nobody tells autograd what you do to .data: it sends the hidden a gradient.")
def _(codes, kept):
    codes = codes.clone()
    _emptied(codes.data, kept)
    return codes


@hide_tail.mistake("That hides all of them, from every image.")
def _(codes, kept):
    return torch.zeros_like(codes)
