"""Hostile model files, built from protobuf and flatbuffers without TensorFlow.

``corpus`` writes all of them. What they would write is ``canary/written*``, what they would read ``canary/secret*``:
nothing may ever open a path with ``canary`` in it.
"""

from __future__ import annotations

import io
import json
import math
import os
import zipfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from support import bundle_of, tiny_tflite

FLOAT, INT32, STRING, INT64, RESOURCE = 1, 3, 7, 9, 20
CANARY = "canary"
TEXT = "the canary's secret\n"
SECRET_FILES = ("secret.txt", "secret", "secret.index", "secret.data-00000-of-00001", "variables.index")
# Odd, but what is left of them after the checks does nothing but calculate.
HARMLESS = ("graph: string input",)
BOMB_BYTES = 1 << 28
LABELS = ("globular cluster", "open cluster")


@dataclass(frozen=True)
class Case:
    """One hostile file.

    Args:
        path: of the file or folder.
        names: must stand in the refusal of whatever opens it: an operation; empty where it is not about one.
        shown: whether ``python -m retrain show`` may print what it says instead of refusing it.
    """

    path: Path
    names: str = ""
    shown: bool = False


# Protobuf by hand, for messages that no installed package has.


def varint(number: int) -> bytes:
    number &= (1 << 64) - 1
    low = bytearray()
    while number > 127:
        low.append(number & 127 | 128)
        number >>= 7
    return bytes(low) + bytes([number])


def field(number: int, value: int | bytes | str) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


# Frozen graphs.


class Graph:
    """Makes a graph that names photographs of 2 x 2 pixels, to which something is added."""

    def __init__(self) -> None:
        from tensorboard.compat.proto.graph_pb2 import GraphDef

        self.graph = GraphDef()
        self.graph.versions.producer = 134
        node = self.graph.node.add(name="input", op="Placeholder")
        node.attr["dtype"].type = FLOAT
        for size in (-1, 2, 2, 3):
            node.attr["shape"].shape.dim.add(size=size)
        self.constant("axes", np.array([1, 2], np.int32))
        mean = self.add("pooled", "Mean", "input", "axes", T=FLOAT, Tidx=INT32)
        mean.attr["keep_dims"].b = False
        self.constant("weights", np.arange(6, dtype=np.float32).reshape(3, 2))
        self.add("bottleneck", "MatMul", "pooled", "weights", T=FLOAT)
        self.result = self.add("final_result", "Softmax", "bottleneck", T=FLOAT)

    def add(self, name: str, operation: str, *sources: str, **types: int) -> Any:
        node = self.graph.node.add(name=name, op=operation, input=sources)
        for key, value in types.items():
            node.attr[key].type = value
        return node

    def constant(self, name: str, values: np.ndarray | str | list[str]) -> str:
        node = self.graph.node.add(name=name, op="Const")
        tensor = node.attr["value"].tensor
        if isinstance(values, np.ndarray):
            tensor.dtype = {"f": FLOAT, "i": INT32 if values.dtype.itemsize == 4 else INT64}[values.dtype.kind]
            tensor.tensor_content = values.tobytes()
            sizes = values.shape
        else:
            tensor.dtype, sizes = STRING, () if isinstance(values, str) else (len(values),)
            tensor.string_val.extend(one.encode() for one in ([values] if isinstance(values, str) else values))
        for size in sizes:
            tensor.tensor_shape.dim.add(size=size)
        node.attr["dtype"].type = tensor.dtype
        return name

    def before_result(self, node: Any) -> Any:
        """Have the result wait for a node, so that it would be run."""
        self.result.input.append(f"^{node.name}")
        return node

    def into_result(self, number: str) -> None:
        """Multiply what the result is made of by an int32, so that it must be calculated; 0 gives equal scores."""
        self.add("as_float", "Cast", number, SrcT=INT32, DstT=FLOAT)
        self.add("with_more", "Mul", "bottleneck", "as_float", T=FLOAT)
        self.result.input[0] = "with_more"

    def function(self, name: str, operation: str = "WriteFile") -> None:
        function = self.graph.library.function.add()
        function.signature.name = name
        function.node_def.add(name="inside", op=operation)

    @property
    def data(self) -> bytes:
        return self.graph.SerializeToString(deterministic=True)


