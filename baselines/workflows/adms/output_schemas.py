"""The tables of every `adms` verb: what `docs/schemas/adms_output.json` publishes."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from .vvo_tables import SCHEMAS

#: By verb, then by name of the table.
ADMS_TABLES: Mapping[str, Mapping[str, pa.Schema]] = {"adms vvo-plan": SCHEMAS}
