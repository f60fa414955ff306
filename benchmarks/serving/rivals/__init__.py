"""The same model behind other servers, written as their documentation has it: POST /predict, GET /health."""
