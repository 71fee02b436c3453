"""A progress bar on stderr that can be switched off."""

from __future__ import annotations

from types import TracebackType

import rich.progress
from rich.console import Console


class Progress:
    """Counts items. On a stream that is no terminal it stays silent, so logs and pipes remain clean."""

    def __init__(self, enabled: bool, total: int, word: str) -> None:
        """`total`: items of the whole run, finished ones included; `word`: what they are called."""
        console = Console(stderr=True)
        self._bar = rich.progress.Progress(
            rich.progress.TextColumn("{task.description}"),
            rich.progress.BarColumn(),
            rich.progress.MofNCompleteColumn(),
            rich.progress.TextColumn(word),
            rich.progress.TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not (enabled and console.is_terminal),
        )
        self._task = self._bar.add_task("", total=total)

    def __enter__(self) -> Progress:
        """Show the bar."""
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the bar away."""
        self._bar.stop()

    def advance(self, items: int, label: str = "") -> None:
        """`items` more are done; `label` is shown beside the bar."""
        self._bar.update(self._task, advance=items, description=label)

    def say(self, words: str) -> None:
        """What is being done, shown beside the bar."""
        self._bar.update(self._task, description=words)
