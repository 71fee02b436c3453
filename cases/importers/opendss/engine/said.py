"""What a script says of its elements that the engine does not tell again: where, and how long shapes are."""

from __future__ import annotations

import re
from pathlib import Path

from .refusal import RefusedError
from .words import Word, words

# Properties of a load shape in the order that values without a name go to.
_OF_SHAPE = (
    "npts interval mult hour mean stddev csvfile sngfile dblfile action qmult useactual pmax qmax sinterval "
    "minterval pbase qbase pmult"
).split()
_SERIES = ("mult", "qmult", "pmult")


class Said:
    """Places of elements, and of load shapes the number of points and of values in the script itself.

    Args:
        file: the script, for what has no place.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self.places: dict[str, tuple[str, int]] = {}
        self.points: dict[str, int] = {}
        self.values: dict[tuple[str, str], int] = {}
        self._shape = ""  # at hand, for lines that go on

    def note(self, command: str, text: str, file: str, line: int) -> None:
        """Take down a line that the engine has run."""
        if command in ("new", "edit"):
            given = words(text)
            title = given[1].value.lower() if len(given) > 1 else ""
            if command == "new" and title:
                self.places.setdefault(title, (file, line))
            kind, _, name = title.partition(".")
            self._shape = name if kind == "loadshape" else ""
            self._note_shape(given[2:])
        elif command in ("more", "m", "~"):
            self._note_shape(words(text)[1:])
        else:
            self._shape = ""

    def _note_shape(self, given: list[Word]) -> None:
        at = -1
        for word in given if self._shape else ():
            names = [k for k, name in enumerate(_OF_SHAPE) if name.startswith(word.name)]
            at = (names[0] if names else len(_OF_SHAPE)) if word.name else at + 1
            name = _OF_SHAPE[at] if at < len(_OF_SHAPE) else ""
            if name == "npts" and word.value.strip().isdecimal():
                self.points[self._shape] = int(word.value)
            elif name in _SERIES:
                self.values[self._shape, name] = _count(word.value)

    def check(self, shape: str, points: int) -> None:
        """RefusedError for a shape that has fewer values than points; OpenDSS makes them 0, or forgets them.

        Args:
            shape: its name.
            points: how many the engine has.
        """
        wanted = self.points.get(shape, points)
        if points < wanted:
            raise self.error(f"loadshape.{shape}", "npts", str(wanted), f"{points}, as its file has values")
        for name in _SERIES:
            count = self.values.get((shape, name), 0)
            if 0 < count < wanted:
                raise self.error(f"loadshape.{shape}", name, f"{count} values", f"{wanted}, as npts says")

    def error(self, title: str, field: str, value: str, expected: str) -> RefusedError:
        """What to raise about an element."""
        file, line = self.places.get(title, (str(self.file), None))
        return RefusedError(file, line, f"{title} {field}", value, expected)


def _count(text: str) -> int:
    """How many numbers an array has; 0 for a file or what is calculated."""
    found = [one for one in re.split(r"[\s,|]+", text) if one]
    try:
        [float(one) for one in found]
    except ValueError:
        return 0
    return len(found)
