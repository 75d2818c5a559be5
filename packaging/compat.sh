#!/usr/bin/env bash
# compat.sh HEADER [LIB]: says in words what differs between another libvmma and this one, or that nothing does.
#
# Both headers are seen as a compiler sees them: prototypes after all typedefs are resolved, macros and enum constants
# by their values, public structs by size and offsets; LIB's exported symbols by nm. Exit code 0: a program written
# for HEADER compiles and links here (what we have more is only told); 1: something differs; 2: could not compare.
# It knows ./include/libvmma.h, $VMMA_LIB/libvmma.so and the compilers $CC and $CXX.
set -u
cd "$(dirname "$0")/.." || exit 2
theirs=${1:?usage: compat.sh HEADER [LIB]} library=${2:-}
ours=include/libvmma.h
cc=${CC:-cc} cxx=${CXX:-c++}
for file in "$theirs" ${library:+"$library"}; do
    [ -r "$file" ] || { echo "compat: cannot read $file" >&2; exit 2; }
done
command -v "$cxx" >/dev/null || { echo "skipped: compat (no C++ compiler, which names the types)"; exit 77; }
theirs=$(realpath "$theirs")
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
differ=0
say() {
    echo "$*"
    differ=1
}

# compiles HEADER CODE...: whether the compiler takes these lines behind the header
compiles() {
    printf '#include <stddef.h>\n#include <stdint.h>\n#include "%s"\n' "$1" >"$work/try.c"
    shift
    printf '%s\n' "$@" >>"$work/try.c"
    "$cc" -Werror -Wno-unused -fsyntax-only "$work/try.c" 2>/dev/null
}

# those HEADER FORMAT NAME...: the names for which FORMAT, with @ for the name, compiles. All at once if that works.
those() {
    local header=$1 format=$2 name
    shift 2
    [ $# -gt 0 ] || return 0
    # Each line declares something, named by the line's number, so that many fit into one file.
    if compiles "$header" "$(printf '%s\n' "$@" | awk -v f="$format" '{ s = f; gsub(/@/, $0, s); gsub(/#/, NR, s); print s }')"; then
        printf '%s\n' "$@"
        return
    fi
    for name in "$@"; do
        compiles "$header" "$(awk -v f="$format" -v n="$name" 'BEGIN { gsub(/@/, n, f); gsub(/#/, 1, f); print f }')" && echo "$name"
    done
}

# preprocess SIDE HEADER: the header without comments and includes, one declaration a line, and the names in it
preprocess() {
    compiles "$2" || { "$cc" -fsyntax-only "$work/try.c" >&2; echo "compat: $2 does not compile" >&2; exit 2; }
    "$cc" -E "$work/try.c" >"$work/$1.i"
    "$cc" -E -dM "$work/try.c" >"$work/$1.defines"
    grep -v '^#' "$work/$1.i" | tr '\n\t' '  ' | sed 's/\([;}]\)/\1\n/g' >"$work/$1.flat"
    # A name before a parenthesis is a function if a compiler lets us take its address.
    those "$2" 'void *p#(void) { return (void *)@; }' $(grep -oE '\bvmma_[A-Za-z0-9_]+ *\(' "$work/$1.flat" | tr -d ' (' | sort -u) >"$work/$1.functions"
    sed -n 's/^#define \(VMMA_[A-Za-z0-9_]*\)(.*/\1/p' "$work/$1.defines" | sort -u >"$work/$1.function-macros"
    { sed -n 's/^#define \(VMMA_[A-Za-z0-9_]*\) .*/\1/p' "$work/$1.defines"
      grep -oE '\bVMMA_[A-Za-z0-9_]+' "$work/$1.flat"; } | sort -u >"$work/$1.constants"
}

# types SIDE HEADER: `name<TAB>type` of each function, as the C++ compiler writes the type with every typedef resolved
types() {
    {
        printf 'extern "C" {\n#include <stddef.h>\n#include <stdint.h>\n#include "%s"\n}\n#include <cstdio>\n' "$2"
        echo 'template <class T> void show(const char *name) { std::printf("%s\t%s\n", name, __PRETTY_FUNCTION__); }'
        echo 'int main() {'
        sed 's/.*/show<decltype(\&&)>("&");/' "$work/$1.functions"
        # Opaque handles: their tags are free to differ, so we learn what the typedef names stand for.
        for name in $(handles "$1"); do echo "show<$name>(\"$name\");"; done
        echo 'return 0; }'
    } >"$work/$1.cpp"
    # Nothing is linked against a library: decltype needs declarations only.
    "$cxx" -w -std=c++17 "$work/$1.cpp" -o "$work/$1.types" 2>"$work/$1.err" || { cat "$work/$1.err" >&2; echo "compat: the compiler does not take $2 as C++" >&2; exit 2; }
    "$work/$1.types" | sed 's/\t.*T = /\t/; s/\]$//' >"$work/$1.raw"
    # The tag becomes the typedef's name, so that `struct foo` and `struct bar` behind one handle name are equal.
    cp "$work/$1.raw" "$work/$1.typed"
    local name tag
    for name in $(handles "$1"); do
        tag=$(awk -F'\t' -v n="$name" '$1 == n { print $2 }' "$work/$1.raw")
        case $tag in *[!A-Za-z0-9_]* | '') continue ;; esac
        awk -F'\t' -v OFS='\t' -v n="$name" -v t="$tag" '{
            out = ""; s = $2
            while (match(s, /[A-Za-z_][A-Za-z0-9_]*/)) {
                w = substr(s, RSTART, RLENGTH)
                out = out substr(s, 1, RSTART - 1) (w == t ? n : w)
                s = substr(s, RSTART + RLENGTH)
            }
            print $1, out s }' "$work/$1.typed" >"$work/next" && mv "$work/next" "$work/$1.typed"
    done
}
handles() { # the typedef names of structs that a header declares
    sed -n 's/.*typedef struct [A-Za-z0-9_]* *\([a-z_]*_t\) *;.*/\1/p; s/^ *} *\(vmma_[a-z_]*_t\) *;.*/\1/p' "$work/$1.flat" | sort -u
}

