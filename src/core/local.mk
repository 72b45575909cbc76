# The floor core: list its sources and unit tests here (extended by the floor's owner).

noinst_LIBRARIES += src/core/libcore.a
src_core_libcore_a_SOURCES = \
	src/core/fingerprint.h \
	src/core/flags.h \
	src/core/layout.h \
	src/core/names.h \
	src/core/record.h
