"""Numerics of the recommender: numpy, scipy, scikit-learn, numba, and nothing of Django."""
