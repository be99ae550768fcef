#!/bin/sh
# Runs after the files are removed. "remove" keeps configuration and state, "purge" does not.
set -e

case "$1" in
remove)
	if [ -x /usr/bin/deb-systemd-helper ]; then
		deb-systemd-helper mask rewatch.service >/dev/null || true
	fi
	;;
purge)
	if [ -x /usr/bin/deb-systemd-helper ]; then
		deb-systemd-helper purge rewatch.service >/dev/null || true
		deb-systemd-helper unmask rewatch.service >/dev/null || true
	fi
	rm -rf /var/lib/private/rewatch /var/lib/rewatch /etc/rewatch
	;;
esac

if [ -d /run/systemd/system ]; then
	systemctl --system daemon-reload >/dev/null || true
fi
