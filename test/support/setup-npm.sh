#!/bin/bash
# Installs the npm packages of package-lock.json unless node_modules holds exactly those.
set -euo pipefail
cd "$(dirname "$0")/../.."

stamp=node_modules/.nodecni-lockfile
cmp --silent package-lock.json "$stamp" && exit 0

command -v npm >/dev/null || test/support/setup-debian.sh npm
echo "setup: installing npm packages into node_modules (npm ci, some 400 MB, a minute or less)"
# The pinned runtime is among the packages: that this machine's Node is older than they ask for does not matter.
npm ci --loglevel=error --no-progress >/dev/null
cp package-lock.json "$stamp"
