"""Settings: what there is, its types and ranges, and how files and options set it.

`schema` declares every setting, `load` lays presets, files and `--set` over each other and
validates the result, `yaml` reads YAML within limits.

May import: `io`, `errors`. Begin with `schema`.
"""
