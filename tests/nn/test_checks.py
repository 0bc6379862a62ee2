import pytest
import torch
from torch import nn

from sklearn_cpc.nn import ConvEncoder, GRUContext
from sklearn_cpc.nn.checks import output_size


class Sequence(nn.Sequential):
    """Layers on (B, C, T), wrapped to take and give (B, T, C)."""

    def forward(self, x):
        return super().forward(x.transpose(1, 2)).transpose(1, 2)


class Normed(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(3)

    def forward(self, x):
        return self.norm(x.transpose(1, 2)).transpose(1, 2)


@pytest.mark.parametrize(
    ("module", "downsampling", "size"),
    [
        (nn.Linear(3, 7), 1, 7),
        (GRUContext(3, 5), 1, 5),
        (ConvEncoder(3, 8, 500), 4, 8),
    ],
)
def test_size_of_causal_modules(module, downsampling, size):
    assert output_size(module, "encoder", 3, 50, downsampling) == size
    assert module.training


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (nn.Linear(4, 7), r"encoder=Linear fails on input of shape \(2, 50, 3\)"),
        (nn.GRU(3, 5, batch_first=True), r"of shape \(2, 50, size\), but it gives tup"),
        (Sequence(nn.Conv1d(3, 4, 5)), r"but it gives \(2, 46, 4\).*`downsampling`"),
        (Sequence(nn.Conv1d(3, 4, 5, padding=2)), "encoder=Sequence looks ahead"),
        (Normed(), "holds a batch normalisation.*LayerNorm"),
    ],
)
def test_refuses_with_the_reason(module, message):
    with pytest.raises(ValueError, match=message):
        output_size(module, "encoder", 3, 50)


def test_leaves_the_global_generator_alone():
    module = nn.Linear(3, 7)
    before = torch.get_rng_state()
    output_size(module, "encoder", 3, 50)
    assert torch.equal(torch.get_rng_state(), before)
