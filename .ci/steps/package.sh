# Check steps about what is shipped: versions, house rules, man pages, install, compat, archives. Sourced by .ci/check.

# One version, said in five places.
step_version() {
    local cargo header
    cargo=$(sed -n 's/^version *= *"\(.*\)"/\1/p' Cargo.toml | head -n 1)
    header=$(awk '/^#define VMMA_VERSION_(MAJOR|MINOR|PATCH) / { v = v (v == "" ? "" : ".") $3 } END { print v }' include/libvmma.h)
    [ "$cargo" = "$header" ] || fail "Cargo.toml says $cargo, libvmma.h $header"
    grep -q "^## $cargo " CHANGELOG.md || fail "CHANGELOG.md has no entry for $cargo"
    head -n 1 packaging/debian/changelog | has "($cargo)" || fail "packaging/debian/changelog is not about $cargo"
    [ ! -e Cargo.lock ] || awk '/^name = "libvmma"/ { getline; print }' Cargo.lock | has "\"$cargo\"" || fail "Cargo.lock says another version"
}

tracked() { # the files that belong to the project
    if git rev-parse --git-dir >/dev/null 2>&1; then
        git ls-files --cached --others --exclude-standard
    else
        find . \( -name target -o -name vendor -o -name .git -o -name .cargo \) -prune -o -type f -print | sed 's|^\./||'
    fi
}

# Rules that a script can see: every source opens with what it is; unsafe Rust stays where it may be; files stay short.
step_house() {
    local file lines bad=0
    while IFS= read -r file; do
        [ -e "$file" ] || continue
        case $file in
        *.rs) grep -qE '^(//!|//|/\*)' <(head -n 1 "$file") || { echo "$file does not open with what it is" && bad=1; } ;;
        *.c | *.h | *.cpp | *.hpp) grep -qE '^(//|/\*)' <(head -n 1 "$file") || { echo "$file does not open with what it is" && bad=1; } ;;
        *.sh) grep -q '^# ' <(sed -n 1,2p "$file") || { echo "$file does not open with what it is" && bad=1; } ;;
        esac
        case $file in
        *.rs | *.c | *.h | *.cpp | *.hpp | *.sh)
            lines=$(grep -cvE '^ *(//|/?\*|#( |!|$)|$)' "$file" || true)
            # ffi.rs is one file because cbindgen reads one file.
            [ "$lines" -le 450 ] || [ "$file" = src/ffi.rs ] || { echo "$file has $lines lines of code" && bad=1; }
            ;;
        esac
    done < <(tracked | grep -v '^include/libvmma.h$')
    grep -oE '^src/[^ ]+' .ci/unsafe-files.txt | sort >"$work/may"
    grep -lE '\bunsafe (\{|fn|impl|extern)' -r src | grep -v '^src/tests/' | sort >"$work/does" || true
    while IFS= read -r file; do
        echo "$file: unsafe code, but .ci/unsafe-files.txt does not name it"
        bad=1
    done < <(comm -13 "$work/may" "$work/does")
    while IFS= read -r file; do
        echo "$file: no unsafe code any more, but .ci/unsafe-files.txt names it"
        bad=1
    done < <(comm -23 "$work/may" "$work/does")
    [ $bad = 0 ] || fail "see above"
}

