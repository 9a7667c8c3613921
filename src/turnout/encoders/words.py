"""Token ids of text by words that were seen before, as BERT's tokenizer gives them.

`tokenizers` keeps offsets and alignments that nothing here reads. BERT's normalization and splitting
never look across a space (`BertNormalizer`, `BertPreTokenizer`), so what stands between spaces is
looked up; nor across a mark or a character of Chinese, so that what was not seen before is parted at
those, and only words that were not seen are asked of the tokenizer's model (WordPiece) or of the
whole tokenizer. Printable ASCII is put in small letters before.
"""

from __future__ import annotations

import json
import re
from array import array
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from tokenizers import Tokenizer

MOST_WORDS = 50_000
"""Words whose ids are kept; when there are more, all are forgotten."""
_LONGEST_KEPT = 32
"""Longer words hardly come again."""
_PLAIN = bytes([*b"\t\n\r", *range(ord(" "), ord("~") + 1)])
"""No control character: those are taken out, and do not split words."""
_ALONE = (
    r"!-/:-@\[-`{-~\xa1\xa7\xab\xb6\xb7\xbb\xbf\u2010-\u2027\u2030-\u2043\u3001-\u3003\u3008-\u3011"
    r"\u3400-\u4dbf\u4e00-\u9fff\uff01-\uff03\uff05-\uff0a\uff0c-\uff0f\uff1a\uff1b\uff1f\uff20"
)
"""Marks and characters of Chinese that BERT takes for words of their own and leaves as they are; not
all that there are, since the others only take longer."""
_PARTS_ASCII = re.compile(r"[a-z0-9]+|[^a-z0-9]").findall
_PARTS = re.compile(rf"[{_ALONE}]|[^{_ALONE}]+").findall
_NORMALIZER = {
    "type": "BertNormalizer",
    "clean_text": True,
    "handle_chinese_chars": True,
    "strip_accents": None,
    "lowercase": True,
}


class WordIds:
    """Splits text into token ids; equal to the tokenizer's own to the last id. Safe between threads.

    Args:
        tokenizer: of any kind; words are looked up where it is BERT's for small letters.
        left_out: an id that is not given; None gives all.
    """

    def __init__(self, tokenizer: Tokenizer, *, left_out: int | None = None) -> None:
        given = json.loads(tokenizer.to_str())
        self._added = tuple(token["content"] for token in given["added_tokens"])
        self.by_words = (
            given["normalizer"] == _NORMALIZER
            and given["pre_tokenizer"] == {"type": "BertPreTokenizer"}
            and given["model"]["type"] == "WordPiece"
            and all("[" in token and " " not in token for token in self._added)
        )
        """Whether this tokenizer's words can be looked up."""
        self._known = _Known(tokenizer, left_out, parts=self.by_words)

    def of(self, text: str) -> NDArray[np.int64]:
        """The ids of a text, without those that mark its ends, nor the one that is left out."""
        return np.frombuffer(self.packed(text), dtype=np.int64)

    def packed(self, text: str) -> bytes:
        """The same as the bytes of an array."""
        if self._is_plain(text):
            parts = text.lower().split()
        elif self.by_words:  # other blanks may be taken out, and not part words
            for blank in "\t\n\r":
                text = text.replace(blank, " ")
            parts = text.split(" ")
        else:
            parts = [text]
        return b"".join(map(self._known.__getitem__, parts))

    def _is_plain(self, text: str) -> bool:
        if not self.by_words or not text.isascii():
            return False
        if text.encode().translate(None, _PLAIN):
            return False
        # Written out in a text, an added token counts as that token.
        return "[" not in text or not any(token in text for token in self._added)


class _Known(dict[str, bytes]):
    """The ids of what stands between spaces (a word, most often, and the marks around it), and of words.

    Packed as numpy reads them: a text's are joined faster than lists are, and take less memory.
    """

    def __init__(self, tokenizer: Tokenizer, left_out: int | None, *, parts: bool) -> None:
        super().__init__()
        self._tokenizer, self._left_out, self._parts = tokenizer, left_out, parts
        if parts:
            self._normalize = tokenizer.normalizer.normalize_str
            self._cut = tokenizer.model.tokenize

    def __missing__(self, piece: str) -> bytes:
        by_parts = self._parts and "[" not in piece  # else it may be an added token
        found = self._by_parts(piece) if by_parts else self._ask(piece)
        if len(piece) <= _LONGEST_KEPT:
            if len(self) >= MOST_WORDS:
                self.clear()
            self[piece] = found
        return found

    def _by_parts(self, piece: str) -> bytes:
        if not piece.isascii():
            parts = _PARTS(piece)
            if len(parts) == 1:
                return self._foreign(piece)
        elif piece.isalnum():
            return self._word(piece.lower())
        elif piece.isprintable():
            parts = _PARTS_ASCII(piece.lower())
            if len(parts) == 1:
                return self._word(piece)
        else:
            return self._ask(piece)
        return b"".join(map(self.__getitem__, parts))

    def _word(self, word: str) -> bytes:
        """The ids of what normalization leaves as it is, and splitting whole."""
        return self._packed([token.id for token in self._cut(word)])

    def _foreign(self, piece: str) -> bytes:
        """The ids of what has no part that stands alone, or is one."""
        word = self._normalize(piece).strip(" ")  # those around a character of Chinese
        return self._word(word) if word.isalnum() else self._ask(piece)

    def _ask(self, text: str) -> bytes:
        """The ids of any text, by the whole tokenizer."""
        return self._packed(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def _packed(self, ids: list[int]) -> bytes:
        if self._left_out in ids:
            ids = [i for i in ids if i != self._left_out]
        return array("q", ids).tobytes()
