"""Windows against intervals: by brute force, in a fine grid of time."""

import numpy as np
import pytest

from tempo_attn.lab.listen.windows import Windows, highest, width_of

CASES = [
    Windows([(1.0, 2.0)], 10.0, 50, 10),
    Windows([(0.0, 0.35), (3.11, 4.47)], 12.5, 60, 17),
    Windows([(0.4, 0.5)], 25.0, 100, 1),
    Windows([(0.0, 4.0)], 25.0, 100, 100),
    Windows([(0.21, 1.0), (1.1, 1.3), (3.0, 3.9)], 25.0, 100, 40),
]


def by_brute_force(windows):
    """IoU, hit and error of every window, with time in steps of 0.1 ms."""
    step = 1e-4
    times = np.arange(0, windows.n_positions / windows.rate, step) + step / 2
    found = []
    for start in range(windows.count):
        first, last = start / windows.rate, (start + windows.width) / windows.rate
        inside = (times >= first) & (times < last)
        centre = (first + last) / 2
        fits, errors, hit = [], [], False
        for onset, offset in windows.intervals:
            event = (times >= onset) & (times < offset)
            fits.append((inside & event).sum() / (inside | event).sum())
            errors.append(abs(centre - (onset + offset) / 2))
            hit |= onset <= centre <= offset
        found.append((max(fits), float(hit), min(errors)))
    return np.array(found).T


@pytest.mark.parametrize("windows", CASES)
def test_every_window_by_brute_force(windows):
    iou, hit, error = by_brute_force(windows)
    assert windows.count == len(windows.iou) == windows.n_positions - windows.width + 1
    assert windows.iou == pytest.approx(iou, abs=2e-3)
    assert windows.hit.tolist() == hit.tolist()
    assert windows.error == pytest.approx(error, abs=1e-9)


def test_chance_is_the_mean_over_all_windows():
    """So by drawing windows at random, and, where the event is inside the clip, in closed form."""
    windows = CASES[0]
    drawn = np.random.default_rng(0).integers(0, windows.count, 200_000)
    assert windows.iou.mean() == pytest.approx(windows.iou[drawn].mean(), abs=2e-3)
    # Shifts of 0 to 9 of 10 positions share 10 - k: (10 - k) / (10 + k), on either side.
    shared = [(10 - k) / (10 + k) for k in range(10)]
    assert windows.iou.mean() == pytest.approx((2 * sum(shared) - 1) / 41)


def test_the_highest_window_by_trying_all():
    rng = np.random.default_rng(1)
    profiles = rng.random((3, 4, 30))
    starts, sums = highest(profiles, 7)
    for place in np.ndindex(3, 4):
        every = [profiles[place][at : at + 7].sum() for at in range(24)]
        assert starts[place] == int(np.argmax(every))
        assert sums[place] == pytest.approx(max(every))


def test_where_all_is_alike_there_is_no_window():
    profiles = np.array([np.zeros(9), np.full(9, 0.1), np.eye(9)[4]])
    assert highest(profiles, 3)[0].tolist() == [-1, -1, 2]


def test_widths():
    assert width_of(1.0, 12.5, 100) == 13
    assert width_of(0.001, 12.5, 100) == 1
    assert width_of(9.0, 12.5, 100) == 100
