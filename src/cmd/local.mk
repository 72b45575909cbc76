# The floor cmd and the program itself. All but main is a library, for the unit tests. The
# libraries stand from the top floor down.

noinst_LIBRARIES += src/cmd/libcmd.a
src_cmd_libcmd_a_SOURCES = \
	src/cmd/cmd.h \
	src/cmd/cmd_folders.c \
	src/cmd/cmd_help.c \
	src/cmd/cmd_status.c \
	src/cmd/cmd_sync.c \
	src/cmd/exit.c \
	src/cmd/options.c \
	src/cmd/progress.c \
	src/cmd/progress.h \
	src/cmd/report.h \
	src/cmd/report_human.c \
	src/cmd/report_json.c \
	src/cmd/setup.c \
	src/cmd/sync_child.c \
	src/cmd/sync_job.h \
	src/cmd/sync_report.c \
	src/cmd/sync_run.c

bin_PROGRAMS += mailtwin
mailtwin_SOURCES = src/cmd/main.c
mailtwin_LDADD = src/cmd/libcmd.a src/sync/libsync.a src/maildir/libmaildir.a \
	src/imap/libimap.a src/state/libstate.a src/core/libcore.a src/base/libbase.a

if HAVE_CUNIT
check_PROGRAMS += tests/unit/test_report
endif
tests_unit_test_report_SOURCES = tests/unit/test_report.c tests/unit/check.h
tests_unit_test_report_LDADD = $(mailtwin_LDADD) $(CUNIT_LIBS)
