"""Models that need no training: from the package, from files, from a hub.

A fit that starts from one keeps what `_fitted_types` lists, such as the scaling, and
the weights. Its random choices follow from its own `random_state`.
"""

import json
import os
import re
import tempfile
from importlib import resources
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted

from ..training.runtime import spawn_seeds
from .saving import NOT_SAVED, SavingMixin, plain_values

# Files that come with the package, in the folder `pretrained`.
SHIPPED = {"speech": "speech.safetensors"}
# A repository of a hub, with a revision if there is an "@", and the file in it.
REPOSITORY = re.compile(r"([\w.-]+/[\w.-]+)(?:@([\w.-]+))?")
HUB_FILE = "model.safetensors"


class PretrainedMixin(SavingMixin):
    """`from_pretrained`, `push_to_hub`, and fits that start from a file."""

    @classmethod
    def from_pretrained(cls, name: str | os.PathLike[str], **parameters: Any) -> Self:
        """Return a fitted estimator with weights that somebody has trained before.

        It needs no `fit`. Where one is called nevertheless, as pipelines and searches
        do, it starts from the same weights, because the estimator has ``start=name``,
        and leaves them as they are, because it has ``max_epochs=0``. With another
        `max_epochs`, `fit` adapts them to the data. Clones start from them, too.

        Parameters
        ----------
        name : str or path-like
            "speech" comes with the package, for `CPCTransformer`; see the user guide on
            speech. Otherwise the path of a file that `save` has written, or
            "user/name", a repository of the Hugging Face Hub, whose file
            ``model.safetensors`` is downloaded; "user/name@revision" is a state of it.
            This needs the extra ``hub``.
        **parameters : dict
            Parameters that replace those of the file, as in `load`.

        Returns
        -------
        object
            The fitted estimator.

        Raises
        ------
        FileNotFoundError
            If there is nothing of this name.
        ImportError
            If it is a repository, and huggingface_hub is not installed.
        ModelFileError
            A ValueError: the file is damaged, of another class, or from a newer
            release.
        ValueError
            If a parameter cannot be replaced.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_cpc import CPCTransformer
        >>> recordings = np.random.default_rng(0).normal(size=(3, 16_000))
        >>> cpc = CPCTransformer.from_pretrained("speech")
        >>> len(cpc.transform(recordings / 10))
        3
        """
        estimator = cls.load(path_of(name), **parameters)
        start = {"start": name, "max_epochs": 0} | parameters
        return estimator.set_params(**start)  # type: ignore[no-any-return]

    def push_to_hub(
        self,
        repository: str,
        *,
        card: dict[str, Any] | None = None,
        private: bool = False,
        token: str | None = None,
    ) -> str:
        """Publish the fitted estimator on the Hugging Face Hub.

        The repository is made if there is none. It gets the file of `save`, as
        ``model.safetensors``, and a ``README.md`` if it has none.

        Parameters
        ----------
        repository : str
            "user/name".
        card : dict, default=None
            What others should know of the model; see `save`.
        private : bool, default=False
            Whether a new repository is private.
        token : str, default=None
            Of the hub. None is the one of ``hf auth login``.

        Returns
        -------
        str
            The address of the new state.

        Raises
        ------
        ImportError
            If huggingface_hub is not installed.
        ValueError
            If `repository` is no such name.
        """
        check_is_fitted(self)
        found = REPOSITORY.fullmatch(repository)
        if found is None or found[2]:
            raise ValueError(f"repository={repository!r} must be 'user/name'.")
        api = _hub().HfApi(token=token)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, HUB_FILE)
            self.save(path, card=card)
            readme = _readme(repository, self, card or getattr(self, "card_", None))
            api.create_repo(repository, private=private, exist_ok=True)
            if not api.file_exists(repository, "README.md"):
                Path(folder, "README.md").write_text(readme, encoding="utf-8")
            made = api.upload_folder(repo_id=repository, folder_path=folder)
        return str(made)

    def _begin(self) -> bool:
        """Return whether a fit goes on with a model: the fitted one, or `start`."""
        if self.warm_start and hasattr(self, "net_"):
            return True
        for name in ("_start_parameters", "card_"):  # of another model
            self.__dict__.pop(name, None)
        if self.start is None:
            self._fitted_parameters = {
                n: getattr(self, n) for n in self._architecture_parameters
            }
            return False
        self._take_start()
        return True

    def _take_start(self) -> None:
        """Take the fitted attributes of the model in `start`."""
        own = self.get_params(deep=False)
        kept = {n: v for n, v in own.items() if n not in {*NOT_SAVED, "random_state"}}
        unsaved = {n: own[n] for n in plain_values(kept)[1]}  # modules and the like
        device = self.device if self.accelerator is None else self.accelerator.device
        process = {"device": device, "precision": self.precision, "n_jobs": self.n_jobs}
        begun = type(self).load(path_of(self.start), **unsaved | process)
        self._start_parameters = begun._fitted_parameters | {
            n: getattr(begun, n) for n in self._kept_parameters
        }
        for name, known in self._start_parameters.items():
            if self._contradicts(name, known):
                raise ValueError(
                    f"{name}={own[name]!r} contradicts start={self.start!r}, a model "
                    f"with {name}={known!r}. Leave {name} out, or train another model: "
                    "start=None."
                )
        for name in self._fitted_types:
            self.__dict__.pop(name, None)
        ours = {*own, "_sklearn_output_config"}
        fitted = {n: v for n, v in vars(begun).items() if n not in ours}
        self.__dict__.update(fitted)
        _, batches, negatives = spawn_seeds(self.random_state, 3)
        self._rng = np.random.default_rng(batches)
        generator = torch.Generator().manual_seed(negatives)
        self.net_.criterion_.generator = generator


