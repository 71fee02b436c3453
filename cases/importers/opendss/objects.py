"""What a script says: its objects and their values, before anything is made of them."""

from __future__ import annotations

from dataclasses import dataclass, field

from ...errors import CaseError
from .lexer import Param, Place, flag


@dataclass
class DssObject:
    """One object of a circuit: the values given to its properties, in the order in which they were given."""

    kind: str
    name: str
    place: Place
    edits: list[Param] = field(default_factory=list)
    opened: dict[int, Place] = field(default_factory=dict)  # terminals that are open
    order: int = 0  # of the command that made it
    copies: list[tuple[str, int]] = field(default_factory=list)  # what it was made like, in which commands

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
    objects: dict[tuple[str, str], DssObject] = field(default_factory=dict)
    coordinates: dict[str, tuple[float, float]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    builds: list[int] = field(default_factory=list)  # orders of the commands that made OpenDSS build matrices

    def of(self, *kinds: str) -> list[DssObject]:
        """The objects of these kinds that take part, in the order of their definition."""
        return [obj for obj in self.objects.values() if obj.kind in kinds and obj.enabled]
