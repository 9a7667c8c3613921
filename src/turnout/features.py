"""Cheap, named features of one prompt, by the standard library alone, and its language.

Of a long text the first 6,000 and the last 2,000 characters are read (`log_chars` knows the full
length). Any `str` will do: empty, with lone surrogates, with NUL. A closing "Answer:" cue is ignored,
and the lines of a multiple-choice question are told apart from its stem.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from math import log1p
from struct import Struct

HEAD = 6000
TAIL = 2000

FEATURES: tuple[str, ...] = (
    "log_chars",  # log(1 + characters of the whole text, without a closing "Answer:")
    "log_words",  # log(1 + words)
    "log_stem_words",  # log(1 + words before the options)
    "log_option_words",  # log(1 + mean words per option); 0 without options
    "n_options",  # number of options / 4 (A. B. C. ... or 1) 2) ... in sequence)
    "options_numeric",  # share of options that start with a number or a formula
    "digit_share",  # digits / characters
    "log_numbers",  # log(1 + numbers in the stem)
    "numbers_per_word",  # numbers / (1 + words) in the stem
    "log_max_number",  # log(1 + digits of the longest number)
    "decimals",  # log(1 + numbers with a decimal point)
    "math_share",  # mathematical operators and symbols / characters
    "latex",  # log(1 + TeX commands and $)
    "code",  # log(1 + code-like tokens)
    "brackets",  # brackets / characters
    "word_length",  # mean letters of a word
    "long_words",  # share of words of nine letters and more
    "capital_share",  # capitals / letters
    "proper_nouns",  # capitalised words inside a sentence / words
    "log_sentences",  # log(1 + sentences of the stem)
    "sentence_words",  # log(1 + words per sentence of the stem)
    "log_newlines",  # log(1 + line breaks of the stem)
    "commas",  # commas / (1 + words)
    "quotes",  # log(1 + quotation marks)
    "non_ascii",  # share of characters above 127
    "diversity",  # distinct words among the first 120 / their number
    "function_words",  # share of function words
    "pronouns",  # personal pronouns / (1 + words)
    "q_what",
    "q_which",
    "q_who_when_where",
    "q_why",
    "q_how",
    "q_how_many",  # 0/1: present in the stem
    "ends_question",  # 0/1: the stem ends with "?"
    "imperative",  # 0/1: the stem starts with a verb of command
    "compute",  # log(1 + calculate, find, determine, solve, prove ...)
    "compose",  # log(1 + write, explain, describe, list ...)
    "negation",  # log(1 + not, except, least, false ...)
    "condition",  # log(1 + if, suppose, given, assume, each, every, only ...)
    "comparison",  # log(1 + more, than, twice, half, percent ...)
    "statements",  # 0/1: "statement", all/none of the ..., II, III
    "blank",  # 0/1: a gap to fill ("___")
    "starts_lower",  # 0/1: the text starts with a small letter
    "ends_stop",  # 0/1: the text ends with ".", "!" or ":"
    "ends_letter",  # 0/1: the text ends with a letter
    "multiplicative",  # log(1 + times, twice, per, percent, %, half, ratio, rate ...)
)

CORE: tuple[str, ...] = (
    "log_chars",
    "log_words",
    "log_stem_words",
    "options_numeric",
    "log_numbers",
    "decimals",
    "math_share",
    "latex",
    "word_length",
    "log_sentences",
    "sentence_words",
    "log_newlines",
    "commas",
    "compute",
    "negation",
    "condition",
    "multiplicative",
)
"""Of `FEATURES`, in their order, what the head of the shipped `blend` reads; made alone in some half of
the time."""

_WORD = re.compile(r"[A-Za-z\u00c0-\u024f\u0370-\u1fff\u3040-\uffef]+(?:['\u2019][A-Za-z]+)?")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_OPTION = re.compile(r"[ \t]*\(?([A-Ja-j]|10|[1-9])[.):][ \t]+(\S[^\n]*)\Z")
"""Of one line."""
_LABELS = "ABCDEFGHIJabcdefghij123456789"
_OPTION_STARTS = frozenset(
    [label + mark for label in _LABELS for mark in ".):"]
    + [blank + after for blank in " \t" for after in f" \t({_LABELS}"]
    + ["(" + label for label in _LABELS]
    + ["10"]
)
"""The first two characters of an option's line."""
_OPTION_NUMERIC = re.compile(r"[-+$(\\ ]*\d|\$|\\")
_CUE = re.compile(r"\s*(?:the )?(?:correct )?answer\s*(?:is)?\s*[:=]?\s*\Z", re.I)
_ASCII = bytes(range(128))
_MATH_ASCII = b"-+*/=^<>|~"
_DIGITS = b"0123456789"
_CAPITALS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_QUOTES = "\u201c\u201d\u00ab\u00bb"
"""Beside the one of ASCII."""
_MATH_OTHER = re.compile(r"[\u00b0-\u00b3\u00d7\u00f7\u03b1-\u03c9\u2190-\u21ff\u2200-\u22ff]")
_LATEX = re.compile(r"\\[A-Za-z]+")
_CODE_CALL = re.compile(r"\((?<=\w.)(?=\S)")
_CODE_INDEX = re.compile(r"\[(?<=\w.)(?=\S)")
_CODE_MARKS = b"{};_"
_CODE_EQUALS = ("==", "!=", "=>")
_CODE_WORDS = frozenset(
    "def return class import print lambda None True False void int const var function elif assert SELECT"
    " public static struct null".split()
)
_FOREIGN_LETTER = re.compile(r"[\u00c0-\u024f\u0370-\u1fff\u3040-\uffef\u2019]")
"""What `_WORD` holds beyond ASCII."""
_FOREIGN_SIGN = re.compile(r"[\d\s\u3002\uff01\uff1f]")
"""A digit, a blank or a stop, of characters beyond ASCII."""
_STOP = re.compile(r"[.!?\u3002\uff01\uff1f](?=\s|\Z|[\"')\]])")
# Written with what is rarest first, which the engine can look for quickly.
_PROPER = re.compile(r"[A-Z](?<=[a-z0-9,;'\")] [A-Z])[a-z]")
_ALL_NONE = re.compile(r" of the(?:(?<=[Aa]ll of the)|(?<=[Nn]one of the))")
_ROMAN = re.compile(r"II(?<!\wII)I?(?!\w)")
_LONE_APOSTROPHE = re.compile(rb"'(?:(?<![a-z]')|(?![a-z]))")
_SECOND_APOSTROPHE = re.compile(rb"('[a-z]+)'")
_LONE_GAP = re.compile(r"_(?<!\w_)(?!\w)")

