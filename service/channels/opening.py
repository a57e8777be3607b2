"""The channels of this hub, as its settings open them."""

from collections.abc import Mapping

from service.channels.email import Email, Security, Server
from service.channels.line import Line
from service.channels.message import Channel
from service.channels.moph_notify import MophNotify
from service.channels.webhook import Webhook
from service.contacts import Way
from service.settings import Settings


def open_channels(settings: Settings) -> Mapping[Way, Channel]:
    """Every way that the settings have what it needs for."""
    channels: dict[Way, Channel] = {
        Way.WEBHOOK: Webhook(),
        Way.MOPH_NOTIFY: MophNotify(settings.moph_notify_url),
    }
    if settings.smtp_server:
        host, _, port = settings.smtp_server.partition(":")
        server = Server(
            host,
            int(port),
            settings.smtp_sender,
            settings.smtp_user,
            settings.smtp_password,
            Security(settings.smtp_security),
        )
        channels[Way.EMAIL] = Email(server)
    if settings.line_token:
        channels[Way.LINE] = Line(settings.line_url, settings.line_token)
    return channels
