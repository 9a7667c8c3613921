"""Mend misspelt English words before a prompt is encoded: a slip of the keys says nothing of its task.

Of the vocabulary of the encoder that ships, whole words are known, and so are their usual forms. A word
that is not known becomes the most common known word that one slip away: two letters exchanged, a
letter and the blank beside it exchanged, and in longer words a letter left out, doubled, or struck one
key aside. What stands in code, formulas and other scripts is no word here, and a text with many
unknown words is of another language: both stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache, lru_cache
from itertools import compress, count, islice

from turnout.encoders.static import vocabulary
from turnout.encoders.text import HEAD_CHARACTERS, TAIL_CHARACTERS

COMMON = 5_000
"""Only a word among so many first of the vocabulary is found by a letter left out, too many, or another
one; a name like it is more common than a slip of that kind elsewhere."""
LONG = 6
"""Letters of a word that is looked for so: a shorter one is like too many others."""
MOST_WORDS = 50_000
"""Words that are kept as looked at; when there are more, all are forgotten."""
_LONGEST = 32
"""Letters and marks of a word: longer ones are none."""

_SHORT = frozenset(
    "a i an as at am be by do go he if in is it me my no of on or so to up us we".split()
)
"""The vocabulary has every letter and most pairs of letters: of these, what are words."""
_ENGLISH = frozenset(
    "a and are for how in is it of that the this to was what which who with you".split()
)
_OTHER_LANGUAGES = frozenset(
    "aus cette como da das dans de del della dem der des di dos du een ein eine el est et het ist la las "
    "le les los mit nel nicht para por pour qual que quel quelle qui sur uma und une van von voor zu".split()
)
"""Small words that the vocabulary has as well: whichever a text has more of, its language is."""
_ENDINGS = {
    "s": ("",), "es": ("", "e"), "ies": ("y",), "d": ("",), "ed": ("", "e"), "ied": ("y",),
    "r": ("",), "rs": ("",), "er": ("", "e"), "ers": ("", "e"), "ier": ("y",), "or": ("e",),
    "ors": ("e",), "ing": ("", "e"), "est": ("", "e"), "iest": ("y",), "ly": ("",), "ily": ("y",),
    "ness": ("",), "less": ("",), "able": ("", "e"), "ful": ("",), "ish": ("",), "al": ("",),
    "ally": ("",), "ity": ("", "e"), "ize": ("",), "ized": ("",), "izing": ("",), "ation": ("e",),
    "ations": ("e",),
}  # fmt: skip
"""Ending of a form → what stands there in the word itself."""
_LONGEST_ENDING = max(map(len, _ENDINGS))
_DOUBLING = frozenset(["ed", "ing", "er", "ers", "est"])
"""Endings before which a last letter may be doubled."""
_ROWS = (("qwertyuiop", 0.0), ("asdfghjkl", 0.25), ("zxcvbnm", 0.75))
"""Of a keyboard, and how far each begins to the right."""

_PART = re.compile(r"\S+")
_OPENING, _CLOSING = "\"'(", "\"').,;:?!"
_MARKS = _OPENING + _CLOSING
_WORD = re.compile(r"[\"'(]?[a-z]+[\"')]?[.,;:?!]*[\"')]?")
"""A word between blanks, and the marks of prose around it; any other mark makes it something else."""


def without_misspellings(text: str) -> str:
    """The text in small letters with its misspelt words mended; each text by itself, always alike.

    Of a long text, what encoders read of it (`clip`): the work is bounded.
    """
    if len(text) <= HEAD_CHARACTERS + TAIL_CHARACTERS:
        return _mended(text)
    start = text.rfind(" ", 0, HEAD_CHARACTERS) + 1
    end = text.find(" ", len(text) - TAIL_CHARACTERS)
    if end < 0:
        end = len(text)
    return _mended(text[:start]) + text[start:end] + _mended(text[end:])


def _mended(text: str) -> str:
    parts = text.split()
    if not any(map(_MAY_MEND.__getitem__, parts)):
        return text
    unknown = list(map(_UNKNOWN.__getitem__, parts))
    left = dict(zip(compress(count(), unknown), filter(None, unknown), strict=True))
    if _is_foreign(parts, left):
        return text
    seen, single = len(left), " ".join(parts) == text
    _mend_each(_by_exchange, parts, left)
    _mend_pairs(parts, left)
    _mend_each(_by_other_slips, parts, left)
    if len(left) == seen:
        return text
    if single:  # blanks stand one by one, as in most texts
        return " ".join(parts)
    each = iter(parts)
    return _PART.sub(lambda _: next(each), text)


def _is_foreign(parts: list[str], left: dict[int, str]) -> bool:
    """Whether a text is of another language, code, or worse than misspelt."""
    if 3 * sum(len(word) > 2 for word in left.values()) > len(parts) + 3:
        return True
    others = _OTHER_LANGUAGES.intersection(parts)
    return len(others) > len(_ENGLISH.intersection(parts)) if others else False


def _mend_each(mend: Callable[[str], str], parts: list[str], left: dict[int, str]) -> None:
    """Mend words by themselves: place → unknown word, taken out of `left` where it is mended."""
    for i, word in tuple(left.items()):
        if (better := mend(word)) != word:
            parts[i] = parts[i].replace(word, better)
            del left[i]


def _mend_pairs(parts: list[str], left: dict[int, str]) -> None:
    """Mend letters that were exchanged with the blank beside them: "th eend", "isa n"."""
    for i, word in tuple(left.items()):
        for at in (i - 1, i) if _may_move(word) else ():
            pair = parts[at : at + 2] if i in left and at >= 0 else []
            if len(pair) == 2 and max(map(len, pair)) <= _LONGEST:
                moved = _by_moved_blank(*pair)
                if moved is not None:
                    parts[at : at + 2] = moved
                    left.pop(at, None)
                    left.pop(at + 1, None)


class _Unknown(dict[str, str]):
    """What stands between blanks → the word in it that is not known; "" where there is none."""

    def __missing__(self, part: str) -> str:
        if len(part) > _LONGEST:
            return ""
        word = part.strip(_MARKS)
        if word in _ranks() or not word.isalpha() or not _WORD.fullmatch(part) or _is_known(word):
            word = ""
        if len(self) >= MOST_WORDS:
            self.clear()
        self[part] = word
        return word


_UNKNOWN = _Unknown()


class _MayMend(dict[str, bool]):
    """What stands between blanks → whether there is a remedy for a word in it that is not known."""

    def __missing__(self, part: str) -> bool:
        word = _UNKNOWN[part]
        found = word != "" and (
            _may_move(word) or _by_exchange(word) != word or _by_other_slips(word) != word
        )
        if len(self) >= MOST_WORDS:
            self.clear()
        self[part] = found
        return found


_MAY_MEND = _MayMend()
"""Of most texts no word has one: then nothing else is to be looked at."""


def _is_known(word: str) -> bool:
    """Whether a word is one of the vocabulary, or a form of one."""
    ranks = _ranks()
    if word in ranks:
        return True
    for n in range(1, min(_LONGEST_ENDING, len(word) - 3) + 1):
        ending = word[-n:]
        if ending in _ENDINGS:
            stem = word[:-n]
            if any(stem + end in ranks for end in _ENDINGS[ending]):
                return True
            if ending in _DOUBLING and stem[-1] == stem[-2] and stem[:-1] in ranks:
                return True
    return False


@lru_cache(maxsize=MOST_WORDS)
def _by_exchange(word: str) -> str:
    """The most common word of which two letters were exchanged; the word itself where there is none."""
    if len(word) < 3:
        return word
    ranks = _ranks()
    others = [word[:i] + word[i + 1] + word[i] + word[i + 2 :] for i in range(len(word) - 1)]
    best = min(filter(ranks.__contains__, others), key=ranks.__getitem__, default=word)
    return word if len(word) == 3 and ranks.get(best, COMMON) >= COMMON else best


@lru_cache(maxsize=MOST_WORDS)
def _by_other_slips(word: str) -> str:
    """The most common word of which a letter is missing, too many, or another; or the word itself.

    The last letter is left alone, since that is where unknown forms of words differ.
    """
    if len(word) < LONG:
        return word
    ranks, common = _ranks(), _common()
    found = [other for other in common.get(word, ()) if len(other) > len(word)]
    rests = [word[:i] + word[i + 1 :] for i in range(len(word) - 1)]
    for rest in filter(common.__contains__, rests):
        found += [other for other in common[rest] if other == rest or _is_beside(other, word)]
    return min(found, key=ranks.__getitem__, default=word)


def _is_beside(other: str, word: str) -> bool:
    """Whether two words differ by one letter, not their last, struck a key aside."""
    if len(other) != len(word):
        return False
    at = [i for i, (a, b) in enumerate(zip(other, word, strict=True)) if a != b]
    return len(at) == 1 and at[0] < len(word) - 1 and other[at[0]] in _near(word[at[0]])


def _may_move(word: str) -> bool:
    """Whether a letter more or less at either end makes it a known word."""
    ranks = _ranks()
    return word[1:] in ranks or word[:-1] in ranks or word in _cut_short()


def _by_moved_blank(first: str, second: str) -> tuple[str, str] | None:
    """Both parts as they are when one letter moves over the blank, where both words then are known."""
    a, b = first.lstrip(_OPENING), second.rstrip(_CLOSING)
    if not (a and b and a[-1].isalpha() and b[0].isalpha()):
        return None
    ranks = _ranks()
    moved = ((a + b[0], b[1:]), (a[:-1], a[-1] + b))
    found = [(max(ranks[x], ranks[y]), x, y) for x, y in moved if x in ranks and y in ranks]
    if not found:
        return None
    _, x, y = min(found)
    return first[: len(first) - len(a)] + x, y + second[len(b) :]


@cache
def _ranks() -> dict[str, int]:
    """Known words, and how many are more common."""
    words = [w for w in vocabulary() if w.isascii() and w.isalpha() and (len(w) > 2 or w in _SHORT)]
    return {word: rank for rank, word in enumerate(words)}


@cache
def _cut_short() -> frozenset[str]:
    """Known words without their first letter, or without their last."""
    return frozenset(cut for word in _ranks() for cut in (word[1:], word[:-1]))


@cache
def _common() -> dict[str, tuple[str, ...]]:
    """Common words by themselves, and by what is left of them without one letter, not their last."""
    found: dict[str, tuple[str, ...]] = {}
    for word in islice(_ranks(), COMMON):
        if len(word) >= LONG - 1:
            for key in {word, *(word[:i] + word[i + 1 :] for i in range(len(word) - 1))}:
                found[key] = (*found.get(key, ()), word)
    return found


@cache
def _near(letter: str) -> frozenset[str]:
    """Letters one key aside, above or below."""
    at = {c: (i + far, row) for row, (keys, far) in enumerate(_ROWS) for i, c in enumerate(keys)}
    x, y = at[letter]
    return frozenset(
        c for c, (u, v) in at.items() if c != letter and abs(u - x) <= 1 and abs(v - y) <= 1
    )
