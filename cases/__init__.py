"""Feeders: what they are, where they come from, and the data shipped with them.

>>> from distgrid import cases
>>> feeder = cases.load("case33bw")  # or the path of a .m or .dss file or of a folder of tables
>>> feeder.with_switch("s9-15", closed=True).topology().is_radial
False
"""

from __future__ import annotations

from . import assets as assets
from . import profiles as profiles
from .errors import CaseError as CaseError
from .errors import Problem as Problem
from .exporters.pandapower_net import to_pandapower as to_pandapower
from .importers.cim.importer import import_cim as import_cim
from .importers.matpower.importer import import_matpower as import_matpower
from .importers.opendss.importer import import_dss as import_dss
from .importers.pandapower.importer import from_pandapower as from_pandapower
from .importers.pandapower.importer import import_pandapower as import_pandapower
from .importers.psse.importer import import_psse as import_psse
from .library import load as load
from .library import names as names
from .library import public_datasets as public_datasets
from .model.feeder import Feeder as Feeder
from .model.three_phase import three_phase as three_phase
from .model.topology import IslandReport as IslandReport
from .model.topology import Topology as Topology
from .schema import TABLES as TABLES
from .schema import table as table

__all__ = [
    "TABLES",
    "CaseError",
    "Feeder",
    "IslandReport",
    "Problem",
    "Topology",
    "assets",
    "from_pandapower",
    "import_cim",
    "import_dss",
    "import_matpower",
    "import_pandapower",
    "import_psse",
    "load",
    "names",
    "profiles",
    "public_datasets",
    "table",
    "three_phase",
    "to_pandapower",
]
