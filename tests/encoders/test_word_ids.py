"""Ids by whole words are those of the tokenizer, for any text."""

from __future__ import annotations

import string
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers

from turnout.encoders import words
from turnout.encoders.static import SHIPPED
from turnout.encoders.words import WordIds

TOKENIZER = Tokenizer.from_file(str(SHIPPED / "tokenizer.json"))
IDS = WordIds(TOKENIZER)
UNKNOWN = TOKENIZER.token_to_id("[UNK]")
PIECES = [
    "[UNK]",
    "[PAD]",
    "[",
    "##s",
    "unbelievably",
    "Zürich",
    "x" * 101,
    "\x00",
    "\x0b",
    "\x7f",
    "\t",
    "(x+1),",
    "“Quoted”",
    "漢字かな交じり",
    "Ĳ\u0301",
    "na\u0308ive",
    "ﬁ",
    "Привет!",
    "한국어",
    "हिन्दी",
    "🧠",
]


def own(text: str) -> list[int]:
    found: list[int] = TOKENIZER.encode(text, add_special_tokens=False).ids
    return found


def test_the_shipped_tokenizer_is_read_by_words() -> None:
    assert IDS.by_words


@given(
    st.one_of(
        st.text(),
        st.text(alphabet=string.printable),
        st.lists(st.sampled_from(PIECES)).map("".join),
    )
)
@example("What's 3.5 x (2+7)? See https://a.b/c?d=e_f#g [UNK] `code` C:\\dir\r\n\tend")
@example("a\x0bb\x1cc\x7fd")
@example("[PAD][unk] [ UNK]")
@example("\N{NO-BREAK SPACE}a b caf\N{COMBINING ACUTE ACCENT} 中文")
def test_ids_are_the_tokenizers(text: str) -> None:
    assert IDS.of(text).tolist() == own(text)
    assert IDS.of(text).tolist() == own(text)  # once more, by what is known now
    without = WordIds(TOKENIZER, left_out=UNKNOWN).of(text).tolist()
    assert without == [i for i in own(text) if i != UNKNOWN]


def test_no_character_is_parted_otherwise() -> None:
    known = [
        c for c in map(chr, range(0x20000)) if unicodedata.category(c) not in ("Cn", "Co", "Cs")
    ]
    for start in range(0, len(known), 2000):
        some = known[start : start + 2000]
        text = " ".join(f"{c} a{c}b é{c}が{c}中" for c in some)
        assert IDS.of(text).tolist() == own(text), f"from U+{ord(some[0]):04X}"


def test_another_tokenizer_is_asked_for_whole_texts() -> None:
    other = Tokenizer(models.WordLevel({"a": 0, "B": 1, "?": 2}, unk_token="?"))
    other.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    ids = WordIds(other)
    assert not ids.by_words
    assert ids.of("a B b").tolist() == [0, 1, 2]


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "MOST_WORDS", 10)
    ids = WordIds(TOKENIZER)
    text = " ".join(f"word{i}" for i in range(100))
    assert ids.of(text).tolist() == own(text)
    assert len(ids._known) <= 10
    ids.of("y" * 50)
    assert "y" * 50 not in ids._known