def write_file(graph: Graph, canary: Path) -> Any:
    path = graph.constant("path", str(canary / "written"))
    return graph.before_result(graph.add("bad", "WriteFile", path, graph.constant("text", "was here")))


def read_file(graph: Graph, canary: Path) -> None:
    text = graph.add("bad", "ReadFile", graph.constant("path", str(canary / "secret.txt")))
    graph.into_result(graph.add("length", "StringLength", text.name).name)


def read_from_network(graph: Graph) -> None:
    text = graph.add("bad", "ReadFile", graph.constant("path", "gs://canary-of-retrain/secret"))
    graph.into_result(graph.add("length", "StringLength", text.name).name)


def save(graph: Graph, canary: Path) -> None:
    prefix = graph.constant("path", str(canary / "written"))
    names, slices = graph.constant("names", ["x"]), graph.constant("slices", [""])
    node = graph.before_result(graph.add("bad", "SaveV2", prefix, names, slices, "weights"))
    node.attr["dtypes"].list.type.append(FLOAT)


def restore(graph: Graph, canary: Path) -> None:
    prefix = graph.constant("path", str(canary / "secret"))
    node = graph.add("bad", "RestoreV2", prefix, graph.constant("names", ["x"]), graph.constant("slices", [""]))
    graph.before_result(node).attr["dtypes"].list.type.append(FLOAT)


def print_to_file(graph: Graph, canary: Path) -> None:
    node = graph.before_result(graph.add("bad", "PrintV2", graph.constant("text", "was here")))
    node.attr["output_stream"].s = f"file://{canary / 'written'}".encode()
    node.attr["end"].s = b"\n"


def table(graph: Graph) -> str:
    return graph.add("table", "HashTableV2", key_dtype=STRING, value_dtype=INT64).name


def table_from_file(graph: Graph, canary: Path) -> None:
    path = graph.constant("path", str(canary / "secret.txt"))
    node = graph.before_result(graph.add("bad", "InitializeTableFromTextFileV2", table(graph), path))
    node.attr["key_index"].i, node.attr["value_index"].i = -2, -1
    node.attr["vocab_size"].i = -1
    node.attr["delimiter"].s = b"\t"


def matching_files(graph: Graph, canary: Path) -> None:
    found = graph.add("bad", "MatchingFiles", graph.constant("path", f"{canary}/*"))
    graph.into_result(graph.add("count", "Size", found.name, T=STRING, out_type=INT32).name)


def endless(graph: Graph, canary: Path) -> None:
    """Waits for ever: nobody puts anything into the queue."""
    queue = graph.add("queue", "FIFOQueueV2")
    queue.attr["component_types"].list.type.append(FLOAT)
    node = graph.before_result(graph.add("bad", "QueueDequeueV2", queue.name))
    node.attr["component_types"].list.type.append(FLOAT)


def too_much_memory(graph: Graph, canary: Path) -> None:
    """Fills 32 GiB."""
    sizes = graph.constant("sizes", np.array([1 << 33], np.int64))
    fill = graph.add("bad", "Fill", sizes, graph.constant("one", np.array(1, np.float32)), T=FLOAT, index_type=INT64)
    largest = graph.add("largest", "ArgMax", fill.name, graph.constant("axis", np.array(0, np.int32)), T=FLOAT)
    largest.attr["Tidx"].type = largest.attr["output_type"].type = INT32
    graph.into_result(largest.name)


