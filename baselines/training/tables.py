"""What trainings leave: the columns of the tables."""

from __future__ import annotations

import pyarrow as pa

from ..jobs.unit_tables import NUMBER, TEXT, schema

_WHOLE = pa.int64()

#: A row for each time that the days of val were played; `train_return` is of episodes with actions drawn.
CURVE = schema(
    ("algo", TEXT, ""), ("seed", _WHOLE, ""), ("steps", _WHOLE, ""), ("train_return", NUMBER, "reward"),
    ("val_return", NUMBER, "reward"), ("val_do_nothing", NUMBER, "reward"),
)  # fmt: skip
#: A row for each day of val and test at the end; the score is null where there is no certificate.
EPISODES = schema(
    ("algo", TEXT, ""), ("seed", _WHOLE, ""), ("split", TEXT, ""), ("episode", _WHOLE, ""),
    ("day", _WHOLE, ""), ("return", NUMBER, "reward"), ("do_nothing", NUMBER, "reward"),
    ("normalised_score", NUMBER, ""),
)  # fmt: skip
#: The policy files of seeds that have ended, in base64; kept in parts alone.
FILES = schema(("seed", _WHOLE, ""), ("content", TEXT, ""))
