"""What encoders and contexts have in common: they look at the past only."""

from typing import Any, TypeAlias

from torch import Tensor, nn

# What a module has to remember between two pieces of a sequence: tensors and numbers in
# lists and tuples. Only the module that returned it reads it.
State: TypeAlias = Any


class CausalModule(nn.Module):
    """A module in which the output at a step depends on the input up to this step.

    A module that overrides `advance` can process a sequence piece by piece. Streams
    need that, and so do sequences that are too long to process at once.
    """

    @property
    def can_advance(self) -> bool:
        """Whether the module processes sequences piece by piece."""
        return type(self).advance is not CausalModule.advance

    def advance(self, x: Tensor, state: State = None) -> tuple[Tensor, State]:
        """Process the next steps of a batch of sequences.

        The outputs of all pieces in a row equal the output of the whole sequence.

        Parameters
        ----------
        x : Tensor of shape (B, T, C)
            The next steps. T, at least 1, may differ from call to call. B may not.
        state : State, default=None
            What the last call returned. None starts new sequences.

        Returns
        -------
        output : Tensor of shape (B, T', D)
            The output steps that begin within `x`.
        state : State
            To be passed to the next call.

        Raises
        ------
        TypeError
            If the module does not override this method.
        """
        raise TypeError(
            f"{type(self).__name__} cannot process sequences piece by piece: it has no "
            "method advance(x, state) -> (output, state)."
        )
