# The floor maildir: the local side.

noinst_LIBRARIES += src/maildir/libmaildir.a
src_maildir_libmaildir_a_SOURCES = \
	src/maildir/delivery.c \
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
