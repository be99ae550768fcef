#!/bin/sh
# Installs the real peers that the lab and the integration tests talk to, from Debian 12,
# where they are missing. When all are installed it does nothing.
set -eu

# Each package, and a file by which it is recognised. baresip-core does without the many
# codecs of the package baresip. The C compiler is for the race detector, Chromium for the
# tests of the console.
packages='
kamailio:/usr/sbin/kamailio
kamailio-presence-modules:presence.so
kamailio-extra-modules:uuid.so
kamailio-xml-modules:xmlrpc.so
kamailio-sqlite-modules:db_sqlite.so
kamailio-ims-modules:ims_registrar_scscf.so
sip-tester:/usr/bin/sipp
sqlite3:/usr/bin/sqlite3
curl:/usr/bin/curl
baresip-core:/usr/bin/baresip
linphone-cli:/usr/bin/linphonec
prometheus-alertmanager:/usr/bin/prometheus-alertmanager
redis-server:/usr/bin/redis-server
snmptrapd:/usr/sbin/snmptrapd
chromium:/usr/bin/chromium
prometheus:/usr/bin/promtool
logrotate:/usr/sbin/logrotate
keepalived:/usr/sbin/keepalived
debootstrap:/usr/sbin/debootstrap
gcc:/usr/bin/gcc
libc6-dev:/usr/include/stdio.h
'

# present says whether a program, or a module of Kamailio, is on this machine, also where
# it was not installed as a package.
present() {
	case $1 in
	/*) [ -e "$1" ] ;;
	*) find /usr/lib -path "*/kamailio/modules/$1" 2>/dev/null | grep -q . ;;
	esac
}

missing=
for line in $packages; do
	if ! present "${line#*:}"; then
		missing="$missing ${line%%:*}"
	fi
done

if [ -z "$missing" ]; then
	echo "lab: Kamailio, SIPp, SQLite, baresip, linphonec, Alertmanager, Redis, snmptrapd, Chromium, promtool, logrotate, keepalived, debootstrap and a C compiler are all installed."
	exit 0
fi

as_root=
if [ "$(id -u)" -ne 0 ]; then
	if ! command -v sudo >/dev/null; then
		echo "lab: cannot install$missing: this is not root, and there is no sudo." >&2
		exit 1
	fi
	as_root=sudo
fi

if ! command -v apt-get >/dev/null; then
	echo "lab: there is no apt-get; please install these by hand:$missing" >&2
	exit 1
fi

echo "lab: installing from Debian:$missing"

# Debian starts a service when its package is installed. The lab starts its peers itself, on
# other addresses, so a policy-rc.d forbids that during the installation (invoke-rc.d(8)). A
# policy-rc.d that exists already is not changed.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
	printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null
	$as_root chmod 755 "$policy"
	trap '$as_root rm -f "$policy"' EXIT
	trap 'exit 130' INT TERM
fi

$as_root apt-get -qq update
# shellcheck disable=SC2086 # a list of package names, meant to be split
$as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install $missing

for line in $packages; do
	if ! present "${line#*:}"; then
		echo "lab: ${line%%:*} was installed but ${line#*:} is not there." >&2
		exit 1
	fi
done
echo "lab: installed$missing"
