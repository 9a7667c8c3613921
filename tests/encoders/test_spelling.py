"""Misspelt words are mended; known words, code, other scripts and other languages stay as they are."""

from __future__ import annotations

import random
import string
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.encoders import spelling
from turnout.encoders.spelling import without_misspellings
from turnout.encoders.static import vocabulary
from turnout.errors import ArtifactError
from turnout.evaluation.perturbing import typos
from turnout.routers.inputs import plain

PROSE = """the committee decided that the following questions should be answered before the end of the week.
which of these statements about the history of the city is correct, and why? a train leaves the station
at noon with twenty passengers; at every stop three of them leave and five others enter. how many
passengers are there after the fourth stop? explain your reasoning (briefly) and give the final answer."""
MULTILINGUAL = [
    "der zug verlässt den bahnhof um zwölf uhr, und an jeder haltestelle steigen fünf leute ein.",
    "quelle est la capitale de la france et combien d'habitants compte cette ville aujourd'hui ?",
    "cuántos pasajeros quedan en el tren después de la cuarta parada si bajan tres en cada una",
    "сколько пассажиров останется в поезде после четвёртой остановки",
    "四つ目の駅の後、列車には何人の乗客がいますか。",
]
BLANKS = [" ", "  ", "\n", "\t", "\x1c", "\x1f", "\x85", "\xa0", "\u2028", "\u3000", "\u200b"]
CODE = [
    "def fnord(xs):\n    return [fo(x) for x in xs if x.vlaue]",
    "x = recieve_all(sokcet, lenght=10)",
    r"\begin{pmatrix} a & b \\ c & d \end{pmatrix} \rfloor",
    "see https://example.com/adn/teh?wrods=1 or C:\\wrods\\teh.txt",
]


@pytest.mark.parametrize(
    ("misspelt", "mended"),
    [
        ("waht is teh capital of frnace?", "what is the capital of france?"),
        ("is it (recieve) or the \"clasiscal\", eevr?", "is it (receive) or the \"classical\", ever?"),
        ("list th eend of every stroy", "list the end of every story"),
        ("it is aneasy, a nexample", "it is aneasy, an example"),
        ("one\n\nquesiton\tper  line ", "one\n\nquestion\tper  line "),
        ("the goverment had a postive plan", "the government had a positive plan"),
        ("how many passemgers are there", "how many passengers are there"),
    ],
)  # fmt: skip
def test_slips_are_mended_and_blanks_and_marks_kept(misspelt: str, mended: str) -> None:
    assert without_misspellings(misspelt) == mended
    assert without_misspellings(mended) == mended


def test_known_words_and_their_forms_stay() -> None:
    assert without_misspellings(PROSE) == PROSE
    words = [w for w in vocabulary() if w.isascii() and w.isalpha() and len(w) > 2]
    for at in range(0, len(words), 200):
        text = " ".join(words[at : at + 200])
        assert without_misspellings(text) == text
    for form in ("lemons", "braver", "fractions", "queues", "multiplied", "shrugging", "wisely"):
        assert (
            without_misspellings(f"what about the {form} of it") == f"what about the {form} of it"
        )


@pytest.mark.parametrize("text", [*MULTILINGUAL, *CODE, "", " ", "\n", "a", "?!", "x" * 31])
def test_code_other_languages_and_no_words_stay(text: str) -> None:
    assert without_misspellings(text) == text


def test_accented_words_stay_where_english_ones_are_mended() -> None:
    assert without_misspellings("the café in zürich is clsoed") == "the café in zürich is closed"


def test_most_of_exchanged_letters_are_mended_and_mending_again_changes_nothing() -> None:
    def lost(text: str) -> int:
        return len(set(PROSE.split()) - set(text.split()))

    wrong = right = 0
    for extra in range(60):
        text = typos(PROSE + " " * extra)
        mended = without_misspellings(text)
        assert without_misspellings(mended) == mended
        wrong, right = wrong + lost(text), right + lost(mended)
    assert wrong > 200
    assert right < 0.6 * wrong


