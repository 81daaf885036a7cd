"""The response of a module to noise inputs."""

from wwopt.response.response import Response, information, respond

__all__ = ["Response", "information", "respond"]
