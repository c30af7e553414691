"""A job that trains a classifier on scikit-learn's handwritten digits."""
