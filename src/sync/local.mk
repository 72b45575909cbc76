# The floor sync: list its sources and unit tests here (extended by the floor's owner).

noinst_LIBRARIES += src/sync/libsync.a
src_sync_libsync_a_SOURCES = \
	src/sync/config.h \
	src/sync/sync.h
