"""Search for settings, with Optuna.

`space` has the settings that a search may change, from a file (`space_file`) or as they suit the
data (`default_space`).

May import: `report` and the rooms below. Optuna is imported inside functions.
"""
