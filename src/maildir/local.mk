# The floor maildir: the local side.

noinst_LIBRARIES += src/maildir/libmaildir.a
src_maildir_libmaildir_a_SOURCES = \
	src/maildir/delivery.c \
	src/maildir/dotlock.c \
	src/maildir/filename.c \
	src/maildir/folder.c \
	src/maildir/index.c \
	src/maildir/keywords.c \
	src/maildir/maildir.h \
	src/maildir/maildir_private.h \
	src/maildir/message.c \
	src/maildir/move.c \
	src/maildir/root.c \
	src/maildir/scan.c \
	src/maildir/sentinel.c \
	src/maildir/tree.c \
	src/maildir/tree_change.c \
	src/maildir/tree_remove.c

if HAVE_CUNIT
check_PROGRAMS += tests/unit/test_file tests/unit/test_filename tests/unit/test_maildir \
	tests/unit/test_folder tests/unit/test_message
endif

maildir_test_libraries = src/maildir/libmaildir.a src/core/libcore.a src/base/libbase.a

tests_unit_test_file_SOURCES = tests/unit/test_file.c tests/unit/maildir_fixture.h tests/unit/check.h
tests_unit_test_file_LDADD = $(maildir_test_libraries) $(CUNIT_LIBS)

tests_unit_test_filename_SOURCES = tests/unit/test_filename.c tests/unit/maildir_fixture.h \
	tests/unit/check.h
tests_unit_test_filename_LDADD = $(maildir_test_libraries) $(CUNIT_LIBS)

tests_unit_test_maildir_SOURCES = tests/unit/test_maildir.c tests/unit/maildir_fixture.h \
	tests/unit/check.h
tests_unit_test_maildir_LDADD = $(maildir_test_libraries) $(CUNIT_LIBS)

tests_unit_test_folder_SOURCES = tests/unit/test_folder.c tests/unit/maildir_fixture.h \
	tests/unit/check.h
tests_unit_test_folder_LDADD = $(maildir_test_libraries) $(CUNIT_LIBS)

tests_unit_test_message_SOURCES = tests/unit/test_message.c tests/unit/maildir_fixture.h \
	tests/unit/check.h
tests_unit_test_message_LDADD = $(maildir_test_libraries) $(CUNIT_LIBS)
