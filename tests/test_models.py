"""Models against the same architectures in plain torch, torch.distributions and scikit-learn."""

import copy
import math
import pickle
import re
from functools import partial

import pytest
import torch
from sklearn.decomposition import PCA
from torch import nn
from torch.distributions import Normal, kl_divergence
from torch.nn import functional as F

from convae_lib import (
    Autoencoder,
    Decoder,
    Encoder,
    IterativeAutoencoder,
    LinearAutoencoder,
    LinearDecoder,
    LinearEncoder,
    PyTorchTrainer,
    ResidualAutoencoder,
    ResidualDecoder,
    ResidualEncoder,
    VariationalAutoencoder,
    elbo_terms,
    load_mnist,
    load_pretrained,
    mean_error,
    negative_elbo,
    pca_baseline,
)

CHANNELS, NEURONS = 4, 9  # of the small networks
IMAGE_SHAPES = [(1, 28, 28), (3, 32, 32), (3, 16, 24), (1, 8, 8)]

SmallResidual = partial(ResidualAutoencoder, channels=CHANNELS, neurons=NEURONS)
SmallIterative = partial(IterativeAutoencoder, channels=CHANNELS, neurons=NEURONS)
SmallVariational = partial(VariationalAutoencoder, channels=CHANNELS, neurons=NEURONS)
NETWORKS = {
    "lesson": Autoencoder,
    "residual": SmallResidual,
    "iterative": SmallIterative,
    "variational": SmallVariational,
}
each_network = pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
each_shape = pytest.mark.parametrize(
    "shape", IMAGE_SHAPES, ids=["x".join(map(str, shape)) for shape in IMAGE_SHAPES]
)


# The architectures once more, in torch's own layers and with their parameters in the same order.


def plain_encoder(hidden_dim, channels, height, width):
    return nn.Sequential(
        nn.Conv2d(channels, 14, 5, padding=2),
        nn.Tanh(),
        nn.Conv2d(14, 7, 5, padding=2),
        nn.Tanh(),
        nn.Flatten(),
        nn.Linear(7 * height * width, hidden_dim),
        nn.Tanh(),
    )


def plain_decoder(hidden_dim, channels, height, width):
    return nn.Sequential(
        nn.Linear(hidden_dim, 7 * height * width),
        nn.Tanh(),
        nn.Unflatten(1, (7, height, width)),
        nn.Conv2d(7, 14, 5, padding=2),
        nn.Tanh(),
        nn.Conv2d(14, channels, 5, padding=2),
        nn.Tanh(),
    )


class PlainBlock(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.GELU(),
            nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1),
            nn.GELU(),
            nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1),
        )

    def forward(self, x):
        return x + self.layers(x)


