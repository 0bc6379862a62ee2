import pytest
import torch

from sklearn_cpc.nn import fused
from sklearn_cpc.nn.info_nce import SharedNegatives, candidate_logits, cross_entropy
from sklearn_cpc.nn.negatives import positive_columns


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("n_groups", [1, 3])
@pytest.mark.parametrize("chunk", [10, 2**16])
def test_value_gradient_and_hits_equal_autograd(
    monkeypatch, normalize, masked, n_groups, chunk
):
    monkeypatch.setattr(fused, "CPU_CHUNK", chunk)
    generator = torch.Generator().manual_seed(0)

    def randn(*shape):
        return torch.randn(*shape, generator=generator)

    # Pools of different sizes, one without predictions.
    ends = [7] if n_groups == 1 else [7, 7, 16]
    n_candidates, n_latents, size = 5, 12, 4
    predictions = randn(ends[-1], size).requires_grad_()
    latents = randn(n_latents, size).requires_grad_()
    weight = randn(ends[-1]).abs()
    positive = torch.randint(n_latents, (ends[-1],), generator=generator)
    negative = torch.stack(
        [
            torch.randperm(n_latents, generator=generator)[:n_candidates]
            for _ in range(n_groups)
        ]
    )
    pool = torch.repeat_interleave(torch.diff(torch.tensor([0, *ends])))
    column = positive_columns(positive, pool, negative, n_latents)
    mask = torch.rand(n_groups, n_candidates, generator=generator) < 0.6
    if not masked:
        mask = None

    pairs = fused.Pairs(positive, negative, ends, column, mask, weight)
    loss, correct = fused.fused_info_nce(predictions, latents, pairs, normalize)
    (2.0 * loss).backward()
    gradients = predictions.grad.clone(), latents.grad.clone()
    predictions.grad = latents.grad = None

    p = torch.nn.functional.normalize(predictions, dim=-1) if normalize else predictions
    logits, column = candidate_logits(
        p[:, None],
        latents[positive][:, None],
        SharedNegatives(
            latents[negative[pool]],
            column[:, None],
            None if mask is None else mask[pool],
        ),
        temperature=1.0,
        normalize=False,
    )
    logits, column = logits[:, 0], column[:, 0]
    expected = (weight * cross_entropy(logits, column)).sum()
    (2.0 * expected).backward()
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(correct, logits.argmax(-1) == column)
    torch.testing.assert_close(gradients[0], predictions.grad, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(gradients[1], latents.grad, rtol=1e-4, atol=1e-5)
