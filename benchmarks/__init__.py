"""asv benchmarks: a file for each family of kernels, one for whole models, one for files.

parity_speed.py is another thing: a plain script that runs our models beside the libraries they come from.
"""
