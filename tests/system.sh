#!/bin/sh
# Install the system programs that tests need, and those given as PROGRAM:PACKAGE, as root with apt (CI, containers).
# Elsewhere the tests that need one are skipped by name, with the line that installs it.
[ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 || exit 0
missing=""
for each in nginx:nginx-light pg_ctlcluster:postgresql pgbouncer:pgbouncer "$@"; do
	command -v "${each%%:*}" >/dev/null 2>&1 || missing="$missing ${each#*:}"
done
# The shell draws the same pages for little more than half the CPU; not every release of Debian and Ubuntu has it.
if ! command -v chromium-headless-shell >/dev/null 2>&1; then
	apt-get install -y -qq --no-install-recommends chromium-headless-shell >/dev/null 2>&1 ||
		command -v chromium >/dev/null 2>&1 || missing="$missing chromium"
fi
[ -n "$missing" ] || exit 0
echo "installing$missing"
# RUNLEVEL=1: nothing that comes with a service is started
export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
apt-get update -qq && apt-get install -y -qq --no-install-recommends $missing >/dev/null && exit 0
echo "could not install$missing: the tests that need them will be skipped"
