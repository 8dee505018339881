"""The linear model: its features, its fit, its tables and its out-of-fold logits."""

from __future__ import annotations

import numpy as np
import pytest
from fixtures_corpora import corpus_of_ids
from scipy import sparse

from lstm_cli.config.schema import LinearSettings
from lstm_cli.data.splits import stratified_folds
from lstm_cli.models import calibration, linear, linear_features, linear_svm
from lstm_cli.models.linear_features import LinearTables
from lstm_cli.text.corpus import encode
from lstm_cli.text.ngrams import BIGRAM_FACTOR, char_ngram_ids
from lstm_cli.text.token_ids import SPECIAL_TOKENS
from lstm_cli.text.tokenizer import Tokenizer, tokenize

BUCKETS, CHAR_BUCKETS = 5003, 3001
RNG = np.random.default_rng(0)


def targets_of(labels, num_classes=2):
    """Targets of equal weight."""
    return linear_svm.Targets(labels, np.ones(len(labels), np.float32), num_classes)


def settings_with(**changes):
    base = {"buckets": BUCKETS, "char_buckets": CHAR_BUCKETS, "folds": 4}
    return LinearSettings(**{**base, **changes})


SETTINGS = settings_with()
KINDS = [
    pytest.param(settings_with(word_ngrams=order, char_ngrams=kind), id=f"{order}, {kind}")
    for order in (2, 3)
    for kind in ("all", "unknown", "none")
]


def encoded(texts, settings=SETTINGS, unknown=()):
    """Return the corpus of texts, and the vocabulary: all their words but those in `unknown`."""
    found = sorted({token for text in texts for token in tokenize(text)} - set(unknown))
    words = (*SPECIAL_TOKENS, *found)
    return encode(texts, Tokenizer(words, 200, settings.num_char_buckets)), words


def fit(texts, labels, num_classes, settings=SETTINGS, seed=0, unknown=()):
    corpus, words = encoded(texts, settings, unknown)
    labels = np.asarray(labels, np.int32)
    return linear.fit_linear_model(corpus, labels, num_classes, words, settings, seed), corpus


def noise(num, words=200, length=8):
    """Texts that are independent of their labels."""
    return [" ".join(f"w{i}" for i in RNG.integers(0, words, length)) for _ in range(num)]


def informative(labels, words):
    """Noise with one word for each class."""
    return [f"{t} {words[y]} film" for t, y in zip(noise(len(labels)), labels, strict=True)]


def counts_of(rows):
    return sparse.csr_matrix(np.array(rows, np.float32))


# Tables and logits


@pytest.mark.parametrize("settings", KINDS)
@pytest.mark.parametrize("outputs", [1, 3])
def test_the_tables_give_the_logits_of_the_features(settings, outputs):
    """Within words, weights add up: so one row for a known word replaces its n-grams."""
    texts = [*noise(30, words=40), "", "w1 odd w2", "strange strange odd", "w3 " * 250]
    corpus, words = encoded(texts, settings, unknown=("odd", "strange"))
    features = linear_features.extract(corpus, words, settings)
    weights = np.random.default_rng(1).normal(size=(features.counts.shape[1], outputs))
    biases = np.arange(outputs) - 0.5
    tables = features.tables(weights, biases, len(words), settings)
    expected = features.counts @ weights + biases
    found = linear.linear_logits(corpus, tables, settings)
    assert found == pytest.approx(expected, abs=1e-4)
    assert found.dtype == np.float32


@pytest.mark.parametrize("settings", KINDS)
def test_features_are_counts_over_the_root_of_the_length(settings):
    texts = ["dull dull film odd", "film"]
    corpus, words = encoded(texts, settings, unknown=("odd",))
    counts = linear_features.extract(corpus, words, settings).counts.toarray() * np.sqrt([[4], [1]])
    num_ngrams = {"dull": 14, "film": 14, "odd": 10}
    hashed = {"all": ("dull", "dull", "film", "odd"), "unknown": ("odd",), "none": ()}
    chars = [sum(num_ngrams[word] for word in hashed[settings.char_ngrams])]
    chars.append(14 if settings.char_ngrams == "all" else 0)
    # A word at each token, and an n-gram of each order at each token.
    expected = [4 * settings.word_ngrams + chars[0], settings.word_ngrams + chars[1]]
    assert counts.sum(axis=1) == pytest.approx(expected, rel=1e-5)


