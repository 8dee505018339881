"""Print what `lstm generate` finds: texts, or the surprise of texts and of their words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from lstm_cli.cli import output
from lstm_cli.io.text_format import shorten
from lstm_cli.prediction.generation import GeneratedText, Sampling, generate, unknown_words
from lstm_cli.prediction.language_model import Direction, WordPredictor
from lstm_cli.prediction.surprise import TextScore, Totals, score_text

# The bar of a word has one sign for each nat.
_MAX_BAR = 16
_MAX_NAMED = 20


def print_texts(
    model: WordPredictor,
    prompts: Iterable[str],
    count: int,
    json: bool,
    *,
    sampling: Sampling,
    num_tokens: int,
    seed: int,
    direction: Direction,
) -> None:
    """Generate texts and print each on a line, or all as one JSON object.

    Args:
        model: The model.
        prompts: What to continue.
        count: Number of texts for each of them.
        json: Whether to print JSON.
        sampling: As for `generate`, as all below.
        num_tokens: See there.
        seed: See there.
        direction: See there.
    """

    def texts() -> Iterator[GeneratedText]:
        for prompt in prompts:
            _note_unknown(model, prompt)
            for index in range(count):
                yield generate(
                    model, prompt, num_tokens=num_tokens, sampling=sampling, seed=seed,
                    index=index, direction=direction,
                )  # fmt: skip

    if not json:
        for generated in texts():
            output.print_line(generated.text)
        return
    settings = {"direction": direction, "seed": seed, **vars(sampling)}
    found = [generated.to_dict() for generated in texts()]
    output.print_json({"run": model.run.name, **settings, "texts": found})


def print_scores(
    model: WordPredictor, texts: Iterable[str], *, is_single: bool, json: bool
) -> None:
    """Score texts and print their perplexity.

    Args:
        model: The model.
        texts: The texts.
        is_single: Whether there is one, on the command line: then each of its words is shown.
        json: Whether to print JSON.
    """
    totals = Totals()
    found: list[dict[str, Any]] = []
    for text in texts:
        score = score_text(model, text)
        totals.add(score)
        if json:
            found.append(score.to_dict())
        elif is_single:
            _note_unknown(model, text)
            _print_tokens(score)
        else:
            line = " ".join(text.split())
            output.write_data(f"{score.perplexity:.2f}\t{score.num_words}\t{line}\n")
    if json:
        output.print_json({"run": model.run.name, **totals.to_dict(), "texts": found})
    elif is_single:
        output.print_line(f"\n{totals.describe()}")
    else:
        output.print_note(totals.describe())


def _print_tokens(score: TextScore) -> None:
    """Print a table with a row for each word."""
    has_backward = "backward" in score.losses
    rows = []
    for token in score.tokens:
        row = [token.token if token.known else f"{token.token} (unknown)"]
        row += [f"{token.probability:.2%}", f"{token.nats:.2f}", f"{token.rank:,}"]
        row += ["#" * min(_MAX_BAR, round(token.nats)), token.expected]
        if has_backward:
            row.append("-" if token.backward_nats is None else f"{token.backward_nats:.2f}")
        rows.append(row)
    columns = ["word", "probability", "nats", "rank", "surprise", "expected"]
    columns += ["nats backward"] * has_backward
    output.print_rows(rows, columns, right=("probability", "nats", "rank", "nats backward"))


def _note_unknown(model: WordPredictor, text: str) -> None:
    """Name the words that are not in the vocabulary."""
    if words := unknown_words(model, text):
        named = ", ".join(shorten(word, 40) for word in words[:_MAX_NAMED])
        more = f", and {len(words) - _MAX_NAMED:,} more" if len(words) > _MAX_NAMED else ""
        output.print_note(f"Not in the vocabulary, read as [UNK]: {named}{more}")
