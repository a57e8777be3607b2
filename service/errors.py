"""What the hub refuses to do, each refusal with the HTTP status that it answers."""

from typing import Any


class HubError(Exception):
    """A refusal that the caller can understand; the text never holds a patient's name or HN."""

    status = 400
    title = "The request cannot be carried out"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message
        self.members: dict[str, Any] = {}
        """Of the problem document, beside those that each has (RFC 9457 3.2)."""


class NotSignedIn(HubError):
    """No token, or one that is unknown, expired or revoked."""

    status = 401
    title = "Sign in"


class NotAllowed(HubError):
    """The account's role does not include this."""

    status = 403
    title = "Not allowed"


class StillBlind(HubError):
    """The viewer is to read this study blind, and has not yet."""

    status = 409
    title = "You have this study to read blind"


class Forged(HubError):
    """A form came without the mark that this hub put into it: another site may have sent it."""

    status = 403
    title = "The form has expired"


class HospitalNotChosen(HubError):
    """The person works for several hospitals and has not said for which one now."""

    status = 403
    title = "Choose a hospital"


class TooManyAttempts(HubError):
    """Signing in has failed too often of late; the text says when it may be tried again."""

    status = 429
    title = "Too many tries"

    def __init__(self, message: str, *, minutes: int) -> None:
        super().__init__(message)
        self.minutes = minutes


class TooManyStreams(HubError):
    """The account follows events over as many connections as it may."""

    status = 429
    title = "Too many connections"


class NotFound(HubError):
    """There is no such thing, or not for this viewer: the two are never told apart."""

    status = 404
    title = "Not found"


class NotReady(HubError):
    """The study has no result yet, so this cannot be done to it."""

    status = 409
    title = "Not ready"


class IllegalTransition(HubError):
    """A study may not go from the state it is in to the one asked for."""

    status = 409
    title = "Illegal change of state"


class AlreadyExists(HubError):
    """The name or number is taken."""

    status = 409
    title = "Already exists"


class Changed(HubError):
    """Somebody else has changed it since the caller looked; the text says what it is now."""

    status = 409
    title = "Changed meanwhile"


class GatesRefuse(HubError):
    """A model is not shown to be as good as the one that reads; the text says by which figures."""

    status = 409
    title = "The gates refuse"


class TooFewReviews(HubError):
    """A hospital's radiologists have reviewed too few studies to set a threshold from."""

    status = 409
    title = "Too few reviews"


class SensitivityFalls(HubError):
    """A threshold would miss more of the reviewed studies than may be missed; the text says how many."""

    status = 409
    title = "Sensitivity would fall"


class AlreadyReferred(HubError):
    """The patient is on the way to a hospital, or one has been asked."""

    status = 409
    title = "Already referred"


class HandoverUnderWay(HubError):
    """What is asked for once more is still on its way."""

    status = 409
    title = "Under way"


class BadRequest(HubError):
    """A value is outside what is accepted; the text names the value and the limit."""

    status = 422
    title = "Unacceptable value"


class BadSyntax(HubError):
    """A DICOMweb request that makes no sense; PS3.18 wants 400 where the hub's own API answers 422."""

    status = 400
    title = "The request makes no sense"


class Unavailable(HubError):
    """A part of the hub that this needs is not running."""

    status = 503
    title = "Unavailable"


class NotAcceptable(HubError):
    """None of the forms that the request accepts can be sent; the text names those that can."""

    status = 406
    title = "Not acceptable"


class Malformed(HubError):
    """The request's body or address is not what the protocol prescribes."""

    status = 400
    title = "Malformed request"


class UnsupportedMedia(HubError):
    """The body is of a media type that is not taken."""

    status = 415
    title = "Unsupported media type"


class TooLarge(HubError):
    """More bytes than are taken; the text names the limit."""

    status = 413
    title = "Too large"


class Busy(HubError):
    """Somebody else holds it at this moment."""

    status = 423
    title = "Busy"


class OffsetMismatch(HubError):
    """The sender goes on from another place than the bytes that are here end at."""

    status = 409
    title = "Another offset"


class ChecksumMismatch(HubError):
    """The bytes are not those that were announced. tus 1.0.0, extension checksum."""

    status = 460
    title = "Checksum mismatch"


class DiskFull(HubError):
    """There is no room to keep it."""

    status = 507
    title = "No room"
