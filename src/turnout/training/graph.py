"""Write a BERT-shaped model as an ONNX graph, from its weights: no torch, no exporter.

One text a run, so no padding and no mask. Embedding rows are int8 with a scale of their own; the
matrices are quantised by ONNX Runtime, per output channel (per tensor loses much more), without a
sign: with one, sums of two products overflow 16 bits on CPUs without VNNI, so that the same file
says something else there.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from turnout.encoders.transformer import INPUT
from turnout.errors import MissingExtraError
from turnout.training.checkpoint import POSITIONS, WORDS, Shape, Weights

JOINED = "|"
"""Between the names of weights that stand side by side in one matrix of the file."""
INT8_ROWS = ".int8"
"""Ends the name of the word vectors where they are int8, `.scale` that of their scales."""
Top = Literal["tokens", "mean", "bert", "roberta"]
"""What follows the last layer: nothing; a linear layer on the mean of tokens; or the
classification head of Hugging Face's BERT or RoBERTa, on the first token."""
OPSET = 20
_PREPARED = {"key": "onnx.quant.pre_process", "value": "onnxruntime.quant"}


def build_onnx(weights: Weights, shape: Shape, *, top: Top, int8: bool = True) -> bytes:
    """The ONNX file of a model: (1, t) int64 `input_ids` → (1, t, d) vectors or (1, k) logits.

    Args:
        weights: by Hugging Face's names; `top="mean"` takes `head.weight` (k, d) and `head.bias`.
        shape: of the encoder.
        top: what follows the last layer.
        int8: quantise; otherwise 32 bits.

    Raises:
        MissingExtraError: onnx or onnxruntime is not installed.
        KeyError: a weight is missing.
    """
    try:
        import onnx
        from onnxruntime.quantization import QuantType, quantize_dynamic
    except ImportError as error:
        raise MissingExtraError("writing an ONNX model", "bert") from error
    graph = _Graph(weights, shape, int8)
    x = graph.embeddings()
    for layer in range(shape.layers):
        x = graph.layer(x, f"encoder.layer.{layer}")
    graph.add("Identity", [graph.top(x, top)], out="output")
    model = graph.model(top)
    onnx.checker.check_model(model)
    if not int8:
        return bytes(model.SerializeToString())
    with tempfile.TemporaryDirectory() as scratch:
        plain, small = Path(scratch, "plain.onnx"), Path(scratch, "small.onnx")
        # The graph is written as the package's own pre-processing would leave it; it warns unless told.
        model.metadata_props.add(**_PREPARED)
        onnx.save(model, plain)
        quantize_dynamic(
            plain,
            small,
            per_channel=True,
            weight_type=QuantType.QUInt8,
            op_types_to_quantize=["MatMul"],
            nodes_to_exclude=graph.exact,  # few numbers, and every output rests on them
        )
        made = onnx.load(small)
        kept = [p for p in made.metadata_props if p.key != _PREPARED["key"]]
        del made.metadata_props[:]
        made.metadata_props.extend(kept)
        return bytes(made.SerializeToString())


