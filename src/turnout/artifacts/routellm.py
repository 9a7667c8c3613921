"""Read RouteLLM's matrix factorization checkpoints and fold them to an artifact of ours."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from turnout import __version__
from turnout.artifacts.folder import write_artifact
from turnout.encoders.opening import open_encoder
from turnout.errors import InputError
from turnout.routers.routellm_mf import NAME
from turnout.types import Floats

ENCODER = "remote:text-embedding-3-small"
"""What RouteLLM's own checkpoints were fitted on: 1,536 dimensions."""
MODELS = tuple(
    """
    RWKV-4-Raven-14B alpaca-13b chatglm-6b chatglm2-6b chatglm3-6b claude-1 claude-2.0 claude-2.1
    claude-instant-1 codellama-34b-instruct deepseek-llm-67b-chat dolly-v2-12b
    dolphin-2.2.1-mistral-7b falcon-180b-chat fastchat-t5-3b gemini-pro gemini-pro-dev-api
    gpt-3.5-turbo-0125 gpt-3.5-turbo-0314 gpt-3.5-turbo-0613 gpt-3.5-turbo-1106 gpt-4-0125-preview
    gpt-4-0314 gpt-4-0613 gpt-4-1106-preview gpt4all-13b-snoozy guanaco-33b koala-13b llama-13b
    llama-2-13b-chat llama-2-70b-chat llama-2-7b-chat llama2-70b-steerlm-chat mistral-7b-instruct
    mistral-7b-instruct-v0.2 mistral-medium mixtral-8x7b-instruct-v0.1 mpt-30b-chat mpt-7b-chat
    nous-hermes-2-mixtral-8x7b-dpo oasst-pythia-12b openchat-3.5 openchat-3.5-0106
    openhermes-2.5-mistral-7b palm-2 pplx-70b-online pplx-7b-online qwen-14b-chat qwen1.5-4b-chat
    qwen1.5-72b-chat qwen1.5-7b-chat solar-10.7b-instruct-v1.0 stablelm-tuned-alpha-7b
    starling-lm-7b-alpha stripedhyena-nous-7b tulu-2-dpo-70b vicuna-13b vicuna-33b vicuna-7b
    wizardlm-13b wizardlm-70b yi-34b-chat zephyr-7b-alpha zephyr-7b-beta
    """.split()
)
"""The models of the 64 rows of `P`, in order."""
_KEYS = {
    "P": ("P.weight",),
    "projection": ("text_proj.0.weight", "text_proj.weight"),
    "classifier": ("classifier.0.weight", "classifier.weight"),
}
"""Each part as the published checkpoints name it, and as RouteLLM's training script does."""


def convert_mf(source: Path, out: Path, *, encoder: str = ENCODER) -> str:
    """Write the artifact of a checkpoint; returns its fingerprint.

    Args:
        source: a safetensors file, or a folder with `model.safetensors`.
        out: the artifact folder.
        encoder: name of the encoder whose vectors the checkpoint was fitted on.

    Raises:
        InputError: not such a checkpoint, or an encoder of another dimension.
        UnknownNameError: no such encoder.
        ArtifactError: `out` cannot be written.
    """
    path = source / "model.safetensors" if source.is_dir() else source
    arrays, digest = _read(path)
    directions = fold(arrays)
    opened = open_encoder(encoder)
    if opened.dimension != directions.shape[1]:
        remedy = (
            f"it gives {opened.dimension} dimensions, but {path.name} was fitted on "
            f"{directions.shape[1]}; name the encoder that the checkpoint was fitted on"
        )
        raise InputError("encoder", encoder, remedy)
    manifest = {
        "router": NAME,
        "turnout": __version__,
        "encoder": {
            "name": opened.name,
            "fingerprint": opened.fingerprint,
            "dimension": opened.dimension,
        },
        "columns": {"names": list(MODELS)},
        "data": {"source": f"RouteLLM checkpoint {path.name}", "sha256": digest},
        "recipe": {"command": "turnout convert routellm-mf"},
    }
    return write_artifact(out, manifest, {"directions": directions}, _card(path.name, opened.name))


def fold(arrays: Mapping[str, NDArray[Any]]) -> Floats:
    """(64, d) one vector a model, their mean subtracted, of a checkpoint's arrays.

    Raises:
        InputError: an array is missing, not finite, or of a shape that does not fit.
    """
    models, projection, classifier = (_part(arrays, part) for part in _KEYS)
    hidden = models.shape[1]
    for part, array, shape in (
        ("P", models, (len(MODELS), hidden)),
        ("projection", projection, (hidden, projection.shape[1])),
        ("classifier", classifier, (1, hidden)),
    ):
        if array.shape != shape:
            raise InputError(f"shape of {part}", array.shape, f"expected {shape}")
    length = np.maximum(np.linalg.norm(models, axis=1, keepdims=True), 1e-12)
    directions = (models / length * classifier) @ projection
    return np.asarray(directions - directions.mean(axis=0), dtype=np.float32)


def _part(arrays: Mapping[str, NDArray[Any]], part: str) -> NDArray[np.float64]:
    for key in _KEYS[part]:
        if key in arrays:
            array = np.asarray(arrays[key], dtype=np.float64)
            if array.ndim != 2 or not np.isfinite(array).all():
                raise InputError(key, array.shape, "expected a matrix of finite numbers")
            return array
    wanted = " or ".join(_KEYS[part])
    raise InputError("checkpoint", sorted(arrays), f"it has no {wanted}; give an mf checkpoint")


def _read(path: Path) -> tuple[dict[str, NDArray[Any]], str]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        data = path.read_bytes()
        return load(data), hashlib.sha256(data).hexdigest()
    except OSError as error:
        remedy = f"{error.strerror}; give a safetensors file, or a folder with model.safetensors"
        raise InputError("checkpoint", str(path), remedy) from error
    except SafetensorError as error:
        raise InputError("checkpoint", str(path), f"it is not safetensors ({error})") from error


def _card(file: str, encoder: str) -> str:
    return (
        f"# {NAME}\n\nConverted from RouteLLM's matrix factorization checkpoint `{file}` "
        f"(arXiv:2406.18665). Embeddings: `{encoder}`.\n\n"
        "Win rates are those of the checkpoint, for the two models that are routed between. They "
        "are not calibrated, and no outcomes come with them: set a threshold from your own "
        "prompts.\n"
    )
