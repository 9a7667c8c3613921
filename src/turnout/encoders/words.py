"""Token ids of text by whole words that were seen before, as BERT's tokenizer gives them.

`tokenizers` keeps offsets and alignments that nothing here reads. BERT's normalization and splitting
never look across a space (`BertNormalizer`, `BertPreTokenizer`), so the pieces of what stands between
spaces are asked of the tokenizer once. Printable ASCII is put in small letters before.
"""

from __future__ import annotations

import json
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
        self._known = _Known(tokenizer, left_out)
        given = json.loads(tokenizer.to_str())
        self.by_words = (
            given["normalizer"] == _NORMALIZER
            and given["pre_tokenizer"] == {"type": "BertPreTokenizer"}
            and given["model"]["type"] == "WordPiece"
        )
        """Whether this tokenizer's words can be looked up."""
        self._added = tuple(token["content"] for token in given["added_tokens"])

    def of(self, text: str) -> NDArray[np.intp]:
        """The ids of a text, without those that mark its ends, nor the one that is left out."""
        if self._is_plain(text):
            parts = text.lower().split()
        elif self.by_words:  # other blanks may be taken out, and not part words
            for blank in "\t\n\r":
                text = text.replace(blank, " ")
            parts = text.split(" ")
        else:
            parts = [text]
        packed = b"".join(map(self._known.__getitem__, parts))
        return np.frombuffer(packed, dtype=np.intp)

    def _is_plain(self, text: str) -> bool:
        if not self.by_words or not text.isascii():
            return False
        if text.encode().translate(None, _PLAIN):
            return False
        # Written out in a text, an added token counts as that token.
        return "[" not in text or not any(token in text for token in self._added)


class _Known(dict[str, bytes]):
    """The ids of what stands between spaces: a word, most often, and the marks around it.

    Packed as numpy reads them: a text's are joined faster than lists are, and take less memory.
    """

    def __init__(self, tokenizer: Tokenizer, left_out: int | None) -> None:
        super().__init__()
        self._tokenizer, self._left_out = tokenizer, left_out

    def ask(self, text: str) -> bytes:
        """The packed ids of any text, by the tokenizer."""
        found = self._tokenizer.encode(text, add_special_tokens=False).ids
        return np.asarray([i for i in found if i != self._left_out], dtype=np.intp).tobytes()

    def __missing__(self, word: str) -> bytes:
        found = self.ask(word)
        if len(word) <= _LONGEST_KEPT:
            if len(self) >= MOST_WORDS:
                self.clear()
            self[word] = found
        return found