class _Graph:
    def __init__(self, weights: Weights, shape: Shape, int8: bool) -> None:
        self.weights, self.shape, self.int8 = weights, shape, int8
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.exact: list[str] = []
        """Products that stay in 32 bits."""
        self.width = int(weights[WORDS].shape[1])

    def add(self, kind: str, inputs: Sequence[str], *, out: str = "", **attributes: Any) -> str:
        from onnx import helper

        name = out or f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name=name, **attributes))
        return name

    def const(self, value: NDArray[Any], key: str = "") -> str:
        """A constant; a weight has its own name, by which it can be read back."""
        from onnx import numpy_helper

        name = key or f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, order="C"), name))
        return name

    def ints(self, *values: int) -> str:
        return self.const(np.asarray(values, dtype=np.int64))

    def embeddings(self) -> str:
        w, first = self.weights, self.shape.first_position
        words = self.rows(WORDS)
        table = w[POSITIONS][first:].copy()
        kinds = w.get("embeddings.token_type_embeddings.weight")
        if kinds is not None:
            table += kinds[0]
        length = self.add("Slice", [self.add("Shape", [INPUT]), self.ints(1), self.ints(2)])
        places = self.add(
            "Slice", [self.const(table, POSITIONS), self.ints(0), length, self.ints(0)]
        )
        return self.norm(self.add("Add", [words, places]), "embeddings.LayerNorm")

    def rows(self, key: str) -> str:
        table = self.weights[key]
        if not self.int8:
            return self.add("Gather", [self.const(table, key), INPUT])
        scale = np.maximum(np.abs(table).max(axis=1, keepdims=True), 1e-12) / 127
        small = self.const(np.round(table / scale).astype(np.int8), key + INT8_ROWS)
        rows = self.add("Cast", [self.add("Gather", [small, INPUT])], to=1)
        scales = self.const(scale.astype(np.float32), f"{key}{INT8_ROWS}.scale")
        factor = self.add("Gather", [scales, INPUT])
        return self.add("Mul", [rows, factor])

    def norm(self, x: str, key: str) -> str:
        w = self.weights
        parts = [self.const(w[name], name) for name in (f"{key}.weight", f"{key}.bias")]
        return self.add("LayerNormalization", [x, *parts], epsilon=self.shape.epsilon)

    def linear(self, x: str, *keys: str) -> str:
        """Several layers side by side are one product."""
        weights, biases = ([f"{k}.{part}" for k in keys] for part in ("weight", "bias"))
        matrix = np.concatenate([self.weights[name] for name in weights]).T
        bias = np.concatenate([self.weights[name] for name in biases])
        product = self.add("MatMul", [x, self.const(matrix, JOINED.join(weights))])
        if keys == ("head",):
            self.exact.append(product)
        return self.add("Add", [product, self.const(bias, JOINED.join(biases))])

    def layer(self, x: str, key: str) -> str:
        mixed = self.linear(
            self.attention(x, f"{key}.attention.self"), f"{key}.attention.output.dense"
        )
        x = self.norm(self.add("Add", [x, mixed]), f"{key}.attention.output.LayerNorm")
        up = self.add("Gelu", [self.linear(x, f"{key}.intermediate.dense")])
        down = self.linear(up, f"{key}.output.dense")
        return self.norm(self.add("Add", [x, down]), f"{key}.output.LayerNorm")

    def attention(self, x: str, key: str) -> str:
        from onnx import helper

        heads, size = self.shape.heads, self.width // self.shape.heads
        joined = self.linear(x, f"{key}.query", f"{key}.key", f"{key}.value")
        split = [f"n{len(self.nodes)}_{part}" for part in "qkv"]
        cuts = self.ints(self.width, self.width, self.width)
        self.nodes.append(helper.make_node("Split", [joined, cuts], split, axis=-1))
        by_head = self.ints(0, 0, heads, size)
        q, k, v = (
            self.add("Transpose", [self.add("Reshape", [part, by_head])], perm=perm)
            for part, perm in zip(split, ([0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3]), strict=True)
        )
        scale = self.const(np.asarray(size**-0.5, dtype=np.float32))
        score = self.add("MatMul", [self.add("Mul", [q, scale]), k])
        mixed = self.add("MatMul", [self.add("Softmax", [score], axis=-1), v])
        back = self.add("Transpose", [mixed], perm=[0, 2, 1, 3])
        return self.add("Reshape", [back, self.ints(0, 0, self.width)])

    def top(self, x: str, top: Top) -> str:
        if top == "tokens":
            return x
        if top == "mean":
            return self.linear(self.add("ReduceMean", [x, self.ints(1)], keepdims=0), "head")
        first = self.add("Gather", [x, self.const(np.asarray(0, dtype=np.int64))], axis=1)
        dense, out = {
            "bert": ("pooler.dense", "classifier"),
            "roberta": ("classifier.dense", "classifier.out_proj"),
        }[top]
        return self.linear(self.add("Tanh", [self.linear(first, dense)]), out)

    def model(self, top: Top) -> Any:
        from onnx import TensorProto, helper

        last = {
            "mean": "head.bias",
            "bert": "classifier.bias",
            "roberta": "classifier.out_proj.bias",
        }
        out: list[str | int | None] = [1, "t", self.width]
        out = out if top == "tokens" else [1, len(self.weights[last[top]])]
        graph = helper.make_graph(
            self.nodes,
            "turnout",
            [helper.make_tensor_value_info(INPUT, TensorProto.INT64, [1, "t"])],
            [helper.make_tensor_value_info("output", TensorProto.FLOAT, out)],
            self.constants,
        )
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10
        )
        shape = {"layers": self.shape.layers, "heads": self.shape.heads, "top": top}
        helper.set_model_props(
            model, {**{k: str(v) for k, v in shape.items()}, "epsilon": repr(self.shape.epsilon)}
        )
        return model
