"""Exercises of lesson 02: from sizes to an encoder and a decoder written by hand."""

import torch
from torch import nn
from torch.nn import functional as F

from ..models import Autoencoder, Decoder, Encoder
from ._exercise import Lesson, Trial

lesson = Lesson("02")
progress = lesson.progress


@lesson.exercise(
    "In how many places can the window stand?",
    hints=(
        "The padding widens the image on both sides. How far to the right can the window start?",
        "The window starts at 0, stride, 2 · stride, … and at size + 2 · padding − kernel at most.",
        "Divide that last start by the stride, rounding down, and count the start at 0 too.",
    ),
    shown="You can now predict every shape in lesson 08.",
)
def output_size(size, kernel, stride, padding):
    return (size + 2 * padding - kernel) // stride + 1


@output_size.judge
def _(trial: Trial) -> None:
    cases = [(28, 5, 2, 0), (28, 5, 1, 2), (6, 3, 1, 0), (28, 4, 4, 0)]
    while len(cases) < 200:
        kernel, stride, padding, extra = (int(torch.randint(n, ())) for n in (7, 4, 4, 25))
        cases.append((kernel + 1 + extra, kernel + 1, stride + 1, min(padding, kernel // 2)))
    for size, kernel, stride, padding in cases:
        with torch.device("meta"):  # shapes without the work
            image, weight = torch.zeros(1, 1, size, size), torch.zeros(1, 1, kernel, kernel)
        made = F.conv2d(image, weight, None, stride, padding).shape[-1]
        trial(size, kernel, stride, padding).gives(made, "nn.Conv2d makes")


@output_size.mistake("A window stands at whole pixels: what happens to a step that does not fit?")
def _(size, kernel, stride, padding):
    return (size + 2 * padding - kernel) / stride + 1


@output_size.mistake("Steps are counted between the places. How many posts has a fence of n gaps?")
def _(size, kernel, stride, padding):
    return (size + 2 * padding - kernel) // stride


@output_size.mistake("A last step that does not fit is not taken. To which side do you round?")
def _(size, kernel, stride, padding):
    return -((kernel - size - 2 * padding) // stride) + 1


@output_size.mistake("That is right without a border. Where does the padding come in?")
def _(size, kernel, stride, padding):
    return (size - kernel) // stride + 1


@output_size.mistake("Is the border added on one side of the image, or on both?")
def _(size, kernel, stride, padding):
    return (size + padding - kernel) // stride + 1


@output_size.mistake(
    "That is right where the window fits in at every stride. What does it itself take?"
)
def _(size, kernel, stride, padding):
    return (size + 2 * padding) // stride


@lesson.exercise(
    "Which of the layers know how long the code is?",
    hints=(
        "Only the two dense layers around the code change with hidden_dim; the rest is a constant.",
        "A number of the code costs 5,488 weights and a bias on the way in, 5,488 on the way out.",
        "The constant: the convolutions, and the 5,488 biases of the decoder's dense layer.",
    ),
    shown="Nearly all of the lesson's network is in two matrices, as its shape walk said.",
)
def count_parameters(hidden_dim):
    convolutions = (14 * 25 + 14) + (7 * 14 * 25 + 7) + (14 * 7 * 25 + 14) + (14 * 25 + 1)
    way_in, way_out = 5488 * hidden_dim + hidden_dim, hidden_dim * 5488 + 5488
    return convolutions + way_in + way_out


@count_parameters.judge
def _(trial: Trial) -> None:
    for network in (Autoencoder, Encoder, Decoder):
        trial.refuse(network, "__init__", network.__name__)
    for hidden_dim in (28, 2, 1, 7, 64):
        counted = sum(p.numel() for p in Autoencoder(hidden_dim).parameters())
        trial(hidden_dim).gives(counted, "the library's network has")


@count_parameters.mistake("That is right for 28 numbers. What does one number more cost?")
def _(hidden_dim):
    return 318_480


@count_parameters.mistake("Every layer adds a bias to each number that it gives out.")
def _(hidden_dim):
    return 14 * 25 * 2 + 7 * 14 * 25 * 2 + 2 * 5488 * hidden_dim


@count_parameters.mistake(
    "The decoder's dense layer has a bias for each of the 5,488 numbers it gives."
)
def _(hidden_dim):
    return 318_480 - 5488 + (hidden_dim - 28) * (2 * 5488 + 1)


@count_parameters.mistake("Twice the encoder? On the way back, other biases are added.")
def _(hidden_dim):
    return 2 * ((14 * 25 + 14) + (7 * 14 * 25 + 7) + 5488 * hidden_dim + hidden_dim)


@count_parameters.mistake("That is the encoder alone. What does the way back cost?")
def _(hidden_dim):
    return (14 * 25 + 14) + (7 * 14 * 25 + 7) + 5488 * hidden_dim + hidden_dim


@lesson.exercise(
    "The shapes are right. Go through the layers and activations, one by one.",
    hints=(
        "How wide are the maps behind the first convolution, and how wide behind the second?",
        "28, 14, 7: how many numbers are seven maps of 7 × 7, for nn.Linear to read?",
        "nn.Conv2d(1, 14, 5, stride=2, padding=2), the same from 14 to 7; nn.Linear(343, …).",
    ),
    shown="Its dense layer has a sixteenth of the weights, and it narrows step by step.",
)
class StridedEncoder(nn.Module):
    def __init__(self, hidden_dim):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 14, 5, stride=2, padding=2)
        self.conv2 = nn.Conv2d(14, 7, 5, stride=2, padding=2)
        self.dense = nn.Linear(7 * 7 * 7, hidden_dim)

    def forward(self, x):
        x = self.conv1(x).tanh()  # (N, 14, 14, 14)
        x = self.conv2(x).tanh()  # (N, 7, 7, 7)
        return self.dense(x.flatten(1)).tanh()  # (N, hidden_dim)


MATRIX = "How many numbers are left of an image there, and how many does nn.Linear expect?"


@StridedEncoder.judge
def _(trial: Trial) -> None:
    trial.explain({"mat1 and mat2": MATRIX, "size mismatch": MATRIX})
    for hidden_dim in (28, 3):
        made = trial(hidden_dim)
        shapes = [(14, 1, 5, 5), (14,), (7, 14, 5, 5), (7,), (hidden_dim, 343), (hidden_dim,)]
        weights = w1, b1, w2, b2, w3, b3 = made.parameters(*shapes)
        images = torch.randn(4, 1, 28, 28)
        x = F.conv2d(images, w1, b1, stride=2, padding=2).tanh()
        x = F.conv2d(x, w2, b2, stride=2, padding=2).tanh()
        code = F.linear(x.flatten(1), w3, b3).tanh()
        made(images).gives(code, "layer by layer it is", gradients=weights)
        made(images[:1]).gives(code[:1], "layer by layer it is")


def _encoder(hidden_dim, first, second, stride=2, padding=2, size=7, last=nn.Tanh):
    layers = [nn.Conv2d(1, 14, 5, stride, padding), first()]
    layers += [nn.Conv2d(14, 7, 5, stride, padding), second(), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(7 * size**2, hidden_dim), last())


@StridedEncoder.mistake("Your maps stay 28 × 28. Which argument makes the window jump?")
def _(hidden_dim):
    return _encoder(hidden_dim, nn.Tanh, nn.Tanh, stride=1, size=28)


@StridedEncoder.mistake("Your maps shrink to 12 and 4 pixels. Which argument adds a border?")
def _(hidden_dim):
    return _encoder(hidden_dim, nn.Tanh, nn.Tanh, padding=0, size=4)


@StridedEncoder.mistake(MATRIX)
def _(hidden_dim):
    return _encoder(hidden_dim, nn.Tanh, nn.Tanh, padding=0)


@StridedEncoder.mistake("Two linear maps in a row are one. What has to stand between them?")
def _(hidden_dim):
    return _encoder(hidden_dim, nn.Tanh, nn.Identity)


@StridedEncoder.mistake("Which numbers can such a code hold, and which was it to hold?")
def _(hidden_dim):
    return _encoder(hidden_dim, nn.Tanh, nn.Tanh, last=nn.Identity)


@StridedEncoder.mistake("Which activation was asked for, and which stands there?")
def _(hidden_dim):
    return _encoder(hidden_dim, nn.ReLU, nn.ReLU)


@StridedEncoder.mistake("With one image, which axes does squeeze() remove?")
def _(hidden_dim):
    network = StridedEncoder.answer(hidden_dim)
    forward = network.forward
    network.forward = lambda x: forward(x).squeeze()
    return network


@StridedEncoder.mistake("That is the same code for every image. Does forward use the image at all?")
def _(hidden_dim):
    network = _encoder(hidden_dim, nn.Tanh, nn.Tanh)
    network.forward = lambda x: torch.zeros(len(x), hidden_dim)
    return network


@lesson.exercise(
    "The shapes are right. Go through the layers and activations, one by one.",
    hints=(
        "nn.Linear to 7 · 7 · 7 numbers, tanh, the same as seven maps, then two stamping layers.",
        "nn.ConvTranspose2d makes (n − 1) · stride + kernel − 2 · padding pixels of n.",
        "nn.ConvTranspose2d(7, 14, 4, stride=2, padding=1), then (14, 1, …); tanh after each.",
    ),
    shown="You have written both halves of a network that narrows and widens step by step.",
)
class StridedDecoder(nn.Module):
    def __init__(self, hidden_dim):
        super().__init__()
        self.dense = nn.Linear(hidden_dim, 7 * 7 * 7)
        self.conv1 = nn.ConvTranspose2d(7, 14, 4, stride=2, padding=1)
        self.conv2 = nn.ConvTranspose2d(14, 1, 4, stride=2, padding=1)

    def forward(self, code):
        x = self.dense(code).tanh().reshape(-1, 7, 7, 7)  # (N, 7, 7, 7)
        x = self.conv1(x).tanh()  # (N, 14, 14, 14)
        return self.conv2(x).tanh()  # (N, 1, 28, 28)


MAPS = "It stamps maps (N, channels, H, W). What makes maps out of a row of numbers?"


@StridedDecoder.judge
def _(trial: Trial) -> None:
    trial.explain({"conv_transpose2d": MAPS})
    for hidden_dim in (28, 3):
        made = trial(hidden_dim)
        shapes = [(343, hidden_dim), (343,), (7, 14, 4, 4), (14,), (14, 1, 4, 4), (1,)]
        weights = w1, b1, w2, b2, w3, b3 = made.parameters(*shapes)
        codes = torch.randn(4, hidden_dim)
        x = F.linear(codes, w1, b1).tanh().reshape(-1, 7, 7, 7)
        x = F.conv_transpose2d(x, w2, b2, stride=2, padding=1).tanh()
        image = F.conv_transpose2d(x, w3, b3, stride=2, padding=1).tanh()
        made(codes).gives(image, "layer by layer it is", gradients=weights)
        made(codes[:1]).gives(image[:1], "layer by layer it is")


def _decoder(hidden_dim, first=nn.Tanh, last=nn.Tanh, size=4, stride=2, maps=(7, 7, 7)):
    layers = [nn.Linear(hidden_dim, 343), first(), nn.Unflatten(1, maps)]
    layers += [nn.ConvTranspose2d(7, 14, size, stride, 1), nn.Tanh()]
    return nn.Sequential(*layers, nn.ConvTranspose2d(14, 1, size, stride, 1), last())


@StridedDecoder.mistake(
    "The dense layer's numbers go straight into the next layer. What is missing?"
)
def _(hidden_dim):
    return _decoder(hidden_dim, first=nn.Identity)


@StridedDecoder.mistake("Our pixels lie between −1 and 1. What holds the last layer to that?")
def _(hidden_dim):
    return _decoder(hidden_dim, last=nn.Identity)


@StridedDecoder.mistake("How far apart are the stamps? Seven pixels were to become fourteen.")
def _(hidden_dim):
    return _decoder(hidden_dim, stride=1)


@StridedDecoder.mistake("Filters of 4 × 4 were asked for. What would (7 − 1) · 2 + 3 − 2 be?")
def _(hidden_dim):
    return _decoder(hidden_dim, size=3)


@StridedDecoder.mistake(MAPS)
def _(hidden_dim):
    network = _decoder(hidden_dim)
    network[2] = nn.Identity()
    return network


@StridedDecoder.mistake("The encoder laid the maps in a row one after the other. Is that undone?")
def _(hidden_dim):
    network = _decoder(hidden_dim)
    network[2].forward = lambda x: x.reshape(-1, 7, 7, 7).permute(0, 2, 3, 1)
    return network


@StridedDecoder.mistake("That is one grey image for all codes. Does forward use the code at all?")
def _(hidden_dim):
    network = _decoder(hidden_dim)
    network.forward = lambda code: torch.zeros(len(code), 1, 28, 28)
    return network


@lesson.exercise(
    "Walk backwards: how many numbers of the layer before does one number see, and those?",
    hints=(
        "Without strides every layer adds kernel − 1 pixels: count them for two layers of 5.",
        "Behind a stride of 2, neighbours are two pixels apart: the next window is twice as wide.",
        "Keep the neighbours' distance, 1 at first: add (kernel − 1) · distance, then multiply it.",
    ),
    shown="The lesson's nine pixels, and what each stride buys, now follow from three lines.",
)
def receptive_field(layers):
    field, distance = 1, 1  # both in pixels of the image
    for kernel, stride in layers:
        field += (kernel - 1) * distance
        distance *= stride
    return field


@receptive_field.judge
def _(trial: Trial) -> None:
    cases = [[(5, 1), (5, 1)], [(3, 1)] * 2, [(3, 2)] * 2, [(4, 4)], []]
    while len(cases) < 30:
        sizes = torch.randint(1, 6, (len(cases) % 3 + 2,)).tolist()
        cases.append([(size, int(torch.randint(min(size, 3), ())) + 1) for size in sizes])
    for layers in cases:
        pixels = torch.zeros(1, 1, 300, requires_grad=True)
        x = pixels
        for kernel, stride in layers:
            x = F.conv1d(x, torch.ones(1, 1, kernel), stride=stride)
        (gradient,) = torch.autograd.grad(x[0, 0, x.shape[-1] // 2], pixels)
        reached = gradient.nonzero()[:, 2]
        field = int(reached.max() - reached.min()) + 1
        trial(layers).gives(field, "the gradient spans")


@receptive_field.mistake(
    "Right without strides. How far apart, in the image, are neighbours behind one?"
)
def _(layers):
    return 1 + sum(kernel - 1 for kernel, _ in layers)


@receptive_field.mistake(
    "Do the windows of neighbours overlap, so that some pixels are counted twice?"
)
def _(layers):
    return sum(kernel for kernel, _ in layers)


@receptive_field.mistake(
    "A layer's stride spreads the windows of the layers behind it, not its own."
)
def _(layers):
    field, distance = 1, 1
    for kernel, stride in layers:
        distance *= stride
        field += (kernel - 1) * distance
    return field


@receptive_field.mistake("One pixel is missing. How many does a pixel see with no layer at all?")
def _(layers):
    return receptive_field.answer(layers) - 1


@receptive_field.mistake("Which layer is nearest to the image: the first of the list, or the last?")
def _(layers):
    field, distance = 1, 1
    for kernel, stride in reversed(layers):
        field += (kernel - 1) * distance
        distance *= stride
    return field


@receptive_field.mistake("That is the lesson's own stack. The list may hold any layers, or none.")
def _(layers):
    return 9
