"""A server, or something before it, that says what is not so: never a loss; the program asks again,
or leaves the folder alone and says so."""
import os
import re

import pytest

import mail
from acts import (assert_settled, deliver, expunge_there, file_of, fill, flags_there, here,
                  store_there, there, uid_of)
from proxy import Proxy


class Lying(Proxy):
    """A proxy whose replacements end after some lines: what a server says once."""

    def __init__(self, *args, once=(), **more):
        super().__init__(*args, **more)
        self.once = [[re.compile(pattern), text, count] for pattern, text, count in once]

    def _server_rules(self, connection, line):
        line = super()._server_rules(connection, line)
        for rule in self.once if line is not None else []:
            if rule[2] > 0 and rule[0].search(line):
                rule[2] -= 1
                connection.faults.append("lie")
                line = rule[0].sub(rule[1], line) if rule[1] is not None else None
                break
        return line


def lying(user, **more):
    return Lying(("127.0.0.1", user.server.plain), **more)


def sync_through(twin, proxy, *arguments):
    twin.set(port=proxy.port)
    result = twin.run("sync", "--json", *arguments)
    twin.set(port=twin.user.server.plain)
    assert result.exit in (0, 1, 3, 75), result
    return result


def assert_lost_nothing(user, twin, expected):
    """Through an honest line all is as it should be."""
    twin.set(port=user.server.plain)
    twin.sync()
    assert_settled(user, twin, expected=expected)


@pytest.fixture
def synced(user, twin):
    fill(user, "INBOX", *range(12))
    fill(user, "A", *range(50, 55))
    twin.sync()
    return twin


ALL = {"INBOX": range(12), "A": range(50, 55)}
EXTENSIONS = pytest.mark.parametrize("hide", [[], ["QRESYNC"], ["QRESYNC", "CONDSTORE"]],
                                     ids=["qresync", "condstore", "plain"])


def touch(user):
    """Something new, so that the mailbox is looked at."""
    store_there(user, 1, "+FLAGS", ["\\Flagged"])


@EXTENSIONS
@pytest.mark.parametrize("times", [1, 99])
def test_exists_0(user, synced, hide, times):
    touch(user)
    with lying(user, hide=hide, once=[(rb"^\* \d+ EXISTS", rb"* 0 EXISTS", times)]) as proxy:
        result = sync_through(synced, proxy)
        assert "lie" in proxy.faults()
    assert here(synced) == {name: list(numbers) for name, numbers in ALL.items()}
    assert result.exit in (0, 1)
    assert_lost_nothing(user, synced, ALL)


@EXTENSIONS
def test_status_and_exists_say_that_all_is_gone(user, synced, hide):
    """Consistently, for one run: 12 of 12 are below the guard's 20; the server keeps them all."""
    touch(user)
    with lying(user, hide=hide, replace=[(rb"MESSAGES \d+", b"MESSAGES 0"),
                                         (rb"^\* \d+ EXISTS", rb"* 0 EXISTS")],
               drop_lines=[rb"^\* \d+ FETCH"]) as proxy:
        sync_through(synced, proxy)
    assert there(user) == {name: list(numbers) for name, numbers in ALL.items()}
    assert_lost_nothing(user, synced, ALL)


@pytest.mark.parametrize("range_", [rb"1:*", b"1:12", b"1:4294967295", b"12:1", b"1,2,3,4,5,6,7,8,9"])
def test_vanished_names_everything(user, synced, range_):
    touch(user)
    with lying(user, once=[(rb"^(\* \d+ FETCH )", b"* VANISHED (EARLIER) " + range_ + b"\r\n\\1", 1)
                           ]) as proxy:
        sync_through(synced, proxy)
        assert "lie" in proxy.faults()
    assert here(synced) == {name: list(numbers) for name, numbers in ALL.items()}
    assert_lost_nothing(user, synced, ALL)


