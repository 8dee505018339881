"""What the benchmarks time: each runs in a process of its own."""
