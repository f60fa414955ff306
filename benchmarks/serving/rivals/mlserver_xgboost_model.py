"""MLServer and its XGBoost runtime, in one process, as its documentation has it: PORT MODEL."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path

from mlserver.cli.main import main

if __name__ == "__main__":
    port, model = int(sys.argv[1]), Path(sys.argv[2])
    folder = Path(tempfile.mkdtemp())
    shutil.copy(model, folder / "model.ubj")
    settings = {
        "host": "127.0.0.1", "http_port": port, "grpc_port": port + 1, "metrics_port": port + 2, "debug": False,
        "parallel_workers": 0,
    }  # fmt: skip
    (folder / "settings.json").write_text(json.dumps(settings))
    runtime = {"name": "model", "implementation": "mlserver_xgboost.XGBoostModel", "parameters": {"uri": "./model.ubj"}}
    (folder / "model-settings.json").write_text(json.dumps(runtime))
    sys.argv = ["mlserver", "start", str(folder)]
    main()
