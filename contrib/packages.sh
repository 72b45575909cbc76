# For contrib/check and contrib/demo: which Debian packages are needed, and how to get them.

PACKAGES_BUILD="gcc make libc6-dev autoconf automake pkg-config libetpan-dev liblmdb-dev libssl-dev
	libconfuse-dev libjansson-dev zlib1g-dev"
PACKAGES_DEMO="python3 dovecot-imapd openssl"
PACKAGES_TEST="$PACKAGES_DEMO libcunit1-dev python3-pytest mandoc clang clang-format libclang-rt-14-dev
	strace locales xz-utils"
# Without these, reports of the sanitizers have no names, and tests beside the peers are skipped.
PACKAGES_EXTRA="llvm isync offlineimap3"

is_installed() {
	[ "$(dpkg-query -W -f '${Status}' "$1" 2>/dev/null)" = "install ok installed" ]
}

# install_missing PACKAGE...: nothing is asked, nothing started, nothing done if all are there.
install_missing() {
	local package missing= as_root=
	if ! command -v dpkg-query >/dev/null 2>&1; then
		echo "Not a Debian: please see to these packages or their like yourself:" "$@"
		return 0
	fi
	for package; do
		is_installed "$package" || missing="$missing $package"
	done
	[ -n "$missing" ] || return 0
	if [ "$(id -u)" -ne 0 ]; then
		if ! sudo -n true >/dev/null 2>&1; then
			echo "Packages are missing. As root: apt-get install$missing" >&2
			return 1
		fi
		as_root="sudo -n"
	fi
	echo "== installing:$missing"
	# Services of these packages (Dovecot) must not start: tests run private ones.
	apt_get() {
		$as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get -qq -o Dpkg::Use-Pty=0 \
			-o DPkg::Lock::Timeout=120 "$@" </dev/null >/dev/null
	}
	apt_get install --no-install-recommends -y $missing 2>/dev/null && return 0
	apt_get update
	apt_get install --no-install-recommends -y $missing
}
