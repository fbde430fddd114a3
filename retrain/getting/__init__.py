"""Getting pictures: from addresses into class folders, and a heap of files into class folders.

names.py says what can be the name of a class folder. separating.py sorts files that lie in one folder by their names,
with a journal (moves.py) that puts them back.

Fetching: lists.py reads what is to be had, addresses.py says where may be connected to, client.py asks one address
once, robots.py keeps to what a site allows, turns.py says whose turn it is and when, contents.py sees that it is a
picture and a new one, asking.py is what is done in one turn, manifest.py remembers what became of each address, and
download.py brings them together.
"""
