# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# `./quickstart test`: installs what the tests need, then every stage of docs/testing.md; sourced by quickstart.

TEST_PACKAGES=(libcmocka-dev clang valgrind shellcheck perl libjson-perl libjson-validator-perl sqlite3 libaprutil1-dbd-pgsql iproute2 procps)
# What a sanitizer can see.
SANITIZED_FOLDERS=(t/unit t/fuzz t/sandbox t/store t/api t/auth t/exchange t/lifecycle/database.t t/lifecycle/kill.t t/hostile t/mail t/notify t/inject)

files_run=0
files_failed=0
unstable=() # "STAGE: FILE" that failed at its first run
broken=()   # logs of stages that failed

# PostgreSQL's programs without a server of the system's: Debian's package would make and start a cluster of its own on 5432.
install_postgresql() {
    local settings=/etc/postgresql-common/createcluster.conf
    compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null && return 0
    if [ -e "$settings" ]; then
        install_packages postgresql-15
        return
    fi
    as_root mkdir -p "${settings%/*}"
    echo 'create_main_cluster = false' | as_root tee "$settings" >/dev/null
    install_packages postgresql-15
    # The package's own settings, as if nobody had been there before.
    if [ -e "$settings.ucf-dist" ]; then as_root mv "$settings.ucf-dist" "$settings"; else as_root rm -f "$settings"; fi
}

