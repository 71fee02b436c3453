"""Columns of what a stepper writes for each row: ``ended`` (whole numbers) and ``measured`` (in units).

The first columns are those of balanced and per-phase steppers alike; unbalance follows them.
"""

from __future__ import annotations

STATUS, ITERATIONS, N_VOLTAGE, N_OVERLOAD = 0, 1, 2, 3
N_ENDED = 4
V_UPDATE, P_LOSS, Q_LOSS, P_SLACK, Q_SLACK, VOLTAGE_VIOLATION, OVERLOAD = 0, 1, 2, 3, 4, 5, 6
N_MEASURED = 7
#: Of per-phase steppers alone.
N_UNBALANCE, N_ENDED3 = 4, 5
VUF_VIOLATION, N_MEASURED3 = 7, 8
