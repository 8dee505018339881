"""Models: Keras builders, the linear model, word vectors, calibration, the LSTM equations.

- `classifier` and `language_model` build Keras models from settings; `optimizer` makes their
  optimizer, `compiled` compiles their steps, `peephole` is an LSTM cell with peepholes.
- `linear` fits the wide part: a linear model of unigrams and bigrams.
- `word_vectors` learns initial values for the embedding.
- `calibration` scales logits.
- `data_parallel` lets several processes train one model; `process_group` is the group of this one.
- `lstm_equations` is the LSTM in NumPy, forward and backward.

May import: `text`, `config`, `io`, `errors`. Keras is imported here and in `training` only. Begin
with `classifier`.
"""
