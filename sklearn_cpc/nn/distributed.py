"""The processes that train one model together, and how they communicate.

Every process, a rank, holds all weights and a share of each batch. It compares its
predictions with the latents of all ranks, and gradients flow back to the rank of each
latent; see `Ranks.all_gather`. Each rank computes its share of every mean, so that
losses and gradients are summed over the ranks, never averaged.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch import distributed as dist

T = TypeVar("T")


@dataclass(frozen=True)
class Ranks:
    """The default process group of `torch.distributed`, seen by one of its processes.

    With a single process, every method returns its argument.

    Attributes
    ----------
    rank : int
        Number of this process.
    size : int
        Number of processes.
    device : torch.device or str
        Device of the tensors that are sent. NCCL takes tensors on a GPU only.

    Examples
    --------
    >>> import torch
    >>> from sklearn_cpc.nn.distributed import Ranks
    >>> Ranks().all_gather(torch.ones(3, 2))[0].shape
    torch.Size([3, 2])
    """

    rank: int = 0
    size: int = 1
    device: torch.device | str = "cpu"

    def all_gather(self, rows: Tensor) -> tuple[Tensor, int]:
        """Return the rows of all ranks, in the order of the ranks.

        Parameters
        ----------
        rows : Tensor of shape (b, ...)
            The number of rows may differ between ranks and may be 0. The rest of the
            shape may not differ.

        Returns
        -------
        gathered : Tensor of shape (B, ...)
            On the device of `rows`. The gradient of a row returns to its rank, summed
            over all ranks.
        first : int
            Number of rows of the ranks before this one.
        """
        if self.size == 1:
            return rows, 0
        sent = rows.to(self.device)
        counts = [sent.new_zeros(1, dtype=torch.int64) for _ in range(self.size)]
        with self._explained():
            dist.all_gather(counts, torch.full_like(counts[0], len(rows)))
        n_rows = torch.cat(counts).tolist()
        gathered: Tensor = _GatherRows.apply(  # type: ignore[no-untyped-call]
            sent, n_rows, self
        )
        return gathered.to(rows.device), sum(n_rows[: self.rank])

    def all_reduce(self, tensors: list[Tensor]) -> None:
        """Replace each tensor by its sum over all ranks, in place."""
        if self.size == 1:
            return
        flat = torch.cat([tensor.flatten().to(self.device) for tensor in tensors])
        with self._explained():
            dist.all_reduce(flat)
        sizes = [tensor.numel() for tensor in tensors]
        for tensor, total in zip(tensors, flat.split(sizes), strict=True):
            tensor.copy_(total.view_as(tensor))

    def broadcast(self, value: T) -> T:
        """Return the `value` of rank 0; its tensors should be on the CPU."""
        if self.size == 1:
            return value
        message: list[Any] = [value]
        with self._explained():
            dist.broadcast_object_list(message, src=0, device=torch.device(self.device))
        received: T = message[0]
        return received

    def any(self, flag: bool) -> bool:
        """Return whether `flag` is true in any rank."""
        total = torch.tensor([float(flag)])
        self.all_reduce([total])
        return bool(total)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Explain the error if a rank does not answer."""
        try:
            yield
        except RuntimeError as error:
            raise RuntimeError(
                f"Process {self.rank} of {self.size} that train together got no answer "
                "from the others: one of them has ended (see its own error) or takes "
                f"longer than the timeout of the process group. {error}"
            ) from error


class _GatherRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, n_rows: list[int], ranks: Ranks) -> Tensor:
        ctx.n_rows, ctx.ranks = n_rows, ranks
        # The collective needs equal shapes.
        padded = rows.new_zeros(max(n_rows), *rows.shape[1:])
        padded[: len(rows)] = rows
        received = [torch.empty_like(padded) for _ in n_rows]
        with ranks._explained():
            dist.all_gather(received, padded)
        parts = zip(received, n_rows, strict=True)
        return torch.cat([part[:n] for part, n in parts])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        total = gradient.contiguous()
        ctx.ranks.all_reduce([total])
        own: Tensor = total.split(ctx.n_rows)[ctx.ranks.rank]
        return own, None, None
