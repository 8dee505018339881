"""Readers: each opens one kind of source as a `RawDataset`.

- `path`: a table (`table`, `columns`) or a folder (`folder`).
- `open_rows`: the rows of any table, from a file or a pipe: decompressed (`compression`), looked at
  (`content`, `detect`), decoded (`decode`, `encoding`) and parsed (`separated`, `json_rows`,
  `fasttext`, `columnar`).
- `tfds`: a TFDS data set, prepared on disk (`tfds_prepared`, `tfrecord`) or downloaded first
  (`tfds_download`).
- `builtin`: the data sets that need no download, `demo` (`demo`, `demo_grammar`) and `digits`.
"""
