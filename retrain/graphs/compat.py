"""What TensorFlow 1.15 understands of a graph, and how to take the rest out.

Newer TensorFlows write attributes that 1.15 does not know (explicit_paddings of depthwise convolutions, grad_a of
products, and more), and it refuses a graph that has them, even at their default. tests/cli/test_tensorflow.py tries it.
"""

from __future__ import annotations

from typing import Any

from retrain.errors import WeightsError

# Read off 1.15.5's own registry, for the operations that backbones are made of.
ATTRIBUTES_OF_1_15 = {
    "Add": {"T"},
    "AddV2": {"T"},
    "AvgPool": {"T", "data_format", "ksize", "padding", "strides"},
    "BatchMatMulV2": {"T", "adj_x", "adj_y"},
    "BiasAdd": {"T", "data_format"},
    "Cast": {"DstT", "SrcT", "Truncate"},
    "ConcatV2": {"N", "T", "Tidx"},
    "Const": {"dtype", "value"},
    "Conv2D": {"T", "data_format", "dilations", "explicit_paddings", "padding", "strides", "use_cudnn_on_gpu"},
    "DepthwiseConv2dNative": {"T", "data_format", "dilations", "padding", "strides"},
    "Erf": {"T"},
    "Erfc": {"T"},
    "Exp": {"T"},
    "ExpandDims": {"T", "Tdim"},
    "FusedBatchNorm": {"T", "data_format", "epsilon", "is_training"},
    "FusedBatchNormV3": {"T", "U", "data_format", "epsilon", "is_training"},
    "GatherV2": {"Taxis", "Tindices", "Tparams", "batch_dims"},
    "Identity": {"T"},
    "IdentityN": {"T"},
    "LRN": {"T", "alpha", "beta", "bias", "depth_radius"},
    "MatMul": {"T", "transpose_a", "transpose_b"},
    "Max": {"T", "Tidx", "keep_dims"},
    "MaxPool": {"T", "data_format", "ksize", "padding", "strides"},
    "Maximum": {"T"},
    "Mean": {"T", "Tidx", "keep_dims"},
    "Min": {"T", "Tidx", "keep_dims"},
    "Minimum": {"T"},
    "Mul": {"T"},
    "Neg": {"T"},
    "Pack": {"N", "T", "axis"},
    "Pad": {"T", "Tpaddings"},
    "PadV2": {"T", "Tpaddings"},
    "Placeholder": {"dtype", "shape"},
    "PlaceholderWithDefault": {"dtype", "shape"},
    "Pow": {"T"},
    "Prod": {"T", "Tidx", "keep_dims"},
    "Range": {"Tidx"},
    "RealDiv": {"T"},
    "Relu": {"T"},
    "Relu6": {"T"},
    "Reshape": {"T", "Tshape"},
    "Rsqrt": {"T"},
    "Shape": {"T", "out_type"},
    "Sigmoid": {"T"},
    "Softmax": {"T"},
    "Sqrt": {"T"},
    "Square": {"T"},
    "SquaredDifference": {"T"},
    "Squeeze": {"T", "squeeze_dims"},
    "StopGradient": {"T"},
    "StridedSlice": {"Index", "T", "begin_mask", "ellipsis_mask", "end_mask", "new_axis_mask", "shrink_axis_mask"},
    "Sub": {"T"},
    "Sum": {"T", "Tidx", "keep_dims"},
    "Tanh": {"T"},
    "Transpose": {"T", "Tperm"},
}
# The same, of what stands only before a backbone, where photographs are decoded (retrain/exporters/frozen/decoding.py).
DECODING_OF_1_15 = {
    "DecodeJpeg": {
        "acceptable_fraction", "channels", "dct_method", "fancy_upscaling", "ratio", "try_recover_truncated",
    },
    "Equal": {"T", "incompatible_shape_error"},
    "ExtractJpegShape": {"output_type"},
    "Floor": {"T"},
    "FloorDiv": {"T"},
    "GreaterEqual": {"T"},
    "Merge": {"N", "T"},
    "ScaleAndTranslate": {"T", "antialias", "kernel_type"},
    "Substr": {"T", "unit"},
    "Switch": {"T"},
}  # fmt: skip
# What a graph says it was made by; 1.15 itself says this.
_PRODUCER_OF_1_15 = 134


def strip_for_1_15(graph: Any) -> Any:  # noqa: ANN401 - a GraphDef, of whichever package
    """Take out of a graph what TensorFlow 1.15 does not know.

    Args:
        graph: a GraphDef; changed in place.

    Returns:
        The same graph.

    Raises:
        WeightsError: the graph has an operation whose attributes are not in the table.
    """
    for node in graph.node:
        if node.op not in ATTRIBUTES_OF_1_15:
            raise WeightsError(f"operation {node.op} ({node.name}) is not in the table of TensorFlow 1.15's attributes")
        for name in set(node.attr) - ATTRIBUTES_OF_1_15[node.op]:
            del node.attr[name]
        node.device = ""
        kept = [source for source in node.input if not source.startswith("^")]
        del node.input[:]
        node.input.extend(kept)
    graph.ClearField("library")
    graph.versions.producer = _PRODUCER_OF_1_15
    graph.versions.min_consumer = 0
    return graph
