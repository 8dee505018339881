"""Reports for people: the report of a run, the comparison of runs, the model card.

`run_report` writes one HTML page about a run, with the errors that `confident_errors` finds;
`comparison` writes a page or plot of several runs, `model_card` the README.md of a run. Python
computes the values, `templates/` lays them out. `metric_rows` is the one list of metrics that all
of them and the command line show.

May import: `explain`, `evaluation` and the rooms below. Begin with `run_report`.
"""
