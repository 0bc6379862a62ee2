"""Models that go to a hub, which is not there, and come back."""

import inspect
import os
import re
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone

from sklearn_cpc import CPCTransformer

X = np.random.default_rng(0).normal(size=(12, 40, 2)).cumsum(1)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Return a fitted estimator and the path of its file."""
    path = tmp_path_factory.mktemp("models") / "model.safetensors"
    options = {"latent_size": 8, "context_size": 8, "random_state": 0}
    fitted = CPCTransformer(max_epochs=1, **options).fit(X)
    fitted.save(path)
    return fitted, path


class Hub(types.ModuleType):
    """Stands for huggingface_hub: repositories are folders."""

    def __init__(self, folder):
        super().__init__("huggingface_hub")
        self.folder, self.downloads = folder, []

    def hf_hub_download(self, repository, name, revision=None):
        self.downloads.append((repository, name, revision))
        return str(self.folder / repository / name)

    def HfApi(self, token=None):
        self.token = token
        return self

    def create_repo(self, repository, private, exist_ok):
        (self.folder / repository).mkdir(parents=True, exist_ok=exist_ok)
        self.private = private

    def file_exists(self, repository, name):
        return (self.folder / repository / name).exists()

    def upload_folder(self, repo_id, folder_path):
        for path in Path(folder_path).iterdir():
            (self.folder / repo_id / path.name).write_bytes(path.read_bytes())
        return f"https://huggingface.co/{repo_id}/commit/0"


@pytest.fixture
def hub(tmp_path, monkeypatch):
    hub = Hub(tmp_path)
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    return hub


def test_a_model_goes_to_a_hub_and_comes_back(saved, hub):
    fitted, _ = saved
    address = fitted.push_to_hub(
        "me/noise", card={"data": "noise"}, private=True, token="secret"
    )
    assert address == "https://huggingface.co/me/noise/commit/0"
    assert (hub.token, hub.private) == ("secret", True)
    page = (hub.folder / "me" / "noise" / "README.md").read_text("utf-8")
    assert 'CPCTransformer.from_pretrained("me/noise")' in page
    assert "- data: noise" in page
    loaded = CPCTransformer.from_pretrained("me/noise")
    np.testing.assert_array_equal(loaded.transform(X), fitted.transform(X))
    assert loaded.card_ == {"data": "noise"}
    clone(loaded).fit(X)
    CPCTransformer.from_pretrained("me/noise@v1.0")
    assert hub.downloads == [
        ("me/noise", "model.safetensors", None),
        ("me/noise", "model.safetensors", None),
        ("me/noise", "model.safetensors", "v1.0"),
    ]


def test_the_hub_of_the_tests_takes_what_the_real_one_takes():
    real = pytest.importorskip("huggingface_hub")
    api, fake = real.HfApi, Hub(Path())
    pairs = {
        (real.hf_hub_download, 0): (("a/b", "file"), {"revision": None}),
        (api, 0): ((), {"token": None}),
        (api.create_repo, 1): (("a/b",), {"private": True, "exist_ok": True}),
        (api.file_exists, 1): (("a/b", "file"), {}),
        (api.upload_folder, 1): ((), {"repo_id": "a/b", "folder_path": "folder"}),
    }
    for (function, n_own), (args, kwargs) in pairs.items():
        inspect.signature(function).bind(*(None,) * n_own, *args, **kwargs)
        own = getattr(fake, function.__name__)
        inspect.signature(own).bind(*args, **kwargs)


def test_a_page_of_a_repository_stays(saved, hub):
    fitted, _ = saved
    (hub.folder / "me" / "noise").mkdir(parents=True)
    page = hub.folder / "me" / "noise" / "README.md"
    page.write_text("mine")
    fitted.push_to_hub("me/noise")
    assert page.read_text() == "mine"
    assert (hub.folder / "me" / "noise" / "model.safetensors").exists()


@pytest.mark.parametrize("name", ["noise", "a/b/c", "me/noise@v1", "../a/b"])
def test_a_name_of_no_repository_is_refused(saved, hub, name):
    fitted, _ = saved
    with pytest.raises(ValueError, match="must be 'user/name'"):
        fitted.push_to_hub(name)


def test_without_the_extra_the_message_names_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ImportError, match=re.escape("sklearn-cpc[hub]")):
        CPCTransformer.from_pretrained("user/name")


def test_a_file_is_preferred_to_a_repository(saved, hub, tmp_path, monkeypatch):
    _, path = saved
    (tmp_path / "user").mkdir()
    (tmp_path / "user" / "name").write_bytes(path.read_bytes())
    monkeypatch.chdir(tmp_path)
    CPCTransformer.from_pretrained(os.path.join("user", "name"))
    assert hub.downloads == []
