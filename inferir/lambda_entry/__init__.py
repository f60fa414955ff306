"""Models in AWS Lambda: a runtime that answers milliseconds after its process starts, and a handler for AWS's own.

    __main__.py   the process: packaged model -> handler -> loop
    loop.py       next event, answer, post; until there is no next event
    protocol.py   the Runtime API as bytes: what is sent, what comes, in which order
    client.py     one connection to it
    handler.py    LambdaHandler: requests in, answers out, counters; `handle` for AWS's runtime
    events.py     what triggers a function: recognised, read, answered
    records.py    batches of records: SQS, Kinesis, S3 objects
    package.py    builds the zip

No module here imports at its top what takes milliseconds: json, ctypes, typing, re, enum, logging, http.client. What
rare events need is imported when they come. tests/lambda_entry/test_start.py lists what a start may import.
"""