def test_a_known_word_has_its_own_weight_and_those_of_its_ngrams():
    settings = settings_with(char_ngrams="all")
    corpus, words = encoded(["fine film", "dull film"], settings)
    features = linear_features.extract(corpus, words, settings)
    weights = np.random.default_rng(1).normal(size=(features.counts.shape[1], 2))
    tables = features.tables(weights, np.zeros(2), len(words), settings)
    row = words.index("film")
    own = weights[features.columns[0].tolist().index(row)]
    ngrams = tables.char_ngrams[char_ngram_ids(["film"], CHAR_BUCKETS)[0]]
    assert tables.words[row] == pytest.approx(own + ngrams.sum(axis=0), abs=1e-5)
    assert np.abs(ngrams).sum() > 1
    assert not tables.words[0].any()
    assert not tables.char_ngrams[0].any()


@pytest.mark.parametrize("num_classes", [2, 3])
@pytest.mark.parametrize("settings", KINDS)
def test_logits_are_the_sum_of_the_weights(settings, num_classes):
    """As the ONNX graph and the explanation sum them, one text at a time."""
    texts = [f"{text} odd{i}" for i, text in enumerate(noise(40))]
    unknown = {f"odd{i}" for i in range(20)}
    labels = np.arange(40) % num_classes
    found, corpus = fit(texts, labels, num_classes, settings, unknown=unknown)
    tables = found.tables
    logits = linear.linear_logits(corpus, tables, settings)
    assert logits.shape == (40, 1 if num_classes == 2 else 3)
    for i in (0, 7, 39):
        ids = corpus[i].astype(int)
        padded = [0, 0, *ids]
        total = tables.words[ids].sum(axis=0)
        for a, b, c in zip(padded, padded[1:], padded[2:], strict=False):
            total = total + tables.word_ngrams[(b * BIGRAM_FACTOR + c) % BUCKETS]
            if settings.word_ngrams == 3:
                pair = (a * BIGRAM_FACTOR + b) % 65_521
                total = total + tables.word_ngrams[(pair * BIGRAM_FACTOR + c) % BUCKETS]
        if settings.char_ngrams != "none" and f"odd{i}" in unknown:
            ngrams, _ = char_ngram_ids([f"odd{i}"], CHAR_BUCKETS)
            total = total + tables.char_ngrams[ngrams].sum(axis=0)
        expected = total / np.sqrt(len(ids)) + tables.biases
        assert logits[i] == pytest.approx(expected, abs=1e-5)


def test_logits_in_chunks_are_the_same_bits(monkeypatch):
    settings = settings_with(word_ngrams=3, char_ngrams="all")
    texts = [*noise(20), "", "odd film", "w1"]
    found, corpus = fit(texts, np.arange(23) % 3, 3, settings, unknown=("odd", "w1"))
    whole = linear.linear_logits(corpus, found.tables, settings)
    for size in (1, 7, 22, 23):
        monkeypatch.setattr(linear, "_CHUNK", size)
        in_chunks = linear.linear_logits(corpus, found.tables, settings)
        assert in_chunks.tobytes() == whole.tobytes()


@pytest.mark.parametrize("settings", KINDS)
def test_a_corpus_without_texts_has_no_logits(settings):
    found, corpus = fit(["fine", "dull"], [1, 0], 2, settings)
    empty = corpus.take(np.zeros(0, np.int64))
    assert linear.linear_logits(empty, found.tables, settings).shape == (0, 1)