def test_vanished_names_one_that_is_there(user, synced):
    touch(user)
    with lying(user, once=[(rb"^(\* \d+ FETCH )", rb"* VANISHED (EARLIER) 5\r\n\1", 1)]) as proxy:
        sync_through(synced, proxy)
    assert here(synced) == {name: list(numbers) for name, numbers in ALL.items()}
    assert_lost_nothing(user, synced, ALL)


def test_vanished_is_left_out(user, synced):
    """A server that forgets what was expunged: the count does not agree, so it is asked in full."""
    expunge_there(user, 3)
    with lying(user, drop_lines=[rb"^\* VANISHED"]) as proxy:
        sync_through(synced, proxy)
    assert_lost_nothing(user, synced, {**ALL, "INBOX": [0, 1, 2, *range(4, 12)]})


@pytest.mark.parametrize("status", ["one", "all", "no"])
def test_a_status_line_is_missing(user, synced, status):
    fill(user, "INBOX", 20)
    fill(user, "A", 60)
    rules = {"one": dict(drop_lines=[rb"^\* STATUS \"?A\b"]), "all": dict(drop_lines=[rb"^\* STATUS"]),
             "no": dict(replace=[(rb"^\* STATUS \"?A\"? .*", b"* NO cannot look at A")])}[status]
    with lying(user, **rules) as proxy:
        result = sync_through(synced, proxy)
        assert result.exit in (0, 1), result
    assert 20 in here(synced)["INBOX"]
    assert_lost_nothing(user, synced, {"INBOX": [*range(12), 20], "A": [*range(50, 55), 60]})


@pytest.mark.parametrize("status", [b"(MESSAGES 5)", b"()", b"(UIDNEXT 0 UIDVALIDITY 0)",
                                    b"(MESSAGES 99999999999999)", b"(X-NEW (1 2) MESSAGES 5)"])
def test_a_status_line_that_says_little(user, synced, status):
    fill(user, "A", 60)
    with lying(user, replace=[(rb"^(\* STATUS \"?A\"?) \(.*\)", b"\\1 " + status)]) as proxy:
        sync_through(synced, proxy)
    assert set(here(synced)["INBOX"]) == set(range(12))
    assert_lost_nothing(user, synced, {"INBOX": range(12), "A": [*range(50, 55), 60]})


@EXTENSIONS
@pytest.mark.parametrize("uid", [1, 12])
def test_fetch_leaves_one_out(user, synced, hide, uid):
    """In every list of this run; it is not gone for that."""
    touch(user)
    with lying(user, hide=hide,
               drop_lines=[rb"^\* %d FETCH \((?:FLAGS|UID)" % uid]) as proxy:
        sync_through(synced, proxy, "--full")
    assert here(synced) == {name: list(numbers) for name, numbers in ALL.items()}
    assert_lost_nothing(user, synced, ALL)


def test_fetch_leaves_a_new_one_out(user, synced):
    fill(user, "INBOX", *range(20, 30))
    with lying(user, drop_lines=[rb"^\* 15 FETCH"]) as proxy:
        result = sync_through(synced, proxy)
        assert result.exit in (0, 1, 75), result
    assert_lost_nothing(user, synced, {**ALL, "INBOX": [*range(12), *range(20, 30)]})


