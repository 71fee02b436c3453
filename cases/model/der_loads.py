"""Rows of the loads table that stand for assets: what distributed resources give in the snapshot of a source.

An import keeps them as loads of negative power, and has the resources as assets beside the feeder. Whoever
plays the assets takes the feeder without these rows, so that no device counts twice.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Container, Mapping

import pyarrow as pa

from ..errors import CaseError, Problem
from .edit import node_loads, replaced
from .feeder import Feeder

DER_LOADS = "der_loads"  # key of Feeder.metadata: JSON object, load id to asset id


def der_loads(feeder: Feeder) -> dict[str, str]:
    """Asset of each load that stands for one.

    Raises:
        CaseError: the metadata of the feeder are damaged.
    """
    text = feeder.metadata.get(DER_LOADS, "{}")
    try:
        told = json.loads(text)
    except ValueError:
        told = None
    if not isinstance(told, dict):
        expected = "a JSON object: load id to asset id"
        raise CaseError([Problem(feeder.name, None, f"metadata {DER_LOADS}", text[:40], expected)])
    return {str(load): str(asset) for load, asset in told.items()}


def stamped(metadata: Mapping[str, str], stand_for: Mapping[str, str]) -> dict[str, str]:
    """Metadata that say which loads stand for which assets."""
    kept = {key: value for key, value in metadata.items() if key != DER_LOADS}
    return kept | ({DER_LOADS: json.dumps(dict(stand_for), ensure_ascii=False)} if stand_for else {})


def without_der_loads(feeder: Feeder, asset_ids: Container[str] | None = None) -> Feeder:
    """The feeder without the loads that stand for assets; their nodes are of type "der".

    Args:
        feeder: any; one without such loads is returned as it is.
        asset_ids: the assets that are played; None: all.
    """
    told = der_loads(feeder)
    gone = {load: asset for load, asset in told.items() if asset_ids is None or asset in asset_ids}
    if not gone:
        return feeder
    ids = feeder.column("loads", "load_id").tolist()
    loads = feeder.loads.filter(pa.array([one not in gone for one in ids]))
    at = {
        node for node, load in zip(feeder.column("loads", "node_id").tolist(), ids, strict=True)
        if load in gone
    }  # fmt: skip
    kinds = zip(feeder.column("nodes", "node_id"), feeder.column("nodes", "type"), strict=True)
    types = ["der" if node in at and kind != "source" else kind for node, kind in kinds]
    nodes = node_loads(replaced(feeder.nodes, "type", pa.array(types)), loads)
    left = {load: asset for load, asset in told.items() if load not in gone}
    return dataclasses.replace(feeder, nodes=nodes, loads=loads, metadata=stamped(feeder.metadata, left))
