"""The tables of every `dist` verb: what `docs/schemas/dist_output.json` publishes."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from . import (
    connect_job,
    controls,
    featurize,
    hosting_tables,
    opf_tables,
    pf_balanced,
    pf_phases,
    sensitivity,
)

_PF_TABLES = ("buses", "branches", "losses", "violations", "voltages", "flows")

#: By verb, and the form of the feeder where tables differ, then by name of the table.
DIST_TABLES: Mapping[str, Mapping[str, pa.Schema]] = {
    "dist pf": {name: getattr(pf_balanced, name.upper()) for name in _PF_TABLES[:4]},
    "dist pf, per phase": {name: getattr(pf_phases, name.upper()) for name in _PF_TABLES},
    "dist controls": {"taps": controls.TAPS, "banks": controls.BANKS, "actions": controls.ACTIONS},
    "dist sensitivities": {
        "sensitivities_buses": sensitivity.BUSES, "sensitivities_voltages": sensitivity.VOLTAGES,
        "sensitivities_currents": sensitivity.CURRENTS,
    },
    "dist opf": opf_tables.SCHEMAS,
    "dist hostcap": {
        "hostcap_summary": hosting_tables.SUMMARY, "hostcap_detail": hosting_tables.DETAIL,
        "hostcap_curve": hosting_tables.CURVE,
    },
    "dist connect": {"connect": connect_job.CONNECT},
    "dist featurize": {
        "graphs": featurize.GRAPHS, "nodes": featurize.node_schema(per_phase=False), "edges": featurize.EDGES
    },
    "dist featurize, per phase": {
        "graphs": featurize.GRAPHS, "nodes": featurize.node_schema(per_phase=True), "edges": featurize.EDGES
    },
}  # fmt: skip
