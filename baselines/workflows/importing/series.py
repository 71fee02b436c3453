"""Time series of a source as the load of an environment, and as a table that commands read."""

from __future__ import annotations

import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa

from ....cases import Feeder
from ....cases.assets.schema import LOADS
from ....cases.assets.stamps import stamps_of
from ....cases.importers.reading import Profiles
from ....cases.profiles import Calendar
from ....cases.storage.folder import write_table
from ....envs import SeriesLoad
from ...jobs.files import write_atomic

SUFFIX = ".loads.parquet"  # behind the name of the feeder's folder


def series_of(feeder: Feeder, profiles: Profiles) -> SeriesLoad:
    """The load of an environment.

    Args:
        feeder: a balanced feeder.
        profiles: series of some or all of its nodes; others keep their nominal load.
    """
    shape = (len(profiles.p_mw), 1)
    p_mw = np.tile(feeder.column("nodes", "load_p_mw"), shape)
    q_mvar = np.tile(feeder.column("nodes", "load_q_mvar"), shape)
    own = [
        (k, feeder.node_index[node]) for k, node in enumerate(profiles.node_ids) if node in feeder.node_index
    ]
    from_, to = np.array(own, dtype=np.intp).reshape(-1, 2).T
    p_mw[:, to], q_mvar[:, to] = profiles.p_mw[:, from_], profiles.q_mvar[:, from_]
    return SeriesLoad(feeder, p_mw, q_mvar, _calendar(profiles))


def write_series(feeder: Feeder, profiles: Profiles, folder: Path) -> Path:
    """Write the series of a feeder beside its folder, as `distgrid.cases.assets.read_loads` reads them.

    Returns:
        The file, `FOLDER.loads.parquet`; it is written whole or not at all.
    """
    own = [k for k, node in enumerate(profiles.node_ids) if node in feeder.node_index]
    n_steps, stamps = len(profiles.p_mw), stamps_of(_calendar(profiles))
    nodes = [profiles.node_ids[k] for k in own]
    data = pa.table(
        {
            "ts": pa.array(np.tile(stamps, len(own)), LOADS.field("ts").type),
            "bus_id": pa.array(np.repeat(nodes, n_steps), pa.string()),
            "phase": pa.nulls(n_steps * len(own), pa.string()),
            "p_mw": profiles.p_mw[:, own].T.reshape(-1), "q_mvar": profiles.q_mvar[:, own].T.reshape(-1),
        },
        schema=LOADS,
    )  # fmt: skip
    path = folder.with_name(f"{folder.name}{SUFFIX}")
    written = pa.BufferOutputStream()
    write_table(data, written)
    write_atomic(path, written.getvalue().to_pybytes())
    return path


def _calendar(profiles: Profiles) -> Calendar:
    start = datetime.datetime.fromisoformat(profiles.start)
    return Calendar(start, profiles.dt_h, len(profiles.p_mw))
