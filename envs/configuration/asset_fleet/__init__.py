"""Fleets of environments as tables of assets, both ways."""