# Java, Maven and Python from Debian, where there are none yet.
install_java() {
    local packages=()
    command -v javac >/dev/null || packages+=(openjdk-17-jdk-headless)
    command -v mvn >/dev/null || packages+=(maven)
    command -v python3 >/dev/null || packages+=(python3) # the loader
    [ ${#packages[@]} -eq 0 ] || install_packages "${packages[@]}"
}

# fetch_node FOLDER WHAT: what the folder's lock file pins.
fetch_node() {
    [ "$1/node_modules/.package-lock.json" -nt "$1/package-lock.json" ] && return
    say "Fetching $2"
    (cd "$1" && npm ci --ignore-scripts --no-audit --no-fund) >"$RUN/npm.log" 2>&1 ||
        die_with "$RUN/npm.log" "npm could not fetch what $1 needs."
}

install_provider() { fetch_node t/oidc 'the OpenID provider of t/oidc'; }

# Debian's Chromium, and what drives it.
install_browser() {
    command -v chromium >/dev/null || install_packages chromium
    fetch_node t/browser 'the driver of t/browser'
}

# The linter of t/openapi, pinned by its lock file. It needs a Node.js of 20.19 or later.
install_openapi() { fetch_node t/openapi 'the linter of t/openapi'; }

# mod_auth_openidc. Where there is a system's Apache, its package would enable it there and restart that: then it is unpacked beside.
install_openidc() {
    [ ! -e "$(apxs -q LIBEXECDIR)/mod_auth_openidc.so" ] || return 0
    if [ ! -e /usr/share/apache2/apache2-maintscript-helper ]; then
        install_packages libapache2-mod-auth-openidc
        return
    fi
    install_packages libhiredis0.14 libcjose0 libjansson4
    [ ! -e "$RUN/openidc/usr/lib/apache2/modules/mod_auth_openidc.so" ] || return 0
    mkdir -p "$RUN/openidc"
    (cd "$RUN/openidc" && apt-get -q download libapache2-mod-auth-openidc && dpkg-deb -x libapache2-mod-auth-openidc_*.deb .) \
        >>"$RUN/apt.log" 2>&1 || die_with "$RUN/apt.log" 'libapache2-mod-auth-openidc could not be fetched.'
}

# The test files that a log of prove names as failed.
failed_in() {
    sed -n 's/^\([^ ].*[^ ]\) *(Wstat: [0-9].*/\1/p' "$1" | sort -u
}

# stage NAME COMMAND... t/run WHAT...: runs it, shows it, and adds prove's figures to the sum. These are tests with real servers, processes that are
# killed and machines that are shared: a file that failed is run once more, and one that passes then is named at the end, to be mended.
stage() {
    local name=$1 log="$RUN/test-$1.log" code=0 files failed=0 begun=$SECONDS command=() word first=() left=()
    shift
    for word in "$@"; do
        command+=("$word")
        [ "$word" != t/run ] || break
    done
    say "Tests: $name"
    "$@" 2>&1 | tee "$log" || code=$?
    files=$(sed -n 's/^Files=\([0-9]*\),.*/\1/p' "$log" | tail -n 1)
    files=${files:-1}
    mapfile -t first < <(failed_in "$log")
    if [ "$name" != analyze ] && [ ${#first[@]} -gt 0 ] && [ ${#first[@]} -le 5 ]; then
        say "Tests: $name, once more: ${first[*]}"
        code=0
        "${command[@]}" "${first[@]}" 2>&1 | tee "$RUN/test-$name-again.log" || code=$?
        mapfile -t left < <(failed_in "$RUN/test-$name-again.log")
        unstable+=("${first[@]/#/$name: }")
    else
        left=("${first[@]}")
    fi
    if [ "$code" -ne 0 ]; then failed=$((${#left[@]} > 0 ? ${#left[@]} : 1)); fi
    if grep -Eq '(\.\.+ skipped:|^ok [0-9]+ # skip)' "$log"; then
        echo "quickstart: a test of $name skipped itself; here a test that cannot run counts as failed." >&2
        [ "$failed" -gt 0 ] || failed=1
    fi
    files_run=$((files_run + files))
    files_failed=$((files_failed + failed))
    if [ "$code" -ne 0 ]; then broken+=("$log"); fi
    echo "-- $name: $((files - failed)) of $files files passed in $((SECONDS - begun)) s"
}

# with_build FOLDER COMMAND...: the tests look there for what was built.
with_build() {
    local folder=$1
    shift
    env P2P_BUILDDIR="$folder" P2P_SRCDIR="$PWD" P2P_HTTPD="$(apxs -q SBINDIR)/$(apxs -q PROGNAME)" \
        P2P_HTTPD_MODULES="$(apxs -q LIBEXECDIR)" P2P_MORE_MODULES="$RUN/openidc/usr/lib/apache2/modules" "$@"
}

sanitized() {
    local preload
    preload="$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libubsan.so)"
    with_build "$RUN/build-sanitized" env P2P_SANITIZED=1 P2P_DATABASES=one P2P_HTTPD_PRELOAD="$preload" \
        ASAN_OPTIONS=detect_leaks=0:abort_on_error=0:exitcode=86 UBSAN_OPTIONS=print_stacktrace=1 "$@"
}

VALGRIND='valgrind -q --vgdb=no --error-exitcode=87 --leak-check=full --errors-for-leak-kinds=definite'

# The runner of these tests runs under valgrind; what it has to say is held by t/valgrind/runner_logs.t, which comes last.
valgrind_runner() {
    local wrapper=$RUN/build/p2p-runner-valgrind
    cat >"$wrapper" <<TEXT
#!/bin/sh
exec $VALGRIND --child-silent-after-fork=yes --log-file='$RUN/valgrind/runner.%p.log' '$RUN/build/p2p-runner' "\$@"
TEXT
    chmod 755 "$wrapper"
    rm -rf "$RUN/valgrind"
    mkdir -p "$RUN/valgrind"
    chmod 1777 "$RUN/valgrind"
    with_build "$RUN/build" env P2P_RUNNER_PROGRAM="$wrapper" P2P_VALGRIND_LOGS="$RUN/valgrind" "$@"
}

finish() {
    local log entry
    for log in ${broken[@]+"${broken[@]}"}; do
        say "What failed in $log"
        grep -hE -A 6 '^not ok|^ *#   Failed|\(Wstat: [0-9]|^  Failed test|Non-zero exit|Parse errors|ERROR: ' "$log" "${log%.log}-again.log" 2>/dev/null | tail -n 60
    done
    for entry in ${unstable[@]+"${unstable[@]}"}; do echo "failed at its first run: $entry"; done
    say "Finished in $((SECONDS / 60)) min $((SECONDS % 60)) s; the logs are $RUN/test-*.log"
    echo "$((files_run - files_failed)) passed, $files_failed failed"
    [ "$files_failed" -eq 0 ]
}

run_tests() {
    install_packages "${BUILD_PACKAGES[@]}" "${RUN_PACKAGES[@]}" "${TEST_PACKAGES[@]}"
    install_node
    install_postgresql
    case " ${*:-t/interop} " in *' t/interop'*) install_java ;; esac
    case " ${*:-t/oidc} " in *' t/oidc'*) install_openidc ;; esac
    case " ${*:-t/oidc} " in *' t/oidc'* | *' t/interop'* | *' t/browser'*) install_provider ;; esac
    case " ${*:-t/openapi} " in *' t/openapi'*) install_openapi ;; esac
    case " ${*:-t/browser} " in *' t/interop'* | *' t/browser'*) install_browser ;; esac
    say "Building ($RUN/build)"
    build "$RUN/build" -- build-tests
    if [ $# -gt 0 ]; then
        stage chosen with_build "$RUN/build" t/run "$@"
        finish
        return
    fi
    stage all with_build "$RUN/build" t/run
    stage analyze with_build "$RUN/build" t/run t/analyze
    say "Building with ASan and UBSan ($RUN/build-sanitized)"
    build "$RUN/build-sanitized" --enable-sanitizers --disable-werror CFLAGS='-g -O1' -- build-tests
    stage sanitized sanitized t/run "${SANITIZED_FOLDERS[@]}"
    stage valgrind-unit with_build "$RUN/build" env P2P_TEST_EXEC="$VALGRIND" P2P_TEST_JOBS="$(nproc)" t/run t/unit
    stage valgrind valgrind_runner t/run t/exchange/twice.t t/exchange/requests.t t/valgrind/runner_logs.t
    stage openapi with_build "$RUN/build" t/run t/openapi
    stage oidc with_build "$RUN/build" t/run t/oidc
    stage browser with_build "$RUN/build" t/run t/browser
    stage interop with_build "$RUN/build" t/run t/interop
    finish
}
