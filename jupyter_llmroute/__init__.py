"""A notebook question goes to the right local model, and nothing leaves the allowed network."""

__version__ = "0.1.0"
