# The floor imap: list its sources and unit tests here (extended by the floor's owner).

noinst_LIBRARIES += src/imap/libimap.a
src_imap_libimap_a_SOURCES = \
	src/imap/imap.h \
	src/imap/stream.h
