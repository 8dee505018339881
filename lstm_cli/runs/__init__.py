"""The run directory: layout, records, the exported graph, and the checks before it is used.

`directory` names the files of a run and reads them against the manifest, `record` is what a run
says of itself, `find` resolves a name to a run, `onnx_graph` writes the graph for prediction,
`onnx_reader` reads it back without `onnx`, and `validate` checks all of it against the settings.

May import: `text`, `data`, `config`, `io`, `errors`. Begin with `directory`.
"""
