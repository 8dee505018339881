"""Files, processes and progress: what every other room stands on.

It holds atomic writes (`atomic_write`), reads that never leave a folder (`safe_open`), signals
(`signals`), text for people (`text_format`), the reporter that core modules talk to instead of
printing (`progress`), and a second process for Python work (`worker`).

May import: `errors`. Begin with `atomic_write`.
"""