# Would do something outside of the calculation when run; the name of the operation -> who adds it.
DOES: dict[str, Callable[[Graph, Path], Any]] = {
    "WriteFile": write_file,
    "ReadFile": read_file,
    "SaveV2": save,
    "RestoreV2": restore,
    "PrintV2": print_to_file,
    "InitializeTableFromTextFileV2": table_from_file,
    "MatchingFiles": matching_files,
    "QueueDequeueV2": endless,
    "Fill": too_much_memory,
}
# What the refusal names, where something that is needed for it stands before it.
FIRST = {"InitializeTableFromTextFileV2": "HashTableV2", "QueueDequeueV2": "FIFOQueueV2"}
# Refused by name, whatever they would do; their arguments do not matter.
NAMED = (
    "PyFunc", "PyFuncStateless", "EagerPyFunc", "Save", "SaveSlices", "Restore", "MergeV2Checkpoints", "Print",
    "InitializeTableFromTextFile",  "InitializeTableFromTextFileV2", "LookupTableFindV2", "LookupTableExportV2", "Assert", "Timestamp", "TFRecordReaderV2",
    "WholeFileReaderV2", "TextLineDataset", "SqlDataset", "DataServiceDatasetV2", "GeneratorDataset", "CreateSummaryFileWriter",
    "DebugIdentityV2", "RpcServer", "RemoteCall", "_Send", "_Recv", "CollectiveReduce", "XlaLaunch", "TPUExecute",
    "_XlaRun", "LoadAndRemapMatrix", "GetSessionHandleV2", "ImmutableConst", "VarHandleOp", "Stage", "NoSuchOperation",
)  # fmt: skip
CALLING = (
    "While",
    "StatelessWhile",
    "If",
    "StatelessIf",
    "Case",
    "PartitionedCall",
    "StatefulPartitionedCall",
    "SymbolicGradient",
)


def graph_doing(operation: str, canary: Path) -> bytes:
    """A graph that names photographs and does one more thing meanwhile."""
    graph = Graph()
    DOES[operation](graph, canary)
    return graph.data


def calling(operation: str) -> bytes:
    graph = Graph()
    graph.function("evil")
    node = graph.before_result(graph.add("bad", operation, "input"))
    for name in ("f", "cond", "body", "then_branch", "else_branch"):
        node.attr[name].func.name = "evil"
    return graph.data


def odd_graphs(canary: Path) -> dict[str, tuple[bytes, str]]:
    """Name -> bytes, what the refusal names."""
    made: dict[str, tuple[bytes, str]] = {}

    def make(name: str, change: Callable[[Graph], object], names: str = "") -> None:
        graph = Graph()
        change(graph)
        made[name] = (graph.data, names)

    make("function in an attribute", lambda g: setattr(g.result.attr["_body"].func, "name", "evil"), "evil")
    make("functions in a list", lambda g: g.result.attr["_bodies"].list.func.add(name="evil"), "evil")
    make("placeholder of a function", lambda g: setattr(g.result.attr["T"], "placeholder", "evil"), "evil")
    make("function never called", lambda g: g.function("evil"), "WriteFile")
    make(
        "function called as an operation",
        lambda g: (g.function("Evil", "Identity"), g.add("bad", "Evil", "input")),
        "Evil",
    )
    make("in an attribute's attribute", lambda g: setattr(
        g.result.attr["_x"].func.attr["f"].func, "name", "evil"), "")  # fmt: skip
    make("control input", lambda g: write_file(g, canary), "WriteFile")
    make("unused file", lambda g: g.add("bad", "WriteFile", g.constant("p", str(canary / "written")), "p"), "WriteFile")
    make("claims a huge shape", lambda g: g.graph.node[1].attr["value"].tensor.tensor_shape.dim.add(size=1 << 60))
    make("claims an overflowing shape", lambda g: [
        g.graph.node[1].attr["value"].tensor.tensor_shape.dim.add(size=1 << 32) for _ in range(3)])  # fmt: skip
    make("negative sizes", lambda g: g.graph.node[1].attr["value"].tensor.tensor_shape.dim.add(size=-5))
    make("content too short", lambda g: setattr(g.graph.node[3].attr["value"].tensor, "tensor_content", b"\0" * 4))
    make(
        "content of half a number",
        lambda g: setattr(g.graph.node[3].attr["value"].tensor, "tensor_content", b"\0" * 23),
    )
    make("weights of NaN", lambda g: setattr(
        g.graph.node[3].attr["value"].tensor, "tensor_content", np.full((3, 2), np.nan, "<f4").tobytes()))  # fmt: skip
    make("circle", lambda g: g.graph.node[2].input.__setitem__(0, "final_result"))
    make("its own input", lambda g: g.graph.node[2].input.__setitem__(0, "pooled"))
    make("its own control input", lambda g: g.result.input.append("^final_result"))
    make("takes what is not there", lambda g: g.result.input.append("nowhere:7"))
    make("two of one name", lambda g: g.add("final_result", "Identity", "input"))
    make("operation with a NUL", lambda g: g.add("bad", "Iden\0tity", "input"), "Iden")
    make("operation with an escape", lambda g: g.add("bad", "\x1b[2J\x1b]0;owned\x07\nIdentity", "input"), "Identity")
    make("node with an escape", lambda g: g.add("\x1b[31mred\nFinal test accuracy = 100%", "WriteFile"), "WriteFile")
    make("20,001 labels of nodes", lambda g: [g.add(f"n{i}", "Identity", "input") for i in range(20_001)])
    make("string input", lambda g: setattr(g.graph.node[0].attr["dtype"], "type", STRING))
    make(
        "input of a terabyte",
        lambda g: [setattr(dim, "size", 1 << 20) for dim in g.graph.node[0].attr["shape"].shape.dim[1:3]],
    )
    whole = Graph().data
    made["claims 3 GiB"] = (whole + b"\x0a" + varint(3 << 30) + b"x", "")
    made["claims 2**63 bytes"] = (whole + b"\x0a" + varint((1 << 63) - 1) + b"x", "")
    made["cut off"] = (whole[:-20], "")
    made["empty"] = (b"", "")
    made["zeros"] = (bytes(1000), "")
    made["pickle"] = (b"\x80\x04\x95\x15\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x8c\x06system\x93\x8c\x01x\x85R.", "")
    nested = b""
    for _ in range(5000):  # NameAttrList{attr: {"a": AttrValue{func: ...}}}
        nested = field(2, field(1, "a") + field(2, field(10, field(1, "f") + nested)))
    made["5,000 levels deep"] = (
        whole + field(1, field(1, "x") + field(2, "Identity") + field(5, field(1, "a") + field(2, field(10, nested)))),
        "",
    )
    many = b"".join(field(1, field(1, f"{i:x}") + field(2, "NoOp")) for i in range(1_000_000))
    made["a million nodes"] = (many, "")
    return made


