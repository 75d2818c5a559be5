#!/usr/bin/env bash
# Checks that the documents tell the truth. One line per claim; exit code 1 if one is false.
#   1. the tutorial works by pasting: its sh blocks run in one shell, their output is compared
#   2. README shows examples/quickstart.c as it is; every complete C or C++ block elsewhere compiles
#   3. docs/api.md tells of every function of libvmma.h and of no other; flag tables have every flag
#   4. links to files lead to files
#   5. what vmma_dump writes as JSON fits docs/dump.schema.json (needs python3)
#
#   DOCS_ONLY=tutorial|blocks|names|links|schema   runs one of them
#   CC, CXX                                         compilers (cc, c++)
#   VMMA_STATIC_LIB                                 libvmma.a (default: the one that `make` made)
set -u

root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
passed=0 failed=0 skipped=0
cc=${CC:-cc} cxx=${CXX:-c++}

good() { printf 'ok      %s\n' "$1"; passed=$((passed + 1)); }
bad() {
    printf 'FAILED  %s\n' "$1"
    [[ -n ${2:-} ]] && printf '%s\n' "$2" | head -n 30 | sed 's/^/    /'
    failed=$((failed + 1))
}
skip() { printf 'skipped: %s\n' "$1"; skipped=$((skipped + 1)); }
wanted() { [[ -z ${DOCS_ONLY:-} || $DOCS_ONLY == "$1" ]]; }

# Writes each fenced block of a page to DIR/NNN.LANGUAGE, and "NNN LINE" to DIR/index.
blocks_of() { # blocks_of PAGE DIR
    mkdir -p "$2"
    awk -v dir="$2" '
        /^```/ && !inside { lang = substr($0, 4); sub(/ .*/, "", lang); inside = 1; n++
                            file = sprintf("%s/%03d.%s", dir, n, lang == "" ? "plain" : lang)
                            printf "" > file; print sprintf("%03d", n), NR > (dir "/index"); next }
        /^```/            { inside = 0; close(file); next }
        inside            { print > file }' "$1"
}

# Compares line by line; "..." in a wanted line is any text, a line "..." alone is any number of lines.
matches() { # matches WANTED GOT
    awk -v wanted="$1" '
        function escape(s) { gsub(/[][\\.^$*+?(){}|]/, "\\\\&", s); return s }
        BEGIN { while ((getline line < wanted) > 0) want[++w] = line }
        { got[NR] = $0 }
        function fits(i, j,   parts, n, k, re) {
            if (i > w) return j > NR
            if (want[i] == "...") { for (k = j; k <= NR + 1; k++) if (fits(i + 1, k)) return 1; return 0 }
            if (j > NR) return 0
            n = split(want[i], parts, /\.\.\./)
            re = "^"
            for (k = 1; k <= n; k++) re = re (k > 1 ? ".*" : "") escape(parts[k])
            return got[j] ~ (re "$") && fits(i + 1, j + 1)
        }
        END { exit fits(1, 1) ? 0 : 1 }' "$2"
}

