"""A text in each script, and what its tokens are."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sample:
    """A text in one script.

    Attributes:
        name: The script, or what is special.
        text: The text as somebody wrote it.
        look_alike: The same text as somebody else wrote it; it has the same tokens.
        tokens: The tokens.
        words: How the tokens are spelled in the text.
        unspaced: Whether all tokens are letters of a script without spaces.
    """

    name: str
    text: str
    look_alike: str
    tokens: list[str]
    words: list[str]
    unspaced: bool = False

    def __str__(self) -> str:
        return self.name


SAMPLES = [
    Sample(
        "latin decomposed", "Cafe\u0301 ﬁlm soft\u00adware", "CAFÉ film software",
        ["café", "film", "software"], ["Cafe\u0301", "ﬁlm", "soft\u00adware"],
    ),
    Sample(
        "vietnamese decomposed", "Vie\u0323\u0302t Nam", "Vi\u1ec7t Nam",
        ["vi\u1ec7t", "nam"], ["Vie\u0323\u0302t", "Nam"],
    ),
    Sample(
        "cyrillic", "\u041c\u043e\u0438\u0306 п\u02bcять", "мой п\u2019ять",
        ["мой", "п'ять"], ["\u041c\u043e\u0438\u0306", "п\u02bcять"],
    ),
    Sample(
        "arabic", "كِتَابٌ جميـــل \ufefb", "كتاب جميل لا",
        ["كتاب", "جميل", "لا"], ["كِتَابٌ", "جميـــل", "\ufefb"],
    ),
    Sample(
        "arabic with hamza", "\u0627\u0654\u064eحمد", "أحمد", ["أحمد"], ["\u0627\u0654\u064eحمد"],
    ),
    Sample(
        "persian joiners", "می\u200cخواهم", "میخواهم", ["میخواهم"], ["می\u200cخواهم"],
    ),
    Sample(
        "hebrew points", "שָׁל\u05d5\u05b9ם \ufb2a\u05dc", "שלום של",
        ["שלום", "של"], ["שָׁל\u05d5\u05b9ם", "\ufb2a\u05dc"],
    ),
    Sample(
        "japanese full-width", "ＡＢＣ１２　ﾊﾟﾝ", "abc12 パン",
        ["abc12", "パ", "ン"], ["ＡＢＣ１２", "ﾊﾟ", "ﾝ"],
    ),
    Sample(
        "japanese", "か\u3099くせいラーメン学々", "がくせいラーメン学々",
        [*"がくせいラーメン学々"], ["か\u3099", *"くせいラーメン学々"], unspaced=True,
    ),
    Sample(
        "chinese", "好电影\U000e0100，好！", "好电影,好!",
        ["好", "电", "影", ",", "好", "!"], ["好", "电", "影\U000e0100", "，", "好", "！"],
    ),
    Sample(
        "thai", "น้ำดีมาก", "น้\u0e4d\u0e32ดีมาก",
        ["น้ำ", "ดี", "ม", "า", "ก"], ["น้ำ", "ดี", "ม", "า", "ก"], unspaced=True,
    ),
    Sample(
        "lao", "ນ້ຳດີ", "ນ້\u0ecd\u0eb2ດີ", ["ນ້ຳ", "ດີ"], ["ນ້ຳ", "ດີ"], unspaced=True,
    ),
    Sample(
        "khmer", "ស្ត្រី\u200bខ្មែរ", "ស្ត្រី ខ្មែរ",
        ["ស្ត្រី", "ខ្មែ", "រ"], ["ស្ត្រី", "ខ្មែ", "រ"], unspaced=True,
    ),
    Sample(
        "myanmar", "မြန်မာသင်္ဘော", "မြန်\u2060မာသင်္ဘော",
        ["မြ", "န်", "မာ", "သ", "င်္ဘော"], ["မြ", "န်", "မာ", "သ", "င်္ဘော"], unspaced=True,
    ),
    Sample(
        "yi", "\ua2bf\ua0b7\ua0c5", "\ua2bf\u200b\ua0b7\ua0c5", [*"\ua2bf\ua0b7\ua0c5"],
        [*"\ua2bf\ua0b7\ua0c5"], unspaced=True,
    ),
    Sample(
        "javanese", "ꦧꦱꦗꦮ", "ꦧꦱ\u200bꦗꦮ", [*"ꦧꦱꦗꦮ"], [*"ꦧꦱꦗꦮ"], unspaced=True,
    ),
    Sample(
        "hindi", "हिन्दी \u0958लम क्\u200dष", "हिन्दी \u0915\u093cलम क्ष",
        ["हिन्दी", "\u0915\u093cलम", "क्ष"], ["हिन्दी", "\u0958लम", "क्\u200dष"],
    ),
    Sample(
        "bengali", "ভা\u09c7\u09beলো বাংলা", "ভা\u09cbলো বাংলা",
        ["ভা\u09cbলো", "বাংলা"], ["ভা\u09c7\u09beলো", "বাংলা"],
    ),
    Sample(
        "tamil", "தமிழ் \u0b95\u0bc6\u0bbe", "தமிழ் \u0b95\u0bca",
        ["தமிழ்", "\u0b95\u0bca"], ["தமிழ்", "\u0b95\u0bc6\u0bbe"],
    ),
    Sample(
        "korean jamo", "\u1112\u1161\u11ab\u1100\u116e\u11a8 \u3131\u314f", "한국 가",
        ["한국", "가"], ["\u1112\u1161\u11ab\u1100\u116e\u11a8", "\u3131\u314f"],
    ),
    Sample(
        "symbols", "Lego™ CO₂ 3½ ❤\ufe0f…", "lego tm co 2 3 1⁄2 ❤...",
        ["lego", "tm", "co", "2", "3", "1", "⁄", "2", "❤", ".", ".", "."],
        ["Lego", "™", "CO", "₂", "3", "½", "½", "½", "❤\ufe0f", "…", "…", "…"],
    ),
    Sample(
        "arabic phrase", "محمد\ufdfa", "محمد صلى الله عليه وسلم",
        ["محمد", "صلى", "الله", "عليه", "وسلم"], ["محمد", *["\ufdfa"] * 4],
    ),
]  # fmt: skip