_FUNCTION_WORDS = frozenset(
    "a an the of to in on at by for with from as is are was were be been being am do does did has have had"
    " will would shall should can could may might must and or but nor so yet if then than that this these"
    " those it its he she they them his her their we you your i my our us me him who whom which what when"
    " where why how not no into onto over under between through during before after above below up down out"
    " off about there here also just very each any some such".split()
)
_PRONOUN_WORDS = frozenset(
    "i me my he she him her his hers they them their we us our you your it its".split()
)
_COMPUTE_WORDS = frozenset(
    "calculate compute determine find evaluate solve prove derive estimate simplify express show"
    " calculates verify factor integrate differentiate".split()
)
_COMPOSE_WORDS = frozenset(
    "write explain describe discuss list create generate design summarize summarise translate compare"
    " draft rewrite outline suggest propose analyze analyse implement provide complete edit".split()
)
_IMPERATIVE = (
    _COMPUTE_WORDS
    | _COMPOSE_WORDS
    | frozenset(
        "give make tell let consider suppose assume identify name state choose select answer given imagine"
        " act convert classify extract read fill return call get play use help build fix refactor"
        " debug".split()
    )
)
_NEGATION_WORDS = frozenset(
    "not no never except least false incorrect without neither nor none cannot can't don't doesn't isn't"
    " aren't won't unlikely".split()
)
_CONDITION_WORDS = frozenset(
    "if then suppose assume given let each every only unless whenever otherwise such all any"
    " exactly".split()
)
_COMPARISON_WORDS = frozenset(
    "more less than most fewer greater smaller larger same equal both twice half difference increase"
    " decrease higher lower best better".split()
)
_MULTIPLICATIVE_WORDS = frozenset(
    "times twice double triple half third quarter percent percentage per ratio rate average fraction"
    " remaining total altogether rest".split()
)
_CORE_KINDS = (_COMPUTE_WORDS, _NEGATION_WORDS, _CONDITION_WORDS, _MULTIPLICATIVE_WORDS)
_KINDS = (  # the most common first, whose numbers are small
    _FUNCTION_WORDS,
    _PRONOUN_WORDS,
    *_CORE_KINDS,
    _COMPOSE_WORDS,
    _COMPARISON_WORDS,
    frozenset(map(str.lower, _CODE_WORDS)),
    frozenset(filter(str.islower, _CODE_WORDS)),
    frozenset(("what",)),
    frozenset(("which",)),
    frozenset(("who", "whom", "whose", "when", "where")),
    frozenset(("why",)),
    frozenset(("how",)),
    frozenset(("many", "much")),
)
(
    _FUNCTION, _PRONOUN, _COMPUTE, _NEGATION, _CONDITION, _MULTIPLICATIVE, _COMPOSE, _COMPARISON, _CODE,
    _SMALL_CODE, _WHAT, _WHICH, _WHO, _WHY, _HOW, _MANY,
) = range(len(_KINDS))  # fmt: skip
_KIND_BITS = 16
"""Of a count, which is below the characters that are read."""


