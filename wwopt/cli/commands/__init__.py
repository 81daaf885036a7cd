"""The commands, one module each.

Typer evaluates the annotations of a command, so these modules do not defer them.
"""
