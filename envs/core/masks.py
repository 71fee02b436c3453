"""Which codes are allowed now: what resources say of their own dimensions, put together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..resources.base import Ints, Resource
from ..resources.fleet import Fleet
from .codecs import ActionCodec, Bools


def action_masks(codec: ActionCodec, fleet: Fleet, t_index: Ints) -> Bools:
    """(batch, number of codes) the codes that the fleet can follow in interval ``t_index`` (batch,)."""
    return codec.mask(allowed_values(codec, fleet, t_index), t_index.size)


def info_mask(codec: ActionCodec, fleet: Fleet, t_index: Ints) -> NDArray[np.int8]:
    """The same as Gymnasium has it in ``info["action_mask"]``, for ``Discrete.sample``."""
    return action_masks(codec, fleet, t_index).view(np.int8)


def allowed_values(codec: ActionCodec, fleet: Fleet, t_index: Ints) -> Bools | None:
    """(batch, levels, n_actions) of the codec's values; None where nobody restricts any."""
    values, found, first = codec.values, None, 0
    if values is None:
        return None
    for program in fleet.programs:
        own = slice(first, first + len(program.action_names))
        first = own.stop
        if type(program).allowed is not Resource.allowed:
            if found is None:
                found = np.ones((t_index.size, *values.shape), dtype=np.bool_)
            found[:, :, own] = program.allowed(values[:, own], t_index)
    return found
