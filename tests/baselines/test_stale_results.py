"""What was kept under a name is not taken for what bears that name now: identity is content."""

from __future__ import annotations

import functools
import subprocess
import sys
import threading
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

from distgrid import baselines, cases
from distgrid.baselines.errors import RunError, RunWarning
from distgrid.baselines.jobs.identity import parts_of
from distgrid.cases.profiles import Calendar, Duration
from distgrid.envs import PV, DistGridEnv, SeriesLoad, VoltVar
from distgrid.envs.core.load_source import LoadSource
from distgrid.envs.resources import Entry, Resource

from .test_identity import digest

Env = Callable[[], gymnasium.Env[Any, Any]]


def make_env(**changes: Any) -> DistGridEnv:
    options: dict[str, Any] = {
        "resources": (PV(18, 1.0),),
        "task": VoltVar(episode=Duration(hours=3 / 4)),
        "split": "test",
    }
    return DistGridEnv("case33bw", **{**options, **changes})


def play(out: Path, policy: Any = "do-nothing", env: Env = make_env, **options: Any) -> baselines.RunResult:
    options = {"progress": False, "report": False, "chunk_episodes": 1, **options}
    return baselines.rollout(env, policy, 2, out=out, **options)


class Linear(baselines.Policy):
    """An own policy as people write them: weights, and no config."""

    name = "mine"

    def __init__(self, weight: float, **more: Any) -> None:
        self.weights = np.full((1, 3), weight)
        self.__dict__.update(more)

    def reset(self, obs: Any, info: Any) -> None:
        pass

    def act(self, obs: Any, info: Any) -> Any:
        return np.full(1, np.tanh(self.weights.sum()), dtype=np.float32)


def source_of(text: str, name: str, **names: Any) -> Any:
    """What `text` defines as `name`, in a module of its own: code as a user edits it."""
    module = types.ModuleType("users_code")
    module.__dict__.update(names)
    exec(compile(text, "users_code.py", "exec"), module.__dict__)  # noqa: S102 - the text is of this test
    return module.__dict__[name]


POLICY = """
GAIN = 1.0
def scaled(x):
    return GAIN * x
class Edited(Policy):
    name = "edited"
    limit = 0.5
    def reset(self, obs, info):
        pass
    def act(self, obs, info):
        # the action
        return np.full(1, min(self.limit, scaled(0.3)), dtype=np.float32)
"""


def edited(*change: str) -> baselines.Policy:
    text = POLICY.replace(change[0], change[1]) if change else POLICY
    assert change == () or text != POLICY
    made: baselines.Policy = source_of(text, "Edited", Policy=baselines.Policy, np=np)()
    return made


def test_a_retrained_policy_is_another_run(tmp_path: Path) -> None:
    """Trap 39: the same class and name, other weights; the old tables stay, and are not handed out."""
    first = play(tmp_path / "out", Linear(0.1))
    with pytest.raises(RunError, match=r"policy mine, weights: \w+ in the folder, \w+ asked for"):
        play(tmp_path / "out", Linear(0.2))
    assert play(tmp_path / "out", Linear(0.1)).computed == 0
    fresh = play(tmp_path / "out", Linear(0.2), fresh=True)
    assert not fresh.steps.equals(first.steps)


@pytest.mark.parametrize(
    "change",
    [
        ("0.3", "0.4"),  # in the method
        ("GAIN * x", "GAIN + x"),  # in a function that it calls
        ("GAIN = 1.0", "GAIN = 2.0"),  # in a constant that the function reads
        ("limit = 0.5", "limit = 0.2"),  # in a constant of the class
        ("pass", "self.limit = 0.1"),
    ],
    ids=["method", "function", "constant", "class", "reset"],
)
def test_edited_code_is_another_run(change: tuple[str, str], tmp_path: Path) -> None:
    """Trap 39: however far from `act` it is."""
    play(tmp_path / "out", edited())
    with pytest.raises(RunError, match="policy edited, class"):
        play(tmp_path / "out", edited(*change))


def test_comments_and_places_do_not_count(tmp_path: Path) -> None:
    """The same code further down, with another comment, is the same run."""
    play(tmp_path / "out", edited())
    assert play(tmp_path / "out", edited("# the action", "# something\n\n")).computed == 0


def test_code_of_no_module_is_code(tmp_path: Path) -> None:
    """As `exec` makes it: what says that it is of an installed module has to stand there."""
    for module in ("builtins", "numpy", "distgrid.envs.dist"):
        policies = [edited(), edited("0.3", "0.4")]
        for policy in policies:
            type(policy).__module__ = module
        assert parts_of(policies[0])[0]["class"] != parts_of(policies[1])[0]["class"]


