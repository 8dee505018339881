"""`lstm generate`: texts from a language model, and how surprising a text is to it."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from lstm_cli.cli import options
from lstm_cli.cli.command import Conflict, check_conflicts
from lstm_cli.errors import ExitCode, LstmError

if TYPE_CHECKING:
    from lstm_cli.prediction.language_model import Direction

_Texts = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="TEXT",
        help="Beginnings to continue, or with --score texts to score. '-', or --score without "
        "TEXT: one text per line is read from the pipe.",
        show_default="a text from its beginning",
    ),
]
_Score = Annotated[
    bool,
    typer.Option(
        "--score",
        help="Generate nothing: print the perplexity of each text, and of a single TEXT the "
        "probability of each word.",
    ),
]
_Tokens = Annotated[
    int,
    typer.Option("--tokens", metavar="N", help="Words and punctuation marks to generate at most."),
]
_Temperature = Annotated[
    float,
    typer.Option(
        "--temperature",
        metavar="T",
        help="Below 1, probable words become more probable; 0 takes the most probable word always.",
    ),
]
_TopK = Annotated[
    int | None,
    typer.Option(
        "--top-k",
        metavar="K",
        help="Draw each word from the K most probable ones.",
        show_default="all words",
    ),
]
_TopP = Annotated[
    float,
    typer.Option(
        "--top-p",
        metavar="P",
        help="Draw each word from the most probable ones that together have the probability P.",
    ),
]
_Seed = Annotated[
    int, typer.Option("--seed", metavar="N", help="The same seed gives the same text.")
]
_Count = Annotated[int, typer.Option("--count", metavar="N", help="Number of texts for each TEXT.")]
_Backward = Annotated[
    bool,
    typer.Option(
        "--backward",
        help="Write what stands before TEXT, with the direction of the model that reads from the "
        "end.",
    ),
]
_CONFLICTS = (
    Conflict(
        "--score",
        ("--tokens", "--temperature", "--top-k", "--top-p", "--seed", "--count", "--backward"),
        "nothing is generated",
    ),
)
_GREEDY = Conflict(
    "",
    ("--seed", "--count", "--top-k", "--top-p"),
    "temperature 0 always takes the most probable word",
)
_MAX_COUNT = 10_000


def command(
    ctx: typer.Context,
    texts: _Texts = None,
    run: options.Run = None,
    runs_dir: options.RunsDir = None,
    score: _Score = False,
    tokens: _Tokens = 60,
    temperature: _Temperature = 1.0,
    top_k: _TopK = None,
    top_p: _TopP = 1.0,
    seed: _Seed = 0,
    count: _Count = 1,
    backward: _Backward = False,
    json: options.Json = False,
) -> None:
    """Write texts with a language model, or measure how well it predicts a text.

    A language model is a run of `lstm pretrain`. It predicts one word after the other, and each
    word is drawn from its probabilities. With --score, perplexity is the number of equally probable
    words that would surprise as much: the lower, the better the model expects the text. Words that
    are not in its vocabulary count as one word, [UNK], which is never generated.

    For example:

    ```
    lstm generate --run words "The film"
    lstm generate --run words "The film" --temperature 0.7 --count 5 --seed 1
    lstm generate --run words --score "The film was good."
    lstm generate --run words --score < reviews.txt
    ```
    """
    from lstm_cli.cli import print_generated
    from lstm_cli.cli.inputs import PIPE
    from lstm_cli.cli.resolve import find_run
    from lstm_cli.prediction.check_number import check_number
    from lstm_cli.prediction.generation import Sampling
    from lstm_cli.prediction.language_model import WordPredictor

    check_conflicts(ctx, (*_CONFLICTS, _GREEDY) if temperature == 0 else _CONFLICTS)
    sampling = Sampling(temperature, top_k, top_p)
    check_number("--count", count, 1, _MAX_COUNT, is_whole=True, hint="Leave it out for 1.")
    model = WordPredictor.load(find_run(run, runs_dir, language=True))
    if score:
        is_single = texts is not None and len(texts) == 1 and texts != [PIPE]
        with _open(texts or [PIPE]) as lines:
            print_generated.print_scores(model, lines, is_single=is_single, json=json)
        return
    direction: Direction = "backward" if backward else "forward"
    model.check_direction(direction)
    with _open(texts or [""]) as prompts:
        print_generated.print_texts(
            model, prompts, count, json, sampling=sampling, num_tokens=tokens, seed=seed,
            direction=direction,
        )  # fmt: skip


@contextmanager
def _open(texts: Sequence[str]) -> Iterator[Iterator[str]]:
    """Open the texts of the command line, or the lines of the pipe, for the duration of a block.

    Raises:
        LstmError: The pipe stands beside texts, or a person would have to type (exit code 2); or
            it cannot be read.
    """
    from lstm_cli.cli.inputs import PIPE
    from lstm_cli.data.readers.read_options import ReadOptions
    from lstm_cli.data.records import open_records

    if PIPE not in texts:
        yield iter(texts)
        return
    if len(texts) > 1:
        raise LstmError(
            "'-' stands for the pipe, and cannot stand beside other texts.",
            "Write all texts into the pipe, one per line.",
            ExitCode.USAGE,
        )
    if sys.stdin is None or sys.stdin.isatty():
        raise LstmError(
            "There is no text to read.",
            'For example: lstm generate --score "The film was good."',
            ExitCode.USAGE,
        )
    with open_records(None, options=ReadOptions(format="lines")) as records:
        yield (record.text for record in records)