def test_tables_have_names_in_the_weights_file():
    with_chars, without = (
        fit(["fine film", "dull film"], [1, 0], 2, settings_with(char_ngrams=kind))[0].tables
        for kind in ("all", "none")
    )
    names = ["linear/words", "linear/word_ngrams", "linear/biases", "linear/char_ngrams"]
    assert list(with_chars.arrays()) == names
    assert list(without.arrays()) == names[:3]
    shapes = [array.shape for array in with_chars.arrays().values()]
    assert shapes == [(5, 1), (BUCKETS, 1), (1,), (CHAR_BUCKETS, 1)]
    assert with_chars.size == 5 + BUCKETS + 1 + CHAR_BUCKETS
    assert without.size == 5 + BUCKETS + 1
    for tables in (with_chars, without):
        again = LinearTables.from_arrays({**tables.arrays(), "head/bias": np.zeros(1)})
        assert again.arrays().keys() == tables.arrays().keys()
        assert all(again.arrays()[name] is array for name, array in tables.arrays().items())
    with pytest.raises(KeyError, match="linear/words"):
        LinearTables.from_arrays({"head/bias": np.zeros(1)})


# Unknown words


@pytest.mark.parametrize(("good", "bad"), [("wonderfull", "terible"), ("wonderfuly", "terribles")])
def test_a_misspelt_word_counts_like_the_word(good, bad):
    labels = np.arange(60) % 2
    texts = informative(labels, ("terrible", "wonderful"))
    settings = settings_with(char_ngrams="all")
    found, _ = fit(texts, labels, 2, settings)
    _, words = encoded(texts, settings)
    new = encode([f"{bad} film", f"{good} film", "xyz film"], Tokenizer(words, 200, CHAR_BUCKETS))
    assert new.num_unknown.tolist() == [1, 1, 1]
    low, high, other = linear.linear_logits(new, found.tables, settings)[:, 0]
    assert low < other < high
    probabilities = calibration.soft_targets(np.array([[low], [high]], np.float32))
    assert probabilities[0] < 0.35
    assert probabilities[1] > 0.65


@pytest.mark.parametrize("kind", ["all", "unknown"])
def test_rare_words_outside_the_vocabulary_are_learned_by_their_ngrams(kind):
    labels = np.arange(120) % 2
    stems = ("undrama", "filmoso")
    texts = [f"{t} {stems[y]}{i}" for i, (t, y) in enumerate(zip(noise(120), labels, strict=True))]
    unknown = {f"{stems[y]}{i}" for i, y in enumerate(labels)}
    accuracy = {}
    for chosen in (kind, "none"):
        found, _ = fit(texts, labels, 2, settings_with(char_ngrams=chosen), unknown=unknown)
        accuracy[chosen] = np.mean((found.train_logits[:, 0] > 0) == labels)
    assert accuracy[kind] > 0.95
    assert accuracy["none"] < 0.7


def test_without_ngrams_of_unknown_words_they_are_all_the_same():
    found, _ = fit(["fine film", "dull film"] * 5, [1, 0] * 5, 2)
    tokenizer = Tokenizer(encoded(["fine film", "dull film"])[1], 200)
    logits = linear.linear_logits(encode(["finee", "dulll"], tokenizer), found.tables, SETTINGS)
    assert logits[0] == logits[1]


# Fit


@pytest.mark.parametrize("penalty", [0.5, 2.0, 40.0])
def test_weights_are_those_of_a_support_vector_machine(penalty, monkeypatch):
    """Two kinds of texts of norm 1 with the margin m: minimize m^2 + 40 (1 - m)^2 / penalty."""
    monkeypatch.setattr(linear_svm, "_TOLERANCE", 1e-6)
    labels = np.array([0, 1] * 20, np.int32)
    corpus, words = encoded(["dull" if y == 0 else "fine" for y in labels])
    features = linear_features.extract(corpus, words, SETTINGS)
    weights, biases = linear_svm.fit(features.counts, features.factors, targets_of(labels), penalty)
    margin = 40 / penalty / (1 + 40 / penalty)
    expected = np.where(labels == 1, margin, -margin)
    assert (features.counts @ weights + biases)[:, 0] == pytest.approx(expected, rel=1e-3)


def test_log_count_ratios_compare_relative_frequencies():
    counts = counts_of([[2, 0, 1], [1, 0, 1], [0, 3, 1]])
    ratios = linear_svm._log_count_ratios(counts, np.array([True, True, False]))
    inside, outside = np.array([3.5, 0.5, 2.5]) / 6.5, np.array([0.5, 3.5, 1.5]) / 5.5
    assert ratios == pytest.approx(np.abs(np.log(inside / outside)), rel=1e-5)


