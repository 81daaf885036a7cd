"""Array types of the numerics, for annotations."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Flags", "Floats", "Values"]

Floats = NDArray[np.float64]  # what is computed
Values = NDArray[np.floating[Any]]  # weights, in the precision of their source
Flags = NDArray[np.bool_]
