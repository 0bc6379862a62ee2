import pytest
import torch
from torch import nn
from torch.nn import functional as F

from sklearn_cpc.nn import (
    CausalConv,
    Context,
    ConvEncoder,
    ConvStack,
    Encoder,
    GRUContext,
    PatchEncoder,
)
from sklearn_cpc.nn.checks import (
    as_encoder,
    check_context,
    check_encoder,
    check_patch_encoder,
)
from sklearn_cpc.nn.encoders import PlainEncoder


class Sequence(nn.Sequential):
    """Layers on (B, C, T), wrapped to take and give (B, T, C)."""

    def forward(self, x):
        return super().forward(x.transpose(1, 2)).transpose(1, 2)


class Strided(nn.Module):
    """A causal convolution; attributes of any kind mean nothing."""

    downsampling, receptive_field, crop_length, skip_steps = 3, "wide", 5, -1
    layer_downsamplings = None

    def __init__(self, stride, kernel_size=8):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv1d(3, 4, kernel_size, stride))

    def forward(self, x):
        pad = self.layers[0].kernel_size[0] - 1
        return self.layers(F.pad(x.transpose(1, 2), (pad, 0))).transpose(1, 2)

    def advance(self, x):
        return x

    calibrate = None


class Normed(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(3)

    def forward(self, x):
        return self.norm(x.transpose(1, 2)).transpose(1, 2)


# ---- encoders that are no `Encoder`


@pytest.mark.parametrize("stride", [1, 2, 5, 160, 600, 1024, 5000])
def test_trials_find_out_how_far_a_plain_module_downsamples(stride):
    encoder = as_encoder(Strided(stride), 3)
    assert encoder.downsampling == stride
    check_encoder(encoder, 3, 50)
    assert encoder.latent_size == 4


class Positions(nn.Module):
    """Knows as many positions as the longest sequence has, and no more."""

    def __init__(self, n_steps):
        super().__init__()
        self.position = nn.Parameter(torch.zeros(n_steps, 3))

    def forward(self, x):
        return (x + self.position[: x.shape[1]])[:, ::2]


@pytest.mark.parametrize("n_timesteps", [8, 50, 51, 700])
def test_no_trial_is_longer_than_the_longest_sequence(n_timesteps):
    encoder = as_encoder(Positions(n_timesteps), 3, n_timesteps)
    assert encoder.downsampling == 2
    check_encoder(encoder, 3, n_timesteps)


def test_attributes_of_a_plain_module_mean_nothing():
    encoder = as_encoder(Strided(2), 3)
    assert isinstance(encoder, PlainEncoder)
    assert encoder.receptive_field is encoder.crop_length is encoder.skip_steps is None
    assert not encoder.can_advance
    assert not encoder.needs_calibration
    x = torch.randn(2, 50, 3)
    (z,) = encoder.layers(x)
    assert torch.equal(z, encoder(x))


def test_a_wrapper_does_not_show_in_the_weights():
    module = nn.Sequential(nn.Linear(3, 4))
    model = nn.Sequential(as_encoder(module, 3))
    weights = model.state_dict()
    assert list(weights) == ["0.0.weight", "0.0.bias"]
    model.load_state_dict({name: 2 * weight for name, weight in weights.items()})
    torch.testing.assert_close(module[0].bias, 2 * weights["0.0.bias"] / 2)
    with pytest.raises(RuntimeError, match="Missing key"):
        model.load_state_dict({"0.0.weight": weights["0.0.weight"]})


def test_an_encoder_is_taken_as_it_is():
    encoder = ConvEncoder(3, 8, 500)
    assert as_encoder(encoder, 3) is encoder
    check_encoder(encoder, 3, 50)
    assert encoder.latent_size == 8
    assert encoder.training


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (nn.Linear(4, 7), r"encoder=Linear fails on input of shape \(2, 1024, 3\)"),
        (nn.GRU(3, 5, batch_first=True), r"tensor of shape \(2, steps, size\).* tuple"),
        (nn.Flatten(), r"\(2, steps, size\), but it gives \(2, 3072\)"),
        (
            Sequence(nn.Conv1d(3, 4, 5)),
            r"gives 1020 latents for 1024 steps.*Pad its conv",
        ),
        (Sequence(nn.Conv1d(3, 4, 5, padding=2)), "encoder=Sequence looks ahead"),
        (Sequence(nn.AdaptiveAvgPool1d(1)), "gives 1 latents for 131072 steps"),
        (Sequence(nn.AdaptiveAvgPool1d(7)), "gives 7 latents for 50 steps"),
        (Normed(), "holds a batch normalisation.*LayerNorm"),
    ],
)
def test_a_plain_encoder_is_refused_with_the_reason(module, message):
    with pytest.raises(ValueError, match=message):
        check_encoder(as_encoder(module, 3), 3, 50)


