"""Everything that Inferir raises on purpose, in one tree.

    InferirError                   code  what it means
    ├── FormatError                      a file is not one we can use
    │   ├── ModelLoadError         E001  not an .apr file, truncated, or with bad metadata
    │   ├── ChecksumError          E002  the bytes changed after they were written
    │   ├── UnsupportedModelError  E004  a model type, operator, version or estimator this build does not have
    │   └── SignatureError         E007  the signature is wrong, missing where asked for, or its key is not trusted
    ├── DimensionError             E003  a row has the wrong number or the wrong names of columns
    ├── MemoryLimitError           E005  a model is larger than the memory it may use
    ├── InvalidInputError          E006  a value of the wrong kind
    ├── TaskError                  E008  the model has no such answer (probabilities of a regressor, say)
    ├── BackendError               E009  the kernels asked for are not there
    ├── FileAccessError            E010  a file is missing, a directory, or may not be read or written
    └── UnknownModelError          E011  a request names a model that is not served

Messages say what was expected and what came. The errors know no HTTP and no Lambda: the faces that do translate
`code`, which is stable, into theirs.
"""

from __future__ import annotations

__all__ = [
    "BackendError",
    "ChecksumError",
    "DimensionError",
    "FileAccessError",
    "FormatError",
    "InferirError",
    "InvalidInputError",
    "MemoryLimitError",
    "ModelLoadError",
    "SignatureError",
    "TaskError",
    "UnknownModelError",
    "UnsupportedModelError",
]


class InferirError(Exception):
    """Base of all. `code` is stable ("E003"), `name` says it in words ("DIMENSION_MISMATCH")."""

    code = "E000"
    name = "INFERIR_ERROR"

    @property
    def message(self) -> str:
        """The text alone, without the code."""
        return super().__str__()

    def __str__(self) -> str:
        return f"[{self.code}] {self.message}"


class FormatError(InferirError):
    """A file that cannot be used. The only thing a reader raises, whatever the bytes."""


class ModelLoadError(FormatError):
    code, name = "E001", "MODEL_LOAD_FAILED"


class ChecksumError(FormatError):
    code, name = "E002", "CHECKSUM_MISMATCH"


class DimensionError(InferirError, ValueError):
    code, name = "E003", "DIMENSION_MISMATCH"


class UnsupportedModelError(FormatError):
    code, name = "E004", "UNSUPPORTED_MODEL"


class MemoryLimitError(InferirError, MemoryError):
    code, name = "E005", "MEMORY_EXCEEDED"


class InvalidInputError(InferirError, ValueError):
    code, name = "E006", "INVALID_INPUT"


class SignatureError(FormatError):
    """Its message says what to do in the words of a caller from Python. `asked_as` is the word of another, for
    `trusted_keys`: a command's option, a server's setting."""

    code, name = "E007", "SIGNATURE_INVALID"
    asked_as = "trusted_keys"

    @property
    def message(self) -> str:
        return super().message.replace("trusted_keys", self.asked_as)


class TaskError(InferirError, AttributeError):
    """Also an AttributeError, as scikit-learn's own answer to `predict_proba` of a regressor is."""

    code, name = "E008", "TASK_MISMATCH"


class BackendError(InferirError, RuntimeError):
    code, name = "E009", "BACKEND_UNAVAILABLE"


class FileAccessError(InferirError, OSError):
    code, name = "E010", "FILE_ACCESS"


class UnknownModelError(InferirError, LookupError):
    code, name = "E011", "UNKNOWN_MODEL"
