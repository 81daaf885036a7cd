"""Trackers of Hugging Face accelerate."""
