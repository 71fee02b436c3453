"""Runs an OpenDSS script: not the network it describes, only what it says about it, object by object."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ...errors import CaseError, Problem
from ...model.edit import nearest
from .edit_order import RECONNECTS, copied
from .lexer import Param, Place, logical_lines, number, numbers, split
from .load_shapes import Shapes
from .objects import Circuit, DssObject
from .vocabulary import CLASSES, COMMANDS, IGNORED_CLASSES, IGNORED_COMMANDS, IGNORED_OPTIONS, PLACES, resolve

MAX_DEPTH = 20  # of files that read files
MAX_BYTES = 64 * 2**20  # of text in all
MAX_LINES = 2_000_000
MAX_EDITS = 4_000_000

Reader = Callable[[Path], str]


class Runner:
    """Executes the lines of a script and of the files that it reads.

    Args:
        read: text of a file; raises OSError or CaseError.
        root: folder that no file may lie outside of; None where files cannot be read at all.
    """

    def __init__(self, read: Reader, root: Path | None) -> None:
        self.read, self.root = read, root
        self.circuit = Circuit()
        self.active: DssObject | None = None
        self.active_ignored = False
        self.open_files: list[Path] = []
        self.moved = (
            False  # whether OpenDSS looks for files in another folder than that of the file being read
        )
        self.bytes = self.count = 0
        self.order = 0  # of the command
        self.liked = (
            False  # whether the last object was made like another one, which the next line is about then
        )
        self.shapes = Shapes()
        self.commands: dict[str, Callable[[list[Param], Place], None]] = {
            "new": self._new,
            "edit": self._edit,
            "more": self._more,
            "m": self._more,
            "~": self._more,
            "set": self._set,
            "redirect": self._redirect,
            "compile": self._compile,
            "buscoords": self._coordinates,
            "batchedit": self._batch,
            "open": self._open,
            "close": self._close,
            "disable": self._disable,
            "enable": self._enable,
            "calcvoltagebases": self._build,
            "solve": self._solve,
            "clear": self._clear,
            "clearall": self._clear,
        }

    def run(self, text: str, file: str) -> None:
        """Execute a text."""
        for line, place in logical_lines(text, file):
            params = split(line, place)
            if params:
                self._execute(params, place)

    def _execute(self, params: list[Param], place: Place) -> None:
        self.order += 1
        head = params[0]
        if head.name:
            if head.name.count(".") == 2:
                self._property(params, place)
                return
            raise place.error("", head.name, "a command, or class.name.property=value")
        command = self._command(head.value.lower())
        if head.value == "?":
            self.active, self.active_ignored = None, False
            return
        if command in IGNORED_COMMANDS:
            return
        if command is None:
            raise place.error("", repr(head.value), "a command of OpenDSS that the importer knows")
        self.count += len(params)
        if self.count > MAX_EDITS:
            raise place.error("", "", f"at most {MAX_EDITS} parameters in all")
        self.commands[command](params[1:], place)

    def _command(self, word: str) -> str | None:
        """The command that a word means; short forms mean the first of OpenDSS's list that begins so."""
        if word not in COMMANDS:
            begun = (name for name in COMMANDS if name.startswith(word))
            word = next(begun, word) if len(word) > 2 else word
        return word if word in self.commands or word in IGNORED_COMMANDS else None

    # -- objects ---------------------------------------------------------------------------------------

    def _named(self, params: list[Param], place: Place) -> tuple[str, str, list[Param]]:
        """Class and name of the object that a command is about, and the rest of its parameters."""
        if not params or params[0].name not in ("", "object"):
            raise place.error("", "", "class.name of an object")
        kind, _, name = params[0].value.lower().partition(".")
        return kind, name, params[1:]

    def _new(self, params: list[Param], place: Place) -> None:
        kind, name, rest = self._named(params, place)
        self.active, self.active_ignored, self.liked = None, kind in IGNORED_CLASSES, False
        if self.active_ignored:
            self.shapes.say(kind, name, rest)
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
        if (kind, name) in self.circuit.objects:
            raise place.error("new", f"{kind}.{name}", "a name that no object of the class has yet")
        self.active = DssObject(kind, name, place, order=self.order)
        self.circuit.objects[kind, name] = self.active
        self._apply(self.active, rest)

    def _edit(self, params: list[Param], place: Place) -> None:
        kind, name, rest = self._named(params, place)
        self.active, self.active_ignored, self.liked = None, kind in IGNORED_CLASSES, False
        if self.active_ignored:
            self.shapes.say(kind, name, rest)
            return
        if kind == "circuit":
            expected = "vsource.source: OpenDSS does not edit the source by this"
            raise place.error("edit", f"circuit.{name}", expected)
        self.active = self._thing(kind, name, place)
        self._apply(self.active, rest)

    def _more(self, params: list[Param], place: Place) -> None:
        if self.active_ignored:
            self.shapes.more(params)
            return
        if self.liked:
            expected = "all properties in one line with like=: OpenDSS goes on with the other object here"
            raise place.error("~", "", expected)
        if self.active is None:
            raise place.error("~", "", "an object (new, edit) in front of it that the line goes on with")
        self._apply(self.active, params)

    def _property(self, params: list[Param], place: Place) -> None:
        """`class.name.property=value`, and what else the line says about that object."""
        kind, name, word = params[0].name.split(".")
        rest = [params[0]._replace(name=word), *params[1:]]
        self.active, self.active_ignored, self.liked = None, kind in IGNORED_CLASSES, False
        if self.active_ignored:
            self.shapes.say(kind, name, rest)
            return
        self.active = self._thing(kind, name, place)
        self._apply(self.active, rest)

    def _thing(self, kind: str, name: str, place: Place) -> DssObject:
        obj = self.circuit.objects.get((kind, name))
        if obj is None:
            known = [other for k, other in self.circuit.objects if k == kind]
            raise place.error(
                "", f"{kind}.{name}", f"an object that was defined before; {nearest(name, known)}"
            )
        return obj

    def _apply(self, obj: DssObject, params: list[Param]) -> None:
        """Append what a line says to the edits of an object."""
        names = CLASSES[obj.kind]
        at = -1
        for param in params:
            if param.name:
                name = resolve(obj.kind, param.name)
                if name is None:
                    hint = nearest(param.name, names)
                    field_name = f"{obj.kind}.{obj.name} {param.name}"
                    raise param.place.error(field_name, param.value, f"a property of a {obj.kind}; {hint}")
                at = PLACES[obj.kind][name]
            else:
                at += 1
                if at >= len(names):
                    raise param.place.error(obj.kind, repr(param.value), "no more values than properties")
            if obj.opened and names[at] in RECONNECTS:
                field_name = f"{obj.kind}.{obj.name} {names[at]}"
                raise param.place.error(field_name, param.value, "no change of an open line's conductors")
            self.shapes.check(obj, names[at], param)
            if names[at] == "like":
                self._like(obj, param)
            else:
                obj.edits.append(Param(names[at], param.value, param.quoted, param.place, self.order))
        if self.count > MAX_EDITS:
            raise obj.place.error("like", "", f"at most {MAX_EDITS} parameters in all")

    def _like(self, obj: DssObject, param: Param) -> None:
        other = self._thing(obj.kind, param.value.lower(), param.place)
        self.count += len(other.edits)
        obj.edits = copied(obj, other, param)
        obj.copies.append((other.name, self.order))
        self.liked = True
        if obj.kind in ("transformer", "xfmrcode"):  # the copy begins at its first winding
            obj.edits.append(Param("wdg", "1", False, param.place, self.order))

    def _batch(self, params: list[Param], place: Place) -> None:
        kind, _, _ = self._named(params, place)
        if kind not in IGNORED_CLASSES:
            raise place.error("batchedit", kind, "a class that does not enter a snapshot; edit one by one")

    # -- switching -------------------------------------------------------------------------------------

    def _switched(self, params: list[Param], place: Place) -> DssObject:
        """The object that a switching command names; nothing can go on with it in the next line."""
        self.active, self.active_ignored = None, False
        if not params or "." not in params[0].value or params[0].name not in ("", "object"):
            raise place.error("", " ".join(param.value for param in params), "class.name of an object")
        kind, _, name = params[0].value.lower().partition(".")
        return self._thing(kind, name, place)

    def _terminal(self, params: list[Param], place: Place) -> tuple[DssObject, int]:
        """The line and the whole terminal that `open` and `close` are about.

        OpenDSS takes the terminal and the conductor by their places in the line, whatever their names, and
        the terminal that was last active where none is given.
        """
        obj = self._switched(params, place)
        if obj.kind != "line":
            raise place.error("open, close", f"{obj.kind}.{obj.name}", "a line")
        for param, known in zip(
            params[1:], (("", "terminal", "term"), ("", "conductor", "cond")), strict=False
        ):
            if param.name not in known:
                raise param.place.error(param.name, param.value, "object, terminal, conductor, in this order")
        if not 2 <= len(params) <= 3 or number(params[1]) not in (1, 2):
            raise place.error(
                "terminal", " ".join(param.value for param in params[1:]), "the terminal: 1 or 2"
            )
        if len(params) == 3 and number(params[2]) != 0:
            raise place.error("conductor", params[2].value, "0: all conductors of the terminal")
        return obj, int(number(params[1]))

    def _open(self, params: list[Param], place: Place) -> None:
        obj, terminal = self._terminal(params, place)
        obj.opened[terminal] = place

    def _close(self, params: list[Param], place: Place) -> None:
        obj, terminal = self._terminal(params, place)
        obj.opened.pop(terminal, None)

    def _able(self, params: list[Param], place: Place, state: str) -> None:
        obj = self._switched(params, place)
        if len(params) > 1:
            raise place.error("", params[1].value, "class.name of one object and nothing else")
        obj.edits.append(Param("enabled", state, False, place, self.order))

    def _disable(self, params: list[Param], place: Place) -> None:
        self._able(params, place, "no")

    def _enable(self, params: list[Param], place: Place) -> None:
        self._able(params, place, "yes")

    # -- what solves ------------------------------------------------------------------------------------

    def _build(self, params: list[Param], place: Place) -> None:
        """OpenDSS builds its matrices here, which fixes what was left to be computed of lines."""
        self.circuit.builds.append(self.order)

    def _solve(self, params: list[Param], place: Place) -> None:
        """Not done; what the line sets is set. The notes say so where a control could have acted."""
        self._set(params, place)
        self._build(params, place)
        if any(kind in ("regcontrol", "capcontrol") for kind, _ in self.circuit.objects):
            note = "solve was not run: taps and capacitor banks stand where the script's definitions put them"
            self.circuit.notes += [note] if note not in self.circuit.notes else []

    def _clear(self, params: list[Param], place: Place) -> None:
        if self.circuit.name:
            raise place.error("clear", "", "no more than one circuit, and nothing cleared behind it")

    # -- options and files -----------------------------------------------------------------------------

    def _set(self, params: list[Param], place: Place) -> None:
        options: dict[str, Callable[[Param], None]] = {
            "voltagebases": self._bases,
            "voltagebase": self._bases,
            "defaultbasefrequency": self._frequency,
            "defaultbasefreq": self._frequency,
            "loadmult": self._unscaled,
            "year": self._first_year,
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

    def _first_year(self, param: Param) -> None:
        if number(param) != 0.0:
            raise param.place.error("year", param.value, "0: in other years the loads grow")

    def _path(self, params: list[Param], place: Place) -> Path:
        """The file that a command names, inside of the root."""
        if len(params) != 1 or params[0].name not in ("", "file"):
            raise place.error("", "", "the name of one file")
        name = params[0].value.replace("\\", "/")
        if self.moved:
            expected = "no more files behind a compile in another folder: OpenDSS looks for them there"
            raise place.error("", repr(name), expected)
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
            expected = f"a file not being read already, at most {MAX_DEPTH} inside each other"
            raise place.error("redirect", repr(path.name), expected)
        text, moved = self.load(path, place), self.moved
        self.open_files.append(path)
        self.run(text, str(path))
        self.open_files.pop()
        self.moved = moved

    def _compile(self, params: list[Param], place: Place) -> None:
        """As `redirect`, but OpenDSS stays in the folder of the file."""
        self._redirect(params, place)
        self.moved |= self._path(params, place).parent != self.open_files[-1].parent

    def _coordinates(self, params: list[Param], place: Place) -> None:
        path = self._path(params, place)
        for row, place_of_row in logical_lines(self.load(path, place), str(path)):
            words = split(row, place_of_row)
            if not words:
                continue
            if len(words) < 3:
                raise place_of_row.error("", row.strip(), "bus, x, y")
            self.circuit.coordinates[words[0].value.lower()] = (number(words[1]), number(words[2]))
