"""Settings: their names, types and ranges, and how files and options set them.

- `schema` declares every setting.
- `load` merges presets, files and `--set`, and validates the result.
- `yaml` reads YAML with limits on its size.

May import: `io`, `errors`. Begin with `schema`.
"""
