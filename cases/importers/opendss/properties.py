"""How the properties of one object of OpenDSS are read: one after the other, each by a small function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from .lexer import Param, number
from .objects import DssObject
from .vocabulary import IGNORED

State = TypeVar("State")
Handler = Callable[[State, Param], None]


def replay(
    obj: DssObject,
    state: State,
    handlers: Mapping[str, Handler[State]],
    hz: float,
    known: tuple[str, ...] = (),
    between: Callable[[State, int], None] | None = None,
    until: int | None = None,
) -> State:
    """`state` after all that the script says of an object, in its order.

    Properties in `known` are read elsewhere; those that change nothing in a snapshot are passed over.
    `between` is called with the state and the number of the next command before each command's first value;
    `until` is the number of the command from which on edits do not count.

    Raises:
        CaseError: a property that can neither be used nor left out, or a bad value.
    """
    command = 0
    for edit in obj.edits:
        if until is not None and edit.order >= until:
            continue
        if between is not None and edit.order != command:
            between(state, edit.order)
            command = edit.order
        handler = handlers.get(edit.name)
        if handler is not None:
            handler(state, edit)
        elif edit.name == "basefreq":
            base_frequency(obj, edit, hz)
        elif edit.name not in IGNORED[obj.kind] and edit.name not in known and edit.name != "enabled":
            where = f"{obj.kind}.{obj.name} {edit.name}"
            raise edit.place.error(
                where, repr(edit.value), "no such property: the importer cannot convert it"
            )
    return state


def put(name: str, convert: Callable[[Param], Any] = number) -> Handler[Any]:
    """A handler that sets one attribute of the state."""

    def handler(state: Any, edit: Param) -> None:
        setattr(state, name, convert(edit))

    return handler


def only(*allowed: str) -> Handler[Any]:
    """A handler that takes nothing but words that begin so."""

    def handler(state: Any, edit: Param) -> None:  # noqa: ARG001
        if not edit.value.lower().startswith(allowed):
            raise edit.place.error(
                edit.name, repr(edit.value), f"only {' or '.join(allowed)} can be converted"
            )

    return handler


def at_least(low: float, convert: Callable[[Param], Any] = number) -> Callable[[Param], Any]:
    """`convert`, for values that are not below `low`."""

    def checked(edit: Param) -> Any:
        value = convert(edit)
        if value < low:
            raise edit.place.error(edit.name, edit.value, f"a number >= {low:g}")
        return value

    return checked


def one_of(*allowed: int) -> Callable[[Param], int]:
    """A whole number out of some."""

    def checked(edit: Param) -> int:
        value = number(edit)
        if value not in allowed:
            raise edit.place.error(edit.name, edit.value, f"one of {', '.join(map(str, allowed))}")
        return int(value)

    return checked


def base_frequency(obj: DssObject, edit: Param, hz: float) -> None:
    """Raise unless the property names the frequency of the circuit."""
    if number(edit) != hz:
        raise edit.place.error(f"{obj.kind}.{obj.name} {edit.name}", edit.value, f"{hz:g}, the circuit's")


def bus_of(edit: Param, phases: int, conductors: int) -> tuple[str, tuple[int, ...]]:
    """Bus and node numbers of a terminal: those that stand there, else 1, 2, 3, then ground."""
    name, *rest = edit.value.lower().split(".")
    listed = [int(node) if node in ("0", "1", "2", "3") else -1 for node in rest]
    if not name or -1 in listed:
        raise edit.place.error(edit.name, repr(edit.value), "bus.1.2.3 with phases 1 to 3, or 0 for ground")
    if any(listed[conductors:]):
        raise edit.place.error(edit.name, repr(edit.value), f"at most {conductors} nodes")
    default = [k + 1 if k < phases else 0 for k in range(conductors)]
    return name, tuple(listed[:conductors] + default[len(listed) :])


def connection(edit: Param) -> str:
    """Wye or delta, from the words that OpenDSS takes."""
    word = edit.value.lower()
    if word.startswith(("w", "y", "ln")):
        return "wye"
    if word.startswith(("d", "ll")):
        return "delta"
    raise edit.place.error("conn", repr(edit.value), "wye (y, ln) or delta (d, ll)")
