"""Evaluation: metrics, thresholds, curves, and paired comparison of runs.

`evaluate` scores a run on a split, `metrics` computes what is reported, `roc` the curves, `compare`
tests two or more runs on the examples they share.

May import: `prediction` and the rooms below. Begin with `evaluate`.
"""
