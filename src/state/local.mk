# The floor state: list its sources and unit tests here (extended by the floor's owner).

noinst_LIBRARIES += src/state/libstate.a
src_state_libstate_a_SOURCES = \
	src/state/state.h
