"""How long t-SNE takes, and how good its embedding is, by the library and by other libraries."""

from functools import cache, partial
from time import perf_counter

import numpy as np
from recipes import LESSON, fit
from sklearn.manifold import TSNE

from convae_lib import embedding_quality, reconstruct, tsne_embedding


def embed_by_scikit_learn(codes, seed, **options):
    """Return scikit-learn's embedding (N, 2)."""
    return TSNE(random_state=seed, **options).fit_transform(codes)


def embed_by_open_tsne(codes, seed):
    """Return openTSNE's embedding (N, 2), on all cores."""
    import openTSNE

    return np.asarray(openTSNE.TSNE(n_jobs=-1, random_state=seed).fit(codes))


CONTENDERS = {
    "scikit-learn's default": embed_by_scikit_learn,
    "scikit-learn, 400 steps": partial(embed_by_scikit_learn, max_iter=400),
    "convae_lib": tsne_embedding,
    "openTSNE's default": embed_by_open_tsne,
}


def kl_divergence(codes, embedding):
    """Return scikit-learn's KL divergence of an embedding (N, 2), at perplexity 30.

    scikit-learn starts from the embedding, with a learning rate that does not move it.
    """
    tsne = TSNE(
        init=np.float32(embedding), learning_rate=1e-9, min_grad_norm=1e9, angle=0.2, n_jobs=-1
    )
    return tsne.fit(codes).kl_divergence_


@cache
def encode_test_images(images, seed):
    """Return the test images' latent vectors (N, 28) from a network by the lesson's recipe."""
    model, _ = fit(images.train, images.validation, seed, **LESSON)
    _, latents = reconstruct(model, images.test)
    return latents.numpy()


def measure(images, contender, seed):
    """Measure one contender's embedding.

    A t-SNE embedding of the latent vectors of 10,000 test images, from a network by the lesson's
    recipe for each seed. The library calls scikit-learn's t-SNE with 400 steps, a higher learning
    rate and a coarser approximation. Every embedding's KL divergence, which t-SNE minimizes, is
    computed by scikit-learn at perplexity 30, nearly exactly.
    """
    latents = encode_test_images(images, seed)
    start = perf_counter()
    embedding = CONTENDERS[contender](latents, seed=seed)
    seconds = perf_counter() - start
    return {
        "seconds": seconds,
        "kl_divergence": kl_divergence(latents, embedding),
        **embedding_quality(latents, embedding, images.test_labels),
    }
