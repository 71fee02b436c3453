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
    words,
)

MAX_BYTES = 50_000_000  # of one file
MAX_LINES = 2_000_000  # of all files, those read again counted again
MAX_LINE = 4_000_000  # characters; load shapes stand in one
MAX_DEPTH = 50
_EXISTS, _INSIDE = "a file that exists", "nothing outside of the folder"
_SHAPES = ("loadshape", "growthshape", "tshape", "priceshape", "xycurve", "spectrum")
_OF_TIME = ("loadshape", "tshape", "priceshape")  # a snapshot has no use for what they hold
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
            asked = given[1].value if len(given) > 1 else ""
            return f'{name} "{self._resolve(asked, file, number, name)}"'
        self._remember(name, given)
        return self._files(text, given, file, number)

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
        """The line with its files by their full names."""
        for asked, start, end in reversed(file_references(text)):
            try:
                found = self._resolve(asked, file, number, "file")
            except RefusedError as refusal:
                expected = str(refusal.parts["expected"])
                missing, outside = expected == _EXISTS, expected.startswith(_INSIDE)
                unused = (self.shape and missing) or (self.shape in _OF_TIME and outside)
                if self.shapes or not unused:
                    raise
                where = "outside of the folder" if outside else "that does not exist"
                self.left_out[f"data file of a shape {where}"] += 1
                self.unread = self.unread or (refusal if outside else None)
                text = _without(text, given, start)
                continue
            text = f"{text[:start]}{_quoted(str(found), text[start - 1 : start])}{text[end:]}"
        return text

    def _remember(self, name: str, given: list[Word]) -> None:
        """What the line is about, and whether it says ratings."""
        if name in ("new", "edit") and len(given) > 1:
            self.shape = _shape(given[1].value)
        elif name not in ("more", "m", "~"):
            self.shape = "" if name else _shape(given[0].name)
        self.rated |= any(word.name.startswith(("norma", "rating")) for word in given[1:])

    def _resolve(self, asked: str, file: Path, number: int, field: str) -> Path:
        """A regular file below the root, found whatever the case of its name and the kind of its slashes."""
        wanted = self.folder / asked.strip().replace("\\", "/")
        if not asked.strip():
            raise RefusedError(str(file), number, field, "", "the name of a file")
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
            expected = f"{_INSIDE} {self.root} (root= or --root names another one)"
            raise RefusedError(str(file), number, field, asked, expected)
        return path


def _shape(title: str) -> str:
    """The class of an object, where it is a load shape or the like; else nothing."""
    kind = title.partition(".")[0].lower()
    return kind if kind in _SHAPES else ""


def _without(text: str, given: list[Word], at: int) -> str:
    """The line without the parameter that has this place in it; where it has no name a 1 stands for it."""
    word = next(word for word in given if word.start <= at < word.end)
    return text[: word.start] + ("" if word.name else "[1]") + text[word.end :]


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
