"""The names of the baselines, and the door that makes one for an environment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from ..envs.resources.hosting import HostingProgram
from ..physics import Network3
from .errors import RunError, unknown
from .learned.policy_file import read_policy
from .learned.shipped import algorithm_of, find_shipped
from .learned.trained import Trained, path_of
from .policy import AnyEnv, Policy, scenario_of
from .scripted.catalogue import SCRIPTED, Factory
from .scripted.hosting_plan import PlannedSites

# What plans is imported where somebody asks for it: it is most of the policies' code, and few runs play it.


def _optimal(env: AnyEnv) -> Policy:
    """Of sites that apply the largest total; else the relaxation's plan, where it covers the environment."""
    from .optimal.policy import Optimal

    sites = scenario_of(env).fleet.units(HostingProgram.kind)
    return PlannedSites(env) if sites else Optimal(env)


def _schedule_optimal(env: AnyEnv) -> Policy:
    """Days of devices with energy, balanced or per phase."""
    from .optimal.schedule_policy import ScheduleOptimal

    return ScheduleOptimal(env)


def _mpc(env: AnyEnv) -> Policy:
    """Where a plan covers feeder, devices and reward."""
    from .optimal.mpc import OnForecasts
    from .optimal.phase_mpc import OnForecastsPerPhase

    return OnForecastsPerPhase(env) if _per_phase(env) else OnForecasts(env)


def _mpc_perfect(env: AnyEnv) -> Policy:
    from .optimal.mpc import PerfectForesight
    from .optimal.phase_mpc import PerfectForesightPerPhase

    return PerfectForesightPerPhase(env) if _per_phase(env) else PerfectForesight(env)


def _vvo_optimal(env: AnyEnv) -> Policy:
    """Every interval by itself, its loads known."""
    from .optimal.volt_var.policies import VoltVarOptimal

    return VoltVarOptimal(env)


def _vvo_plan(env: AnyEnv) -> Policy:
    """Settings looked up by load and sun."""
    from .optimal.volt_var.policies import VoltVarTable

    return VoltVarTable(env)


def _per_phase(env: AnyEnv) -> bool:
    return isinstance(scenario_of(env).network, Network3)


def _catalogue() -> Mapping[str, Factory]:
    table: dict[str, Factory] = {
        **SCRIPTED,
        "optimal": _optimal,
        "schedule-optimal": _schedule_optimal,
        "mpc": _mpc,
        "mpc-perfect": _mpc_perfect,
        "vvo-optimal": _vvo_optimal,
        "vvo-plan": _vvo_plan,
    }
    return MappingProxyType(table)


CATALOGUE: Mapping[str, Factory] = _catalogue()


def names() -> tuple[str, ...]:
    """Names of the shipped policies, in the order in which the documentation lists them."""
    return tuple(CATALOGUE)


def fitting(env: AnyEnv) -> tuple[str, ...]:
    """Names of the policies that have something to control on `env`, in the order of `names`.

    Variants of a rule with other settings, such as "volt-var-ieee1547-a", are left to those who ask for them.
    """
    basic = [name for name in CATALOGUE if name.rpartition("-")[0] not in CATALOGUE]
    return tuple(name for name in basic if _fits(name, env))


#: Contenders of their own, those that solve power flows or programs ahead, and a second name of one rule.
NO_RULES = (
    "do-nothing", "random", "host-sweep", "host-bisection", "optimal", "schedule-optimal", "mpc",
    "mpc-perfect", "vvo-optimal", "vvo-plan", "regulator-local",
)  # fmt: skip


def rules_among(found: Iterable[str]) -> tuple[str, ...]:
    """Those of some names that are rules, in their order: what the best rule of a day is chosen from."""
    return tuple(name for name in found if name not in NO_RULES)


def _fits(name: str, env: AnyEnv) -> bool:
    try:
        make(name, env)
    except RunError:
        return False
    return True


def check_name(name: str) -> str:
    """`name` itself when it is in the catalogue, "learned:…", or "file:PATH" of a policy file that is there.

    RunError with the nearest name otherwise.
    """
    path = path_of(name)
    if path is not None:
        read_policy(path)
    elif algorithm_of(name) is None and name not in CATALOGUE:
        raise unknown("policy", name, CATALOGUE)
    return name


def make(name: str, env: AnyEnv) -> Policy:
    """Make the policy `name` for `env` (wrapped or not; a vector environment gives a policy for batches).

    "file:PATH" makes the trained policy of a file (`distgrid train` leaves some), "learned:ppo" one that is
    shipped for this environment.

    RunError (a ValueError) for an unknown name, with the nearest one, and for an environment on which the
    policy would have nothing to control; for a file that is none, or of another environment.
    """
    path = path_of(name)
    if path is not None:
        return Trained(env, path)
    algorithm = algorithm_of(name)
    if algorithm is not None:
        return Trained(env, find_shipped(algorithm, scenario_of(env)), name)
    return CATALOGUE[check_name(name)](env)
