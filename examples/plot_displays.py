"""
===============================================
Displays: has the model learned, and what?
===============================================

Four displays in scikit-learn's form show the progress of training, how far ahead the
model recognises what comes next, the features over time, and which samples are similar.
Real recordings of nine speakers (UCI Japanese Vowels).
"""

import matplotlib.pyplot as plt

from sklearn_cpc import (
    CPCTransformer,
    EmbeddingDisplay,
    StepAccuracyDisplay,
    StepFeaturesDisplay,
    TrainingCurveDisplay,
)
from sklearn_cpc.datasets import load_japanese_vowels

X, _ = load_japanese_vowels(split="train", return_X_y=True)
X_test, speaker = load_japanese_vowels(split="test", return_X_y=True)

# %%
# ``early_stopping`` holds out a fifth of the sequences. The control is the same model
# without training.

options = {"random_state": 0, "n_jobs": 1}
cpc = CPCTransformer(
    max_epochs=30, early_stopping=True, validation_fraction=0.2, **options
).fit(X)
untrained = CPCTransformer(max_epochs=0, **options).fit(X)
print(f"{cpc.n_epochs_} epochs; score on the held-out sequences:", end=" ")
print(f"{max(cpc.validation_scores_):.2f} nats")

# %%
# How to read them
# ----------------
# - Top left: the loss falls below the loss of guessing, and the score on the held-out
#   sequences rises. If it fell again, the model would overfit.
# - Top right: how often the true latent is recognised among 257, on test sequences.
#   Near 1 everywhere, the task would be too easy; without training, it is guessing.
# - Bottom left: an utterance above its features. Each row is a feature. The fixed
#   kernels come first, then the contexts.
# - Bottom right: each dot is a test utterance, coloured by its speaker. Training has
#   not used the speakers.

fig, axes = plt.subplots(2, 2, figsize=(11, 8), layout="constrained")
TrainingCurveDisplay.from_estimator(cpc, ax=axes[0, 0])
StepAccuracyDisplay.from_estimator(cpc, X_test, name="CPC", ax=axes[0, 1])
StepAccuracyDisplay.from_estimator(
    untrained, X_test, name="untrained", plot_chance_level=False, ax=axes[0, 1]
)
StepFeaturesDisplay.from_estimator(cpc, X_test, sample=0, ax=axes[1, 0])
EmbeddingDisplay.from_estimator(cpc, X_test, speaker, ax=axes[1, 1])
plt.show()
