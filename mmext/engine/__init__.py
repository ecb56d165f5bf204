"""What the commands call: a config with the user's changes, a run, and hooks that keep the run safe."""
