"""Statistics of the rows that were held out, which `lstm runs drift` compares new inputs with."""

from __future__ import annotations

from collections.abc import Iterable

from lstm_cli.errors import LstmError
from lstm_cli.evaluation.scored_split import ScoredSplit
from lstm_cli.prediction import input_stats
from lstm_cli.prediction.input_stats import StatsCounter
from lstm_cli.runs import directory as runs
from lstm_cli.runs.directory import RunDir
from lstm_cli.runs.manifest import sha256
from lstm_cli.text.corpus import Corpus


def write(
    run: RunDir, labels: tuple[str, ...], validation: ScoredSplit, corpora: Iterable[Corpus]
) -> None:
    """Write the statistics of the rows that were held out.

    Args:
        run: A run whose graph is written.
        labels: Class names.
        validation: The predictions for these rows, by a model that has not seen them.
        corpora: Their texts, with the words that this model does not know; none for images.

    Raises:
        LstmError: The graph cannot be read, or the file not written.
    """
    corpora = list(corpora)
    counter = StatsCounter(labels, is_text=bool(corpora))
    best = validation.probabilities.argmax(axis=1).tolist()
    for index, value in zip(best, validation.probabilities.max(axis=1).tolist(), strict=True):
        counter.add_row(labels[index], value)
    for corpus in corpora:
        totals, read = corpus.num_tokens.tolist(), corpus.lengths.tolist()
        for total, num, unknown in zip(totals, read, corpus.num_unknown.tolist(), strict=True):
            counter.add_text(total, unknown, total > num)
    try:
        digest = sha256(run.file(runs.MODEL))
    except OSError as error:
        reason = error.strerror or str(error)
        raise LstmError(f"Cannot read {run.file(runs.MODEL)}: {reason}.") from error
    stats = counter.result(run.name, digest)
    run.write_bytes(runs.VALIDATION_STATS, input_stats.to_json(stats))
