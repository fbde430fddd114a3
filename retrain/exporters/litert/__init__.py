"""LiteRT files.

model.py appends the head to a backbone's file; fp16.py narrows its weights to float16, int8.py all of it to integers.
"""
