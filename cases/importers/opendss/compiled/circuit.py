"""All parts of a compiled circuit, and what was left out of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from ....errors import CaseError, Problem
from ..parts import BankControl, Parts, Shunt, TapControl, Unit, Wire, listed
from .autotransformers import as_transformers
from .controls import bank_control, tap_control
from .injections import INJECTIONS, Injection, injection_of
from .labels import renamed
from .neutrals import joined_stars, neutrals, solid, star_points
from .pieces import Piece, Pieces
from .series import is_series, wire_of
from .shunts import FIXED_Q, admittance_of, capacitors_of, is_star_without_ground, loads_of
from .sources import feeds
from .transformers import INSIDE, behind_neutral, standing, units_of
from .zones import check_ground, phases_without_ground

PROTECTION = ("fuse", "recloser", "relay", "swtcontrol")
BANK = (0.0, 0.0, 0.0, 0.0)  # shares of what stands as a bank
_USUAL = ("generator", "pvsystem", "storage")
_T = TypeVar("_T", TapControl, BankControl)


class Reading:
    """The parts of a circuit; `left_out` counts, by class, what has no place in them.

    Args:
        approximate: whether neutral conductors are taken as grounded where the tables cannot hold them.
    """

    def __init__(self, pieces: Pieces, *, approximate: bool = False) -> None:
        self.pieces, self.approximate = pieces, approximate
        header = pieces.header
        self.left_out: Counter[str] = Counter(header["left_out"])
        self.left_out.update(header["listed"])
        self.notes: list[str] = list(header["notes"])
        self.counts: Counter[str] = Counter()
        self.approximated = ""  # what was reduced; empty: nothing
        self.loads: dict[str, list[Shunt]] = {}  # rows of each load
        self.resources: list[Piece] = []  # what may be assets
        self.steady: set[str] = set()  # loads that no shape moves
        self.fixed_q: set[str] = set()  # loads whose reactive power no shape moves
        self.standing: list[Shunt] = []  # what transformers draw that are open at one side
        self.given: dict[str, Injection] = {}  # of what gives constant power

    def parts(self) -> Parts:
        """Everything.

        Raises:
            CaseError: an element that the tables cannot hold, with its name.
        """
        pieces, header = self.pieces, self.pieces.header
        self._refuse()
        pieces.all = as_transformers(pieces.all)
        pieces.rename(renamed(pieces.all))
        self._ground_neutrals()
        pieces.adrift = phases_without_ground(pieces)
        protected = {
            name[5:]
            for piece in pieces.of(*PROTECTION)
            for name in [piece.text("switchedobj") or piece.properties.get("monitoredobj", "").lower()]
            if name.startswith("line.")
        }
        self.counts.update(piece.kind for piece in pieces.of(*PROTECTION))
        units, by_winding, wires = self._units()
        shunts = list(self.standing)
        loads = self._take("load")
        self.steady = {piece.title for piece in loads if piece.text("status").startswith("f")}
        self.fixed_q = {piece.title for piece in loads if round(piece.number("model")) in FIXED_Q}
        self.loads = {piece.title: loads_of(pieces, piece) for piece in loads}
        shunts += [row for rows in self.loads.values() for row in rows]
        taken = {row.name for row in shunts}
        more, banks, off = self._wires(wires, protected, taken)
        shunts += more
        sources, further = feeds(list(self._take("vsource")), pieces)
        for piece in (*self._take(*INJECTIONS), *further):
            given = injection_of(pieces, piece, taken)
            if given is not None:
                self.given[piece.title] = given
                taken.update(row.name for row in given.rows)
                shunts += given.rows
            if piece.kind not in _USUAL:
                self.notes.append(f"{piece.title} stands as the constant power that it gives in the snapshot")
        check_ground(shunts, pieces.adrift)
        self._note_stars()
        self.resources = list(pieces.of(*_USUAL))
        fixed = [bank for bank in banks if bank.shares != BANK]
        banks = [bank for bank in banks if bank.shares == BANK]
        rows_of_banks = {bank.name for bank in banks}
        buses = header["buses"]
        return Parts(
            header["name"], header["hz"], header["v_min"], header["v_max"],
            header["bases"] if any(bus["kv"] > 0 for bus in buses.values()) else None,
            {name: tuple(bus["at"]) for name, bus in buses.items() if bus["at"]},
            sources, wires, off, units, self._controls("regcontrol", lambda p: tap_control(p, by_winding)),
            self._controls("capcontrol", lambda p: bank_control(p, rows_of_banks)), shunts + fixed, banks,
            self.notes, self._disabled(),
        )  # fmt: skip

    def _note_stars(self) -> None:
        stars = [
            piece.title for piece in self.pieces.of("load", *INJECTIONS)
            if is_star_without_ground(self.pieces, piece)
        ]  # fmt: skip
        if stars:
            self.notes.append(f"between phases, as windings without ground feed them: {listed(stars)}")

    def _ground_neutrals(self) -> None:
        pieces = self.pieces
        pieces.rename({node: (node[0], 0) for node in solid(pieces)})
        pieces.star_z = star_points(pieces)
        pieces.inner |= joined_stars(pieces)
        if not self.approximate:
            return
        kept = [node for node in neutrals(pieces) if node not in pieces.inner]
        pieces.rename({node: (node[0], 0) for node in kept})
        if kept:
            shown = listed([f"{bus}.{node}" for bus, node in kept])
            self.approximated = f"{len(kept)} neutral conductors taken as grounded ({shown})"
            self.notes.append(self.approximated)

    def _wires(
        self, wires: list[Wire], protected: set[str], taken: set[str]
    ) -> tuple[list[Shunt], list[Shunt], set[str]]:
        """Lines and the like into `wires`; shunts that are no banks, banks, and names of disabled wires.

        Names of rows are added to `taken`; see `_apart`.
        """
        pieces, rated = self.pieces, self.pieces.header["rated"]
        shunts: list[Shunt] = []
        banks: list[Shunt] = []
        off = set()
        for piece in pieces.of("line", "reactor", "capacitor", "fault", disabled=True):
            series = is_series(piece)
            if not piece.enabled and (piece.kind != "line" or not series):
                continue
            self.counts[piece.kind] += piece.enabled
            if not piece.enabled:
                off.add(piece.name)
            if series:
                wire, more = wire_of(pieces, piece, protected, rated)
                wires.append(wire)
                shunts += _apart(piece, more, taken)
            elif piece.kind == "capacitor":
                banks += _apart(piece, capacitors_of(pieces, piece), taken)
            else:
                shunts += _apart(piece, admittance_of(pieces, piece), taken)
        return shunts, banks, off

    def _take(self, *kinds: str) -> list[Piece]:
        found = list(self.pieces.of(*kinds))
        self.counts.update(piece.kind for piece in found)
        return found

    def _refuse(self) -> None:
        for kind, count in self.pieces.header["unknown"].items():
            raise CaseError([Problem(self.pieces.file, None, kind, str(count), "no element of this class")])

    def _units(self) -> tuple[list[Unit], dict[tuple[str, int], Unit], list[Wire]]:
        """Units, units by transformer and winding, and the impedances of star points."""
        found: list[Unit] = []
        wires: list[Wire] = []
        by_winding: dict[tuple[str, int], Unit] = {}
        cores: Counter[tuple[str, ...]] = Counter()
        for piece in self._take("transformer"):
            if any(any(side[: piece.phases]) for side in piece.opened):
                if piece.some_open():
                    raise piece.error("open", "", "windings open in all phases or in none")
                drawn = standing(self.pieces, piece)
                rest = "stands as what its other side draws" if drawn else "was left out"
                self.notes.append(f"{piece.title} is open and {rest}")
                self.standing += _apart(piece, drawn, set())
                continue
            buses = INSIDE.join(dict.fromkeys(side[0][0] for side in piece.terminals))
            place = (buses, str(piece.terminals[0][0][1]), str(piece.phases))
            cores[place] += 1
            core = buses if cores[place] == 1 else f"{buses}{INSIDE}{cores[place]}"
            units = units_of(self.pieces, piece, core)
            if any((piece.name, k) in self.pieces.star_z for k in range(len(piece.terminals))):
                units, more = behind_neutral(piece, units, self.pieces.star_z)
                wires += more
            found += units
            if not piece.called and len(units) in (1, len(piece.terminals)):
                for k in range(len(piece.terminals)):
                    by_winding[piece.name, k + 1] = units[k] if len(units) > 1 else units[0]
        return found, by_winding, wires

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


def _apart(piece: Piece, rows: list[Shunt], taken: set[str]) -> list[Shunt]:
    """Rows of one element; where loads have such names already, its class stands before them.

    Banks keep theirs: they stand in a table of their own, where controls look for them.
    """
    among = [row for row in rows if row.shares != BANK]
    if not taken.isdisjoint(row.name for row in among):
        among = [replace(row, name=row.name.replace(piece.name, piece.title, 1)) for row in among]
    taken.update(row.name for row in among)
    return among + [row for row in rows if row.shares == BANK]
