import pytest
import torch
from torch import nn

from sklearn_cpc.nn import CPCLoss, GridCPC, GridEncoder


def model(directions=4, **options):
    flat = nn.Sequential(nn.Flatten(), nn.Linear(4, 6))
    options = {"latent_size": 6, "context_size": 5, "prediction_steps": 2} | options
    return GridCPC.build(
        encoder=GridEncoder(flat, 1, 6),
        directions=directions,
        generator=torch.Generator().manual_seed(0),
        **options,
    )


def grid(n_rows=4, n_columns=5, n=2):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(n, n_rows, n_columns, 1, 2, 2, generator=generator)


def test_columns_are_samples_in_every_direction():
    outputs = model()(grid())
    shapes = [tuple(output.predictions.shape) for output in outputs]
    assert shapes == [(10, 4, 2, 6), (8, 5, 2, 6)] * 2
    for output in outputs:
        assert output.lengths.tolist() == [output.z.shape[1]] * len(output.z)
    assert len(model(directions=1)(grid())) == 1


def test_paths_run_down_left_up_and_right():
    rows, columns = torch.meshgrid(torch.arange(4), torch.arange(5), indexing="ij")
    place = torch.stack([rows, columns], -1).float()[None]  # (1, 4, 5, 2)
    starts, steps = [], []
    for z, _, _ in model().paths(place, place.repeat(1, 1, 1, 2)):
        assert torch.equal(
            z[0, :, 1:] - z[0, :, :-1], z[0, :1, 1:2] - z[0, :1, :1] + 0 * z[0, :, 1:]
        )
        steps.append((z[0, 0, 1] - z[0, 0, 0]).tolist())
        starts.append(set(map(tuple, z[0, :, 0].tolist())))
    assert steps == [[1, 0], [0, -1], [-1, 0], [0, 1]]
    assert starts[0] == {(0, q) for q in range(5)}
    assert starts[1] == {(r, 4) for r in range(4)}
    assert starts[2] == {(3, q) for q in range(5)}
    assert starts[3] == {(r, 0) for r in range(4)}


def test_contexts_of_a_path_are_those_of_its_direction():
    """The context of a direction is that of downwards on the turned image."""
    cpc, x = model(), grid()
    z = cpc.encoder(x)
    paths = list(cpc.paths(z, cpc.context(z)))
    for turn, (latents, contexts, _) in enumerate(paths):
        turned = torch.rot90(z, turn, (1, 2))
        expected = cpc.context.contexts[turn](turned).transpose(1, 2)
        torch.testing.assert_close(contexts, expected)
        torch.testing.assert_close(latents, turned.transpose(1, 2))


@pytest.mark.parametrize("context", ["gru", "lstm", "conv", "attention"])
def test_no_prediction_depends_on_rows_ahead(context):
    cpc = model(context=context, directions=1)
    x = grid(n=1).requires_grad_()
    (output,) = cpc(x)
    output.predictions[2, 1].sum().backward()  # column 2, row 1
    seen = x.grad[0].flatten(2).any(-1)
    rows, columns = seen.nonzero().unbind(1)
    assert rows.max() == 1
    assert columns.min() == 1
    assert columns.max() == 3


def test_modules_are_copied_for_every_direction():
    own = nn.Sequential(nn.Linear(6, 5))
    cpc = model(context=own)
    parts = [row.context for row in cpc.context.contexts]
    assert len({id(part) for part in [own, *parts]}) == 5


def test_an_own_training_loop_learns_what_an_image_shares():
    generator = torch.Generator().manual_seed(0)
    cpc, criterion = model(directions=4), CPCLoss(generator=generator)
    optimizer = torch.optim.Adam(cpc.parameters(), lr=1e-2)
    losses = []
    for _ in range(60):
        shared = torch.randn(16, 1, 1, 1, 2, 2, generator=generator)
        x = shared + 0.3 * torch.randn(16, 4, 5, 1, 2, 2, generator=generator)
        loss = criterion(*cpc(x)).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 1
