"""The walk through a script and the files that it redirects to, line by line, without what it may not do."""

from __future__ import annotations

import re
import stat
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from .refusal import RefusedError
from .words import (
    LEFT_OUT,
    OPTIONS_LEFT_OUT,
    REFUSED,
    Word,
    command,
    file_references,
    loads_code,
    option,
    saves_files,
    with_percent_signs,
    without_traces,
    words,
)

MAX_BYTES = 50_000_000  # of one file
MAX_LINES = 2_000_000  # of all files, those read again counted again
MAX_LINE = 4_000_000  # characters; load shapes stand in one
MAX_DEPTH = 50
_EXISTS = "a file that exists"
_NAME = "the name of a file"
_OUTSIDE = "nothing outside of the folder"
_SHAPES = ("loadshape", "growthshape", "tshape", "priceshape", "xycurve", "spectrum")
# Of these a snapshot has no use. One point for a shape without its data: an engine that plays one without any
# ends.
_FLAT = {"loadshape": "npts=1 mult=[1]", "tshape": "npts=1 temp=[25]", "priceshape": "npts=1 price=[1]"}
_LINE_END = re.compile(r"\r\n|\n|\r")  # and nothing else that Unicode ends lines with


class Command(NamedTuple):
    """A line for the engine; `folder` is where names of files in it start from."""

    text: str
    name: str  # of the command; empty: a property is set
    file: str
    line: int
    folder: Path


