"""Texts of two topics, for tests of tokens and their vectors."""

import numpy as np

SEA = ["boat", "sail", "wave", "shore"]
KITCHEN = ["oven", "flour", "dough", "bread"]


def texts(n=60, n_words=12, seed=0):
    """Half of them are about the sea, half about the kitchen; all have small words."""
    rng = np.random.default_rng(seed)
    return [
        " ".join(rng.choice([*(SEA, KITCHEN)[i % 2], "and", "the"], n_words))
        for i in range(n)
    ]