@pytest.mark.parametrize("change", [
    (rb"\[APPENDUID (\d+) (\d+)\]", rb"[APPENDUID \2 \1]"),
    (rb"\[APPENDUID \d+ \d+\] ?", b""),
    (rb"\[APPENDUID (\d+) (\d+)\]", rb"[APPENDUID \1 1]"),
    (rb"\[APPENDUID (\d+) (\d+)\]", rb"[APPENDUID \1 999999]"),
    (rb"\[APPENDUID (\d+) (\d+)\]", rb"[APPENDUID \1 0]"),
    (rb"\[APPENDUID (\d+) (\d+)\]", rb"[APPENDUID 1 \2]"),
    (rb"\[APPENDUID (\d+) (\d+)\]", rb"[APPENDUID nonsense]"),
    (rb"\[APPENDUID (\d+) (\d+)\]", rb"[APPENDUID \1 \2:\2,7]"),
], ids=["swapped", "absent", "old", "high", "zero", "validity", "nonsense", "too-many"])
def test_appenduid(user, synced, change):
    """A UID that is wrong would tie the file to another message."""
    deliver(synced, "INBOX", 20, 21)
    with lying(user, replace=[change]) as proxy:
        sync_through(synced, proxy)
    for later in (None, 120, 240):
        synced.run("sync", later=later)
    assert_lost_nothing(user, synced, {**ALL, "INBOX": [*range(12), 20, 21]})
    os.unlink(file_of(synced, 20).path)
    synced.sync()
    assert_settled(user, synced, expected={**ALL, "INBOX": [*range(12), 21]})


@pytest.mark.parametrize("change", [
    (rb"\[COPYUID (\d+) (\S+) (\S+)\]", rb"[COPYUID \1 \3 \2]"),
    (rb"\[COPYUID \d+ \S+ \S+\] ?", b""),
    (rb"\[COPYUID (\d+) (\S+) (\S+)\]", rb"[COPYUID \1 \2 1]"),
    (rb"\[COPYUID (\d+) (\S+) (\S+)\]", rb"[COPYUID \1 \2 99999:100001]"),
    (rb"\[COPYUID (\d+) (\S+) (\S+)\]", rb"[COPYUID 7 \2 \3]"),
    (rb"\[COPYUID (\d+) (\S+) (\S+)\]", rb"[COPYUID]"),
], ids=["swapped", "absent", "short", "high", "validity", "empty"])
def test_copyuid(user, synced, change):
    for number in (1, 2, 3):
        synced.tree.move(file_of(synced, number), "A")
    with lying(user, replace=[change]) as proxy:
        sync_through(synced, proxy)
    for later in (None, 120, 240):
        synced.run("sync", later=later)
    assert_lost_nothing(user, synced, {"INBOX": [0, *range(4, 12)],
                                       "A": [1, 2, 3, *range(50, 55)]})


@pytest.mark.parametrize("rules", [
    dict(replace=[(rb" ?HIGHESTMODSEQ \d+", b"")]),
    dict(drop_lines=[rb"HIGHESTMODSEQ"]),
    dict(replace=[(rb" ?MODSEQ \(\d+\)", b""), (rb"\[HIGHESTMODSEQ \d+\]", b"[NOMODSEQ]")]),
    dict(replace=[(rb"HIGHESTMODSEQ \d+", b"HIGHESTMODSEQ 1")]),
    dict(replace=[(rb"HIGHESTMODSEQ \d+", b"HIGHESTMODSEQ 9223372036854775807")]),
    dict(replace=[(rb"HIGHESTMODSEQ \d+", b"HIGHESTMODSEQ 0")]),
], ids=["none", "no-lines", "nomodseq", "one", "huge", "zero"])
def test_highestmodseq(user, twin, rules):
    """Announced and not given, or a number that means nothing."""
    fill(user, "INBOX", *range(12))
    fill(user, "A", *range(50, 55))
    with lying(user, **rules) as proxy:
        sync_through(twin, proxy)
        assert here(twin) == {name: list(numbers) for name, numbers in ALL.items()}
        touch(user)
        expunge_there(user, 3)
        fill(user, "INBOX", 20)
        twin.tree.add_letters(file_of(twin, 2), "R")
        for _ in range(2):
            result = sync_through(twin, proxy)
            assert (result.summary["downloaded"], result.summary["uploaded"]) in (
                (1, 0), (0, 0)), "nothing is sent or fetched twice"
        if rules.get("replace", [(0, 0)])[0][1] != b"HIGHESTMODSEQ 9223372036854775807":
            assert file_of(twin, 1).letters == "FS"
        assert 20 in here(twin)["INBOX"]
    twin.sync("--full")
    assert_lost_nothing(user, twin, {**ALL, "INBOX": [0, 1, 2, *range(4, 12), 20]})


