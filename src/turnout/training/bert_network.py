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

from turnout.training.checkpoint import POSITIONS, WORDS, Shape, Weights
from turnout.types import Floats

CLIP = 1.0
"""Longest gradient."""
DECAY = 0.01
BATCH = 32
SORTED = 16
"""Steps whose texts are sorted by length together."""
Ids = Sequence[NDArray[np.int64]]


@dataclass
class Network:
    """Weights by Hugging Face's names, and `head.weight` (k, d), `head.bias` (k,).

    With `head.features` (k, f) a text's standardised features count too.
    """

    weights: dict[str, Tensor]
    shape: Shape

    @classmethod
    def of(cls, weights: Weights, shape: Shape, head: Weights) -> Network:
        """From a base and the weights of its head."""
        used = {k: torch.tensor(v) for k, v in weights.items() if k.startswith(("emb", "enc"))}
        used |= {f"head.{name}": torch.tensor(value) for name, value in head.items()}
        return cls(used, shape)

    def trained(self) -> dict[str, Tensor]:
        """What a fit moves: all but the vectors of words and places.

        Most weights are vectors of words that the prompts at hand seldom hold: moving them costs a
        third of the time and most of the memory.
        """
        return {k: v for k, v in self.weights.items() if not k.startswith("embeddings.")}

    def numpy(self) -> Weights:
        """The weights as arrays."""
        return {name: value.detach().numpy().copy() for name, value in self.weights.items()}

    def logits(self, ids: Ids, features: Floats) -> Tensor:
        """(b, k) logits of b token rows of any length, and their (b, f) standardised features."""
        logits = self._linear(self.vectors(ids), "head")
        if "head.features" in self.weights:
            logits = logits + torch.from_numpy(features) @ self.weights["head.features"].T
        return logits

    def vectors(self, ids: Ids) -> Tensor:
        """(b, d) mean of each text's token vectors after the last layer."""
        longest = max(len(row) for row in ids)
        mask = torch.zeros(len(ids), longest, dtype=torch.bool)
        tokens = torch.zeros(len(ids), longest, dtype=torch.long)
        for i, row in enumerate(ids):
            tokens[i, : len(row)], mask[i, : len(row)] = torch.from_numpy(row), True
        x = self._embeddings(tokens)
        for layer in range(self.shape.layers):
            x = self._layer(x, mask[:, None, None, :], f"encoder.layer.{layer}")
        held = mask[:, :, None].float()
        return (x * held).sum(1) / held.sum(1)

    def encode(self, ids: Ids) -> Floats:
        """(n, d) vectors, without gradients; texts of like length go together."""
        order = np.argsort([len(row) for row in ids], kind="stable")
        out = np.zeros((len(ids), self.weights[WORDS].shape[1]), dtype=np.float32)
        with torch.no_grad():
            for start in range(0, len(order), BATCH):
                rows = order[start : start + BATCH]
                out[rows] = self.vectors([ids[i] for i in rows]).numpy()
        return out

    def predict(self, ids: Ids, features: Floats) -> Floats:
        """(n, k) logits, without gradients."""
        head = {k: v.detach().numpy() for k, v in self.weights.items() if k.startswith("head.")}
        logits = self.encode(ids) @ head["head.weight"].T + head["head.bias"]
        if "head.features" in head:
            logits = logits + features @ head["head.features"].T
        return np.asarray(logits, dtype=np.float32)

    def _embeddings(self, tokens: Tensor) -> Tensor:
        w, first = self.weights, self.shape.first_position
        places = w[POSITIONS][first : first + tokens.shape[1]]
        x = functional.embedding(tokens, w[WORDS]) + places
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


class Steps:
    """AdamW on the cross entropy of soft scores; one epoch at a time, so that it can be resumed.

    Epoch e orders its rows by (seed, e) alone, and there is no dropout: a resumed fit is the fit.
    The rate falls in a straight line to zero over `epochs`. A step takes texts of like length,
    since the longest one decides what all of them cost.
    """

    def __init__(
        self, network: Network, *, rate: float, batch: int, epochs: int, seed: int
    ) -> None:
        self.network, self.batch, self.seed = network, batch, seed
        self.rate, self.epochs = rate, epochs
        self._moved = network.trained()
        for value in self._moved.values():
            value.requires_grad_(True)
        self._optimiser = torch.optim.AdamW(list(self._moved.values()), lr=rate, weight_decay=DECAY)

    def epoch(self, number: int, ids: Ids, features: Floats, score: Floats) -> float:
        """One pass over n rows, their (n, f) features and (n, k) scores, NaN where missing.

        Returns:
            The mean loss.
        """
        steps = self.steps(number, [len(row) for row in ids])
        total = 0.0
        for at, rows in enumerate(steps):
            left = 1.0 - (number + at / len(steps)) / self.epochs
            for part in self._optimiser.param_groups:
                part["lr"] = self.rate * left
            self._optimiser.zero_grad()
            logits = self.network.logits([ids[i] for i in rows], features[rows])
            loss = cross_entropy(logits, score[rows])
            loss.backward()
            torch.nn.utils.clip_grad_norm_(list(self._moved.values()), CLIP)
            self._optimiser.step()
            total += float(loss.detach()) * len(rows)
        return total / len(ids)

    def steps(self, number: int, lengths: Sequence[int]) -> list[NDArray[np.intp]]:
        """The rows of each step of an epoch: drawn in random order, sorted within a few steps."""
        rng = np.random.default_rng([self.seed, number])
        order, found = rng.permutation(len(lengths)), []
        for start in range(0, len(order), self.batch * SORTED):
            part = order[start : start + self.batch * SORTED]
            part = part[np.argsort(np.asarray(lengths)[part], kind="stable")]
            found += [part[i : i + self.batch] for i in range(0, len(part), self.batch)]
        return [found[i] for i in rng.permutation(len(found))]

    def save(self, file: Path) -> None:
        """Weights and moments, in one file that is complete or absent."""
        from safetensors.torch import save

        flat = {f"weight/{k}": v.detach().contiguous() for k, v in self._moved.items()}
        for name, value in self._moved.items():
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
            for name, value in self._moved.items():
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
