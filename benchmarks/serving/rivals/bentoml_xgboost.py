"""BentoML and XGBoost, one worker: PORT MODEL."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import bentoml
import numpy as np
import xgboost


@bentoml.service(workers=1, logging={"access": {"enabled": False}})
class Forest:
    def __init__(self) -> None:
        self.model = xgboost.XGBClassifier(n_jobs=1)
        self.model.load_model(os.environ["MODEL"])

    @bentoml.api(route="/predict")
    def predict(self, features: list[float]) -> int:
        return int(self.model.predict(np.array([features]))[0])


if __name__ == "__main__":
    os.environ["MODEL"] = sys.argv[2]
    os.chdir(Path(__file__).parent)
    command = [sys.executable, "-m", "bentoml", "serve", "bentoml_xgboost:Forest", "--port", sys.argv[1]]
    os.execv(sys.executable, command)
