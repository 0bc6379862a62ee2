"""Progress bars, which are never worth an error."""

import sys
import warnings
from collections.abc import Callable
from typing import Any

from tqdm import TqdmWarning

# What a stream raises that is closed or has nobody at its other end.
BROKEN = (AttributeError, OSError, TypeError, ValueError)
# Seconds.
SHORTEST = 1e-9


class NotebookLine:
    """A file of which a notebook shows the last line, in the place of the ones before.

    Exported notebooks keep that line alone; of a carriage return, they would keep every
    state of the bar, and of a widget, none.

    Parameters
    ----------
    display : callable
        ``IPython.display.display``.
    """

    def __init__(self, display: Callable[..., Any]) -> None:
        self._display = display
        self._handle: Any = None

    def write(self, text: str) -> None:
        """Show a line; tqdm begins each with a carriage return."""
        line = {"text/plain": text.strip("\r\n")}
        if not line["text/plain"].strip():
            return
        try:
            if self._handle is None:
                self._handle = self._display(line, raw=True, display_id=True)
            else:
                self._handle.update(line, raw=True)
        except Exception as error:  # whatever the connection to the notebook raises
            raise OSError(str(error)) from error

    def flush(self) -> None:
        """Do nothing: every line is shown at once."""


def notebook_line() -> NotebookLine | None:
    """Return a line of the notebook that runs this, None where there is none."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if "IPKernelApp" not in getattr(shell, "config", ()):
        return None
    try:
        from IPython.display import display
    except ImportError:
        return None
    return NotebookLine(display)


class Progress:
    """A bar with the remaining time; nothing if no bar can be shown.

    Parameters
    ----------
    total : int
        Number of units to do.
    unit : str
        Name of a unit.
    delay : float, default=0
        Seconds before the bar appears: shorter work shows none.
    shown : bool, default=True
        Whether there is a bar at all.
    """

    def __init__(
        self, total: int, unit: str, delay: float = 0, shown: bool = True
    ) -> None:
        self.n = 0
        self._bar = None
        if sys.stderr is None or not shown:
            return
        with warnings.catch_warnings():
            # A notebook without ipywidgets gets a bar of text.
            warnings.simplefilter("ignore", TqdmWarning)
            line = notebook_line()
            if line is None:
                from tqdm.auto import tqdm
            else:
                from tqdm import tqdm
        # Half a bar complains when it is deleted. With a delay, however short, tqdm
        # writes nothing before there is a whole one, which can be given up.
        options = {"unit": unit, "unit_scale": delay > 0, "delay": delay or SHORTEST}
        try:
            sys.stderr.flush()
            self._bar = tqdm(total=total, desc="CPC", file=line, **options)
            if not delay:
                self._bar.refresh()
        except BROKEN:
            self._give_up()

    def advance(self, n: int, **values: float) -> None:
        """Show that so much more is done, and some values."""
        self.n += n
        if self._bar is None:
            return
        try:
            if values:
                self._bar.set_postfix(values, refresh=False)
            self._bar.update(n)
        except BROKEN:
            self._give_up()

    def close(self) -> None:
        """Leave the bar as it is."""
        if self._bar is not None:
            try:
                self._bar.close()
            except BROKEN:
                self._give_up()

    def _give_up(self) -> None:
        if self._bar is not None:
            self._bar.disable = True  # it would write again when it is deleted
        self._bar = None
