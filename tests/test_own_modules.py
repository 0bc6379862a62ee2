"""Own encoders and contexts: plain modules, and modules that keep the contract."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from sklearn_cpc import CPCImageTransformer, CPCTransformer
from sklearn_cpc.nn import CausalConv, Context, ConvStack, Encoder, PatchEncoder
from sklearn_cpc.nn import encoders as encoders_module
from sklearn_cpc.nn.encoders import ENCODERS
from sklearn_cpc.nn.registry import PARTS, register

X = np.random.default_rng(0).normal(size=(16, 60, 2)).cumsum(1)
IMAGES = np.random.default_rng(0).normal(size=(12, 12, 12))


def cpc(**options):
    options = {"latent_size": 8, "context_size": 8, "max_epochs": 2} | options
    return CPCTransformer(**{"random_state": 0} | options)


class Plain(nn.Module):
    """Has attributes with the names of the contract, and others meanings."""

    crop_length, skip_steps, receptive_field, downsampling = 5, 40, "wide", 7
    layer_downsamplings = None

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2, 6), nn.ReLU(), nn.Linear(6, 4))

    def forward(self, x):
        return self.layers(x[:, ::2])

    def advance(self, x):
        return x

    def calibrate(self):
        raise AssertionError("nobody asked for this")


def test_attributes_of_a_plain_module_mean_nothing():
    fitted = cpc(encoder=Plain()).fit(X)
    assert (fitted.downsampling_, fitted.receptive_field_) == (2, None)
    assert (fitted.skip_steps_, fitted.crop_length_) == (3, 60)
    names = fitted.get_feature_names_out()
    assert {name.split("_")[0] for name in names} == {"latent", "context"}
    assert fitted.transform(X).shape == (16, len(names))
    assert fitted.transform_steps(X).shape == (16, 30, 4 + 8)
    with pytest.raises(ValueError, match=r"encoder=Plain cannot process .* piece by"):
        fitted.stream()


class PlainPatches(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(16, 6))

    def forward(self, x):
        return self.layers(x)


class TwoLayers(PatchEncoder):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(16, 5), nn.Linear(5, 6)

    def forward(self, x):
        return self.layers(x)[-1]

    def layers(self, x):
        h = self.first(x.flatten(1))
        return [h, self.second(h)]


@pytest.mark.parametrize(
    ("encoder", "layers"),
    [
        (PlainPatches(), {"latent", "context"}),
        (TwoLayers(), {"layer1", "latent", "context"}),
    ],
)
def test_layers_of_patch_encoders(encoder, layers):
    images = CPCImageTransformer(
        encoder=encoder, patch_size=4, context_size=4, max_epochs=1, random_state=0
    ).fit(IMAGES)
    names = images.get_feature_names_out()
    assert {name.split("_")[0] for name in names} == layers
    assert images.transform(IMAGES).shape == (12, len(names))


class Averages(Encoder):
    """Means of the last two steps of a projection, every second one."""

    downsampling, receptive_field, crop_length, skip_steps = 2, 2, 40, 1

    def __init__(self):
        super().__init__()
        self.project = nn.Linear(2, 6)

    def forward(self, x):
        return self.layers(x)[-1]

    @property
    def layer_downsamplings(self):
        return [1, 2]

    def layers(self, x):
        return self.advance_layers(x)[0]

    def advance(self, x, state=None):
        layers, state = self.advance_layers(x, state)
        return layers[-1], state

    def advance_layers(self, x, state=None):
        before, n_before = state or (x.new_zeros(len(x), 1, 6), 0)
        h = F.relu(self.project(x))
        padded = torch.cat([before, h], 1)
        means = (padded[:, 1:] + padded[:, :-1]) / 2
        return [h, means[:, n_before % 2 :: 2]], (h[:, -1:], n_before + x.shape[1])


class Sums(Context):
    """Discounted sums of the latents."""

    def __init__(self):
        super().__init__(6, 5)
        self.project = nn.Linear(6, 5)

    def advance(self, z, state=None):
        state = z.new_zeros(len(z), 5) if state is None else state
        contexts = []
        for step in self.project(z).unbind(1):
            state = 0.5 * state + step
            contexts.append(state)
        return torch.stack(contexts, 1), state


def test_a_module_that_keeps_the_contract_brings_its_settings_and_streams():
    fitted = cpc(encoder=Averages(), context=Sums(), crop_length="auto").fit(X)
    assert (fitted.downsampling_, fitted.receptive_field_) == (2, 2)
    assert (fitted.skip_steps_, fitted.crop_length_) == (1, 40)
    assert fitted.get_feature_names_out()[0] == "layer1_max_0"
    whole = fitted.transform_steps(X[:1])[0]
    assert whole.shape == (30, 6 + 6 + 5)
    stream = fitted.stream()
    pieces = [stream.push(X[0, a:b]) for a, b in [(0, 1), (1, 2), (2, 2), (2, 60)]]
    np.testing.assert_allclose(np.concatenate(pieces), whole, rtol=0, atol=1e-5)


class WrongAdvance(Averages):
    """What the docs once said: only a tensor."""

    def advance(self, x, state=None):
        return self(x)


class WrongState(Averages):
    def advance_layers(self, x, state=None):
        return super().advance_layers(x)


@pytest.mark.parametrize(
    ("encoder", "message"),
    [
        (WrongAdvance(), r"advance\(x, state\) must return a pair"),
        (WrongState(), r"advance\(x, state\) gives the shape .* a call of the mod"),
    ],
)
def test_pieces_that_are_not_the_whole_are_refused_before_training(encoder, message):
    with pytest.raises(ValueError, match=message):
        cpc(encoder=encoder).fit(X)


def test_a_fit_leaves_the_users_module_alone():
    encoder = Averages()
    before = encoder.project.weight.clone()
    cpc(encoder=encoder).fit(X)
    assert encoder.latent_size is None
    assert torch.equal(encoder.project.weight, before)


# ---- names


@pytest.fixture
def named(monkeypatch):
    """Name an encoder, as a plugin would."""

    class Named(ConvStack):
        def __init__(self, n_channels, latent_size, n_timesteps):
            super().__init__([CausalConv(n_channels, latent_size, [4])])
            self.n_channels, self.n_timesteps = n_channels, n_timesteps
            self.latent_size = latent_size

    monkeypatch.setitem(ENCODERS, "named", Named)
    monkeypatch.setattr(
        "sklearn_cpc.CPCTransformer._parameter_constraints",
        CPCTransformer._parameter_constraints | {"encoder": [str]},
    )
    yield Named
    PARTS.pop("Named", None)


def test_a_part_that_cannot_be_remade_is_refused_when_the_file_is_written(
    named, tmp_path
):
    fitted = cpc(encoder="named").fit(X)
    with pytest.raises(TypeError, match=r"encoder=Named cannot be saved.*nn\.register"):
        fitted.save(tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_a_registered_part_needs_no_export(named, tmp_path):
    register(named)
    assert not hasattr(encoders_module, "Named")
    fitted = cpc(encoder="named").fit(X)
    fitted.save(tmp_path / "model")
    loaded = CPCTransformer.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.transform(X), fitted.transform(X))


def test_a_part_of_another_class_with_a_registered_name_is_refused(named, tmp_path):
    register(named)
    other = type("Named", (named,), {})
    fitted = cpc(encoder="named").fit(X)
    fitted.net_.module_.encoder.__class__ = other
    with pytest.raises(TypeError, match="encoder=Named cannot be saved"):
        fitted.save(tmp_path / "model")


def test_every_named_part_can_be_remade():
    from sklearn_cpc.nn.contexts import CONTEXTS
    from sklearn_cpc.nn.encoders import PATCH_ENCODERS, TEXT_ENCODERS

    for parts in (ENCODERS, PATCH_ENCODERS, TEXT_ENCODERS, CONTEXTS):
        for part in parts.values():
            assert PARTS[part.__name__] is part
