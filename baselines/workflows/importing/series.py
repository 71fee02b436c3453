"""Time series of a source as the load of an environment, and as a table that commands read."""

from __future__ import annotations

import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa

from ....cases import Feeder
from ....cases.assets import LoadTable
from ....cases.assets.schema import LOADS
from ....cases.assets.stamps import stamps_of
from ....cases.importers.reading import Profiles
from ....cases.profiles import Calendar
from ....cases.storage.folder import write_table
from ....envs import SeriesLoad
from ....envs.configuration.asset_fleet.making import series_load
from ...jobs.files import write_atomic

SUFFIX = ".loads.parquet"  # behind the name of the feeder's folder
WITHOUT_DER = ".loads_without_der.parquet"


def series_of(feeder: Feeder, profiles: Profiles) -> SeriesLoad:
    """The load of an environment.

    Args:
        feeder: balanced, or per-phase.
        profiles: series of some or all of its nodes, balanced, others keep their nominal load; of all points
            of a per-phase feeder.
    """
    if feeder.phases != "balanced":
        own = _own(feeder, profiles)
        return series_load(
            feeder,
            LoadTable(
                _calendar(profiles), tuple(profiles.node_ids[k] for k in own),
                tuple(profiles.phases[k] for k in own), profiles.p_mw[:, own], profiles.q_mvar[:, own],
                "series",
            ),
        )  # fmt: skip
    shape = (len(profiles.p_mw), 1)
    p_mw = np.tile(feeder.column("nodes", "load_p_mw"), shape)
    q_mvar = np.tile(feeder.column("nodes", "load_q_mvar"), shape)
    from_ = _own(feeder, profiles)
    to = [feeder.node_index[profiles.node_ids[k]] for k in from_]
    p_mw[:, to], q_mvar[:, to] = profiles.p_mw[:, from_], profiles.q_mvar[:, from_]
    return SeriesLoad(feeder, p_mw, q_mvar, _calendar(profiles))


def write_series(feeder: Feeder, profiles: Profiles, folder: Path, suffix: str = SUFFIX) -> Path:
    """Write the series of a feeder beside its folder, as `distgrid.cases.assets.read_loads` reads them.

    Returns:
        The file, `FOLDER.loads.parquet`, or with another suffix; it is written whole or not at all.
    """
    own = _own(feeder, profiles)
    n_steps, stamps = len(profiles.p_mw), stamps_of(_calendar(profiles))
    nodes = [profiles.node_ids[k] for k in own]
    phases = [profiles.phases[k] if profiles.phases else None for k in own]
    data = pa.table(
        {
            "ts": pa.array(np.tile(stamps, len(own)), LOADS.field("ts").type),
            "bus_id": pa.array(np.repeat(nodes, n_steps), pa.string()),
            "phase": pa.array(np.repeat(np.array(phases, dtype=object), n_steps), pa.string()),
            "p_mw": profiles.p_mw[:, own].T.reshape(-1), "q_mvar": profiles.q_mvar[:, own].T.reshape(-1),
        },
        schema=LOADS,
    )  # fmt: skip
    path = folder.with_name(f"{folder.name}{suffix}")
    written = pa.BufferOutputStream()
    write_table(data, written)
    write_atomic(path, written.getvalue().to_pybytes())
    return path


def _own(feeder: Feeder, profiles: Profiles) -> list[int]:
    """Columns of nodes that the feeder has."""
    return [k for k, node in enumerate(profiles.node_ids) if node in feeder.node_index]


def _calendar(profiles: Profiles) -> Calendar:
    start = datetime.datetime.fromisoformat(profiles.start)
    return Calendar(start, profiles.dt_h, len(profiles.p_mw))
