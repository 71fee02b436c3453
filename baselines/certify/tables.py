"""What certificates are: the columns of the tables."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from ..jobs.unit_tables import NUMBER, TEXT, schema
from ..optimal.affine import FloatArray

_WHOLE = pa.int64()

#: ``seed`` is null where a day is the same whatever the seed; ``bound`` and ``gap`` where none is proved.
CERTIFICATES = schema(
    ("day", _WHOLE, ""), ("seed", _WHOLE, ""), ("do_nothing", NUMBER, "reward"), ("best_rule", TEXT, ""),
    ("best_rule_return", NUMBER, "reward"), ("best_known", NUMBER, "reward"), ("found_by", TEXT, ""),
    ("bound", NUMBER, "reward"), ("gap", NUMBER, "of best known - do nothing"),
)  # fmt: skip
PLANS = schema(("day", _WHOLE, ""), ("step", _WHOLE, ""), ("dimension", TEXT, ""), ("action", NUMBER, ""))


def plan_table(day: int, names: list[str], actions: FloatArray) -> pa.Table:
    """The plan (steps, n_actions) of a day as rows of `PLANS`."""
    steps, n = actions.shape
    return pa.table(
        {
            "day": np.full(steps * n, day), "step": np.repeat(np.arange(steps), n),
            "dimension": names * steps, "action": actions.astype(np.float32).astype(float).ravel(),
        },
        schema=PLANS,
    )  # fmt: skip
