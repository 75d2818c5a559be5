/*
 * vt_text.h: strict little readers for what vmma_dump writes: UTF-8, one JSON object (RFC 8259), well-formed
 * XML without a document type. They accept or refuse; they build nothing. Know nothing of the library.
 */
#ifndef VT_TEXT_H
#define VT_TEXT_H

#include <stddef.h>
#include <string.h>

/* Length of the UTF-8 character at s (no overlong forms, no surrogates), 0 if it is none. */
static inline size_t text_utf8(const unsigned char *s, size_t n)
{
    if (n == 0)
        return 0;
    if (s[0] < 0x80)
        return 1;
    size_t length = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
    if (s[0] < 0xc2 || s[0] > 0xf4 || n < length)
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf0 && s[1] < 0x90) ||
        (s[0] == 0xf4 && s[1] > 0x8f))
        return 0;
    return length;
}

static inline int text_is_utf8(const char *text, size_t n)
{
    for (size_t i = 0, c; i < n; i += c)
        if ((c = text_utf8((const unsigned char *)text + i, n - i)) == 0)
            return 0;
    return 1;
}

/* ---- JSON ---- */

typedef struct json {
    const char *s, *end;
    int depth, bad;
    long strings;
} json;

static inline void json_space(json *j)
{
    while (j->s < j->end && (*j->s == ' ' || *j->s == '\t' || *j->s == '\n' || *j->s == '\r'))
        j->s++;
}

static inline int json_take(json *j, char c)
{
    json_space(j);
    if (j->s < j->end && *j->s == c) {
        j->s++;
        return 1;
    }
    return 0;
}

static inline int json_string(json *j)
{
    if (!json_take(j, '"'))
        return 0;
    j->strings++;
    while (j->s < j->end && *j->s != '"') {
        if ((unsigned char)*j->s < 0x20)
            return 0;
        if (*j->s == '\\') {
            j->s++;
            if (j->s >= j->end || *j->s == 0 || !strchr("\"\\/bfnrtu", *j->s))
                return 0;
            if (*j->s == 'u')
                for (int i = 0; i < 4; i++) {
                    j->s++;
                    if (j->s >= j->end || *j->s == 0 || !strchr("0123456789abcdefABCDEF", *j->s))
                        return 0;
                }
        }
        j->s++;
    }
    return json_take(j, '"');
}

static inline int json_number(json *j)
{
    if (j->s < j->end && *j->s == '-')
        j->s++;
    if (j->s >= j->end || *j->s < '0' || *j->s > '9')
        return 0;
    if (*j->s == '0' && j->s + 1 < j->end && j->s[1] >= '0' && j->s[1] <= '9')
        return 0;
    while (j->s < j->end && *j->s >= '0' && *j->s <= '9')
        j->s++;
    if (j->s < j->end && *j->s == '.') {
        j->s++;
        if (j->s >= j->end || *j->s < '0' || *j->s > '9')
            return 0;
        while (j->s < j->end && *j->s >= '0' && *j->s <= '9')
            j->s++;
    }
    if (j->s < j->end && (*j->s == 'e' || *j->s == 'E')) {
        j->s++;
        if (j->s < j->end && (*j->s == '+' || *j->s == '-'))
            j->s++;
        if (j->s >= j->end || *j->s < '0' || *j->s > '9')
            return 0;
        while (j->s < j->end && *j->s >= '0' && *j->s <= '9')
            j->s++;
    }
    return 1;
}

static inline int json_value(json *j)
{
    if (++j->depth > 60)
        return 0;
    json_space(j);
    int ok;
    if (j->s >= j->end) {
        ok = 0;
    } else if (*j->s == '{') {
        j->s++;
        ok = 1;
        if (!json_take(j, '}')) {
            do
                ok = ok && json_string(j) && json_take(j, ':') && json_value(j);
            while (ok && json_take(j, ','));
            ok = ok && json_take(j, '}');
        }
    } else if (*j->s == '[') {
        j->s++;
        ok = 1;
        if (!json_take(j, ']')) {
            do
                ok = ok && json_value(j);
            while (ok && json_take(j, ','));
            ok = ok && json_take(j, ']');
        }
    } else if (*j->s == '"') {
        ok = json_string(j);
    } else if (j->end - j->s >= 4 && (!memcmp(j->s, "true", 4) || !memcmp(j->s, "null", 4))) {
        j->s += 4;
        ok = 1;
    } else if (j->end - j->s >= 5 && !memcmp(j->s, "false", 5)) {
        j->s += 5;
        ok = 1;
    } else {
        ok = json_number(j);
    }
    j->depth--;
    return ok;
}

static inline int text_is_json_object(const char *text, size_t n)
{
    json j = {text, text + n, 0, 0, 0};
    json_space(&j);
    if (j.s >= j.end || *j.s != '{' || !json_value(&j))
        return 0;
    json_space(&j);
    return j.s == j.end;
}

/* ---- XML ---- */

static inline int xml_name_char(char c, int first)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == ':' || (unsigned char)c >= 0x80 ||
           (!first && ((c >= '0' && c <= '9') || c == '-' || c == '.'));
}

