"""Environments: resources and tasks on a feeder, behind the usual interfaces."""

from __future__ import annotations

from ..cases.profiles import Calendar, Duration, TimeSeries
from .blocks import (
    ArrayBlock,
    Block,
    BlockContext,
    BlockView,
    EnergyBalance,
    EpisodeLeft,
    ForecastWindow,
    LoadForecast,
    OutdoorForecast,
    PeakImport,
    PriceForecast,
    PVForecast,
    RandomisedFactors,
    SeriesBlock,
    Setpoint,
    SettlementPrices,
    WindForecast,
)
from .configuration.asset_fleet.files import write_options_and_assets
from .configuration.asset_fleet.making import options_from_assets, shipped_asset_options
from .configuration.asset_fleet.reading import fleet_from_assets
from .configuration.asset_fleet.writing import assets_of
from .configuration.description import describe
from .configuration.env_file import options_from_dict, options_to_dict, read_options, write_options
from .configuration.making import load_env, load_vector_env, make_env, make_vector_env
from .configuration.text_files import ConfigError
from .core.action_spaces import ActionSpace, Continuous, Discrete, Hybrid, MultiDiscrete
from .core.codecs import ActionCodec
from .core.forecasts import Forecaster, ForecastError, Forecasts
from .core.graph_layout import GraphLayout
from .core.load_source import LoadSource, ProfileLoad, SeriesLoad
from .core.meters import Meter
from .core.options import EnvOptions
from .core.randomise import Randomisation, SwitchStates
from .dist import DistGridEnv
from .dist3 import DistGrid3PhaseEnv
from .graph import GraphObservation
from .many_agents import aec_env, parallel_env, parallel_vec, register_agents
from .parallel import ParallelVec
from .resources import (
    EV,
    PV,
    Battery,
    CapacitorBank,
    ChargingSession,
    CycleAgeing,
    DataCenter,
    Entry,
    Exogenous,
    Fleet,
    FlexibleLoad,
    Generator,
    HeatPump,
    HostingSite,
    InverterFunctions,
    Resource,
    ResourceSpec,
    SettlingResource,
    SoftOpenPoint,
    TapChanger,
    VoltVarCurve,
    VoltWattCurve,
    WattVarCurve,
    Wind,
)
from .sb3 import sb3_vec_env
from .tasks import (
    DataTask,
    DERDispatch,
    DispatchSignal,
    EVCharging,
    HostingCapacity,
    LossMinimisation,
    MoneyTask,
    PeakShaving,
    Quantity,
    SetpointTracking,
    Task,
    Term,
    VoltVar,
    VoltVar3,
)
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
    "ConfigError",
    "Continuous",
    "CostWrapper",
    "CycleAgeing",
    "DERDispatch",
    "DataCenter",
    "DataTask",
    "Discrete",
    "DispatchSignal",
    "DistGrid3PhaseEnv",
    "DistGrid3PhaseVectorEnv",
    "DistGridEnv",
    "DistGridVectorEnv",
    "Duration",
    "EVCharging",
    "EnergyBalance",
    "Entry",
    "EnvOptions",
    "EpisodeLeft",
    "Exogenous",
    "Fleet",
    "FlexibleLoad",
    "ForecastError",
    "ForecastWindow",
    "Forecaster",
    "Forecasts",
    "Generator",
    "GraphLayout",
    "GraphObservation",
    "HeatPump",
    "HostingCapacity",
    "HostingSite",
    "Hybrid",
    "InverterFunctions",
    "LoadForecast",
    "LoadSource",
    "LossMinimisation",
    "MOWrapper",
    "Meter",
    "MoneyTask",
    "MultiDiscrete",
    "OutdoorForecast",
    "PVForecast",
    "ParallelVec",
    "PeakImport",
    "PeakShaving",
    "PriceForecast",
    "ProfileLoad",
    "Quantity",
    "Randomisation",
    "RandomisedFactors",
    "Resource",
    "ResourceSpec",
    "SeriesBlock",
    "SeriesLoad",
    "Setpoint",
    "SetpointTracking",
    "SettlementPrices",
    "SettlingResource",
    "SoftOpenPoint",
    "SwitchStates",
    "TapChanger",
    "Task",
    "Term",
    "TimeSeries",
    "VectorCostWrapper",
    "VoltVar",
    "VoltVar3",
    "VoltVarCurve",
    "VoltWattCurve",
    "WattVarCurve",
    "Wind",
    "WindForecast",
    "aec_env",
    "assets_of",
    "describe",
    "fleet_from_assets",
    "load_env",
    "load_vector_env",
    "make_env",
    "make_vector_env",
    "options_from_assets",
    "options_from_dict",
    "options_to_dict",
    "parallel_env",
    "parallel_vec",
    "read_options",
    "register_agents",
    "sb3_vec_env",
    "shipped_asset_options",
    "write_options",
    "write_options_and_assets",
]
