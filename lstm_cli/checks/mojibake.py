"""Texts that were decoded with the wrong encoding: `cafÃ©` for `café`."""

from __future__ import annotations

import functools
import re

from lstm_cli.checks.result import Finding, Group
from lstm_cli.checks.table import Table
from lstm_cli.io.optional import require

# Without Chinese and Japanese characters, which are not mojibake and do not end a word. The space
# can be a part of it: of "Ã\xa0", some programs make "Ã ".
_WORD = re.compile(r"[^ \t\r\n\u2e80-\ufaff]+ ?")
_REPLACED = "\ufffd"


def mojibake(table: Table, limit: int) -> Finding:
    """Return the texts with a word that ftfy would decode again, or that has lost characters.

    Raises:
        LstmError: ftfy is not installed.

    Source: Speer 2019, "ftfy", https://doi.org/10.5281/zenodo.2591652.
    """
    require("ftfy")
    shown: list[Group] = []
    num = 0
    for index, text in enumerate(table.texts()):
        if text.isascii():
            continue
        # ftfy takes milliseconds for a long text, and words repeat.
        for match in _WORD.finditer(text):
            if not match[0].isascii() and (fixed := _decode_again(match[0])):
                num += 1
                if len(shown) < limit:
                    shown.append(table.group([index], fixed, match.start()))
                break
    return Finding("mojibake", num, "", tuple(shown), num)


@functools.lru_cache(1 << 16)
def _decode_again(word: str) -> str:
    """Return how a word was probably meant; empty if there is nothing wrong with it."""
    from ftfy import fix_encoding
    from ftfy.badness import is_bad

    if _REPLACED in word:
        return "lost characters (U+FFFD)"
    fixed = fix_encoding(word) if is_bad(word) else word
    return "" if fixed == word else f"probably '{fixed.strip()}'"