# values SIDE HEADER: `name<TAB>value<TAB>kind` of each constant; one that is neither number nor text, such as an
# empty include guard, promises nothing
values() {
    local numbers texts
    numbers=$(those "$2" 'long long f#(void) { return (long long)(@); }' $(cat "$work/$1.constants"))
    texts=$(those "$2" 'const char *s# = "" @ " ";' $(grep -vxF "${numbers:-none}" "$work/$1.constants"))
    {
        printf '#include <stddef.h>\n#include <stdint.h>\n#include <stdio.h>\n#include "%s"\nint main(void) {\n' "$2"
        for name in $numbers; do
            printf 'printf("%s\\t%%lld\\t%%s, %%d bytes\\n", (long long)(@), (@) * 0 - 1 < 0 ? "signed" : "unsigned", (int)sizeof(@));\n' "$name" |
                sed "s/@/$name/g"
        done
        for name in $texts; do printf 'printf("%s\\t%%s\\ttext\\n", "" %s);\n' "$name" "$name"; done
        echo 'return 0; }'
    } >"$work/values.c"
    "$cc" -w "$work/values.c" -o "$work/values.exe" || exit 2
    "$work/values.exe" | sort >"$work/$1.values"
}

# layouts SIDE HEADER: `type<TAB>layout` of each struct that the header lays open
layouts() {
    local name fields field
    : >"$work/$1.layouts"
    for name in $(those "$2" 'int n# = sizeof(@);' $(handles "$1")); do
        fields=$(fields_of "$1" "$name")
        fields=$(those "$2" "int n# = offsetof($name, @);" $fields)
        {
            printf '#include <stddef.h>\n#include <stdint.h>\n#include <stdio.h>\n#include "%s"\nint main(void) { printf("%s\\t%%zu bytes:", sizeof(%s));\n' "$2" "$name" "$name"
            for field in $fields; do
                printf 'printf(" %s@%%zu+%%zu", offsetof(%s, %s), sizeof(((%s *)0)->%s));\n' "$field" "$name" "$field" "$name" "$field"
            done
            echo 'puts(""); return 0; }'
        } >"$work/layout.c"
        "$cc" -w "$work/layout.c" -o "$work/layout.exe" || exit 2
        "$work/layout.exe" >>"$work/$1.layouts"
    done
}
# fields_of SIDE TYPE: the names in the braces of the struct behind a typedef, in their order
fields_of() {
    tr -d '\n' <"$work/$1.flat" | awk -v type="$2" '{
        text = $0
        tag = ""
        if (match(text, "typedef struct [A-Za-z0-9_]+ +" type " *;")) { split(substr(text, RSTART), w, " "); tag = w[3] }
        if (tag != "" && match(text, "struct " tag " *[{]")) { body = substr(text, RSTART + RLENGTH); sub(/}.*/, "", body) }
        else if (match(text, "[{][^{}]*} *" type " *;")) { body = substr(text, RSTART + 1, RLENGTH); sub(/}.*/, "", body) }
        n = split(body, f, ";")
        for (i = 1; i < n; i++) { sub(/ *(\[.*)?$/, "", f[i]); sub(/.*[ *]/, "", f[i]); print f[i] }
    }'
}

