"""Measurements and comparisons, each with one command, each writing a JSON file.

    python -m benchmarks                     these, in this order:
    python -m benchmarks.presets             train the presets with the command line, cold start
    python -m benchmarks.baseline            time to accuracy, compared with alternatives
    python -m benchmarks.prediction --run R  start-up, throughput, memory and latency
    python -m benchmarks.serve --run R       the server under load
    python -m benchmarks.explain --run R     whether explanations name the decisive words
    python -m benchmarks.step                a training step compared with its matrix products
    python -m benchmarks.kernels             the LSTM in Keras' loop and in one operation
    python -m benchmarks.determinism         training steps with and without determinism
    python -m benchmarks.gpu                 steps, parity and determinism on a GPU
    python -m benchmarks.memory              how far back an LSTM can learn
    python -m benchmarks.scale               from a thousand short texts to ten million
    python -m benchmarks.ray                 many files: one process, several, and a Ray cluster
    python -m benchmarks.ablation            what each part of a preset contributes
    python -m benchmarks.crash               kill training at random moments and resume it
    python -m benchmarks.openapi             the server compared with its OpenAPI document
    python -m benchmarks.own FOLDER          own data: lstm train compared with quick baselines

These run alone only:

    python -m benchmarks.linear_sample       the linear model fitted to a sample, or in parts
    python -m benchmarks.parts --runs R      the network and the linear model of a run, each alone
    python -m benchmarks.edited --run R      reviews edited by a few words so that the label turns
    python -m benchmarks.exports R           accuracy, size and speed of each format of an export
    python -m benchmarks.export_page R       the page of an export compared with the run
    python -m benchmarks.drift R --fresh F   how often a comparison of inputs warns
    python -m benchmarks.multi_label FOLDER  several labels a text, compared with linear models
    python -m benchmarks.tune FOLDER         a search compared with the default settings
    python -m benchmarks.calibration FOLDER  priors of the calibration
    python -m benchmarks.curve FOLDER        forecasts of what more rows would bring
    python -m benchmarks.label_issues FOLDER wrong labels that `lstm data issues` lists
    python -m benchmarks.unlabeled FOLDER    what texts without labels bring
    python -m benchmarks.large FOLDER        generate a data set of 100,000 texts
    python -m benchmarks.short_texts FILE    generate a table of a million short texts

`--quick` tests a script in seconds on `demo`; its numbers mean nothing and are not kept. Each has
`--help`. `own` needs a folder of data sets, here with `--own FOLDER`; `benchmarks.large FOLDER`
generates one of 100,000 texts. All together take some hours on two cores; `--seeds 0` makes single
ones shorter. IMDB and MNIST are read from `TFDS_DATA_DIR`. The machine must be idle, or the times
are too long.
"""
