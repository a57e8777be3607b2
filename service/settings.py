"""Every HUB_* setting with its default and its meaning; read once, never changed."""

import logging
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from starlette.config import Config

from service.channels.fence import read_fence

SHIPPED_MODEL = Path(__file__).parent.parent / "model" / "artefacts" / "stroke-ct-0.4.0"
NREFER_URL = r"(https://[^/\s]+|http://(127\.0\.0\.1|localhost)(:\d{1,5})?)(/[^\s?#]*)?"  # names travel there
PORT = {"low": 1, "high": 65535}
TRUE, FALSE = {"1", "true", "yes", "on"}, {"0", "false", "no", "off"}


class BadSetting(ValueError):
    """A setting has a value that is not accepted; the text names variable, value and limit."""

    def __init__(self, name: str, value: object, limit: str) -> None:
        super().__init__(f"HUB_{name.upper()} is {str(value)!r}; it must be {limit}")


@dataclass(frozen=True, slots=True)
class Settings:
    """The whole configuration; every default works on a laptop with nothing else installed."""

    data: Path = Path("hub-data")
    """The folder that holds everything the hub keeps: rows, files, inbox, callers."""

    database_url: str = ""
    """Where the rows are. Empty: SQLite in the data folder. `postgresql://...` for several machines."""

    storage: str = ""
    """Where study files are kept. Empty: the folder `storage` in the data folder; or another folder."""

    http_host: str = "127.0.0.1"
    """The address the API and the pages listen on; 0.0.0.0 opens them to the network."""

    http_port: int = field(default=8080, metadata=PORT)
    """The port of the API and the pages."""

    public_url: str = ""
    """The address people type, such as https://hub.example.go.th, where a proxy stands before the pages."""

    session_idle_minutes: int = field(default=60, metadata={"low": 5, "high": 1440})
    """After how many minutes without use a browser is signed out."""

    session_hours: int = field(default=12, metadata={"low": 1, "high": 72})
    """After how many hours a browser is signed out in any case."""

    providers: str = ""
    """A TOML file that lists identity providers at which people may sign in; see `service.sign_in_doors`."""

    dicom_host: str = "127.0.0.1"
    """The address the DICOM listener listens on; 0.0.0.0 opens it to the network."""

    dicom_port: int = field(default=11112, metadata=PORT)
    """The port for plain DICOM."""

    dicom_tls_port: int = field(default=2762, metadata=PORT)
    """The port for DICOM over TLS; opened once `hub tls init` has made a certificate."""

    ae_title: str = "IMAGINGHUB"
    """The name this hub answers to, 1 to 16 characters (PS3.5 6.2, AE)."""

    learn_callers: bool = False
    """Take studies from callers that are not listed, and list them for an administrator to confirm."""

    research_key: str = ""
    """The file with the secret behind the pseudonyms of cases. Empty: `research.key` in the data folder, made
    on first use; on a real hub keep it apart from the data and its backups."""

    model: Path = SHIPPED_MODEL
    """The folder of the model package that workers load."""

    model_site: str = ""
    """A file of one site's thresholds over those of the package, from `python -m training.conformal`."""

    jobs_url: str = ""
    """Where jobs are kept. Empty: the PostgreSQL of HUB_DATABASE_URL, else SQLite in the data folder."""

    listener_processes: int = field(default=1, metadata={"low": 1, "high": 64})
    """How many processes share the DICOM port."""

    blank_files: int = field(default=384, metadata={"low": 0, "high": 100_000})
    """Files of 528 kB written beforehand, so that a CT is durable sooner; see `pacs_gateway.blanks`."""

    workers: int = field(default=1, metadata={"low": 0, "high": 64})
    """How many worker processes `hub serve` starts; 0 where other machines do the work."""

    disk_reserve_mb: int = field(default=1024, metadata={"low": 0, "high": 10_000_000})
    """Free megabytes below which new studies are refused (0xA700) and readiness fails."""

    relay_to: str = ""
    """Where `hub relay` brings what it receives: AET@HOST:PORT of the hub, or https://.../dicomweb."""

    relay_token: str = field(default="", repr=False)
    """The hub's token for the relay where it goes by https."""

    relay_tls: bool = True
    """Whether the relay calls the hub over TLS."""

    relay_kbit: int = field(default=0, metadata={"low": 0, "high": 10_000_000})
    """Kilobits a second that the relay may use of the link; 0 for all of it."""

    alert_ladder: str = "2,5,10"
    """Minutes without an answer after which an alert goes on to the next on call; see `service.ladders`."""

    alert_flags_an_hour: int = field(default=10, metadata={"low": 1, "high": 1000})
    """Flags of one hospital within an hour above which the next first shows on the pages alone."""

    alert_precision: int = field(default=20, metadata={"low": 0, "high": 100})
    """Percent of a hospital's judged flags that must have been right, else its flags do the same."""

    consult_open_minutes: int = field(default=10, metadata={"low": 1, "high": 1440})
    """Within how many minutes somebody at the asked hospital should have opened a consult."""

    consult_advice_minutes: int = field(default=20, metadata={"low": 1, "high": 1440})
    """Within how many minutes the advice should be there."""

    smtp_server: str = ""
    """HOST:PORT of the mail server for alerts; empty: none goes by e-mail."""

    smtp_sender: str = "imaging-hub@localhost"
    """The address that alerts come from."""

    smtp_user: str = ""
    """The name to sign in with at the mail server, if it wants one."""

    smtp_password: str = field(default="", repr=False)
    """The password for it."""

    smtp_security: str = "starttls"
    """How the mail server is called: starttls, tls, or off."""

    line_url: str = "https://api.line.me"
    """Where the LINE Messaging API is."""

    line_token: str = field(default="", repr=False)
    """The channel access token of the hub's LINE Official Account; empty: no alert goes by LINE."""

    moph_notify_url: str = "https://morpromt2f.moph.go.th"
    """Where MOPH Notify is; the keys belong to each hospital's contact."""

    nrefer_url: str = ""
    """Where MOPH Refer is, such as https://refer.moph.go.th/api/his; empty: no referral is sent there. Each
    hospital's keys are set by `hub moph key`."""

    nrefer_provider: str = "imaging-hub"
    """The name by which the ministry knows the system that sends (`hisProvider`)."""

    subscription_networks: str = ""
    """Networks where receivers of subscriptions may be, by http too (10.8.0.0/16,...); else public https."""

    notification_days: int = field(default=400, metadata={"low": 1, "high": 10_000})
    """How many days calls of subscribers are kept; those that arrived 90 at most."""

    log_level: str = "INFO"
    """The least severe message that is logged: DEBUG, INFO, WARNING or ERROR."""

    def __post_init__(self) -> None:
        for item in fields(self):
            if isinstance(getattr(self, item.name), int) and item.metadata:
                low, high = item.metadata["low"], item.metadata["high"]
                if not low <= getattr(self, item.name) <= high:
                    raise BadSetting(
                        item.name, getattr(self, item.name), f"a whole number from {low} to {high}"
                    )
        if not re.fullmatch(r"(?=.*[^ ])[ -\[\]-~]{1,16}", self.ae_title):
            raise BadSetting("ae_title", self.ae_title, "1 to 16 ASCII characters without a backslash")
        if self.log_level not in ("DEBUG", "INFO", "WARNING", "ERROR"):
            raise BadSetting("log_level", self.log_level, "DEBUG, INFO, WARNING or ERROR")
        if self.public_url and not re.fullmatch(r"https?://[^/\s]+", self.public_url):
            raise BadSetting("public_url", self.public_url, "http(s)://host without a path")
        if not re.fullmatch(r"\d{1,3}(,\d{1,3}){0,7}", self.alert_ladder) or (
            sorted(set(self.ladder_minutes)) != list(self.ladder_minutes) or not self.ladder_minutes[0]
        ):
            raise BadSetting("alert_ladder", self.alert_ladder, "1 to 8 rising minutes, such as 2,5,10")
        if self.smtp_server and not re.fullmatch(r"[^\s:]+:\d{1,5}", self.smtp_server):
            raise BadSetting("smtp_server", self.smtp_server, "HOST:PORT")
        if self.smtp_security not in ("starttls", "tls", "off"):
            raise BadSetting("smtp_security", self.smtp_security, "starttls, tls or off")
        if not re.fullmatch(r"[^@\s]+@[^@\s]+", self.smtp_sender):
            raise BadSetting("smtp_sender", self.smtp_sender, "an e-mail address")
        networks = self.subscription_networks
        try:
            read_fence(networks)
        except ValueError:
            raise BadSetting("subscription_networks", networks, "networks such as 10.8.0.0/16") from None
        for name in ("line_url", "moph_notify_url"):
            if not re.fullmatch(r"https?://[^/\s]+", getattr(self, name)):
                raise BadSetting(name, getattr(self, name), "http(s)://host without a path")
        if self.nrefer_url and not re.fullmatch(NREFER_URL, self.nrefer_url):
            raise BadSetting("nrefer_url", self.nrefer_url, "https://host/path; http only on this machine")
        for name in ("database_url", "jobs_url"):
            if getattr(self, name) and not re.match(r"(sqlite|postgresql)(\+\w+)?://", getattr(self, name)):
                raise BadSetting(name, "(hidden)", "a sqlite:// or postgresql:// address")

    @property
    def database(self) -> str:
        """The address of the rows as SQLAlchemy takes it."""
        return self._address(self.database_url) or f"sqlite:///{self.data.absolute() / 'hub.sqlite'}"

    @property
    def jobs_database(self) -> str:
        """The address of the jobs."""
        if self.jobs_url or self.database_url.startswith("postgresql"):
            return self._address(self.jobs_url or self.database_url)
        return f"sqlite:///{self.data.absolute() / 'jobs.sqlite'}"

    @property
    def ladder_minutes(self) -> tuple[int, ...]:
        """HUB_ALERT_LADDER as numbers."""
        return tuple(int(each) for each in self.alert_ladder.split(","))

    @property
    def address(self) -> str:
        """The hub's own address, as links to it begin."""
        return self.public_url or f"http://{self.http_host}:{self.http_port}"

    @property
    def disk_reserve_bytes(self) -> int:
        """HUB_DISK_RESERVE_MB in bytes."""
        return self.disk_reserve_mb * 1_000_000

    @property
    def inbox(self) -> Path:
        """What hospitals sent and the hub has not yet taken."""
        return self.data / "inbox"

    @property
    def storage_folder(self) -> Path:
        """The folder of study files when HUB_STORAGE names none."""
        return self.data / "storage"

    @property
    def callers(self) -> Path:
        """The list of who may call, written by the hub, read by the listener."""
        return self.data / "callers.json"

    @property
    def peers(self) -> Path:
        """The list of whom the listener reports commitments to, written by the hub."""
        return self.data / "peers.json"

    @property
    def tls(self) -> Path:
        """Keys and certificates."""
        return self.data / "tls"

    @property
    def viewer(self) -> Path:
        """The viewer's files, once `hub viewer install` has fetched them."""
        return self.data / "viewer"

    @property
    def processes_file(self) -> Path:
        """What `hub serve` says of its processes."""
        return self.data / "processes.json"

    @property
    def log_number(self) -> int:
        """The log level as the standard library counts it."""
        return logging.getLevelNamesMapping()[self.log_level]

    @staticmethod
    def _address(url: str) -> str:
        return re.sub(r"^postgresql://", "postgresql+psycopg://", url)


def read_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Read HUB_* from the environment; an empty variable counts as not set.

    Raises:
        BadSetting: a value is not accepted.
    """
    config = Config(environ=os.environ if environ is None else environ, env_prefix="HUB_")
    chosen: dict[str, Any] = {}
    for item in fields(Settings):
        text = config.get(item.name.upper(), default="").strip()
        if text:
            chosen[item.name] = _cast(item.name, item.type, text)
    return Settings(**chosen)


def _cast(name: str, kind: Any, text: str) -> object:
    if kind is int:
        if not re.fullmatch(r"[+-]?\d{1,12}", text):
            raise BadSetting(name, text, "a whole number")
        return int(text)
    if kind is bool:
        if text.lower() not in TRUE | FALSE:
            raise BadSetting(name, text, "one of " + ", ".join(sorted(TRUE | FALSE)))
        return text.lower() in TRUE
    return kind(text)
