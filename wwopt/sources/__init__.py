"""Resolve what a user names into candidates: weights, saved analyses, tables, runs and registered models."""
