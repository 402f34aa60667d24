#!/bin/bash
# Gets what the tests hold ours against into .cache/peers, once: the reference plugins, cnitool and flanneld, built with
# Go, and Debian's etcd.
set -euo pipefail
cd "$(dirname "$0")/../.."

peers=(
  github.com/containernetworking/cni/cnitool@v1.3.0
  github.com/containernetworking/plugins/plugins/main/bridge@v1.9.1
  github.com/containernetworking/plugins/plugins/main/loopback@v1.9.1
  github.com/containernetworking/plugins/plugins/main/ptp@v1.9.1
  github.com/containernetworking/plugins/plugins/ipam/host-local@v1.9.1
  github.com/containernetworking/plugins/plugins/ipam/static@v1.9.1
  github.com/containernetworking/plugins/plugins/meta/portmap@v1.9.1
)
oldest_go=1.21 # from here on, go fetches the newer toolchain that the peers ask for

folder=$PWD/.cache/peers
stamp=$folder/.versions
log=$folder/.log

# Go's installer puts it where a login shell's PATH may not reach.
PATH=$PATH:/usr/local/go/bin

require_go() {
  local get='get Go from https://go.dev/dl (unpack into /usr/local) or, on Debian 13 and later: apt-get install golang-go'
  command -v go >/dev/null || { echo "setup: the tests need Go $oldest_go or newer, none found: $get" >&2; exit 1; }
  local version
  version=$(go env GOVERSION)
  version=${version#go}
  [ "$(printf '%s\n' "$oldest_go" "$version" | sort -V | head -n 1)" = "$oldest_go" ] ||
    { echo "setup: the tests need Go $oldest_go or newer, this is $version: $get" >&2; exit 1; }
}

versions() {
  printf '%s\n' "${peers[@]}"
  find test/support/flanneld -type f -print0 | LC_ALL=C sort -z | xargs -0 cksum
}

is_built() {
  [ "$(cat "$stamp" 2>/dev/null)" = "$(versions)" ] || return 1
  local peer
  for peer in "${peers[@]%@*}" flanneld etcd; do [ -x "$folder/$(basename "$peer")" ] || return 1; done
}

give_up() {
  cat "$log" >&2
  echo "setup: $1" >&2
  exit 1
}

# With cgo, which its backend "udp" takes.
build_flanneld() {
  (cd test/support/flanneld && CGO_ENABLED=1 GOFLAGS=-trimpath go build -ldflags '-s -w' -o "$folder/flanneld" \
    github.com/flannel-io/flannel) 2>"$log" || give_up 'could not build flanneld; it takes Go, a C compiler and the Go module proxy'
}

# Unpacked, not installed: the package's own scripts would start it as a service.
fetch_etcd() {
  local work
  work=$(mktemp -d)
  (cd "$work" && apt-get -qq update && apt-get -qq download etcd-server) >"$log" 2>&1 ||
    { rm -rf "$work"; give_up "could not get Debian's etcd-server; elsewhere: put etcd 3.4 or newer at $folder/etcd"; }
  dpkg-deb --fsys-tarfile "$work"/etcd-server_*.deb | tar -xO ./usr/bin/etcd >"$folder/etcd"
  chmod 755 "$folder/etcd"
  rm -rf "$work"
}

is_built && exit 0
require_go
echo "setup: getting $((${#peers[@]} + 2)) peers into .cache/peers (cnitool 1.3.0, reference plugins 1.9.1, flanneld 0.28.10, etcd; some minutes the first time)"
mkdir -p "$folder"
for i in "${!peers[@]}"; do
  echo "setup: $((i + 1))/$((${#peers[@]} + 2)) ${peers[$i]##*/}"
  # Static, so that they also run inside a bare root folder.
  GOBIN=$folder CGO_ENABLED=0 GOFLAGS=-trimpath go install -ldflags '-s -w' "${peers[$i]}" 2>"$log" ||
    give_up "could not build ${peers[$i]}"
done
echo "setup: $((${#peers[@]} + 1))/$((${#peers[@]} + 2)) flanneld@v0.28.10"
build_flanneld
echo "setup: $((${#peers[@]} + 2))/$((${#peers[@]} + 2)) etcd"
[ -x "$folder/etcd" ] || fetch_etcd
versions >"$stamp"
