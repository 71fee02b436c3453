"""Runs an OpenDSS script: not the network it describes, only what it says about it, object by object."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from .dss_lex import Param, Place, flag, number, numbers, split
from .dss_words import CLASSES, IGNORED_CLASSES, IGNORED_COMMANDS, IGNORED_OPTIONS, resolve
from .edit import nearest
from .errors import CaseError, Problem

MAX_DEPTH = 20  # of files that read files
MAX_BYTES = 64 * 2**20  # of text in all
MAX_LINES = 2_000_000
MAX_EDITS = 4_000_000

Reader = Callable[[Path], str]


@dataclass
class Thing:
    """One object of a circuit: the values given to its properties, in the order in which they were given."""

    kind: str
    name: str
    place: Place
    edits: list[Param] = field(default_factory=list)
    opened: Place | None = None

    def last(self, *names: str) -> Param | None:
        """The last value given to any of these properties."""
        return next((edit for edit in reversed(self.edits) if edit.name in names), None)

    @property
    def enabled(self) -> bool:
        """Whether the object takes part."""
        edit = self.last("enabled")
        return edit is None or flag(edit)

    def error(self, field_name: str, value: str, expected: str) -> CaseError:
        """The error to raise about the object as a whole."""
        return self.place.error(f"{self.kind}.{self.name} {field_name}".rstrip(), value, expected)


@dataclass
class Circuit:
    """What a script says."""

    name: str = ""
    hz: float = 60.0
    v_min: float = 0.95
    v_max: float = 1.05
    kv_bases: list[float] | None = None
    things: dict[tuple[str, str], Thing] = field(default_factory=dict)
    coordinates: dict[str, tuple[float, float]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def of(self, *kinds: str) -> list[Thing]:
        """The objects of these kinds that take part, in the order of their definition."""
        return [thing for thing in self.things.values() if thing.kind in kinds and thing.enabled]


class Runner:
    """Executes the lines of a script and of the files that it reads.

    Args:
        read: text of a file; raises OSError or CaseError.
        root: folder that no file may lie outside of; None where files cannot be read at all.
    """

    def __init__(self, read: Reader, root: Path | None) -> None:
        self.read, self.root = read, root
        self.circuit = Circuit()
        self.active: Thing | None = None
        self.active_ignored = False
        self.open_files: list[Path] = []
        self.bytes = self.count = 0
        self.commands: dict[str, Callable[[list[Param], Place], None]] = {
            "new": self._new,
            "edit": self._edit,
            "more": self._more,
            "m": self._more,
            "~": self._more,
            "set": self._set,
            "redirect": self._redirect,
            "compile": self._redirect,
            "buscoords": self._coordinates,
            "batchedit": self._batch,
            "open": self._open,
            "close": self._close,
            "disable": self._disable,
            "enable": self._enable,
            "calcvoltagebases": self._nothing,
        }

    def run(self, text: str, file: str) -> None:
        """Execute a text."""
        for line, place in logical_lines(text, file):
            params = split(line, place)
            if params:
                self._execute(params, place)

    def _execute(self, params: list[Param], place: Place) -> None:
        head = params[0]
        if head.name:
            if head.name.count(".") == 2:
                self._property(params, place)
                return
            raise place.error("", head.name, "a command, or class.name.property=value")
        command = self._command(head.value.lower())
        if command in IGNORED_COMMANDS or head.value == "?":
            return
        if command is None:
            raise place.error("", repr(head.value), "a command of OpenDSS that the importer knows")
        self.count += len(params)
        if self.count > MAX_EDITS:
            raise place.error("", "", f"at most {MAX_EDITS} parameters in all")
        self.commands[command](params[1:], place)

    def _command(self, word: str) -> str | None:
        """The command that a word means; short forms mean the first that begins so."""
        if word in self.commands or word in IGNORED_COMMANDS:
            return word
        if len(word) < 3:
            return None
        known = [*self.commands, *sorted(IGNORED_COMMANDS)]
        return next((name for name in known if name.startswith(word)), None)

    # -- objects ---------------------------------------------------------------------------------------

    def _named(self, params: list[Param], place: Place) -> tuple[str, str, list[Param]]:
        """Class and name of the object that a command is about, and the rest of its parameters."""
        if not params or params[0].name not in ("", "object"):
            raise place.error("", "", "class.name of an object")
        kind, _, name = params[0].value.lower().partition(".")
        return kind, name, params[1:]

    def _new(self, params: list[Param], place: Place) -> None:
        kind, name, rest = self._named(params, place)
        self.active, self.active_ignored = None, kind in IGNORED_CLASSES
        if self.active_ignored:
            return
        if kind == "circuit":
            if self.circuit.name:
                raise place.error("new", f"circuit.{name}", "one circuit")
            self.circuit.name = name or "circuit"
            kind, name = "vsource", "source"
        if kind not in CLASSES:
            hint = nearest(kind, [*CLASSES, "circuit"])
            raise place.error("new", repr(kind), f"a class of objects that the importer knows; {hint}")
        if not self.circuit.name and kind != "circuit":
            raise place.error("new", f"{kind}.{name}", "a circuit first (new circuit.name)")
        if not name:
            raise place.error("new", kind, "class.name of an object")
        if (kind, name) in self.circuit.things:
            raise place.error("new", f"{kind}.{name}", "a name that no object of the class has yet")
        self.active = Thing(kind, name, place)
        self.circuit.things[kind, name] = self.active
        self._apply(self.active, rest)

    def _edit(self, params: list[Param], place: Place) -> None:
        kind, name, rest = self._named(params, place)
        self.active_ignored = kind in IGNORED_CLASSES
        if self.active_ignored:
            return
        if kind == "circuit":
            kind, name = "vsource", "source"
        self.active = self._thing(kind, name, place)
        self._apply(self.active, rest)

    def _more(self, params: list[Param], place: Place) -> None:
        if self.active_ignored:
            return
        if self.active is None:
            raise place.error("~", "", "an object before it that the line goes on with")
        self._apply(self.active, params)

    def _property(self, params: list[Param], place: Place) -> None:
        """`class.name.property=value`, and what else the line says about that object."""
        kind, name, word = params[0].name.split(".")
        if kind in IGNORED_CLASSES:
            return
        thing = self._thing(kind, name, place)
        self._apply(thing, [dataclasses.replace(params[0], name=word), *params[1:]])

    def _thing(self, kind: str, name: str, place: Place) -> Thing:
        thing = self.circuit.things.get((kind, name))
        if thing is None:
            known = [other for k, other in self.circuit.things if k == kind]
            raise place.error(
                "", f"{kind}.{name}", f"an object that was defined before; {nearest(name, known)}"
            )
        return thing

    def _apply(self, thing: Thing, params: list[Param]) -> None:
        """Append what a line says to the edits of an object."""
        names = CLASSES[thing.kind]
        at = -1
        for param in params:
            if param.name:
                name = resolve(thing.kind, param.name)
                if name is None:
                    hint = nearest(param.name, names)
                    field_name = f"{thing.kind}.{thing.name} {param.name}"
                    raise param.place.error(field_name, param.value, f"a property of a {thing.kind}; {hint}")
                at = names.index(name)
            else:
                at += 1
                if at >= len(names):
                    raise param.place.error(thing.kind, repr(param.value), "no more values than properties")
            if names[at] == "like":
                other = self._thing(thing.kind, param.value.lower(), param.place)
                self.count += len(other.edits)
                thing.edits += [edit for edit in other.edits if edit.name != "enabled"]
                if thing.kind in ("transformer", "xfmrcode"):  # the copy begins at its first winding
                    thing.edits.append(Param("wdg", "1", False, param.place))
            else:
                thing.edits.append(dataclasses.replace(param, name=names[at]))
        if self.count > MAX_EDITS:
            raise thing.place.error("like", "", f"at most {MAX_EDITS} parameters in all")

    def _batch(self, params: list[Param], place: Place) -> None:
        kind, _, _ = self._named(params, place)
        if kind not in IGNORED_CLASSES:
            raise place.error("batchedit", kind, "a class that does not enter a snapshot; edit one by one")

    # -- switching -------------------------------------------------------------------------------------

    def _switched(self, params: list[Param], place: Place) -> Thing:
        """The object that a switching command names; whole terminals only."""
        words = [param.value for param in params if param.name in ("", "object")]
        for param in params:
            if param.name not in ("", "object", "terminal", "term", "conductor", "cond"):
                raise param.place.error(param.name, param.value, "object, terminal or conductor")
            if param.name.startswith("cond") and number(param) != 0:
                raise param.place.error(param.name, param.value, "0: all conductors of the terminal")
        if not words or "." not in words[0] or len(words) > 3 or words[2:] not in ([], ["0"]):
            raise place.error("", " ".join(words), "class.name of an object, and a terminal")
        kind, _, name = words[0].lower().partition(".")
        return self._thing(kind, name, place)

    def _open(self, params: list[Param], place: Place) -> None:
        thing = self._switched(params, place)
        if thing.kind != "line":
            raise place.error("open", f"{thing.kind}.{thing.name}", "a line")
        thing.opened = place

    def _close(self, params: list[Param], place: Place) -> None:
        self._switched(params, place).opened = None

    def _disable(self, params: list[Param], place: Place) -> None:
        self._switched(params, place).edits.append(Param("enabled", "no", False, place))

    def _enable(self, params: list[Param], place: Place) -> None:
        self._switched(params, place).edits.append(Param("enabled", "yes", False, place))

    def _nothing(self, params: list[Param], place: Place) -> None:
        """A command whose work the importer does anyway."""

    # -- options and files -----------------------------------------------------------------------------

    def _set(self, params: list[Param], place: Place) -> None:
        options: dict[str, Callable[[Param], None]] = {
            "voltagebases": self._bases,
            "voltagebase": self._bases,
            "defaultbasefrequency": self._frequency,
            "defaultbasefreq": self._frequency,
            "loadmult": self._unscaled,
            "normvminpu": lambda param: setattr(self.circuit, "v_min", number(param)),
            "normvmaxpu": lambda param: setattr(self.circuit, "v_max", number(param)),
        }
        for param in params:
            if param.name in options:
                options[param.name](param)
            elif param.name not in IGNORED_OPTIONS:
                shown = param.name or repr(param.value)
                raise place.error("set", shown, "an option that the importer knows")

    def _bases(self, param: Param) -> None:
        self.circuit.kv_bases = sorted(numbers(param))
        if not self.circuit.kv_bases or self.circuit.kv_bases[0] <= 0:
            raise param.place.error(param.name, repr(param.value), "kV > 0")

    def _frequency(self, param: Param) -> None:
        if self.circuit.name:
            raise param.place.error(param.name, param.value, "to be set before the circuit is made")
        self.circuit.hz = number(param)
        if not 1.0 <= self.circuit.hz <= 1000.0:
            raise param.place.error(param.name, param.value, "1 to 1000 Hz")

    def _unscaled(self, param: Param) -> None:
        if number(param) != 1.0:
            raise param.place.error("loadmult", param.value, "1 (scale the loads of the feeder instead)")

    def _path(self, params: list[Param], place: Place) -> Path:
        """The file that a command names, inside of the root."""
        if len(params) != 1 or params[0].name not in ("", "file"):
            raise place.error("", "", "the name of one file")
        name = params[0].value.replace("\\", "/")
        if self.root is None or not self.open_files:
            raise place.error("", repr(name), "a script that reads no other files")
        try:
            path = (self.open_files[-1].parent / name).resolve()
            inside = path.is_relative_to(self.root)
        except (OSError, ValueError, RuntimeError):
            raise place.error("", repr(name), "the name of a file") from None
        if not inside:
            expected = f"a file inside of {self.root} (allow more with root=, or --root on the command line)"
            raise place.error("", repr(name), expected)
        return path

    def load(self, path: Path, place: Place | None = None) -> str:
        """The text of a file; what goes wrong is reported where the file was asked for."""
        at = place or Place(str(path), 0)
        try:
            text = self.read(path)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            if place is None:
                problem = Problem(str(path), None, "", "", f"a readable file ({reason})")
                raise CaseError([problem]) from error
            raise at.error("", repr(path.name), f"a readable file ({reason})") from error
        self.bytes += len(text)
        if self.bytes > MAX_BYTES:
            raise at.error("", repr(path.name), f"at most {MAX_BYTES} bytes of text in all")
        if text.count("\n") > MAX_LINES:
            raise at.error("", repr(path.name), f"at most {MAX_LINES} lines in a file")
        return text

    def _redirect(self, params: list[Param], place: Place) -> None:
        path = self._path(params, place)
        if path in self.open_files or len(self.open_files) >= MAX_DEPTH:
            expected = f"a file that is not being read already, and at most {MAX_DEPTH} inside each other"
            raise place.error("redirect", repr(path.name), expected)
        text = self.load(path, place)
        self.open_files.append(path)
        self.run(text, str(path))
        self.open_files.pop()

    def _coordinates(self, params: list[Param], place: Place) -> None:
        path = self._path(params, place)
        for row, place_of_row in logical_lines(self.load(path, place), str(path)):
            words = split(row, place_of_row)
            if not words:
                continue
            if len(words) < 3:
                raise place_of_row.error("", row.strip(), "bus, x, y")
            x, y = number(words[1]), number(words[2])
            self.circuit.coordinates[words[0].value.lower()] = (x, y)


def logical_lines(text: str, file: str) -> Iterator[tuple[str, Place]]:
    """The lines of a text that are not in a block comment, with their places."""
    hidden: Place | None = None
    for count, line in enumerate(text.splitlines(), 1):
        place = Place(file, count)
        if hidden is None and line.lstrip().startswith("/*"):
            hidden = place
        if hidden is not None:
            _, end, rest = line.partition("*/")
            if end:
                hidden = None
                if rest.strip():
                    raise place.error("", rest.strip()[:30], "nothing behind the end of a block comment")
            continue
        yield line, place
    if hidden is not None:
        raise hidden.error("/*", "", "an end of this comment (*/)")