def path_of(name: str | os.PathLike[str]) -> Path:
    """Return the path of a model: shipped, a file, or a repository's, downloaded.

    Parameters
    ----------
    name : str or path-like
        See `PretrainedMixin.from_pretrained`.

    Returns
    -------
    Path

    Raises
    ------
    FileNotFoundError
        If there is nothing of this name.
    """
    if isinstance(name, str) and name in SHIPPED:
        folder = resources.files(__name__.partition(".")[0])
        return Path(str(folder / "pretrained" / SHIPPED[name]))
    if os.path.exists(name):
        return Path(name)
    repository = REPOSITORY.fullmatch(name) if isinstance(name, str) else None
    if repository is None or repository[1].endswith(".safetensors"):
        shipped = ", ".join(map(repr, SHIPPED))
        raise FileNotFoundError(
            2,
            f"No such model: it is not {shipped}, not a file, and not the 'user/name' "
            "of a repository",
            os.fspath(name),
        )
    path = _hub().hf_hub_download(repository[1], HUB_FILE, revision=repository[2])
    return Path(path)


def _hub() -> Any:
    try:
        import huggingface_hub
    except ImportError:
        raise ImportError(
            "Repositories of the Hugging Face Hub need huggingface_hub: "
            "pip install 'sklearn-cpc[hub]'."
        ) from None
    return huggingface_hub


def _readme(repository: str, model: Any, card: dict[str, Any] | None) -> str:
    """Return the page of a repository."""
    name = type(model).__name__
    facts = "\n".join(
        f"- {key}: {value if isinstance(value, str) else json.dumps(value)}"
        for key, value in (card or {}).items()
    )
    return (
        "---\nlibrary_name: sklearn-cpc\ntags: [sklearn, contrastive-predictive-coding]"
        f"\n---\n\n# {repository}\n\n```python\nfrom sklearn_cpc import {name}\n\n"
        f'cpc = {name}.from_pretrained("{repository}")\n```\n\n{facts}\n'
    )
