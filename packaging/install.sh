#!/bin/sh
# install.sh install|uninstall: puts the libraries, headers, man pages, pkg-config and CMake files where the variables
# say, or takes exactly these files away again. Called by make, which sets the variables; builds nothing.
set -eu
cd "$(dirname "$0")/.."
: "${VMMA_VERSION:?}" "${PREFIX:?}" "${LIBDIR:?}" "${INCLUDEDIR:?}" "${MANDIR:?}"
DESTDIR=${DESTDIR:-}
soname=libvmma.so.0
pc=$LIBDIR/pkgconfig
cmake=$LIBDIR/cmake/libvmma

put() { # put MODE FROM TO
    mkdir -p "$DESTDIR$(dirname "$3")"
    install -m "$1" "$2" "$DESTDIR$3"
}

# relative FROM TO: the way from one absolute directory to another
relative() {
    from=$1 up=
    while case $2/ in "$from"/*) false ;; esac do
        from=$(dirname "$from")
        [ "$from" != / ] || from=
        up=../$up
    done
    rest=${2#"$from"}
    rest=${rest#/}
    printf '%s\n' "${up}${rest:-.}"
}

fill() { # fill TEMPLATE TO: the template with the names between @ signs replaced
    mkdir -p "$DESTDIR$(dirname "$2")"
    sed -e "s|@PREFIX@|$PREFIX|g" -e "s|@LIBDIR@|$(below "$LIBDIR")|g" -e "s|@INCLUDEDIR@|$(below "$INCLUDEDIR")|g" \
        -e "s|@VERSION@|$VMMA_VERSION|g" -e "s|@MAJOR@|${VMMA_VERSION%%.*}|g" -e "s|@MAJOR_MINOR@|${VMMA_VERSION%.*}|g" \
        -e "s|@SONAME@|$soname|g" -e "s|@WORD@|$word|g" \
        -e "s|@LIB_FROM_CMAKE@|$(relative "$cmake" "$LIBDIR")|g" \
        -e "s|@INCLUDE_FROM_CMAKE@|$(relative "$cmake" "$INCLUDEDIR")|g" "$1" >"$DESTDIR$2"
    chmod 644 "$DESTDIR$2"
}
below() { # a path with the prefix said by name, so that pkg-config --define-prefix works
    case $1 in "$PREFIX"/*) printf '%s\n' "\${prefix}${1#"$PREFIX"}" ;; *) printf '%s\n' "$1" ;; esac
}
pages() { # the man pages of this version, by name
    sed -n 's/^[a-z_]* *|[^|]*| *\([a-z_ ]*[a-z_]\) *|.*/\1/p' packaging/man/pages.txt | tr ' ' '\n'
}

case ${1:-} in
install)
    # The class byte of the ELF header: 1 is 32 bits, 2 is 64 bits.
    word=$(($(od -An -tu1 -j4 -N1 "$VMMA_LIB/libvmma.so") * 4))
    put 755 "$VMMA_LIB/libvmma.so.$VMMA_VERSION" "$LIBDIR/libvmma.so.$VMMA_VERSION"
    ln -sf "libvmma.so.$VMMA_VERSION" "$DESTDIR$LIBDIR/$soname"
    ln -sf "$soname" "$DESTDIR$LIBDIR/libvmma.so"
    put 644 "$VMMA_LIB/libvmma.a" "$LIBDIR/libvmma.a"
    for header in libvmma.h libvmma.hpp; do
        [ ! -e "include/$header" ] || put 644 "include/$header" "$INCLUDEDIR/$header"
    done
    fill packaging/libvmma.pc.in "$pc/libvmma.pc"
    fill packaging/cmake/libvmma-config.cmake.in "$cmake/libvmma-config.cmake"
    fill packaging/cmake/libvmma-config-version.cmake.in "$cmake/libvmma-config-version.cmake"
    put 644 "$VMMA_MAN/man7/vmma.7" "$MANDIR/man7/vmma.7"
    for page in $(pages); do
        put 644 "$VMMA_MAN/man3/$page.3" "$MANDIR/man3/$page.3"
    done
    echo "installed libvmma $VMMA_VERSION to $DESTDIR$PREFIX"
    case $LIBDIR in
    /usr/lib* | /lib*) ;;
    *) [ -n "$DESTDIR" ] || echo "if programs do not find $soname: run ldconfig, or add $LIBDIR to the loader's path" ;;
    esac
    ;;
uninstall)
    rm -f "$DESTDIR$LIBDIR/libvmma.so.$VMMA_VERSION" "$DESTDIR$LIBDIR/$soname" "$DESTDIR$LIBDIR/libvmma.so" \
        "$DESTDIR$LIBDIR/libvmma.a" "$DESTDIR$INCLUDEDIR/libvmma.h" "$DESTDIR$INCLUDEDIR/libvmma.hpp" \
        "$DESTDIR$pc/libvmma.pc" "$DESTDIR$cmake/libvmma-config.cmake" \
        "$DESTDIR$cmake/libvmma-config-version.cmake" "$DESTDIR$MANDIR/man7/vmma.7"
    for page in $(pages); do
        rm -f "$DESTDIR$MANDIR/man3/$page.3"
    done
    # Only our own directory may go, and only if nobody else put something there.
    rmdir "$DESTDIR$cmake" 2>/dev/null || true
    echo "removed libvmma $VMMA_VERSION from $DESTDIR$PREFIX"
    ;;
*)
    echo "usage: install.sh install|uninstall (through make)" >&2
    exit 2
    ;;
esac
