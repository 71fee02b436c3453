"""Schedules of distributed energy resources over many steps: optimum, rolling horizon, rules, dispatch."""
