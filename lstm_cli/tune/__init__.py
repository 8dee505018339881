"""Search for settings, with Optuna.

`ask` turns what a person asks into a request, `folder` has the folder of a study, `study` starts
and resumes it, `search` hands out trials, `trial` does one with a training `process`, `winner`
scores the best one on test, `outcomes` counts how trials ended. `storage` opens Optuna's storage,
`claims` has the locks of trials. `space` has the settings that a search may change, from a file
(`space_file`) or as they suit the data (`default_space`).

May import: `report` and the rooms below. Begin with `study`. A command checks that Optuna is
installed before it imports `ask` or `study`; the modules of `space` and `folder` do without it.
"""
