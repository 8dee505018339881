"""Prediction and language models without TensorFlow, and the complete check of a run.

- `predictor` computes probabilities with a run through onnxruntime, in batches from `batches`;
  `result` turns them into predictions by the rule in `decision`.
- `inputs` reads what Python users give to `predict`: lists, arrays, columns, tables, images;
  `render_notebook` shows predictions in notebooks.
- `answers` predicts the records of a file or a pipe, also those that cannot be read, and
  `record_counts` counts them; `columns` has the names and cells of predictions in a table,
  `write_file`, `write_text` and `write_parquet` write them.
- `ranking` ranks texts by how much a label would teach.
- `language_model` runs a language model in NumPy; `generation` writes texts with it, `surprise`
  measures how well it predicts a text.
- `verify` is the command `lstm runs verify`.

May import: `models` (no Keras), `runs`, and the rooms below. Begin with `predictor`.
"""
