"""ONNX files, written from the frozen graph without TensorFlow.

model.py makes and runs them; graph.py reads the frozen graph with its shapes; operations.py is the table of what each
operation becomes, with windows.py (convolutions, pooling), moves.py (reshapes and slices) and sizes.py (what is
calculated of shapes alone); affine.py folds scales into convolutions; writer.py writes nodes.
"""
