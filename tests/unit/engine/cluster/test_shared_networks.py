import pytest
from msgspec.structs import replace

from drivers.options import ENCRYPTED, VNIS
from engine.cluster import encryption
from engine.cluster.addressing import pick_address, pools_for_endpoint
from engine.cluster.model import Cluster, Cursor, vnis_of
from engine.cluster.shared_networks import allocate, next_subnet
from engine.errors import Conflict, EngineError, Forbidden, InvalidArgument
from engine.model import NetworkRecord, PoolRecord

CLUSTER = Cluster("c", "now")
PLAIN = NetworkRecord("n", "n", "now", "overlay", scope="swarm")
FIRST = Cursor(subnet="10.0.0.0/24", vni=4096)


def made(record, cursor=FIRST, others=()):
    return allocate(record, CLUSTER, cursor, others)


def test_subnets_and_ids_follow_one_another_and_are_not_reused_at_once():
    first, cursor = made(PLAIN)
    second, cursor = made(PLAIN, cursor)  # the first network is not passed, as if it had been removed
    assert [(n.pools[0].subnet, n.pools[0].gateway, n.options[VNIS]) for n in (first, second)] == [
        ("10.0.1.0/24", "10.0.1.1", "4097"),
        ("10.0.2.0/24", "10.0.2.1", "4098"),
    ]


def test_a_subnet_of_the_user_gets_an_id_but_uses_up_no_automatic_subnet():
    record, cursor = made(replace(PLAIN, pools=[PoolRecord("10.77.0.0/24")]))
    assert record.pools[0].gateway == "10.77.0.1" and record.pools[0].gateway_shown
    assert record.options[VNIS] == "4097" and cursor == replace(FIRST, vni=4097)


@pytest.mark.parametrize(
    ("pool", "gateway"),
    [
        (PoolRecord("10.77.0.1/32"), "10.77.0.1"),
        (PoolRecord("10.77.0.2/31"), "10.77.0.2"),
        (PoolRecord("fd00::/127"), "fd00::1"),
        (PoolRecord("10.77.0.0/24", ip_range="10.77.0.128/25"), "10.77.0.128"),
        (PoolRecord("10.77.0.0/24", ip_range="10.77.0.0/25"), "10.77.0.1"),
    ],
)
def test_the_gateway_is_the_first_address_that_docker_26_1_5_takes_in_a_swarm(pool, gateway):
    assert made(replace(PLAIN, pools=[PoolRecord("10.1.0.0/24"), pool]))[0].pools[1].gateway == gateway


def test_a_subnet_without_an_address_for_the_gateway_is_refused():
    with pytest.raises(EngineError, match=r"^failed to allocate gateway \(\): no available addresses on this pool$"):
        made(replace(PLAIN, pools=[PoolRecord("10.1.0.0/24"), PoolRecord("fd00::1/128")]))


def test_ids_of_the_user_are_used_and_never_given_to_other_networks():
    record, cursor = made(replace(PLAIN, options={VNIS: "4098"}))
    assert record.options[VNIS] == "4098" and cursor.vni == 4096
    next_one, cursor = made(PLAIN, cursor, [record])
    last, _ = made(PLAIN, cursor, [record, next_one])
    assert (next_one.options[VNIS], last.options[VNIS]) == ("4097", "4099")


ENCRYPTED_ONE = replace(PLAIN, name="one", options={ENCRYPTED: "", VNIS: "4097"})


def test_an_encrypted_network_has_no_subnet_with_tunnel_addresses():
    encrypted = replace(PLAIN, options={ENCRYPTED: ""})
    inside, outside = (PoolRecord("100.127.1.0/24"), PoolRecord("fd00::/64"))
    with pytest.raises(InvalidArgument, match=r"^subnet 100\.127\.1\.0/24 is refused for the encrypted network n: "):
        made(replace(encrypted, pools=[outside, inside]))
    assert made(replace(PLAIN, pools=[inside]))[0].pools[0].subnet == inside.subnet
    cluster = replace(CLUSTER, pools=("100.64.0.0/10",))
    after = replace(FIRST, subnet="100.126.255.0/24")
    assert allocate(encrypted, cluster, after, ())[0].pools[0].subnet == "100.64.0.0/24"
    assert allocate(PLAIN, cluster, after, ())[0].pools[0].subnet == "100.127.0.0/24"


