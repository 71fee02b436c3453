"""`distgrid describe`: what an environment is, for people, for programs, and as a file to change."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console


def describe_env(
    env: Annotated[str, typer.Argument(metavar="ENV", help="Id such as VoltVar-33bw-v0, or a file.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
    as_yaml: Annotated[
        bool, typer.Option("--yaml", help="Print the configuration as YAML, to change and to run.")
    ] = False,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON schema of a file of configuration.")
    ] = False,
) -> None:
    """Say what an environment is: feeder, fleet, task, episode, splits, observation, actions."""
    from ...envs.configuration.env_file import options_schema, options_to_dict
    from ...envs.configuration.making import options_of_env
    from ...envs.configuration.text_files import yaml_text

    if as_json + as_yaml + schema > 1:
        raise ValueError("--json, --yaml and --schema each say what is printed: give one of them")
    if schema:
        typer.echo(json.dumps(options_schema(), indent=2))
        return
    options = options_of_env(env)
    if as_yaml:
        typer.echo(yaml_text(options_to_dict(options)), nl=False)
        return
    found = {"env": env, **_described(env, options)}
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    else:
        _show(found)


def _described(env: str, options: Any) -> dict[str, Any]:
    from ...envs.configuration.description import describe
    from ...envs.configuration.making import load_env, make_env
    from ...envs.configuration.text_files import is_config_file

    return describe(load_env(env) if is_config_file(env) else make_env(options))


def _show(found: Mapping[str, Any]) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    if not console.is_terminal:  # a pipe or a file has no width: nothing may be cut
        console.width = max(console.width, 160)
    feeder, task, episode = found["feeder"], found["task"], found["episode"]
    levels = "/".join(f"{kv:g}" for kv in feeder["base_kv"])
    lines = {
        "environment": found["env"],
        "feeder": f"{feeder['name']}, {feeder['phases']}: {feeder['nodes']} nodes at {levels} kV, "
        f"{feeder['branches']} branches ({feeder['open_branches']} open), {feeder['load_p_mw']:.3f} MW and "
        f"{feeder['load_q_mvar']:.3f} Mvar of loads (load_scale {feeder['load_scale']:g}), source at "
        f"{', '.join(f'{v:g}' for v in feeder['v_source_pu'])} pu",
        "task": f"{task['kind']}, voltages in {task['v_limits_pu'][0]:g} to {task['v_limits_pu'][1]:g} pu; a "
        f"failed power flow takes {task['failure_price']} from the reward and costs {task['failure_cost']}",
        "episode": f"{episode['hours']:g} h, {episode['steps']} steps of {episode['dt_h']:g} h",
        "splits": f"{found['split_set']}: "
        + ", ".join(
            f"{name} {days} days{' (chosen)' if name == found['split'] else ''}"
            for name, days in found["splits"].items()
        ),
        **{name: str(value) for name, value in found["options"].items()},
    }
    for name, text in lines.items():
        console.print(f"{name:<13}{text}", markup=False, soft_wrap=True)
    units = [{**unit, "actions": ", ".join(unit["actions"])} for unit in found["resources"]]
    _table(console, "fleet", units)
    _table(console, "rewards and costs", task["terms"])
    seen = found["observation"]
    scaled = ", scaled to [-1, 1]" if seen["normalised"] else ""
    title = f"observation: {seen['size']} numbers, level {seen['level']}{scaled}"
    blocks = [{**block, "when": _when(block["when"])} for block in seen["blocks"]]
    _table(console, title, blocks, ("first",))
    _table(console, f"actions: {len(found['actions'])}, {found['action_space']}", found["actions"])


def _table(
    console: Console, title: str, rows: Sequence[Mapping[str, Any]], left_out: Iterable[str] = ()
) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.markup import escape
    from rich.table import Table

    console.print(f"\n{title}", markup=False, soft_wrap=True)
    if not rows:
        return
    names = [name for name in rows[0] if name not in left_out]
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for name in names:
        number = any(isinstance(row[name], int | float) for row in rows)
        table.add_column(name, justify="right" if number else "left", overflow="fold")
    for row in rows:
        table.add_row(*(escape(_cell(row[name])) for name in names))
    console.print(table)


def _when(times: Sequence[str]) -> str:
    return ", ".join(times) if len(times) < 3 else f"{times[0]} ... {times[-1]}"


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