def factors_of_fits(monkeypatch, counts, labels, num_classes):
    """Call `_fit`; return the factors and the labels of each call of `_fit_classes`."""
    calls = []

    def record(counts, factors, targets, penalty):
        calls.append((factors, targets.labels))
        outputs = 1 if targets.num_classes == 2 else targets.num_classes
        return np.zeros((counts.shape[1], outputs)), np.zeros(outputs)

    monkeypatch.setattr(linear_svm, "_fit_classes", record)
    kinds = np.array([1, 0.5, 0.5], np.float32)
    weights, biases = linear_svm.fit(counts, kinds, targets_of(labels, num_classes), 1.0)
    assert weights.shape == (3, 1 if num_classes == 2 else num_classes)
    assert biases.shape == weights.shape[1:]
    return kinds, calls


@pytest.mark.parametrize(("num_classes", "own"), [(2, [1]), (3, [0, 1, 2]), (20, range(20))])
def test_each_class_has_its_own_factors(num_classes, own, monkeypatch):
    counts = counts_of([[2, 0, 1], [1, 0, 1], [0, 3, 1]])
    labels = np.array([0, 1, num_classes - 1], np.int32)
    kinds, calls = factors_of_fits(monkeypatch, counts, labels, num_classes)
    idf = np.log(4 / np.array([3, 2, 4])) + 1
    assert len(calls) == len(own)
    for label, (factors, targets) in zip(own, calls, strict=True):
        ratios = linear_svm._log_count_ratios(counts, labels == label)
        assert factors == pytest.approx(kinds * idf * (1 + ratios), rel=1e-5)
        assert targets.tolist() == (labels == label).tolist()


def test_more_than_20_classes_share_the_mean_of_their_ratios(monkeypatch):
    counts = counts_of([[2, 0, 1], [1, 0, 1], [0, 3, 1]])
    labels = np.array([0, 1, 20], np.int32)
    kinds, calls = factors_of_fits(monkeypatch, counts, labels, 21)
    idf = np.log(4 / np.array([3, 2, 4])) + 1
    ratios = np.mean([linear_svm._log_count_ratios(counts, labels == c) for c in range(21)], axis=0)
    ((factors, targets),) = calls
    assert factors == pytest.approx(kinds * idf * (1 + ratios), rel=1e-5)
    assert targets.tolist() == labels.tolist()


@pytest.mark.parametrize("share", [0.3, 0.45])
def test_the_fit_converges(monkeypatch, share):
    """Many rare words: gradients are small, and a loose tolerance could stop too early."""
    num, length = 1000, 100
    rng = np.random.default_rng(5)
    labels = (rng.random(num) < share).astype(np.int32)
    words = rng.geometric(0.0003, (num, length)) + 10 * labels[:, None]
    texts = np.repeat(np.arange(num), length)
    values = np.full(num * length, length**-0.5, np.float32)
    counts = sparse.csr_matrix((values, (texts, words.ravel() % 100_000)), shape=(num, 100_000))
    counts.sum_duplicates()
    factors = np.ones(100_000, np.float32)
    found = linear_svm.fit(counts, factors, targets_of(labels), 1.0)
    monkeypatch.setattr(linear_svm, "_TOLERANCE", 1e-4)
    monkeypatch.setattr(linear_svm, "_MAX_ITERATIONS", 10_000)
    exact = linear_svm.fit(counts, factors, targets_of(labels), 1.0)
    logits = [(counts @ weights + biases)[:, 0] for weights, biases in (found, exact)]
    assert np.corrcoef(logits)[0, 1] > 0.999
    assert logits[0].std() == pytest.approx(logits[1].std(), rel=0.02)


@pytest.mark.parametrize("num_classes", [3, 25])
@pytest.mark.parametrize("settings", KINDS)
def test_classes_are_separated_by_their_words(num_classes, settings):
    labels = np.arange(8 * num_classes) % num_classes
    texts = informative(labels, [f"{chr(97 + c)}label" for c in range(num_classes)])
    found, corpus = fit(texts, labels, num_classes, settings)
    logits = linear.linear_logits(corpus, found.tables, settings)
    assert logits.shape == found.train_logits.shape == (len(texts), num_classes)
    assert np.array_equal(logits.argmax(axis=1), labels)
    assert np.mean(found.train_logits.argmax(axis=1) == labels) > 0.8
    probabilities = calibration.soft_targets(logits)
    assert probabilities.sum(axis=1) == pytest.approx(np.ones(len(texts)), abs=1e-5)
    assert np.array_equal(probabilities.argmax(axis=1), labels)


