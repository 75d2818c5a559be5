#!/bin/sh
# make.sh HEADER DIR: makes the man pages in DIR/man3 and DIR/man7 from the comments of the header.
# Knows the form that build.rs gives the header, pages.txt and vmma.7.in. Needs a POSIX shell and awk.
set -eu
here=$(dirname "$0")
header=$1
dir=$2
version=${VMMA_VERSION:-$(sed -n 's/^version *= *"\(.*\)"/\1/p' "$here/../../Cargo.toml" | head -n 1)}
date=$(sed -n "s/^## $version .*\([0-9]\{4\}-[0-9][0-9]-[0-9][0-9]\).*/\1/p" "$here/../../CHANGELOG.md" | head -n 1)

rm -rf "$dir/man3" "$dir/man7"
mkdir -p "$dir/man3" "$dir/man7"
awk -v dir="$dir" -v version="$version" -v date="$date" -f "$here/pages.awk" "$here/pages.txt" "$header" "$here/vmma.7.in"
