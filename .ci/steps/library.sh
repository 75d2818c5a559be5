# Check steps about the header and the libraries as a C compiler and a linker see them. Sourced by .ci/check.

# The first build. It fails if include/libvmma.h is not what src/ffi.rs says.
step_build() {
    make -s lib
    ls -l "$OUTLIB"
}

# header_functions: the names that the header declares, sorted
header_functions() {
    grep -oE '^[a-z][a-z0-9_ ]*[ *]vmma_[a-z_]+\(' include/libvmma.h | grep -oE 'vmma_[a-z_]+\(' | tr -d '(' | sort -u
}

step_headers() {
    local std compiler found=0
    {
        echo '#include "libvmma.h"'
        echo '#include "libvmma.h"'
        echo 'int main(void) { return VMMA_VERSION == 0 || sizeof(vmma_stats_t) == 0 || VMMA_OK != 0; }'
    } >"$work/t.c"
    cp "$work/t.c" "$work/t.cpp"
    printf '#include "libvmma.hpp"\n#include "libvmma.hpp"\nint main() { return 0; }\n' >"$work/hpp.cpp"
    for compiler in "$CC" gcc clang; do
        command -v "$compiler" >/dev/null || { echo "skipped: headers with $compiler (not installed)" && continue; }
        for std in c89 c99 c11 c17; do
            echo "$compiler -std=$std"
            "$compiler" -std=$std -Wall -Wextra -Wpedantic -Werror -Iinclude -fsyntax-only "$work/t.c"
        done
    done
    for compiler in "$CXX" g++ clang++; do
        command -v "$compiler" >/dev/null || { echo "skipped: headers with $compiler (not installed)" && continue; }
        found=1
        for std in c++98 c++11 c++17 c++20; do
            echo "$compiler -std=$std"
            "$compiler" -std=$std -Wall -Wextra -Wpedantic -Werror -Iinclude -fsyntax-only "$work/t.cpp"
        done
        [ -e include/libvmma.hpp ] || continue
        for std in c++17 c++20; do
            echo "$compiler -std=$std libvmma.hpp"
            "$compiler" -std=$std -Wall -Wextra -Wpedantic -Werror -Iinclude -fsyntax-only "$work/hpp.cpp"
            "$compiler" -std=$std -fno-exceptions -Wall -Wextra -Wpedantic -Werror -Iinclude -fsyntax-only "$work/hpp.cpp"
        done
    done
    [ $found = 1 ] || echo "skipped: headers in C++ (no C++ compiler)"
    straight_calls
}

# Where the compiler knows how, calls of the functions that programs call most go through no stub.
straight_calls() {
    printf '#if !defined(__has_attribute)\n#error\n#elif !__has_attribute(noplt)\n#error\n#endif\n' >"$work/noplt.c"
    "$CC" -fsyntax-only "$work/noplt.c" 2>/dev/null || { echo "skipped: calls without stubs ($CC has no attribute noplt)" && return; }
    command -v objdump >/dev/null || { echo "skipped: calls without stubs (no objdump)" && return; }
    printf '#include "libvmma.h"\nvoid twice(vmma_client_t *c, void *p) { vmma_free(c, p); vmma_free(c, vmma_alloc(c, 1)); }\n' >"$work/calls.c"
    "$CC" -O2 -fPIC -Iinclude -c "$work/calls.c" -o "$work/calls.o"
    objdump -r "$work/calls.o" | grep -q vmma_alloc || fail "no call of vmma_alloc in what was compiled"
    if objdump -r "$work/calls.o" | grep 'PLT.*vmma_'; then fail "a call goes through a stub"; fi
}

