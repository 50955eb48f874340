# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# `./quickstart`: the state folder, the servers and their end; sourced by quickstart.

# shellcheck source=t/quickstart/mail.sh
. t/quickstart/mail.sh

MEMBER_FILE=t/data/synthea-r4/Evelyn_McCullough_b3e8d121-f742-438c-92e3-02135e4543d5.json.gz
MEMBER=3e26303e-a72a-4c60-866f-e5b81a9f1989
TARGET_PATIENT=member-1

httpd=''
modules=''

ask_apxs() {
    httpd=$(apxs -q SBINDIR)/$(apxs -q PROGNAME)
    modules=$(apxs -q LIBEXECDIR)
}

# ---- the state folder ----

make_state() {
    state=$RUN/state
    mkdir -p "$state/bin" "$state/target" "$state/db" "$state/spool"
    chmod 755 "$state"
    chmod 700 "$state/db" "$state/spool"
    serve_owner "$state/db" "$state/spool"
    install -m 755 "$RUN/build/.libs/mod_p2p.so" "$RUN/build/t/sandbox/.libs/mod_p2p_sandbox.so" "$RUN/build/p2p-runner" "$state/bin/"
    rm -rf "$state/pages"
    cp -R "$RUN/build/pages" "$state/pages"
}

# serve_owner FILE...: what httpd's children or the runner must read or write as www-data.
serve_owner() {
    [ "$(id -u)" != 0 ] || chown www-data:www-data "$@"
}

# ---- certificate and passwords ----

# certificate_good NAME
certificate_good() {
    [ -s "$1.pem" ] && openssl x509 -checkend 2592000 -noout -in "$1.pem" >/dev/null &&
        openssl verify -CAfile ca.pem "$1.pem" >/dev/null 2>&1
}

# sign NAME: a key, and a certificate of our CA for it.
sign() {
    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$1.key" -out server.csr -subj '/CN=127.0.0.1' &&
        openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 825 -extfile server.ext -out "$1.pem"
}

# For the two httpds, and for the mail server, which is another user's.
make_certificate() (
    cd "$state" || exit 1
    if certificate_good server && certificate_good mail; then exit 0; fi
    umask 077
    printf '%s\n' 'subjectAltName=IP:127.0.0.1,DNS:localhost' 'basicConstraints=critical,CA:FALSE' \
        'extendedKeyUsage=serverAuth' >server.ext
    {
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 825 -keyout ca.key -out ca.pem \
            -subj '/CN=mod_p2p quickstart CA' -addext 'keyUsage=critical,keyCertSign,cRLSign' &&
            sign server && sign mail
    } 2>openssl.log
    # The CA has signed all it ever will.
    rm -f ca.key ca.srl server.csr server.ext
    certificate_good server && certificate_good mail && chmod 644 ca.pem server.pem mail.pem
)

# make_password USER: in files that only their owner reads, and never in an argument.
make_password() (
    cd "$state" || exit 1
    umask 077
    [ -s "$1-password" ] || openssl rand -base64 18 >"$1-password"
    htpasswd -iB htpasswd "$1" <"$1-password" 2>/dev/null || die 'htpasswd failed.'
    printf 'user = "%s:%s"\ncacert = "%s"\nnoproxy = "*"\n' "$1" "$(cat "$1-password")" "$PWD/ca.pem" >"$1.curl"
)

make_passwords() (
    cd "$state" || exit 1
    umask 077
    : >htpasswd
    make_password portal
    make_password admin
    serve_owner htpasswd
    printf 'cacert = "%s"\nnoproxy = "*"\n' "$PWD/ca.pem" >sandbox.curl
)

# ---- configurations ----

