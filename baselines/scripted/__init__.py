"""Policies that follow written rules: no training, no optimisation, no look ahead."""