step_symbols() {
    need readelf nm strip
    libs
    local so=$OUTLIB/libvmma.so size
    readelf -dW "$so" | has 'SONAME.*\[libvmma\.so\.0\]' || fail "the SONAME is not libvmma.so.0"
    readelf -dW "$so" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' >"$work/needed"
    [ "$(cat "$work/needed")" = libc.so.6 ] || fail "needs more than libc.so.6: $(tr '\n' ' ' <"$work/needed")"

    nm -D --defined-only "$so" | awk '{ sub(/@.*/, "", $3); print $3 }' | sort >"$work/exported"
    header_functions >"$work/declared"
    diff "$work/declared" "$work/exported" || fail "declared (<) and exported (>) differ"
    sed -n 's/^ \(vmma_[a-z_]*\)@Base .*/\1/p' packaging/debian/libvmma0.symbols | sort >"$work/debian"
    diff "$work/declared" "$work/debian" || fail "declared (<) and packaging/debian/libvmma0.symbols (>) differ"

    nm -D --undefined-only "$so" | awk '{ sub(/@.*/, "", $2); print $1, $2 }' | sort >"$work/imported"
    echo "imports: $(awk '{ print $2 }' "$work/imported" | tr '\n' ' ')"
    if grep -E ' (malloc|calloc|realloc|free|posix_memalign|aligned_alloc|memalign|pthread_.*|_Unwind_.*)$' "$work/imported"; then
        fail "these must not be imported"
    fi
    strip --strip-unneeded -o "$work/stripped.so" "$so"
    size=$(wc -c <"$work/stripped.so")
    echo "stripped: $size bytes"
    [ "$size" -le 131072 ] || fail "more than 128 KiB stripped"
    if readelf -lW "$so" | has 'GNU_STACK.*RWE'; then fail "the stack would be executable"; fi
    # Where these begin decides about a tenth of the time of some programs.
    if [ "$(uname -sm)" = "Linux x86_64" ] && nm "$so" | grep -E ' T vmma_(alloc|free|realloc)$' | grep -vE '^[0-9a-f]*[048c]0 '; then
        fail "these do not begin a cache line"
    fi
    # Global state would tie contexts together: only what the loader itself brings may be writable.
    if nm "$so" | grep -E ' [bBdD] ' | grep -vE ' (completed\.[0-9]+|__dso_handle|__TMC_(END|LIST)__|__bss_start|_edata|_end|__data_start|data_start|_DYNAMIC|_GLOBAL_OFFSET_TABLE_|__.*_array_.*|__FRAME_END__|__abi_tag)$'; then
        fail "writable data in the library"
    fi
}

# The panic handler is not inlined and has a text of its own, so a path to it cannot hide.
step_panic_free() {
    need nm
    libs
    local found=0
    for file in "$OUTLIB/libvmma.so" "$OUTLIB/libvmma.a"; do
        if nm "$file" 2>/dev/null | grep -E 'panick|begin_unwind|slice_index_fail|unwrap_failed|expect_failed|panic_'; then
            found=1
        fi
        if grep -aq 'libvmma: internal panic' "$file"; then
            echo "$file holds the panic handler's text"
            found=1
        fi
    done
    [ $found = 0 ] || fail "a public function can reach a panic"
    # The same search must find the handler where it is: in a debug build.
    $CARGO rustc --quiet --lib --crate-type cdylib
    nm "$TARGET/debug/libvmma.so" | has -E 'panick' || fail "the search finds nothing in a debug build: it proves nothing"
    grep -aq 'libvmma: internal panic' "$TARGET/debug/libvmma.so" || fail "the panic handler has no text to look for"
}

step_archive() {
    need nm
    libs
    local a=$OUTLIB/libvmma.a
    ls -l "$a"
    [ "$("$AR" t "$a" | grep -cv '^libvmma-')" = 0 ] || fail "objects that are not ours: $("$AR" t "$a")"
    nm -g --defined-only "$a" | awk 'NF == 3 && $2 != "W" { print $3 }' | sort >"$work/defined"
    header_functions | diff - "$work/defined" || fail "declared (<) and defined (>) differ"
    cat >"$work/t.c" <<'C'
#include <stdio.h>
#include "libvmma.h"
int main(void) {
    static char memory[1 << 20];
    vmma_context_t *context = vmma_create_context(memory, sizeof memory, 0, 0, 0);
    vmma_client_t *client = vmma_create_client(context);
    char *text = vmma_alloc(client, 100);
    if (!text || vmma_get_version() != VMMA_VERSION) return 1;
    snprintf(text, 100, "libvmma %s", vmma_get_version_string());
    puts(text);
    return vmma_free(client, text) != VMMA_OK || vmma_delete_context(context) != VMMA_OK;
}
C
    "$CC" -std=c11 -Wall -Wextra -Werror -Iinclude "$work/t.c" "$a" -o "$work/plain"
    "$work/plain"
    "$CC" -std=c11 -Wall -Wextra -Werror -Iinclude "$work/t.c" -L"$OUTLIB" -lvmma -Wl,-rpath,"$OUTLIB" -o "$work/shared"
    "$work/shared"
    echo 'int main(void) { return 0; }' >"$work/none.c"
    if "$CC" -static "$work/none.c" -o "$work/none" 2>/dev/null; then
        "$CC" -static -std=c11 -Wall -Wextra -Werror -Iinclude "$work/t.c" "$a" -o "$work/static"
        "$work/static"
    else
        echo "skipped: archive with -static (no static libc)"
    fi
}
