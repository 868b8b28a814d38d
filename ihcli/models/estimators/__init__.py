"""Estimators of scikit-learn as torch modules: pipelines of raw tables before a multi-layer perceptron."""
