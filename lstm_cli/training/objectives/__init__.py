"""What a training loop optimizes: batches, a step, a validation.

`objective` is the protocol, `classification`, `self_training` and `language_model` implement it.
"""
