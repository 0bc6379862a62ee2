"""The processes that train one model together, and what they tell each other.

Every process, a rank, holds all weights and a share of each batch. It needs the
latents of the others as negatives, and their losses have a gradient in its own: see
`Ranks.gather`. What a rank computes of a mean is its share of it, so losses and
gradients of all ranks are summed, never averaged.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch import distributed as dist


@dataclass(frozen=True)
class Ranks:
    """The processes of the default group of `torch.distributed`, seen by one.

    With one process, every method returns what it is given.

    Attributes
    ----------
    rank : int
        Number of this process.
    size : int
        Number of processes.
    device : torch.device or str
        Where tensors are when they are sent: NCCL takes those of a GPU only.

    Examples
    --------
    >>> import torch
    >>> from sklearn_cpc.nn.distributed import Ranks
    >>> Ranks().gather(torch.ones(3, 2))[0].shape
    torch.Size([3, 2])
    """

    rank: int = 0
    size: int = 1
    device: Any = "cpu"

    def gather(self, rows: Tensor) -> tuple[Tensor, int]:
        """Return the rows of all ranks, in their order, and where its own start.

        Parameters
        ----------
        rows : Tensor of shape (b, ...)
            Of any number of rows, even 0, and otherwise the same shape in all ranks.

        Returns
        -------
        gathered : Tensor of shape (B, ...)
            On the device of `rows`. Its gradient returns to the rank that each row
            is from, summed over what all ranks compute.
        first : int
            Number of rows of the ranks before this one.
        """
        if self.size == 1:
            return rows, 0
        sent = rows.to(self.device)
        counts = [sent.new_zeros(1, dtype=torch.int64) for _ in range(self.size)]
        with self._answered():
            dist.all_gather(counts, torch.full_like(counts[0], len(rows)))
        n_rows = torch.cat(counts).tolist()
        gathered: Tensor = _GatherRows.apply(sent, n_rows, self)
        return gathered.to(rows.device), sum(n_rows[: self.rank])

    def sum(self, tensors: list[Tensor]) -> None:
        """Replace each tensor by the sum of those of all ranks, in place."""
        if self.size == 1:
            return
        flat = torch.cat([tensor.flatten().to(self.device) for tensor in tensors])
        with self._answered():
            dist.all_reduce(flat)
        sizes = [tensor.numel() for tensor in tensors]
        for tensor, total in zip(tensors, flat.split(sizes), strict=True):
            tensor.copy_(total.view_as(tensor))

    def first(self, value: Any) -> Any:
        """Return the `value` of rank 0; its tensors should be on the CPU."""
        if self.size == 1:
            return value
        message = [value]
        with self._answered():
            dist.broadcast_object_list(message, src=0, device=self.device)
        return message[0]

    def any(self, flag: bool) -> bool:
        """Return whether `flag` is true in any rank."""
        total = torch.tensor([float(flag)])
        self.sum([total])
        return bool(total)

    @contextmanager
    def _answered(self) -> Iterator[None]:
        """Say what it means that a rank does not answer."""
        try:
            yield
        except RuntimeError as error:
            raise RuntimeError(
                f"Process {self.rank} of {self.size} that train together got no answer "
                "from the others: one has ended, see its own error, or takes longer "
                f"than the timeout of the process group. {error}"
            ) from error


class _GatherRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, n_rows: list[int], ranks: Ranks) -> Tensor:
        ctx.n_rows, ctx.ranks = n_rows, ranks
        # The collective takes equal shapes only.
        padded = rows.new_zeros(max(n_rows), *rows.shape[1:])
        padded[: len(rows)] = rows
        received = [torch.empty_like(padded) for _ in n_rows]
        with ranks._answered():
            dist.all_gather(received, padded)
        parts = zip(received, n_rows, strict=True)
        return torch.cat([part[:n] for part, n in parts])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        total = gradient.contiguous()
        ctx.ranks.sum([total])
        return total.split(ctx.n_rows)[ctx.ranks.rank], None, None