# Folds and classes that lack texts


def test_out_of_fold_logits_do_not_leak_labels():
    settings = settings_with(char_ngrams="all", word_ngrams=3)
    texts, labels = noise(600, words=60, length=20), RNG.integers(0, 2, 600)
    found, corpus = fit(texts, labels, 2, settings)
    logits = linear.linear_logits(corpus, found.tables, settings)[:, 0]
    assert np.mean((logits > 0) == labels) > 0.9
    out_of_fold = np.mean((found.train_logits[:, 0] > 0) == labels)
    assert abs(out_of_fold - 0.5) < 0.07


def test_a_text_is_predicted_by_the_other_folds(monkeypatch):
    """Each fit sees neither the counts nor the labels of the texts that it predicts."""
    labels = (np.arange(30) % 3).astype(np.int32)
    corpus, words = encoded(noise(30))
    features = linear_features.extract(corpus, words, SETTINGS)
    folds = stratified_folds(labels, 4, 0)
    seen = []
    fit_one = linear_svm.fit

    def record(counts, factors, targets, penalty):
        seen.append((counts.toarray(), targets.labels.tolist()))
        return fit_one(counts, factors, targets, penalty)

    monkeypatch.setattr(linear_svm, "fit", record)
    linear._out_of_fold_margins(features, targets_of(labels, 3), SETTINGS, 0)
    for fold, (counts, its_labels) in enumerate(seen):
        assert np.array_equal(counts, features.counts.toarray()[folds != fold])
        assert its_labels == labels[folds != fold].tolist()
    assert len(seen) == 4


def separable(labels):
    """One feature for each class, and one that all share."""
    rows = np.eye(max(labels) + 1, dtype=np.float32)[labels]
    return counts_of(np.hstack([rows, np.ones((len(labels), 1))]))


def decisions(counts, labels, num_classes):
    factors = np.ones(counts.shape[1], np.float32)
    weights, biases = linear_svm.fit(
        counts, factors, targets_of(np.array(labels, np.int32), num_classes), 0.1
    )
    return counts @ weights + biases


@pytest.mark.parametrize("num_classes", [3, 20, 21, 30])
@pytest.mark.parametrize("present", [(0, 1), (0, 2), (1, 2)])
def test_two_classes_can_be_left_of_several(present, num_classes):
    """With two classes, liblinear returns one output: its sign must fit the others."""
    labels = list(present) * 10
    logits = decisions(separable(labels), labels, num_classes)
    assert logits.shape == (20, num_classes)
    assert logits.argmax(axis=1).tolist() == labels
    absent = [label for label in range(num_classes) if label not in present]
    assert (logits[:, absent] == -1).all()
    for label in present:
        is_class = np.array(labels) == label
        assert (logits[is_class, label] > 0.5).all()
        assert (logits[~is_class, label] < -0.5).all()


@pytest.mark.parametrize("num_classes", [4, 20, 21, 30])
def test_classes_can_be_absent(num_classes):
    labels = [0, 1, 3] * 10
    logits = decisions(separable(labels), labels, num_classes)
    assert logits.argmax(axis=1).tolist() == labels
    absent = [label for label in range(num_classes) if label not in labels]
    assert (logits[:, absent] == -1).all()


@pytest.mark.parametrize(
    ("label", "num_classes", "expected"),
    [(0, 2, [-1]), (1, 2, [1]), (0, 3, [1, -1, -1]), (2, 3, [-1, -1, 1])],
)
def test_one_class_alone_is_predicted_always(label, num_classes, expected):
    labels = [label] * 5
    assert decisions(separable(labels), labels, num_classes).tolist() == [expected] * 5


