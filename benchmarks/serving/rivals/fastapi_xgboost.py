"""FastAPI, pydantic and XGBoost, on uvicorn with uvloop."""

from __future__ import annotations

import sys

import numpy as np
import uvicorn
import xgboost
from fastapi import FastAPI
from pydantic import BaseModel


class Row(BaseModel):
    features: list[float]


def create(path: str) -> FastAPI:
    model = xgboost.XGBClassifier(n_jobs=1)
    model.load_model(path)
    app = FastAPI()

    @app.get("/health")
    def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.post("/predict")
    async def predict(row: Row) -> dict[str, int]:
        return {"prediction": int(model.predict(np.array([row.features]))[0])}

    return app


if __name__ == "__main__":
    uvicorn.run(create(sys.argv[2]), host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", access_log=False)
