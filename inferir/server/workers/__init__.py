"""Several processes on one port, and what they have to agree on.

    supervisor.py   starts them, replaces the dead, decides what is loaded; answers no request
    worker.py       a process that answers; asks the supervisor for changes
    fleet.py        a change that all workers make, or none
    link.py         calls between the two, over a socket
    restarts.py     how long to wait before a dead worker is replaced

Each worker has a listening socket of its own on the port, and the kernel spreads connections over them. The supervisor
keeps them all open: when a worker dies, another one takes what waits at its socket until its successor is there.
"""