class Heater(Resource):
    """An own device: draws `draw_mw` all day."""

    kind = "heater"

    def __init__(self, draw_mw: float) -> None:
        super().__init__((5,), s_mva=2.0, actions=("p",), observations=(Entry("on", "1", 0.0, 1.0),))
        self.draw_mw = draw_mw

    def advance(self, action: Any, exo: Any) -> None:
        self.current_p_mw[:] = -self.draw_mw

    def observe(self, t_index: Any, out: Any) -> None:
        out[:] = 1.0


def test_an_own_resource_with_another_parameter_is_another_run(tmp_path: Path) -> None:
    """Trap 39: its repr says nothing of the parameter."""
    play(tmp_path / "out", env=lambda: make_env(resources=(Heater(0.1),)))
    with pytest.raises(RunError, match="input resource 1, Heater"):
        play(tmp_path / "out", env=lambda: make_env(resources=(Heater(0.2),)))
    assert play(tmp_path / "out", env=lambda: make_env(resources=(Heater(0.1),))).computed == 0


TASK = """
class Priced(VoltVar):
    def terms(self, view):
        return {name: 2.0 * value for name, value in super().terms(view).items()}
"""


def test_an_own_task_with_edited_code_is_another_run(tmp_path: Path) -> None:
    """Trap 39: equal arguments, another method."""

    def env(text: str) -> Env:
        task = source_of(text, "Priced", VoltVar=VoltVar)
        return lambda: make_env(task=task(episode=Duration(hours=3 / 4)))

    play(tmp_path / "out", env=env(TASK))
    assert play(tmp_path / "out", env=env(TASK)).computed == 0
    with pytest.raises(RunError, match="input task"):
        play(tmp_path / "out", env=env(TASK.replace("2.0", "3.0")))


class Flat(LoadSource):
    """An own source of loads that holds no series."""

    calendar = Calendar("2016-01-01", 0.25, 96 * 365)
    active_mw = None
    reactive_mvar = None

    def __init__(self, level: float) -> None:
        self.level = level
        self.s_max_mva = np.full(33, 1.0)

    def fill(self, t_index: Any, p_mw: Any, q_mvar: Any) -> None:
        p_mw[:], q_mvar[:] = self.level, 0.0


def test_own_loads_are_content(tmp_path: Path) -> None:
    """Of a series, and of a source that computes them."""
    feeder = cases.load("case33bw")

    def series(last: float) -> Env:
        p = np.full((96, 33), 0.05)
        p[-1, -1] = last
        return lambda: make_env(load=SeriesLoad(feeder, p), split=None)

    def flat(p_mw: float) -> Env:
        return lambda: make_env(load=Flat(p_mw), split=None)

    for one, other in ((series(0.05), series(0.06)), (flat(0.05), flat(0.06))):
        out = tmp_path / str(len(list(tmp_path.iterdir())))
        play(out, env=one)
        assert play(out, env=one).computed == 0
        with pytest.raises(RunError, match="input loads"):
            play(out, env=other)


class Scaled(gymnasium.Wrapper[Any, Any, Any, Any]):
    """An own wrapper with a parameter."""

    def __init__(self, env: Any, factor: float) -> None:
        super().__init__(env)
        self.factor = factor

    def step(self, action: Any) -> Any:
        return self.env.step(np.asarray(action) * self.factor)


class Derated(DistGridEnv):
    """An own environment with a parameter."""

    def __init__(self, *args: Any, derating: float, **options: Any) -> None:
        super().__init__(*args, **options)
        self.derating = derating

    def step(self, action: Any) -> Any:
        return super().step(np.asarray(action) * self.derating)


def test_wrappers_and_subclasses_are_content(tmp_path: Path) -> None:
    """What stands between policy and environment decides the tables, too."""
    play(tmp_path / "wrapped", env=lambda: Scaled(make_env(), 1.0))
    with pytest.raises(RunError, match="input wrapper 1, Scaled"):
        play(tmp_path / "wrapped", env=lambda: Scaled(make_env(), 0.5))
    make = functools.partial(
        Derated, "case33bw", (PV(18, 1.0),), VoltVar(episode=Duration(hours=3 / 4)), "test"
    )
    play(tmp_path / "own", env=functools.partial(make, derating=1.0))
    with pytest.raises(RunError, match="input class Derated"):
        play(tmp_path / "own", env=functools.partial(make, derating=0.5))