def plain_residual_encoder(n_outputs, channels, height, width):
    return nn.Sequential(
        nn.Conv2d(channels, CHANNELS, 4, stride=4),
        PlainBlock(),
        nn.GELU(),
        nn.Flatten(),
        nn.Linear(CHANNELS * height * width // 16, NEURONS),
        nn.GELU(),
        nn.Linear(NEURONS, n_outputs),
    )


def plain_residual_decoder(hidden_dim, channels, height, width):
    return nn.Sequential(
        nn.Linear(hidden_dim, NEURONS),
        nn.GELU(),
        nn.Linear(NEURONS, CHANNELS * height * width // 16),
        nn.Unflatten(1, (CHANNELS, height // 4, width // 4)),
        PlainBlock(),
        nn.GELU(),
        nn.Conv2d(CHANNELS, 16 * channels, 3, padding=1),
        nn.Tanh(),
        nn.PixelShuffle(4),
    )


class PlainLesson(nn.Module):
    def __init__(self, hidden_dim, *shape):
        super().__init__()
        self.encoder = plain_encoder(hidden_dim, *shape)
        self.decoder = plain_decoder(hidden_dim, *shape)

    def forward(self, x):
        z = self.encoder(x)
        return self.decoder(z), z


class PlainResidual(nn.Module):
    def __init__(self, hidden_dim, *shape):
        super().__init__()
        self.encoder = plain_residual_encoder(hidden_dim, *shape)
        self.decoder = plain_residual_decoder(hidden_dim, *shape)

    def forward(self, x):
        z = self.encoder(x)
        return self.decoder(z), z


class PlainIterative(nn.Module):
    def __init__(self, hidden_dim, channels, height, width):
        super().__init__()
        self.hidden_dim = hidden_dim
        self.decoder = plain_residual_decoder(hidden_dim, channels, height, width)
        self.encoder = plain_residual_encoder(hidden_dim, 2 * channels, height, width)

    def forward(self, x):
        zeros = torch.zeros(len(x), self.hidden_dim)
        first = self.encoder(torch.cat([x, x - self.decoder(zeros)], dim=1))
        second = self.encoder(torch.cat([x, x - self.decoder(first)], dim=1))
        return self.decoder(first + second), first + second


class PlainVariational(nn.Module):
    def __init__(self, hidden_dim, *shape):
        super().__init__()
        self.hidden_dim = hidden_dim
        self.decoder = plain_residual_decoder(hidden_dim, *shape)
        self.encoder = plain_residual_encoder(2 * hidden_dim, *shape)

    def forward(self, x):
        mu = self.encoder(x)[:, : self.hidden_dim]
        return self.decoder(mu), mu


PAIRS = [
    pytest.param(Autoencoder, PlainLesson, id="lesson"),
    pytest.param(SmallResidual, PlainResidual, id="residual"),
    pytest.param(SmallIterative, PlainIterative, id="iterative"),
    pytest.param(SmallVariational, PlainVariational, id="variational"),
]


@each_shape
@pytest.mark.parametrize(("network", "plain_network"), PAIRS)
@pytest.mark.parametrize("n_images", [1, 3])
def test_a_network_equals_plain_torch_in_values_and_gradients(
    network, plain_network, shape, n_images
):
    model = network(5, image_shape=shape)
    plain = plain_network(5, *shape)
    with torch.no_grad():
        for parameter, copied in zip(model.parameters(), plain.parameters(), strict=True):
            copied.copy_(parameter)
    images = torch.randn(n_images, *shape)

    x_hat, z = model(images)
    expected_x_hat, expected_z = plain(images)
    assert x_hat.shape == images.shape
    assert z.shape == (n_images, 5)
    torch.testing.assert_close(z, expected_z)
    torch.testing.assert_close(x_hat, expected_x_hat)

    F.mse_loss(x_hat, images).backward()
    F.mse_loss(expected_x_hat, images).backward()
    for parameter, copied in zip(model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(parameter.grad, copied.grad)


def count_parameters(model):
    return sum(parameter.numel() for parameter in model.parameters())


def test_the_lessons_network_has_the_parameters_counted_by_hand():
    encoder_convolutions = (1 * 25 + 1) * 14 + (14 * 25 + 1) * 7
    decoder_convolutions = (7 * 25 + 1) * 14 + (14 * 25 + 1) * 1
    dense = (7 * 28 * 28 + 1) * 28 + (28 + 1) * 7 * 28 * 28
    assert count_parameters(Autoencoder()) == encoder_convolutions + decoder_convolutions + dense
    assert count_parameters(Autoencoder()) == 318_480


def test_the_residual_networks_have_the_parameters_counted_by_hand():
    blocks = 2 * 2 * (32 * 9 + 1) * 32
    patches = (16 + 1) * 32 + (32 * 9 + 1) * 16
    dense = (32 * 49 + 1) * 84 + (84 + 1) * 28 + (28 + 1) * 84 + (84 + 1) * 32 * 49
    residual = blocks + patches + dense
    assert residual == 312_052
    assert count_parameters(ResidualAutoencoder()) == residual
    assert count_parameters(IterativeAutoencoder()) == residual + 16 * 32
    assert count_parameters(VariationalAutoencoder()) == residual + (84 + 1) * 28
    assert count_parameters(IterativeAutoencoder()) == 312_564
    assert count_parameters(VariationalAutoencoder()) == 314_432


@pytest.mark.parametrize(
    ("encoder", "decoder", "autoencoder"),
    [(Encoder, Decoder, Autoencoder), (ResidualEncoder, ResidualDecoder, ResidualAutoencoder)],
    ids=["lesson", "residual"],
)
def test_an_autoencoder_and_its_halves_have_the_same_defaults(encoder, decoder, autoencoder):
    halves = [*encoder().parameters(), *decoder().parameters()]
    expected = [parameter.shape for parameter in halves]
    assert [parameter.shape for parameter in autoencoder().parameters()] == expected


@each_network
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
def test_a_network_computes_in_its_own_dtype(network, dtype):
    x_hat, z = network(4).to(dtype)(torch.randn(2, 1, 28, 28, dtype=dtype))
    assert x_hat.dtype == dtype
    assert z.dtype == dtype


@each_network
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_a_network_runs_under_autocast(network, dtype):
    model, images = network(4), torch.randn(2, 1, 28, 28)
    expected_x_hat, expected_z = model(images)
    with torch.autocast("cpu", torch.bfloat16):
        x_hat, z = model(images.to(dtype))
    assert x_hat.dtype == torch.bfloat16
    torch.testing.assert_close(x_hat.float(), expected_x_hat, atol=0.05, rtol=0.05)
    torch.testing.assert_close(z.float(), expected_z, atol=0.05, rtol=0.05)


@pytest.fixture(params=NETWORKS.values(), ids=NETWORKS)
def model(request):
    """A small model of each kind, for images with three channels that are not square."""
    return request.param(4, image_shape=[3, 8, 12]).eval()


def test_a_network_compiles_as_one_graph(model):
    images = torch.randn(4, 3, 8, 12)
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(images), model(images))


def test_a_network_is_exported_for_any_number_of_images(model):
    images = torch.randn(4, 3, 8, 12)
    rows = {0: torch.export.Dim("rows", min=1)}
    exported = torch.export.export(model, (images,), dynamic_shapes=(rows,)).module()
    torch.testing.assert_close(exported(images), model(images))
    torch.testing.assert_close(exported(images[:1]), model(images[:1]))


@pytest.mark.parametrize(
    "duplicate",
    [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))],
    ids=["deepcopy", "pickle"],
)
def test_a_copy_of_a_network_computes_the_same(model, duplicate):
    images = torch.randn(4, 3, 8, 12)
    torch.testing.assert_close(duplicate(model)(images), model(images))


def test_a_network_accepts_any_memory_format(model):
    images = torch.randn(4, 3, 8, 12)
    expected = model(images)
    channels_last = images.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(model(channels_last), expected)
    relaid = copy.deepcopy(model).to(memory_format=torch.channels_last)
    torch.testing.assert_close(relaid(images), expected)


def test_a_network_runs_on_the_meta_device(model):
    x_hat, z = model.to("meta")(torch.empty(4, 3, 8, 12, device="meta"))
    assert x_hat.is_meta
    assert x_hat.shape == (4, 3, 8, 12)
    assert z.shape == (4, 4)


@pytest.mark.parametrize("n_steps", [1, 2, 3])
def test_every_encoding_step_adds_to_the_latent_vector(n_steps):
    model = SmallIterative(4, n_steps=n_steps)
    images = torch.randn(3, 1, 28, 28)
    x_hat, z = model(images)
    update = model.encoder(torch.cat([images, images - x_hat], dim=1))
    model.n_steps += 1
    _, refined = model(images)
    torch.testing.assert_close(refined, z + update)


def small_variational(hidden_dim, shape):
    """Return a model whose posteriors and reconstructions differ clearly between images."""
    model = SmallVariational(hidden_dim, image_shape=shape)
    nn.init.normal_(model.encoder.dense2.linear.weight, std=0.3)
    nn.init.normal_(model.decoder.dense1.linear.weight, std=1.0)
    return model


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_a_variational_autoencoder_encodes_as_the_mean_without_noise(training):
    model = small_variational(3, (1, 8, 8)).train(training)
    images = torch.randn(5, 1, 8, 8)
    x_hat, z = model(images)
    torch.testing.assert_close(z, model.encoder(images)[:, :3])
    torch.testing.assert_close(x_hat, model.decoder(z))


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_the_elbo_is_estimated_with_new_samples_in_every_call(training):
    model = small_variational(3, (1, 8, 8)).train(training)
    images = torch.randn(5, 1, 8, 8)
    assert not torch.equal(negative_elbo(model, images), negative_elbo(model, images))


@pytest.mark.parametrize(("beta", "variance"), [(1.0, 0.02), (0, 0.5), (4.5, 3)])
def test_the_elbo_equals_torch_distributions_in_values_and_gradients(beta, variance):
    model = small_variational(3, (2, 4, 8))
    images = torch.randn(5, 2, 4, 8)

    torch.manual_seed(7)
    distortion, kl = elbo_terms(model, images, variance=variance)
    torch.manual_seed(7)
    loss = negative_elbo(model, images, beta=beta, variance=variance)

    torch.manual_seed(7)
    outputs = model.encoder(images)
    posterior = Normal(outputs[:, :3], outputs[:, 3:].exp().sqrt())
    z = posterior.mean + posterior.stddev * torch.randn(5, 3)
    likelihood = Normal(model.decoder(z), math.sqrt(variance))
    n_pixels = 2 * 4 * 8
    constant = n_pixels / 2 * math.log(2 * math.pi * variance)
    expected_distortion = -likelihood.log_prob(images).sum(dim=(1, 2, 3)) - constant
    expected_kl = kl_divergence(posterior, Normal(0, 1))
    expected_loss = expected_distortion + beta * expected_kl.sum(dim=1)

    torch.testing.assert_close(distortion, expected_distortion, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(kl, expected_kl, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(loss, expected_loss, rtol=1e-4, atol=1e-4)
    parameters = list(model.parameters())
    gradients = torch.autograd.grad(loss.mean(), parameters)
    expected_gradients = torch.autograd.grad(expected_loss.mean(), parameters)
    torch.testing.assert_close(gradients, expected_gradients, rtol=1e-3, atol=1e-4)


def test_the_elbo_samples_once_for_each_latent_variable():
    model = small_variational(3, (1, 8, 8))
    torch.manual_seed(7)
    negative_elbo(model, torch.zeros(5, 1, 8, 8))
    state = torch.get_rng_state()
    torch.manual_seed(7)
    torch.randn(5, 3)
    assert torch.equal(torch.get_rng_state(), state)


def test_the_negative_elbo_is_an_upper_bound_of_the_negative_log_likelihood():
    model, variance, n_samples = small_variational(1, (1, 4, 4)), 0.5, 2000
    images = torch.randn(6, 1, 4, 4)
    grid = torch.linspace(-8, 8, 2001)  # the one latent variable: integrate over it
    step = 16 / 2000
    with torch.no_grad():
        decoded = model.decoder(grid[:, None])  # (2001, 1, 4, 4)
        squared_error = (images[:, None] - decoded).square().sum(dim=(2, 3, 4))  # (6, 2001)
        log_joint = Normal(0, 1).log_prob(grid) - squared_error / (2 * variance)
        negative_log_likelihood = -(log_joint + math.log(step)).logsumexp(dim=1)  # (6,)
        samples = [negative_elbo(model, images, variance=variance) for _ in range(n_samples)]
    losses = torch.stack(samples)  # (2000, 6)
    standard_error = losses.std(dim=0) / n_samples**0.5
    gap = losses.mean(dim=0) - negative_log_likelihood
    assert (gap > 3 * standard_error).all()
    assert gap.min() < 5, "a bound far away would say nothing"


@pytest.mark.parametrize("beta", [-1, float("nan")])
def test_a_wrong_beta_is_refused(beta):
    with pytest.raises(ValueError, match=f"^beta must be at least 0, got {beta}; 1 gives"):
        negative_elbo(SmallVariational(), torch.zeros(2, 1, 28, 28), beta=beta)


@pytest.mark.parametrize("loss", [negative_elbo, elbo_terms], ids=["negative_elbo", "elbo_terms"])
@pytest.mark.parametrize("variance", [0, -2, float("nan")])
def test_a_wrong_variance_is_refused(loss, variance):
    with pytest.raises(ValueError, match=f"^variance must be greater than 0, got {variance}; "):
        loss(SmallVariational(), torch.zeros(2, 1, 28, 28), variance=variance)


class VariationalTrainer(PyTorchTrainer):
    """The one method that a variational autoencoder needs."""

    def batch_loss(self, x, y):
        return negative_elbo(self.model, x, beta=0.5).mean()


def train_variational(images):
    torch.manual_seed(1)
    model = SmallVariational(4)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    trainer = VariationalTrainer(model, optimizer, nn.MSELoss())
    trainer.fit(images, images, images, images, epochs=10, eval_every=5, seed=2)
    return trainer


def test_a_trainer_trains_a_variational_autoencoder_and_repeats(monkeypatch):
    monkeypatch.setenv("CONVAE_OFFLINE", "1")
    images = load_mnist().train_images[:128]
    trainer = train_variational(images)
    batch_losses = trainer.history.batch_losses
    assert batch_losses[-1] < 0.7 * batch_losses[0]
    again = train_variational(images)
    assert again.history.batch_losses == batch_losses
    for parameter, repeated in zip(
        trainer.model.parameters(), again.model.parameters(), strict=True
    ):
        assert torch.equal(parameter, repeated)


def test_a_trainer_evaluates_with_its_own_loss():
    torch.manual_seed(1)
    images = torch.rand(40, 1, 28, 28)
    model = SmallVariational(4)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    trainer = VariationalTrainer(model, optimizer, nn.MSELoss())
    torch.manual_seed(3)
    loss = trainer.evaluate(images, images)
    torch.manual_seed(3)
    expected = negative_elbo(model, images, beta=0.5).mean().item()
    assert loss == pytest.approx(expected, rel=1e-5)


@pytest.fixture
def linear():
    """A linear autoencoder, scikit-learn's PCA with the same numbers, and the images of both."""
    images = torch.randn(50, 2, 4, 3)
    pca = PCA(n_components=5).fit(images.flatten(1).numpy())
    components = torch.from_numpy(pca.components_)
    mean = torch.from_numpy(pca.mean_).reshape(2, 4, 3)
    return LinearAutoencoder(components, mean), pca, images


@pytest.mark.parametrize("n_images", [1, 50])
def test_a_linear_autoencoder_equals_scikit_learns_pca(linear, n_images):
    model, pca, images = linear
    images = images[:n_images]
    expected_z = pca.transform(images.flatten(1).numpy())
    expected_x_hat = pca.inverse_transform(expected_z).reshape(images.shape)

    z = model.encoder(images)
    torch.testing.assert_close(z, torch.from_numpy(expected_z), atol=1e-5, rtol=1e-5)
    x_hat = model.decoder(z)
    torch.testing.assert_close(x_hat, torch.from_numpy(expected_x_hat), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(model(images), (x_hat, z))


def test_a_linear_autoencoder_shows_its_components_and_mean(linear):
    model, pca, _ = linear
    torch.testing.assert_close(model.components, torch.from_numpy(pca.components_))
    torch.testing.assert_close(model.mean.flatten(), torch.from_numpy(pca.mean_))
    assert isinstance(model.encoder, LinearEncoder)
    assert isinstance(model.decoder, LinearDecoder)


def test_a_linear_autoencoder_has_nothing_to_train_and_moves_as_a_whole(linear):
    model, _, images = linear
    assert list(model.parameters()) == []
    x_hat, z = model.double()(images.double())
    assert x_hat.dtype == torch.float64
    assert z.dtype == torch.float64
    assert model.components.dtype == torch.float64
    assert model.mean.dtype == torch.float64


def test_the_pca_baseline_encodes_as_scikit_learn_up_to_signs(linear):
    _, pca, images = linear
    z = pca_baseline(images, 5).encoder(images)
    expected = torch.from_numpy(pca.transform(images.flatten(1).numpy()))
    torch.testing.assert_close(z.abs(), expected.abs(), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("name", "network", "lowest", "highest"),
    [
        ("lesson", Autoencoder, 0.06, 0.08),
        ("residual", ResidualAutoencoder, 0.009, 0.0135),
        ("iterative", IterativeAutoencoder, 0.008, 0.0115),
    ],
    ids=["lesson", "residual", "iterative"],
)
def test_a_pretrained_network_reaches_its_error_with_a_latent_dimension_of_28(
    data, name, network, lowest, highest
):
    model = load_pretrained(name)
    assert type(model) is network
    assert not any(module.training for module in model.modules())
    assert lowest < mean_error(model, data.test_images[:1000]) < highest
    _, z = model(data.test_images[:2])
    assert z.shape == (2, 28)


def test_a_pretrained_network_is_a_new_one_on_the_cpu_in_every_call():
    model = load_pretrained("lesson")
    with torch.device("meta"):
        again = load_pretrained("lesson")
    for parameter, repeated in zip(model.parameters(), again.parameters(), strict=True):
        assert torch.equal(parameter, repeated)
        assert parameter.data_ptr() != repeated.data_ptr()


@pytest.mark.parametrize("name", ["Lesson", "better", []], ids=str)
def test_an_unknown_pretrained_name_is_refused(name):
    expected = f"name must be one of ['lesson', 'residual', 'iterative'], got {name!r}; "
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}"):
        load_pretrained(name)


HALVES_AND_WHOLES = [
    Encoder,
    Decoder,
    ResidualEncoder,
    ResidualDecoder,
    IterativeAutoencoder,
    VariationalAutoencoder,
]
WITH_PATCHES = HALVES_AND_WHOLES[2:]


@pytest.mark.parametrize("network", HALVES_AND_WHOLES)
@pytest.mark.parametrize(
    "shape", [28, (28, 28), (0, 28, 28), (1.0, 28, 28), (1, 28, 28, 1), (1, -4, 8), "abc"], ids=str
)
def test_what_is_no_image_shape_is_refused(network, shape):
    with pytest.raises(ValueError, match=r"^image_shape must be ") as error:
        network(image_shape=shape)
    assert "(channels, height, width)" in str(error.value)
    assert f"got {shape}; crop or resize the images" in str(error.value)


@pytest.mark.parametrize("network", WITH_PATCHES)
@pytest.mark.parametrize("shape", [(1, 30, 28), (1, 28, 30)], ids=str)
def test_sides_that_patches_do_not_divide_are_refused(network, shape):
    with pytest.raises(ValueError, match="with H and W divisible by 4, got ") as error:
        network(image_shape=shape)
    assert str(shape) in str(error.value)


SIZES = (
    [(network, "hidden_dim") for network in HALVES_AND_WHOLES]
    + [(network, "channels") for network in WITH_PATCHES]
    + [(network, "neurons") for network in WITH_PATCHES]
    + [(IterativeAutoencoder, "n_steps")]
)


@pytest.mark.parametrize(
    ("network", "argument"), SIZES, ids=[f"{n.__name__}-{argument}" for n, argument in SIZES]
)
def test_a_size_that_is_no_positive_integer_is_refused(network, argument):
    with pytest.raises(ValueError, match=f"^{argument} must be .*got 0"):
        network(**{argument: 0})
    with pytest.raises(TypeError, match=f"^{argument} must be .*got 2.5"):
        network(**{argument: 2.5})


IMAGES = torch.zeros(2, 1, 28, 28)
WRONG_IMAGES = {
    "one image": (IMAGES[0], ValueError, r"\(N, 1, 28, 28\).*got \(1, 28, 28\)"),
    "no image": (IMAGES[:0], ValueError, r"got shape \(0, 1, 28, 28\)"),
    "another width": (IMAGES[..., :27], ValueError, r"\(N, 1, 28, 28\).*got \(2, 1, 28, 27\)"),
    "bytes": (IMAGES.byte(), TypeError, r"got torch.uint8; .*scale_images"),
    "double precision": (IMAGES.double(), TypeError, r"torch.float32.*got torch.float64"),
    "a NumPy array": (IMAGES.numpy(), TypeError, "torch.Tensor, got ndarray"),
}


@pytest.fixture(scope="module", params=[*NETWORKS, "linear"])
def mnist_network(request):
    """A network of each kind for MNIST's images."""
    if request.param == "linear":
        return LinearAutoencoder(torch.eye(2, 784), torch.zeros(1, 28, 28))
    return NETWORKS[request.param](2)


@pytest.mark.parametrize(("wrong", "error", "message"), WRONG_IMAGES.values(), ids=WRONG_IMAGES)
@pytest.mark.parametrize("autocast", [False, True], ids=["plain", "autocast"])
def test_a_network_refuses_what_is_no_batch_of_its_images(
    mnist_network, wrong, error, message, autocast
):
    with (
        torch.autocast("cpu", torch.bfloat16, enabled=autocast),
        pytest.raises(error, match=f"^images must .*{message}"),
    ):
        mnist_network(wrong)
