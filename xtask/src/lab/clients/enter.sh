#!/bin/sh
# enter ROOT STATE PROGRAM ARG…: runs a program with ROOT as its root directory, as far as programs, libraries and
# /etc are concerned; every other directory of this machine is where it was, so that arguments mean the same.
# What it writes below ROOT is thrown away; what engines keep is below STATE. Needs root and leaves no mount behind.
set -eu
if [ -z "${LAYERSTONE_ENTERED-}" ]; then
  LAYERSTONE_ENTERED=1 exec unshare --mount --propagation private "$0" "$@"
fi
unset LAYERSTONE_ENTERED
root=$1 state=$2 here=$PWD
shift 2
PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -t tmpfs -o mode=755 layerstone "$root/mnt"
new=$root/mnt
mkdir "$new/upper" "$new/work" "$new/root"
mount -t overlay overlay -o "lowerdir=$root,upperdir=$new/upper,workdir=$new/work" "$new/root"
new=$new/root
for path in /*; do
  case $path in
  /bin | /boot | /etc | /lib* | /media | /mnt | /opt | /run | /sbin | /srv | /usr | /var) continue ;;
  esac
  [ -d "$path" ] && [ ! -L "$path" ] || continue
  mkdir -p "$new$path"
  mount --rbind "$path" "$new$path"
done
mkdir -p "$new/var/tmp"
mount --rbind /var/tmp "$new/var/tmp"
for name in run var/lib/containers var/lib/docker var/lib/containerd; do
  mkdir -p "$state/$name" "$new/$name"
  mount --bind "$state/$name" "$new/$name"
done
cp -L /etc/hosts /etc/resolv.conf "$new/etc/" 2>/dev/null || true
cd "$new"
pivot_root . mnt
umount -l /mnt
cd "$here"
exec "$@"
