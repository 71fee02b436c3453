"""Tables that jobs show on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

#: Rows of a table on a terminal.
SHOWN = 12


def titled_table(title: str, texts: Sequence[str], numbers: Sequence[str]) -> Table:
    """An empty table with its heads: of texts, to the left, then of numbers, to the right."""
    from rich import box
    from rich.table import Table

    found = Table(
        title=title, title_justify="left", title_style="bold", header_style="dim", box=box.SIMPLE_HEAD,
        pad_edge=False, caption_justify="left",
    )  # fmt: skip
    for head in texts:
        found.add_column(head, no_wrap=True)
    for head in numbers:
        found.add_column(head, justify="right", no_wrap=True)
    return found


def tell_left_out(table: Table, rows: int) -> None:
    """Say below it how many of its rows are shown, where there are more than `SHOWN`."""
    if rows > SHOWN:
        table.caption = f"{SHOWN} of {rows}"
