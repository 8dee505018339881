"""The columns of new data for a run that starts from another run: those of that run come first."""

from __future__ import annotations

from msgspec.structs import replace

from lstm_cli.config.schema import Config
from lstm_cli.data.readers.known_columns import with_known_columns
from lstm_cli.data.registry import resolve
from lstm_cli.data.source import from_config
from lstm_cli.io import paths


def with_columns_of_run(config: Config, run_config: Config) -> Config:
    """Return settings that read a table from the columns that another run was trained on.

    Columns that the settings name are kept. Where the table lacks those of the run, they are found
    by name, and reading says which.

    Args:
        config: The new settings.
        run_config: Those of the run to start from.

    Raises:
        LstmError: There is no such data set.
    """
    if resolve(config.data.name) != "table":
        return config
    before = run_config.data
    source, _ = with_known_columns(
        paths.expand(config.data.name),
        from_config(config),
        before.text_columns,
        None if config.data.label_columns else before.label_column,
        before.id_column,
    )
    columns = {
        "text_columns": source.text_columns,
        "label_column": source.label_column,
        "id_column": source.id_column,
    }
    return replace(config, data=replace(config.data, **columns))
