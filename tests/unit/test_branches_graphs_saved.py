"""SavedModels, by hand: signatures of every kind, and what a damaged or hostile one says."""

from __future__ import annotations

import pytest
from test_hub import FLOAT, STRING, Module, usual

from retrain.errors import WeightsError
from retrain.graphs import savedmodel


def spec_of(value, *sizes, dtype=FLOAT, kind="tensor_spec_value", rank=True):
    """Make a tensor of a signature's value."""
    tensor = getattr(value, kind)
    tensor.dtype = dtype
    tensor.shape.unknown_rank = not rank
    for size in sizes:
        tensor.shape.dim.add(size=size)


def facts_of(module, function="outer"):
    facts = module.objects.concrete_functions[function]
    return facts, facts.canonicalized_input_signature


# Signatures


def test_what_can_be_asked_of_a_module_is_told():
    module = usual()
    number = module.add_object("__call__", "function")
    module.objects.nodes[number].function.concrete_functions.append("nowhere")
    module.add_object("nothing", "function", module.signatures)
    module.add_object("__saved_model_init_op", "function", module.signatures)
    module.add_object("assets", "user_object")
    module.signature("string", "other", dtype=STRING, sizes=(-1,))
    facts, _ = facts_of(module, "other")
    facts.ClearField("output_signature")
    module.signature("ragged", "third")
    facts_of(module, "third")[1].type_spec_value.type_spec_class_name = "RaggedTensorSpec"
    assert savedmodel.tell_functions(module.meta) == {
        "__call__": "is not there",
        "nothing": "is not there",
        "ragged": "takes or gives a RaggedTensorSpec that is no tensor",
        "serving_default": "takes 0 float (?, 8, 6, 3); gives features float (?, 3)",
        "string": "takes 0 string (?); gives nothing",
    }


def test_a_module_without_functions_is_said_to_have_none():
    with pytest.raises(WeightsError, match="got: it has no function at all"):
        savedmodel.find_entry(Module().meta, "x")


def test_a_tensor_of_any_shape_and_of_an_unknown_type_is_told_as_such():
    module = usual()
    facts, taken = facts_of(module)
    taken.Clear()
    spec_of(taken, rank=False)
    facts.output_signature.Clear()
    spec_of(facts.output_signature, dtype=FLOAT, rank=False)
    entry = savedmodel.find_entry(module.meta, "x")
    assert (entry.height, entry.width, entry.features) == (0, 0, 0)
    assert savedmodel.tell_functions(module.meta)["serving_default"] == (
        "takes float of any shape; gives float of any shape"
    )
    taken.tensor_spec_value.dtype = 999
    module.refused("serving_default takes 999 of any shape")


def test_tensors_are_found_in_every_kind_of_nest_in_the_order_of_the_arguments():
    module = usual()
    facts, taken = facts_of(module)
    taken.Clear()
    pair = taken.tuple_value.values.add().named_tuple_value.values.add()
    pair.key = "picture"
    spec_of(pair.value, -1, 8, 6, 3, kind="bounded_tensor_spec_value")
    taken.tuple_value.values.add().none_value.SetInParent()  # no tensor, and no fault
    facts.output_signature.Clear()
    listed = facts.output_signature.list_value.values
    spec_of(listed.add(), -1, 4, 4, 3)
    spec_of(listed.add(), -1, 3)
    entry = savedmodel.find_entry(module.meta, "x")
    assert (entry.height, entry.width, entry.output, entry.output_name) == (8, 6, 1, "1")
    assert savedmodel.tell_functions(module.meta)["serving_default"] == (
        "takes picture float (?, 8, 6, 3); gives 0 float (?, 4, 4, 3), 1 float (?, 3)"
    )


@pytest.mark.parametrize("count", [0, 2])
def test_a_function_of_no_picture_or_of_two_is_refused(count):
    module = usual()
    _, taken = facts_of(module)
    taken.Clear()
    taken.tuple_value.SetInParent()
    for _ in range(count):
        spec_of(taken.tuple_value.values.add(), -1, 8, 6, 3)
    module.refused(f"serving_default takes {count} tensors, not one")


def test_a_training_flag_is_seen_among_the_named_arguments():
    module = usual()
    _, taken = facts_of(module)
    taken.tuple_value.values[1].dict_value.fields["training"].bool_value = True
    module.refused("is for training")
    taken.tuple_value.values[1].dict_value.fields["training"].bool_value = False
    assert module.written_out().features == 3


