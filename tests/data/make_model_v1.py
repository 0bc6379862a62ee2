"""Make `model_v1.safetensors` and `model_v1.npz`, which have to load for ever.

Run once, by the first release that had this format.
"""

from pathlib import Path

import numpy as np

from sklearn_cpc import CPCTransformer

FOLDER = Path(__file__).parent


def main():
    """Train a tiny model; save it, its input and its output."""
    rng = np.random.default_rng(0)
    X = [rng.normal(size=(n, 2)).cumsum(0) for n in (20, 12, 33, 25)]
    cpc = CPCTransformer(
        latent_size=2,
        context_size=2,
        max_epochs=3,
        pooling=("mean", "last"),
        random_state=0,
        device="cpu",
        warm_start=True,
    )
    cpc.fit(X).save(FOLDER / "model_v1.safetensors")
    np.savez(
        FOLDER / "model_v1.npz",
        **{f"x{i}": x for i, x in enumerate(X)},
        features=cpc.transform(X),
        scores=cpc.score_samples(X),
        loss_curve=cpc.loss_curve_,
    )


if __name__ == "__main__":
    main()
