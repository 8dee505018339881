"""A language model in NumPy: which word follows, and how surprising the words of a text are.

onnxruntime is not needed, and each word costs one step: the state of the LSTM goes from word to
word.

A model that is bidirectional is two models: the forward direction predicts each word from the words
before it, the backward direction from the words after it. Neither knows of the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from lstm_cli.config.schema import Config
from lstm_cli.errors import ExitCode, LstmError, command_line
from lstm_cli.models import lstm_equations
from lstm_cli.models.lstm_equations import State, Weights
from lstm_cli.prediction.inputs import describe
from lstm_cli.runs import validate
from lstm_cli.runs.directory import RunDir
from lstm_cli.text.ngrams import bigram_ids
from lstm_cli.text.token_ids import PAD_ID, own_ids
from lstm_cli.text.tokenizer import Tokenizer

Direction = Literal["forward", "backward"]
# The softmax over all words is computed for so many steps at once.
_STEPS = 256

Array = NDArray[Any]


class ReadState(NamedTuple):
    """What a direction has read.

    Attributes:
        layers: The state of each LSTM layer.
        last_id: The word that was read last; None before the first one.
    """

    layers: tuple[State, ...]
    last_id: int | None


class WordPredictor:
    """A language model of `lstm pretrain`, loaded to generate and to score texts.

    Attributes:
        run: The run.
        config: Its settings.
        tokenizer: Without truncation.
        directions: `forward`, and `backward` if the model is bidirectional.
    """

    def __init__(
        self, run: RunDir, config: Config, tokenizer: Tokenizer, weights: Mapping[str, Array]
    ) -> None:
        """Combine the parts of a run; `load` reads them from its directory."""
        self.run = run
        self.config = config
        self.tokenizer = tokenizer.without_truncation()
        two = config.model.bidirectional
        self.directions: tuple[Direction, ...] = ("forward", "backward") if two else ("forward",)
        self._weights = weights
        num_layers = 1 if two else config.model.layers
        self._layers = {
            direction: [_layer(weights, f"lstm_{i}_{direction}") for i in range(num_layers)]
            for direction in self.directions
        }
        table = weights.get("next_words/embeddings", weights["embedding/embeddings"])
        self._vectors = np.ascontiguousarray(table.T)
        self._biases = weights["next_bias/embeddings"][:, 0]

    @classmethod
    def load(cls, run: RunDir) -> WordPredictor:
        """Validate and open a run.

        Raises:
            LstmError: The run is a classifier (exit code 2), or fails its integrity check (5).
        """
        verified = run.with_manifest()
        config = verified.config()
        if config.language is None:
            raise LstmError(
                f"Run {run.name} is a classifier: it predicts labels, not the words of a text.",
                "Name a language model with --run, or train one: "
                f"{command_line('lstm', 'pretrain', config.data.name)}",
                ExitCode.USAGE,
            )
        tokenizer = validate.read_tokenizer(verified, config)
        assert tokenizer is not None
        weights = validate.read_language_weights(verified, config, tokenizer.vocab_size)
        return cls(run, config, tokenizer, weights)

    def __repr__(self) -> str:
        """Return the run's name with its vocabulary and directions."""
        words = f"{self.tokenizer.vocab_size:,} words"
        return f"<{type(self).__name__} {self.run.name}: {words}, {' and '.join(self.directions)}>"

    def check_direction(self, direction: Direction) -> None:
        """Check that the model has a direction.

        Raises:
            LstmError: There is no such direction, or it reads forward only (exit code 2).
        """
        if direction not in get_args(Direction):
            raise LstmError(
                f"direction expects 'forward' or 'backward', found {describe(direction)}.",
                "Give 'backward' for what stands before a text.",
                ExitCode.USAGE,
            )
        if direction not in self.directions:
            raise LstmError(
                f"Run {self.run.name} reads forward only (model.bidirectional is false): it cannot "
                "write what stands before a text.",
                "Leave out --backward.",
                ExitCode.USAGE,
            )

    def encode(self, text: str) -> NDArray[np.int32]:
        """Return the ids of a text's tokens, `<int32>[tokens]`; none for an empty text.

        Raises:
            LstmError: It is not a string (exit code 2).
        """
        if not isinstance(text, str):
            raise LstmError(
                f"Expected one text as a string, found {describe(text)}.",
                "Give several texts one after the other: [model.score(text) for text in texts].",
                ExitCode.USAGE,
            )
        (encoding,) = self.tokenizer.encode([text])
        return own_ids(encoding.ids)[: encoding.num_tokens].astype(np.int32)

    def start(self, direction: Direction = "forward") -> ReadState:
        """Return the state before anything is read.

        Raises:
            LstmError: The model has no such direction (exit code 2).
        """
        self.check_direction(direction)
        layers = self._layers[direction]
        return ReadState(tuple(map(lstm_equations.initial_state, layers)), None)

    def read(
        self, ids: Sequence[int] | NDArray[np.int32], state: ReadState, direction: Direction
    ) -> tuple[Array, ReadState]:
        """Read words, one step for each.

        Args:
            ids: In the order of reading: from the last word to the first for `backward`. A text
                begins and ends with `[PAD]`.
            state: From `start` or from an earlier call.
            direction: Which of the two models reads.

        Returns:
            Log-probabilities of the next word after each of these words, in order of reading,
            `<float32>[len(ids), vocab]`; and the state after the last one.
        """
        words = np.asarray(ids, np.int32)
        x = self._embed(words, state.last_id, direction)[None]
        layers = []
        for weights, before in zip(self._layers[direction], state.layers, strict=True):
            x, after = lstm_equations.continue_from(weights, x, before)
            layers.append(after)
        kernel, bias = (self._weights[f"next_{direction}/{part}"] for part in ("kernel", "bias"))
        logits = (x[0] @ kernel + bias) @ self._vectors + self._biases
        last_id = int(words[-1]) if len(words) else state.last_id
        return _log_softmax(logits), ReadState(tuple(layers), last_id)

    def log_probabilities(
        self, ids: NDArray[np.int32], direction: Direction
    ) -> Iterator[tuple[NDArray[np.int64], Array]]:
        """Yield what a direction predicts at each place of a window of words, in parts.

        Args:
            ids: The window in the order of the text, `<int32>[length + 1]`.
            direction: `forward` predicts all but the first word, `backward` all but the last.

        Yields:
            Positions in `ids`, and the log-probabilities of all words there, `<float32>[num,
            vocab]`.
        """
        order = np.arange(len(ids))
        if direction == "backward":
            order = order[::-1]
        state = self.start(direction)
        for start in range(0, len(ids) - 1, _STEPS):
            read = order[start : min(start + _STEPS, len(ids) - 1)]
            found, state = self.read(ids[read], state, direction)
            yield order[start + 1 : start + 1 + len(read)], found

    def _embed(self, ids: NDArray[np.int32], last_id: int | None, direction: Direction) -> Array:
        """Embed words as the model reads them, `<float32>[num, dim]`.

        Forward, the bigram of a word is that with the word before it, which for the first is 0.
        Backward, it is that with the word after it, and the first has none.
        """
        settings = self.config.embedding
        assert settings is not None
        vectors: list[Array] = [self._weights["embedding/embeddings"][ids]]
        if settings.bigram_buckets:
            read_before = np.concatenate([[last_id or 0], ids[:-1]]).astype(np.int32)
            pair = (read_before, ids) if direction == "forward" else (ids, read_before)
            buckets = bigram_ids(*pair, settings.bigram_buckets)
            bigrams = self._weights["bigrams/embeddings"][buckets]
            if direction == "backward" and last_id is None:
                bigrams[:1] = 0
            vectors.append(bigrams)
        return np.concatenate(vectors, axis=1)


def as_text(ids: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the window of a whole text: its ids between two `[PAD]`, which mark its ends."""
    return np.concatenate([[PAD_ID], ids, [PAD_ID]]).astype(np.int32)


def _layer(weights: Mapping[str, Array], name: str) -> Weights:
    return Weights(
        weights[f"{name}/kernel"],
        weights[f"{name}/recurrent_kernel"],
        weights[f"{name}/bias"],
        weights.get(f"{name}/peepholes"),
    )


def _log_softmax(logits: Array) -> Array:
    shifted = logits - logits.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))
