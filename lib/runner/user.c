/* SPDX-License-Identifier: Apache-2.0 */
/* From root to httpd's User. */
#include "runner/user.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <apr_strings.h>

/* As httpd's User directive has it: a name, or # and a number. */
static const struct passwd *find_user(const char *name)
{
    char *end;
    unsigned long number;

    if (*name != '#') return getpwnam(name);
    number = strtoul(name + 1, &end, 10);
    return end == name + 1 || *end ? NULL : getpwuid((uid_t)number);
}

static p2p_error_t *not_permitted(apr_pool_t *p, const p2p_spec_t *spec, const char *what)
{
    return p2p_error_make(p, P2P_E_INVALID, "bad-user",
                          "The %s of httpd's User %s cannot be taken on: %s. Look at httpd's User and Group.", what,
                          spec->user, strerror(errno));
}

p2p_error_t *p2p_become_user(apr_pool_t *p, const p2p_spec_t *spec)
{
    const struct passwd *user;
    gid_t group = (gid_t)spec->group;

    if (geteuid() != 0 || !spec->user) return NULL;
    user = find_user(spec->user);
    if (!user) {
        return p2p_error_make(p, P2P_E_INVALID, "bad-user",
                              "httpd's User %s is not a user of this system. Look at httpd's User.", spec->user);
    }
    if (initgroups(user->pw_name, group) || setgid(group)) return not_permitted(p, spec, "groups");
    if (setuid(user->pw_uid)) return not_permitted(p, spec, "identity");
    /* libpq looks for its files there, and fails where it may not. */
    if (setenv("HOME", user->pw_dir, 1)) return not_permitted(p, spec, "home");
    return NULL;
}

const char *p2p_caller_name(apr_pool_t *p)
{
    const struct passwd *user = getpwuid(getuid());

    return user ? apr_pstrdup(p, user->pw_name) : apr_psprintf(p, "#%lu", (unsigned long)getuid());
}
