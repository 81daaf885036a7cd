"""The journal: a SQLite file with every number, and a log of what its backend has."""
