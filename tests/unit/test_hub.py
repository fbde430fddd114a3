"""SavedModels without TensorFlow: named, unpacked, understood, written out as plain graphs, and refused by name."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest

from retrain.backbones import archive, savedweights
from retrain.backbones.hub import USUAL_SIZE, HubRequest, hub_spec
from retrain.config import RunConfig
from retrain.config.handles import module_name, module_problem
from retrain.errors import WeightsError
from retrain.graphs import checkpoint, inline, savedmodel
from retrain.graphs.checked import read_constant

FLOAT, INT, STRING = 1, 3, 7


class Module:
    """Makes a small SavedModel: images -> Mul by a variable -> Mean -> Identity, as ``serving_default``."""

    def __init__(self):
        from tensorboard.compat.proto.meta_graph_pb2 import MetaGraphDef

        self.meta = MetaGraphDef()
        self.objects = self.meta.object_graph_def
        self.root = self.objects.nodes.add()
        self.root.user_object.identifier = "_generic_user_object"
        self.variable = self.add_object("kernel", "variable")
        variable = self.objects.nodes[self.variable].variable
        variable.name, variable.dtype = "kernel", FLOAT
        variable.shape.dim.add(size=3)
        self.signatures = self.add_object("signatures", "user_object")

    def add_object(self, name, kind, parent=0):
        node, number = self.objects.nodes.add(), len(self.objects.nodes) - 1
        getattr(node, kind).SetInParent()
        self.objects.nodes[parent].children.add(local_name=name, node_id=number)
        return number

    def function(self, name, inputs, outputs):
        made = self.meta.graph_def.library.function.add()
        made.signature.name = name
        for one in inputs:
            made.signature.input_arg.add(name=one)
        for one, source in outputs.items():
            made.signature.output_arg.add(name=one)
            made.ret[one] = source
        return made

    def node(self, function, name, operation, *sources, **types):
        made = function.node_def.add(name=name, op=operation, input=sources)
        for key, value in ({"T": FLOAT} | types).items():
            made.attr[key].type = value
        return made

    def axes(self, function):
        made = self.node(function, "axes", "Const", dtype=INT)
        del made.attr["T"]
        tensor = made.attr["value"].tensor
        tensor.dtype = INT
        tensor.tensor_shape.dim.add(size=2)
        tensor.tensor_content = np.array([1, 2], "<i4").tobytes()

    def body(self, name="inner"):
        function = self.function(name, ["x", "resource"], {"rows": "mean:output:0"})
        self.node(function, "read", "ReadVariableOp", "resource", dtype=FLOAT)
        self.node(function, "scaled", "Mul", "x", "read:value:0", "^effect")
        self.node(function, "effect", "AssignVariableOp", "resource", "read:value:0")
        self.axes(function)
        self.node(function, "mean", "Mean", "scaled:z:0", "axes:output:0", Tidx=INT)
        return function

    def caller(self, name="outer", callee="inner", returned="call:output:0"):
        function = self.function(name, ["images", "unknown"], {"out": "result:output:0"})
        call = self.node(function, "call", "StatefulPartitionedCall", "images", "unknown")
        call.attr["f"].func.name = callee
        self.node(function, "result", "Identity", returned)
        return function

    def signature(self, name="serving_default", function="outer", sizes=(-1, 8, 6, 3), outputs=None, dtype=FLOAT):
        number = self.add_object(name, "bare_concrete_function", self.signatures)
        self.objects.nodes[number].bare_concrete_function.concrete_function_name = function
        self.concrete(function, sizes, outputs or {"features": (-1, 3)}, dtype)

    def concrete(self, function, sizes, outputs, dtype=FLOAT, training=None, single=False):
        facts = self.objects.concrete_functions[function]
        facts.bound_inputs.append(self.variable)
        positional = facts.canonicalized_input_signature.tuple_value.values.add().tuple_value
        facts.canonicalized_input_signature.tuple_value.values.add().dict_value.SetInParent()
        self.spec(positional.values.add(), sizes, dtype)
        if training is not None:
            positional.values.add().bool_value = training
        for key, shape in outputs.items():
            place = facts.output_signature if single else facts.output_signature.dict_value.fields[key]
            self.spec(place, shape, FLOAT)

    def spec(self, value, sizes, dtype):
        value.tensor_spec_value.dtype = dtype
        for size in sizes:
            value.tensor_spec_value.shape.dim.add(size=size)

    @property
    def data(self):
        content = self.meta.SerializeToString()
        return b"\x08\x01\x12" + varint(len(content)) + content

    def write(self, folder):
        (folder / "variables").mkdir(parents=True)
        (folder / "saved_model.pb").write_bytes(self.data)
        (folder / "variables" / "variables.index").write_bytes(b"index")
        return folder

    def written_out(self, **options):
        meta = savedmodel.parse_saved_model(self.data, "x")
        return inline.write_out(meta, savedmodel.find_entry(meta, "x", **options), 8, 6)

    def refused(self, words, **options):
        with pytest.raises(WeightsError, match=words):
            self.written_out(**options)


def varint(number):
    found = b""
    while number > 127:
        found, number = found + bytes([number & 127 | 128]), number >> 7
    return found + bytes([number])


def usual():
    module = Module()
    module.body()
    module.caller()
    module.signature()
    return module


def tar_of(path, *members, kind="w:gz"):
    with tarfile.open(path, kind) as tar:
        for name, content in members:
            member = tarfile.TarInfo(name) if isinstance(name, str) else name
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


# What is given


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("http://tfhub.dev/google/x/4", "an https:// address without a user"),
        ("ftp://tfhub.dev/google/x/4", "an https:// address"),
        ("file:///etc/passwd", "an https:// address"),
        ("gs://bucket/module", "an https:// address"),
        ("https://me:secret@tfhub.dev/x", "without a user"),
        ("https://tfhub.dev", "only its server"),
        ("https://tfhub.dev/a b", "which is none"),
        ("https://[::1/x", "which is none"),
        ("tfhub.dev/google/x/4", r"as in https://tfhub.dev/google/x/4"),
        ("https://www.kaggle.com/models/google/mobilenet-v2", "frameworks/tensorFlow2/variations"),
        ("https://www.kaggle.com/models/a/b/frameworks/pyTorch/variations/c/versions/1", "got pyTorch"),
        ("https://www.kaggle.com/models/a/b/tfLite/c/1", "got tfLite"),
        ("no/such/folder", "check the spelling"),
        ("weights.h5", "check the spelling"),
        ("x\0y", "check the spelling"),
    ],
)
def test_what_names_no_module_is_refused_by_its_form(given, words):
    assert words in module_problem(given)


@pytest.mark.parametrize(
    "given",
    [
        "https://tfhub.dev/google/imagenet/mobilenet_v2_100_224/feature_vector/5",
        "https://www.kaggle.com/models/google/mobilenet-v2/frameworks/tensorFlow2/variations/100-224/versions/2",
        "https://www.kaggle.com/models/google/mobilenet-v2/tensorFlow2/100-224/2",
        "https://example.org/module.tar.gz",
        "http://127.0.0.1:8000/module.tar.gz",
    ],
)
def test_addresses_are_known_by_their_form(given):
    assert module_problem(given) == ""


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("https://tfhub.dev/google/imagenet/mobilenet_v2/feature_vector/5", "imagenet_mobilenet_v2_feature_vector_5"),
        ("https://www.kaggle.com/models/a/b/frameworks/tensorFlow2/variations/c/versions/2", "a_b_c_2"),
        ("some/where/small module.tar.gz", "small_module"),
        ("https://example.org/..", "module"),
    ],
)
def test_a_module_is_named_after_its_address(given, name):
    assert module_name(given) == name


def test_a_folder_without_a_saved_model_is_refused(tmp_path):
    assert "with a saved_model.pb" in module_problem(str(tmp_path))
    assert module_problem(str(usual().write(tmp_path / "module"))) == ""


def test_flags_that_contradict_a_module_are_all_named(tmp_path):
    folder = str(usual().write(tmp_path / "module"))
    config = RunConfig(
        image_dir=str(tmp_path), tfhub_module=folder, architecture="vgg16", weights=folder, backbone_graph="x.pb"
    )
    told = "\n".join(config.problems())
    assert "got --weights and --tfhub_module" in told
    assert "got --backbone_graph and --tfhub_module" in told
    assert "got --architecture=vgg16 and --tfhub_module" in told
    alone = "\n".join(RunConfig(tfhub_module=folder, bottleneck_tensor="features").problems())
    assert "tfhub" not in alone
    assert "bottleneck_tensor" not in alone
    assert "without --tfhub_module" in "\n".join(RunConfig(tfhub_input_size=64).problems())


def test_weights_may_be_a_folder_with_both_parts_of_a_saved_model(tmp_path):
    folder = usual().write(tmp_path / "module")
    assert not any("--weights" in problem for problem in RunConfig(weights=str(folder)).problems())
    (folder / "variables" / "variables.index").unlink()
    assert any("or the folder of a SavedModel" in problem for problem in RunConfig(weights=str(folder)).problems())


# Archives


def test_an_archive_has_the_hash_of_its_folder(tmp_path):
    folder = usual().write(tmp_path / "module")
    (folder / "fingerprint.pb").write_bytes(b"differs every time")
    whole = archive.read_module(folder, 10**6)
    assert whole.names == ("saved_model.pb", "variables/variables.index")
    for number, around in enumerate(("", "./", "top/")):
        with tarfile.open(tmp_path / f"{number}.tar", "w") as tar:
            tar.add(folder, around or ".")
        packed = archive.read_module(tmp_path / f"{number}.tar", 10**6)
        assert (packed.sha256, packed.saved_model) == (whole.sha256, whole.saved_model)
        archive.unpack_module(tmp_path / f"{number}.tar", tmp_path / f"out{number}")
        found = {str(p.relative_to(tmp_path / f"out{number}")) for p in (tmp_path / f"out{number}").rglob("*.*")}
        assert found == {"saved_model.pb", str(Path("variables/variables.index"))}
    (folder / "variables" / "variables.index").write_bytes(b"another")
    assert archive.read_module(folder, 10**6).sha256 != whole.sha256


def link(kind):
    member = tarfile.TarInfo("variables/link")
    member.type, member.linkname = kind, "/etc/passwd"
    return member


@pytest.mark.parametrize(
    ("member", "words"),
    [
        ("/etc/x", "plain names"),
        ("../x", "plain names"),
        ("variables/../../x", "plain names"),
        ("C:\\x", "plain names"),
        ("a\nb", "plain names"),
        (link(tarfile.SYMTYPE), "a link or a device"),
        (link(tarfile.LNKTYPE), "a link or a device"),
        (link(tarfile.CHRTYPE), "a link or a device"),
        (link(tarfile.FIFOTYPE), "a link or a device"),
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", ["w", "w:gz"])
def test_an_archive_that_reaches_out_is_refused_whole(member, words, kind, tmp_path):
    path = tar_of(tmp_path / "x.tar", ("saved_model.pb", usual().data), (member, b""), kind=kind)
    with pytest.raises(WeightsError, match=words):
        archive.read_module(path, 10**6)
    with path.open("rb") as file, pytest.raises(WeightsError, match=words):
        archive.unpack_all(file, tmp_path / "out", "x")
    assert sorted(p.name for p in (tmp_path / "out").rglob("*")) == ["saved_model.pb"]


def test_an_archive_that_is_too_much_is_refused(tmp_path, monkeypatch):
    path = tar_of(tmp_path / "x.tgz", ("saved_model.pb", bytes(5000)), ("variables/a", bytes(100_000)))
    with pytest.raises(WeightsError, match=r"saved_model.pb in .* at most 4999 bytes"):
        archive.read_module(path, 4999)
    monkeypatch.setattr(archive, "MAX_MEMBERS", 1)
    with pytest.raises(WeightsError, match="at most 1 files"):
        archive.read_module(path, 10**6)
    monkeypatch.setattr(archive, "MAX_MEMBERS", 2)
    monkeypatch.setattr(archive, "MAX_UNPACKED_BYTES", 100_000)
    with pytest.raises(WeightsError, match="and 100000 bytes, got more"):
        archive.read_module(path, 10**6)


def test_an_archive_with_endless_notes_is_not_read_into_memory(tmp_path):
    member = tarfile.TarInfo("saved_model.pb")
    member.pax_headers = {"comment": "x" * (archive.MAX_READ_BYTES + 1)}
    path = tar_of(tmp_path / "x.tgz", (member, b"x"))
    with pytest.raises(WeightsError, match="bytes at once"):
        archive.read_module(path, 10**6)


@pytest.mark.parametrize("content", [b"", b"no archive", b"\x1f\x8bno gzip", b"\x1f\x8b\x08\x00" + bytes(100)])
def test_what_is_no_archive_is_said_to_be_none(content, tmp_path):
    (tmp_path / "x.tar.gz").write_bytes(content)
    with pytest.raises(WeightsError, match=r"expected .*x\.tar\.gz"):
        hub_spec(HubRequest(str(tmp_path / "x.tar.gz"), tmp_path / "models"))


def test_a_cut_archive_is_said_to_be_cut(tmp_path):
    random = np.random.default_rng(0).bytes(300_000)
    path = tar_of(tmp_path / "x.tar.gz", ("variables/variables.data-00000-of-00001", random), ("saved_model.pb", b"x"))
    path.write_bytes(path.read_bytes()[:100_000])
    with pytest.raises(WeightsError, match="to be a whole"):
        archive.read_module(path, 10**6)


def test_two_models_in_one_archive_are_not_chosen_between(tmp_path):
    path = tar_of(tmp_path / "x.tar", ("a/saved_model.pb", b"x"), ("b/saved_model.pb", b"y"), kind="w")
    with pytest.raises(WeightsError, match="files of more than one"):
        archive.read_module(path, 10**6)
    path = tar_of(tmp_path / "y.tar", ("saved_model.pb", b"x"), ("./saved_model.pb", b"y"), kind="w")
    with pytest.raises(WeightsError, match="twice"):
        archive.read_module(path, 10**6)


# What a module is


def test_a_module_is_described_without_touching_the_disk(tmp_path):
    folder = usual().write(tmp_path / "small module")
    spec = hub_spec(HubRequest(str(folder), tmp_path / "models"))
    assert (spec.name, spec.builder, spec.feature_width) == ("hub_small_module", "hub:serving_default:features:8x6", 3)
    assert (spec.input_spec.height, spec.input_spec.width, spec.input_spec.mean) == (8, 6, 127.5)
    assert not (tmp_path / "models").exists()


def test_the_size_is_the_module_s_or_the_one_given_or_the_usual_one(tmp_path):
    with pytest.raises(WeightsError, match=r"--tfhub_input_size=8, but .* 6 x 8 pixels only"):
        hub_spec(HubRequest(str(usual().write(tmp_path / "fixed")), tmp_path, input_size=8))
    module = usual()
    for dim in (
        module.objects.concrete_functions["outer"]
        .canonicalized_input_signature.tuple_value.values[0]
        .tuple_value.values[0]
        .tensor_spec_value.shape.dim[1:3]
    ):
        dim.size = -1
    folder = str(module.write(tmp_path / "open"))
    assert hub_spec(HubRequest(folder, tmp_path)).input_spec.height == USUAL_SIZE
    assert hub_spec(HubRequest(folder, tmp_path, input_size=96)).input_spec.width == 96


def test_a_module_that_is_not_here_is_known_by_name_and_never_asked_for_offline(tmp_path):
    handle = "https://tfhub.dev/google/imagenet/x/feature_vector/5"
    spec = hub_spec(HubRequest(handle, tmp_path / "models"))
    assert (spec.name, spec.feature_width) == ("hub_imagenet_x_feature_vector_5", 0)
    request = HubRequest(handle, tmp_path / "models", offline=True)
    with pytest.raises(WeightsError, match=f"has not been fetched.*{request.cached.name}"):
        hub_spec(request)
    assert not (tmp_path / "models").exists()
    usual().write(request.cached)
    assert hub_spec(request).feature_width == 3


def test_a_module_of_tensorflow_1_is_refused_before_anything_else(tmp_path):
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "saved_model.pb").write_bytes(b"\xff\xff not even a message")
    (tmp_path / "old" / "tfhub_module.pb").write_bytes(b"\x08\x03")
    with pytest.raises(WeightsError, match=r"got one of TensorFlow 1 \(or a hub.Module\)"):
        hub_spec(HubRequest(str(tmp_path / "old"), tmp_path))
    module = usual()
    module.meta.ClearField("object_graph_def")
    module.refused("got one of TensorFlow 1")


@pytest.mark.parametrize(
    ("data", "words"), [(b"\xff\xff\xff", "bytes that are none"), (b"", "without a graph"), (b"\x12\x02ab", "none")]
)
def test_what_is_no_saved_model_is_said_to_be_none(data, words):
    with pytest.raises(WeightsError, match=words):
        savedmodel.parse_saved_model(data, "x")


def test_a_module_without_its_variables_is_refused(tmp_path):
    folder = usual().write(tmp_path / "module")
    (folder / "variables" / "variables.index").unlink()
    with pytest.raises(WeightsError, match=r"hold variables/variables.index, got none"):
        hub_spec(HubRequest(str(folder), tmp_path))


def test_the_call_for_use_is_taken_not_the_one_for_training():
    module = Module()
    module.body()
    number = module.add_object("__call__", "function")
    for name, training in (("learn", True), ("use", False)):
        module.caller(name)
        module.objects.nodes[number].function.concrete_functions.append(name)
        module.concrete(name, (-1, -1, -1, 3), {"": (-1, 3)}, training=training, single=True)
    entry = savedmodel.find_entry(module.meta, "x")
    assert (entry.name, entry.function, entry.height, entry.features) == ("__call__", "use", 0, 3)
    del module.objects.nodes[number].function.concrete_functions[1]
    module.refused("__call__ is for training")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"dtype": STRING}, r"takes string \(\?, 8, 6, 3\)"),
        ({"sizes": (-1, 8)}, r"takes float \(\?, 8\)"),
        ({"sizes": (-1, 8, 6, 4)}, r"takes float \(\?, 8, 6, 4\)"),
        ({"outputs": {"map": (-1, 4, 4, 3)}}, "map float .* not rows of features"),
        ({"outputs": {"a": (-1, 3), "b": (-1, 4)}}, r"gives a, b; name one \(--bottleneck_tensor in training"),
    ],
)
def test_functions_that_are_no_backbones_are_refused_with_the_reason(options, words):
    module = Module()
    module.body()
    module.caller()
    module.signature(**options)
    module.refused(words)


def test_an_output_is_chosen_by_its_name():
    module = Module()
    module.body()
    module.caller()
    module.signature(outputs={"a": (-1, 4), "default": (-1, 3), "map": (-1, 1, 1, 3)})
    assert savedmodel.find_entry(module.meta, "x").output_name == "default"
    assert savedmodel.find_entry(module.meta, "x", "a").features == 4
    module.refused("has no output defaul; did you mean default", output="defaul")
    module.refused("map float .* not rows", output="map")


# What a module does


def test_calls_are_written_out_and_effects_left_behind():
    found = usual().written_out()
    assert {node.name: node.op for node in found.graph.node} == {
        "images": "Placeholder",
        "variable_1": "Const",
        "call_2/scaled": "Mul",
        "call_2/axes": "Const",
        "call_2/mean": "Mean",
        "call_1/result": "Identity",
    }
    nodes = {node.name: node for node in found.graph.node}
    assert list(nodes["call_2/scaled"].input) == ["images", "variable_1"]
    assert (found.result, found.variables, found.features, found.scores) == (
        "call_1/result",
        {"variable_1": 1},
        3,
        False,
    )


def test_scores_are_known_by_their_softmax():
    module = usual()
    module.meta.graph_def.library.function[0].node_def[-1].op = "Softmax"
    module.meta.graph_def.library.function[0].node_def[-1].input[:] = ["scaled:z:0"]
    del module.meta.graph_def.library.function[0].node_def[-1].attr["Tidx"]
    assert module.written_out().scores


@pytest.mark.parametrize(
    "operation", ["WriteFile", "ReadFile", "PyFunc", "EagerPyFunc", "If", "While", "RandomUniform"]
)
def test_an_operation_that_is_not_on_the_list_is_refused_only_where_it_counts(operation):
    module = usual()
    inner = module.meta.graph_def.library.function[0]
    module.node(inner, "bad", operation, "x")
    assert "bad" not in str(module.written_out().graph)
    inner.node_def[-1].name = "other"
    module.node(inner, "joined", "AddV2", "mean:output:0", "other:output:0")
    inner.ret["rows"] = "joined:z:0"
    module.refused(f"operation {operation} ")


def test_what_a_plain_graph_has_no_word_for_is_refused():
    module = usual()
    inner = module.meta.graph_def.library.function[0]
    module.node(inner, "grabs", "Identity", "resource")
    inner.ret["rows"] = "grabs:output:0"
    module.refused("calculated from a variable itself")
    module = usual()
    module.objects.concrete_functions["outer"].bound_inputs[0] = module.add_object("table", "resource")
    module.refused("calculated from a resource")
    module = usual()
    module.objects.nodes[module.variable].variable.dtype = STRING
    module.refused("expected variables of float32")


def test_normalising_as_in_training_is_refused_though_the_attribute_is_left_out():
    module = usual()
    inner = module.meta.graph_def.library.function[0]
    module.node(inner, "norm", "FusedBatchNormV3", "scaled:z:0", *["read:value:0"] * 4)
    inner.node_def[4].input[0] = "norm:y:0"
    module.refused("normalises by the photographs at hand")
    inner.node_def[-1].attr["is_training"].b = False
    assert "FusedBatchNormV3" in {node.op for node in module.written_out().graph.node}
    inner.node_def[4].input[0] = "norm:batch_mean:0"
    module.refused("statistics of norm")


def test_functions_that_call_themselves_or_each_other_without_end_are_refused(monkeypatch):
    module = usual()
    module.meta.graph_def.library.function[1].node_def[0].attr["f"].func.name = "outer"
    module.refused("too deep")
    module = usual()
    callee = "inner"
    for level in range(20):
        doubled = module.function(f"level{level}", ["a", "b"], {"out": "sum:z:0"})
        for name in ("left", "right"):
            module.node(doubled, name, "PartitionedCall", "a", "b").attr["f"].func.name = callee
        module.node(doubled, "sum", "AddV2", "left:output:0", "right:output:0")
        callee = f"level{level}"
    module.meta.graph_def.library.function[1].node_def[0].attr["f"].func.name = callee
    monkeypatch.setattr(inline, "_MAX_STEPS", 1000)
    module.refused("more than 1000 operations")


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda m: m.meta.graph_def.library.ClearField("function"), "calls outer, which is not there"),
        (lambda m: m.objects.concrete_functions["outer"].bound_inputs.append(1), "takes 2 tensors, is given 3"),
        (lambda m: m.objects.concrete_functions["outer"].bound_inputs.insert(0, 99), "there is no object 99"),
        (lambda m: setattr(m.root.children[1], "node_id", 99), "names number 99"),
        (lambda m: m.objects.concrete_functions.pop("outer"), "function outer that is not there"),
        (lambda m: m.meta.graph_def.library.function[0].node_def.add(name="mean"), "two operations of inner are mean"),
        (lambda m: m.meta.graph_def.library.function[0].ret.clear(), "not in the graph"),
        (lambda m: m.meta.graph_def.library.function[0].node_def[4].input.append("axes:output:x"), ""),
    ],
)
def test_damaged_modules_are_refused_with_a_sentence(harm, words):
    module = usual()
    harm(module)
    if words:
        module.refused(words)
    else:
        assert module.written_out().features == 3  # TensorFlow refuses what is left; nothing here falls over


def test_a_result_that_is_not_of_the_photographs_is_refused():
    module = usual()
    module.meta.graph_def.library.function[0].ret["rows"] = "read:value:0"
    module.refused("is not calculated from images")


# Variables


class Reader:
    """A checkpoint in memory: objects with children, name -> array."""

    def __init__(self, named, listed=()):
        self.arrays = {f"{number}": np.asarray(values) for number, (_, values) in enumerate(named)}
        self.names = [name for name, _ in named]
        self.order = [str(number) for number in listed]

    def named(self):
        return iter(list(zip(self.names, self.arrays, strict=True)))

    def listed(self):
        return self.order

    def shape(self, key):
        return self.arrays[key].shape

    def read(self, key):
        return self.arrays[key]

    def keys_of(self, saved):
        return {1: "0"}


class Weight:
    def __init__(self, path, shape):
        self.path, self.shape = path, shape


class Model:
    def __init__(self, **shapes):
        self.layers = [type("Layer", (), {"weights": [Weight(n.replace("__", "/"), s) for n, s in shapes.items()]})]


def read_back(model, reader, monkeypatch):
    monkeypatch.setattr(savedweights, "Checkpoint", lambda folder: reader)
    return [int(array.ravel()[0]) for array in savedweights.read_saved_weights(model, Path("folder"))]


def full(value, *shape):
    return np.full(shape, value, np.float32)


@pytest.mark.parametrize(
    ("saved", "listed"),
    [
        ([("b/kernel", full(2, 3)), ("top/kernel", full(9, 9)), ("a/kernel", full(1, 3))], ()),
        ([("b/kernel:0", full(2, 3)), ("a/depthwise_kernel:0", full(1, 3))], ()),
        ([("net/b/kernel", full(2, 3)), ("net/a/kernel", full(1, 3))], ()),
        ([("a/kernel", full(1, 3)), ("b/kernel", full(2, 3)), ("a/kernel", full(1, 3))], ()),
        ([("q/kernel", full(2, 3)), ("p/kernel", full(1, 3)), ("top/kernel", full(9, 9))], (1, 0, 2)),
    ],
    ids=["by name", "in Keras 2's words", "inside another model", "twice the same", "by order"],
)
def test_weights_are_found(saved, listed, monkeypatch):
    assert read_back(Model(a__kernel=(3,), b__kernel=(3,)), Reader(saved, listed), monkeypatch) == [1, 2]


def test_numbers_that_keras_gave_are_compared_by_their_order(monkeypatch):
    model = Model(conv2d__kernel=(3,), conv2d_1__kernel=(3,))
    saved = [("conv2d_103/kernel", full(2, 3)), ("conv2d_94/kernel", full(1, 3)), ("top/kernel", full(9, 9))]
    assert read_back(model, Reader(saved), monkeypatch) == [1, 2]
    with pytest.raises(WeightsError, match="cannot be told among them"):
        read_back(model, Reader([*saved, ("conv2d_7/kernel", full(5, 3))]), monkeypatch)


@pytest.mark.parametrize(
    ("saved", "listed", "words"),
    [
        ([("a/kernel", full(1, 3))], (), "it has 1 variables .* b/kernel cannot be told"),
        ([("a/kernel", full(1, 3)), ("b/kernel", full(2, 4))], (), r"b/kernel to be of shape \(3,\), got \(4,\)"),
        (
            [("a/kernel", full(1, 3)), ("b/kernel", full(2, 3)), ("a/kernel", full(7, 3))],
            (),
            "2 of that name that differ",
        ),
        ([("x/a/kernel", full(1, 3)), ("y/a/kernel", full(1, 3)), ("x/b/kernel", full(2, 3))], (), "cannot be told"),
        ([("p/kernel", full(1, 3)), ("q/bias", full(2, 3))], (0, 1), "cannot be told"),
        ([("p/kernel", full(1, 4)), ("q/kernel", full(2, 3))], (0, 1), "cannot be told"),
        ([], (), "it has 0 variables"),
    ],
    ids=["missing", "another shape", "two that differ", "two nets", "another kind", "shapes in order", "empty"],
)
def test_weights_are_never_guessed(saved, listed, words, monkeypatch):
    with pytest.raises(WeightsError, match=words):
        read_back(Model(a__kernel=(3,), b__kernel=(3,)), Reader(saved, listed), monkeypatch)


def test_blank_constants_are_filled_and_must_fit():
    module = usual()
    found = module.written_out()
    saved = module.objects.nodes
    checkpoint.fill(found.graph, found.variables, saved, Reader([("kernel", full(4, 3))]))
    assert read_constant({node.name: node for node in found.graph.node}["variable_1"]).tolist() == [4, 4, 4]
    for wrong in (full(4, 2), np.zeros(3, np.float64)):
        with pytest.raises(WeightsError, match=r"variable kernel to be float32 \(3,\)"):
            checkpoint.fill(found.graph, found.variables, saved, Reader([("kernel", wrong)]))
    with pytest.raises(WeightsError, match="not in the SavedModel's checkpoint"):
        checkpoint.fill(found.graph, {"variable_1": 2}, saved, Reader([("kernel", full(4, 3))]))