def test_a_type_that_is_no_tensor_is_refused():
    module = usual()
    facts_of(module)[1].tuple_value.values[0].type_spec_value.SetInParent()
    module.refused("takes or gives a thing that is no tensor")


def test_an_output_that_is_not_there_names_those_that_are():
    usual().refused("has no output rows; it has features", output="rows")


# Functions written out


def test_an_output_that_a_function_does_not_give_is_refused():
    module = usual()
    facts_of(module)[0].output_signature.dict_value.fields["also"].tensor_spec_value.dtype = FLOAT
    module.refused("outer gives 1 tensors", output="features")


def test_a_softmax_is_not_looked_for_behind_an_identity_of_nothing():
    # Was an IndexError.
    module = usual()
    inner = module.meta.graph_def.library.function[0]
    module.node(inner, "nothing", "Identity")
    module.node(inner, "end", "Identity", "nothing:output:0", "mean:output:0")
    inner.ret["rows"] = "end:output:0"
    assert not module.written_out().scores


def test_a_softmax_is_looked_for_behind_so_many_identities_and_no_more():
    for count, scores in ((60, True), (70, False)):
        module = usual()
        inner = module.meta.graph_def.library.function[0]
        module.node(inner, "s0", "Softmax", "mean:output:0")
        for number in range(1, count):
            module.node(inner, f"s{number}", "Identity", f"s{number - 1}:output:0")
        inner.ret["rows"] = f"s{count - 1}:output:0"
        assert module.written_out().scores is scores


def test_a_placeholder_or_a_decoder_inside_is_refused():
    for operation in ("Placeholder", "PlaceholderWithDefault", "DecodeJpeg"):
        module = usual()
        module.meta.graph_def.library.function[0].node_def[4].op = operation  # the mean
        module.refused(rf"{operation} \(call_2/mean\) stands between the photographs and the features")


def test_attributes_that_newer_ones_left_empty_are_taken_out():
    module = usual()
    mean = module.meta.graph_def.library.function[0].node_def[4]
    mean.attr["_output_shapes"].list.i.append(3)
    mean.attr["newer"].b = False
    made = {node.name: node for node in module.written_out().graph.node}
    assert set(made["call_2/mean"].attr) == {"T", "Tidx"}


def captures(operation="kept", kind="constant"):
    """A module whose function takes a captured constant in place of its variable."""
    module = usual()
    number = module.add_object("captured", kind)
    if kind == "constant":
        module.objects.nodes[number].constant.operation = operation
    kept = module.meta.graph_def.node.add(name="kept", op="Const")
    kept.attr["dtype"].type = kept.attr["value"].tensor.dtype = FLOAT
    kept.attr["value"].tensor.tensor_shape.dim.add(size=3)
    kept.attr["value"].tensor.float_val.extend([1, 2, 3])
    inner = module.meta.graph_def.library.function[0]
    inner.node_def[1].input[1] = "resource"  # scaled by it, not by what is read from it
    facts_of(module)[0].bound_inputs[0] = number
    return module


def test_a_captured_constant_takes_its_own_place_once():
    module = captures()
    facts, _ = facts_of(module)
    facts.bound_inputs.append(facts.bound_inputs[0])
    module.meta.graph_def.library.function[1].signature.input_arg.add(name="again")
    made = module.written_out()
    constants = [node.name for node in made.graph.node if node.name.startswith("capture")]
    assert constants == [f"capture_{facts.bound_inputs[0]}"]
    assert not made.variables


def test_a_captured_constant_that_is_not_there_and_an_object_without_a_kind_are_refused():
    captures("nowhere").refused(r"calculated from a constant \(object 4 of the SavedModel\)")
    module = captures()
    module.objects.nodes[4].Clear()
    module.refused(r"calculated from a thing \(object 4 of the SavedModel\)")
    module = captures()
    module.meta.graph_def.library.function[0].node_def[1].input[1] = "read:value:0"
    module.refused("calculated from a variable that is none")
    module.meta.graph_def.library.function[0].node_def[0].input[:] = []
    module.refused("calculated from a variable that is none")
    module = captures("nowhere")
    module.meta.graph_def.library.function[0].node_def[1].input[1] = "read:value:0"
    module.refused("calculated from a constant")
