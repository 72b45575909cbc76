# The floor state: list its sources and unit tests here (extended by the floor's owner).

noinst_LIBRARIES += src/state/libstate.a
src_state_libstate_a_SOURCES = \
	src/state/batch.c \
	src/state/batch.h \
	src/state/bytes.c \
	src/state/bytes.h \
	src/state/commit.c \
	src/state/create.c \
	src/state/dir.c \
	src/state/env.c \
	src/state/read.c \
	src/state/state.c \
	src/state/state.h \
	src/state/state_private.h \
	src/state/value.c \
	src/state/value.h \
	src/state/value_folder.c \
	src/state/verify.c \
	src/state/verify.h

if HAVE_CUNIT
check_PROGRAMS += \
	tests/unit/test_state \
	tests/unit/test_state_bulk \
	tests/unit/test_state_crash \
	tests/unit/test_state_damage
endif
state_test_libs = src/state/libstate.a src/core/libcore.a src/base/libbase.a $(CUNIT_LIBS)
tests_unit_test_state_SOURCES = tests/unit/test_state.c tests/unit/state_helper.h tests/unit/check.h
tests_unit_test_state_LDADD = $(state_test_libs)
tests_unit_test_state_bulk_SOURCES = tests/unit/test_state_bulk.c tests/unit/state_helper.h \
	tests/unit/check.h
tests_unit_test_state_bulk_LDADD = $(state_test_libs)
tests_unit_test_state_crash_SOURCES = tests/unit/test_state_crash.c tests/unit/state_helper.h \
	tests/unit/check.h
tests_unit_test_state_crash_LDADD = $(state_test_libs)
tests_unit_test_state_damage_SOURCES = tests/unit/test_state_damage.c tests/unit/state_helper.h \
	tests/unit/check.h
tests_unit_test_state_damage_LDADD = $(state_test_libs)
