import copy
import math
import pickle
import re
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence
from torch.nn import functional as F

from convae_lib import (
    Autoencoder,
    Decoder,
    Encoder,
    PyTorchTrainer,
    VariationalAutoencoder,
    VariationalLoss,
    load_pretrained,
    mean_error,
    pca_baseline,
)
from convae_lib.models import ResidualAutoencoder, ResidualDecoder, ResidualEncoder, SecondLook

SHAPES = [(1, 28, 28), (3, 32, 32), (3, 16, 24), (1, 8, 8)]
SmallResidual = partial(ResidualAutoencoder, width=4, neurons=9)
SmallLook = partial(SecondLook, width=4, neurons=9)
SmallVariational = partial(VariationalAutoencoder, width=4, neurons=9)
NETWORKS = {"plain": Autoencoder, "residual": SmallResidual, "second look": SmallLook}
NETWORKS |= {"variational": SmallVariational}
every = pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)


def plain_autoencoder(hidden_dim, channels, height, width):
    """The architecture in torch's own building blocks, parameters in the same order."""

    def conv(inputs, outputs):
        return nn.Conv2d(inputs, outputs, 5, padding=2), nn.Tanh()

    size = 7 * height * width
    encoder = nn.Sequential(
        *conv(channels, 14), *conv(14, 7), nn.Flatten(), nn.Linear(size, hidden_dim), nn.Tanh()
    )
    first = nn.Linear(hidden_dim, size), nn.Tanh(), nn.Unflatten(1, (7, height, width))
    return nn.Sequential(encoder, nn.Sequential(*first, *conv(7, 14), *conv(14, channels)))


class PlainBlock(nn.Sequential):
    def __init__(self, channels):
        convolutions = (nn.Conv2d(channels, channels, 3, padding=1) for _ in range(2))
        super().__init__(*(step for conv in convolutions for step in (nn.GELU(), conv)))

    def forward(self, x):
        return x + super().forward(x)


