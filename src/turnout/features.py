"""Cheap, named features of one prompt, by the standard library alone, and its language.

Of a long text the first 6,000 and the last 2,000 characters are read (`log_chars` knows the full
length). Any `str` will do: empty, with lone surrogates, with NUL. A closing "Answer:" cue is ignored,
and the lines of a multiple-choice question are told apart from its stem.
"""

from __future__ import annotations

import re
from math import log1p

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

_WORD = re.compile(r"[A-Za-z\u00c0-\u024f\u0370-\u1fff\u3040-\uffef]+(?:['\u2019][A-Za-z]+)?")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_OPTION = re.compile(r"^[ \t]*\(?([A-Ja-j]|10|[1-9])[.):][ \t]+(\S[^\n]*)$", re.M)
_OPTION_NUMERIC = re.compile(r"[-+$(\\ ]*\d|\$|\\")
_CUE = re.compile(r"\s*(?:the )?(?:correct )?answer\s*(?:is)?\s*[:=]?\s*\Z", re.I)
_MATH_ASCII = "-+*/=^<>|~"
_MATH_OTHER = re.compile(r"[\u00b0-\u00b3\u00d7\u00f7\u03b1-\u03c9\u2190-\u21ff\u2200-\u22ff]")
_LATEX = re.compile(r"\\[A-Za-z]+")
_CODE_CALL = re.compile(r"[(\[](?<=\w.)(?=\S)")
_CODE_PARTS = ("```", "{", "}", ";", "==", "!=", "->", "=>", "_")
_CODE_WORDS = frozenset(
    "def return class import print lambda None True False void int const var function elif assert SELECT"
    " public static struct null".split()
)
_SENTENCE = re.compile(r"[.!?\u3002\uff01\uff1f](?=\s|\Z|[\"')\]])|\n\n")
_PROPER = re.compile(r"[a-z0-9,;'\")] (?!I\b)[A-Z][a-z]")
# Written with a literal first, which the engine can look for quickly.
_ALL_NONE = re.compile(r" of the(?:(?<=[Aa]ll of the)|(?<=[Nn]one of the))")
_ROMAN = re.compile(r"II(?<!\wII)I?(?!\w)")
_LONE_GAP = re.compile(r"_(?<!\w_)(?!\w)")

_FUNCTION = frozenset(
    "a an the of to in on at by for with from as is are was were be been being am do does did has have had"
    " will would shall should can could may might must and or but nor so yet if then than that this these"
    " those it its he she they them his her their we you your i my our us me him who whom which what when"
    " where why how not no into onto over under between through during before after above below up down out"
    " off about there here also just very each any some such".split()
)
_PRONOUN = frozenset(
    "i me my he she him her his hers they them their we us our you your it its".split()
)
_COMPUTE = frozenset(
    "calculate compute determine find evaluate solve prove derive estimate simplify express show"
    " calculates verify factor integrate differentiate".split()
)
_COMPOSE = frozenset(
    "write explain describe discuss list create generate design summarize summarise translate compare"
    " draft rewrite outline suggest propose analyze analyse implement provide complete edit".split()
)
_IMPERATIVE = (
    _COMPUTE
    | _COMPOSE
    | frozenset(
        "give make tell let consider suppose assume identify name state choose select answer given imagine"
        " act convert classify extract read fill return call get play use help build fix refactor"
        " debug".split()
    )
)
_NEGATION = frozenset(
    "not no never except least false incorrect without neither nor none cannot can't don't doesn't isn't"
    " aren't won't unlikely".split()
)
_CONDITION = frozenset(
    "if then suppose assume given let each every only unless whenever otherwise such all any"
    " exactly".split()
)
_COMPARISON = frozenset(
    "more less than most fewer greater smaller larger same equal both twice half difference increase"
    " decrease higher lower best better".split()
)
_MULTIPLICATIVE = frozenset(
    "times twice double triple half third quarter percent percentage per ratio rate average fraction"
    " remaining total altogether rest".split()
)


def _has_statements(text: str) -> bool:
    return (
        ("tatement" in text and ("statement" in text or "Statement" in text))
        or (" of the" in text and _ALL_NONE.search(text) is not None)
        or ("II" in text and _ROMAN.search(text) is not None)
    )


def _has_gap(stem: str) -> bool:
    return "__" in stem or "...." in stem or ("_" in stem and _LONE_GAP.search(stem) is not None)


