"""A small transformer in ONNX: text → the model's output. ONNX Runtime and `tokenizers`, no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from turnout.encoders.text import HEAD_CHARACTERS, TAIL_CHARACTERS, clip
from turnout.errors import ArtifactError, MissingExtraError, RouterError
from turnout.types import Floats

if TYPE_CHECKING:
    from tokenizers import Tokenizer

INPUT = "input_ids"
LEAST_TOKENS = 8
TAIL_SHARE = 0.25
"""Of a prompt that is cut, this share of the tokens comes from its end."""


class TokenModel:
    """Runs token ids through a model whose input is (1, t) int64 `input_ids`; one text a run.

    One text a run, since the scales of int8 activations are worked out over a whole run: a batch
    would let one text change another's result.

    Args:
        model: an ONNX file.
        tokenizer: `tokenizer.json` of the `tokenizers` package.
        most_tokens: longer texts keep their head and tail.
        where: how messages call it.

    Raises:
        MissingExtraError: onnxruntime is not installed.
        ArtifactError: the model or the tokenizer cannot be read.
    """

    def __init__(self, model: bytes, tokenizer: bytes, *, most_tokens: int, where: str) -> None:
        if most_tokens < LEAST_TOKENS:
            raise ArtifactError(
                f"{where}: {most_tokens} tokens at most; expected {LEAST_TOKENS} or more"
            )
        self.where, self.most_tokens = where, most_tokens
        self._session = _session(model, where)
        self._tokenizer = read_tokenizer(tokenizer, where)
        inputs = [i.name for i in self._session.get_inputs()]
        if inputs != [INPUT]:
            raise ArtifactError(f"{where}: the model takes {inputs}, not only {INPUT}")

    @property
    def width(self) -> int | None:
        """Length of the output's last axis; None where the model does not fix it."""
        found = self._session.get_outputs()[0].shape[-1]
        return found if isinstance(found, int) else None

    def run(self, text: str) -> tuple[Floats, bool]:
        """The first output without its batch axis, and whether the text was cut to fit.

        Raises:
            RouterError: the model fails on this text.
        """
        from onnxruntime.capi import onnxruntime_pybind11_state as errors

        ids, cut = token_ids(self._tokenizer, text, self.most_tokens)
        try:
            found = self._session.run(None, {INPUT: ids[None, :]})[0][0]
        except (errors.Fail, errors.InvalidArgument, errors.RuntimeException) as error:
            raise RouterError(f"{self.where}: the model failed: {error}") from error
        return np.asarray(found, dtype=np.float32), cut


def token_ids(tokenizer: Tokenizer, text: str, most: int) -> tuple[NDArray[np.int64], bool]:
    """(t,) ids of a text with its special tokens, t <= most, and whether anything was left out.

    The text is clipped first; too many tokens keep the first three quarters and the last quarter.
    """
    longer = len(text) > HEAD_CHARACTERS + TAIL_CHARACTERS
    ids = np.asarray(tokenizer.encode(clip(text)).ids, dtype=np.int64)
    if len(ids) <= most:
        return ids, longer
    tail = int(most * TAIL_SHARE)
    return np.concatenate([ids[: most - tail], ids[-tail:]]), True


def read_tokenizer(data: bytes, where: str) -> Tokenizer:
    """A tokenizer that neither truncates nor pads.

    Raises:
        ArtifactError: it cannot be read.
    """
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_str(data.decode("utf-8"))
    # The package raises bare Exception for a file that it cannot parse.
    except Exception as error:
        raise ArtifactError(f"{where}: tokenizer.json cannot be read: {error}") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _session(model: bytes, where: str) -> Any:
    try:
        import onnxruntime as ort
        from onnxruntime.capi import onnxruntime_pybind11_state as errors
    except ImportError as error:
        raise MissingExtraError(where, "onnx") from error
    options = ort.SessionOptions()
    # Requests are served side by side: a thread each beats threads that wait on each other.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except (errors.Fail, errors.InvalidArgument, errors.InvalidProtobuf, errors.InvalidGraph) as e:
        raise ArtifactError(f"{where}: model.onnx cannot be opened: {e}") from e
