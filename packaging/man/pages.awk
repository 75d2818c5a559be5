# pages.awk: writes man pages. Reads pages.txt, then the header, then vmma.7.in. POSIX awk.
#
# Of the header it takes each /** comment */ and the declaration behind it. A paragraph that begins with Returns or
# Fails goes to RETURN VALUE, one with Owner:, Cost: or Threads: to NOTES, any other to DESCRIPTION.

function die(why) { print "man pages: " why > "/dev/stderr"; broken = 1; exit 1 }
function trim(s) { sub(/^[ \t]+/, "", s); sub(/[ \t]+$/, "", s); return s }

# ---- roff ----------------------------------------------------------------------------------------------------------

# One line of text: backslashes and leading controls made harmless, `x` in italics, names of ours in bold.
function roff(s,    out, m, word, rest) {
    gsub(/\\/, "\\e", s)
    gsub(/->/, "\\->", s)
    out = ""
    while (match(s, /`[^`]+`|VMMA_[A-Z_]+[A-Z]|vmma_[a-z_]*[a-z]/)) {
        word = substr(s, RSTART, RLENGTH)
        rest = substr(s, RSTART + RLENGTH)
        out = out substr(s, 1, RSTART - 1)
        if (word ~ /^`/) out = out "\\fI" substr(word, 2, length(word) - 2) "\\fP"
        else if (word in page_of) {
            out = out "\\fB" word "\\fP(3)"
            refer[page_of[word]] = 1
        } else out = out "\\fB" word "\\fP"
        s = rest
    }
    out = out s
    if (out ~ /^[.']/) out = "\\&" out
    return out
}
function text(s,    n, lines, i, out) {
    n = split(s, lines, "\n")
    out = ""
    for (i = 1; i <= n; i++) if (lines[i] != "") out = out roff(lines[i]) "\n"
    return out
}
function head(title, section) {
    return ".\\\" Made from the header by packaging/man. Do not edit.\n" \
        ".TH " title " " section " \"" date "\" \"libvmma " version "\" \"libvmma\"\n"
}

# ---- pages.txt -----------------------------------------------------------------------------------------------------

FNR == 1 { file++ }
file == 1 && (/^#/ || /^$/) { next }
file == 1 {
    n = split($0, f, "|")
    page = trim(f[1]); pages[++page_count] = page
    about[page] = trim(f[2]); functions[page] = trim(f[3]); types[page] = trim(f[4])
    m = split(functions[page], list, " ")
    for (i = 1; i <= m; i++) {
        if (list[i] in page_of) die(list[i] " is on two pages")
        page_of[list[i]] = page
    }
    next
}

# ---- the header ----------------------------------------------------------------------------------------------------

# Comments inside a struct or enum belong to its fields; the whole is kept as code.
file == 2 && /^\/\*\*.*\*\/$/ { comment = $0; sub(/^\/\*\* ?/, "", comment); sub(/ ?\*\/$/, "", comment); next }
file == 2 && /^\/\*\*/ { comment = ""; reading = 1; next }
file == 2 && reading && /^ \*\// { reading = 0; next }
file == 2 && reading { line = $0; sub(/^ \* ?/, "", line); comment = comment line "\n"; next }
file == 2 && /^#define VMMA_FLAG_/ {
    flags[++flag_count] = $2; flag_value[$2] = $3; flag_text[$2] = comment; comment = ""; next
}
file == 2 && /^(struct|enum) [a-z_]+ \{/ { body = $2; kind = $1; code[body] = $0; code_text[body] = comment; comment = ""; next }
file == 2 && body != "" {
    if ($0 ~ /^ *\/\*\*.*\*\/$/) { field = $0; sub(/^ *\/\*\* ?/, "", field); sub(/ ?\*\/$/, "", field) }
    else if ($0 ~ /^ *\/\*\*/) { field = ""; infield = 1 }
    else if (infield && $0 ~ /^ *\*\//) infield = 0
    else if (infield) { line = $0; sub(/^ *\* ?/, "", line); field = field (field == "" ? "" : "\n") line }
    else {
        code[body] = code[body] "\n" $0
        if ($0 !~ /^\}/) {
            name = $0; sub(/,.*|;.*/, "", name)
            value = ""
            if (name ~ /=/) { value = name; sub(/.*= */, "", value); sub(/ *=.*/, "", name) }
            sub(/.*[ *]/, "", name)
            items[body] = items[body] " " name
            item_text[body, name] = field
            item_value[body, name] = value
        }
        field = ""
    }
    if ($0 ~ /^\}/) body = ""
    next
}
file == 2 && /^[a-z].*vmma_[a-z_]+\)?\(/ { declaration = ""; open = 1 }
file == 2 && open {
    declaration = declaration (declaration == "" ? "" : "\n") $0
    if ($0 ~ /;$/) {
        open = 0
        if (declaration ~ /^typedef/) { match(declaration, /\(\*vmma_[a-z_]+/); name = substr(declaration, RSTART + 2, RLENGTH - 2) }
        else { match(declaration, /vmma_[a-z_]+\(/); name = substr(declaration, RSTART, RLENGTH - 1); declared[++declared_count] = name }
        code[name] = declaration; code_text[name] = comment; comment = ""
    }
    next
}
file == 2 && /^[a-z]/ { comment = ""; next }

# ---- vmma.7 --------------------------------------------------------------------------------------------------------

file == 3 && FNR == 1 { write_all(); seven = dir "/man7/vmma.7"; printf "%s", head("vmma", 7) > seven }
file == 3 && /^@FLAGS@$/ {
    for (i = 1; i <= flag_count; i++)
        printf ".TP\n\\fB%s\\fP (%s)\n%s", flags[i], tolower(substr(flag_value[flags[i]], 1, 6)), text(flag_text[flags[i]]) > seven
    next
}
file == 3 && /^@STATUS@$/ { printf "%s", item_list("vmma_status") > seven; next }
file == 3 && /^@PAGES@$/ {
    for (i = 1; i <= page_count; i++) printf ".TP\n\\fB%s\\fP(3)\n%s\n", pages[i], about[pages[i]] > seven
    next
}
file == 3 && /^\.\\"/ { next }
file == 3 { print > seven }

# ---- section 3 -----------------------------------------------------------------------------------------------------

function item_list(body,    n, list, i, out, mark) {
    n = split(trim(items[body]), list, " ")
    out = ""
    for (i = 1; i <= n; i++) {
        mark = item_value[body, list[i]] == "" ? "" : " (" item_value[body, list[i]] ")"
        sub(/\(-/, "(\\-", mark)
        out = out ".TP\n\\fB" list[i] "\\fP" mark "\n" text(item_text[body, list[i]])
    }
    return out
}
function sorted_paragraphs(name,    n, list, i, p) {
    describe = returns = notes = ""
    n = split(code_text[name], list, "\n\n")
    for (i = 1; i <= n; i++) {
        p = list[i]
        if (p ~ /^(Returns|Fails) /) returns = returns (returns == "" ? "" : ".IP\n") text(p)
        else if (p ~ /^(Owner|Cost|Threads): /) {
            gsub(/[ \n]Owner: /, "\n.br\nOwner: ", p); gsub(/[ \n]Cost: /, "\nCost: ", p); gsub(/[ \n]Threads: /, "\nThreads: ", p)
            notes = notes text(p)
        } else describe = describe (describe == "" ? "" : ".IP\n") text(p)
    }
}
function write_all(    i, j, m, list, seen) {
    for (i = 1; i <= declared_count; i++) {
        if (!(declared[i] in page_of)) die(declared[i] " is on no page: see packaging/man/pages.txt")
        if (code_text[declared[i]] == "") die(declared[i] " has no comment")
        seen[declared[i]] = 1
    }
    for (i in page_of) if (!(i in seen)) die(i " is not in the header")
    for (i = 1; i <= page_count; i++) write_page(pages[i])
}
function write_page(page,    out, n, fs, m, ts, i, j, s, d, r, o, also, names) {
    out = dir "/man3/" page ".3"
    n = split(functions[page], fs, " ")
    m = split(types[page], ts, " ")
    for (i in refer) delete refer[i]
    names = ""
    for (i = 1; i <= n; i++) names = names (i > 1 ? ", " : "") fs[i]
    s = ".SH NAME\n" names " \\- " about[page] "\n.SH SYNOPSIS\n.nf\n.B #include <libvmma.h>\n.PP\n"
    for (i = 1; i <= m; i++) {
        if (!(ts[i] in code)) die(ts[i] " is not in the header")
        s = s roff_code(code[ts[i]]) "\n.PP\n"
    }
    for (i = 1; i <= n; i++) s = s roff_code(code[fs[i]]) (i < n ? "\n.PP\n" : "\n")
    s = s ".PP\nLink with \\fI\\-lvmma\\fP.\n.fi\n"
    d = r = o = ""
    for (i = 1; i <= n; i++) {
        sorted_paragraphs(fs[i])
        d = d ".TP\n\\fB" fs[i] "\\fP()\n" describe
        if (returns != "") r = r ".TP\n\\fB" fs[i] "\\fP()\n" returns
        if (notes != "") o = o ".TP\n\\fB" fs[i] "\\fP()\n" notes
        if (i > 1) print ".so man3/" page ".3" > (dir "/man3/" fs[i] ".3")
        close(dir "/man3/" fs[i] ".3")
    }
    s = s ".SH DESCRIPTION\n" d
    for (i = 1; i <= m; i++) {
        s = s ".SS " (ts[i] in items ? ts[i] : ts[i] "()") "\n" text(code_text[ts[i]])
        if (ts[i] in items) s = s item_list(ts[i])
    }
    if (r != "") s = s ".SH RETURN VALUE\n" r
    if (o != "") s = s ".SH NOTES\nThe thread rules any, client, quiet and alone are explained in \\fBvmma\\fP(7).\n" o
    also = ""
    for (i = 1; i <= page_count; i++) if ((pages[i] in refer) && pages[i] != page) also = also ",\n.BR " pages[i] " (3)"
    s = s ".SH SEE ALSO\n.BR vmma (7)" also "\n"
    # `.BR name (3),` is how a list of pages is written
    gsub(/\),\n\.BR/, "),\n.BR", s)
    printf "%s%s", head(page, 3), s > out
    close(out)
}
function roff_code(s) {
    gsub(/\\/, "\\e", s)
    gsub(/-/, "\\-", s)
    gsub(/\n/, "\n.br\n", s)
    gsub(/\n\.br\n/, "\n", s)
    return s
}
