"""What runs a model: a picture in, its scores out, whatever the file is of.

runtime.py says what all of them are; litert.py runs LiteRT models, onnx.py ONNX models (needs onnxruntime), graph.py
plain graphs made from checked operations, in TensorFlow, and trusted.py what may do more than calculate, in a child
process with limits. request.py says what is asked for and what comes of it; opening.py finds the runtime for a file of
ours, strangers.py for one that others wrote. Heavy libraries are imported where a model needs them.
"""
