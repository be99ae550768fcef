#!/bin/sh
# Runs before the files are removed. An upgrade leaves the service running; postinst restarts it.
set -e

if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
	systemctl stop rewatch.service || true
fi
