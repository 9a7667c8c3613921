"""Knobs: from win rates to a threshold, with intervals."""

from __future__ import annotations

from turnout.calibration.curve import Calibration, calibrate_share
from turnout.calibration.price import PriceCalibration, calibrate_price, calibrate_saving

__all__ = [
    "Calibration",
    "PriceCalibration",
    "calibrate_price",
    "calibrate_saving",
    "calibrate_share",
]
