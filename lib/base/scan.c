/* SPDX-License-Identifier: Apache-2.0 */
/* The incremental JSON scanner: a state machine that takes strings and white space 16 bytes at a time. */
#include "base/scan.h"

#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

typedef unsigned char byte_t;

/* Between tokens first, so that one comparison tells them from those within a token. */
enum {
    S_VALUE,
    S_FIRST_VALUE, /* behind "[" */
    S_FIRST_NAME,  /* behind "{" */
    S_NAME,        /* behind "," in an object */
    S_COLON,
    S_AFTER, /* behind a value */
    S_STRING,
    S_ESCAPE, /* behind a backslash */
    S_HEX,    /* within \uXXXX; sub = digits taken */
    S_UTF8,   /* within a sequence; sub = bytes to come */
    S_NUMBER, /* sub = N_* */
    S_TRUE,   /* sub = characters taken */
    S_FALSE,
    S_NULL,
    S_DEAD /* after an error */
};

/* One piece while it is fed. Helpers take and return the place in it; NULL means that error is set. */
typedef struct run_t {
    p2p_scan_t *scan;
    const byte_t *end;
    apr_uint64_t zero; /* offset in the document of address 0 */
    p2p_error_t *error;
} run_t;

/* ---- Skipping ---- */

#ifdef __SSE2__
#define STRIDE 16

/* A bit for each of 16 bytes that is not plain within a string: quote, backslash, control or not ASCII.
 * Compared as signed numbers, bytes from 0x80 are below 0x20 too. */
static inline unsigned special_bits(const byte_t *p)
{
    __m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
    __m128i low = _mm_cmplt_epi8(x, _mm_set1_epi8(0x20));
    __m128i quote = _mm_cmpeq_epi8(x, _mm_set1_epi8('"'));
    __m128i slash = _mm_cmpeq_epi8(x, _mm_set1_epi8('\\'));

    return (unsigned)_mm_movemask_epi8(_mm_or_si128(low, _mm_or_si128(quote, slash)));
}

/* A bit for each of 16 bytes that is not white space. */
static inline unsigned dark_bits(const byte_t *p)
{
    __m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
    __m128i blank = _mm_cmpeq_epi8(x, _mm_set1_epi8(' '));

    blank = _mm_or_si128(blank, _mm_cmpeq_epi8(x, _mm_set1_epi8('\n')));
    blank = _mm_or_si128(blank, _mm_cmpeq_epi8(x, _mm_set1_epi8('\r')));
    blank = _mm_or_si128(blank, _mm_cmpeq_epi8(x, _mm_set1_epi8('\t')));
    return (unsigned)_mm_movemask_epi8(blank) ^ 0xFFFFu;
}

static inline unsigned first_bit(unsigned bits)
{
    return (unsigned)__builtin_ctz(bits);
}

#else
#define STRIDE 8
#define EACH(c) (0x0101010101010101u * (byte_t)(c))

static inline apr_uint64_t word_at(const byte_t *p)
{
    apr_uint64_t x;

    memcpy(&x, p, sizeof x);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    x = __builtin_bswap64(x);
#endif
    return x;
}

/* The top bit of each byte of x that is zero: exact for each byte, since no carry leaves one. */
static inline apr_uint64_t zero_bytes(apr_uint64_t x)
{
    return ~(((x & EACH(0x7F)) + EACH(0x7F)) | x) & EACH(0x80);
}

static inline apr_uint64_t special_bits(const byte_t *p)
{
    apr_uint64_t x = word_at(p);
    apr_uint64_t low = zero_bytes(x & EACH(0xE0));

    return low | (x & EACH(0x80)) | zero_bytes(x ^ EACH('"')) | zero_bytes(x ^ EACH('\\'));
}

static inline apr_uint64_t dark_bits(const byte_t *p)
{
    apr_uint64_t x = word_at(p);
    apr_uint64_t blank = zero_bytes(x ^ EACH(' ')) | zero_bytes(x ^ EACH('\n'));

    return (blank | zero_bytes(x ^ EACH('\r')) | zero_bytes(x ^ EACH('\t'))) ^ EACH(0x80);
}

