"""Who may call the gateway: roles, secrets, installations, users, and the end of a key."""

from __future__ import annotations

from dataclasses import replace

import pytest

from streamrec.core import access
from streamrec.core.access import ANONYMOUS, ApiKey, Role, Scope
from streamrec.errors import AccessRefused, UserError

HERE = Scope("streamrec.", "sr", "a1b2")
SECRET = "sr_secret-of-shop"
SHOP = ApiKey("k1", "shop", frozenset({Role.READ}), access.digest_of(SECRET), HERE, 1_000)


def refusal(call, *arguments) -> AccessRefused:
    with pytest.raises(AccessRefused) as raised:
        call(*arguments)
    return raised.value


def test_a_key_is_recognised_by_its_secret_alone() -> None:
    other = replace(SHOP, key_id="k2", digest=access.digest_of("sr_another"))
    assert access.recognised([other, SHOP], SECRET, HERE, 2_000) is SHOP
    unknown = refusal(access.recognised, [other, SHOP], "sr_guess", HERE, 2_000)
    assert (unknown.code, unknown.known) == ("unknown-key", False)
    assert "guess" not in str(unknown)
    assert refusal(access.recognised, [SHOP], SHOP.digest, HERE, 2_000).code == "unknown-key"


def test_a_key_ends_in_the_millisecond_that_it_names() -> None:
    ends = replace(SHOP, expires_at_ms=5_000)
    assert access.recognised([ends], SECRET, HERE, 4_999) is ends
    assert refusal(access.recognised, [ends], SECRET, HERE, 5_000).code == "expired-key"


@pytest.mark.parametrize(
    ("made_for", "fits"),
    [
        (HERE, True),
        (replace(HERE, installation=""), True),  # made before anybody knew
        (replace(HERE, installation="ffff"), False),
        (replace(HERE, topics="staging."), False),
        (replace(HERE, redis="other"), False),
    ],
)
def test_a_key_is_good_for_the_installation_it_was_made_for(made_for: Scope, fits: bool) -> None:
    key = replace(SHOP, scope=made_for)
    if fits:
        assert access.recognised([key], SECRET, HERE, 2_000) is key
    else:
        assert refusal(access.recognised, [key], SECRET, HERE, 2_000).code == "foreign-key"


@pytest.mark.parametrize("role", Role)
def test_roles_are_apart_and_admin_has_them_all(role: Role) -> None:
    key = replace(SHOP, roles=frozenset({role}))
    assert {other for other in Role if key.may(other)} == (
        set(Role) if role is Role.ADMIN else {role}
    )


def test_who_is_known_is_told_what_is_missing_and_who_is_not_that_a_key_is() -> None:
    known = refusal(access.check_role, SHOP, Role.WRITE)
    assert (known.code, known.known) == ("role-missing", True)
    assert "shop" in str(known)
    assert "write" in str(known)
    nobody = refusal(access.check_role, ANONYMOUS, Role.ADMIN)
    assert (nobody.code, nobody.known) == ("key-needed", False)
    access.check_role(ANONYMOUS, Role.WRITE)


def test_a_bound_key_sees_its_users_and_nothing_that_is_everybodys() -> None:
    bound = replace(SHOP, users="acme:")
    access.check_user(bound, "acme:ann")
    for stranger in ("other:ann", "acme", "ACME:ann", ""):
        assert refusal(access.check_user, bound, stranger).code == "foreign-user"
    assert "ann" not in str(refusal(access.check_user, bound, "other:ann"))
    assert refusal(access.check_unbound, bound, "the catalogue").code == "bound-key"
    access.check_unbound(SHOP, "the catalogue")
    access.check_user(SHOP, "anybody")


def test_what_a_person_asks_for_is_checked() -> None:
    assert access.checked_roles(["read,write", "admin"], "") == set(Role)
    assert access.expiry_ms("2h", 1_000) == 7_201_000
    assert access.expiry_ms("", 1_000) is None
    for wrong in (["rea"], [""], []):
        with pytest.raises(UserError, match="role"):
            access.checked_roles(wrong, "")
    with pytest.raises(UserError, match="bound"):
        access.checked_roles(["admin"], "acme:")
    with pytest.raises(UserError, match="helps nobody"):
        access.expiry_ms("0s", 1_000)
    for name in ("", "a b", "x" * 65, "-x", "sh\nop"):
        with pytest.raises(UserError, match="name"):
            access.checked_name(name)


def test_a_record_gives_the_key_back_and_says_what_is_wrong_with_it() -> None:
    record = access.to_record(SHOP)
    assert access.from_record(record) == SHOP
    assert SECRET not in str(record)
    assert access.from_record(record | {"a-later-version": 1}) == SHOP
    for change in (
        {"sha256": "abc"},
        {"sha256": None},
        {"roles": ["root"]},
        {"roles": None},
        {"name": "a b"},
        {"expires_at_ms": "soon"},
        {"roles": ["admin"], "users": "acme:"},
    ):
        with pytest.raises(ValueError, match=r".+") as raised:
            access.from_record(record | change)
        assert SHOP.digest not in str(raised.value)
    with pytest.raises(ValueError, match="no id"):
        access.from_record({name: value for name, value in record.items() if name != "id"})
