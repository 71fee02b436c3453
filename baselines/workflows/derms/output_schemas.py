"""The tables of every `derms` verb: what `docs/schemas/derms_output.json` publishes."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from . import dispatch_job, envelope_tables, schedule_tables, stress_tables

#: By verb, then by name of the table.
DERMS_TABLES: Mapping[str, Mapping[str, pa.Schema]] = {
    "derms envelope": envelope_tables.SCHEMAS,
    "derms schedule": schedule_tables.SCHEMAS,
    "derms stress-test": stress_tables.SCHEMAS,
    "derms dispatch": dispatch_job.SCHEMAS,
}
