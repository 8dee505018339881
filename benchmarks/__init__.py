"""Side-by-side measurements, each with one command, each writing a JSON.

    python -m benchmarks                     everything, in this order:
    python -m benchmarks.presets             the presets through the real command line, from cold
    python -m benchmarks.baseline            time to accuracy against what a user would take instead
    python -m benchmarks.prediction --run R  start-up, throughput, memory and latency
    python -m benchmarks.explain --run R     whether explanations name the words that matter
    python -m benchmarks.step                a training step against the matrix products in it
    python -m benchmarks.determinism         training steps with and without determinism

`--quick` tries a script in seconds, on `demo`; its figures mean nothing and are not kept. Each has
`--help`. Everything together takes about an hour and a half on two cores; `--seeds 0` shortens it.
IMDB and MNIST are read from `TFDS_DATA_DIR`. Figures mean something on an idle machine only.
"""
