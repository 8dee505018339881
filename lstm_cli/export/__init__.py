"""Runs as files that other programs and people use: `lstm export`.

`export` is the one entry: it chooses the format, checks where to write, and replays the golden
inputs. `zip_file` writes the whole run as one file.

May import: every room below `cli` except those beside it. Begin with `export`.
"""