def _digits_of(kinds: Sequence[frozenset[str]]) -> dict[str, int]:
    """Word → one of each of its kinds, as the digits of one number: so all are counted by one sum."""
    return {
        word: sum(1 << _KIND_BITS * i for i, kind in enumerate(kinds) if word in kind)
        for word in frozenset().union(*kinds)
    }


_KINDS_OF, _CORE_KINDS_OF = _digits_of(_KINDS), _digits_of(_CORE_KINDS)
_KIND_COUNTS, _CORE_KIND_COUNTS = Struct(f"<{len(_KINDS)}H"), Struct(f"<{len(_CORE_KINDS)}H")


def _by_byte(mark: Callable[[str], str], beyond: str) -> bytes:
    """A table for `bytes.translate`. Bytes are many times faster to go through than text."""
    return bytes(ord(mark(chr(i)) if i < 128 else beyond) for i in range(256))


_LOWER_LETTERS = _by_byte(lambda c: c.lower() if c.isalpha() or c == "'" else " ", " ")
"""Every other mark parts words."""
_NUMBERS_ALONE = _by_byte(lambda c: c if c in "0123456789.," else " ", " ")
_STOPS_ALONE = _by_byte(
    lambda c: "." if c in ".!?" else " " if c.isspace() or c in "\"')]" else "x", "x"
)
"""A sentence ends where a stop is before a space."""
_USUAL = b"abcdefghijklmnopqrstuvwxyz \t\n\r.,:?!'"
"""What most texts are made of: what needs other marks is looked for where there are any."""


def _has_statements(text: str) -> bool:
    return (
        ("tatement" in text and ("statement" in text or "Statement" in text))
        or (" of the" in text and _ALL_NONE.search(text) is not None)
        or ("II" in text and _ROMAN.search(text) is not None)
    )


def _has_gap(stem: str) -> bool:
    return "...." in stem or ("_" in stem and ("__" in stem or _LONE_GAP.search(stem) is not None))


def feature_vector(text: str) -> tuple[float, ...]:
    """The features of a text in the order of `FEATURES`."""
    return _vector(text, core_alone=False)


def core_vector(text: str) -> tuple[float, ...]:
    """Of the features of a text those in `CORE`, in that order; equal to `feature_vector`'s."""
    return _vector(text, core_alone=True)