def test_what_cannot_be_known_is_played_anew_and_said(tmp_path: Path) -> None:
    """Trap 39: no hash can be made of a lock or a generator that nothing sets; the reason names them."""
    unknowable = Linear(0.1, guard=threading.Lock())
    first = play(tmp_path / "out", unknowable)
    (told,) = first.manifest.unknown
    assert told.startswith("policy mine: guard is a _thread.lock, which cannot be seen into")
    unknowable.weights += 1.0  # known to be another run, whatever the lock is
    with pytest.raises(RunError, match="policy mine, weights"):
        play(tmp_path / "out", unknowable)
    unknowable.weights[:] = 0.1
    with pytest.warns(RunWarning, match=r"2 finished chunks are played anew.*guard is a _thread\.lock"):
        again = play(tmp_path / "out", unknowable)
    assert (again.skipped, again.computed) == (0, 2)
    assert again.steps.equals(first.steps)
    drawing = Linear(0.1, rng=np.random.default_rng())
    assert parts_of(drawing)[1] == ["policy mine: rng is a Generator that no seed() sets"]


def test_what_an_episode_writes_can_be_named(tmp_path: Path) -> None:
    """`transient` attributes are no content: the same policy again, after it has played."""

    class Counts(Linear):
        transient = ("steps",)
        steps = 0

        def act(self, obs: Any, info: Any) -> Any:
            self.steps += 1
            return super().act(obs, info)

    policy = Counts(0.1)
    play(tmp_path / "out", policy)
    assert policy.steps == 6
    assert play(tmp_path / "out", policy).computed == 0


#: Rules for devices that the environment of this module has not.
ELSEWHERE = (
    "ev-", "local-control", "regulator-local", "battery-price", "peak-shave", "track-setpoint", "host-",
    "self-consumption", "schedule-optimal",
)  # fmt: skip


@pytest.mark.quick(9)
@pytest.mark.parametrize("name", [n for n in baselines.names() if not n.startswith(ELSEWHERE)])
def test_shipped_policies_are_the_same_after_playing(name: str) -> None:
    """Nothing of an episode is taken for a parameter, and nothing of them is unknown."""
    env = make_env()
    policy = baselines.make(name, env)
    before = parts_of(policy)
    policy.seed(3)
    obs, info = env.reset(seed=3)
    policy.reset(obs, info)
    policy.act(obs, info)
    assert parts_of(policy) == before == parts_of(baselines.make(name, env))
    assert before[1] == []


_ANOTHER_PROCESS = """
import sys
sys.path.insert(0, sys.argv[1])
from mortal import Mortal, make_env
from distgrid.baselines.rollouts.env_content import content_of
from distgrid.baselines.jobs.identity import parts_of
print(parts_of(Mortal()), content_of(make_env()))
"""


@pytest.mark.slow
def test_hashes_are_those_of_every_process() -> None:
    """Whatever the seed of Python's own hashes."""
    shown = {
        subprocess.run(
            [sys.executable, "-c", _ANOTHER_PROCESS, str(Path(__file__).parent)],
            capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": seed, "PATH": "/usr/bin"},
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(shown) == 1


def test_weights_of_torch_are_content(tmp_path: Path) -> None:
    """A network in a policy: one weight, one buffer, one plain attribute."""
    torch = pytest.importorskip("torch")
    net = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2), torch.nn.Tanh())
    digests = [digest(net)]
    with torch.no_grad():
        net[0].weight[1, 2] += 1e-6
    digests.append(digest(net))
    net[1].running_mean += 1e-6
    digests.append(digest(net))
    net[1].eps = 0.1
    digests.append(digest(net))
    assert len(set(digests)) == 4
    play(tmp_path / "out", Linear(0.1, net=net))
    with torch.no_grad():
        net[0].bias[0] += 1.0
    with pytest.raises(RunError, match="policy mine, net"):
        play(tmp_path / "out", Linear(0.1, net=net))


def test_a_model_of_stable_baselines3_is_its_weights(tmp_path: Path) -> None:
    """Saved and loaded it is the same, trained further it is not."""
    sb3 = pytest.importorskip("stable_baselines3")
    model = sb3.A2C("MlpPolicy", make_env(), n_steps=4, seed=0, device="cpu")
    before = digest(model)
    model.save(tmp_path / "model.zip")
    assert digest(sb3.A2C.load(tmp_path / "model.zip", device="cpu")) == before
    model.learn(8)
    assert digest(model) != before
