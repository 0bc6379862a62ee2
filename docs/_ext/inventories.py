"""Names of other libraries that the pages mention, and where they are documented.

The build needs no network: `setup` writes an inventory of each library for intersphinx
from the names below. A name that is missing here stays plain code.
"""

import tempfile
import zlib
from pathlib import Path

_SKLEARN = "modules/generated/$.html#$"
_TORCH = "generated/$.html#$"

# For each library: address of its documentation, and for each kind of object the place
# of its page and the names. A dollar sign is the name.
LIBRARIES = {
    "sklearn": (
        "https://scikit-learn.org/stable/",
        {
            ("class", _SKLEARN): """
                sklearn.base.BaseEstimator sklearn.base.TransformerMixin
                sklearn.callback.ProgressBar sklearn.compose.ColumnTransformer
                sklearn.decomposition.PCA sklearn.decomposition.TruncatedSVD
                sklearn.ensemble.IsolationForest sklearn.ensemble.RandomForestClassifier
                sklearn.feature_extraction.text.TfidfVectorizer
                sklearn.frozen.FrozenEstimator sklearn.linear_model.LogisticRegression
                sklearn.manifold.TSNE sklearn.model_selection.GridSearchCV
                sklearn.model_selection.GroupKFold
                sklearn.model_selection.HalvingGridSearchCV
                sklearn.model_selection.RandomizedSearchCV
                sklearn.model_selection.ShuffleSplit
                sklearn.model_selection.StratifiedKFold
                sklearn.neighbors.NearestNeighbors sklearn.pipeline.FeatureUnion
                sklearn.pipeline.Pipeline sklearn.preprocessing.FunctionTransformer
                sklearn.preprocessing.Normalizer sklearn.preprocessing.StandardScaler
            """,
            ("exception", _SKLEARN): "sklearn.exceptions.ConvergenceWarning",
            ("function", _SKLEARN): """
                sklearn.base.clone sklearn.inspection.permutation_importance
                sklearn.datasets.load_digits sklearn.metrics.roc_auc_score
                sklearn.model_selection.cross_val_score
                sklearn.model_selection.train_test_split sklearn.pipeline.make_pipeline
            """,
        },
    ),
    "numpy": (
        "https://numpy.org/doc/stable/",
        {
            ("class", "reference/generated/$.html#$"): "numpy.memmap numpy.ndarray",
            ("function", "reference/generated/$.html#$"): "numpy.load",
        },
    ),
    "torch": (
        "https://docs.pytorch.org/docs/stable/",
        {
            ("class", _TORCH): "torch.nn.Module torch.nn.LSTM torch.nn.GRU",
            ("class", "tensors.html#$"): "torch.Tensor",
            ("class", "tensor_attributes.html#$"): "torch.device",
        },
    ),
    "skorch": (
        "https://skorch.readthedocs.io/en/stable/",
        {
            ("class", "net.html#$"): "skorch.net.NeuralNet",
            ("class", "callbacks.html#$"): """
                skorch.callbacks.Checkpoint skorch.callbacks.LRScheduler
                skorch.callbacks.PrintLog skorch.callbacks.TrainEndCheckpoint
            """,
        },
    ),
}
# Names that are said without their module: `GridSearchCV`. `Checkpoint` is our own.
SHORT = {
    name.rpartition(".")[2]: name
    for _, kinds in LIBRARIES.values()
    for names in kinds.values()
    for name in names.split()
    if name.startswith("sklearn.")
}
FULL = {
    name
    for _, kinds in LIBRARIES.values()
    for names in kinds.values()
    for name in names.split()
}


def write(folder):
    """Write the inventories; return the value of ``intersphinx_mapping``."""
    mapping = {}
    for library, (address, kinds) in LIBRARIES.items():
        lines = [
            f"{name} py:{kind} 1 {place.replace('$', name)} -\n"
            for (kind, place), names in kinds.items()
            for name in names.split()
        ]
        head = (
            "# Sphinx inventory version 2\n"
            f"# Project: {library}\n"
            "# Version: \n"
            "# The remainder of this file is compressed using zlib.\n"
        )
        path = Path(folder) / f"{library}.inv"
        path.write_bytes(head.encode() + zlib.compress("".join(lines).encode()))
        mapping[library] = (address, str(path))
    return mapping


def mapping():
    """Return the value of ``intersphinx_mapping``, with files that need no network."""
    return write(tempfile.mkdtemp())
