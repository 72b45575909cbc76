# The floor imap: list its sources and unit tests here (extended by the floor's owner).

noinst_LIBRARIES += src/imap/libimap.a
src_imap_libimap_a_SOURCES = \
	src/imap/connect.c \
	src/imap/deflate.c \
	src/imap/driver.c \
	src/imap/explain.c \
	src/imap/host.c \
	src/imap/imap.h \
	src/imap/resolve.c \
	src/imap/stream.c \
	src/imap/stream.h \
	src/imap/stream_private.h \
	src/imap/tickets.c \
	src/imap/tls.c \
	src/imap/trust.c \
	src/imap/tunnel.c \
	src/imap/wire.c
