import threading
from collections.abc import Callable

import pytest
from pynetdicom import evt
from pynetdicom.sop_class import Verification

from pacs_gateway.inbox import Inbox
from pacs_gateway.listener import Listener
from pacs_gateway.peers import CALLING_AE, Peer, PeerUnreachable, associate

Listen = Callable[..., tuple[Inbox, Listener]]


class TestAssociate:
    def test_a_rejection_that_comes_before_anybody_looks_is_told(self, listen: Listen) -> None:
        _, listener = listen(learn=False)
        closed = threading.Event()
        handlers = [
            (evt.EVT_REQUESTED, lambda _: closed.wait(20)),
            (evt.EVT_CONN_CLOSE, lambda _: closed.set()),
        ]
        peer = Peer("IMAGINGHUB", "127.0.0.1", listener.port)
        with pytest.raises(PeerUnreachable, match="Calling AE title not recognised"):
            associate(peer, CALLING_AE, [(Verification, "")], 10, handlers=handlers)
