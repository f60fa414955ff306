"""Run in an environment with kserve: talks to a server, prints what it got as JSON.

python kserve_client.py URL GRPC_ADDRESS
"""

import asyncio
import json
import sys

import numpy as np
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest, RESTConfig

ROWS = np.arange(60, dtype=np.float32).reshape(2, 30)
PENGUIN = {"species": "Adelie", "island": "Dream", "bill_length_mm": 39.1, "bill_depth_mm": 18.7}
PENGUIN |= {"flipper_length_mm": 181.0, "body_mass_g": 3750.0}


def one_tensor(binary: bool) -> InferRequest:
    tensor = InferInput("input-0", [2, 30], "FP32")
    tensor.set_data_from_numpy(ROWS, binary_data=binary)
    return InferRequest(model_name="breast_cancer", request_id="7", infer_inputs=[tensor])


def columns() -> InferRequest:
    tensors = []
    for name, value in PENGUIN.items():
        text = isinstance(value, str)
        tensor = InferInput(name, [1, 1], "BYTES" if text else "FP64")
        tensor.set_data_from_numpy(np.array([[value]], object if text else np.float64), binary_data=False)
        tensors.append(tensor)
    return InferRequest(model_name="penguins", infer_inputs=tensors)


def said(response: object) -> dict[str, object]:
    return {
        "id": response.id,
        "model": response.model_name,
        "outputs": {output.name: np.asarray(output.as_numpy()).tolist() for output in response.outputs},
    }


async def main(url: str, grpc_address: str) -> dict[str, object]:
    client = InferenceRESTClient(RESTConfig(protocol="v2", timeout=30))
    found = {
        "live": await client.is_server_live(url),
        "ready": await client.is_server_ready(url),
        "model_ready": await client.is_model_ready(url, "penguins"),
        "json": said(await client.infer(url, one_tensor(False), model_name="breast_cancer")),
        "binary": said(await client.infer(url, one_tensor(True), model_name="breast_cancer")),
        "columns": said(await client.infer(url, columns(), model_name="penguins")),
    }
    try:
        await client.infer(url, one_tensor(False), model_name="lions")
    except Exception as error:
        found["error"] = str(error)
    async with InferenceGRPCClient(grpc_address) as grpc:
        found["grpc"] = said(await grpc.infer(one_tensor(True)))
        found["grpc_live"] = await grpc.is_server_live()
        found["grpc_ready"] = await grpc.is_model_ready("breast_cancer")
    return found


if __name__ == "__main__":
    json.dump(asyncio.run(main(*sys.argv[1:])), sys.stdout, default=lambda value: value.decode())
