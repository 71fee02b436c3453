"""What the order of commands changes in OpenDSS: copies by `like`, and edits of what is open."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from .lexer import Param
from .vocabulary import IGNORED

if TYPE_CHECKING:
    from .objects import DssObject

# What `like` does not copy: buses and `enabled` of no class, and by class what OpenDSS leaves out besides.
_NEVER = frozenset(("bus", "buses", "bus1", "bus2", "enabled"))
_BANK = frozenset(("leadlag", "%imag", "ppm_antifloat"))
NOT_COPIED: Mapping[str, frozenset[str]] = {
    "line": frozenset(),
    "load": frozenset(),
    "capacitor": frozenset(),
    "linecode": frozenset(("units",)),
    "transformer": _BANK,
    "xfmrcode": _BANK,
    "regcontrol": frozenset(("vlimit", "tapnum")),
    "capcontrol": frozenset(("delay", "delayoff", "deadtime", "vmin", "vmax")),
}
# Sources from which OpenDSS copies something else than what was said of them.
_ONLY: Mapping[str, frozenset[str]] = {
    "line": frozenset(("bus1", "bus2", "linecode", "length", "phases", "normamps", "enabled"))
    | IGNORED["line"],
}
_WITHOUT: Mapping[str, frozenset[str]] = {
    "linecode": frozenset(("rmatrix", "xmatrix", "cmatrix", "kron", "neutral")),
    "transformer": frozenset(("xfmrcode",)),
    "capacitor": frozenset(("conn", "bus2")),
    "load": frozenset(("conn",)),
}
LAST = "last winding"  # a property of our own: what a list of buses leaves behind besides the buses
# Of a line with an open terminal: what makes OpenDSS close its terminals.
RECONNECTS = frozenset(("phases", "linecode", "like"))


def copied(obj: DssObject, other: DssObject, edit: Param) -> list[Param]:
    """The edits of `obj` once it is made like another object of its class.

    Args:
        obj: what the line is about.
        other: what it is made like.
        edit: the `like` itself.

    Raises:
        CaseError: OpenDSS would copy something else than what the script says of the other object.
    """
    kind = obj.kind
    field = f"{kind}.{obj.name} like"
    if kind not in NOT_COPIED or other is obj:
        raise edit.place.error(field, edit.value, f"a {kind} that is spelled out")
    names = {given.name for given in other.edits}
    strange = (names - _ONLY[kind] if kind in _ONLY else set()) | (names & _WITHOUT.get(kind, frozenset()))
    if strange:
        expected = (
            f"a {kind} without {', '.join(sorted(strange))}, which OpenDSS copies only in part; spell it out"
        )
        raise edit.place.error(field, edit.value, expected)
    left = NOT_COPIED[kind] | _NEVER
    own = [
        given for given in obj.edits if given.name in left | IGNORED[kind] | {"basefreq"} and not _off(given)
    ]
    if len(own) < len(obj.edits):
        raise edit.place.error(
            field, edit.value, "like= in front of all other properties, which it overrides"
        )
    model = [given._replace(name=LAST) if given.name == "buses" else given for given in other.edits]
    return own + [given for given in model if given.name not in left]


def _off(edit: Param) -> bool:
    """Whether it takes the object out; a copy takes part, whatever was said before."""
    return edit.name == "enabled" and edit.value[:1].lower() not in ("y", "t")
