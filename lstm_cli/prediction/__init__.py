"""Prediction without TensorFlow, and the complete check of a run.

`predictor` turns a run and inputs into probabilities through onnxruntime; `verify` is the command
`lstm runs verify`.

May import: `models` (no Keras), `runs`, and the rooms below. Begin with `predictor`.
"""
