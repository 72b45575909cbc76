# The floor imap: list its sources and unit tests here (extended by the floor's owner).

noinst_LIBRARIES += src/imap/libimap.a
src_imap_libimap_a_SOURCES = \
	src/imap/ahead.c \
	src/imap/append.c \
	src/imap/auth.c \
	src/imap/bodies.c \
	src/imap/burst.c \
	src/imap/capabilities.c \
	src/imap/connect.c \
	src/imap/deflate.c \
	src/imap/driver.c \
	src/imap/etpan.c \
	src/imap/etpan_absent.h \
	src/imap/etpan_private.h \
	src/imap/explain.c \
	src/imap/fetch.c \
	src/imap/framer.c \
	src/imap/host.c \
	src/imap/imap.h \
	src/imap/imap_private.h \
	src/imap/mailboxes.c \
	src/imap/messages.c \
	src/imap/namespace.c \
	src/imap/queue.c \
	src/imap/resolve.c \
	src/imap/response.c \
	src/imap/scram.c \
	src/imap/selection.c \
	src/imap/session.c \
	src/imap/stream.c \
	src/imap/stream.h \
	src/imap/stream_private.h \
	src/imap/tickets.c \
	src/imap/tls.c \
	src/imap/transfer.c \
	src/imap/trust.c \
	src/imap/tunnel.c \
	src/imap/view.c \
	src/imap/wire.c

if HAVE_CUNIT
check_PROGRAMS += \
	tests/unit/test_connect \
	tests/unit/test_imap_ahead \
	tests/unit/test_imap_burst \
	tests/unit/test_imap_response \
	tests/unit/test_imap_session \
	tests/unit/test_stream \
	tests/unit/test_tls
endif
stream_test_sources = tests/unit/check.h tests/unit/stream_server.c tests/unit/stream_server.h
stream_test_libs = src/imap/libimap.a src/core/libcore.a src/base/libbase.a $(CUNIT_LIBS)
tests_unit_test_connect_SOURCES = tests/unit/test_connect.c $(stream_test_sources)
tests_unit_test_connect_LDADD = $(stream_test_libs)
tests_unit_test_stream_SOURCES = tests/unit/test_stream.c $(stream_test_sources)
tests_unit_test_stream_LDADD = $(stream_test_libs)
tests_unit_test_tls_SOURCES = tests/unit/test_tls.c $(stream_test_sources)
tests_unit_test_tls_LDADD = $(stream_test_libs)
tests_unit_test_imap_response_SOURCES = tests/unit/test_imap_response.c tests/unit/check.h
tests_unit_test_imap_response_LDADD = $(stream_test_libs)
tests_unit_test_imap_session_SOURCES = tests/unit/test_imap_session.c tests/unit/check.h \
	tests/unit/imap_play.h
tests_unit_test_imap_session_LDADD = $(stream_test_libs)
tests_unit_test_imap_ahead_SOURCES = tests/unit/test_imap_ahead.c tests/unit/check.h \
	tests/unit/imap_play.h
tests_unit_test_imap_ahead_LDADD = $(stream_test_libs)
tests_unit_test_imap_burst_SOURCES = tests/unit/test_imap_burst.c tests/unit/check.h \
	tests/unit/imap_play.h
tests_unit_test_imap_burst_LDADD = $(stream_test_libs)
