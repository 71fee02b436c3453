"""Load shapes of OpenDSS: left out, but for those that set the power of the loads which follow them."""

from __future__ import annotations

from .lexer import Param
from .objects import DssObject

# The properties of a load shape, in OpenDSS's order.
SHAPE = tuple(
    "npts interval mult hour mean stddev csvfile sngfile dblfile action qmult useactual pmax qmax "
    "sinterval minterval pbase qbase pmult pqcsvfile memorymapping interpolation like".split()
)
SHAPED = ("yearly", "daily", "duty")


class Shapes:
    """Which load shapes hold kW instead of multipliers, as far as a script has been read."""

    def __init__(self) -> None:
        self.actual: set[str] = set()
        self.last = ("", "")  # the object that a line may go on with; of any class that is left out

    def say(self, kind: str, name: str, params: list[Param]) -> None:
        """What a line says of an object of a class that is left out."""
        self.last = (kind, name)
        if kind != "loadshape":
            return
        at = -1
        for param in params:
            names = [word for word in SHAPE if word.startswith(param.name)] if param.name else []
            at = SHAPE.index(names[0]) if names else at + 1 if not param.name else len(SHAPE)
            word = SHAPE[at] if at < len(SHAPE) else ""
            actual = word == "useactual" and param.value[:1].lower() in ("y", "t")
            if actual or (word == "like" and param.value.lower() in self.actual):
                self.actual.add(name)

    def more(self, params: list[Param]) -> None:
        """What the next line says of the same object."""
        self.say(*self.last, params)

    def check(self, obj: DssObject, name: str, param: Param) -> None:
        """Raise where a load takes its power from a shape."""
        if name in SHAPED and param.value.lower() in self.actual:
            expected = "a load shape of multipliers (useactual=no): one of kW sets the power of the load"
            raise param.place.error(f"{obj.kind}.{obj.name} {name}", param.value, expected)
