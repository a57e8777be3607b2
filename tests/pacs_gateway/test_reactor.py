"""pynetdicom's reactor thread stays away from the answers while it is held."""

from pynetdicom.sop_class import Verification

from pacs_gateway.peers import Peer, associate, finish
from pacs_gateway.reactor import reactor_held
from tests.pacs import small_pacs


def test_reactor_waits_through_all_requests_and_is_let_go() -> None:
    with small_pacs() as pacs:
        peer = Peer("SMALLPACS", "127.0.0.1", pacs.port)
        association, connection = associate(peer, "IMAGINGHUB", [(Verification, "")], 5.0)
        with reactor_held(association):
            for _ in range(3):
                assert association.send_c_echo().Status == 0
                assert association._is_paused
                assert not association._reactor_checkpoint.is_set()
        assert association._reactor_checkpoint.is_set()
        finish(association, connection)
    assert association.is_released
    assert not association.is_alive()
