"""A map of the test images' 10,000 codes by t-SNE, from a network of the lesson's for each seed.

The library's is scikit-learn's with 400 steps, a higher rate and coarser sums. The KL divergence,
which t-SNE makes small, is scikit-learn's for every map, at perplexity 30, nearly exact.
"""

from functools import cache, partial
from time import perf_counter

import numpy as np
from recipes import LESSON, fit
from sklearn.manifold import TSNE

from convae_lib import embedding_quality, reconstruct, tsne_embedding


def scikit_learn(codes, seed, **options):
    return TSNE(random_state=seed, **options).fit_transform(codes)


def open_tsne(codes, seed):
    import openTSNE

    return np.asarray(openTSNE.TSNE(n_jobs=-1, random_state=seed).fit(codes))


CONTENDERS = {
    "scikit-learn's default": scikit_learn,
    "scikit-learn, 400 steps": partial(scikit_learn, max_iter=400),
    "convae_lib": tsne_embedding,
    "openTSNE's default": open_tsne,
}


def kl_divergence(codes, drawn):
    """What scikit-learn finds when it starts with a map (N, 2) of codes and may not move it."""
    options = {"learning_rate": 1e-9, "min_grad_norm": 1e9, "angle": 0.2, "n_jobs": -1}
    return TSNE(init=np.float32(drawn), **options).fit(codes).kl_divergence_


@cache
def codes_of(images, seed):
    model, _ = fit(images.train, images.validation, seed, **LESSON)
    return reconstruct(model, images.test)[1].numpy()


def measure(images, contender, seed):
    codes = codes_of(images, seed)
    start = perf_counter()
    drawn = CONTENDERS[contender](codes, seed=seed)
    seconds = perf_counter() - start
    quality = embedding_quality(codes, drawn, images.test_labels)
    return {"seconds": seconds, "kl_divergence": kl_divergence(codes, drawn), **quality}
