import pytest
import torch

from sklearn_cpc.nn.encoders import TEXT_ENCODERS
from sklearn_cpc.nn.encoders.texts import CHUNK
from sklearn_cpc.nn.initialization import build

N_TOKENS, SIZE = 50, 8


def encoder_of(unit):
    generator = torch.Generator().manual_seed(0)
    return build(lambda: TEXT_ENCODERS[unit](N_TOKENS, SIZE), generator)


def ids(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(1, N_TOKENS, shape, generator=generator).float()


@pytest.mark.parametrize("unit", TEXT_ENCODERS)
def test_one_latent_for_every_step_and_layers_end_with_them(unit):
    encoder, x = encoder_of(unit), ids(3, 7, 1 if unit == "token" else 5)
    z, layers = encoder(x), encoder.layers(x)
    assert z.shape == (3, 7, SIZE)
    assert torch.equal(layers[-1], z)
    assert encoder.layer_downsamplings is None  # all have a step for each latent
    assert {h.shape for h in layers} == {(3, 7, SIZE)}


def test_first_layer_of_tokens_is_the_embedding():
    encoder, x = encoder_of("token"), ids(2, 4, 1)
    expected = encoder.embedding.weight[x[..., 0].long()]
    assert torch.equal(encoder.layers(x)[0], expected)


def test_latent_of_a_token_sees_its_receptive_field_and_nothing_later():
    encoder, x = encoder_of("token"), ids(1, 12, 1)
    before = encoder(x)
    for step in range(12):
        changed = x.clone()
        changed[0, step] = x[0, step] % (N_TOKENS - 1) + 1
        differs = (encoder(changed) != before).any(-1)[0].nonzero()[:, 0]
        assert differs.min() == step
        assert differs.max() - step < encoder.receptive_field


def test_sentence_sees_its_own_tokens_only():
    encoder, x = encoder_of("sentence"), ids(2, 5, 6)
    before = encoder(x)
    changed = x.clone()
    changed[1, 2] = ids(6, seed=1)
    differs = (encoder(changed) != before).any(-1).nonzero().tolist()
    assert differs == [[1, 2]]


@pytest.mark.parametrize("n_tokens", [1, 2, 5])
def test_padding_changes_no_sentence(n_tokens):
    encoder, x = encoder_of("sentence"), ids(2, 3, n_tokens)
    padded = torch.nn.functional.pad(x, (0, 4))
    for before, after in zip(encoder.layers(x), encoder.layers(padded), strict=True):
        torch.testing.assert_close(after, before, rtol=0, atol=1e-6)


def test_sentence_is_the_mean_of_a_convolution():
    encoder, x = encoder_of("sentence"), ids(1, 1, 4)
    h = encoder.embedding.weight[x[0, 0].long()]
    mean, z = (layer[0, 0] for layer in encoder.layers(x))
    torch.testing.assert_close(mean, h.mean(0))
    zero = torch.zeros(1, SIZE)
    around = torch.cat([zero, h, zero])
    conv = encoder.convolution
    values = [
        torch.einsum("dck,kc->d", conv.weight, around[i : i + 3]) + conv.bias
        for i in range(4)
    ]
    torch.testing.assert_close(
        z, encoder.norm(torch.stack(values).relu().mean(0)).relu()
    )


def test_order_of_the_tokens_of_a_sentence_matters():
    encoder, x = encoder_of("sentence"), ids(1, 1, 4)
    assert not torch.allclose(encoder(x), encoder(x.flip(-1)), atol=1e-3)


def test_empty_sentence_is_finite():
    assert encoder_of("sentence")(torch.zeros(1, 2, 3)).isfinite().all()


def test_many_sentences_are_encoded_in_pieces():
    encoder, x = encoder_of("sentence"), ids(3, CHUNK, 4)
    whole = encoder(x)
    with torch.no_grad():
        pieces = encoder(x)
    torch.testing.assert_close(pieces, whole, rtol=0, atol=1e-6)
