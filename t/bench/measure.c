/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a program and writes into a file what it used: `measure FILE PROGRAM ARGUMENTS...`. Small, since a child's peak
 * begins with its parent's. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static double seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static int report(const char *path, const struct rusage *usage)
{
    FILE *out = fopen(path, "w");

    if (!out) return 1;
    fprintf(out, "{\"cpu\":%.6f,\"user\":%.6f,\"peak_kb\":%ld}\n", seconds(usage->ru_utime) + seconds(usage->ru_stime),
            seconds(usage->ru_utime), usage->ru_maxrss);
    return fclose(out);
}

int main(int argc, char **argv)
{
    struct rusage usage;
    int status;
    pid_t pid;

    if (argc < 3) return 64;
    pid = fork();
    if (pid == 0) {
        execv(argv[2], argv + 2);
        fprintf(stderr, "measure: %s: %s\n", argv[2], strerror(errno));
        _exit(127);
    }
    if (pid < 0 || wait4(pid, &status, 0, &usage) != pid || report(argv[1], &usage)) return 70;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 70;
}
