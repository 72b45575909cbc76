# The floor sync: list its sources and unit tests here.

noinst_LIBRARIES += src/sync/libsync.a
src_sync_libsync_a_SOURCES = \
	src/sync/account.h \
	src/sync/actions.c \
	src/sync/appended.c \
	src/sync/ask.c \
	src/sync/attempts.c \
	src/sync/config.c \
	src/sync/config.h \
	src/sync/config_build.c \
	src/sync/config_check.c \
	src/sync/config_parse.c \
	src/sync/config_private.h \
	src/sync/config_scan.c \
	src/sync/copies.c \
	src/sync/destroy.c \
	src/sync/disk.c \
	src/sync/download.c \
	src/sync/engine.c \
	src/sync/facts.c \
	src/sync/finish.c \
	src/sync/flag.c \
	src/sync/hold.c \
	src/sync/letters.c \
	src/sync/list.c \
	src/sync/look.c \
	src/sync/matching.c \
	src/sync/move.c \
	src/sync/move_groups.c \
	src/sync/move_remote.c \
	src/sync/move_remote.h \
	src/sync/open.c \
	src/sync/planner.c \
	src/sync/recover.c \
	src/sync/rekey.c \
	src/sync/remove.c \
	src/sync/restore.c \
	src/sync/rules.c \
	src/sync/scan.c \
	src/sync/store.c \
	src/sync/store.h \
	src/sync/sync.h \
	src/sync/tell.c \
	src/sync/tree.c \
	src/sync/tree_make.c \
	src/sync/upload.c \
	src/sync/upload.h \
	src/sync/upload_rules.c \
	src/sync/upload_settle.c \
	src/sync/view.c \
	src/sync/words.c \
	src/sync/words.h \
	src/sync/workers.c

if HAVE_CUNIT
check_PROGRAMS += tests/unit/test_config
endif
tests_unit_test_config_SOURCES = tests/unit/test_config.c tests/unit/check.h
tests_unit_test_config_LDADD = src/sync/libsync.a src/imap/libimap.a src/core/libcore.a \
	src/base/libbase.a $(CUNIT_LIBS)
