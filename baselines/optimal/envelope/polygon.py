"""Convex polygons of P and Q: hulls, sums, boxes inside and around."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..affine import FloatArray, IntArray
from ..conic import Compiled
from ..program import Program

_SAME = 1e-9  # of the extent: points nearer than this are one


def convex_hull(points: FloatArray) -> IntArray:
    """(m,) places of the corners of the hull of (n, 2) points, counter-clockwise, from the lowest P on.

    A. M. Andrew: Another efficient algorithm for convex hulls in two dimensions, Information Processing
    Letters 9 (1979) 216-219. Points on an edge are none of its corners; of points in one place the first is.
    """
    if points.shape[0] == 0:
        return np.empty(0, dtype=np.int64)
    extent = max(float(np.ptp(points, axis=0).max()), 1e-9)
    kept = np.array(_apart(points, _SAME * extent), dtype=np.int64)
    order = kept[np.lexsort((points[kept, 1], points[kept, 0]))]
    if order.size < 3:
        return np.asarray(order)
    least = (_SAME * extent) * extent
    lower = _chain(points, order.tolist(), least)
    upper = _chain(points, order[::-1].tolist(), least)
    return np.array(lower[:-1] + upper[:-1], dtype=np.int64)


def _apart(points: FloatArray, distance: float) -> list[int]:
    found: list[int] = []
    for k in range(points.shape[0]):
        if not found or np.abs(points[found] - points[k]).max(axis=1).min() > distance:
            found.append(k)
    return found


def _chain(points: FloatArray, order: list[int], least: float) -> list[int]:
    found: list[int] = []
    for k in order:
        while len(found) > 1 and _turn(points[found[-2]], points[found[-1]], points[k]) <= least:
            found.pop()
        found.append(k)
    return found


def _turn(a: FloatArray, b: FloatArray, c: FloatArray) -> float:
    return float((b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]))


def area(corners: FloatArray) -> float:
    """Of (m, 2) corners in order."""
    x, y = corners.T if len(corners) else (np.zeros(1), np.zeros(1))
    return 0.5 * float(abs((x * np.roll(y, -1) - np.roll(x, -1) * y).sum()))


def half_planes(corners: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Unit normals (m, 2) and offsets (m,): a point p is inside where normals p <= offsets.

    Corners counter-clockwise. Of fewer than three those of the segment or the point, which has no inside.
    """
    if len(corners) == 1:
        normal = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    else:
        edge = np.roll(corners, -1, axis=0) - corners
        edge = edge / np.hypot(*edge.T)[:, None]
        normal = np.stack([edge[:, 1], -edge[:, 0]], axis=1)
        if len(corners) == 2:
            normal = np.concatenate([normal, edge])
    return normal, (normal @ corners.T).max(axis=1)


def beyond(corners: FloatArray, points: FloatArray) -> FloatArray:
    """(n,) by how much points (n, 2) stand outside of the polygon's edges; 0 or less: inside."""
    normal, offset = half_planes(corners)
    return np.asarray((points @ normal.T - offset).max(axis=1))


def outer_box(corners: FloatArray) -> tuple[float, float, float, float]:
    """Least and most P, least and most Q: the least box around the polygon."""
    (p_min, q_min), (p_max, q_max) = corners.min(axis=0), corners.max(axis=0)
    return float(p_min), float(p_max), float(q_min), float(q_max)


def inner_box(corners: FloatArray) -> tuple[float, float, float, float]:
    """Least and most P, least and most Q of the largest box inside the polygon, as a second-order cone.

    Of a polygon without an inside its centre.
    """
    centre = corners.mean(axis=0)
    size = np.ptp(corners, axis=0)
    if len(corners) < 3 or (size <= 0.0).any():
        return float(centre[0]), float(centre[0]), float(centre[1]), float(centre[1])
    normal, offset = half_planes((corners - centre) / size)
    program = Program()
    low, high, side = program.columns((2,), 1.0), program.columns((2,), 1.0), program.columns((), 1.0)
    up, down = np.maximum(normal, 0.0), np.minimum(normal, 0.0)
    for k in range(len(offset)):  # of the four corners of the box the one farthest out
        program.nonneg(offset[k] - (high * up[k]).sum() - (low * down[k]).sum())
    wide = high - low
    program.rotated(wide[0], wide[1], side)
    program.minimise(-1.0 * side)
    found = Compiled(program).solve()
    box = np.stack([low.at(found.x), high.at(found.x)])
    middle = box.mean(axis=0)
    half = 0.5 * np.maximum(box[1] - box[0], 0.0) * _shrink(normal, offset, middle, box)
    low_pq, high_pq = centre + size * (middle - half), centre + size * (middle + half)
    return float(low_pq[0]), float(high_pq[0]), float(low_pq[1]), float(high_pq[1])


def _shrink(normal: FloatArray, offset: FloatArray, middle: FloatArray, box: FloatArray) -> float:
    """The most, up to 1, by which the sides of a box may be multiplied so that rounding stays inside."""
    half = 0.5 * np.maximum(box[1] - box[0], 0.0)
    reach = np.abs(normal) @ half
    room = offset - normal @ middle
    some = reach > 0.0
    return float(np.clip((room[some] / reach[some]).min(initial=1.0), 0.0, 1.0)) * (1.0 - 1e-9)


def minkowski_sum(parts: list[FloatArray]) -> FloatArray:
    """(m, 2) corners of the sum of convex polygons, each (k, 2) counter-clockwise: their edges by angle."""
    first = sum((part[np.lexsort(part.T)[0]] for part in parts), np.zeros(2))
    edges = np.concatenate([np.zeros((0, 2)), *(np.roll(part, -1, axis=0) - part for part in parts)])
    edges = edges[np.hypot(*edges.T) > 0.0]
    if not len(edges):
        return np.asarray(first)[None]
    angle = np.mod(np.arctan2(edges[:, 1], edges[:, 0]), 2.0 * np.pi)
    walk = np.cumsum(edges[np.argsort(angle, kind="stable")], axis=0)
    return np.concatenate([np.zeros((1, 2)), walk[:-1]]) + first


def box_and_circle(
    p: tuple[float, float], q: tuple[float, float], s_mva: float, directions: int = 360
) -> FloatArray:
    """(m, 2) corners of a polygon around box and circle: what a device can do by itself.

    The circle is drawn by tangents, so that nothing of it is left out.
    """
    angle = 2.0 * np.pi * np.arange(directions) / directions
    corners = np.array([[p[0], q[0]], [p[1], q[0]], [p[1], q[1]], [p[0], q[1]]])
    if not np.isfinite(s_mva):
        return corners[convex_hull(corners)]
    if np.hypot(*corners.T).max() <= s_mva:
        return corners[convex_hull(corners)]
    for k in range(directions):
        corners = _cut(corners, np.array([np.cos(angle[k]), np.sin(angle[k])]), s_mva)
    return corners[convex_hull(corners)]


def _cut(corners: FloatArray, normal: FloatArray, offset: float) -> FloatArray:
    """What of a polygon lies at or below a line."""
    if len(corners) < 2:
        return corners
    high: NDArray[np.float64] = corners @ normal - offset
    found: list[FloatArray] = []
    for k in range(len(corners)):
        j = (k + 1) % len(corners)
        if high[k] <= 0.0:
            found.append(corners[k])
        if (high[k] < 0.0 < high[j]) or (high[j] < 0.0 < high[k]):
            share = high[k] / (high[k] - high[j])
            found.append(corners[k] + share * (corners[j] - corners[k]))
    return np.array(found).reshape(-1, 2)
