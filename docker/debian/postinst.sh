#!/bin/sh
# Runs after the files are in place. A new installation is enabled and not started, for it
# has no configuration yet; an upgrade restarts a service that runs.
set -e

[ "$1" = configure ] || exit 0

if [ -x /usr/bin/deb-systemd-helper ]; then
	deb-systemd-helper unmask rewatch.service >/dev/null || true
	if deb-systemd-helper --quiet was-enabled rewatch.service; then
		deb-systemd-helper enable rewatch.service >/dev/null || true
	else
		deb-systemd-helper update-state rewatch.service >/dev/null || true
	fi
fi

if [ -d /run/systemd/system ]; then
	systemctl --system daemon-reload >/dev/null || true
	if [ -n "$2" ]; then
		systemctl try-restart rewatch.service || true
	fi
fi

if [ -z "$2" ]; then
	echo "rewatch: set REWATCH_SERVER in /etc/rewatch/rewatch.env, then: systemctl start rewatch"
fi