tutorial() {
    local dir=$work/tutorial n file following shell=$work/tutorial.sh line
    blocks_of "$root/docs/tutorial.md" "$dir"
    {
        printf 'set -eu\ncd %q\n' "$root"
        for file in "$dir"/*.sh; do
            n=$(basename "$file" .sh)
            printf 'exec >%q 2>&1\n' "$dir/$n.got"
            cat "$file"
            printf 'echo %s >>%q\n' "$n" "$dir/done"
        done
    } >"$shell"
    : >"$dir/done"
    # What a surrounding make says about itself is not for the make of the reader.
    env -u MAKEFLAGS -u MAKELEVEL -u MFLAGS timeout 900 bash "$shell"
    for file in "$dir"/*.sh; do
        n=$(basename "$file" .sh)
        line=$(awk -v n="$n" '$1 == n { print $2 }' "$dir/index")
        following=$dir/$(printf '%03d' $((10#$n + 1))).text
        if ! grep -qx "$n" "$dir/done"; then
            bad "tutorial.md:$line runs" "$(tail -n 20 "$dir/$n.got" 2>&1)"
            break
        elif [[ -f $following ]] && ! matches "$following" "$dir/$n.got"; then
            bad "tutorial.md:$line prints what it says" "$(diff "$following" "$dir/$n.got")"
        else
            good "tutorial.md:$line"
        fi
    done
}

# A block is complete if it begins with an include and has a main.
blocks() {
    local page name file n lang flags log=$work/log
    for page in "$root"/README.md "$root"/docs/*.md; do
        name=${page#"$root"/}
        blocks_of "$page" "$work/blocks/$name"
        for file in "$work/blocks/$name"/*.c "$work/blocks/$name"/*.cpp; do
            [[ -f $file ]] || continue
            [[ $(grep -v '^ *\(/[/*].*\)\?$' "$file" | head -n 1) == '#include'* ]] && grep -q 'main *(' "$file" || continue
            n=$(basename "$file")
            lang=${n##*.}
            flags=(-Wall -Wextra -Wpedantic -Werror -fsyntax-only -I"$root/include")
            if [[ $lang == c ]]; then flags=("$cc" -std=c11 "${flags[@]}"); else flags=("$cxx" -std=c++17 "${flags[@]}"); fi
            if "${flags[@]}" "$file" >"$log" 2>&1; then good "$name block ${n%%.*} compiles"; else bad "$name block ${n%%.*} compiles" "$(<"$log")"; fi
        done
    done
    if [[ ! -f $root/examples/quickstart.c ]]; then
        bad "README.md shows examples/quickstart.c" "no such file"
        return
    fi
    for file in "$work/blocks/README.md"/*.c; do
        [[ -f $file ]] && cmp -s "$file" "$root/examples/quickstart.c" && { good "README.md shows examples/quickstart.c"; return; }
    done
    bad "README.md shows examples/quickstart.c" "no C block of README.md equals that file"
}

names() {
    local in_header=$work/header.txt in_page=$work/page.txt flag page
    grep -v '^ \*' "$root/include/libvmma.h" | grep -oE '\bvmma_[a-z_]+\(' | tr -d '(' | sort -u >"$in_header"
    grep -oE '`vmma_[a-z_]+\(' "$root/docs/api.md" | tr -d '`(' | sort -u >"$in_page"
    if [[ -s $in_header ]] && cmp -s "$in_header" "$in_page"; then
        good "api.md tells of the $(wc -l <"$in_header") functions of libvmma.h"
    else
        bad "api.md tells of the functions of libvmma.h, and of no other" "$(diff "$in_header" "$in_page")"
    fi
    for page in README.md docs/api.md; do
        for flag in $(grep -oE '^#define VMMA_FLAG_[A-Z_]+' "$root/include/libvmma.h" | cut -d' ' -f2); do
            grep -qE "^\| \`(VMMA_FLAG_)?${flag#VMMA_FLAG_}\`" "$root/$page" || bad "$page has $flag in its table"
        done
    done
    for flag in $(grep -oE '^ +VMMA_E_[A-Z_]+' "$root/include/libvmma.h"); do
        grep -q "${flag#VMMA_E_}" "$root/docs/api.md" || bad "api.md tells of $flag"
    done
}

links() {
    local page target broken=0 count=0
    for page in "$root"/README.md "$root"/docs/*.md; do
        for target in $(grep -oE '\]\([^)#]+' "$page" | cut -c3-); do
            case $target in *://*) continue ;; esac
            count=$((count + 1))
            [[ -e $(dirname "$page")/$target ]] || { bad "${page#"$root"/} links to $target"; broken=1; }
        done
    done
    [[ $broken -eq 0 && $count -gt 0 ]] && good "$count links lead to files"
}

schema() {
    if ! command -v python3 >/dev/null 2>&1; then
        skip "dump.schema.json (python3 is not installed)"
        return
    fi
    local library=${VMMA_STATIC_LIB:-${CARGO_TARGET_DIR:-$root/target}/vmma/lib/libvmma.a}
    if [[ ! -f $library ]]; then
        bad "a JSON dump can be written" "no library at $library: run make, or set VMMA_STATIC_LIB"
        return
    fi
    cat >"$work/dump.c" <<'C'
#include <libvmma.h>
#include <stdio.h>
static int put(const char *text, size_t length, void *user)
{
    (void)user;
    return fwrite(text, 1, length, stdout) == length ? 0 : 1;
}
int main(void)
{
    vmma_context_t *context = vmma_create_context(NULL, 4 << 20, 0, 0, VMMA_FLAG_PACKED);
    vmma_client_t *a = vmma_create_client(context);
    vmma_client_t *b = vmma_create_client(context);
    vmma_set_name(a, "quotes \" \\ and \x01 \xff bytes");
    vmma_set_limit(b, 1 << 20);
    for (int i = 1; i < 300; i++)
        vmma_free(i % 3 ? b : a, vmma_alloc(a, (size_t)i * 7));
    if (vmma_alloc(b, 300000) == NULL)
        return 1;
    return vmma_dump(context, VMMA_DUMP_JSON, put, NULL) == VMMA_OK ? 0 : 1;
}
C
    if ! "$cc" -std=c11 -I"$root/include" "$work/dump.c" "$library" -o "$work/dump" >"$work/log" 2>&1 ||
        ! "$work/dump" >"$work/dump.json" 2>"$work/log"; then
        bad "a JSON dump can be written" "$(<"$work/log")"
        return
    fi
    if python3 - "$root/docs/dump.schema.json" "$work/dump.json" >"$work/log" 2>&1 <<'PY'; then
import json, re, sys
schema = json.load(open(sys.argv[1]))
dump = json.load(open(sys.argv[2], encoding="utf-8"))

# As much of JSON Schema as ours uses; a keyword that is not here must not be used there unseen.
KNOWN = {"$schema", "title", "description", "$defs", "$ref", "type", "required", "properties", "items", "minItems",
         "enum", "minimum", "maximum", "pattern", "if", "then"}
TYPES = {"object": dict, "array": list, "string": str, "integer": int}

def faults(value, rule, path):
    assert set(rule) <= KNOWN, set(rule) - KNOWN
    if "$ref" in rule:
        yield from faults(value, schema["$defs"][rule["$ref"].rsplit("/", 1)[1]], path)
    if "type" in rule and (not isinstance(value, TYPES[rule["type"]]) or isinstance(value, bool)):
        yield f"{path} is no {rule['type']}"
        return
    if "enum" in rule and value not in rule["enum"]:
        yield f"{path} is {value!r}"
    if "minimum" in rule and value < rule["minimum"] or "maximum" in rule and value > rule["maximum"]:
        yield f"{path} is {value}"
    if "pattern" in rule and not re.search(rule["pattern"], value):
        yield f"{path} is {value!r}"
    if isinstance(value, dict):
        yield from (f"{path} has no {name}" for name in rule.get("required", []) if name not in value)
        for name, below in rule.get("properties", {}).items():
            if name in value:
                yield from faults(value[name], below, f"{path}.{name}")
    if isinstance(value, list):
        if len(value) < rule.get("minItems", 0):
            yield f"{path} is short"
        for i, item in enumerate(value):
            yield from faults(item, rule.get("items", {}), f"{path}[{i}]")
    if "if" in rule and not list(faults(value, rule["if"], path)):
        yield from faults(value, rule["then"], path)

found = list(faults(dump, schema, "dump"))
assert not found, found[:5]
try:
    import jsonschema
    jsonschema.Draft202012Validator(schema).validate(dump)
except ImportError:
    pass
# What a schema cannot say: no gaps, the owners exist, the counts agree.
at = 0
ids = {c["id"] for c in dump["clients"]}
for b in dump["blocks"]:
    assert b["first"] == at, ("gap before block", b)
    at += b["count"]
    assert "client" not in b or b["client"] in ids, b
assert at == dump["context"]["total_blocks"], at
assert len(ids) == len(dump["clients"]) == dump["context"]["client_count"] == 2
PY
        good "a JSON dump fits dump.schema.json"
    else
        bad "a JSON dump fits dump.schema.json" "$(tail -n 5 "$work/log")"
    fi
}

for check in names links blocks schema tutorial; do
    wanted $check && $check
done
printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
[[ $failed -eq 0 && $passed -gt 0 ]]
