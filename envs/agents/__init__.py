"""Many agents on one environment: who decides what, who sees what, and who is paid for what."""

from __future__ import annotations

from .credit import Credit, share_of
from .partitions import Partition, partition
from .table import AgentTable, Cut
from .views import SCOPES, Views, neighbourhoods
from .zones import ElectricalTree, zones_of

__all__ = [
    "SCOPES",
    "AgentTable",
    "Credit",
    "Cut",
    "ElectricalTree",
    "Partition",
    "Views",
    "neighbourhoods",
    "partition",
    "share_of",
    "zones_of",
]