def _vector(text: str, *, core_alone: bool) -> tuple[float, ...]:
    total = len(text)
    if total > HEAD + TAIL:
        text = text[:HEAD] + "\n" + text[-TAIL:]
    cue = _find_cue(text)
    if cue is not None:
        total -= cue.end() - cue.start()
        text = text[: cue.start()]
    n = len(text)
    raw = _bytes(text)
    foreign = "" if len(raw) == n else raw.translate(None, _ASCII).decode("utf-8", "surrogatepass")
    quick = not (foreign and _FOREIGN_LETTER.search(foreign))  # words are of ASCII
    quick_signs = not (foreign and _FOREIGN_SIGN.search(foreign))
    # One line is one option at most.
    stem, options = _parted(text) if "\n" in text else (text, [])
    odd = raw.translate(None, _USUAL)
    signs = odd.translate(None, _DIGITS)
    rare = signs.translate(None, _CAPITALS)
    digits, capitals = len(odd) - len(signs), len(signs) - len(rare)

    # A small letter may be longer than its capital outside of ASCII.
    words = _lower_words(raw) if quick else _WORD.findall(text)
    lower = words if quick or text.islower() else [w.lower() for w in words]
    stem_raw, stem_lower = raw, lower
    if options:
        stem_raw = _bytes(stem)
        stem_lower = _lower_words(stem_raw) if quick else [w.lower() for w in _WORD.findall(stem)]
    n_words = len(words)
    n_stem = len(stem_lower)
    letters = len("".join(words))
    numbers = _numbers(stem_raw, stem, quick_signs) if digits or not quick_signs else ()
    n_numbers = len(numbers)
    n_sentences = 1 + _ended_sentences(stem_raw, stem, quick_signs)
    per_char = 1.0 / (n + 1)
    per_word = 1.0 / (n_words + 1)
    math = tex = percents = 0
    if rare:
        math = _count(rare, _MATH_ASCII)
        tex = rare.count(b"$") + (len(_LATEX.findall(text)) if b"\\" in rare else 0)
        percents = rare.count(b"%")
    if foreign:
        math += len(_MATH_OTHER.findall(foreign))
    if core_alone:
        compute, negation, condition, multiplicative = _core_kinds_of(stem_lower)
    else:
        kinds = _kinds_of(lower)
        stem_kinds = _kinds_of(stem_lower) if options else kinds
        compute, negation = stem_kinds[_COMPUTE], stem_kinds[_NEGATION]
        condition, multiplicative = stem_kinds[_CONDITION], stem_kinds[_MULTIPLICATIVE]
    core = (
        log1p(total),
        log1p(n_words),
        log1p(n_stem),
        sum(1 for o in options if _OPTION_NUMERIC.match(o)) / len(options) if options else 0.0,
        log1p(n_numbers),
        log1p(len([1 for x in numbers if "." in x])) if numbers else 0.0,
        math * per_char,
        log1p(tex),
        letters / n_words if n_words else 0.0,
        log1p(n_sentences),
        log1p(n_stem / n_sentences),
        log1p(stem_raw.count(b"\n")),
        raw.count(b",") * per_word,
        log1p(compute),
        log1p(negation),
        log1p(condition),
        log1p(multiplicative + percents),
    )
    if core_alone:
        return core

    head = lower[:120]
    code = _code_marks(text, rare) if rare else 0
    if kinds[_CODE]:  # of these the capitals count
        small = quick and not capitals
        found = kinds[_SMALL_CODE]
        code += found if small else sum(map(_CODE_WORDS.__contains__, _WORD.findall(text)))
    last = text.rstrip()[-1:]
    stem_last = stem.rstrip()[-1:] if options else last
    return (
        *core[:3],  # log_chars, log_words, log_stem_words
        log1p(sum(o.count(" ") + 1 for o in options) / len(options)) if options else 0.0,
        len(options) / 4,
        core[3],  # options_numeric
        digits * per_char,
        core[4],  # log_numbers
        n_numbers / (n_stem + 1),
        log1p(max(map(len, numbers))) if numbers else 0.0,
        *core[5:8],  # decimals, math_share, latex
        log1p(code),
        _count(rare, b"()[]{}") * per_char if rare else 0.0,
        core[8],  # word_length
        len([1 for word in words if len(word) > 8]) * per_word,
        capitals / (letters + 1),
        _proper_nouns(text) * per_word if capitals else 0.0,
        *core[9:13],  # log_sentences, sentence_words, log_newlines, commas
        log1p(rare.count(b'"') + sum(map(foreign.count, _QUOTES))) if rare else 0.0,
        len(foreign) * per_char,
        len(set(head)) / len(head) if head else 0.0,
        kinds[_FUNCTION] * per_word,
        kinds[_PRONOUN] * per_word,
        1.0 if stem_kinds[_WHAT] else 0.0,
        1.0 if stem_kinds[_WHICH] else 0.0,
        1.0 if stem_kinds[_WHO] else 0.0,
        1.0 if stem_kinds[_WHY] else 0.0,
        1.0 if stem_kinds[_HOW] else 0.0,
        1.0 if stem_kinds[_HOW] and stem_kinds[_MANY] else 0.0,
        1.0 if stem_last in ("?", "\uff1f") else 0.0,
        1.0 if stem_lower and stem_lower[0] in _IMPERATIVE else 0.0,
        core[13],  # compute
        log1p(stem_kinds[_COMPOSE]),
        *core[14:16],  # negation, condition
        log1p(stem_kinds[_COMPARISON]),
        1.0 if _has_statements(text) else 0.0,
        1.0 if _has_gap(stem) else 0.0,
        1.0 if text.lstrip()[:1].islower() else 0.0,
        1.0 if last in (".", "!", ":") else 0.0,
        1.0 if last.isalpha() else 0.0,
        core[16],  # multiplicative
    )


def _find_cue(text: str) -> re.Match[str] | None:
    """A closing "Answer:"."""
    tail = text[-40:]
    if tail.isascii() and "answer" not in tail.lower():
        return None
    return _CUE.search(text, max(0, len(text) - 40))