class Walk:
    """Yields the lines that the engine shall run.

    Args:
        root: folder that every file has to lie in.
        commands, options: what the engine knows, in its order and in lower case.
        shapes: whether data files of load shapes have to be there.
    """

    def __init__(self, root: Path, commands: list[str], options: list[str], *, shapes: bool = False) -> None:
        self.root, self.commands, self.options = root, commands, options
        self.left_out: Counter[str] = Counter()
        self.folder = root
        self.lines = 0
        self.stopped = False
        self.shapes = shapes
        self.shape = ""  # class of the object at hand, if it is a load shape or the like
        self.unread: RefusedError | None = None  # the first file of a shape that lies outside of the root
        self.load_model: tuple[str, int, str] | None = None  # where it is set last
        self.rated = False  # whether the script says what lines may carry

    def run(self, file: Path) -> Iterator[Command]:
        """The commands of the master file and all that it reads."""
        self.folder = file.parent
        yield from self._file(file, (), str(file), None)

    def _file(self, file: Path, stack: tuple[Path, ...], asked: str, line: int | None) -> Iterator[Command]:
        caller = str(stack[-1]) if stack else str(file)
        if file in stack:
            raise RefusedError(caller, line, "redirect", asked, "a file that is not being read already")
        if len(stack) >= MAX_DEPTH:
            expected = f"at most {MAX_DEPTH} files inside each other"
            raise RefusedError(caller, line, "redirect", asked, expected)
        text = _decoded(file, caller, line, asked)
        hidden = False
        for number, raw in enumerate(_LINE_END.split(text), 1):
            self.lines += 1
            if self.lines > MAX_LINES:
                raise RefusedError(str(file), number, "", "", f"at most {MAX_LINES} lines in all")
            if len(raw) > MAX_LINE:
                raise RefusedError(str(file), number, "", "", f"at most {MAX_LINE} characters in a line")
            shown = raw.rstrip("\0").strip()
            if hidden or shown.startswith("/*"):
                hidden = "*/" not in shown
                continue
            if not shown:
                continue
            yield from self._line(shown, file, number, (*stack, file))
            if self.stopped:
                return

    def _line(self, text: str, file: Path, number: int, stack: tuple[Path, ...]) -> Iterator[Command]:
        if "\0" in text:
            raise RefusedError(str(file), number, "", "", "text without zero bytes")
        given = words(text)
        name = command(given[0], self.commands) if given else "//"
        asked = given[1].value if len(given) > 1 else ""
        if name == "//":
            return
        if name in ("redirect", "compile"):
            yield from self._inner(name, asked, file, number, stack)
        elif name == "cd":
            wanted = self.folder / (asked or ".").replace("\\", "/")
            self.folder = self._inside(wanted, asked, file, number, name)
        elif name == "quit":
            self.stopped = True
        elif name in REFUSED:
            raise RefusedError(str(file), number, "", text[:80], REFUSED[name])
        elif name in LEFT_OUT:
            self.left_out[f"command {name}"] += 1
        else:
            text = self._checked(text, name, given, file, number)
            if text:
                yield Command(text, name, str(file), number, self.folder)

    def _inner(
        self, name: str, asked: str, file: Path, number: int, stack: tuple[Path, ...]
    ) -> Iterator[Command]:
        """Another file; after `compile` the script goes on in its folder."""
        inner = self._resolve(asked, file, number, name)
        before = self.folder
        self.folder = inner.parent
        yield from self._file(inner, stack, asked, number)
        if name == "redirect":
            self.folder = before

    def _checked(self, text: str, name: str, given: list[Word], file: Path, number: int) -> str:
        """The line without what it must not do."""
        library = loads_code(text)
        if library:
            raise RefusedError(str(file), number, library, "", "no model that is a program library")
        if name in ("set", "solve"):
            text = self._options(text, given, file, number)
            if name == "set" and not words(text)[1:]:
                return ""
        if name in ("", "new", "edit", "more", "m", "~") and saves_files(text):
            raise RefusedError(str(file), number, "action", "", "no object that writes itself to a file")
        if name in ("buscoords", "latlongcoords"):
            return self._coordinates(name, given, file, number)
        self._remember(name, given)
        text, traces = without_traces(text, given)
        if traces:
            self.left_out["property debugtrace"] += traces
            given = words(text)
        signed = with_percent_signs(text, given)
        if signed != text:
            text, given = signed, words(signed)
        return self._files(text, given, file, number)

    def _coordinates(self, name: str, given: list[Word], file: Path, number: int) -> str:
        """The line with its file; nothing where there is none, as a circuit has its meaning without them."""
        asked = given[1].value if len(given) > 1 else ""
        try:
            return f'{name} "{self._resolve(asked, file, number, name)}"'
        except RefusedError as refusal:
            expected = str(refusal.parts["expected"])
            if expected not in (_EXISTS, _NAME) and not expected.startswith(_OUTSIDE):
                raise
        self.left_out[f"command {name} without its file"] += 1
        return ""

    def _options(self, text: str, given: list[Word], file: Path, number: int) -> str:
        for word in reversed(given[1:]):
            full = option(word.name, self.options)
            if full in OPTIONS_LEFT_OUT or full.startswith("mark"):
                self.left_out[f"option {full}"] += 1
                text = text[: word.start] + text[word.end :]
            elif full == "cktmodel" and word.value.lower().startswith("p"):
                raise RefusedError(str(file), number, full, word.value, "multiphase")
            elif full == "loadmodel":
                self.load_model = (str(file), number, word.value)
        return text

    def _files(self, text: str, given: list[Word], file: Path, number: int) -> str:
        """The line with its files by their full names; one point stands for absent data of shapes."""
        changes: dict[tuple[int, int], str] = {}
        for asked, start, end in file_references(text):
            try:
                found = self._resolve(asked, file, number, "file")
            except RefusedError as refusal:
                expected = str(refusal.parts["expected"])
                outside = expected.startswith(_OUTSIDE)
                unused = self.shape in _FLAT if outside else bool(self.shape) and expected == _EXISTS
                if self.shapes or not unused:
                    raise
                why = "lies outside of the folder" if outside else "does not exist"
                self.left_out[f"data file of a shape that {why}"] += 1
                self.unread = self.unread or (refusal if outside else None)
                word = next(word for word in given if word.start <= start < word.end)
                changes |= {(one.start, one.end): "" for one in given if one.name.startswith("np")}
                flat = "" if word.name.startswith("q") else _FLAT.get(self.shape, "")
                changes[word.start, word.end] = flat
            else:
                changes[start, end] = _quoted(str(found), text[start - 1 : start])
        for (start, end), new in sorted(changes.items(), reverse=True):
            text = f"{text[:start]}{new}{text[end:]}"
        return text

    def _remember(self, name: str, given: list[Word]) -> None:
        """What the line is about, and whether it says ratings."""
        if name in ("new", "edit") and len(given) > 1:
            kind = given[1].value.partition(".")[0].lower()
        elif name in ("more", "m", "~"):
            kind = self.shape
        else:
            kind = "" if name else given[0].name.partition(".")[0]
        self.shape = kind if kind in _SHAPES else ""
        self.rated |= any(word.name.startswith(("norma", "rating")) for word in given[1:])

    def _resolve(self, asked: str, file: Path, number: int, field: str) -> Path:
        """A regular file below the root, found whatever the case of its name and the kind of its slashes."""
        wanted = self.folder / asked.strip().replace("\\", "/")
        if not asked.strip():
            raise RefusedError(str(file), number, field, "", _NAME)
        found = _any_case(wanted) or wanted
        found = self._inside(found, asked, file, number, field)
        try:
            mode = found.stat().st_mode
        except OSError:
            raise RefusedError(str(file), number, field, asked, _EXISTS) from None
        if not stat.S_ISREG(mode):
            raise RefusedError(str(file), number, field, asked, "a regular file")
        return found

    def _inside(self, path: Path, asked: str, file: Path, number: int, field: str) -> Path:
        path = path.resolve()
        if not path.is_relative_to(self.root):
            expected = f"{_OUTSIDE} {self.root} (root= or --root names another one)"
            raise RefusedError(str(file), number, field, asked, expected)
        return path


def _quoted(path: str, before: str) -> str:
    return path if before in ('"', "'", "[") or not re.search(r"[\s,=()\[\]]", path) else f'"{path}"'


def _any_case(path: Path) -> Path | None:
    """The file of that name, or the first one whose name differs in the case of its letters only."""
    try:
        if path.exists():
            return path
        folder: Path | None = path.parent if path.parent.exists() else None
        if folder is None and path.parent != path:
            folder = _any_case(path.parent)
        if folder is None or not folder.is_dir():
            return None
        return next((one for one in sorted(folder.iterdir()) if one.name.lower() == path.name.lower()), None)
    except (OSError, ValueError):
        return None


def _decoded(file: Path, caller: str, line: int | None, asked: str) -> str:
    try:
        if file.stat().st_size > MAX_BYTES:
            expected = f"a readable file (too large: more than {MAX_BYTES} bytes)"
            raise RefusedError(caller, line, "", asked, expected)
        raw = file.read_bytes()
    except OSError as error:
        expected = f"a file that can be read ({error.strerror})"
        raise RefusedError(caller, line, "", asked, expected) from None
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")) or raw.count(b"\0") > len(raw) // 10:
        expected = "text in UTF-8 or Windows-1252, not UTF-16 or binary data"
        raise RefusedError(str(file), None, "", "", expected)
    raw = raw.removeprefix(b"\xef\xbb\xbf")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")