step_man() {
    local file
    packaging/man/make.sh include/libvmma.h "$work/man"
    echo "$(ls "$work"/man/man3 | wc -l) pages in section 3"
    # The example in vmma(7) is a program.
    sed -n '/^\.EX$/,/^\.EE$/{/^\.E/!p}' packaging/man/vmma.7.in >"$work/example.c"
    "$CC" -std=c11 -Wall -Wextra -Wpedantic -Werror -Iinclude -fsyntax-only "$work/example.c"
    [ -s "$work/example.c" ] || fail "vmma(7) has no example"
    # The generator must see what it is for: a function without a page, one without a comment, a page without a function.
    sed 's/vmma_dump /vmma_dumped /g' packaging/man/pages.txt >"$work/pages.txt"
    for file in pages.awk vmma.7.in make.sh; do cp "packaging/man/$file" "$work/"; done
    mkdir -p "$work/a/b" && mv "$work"/pages.* "$work/vmma.7.in" "$work/make.sh" "$work/a/b/"
    if VMMA_VERSION=0 sh "$work/a/b/make.sh" include/libvmma.h "$work/man2" 2>"$work/err"; then fail "a function on no page is not noticed"; fi
    grep -q 'vmma_dump is on no page' "$work/err" || { cat "$work/err"; fail "a function on no page is not named"; }
    command -v man >/dev/null || { echo "skipped: man -l (man is not installed)" && return; }
    for file in "$work"/man/man?/*; do
        # `.so` lines are looked up from the top of the tree.
        (cd "$work/man" && MANWIDTH=80 man --warnings -E UTF-8 -l "$file" >"$work/out" 2>"$work/err")
        [ ! -s "$work/err" ] || { cat "$work/err"; fail "$file is not clean"; }
        [ -s "$work/out" ] || fail "$file is empty"
    done
    if command -v mandoc >/dev/null; then (cd "$work/man" && mandoc -T lint -W warning $(grep -L '^\.so ' man?/*)); else echo "skipped: mandoc -T lint (mandoc is not installed)"; fi
}

consumer() { # consumer DIR: a program that uses the installed library
    mkdir -p "$1"
    cat >"$1/main.c" <<'C'
#include <libvmma.h>
#include <stdio.h>
int main(void) {
    vmma_context_t *context = vmma_create_context(NULL, 1 << 20, 0, 0, 0);
    vmma_client_t *client = vmma_create_client(context);
    void *memory = vmma_alloc(client, 100);
    int inside = vmma_test_address(client, memory);
    int deleted = vmma_delete_context(context);
    printf("%s, %d, %d\n", vmma_get_version_string(), inside, deleted);
    return memory == NULL;
}
C
    cat >"$1/CMakeLists.txt" <<'CMAKE'
cmake_minimum_required(VERSION 3.13)
project(consumer C)
find_package(libvmma 0.5 REQUIRED)
find_package(libvmma REQUIRED)
foreach(kind shared static libvmma)
  add_executable(with-${kind} main.c)
  target_link_libraries(with-${kind} PRIVATE libvmma::${kind})
endforeach()
CMAKE
}

step_install() {
    libs
    local at=$work/opt/vmma stage=$work/stage arch expect flags kind
    arch=$("$CC" -print-multiarch 2>/dev/null) || arch=
    expect="$(sed -n 's/^version *= *"\(.*\)"/\1/p' Cargo.toml | head -n 1), 1, 0"
    consumer "$work/c"

    # Straight to a prefix, with a library directory of its own.
    # `sudo make install` often finds no cargo, and needs none.
    make -s install PREFIX="$at" LIBDIR="$at/lib/$arch" CARGO=no-such-cargo
    (cd "$at" && find . ! -type d | sort)
    for file in include/libvmma.h "lib/$arch/libvmma.so.0" "lib/$arch/libvmma.a" share/man/man7/vmma.7 share/man/man3/vmma_free.3; do
        [ -s "$at/$file" ] || fail "$file is not installed"
    done
    export LD_LIBRARY_PATH=$at/lib/$arch
    if command -v pkg-config >/dev/null; then
        export PKG_CONFIG_PATH=$at/lib/$arch/pkgconfig
        flags=$(pkg-config --cflags --libs libvmma)
        "$CC" -std=c11 -Wall -Wextra -Werror "$work/c/main.c" $flags -o "$work/pc"
        [ "$("$work/pc")" = "$expect" ] || fail "the pkg-config program says $("$work/pc")"
        "$CC" -std=c11 "$work/c/main.c" $(pkg-config --cflags libvmma) \
            "$(pkg-config --variable=libdir libvmma)/libvmma.a" -o "$work/pcs"
        [ "$(LD_LIBRARY_PATH='' "$work/pcs")" = "$expect" ] || fail "the static pkg-config program fails"
    else
        echo "skipped: install with pkg-config (pkg-config is not installed)"
    fi
    if command -v cmake >/dev/null; then
        # The package may be moved: its files find each other.
        mkdir "$work/moved" && cp -a "$at" "$work/moved/"
        cmake -S "$work/c" -B "$work/cb" -DCMAKE_PREFIX_PATH="$work/moved/vmma"
        cmake --build "$work/cb"
        for kind in shared static libvmma; do
            [ "$("$work/cb/with-$kind")" = "$expect" ] || fail "libvmma::$kind fails"
        done
        readelf -dW "$work/cb/with-static" | has 'libvmma' && fail "libvmma::static links the shared library"
        readelf -dW "$work/cb/with-shared" | has '\[libvmma.so.0\]' || fail "libvmma::shared does not"
        sed -i 's/libvmma 0.5/libvmma 0.4/' "$work/c/CMakeLists.txt"
        if cmake -S "$work/c" -B "$work/cb2" -DCMAKE_PREFIX_PATH="$work/moved/vmma" >/dev/null 2>&1; then fail "CMake takes 0.5 for 0.4"; fi
    else
        echo "skipped: install with CMake (cmake is not installed)"
    fi
    make -s uninstall PREFIX="$at" LIBDIR="$at/lib/$arch"
    [ -z "$(find "$at" ! -type d)" ] || fail "uninstall leaves $(find "$at" ! -type d)"

    # Staged, as packagers do, by the lower-case names; a stranger's file stays.
    make -s install DESTDIR="$stage" prefix=/usr libdir=/usr/lib/x
    echo stranger >"$stage/usr/include/stranger.h"
    grep -qx 'prefix=/usr' "$stage/usr/lib/x/pkgconfig/libvmma.pc" || fail "the stage is in libvmma.pc"
    ! grep -rq "$work" "$stage" || fail "the stage is in a file: $(grep -rl "$work" "$stage")"
    make -s uninstall DESTDIR="$stage" prefix=/usr libdir=/usr/lib/x
    [ "$(find "$stage" ! -type d)" = "$stage/usr/include/stranger.h" ] || fail "uninstall leaves or takes too much: $(find "$stage" ! -type d)"
}

# compat_says STATUS WORDS [LIB]: comparing with $work/other.h ends so and says so
compat_says() {
    local status=0
    VMMA_LIB=$OUTLIB packaging/compat.sh "$work/other.h" ${3:+"$3"} >"$work/out" 2>&1 || status=$?
    cat "$work/out"
    [ $status = "$1" ] || fail "ends with $status, not $1"
    grep -qF "$2" "$work/out" || fail "does not say: $2"
}

step_compat() {
    need "$CXX" nm
    libs
    local ours=include/libvmma.h
    cp "$ours" "$work/other.h"
    compat_says 0 "nothing differs" "$OUTLIB/libvmma.so"
    # Same for a compiler, other for the eye: tags, parameter names, typedefs, a comment.
    sed 's/struct vmma_context\b/struct other_tag/; s/struct vmma_context;/struct other_tag;/; s/\bclient, size_t size)/c, size_t bytes)/; s/typedef uint32_t vmma_flags_t/typedef unsigned int vmma_flags_t/' "$ours" >"$work/other.h"
    ! cmp -s "$ours" "$work/other.h"
    compat_says 0 "nothing differs"
    # One change each, found and named.
    doctored() { # doctored SED WORDS
        sed "$1" "$ours" >"$work/other.h"
        ! cmp -s "$ours" "$work/other.h" || fail "$1 changes nothing"
        compat_says 1 "$2"
    }
    doctored 's/int vmma_free(vmma_client_t \*client, void \*ptr)/void vmma_free(vmma_client_t *client, void *ptr)/' "function vmma_free differs"
    doctored 's/vmma_get_size(const vmma_client_t/vmma_get_size(vmma_client_t/' "function vmma_get_size differs"
    doctored 's/VMMA_FLAG_ZERO 0x0004U/VMMA_FLAG_ZERO 0x0008U/' "constant VMMA_FLAG_ZERO differs"
    doctored 's/VMMA_E_LIMIT = -3/VMMA_E_LIMIT = -33/' "constant VMMA_E_LIMIT differs"
    doctored 's/    size_t live_count;/    int live_count;/' "struct vmma_stats_t differs"
    doctored 's/^int vmma_free(/int vmma_gone(void);\n&/' "function vmma_gone: is there, not here"
    doctored 's/^#define VMMA_FLAG_ZERO .*/&\n#define VMMA_ROUND(n) ((n) + 1)/' "function-like macro VMMA_ROUND: is there, not here"
    # Fewer functions there is no difference for its programs.
    grep -v 'vmma_lua_alloc(' "$ours" >"$work/other.h"
    compat_says 0 "only here, which no program for the other can mind: 1 functions"
    # A library with a symbol that ours has not.
    echo 'int vmma_gone(void); int vmma_gone(void) { return 0; }' >"$work/lib.c"
    "$CC" -shared -fPIC "$work/lib.c" -o "$work/other.so"
    cp "$ours" "$work/other.h"
    compat_says 1 "symbol vmma_gone: is there, not here" "$work/other.so"
}