def plain_residual_autoencoder(hidden_dim, channels, height, width, seen=1):
    size = 4 * height * width // 16
    encoder = nn.Sequential(
        *(nn.Conv2d(seen * channels, 4, 4, stride=4), PlainBlock(4), nn.GELU(), nn.Flatten()),
        *(nn.Linear(size, 9), nn.GELU(), nn.Linear(9, hidden_dim)),
    )
    decoder = nn.Sequential(
        *(nn.Linear(hidden_dim, 9), nn.GELU(), nn.Linear(9, size)),
        *(nn.Unflatten(1, (4, height // 4, width // 4)), PlainBlock(4), nn.GELU()),
        *(nn.Conv2d(4, 16 * channels, 3, padding=1), nn.Tanh(), nn.PixelShuffle(4)),
    )
    return nn.Sequential(encoder, decoder)


class PlainLook(nn.Sequential):
    def __init__(self, hidden_dim, *shape):
        encoder, decoder = plain_residual_autoencoder(hidden_dim, *shape, seen=2)
        super().__init__(decoder, encoder)
        self.start = torch.zeros(3, hidden_dim)

    def forward(self, x):
        return self[0](self.code(x))

    def code(self, x):
        first = self[1](torch.cat([x, x - self[0](self.start)], dim=1))
        return first + self[1](torch.cat([x, x - self[0](first)], dim=1))


class PlainVariational(nn.Sequential):
    def __init__(self, hidden_dim, *shape):
        _, decoder = plain_residual_autoencoder(hidden_dim, *shape)
        encoder, _ = plain_residual_autoencoder(2 * hidden_dim, *shape)
        super().__init__(decoder, encoder)
        self.hidden_dim = hidden_dim

    def forward(self, x):
        return self[0](self.code(x))

    def code(self, x):
        return self[1](x)[:, : self.hidden_dim]


PLAIN = plain_autoencoder, plain_residual_autoencoder, PlainLook, PlainVariational


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("network", "plain"), [*zip(NETWORKS.values(), PLAIN, strict=True)], ids=NETWORKS
)
def test_a_network_equals_the_same_in_plain_torch_values_and_gradients(network, plain, shape):
    ours, theirs = network(5, image_shape=shape), plain(5, *shape)
    with torch.no_grad():
        for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            other.copy_(one)
    images = torch.randn(3, *shape)
    reconstruction, code = ours(images)
    assert reconstruction.shape == images.shape and code.shape == (3, 5)
    expected = theirs.code(images) if hasattr(theirs, "code") else theirs[0](images)
    torch.testing.assert_close(code, expected)
    torch.testing.assert_close(reconstruction, theirs(images))
    F.mse_loss(reconstruction, images).backward()
    F.mse_loss(theirs(images), images).backward()
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad)


def test_the_parameters_are_as_many_as_counted_by_hand():
    def count(model):
        return sum(parameter.numel() for parameter in model.parameters())

    convolutions = (1 * 25 + 1) * 14 + (14 * 25 + 1) * 7 + (7 * 25 + 1) * 14 + (14 * 25 + 1) * 1
    assert count(Autoencoder()) == convolutions + 5489 * 28 + 29 * 5488 == 318_480
    blocks = 2 * 2 * (32 * 9 + 1) * 32
    patches = (16 + 1) * 32 + (32 * 9 + 1) * 16
    dense = (32 * 49 + 1) * 84 + 85 * 28 + 29 * 84 + 85 * 32 * 49
    assert count(ResidualAutoencoder()) == blocks + patches + dense == 312_052
    assert count(SecondLook()) == count(ResidualAutoencoder()) + 16 * 32
    assert count(VariationalAutoencoder()) == count(ResidualAutoencoder()) + 85 * 28 == 314_432
    pairs = (Encoder, Decoder, Autoencoder), (ResidualEncoder, ResidualDecoder, ResidualAutoencoder)
    for pair in pairs:  # the defaults of each part are those of the whole
        encoder, decoder, whole = ([p.shape for p in part().parameters()] for part in pair)
        assert encoder + decoder == whole


@every
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_a_network_computes_in_its_own_number_type_and_under_autocast(network, dtype):
    images, model, near = torch.randn(2, 1, 28, 28), network(4), {"atol": 0.05, "rtol": 0.05}
    expected = model(images)
    for actual in copy.deepcopy(model).to(dtype)(images.to(dtype)):
        assert actual.dtype == dtype
    with torch.autocast("cpu", torch.bfloat16):
        for pixels in (images, images.bfloat16()):
            actual = model(pixels)
            assert actual[0].dtype == torch.bfloat16
            torch.testing.assert_close([*map(Tensor.float, actual)], [*expected], **near)


@every
def test_a_network_can_be_compiled_exported_copied_pickled_and_run_on_the_meta_device(network):
    model = network(4, image_shape=[3, 8, 12]).eval()
    images = torch.randn(4, 8, 12, 3).permute(0, 3, 1, 2)  # in another memory format
    expected = model(images.contiguous())
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    rows = {0: torch.export.Dim("rows", min=1)}
    exported = torch.export.export(model, (images,), dynamic_shapes=(rows,)).module()
    copies = copy.deepcopy(model), pickle.loads(pickle.dumps(model))
    relaid = copy.deepcopy(model).to(memory_format=torch.channels_last)
    for other in (model, compiled, exported, *copies, relaid):
        torch.testing.assert_close(other(images), expected)
    torch.testing.assert_close(relaid(images.contiguous()), expected)
    torch.testing.assert_close(exported(images[:1]), model(images[:1]))
    reconstruction, code = copies[0].to("meta")(images.to("meta"))
    assert reconstruction.is_meta and reconstruction.shape == images.shape and code.shape == (4, 4)


def test_every_further_look_adds_to_the_code():
    model, images = SmallLook(4), torch.randn(3, 1, 28, 28)
    for model.looks in (1, 2, 3):
        reconstruction, code = model(images)
        step = model.encoder(torch.cat([images, images - reconstruction], dim=1))
        further = copy.deepcopy(model)
        further.looks += 1
        torch.testing.assert_close(further(images)[1], code + step)


def variational(hidden_dim, shape, **options):
    """A small network, not as shy as new ones are, and its loss."""
    model = SmallVariational(hidden_dim, image_shape=shape)
    nn.init.normal_(model.encoder.dense2.linear.weight, std=0.3)
    nn.init.normal_(model.decoder.dense1.linear.weight, std=1.0)
    return model, VariationalLoss(model, **options)


@pytest.mark.parametrize("mode", [True, False])
def test_a_variational_code_is_the_mean_in_every_mode_and_its_loss_draws_in_every_mode(mode):
    model, loss = variational(3, (1, 8, 8))
    loss.train(mode)
    x = torch.randn(5, 1, 8, 8)
    (reconstruction, code), again = model(x), model(x)
    assert torch.equal(code, again[1]) and torch.equal(reconstruction, again[0])
    torch.testing.assert_close(code, model.encoder(x)[:, :3])
    assert not torch.equal(loss(x), loss(x))


@pytest.mark.parametrize(("weight", "variance"), [(1.0, 0.02), (0, 0.5), (4.5, 3)])
def test_the_variational_loss_is_what_torchs_distributions_say_values_and_gradients(
    weight, variance
):
    model, loss = variational(3, (2, 4, 8), weight=weight, variance=variance)
    x = torch.randn(5, 2, 4, 8)
    torch.manual_seed(7)
    found, state = loss(x), torch.get_rng_state()
    torch.manual_seed(7)
    outputs = model.encoder(x)
    coded = Normal(outputs[:, :3], outputs[:, 3:].exp().sqrt())
    noise = torch.randn(5, 3)
    assert torch.equal(torch.get_rng_state(), state)  # it draws once
    seen = Normal(model.decoder(coded.mean + coded.stddev * noise), math.sqrt(variance))
    constant = 64 / 2 * math.log(2 * math.pi * variance)
    distortion = -seen.log_prob(x).sum(dim=(1, 2, 3)) - constant
    rates = kl_divergence(coded, Normal(0, 1))
    expected = distortion + weight * rates.sum(dim=1)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    torch.manual_seed(7)
    torch.testing.assert_close([*loss.terms(x)], [distortion, rates], rtol=1e-4, atol=1e-4)
    both = [torch.autograd.grad(total.mean(), [*model.parameters()]) for total in (found, expected)]
    torch.testing.assert_close(*both, rtol=1e-3, atol=1e-4)


def test_the_variational_loss_bounds_the_improbability_of_every_image():
    model, loss = variational(1, (1, 4, 4), variance=0.5)
    x = torch.randn(6, 1, 4, 4)
    codes, step = torch.linspace(-8, 8, 2001), 16 / 2000
    with torch.no_grad():
        errors = (x[:, None] - model.decoder(codes[:, None])).square().sum(dim=(2, 3, 4))
        logs = Normal(0, 1).log_prob(codes) - errors / (2 * 0.5)  # (6, 2001)
        improbability = -(logs + math.log(step)).logsumexp(dim=1)  # but for the loss's constant
        losses = torch.stack([loss(x) for _ in range(2000)])
        above = losses.mean(dim=0) - improbability
        assert (above > 3 * losses.std(dim=0) / 2000**0.5).all() and above.min() < 5


def test_the_trainer_trains_a_variational_loss_and_repeats(embedded):
    x, nothing, trained = embedded.train_images[:128], torch.zeros(128), []
    for _ in range(2):
        torch.manual_seed(1)
        model = SmallVariational(4)
        optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
        trainer = PyTorchTrainer(VariationalLoss(model), optimizer, nn.L1Loss())
        trainer.fit(x, nothing, x, nothing, epochs=10, seed=2)
        trained.append(copy.deepcopy(model).state_dict())
    first, last = trainer.history.batch_losses[0], trainer.history.batch_losses[-1]
    assert last < 0.7 * first
    for name, weights in trained[0].items():
        assert torch.equal(weights, trained[1][name])


@pytest.mark.parametrize(("weight", "variance"), [(-1, 0.1), (1, 0), (float("nan"), 1), (1, -2)])
def test_a_variational_loss_refuses_what_is_no_loss(weight, variance):
    got = f"got {weight} and {variance}; try 1.0"
    with pytest.raises(ValueError, match=f"^weight must be at least 0, and variance .*{got}"):
        VariationalLoss(SmallVariational(), weight, variance=variance)


@pytest.mark.parametrize(
    ("name", "network", "lowest", "highest"),
    [
        ("lesson", Autoencoder, 0.06, 0.08),
        ("better", ResidualAutoencoder, 0.009, 0.0135),
        ("second_look", SecondLook, 0.008, 0.0115),
    ],
)
def test_a_pretrained_network_reaches_its_error_with_28_numbers_and_shares_nothing(
    data, name, network, lowest, highest
):
    model = load_pretrained(name)
    assert isinstance(model, network) and not any(part.training for part in model.modules())
    assert lowest < mean_error(model, data.test_images[:1000]) < highest
    assert model(data.test_images[:2])[1].shape == (2, 28)
    with torch.device("meta"):  # it stays on the CPU
        again = load_pretrained(name)
    for one, other in zip(model.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other) and one.data_ptr() != other.data_ptr()


@pytest.mark.parametrize("name", ["Lesson", []])
def test_an_unknown_pretrained_name_is_refused(name):
    with pytest.raises(
        ValueError, match=r"^name must be one of \['better', 'lesson', 'second_look'\], "
    ):
        load_pretrained(name)


PARTS = Encoder, Decoder, ResidualEncoder, ResidualDecoder, SecondLook, VariationalAutoencoder


@pytest.mark.parametrize("part", PARTS)
def test_wrong_image_shapes_and_sizes_are_refused(part):
    residual = part not in (Encoder, Decoder)
    shapes = [28, (28, 28), (0, 28, 28), (1.0, 28, 28), (1, 28, 28, 1), (1, -4, 8), "abc"]
    for shape in shapes + [(1, 30, 28), (1, 28, 30)] * residual:
        got = ", the sides divisible by 4" * residual + f", got {shape}; crop"
        message = re.escape(f"image_shape must be (channels, height, width){got}")
        with pytest.raises(ValueError, match=f"^{message}"):
            part(image_shape=shape)
    counts = ["hidden_dim"] + ["width", "neurons"] * residual + ["looks"] * (part is SecondLook)
    for name in counts:
        with pytest.raises(ValueError, match=f"^{name} must be at least 1, got 0; pass 1 or more"):
            part(**{name: 0})
        with pytest.raises(TypeError, match=f"^{name} must be a whole number, got 2.5"):
            part(**{name: 2.5})


images = torch.zeros(2, 1, 28, 28)


@pytest.mark.parametrize(
    "network",
    [network(2) for network in NETWORKS.values()] + [pca_baseline(torch.randn(9, 1, 28, 28), 2)],
    ids=[*NETWORKS, "linear"],
)
@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        (images[0], ValueError, r"have shape \(N, 1, 28, 28\), got \(1, 28, 28\); make the net"),
        (images[:0], ValueError, r"hold at least one example, got shape \(0, 1, 28, 28\)"),
        (images[..., :27], ValueError, r"have shape \(N, 1, 28, 28\), got \(2, 1, 28, 27\)"),
        (images.byte(), TypeError, "hold floating-point pixels, got torch.uint8; scale_images"),
        (images.double(), TypeError, r"hold torch.float32 numbers, got torch.float64; use .to\("),
        (images.numpy(), TypeError, "be a torch.Tensor, got ndarray"),
    ],
)
def test_a_network_refuses_anything_but_its_images(network, wrong, error, message):
    with pytest.raises(error, match=f"^images must {message}"):
        network(wrong)
    with torch.autocast("cpu", torch.bfloat16), pytest.raises(error, match=message):
        network(wrong)
