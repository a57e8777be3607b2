"""`hub tls`: the hub's certificates, and those of the machines that call it."""

from pathlib import Path
from typing import Annotated

import typer

from service import audit, callers, certificates
from service.accounts import OPERATOR
from service.callers import check_ae_title, check_fingerprint
from service.certificates import CERTIFICATE_DAYS, Certificate
from service.commands.opening import open_database, open_settings
from service.db import session_scope
from service.hospitals import find_hospital

group = typer.Typer(
    help="Certificates for DICOM over TLS. A change takes effect at once.", no_args_is_help=True
)

Host = Annotated[list[str] | None, typer.Option(help="Name or address others call it by; repeatable.")]


def add_to(app: typer.Typer) -> None:
    """Add the group of commands."""
    app.add_typer(group, name="tls")


@group.command()
def init(host: Host = None) -> None:
    """Make the authority and the hub's certificate; the TLS port opens with it."""
    settings = open_settings()
    certificates.init_authority(settings.tls, settings.ae_title, host or [])
    print(f"give {settings.tls / 'ca.pem'} to whoever calls this hub or is called by it")


@group.command()
def renew(host: Host = None) -> None:
    """Make a new certificate for the hub itself, of the same authority."""
    settings = open_settings()
    fresh = certificates.renew_hub(settings.tls, settings.ae_title, host or [])
    print(_line(fresh))


@group.command()
def issue(
    ae_title: Annotated[str, typer.Argument(help="AE title of the machine.")],
    hospital: Annotated[str, typer.Option(help="Hospital code it speaks for.")],
    out: Annotated[Path, typer.Option(help="Folder for the certificate, and the key made here.")],
    request: Annotated[
        Path | None, typer.Option(help="Signing request (PEM); its key stays where it is.", exists=True)
    ] = None,
    days: Annotated[int, typer.Option(help="How long it is good.")] = CERTIFICATE_DAYS,
) -> None:
    """Issue a certificate to a machine, and let it call with it."""
    settings = open_settings()
    title = check_ae_title(ae_title)
    with session_scope(open_database(settings)) as session:
        find_hospital(session, hospital)
        request_pem = None if request is None else request.read_bytes()
        issued = certificates.issue(settings.tls, title, hospital, request_pem=request_pem, days=days)
        caller = callers.map_certificate(session, title, hospital, issued.certificate.fingerprint)
        audit.record(
            session,
            OPERATOR.username,
            "certificate.issue",
            detail={"caller": caller.id, "fingerprint": issued.certificate.fingerprint},
        )
        callers.publish_callers(session, settings)
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{title}.pem").write_bytes(issued.pem)
    (out / "ca.pem").write_bytes((settings.tls / "ca.pem").read_bytes())
    if issued.key_pem is not None:
        key = out / f"{title}.key"
        key.touch(mode=0o600)
        key.write_bytes(issued.key_pem)
    print(_line(issued.certificate))


@group.command()
def trust(
    certificate: Annotated[Path, typer.Argument(help="A machine's own certificate (PEM).", exists=True)],
    ae_title: Annotated[str, typer.Option("--ae", help="AE title of the machine.")],
    hospital: Annotated[str, typer.Option(help="Hospital code it speaks for.")],
) -> None:
    """Trust a certificate that somebody else issued, and let the machine call with it."""
    settings = open_settings()
    with session_scope(open_database(settings)) as session:
        find_hospital(session, hospital)
        trusted = certificates.trust(settings.tls, certificate.read_bytes())
        caller = callers.map_certificate(session, ae_title, hospital, trusted.fingerprint)
        audit.record(
            session,
            OPERATOR.username,
            "certificate.trust",
            detail={"caller": caller.id, "fingerprint": trusted.fingerprint},
        )
        callers.publish_callers(session, settings)
    print(_line(trusted))


@group.command("list")
def list_(
    expiring: Annotated[
        bool, typer.Option("--expiring", help="Only those that expire within 30 days.")
    ] = False,
) -> None:
    """List every certificate, the one that expires first at the top."""
    for each in certificates.list_certificates(open_settings().tls):
        if each.expires_soon or not expiring:
            print(_line(each))


@group.command()
def revoke(print_: Annotated[str, typer.Argument(metavar="FINGERPRINT", help="SHA-256.")]) -> None:
    """Let a certificate in no more."""
    settings = open_settings()
    with session_scope(open_database(settings)) as session:
        revoked = certificates.revoke(settings.tls, check_fingerprint(print_))
        callers.unmap_certificate(session, revoked.fingerprint)
        audit.record(
            session, OPERATOR.username, "certificate.revoke", detail={"fingerprint": revoked.fingerprint}
        )
        callers.publish_callers(session, settings)
    print(f"revoked {revoked.fingerprint}")


def _line(each: Certificate) -> str:
    state = "  revoked" if each.revoked else "  EXPIRES SOON" if each.expires_soon else ""
    return (
        f"{each.fingerprint}  {each.kind:<9} {each.name:<16} {each.hcode or '-':<5} "
        f"{each.expires_at:%Y-%m-%d}{state}"
    )
