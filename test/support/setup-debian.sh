#!/bin/bash
# Installs Debian packages for the commands that are missing. Usage: setup-debian.sh npm|build|network|tests|bench...
set -euo pipefail

# Command and the package that has it, per purpose.
wanted() {
  case "$1" in
    npm) echo npm npm ;;
    build) printf '%s\n' 'patchelf patchelf' 'strip binutils' ;;
    network) printf '%s\n' 'ip iproute2' 'iptables iptables' 'nft nftables' 'conntrack conntrack' ;;
    bench) echo strace strace ;;
    tests) printf '%s\n' 'ping iputils-ping' 'gcc gcc' 'gencat libc6-dev' ;;
    *) echo "setup: no such purpose: $1" >&2; exit 2 ;;
  esac
}

# Plain users have no sbin in their PATH.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

packages=()
for purpose in "$@"; do
  while read -r tool package; do
    command -v "$tool" >/dev/null || packages+=("$package")
  done < <(wanted "$purpose")
done
[ ${#packages[@]} -gt 0 ] || exit 0

install="apt-get install --no-install-recommends ${packages[*]}"
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
  echo "setup: missing ${packages[*]}. As root on Debian: $install (elsewhere: the packages of the same commands)" >&2
  exit 1
fi

echo "setup: installing Debian packages: ${packages[*]}"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
{ apt-get -qq update && apt-get -qq -y install --no-install-recommends "${packages[@]}"; } >"$log" 2>&1 || {
  cat "$log" >&2
  echo "setup: could not install ${packages[*]}: see apt's words above" >&2
  exit 1
}
