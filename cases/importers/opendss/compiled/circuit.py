"""All parts of a compiled circuit, and what was left out of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TypeVar

import numpy as np

from ....errors import CaseError, Problem
from ..parts import BankControl, Feed, Parts, Shunt, TapControl, Unit
from .controls import bank_control, tap_control
from .pieces import Piece, Pieces
from .series import is_series, wire_of
from .shunts import admittance_of, capacitors_of, injections_of, loads_of
from .transformers import INSIDE, units_of

PROTECTION = ("fuse", "recloser", "relay", "swtcontrol")
INJECTIONS = ("generator", "pvsystem", "storage")
_T = TypeVar("_T", TapControl, BankControl)


class Reading:
    """The parts of a circuit; `left_out` counts, by class, what has no place in them."""

    def __init__(self, pieces: Pieces) -> None:
        self.pieces = pieces
        header = pieces.header
        self.left_out: Counter[str] = Counter(header["left_out"])
        self.left_out.update(header["listed"])
        self.notes: list[str] = list(header["notes"])
        self.counts: Counter[str] = Counter()

    def parts(self) -> Parts:
        """Everything.

        Raises:
            CaseError: an element that the tables cannot hold, with its name.
        """
        pieces, header = self.pieces, self.pieces.header
        for kind, count in header["unknown"].items():
            self.left_out[kind] += count
        self._refuse()
        source = self._source()
        protected = {
            name[5:]
            for piece in pieces.of(*PROTECTION)
            for name in [piece.text("switchedobj") or piece.properties.get("monitoredobj", "").lower()]
            if name.startswith("line.")
        }
        self.counts.update(piece.kind for piece in pieces.of(*PROTECTION))
        wires, off = [], set()
        for piece in pieces.of("line", "reactor", "capacitor", disabled=True):
            if piece.kind != "line" and (not piece.enabled or not is_series(piece)):
                continue
            self.counts[piece.kind] += piece.enabled
            wires.append(wire_of(pieces, piece, protected, rated=header["rated"]))
            if not piece.enabled:
                off.add(piece.name)
        units, by_winding = self._units()
        shunts = [row for piece in self._take("load") for row in loads_of(pieces, piece)]
        shunts += [row for piece in self._take(*INJECTIONS) for row in injections_of(pieces, piece)]
        banks: list[Shunt] = []
        for piece in self._take("capacitor", "reactor", "fault"):
            if is_series(piece):
                self.counts[piece.kind] -= 1
            elif piece.kind == "capacitor":
                banks += capacitors_of(pieces, piece)
            else:
                shunts += admittance_of(pieces, piece)
        fixed = [bank for bank in banks if bank.shares != (0.0, 0.0, 0.0, 0.0)]
        banks = [bank for bank in banks if bank.shares == (0.0, 0.0, 0.0, 0.0)]
        buses = header["buses"]
        return Parts(
            header["name"], header["hz"], header["v_min"], header["v_max"],
            header["bases"] if any(bus["kv"] > 0 for bus in buses.values()) else None,
            {name: tuple(bus["at"]) for name, bus in buses.items() if bus["at"]},
            source, wires, off, units, self._controls("regcontrol", lambda p: tap_control(p, by_winding)),
            self._controls("capcontrol", bank_control), shunts + fixed, banks, self.notes, self._disabled(),
        )  # fmt: skip

    def _take(self, *kinds: str) -> list[Piece]:
        found = list(self.pieces.of(*kinds))
        self.counts.update(piece.kind for piece in found)
        return found

    def _refuse(self) -> None:
        for kind, count in self.pieces.header["unknown"].items():
            raise CaseError([Problem(self.pieces.file, None, kind, str(count), "no element of this class")])
        for piece in self.pieces.of("isource", "autotrans"):
            raise piece.error("", "", "no element of this class")

    def _source(self) -> Feed:
        sources = self._take("vsource")
        if len(sources) != 1:
            where = sources[1] if sources else self.pieces.all[0]
            raise where.error("", str(len(sources)), "one source that takes part")
        piece = sources[0]
        nodes = [node for _, node in piece.terminals[0]]
        if nodes != [1, 2, 3] or any(node for _, node in piece.terminals[1]):
            raise piece.error("bus1", ".".join(map(str, nodes)), "three phases 1.2.3 and ground behind them")
        assert piece.y is not None
        kv, pu = piece.number("basekv"), piece.number("pu")
        if kv <= 0 or pu <= 0:
            raise piece.error("basekv, pu", f"{kv:g}, {pu:g}", "numbers > 0")
        z = np.linalg.inv(piece.y[:3, :3])
        return Feed(
            piece.name, piece.terminals[0][0][0], kv, pu, piece.number("angle"), (z + z.T) / 2.0,
            piece.place,
        )  # fmt: skip

    def _units(self) -> tuple[list[Unit], dict[tuple[str, int], Unit]]:
        found: list[Unit] = []
        by_winding: dict[tuple[str, int], Unit] = {}
        cores: Counter[tuple[str, ...]] = Counter()
        for piece in self._take("transformer"):
            buses = INSIDE.join(dict.fromkeys(side[0][0] for side in piece.terminals))
            place = (buses, str(piece.terminals[0][0][1]), str(piece.phases))
            cores[place] += 1
            core = buses if cores[place] == 1 else f"{buses}{INSIDE}{cores[place]}"
            units = units_of(self.pieces, piece, core)
            found += units
            for k in range(len(piece.terminals)):
                by_winding[piece.name, k + 1] = units[k] if len(units) > 1 else units[0]
        return found, by_winding

    def _controls(self, kind: str, read: Callable[[Piece], _T]) -> list[_T]:
        """Controls do not move a snapshot: one that the tables cannot say is left out, and noted."""
        found: list[_T] = []
        taken: set[str] = set()
        for piece in self.pieces.of(kind):
            try:
                control = read(piece)
                moved = control.unit.name if isinstance(control, TapControl) else piece.name
                if moved in taken:
                    raise piece.error("transformer", moved, "one control per transformer")
                taken.add(moved)
                found.append(control)
            except CaseError as error:
                self.notes.append(f"{piece.title} was left out: {error.problems[0]}")
                self.left_out[kind] += 1
            else:
                self.counts[kind] += 1
        return found

    def _disabled(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for piece in self.pieces.all:
            if not piece.enabled and piece.kind != "line":
                found.setdefault(piece.kind, []).append(piece.name)
        return found