# fill TEMPLATE RESULT: puts in what stands between @.
fill() {
    local text user=''
    [ "$(id -u)" != 0 ] || user=$'User www-data\nGroup www-data'
    text=$(cat "$1")
    text=${text//@STATE@/$state}
    text=${text//@TOP@/$PWD}
    text=${text//@MEMBER@/$MEMBER}
    text=${text//@ACCESS_TOKEN@/$access_token}
    text=${text//@REFRESH_TOKEN@/$refresh_token}
    text=${text//@TARGET_PATIENT@/$TARGET_PATIENT}
    text=${text//@MODULES@/$modules}
    text=${text//@SANDBOX_PORT@/$P2P_SANDBOX_PORT}
    text=${text//@SANDBOX@/https://127.0.0.1:$P2P_SANDBOX_PORT}
    text=${text//@MAIL_PORT@/$P2P_MAIL_PORT}
    text=${text//@MAIL_FROM@/$MAIL_FROM}
    text=${text//@MAIL_ADMINS@/$MAIL_ADMINS}
    text=${text//@PORT@/$P2P_PORT}
    text=${text//@USER@/$user}
    (umask 077 && printf '%s\n' "$text" >"$2")
}

# What the member's sign-in at the source would have given the portal; new at every start, as the sandbox forgets.
make_secrets() {
    access_token=$(openssl rand -hex 24)
    refresh_token=$(openssl rand -hex 24)
}

# The target payer, the member as he knows them (a Patient without any record), the definition of the source payer, the portal's order.
make_members() {
    gzip -dc "$MEMBER_FILE" >"$state/member.json"
    jq --arg id "$TARGET_PATIENT" --arg address "$member_address" '[.entry[].resource | select(.resourceType == "Patient")][0]
        | {resourceType, id: $id, name: [.name[0]], telecom: [{system: "email", value: $address}], birthDate, gender}' "$state/member.json" >"$state/target/patient.json"
    jq -n '{resourceType: "Organization", id: "sandbox-target", name: "Sandbox Target Payer"}' >"$state/target/organization.json"
    (
        umask 077
        jq -n --arg base "https://127.0.0.1:$P2P_SANDBOX_PORT/source" '[{
            name: "Sandbox Source Payer", issuer: $base, clientId: "portal",
            scopes: "openid offline_access patient/*.read", authWellKnown: "\($base)/fhir/.well-known/smart-configuration",
            tokenEndpoint: "\($base)/token", fhirEndpoint: "\($base)/fhir", responseType: "code",
            organizationId: "sandbox-source"}]' >"$state/definitions.json"
        jq -n --rawfile access <(printf %s "$access_token") --rawfile refresh <(printf %s "$refresh_token") \
            --arg source "$MEMBER" --arg target "$TARGET_PATIENT" '{
            sourcePayer: {oidcToken: $access, oidcRefreshToken: $refresh, patientId: $source},
            targetPayer: {patientId: $target, organizationId: "sandbox-target"}}' >"$state/order.json"
    )
}

# Keys, schema and definitions, with the runner's own commands; they ask httpd for its settings, and work as its User.
make_database() (
    local runner=$state/bin/p2p-runner log=$state/database.log command="$httpd -f $state/httpd.conf"
    umask 077
    : >"$log"
    [ -s "$state/secret.key" ] || "$runner" keygen >"$state/secret.key" 2>"$log" || die_with "$log" 'p2p-runner keygen failed.'
    "$runner" migrate --httpd "$command" >>"$log" 2>&1 || die_with "$log" 'p2p-runner migrate failed.'
    "$runner" definitions import "$state/definitions.json" --httpd "$command" >>"$log" 2>&1 ||
        die_with "$log" 'p2p-runner definitions import failed.'
    rm -f "$state/definitions.json"
)

# ---- servers ----

port_taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# check_port PORT VARIABLE: a sentence that names who may hold it.
check_port() {
    local holder=''
    port_taken "$1" || return 0
    command -v ss >/dev/null && holder=$(ss -Hltnp "sport = :$1" | sed -n 's/.*users:((\(.*\)))/\1/p' | head -n 1)
    die "port $1 is taken${holder:+ by $holder}. Stop that program, or choose another port: $2=N ./quickstart"
}

# processes_of NAME: the pids of the httpd of that configuration, the parent's own first; also those that lost their parent. Or smtpd.
processes_of() {
    local conf=$state/$1.conf parent folder words
    parent=$(cat "$state/$1.pid" 2>/dev/null || true)
    for folder in ${parent:+"/proc/$parent"} /proc/[0-9]*; do
        mapfile -d '' words 2>/dev/null <"$folder/cmdline" || continue
        case $1 in
            smtpd) [ "${words[1]-}" = "$state/bin/smtpd" ] && echo "${folder#/proc/}" ;;
            *) [ "${words[0]-}" = "$httpd" ] && [ "${words[1]-} ${words[2]-}" = "-f $conf" ] && echo "${folder#/proc/}" ;;
        esac
    done
    return 0
}

# stop_one NAME: ends that httpd, and waits until all of it is gone.
stop_one() {
    local pids waited
    for waited in {0..150}; do
        mapfile -t pids < <(processes_of "$1")
        [ ${#pids[@]} -gt 0 ] || break
        case $waited in
            # The parent ends its children; children without a parent have to be told.
            0) kill -TERM "${pids[0]}" 2>/dev/null || die "process ${pids[0]} cannot be ended by this user: run ./quickstart stop as the one who started it." ;;
            20) kill -TERM "${pids[@]}" 2>/dev/null || true ;;
            120) kill -KILL "${pids[@]}" 2>/dev/null || true ;;
        esac
        sleep 0.1
    done
    rm -f "$state/$1.pid"
}

stop_all() {
    state=$RUN/state
    [ -d "$state" ] || return 0
    ask_apxs
    stop_one httpd
    stop_one sandbox
    stop_one smtpd
}

# start_one NAME PORT URL: starts the httpd of that configuration and waits until it answers.
start_one() {
    local name=$1 waited
    "$httpd" -f "$state/$name.conf" -k start >"$state/$name-start.log" 2>&1 ||
        { tail -n 5 "$state/$name-error.log" >&2 2>/dev/null; die_with "$state/$name-start.log" "the $name server did not start."; }
    for waited in {1..100}; do
        curl -sS -o /dev/null --config "$state/sandbox.curl" "$3" 2>"$state/$name-wait.log" && return 0
        [ "$waited" -lt 20 ] || [ -n "$(processes_of "$name")" ] || break
        sleep 0.1
    done
    cat "$state/$name-wait.log" >&2
    die_with "$state/$name-error.log" "the $name server does not answer at $3."
}

demo() {
    local access_token refresh_token member_address
    say "Preparing ($RUN/state)"
    stop_all
    ask_apxs
    make_state
    make_secrets
    make_certificate || die_with "$state/openssl.log" 'openssl could not make the certificate.'
    make_passwords
    make_mail
    make_members
    check_port "$P2P_PORT" P2P_PORT
    check_port "$P2P_SANDBOX_PORT" P2P_SANDBOX_PORT
    check_port "$P2P_MAIL_PORT" P2P_MAIL_PORT
    fill conf/quickstart-httpd.conf.in "$state/httpd.conf"
    fill t/quickstart/sandbox.conf.in "$state/sandbox.conf"
    make_database
    say "Starting the sandbox payers on port $P2P_SANDBOX_PORT, a mail server on port $P2P_MAIL_PORT and httpd with mod_p2p on port $P2P_PORT"
    start_mail
    start_one sandbox "$P2P_SANDBOX_PORT" "https://127.0.0.1:$P2P_SANDBOX_PORT/source/fhir/metadata"
    start_one httpd "$P2P_PORT" "https://127.0.0.1:$P2P_PORT/health"
    # shellcheck source=t/quickstart/portal.sh
    . t/quickstart/portal.sh
    play_portal
}