# Our own description, lying.

LIES: dict[str, Callable[[dict[str, Any]], object]] = {
    "no labels": lambda facts: facts.update(labels=[]),
    "labels of other kinds": lambda facts: facts.update(labels=[1, None]),
    "too many labels": lambda facts: facts.update(labels=[str(i) for i in range(300)]),
    "mean of NaN": lambda facts: facts.update(input_mean=math.nan),
    "std of 0": lambda facts: facts.update(input_std=0),
    "infinite std": lambda facts: facts.update(input_std=math.inf),
    "a number of 400 digits": lambda facts: facts.update(input_mean=10**400),
    "a picture of a million pixels a side": lambda facts: facts.update(input_height=10**6, input_width=10**6),
    "format 99": lambda facts: facts.update(format=99),
    "one field more": lambda facts: facts.update(__class__="os.system"),
    "another size": lambda facts: facts.update(input_height=3, input_width=5),
}


def lying(change: Callable[[dict[str, Any]], object], **changes: Any) -> bytes:
    facts = asdict(bundle_of(LABELS, **changes))
    change(facts)
    return json.dumps(facts).encode()


def graph_with_bundle(text: bytes) -> bytes:
    graph = Graph()
    node = graph.graph.node.add(name="retrain/bundle", op="Const")
    node.attr["dtype"].type = node.attr["value"].tensor.dtype = STRING
    node.attr["value"].tensor.string_val.append(text)
    return graph.data


# LiteRT.


def tflite(change: Callable[[Any, Any], object] = lambda model, schema: None, text: bytes | None = None) -> bytes:
    """A LiteRT model of one Reshape with a description of ours inside, changed."""
    from ai_edge_litert import schema_py_generated as schema

    from retrain.exporters.litert.appending import add_metadata, pack

    model = schema.ModelT.InitFromPackedBuf(tiny_tflite(), 0)
    add_metadata(model, "retrain.bundle", bundle_of([str(i) for i in range(12)]).to_json() if text is None else text)
    change(model, schema)
    return pack(model, 1 << 12)


def _shape(model: Any, sizes: list[int]) -> None:
    model.subgraphs[0].tensors[0].shape = sizes


