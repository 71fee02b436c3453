"""A day of an environment as a GIF that is small enough for a page, the same bytes each time."""

from __future__ import annotations

import io
import itertools
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from distgrid import baselines

MOST_BYTES = 300_000
MOST_FRAMES = int(os.environ.get("SITE_FRAMES", "48"))  # a day of quarter hours shows every other
COLOURS = 64  # one of them means "as before"
COMMON = 8
SELDOM = 0.5
FRAME_MS, LAST_MS = 125, 2500

Pixels = NDArray[np.uint8]
Colours = NDArray[np.uint32]


def day_frames(env: Any, rule: str, day: int) -> list[Pixels]:
    """Pictures (height, width, 3) of a whole day under a rule; `env` renders "rgb_array"."""
    policy = baselines.make(rule, env)
    obs, info = env.reset(seed=0, options={"day": day})
    policy.reset(obs, info)
    stride = max(1, round(env.unwrapped.grid.aside.episode_steps / MOST_FRAMES))
    frames, done, steps = [], False, 0
    while not done:
        obs, _, terminated, truncated, info = env.step(policy.act(obs, info))
        done, steps = terminated or truncated, steps + 1
        if done or steps % stride == 0:
            frames.append(env.render())
    return frames


def animated(frames: list[Pixels]) -> bytes:
    """The pictures as a GIF that repeats; ValueError if it is larger than a page should load.

    All frames have one palette, without dithering, and hold only the pixels that change.
    """
    packed = [_packed(frame) for frame in frames]
    palette = _palette(np.concatenate([packed[int(k)] for k in np.linspace(0, len(frames) - 1, 4)]))
    nearest = _nearest(packed, palette)
    indices = [nearest[colours] for colours in packed]
    pictures = [indices[0]]
    for before, now in itertools.pairwise(indices):
        pictures.append(np.where(now == before, COLOURS - 1, now).astype(np.uint8))
    images = []
    for picture in pictures:
        image = Image.frombytes("P", frames[0].shape[1::-1], picture.tobytes())
        image.putpalette([*palette.ravel().tolist(), 255, 255, 255])
        images.append(image)
    out = io.BytesIO()
    images[0].save(
        out, "GIF", save_all=True, append_images=images[1:], loop=0, optimize=False,
        duration=[FRAME_MS] * (len(images) - 1) + [LAST_MS], transparency=COLOURS - 1, disposal=1,
    )  # fmt: skip
    if out.tell() > MOST_BYTES:
        raise ValueError(f"the animation takes {out.tell()} bytes, more than the {MOST_BYTES} allowed")
    return out.getvalue()


def _packed(frame: Pixels) -> Colours:
    """(pixels,) each colour as one number."""
    red, green, blue = frame.reshape(-1, 3).astype(np.uint32).T
    return np.asarray((red << 16) | (green << 8) | blue, dtype=np.uint32)


def _unpacked(colours: Colours) -> Pixels:
    """(colours, 3) red, green and blue."""
    return np.stack([colours >> 16, colours >> 8 & 255, colours & 255], axis=-1).astype(np.uint8)


def _palette(seen: Colours) -> Pixels:
    """(COLOURS - 1, 3) the commonest colours, then again and again the one that those before serve worst.

    Seldom ones count for little, but they count: small marks are what is looked at.
    """
    colours, counts = np.unique(seen, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    values, weight = _unpacked(colours[order]).astype(np.int64), counts[order] ** SELDOM
    chosen = list(range(min(COMMON, len(values))))
    away = np.min([_distances(values, values[k]) for k in chosen], axis=0)
    while len(chosen) < COLOURS - 1:
        chosen.append(int(np.argmax(away * weight)))
        away = np.minimum(away, _distances(values, values[chosen[-1]]))
    return values[chosen].astype(np.uint8)


def _distances(values: NDArray[np.int64], to: NDArray[np.int64]) -> NDArray[np.int64]:
    """Squared distances of colours."""
    return np.asarray(np.square(values - to).sum(axis=1))


def _nearest(packed: list[Colours], palette: Pixels) -> Pixels:
    """(2^24,) for each colour that occurs the entry of the palette that is nearest."""
    table = np.zeros(1 << 24, dtype=np.uint8)
    occurs = np.zeros(1 << 24, dtype=bool)
    for frame in packed:
        occurs[frame] = True
    colours = np.flatnonzero(occurs).astype(np.uint32)
    away = _unpacked(colours).astype(np.int32)[:, None] - palette.astype(np.int32)
    table[colours] = np.square(away).sum(axis=2).argmin(axis=1)
    return table