static inline unsigned first_bit(apr_uint64_t bits)
{
    return (unsigned)__builtin_ctzll(bits) / 8;
}
#endif

static inline int is_special(byte_t c)
{
    return c < 0x20 || c >= 0x80 || c == '"' || c == '\\';
}

static inline int is_space(byte_t c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static inline const byte_t *skip_plain(const byte_t *p, const byte_t *end)
{
    for (; end - p >= STRIDE; p += STRIDE) {
        __typeof__(special_bits(p)) bits = special_bits(p);

        if (bits) return p + first_bit(bits);
    }
    while (p < end && !is_special(*p)) p++;
    return p;
}

static inline const byte_t *skip_space(const byte_t *p, const byte_t *end)
{
    if (p < end && *p > ' ') return p;
    for (; end - p >= STRIDE; p += STRIDE) {
        __typeof__(dark_bits(p)) bits = dark_bits(p);

        if (bits) return p + first_bit(bits);
    }
    while (p < end && is_space(*p)) p++;
    return p;
}

/* ---- Telling ---- */

static inline apr_uint64_t offset_of(const run_t *run, const byte_t *p)
{
    return run->zero + (apr_uint64_t)(apr_uintptr_t)p;
}

static __attribute__((noinline, cold)) const byte_t *refuse(run_t *run, const byte_t *p, const char *expected)
{
    run->error = p2p_error_make(run->scan->error_pool, P2P_E_INVALID, "not-json",
                                "This is not JSON: at byte %" APR_UINT64_T_FMT ", expected %s.",
                                offset_of(run, p), expected);
    return NULL;
}

static inline const byte_t *tell(run_t *run, p2p_scan_kind_t kind, apr_uint64_t begin, const byte_t *behind, int plain)
{
    p2p_scan_t *scan = run->scan;
    p2p_scan_token_t token = {kind, scan->depth, begin, offset_of(run, behind), plain};

    run->error = scan->event(scan->baton, &token);
    return run->error ? NULL : behind;
}

/* ---- Between tokens ---- */

static inline int in_object(const p2p_scan_t *scan)
{
    unsigned top = scan->depth - 1;

    return scan->stack[top / 8] >> top % 8 & 1;
}

/* What follows a value. The comma that mostly does is taken at once; all else is left to between(). */
static inline const byte_t *after_value(run_t *run, const byte_t *p)
{
    p2p_scan_t *scan = run->scan;

    scan->state = S_AFTER;
    if (!p || p == run->end || *p != ',' || !scan->depth) return p;
    scan->state = in_object(scan) ? S_NAME : S_VALUE;
    return p + 1;
}

static inline const byte_t *after_name(run_t *run, const byte_t *p)
{
    run->scan->state = S_COLON;
    if (!p || p == run->end || *p != ':') return p;
    run->scan->state = S_VALUE;
    return p + 1;
}

static inline const byte_t *open_container(run_t *run, const byte_t *p, int object)
{
    p2p_scan_t *scan = run->scan;
    unsigned depth = scan->depth;
    unsigned bit = 1u << depth % 8;

    if (depth == P2P_SCAN_DEPTH) return refuse(run, p, "no deeper nesting");
    if (!tell(run, object ? P2P_SCAN_OBJECT : P2P_SCAN_ARRAY, offset_of(run, p), p + 1, 0)) return NULL;
    if (object) scan->stack[depth / 8] |= (byte_t)bit;
    else scan->stack[depth / 8] &= (byte_t)~bit;
    scan->depth = depth + 1;
    scan->state = object ? S_FIRST_NAME : S_FIRST_VALUE;
    return p + 1;
}

static inline const byte_t *close_container(run_t *run, const byte_t *p, int object)
{
    run->scan->depth--;
    p = tell(run, object ? P2P_SCAN_OBJECT_END : P2P_SCAN_ARRAY_END, offset_of(run, p), p + 1, 0);
    return after_value(run, p);
}

static const byte_t *after(run_t *run, const byte_t *p)
{
    p2p_scan_t *scan = run->scan;

    if (!scan->depth) return refuse(run, p, "nothing but white space after the value");
    if (in_object(scan)) {
        if (*p == '}') return close_container(run, p, 1);
        if (*p != ',') return refuse(run, p, "a comma or a closing brace");
    } else {
        if (*p == ']') return close_container(run, p, 0);
        if (*p != ',') return refuse(run, p, "a comma or a closing bracket");
    }
    return after_value(run, p);
}

/* ---- Strings ---- */

/* A lead byte of UTF-8: what may follow it (RFC 3629 section 4). */
static const byte_t *take_lead(run_t *run, const byte_t *p)
{
    p2p_scan_t *scan = run->scan;
    byte_t c = *p;

    if (c < 0xC2 || c > 0xF4) return refuse(run, p, "valid UTF-8");
    scan->sub = c < 0xE0 ? 1 : c < 0xF0 ? 2 : 3;
    scan->utf8_min = c == 0xE0 ? 0xA0 : c == 0xF0 ? 0x90 : 0x80;
    scan->utf8_max = c == 0xED ? 0x9F : c == 0xF4 ? 0x8F : 0xBF;
    scan->state = S_UTF8;
    return p + 1;
}

static const byte_t *take_utf8(run_t *run, const byte_t *p)
{
    p2p_scan_t *scan = run->scan;

    for (; p < run->end && scan->sub; p++, scan->sub--) {
        if (*p < scan->utf8_min || *p > scan->utf8_max) return refuse(run, p, "valid UTF-8");
        scan->utf8_min = 0x80;
        scan->utf8_max = 0xBF;
    }
    if (!scan->sub) scan->state = S_STRING;
    return p;
}

static const byte_t *take_escape(run_t *run, const byte_t *p)
{
    switch (*p) {
    case '"': case '\\': case '/': case 'b': case 'f': case 'n': case 'r': case 't':
        run->scan->state = S_STRING;
        return p + 1;
    case 'u':
        run->scan->sub = 0;
        run->scan->state = S_HEX;
        return p + 1;
    default:
        return refuse(run, p, "one of \"\\/bfnrtu after a backslash");
    }
}

static inline int is_hex(byte_t c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

static const byte_t *take_hex(run_t *run, const byte_t *p)
{
    p2p_scan_t *scan = run->scan;

    for (; p < run->end && scan->sub < 4; p++, scan->sub++) {
        if (!is_hex(*p)) return refuse(run, p, "four hexadecimal digits after \\u");
    }
    if (scan->sub == 4) scan->state = S_STRING;
    return p;
}

/* What stands where the plain bytes of a string end, but for its closing quote. */
static const byte_t *take_special(run_t *run, const byte_t *p)
{
    if (*p >= 0x80) return take_lead(run, p);
    if (*p != '\\') return refuse(run, p, "no control character in a string");
    p++;
    run->scan->state = S_ESCAPE;
    return p < run->end ? take_escape(run, p) : p;
}

/* Tells the string from offset begin to the quote at p. */
static inline const byte_t *end_string(run_t *run, apr_uint64_t begin, const byte_t *p, int is_name, int plain)
{
    if (!is_name) return after_value(run, tell(run, P2P_SCAN_STRING, begin, p + 1, plain));
    return after_name(run, tell(run, P2P_SCAN_NAME, begin, p + 1, plain));
}

/* Goes on in a string to its end or that of the piece. */
static const byte_t *take_string(run_t *run, const byte_t *p)
{
    while (p && p < run->end) {
        switch (run->scan->state) {
        case S_STRING:
            p = skip_plain(p, run->end);
            if (p == run->end) return p;
            if (*p == '"') return end_string(run, run->scan->token_begin, p, run->scan->string_is_name, 0);
            p = take_special(run, p);
            break;
        case S_ESCAPE:
            p = take_escape(run, p);
            break;
        case S_HEX:
            p = take_hex(run, p);
            break;
        default:
            p = take_utf8(run, p);
        }
    }
    return p;
}

static inline const byte_t *begin_string(run_t *run, const byte_t *p, int is_name)
{
    p2p_scan_t *scan = run->scan;
    const byte_t *stop = skip_plain(p + 1, run->end);

    /* Most strings are plain and lie in one piece: for them nothing needs to be remembered. */
    if (stop < run->end && *stop == '"') return end_string(run, offset_of(run, p), stop, is_name, 1);
    scan->token_begin = offset_of(run, p);
    scan->string_is_name = (byte_t)is_name;
    scan->state = S_STRING;
    return take_string(run, stop);
}

/* ---- Numbers and literals ---- */

enum { N_MINUS, N_ZERO, N_INT, N_DOT, N_FRAC, N_E, N_SIGN, N_EXP };

/* May a number end here? */
static inline int number_is_whole(byte_t sub)
{
    return sub == N_ZERO || sub == N_INT || sub == N_FRAC || sub == N_EXP;
}

/* The state after a digit, or -1. */
static inline int number_digit(byte_t sub, byte_t c)
{
    static const signed char next[] = {N_INT, -1, N_INT, N_FRAC, N_FRAC, N_EXP, N_EXP, N_EXP};

    return sub == N_MINUS && c == '0' ? N_ZERO : next[sub];
}

/* The state after c, or -1 where c is no part of the number. */
static inline int number_next(byte_t sub, byte_t c)
{
    if (c >= '0' && c <= '9') return number_digit(sub, c);
    if (c == '.') return sub == N_ZERO || sub == N_INT ? N_DOT : -1;
    if (c == 'e' || c == 'E') return number_is_whole(sub) && sub != N_EXP ? N_E : -1;
    if (c == '+' || c == '-') return sub == N_E ? N_SIGN : -1;
    return -1;
}

static const byte_t *take_number(run_t *run, const byte_t *p)
{
    p2p_scan_t *scan = run->scan;

    for (; p < run->end; p++) {
        int next = number_next(scan->sub, *p);

        if (next >= 0) scan->sub = (byte_t)next;
        else if (!number_is_whole(scan->sub)) return refuse(run, p, "a digit");
        else return after_value(run, tell(run, P2P_SCAN_NUMBER, scan->token_begin, p, 0));
    }
    return p;
}

static const byte_t *begin_number(run_t *run, const byte_t *p)
{
    run->scan->token_begin = offset_of(run, p);
    run->scan->sub = *p == '-' ? N_MINUS : *p == '0' ? N_ZERO : N_INT;
    run->scan->state = S_NUMBER;
    return take_number(run, p + 1);
}

static const byte_t *take_literal(run_t *run, const byte_t *p)
{
    static const struct { const char *word, *expected; p2p_scan_kind_t kind; } literals[] = {
        {"true", "the word true", P2P_SCAN_TRUE},
        {"false", "the word false", P2P_SCAN_FALSE},
        {"null", "the word null", P2P_SCAN_NULL}};
    p2p_scan_t *scan = run->scan;
    unsigned i = scan->state - S_TRUE;

    for (; p < run->end && literals[i].word[scan->sub]; p++, scan->sub++) {
        if (*p != (byte_t)literals[i].word[scan->sub]) return refuse(run, p, literals[i].expected);
    }
    if (literals[i].word[scan->sub]) return p;
    return after_value(run, tell(run, literals[i].kind, scan->token_begin, p, 0));
}

static const byte_t *begin_literal(run_t *run, const byte_t *p, byte_t state)
{
    run->scan->token_begin = offset_of(run, p);
    run->scan->sub = 1;
    run->scan->state = state;
    return take_literal(run, p + 1);
}

/* ---- The machine ---- */

static inline const byte_t *value(run_t *run, const byte_t *p)
{
    switch (*p) {
    case '"':
        return begin_string(run, p, 0);
    case '{':
        return open_container(run, p, 1);
    case '[':
        return open_container(run, p, 0);
    case 't':
        return begin_literal(run, p, S_TRUE);
    case 'f':
        return begin_literal(run, p, S_FALSE);
    case 'n':
        return begin_literal(run, p, S_NULL);
    case '-': case '0': case '1': case '2': case '3': case '4':
    case '5': case '6': case '7': case '8': case '9':
        return begin_number(run, p);
    default:
        return refuse(run, p, "a value");
    }
}

/* A member's name, and the string that mostly is its value. */
static inline const byte_t *begin_member(run_t *run, const byte_t *p)
{
    p = begin_string(run, p, 1);
    if (!p || p == run->end || run->scan->state != S_VALUE || *p != '"') return p;
    return begin_string(run, p, 0);
}

/* Takes the byte at p, which is no white space, between two tokens. */
static inline const byte_t *between(run_t *run, const byte_t *p)
{
    switch (run->scan->state) {
    case S_FIRST_VALUE:
        return *p == ']' ? close_container(run, p, 0) : value(run, p);
    case S_FIRST_NAME:
        if (*p == '}') return close_container(run, p, 1);
        return *p == '"' ? begin_member(run, p) : refuse(run, p, "a member's name or a closing brace");
    case S_NAME:
        return *p == '"' ? begin_member(run, p) : refuse(run, p, "a member's name");
    case S_COLON:
        return *p == ':' ? after_name(run, p) : refuse(run, p, "a colon");
    case S_AFTER:
        return after(run, p);
    default:
        return value(run, p);
    }
}

/* Goes on in the token that the last piece left unfinished. */
static const byte_t *resume(run_t *run, const byte_t *p)
{
    switch (run->scan->state) {
    case S_STRING: case S_ESCAPE: case S_HEX: case S_UTF8:
        return take_string(run, p);
    case S_NUMBER:
        return take_number(run, p);
    case S_TRUE: case S_FALSE: case S_NULL:
        return take_literal(run, p);
    case S_DEAD:
        return refuse(run, p, "nothing more after an error");
    default:
        return p;
    }
}

static p2p_error_t *no_event(void *baton, const p2p_scan_token_t *token)
{
    (void)baton;
    (void)token;
    return NULL;
}

void p2p_scan_init(p2p_scan_t *scan, p2p_scan_event_fn event, void *baton, apr_pool_t *error_pool)
{
    memset(scan, 0, sizeof *scan);
    scan->event = event ? event : no_event;
    scan->baton = baton;
    scan->error_pool = error_pool;
}

p2p_error_t *p2p_scan_feed(p2p_scan_t *scan, const char *bytes, apr_size_t len)
{
    const byte_t *p = (const byte_t *)bytes;
    run_t run = {scan, p + len, scan->offset - (apr_uint64_t)(apr_uintptr_t)p, NULL};

    if (!len) return NULL;
    p = resume(&run, p);
    while (p && p < run.end) {
        p = skip_space(p, run.end);
        if (p < run.end) p = between(&run, p);
    }
    if (!p) {
        scan->state = S_DEAD;
        return run.error;
    }
    scan->offset += len;
    return NULL;
}

int p2p_scan_within(const p2p_scan_t *scan)
{
    return scan->state > S_AFTER && scan->state != S_DEAD;
}

/* A number at top level has no byte behind it that tells its end. */
static p2p_error_t *finish_number(p2p_scan_t *scan)
{
    p2p_scan_token_t token = {P2P_SCAN_NUMBER, 0, scan->token_begin, scan->offset, 0};

    scan->state = S_AFTER;
    return scan->event(scan->baton, &token);
}

p2p_error_t *p2p_scan_finish(p2p_scan_t *scan)
{
    if (!scan->depth && scan->state == S_NUMBER && number_is_whole(scan->sub)) return finish_number(scan);
    if (!scan->depth && scan->state == S_AFTER) return NULL;
    return p2p_error_make(scan->error_pool, P2P_E_INVALID, "json-cut-short",
                          "The JSON document ends after %" APR_UINT64_T_FMT " bytes, before it is complete.",
                          scan->offset);
}

p2p_error_t *p2p_scan_all(const char *bytes, apr_size_t len, p2p_scan_event_fn event, void *baton,
                          apr_pool_t *error_pool)
{
    p2p_scan_t scan;

    p2p_scan_init(&scan, event, baton, error_pool);
    P2P_TRY(p2p_scan_feed(&scan, bytes, len));
    return p2p_scan_finish(&scan);
}
