# The floor sync: list its sources and unit tests here.

noinst_LIBRARIES += src/sync/libsync.a
src_sync_libsync_a_SOURCES = \
	src/sync/config.c \
	src/sync/config.h \
	src/sync/config_build.c \
	src/sync/config_check.c \
	src/sync/config_parse.c \
	src/sync/config_private.h \
	src/sync/config_scan.c \
	src/sync/sync.h \
	src/sync/words.c \
	src/sync/words.h
