"""LiteRT files.

model.py appends the head to a backbone's file, with what appending.py writes; fp16.py narrows its weights to float16,
int8.py all of it, or all but the head, to integers.
"""
