"""One circuit in the engine: the script is run, the snapshot is solved, what was compiled is read out."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

from .days import Days
from .readout import Blob, read_circuit
from .refusal import RefusedError
from .said import Said
from .script import Command, Walk
from .words import words

POWER_FLOW = 1  # Solution.LoadModel
SNAPSHOT = 0  # Solution.Mode
LONGEST_SERIES = 10_000  # steps that a script may solve in one go: a year of hours, not of quarters
WORK = 40_000_000  # steps times nodes that a script may solve in all series: a minute or two
# Tolerance, most and fewest iterations. Zones without ground come no closer than one of these: rounding moves
# all their phases together, and nothing else. After so many iterations all other voltages are as close as the
# first says; no fewer, as each solution begins machines that hold a voltage anew.
_ATTEMPTS = ((1e-9, 1000, 2), (1e-7, 200, 199), (1e-5, 200, 199), (1e-4, 200, 199))
# Soon given up: stars of constant power without ground move away from where their phases are alike, by a few
# percent of the distance in each iteration.
_CLOSER = (1e-11, 100, 2)
_EXACT = 1e-7
_SOLVING = frozenset(
    "solve allocateloads _solvenocontrol _solvepflow _docontrolactions _samplecontrols".split()
)


class Session:
    """A circuit of its own; nothing else of the process touches the engine.

    Args:
        root: folder that every file has to lie in.
        shapes: whether load shapes are wanted, so that their files have to be there.
    """

    def __init__(self, root: Path, *, shapes: bool = False) -> None:
        from dss import DSSException, dss

        dss.AllowForms = False
        dss.AllowEditor = False
        dss.AllowDOScmd = False
        dss.AllowChangeDir = True  # names of files start from the folder of the process, which is ours alone
        self.dss: Any = dss
        self.error = DSSException
        executive = dss.Executive
        self.commands = [executive.Command(k + 1).lower() for k in range(executive.NumCommands)]
        self.options = [executive.Option(k + 1).lower() for k in range(executive.NumOptions)]
        self.walk = Walk(root, self.commands, self.options, shapes=shapes)
        self.said = Said(root)
        self.notes: list[str] = []
        self.work = WORK  # what is left of it

    def run(self, file: Path) -> None:
        """Run the script.

        Raises:
            RefusedError: something that may not be, or that the engine says is wrong, with its line.
        """
        folder = None
        self.said.file = file
        for one in self.walk.run(file):
            if one.folder != folder:
                os.chdir(one.folder)
                folder = one.folder
            self.said.note(one.name, one.text, one.file, one.line)
            try:
                if one.name in ("buscoords", "latlongcoords"):  # buses have places from when they are listed
                    self.dss.Text.Command = "makebuslist"
                self.dss.Text.Command = self._solve(one) if one.name == "solve" else one.text
            except self.error as error:
                self._failed(one, str(error))

    def _solve(self, one: Command) -> str:
        """What stands for a line that solves: where that is a long series, a snapshot, and a note says so."""
        if not self.dss.NumCircuits:
            return one.text
        asked = one.text[words(one.text)[0].end :].strip(" ,\t")
        if asked:
            self.dss.Text.Command = f"set {asked}"
        solution = self.dss.ActiveCircuit.Solution
        number = int(solution.Number) if int(solution.Mode) != SNAPSHOT else 1
        if number > 1:
            self.dss.Text.Command = "makebuslist"
            self.work -= number * int(self.dss.ActiveCircuit.NumNodes)
        if number > LONGEST_SERIES or self.work < 0:
            self.dss.Text.Command = "set mode=snapshot number=1"
            shown = f"{Path(one.file).name}:{one.line}: solve: {number} steps"
            self.notes.append(f"{shown} are not run, a snapshot stands for them")
        if self.walk.unread and int(self.dss.ActiveCircuit.Solution.Mode) != SNAPSHOT:
            raise self.walk.unread  # shapes move what is solved here
        return "solve"

    def _failed(self, one: Command, message: str) -> None:
        """A solution that fails is not the end of a script: it is solved again when all is there."""
        if one.name in _SOLVING:
            self.notes.append(f"{Path(one.file).name}:{one.line}: {one.name}: {_first(message)}")
            return
        expected = f"what OpenDSS can run ({_first(message)})"
        raise RefusedError(one.file, one.line, "", one.text[:120], expected)

    def solve(self, file: Path) -> bool:
        """Solve the snapshot with all controls at rest; whether it converged.

        Raises:
            RefusedError: there is no circuit, its loads are admittances, or the engine cannot solve it.
        """
        if not self.dss.NumCircuits:
            raise RefusedError(str(file), None, "", "", "a circuit (new circuit.name)")
        circuit = self.dss.ActiveCircuit
        if int(circuit.Solution.LoadModel) != POWER_FLOW:
            where, line, value = self.walk.load_model or (str(file), None, "admittance")
            expected = "powerflow: loads are what their models say, not admittances"
            raise RefusedError(where, line, "loadmodel", value, expected)
        try:
            # a mode that is set anew leaves machines that hold a voltage with admittances of another state
            changed = int(circuit.Solution.Mode) != SNAPSHOT
            for text in ("set controlmode=off", "set mode=snap" if changed else "", "set number=1"):
                self.dss.Text.Command = text
            circuit.Solution.Algorithm = 0
            for attempt in _ATTEMPTS:
                message = self._attempt(*attempt)
                if not message:
                    if attempt is _ATTEMPTS[0]:
                        self._attempt(*_CLOSER)
                    elif attempt[0] > _EXACT:
                        self.notes.append(f"OpenDSS solves this circuit to {attempt[0]:g} only")
                    self.dss.Text.Command = "set miniterations=2"
                    return True
        except self.error as error:
            expected = f"a circuit that can be solved ({_first(str(error))})"
            raise RefusedError(str(file), None, "solve", "", expected) from None
        self.notes.append(f"OpenDSS does not solve this circuit: {message}")
        return False

    def _attempt(self, tolerance: float, most: int, fewest: int) -> str:
        """Solve; why that failed, or nothing."""
        self.dss.Text.Command = f"set tolerance={tolerance} maxiterations={most} miniterations={fewest}"
        try:
            self.dss.Text.Command = "solve"
        except self.error as error:
            return _first(str(error))
        return "" if self.dss.ActiveCircuit.Solution.Converged else "not converged"

    def read(self, converged: bool) -> tuple[dict[str, Any], bytes]:
        """The compiled circuit as JSON can have it, and the numbers that it refers to."""
        blob = Blob()
        circuit = read_circuit(self.dss, blob)
        left_out: Counter[str] = self.walk.left_out
        circuit |= {
            "converged": converged,
            "places": self.said.places,
            "notes": self.notes,
            "left_out": dict(left_out),
            "rated": self.walk.rated,
        }
        return circuit, blob.bytes()

    def days(self, file: Path) -> tuple[dict[str, Any], bytes]:
        """Days of the circuit that is solved, see `Days`.

        Raises:
            RefusedError: the circuit, a shape or a step has no solution or cannot be used.
        """
        if not self.solve(file):
            raise RefusedError(str(file), None, "solve", "", "a circuit that OpenDSS solves")
        blob = Blob()
        found = Days(self.dss, self.said, file).read(blob)
        return found, blob.bytes()


def _first(message: str) -> str:
    return " ".join(message.split())[:300]
