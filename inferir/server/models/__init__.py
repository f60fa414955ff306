"""Which models are loaded, and how they change places.

registry.py    names, versions, aliases: who answers
library.py     the two steps of every change: prepare, commit
loading.py     a file becomes a version that answers
snapshots.py   copies of files that nobody can change
watcher.py     looks at files, and loads what changed; watching.py: what counts as a change
"""
