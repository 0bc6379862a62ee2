import pytest
import torch

from sklearn_cpc.nn.contexts import CONTEXTS
from sklearn_cpc.nn.initialization import build


@pytest.fixture(params=CONTEXTS)
def context(request):
    generator = torch.Generator().manual_seed(0)
    return build(lambda: CONTEXTS[request.param](6, 5), generator)


def latents(n_steps=80):
    return torch.randn(2, n_steps, 6, generator=torch.Generator().manual_seed(1))


def test_shape(context):
    assert context(latents()).shape == (2, 80, 5)


def test_later_latents_change_no_context(context):
    z = latents()
    changed = z.clone()
    changed[:, 40:] += 1
    before, after = context(z), context(changed)
    torch.testing.assert_close(before[:, :40], after[:, :40], rtol=0, atol=1e-6)
    assert not torch.allclose(before[:, 40], after[:, 40])


def test_a_context_remembers(context):
    z = latents().requires_grad_()
    context(z)[0, 70].sum().backward()
    assert z.grad[0, 70 - 20 : 71].any(-1).all()


def test_conv_context_sees_the_last_61_latents():
    context = build(lambda: CONTEXTS["conv"](6, 5), torch.Generator().manual_seed(0))
    for conv in context.convolutions:
        torch.nn.init.ones_(conv.weight)
        torch.nn.init.ones_(conv.bias)
    context.norms = torch.nn.ModuleList(torch.nn.Identity() for _ in context.norms)
    torch.nn.init.ones_(context.project.weight)
    z = latents().abs().requires_grad_()
    context(z)[0, 79].sum().backward()
    seen = z.grad[0].any(-1).nonzero()[:, 0]
    assert seen.tolist() == list(range(79 - 60, 80))


def attention_by_definition(layer, c):
    """The layer step by step, with all scores of the last 128 steps at once."""
    q, k, v = layer.query_key_value(layer.norm(c)).chunk(3, dim=-1)
    size = c.shape[-1] // layer.n_heads
    heads = []
    for head in range(layer.n_heads):
        part = slice(head * size, (head + 1) * size)
        slope = 2.0 ** (-8 * (head + 1) / layer.n_heads)
        steps = []
        for t in range(c.shape[1]):
            past = torch.arange(max(0, t - 127), t + 1)
            score = (q[:, [t], part] * k[:, past, part]).sum(-1) / size**0.5
            weight = (score - slope * (t - past)).softmax(-1)  # (B, past)
            steps.append((weight[..., None] * v[:, past, part]).sum(1))
        heads.append(torch.stack(steps, 1))
    c = c + layer.join(torch.cat(heads, -1))
    return c + layer.step(c)


@pytest.mark.parametrize("n_steps", [1, 100, 128, 300])
def test_attention_is_to_the_last_128_latents(n_steps):
    generator = torch.Generator().manual_seed(0)
    context = build(lambda: CONTEXTS["attention"](6, 8), generator)
    z = latents(n_steps)
    expected = context.project(z)
    for layer in context.layers:
        expected = attention_by_definition(layer, expected)
    torch.testing.assert_close(context(z), expected, rtol=1e-5, atol=1e-5)
