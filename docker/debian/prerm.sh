#!/bin/sh
# Before the files go. An upgrade leaves the service running; postinst restarts it.
set -e

if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
	systemctl stop rewatch.service || true
fi
