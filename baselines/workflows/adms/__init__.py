"""What a distribution management system plans: Volt/VAR optimisation."""
