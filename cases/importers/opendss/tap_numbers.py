"""What tap numbers of controls do to the taps of transformers while an OpenDSS script runs."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass

from .lexer import Param, whole
from .objects import Circuit, DssObject


@dataclass(frozen=True)
class TapMove:
    """A tap number that the script gives to a control: it moves the tap of its transformer at once."""

    winding: int
    steps: int
    edit: Param


def tap_moves(circuit: Circuit) -> dict[str, list[TapMove]]:
    """What every control, enabled or not, does to taps while it is defined, by transformer and in order."""
    moves: dict[str, list[TapMove]] = {}
    for obj in circuit.objects.values():
        if obj.kind != "regcontrol":
            continue
        unit, winding = "", 1
        if not obj.enabled:  # those that take part are checked with all that they say
            check_transformer(obj, circuit)
        for edit in obj.edits:
            if edit.name == "transformer":
                unit = edit.value.lower()
            elif edit.name in ("winding", "tapwinding"):
                winding = whole(edit)
            elif edit.name == "tapnum":
                if not unit:
                    expected = "the transformer, named in front of the tap number"
                    raise edit.place.error(f"regcontrol.{obj.name} tapnum", edit.value, expected)
                moves.setdefault(unit, []).append(TapMove(winding, whole(edit), edit))
    for found in moves.values():
        found.sort(key=lambda move: move.edit.order)
    return moves


def moves_of(obj: DssObject, circuit: Circuit, moves: Mapping[str, list[TapMove]]) -> list[TapMove]:
    """The moves of a transformer's taps, and those of its models before it was made like them."""
    found: list[TapMove] = []
    queue = [(obj, sys.maxsize)]
    for unit, until in queue:  # grows while it is read; each is made before the one that is like it
        found += [move for move in moves.get(unit.name, ()) if move.edit.order < until]
        queue += [(circuit.objects["transformer", name], min(at, until)) for name, at in unit.copies]
    return sorted(found, key=lambda move: move.edit.order)


def check_transformer(obj: DssObject, circuit: Circuit) -> None:
    """Raise unless a control names transformers that exist by then, one of them in its first command."""
    named = [edit for edit in obj.edits if edit.name == "transformer"]
    for edit in named:
        known = circuit.objects.get(("transformer", edit.value.lower()))
        if known is None or known.order >= edit.order:
            expected = "a transformer that exists and takes part"
            raise edit.place.error(f"regcontrol.{obj.name} transformer", edit.value, expected)
    first = {edit.order for edit in named} | {order for _, order in obj.copies}
    if not named or obj.order not in first:
        raise obj.error("transformer", "", "the transformer, in the command that makes the control")
