"""Power laws: estimators of the exponent alpha of a spectrum's tail."""

from wwopt.powerlaw.bootstrap import bootstrap_intervals
from wwopt.powerlaw.estimators import ESTIMATORS, Estimator, EstimatorName, fit_powerlaw, fit_powerlaws
from wwopt.powerlaw.fit import PowerLawFit

__all__ = [
    "ESTIMATORS",
    "Estimator",
    "EstimatorName",
    "PowerLawFit",
    "bootstrap_intervals",
    "fit_powerlaw",
    "fit_powerlaws",
]
