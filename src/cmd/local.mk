# The floor cmd and the program itself (extended by the floor's owner). The libraries stand from
# the top floor down.

bin_PROGRAMS += mailtwin
mailtwin_SOURCES = src/cmd/main.c
mailtwin_LDADD = src/sync/libsync.a src/maildir/libmaildir.a src/imap/libimap.a \
	src/state/libstate.a src/core/libcore.a src/base/libbase.a
