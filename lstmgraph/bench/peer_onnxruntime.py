"""ONNX Runtime: its LSTM operator, from a model of one node that is written here byte by byte."""

from importlib import import_module
from typing import Any

import numpy as np

from lstmgraph.bench.measure import Block, Contender, repeated
from lstmgraph.bench.records import Size

PACKAGE = "onnxruntime"
FLOAT, INT = 1, 2  # AttributeProto.INT is 2, TensorProto.FLOAT is 1 (onnx.proto)


def forward(size: Size, threads: int) -> Contender:
    """Return runs of the LSTM operator over sequences."""

    def make() -> Block:
        runtime = import_module(PACKAGE)
        options = runtime.SessionOptions()
        options.intra_op_num_threads = threads
        session = runtime.InferenceSession(lstm_model(size), options, providers=["CPUExecutionProvider"])
        x = np.random.default_rng(0).standard_normal((size.T, size.B, size.I)).astype("float32")
        return repeated(lambda: session.run(None, {"X": x}))

    return Contender("onnxruntime LSTM", make, PACKAGE)


def lstm_model(size: Size) -> bytes:
    """Return an ONNX model [T, B, I] -> Y [T, 1, B, H], Y_h, Y_c; field numbers as in onnx.proto, IR version 8."""
    T, B, inputs, H = size
    rng = np.random.default_rng(0)
    weights = {"W": (1, 4 * H, inputs), "R": (1, 4 * H, H), "B": (1, 8 * H)}
    results = {"Y": (T, 1, B, H), "Y_h": (1, B, H), "Y_c": (1, B, H)}
    attribute = _field(1, "hidden_size") + _field(3, H) + _field(20, INT)
    node = b"".join(_field(1, name) for name in ("X", *weights))
    node += b"".join(_field(2, name) for name in results) + _field(4, "LSTM") + _field(5, attribute)
    graph = _field(1, node) + _field(2, "lstm")
    for name, shape in weights.items():
        values = (rng.standard_normal(shape) / np.sqrt(H)).astype("<f4").tobytes()
        dims = b"".join(_field(1, dim) for dim in shape)
        graph += _field(5, dims + _field(2, FLOAT) + _field(8, name) + _field(9, values))
    graph += _field(11, _value("X", (T, B, inputs)))
    graph += b"".join(_field(12, _value(name, shape)) for name, shape in results.items())
    return _field(1, 8) + _field(7, graph) + _field(8, _field(1, "") + _field(2, 14))


def _value(name: str, shape: tuple[int, ...]) -> bytes:
    """Return a ValueInfoProto."""
    dims = b"".join(_field(1, _field(1, dim)) for dim in shape)
    return _field(1, name) + _field(2, _field(1, _field(1, FLOAT) + _field(2, dims)))


def _field(number: int, value: Any) -> bytes:
    """Return a field of protocol buffers: a number as a varint, a text or a message with its length."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    content = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    """Return a number, seven bits a byte, the lowest first."""
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])
