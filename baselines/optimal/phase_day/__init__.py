"""Plans of a whole day on a per-phase feeder, on the AC physics: plan.plan_phase_day."""
