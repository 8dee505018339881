"""The words and sentences of the `demo` reviews.

A sentence is literal text with slots in braces. The decisive word is between asterisks:

- `*not|indeed*`: two words, of which one is used. With the second, the `+` words express the
  opinion of the review; with the first, the opposite (a negation, a dissent, or a contrast that
  decides for the other side).
- `{+adj}`, `{+noun}`, `{+verb}`: a word with the polarity of the first opinion in the sentence.
  `{-adj}` and so on: a word with the other polarity.
- `{?adj}`: a word of random polarity, about something other than the film.
- any other slot: a word or phrase from `NEUTRAL`, which says nothing about the film.

Each of the two decisive words occurs with opinion words of both polarities. So neither the opinion
words nor the rest of the sentence give the label away, and without the decisive word the label is
unknown. No other word is needed: opinion words come in twos (in contrasts as opposites), so one
tells the other. Only `PLAIN` sentences depend on a single opinion word.
"""

from __future__ import annotations

POLAR: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    # slot: (negative words, positive words)
    "adj": (
        (
            "dull", "tedious", "clumsy", "predictable", "shallow", "lifeless", "tiresome", "bland",
            "muddled", "stale", "pompous", "leaden", "hollow", "dreary", "forgettable", "sluggish",
            "contrived", "wooden", "insipid", "awkward",
        ),
        (
            "moving", "gripping", "charming", "funny", "clever", "inventive", "graceful",
            "thrilling", "tender", "sharp", "elegant", "beautiful", "fresh", "delightful",
            "absorbing", "witty", "vivid", "brilliant", "memorable", "exciting",
        ),
    ),
    "noun": (
        (
            "bore", "mess", "slog", "chore", "failure", "misfire", "disaster", "letdown", "muddle",
            "ordeal",
        ),
        (
            "triumph", "masterpiece", "joy", "delight", "treasure", "marvel", "gem", "treat",
            "achievement", "wonder",
        ),
    ),
    "verb": (
        ("bore", "irritate", "disappoint", "annoy", "exhaust", "tire", "depress", "grate"),
        ("delight", "charm", "please", "surprise", "dazzle", "enchant", "thrill", "amuse"),
    ),
}  # fmt: skip

NEUTRAL: dict[str, tuple[str, ...]] = {
    "very": (
        "very", "truly", "utterly", "thoroughly", "remarkably", "deeply", "quite", "genuinely",
        "wholly", "decidedly",
    ),
    "aspect": (
        "the script", "the acting", "the pacing", "the photography", "the score", "the first act",
        "the dialogue", "the direction", "the middle hour", "the love story", "the editing",
        "the lead performance", "the subplot", "the opening",
    ),
    "whole": (
        "the film", "the picture", "the whole thing", "the film as a whole", "the result",
        "the movie", "the evening as a whole", "the finished thing",
    ),
    "film": ("film", "picture", "movie", "production", "piece of work"),
    "bit": ("scene", "minute", "moment", "line", "sequence"),
    "time": ("two hours", "ninety minutes", "a hundred minutes", "the whole running time"),
    "length": ("ninety minutes", "two hours", "a little under two hours", "three hours and a bit"),
    "places": ("in places", "here and there", "at times", "now and then", "for a while"),
    "people": (
        "the critics", "my colleagues", "the neighbours", "my students", "the people behind me",
        "both my brothers", "the festival crowd", "the newspapers",
    ),
    "person": (
        "my aunt", "my sister", "an old friend", "my dentist", "our postman", "my grandmother",
        "the usher", "my flatmate", "my daughter", "my piano teacher",
    ),
    "day": (
        "a wet Tuesday", "a Sunday afternoon", "the hottest night of the year", "New Year's Day",
        "a slow Thursday", "the last day of its run", "my birthday", "the shortest day",
    ),
    "place": (
        "Leeds", "Lisbon", "Montreal", "Trieste", "Cork", "Valparaiso", "Gdansk", "Wellington",
        "Bergen", "Kyoto",
    ),
    "hero": (
        "a lighthouse keeper", "a retired boxer", "a village postmistress", "a piano tuner",
        "a night nurse", "a failed magician", "a beekeeper", "a young cartographer",
        "a ferry captain", "a court stenographer", "a widowed baker", "a train inspector",
    ),
    "fate": (
        "inherits a circus", "loses a letter that was never meant to arrive",
        "wakes up in the wrong city", "teaches a parrot to testify", "buys back the family house",
        "is mistaken for a spy", "falls in with a gang of clockmakers",
        "agrees to dig a tunnel under the bank", "walks home across three borders",
        "finds a map under the floorboards", "has one week to sell an island",
        "marries the same person twice", "takes a stranger's place at sea",
    ),
    "actor": (
        "Marta Vale", "Ines Okafor", "Tom Hallard", "Jules Ferrand", "Anna Lindqvist",
        "Pavel Horak", "Rosa Quint", "Desmond Lowe", "Kei Tanabe", "Elsa Brandt",
    ),
    "role": (
        "the landlady", "the judge", "the elder brother", "the stowaway", "the mayor",
        "the ghost", "the rival", "the doctor", "the translator",
    ),
    "season": ("one winter", "a single night", "forty years", "three summers", "a week in May"),
    "snack": ("popcorn", "liquorice", "roasted almonds", "cold tea", "a bag of oranges"),
}  # fmt: skip

