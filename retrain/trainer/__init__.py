"""Trains a whole network, from scratch or fine-tuned, in a process of its own.

job.py is what that process is told, in a file; parent.py has process.py start it and shows how far it is; outcome.py
reads what it came to. child.py is the process. In it trainable.py builds what is trained and says what stays frozen,
batches.py hands out photographs in an order that a seed decides, augment.py distorts them, feed.py gives them to
TensorFlow, loop.py goes from the first step to the last, with step.py, optimisers.py, strategies.py and finder.py,
which looks for a learning rate; reordered.py calculates a network in a faster order; progress.py counts; checkpoints.py
keeps what is needed to go on after a kill; board.py writes what TensorBoard shows.
"""
