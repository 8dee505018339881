"""Files, processes and progress: the base of all other packages.

- `atomic_write` writes files that are never half-written.
- `safe_open` reads files of an untrusted folder and never leaves it.
- `signals` handles SIGINT, SIGTERM and SIGPIPE.
- `progress` defines the reporter that core modules use instead of printing, and `text_format`
  formats what people read.
- `worker` runs functions in a second process; `memory` measures memory.
- `paths` and `environment` read paths and environment variables as users write them.

May import: `errors`. Begin with `atomic_write`.
"""
