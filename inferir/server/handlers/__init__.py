"""Handlers of our own routes: they translate, the data plane decides."""