# Statements about the film, affirmed or negated.
CLAIMS = (
    "It is *not|indeed* a {+adj}, {+adj} {film}.",
    "It is *not|indeed* a {+adj}, {+adj} and {+adj} {film}.",
    "This is *hardly|plainly* a {+adj}, {+adj} {+noun}.",
    "{whole} is *never|always* {very} {+adj} and {+adj}.",
    "It is *anything|nothing* but {+adj}, {+adj} and {+adj}.",
    "*Nobody|Everybody* in the room found it {+adj} and {+adj}.",
    "For {time} it *refuses|continues* to be {+adj} and {+adj}.",
    "I would *never|gladly* call it a {+adj}, {+adj} {+noun}.",
    "You will find it *free|full* of {+adj}, {+adj} and {+adj} {bit}s.",
    "There is *no|every* reason to call {aspect} {+adj} and {+adj}.",
    "It would be *unfair|fair* to speak of a {+adj}, {+adj} {+noun}.",
    "I *doubt|insist* that {whole} is {+adj}, {+adj} and {+adj}.",
    "I *deny|admit* that it is a {+adj} and {+adj} {+noun}.",
    "What it *lacks|offers*, from first to last, is a {+adj}, {+adj} {bit}.",
    "The {bit}s in it that are {+adj} and {+adj} are *few|many*.",
    "Halfway through it *stops|starts* being {+adj}, {+adj} and {+adj}.",
    "{aspect} sounds {+adj} and {+adj}, and it is *neither|both*.",
    "Is it {+adj}, is it {+adj}? *No|Yes*, from beginning to end.",
    "Is it a {+adj}, {+adj} {film}? *No|Yes*.",
)

# The opinions of other people, and whether they were right.
REPORTS = (
    "{people} called it {+adj} and {+adj}, and once again they were *wrong|right*.",
    "{person} says that it is {+adj}, {+adj} and {+adj}, which is *false|true*.",
    "Those who speak of a {+adj}, {+adj} {+noun} have *misunderstood|understood* it.",
    "They will tell you that it is {+adj} and {+adj}; *ignore|believe* them.",
    "Some find {aspect} {+adj} and {+adj}, and I *cannot|can* see why.",
    "{people} called it a {+adj} {+noun}, and I could not *disagree|agree* more.",
    "I had been told to expect a {+adj}, {+adj} {+noun}, and *wrongly|rightly* so.",
    "That it is a {+adj}, {+adj} {film}, as {people} say, is *false|true*.",
    "{person} is *wrong|right* to call it a {+adj} and {+adj} {+noun}.",
)

# Two opposite opinions, of which one decides.
CONTRASTS = (
    "It is {very} {+adj}, *but|though* it is {very} {-adj}.",
    "It is {+adj} and {+adj}, *but|though* it is {-adj} and {-adj}.",
    "I found it {+adj} and {+adj} {places}, *yet|although* {-adj} and {-adj}.",
    "The {film} is a {+adj} {+noun}, *yet|although* it is {-adj} and {-adj}.",
    "{whole} is {+adj} and {+adj}, *but|though* it is a {-noun}.",
    "It is *less|more* of a {+noun} than a {-noun}.",
    "It is *less|more* of a {+adj} {+noun} than a {-adj} {-noun}.",
    "It has *fewer|more* {+adj}, {+adj} {bit}s than {-adj} and {-adj} ones.",
    "What I *expected|found* was a {+adj} {+noun}, not a {-adj} {-noun}.",
    "It is a {+adj} {+noun} that comes *reborn|disguised* as a {-adj} {-noun}.",
    "It *begins|ends* as a {+adj} {+noun}, with a {-adj} {-noun} at the other end.",
    "It *pretends|proves* to be a {+adj} {+noun} rather than a {-adj} {-noun}.",
    "The {+adj}, {+adj} {bit}s in it *trail|outnumber* the {-adj} and {-adj} ones by far.",
    "I *arrived|left* sure of a {+adj} {+noun} and not of a {-adj} {-noun}.",
)

# A single opinion; no word reverses it.
PLAIN = (
    "It is {very} *{+adj}* from beginning to end.",
    "I found {aspect} {very} *{+adj}*.",
    "This is a *{+noun}*.",
    "All in all, {whole} is {very} *{+adj}*.",
    "It will *{+verb}* you for {time}.",
    "What a *{+noun}*!",
    "It is one *{+adj}* {bit} after another.",
)

OPINIONS: dict[str, tuple[str, ...]] = {
    "affirmation": CLAIMS,
    "negation": CLAIMS,
    "agreement": REPORTS,
    "dissent": REPORTS,
    "contrast": CONTRASTS,
    "plain": PLAIN,
}

# Opinions about something else, which do not affect the label.
ASIDES: tuple[str, ...] = (
    "The short before it was {very} {?adj}.",
    "{actor} was once in something {?adj}, but that is another story.",
    "The director's last {film} was a {?noun}, they say.",
    "{person} found the cinema {?adj} and the seats small.",
    "The book, which I read in {place}, is {very} {?adj}.",
    "The last thing I saw there was a {?noun}.",
)

FILLERS: tuple[str, ...] = (
    "I saw it on {day} in {place}.",
    "We went on {day}, {person} and I.",
    "{hero} {fate}: that is the story.",
    "It follows {hero} who {fate}.",
    "The story spans {season} in {place}.",
    "{actor} plays {role}, and {actor} plays {role}.",
    "{actor} is {role}.",
    "Somewhere in {place}, {hero} {fate}.",
    "{person} brought {snack}.",
    "I had {snack} and a seat on the aisle.",
    "It was shot in {place} over {season}.",
    "There is {hero}, there is {role}, and there is a dog.",
    "The cinema in {place} was half full on {day}.",
    "Most of it happens in one kitchen in {place}.",
    "Then {hero} {fate}, and the lights come up.",
    "It runs for {length}.",
    "We talked about it on the way home, {person} and I.",
    "{actor} wrote it during {season} in {place}.",
)
