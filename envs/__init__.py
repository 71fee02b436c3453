"""Environments: resources and tasks on a feeder, behind the usual interfaces."""

from __future__ import annotations

from ..cases.profiles import Calendar, Duration, TimeSeries
from .blocks import (
    ArrayBlock,
    Block,
    BlockContext,
    BlockView,
    ForecastWindow,
    LoadForecast,
    PriceForecast,
    PVForecast,
    SeriesBlock,
)
from .core.action_spaces import ActionSpace, Continuous, Discrete, Hybrid, MultiDiscrete
from .core.codecs import ActionCodec
from .core.forecasts import Forecaster, ForecastError, Forecasts
from .core.graph_layout import GraphLayout
from .core.load_source import LoadSource, ProfileLoad, SeriesLoad
from .core.meters import Meter
from .core.options import EnvOptions
from .dist import DistGridEnv
from .dist3 import DistGrid3PhaseEnv
from .graph import GraphObservation
from .resources import (
    EV,
    PV,
    Battery,
    CapacitorBank,
    ChargingSession,
    Entry,
    Exogenous,
    Fleet,
    Resource,
    ResourceSpec,
    TapChanger,
)
from .sb3 import sb3_vec_env
from .tasks import DataTask, LossMinimisation, Quantity, Task, Term, VoltVar, VoltVar3
from .vector import DistGridVectorEnv
from .vector3 import DistGrid3PhaseVectorEnv
from .wrappers import CostWrapper, MOWrapper, VectorCostWrapper

__all__ = [
    "EV",
    "PV",
    "ActionCodec",
    "ActionSpace",
    "ArrayBlock",
    "Battery",
    "Block",
    "BlockContext",
    "BlockView",
    "Calendar",
    "CapacitorBank",
    "ChargingSession",
    "Continuous",
    "CostWrapper",
    "DataTask",
    "Discrete",
    "DistGrid3PhaseEnv",
    "DistGrid3PhaseVectorEnv",
    "DistGridEnv",
    "DistGridVectorEnv",
    "Duration",
    "Entry",
    "EnvOptions",
    "Exogenous",
    "Fleet",
    "ForecastError",
    "ForecastWindow",
    "Forecaster",
    "Forecasts",
    "GraphLayout",
    "GraphObservation",
    "Hybrid",
    "LoadForecast",
    "LoadSource",
    "LossMinimisation",
    "MOWrapper",
    "Meter",
    "MultiDiscrete",
    "PVForecast",
    "PriceForecast",
    "ProfileLoad",
    "Quantity",
    "Resource",
    "ResourceSpec",
    "SeriesBlock",
    "SeriesLoad",
    "TapChanger",
    "Task",
    "Term",
    "TimeSeries",
    "VectorCostWrapper",
    "VoltVar",
    "VoltVar3",
    "sb3_vec_env",
]