static inline const char *xml_name(const char *s, const char *end)
{
    if (s >= end || !xml_name_char(*s, 1))
        return NULL;
    while (s < end && xml_name_char(*s, 0))
        s++;
    return s;
}

static inline const char *xml_reference(const char *s, const char *end)
{
    static const char *const known[] = {"&lt;", "&gt;", "&amp;", "&quot;", "&apos;"};
    for (unsigned i = 0; i < 5; i++)
        if ((size_t)(end - s) >= strlen(known[i]) && !memcmp(s, known[i], strlen(known[i])))
            return s + strlen(known[i]);
    if (end - s < 4 || s[1] != '#')
        return NULL;
    unsigned long value = 0;
    int hex = s[2] == 'x';
    const char *p = s + 2 + hex;
    for (; p < end && *p != ';'; p++) {
        int digit = *p >= '0' && *p <= '9' ? *p - '0' : hex && *p >= 'a' && *p <= 'f' ? *p - 'a' + 10
                  : hex && *p >= 'A' && *p <= 'F' ? *p - 'A' + 10 : -1;
        if (digit < 0 || value > 0x110000)
            return NULL;
        value = value * (hex ? 16 : 10) + (unsigned long)digit;
    }
    int allowed = value == 9 || value == 10 || value == 13 || (value >= 32 && value < 0xd800) ||
                  (value >= 0xe000 && value < 0xfffe) || (value >= 0x10000 && value < 0x110000);
    return p < end && allowed ? p + 1 : NULL;
}

static inline int text_is_xml(const char *text, size_t n, const char *root)
{
    const char *s = text, *end = text + n, *stack[64];
    size_t lengths[64];
    int depth = 0, roots = 0;
    if (!text_is_utf8(text, n))
        return 0;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)text[i];
        if ((c < 0x20 && c != 9 && c != 10 && c != 13) || (c == 0xef && (unsigned char)text[i + 1] == 0xbf && (unsigned char)text[i + 2] >= 0xbe))
            return 0;
    }
    if (n > 5 && !memcmp(s, "<?xml", 5)) {
        while (s < end && *s != '>')
            s++;
        s++;
    }
    while (s < end) {
        if (*s != '<') {
            if (depth == 0 && *s != ' ' && *s != '\n' && *s != '\r' && *s != '\t')
                return 0;
            if (*s == '&') {
                if ((s = xml_reference(s, end)) == NULL)
                    return 0;
            } else {
                if (end - s >= 3 && !memcmp(s, "]]>", 3))
                    return 0;
                s++;
            }
            continue;
        }
        if (end - s >= 4 && !memcmp(s, "<!--", 4)) {
            for (s += 4; end - s >= 2 && memcmp(s, "--", 2); s++)
                ;
            if (end - s < 3 || s[2] != '>')
                return 0;
            s += 3;
            continue;
        }
        if (end - s >= 9 && !memcmp(s, "<![CDATA[", 9)) {
            for (s += 9; end - s >= 3 && memcmp(s, "]]>", 3); s++)
                ;
            if (end - s < 3 || depth == 0)
                return 0;
            s += 3;
            continue;
        }
        int closing = s + 1 < end && s[1] == '/';
        const char *name = s + 1 + closing;
        if ((s = xml_name(name, end)) == NULL)
            return 0;
        size_t length = (size_t)(s - name);
        if (closing) {
            while (s < end && (*s == ' ' || *s == '\n'))
                s++;
            if (s >= end || *s != '>' || depth == 0 || lengths[depth - 1] != length || memcmp(stack[depth - 1], name, length))
                return 0;
            depth--;
            s++;
            continue;
        }
        const char *attributes[64];
        size_t attribute_lengths[64];
        int count = 0;
        for (;;) {
            const char *before = s;
            while (s < end && (*s == ' ' || *s == '\n' || *s == '\t' || *s == '\r'))
                s++;
            if (s >= end)
                return 0;
            if (*s == '>' || (*s == '/' && s + 1 < end && s[1] == '>'))
                break;
            const char *attribute = s;
            if (before == s || (s = xml_name(s, end)) == NULL)
                return 0;
            for (int i = 0; i < count; i++)
                if (attribute_lengths[i] == (size_t)(s - attribute) && !memcmp(attributes[i], attribute, attribute_lengths[i]))
                    return 0;
            if (count < 64) {
                attributes[count] = attribute;
                attribute_lengths[count++] = (size_t)(s - attribute);
            }
            if (s + 1 >= end || *s != '=' || (s[1] != '"' && s[1] != '\''))
                return 0;
            char quote = s[1];
            for (s += 2; s < end && *s != quote;) {
                if (*s == '<')
                    return 0;
                if (*s == '&') {
                    if ((s = xml_reference(s, end)) == NULL)
                        return 0;
                } else {
                    s++;
                }
            }
            if (s >= end)
                return 0;
            s++;
        }
        if (depth == 0) {
            if (roots++ || length != strlen(root) || memcmp(name, root, length))
                return 0;
        }
        if (*s == '/') {
            s += 2;
        } else {
            if (depth == 64)
                return 0;
            stack[depth] = name;
            lengths[depth++] = length;
            s++;
        }
    }
    return depth == 0 && roots == 1;
}

#endif
