"""Whether a model is still right: drift of the rows that come, and truths that turn out later.

drift.py        which rows are looked at, and how far they are from those of training
truths.py       predictions against truths, and the memory of predictions until then
monitor.py      does both for the versions of a registry
remembering.py  the data plane that remembers
"""
