#!/bin/sh
# deb.sh: builds the Debian packages libvmma0 and libvmma-dev from this tree, in $VMMA_BUILD/deb.
# Needs dpkg-dev and debhelper. Rust is taken from where it is, packaged or not, so the build dependencies are not
# enforced.
set -eu
cd "$(dirname "$0")/.."
out=${VMMA_BUILD:?}/deb
name=libvmma-${VMMA_VERSION:?}
for tool in dpkg-buildpackage dh; do
    command -v $tool >/dev/null 2>&1 || { echo "skipped: deb ($tool is not installed)"; exit 77; }
done
packaging/dist.sh
rm -rf "$out"
mkdir -p "$out"
tar -xzf "$VMMA_BUILD/$name.tar.gz" -C "$out"
cp -R "$out/$name/packaging/debian" "$out/$name/debian"
# What cargo has built already is built already: the packages come from the same sources.
cd "$out/$name"
CARGO_TARGET_DIR=$(dirname "$VMMA_BUILD") dpkg-buildpackage -d -us -uc -b
cd "$out"
ls -l ./*.deb
