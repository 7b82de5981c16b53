"""The stage itself: what it promises not to miss."""

from __future__ import annotations

import time

import pytest
from triggerer_process.probe import Probe
from triggerer_process.stage import Stage

pytestmark = pytest.mark.filterwarnings("ignore")


def test_a_trigger_that_blocks_is_noticed_by_the_watchdog_and_by_the_probe(
    stage: Stage, probe: Probe
) -> None:
    stage.start_triggerer()
    probe.wait()

    started = time.time()
    stage.defer("loop_gap.BlockingTrigger", {"seconds": 0.6})
    (wait,) = stage.resumed([1])

    assert wait.event == {"status": "ready"}
    assert probe.largest_gap(started) > 0.5
    assert stage.standstills
