#!/bin/sh
# Makes ./configure out of configure.ac and Makefile.am.
set -eu
cd "$(dirname "$0")"
command -v autoreconf >/dev/null 2>&1 || {
	echo "autogen.sh: autoreconf not found; install autoconf and automake" >&2
	exit 1
}
exec autoreconf --install --force --warnings=all
