"""The forward pass of a BERT-shaped encoder in torch, and its fit. Imported when `bert` is trained.

Its own and not a package's, some forty lines, so that training needs torch alone and works on the
same weights, by the same names, as the ONNX graph that serves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from turnout.training.checkpoint import Shape, Weights
from turnout.types import Floats

CLIP = 1.0
"""Longest gradient."""
DECAY = 0.01
Ids = Sequence[NDArray[np.int64]]


@dataclass
class Network:
    """Weights as leaves, by Hugging Face's names, and `head.weight` (k, d), `head.bias` (k,)."""

    weights: dict[str, Tensor]
    shape: Shape

    @classmethod
    def of(cls, weights: Weights, shape: Shape, outputs: int, *, seed: int) -> Network:
        """From a base; the head starts small and random."""
        generator = torch.Generator().manual_seed(seed)
        used = {k: torch.tensor(v) for k, v in weights.items() if k.startswith(("emb", "enc"))}
        width = used["embeddings.word_embeddings.weight"].shape[1]
        used["head.weight"] = 0.02 * torch.randn(outputs, width, generator=generator)
        used["head.bias"] = torch.zeros(outputs)
        for value in used.values():
            value.requires_grad_(True)
        return cls(used, shape)

    def numpy(self) -> Weights:
        """The weights as arrays."""
        return {name: value.detach().numpy().copy() for name, value in self.weights.items()}

    def logits(self, ids: Ids) -> Tensor:
        """(b, k) logits of b token rows of any length."""
        longest = max(len(row) for row in ids)
        mask = torch.zeros(len(ids), longest, dtype=torch.bool)
        tokens = torch.zeros(len(ids), longest, dtype=torch.long)
        for i, row in enumerate(ids):
            tokens[i, : len(row)], mask[i, : len(row)] = torch.from_numpy(row), True
        x = self._embeddings(tokens)
        for layer in range(self.shape.layers):
            x = self._layer(x, mask[:, None, None, :], f"encoder.layer.{layer}")
        held = mask[:, :, None].float()
        return self._linear((x * held).sum(1) / held.sum(1), "head")

    def predict(self, ids: Ids, batch: int = 32) -> Floats:
        """(n, k) logits, without gradients."""
        with torch.no_grad():
            parts = [self.logits(ids[i : i + batch]) for i in range(0, len(ids), batch)]
        return np.asarray(torch.cat(parts).numpy(), dtype=np.float32)

    def _embeddings(self, tokens: Tensor) -> Tensor:
        w, first = self.weights, self.shape.first_position
        places = w["embeddings.position_embeddings.weight"][first : first + tokens.shape[1]]
        x = functional.embedding(tokens, w["embeddings.word_embeddings.weight"]) + places
        if "embeddings.token_type_embeddings.weight" in w:
            x = x + w["embeddings.token_type_embeddings.weight"][0]
        return self._norm(x, "embeddings.LayerNorm")

    def _layer(self, x: Tensor, mask: Tensor, key: str) -> Tensor:
        b, t, d = x.shape
        q, k, v = (
            self._linear(x, f"{key}.attention.self.{part}").view(b, t, self.shape.heads, -1)
            for part in ("query", "key", "value")
        )
        mixed = functional.scaled_dot_product_attention(
            q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), attn_mask=mask
        )
        out = self._linear(mixed.transpose(1, 2).reshape(b, t, d), f"{key}.attention.output.dense")
        x = self._norm(x + out, f"{key}.attention.output.LayerNorm")
        up = functional.gelu(self._linear(x, f"{key}.intermediate.dense"))
        return self._norm(x + self._linear(up, f"{key}.output.dense"), f"{key}.output.LayerNorm")

    def _linear(self, x: Tensor, key: str) -> Tensor:
        return functional.linear(x, self.weights[f"{key}.weight"], self.weights[f"{key}.bias"])

    def _norm(self, x: Tensor, key: str) -> Tensor:
        weight, bias = self.weights[f"{key}.weight"], self.weights[f"{key}.bias"]
        return functional.layer_norm(x, weight.shape, weight, bias, self.shape.epsilon)


class Fit:
    """AdamW on the cross entropy of soft scores; one epoch at a time, so that it can be resumed.

    Epoch e orders its rows by (seed, e) alone, and there is no dropout: a resumed fit is the fit.
    """

    def __init__(self, network: Network, *, rate: float, batch: int, seed: int) -> None:
        self.network, self.batch, self.seed = network, batch, seed
        self._optimiser = torch.optim.AdamW(
            list(network.weights.values()), lr=rate, weight_decay=DECAY
        )

    def epoch(self, number: int, ids: Ids, score: Floats) -> float:
        """One pass over n rows and their (n, k) scores, NaN where missing; the mean loss."""
        order = np.random.default_rng([self.seed, number]).permutation(len(ids))
        total = 0.0
        for start in range(0, len(order), self.batch):
            rows = order[start : start + self.batch]
            self._optimiser.zero_grad()
            loss = cross_entropy(self.network.logits([ids[i] for i in rows]), score[rows])
            loss.backward()
            torch.nn.utils.clip_grad_norm_(list(self.network.weights.values()), CLIP)
            self._optimiser.step()
            total += float(loss.detach()) * len(rows)
        return total / len(order)

    def save(self, file: Path) -> None:
        """Weights and moments, in one file that is complete or absent."""
        from safetensors.torch import save

        flat = {f"weight/{k}": v.detach().contiguous() for k, v in self.network.weights.items()}
        for name, value in self.network.weights.items():
            for key, moment in self._optimiser.state.get(value, {}).items():
                flat[f"{key}/{name}"] = moment.contiguous()
        scratch = file.with_suffix(".part")
        scratch.write_bytes(save(flat))
        scratch.replace(file)

    def load(self, file: Path) -> None:
        """Go on from where `save` was called."""
        from safetensors.torch import load

        flat = load(file.read_bytes())
        with torch.no_grad():
            for name, value in self.network.weights.items():
                value.copy_(flat[f"weight/{name}"])
                self._optimiser.state[value] = {
                    key: flat[f"{key}/{name}"]
                    for key in ("step", "exp_avg", "exp_avg_sq")
                    if f"{key}/{name}" in flat
                }


def cross_entropy(logits: Tensor, score: Floats) -> Tensor:
    """Mean over the known cells of (b, k) logits and soft scores."""
    target = torch.from_numpy(np.nan_to_num(score))
    known = torch.from_numpy(np.isfinite(score)).float()
    each = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return (each * known).sum() / known.sum().clamp(min=1.0)
