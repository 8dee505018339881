"""Prediction of many files: in several processes, or on the machines of a Ray cluster.

- `parts` finds the input files and decides where the answers of each go; `storage` reads and writes
  local paths and, through fsspec, URLs.
- `predict_part` predicts one file: read, predict, write under another name, rename, record. It is
  the same function for every engine, so all engines write the same bits.
- `finished` keeps the record of finished parts beside the output, which a restart reads.
- `local_engine` runs parts in this process or in several; `ray_engine` on a Ray cluster, with
  `run_files`, which carries a run to other machines.
- `job` puts these together.

May import: `prediction` and the rooms below. Begin with `job`.
"""
