"""Metrics: counts that add up, in Prometheus's format."""

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy.orm import Session

from service import metrics


def samples(text: bytes) -> dict[tuple[str, str], float]:
    return {
        (sample.name, next(iter(sample.labels.values()), "")): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def test_counts_add_up(session: Session) -> None:
    metrics.count(session, "x")
    metrics.count(session, "x", 2.5)
    metrics.count(session, "x", label="other")
    assert metrics.tallies(session, "x") == {"": 3.5, "other": 1}


@pytest.mark.parametrize(("seconds", "bucket"), [(0, "1.0"), (1, "1.0"), (9.9, "10.0"), (1e6, "+Inf")])
def test_a_duration_falls_into_its_bucket(session: Session, seconds: float, bucket: str) -> None:
    metrics.observe(session, "x", seconds)
    assert metrics.tallies(session, "x") == {bucket: 1, "sum": seconds}


def test_prometheus_reads_it(session: Session) -> None:
    metrics.count(session, metrics.RECEIVED_INSTANCES, 32)
    for seconds in (0.5, 4, 4, 5000):
        metrics.observe(session, metrics.RESULT_SECONDS, seconds)
    text = metrics.exposition(session, studies={"flagged": 2}, queue_depth={"live": 3})
    found = samples(text)
    assert found["hub_studies", "flagged"] == 2
    assert found["hub_received_instances_total", ""] == 32
    assert found["hub_queue_depth", "live"] == 3
    assert [
        found["hub_result_seconds_bucket", limit] for limit in ("1.0", "3.0", "5.0", "3600.0", "+Inf")
    ] == [
        1,
        1,
        3,
        3,
        4,
    ]
    assert found["hub_result_seconds_sum", ""] == 5008.5


def test_without_a_queue_its_depth_is_left_out(session: Session) -> None:
    text = metrics.exposition(session, studies={}, queue_depth=None)
    assert b"hub_queue_depth" not in text
