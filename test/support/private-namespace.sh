#!/bin/bash
# Runs a command in a mount and network namespace of its own, so that nothing of the host's network or state is touched.
set -euo pipefail

if [ "${1-}" != --inside ]; then
  [ "$(id -u)" -eq 0 ] || { echo 'this needs root for network namespaces of its own: run it with sudo' >&2; exit 1; }
  exec unshare --mount --net --propagation private -- "$0" --inside "$@"
fi
shift

# An empty folder that is ours. Where the host has none, its parent gets a throw-away layer rather than a new folder.
private_folder() {
  local folder=$1 parent layer
  parent=$(dirname "$folder")
  layer=/run/layers$parent
  if [ ! -d "$folder" ]; then
    mkdir -p "$layer/upper" "$layer/work"
    mount -t overlay overlay -o "lowerdir=$parent,upperdir=$layer/upper,workdir=$layer/work" "$parent"
    mkdir "$folder"
  fi
  mount -t tmpfs -o mode=755 tmpfs "$folder"
}

mount -t tmpfs -o mode=755 tmpfs /run
private_folder /var/lib/cni
private_folder /etc/cni
PATH=$PATH:/usr/sbin:/sbin
ip link set lo up
exec "$@"