@pytest.mark.parametrize("label", [0, 24])
def test_one_class_of_many_alone_is_predicted_always(label):
    logits = decisions(separable([label] * 5), [label] * 5, 25)
    assert (logits.argmax(axis=1) == label).all()
    assert (np.delete(logits, label, axis=1) == -1).all()


@pytest.mark.parametrize("num_classes", [2, 3, 25])
def test_no_texts_predict_no_class(num_classes):
    counts = sparse.csr_matrix((0, 4), dtype=np.float32)
    labels = np.zeros(0, np.int32)
    weights, biases = linear_svm.fit(
        counts, np.ones(4, np.float32), targets_of(labels, num_classes), 1.0
    )
    assert not weights.any()
    assert (biases == -1).all()


@pytest.mark.parametrize("num_classes", [3, 25])
def test_a_fold_can_lack_a_class(num_classes):
    """Of the last class there is one text: the fit that predicts this text has never seen it."""
    labels = [0, 1] * 5 + [0, num_classes - 1]
    found, _ = fit(noise(12), labels, num_classes)
    assert np.isfinite(found.train_logits).all()
    assert found.train_logits[11].argmax() != num_classes - 1


@pytest.mark.parametrize("num_classes", [2, 3, 25])
@pytest.mark.parametrize("settings", KINDS)
def test_few_texts_are_allowed(settings, num_classes):
    for texts, labels in ((["good", "bad"], [1, 0]), (["good"], [1]), (["", ""], [0, 1])):
        found, corpus = fit(texts, labels, num_classes, settings)
        for array in (found.train_logits, *found.tables.arrays().values()):
            assert np.isfinite(array).all()
        logits = linear.linear_logits(corpus, found.tables, settings)
        assert np.isfinite(calibration.soft_targets(logits)).all()


def test_labels_of_one_class_give_no_weights():
    found, _ = fit(noise(12), [0] * 12, 2)
    assert not found.tables.words.any()
    assert not found.tables.word_ngrams.any()
    assert found.tables.biases < 0


def test_empty_texts_are_one_unknown_word():
    texts, labels = [*noise(20), *[""] * 20], [0] * 20 + [1] * 20
    found, _ = fit(texts, labels, 2, settings_with(char_ngrams="all"))
    assert ((found.train_logits[:, 0] > 0) == (np.array(labels) == 1)).all()
    unknown = corpus_of_ids([[1]])
    settings = settings_with(char_ngrams="all")
    assert linear.linear_logits(unknown, found.tables, settings)[0, 0] > 0


# Scale


def test_uninformative_logits_get_a_small_scale():
    labels = RNG.integers(0, 2, 2000)
    weak, _ = fit(noise(2000), labels, 2)
    strong, _ = fit(informative(labels, ("dull", "fine")), labels, 2)
    assert np.abs(weak.train_logits).mean() < 0.3
    assert np.abs(strong.train_logits).mean() > 2


def test_the_best_factor_on_out_of_fold_logits_is_1():
    labels = np.arange(200) % 3
    found, _ = fit(informative(labels, ("dull", "fine", "so")), labels, 3)
    assert calibration.fit_scale(found.train_logits, labels) == pytest.approx(1, rel=1e-2)


def test_probabilities_of_noise_are_the_frequencies_of_the_classes():
    labels = np.array([1] * 750 + [0] * 250)
    found, _ = fit(noise(1000), labels, 2)
    probabilities = calibration.soft_targets(found.train_logits)
    assert probabilities.mean() == pytest.approx(0.75, abs=0.1)


def test_the_same_seed_gives_the_same_bits():
    texts, labels = noise(100), RNG.integers(0, 2, 100)
    settings = settings_with(char_ngrams="all")
    (one, _), (same, _), (other, _) = (fit(texts, labels, 2, settings, s) for s in (0, 0, 1))
    assert one.train_logits.tobytes() == same.train_logits.tobytes()
    assert one.train_logits.tobytes() != other.train_logits.tobytes()
    for name, array in one.tables.arrays().items():
        assert array.tobytes() == same.tables.arrays()[name].tobytes()


