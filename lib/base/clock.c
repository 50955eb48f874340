/* SPDX-License-Identifier: Apache-2.0 */
/* The operating system's clocks, and times as text. */
#include "base/clock.h"

#include <time.h>

static apr_time_t read_clock(clockid_t id)
{
    struct timespec ts;

    clock_gettime(id, &ts); /* cannot fail for the two clocks used */
    return apr_time_from_sec(ts.tv_sec) + ts.tv_nsec / 1000;
}

static apr_time_t system_now(void *baton)
{
    (void)baton;
    return read_clock(CLOCK_REALTIME);
}

static apr_time_t system_monotonic(void *baton)
{
    (void)baton;
    return read_clock(CLOCK_MONOTONIC);
}

p2p_clock_t p2p_clock_system(void)
{
    p2p_clock_t clock = {system_now, system_monotonic, NULL};

    return clock;
}

/* Days from 1970-01-01 to a day of the Gregorian calendar, for years from 0. APR's own refuses what lies
 * before 1970. */
static apr_int64_t day_number(int year, int month, int day)
{
    /* Counted from 1 March, a leap day ends its year and month lengths follow one formula. */
    apr_int64_t y = month > 2 ? year : year - 1;
    int m = month > 2 ? month - 3 : month + 9;
    apr_int64_t leaps = y < 0 ? -1 : y / 4 - y / 100 + y / 400;

    return 365 * y + leaps + (153 * m + 2) / 5 + day - 1 - 719468;
}

static int month_length(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

    return month == 2 && leap ? 29 : days[month - 1];
}

static char *put_number(char *out, apr_int64_t value, int width)
{
    int i;

    for (i = width; i-- > 0; value /= 10) out[i] = (char)('0' + value % 10);
    return out + width;
}

/* What four digits of a year can say. */
static apr_time_t clamp(apr_time_t t)
{
    apr_time_t low = apr_time_from_sec(day_number(0, 1, 1) * 86400);
    apr_time_t high = apr_time_from_sec(day_number(10000, 1, 1) * 86400) - 1;

    return t < low ? low : t > high ? high : t;
}

void p2p_time_format(char out[P2P_ISO_TIME_LEN + 1], apr_time_t t)
{
    static const char marks[] = "--T::.Z";
    apr_int64_t usec, fields[7];
    struct tm tm;
    time_t sec;
    int i;

    t = clamp(t);
    usec = (t % APR_USEC_PER_SEC + APR_USEC_PER_SEC) % APR_USEC_PER_SEC;
    sec = (time_t)((t - usec) / APR_USEC_PER_SEC);
    gmtime_r(&sec, &tm);
    fields[0] = tm.tm_year + 1900;
    fields[1] = tm.tm_mon + 1;
    fields[2] = tm.tm_mday;
    fields[3] = tm.tm_hour;
    fields[4] = tm.tm_min;
    fields[5] = tm.tm_sec;
    fields[6] = usec / 1000;
    for (i = 0; i < 7; i++) {
        out = put_number(out, fields[i], i == 0 ? 4 : i == 6 ? 3 : 2);
        *out++ = marks[i];
    }
    *out = '\0';
}

const char *p2p_time_iso(apr_pool_t *p, apr_time_t t)
{
    char *out = apr_palloc(p, P2P_ISO_TIME_LEN + 1);

    p2p_time_format(out, t);
    return out;
}

/* Text that is being read; the functions below return 0 where it does not go on as asked. */
typedef struct reader_t {
    const char *s, *end;
} reader_t;

static int take(reader_t *r, char c)
{
    if (r->s == r->end || *r->s != c) return 0;
    r->s++;
    return 1;
}

/* Exactly width digits, of a value from low to high. */
static int take_number(reader_t *r, int width, int low, int high, int *value)
{
    *value = 0;
    for (; width > 0; width--, r->s++) {
        if (r->s == r->end || *r->s < '0' || *r->s > '9') return 0;
        *value = *value * 10 + (*r->s - '0');
    }
    return *value >= low && *value <= high;
}

/* A fraction behind its dot, in microseconds; digits beyond those are read and cut. */
static int take_fraction(reader_t *r, int *usec)
{
    const char *begin = r->s;
    int unit = 100000;

    *usec = 0;
    for (; r->s < r->end && *r->s >= '0' && *r->s <= '9'; r->s++, unit /= 10) *usec += (*r->s - '0') * unit;
    return r->s > begin;
}

/* Z, or an offset from UTC in seconds. */
static int take_zone(reader_t *r, int *seconds)
{
    int hours, minutes, west;

    *seconds = 0;
    if (take(r, 'Z')) return 1;
    west = take(r, '-');
    if (!west && !take(r, '+')) return 0;
    if (!take_number(r, 2, 0, 14, &hours) || !take(r, ':') || !take_number(r, 2, 0, 59, &minutes)) return 0;
    if (hours == 14 && minutes) return 0;
    *seconds = (hours * 60 + minutes) * (west ? -60 : 60);
    return 1;
}

/* hh:mm:ss[.f]zone as microseconds from the day's begin in UTC. Second 60 is a leap second. */
static int take_time(reader_t *r, apr_time_t *t)
{
    int hour, minute, second, zone, usec = 0;

    if (!take_number(r, 2, 0, 23, &hour) || !take(r, ':')) return 0;
    if (!take_number(r, 2, 0, 59, &minute) || !take(r, ':')) return 0;
    if (!take_number(r, 2, 0, 60, &second)) return 0;
    if (take(r, '.') && !take_fraction(r, &usec)) return 0;
    if (!take_zone(r, &zone)) return 0;
    *t = apr_time_from_sec((apr_int64_t)hour * 3600 + minute * 60 + second - zone) + usec;
    return 1;
}

int p2p_time_parse(const char *text, apr_size_t len, apr_time_t *t)
{
    reader_t r = {text, text + len};
    int year, month = 1, day = 1, has_month, has_day;
    apr_time_t time = 0;

    if (!take_number(&r, 4, 1, 9999, &year)) return 0;
    has_month = take(&r, '-');
    if (has_month && !take_number(&r, 2, 1, 12, &month)) return 0;
    has_day = has_month && take(&r, '-');
    if (has_day && !take_number(&r, 2, 1, month_length(year, month), &day)) return 0;
    if (has_day && take(&r, 'T') && !take_time(&r, &time)) return 0;
    if (r.s != r.end) return 0;
    *t = apr_time_from_sec(day_number(year, month, day) * 86400) + time;
    return 1;
}
