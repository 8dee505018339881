"""Models: Keras builders, the linear model, word vectors, calibration, the LSTM equations.

`classifier` and `language_model` build Keras models from settings, `compiled` compiles them once
for all batch sizes, `linear` fits the wide part, `word_vectors` the initial embedding, `calibration`
scales logits, and `lstm_equations` is the LSTM in NumPy, forward and backward.

May import: `text`, `config`, `io`, `errors`. Keras is imported here and in `training` only. Begin
with `classifier`.
"""
