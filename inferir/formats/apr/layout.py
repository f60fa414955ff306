"""The `.apr` file, version 1: its constants, and nothing else.

VERSION is the format's version. Raise it only when a reader of the old version would misread a new file; then
    1. copy reader.py to formats/apr/old/v<N>.py and register it in reader.READERS,
    2. keep one golden file of the old version under tests/data and a test that reads it,
    3. describe the difference in docs/reference/apr-format.md and CHANGELOG.md.
New metadata keys, operators and model types do not change the version: readers keep keys that they do not know, and an
operator or model type that they do not have is E004.
"""

from __future__ import annotations

from collections.abc import Mapping

MAGIC = b"APR\x00"
VERSION = 1

#: magic, version, model type, flags, reserved, metadata length, payload length
HEADER_FORMAT = "<4sHHB7sQQ"
HEADER_NBYTES = 32
SIGNATURE_NBYTES = 96  # key id (32) and Ed25519 signature (64)
CRC_NBYTES = 4

SIGNED, ENCRYPTED, COMPRESSED = 1, 2, 4

#: Every tensor starts at a file offset divisible by this: the widest vector load, and a cache line.
ALIGNMENT_BYTES = 64

METADATA_LIMIT_BYTES = 64 * 2**20
TENSOR_LIMIT = 1_000_000
RANK_LIMIT = 8
NESTING_LIMIT = 16
#: One byte of metadata can become an empty list of 64: this bounds what METADATA_LIMIT_BYTES can become in memory.
METADATA_VALUE_LIMIT = 16 * 2**20

#: Files above this are mapped, not read.
MAP_ABOVE_BYTES = 50 * 2**20

#: Number of a model type -> its name. 1-9 are the first nine of the format's history and never change their meaning.
MODEL_TYPES: Mapping[int, str] = {
    1: "LinearRegression",
    2: "LogisticRegression",
    3: "DecisionTree",
    4: "RandomForest",
    5: "KMeans",
    6: "NaiveBayes",
    7: "SVM",
    8: "PCA",
    9: "GradientBoosting",
    10: "NearestNeighbors",
    11: "NeuralNetwork",
    12: "TSNE",
    13: "Transformer",
    14: "OnnxGraph",
    15: "IsolationForest",
    16: "NearestCentroid",
    17: "Voting",
    18: "Bagging",
    19: "AdaBoost",
    20: "Calibrated",
}
MODEL_TYPE_NUMBERS: Mapping[str, int] = {name: number for number, name in MODEL_TYPES.items()}