def _custom(model: Any, schema: Any, name: bytes) -> None:
    code = model.operatorCodes[0]
    code.builtinCode, code.deprecatedBuiltinCode, code.customCode = schema.BuiltinOperator.CUSTOM, 32, name


def _calls_itself(model: Any, schema: Any) -> None:
    model.operatorCodes[0].builtinCode = schema.BuiltinOperator.WHILE
    model.operatorCodes[0].deprecatedBuiltinCode = schema.BuiltinOperator.WHILE
    operator, options = model.subgraphs[0].operators[0], schema.WhileOptionsT()
    options.condSubgraphIndex = options.bodySubgraphIndex = 0
    operator.builtinOptionsType, operator.builtinOptions = schema.BuiltinOptions.WhileOptions, options


TFLITES: dict[str, Callable[[Any, Any], object]] = {
    "custom operation": lambda model, schema: _custom(model, schema, b"WriteEverything"),
    "flex operation": lambda model, schema: _custom(model, schema, b"FlexWriteFile"),
    "input of a terabyte": lambda model, schema: _shape(model, [1, 1 << 19, 1 << 19, 1]),
    "sizes that overflow": lambda model, schema: _shape(model, [(1 << 31) - 1] * 4),
    "negative sizes": lambda model, schema: _shape(model, [1, -2, -2, 3]),
    "two outputs": lambda model, schema: setattr(model.subgraphs[0], "outputs", [2, 2]),
    "no output": lambda model, schema: setattr(model.subgraphs[0], "outputs", []),
    "no input": lambda model, schema: setattr(model.subgraphs[0], "inputs", []),
    "two inputs": lambda model, schema: setattr(model.subgraphs[0], "inputs", [0, 0]),
    "output that is not there": lambda model, schema: setattr(model.subgraphs[0], "outputs", [77]),
    "strings": lambda model, schema: setattr(model.subgraphs[0].tensors[0], "type", schema.TensorType.STRING),
    "whole numbers": lambda model, schema: [
        setattr(model.subgraphs[0].tensors[i], "type", schema.TensorType.INT32) for i in (0, 2)],
    "metadata that is not there": lambda model, schema: setattr(model.metadata[0], "buffer", 1 << 30),
    "calls itself": _calls_itself,
    "operation that is not there": lambda model, schema: setattr(model.subgraphs[0].operators[0], "opcodeIndex", 9),
    "tensor that is not there": lambda model, schema: setattr(model.subgraphs[0].operators[0], "inputs", [0, 1 << 30]),
    "buffer that is not there": lambda model, schema: setattr(model.subgraphs[0].tensors[1], "buffer", 1 << 30),
    "buffer too short": lambda model, schema: setattr(model.subgraphs[0].tensors[1], "shape", [1 << 20]),
    "no graph": lambda model, schema: setattr(model, "subgraphs", []),
    "another version": lambda model, schema: setattr(model, "version", 99),
}  # fmt: skip