def feature_vector(text: str) -> tuple[float, ...]:
    """The features of a text in the order of `FEATURES`."""
    total = len(text)
    if total > HEAD + TAIL:
        text = text[:HEAD] + "\n" + text[-TAIL:]
    cue = _CUE.search(text, max(0, len(text) - 40))
    if cue is not None:
        total -= cue.end() - cue.start()
        text = text[: cue.start()]
    n = len(text)

    # Options: a run of labels in sequence from A or 1, each on its own line.
    stem = text
    options: list[str] = []
    first = 0
    want = 0
    numeric = False
    for m in _OPTION.finditer(text):
        label = m.group(1)
        position = int(label) - 1 if label.isdigit() else ord(label.upper()) - 65
        if position == 0:
            options = [m.group(2)]
            first = m.start()
            want = 1
            numeric = label.isdigit()
        elif options and position == want and label.isdigit() == numeric:
            options.append(m.group(2))
            want += 1
    if len(options) < 2:
        options = []
    else:
        stem = text[:first]

    words = _WORD.findall(text)
    lower = [w.lower() for w in words]
    stem_lower = [w.lower() for w in _WORD.findall(stem)] if options else lower
    stem_set = set(stem_lower)
    n_words = len(words)
    n_stem = len(stem_lower)
    numbers = _NUMBER.findall(stem)
    n_numbers = len(numbers)
    letters = sum(map(len, words))
    n_sentences = 1 + len(_SENTENCE.findall(stem.rstrip(" \n\t.!?")))
    digits = sum(map(text.count, "0123456789"))
    head = lower[:120]
    code = sum(map(text.count, _CODE_PARTS)) + sum(map(_CODE_WORDS.__contains__, words))
    code += len(_CODE_CALL.findall(text))
    math = sum(map(text.count, _MATH_ASCII))
    if not text.isascii():
        math += len(_MATH_OTHER.findall(text))
    per_char = 1.0 / (n + 1)
    per_word = 1.0 / (n_words + 1)
    return (
        log1p(total),
        log1p(n_words),
        log1p(n_stem),
        log1p(sum(o.count(" ") + 1 for o in options) / len(options)) if options else 0.0,
        len(options) / 4,
        sum(1 for o in options if _OPTION_NUMERIC.match(o)) / len(options) if options else 0.0,
        digits * per_char,
        log1p(n_numbers),
        n_numbers / (n_stem + 1),
        log1p(max(map(len, numbers))) if numbers else 0.0,
        log1p(sum(1 for x in numbers if "." in x)),
        math * per_char,
        log1p(text.count("$") + (len(_LATEX.findall(text)) if "\\" in text else 0)),
        log1p(code),
        sum(map(text.count, "()[]{}")) * per_char,
        letters / n_words if n_words else 0.0,
        sum(map((8).__lt__, map(len, words))) * per_word,
        sum(map(text.count, "ABCDEFGHIJKLMNOPQRSTUVWXYZ")) / (letters + 1),
        len(_PROPER.findall(text)) * per_word,
        log1p(n_sentences),
        log1p(n_stem / n_sentences),
        log1p(stem.count("\n")),
        text.count(",") * per_word,
        log1p(sum(map(text.count, '"\u201c\u201d\u00ab\u00bb'))),
        (n - len(text.encode("ascii", "ignore"))) * per_char,
        len(set(head)) / len(head) if head else 0.0,
        sum(map(_FUNCTION.__contains__, lower)) * per_word,
        sum(map(_PRONOUN.__contains__, lower)) * per_word,
        float("what" in stem_set),
        float("which" in stem_set),
        float(not stem_set.isdisjoint(("who", "whom", "whose", "when", "where"))),
        float("why" in stem_set),
        float("how" in stem_set),
        float("how" in stem_set and not stem_set.isdisjoint(("many", "much"))),
        float(stem.rstrip()[-1:] in ("?", "\uff1f")),
        float(bool(stem_lower) and stem_lower[0] in _IMPERATIVE),
        log1p(sum(map(_COMPUTE.__contains__, stem_lower))),
        log1p(sum(map(_COMPOSE.__contains__, stem_lower))),
        log1p(sum(map(_NEGATION.__contains__, stem_lower))),
        log1p(sum(map(_CONDITION.__contains__, stem_lower))),
        log1p(sum(map(_COMPARISON.__contains__, stem_lower))),
        float(_has_statements(text)),
        float(_has_gap(stem)),
        float(text.lstrip()[:1].islower()),
        float(text.rstrip()[-1:] in (".", "!", ":")),
        float(text.rstrip()[-1:].isalpha()),
        log1p(sum(map(_MULTIPLICATIVE.__contains__, stem_lower)) + text.count("%")),
    )


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
