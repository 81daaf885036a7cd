"""Response: the outputs of a module for noise, or for given inputs, measured on a replica that shares its weights."""

from wwopt.response.response import Response, information, probe

__all__ = ["Response", "information", "probe"]
