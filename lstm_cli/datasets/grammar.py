"""The words and sentences that `demo` reviews are made of.

A sentence is literal text with slots in braces, and the word that decides its verdict between
asterisks:

- `{+adj}`, `{+noun}`, `{+verb}`: a word of the review's own polarity; `{-adj}` ...: of the other.
- `{?adj}`: a word of either polarity, drawn blindly, about something that is not the film.
- any other slot: a word or phrase from `NEUTRAL` that says nothing about the film.

Every sentence of `VERDICTS` is written to hold for both polarities: "there is not one dull minute
in it" and "there is not one gripping minute in it" are both English, and mean opposite things. So
neither the words of opinion nor the words around them tell the label alone; how they stand to each
other does.
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
    "deeply": (
        "thoroughly", "deeply", "truly", "wholly", "decidedly", "genuinely", "remarkably",
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

VERDICTS: dict[str, tuple[str, ...]] = {
    # The opinion is taken back: the word of opinion is the opposite of the verdict.
    "negation": (
        "It is *not* {-noun}.",
        "This is *not* {-noun}.",
        "It is *not* {-adj}.",
        "{whole} is *not* {very} {-adj}.",
        "There is *not* one {very} {-adj} {bit} in it.",
        "There is *hardly* a single {-adj} {bit} in the whole {film}.",
        "In {time}, it is *never* once {-adj}.",
        "*Nobody* could call it {-noun}.",
        "*Nobody* in the room would have called it {-adj}.",
        "I would *not* call any of it {-adj}.",
        "It is *anything* but {-noun}.",
        "{aspect} is *far* from being {-adj}.",
        "I kept waiting for something {-adj}, and it *never* came.",
        "I waited {time} for one {-adj} {bit}, and there was *none*.",
        "If there is one {-adj} {bit} in it, I *missed* it.",
        "It would be a *lie* to say that {aspect} is {-adj}.",
        "You can look for {-noun} in it, but you will look in *vain*.",
        "*No* part of it is the least bit {-adj}.",
        "*Without* one {-adj} {bit} to its name, it runs for {length}.",
        "For {time}, it quietly *refuses* to be {-adj}.",
        "To call it {-noun} would be *absurd*.",
        "What it *lacks*, from first to last, is a single {-adj} {bit}.",
    ),
    # It sounds taken back, and is not.
    "affirmation": (
        "It *never* fails to {+verb}.",
        "For {time}, it *never* stops being {+adj}.",
        "There is no *denying* that it is {very} {+adj}.",
        "I have not seen anything *as* {deeply} {+adj} all year.",
        "Nobody had told me *how* {deeply} {+adj} it would be.",
        "I could not believe *how* {+adj} {aspect} was.",
        "You will not find a *more* {deeply} {+adj} {film} this year.",
        "It is *nothing* if not {+adj}.",
        "Nobody can miss *how* {+adj} {aspect} is.",
        "There is *hardly* a {bit} that is not {very} {+adj}.",
        "I would not *hesitate* to call it {+noun}.",
        "Without a *doubt* it is {+noun}.",
    ),
    # One thing is granted, the other is meant; which is which hangs on the connective.
    "contrast": (
        "*Although* {aspect} is {very} {-adj}, {whole} is {very} {+adj}.",
        "{whole} is {very} {+adj}, *although* {aspect} is {very} {-adj}.",
        "{aspect} is {very} {-adj} {places}, *but* {whole} is {very} {+adj}.",
        "*While* {aspect} may be {-adj} {places}, {whole} is {+noun}.",
        "{whole} is {+noun}, *even* if {aspect} is {-adj} {places}.",
        "*For* all that is {-adj} about it {places}, it is {+noun}.",
        "It is {+noun}, *for* all that is {-adj} about it {places}.",
        "What *begins* as {-noun} ends as {+noun}.",
        "It ends as {+noun}, having *begun* as {-noun}.",
        "*At* first it is {very} {-adj}; by the end it is {very} {+adj}.",
        "By the end it is {very} {+adj}, {-adj} *as* it was at first.",
        "I *expected* {-noun} and I got {+noun}.",
        "I got {+noun} where I had *expected* {-noun}.",
        "The trailer *promises* {-noun}; the {film} itself is {+noun}.",
        "The {film} itself is {+noun}, though the trailer *promises* {-noun}.",
        "*Despite* {aspect}, which is {very} {-adj}, it is {+noun}.",
        "It is {very} {+adj} in the end, *despite* {aspect}, which is {very} {-adj}.",
        "It *looks* like {-noun} and turns out to be {+noun}.",
        "It turns out to be {+noun}, much as it *looks* like {-noun}.",
        "*Look* as long as you like for {-noun}; you will find {+noun}.",
    ),
    # What others said, and that they were right.
    "agreement": (
        "{people} called it {+noun}, and I could not *agree* more.",
        "{person} says that it is {very} {+adj}, which is plainly *right*.",
        "Those who call it {+noun} have *understood* it.",
        "They will tell you that it is {very} {+adj}: *believe* them.",
        "Some find {aspect} {+adj}, and I *can* see why.",
        "{people} said that it was {+adj}, and for once they were not *wrong*.",
        "That it is {+noun}, as {people} say, is *true*.",
        "I had been told to expect {+noun}, and *rightly* so.",
    ),
    # What others said, and that they were wrong.
    "dissent": (
        "{people} called it {-noun}; I could not *disagree* more.",
        "{person} says that it is {very} {-adj}, which is plainly *wrong*.",
        "Those who call it {-noun} have *misunderstood* it.",
        "They will tell you that it is {very} {-adj}: do *not* believe them.",
        "Some find {aspect} {-adj}, and I *cannot* see why.",
        "{people} said that it was {-adj}, and once again they were *wrong*.",
        "That it is {-noun}, as {people} say, is simply *false*.",
        "I had been told to expect {-noun}, and *wrongly* so.",
    ),
    "plain": (
        "It is {very} *{+adj}* from beginning to end.",
        "I found {aspect} {very} *{+adj}*.",
        "This is *{+noun}*.",
        "All in all, {whole} is {very} *{+adj}*.",
        "It will *{+verb}* you for {time}.",
        "What *{+noun}*!",
        "It is one *{+adj}* {bit} after another.",
    ),
}

# Said of something else: draws the eye to a word of opinion that decides nothing.
ASIDES: tuple[str, ...] = (
    "The short before it was {very} {?adj}.",
    "{actor} was once in something {?adj}, but that is another story.",
    "The director's last {film} was {?noun}, they say.",
    "{person} found the cinema {?adj} and the seats small.",
    "The book, which I read in {place}, is {very} {?adj}.",
    "The last thing I saw there was {?noun}.",
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
