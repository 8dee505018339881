"""Explainers of small runs, and what their outputs show."""

from __future__ import annotations

from html.parser import HTMLParser

import numpy as np
from fixtures_runs import (
    make_image_run,
    make_text_run,
    text_config,
)
from hypothesis import strategies as st

from lstm_cli.explain.explainer import Explainer
from lstm_cli.explain.render_terminal import render_lines

TEXT = "Not a fine film, and  NOT fine acting."
# Characters whose lower case is longer, that combine with the one before, or that are no letters.
ODD = (
    "好电影, fine film",
    "fine 😀👩‍👩‍👧 film!",
    "cafe\u0301 fi\u0301ne na\u00efve",
    "a fine film<br /><br />A dull<BR>cast",
    "İstanbul fine \u212a fine",
    "it\u2019s fine, isn't it",
    "  \tfine\nfilm\r\n ",
    "\x1b[31mfine\x00film\x9b",
    "fine \udc80 film",
    "\u05e9\u05dc\u05d5\u05dd fine \u202eelif",
)
ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=60)


def text_explainer(folder):
    """An explainer of a text run with bigrams and a linear model with all its n-grams."""
    config = text_config(
        embedding__bigram_buckets=11,
        linear__buckets=13,
        linear__word_ngrams=3,
        linear__char_ngrams="all",
        linear__char_buckets=50,
    )
    return Explainer.load(make_text_run(folder / "demo" / "one", config=config))


def image_explainer(folder, **overrides):
    """An explainer of an image run."""
    return Explainer.load(make_image_run(folder / "digits" / "one", **overrides))


def random_image():
    """Pixels of the size that the image run reads."""
    return np.random.default_rng(5).integers(0, 256, (8, 8), dtype=np.uint8)


def encoding_of(found, text):
    return found.predictor.tokenizer.encode([text])[0]


def ids_of(found, text):
    return encoding_of(found, text).ids


def shown(result, width=80, colour=False):
    """The rendered lines as one string."""
    lines = render_lines(result, width, colour)
    return "\n".join("".join(piece.text for piece in line) for line in lines)


class PageText(HTMLParser):
    """The tags of a page, and what stands in its `text` element."""

    def __init__(self):
        super().__init__()
        self.found, self.tags, self.inside = "", [], False

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.inside |= dict(attributes).get("class") == "text"

    def handle_endtag(self, tag):
        if tag == "div":
            self.inside = False

    def handle_data(self, data):
        self.found += data if self.inside else ""


def text_of(html):
    """The text that a page explains."""
    parser = PageText()
    parser.feed(html)
    return parser.found
