"""Bodies of requests that are no JSON: read whole, and no further than they may be long."""

from fastapi import Request

from service.errors import TooLarge


async def read_whole(request: Request, most: int) -> bytes:
    """The body, which must fit.

    Raises:
        TooLarge: it has more than `most` bytes.
    """
    pieces, size = [], 0
    async for chunk in request.stream():
        pieces.append(chunk)
        size += len(chunk)
        if size > most:
            raise TooLarge(f"a body of more than {most} bytes")
    return b"".join(pieces)
