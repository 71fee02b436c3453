"""What to tell somebody who wrote a name that there is not."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def choose_one(name: object, known: Iterable[str]) -> str:
    """The nearest of the known names, where one is near, and all of them."""
    near = difflib.get_close_matches(str(name), known, n=1, cutoff=0.3)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"{hint} (choose one of {', '.join(known)})"
