#!/bin/sh
# dist.sh: packs the source as $VMMA_BUILD/libvmma-VERSION.tar.gz: the files that git knows, or all but what is made
# if this is no checkout. The same files give the same archive. It builds offline after `cargo vendor`.
set -eu
cd "$(dirname "$0")/.."
name=libvmma-${VMMA_VERSION:?}
out=${VMMA_BUILD:?}
mkdir -p "$out"
list=$(mktemp)
trap 'rm -f "$list"' EXIT
if [ -e .git ] && git rev-parse --git-dir >/dev/null 2>&1; then
    git ls-files --cached --others --exclude-standard
else
    find . \( -name target -o -name vendor -o -name .cargo \) -prune -o \( -type f -o -type l \) -print | sed 's|^\./||'
fi | while IFS= read -r file; do
    [ ! -e "$file" ] || printf '%s\n' "$file" # deleted, but not yet for git
done | LC_ALL=C sort >"$list"
for file in Cargo.toml Cargo.lock Makefile src/ffi.rs include/libvmma.h; do
    grep -qx "$file" "$list" || { echo "dist: $file is not among the files" >&2; exit 1; }
done
tar --transform "s|^|$name/|S" --owner=0 --group=0 --numeric-owner --format=ustar \
    --mtime="@${SOURCE_DATE_EPOCH:-0}" -cf "$out/$name.tar" -T "$list"
gzip -9nf "$out/$name.tar"
echo "$out/$name.tar.gz: $(wc -l <"$list") files, $(wc -c <"$out/$name.tar.gz") bytes"
