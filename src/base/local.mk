# The floor base: list its sources and unit tests here (extended by the floor's owner).

noinst_LIBRARIES += src/base/libbase.a
src_base_libbase_a_SOURCES = \
	src/base/digest.c \
	src/base/digest.h \
	src/base/directory.c \
	src/base/error.c \
	src/base/error.h \
	src/base/file.c \
	src/base/file.h \
	src/base/file_system.c \
	src/base/file_system.h \
	src/base/log.c \
	src/base/log.h \
	src/base/memory.c \
	src/base/memory.h \
	src/base/process.c \
	src/base/process.h \
	src/base/text.c \
	src/base/text.h

if HAVE_CUNIT
check_PROGRAMS += tests/unit/test_text
endif
tests_unit_test_text_SOURCES = tests/unit/test_text.c tests/unit/check.h
tests_unit_test_text_LDADD = src/base/libbase.a $(CUNIT_LIBS)

if HAVE_CUNIT
check_PROGRAMS += tests/unit/test_process
endif
tests_unit_test_process_SOURCES = tests/unit/test_process.c tests/unit/check.h
tests_unit_test_process_LDADD = src/base/libbase.a $(CUNIT_LIBS)
