"""The run directory: its files, its record, the exported graph, and the checks before use.

- `directory` names the files of a run, and reads and writes them; `manifest` holds their sizes and
  hashes, `lock` keeps a second process out, `create` makes a new run, and `find` finds one.
- `record` reads what a run says about its training; `schema`, `metrics_schema` and `decode` are
  the types of its JSON files.
- `held_out` keeps the predictions for the rows held out in training, `thresholds` the thresholds by
  class, which may be chosen on them.
- `onnx_graph` builds the graph for prediction from parts in `onnx_plan`; `onnx_reader` reads a
  graph without the package `onnx`, and `onnx_check` compares it with the settings.
- `validate` reads everything that prediction needs, and checks it; `safetensors_reader` and
  `arrays` check weights.

May import: `text`, `data`, `config`, `io`, `errors`. Begin with `directory`.
"""
