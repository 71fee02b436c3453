"""Of when an observed number is: the words of `Entry.time`, which machines read, too."""

from __future__ import annotations

#: Of the interval before the decision, as measured or solved.
LAST = "last"
#: As it stands at the moment of the decision: what is stored, who is there, where a tap stands.
NOW = "now"
#: Of the interval that is decided, exactly. Only the level "oracle" shows such numbers: elsewhere `LAST`.
COMING = "coming (exact)"
#: Of the interval that is decided, and known in truth, too: the clock, day-ahead prices, announced signals.
KNOWN = "coming (known)"


def forecast(hours: float) -> str:
    """Forecast, so many hours after the last interval of which the truth is known."""
    return f"forecast +{hours:g} h"


def announced(hours: float) -> str:
    """Of an interval so many hours after the decided one, as far as it is announced."""
    return f"+{hours:g} h (as announced)"


def older(time: str, hours: float) -> str:
    """The same, shown so many hours late."""
    return f"{time} -{hours:g} h" if hours else time
