"""The scripts that the benchmarks measure: each runs in its own process."""

# A change for `ablate.py` that removes the linear model of a preset.
NO_LINEAR = "linear=null"
