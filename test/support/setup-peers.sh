#!/bin/bash
# Builds the reference plugins and cnitool with Go into .cache/peers, once: the tests hold ours against them.
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

is_built() {
  [ "$(cat "$stamp" 2>/dev/null)" = "$(printf '%s\n' "${peers[@]}")" ] || return 1
  local peer
  for peer in "${peers[@]}"; do [ -x "$folder/$(basename "${peer%@*}")" ] || return 1; done
}

is_built && exit 0
require_go
echo "setup: building ${#peers[@]} Go peers into .cache/peers (cnitool 1.3.0, reference plugins 1.9.1; a few minutes the first time)"
mkdir -p "$folder"
for i in "${!peers[@]}"; do
  echo "setup: $((i + 1))/${#peers[@]} ${peers[$i]##*/}"
  # Static, so that they also run inside a bare root folder.
  GOBIN=$folder CGO_ENABLED=0 GOFLAGS=-trimpath go install -ldflags '-s -w' "${peers[$i]}" 2>"$folder/.log" ||
    { cat "$folder/.log" >&2; exit 1; }
done
printf '%s\n' "${peers[@]}" >"$stamp"
