"""Load on the server: `python -m benchmarks.serving`. No asv: these are minutes, and two processes.

load.py        what sends requests, at a fixed rate or as fast as answers come
servers.py     ours and others, each in a process of its own on one core
rivals/        the same model behind other servers, as their documentation has it
chaos.py       what may go wrong, for minutes: workers that die, files that are rubbish, clients that dawdle
__main__.py    the scenarios, and a table of them
"""
