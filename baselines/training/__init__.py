"""`distgrid train`: learners of `baselines.learned` as a job: seeds, checkpoints, curves, policy files."""