@EXTENSIONS
def test_uids_are_shifted_in_one_run(user, synced, hide):
    """Every UID of the list is another one: without a new UIDVALIDITY."""
    touch(user)

    def shift(match):
        return match.group(1) + b"%d" % (int(match.group(2)) + 1)

    with lying(user, hide=hide, replace=[(rb"^(\* \d+ FETCH \(UID )(\d+)", shift)]) as proxy:
        sync_through(synced, proxy, "--full")
    for _ in range(2):
        synced.run("sync")
    assert_settled(user, synced, expected=ALL)


def test_uid_0_and_the_same_uid_twice(user, synced):
    touch(user)
    with lying(user, once=[(rb"^\* (\d+) FETCH", rb"* 1 FETCH (UID 0 FLAGS ())\r\n* \1 FETCH", 3),
                           (rb"^(\* \d+ FETCH \(UID 3 .*\r\n)", rb"\1\1", 1)]) as proxy:
        sync_through(synced, proxy, "--full")
    assert_lost_nothing(user, synced, ALL)


def test_uidvalidity_0(user, synced):
    touch(user)
    with lying(user, replace=[(rb"UIDVALIDITY \d+", b"UIDVALIDITY 0")]) as proxy:
        sync_through(synced, proxy)
    assert_lost_nothing(user, synced, ALL)


def test_unasked_for_noise(user, synced):
    """Lines that a server may send at any time, and some that it may not."""
    touch(user)
    noise = (b"* OK [ALERT] the disk is nearly full\r\n* BYEBYE\r\n* 3 RECENT\r\n* XNEW (1 (2 \"3\"))\r\n"
             b"* FLAGS (\\Seen)\r\n* SEARCH\r\n* NO something\r\n")
    with lying(user, once=[(rb"^(\* (?:LIST|STATUS|\d+ FETCH))", noise + rb"\1", 6)]) as proxy:
        sync_through(synced, proxy)
    assert_lost_nothing(user, synced, ALL)


def test_expunge_in_the_middle_of_a_list(user, synced):
    """Sequence numbers move while they are told: UIDs must not."""
    touch(user)
    with lying(user, hide=["QRESYNC", "CONDSTORE"],
               once=[(rb"^(\* 4 FETCH)", rb"* 1 EXPUNGE\r\n\1", 1)]) as proxy:
        sync_through(synced, proxy, "--full")
    assert_lost_nothing(user, synced, ALL)


def test_sizes_that_are_wrong(user, synced):
    """RFC822.SIZE is a label, never a length."""
    fill(user, "INBOX", 20, 21, size=5000)
    with lying(user, replace=[(rb"RFC822\.SIZE \d+", b"RFC822.SIZE 1")]) as proxy:
        sync_through(synced, proxy)
        assert len(file_of(synced, 20).data) > 5000
    assert_lost_nothing(user, synced, {**ALL, "INBOX": [*range(12), 20, 21]})


def test_dates_that_are_wrong(user, synced):
    fill(user, "INBOX", 20, 21)
    with lying(user, replace=[(rb'INTERNALDATE "[^"]*"', b'INTERNALDATE "30-Dec-1899 00:00:00 +0000"')
                              ]) as proxy:
        sync_through(synced, proxy)
        assert 20 in here(synced)["INBOX"]
    assert_lost_nothing(user, synced, {**ALL, "INBOX": [*range(12), 20, 21]})


def test_a_body_that_is_nil(user, synced):
    fill(user, "INBOX", 20)
    with lying(user, refuse=[(rb"BODY\.PEEK\[\]", b"NO [SERVERBUG] cannot read it")]) as proxy:
        result = sync_through(synced, proxy)
        assert result.problems(), result
    assert here(synced) == {name: list(numbers) for name, numbers in ALL.items()}
    assert_lost_nothing(user, synced, {**ALL, "INBOX": [*range(12), 20]})


