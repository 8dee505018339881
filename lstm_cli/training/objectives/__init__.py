"""What the training loop optimizes: batches, a training step, validation.

`objective` has the protocol; `classification`, `self_training` and `language_model` implement it.
"""