# compare WHAT FILE: lines `name<TAB>value...` of both sides; what they have and we have not, or otherwise, differs
compare() {
    local name value mine more=""
    while IFS=$'\t' read -r name value; do
        if ! mine=$(grep -m1 -P "^\Q$name\E(\t|$)" "$work/ours.$2"); then
            say "$1 $name: is there, not here"
        elif [ "${mine#"$name"}" != "${value:+	$value}" ]; then
            say "$1 $name differs:"
            echo "    there: ${value//	/, }"
            mine=${mine#*	}
            echo "    here:  ${mine//	/, }"
        fi
    done <"$work/theirs.$2"
    while IFS=$'\t' read -r name value; do
        grep -qP "^\Q$name\E(\t|$)" "$work/theirs.$2" || more="$more $name"
    done <"$work/ours.$2"
    [ -z "$more" ] || echo "only here, which no program for the other can mind: $(wc -w <<<"$more") ${1}s"
    [ -z "$more" ] || [ -z "${VERBOSE:-}" ] || printf '    %s\n' $more
}

preprocess ours "$PWD/$ours"
preprocess theirs "$theirs"
for side in ours theirs; do
    header=$theirs
    [ $side = theirs ] || header=$PWD/$ours
    types $side "$header"
    values $side "$header"
    layouts $side "$header"
    awk -F'\t' 'NR == FNR { f[$1] = 1; next } $1 in f' "$work/$side.functions" "$work/$side.typed" >"$work/$side.prototypes"
done
echo "compared $(wc -l <"$work/theirs.functions") functions, $(wc -l <"$work/theirs.values") constants and $(wc -l <"$work/theirs.layouts") open structs of $theirs"
compare function prototypes
compare constant values
compare "function-like macro" function-macros
compare struct layouts
if [ -n "$library" ]; then
    for side in ours theirs; do
        file=$library
        [ $side = theirs ] || file=${VMMA_LIB:?}/libvmma.so
        nm -D --defined-only "$file" >"$work/nm" || { echo "compat: nm cannot read $file" >&2; exit 2; }
        awk '{ sub(/@.*/, "", $NF); print $NF }' "$work/nm" | grep '^vmma' | sort -u >"$work/$side.symbols"
    done
    echo "compared $(wc -l <"$work/theirs.symbols") exported symbols of $library"
    compare symbol symbols
fi
if [ $differ = 0 ]; then
    echo "nothing differs: what compiles and links with the other does so here"
fi
exit $differ