def test_select_opens_another_mailbox(user, synced):
    """All of A under INBOX's UIDVALIDITY: the anchors say no."""
    os.unlink(file_of(synced, 3).path)
    with user.client() as client:
        first, second = client.uidvalidity("INBOX"), client.uidvalidity("A")
    with lying(user, replace=[(rb"UIDVALIDITY %d\b" % first, b"UIDVALIDITY %d" % second)]) as proxy:
        result = sync_through(synced, proxy)
        assert result.summary["deleted_remote"] == 0, result
    assert set(there(user)["INBOX"]) == set(range(12))


@pytest.mark.parametrize("words", [rb"OK", rb"OK [READ-ONLY]", rb"OK []", rb"OK [UNKNOWN-CTE x]"])
def test_answers_that_say_little(user, synced, words):
    deliver(synced, "INBOX", 20)
    os.unlink(file_of(synced, 5).path)
    synced.tree.move(file_of(synced, 4), "A")
    with lying(user, replace=[(rb"^(m\d+) OK (\[(?:APPENDUID|COPYUID|HIGHESTMODSEQ)[^\]]*\]).*\r\n",
                               b"\\1 " + words + b" done\r\n")]) as proxy:
        sync_through(synced, proxy)
    for later in (None, 120, 240):
        synced.run("sync", later=later)
    assert_lost_nothing(user, synced, {"INBOX": [0, 1, 2, 3, *range(6, 12), 20],
                                       "A": [4, *range(50, 55)]})


class Anew(Proxy):
    """After so many answers to SELECT all mailboxes have another UIDVALIDITY."""

    def __init__(self, user, answers):
        super().__init__(("127.0.0.1", user.server.plain))
        self.answers = answers

    def _server_rules(self, connection, line):
        self.answers -= b"[UIDVALIDITY" in line
        return line if self.answers >= 0 else re.sub(rb"\[UIDVALIDITY \d+\]", b"[UIDVALIDITY 7]", line)


@pytest.mark.parametrize("act", ["flag", "move", "delete", "edit", "arrival"])
def test_a_mailbox_made_anew_between_the_look_and_the_act(user, synced, act):
    """The UIDs of the look would mean other messages there: nothing is done with any of them."""
    file, selects = file_of(synced, 3), 0
    left = [number for number in range(12) if number != 3]
    expected = {**ALL, "INBOX": left}
    if act == "flag":
        synced.tree.add_letters(file, "F")
        expected = ALL
    elif act == "move":
        synced.tree.move(file, "A")
        expected["A"] = [3, *range(50, 55)]
    elif act == "delete":
        os.unlink(file.path)
    elif act == "edit":
        synced.tree.edit(file, mail.plain(30))
        expected["INBOX"].append(30)
    else:
        fill(user, "INBOX", 20)
        fill(user, "A", 60)
        expected, selects = {"INBOX": [*range(12), 20], "A": [*range(50, 55), 60]}, 2
    with Anew(user, selects) as proxy:
        result = sync_through(synced, proxy)
        sent = proxy.commands()
    assert result.exit == 1, result
    assert any("made anew" in problem["message"] for problem in result.problems()), result
    assert result.summary["downloaded"] == 0
    assert not [command for command in sent
                if re.search(" UID (STORE|MOVE|COPY|EXPUNGE) ", command)], sent
    synced.run("sync", later=120)
    assert_lost_nothing(user, synced, expected)


def next_uids(user, folder):
    with user.client() as client:
        return client.uidvalidity(folder), client.status(folder, "UIDNEXT")


SAID = pytest.mark.parametrize("said", ["bare", "uid"])


