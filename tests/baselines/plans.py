"""Manifests that no run of distgrid writes: each function changes a good one."""

from __future__ import annotations

from typing import Any

Manifest = dict[str, Any]


def drop(told: Manifest) -> None:
    del told["chunks"][1]


def drop_last(told: Manifest) -> None:
    del told["chunks"][-1]


def drop_all(told: Manifest) -> None:
    told["chunks"] = []


def double(told: Manifest) -> None:
    told["chunks"].insert(1, told["chunks"][1])


def reorder(told: Manifest) -> None:
    told["chunks"].reverse()


def swap(told: Manifest) -> None:
    told["chunks"][0], told["chunks"][1] = told["chunks"][1], told["chunks"][0]


def renumber(told: Manifest) -> None:
    told["chunks"][0]["index"], told["chunks"][1]["index"] = 1, 0


def huge_index(told: Manifest) -> None:
    told["chunks"][3]["index"] = 10**30


def no_episodes(told: Manifest) -> None:
    told["chunks"][1]["n_items"] = 0


def negative_episodes(told: Manifest) -> None:
    told["chunks"][0]["n_items"] = -2


def fewer_episodes(told: Manifest) -> None:
    told["chunks"][1]["n_items"] = 1


def many_episodes(told: Manifest) -> None:
    told["chunks"][1]["n_items"] = 10**15


def one_chunk_for_all(told: Manifest) -> None:
    told["chunks"] = [
        {**told["chunks"][0], "n_items": 4},
        {**told["chunks"][2], "n_items": 4, "index": 1},
    ]


def other_policy(told: Manifest) -> None:
    told["chunks"][1]["label"] = "volt-var-fuzzy"


def wrong_start(told: Manifest) -> None:
    told["chunks"][1]["first_item"] = 0


def many_steps(told: Manifest) -> None:
    told["chunks"][0]["n_rows"] = 10**12


def negative_steps(told: Manifest) -> None:
    told["chunks"][0]["n_rows"] = -1


def no_time(told: Manifest) -> None:
    told["chunks"][0]["wall_s"] = -1.0


def pending_in_done(told: Manifest) -> None:
    told["chunks"][0]["status"] = "pending"


def file_missing(told: Manifest) -> None:
    del told["chunks"][0]["files"][0]


def file_doubled(told: Manifest) -> None:
    told["chunks"][0]["files"][1] = told["chunks"][0]["files"][0]


def file_of_another_chunk(told: Manifest) -> None:
    told["chunks"][0]["files"] = told["chunks"][1]["files"]


def huge_file(told: Manifest) -> None:
    told["chunks"][0]["files"][0]["size_bytes"] = 10**15


def negative_file(told: Manifest) -> None:
    told["chunks"][0]["files"][0]["size_bytes"] = -1


def output_doubled(told: Manifest) -> None:
    told["outputs"].append(told["outputs"][0])


def strange_output(told: Manifest) -> None:
    told["outputs"].append({"path": "notes.txt", "sha256": "", "size_bytes": 4})


def policy_twice(told: Manifest) -> None:
    told["groups"][1] = told["groups"][0]


def empty_group(told: Manifest) -> None:
    told["groups"][1]["n_items"] = 0


PLANS = [
    drop, drop_last, drop_all, double, reorder, swap, renumber, huge_index, no_episodes, negative_episodes,
    fewer_episodes, many_episodes, one_chunk_for_all, other_policy, wrong_start, many_steps, negative_steps,
    no_time, pending_in_done, file_missing, file_doubled, file_of_another_chunk, huge_file, negative_file,
    output_doubled, strange_output, policy_twice, empty_group,
]  # fmt: skip
