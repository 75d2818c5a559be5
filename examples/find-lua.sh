#!/bin/sh
# find-lua.sh - finds Lua 5.4 for the demo, or makes it, and says how to compile and link with it.
#
# Usage: find-lua.sh OUT_DIR [auto|system|crate]
# Writes OUT_DIR/lua.cflags and OUT_DIR/lua.libs. `system`: a Lua that is installed (Debian:
# liblua5.4-dev); `crate`: the C sources in the lua-src crate, fetched and compiled by cargo;
# `auto`: the first of these that works. It knows nothing of libvmma.
set -eu
out=$1
mode=${2:-auto}
here=$(cd "$(dirname "$0")" && pwd)
cc=${CC:-cc}
mkdir -p "$out"
out=$(cd "$out" && pwd)

# Believe a compiler, not a package list: a header without its library is no use.
works() {
    cat >"$out/lua-probe.c" <<'END'
#include <lauxlib.h>
#include <lualib.h>
#if LUA_VERSION_NUM != 504
#error not Lua 5.4
#endif
int main(void) { lua_State *L = luaL_newstate(); luaL_openlibs(L); lua_close(L); return 0; }
END
    # shellcheck disable=SC2086
    $cc $1 "$out/lua-probe.c" -o "$out/lua-probe" $2 -lm >"$out/lua-probe.log" 2>&1 &&
        "$out/lua-probe"
}

use() {
    printf '%s\n' "$1" >"$out/lua.cflags"
    printf '%s\n' "$2" >"$out/lua.libs"
    echo "Lua 5.4: $3"
    exit 0
}

if [ "$mode" != crate ]; then
    for name in lua5.4 lua-5.4 lua54 lua; do
        if cflags=$(pkg-config --cflags $name 2>/dev/null) &&
            libs=$(pkg-config --libs $name 2>/dev/null) && works "$cflags" "$libs"; then
            use "$cflags" "$libs" "installed (pkg-config $name)"
        fi
    done
    for dir in /usr/include /usr/local/include; do
        if works "-I$dir/lua5.4" -llua5.4; then
            use "-I$dir/lua5.4" -llua5.4 "installed ($dir/lua5.4)"
        fi
    done
    if [ "$mode" = system ]; then
        echo "find-lua.sh: no Lua 5.4 is installed (Debian: liblua5.4-dev)" >&2
        exit 1
    fi
fi

# A copy, so that cargo writes its lock file and its output below OUT_DIR and not beside the source.
rm -rf "$out/lua-src"
mkdir -p "$out/lua-src/src"
cp "$here/lua-src/Cargo.toml" "$out/lua-src/"
cp "$here/lua-src/src/main.rs" "$out/lua-src/src/"
target=$(${RUSTC:-rustc} -vV | sed -n 's/^host: //p')
if CARGO_TARGET_DIR="$out/lua-src/target" ${CARGO:-cargo} run --quiet \
    --manifest-path "$out/lua-src/Cargo.toml" -- "$out/lua" "$target" &&
    works "-I$out/lua/include" "-L$out/lua/lib -llua5.4 -ldl"; then
    use "-I$out/lua/include" "-L$out/lua/lib -llua5.4 -ldl" "the lua-src crate, compiled here"
fi
echo "find-lua.sh: no Lua 5.4 is installed, and the lua-src crate could not be had or compiled" >&2
exit 1