def odd_tflites() -> dict[str, bytes]:
    whole = tflite()
    offset = int.from_bytes(whole[:4], "little")
    made = {name: tflite(change) for name, change in TFLITES.items()}
    made |= {f"says {name}": tflite(text=lying(change)) for name, change in LIES.items()}
    return made | {
        "root outside": (1 << 31).to_bytes(4, "little") + whole[4:],
        "table outside": whole[:offset] + b"\xff\xff\xff\x7f" + whole[offset + 4 :],
        "all offsets huge": whole[:8] + b"\xf0\xff\xff\x7f" * 64 + whole[264:],
        "cut off": whole[: len(whole) // 2],
        "only a name": b"\0\0\0\0TFL3",
        "description that is no JSON": tflite(text=b"\x80\x04cposix\nsystem\n"),
        "description 100,000 levels deep": tflite(text=b"[" * 100_000),
    }


# Folders and archives.


def saved_model(
    folder: Path,
    data: bytes,
    *assets: str,
    files: dict[str, bytes] | None = None,
    change: Callable[[Any], object] = lambda meta: None,
) -> Path:
    """A SavedModel whose signature is the graph's input and output."""
    from tensorboard.compat.proto.graph_pb2 import GraphDef
    from tensorboard.compat.proto.meta_graph_pb2 import MetaGraphDef

    meta = MetaGraphDef(graph_def=GraphDef.FromString(data))
    meta.meta_info_def.tags.append("serve")
    signature = meta.signature_def["serving_default"]
    signature.method_name = "tensorflow/serving/predict"
    for infos, key, tensor in ((signature.inputs, "x", "input:0"), (signature.outputs, "y", "final_result:0")):
        infos[key].name, infos[key].dtype = tensor, FLOAT
        for size in (-1, 2, 2, 3) if key == "x" else (-1, 2):
            infos[key].tensor_shape.dim.add(size=size)
    for name in assets:
        meta.asset_file_def.add(filename=name).tensor_info.name = "asset:0"
    change(meta)
    folder.mkdir()
    (folder / "saved_model.pb").write_bytes(field(1, 1) + field(2, meta.SerializeToString(deterministic=True)))
    for name, content in (files or {}).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def add_objects(meta: Any, operation: str) -> None:
    """What TensorFlow 2 writes: objects, of which one is a function that does what it should not."""
    function = meta.graph_def.library.function.add()
    function.signature.name = "__inference_signature_wrapper_1"
    function.signature.input_arg.add(name="x", type=FLOAT)
    function.signature.output_arg.add(name="x", type=FLOAT)
    function.node_def.add(name="bad", op=operation, input=["x"])
    function.ret["x"] = "bad:output:0"
    root, signatures = meta.object_graph_def.nodes.add(), meta.object_graph_def.nodes.add()
    root.user_object.identifier = signatures.user_object.identifier = "../../evil"
    root.children.add(node_id=1, local_name="signatures")
    signatures.children.add(node_id=2, local_name="serving_default")
    bare = meta.object_graph_def.nodes.add().bare_concrete_function
    bare.concrete_function_name = function.signature.name
    facts = meta.object_graph_def.concrete_functions[function.signature.name]
    for value, sizes in ((facts.canonicalized_input_signature, (-1, 2, 2, 3)), (facts.output_signature, (-1, 2))):
        spec = value.dict_value.fields["x"].tensor_spec_value
        spec.dtype = FLOAT
        for size in sizes:
            spec.shape.dim.add(size=size)


def add_variable(meta: Any) -> None:
    """Objects whose function does nothing but calculate, with numbers that lie in a checkpoint."""
    add_objects(meta, "Identity")
    function, objects = meta.graph_def.library.function[0], meta.object_graph_def
    function.signature.input_arg.add(name="w", type=RESOURCE)
    del function.node_def[:]
    function.node_def.add(name="axes", op="Const").CopyFrom(meta.graph_def.node[1])
    mean = function.node_def.add(name="mean", op="Mean", input=["x", "axes:output:0"])
    mean.attr["T"].type, mean.attr["Tidx"].type, mean.attr["keep_dims"].b = FLOAT, INT32, False
    function.node_def.add(name="read", op="ReadVariableOp", input=["w"]).attr["dtype"].type = FLOAT
    product = function.node_def.add(name="bad", op="MatMul", input=["mean:output:0", "read:value:0"])
    product.attr["T"].type = FLOAT
    function.ret["x"] = "bad:product:0"
    objects.nodes[0].children.add(node_id=3, local_name="w")
    variable = objects.nodes.add().variable
    variable.dtype, variable.name = FLOAT, "w"
    for size in (3, 2):
        variable.shape.dim.add(size=size)
    objects.concrete_functions[function.signature.name].bound_inputs.append(3)


def saved_models(folder: Path, canary: Path) -> dict[str, Path]:
    made = {
        "asset outside": saved_model(folder / "sm_asset", asset_graph(), f"../../{CANARY}/secret.txt"),
        "asset by an absolute path": saved_model(folder / "sm_asset_abs", asset_graph(), str(canary / "secret.txt")),
        "python": saved_model(folder / "sm_python", Graph().data, change=lambda meta: add_objects(meta, "PyFunc")),
        "writes": saved_model(folder / "sm_writes", graph_doing("WriteFile", canary)),
        "object that writes": saved_model(
            folder / "sm_object", Graph().data, change=lambda meta: add_objects(meta, "WriteFile")
        ),
        "checkpoint that is none": saved_model(
            folder / "sm_checkpoint", Graph().data, files={"variables/variables.index": b"../../secret" * 100}
        ),
    }
    state = f'model_checkpoint_path: "{canary}/secret"\nall_model_checkpoint_paths: "{canary}/secret"\n'.encode()
    for name, files in {
        "no variables": {},
        "variables of garbage": {"variables/variables.index": bytes(range(256)) * 9},
        "variables named elsewhere": {"variables/variables/checkpoint": state},
        "variables named elsewhere, relatively": {
            "variables/variables/checkpoint": state.replace(str(canary).encode(), b"../../../../" + CANARY.encode())
        },
    }.items():
        place = folder / f"sm_variables_{len(made)}"
        made[name] = saved_model(place, Graph().data, files=files, change=add_variable)
    made["variables that are a link"] = saved_model(folder / "sm_variables_link", Graph().data, change=add_variable)
    (made["variables that are a link"] / "variables").symlink_to(canary)
    made["link out"] = saved_model(folder / "sm_link", Graph().data)
    (made["link out"] / "variables").symlink_to(canary)
    made["description that is a link"] = saved_model(folder / "sm_link_asset", Graph().data, files={"assets/x": b""})
    (made["description that is a link"] / "assets" / "retrain_bundle.json").symlink_to(canary / "secret.txt")
    made["graph that is a pipe"] = folder / "sm_pipe"
    made["graph that is a pipe"].mkdir()
    os.mkfifo(made["graph that is a pipe"] / "saved_model.pb")
    return made


def asset_graph() -> bytes:
    graph = Graph()
    graph.constant("asset", "assets/x")
    graph.before_result(graph.add("bad", "ReadFile", "asset"))
    return graph.data


def onnx_node(operation: str, *more: bytes, domain: str = "", source: str = "x", result: str = "y") -> bytes:
    words = field(1, source), field(2, result), field(3, "bad"), field(4, operation), field(7, domain), *more
    return field(1, b"".join(words))


def onnx_model(*graph: bytes, outside: bytes = b"", sizes: tuple[int, ...] = (1, 2, 2, 3)) -> bytes:
    def value(name: str) -> bytes:
        shape = b"".join(field(1, field(1, size)) for size in sizes)
        return field(1, name) + field(2, field(1, field(1, 1) + field(2, shape)))

    text = bundle_of([str(i) for i in range(12)]).to_json()
    ours = field(14, field(1, "retrain.bundle") + field(2, text))
    inside = b"".join(graph) + field(2, "g") + field(11, value("x")) + field(12, value("y"))
    return field(1, 8) + field(7, inside) + field(8, field(1, "") + field(2, 13)) + ours + outside


def onnx_models(canary: Path) -> dict[str, tuple[bytes, str]]:
    def elsewhere(location: str) -> bytes:
        pair = field(1, "location") + field(2, location)
        return field(1, 12) + field(2, 1) + field(8, "w") + field(13, pair) + field(14, 1)

    def add(location: str) -> bytes:
        node = field(1, "x") + field(1, "w") + field(2, "y") + field(3, "n") + field(4, "Add")
        return onnx_model(field(1, node), field(5, elsewhere(location)))

    inside = field(5, field(1, "body") + field(20, 5) + field(6, onnx_node("Identity") + field(2, "g")))
    constant = field(5, field(1, "value") + field(20, 4) + field(5, elsewhere(str(canary / "secret.txt"))))
    return {
        "numbers in /etc/passwd": (add("/etc/passwd"), ""),
        "numbers outside": (add(f"../{CANARY}/secret.txt"), ""),
        "numbers by an absolute path": (add(str(canary / "secret.txt")), ""),
        "numbers in an attribute": (onnx_model(onnx_node("Constant", constant)), ""),
        "another domain": (onnx_model(onnx_node("Shell", domain="com.evil")), "com.evil.Shell"),
        "known name in another domain": (onnx_model(onnx_node("Identity", domain="com.microsoft")), "com.microsoft"),
        "loop": (onnx_model(onnx_node("Loop", inside)), "Loop"),
        "function": (onnx_model(onnx_node("Identity"), outside=field(25, field(1, "evil") + field(7, b""))), "evil"),
        "graph in a known operation": (onnx_model(onnx_node("Identity", inside)), "body"),
        "nothing goes in": (onnx_model(onnx_node("Identity", source="nowhere")), ""),
        "circle": (onnx_model(onnx_node("Identity", source="y")), ""),
        "input of a terabyte": (onnx_model(onnx_node("Identity"), sizes=(1, 1 << 19, 1 << 19, 1)), ""),
        "claims 3 GiB": (onnx_model(onnx_node("Identity")) + varint(7 << 3 | 2) + varint(3 << 30), ""),
    }


def keras_archives() -> dict[str, bytes]:
    layer = {"class_name": "Lambda", "config": {"function": {"class_name": "__lambda__", "config": {"code": "4wEA"}}}}
    module = {"module": "os", "class_name": "system", "config": "touch canary/written", "registered_name": "system"}
    metadata = json.dumps({"keras_version": "3.15.1", "date_saved": "now"})

    def archive(files: dict[str, bytes | str]) -> bytes:
        held = io.BytesIO()
        with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as made:
            for name, content in files.items():
                made.writestr(name, content)
        return held.getvalue()

    def model(*layers: object) -> str:
        return json.dumps({"module": "keras", "class_name": "Sequential", "config": {"layers": layers}})

    return {
        "lambda": archive({"config.json": model(layer), "metadata.json": metadata}),
        "module": archive({"config.json": json.dumps(module), "metadata.json": metadata}),
        "pickle": archive({"config.json": b"\x80\x04cposix\nsystem\n", "metadata.json": metadata}),
        "bomb": archive({"config.json": bytes(BOMB_BYTES), "metadata.json": metadata}),
        "bomb of a description": archive({"retrain_bundle.json": bytes(BOMB_BYTES)}),
        "traversal": archive({f"../../{CANARY}/written": "x", "config.json": model(), "metadata.json": metadata}),
        "100,000 levels deep": archive({"config.json": "[" * 100_000, "metadata.json": metadata}),
        "HDF5 of Keras 2": b"\x89HDF\r\n\x1a\n" + bytes(200),
    }


def corpus(root: Path) -> dict[str, Case]:
    """Write every hostile file below ``root``, and the canaries beside them."""
    canary, folder = root / CANARY, root / "files"
    canary.mkdir()
    folder.mkdir()
    for name in SECRET_FILES:
        (canary / name).write_text(TEXT)
    cases: dict[str, Case] = {}

    def put(kind: str, name: str, content: bytes, ending: str, names: str = "", *, shown: bool = False) -> Path:
        path = folder / f"{kind}_{len(cases):03}{ending}"
        path.write_bytes(content)
        cases[f"{kind}: {name}"] = Case(path, names, shown)
        return path

    for operation in DOES:
        put("graph", operation, graph_doing(operation, canary), ".pb", FIRST.get(operation, operation))
    for operation in NAMED:
        graph = Graph()
        graph.before_result(graph.add("bad", operation, "input"))
        put("graph", f"{operation} alone", graph.data, ".pb", operation)
    for operation in CALLING:
        put("graph", operation, calling(operation), ".pb", operation)
    for name, (content, names) in odd_graphs(canary).items():
        put("graph", name, content, ".pb", names, shown=not names)
    for name, change in LIES.items():
        put("description", name, graph_with_bundle(lying(change)), ".pb", shown=True)
    for name, content in odd_tflites().items():
        put("tflite", name, content, ".tflite", shown=True)
        if name.startswith(("says ", "description ", "metadata ")):
            continue  # beside a graph, which has its own, nobody reads what that file says of itself
        path = put("beside", name, b"", ".pb", shown=True)
        bundle = bundle_of([str(i) for i in range(12)])
        path.with_suffix(".tflite").write_bytes(content)
        path.write_bytes(graph_with_bundle(replace(bundle, tflite_sha256=_sha256(content)).to_json()))
    for name, place in saved_models(folder, canary).items():
        cases[f"saved model: {name}"] = Case(place, shown=True)
    for name, (content, names) in onnx_models(canary).items():
        put("onnx", name, content, ".onnx", names, shown=True)
    for name, content in keras_archives().items():
        put("keras", name, content, ".keras", shown=True)
    return cases


def _sha256(content: bytes) -> str:
    import hashlib

    return hashlib.sha256(content).hexdigest()
