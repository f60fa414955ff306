"""Model files: `apr` is our own, `importers` read those of other libraries; all of them end in a `spec.ModelSpec`."""