def _parted(text: str) -> tuple[str, list[str]]:
    """The stem, and the options: a run of labels in sequence from A or 1, each on its own line."""
    options: list[str] = []
    start = first = want = 0
    numeric = False
    for line in text.split("\n"):
        m = _OPTION.match(line) if line[:2] in _OPTION_STARTS else None
        if m is not None:
            label = m.group(1)
            position = int(label) - 1 if label.isdigit() else ord(label.upper()) - 65
            if position == 0:
                options, first, want, numeric = [m.group(2)], start, 1, label.isdigit()
            elif options and position == want and label.isdigit() == numeric:
                options.append(m.group(2))
                want += 1
        start += len(line) + 1
    return (text[:first], options) if len(options) > 1 else (text, [])


def _bytes(text: str) -> bytes:
    """An ASCII mark is one byte of these and of nothing else."""
    return text.encode("utf-8", "surrogatepass")


def _lower_words(raw: bytes) -> list[str]:
    """The words in small letters, where none has a letter beyond ASCII.

    By `translate` and `split`: a fifth of the time.
    """
    found = raw.translate(_LOWER_LETTERS)
    if b"'" in found:  # one stays, between letters
        found = _LONE_APOSTROPHE.sub(b" ", found)
        found = _SECOND_APOSTROPHE.sub(rb"\1 ", found)
    return found.decode().split()


def _numbers(raw: bytes, text: str, quick: bool) -> list[str]:
    if quick:  # what stands between numbers need not be looked through
        text = b" ".join(raw.translate(_NUMBERS_ALONE).split()).decode()
    return _NUMBER.findall(text)


def _code_marks(text: str, rare: bytes) -> int:
    """Marks of code, by those of a text that are rare elsewhere."""
    found = _count(rare, _CODE_MARKS)
    if b"=" in rare:
        found += sum(map(text.count, _CODE_EQUALS))
    if b">" in rare:
        found += text.count("->")
    if b"`" in rare:
        found += text.count("```")
    if b"(" in rare:
        found += len(_CODE_CALL.findall(text))
    if b"[" in rare:
        found += len(_CODE_INDEX.findall(text))
    return found


def _kinds_of(words: Sequence[str]) -> tuple[int, ...]:
    """How many of some words are in each of `_KINDS`."""
    counts = sum(filter(None, map(_KINDS_OF.get, words)))
    return _KIND_COUNTS.unpack(counts.to_bytes(_KIND_COUNTS.size, "little"))


def _core_kinds_of(words: Sequence[str]) -> tuple[int, ...]:
    """How many of some words are in each of `_CORE_KINDS`."""
    counts = sum(filter(None, map(_CORE_KINDS_OF.get, words)))
    return _CORE_KIND_COUNTS.unpack(counts.to_bytes(_CORE_KIND_COUNTS.size, "little"))


def _ended_sentences(raw: bytes, text: str, quick: bool) -> int:
    """How many sentences end within a text, its own last stop aside."""
    if quick:
        body = raw.rstrip(b" \n\t.!?")
        return body.translate(_STOPS_ALONE).count(b". ") + body.count(b"\n\n")
    text = text.rstrip(" \n\t.!?")
    return len(_STOP.findall(text)) + text.count("\n\n")


def _count(raw: bytes, marks: bytes) -> int:
    """How many of some ASCII marks there are."""
    return len(raw) - len(raw.translate(None, marks))


def _proper_nouns(text: str) -> int:
    """Capitalised words inside a sentence; one that follows another closely, as in "Mr X", is one."""
    found = after = 0
    for m in _PROPER.finditer(text):
        start = m.start() - 2  # of the mark and the space before it
        if start >= after:
            found, after = found + 1, m.end()
    return found


def features(text: str) -> dict[str, float]:
    """The features of a text by name."""
    return dict(zip(FEATURES, feature_vector(text), strict=True))


LEAST_LETTERS = 15
"""Below this many letters a language is a guess."""


def language(text: str) -> str:
    """ISO 639 code of the language of a text, or "unknown" for short texts and for code.

    Two letters where ISO 639-1 has them (`en`), else three (`yue`, Cantonese).
    Uses py3langid (Lui & Baldwin, ACL 2012, `langid.py`); its model loads on first use.
    """
    head = text[:1000]
    if sum(map(str.isalpha, head)) < LEAST_LETTERS or _looks_like_code(head):
        return "unknown"
    from py3langid import classify

    code: str = classify(head.encode("utf-8", "replace").decode("utf-8"))[0]
    return "unknown" if code == "zxx" else code  # ISO 639 for "no linguistic content"


def _looks_like_code(text: str) -> bool:
    marks = sum(map(text.count, "{};=()[]<>"))
    return marks > 0.06 * len(text)
