"""What heads see of a query: its vectors and its cheap features, joined into one row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from struct import Struct

import numpy as np

from turnout.encoders.base import Encoder
from turnout.encoders.courtesy import without_courtesy
from turnout.encoders.lexical import LexicalEncoder, fit_lexical
from turnout.encoders.spelling import without_misspellings
from turnout.features import CORE, FEATURES, core_vector, feature_vector
from turnout.routers.arrays import Arrays
from turnout.types import Floats

ENCODER_WEIGHT = 0.5
"""Beside a lexical vector of weight 1: at 1 as well a misspelt word moves the row more, and the fit is
no better."""
LEXICAL = 256
"""Dimensions of the lexical vector."""
FEATURE_WEIGHT = 0.3
LIMIT = 3.0
"""Features are clipped at this many standard deviations: a prompt unlike any that was fitted on
must not throw a linear head off its range."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """Rows of d columns in three blocks: the encoder's vector, the lexical vector, the features.

    Each block is centred and scaled: the lexical vector to a total variance of 1, the encoder's to
    0.5 beside it and to 1 without it, the features to 0.3 after each was standardised: at 1 they
    fit the prompts at hand better and throw unseen templates further off.
    """

    encoder: Encoder
    lexical: LexicalEncoder | None
    shift: Floats
    """(d,) means of the fitted rows."""
    scale: Floats
    """(d,) factors."""
    bound: Floats
    """(f,) largest absolute value of each scaled feature."""
    mend: bool = True
    """Whether misspelt words are mended before: see `plain`."""

    def rows(self, texts: Sequence[str], *, core: bool = False) -> Floats:
        """(n, d) scaled rows; each depends on its own text alone, as `plain` leaves it.

        Args:
            texts: of prompts.
            core: for a head that reads no features but `CORE`: the others stand at 0, unscaled.
        """
        return self.of_raw(RawRows.of(self.encoder, texts, mend=self.mend, core=core))

    def transform(self, blocks: Sequence[Floats]) -> Floats:
        """(n, d) scaled rows of raw blocks."""
        scaled = np.concatenate(blocks, axis=1, dtype=np.float32)
        scaled -= self.shift
        scaled *= self.scale
        features = scaled[:, -len(self.bound) :]
        np.maximum(features, -self.bound, out=features)
        np.minimum(features, self.bound, out=features)
        return scaled

    def arrays(self) -> Arrays:
        """What was learned, by name; the encoder is named by the manifest."""
        found: Arrays = {"shift": self.shift, "scale": self.scale, "bound": self.bound}
        if self.lexical is not None:
            found |= {f"lexical/{name}": a for name, a in self.lexical.arrays().items()}
        return found

    def of_raw(self, raw: RawRows) -> Floats:
        """(n, d) scaled rows of texts whose vectors and features are made."""
        words = [] if self.lexical is None else [self.lexical.encode(raw.texts)]
        return self.transform([raw.vectors, *words, raw.features])

    @classmethod
    def from_arrays(cls, encoder: Encoder, arrays: Arrays, *, mend: bool = True) -> Inputs:
        """The inputs that `arrays` came from, whose texts were mended or not."""
        lexical = None
        if any(name.startswith("lexical/") for name in arrays):
            lexical = LexicalEncoder.from_arrays(
                {
                    k.removeprefix("lexical/"): a
                    for k, a in arrays.items()
                    if k.startswith("lexical/")
                }
            )
        return cls(
            encoder=encoder,
            lexical=lexical,
            shift=arrays["shift"],
            scale=arrays["scale"],
            bound=arrays["bound"],
            mend=mend,
        )


def plain(text: str, *, mend: bool = True) -> str:
    """What rows are made of: small letters, without courtesies and slips of the keys.

    None of them says how hard a task is.

    Args:
        text: of a prompt.
        mend: whether slips are taken out. A space that is to know other kinds of prompts by
            how they look does without: on kinds that it has not seen, mended names look otherwise.
    """
    kept = without_courtesy(text.lower())
    return without_misspellings(kept) if mend else kept


_ROW = Struct(f"={len(FEATURES)}f")
_CORE_ROW = Struct("=" + "".join("f" if name in CORE else "4x" for name in FEATURES))
"""A row of float32, with zeros where a feature is not made."""


def feature_rows(texts: Sequence[str], *, core: bool = False) -> Floats:
    """(n, f) features of texts; where `core`, those that are not in `CORE` are 0."""
    packed = bytearray()  # that the rows may be written to
    if core:
        for text in texts:
            packed += _CORE_ROW.pack(*core_vector(text))
    else:
        for text in texts:
            packed += _ROW.pack(*feature_vector(text))
    return np.frombuffer(packed, dtype=np.float32).reshape(len(texts), len(FEATURES))


@dataclass(frozen=True, slots=True, kw_only=True)
class RawRows:
    """Texts with what can be computed once for all folds."""

    encoder: Encoder
    texts: tuple[str, ...]
    vectors: Floats
    """(n, d) of the encoder."""
    features: Floats
    """(n, f)."""
    mend: bool = True
    """Whether misspelt words were mended before."""

    @classmethod
    def of(
        cls, encoder: Encoder, texts: Sequence[str], *, mend: bool = True, core: bool = False
    ) -> RawRows:
        """Encode texts as `Inputs.rows` reads them; see `plain` for `mend`, `feature_rows` for `core`."""
        texts = tuple(plain(text, mend=mend) for text in texts)
        return cls(
            encoder=encoder,
            texts=texts,
            vectors=encoder.encode(texts),
            features=feature_rows(texts, core=core),
            mend=mend,
        )

    def take(self, index: Sequence[int] | np.ndarray) -> RawRows:
        """Some of the rows."""
        at = np.arange(len(self.texts))[np.asarray(index)]
        return RawRows(
            encoder=self.encoder,
            texts=tuple(self.texts[i] for i in at),
            vectors=self.vectors[at],
            features=self.features[at],
            mend=self.mend,
        )


def fit_inputs(raw: RawRows, *, lexical: int = LEXICAL, seed: int = 0) -> tuple[Inputs, Floats]:
    """Fit the lexical encoder and the scales; returns the inputs and the (n, d) rows of `raw`.

    Args:
        raw: n prompts.
        lexical: dimensions of the lexical vector; 0 leaves it out.
        seed: of the lexical vector.
    """
    blocks, weights = [raw.vectors], [1.0]
    words: LexicalEncoder | None = None
    if lexical:
        words, vectors = fit_lexical(raw.texts, dimension=lexical, seed=seed)
        blocks, weights = [raw.vectors, vectors], [ENCODER_WEIGHT, 1.0]
    scales = [_block_scale(block, weight) for block, weight in zip(blocks, weights, strict=True)]
    scales.append(_block_scale(raw.features, FEATURE_WEIGHT, standardise=True))
    blocks.append(raw.features)
    inputs = Inputs(
        encoder=raw.encoder,
        lexical=words,
        shift=np.concatenate([b.mean(axis=0) for b in blocks]).astype(np.float32),
        scale=np.concatenate(scales).astype(np.float32),
        bound=(LIMIT * raw.features.std(axis=0) * scales[-1]).astype(np.float32),
        mend=raw.mend,
    )
    return inputs, inputs.transform(blocks)


def _block_scale(block: Floats, weight: float, *, standardise: bool = False) -> Floats:
    """(c,) factors that give a block the total variance `weight`."""
    spread = block.std(axis=0)
    scale = np.ones(block.shape[1])
    if standardise:
        scale = np.where(spread > 1e-6, 1.0 / np.maximum(spread, 1e-6), 0.0)
    total = float(((spread * scale) ** 2).sum())
    return np.asarray(scale * np.sqrt(weight / max(total, 1e-9)), dtype=np.float32)
