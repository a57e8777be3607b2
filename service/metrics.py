"""Counts that survive restarts and are shared by every process: kept as rows, read out for Prometheus."""

from collections.abc import Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import Float, String, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Mapped, Session, mapped_column

from service.db import Base

BUCKETS = (1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0)
"""Seconds; 3 and 10 are the promised bars."""

RECEIVED_INSTANCES = "received_instances"
RESULT_SECONDS = "result_seconds"
DELIVERIES = "deliveries"
ALERT_SECONDS = "alert_seconds"
ALERT_MESSAGES = "alert_messages"


class Tally(Base):
    """One counter, counted up in the transaction of the event it counts."""

    __tablename__ = "tallies"

    name: Mapped[str] = mapped_column(String(60), primary_key=True)
    label: Mapped[str] = mapped_column(String(60), primary_key=True)
    value: Mapped[float] = mapped_column(Float(53))


def count(session: Session, name: str, amount: float = 1, *, label: str = "") -> None:
    """Add `amount` to a counter."""
    dialect: Any = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    row = dialect.insert(Tally).values(name=name, label=label, value=amount)
    session.execute(
        row.on_conflict_do_update(
            index_elements=["name", "label"], set_={"value": Tally.value + row.excluded.value}
        ),
        execution_options={"synchronize_session": False},
    )


def observe(session: Session, name: str, seconds: float) -> None:
    """Put one duration into a histogram's bucket."""
    bucket = next((str(limit) for limit in BUCKETS if seconds <= limit), "+Inf")
    count(session, name, label=bucket)
    count(session, name, seconds, label="sum")


def tallies(session: Session, name: str) -> dict[str, float]:
    """Every label of a counter with its value."""
    rows = session.execute(select(Tally.label, Tally.value).where(Tally.name == name))
    return {label: value for label, value in rows}


def exposition(
    session: Session,
    *,
    studies: Mapping[str, int],
    queue_depth: Mapping[str, int] | None,
    drift: Mapping[str, int] | None = None,
) -> bytes:
    """What Prometheus reads: the tallies, with the counts that the caller has at hand.

    Args:
        session: A reading session.
        studies: Number of studies by state.
        queue_depth: Number of waiting jobs by queue; None where no queue is connected.
        drift: Number of hospitals by what has drifted there.
    """
    registry = CollectorRegistry()
    registry.register(_Once([*_families(session, studies, queue_depth), _drifted(drift or {})]))
    return generate_latest(registry)


class _Once(Collector):
    def __init__(self, families: list[Metric]) -> None:
        self.families = families

    def collect(self) -> Iterator[Metric]:
        yield from self.families


def _families(
    session: Session, studies: Mapping[str, int], queue_depth: Mapping[str, int] | None
) -> Iterator[Metric]:
    by_state = GaugeMetricFamily("hub_studies", "Studies by state.", labels=["state"])
    for state, number in studies.items():
        by_state.add_metric([state], number)
    yield by_state
    received = sum(tallies(session, RECEIVED_INSTANCES).values())
    yield CounterMetricFamily("hub_received_instances", "Instances taken into the hub.", value=received)
    yield _histogram(
        "hub_result_seconds", "Seconds from the last slice to the result.", tallies(session, RESULT_SECONDS)
    )
    yield _deliveries(tallies(session, DELIVERIES))
    yield _histogram(
        "hub_alert_seconds",
        "Seconds from a hop of the ladder to a message's delivery.",
        tallies(session, ALERT_SECONDS),
    )
    yield _messages(tallies(session, ALERT_MESSAGES))
    if queue_depth is not None:
        depth = GaugeMetricFamily("hub_queue_depth", "Jobs waiting by queue.", labels=["queue"])
        for queue, number in queue_depth.items():
            depth.add_metric([queue], number)
        yield depth


def _drifted(values: Mapping[str, int]) -> Metric:
    family = GaugeMetricFamily("hub_drift_alarms", "Hospitals by what has drifted.", labels=["alarm"])
    for alarm, number in values.items():
        family.add_metric([alarm], number)
    return family


def _deliveries(values: Mapping[str, float]) -> Metric:
    family = CounterMetricFamily("hub_deliveries", "Deliveries to PACS by how they ended.", labels=["state"])
    for state, number in values.items():
        family.add_metric([state], number)
    return family


def _messages(values: Mapping[str, float]) -> Metric:
    family = CounterMetricFamily(
        "hub_alert_messages", "Messages of alerts by way and by how they ended.", labels=["way", "state"]
    )
    for label, number in values.items():
        family.add_metric(label.split("."), number)
    return family


def _histogram(name: str, text: str, values: Mapping[str, float]) -> Metric:
    family = HistogramMetricFamily(name, text)
    running, buckets = 0.0, []
    for limit in (*map(str, BUCKETS), "+Inf"):
        running += values.get(limit, 0)
        buckets.append((limit, running))
    family.add_metric([], buckets, values.get("sum", 0))
    return family