def test_alone_in_a_batch_and_in_threads_alike() -> None:
    texts = [typos(PROSE + " " * n) for n in range(200)]
    alone = [without_misspellings(t) for t in texts]
    spelling._UNKNOWN.clear()
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(without_misspellings, texts * 3)) == alone * 3


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spelling, "MOST_WORDS", 50)
    rng = random.Random(0)
    for _ in range(40):
        words = ("".join(rng.choices(string.ascii_lowercase, k=6)) for _ in range(20))
        without_misspellings(" ".join(words))
        assert len(spelling._UNKNOWN) <= 50
    assert without_misspellings("waht is teh answer") == "what is the answer"


def hostile() -> list[str]:
    rng = random.Random(1)
    words = ["".join(rng.choices("etaoinshrdlu", k=7)) for _ in range(100_000)]
    mixed = [w for word in words for w in (word, "the", "of", "and")]
    return ["a" * 1_000_000, " ".join(words), " ".join(mixed), "wrod " * 100_000, "'" * 1_000_000]


def test_time_and_work_are_bounded_on_hostile_texts() -> None:
    for text in hostile():
        started = time.process_time()
        mended = without_misspellings(text)
        assert time.process_time() - started < 0.5
        assert mended[2_000:-2_000] in text


def test_the_middle_of_a_long_text_stays_and_both_ends_are_mended() -> None:
    middle = "wrods " * 5
    filled = "the whole " * 300
    text = f"waht is teh answer {filled}{middle}{filled}in the follwoing"
    mended = without_misspellings(text)
    assert mended.startswith("what is the answer the whole")
    assert mended.endswith("in the following")
    assert middle in mended


@given(st.lists(st.sampled_from(["teh", "wrod", "the", "a", "(", ".", "é", *BLANKS])).map("".join))
def test_blanks_stay_and_parts_are_neither_lost_nor_made(text: str) -> None:
    mended = without_misspellings(text)
    assert [c for c in mended if c.isspace()] == [c for c in text if c.isspace()]
    assert len(mended.split()) == len(text.split())


@given(
    st.lists(st.sampled_from(["teh", "wrods", "th", "eend", "the", "quesiton,", "isa", "é", "("]))
)
def test_a_text_is_mended_alike_whatever_its_blanks(parts: list[str]) -> None:
    mended = without_misspellings("\n\n".join(parts))
    assert without_misspellings(" ".join(parts)) == mended.replace("\n\n", " ")


def test_a_blank_moves_only_beside_words() -> None:
    assert without_misspellings("list th " + "e" * 40) == "list th " + "e" * 40
    assert without_misspellings("what is th, eend of it") == "what is th, eend of it"


def test_rows_are_made_of_mended_text() -> None:
    asked = "Hello, could you please help me with this? Waht is teh CAPITAL of Frnace?"
    assert plain(asked) == "what is the capital of france?"


def test_a_vocabulary_that_is_not_there_or_broken_is_an_error(tmp_path) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ArtifactError, match=r"tokenizer\.json"):
        vocabulary(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}", "utf-8")
    with pytest.raises(ArtifactError, match=r"tokenizer\.json"):
        vocabulary(tmp_path)


def test_the_most_common_word_wins() -> None:
    order = {word: i for i, word in enumerate(vocabulary())}
    rng = np.random.default_rng(3)
    common = [w for w in vocabulary() if w.isascii() and w.isalpha() and len(w) > 5][:2000]
    for word in rng.choice(common, 200, replace=False):
        i = int(rng.integers(0, len(word) - 1))
        slip = word[:i] + word[i + 1] + word[i] + word[i + 2 :]
        found = without_misspellings(f"what is the {slip} of this").split()[3]
        assert found == slip or order[found] <= order[str(word)]
