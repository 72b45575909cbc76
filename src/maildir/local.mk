# The floor maildir: list its sources and unit tests here (extended by the floor's owner).

noinst_LIBRARIES += src/maildir/libmaildir.a
src_maildir_libmaildir_a_SOURCES = \
	src/maildir/maildir.h