@SAID
@pytest.mark.parametrize("hide", [[], ["UIDPLUS"], ["LITERAL+"]], ids=["all", "no-uidplus", "no-literal"])
def test_an_append_that_is_not_done(user, synced, hide, said):
    """OK, and nothing stored: what counts as sent would be removed here by the next run."""
    deliver(synced, "INBOX", 20, 21)
    validity, uid = next_uids(user, "INBOX")
    code = b"[APPENDUID %d %d:%d] " % (validity, uid, uid + 1) if said == "uid" else b""
    with lying(user, hide=hide, refuse=[(rb" APPEND", b"OK " + code + b"done")]) as proxy:
        assert sync_through(synced, proxy).problems("parked")
    for later in (None, 120):
        synced.run("sync", later=later)
    assert_lost_nothing(user, synced, {**ALL, "INBOX": [*range(12), 20, 21]})


def test_appenduid_names_the_mail_of_another_device(user, synced):
    """Both came after our look; ours must not be tied to the other's."""
    deliver(synced, "INBOX", 20)

    class Shifting(Lying):
        def _server_rules(self, connection, line):
            if b"APPENDUID" in line:
                fill(user, "INBOX", 30)
            return super()._server_rules(connection, line)

    def other(match):
        return b"[APPENDUID " + match.group(1) + b" %d]" % (int(match.group(2)) + 1)

    with Shifting(("127.0.0.1", user.server.plain),
                  replace=[(rb"\[APPENDUID (\d+) (\d+)\]", other)]) as proxy:
        sync_through(synced, proxy)
    synced.run("sync")
    os.unlink(file_of(synced, 20).path)
    synced.run("sync")
    assert_lost_nothing(user, synced, {**ALL, "INBOX": [*range(12), 30]})


@SAID
@pytest.mark.parametrize("hide", [[], ["MOVE"], ["MOVE", "UIDPLUS"]], ids=["move", "copy", "poor"])
def test_a_move_that_is_not_done(user, synced, hide, said):
    synced.tree.move(file_of(synced, 3), "A")
    validity, uid = next_uids(user, "A")
    code = b"[COPYUID %d %d %d] " % (validity, uid_of(user, 3), uid) if said == "uid" else b""
    with lying(user, hide=hide, refuse=[(rb"UID (MOVE|COPY)", b"OK " + code + b"done")]) as proxy:
        sync_through(synced, proxy)
    assert 3 in there(user)["INBOX"], "the original goes only when its copy is seen"
    for later in (None, 120):
        synced.run("sync", later=later)
    assert_lost_nothing(user, synced, {"INBOX": [0, 1, 2, *range(4, 12)], "A": [3, *range(50, 55)]})


@pytest.mark.parametrize("answer", [b"OK done", b"NO no", b"BAD what"])
@pytest.mark.parametrize("command", [rb"UID STORE", rb"UID EXPUNGE"])
def test_a_change_that_is_not_done(user, synced, command, answer):
    os.unlink(file_of(synced, 3).path)
    synced.tree.add_letters(file_of(synced, 4), "F")
    with lying(user, refuse=[(command, answer)]) as proxy:
        assert sync_through(synced, proxy).problems()
    synced.run("sync")
    assert_lost_nothing(user, synced, {**ALL, "INBOX": [0, 1, 2, *range(4, 12)]})
    assert "\\Flagged" in flags_there(user)[4]


def test_a_mailbox_renumbered_after_an_upload_keeps_nothing_from_the_others(user, synced):
    """They were sent and are asked for together; what is told of another mailbox is not taken."""
    for name, number in (("A", 60), ("B", 70), ("INBOX", 20)):
        deliver(synced, name, number)
    with lying(user, once=[(rb"^\* OK \[UIDVALIDITY \d+\]", b"* OK [UIDVALIDITY 7]", 1)]) as proxy:
        result = sync_through(synced, proxy)
        assert "lie" in proxy.faults()
    assert result.exit == 1 and result.summary["uploaded"] == 2, result
    assert_lost_nothing(user, synced, {"INBOX": [*range(12), 20], "A": [*range(50, 55), 60],
                                       "B": [70]})
