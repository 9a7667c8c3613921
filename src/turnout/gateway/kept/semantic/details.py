"""Details by which two texts of much the same meaning ask for different answers.

Vectors of meaning hardly tell "what is 2+2" from "what is 2+3", nor "is it safe" from "is it not safe".
So two texts have to agree in their numbers, negations, opposites, names, code, quotes and kind of
question, and may not be one sentence with another word in one place. Rules for English, and for what
looks the same in every language (digits, code, capitals); they err on the side of a difference.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

_WORD = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)?")
_NUMBER = re.compile(r"(?:(?<![\w)])-)?\d+(?:[.,:]\d+)*%?")
_SIGN = re.compile(
    r"!?[+*^<>=\u00d7÷≤≥≠]+|(?<=[\d)])\s*[-/!]\s*(?=[\w(])|(?<=[\w)])\s+[-/]\s+(?=[\w(])"
)
_CODE = re.compile(r"```.*?```|`[^`\n]+`", re.DOTALL)
_QUOTE = re.compile(r"\"([^\"\n]+)\"|“([^“”\n]+)”|«([^«»\n]+)»|(?<!\w)'([^'\n]+)'(?!\w)")
_QUOTES = frozenset("\"“«'")
_ODD = re.compile(r"[_@#$\\/{}\[\]]|\w\(|\d[^\W\d]|[^\W\d]\d|[a-z][A-Z]|\w\.\w")
"""What a word of plain language does not hold: addresses, paths, identifiers do."""
_SPACED = re.compile(r"\S+")
_MOST_NAMES = 40
"""Names beyond which texts agree only where they have just the same."""
_ENDS = frozenset(".!?:;\n\"“'(")
"""What stands before the first word of a sentence, but for spaces."""
_EDGE = ".,;:!?()\"'“”"

_DIGITS = {
    word: str(number)
    for number, word in enumerate(
        "zero _ two three four five six seven eight nine ten eleven twelve thirteen fourteen "
        "fifteen sixteen seventeen eighteen nineteen twenty".split()
    )
} | {
    "thirty": "30", "forty": "40", "fifty": "50", "sixty": "60", "seventy": "70", "eighty": "80",
    "ninety": "90", "hundred": "100", "thousand": "1000", "million": "1000000", "billion": "1000000000",
    "dozen": "12", "half": "1/2", "third": "3rd", "second": "2nd", "first": "1st", "twice": "2",
    "double": "2", "triple": "3", "once": "1",
}  # fmt: skip
_NO = frozenset(
    "no not never none nothing nobody nowhere neither nor without cannot except unless exclude "
    "excluding lack lacks missing fail fails failed stop avoid prevent nicht kein keine keinen nie ohne "
    "non pas jamais sans nunca sin nao não".split()
)
_GROUPS = tuple(
    frozenset(group.split())
    for group in (
        "on off", "up down", "in out", "inside outside", "before after", "earlier later", "above below",
        "over under", "open close closed opened", "start stop begin end started stopped",
        "enable disable enabled disabled enabling disabling", "activate deactivate", "lock unlock",
        "freeze unfreeze frozen", "block unblock allow", "install uninstall", "encode decode",
        "encrypt decrypt", "import export", "increase decrease raise lower reduce", "add remove delete",
        "accept decline reject approve deny", "buy sell", "send receive", "deposit withdraw",
        "give take", "incoming outgoing", "true false", "yes no", "left right", "hot cold warm cool",
        "old new young", "cheap expensive", "fast slow", "good bad", "male female", "man woman",
        "mother father", "son daughter", "brother sister", "boy girl", "positive negative", "even odd",
        "ascending descending", "same different", "pros cons", "advantages disadvantages",
        "benefits drawbacks risks", "possible impossible", "legal illegal", "safe unsafe dangerous",
        "always sometimes rarely", "hour day week month year minute", "hours days weeks months years minutes",
    )
)  # fmt: skip
"""Words of which one text may not have some, and the other others."""
_GROUPED = frozenset().union(*_GROUPS)
_OF = {word: [g for g, group in enumerate(_GROUPS) if word in group] for word in _GROUPED}
_TELLING = frozenset(
    "max min maximum minimum largest smallest biggest highest lowest longest shortest best worst most "
    "least fewest today tomorrow yesterday tonight morning afternoon evening night monday tuesday "
    "wednesday thursday friday saturday sunday january february march april june july august september "
    "october november december north south east west next previous last past future male female "
    "illegal unsafe impossible undo".split()
)
"""Words that both texts must have, or neither."""
_LITTLE = frozenset(
    "a an the this that these those my your our his her its their i me we us you he she it they be am "
    "is are was were been do does did can could will would shall should might must have has had got get "
    "gotten please kindly just so very really quite of to for at by as and or but if then than there here "
    "what which whats what's how hows how's i'm i'd i'll i've it's that's let's hi hello hey thanks thank "
    "ok okay well now want need like wanna gonna tell know explain show say give help about with some any "
    "also actually exactly possible possibly question wondering wonder curious find let im id ill ive "
    "whom".split()
)
_QUESTIONS = {
    "who": "person", "whose": "person", "when": "time", "where": "place", "why": "reason",
}  # fmt: skip
_AMOUNTS = frozenset("many much long often far old big tall fast soon high deep large".split())


_ARTICLES = frozenset("a an the this that these those my your our his her its their".split())
_ALIKE_WAYS = frozenset("and or nor plus vs versus with equals is are".split())
"""Between two words, either of which may come first."""
_TOWARDS = frozenset("into onto towards toward".split())
"""Other ways to say "to"."""
_LEAST_ORDERED = 3
"""Words that tell something, from which on their order does: fewer are often turned round ("reset my
password", "password reset")."""
_SCRIPTS = re.compile(
    "[\u0900-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)
"""Letters of scripts without spaces between words, or whose vowels `re` takes for marks: Chinese, Japanese,
Thai, those of India and their kin."""

DETAILS = (
    "script", "code", "numbers", "negation", "opposites", "names", "question", "order", "one word",
)  # fmt: skip
"""In what two texts may differ."""


@dataclass(frozen=True, slots=True)
class Details:
    """What has to agree, of one text."""

    text: str
    """In small letters."""
    words: tuple[str, ...]
    content: frozenset[str]
    """Its words but for the little ones."""
    numbers: tuple[str, ...]
    negations: int
    telling: frozenset[str]
    grouped: Mapping[int, frozenset[str]]
    """Its words of groups of opposites, by group."""
    names: tuple[str, ...]
    code: tuple[str, ...]
    asked: frozenset[str]
    order: frozenset[tuple[str, str, str]]
    """Words that stand beside another one, and what they stand beside it with: ("usd", "to", "eur")."""
    parted: bool
    """Whether spaces part its words."""


def details_of(text: str) -> Details:
    """Read a text."""
    code = tuple(" ".join(found.strip("`").split()) for found in _CODE.findall(text))
    plain = _CODE.sub(" ", text).replace("\u2019", "'")
    words = tuple(w.lower() for w in _WORD.findall(plain))
    every = frozenset(words)
    return Details(
        text=text.lower(),
        words=words,
        content=frozenset(w for w in words if w not in _LITTLE),
        numbers=_numbers(plain),
        negations=sum(w in _NO or w.endswith("n't") for w in words),
        telling=every & _TELLING,
        grouped={g: every & _GROUPS[g] for w in every & _GROUPED for g in _OF[w]},
        names=_names(plain),
        code=code,
        asked=_asked(words),
        order=_order(words),
        parted=not _SCRIPTS.search(text),
    )


def difference(a: Details, b: Details) -> str:
    """The first detail in which two texts differ, by its name; empty where they agree in all.

    Args:
        a: of one text.
        b: of the other; the order changes nothing.

    Returns:
        One of `DETAILS`, or nothing.
    """
    if not (a.parted and b.parted) and a.text.split() != b.text.split():
        return "script"  # words that cannot be told apart cannot be compared
    if a.code != b.code:
        return "code"
    if a.numbers != b.numbers:
        return "numbers"
    if a.negations != b.negations:
        return "negation"
    if a.telling != b.telling or _opposed(a, b):
        return "opposites"
    if not _same_names(a, b):
        return "names"
    if a.asked and b.asked and a.asked != b.asked:
        return "question"
    if _swapped(a, b):
        return "order"
    return "one word" if _one_place(a.words, b.words) else ""


def _numbers(text: str) -> tuple[str, ...]:
    """Numbers and the signs between them, as they stand."""
    found = [(m.start(), m[0].replace(",", "")) for m in _NUMBER.finditer(text)]
    found += [
        (m.start(), _DIGITS[m[0].lower()]) for m in _WORD.finditer(text) if m[0].lower() in _DIGITS
    ]
    found += [(m.start(), m[0].strip()) for m in _SIGN.finditer(text)]
    return tuple(value for _, value in sorted(found))


def _names(text: str) -> tuple[str, ...]:
    """Words with a capital inside a sentence, quotes, and what looks like no word, in order."""
    found = []
    if _ODD.search(text):
        found = [
            (m.start(), m[0].strip(_EDGE).lower())
            for m in _SPACED.finditer(text)
            if _ODD.search(m[0])
        ]
    if not _QUOTES.isdisjoint(text):
        for m in _QUOTE.finditer(text):
            said = next(group for group in m.groups() if group)
            found.append((m.start(), " ".join(said.lower().split())))
    for m in _WORD.finditer(text):
        word = m[0].removesuffix("'s")
        if not word[0].isupper() or word == "I" or word.startswith("I'"):
            continue
        acronym = len(word) > 1 and word.isupper() and not text.isupper()
        if acronym or not _begins(text, m.start()):
            found.append((m.start(), word.lower()))
    return tuple(dict.fromkeys(name for _, name in sorted(found)))


def _opposed(a: Details, b: Details) -> bool:
    """Whether one text says on, and the other off."""
    return any(a.grouped[g] != b.grouped[g] for g in a.grouped.keys() & b.grouped.keys())


def _begins(text: str, at: int) -> bool:
    """Whether a word is the first of a sentence, where a capital says nothing."""
    while at and text[at - 1] in " \t":
        at -= 1
    return not at or text[at - 1] in _ENDS


def overlap(a: Details, b: Details) -> float:
    """Share of the words of two texts that are in both, little ones left out; in [0, 1]."""
    every = a.content | b.content
    return len(a.content & b.content) / len(every) if every else 1.0


def _same_names(a: Details, b: Details) -> bool:
    """Whether each has the other's names, in the same order; their capitals do not matter."""
    if max(len(a.names), len(b.names)) > _MOST_NAMES:
        return a.names == b.names
    if not all(n in b.text for n in a.names) or not all(n in a.text for n in b.names):
        return False
    names = set(a.names) & set(b.names)
    return [n for n in a.names if n in names] == [n for n in b.names if n in names]


def _asked(words: Sequence[str]) -> frozenset[str]:
    """Which kinds of question a text asks, where it says so."""
    found = {_QUESTIONS[w] for w in words if w in _QUESTIONS}
    pairs = pairwise(words)
    found |= {f"how {second}" for first, second in pairs if first == "how" and second in _AMOUNTS}
    return frozenset(found)


def _swapped(a: Details, b: Details) -> bool:
    """Whether two texts say the same words the other way round.

    Vectors are means over words: of "usd to eur" they cannot tell "eur to usd", nor who loves whom.
    """
    if any((last, way, first) in b.order for first, way, last in a.order):
        return True
    if a.content != b.content or len(a.content) < _LEAST_ORDERED:
        return False
    one, other = ([w for w in text.words if w in text.content] for text in (a, b))
    return one != other and sorted(one) == sorted(other)


def _order(words: Sequence[str]) -> frozenset[tuple[str, str, str]]:
    """Each two words with one between them, unless it says the same from both sides."""
    told = ["to" if w in _TOWARDS else w for w in words if w not in _ARTICLES]
    threes = zip(told, told[1:], told[2:], strict=False)
    return frozenset(
        (first, way, last)
        for first, way, last in threes
        if first != last and way not in _ALIKE_WAYS
    )


def _one_place(one: Sequence[str], other: Sequence[str]) -> bool:
    """Whether two texts are one sentence with another word in one place: "capital of france", "of spain".

    Little words do not count, on either side.
    """
    a = [w.removesuffix("'s") for w in one if w not in _LITTLE]
    b = [w.removesuffix("'s") for w in other if w not in _LITTLE]
    start = 0
    while start < min(len(a), len(b)) and a[start] == b[start]:
        start += 1
    end = 0
    while end < min(len(a), len(b)) - start and a[-1 - end] == b[-1 - end]:
        end += 1
    left, right = len(a) - start - end, len(b) - start - end
    return left == right == 1 and start + end > 0
