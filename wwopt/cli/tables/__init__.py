"""Results of commands, as tables for people and JSON for programs."""