# ---- encoders that break the contract


class Steps(Encoder):
    """Two layers without memory; `change` says what is wrong with it."""

    receptive_field = 1

    def __init__(self, **declared):
        super().__init__()
        self.first, self.second = nn.Linear(3, 5), nn.Linear(5, 4)
        for name, value in declared.items():
            setattr(self, name, value)

    def forward(self, x):
        return self.second(self.first(x))

    def layers(self, x):
        return [self.first(x), self(x)]

    def advance(self, x, state=None):
        return self(x), state

    def advance_layers(self, x, state=None):
        return self.layers(x), state


def changed(**methods):
    """Return an encoder with other methods."""
    for name, method in methods.items():
        method.__name__ = name
    return type("Steps", (Steps,), methods)()


def test_a_complete_encoder_passes():
    encoder = Steps()
    check_encoder(encoder, 3, 50)
    assert encoder.latent_size == 4


BROKEN = {
    "no int": (Steps(downsampling=2.0), "declares downsampling=2.0, but it must be an"),
    "no downsampling": (Steps(downsampling=None), "an int of at least 1.$"),
    "too small": (Steps(crop_length=1), "crop_length=1.*of at least 2, or None"),
    "negative": (Steps(skip_steps=-1), "skip_steps=-1.*of at least 0, or None"),
    "a bool": (Steps(receptive_field=True), "receptive_field=True, but"),
    "another size": (Steps(latent_size=9), "latent_size=9, but its latents have .* 4"),
    "another length": (
        Steps(downsampling=2),
        r"\(2, 49, 3\) into .* \(2, 25, size\), ceil\(n / 2\).*gives \(2, 49, 4\)",
    ),
    "layers are modules": (
        changed(layers=lambda self, x: nn.Sequential(self.first)),
        r"layers\(x\) must return a list of tensors with 3 axes.*a Sequential",
    ),
    "layers are a tensor": (
        changed(layers=lambda self, x: self(x)),
        r"layers\(x\) must return a list of tensors.*returns \(2, 50, 4\)",
    ),
    "no layers": (changed(layers=lambda self, x: []), r"layers\(x\) returns no layer"),
    "latents are not last": (
        changed(layers=lambda self, x: [self(x), self.first(x)]),
        r"layers\(x\) gives the shape \(2, 50, 5\), but .* gives \(2, 50, 4\)",
    ),
    "other latents": (
        changed(layers=lambda self, x: [self.first(x), self(x) + 1]),
        r"layers\(x\) gives other values than",
    ),
    "layers of other rates": (
        Steps(layer_downsamplings=[2, 1]),
        r"layers of \[50, 50\] steps .* layer_downsamplings=\[2, 1\] needs \[25, 50\]",
    ),
    "too few rates": (
        Steps(layer_downsamplings=[1]),
        r"layer_downsamplings=\[1\] needs \[50\] steps",
    ),
    "advance gives a tensor": (
        changed(advance=lambda self, x, state=None: self(x)),
        r"advance\(x, state\) must return a pair, .* but it returns \(2, 17, 4\)",
    ),
    "advance gives three": (
        changed(advance=lambda self, x, state=None: (self(x), 1, 2)),
        r"must return a pair, .* but it returns a tuple",
    ),
    "advance forgets": (
        changed(advance=lambda self, x, state=None: (self(x - x[:, :1]), state)),
        r"advance\(x, state\) gives other values than a call .* all steps",
    ),
    "advance_layers is missing": (
        changed(advance_layers=Encoder.advance_layers),
        r"layers\(x\) returns 2 layers, but advance_layers.* returns 1. Override both",
    ),
    "advance_layers forgets": (
        changed(
            advance_layers=lambda self, x, state=None: (
                [self.first(x - x[:, :1]), self(x)],
                state,
            )
        ),
        r"advance_layers\(x, state\) gives other values than a call",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_an_encoder_that_breaks_the_contract_is_refused(name):
    encoder, message = BROKEN[name]
    with pytest.raises(ValueError, match=message) as caught:
        check_encoder(encoder, 3, 50)
    assert str(caught.value).startswith("encoder=Steps")


def test_an_encoder_must_round_the_number_of_latents_up():
    """Lengths that are no multiple of the downsampling show it."""
    stack = ConvStack([CausalConv(3, 4, [4], stride=2)])
    check_encoder(stack, 3, 50)

    class RoundsDown(Encoder):
        downsampling = 2

        def forward(self, x):
            return x[:, : x.shape[1] // 2 * 2 : 2]

    with pytest.raises(
        ValueError, match=r"\(2, 25, size\), ceil.* but it gives \(2, 24"
    ):
        check_encoder(RoundsDown(), 3, 50)


def test_a_default_of_advance_says_what_is_missing():
    encoder = ConvEncoder(3, 8, 500)
    assert encoder.can_advance
    assert not as_encoder(nn.Linear(3, 4), 3).can_advance
    with pytest.raises(
        TypeError, match=r"no method advance\(x, state\) -> \(output, s"
    ):
        Encoder().advance(torch.zeros(1, 1, 3))


# ---- contexts


class Sums(Context):
    """Sums over the past."""

    def forward(self, z):
        return z.cumsum(1)


class SumsInPieces(Sums):
    def advance(self, z, state=None):
        c = z.cumsum(1) + (0 if state is None else state)
        return c, c[:, -1:]


@pytest.mark.parametrize("context", [GRUContext(3, 5), nn.Linear(3, 5)])
def test_the_size_of_a_context(context):
    assert check_context(context, 3, 50) == 5
    assert context.training


def test_contexts_with_and_without_pieces():
    assert not Sums(3, 3).can_advance
    assert SumsInPieces(3, 3).can_advance
    for context in (Sums(3, 3), SumsInPieces(3, 3)):
        assert check_context(context, 3, 2) == 3


class Forgetful(Sums):
    def advance(self, z, state=None):
        return z.cumsum(1), None


class NoPair(Sums):
    def advance(self, z, state=None):
        return z.cumsum(1)


@pytest.mark.parametrize(
    ("context", "message"),
    [
        (nn.GRU(3, 5, batch_first=True), r"\(2, steps, size\), but it gives a tuple"),
        (nn.Conv1d(50, 25, 1), r"a tensor of shape \(2, 50, size\), .* \(2, 25, 3\)"),
        (Sequence(nn.Conv1d(3, 4, 5, padding=2)), "context=Sequence looks ahead"),
        (Forgetful(3, 3), r"context=Forgetful: advance\(x, state\) gives other values"),
        (
            NoPair(3, 3),
            r"context=NoPair fails.* advance\(x, state\) must return a pair",
        ),
    ],
)
def test_a_context_that_breaks_the_contract_is_refused(context, message):
    with pytest.raises(ValueError, match=message):
        check_context(context, 3, 50)


# ---- patches


class Patches(PatchEncoder):
    def forward(self, x):
        return x.flatten(1)

    def layers(self, x):
        return [x.mean((2, 3)), self(x)]


def test_the_size_of_a_patch_encoder():
    assert check_patch_encoder(Patches(), (3, 2, 2)) == 12
    assert check_patch_encoder(nn.Flatten(), (3, 2, 2)) == 12


def test_a_patch_encoder_that_breaks_the_contract_is_refused():
    with pytest.raises(
        ValueError, match=r"of shape \(2, size\), but it gives \(2, 3, 2"
    ):
        check_patch_encoder(nn.Identity(), (3, 2, 2))
    wrong = type("Patches", (Patches,), {"layers": lambda self, x: [x.mean((2, 3))]})()
    with pytest.raises(
        ValueError, match=r"encoder=Patches: layers\(x\) gives the shape"
    ):
        check_patch_encoder(wrong, (3, 2, 2))


def test_trials_leave_the_global_generator_alone():
    before = torch.get_rng_state()
    module = nn.Identity()
    check_encoder(as_encoder(module, 3), 3, 50)
    check_context(module, 3, 50)
    check_patch_encoder(nn.Flatten(), (3, 2, 2))
    assert torch.equal(torch.get_rng_state(), before)
