"""A band of voltages as an option."""

from __future__ import annotations

import math
from typing import Annotated, Any

from pydantic import BeforeValidator

from ..jobs.config_fields import AlsoNamed, DisplayedField


def band(value: Any) -> Any:
    """A text such as "[0.95,1.05]" as two numbers, "none" as no band at all; anything else as it is."""
    if not isinstance(value, str):
        return value
    if value.strip() == "none":
        return 0.0, math.inf
    parts = value.strip().removeprefix("[").removesuffix("]").split(",")
    try:
        low, high = (float(part) for part in parts)
    except ValueError:
        raise ValueError(
            f"{value!r} is no voltage band: expected two numbers in pu, such as [0.95,1.05]"
        ) from None
    return low, high


#: Of a field that is `--band`, too; None: nothing is said.
VoltageBand = Annotated[
    tuple[float, float] | None, BeforeValidator(band), DisplayedField("[LOW,HIGH]"), AlsoNamed("--band")
]
