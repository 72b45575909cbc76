"""Memory does not grow with the size of messages."""
import pytest

import mail
from mailtwin import assert_equal, sanitized

LIMIT = 16 * 1024  # KiB


@pytest.mark.skipif(sanitized(), reason="the sanitizer's own memory is measured")
def test_40_messages_of_1_to_20_megabytes_over_tls(user, make_twin):
    twin = make_twin(user, tls=True)
    with user.client() as client:
        for number in range(40):
            client.append(mail.plain(number, size=1_000_000 * (1 + number % 20)))
    down = twin.measured_sync()
    assert down.exit == 0 and down.peak < LIMIT, (down.peak, down)
    assert_equal(user, twin)


@pytest.mark.skipif(sanitized(), reason="the sanitizer's own memory is measured")
def test_uploads_of_20_megabytes_over_tls(user, make_twin):
    twin = make_twin(user, tls=True)
    for number in range(10):
        twin.tree.deliver(mail.plain(number, size=20_000_000), letters="S")
    up = twin.measured_sync()
    assert up.exit == 0 and up.peak < LIMIT, (up.peak, up)
    assert_equal(user, twin)
