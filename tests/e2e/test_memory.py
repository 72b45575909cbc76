"""Memory grows neither with the size of messages nor with the number of folders: 9 MiB (12 over TLS) and
100 octets for each message of the largest folder."""
import pytest

import mail
from mailtwin import assert_equal, sanitized

LIMIT = 9 * 1024  # KiB
LIMIT_TLS = 12 * 1024


@pytest.mark.skipif(sanitized(), reason="the sanitizer's own memory is measured")
def test_40_messages_of_1_to_20_megabytes_over_tls(user, make_twin):
    twin = make_twin(user, tls=True)
    with user.client() as client:
        for number in range(40):
            client.append(mail.plain(number, size=1_000_000 * (1 + number % 20)))
    down = twin.measured_sync()
    assert down.exit == 0 and down.peak < LIMIT_TLS, (down.peak, down)
    assert_equal(user, twin)


@pytest.mark.skipif(sanitized(), reason="the sanitizer's own memory is measured")
def test_uploads_of_20_megabytes_over_tls(user, make_twin):
    twin = make_twin(user, tls=True)
    for number in range(10):
        twin.tree.deliver(mail.plain(number, size=20_000_000), letters="S")
    up = twin.measured_sync()
    assert up.exit == 0 and up.peak < LIMIT_TLS, (up.peak, up)
    assert_equal(user, twin)


@pytest.mark.skipif(sanitized(), reason="the sanitizer's own memory is measured")
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_many_folders_that_change_at_once(user, make_twin, tls):
    """SCRAM takes 2 MiB for OpenSSL's provider, as TLS does: not without it."""
    twin = make_twin(user, tls=tls, auth="plain")
    folders = [f"f{number}" for number in range(80)]
    with user.client() as client:
        for index, folder in enumerate(folders):
            client.create(folder)
            client.append_many(mail.batch(index * 100, 100), folder)
    limit = (LIMIT_TLS if tls else LIMIT) + 100 * 110 // 1024
    down = twin.measured_sync()
    assert down.exit == 0 and down.peak < limit, (down.peak, down)
    with user.client() as client:
        for index, folder in enumerate(folders):
            client.expunge("1:10", folder)
            client.append_many(mail.batch(20_000 + index * 10, 10), folder)
    for index, folder in enumerate(folders):
        twin.tree.deliver(mail.plain(50_000 + index), folder)
    both = twin.measured_sync("--allow-delete")
    assert both.exit == 0 and both.peak < limit, (both.peak, both)
    assert_equal(user, twin)
