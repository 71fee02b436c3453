"""Names that OpenDSS can hold: it knows no case, and spaces, dots, brackets and the like end a word."""

from __future__ import annotations

import re
from collections.abc import Iterable

_OTHERS = re.compile(r"[^a-z0-9_-]|^-")


def names_of(ids: Iterable[str], reserved: Iterable[str] = ()) -> dict[str, str]:
    """A name of its own for each id, in small letters, digits, `_` and `-`.

    An id that is such a name keeps it. Of the others all else becomes `_`, and a number is added where that
    name is another's already.

    Args:
        ids: without repetition; the same ids get the same names in every order of calls, not of ids.
        reserved: names that none may have.
    """
    every = [str(one) for one in ids]
    taken = set(reserved)
    found = {one: one for one in every if one == _plain(one) and one not in taken}
    taken |= set(found)
    for one in every:
        if one in found:
            continue
        plain, name, count = _plain(one), _plain(one), 2
        while name in taken:
            name, count = f"{plain}_{count}", count + 1
        found[one] = name
        taken.add(name)
    return {one: found[one] for one in every}


def _plain(one: str) -> str:
    return _OTHERS.sub("_", one.lower()) or "_"
