"""Readers: each turns one kind of source into labelled splits.

`table` reads CSV, TSV and JSON lines, `files` a table or a folder as a data set, `tfds` TensorFlow
Datasets, and `builtin` the data sets that need no download.
"""