def test_two_encrypted_networks_never_get_one_udp_port():
    """The UDP port is the VXLAN id modulo 8192. 12289 and 4097 give the same port."""
    before = replace(FIRST, vni=12288)
    second, cursor = made(replace(PLAIN, options={ENCRYPTED: ""}), before, [ENCRYPTED_ONE])
    assert second.options[VNIS] == "12290" and cursor.vni == 12290
    assert encryption.port(second) == encryption.port(ENCRYPTED_ONE) + 1
    assert made(PLAIN, before, [ENCRYPTED_ONE])[0].options[VNIS] == "12289"
    plain = replace(PLAIN, options={VNIS: "4097"})
    assert made(replace(PLAIN, options={ENCRYPTED: ""}), before, [plain])[0].options[VNIS] == "12289"


def test_an_id_of_the_user_that_gives_the_udp_port_of_another_network_is_refused():
    with pytest.raises(Conflict, match=r"^VXLAN id 12289 .* UDP port 51821 is used by the encrypted network one"):
        made(replace(PLAIN, options={ENCRYPTED: "", VNIS: "12289"}), FIRST, [ENCRYPTED_ONE])
    assert made(replace(PLAIN, options={VNIS: "12289"}), FIRST, [ENCRYPTED_ONE])[0].options[VNIS] == "12289"


def test_ipv6_subnets_get_an_id_that_docker_does_not_show():
    both, _ = made(replace(PLAIN, pools=[PoolRecord("10.1.0.0/24"), PoolRecord("fd00::/64")]))
    assert both.options[VNIS] == "4097" and both.host_options[VNIS] == "4097,4098"
    assert set(vnis_of(both)) == {"4097", "4098"}


def test_automatic_subnets_avoid_used_ones_and_start_again_after_the_last():
    assert str(next_subnet(CLUSTER, "10.0.1.0/24", ["10.0.2.0/23"])) == "10.0.4.0/24"
    assert str(next_subnet(CLUSTER, "10.255.255.0/24", [])) == "10.0.0.0/24"
    with pytest.raises(Forbidden):
        next_subnet(Cluster("c", "now", pools=("10.9.0.0/24",)), "", ["10.9.0.0/25"])


def test_addresses_are_allocated_in_turn_without_the_reserved_ones():
    pool = PoolRecord("10.0.1.0/29", gateway="10.0.1.1", aux_addresses={"x": "10.0.1.3"})
    assert pick_address(pool, 0x0A000100, ()) == "10.0.1.2"
    assert pick_address(pool, 0x0A000102, ()) == "10.0.1.4"
    assert pick_address(pool, 0x0A000106, {"10.0.1.2"}) == "10.0.1.4"
    assert pick_address(pool, 0x0A000102, (), skip=1) == "10.0.1.5"
    assert pick_address(pool, 0x0A000102, {"10.0.1.4"}, skip=99) == "10.0.1.2", "never past the last free one"
    with pytest.raises(Forbidden, match="context deadline exceeded"):
        pick_address(pool, 0x0A000102, {"10.0.1.2", "10.0.1.4", "10.0.1.5", "10.0.1.6"})


def test_both_addresses_of_a_subnet_of_two_are_usable():
    assert pick_address(PoolRecord("10.0.1.2/31", gateway="10.0.1.3"), 0x0A000101, ()) == "10.0.1.2"
    with pytest.raises(Forbidden, match="context deadline exceeded"):
        pick_address(PoolRecord("10.0.1.2/32", gateway="10.0.1.2"), 0x0A000101, ())


def test_an_endpoint_uses_one_pool_per_family_which_contains_the_requested_address():
    pools = [PoolRecord("10.1.0.0/24"), PoolRecord("10.2.0.0/24"), PoolRecord("fd00::/64")]
    record = replace(PLAIN, pools=pools)
    assert [p.subnet for p, _ in pools_for_endpoint(record, "", "")] == ["10.1.0.0/24", "fd00::/64"]
    assert [p.subnet for p, _ in pools_for_endpoint(record, "10.2.0.9", "")] == ["10.2.0.0/24", "fd00::/64"]
