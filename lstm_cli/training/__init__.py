"""Training: from settings to a finished run directory.

`pipeline` is the way from start to end, `prepare` reads data and builds the model, `loop` trains,
`objectives` say what a step and a validation are, `checkpoint` saves and restores the state,
`resume_checks` guard a resumed run, and `artifacts` writes what a run leaves behind.

May import: every room but `cli` and `serve`. Begin with `pipeline`, then `loop`.
"""