def test_refitted_tables_have_the_scale_of_the_model():
    labels = np.arange(300) % 2
    texts = informative(labels, ("dull", "fine"))
    settings = settings_with(char_ngrams="all")
    found, corpus = fit(texts, labels, 2, settings)
    words = encoded(texts, settings)[1]
    again = linear.refit_tables(found, corpus, np.asarray(labels, np.int32), 2, words, settings)
    for name, array in found.tables.arrays().items():
        assert again.arrays()[name] == pytest.approx(array, rel=1e-6)


def test_balanced_class_weights_help_the_rare_class():
    texts = noise(200, words=30)
    labels = (np.arange(200) % 10 == 0).astype(np.int32)
    corpus, words = encoded(texts)
    plain, balanced = (
        linear.fit_linear_model(corpus, labels, 2, words, SETTINGS, 0, weights)
        for weights in ("none", "balanced")
    )
    assert balanced.tables.biases[0] > plain.tables.biases[0]


# Row weights


def weighted_fit(monkeypatch, num_classes, row_weights, rows, class_weights="none"):
    """Fit some rows of a fixed data set nearly exactly; return weights and biases."""
    monkeypatch.setattr(linear_svm, "_TOLERANCE", 1e-7)
    monkeypatch.setattr(linear_svm, "_MAX_ITERATIONS", 100_000)
    rng = np.random.default_rng(3)
    counts = sparse.csr_matrix(rng.poisson(0.4, (40, 12)).astype(np.float32))
    labels = rng.integers(0, num_classes, 40).astype(np.int32)
    weights = None if row_weights is None else np.array(row_weights, np.float64)
    targets = linear_svm.Targets.weighted(labels[rows], num_classes, class_weights, weights)
    factors = np.linspace(0.5, 1, 12, dtype=np.float32)
    return linear_svm.fit(counts[rows], factors, targets, 1.5)


@pytest.mark.parametrize("num_classes", [2, 3, 21])
@pytest.mark.parametrize("class_weights", ["none", "balanced"])
def test_weight_2_is_the_same_as_the_row_twice(monkeypatch, num_classes, class_weights):
    rows = np.arange(40)
    twice = weighted_fit(monkeypatch, num_classes, None, np.append(rows, rows[:15]), class_weights)
    weights = np.where(rows < 15, 2.0, 1.0)
    found = weighted_fit(monkeypatch, num_classes, weights, rows, class_weights)
    for one, other in zip(found, twice, strict=True):
        assert one == pytest.approx(other, abs=1e-4)
    assert np.abs(found[0] - weighted_fit(monkeypatch, num_classes, None, rows)[0]).max() > 1e-3


def test_weights_of_1_give_the_same_bits_as_none(monkeypatch):
    rows = np.arange(40)
    ones = weighted_fit(monkeypatch, 3, np.ones(40), rows, "balanced")
    none = weighted_fit(monkeypatch, 3, None, rows, "balanced")
    assert [array.tobytes() for array in ones] == [array.tobytes() for array in none]


def test_folds_and_pseudo_labels_use_the_weights_of_their_rows():
    labels = np.arange(200, dtype=np.int32) % 2
    texts = informative(labels, ("dull", "fine"))
    corpus, words = encoded(texts)
    settings = settings_with(self_training=0.5)
    weights = np.where(labels == 1, 9.0, 1.0)
    plain, weighted = (
        linear.fit_linear_model(corpus, labels, 2, words, settings, 0, "none", corpus, given)
        for given in (None, weights)
    )
    assert weighted.train_logits.mean() > plain.train_logits.mean() + 0.01
    refitted = linear.refit_tables(
        weighted, corpus, labels, 2, words, settings, "none", corpus, weights
    )
    for name, array in weighted.tables.arrays().items():
        assert refitted.arrays()[name].tobytes() == array.tobytes()


def test_several_labels_have_weights():
    sets = np.array([[1, 0], [0, 1]] * 40, np.int32)
    texts = informative(sets[:, 1], ("dull", "fine"))
    corpus, words = encoded(texts)
    found = [
        linear.fit_linear_model(corpus, sets, 2, words, SETTINGS, 0, row_weights=weights)
        for weights in (None, np.where(sets[:, 1] == 1, 9.0, 1.0))
    ]
    assert found[1].tables.words[:, 1].sum() != found[0].tables.words[:, 1].sum()
