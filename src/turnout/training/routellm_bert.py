"""RouteLLM's `bert` checkpoints as artifacts: Hugging Face classification folders → int8 ONNX."""

from __future__ import annotations

import hashlib
from pathlib import Path

from turnout import __version__
from turnout.artifacts.folder import write_artifact
from turnout.errors import InputError
from turnout.routers.bert import MODEL, NAME, TOKENIZER, WINS
from turnout.training.checkpoint import read_checkpoint
from turnout.training.graph import Top, build_onnx

LABELS = 3
TOKENS = 512
"""RouteLLM's training length."""


def convert_bert(source: Path, out: Path, *, tokens: int = TOKENS, int8: bool = True) -> str:
    """Write the artifact of a checkpoint folder; returns its fingerprint.

    Args:
        source: with `config.json`, `model.safetensors` and `tokenizer.json`, BERT or XLM-R.
        out: the artifact folder.
        tokens: most tokens read of a prompt; fewer are faster.
        int8: quantise; otherwise 32 bits.

    Raises:
        InputError: not such a checkpoint: another family, or not three labels.
        MissingExtraError: onnx or onnxruntime is not installed.
        ArtifactError: `out` cannot be written.
    """
    base = read_checkpoint(source)
    roberta = "classifier.out_proj.weight" in base.weights
    top: Top = "roberta" if roberta else "bert"
    head = base.weights.get("classifier.out_proj.weight" if roberta else "classifier.weight")
    if head is None or len(head) != LABELS:
        found = "none" if head is None else str(len(head))
        raise InputError("labels", found, "expected strong wins, tie, weak wins")
    if not 8 <= tokens <= base.shape.most_tokens:
        raise InputError("tokens", tokens, f"give 8 to {base.shape.most_tokens}")
    model = build_onnx(base.weights, base.shape, top=top, int8=int8)
    manifest = {
        "router": NAME,
        "turnout": __version__,
        "outputs": WINS,
        "max_tokens": tokens,
        "columns": {"names": ["strong", "weak"]},
        "pair": {"kind": "strong"},
        "data": {
            "source": "RouteLLM bert checkpoint",
            "sha256": hashlib.sha256((source / "model.safetensors").read_bytes()).hexdigest(),
        },
        "recipe": {"command": "turnout convert routellm-bert"},
    }
    card = (
        "# bert\n\nConverted from a RouteLLM `bert` checkpoint (arXiv:2406.18665): the win rate is "
        "1 - p(tie) - p(weak wins), whatever two models are routed between. It is not calibrated "
        "and no outcomes come with it: set a threshold from your own prompts. A prompt is clipped "
        f"to 2,000 characters, then to {tokens} tokens, keeping head and tail.\n"
    )
    return write_artifact(out, manifest, {}, card, files={MODEL: model, TOKENIZER: base.tokenizer})
