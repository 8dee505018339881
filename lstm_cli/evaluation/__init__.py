"""Evaluation: metrics, thresholds, curves, plots, and paired comparison of runs.

`evaluate` evaluates a run: `load_split` loads the data, `scored_split` compares predictions with
labels, `mistakes` finds the worst errors, `metrics` computes the report, `roc` the curves, and
`plots` and `training_plots` draw. `compare` compares runs on the examples they share, with the
tests of `significance`. `thresholds` reads `--fail-under`. `cross_validation` scores folds,
`linear_folds` cross-validates the linear model alone, `label_issues` finds wrong labels, and
`learning_curve` measures what more rows bring, with the forecasts of `power_law`.

`coverage` measures accuracy against the share of examples answered. `choose_thresholds` chooses the
rule of decision of a run on the rows held out in training, and `set_thresholds` stores it.

May import: `prediction` and the rooms below. Begin with `evaluate`.
"""
