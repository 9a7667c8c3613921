"""Read a model back from the ONNX file that `graph` wrote, so that a fit can start from it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from turnout.errors import ArtifactError, MissingExtraError
from turnout.training.checkpoint import POSITIONS, WORDS, Checkpoint, Shape, Weights
from turnout.training.graph import INT8_ROWS, JOINED

_ENCODER = ("embeddings.", "encoder.")


def read_graph(model: bytes, tokenizer: bytes, *, where: str) -> Checkpoint:
    """The encoder of an ONNX file, in 32 bits; what was int8 is what the file holds of it.

    Vectors of places have those of the first kind of token added to them, as in the file.

    Raises:
        MissingExtraError: onnx is not installed.
        ArtifactError: the file was not written by `build_onnx`.
    """
    try:
        import onnx
    except ImportError as error:
        raise MissingExtraError("reading an ONNX model", "bert") from error
    from google.protobuf.message import DecodeError
    from onnx import numpy_helper

    try:
        read = onnx.load_from_string(model)
    except DecodeError as error:
        raise ArtifactError(f"{where}: model.onnx cannot be read: {error}") from error
    held = {c.name: numpy_helper.to_array(c) for c in read.graph.initializer}
    stated = {p.key: p.value for p in read.metadata_props}
    try:
        weights = _weights(held)
        shape = Shape(
            layers=int(stated["layers"]),
            heads=int(stated["heads"]),
            epsilon=float(stated["epsilon"]),
            first_position=0,
            most_tokens=len(weights[POSITIONS]),
        )
    except (KeyError, ValueError) as error:
        raise ArtifactError(
            f"{where}: model.onnx names no weights ({error!r}); train it again, or give a base"
        ) from error
    return Checkpoint(shape=shape, weights=weights, tokenizer=tokenizer)


def _weights(held: dict[str, NDArray[Any]]) -> Weights:
    """By the names of a checkpoint: joined matrices are parted and turned back."""
    rows = held.get(WORDS + INT8_ROWS)
    words = held[WORDS] if rows is None else rows * held[f"{WORDS}{INT8_ROWS}.scale"]
    weights: Weights = {WORDS: words.astype(np.float32)}
    for name, value in held.items():
        plain = name.removesuffix("_quantized")
        if not plain.startswith(_ENCODER) or plain.startswith(WORDS):
            continue
        if plain != name:
            value = _from_int8(value, held[f"{plain}_scale"], held[f"{plain}_zero_point"])
        elif name.endswith(("_scale", "_zero_point")):
            continue
        keys = plain.split(JOINED)
        for key, part in zip(keys, np.split(value, len(keys), axis=-1), strict=True):
            turned = part.T if part.ndim == 2 and key != POSITIONS else part
            weights[key] = np.ascontiguousarray(turned, dtype=np.float32)
    return weights


def _from_int8(
    value: NDArray[Any], scale: NDArray[Any], zero: NDArray[Any]
) -> NDArray[np.floating[Any]]:
    made: NDArray[np.floating[Any]] = (value.astype(np.float32) - zero) * scale
    return made
