# The floor core: list its sources and unit tests here (extended by the floor's owner).

noinst_LIBRARIES += src/core/libcore.a
src_core_libcore_a_SOURCES = \
	src/core/decide.c \
	src/core/decide.h \
	src/core/fingerprint.c \
	src/core/fingerprint.h \
	src/core/flags.c \
	src/core/flags.h \
	src/core/folders.c \
	src/core/folders.h \
	src/core/folders_identity.c \
	src/core/folders_private.h \
	src/core/guard.c \
	src/core/guard.h \
	src/core/index.c \
	src/core/index.h \
	src/core/layout.c \
	src/core/layout.h \
	src/core/match.c \
	src/core/match.h \
	src/core/match_attempts.c \
	src/core/match_new.c \
	src/core/match_private.h \
	src/core/match_wants.c \
	src/core/names.c \
	src/core/names.h \
	src/core/names_private.h \
	src/core/patterns.c \
	src/core/record.h \
	src/core/snapshot.c \
	src/core/snapshot.h \
	src/core/tally.c \
	src/core/tally.h \
	src/core/utf7.c

if HAVE_CUNIT
check_PROGRAMS += \
	tests/unit/test_decide \
	tests/unit/test_fingerprint \
	tests/unit/test_flags \
	tests/unit/test_folders \
	tests/unit/test_guard \
	tests/unit/test_layout \
	tests/unit/test_match \
	tests/unit/test_names \
	tests/unit/test_snapshot
endif
tests_unit_test_decide_SOURCES = tests/unit/test_decide.c tests/unit/check.h
tests_unit_test_decide_LDADD = src/core/libcore.a src/base/libbase.a $(CUNIT_LIBS)
tests_unit_test_fingerprint_SOURCES = tests/unit/test_fingerprint.c tests/unit/check.h
tests_unit_test_fingerprint_LDADD = src/core/libcore.a src/base/libbase.a $(CUNIT_LIBS)
tests_unit_test_flags_SOURCES = tests/unit/test_flags.c tests/unit/check.h
tests_unit_test_flags_LDADD = src/core/libcore.a src/base/libbase.a $(CUNIT_LIBS)
tests_unit_test_layout_SOURCES = tests/unit/test_layout.c tests/unit/check.h
tests_unit_test_layout_LDADD = src/core/libcore.a src/base/libbase.a $(CUNIT_LIBS)
tests_unit_test_names_SOURCES = tests/unit/test_names.c tests/unit/check.h
tests_unit_test_names_LDADD = src/core/libcore.a src/base/libbase.a $(CUNIT_LIBS)
tests_unit_test_folders_SOURCES = tests/unit/test_folders.c tests/unit/check.h
tests_unit_test_folders_LDADD = src/core/libcore.a src/base/libbase.a $(CUNIT_LIBS)
tests_unit_test_guard_SOURCES = tests/unit/test_guard.c tests/unit/check.h
tests_unit_test_guard_LDADD = src/core/libcore.a src/base/libbase.a $(CUNIT_LIBS)
tests_unit_test_match_SOURCES = tests/unit/test_match.c tests/unit/check.h
tests_unit_test_match_LDADD = src/core/libcore.a src/base/libbase.a $(CUNIT_LIBS)
tests_unit_test_snapshot_SOURCES = tests/unit/test_snapshot.c tests/unit/check.h
tests_unit_test_snapshot_LDADD = src/core/libcore.a src/base/libbase.a $(CUNIT_LIBS)
