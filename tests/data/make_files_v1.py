"""Make the files of the first format, beside `make_model_v1.py`, that have to load.

Run once, by the last release that wrote this format. The tests import what is above
`main` to know the same data and modules.
"""

import contextlib
from pathlib import Path

import numpy as np
from skorch.callbacks import Callback
from torch import nn

from sklearn_cpc import (
    Checkpoint,
    CPCImageTransformer,
    CPCTextTransformer,
    CPCTransformer,
)

FOLDER = Path(__file__).parent
RNG = np.random.default_rng(0)
SERIES = RNG.normal(size=(12, 40, 2)).cumsum(1)
IMAGES = RNG.normal(size=(12, 10, 12, 2))
TEXTS = [" ".join(RNG.choice(["red", "green", "blue"], 12)) for _ in range(12)]
SMALL = {"latent_size": 4, "context_size": 3, "random_state": 0, "device": "cpu"}


class Own(nn.Module):
    """Every second step, which the first format did not say."""

    downsampling = 2

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(2, 4)
        for parameter in self.parameters():
            nn.init.constant_(parameter, 0.1)

    def forward(self, x):
        return self.linear(x[:, ::2])


CASES = {
    "images": (CPCImageTransformer, IMAGES, {"warm_start": True}),
    "texts": (CPCTextTransformer, TEXTS, {"tokenizer": "word", "warm_start": True}),
    "own": (CPCTransformer, SERIES, {"encoder": Own()}),
}


class Interrupt(Callback):
    """Ends a fit as a kill would; it has no options, which a checkpoint compares."""

    last_epoch, n_trained = None, 0

    def on_epoch_end(self, net, **kwargs):
        Interrupt.n_trained += 1
        if len(net.history) == self.last_epoch:
            raise RuntimeError


def resumable(path):
    """Return an estimator with a checkpoint.

    Nothing is computed of the data before the training: a checkpoint compares the bits
    of its start, and other processors round in another way.
    """
    options = {"early_stopping": True, "validation_fraction": 0.25, "batch_size": 4}
    # The defaults when the checkpoint was made.
    options |= {"context": "gru", "lr": 5e-4, "prediction_steps": 8, "n_anchors": "all"}
    options |= {"pooling": ("max", "std", "ppv")}
    return CPCTransformer(
        encoder=Own(),
        scaling=None,
        max_epochs=5,
        callbacks=[Interrupt(), Checkpoint(path, interval=0)],
        **options,
        **SMALL,
    )


def main():
    """Train tiny models; save them, and their outputs."""
    outputs = {}
    for name, (make, X, options) in CASES.items():
        fitted = make(max_epochs=2, **SMALL, **options).fit(X)
        fitted.save(FOLDER / f"{name}_v1.safetensors")
        outputs[f"{name}_features"] = fitted.transform(X)
        outputs[f"{name}_scores"] = fitted.score_samples(X)
    path = FOLDER / "checkpoint_v1.safetensors"
    Interrupt.last_epoch = 4
    with contextlib.suppress(RuntimeError):
        resumable(path).fit(SERIES)
    Interrupt.last_epoch = None
    whole = resumable(path.with_suffix(".tmp")).fit(SERIES)
    outputs["checkpoint_features"] = whole.transform(SERIES)
    outputs["checkpoint_losses"] = whole.loss_curve_
    path.with_suffix(".tmp").unlink()
    np.savez(FOLDER / "files_v1.npz", **outputs)


if __name__ == "__main__":
    main()
