"""Runs as files that other programs and people use: `lstm export`.

`export` is the one entry: it chooses the format, checks where to write, and replays the golden
inputs. `zip_file` writes the whole run as one file. `onnx_folder`, `keras_model`, `saved_model` and
`litert` write a model, and `folder` what stands beside it: `engines` has the lines that differ.
`html_page` writes a page that is the classifier: `page_data` packs the run, `page/` has the
tokenizer, the network and the explanations in JavaScript, and `javascript` runs them for the check.
`quantize` makes weights smaller, and `accuracy` measures what that costs.

May import: every room below `cli` except those beside it. Begin with `export`.
"""
