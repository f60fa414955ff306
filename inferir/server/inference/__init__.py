"""From rows to answers, for every protocol.

dataplane.py   a model and rows in, answers out: on the event loop, in a batch, or in a thread
batcher.py     requests that wait for one model, and their batches; batching.py: what goes into a batch
cache.py       answers kept for equal requests, where that is asked for
"""
