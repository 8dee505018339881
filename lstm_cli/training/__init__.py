"""Training: from settings to a finished run directory.

- `pipeline` has `train` and `resume`, for classifiers and language models.
- `classifier_task` and `language_model_task` have the same methods, for what differs; `task` has
  what they share.
- `prepare` loads and encodes data, `prepare_classifier` builds a task from it; `init_weights` is
  what training starts from.
- `loop` trains; `objectives` are its batches, steps and validations.
- `checkpoint` saves and restores the state; `checkpoint_checks` and `resume_checks` validate
  a run before it is resumed; `record_failure` records that it failed.
- `artifacts` writes the files of a run; `dry_run` and `replay` are commands on top of that.

May import: all rooms but `cli` and `serve`. Begin with `pipeline`, then `loop`.
"""
