/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a fuzz target over every file of the folders given and prints TAP. Without arguments the folder is
 * that of the target's corpus: fuzz_NAME replays t/fuzz/corpus/NAME below P2P_SRCDIR. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

static int tests, failures;

static void report(int ok, const char *what)
{
    tests++;
    failures += !ok;
    printf("%sok %d - %s\n", ok ? "" : "not ", tests, what);
    fflush(stdout);
}

/* The target gets a block of exactly the input's size, so that a sanitizer sees each step beyond it. */
static void run_copy(const char *bytes, size_t len)
{
    uint8_t *copy = malloc(len ? len : 1);

    if (!copy) abort();
    memcpy(copy, bytes, len);
    LLVMFuzzerTestOneInput(copy, len);
    free(copy);
}

static void run_file(const char *path)
{
    static char bytes[1 << 20];
    FILE *file = fopen(path, "rb");
    size_t len = file ? fread(bytes, 1, sizeof bytes, file) : 0;
    int whole = file && !ferror(file) && len < sizeof bytes;

    if (whole) run_copy(bytes, len);
    if (file) fclose(file);
    report(whole, path);
}

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static void run_folder(const char *folder)
{
    struct dirent **entries;
    char path[4096];
    int n = scandir(folder, &entries, is_visible, alphasort), i;

    if (n <= 0) {
        snprintf(path, sizeof path, "%s holds no input", folder);
        report(0, path);
        return;
    }
    for (i = 0; i < n; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name);
        run_file(path);
        free(entries[i]);
    }
    free(entries);
}

static void run_own_corpus(const char *program)
{
    const char *source = getenv("P2P_SRCDIR"), *slash = strrchr(program, '/');
    const char *name = strstr(slash ? slash : program, "fuzz_");
    char folder[4096];

    snprintf(folder, sizeof folder, "%s/t/fuzz/corpus/%s", source ? source : ".", name ? name + 5 : "");
    run_folder(folder);
}

int main(int argc, char **argv)
{
    int i;

    if (argc < 2) run_own_corpus(argv[0]);
    for (i = 1; i < argc; i++) run_folder(argv[i]);
    printf("1..%d\n", tests);
    return failures != 0;
}
