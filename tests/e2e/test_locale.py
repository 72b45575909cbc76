"""No locale changes what mailtwin does: the Turkish ones bend ASCII letters in careless programs."""
import os
import subprocess

import pytest

import mail
from mailtwin import assert_equal, assert_quiet

FOLDERS = ["Gönderilmiş Öğeler", "Çöp Kutusu", "İş/ılık", "INBOX", "Istanbul"]
LOCALES = {"tr_TR.UTF-8": "UTF-8", "tr_TR.ISO-8859-9": "ISO-8859-9"}


@pytest.fixture(scope="session")
def locales(tmp_path_factory):
    target = tmp_path_factory.mktemp("locales")
    for name, charset in LOCALES.items():
        done = subprocess.run(["localedef", "-i", "tr_TR", "-f", charset, str(target / name)],
                              capture_output=True, text=True)
        if not (target / name / "LC_CTYPE").exists():
            pytest.skip("localedef cannot make Turkish locales: " + done.stderr)
    return str(target)


@pytest.mark.parametrize("layout", ["nested", "maildir++"])
@pytest.mark.parametrize("locale", [*LOCALES, "C"])
def test_turkish(user, make_twin, locales, locale, layout):
    env = {"LC_ALL": locale, "LANG": locale, "LOCPATH": locales}
    probe = "import locale; locale.setlocale(locale.LC_ALL, ''); print(locale.nl_langinfo(locale.CODESET))"
    codeset = subprocess.run(["python3", "-X", "utf8=0", "-c", probe],
                             env={**os.environ, **env}, capture_output=True, text=True).stdout
    assert locale == "C" or codeset.strip() == LOCALES[locale], "the locale is not in force"
    with user.client() as client:
        for index, folder in enumerate(FOLDERS):
            if folder != "INBOX":
                client.create(folder)
            client.append_many(mail.batch(index * 10, 10), folder)
    twin = make_twin(user, layout=layout)
    result = twin.sync(env=env)
    assert result.summary["downloaded"] == 10 * len(FOLDERS)
    assert set(twin.tree.folders()) >= set(FOLDERS)
    assert_equal(user, twin, dates=True)
    twin.tree.deliver(mail.plain(900), "İş/ılık", "FS")
    twin.tree.create("Iğdır")
    twin.sync(env=env)
    assert_equal(user, twin)
    assert_quiet(user, twin)
    twin.sync("test:inbox", env=env)
