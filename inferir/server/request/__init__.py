"""The way of a request, from its bytes to its handler and back.

listener.py     connections are taken
connection.py   aiohttp's connection, with a short way for requests that are whole when they come
http_server.py  all connections, and the long way; budget.py: how much of bodies they hold; receiver.py: where
exchange.py     one request, and what became of it
gate.py         everything that every request passes: the files below, in this order
routes.py       which handler
auth.py         who asks
deadlines.py    until when; rates.py: how often
admission.py    whether there is a place, now or later; adaptive.py: how many places there are
replies.py      the answer as bytes; refusals.py: what is said of what is not HTTP
"""
