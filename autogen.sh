#!/bin/sh
# Makes ./configure out of configure.ac and Makefile.am.
set -eu
cd "$(dirname "$0")"
command -v autoreconf >/dev/null 2>&1 || {
	echo "autogen.sh: autoreconf was not found; on Debian: apt-get install autoconf automake" >&2
	exit 1
}
exec autoreconf --install --force --warnings=all
