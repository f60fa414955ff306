"""The Open Inference Protocol, version 2 of KServe's, which Triton, MLServer and their clients speak.

datatypes.py    names, ranges, bytes
messages.py     bodies in JSON
tensors.py      one tensor from JSON or from bytes
rest.py         a request, an answer
signature.py    tensors <-> a model's rows and answers
handlers.py     routes under /v2: infer, metadata, health
repository.py   routes under /v2/repository; /v2/models/.../stats
grpc/           the same over gRPC
"""
