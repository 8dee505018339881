"""Reports for people: plots, the model card, the page of a run, the comparison of runs.

`run_report` writes the one page of a run from `sections`, `comparison` the page of several runs,
`model_card` the README.md of a run, and `plots` the pictures of all of them.

May import: `explain`, `evaluation` and the rooms below. Begin with `run_report`.
"""
