"""For processes whose PYTHONPATH has this folder: the clock jumps, by up to a year either way, every second or so."""

import random
import time

_YEAR_S = 365 * 86_400.0
_real = time.time
_monotonic = time.monotonic


class _Clock:
    def __init__(self) -> None:
        self.ahead_s, self.until_s = 0.0, 0.0

    def __call__(self) -> float:
        if _monotonic() >= self.until_s:
            self.ahead_s = random.uniform(-_YEAR_S, _YEAR_S)
            self.until_s = _monotonic() + random.uniform(0.0, 2.0)
        return _real() + self.ahead_s


time.time = _Clock()
