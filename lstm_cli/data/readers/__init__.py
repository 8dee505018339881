"""Readers: each opens one kind of source as a `RawDataset`.

- `path`: a table (`table`, `columns`, `decode`) or a folder (`folder`).
- `tfds`: a TFDS data set, prepared on disk (`tfds_prepared`, `tfrecord`) or downloaded first
  (`tfds_download`).
- `builtin`: the data sets that need no download, `demo` (`demo`, `demo_grammar`) and `digits`.
"""