# The archive alone must be enough, with the crates that `cargo vendor` put beside it and no network.
step_dist() {
    [ -e Cargo.lock ] || skip "there is no Cargo.lock"
    local cargo_home
    make -s dist
    mkdir "$work/src"
    tar -xzf "$BUILD"/libvmma-*.tar.gz -C "$work/src" --strip-components=1
    cp "$BUILD"/libvmma-*.tar.gz "$work/first.tar.gz"
    make -s dist
    cmp "$BUILD"/libvmma-*.tar.gz "$work/first.tar.gz" || fail "two archives of the same files differ"
    cd "$work/src"
    mkdir .cargo
    $CARGO vendor --locked >.cargo/config.toml || skip "cargo vendor cannot fetch the crates"
    cargo_home=$work/empty-home
    mkdir "$cargo_home"
    env -u CARGO_TARGET_DIR CARGO_HOME="$cargo_home" CARGO_NET_OFFLINE=true VMMA_HEADER=skip make -s lib
    [ -s target/vmma/lib/libvmma.so ] && [ -s target/vmma/lib/libvmma.a ] || fail "no libraries were built"
}

step_deb() {
    need dpkg-buildpackage dh
    [ -e Cargo.lock ] || skip "there is no Cargo.lock"
    make -s deb
    local dev lib
    lib=$(ls "$BUILD"/deb/libvmma0_*.deb) dev=$(ls "$BUILD"/deb/libvmma-dev_*.deb)
    dpkg-deb -c "$lib" | has 'libvmma\.so\.0 ->' || fail "libvmma0 has no libvmma.so.0"
    dpkg-deb -I "$lib" symbols | has ' vmma_alloc@Base 0.5.0' || fail "libvmma0 has no symbols file"
    for file in libvmma.a include/libvmma.h pkgconfig/libvmma.pc libvmma-config.cmake man3/vmma_alloc.3.gz; do
        dpkg-deb -c "$dev" | has "$file" || fail "libvmma-dev has no $file"
    done
}
