"""ONNX files: graphs of scikit-learn (skl2onnx), of boosters (onnxmltools), of CatBoost, and made by hand."""
