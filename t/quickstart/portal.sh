# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Plays the member portal, and in the end staff and an administrator: lists the payers, starts an exchange, watches it, shows what arrived, asks for
# another payer, and shows who is told of it all; sourced by demo.sh.

# What demo.sh has set.
: "${state:?}" "${MEMBER:?}" "${TARGET_PATIENT:?}" "${httpd:?}" "${member_address:?}"
api=https://127.0.0.1:$P2P_PORT
sandbox=https://127.0.0.1:$P2P_SANDBOX_PORT

# call USER METHOD PATH [FILE]: the answer's body; passwords are in the file that --config names.
call() {
    curl -sS --fail-with-body --config "$state/$1.curl" -X "$2" "$api$3" \
        ${4:+-H 'Content-Type: application/json' --data-binary "@$4"} ||
        die "$2 $3 failed; the answer stands above, and what httpd logged in $state/httpd-error.log."
}

portal() { call portal "$@"; }

# At the target payer's FHIR server, to look at what arrived.
target() {
    curl -sS --fail --config "$state/sandbox.curl" "$sandbox/target/fhir/$1" ||
        die "the sandbox target does not answer GET $1; see $state/sandbox-error.log."
}

count_at_target() { target "$1?_summary=count" | jq -r '.total'; }

show_progress() {
    local line
    line=$(jq -r '[.batchStatus, (.progress // {} | to_entries[] | select(.value | type == "number") | "\(.key) \(.value)")] | join("  ")' <<<"$1")
    [ "$line" = "$shown" ] && return
    shown=$line
    echo "   $line"
}

# watch_job PATH: polls until it has ended; the last answer is left in $job.
watch_job() {
    local shown='' polls
    for ((polls = 0; polls < 1200; polls++)); do
        job=$(portal GET "$1")
        show_progress "$job"
        case $(jq -r '.batchStatus' <<<"$job") in
            STARTING | STARTED | STOPPING) sleep 0.25 ;;
            *) return ;;
        esac
    done
    die "the exchange has not ended after five minutes; see $state/httpd-error.log."
}

show_arrivals() {
    local type sent arrived total=0
    printf '   %-24s %8s %8s\n' 'resource type' source target
    while read -r sent type; do
        arrived=$(count_at_target "$type")
        total=$((total + arrived))
        [ "$arrived" = "$sent" ] || arrived="$arrived*"
        printf '   %-24s %8s %8s\n' "$type" "$sent" "$arrived"
    done < <(jq -r '.entry[].resource.resourceType' "$state/member.json" | sort | uniq -c)
    printf '   %-24s %8s %8s\n' all "$(jq '.entry | length' "$state/member.json")" "$total"
    echo '   * more: the member as the target payer knew them (Patient), both payers themselves (Organization)'
}

show_provenance() {
    local bundle
    bundle=$(target 'Provenance?_count=200')
    printf '   %s Provenance, one for each page, naming %s resources in all. One of them, in short:\n' \
        "$(count_at_target Provenance)" "$(jq '[.entry[].resource.target | length] | add' <<<"$bundle")"
    jq '.entry[0].resource | {resourceType, id, recorded, agent: .agent[0].who.reference,
        entity: .entity[0].what | {display, sha256: .identifier.value},
        target: (.target[:2] + ["and \((.target | length) - 2) more"])}' <<<"$bundle" | sed 's/^/   /'
}

show_task() {
    target "Task/$1" | jq '{resourceType, id, status, for: .for.reference, owner: .owner.reference, authoredOn, lastModified,
        output: [.output[]? | "\(.type.coding[0].code) \(.valueInteger)"]}' | sed 's/^/   /'
}

# The definition of the sandbox; another one may be left of a run with another port.
find_server() {
    local pid
    for pid in $(portal GET /api/oidc_servers | jq '.servers[].pid'); do
        portal GET "/api/oidc_servers/$pid" | jq -e --arg url "$sandbox/source/fhir" '.fhirEndpoint == $url' >/dev/null &&
            echo "$pid" && return
    done
    die "the sandbox's definition is not in the list; see $state/database.log."
}

# send METHOD PATH: standard input to the target's FHIR server, with what the portal, or staff, may there; the answer.
send() {
    curl -sS --fail-with-body --config "$state/sandbox.curl" -X "$1" "$sandbox/target/fhir/$2" -H 'Content-Type: application/fhir+json' --data-binary @- ||
        die "the sandbox target does not take $1 $2; see $state/sandbox-error.log."
}

# The sample of conf/, with the values of this member.
add_payer_task() {
    jq --arg now "$(date -u +%FT%TZ)" --arg patient "$TARGET_PATIENT" --arg address "$member_address" '
        {"<Patient_ID>": $patient, "<Organization_ID>": "sandbox-target", "<Task_Creation_Date_Time>": $now, "<Task_Last_Updated_Date_Time>": $now,
         "<member_first_name>": "Evelyn", "<requester_last_name>": "McCullough", "<new_payer_name>": "Payer of Long Ago",
         "<member_email_address>": $address, "1111111111": "555-0100"} as $values
        | walk(if type == "string" then reduce ($values | to_entries[]) as $value (.; split($value.key) | join($value.value)) else . end)' \
        conf/add-payer-task.json
}

# Until the runner has looked at the target for the first time: what was there before is not mailed.
await_first_look() {
    local waited
    for waited in {1..120}; do
        "$state/bin/p2p-runner" status --httpd "$httpd -f $state/httpd.conf" 2>"$state/status.log" >"$state/status.json" || true
        jq -e '.tasks | .way == "subscription" and .lastSearch != null' "$state/status.json" >/dev/null 2>&1 && return
        sleep 0.5
    done
    die_with "$state/status.log" 'the runner has not looked for Tasks at the target within a minute.'
}

# A member asks for a payer, and staff take it up: who is told.
play_request() {
    local task
    say "A member asks for a payer that is not listed. The portal: POST $sandbox/target/fhir/Task, conf/add-payer-task.json filled in"
    task=$(add_payer_task | send POST Task | jq -r '.id')
    jq -c '[.identifier[0].value, .status, (.input[] | "\(.type.coding[0].code): \(.valueString)")]' <<<"$(target "Task/$task")" | sed 's/^/   /'
    say 'Mail to two administrators and to the member'
    show_mails 3
    say "Staff take it up: PUT $sandbox/target/fhir/Task/$task, status accepted"
    target "Task/$task" | jq '.status = "accepted"' | send PUT "Task/$task" | jq -c '{id, status}' | sed 's/^/   /'
    show_mails 1
}

# What only an administrator sees; the portal may not.
play_administrator() {
    say "As an administrator: GET /admin/oidc_servers/$1"
    call admin GET "/admin/oidc_servers/$1" | jq -c .
    printf '   The portal asks for the same: %s\n' \
        "$(curl -sS --config "$state/portal.curl" "$api/admin/oidc_servers/$1" | jq -r '"\(.status) \(.title)"')"
}

play_portal() {
    local job path server task
    say 'As the portal: GET /api/oidc_servers'
    portal GET /api/oidc_servers | jq -c .
    server=$(find_server)
    await_first_look
    say "POST /api/oidc_servers/$server/batch_job: the record of Evelyn McCullough, $(jq '.entry | length' "$state/member.json") resources"
    job=$(portal POST "/api/oidc_servers/$server/batch_job" "$state/order.json")
    jq -c . <<<"$job"
    path=/api/oidc_servers/$server/batch_job/$(jq -r '.batchJobId' <<<"$job")
    say "GET $path"
    watch_job "$path"
    [ "$(jq -r '.batchStatus' <<<"$job")" = COMPLETED ] || {
        jq . <<<"$job" >&2
        die "the exchange did not complete; see its error above and $state/httpd-error.log."
    }
    jq -c . <<<"$job"
    say 'What arrived at the target payer'
    show_arrivals
    say 'Where it came from'
    show_provenance
    task=$(jq -r '.taskId' <<<"$job")
    say 'The Task of the exchange, in short'
    show_task "$task"
    say 'The member is told by mail'
    show_mails 1
    play_request
    play_administrator "$server"
    say 'It stays up: in a browser'
    cat <<TEXT
   $sandbox/portal/
       the member portal, as Evelyn: bring her record over, or ask for a payer that is not listed. How it is made: docs/portal.md
   $api/console/
       the console, for the user admin; the password is in $state/admin-password
   $api/
       the API page, for the users portal and admin; the portal's password is in $state/portal-password
   The browser warns of the certificates: have it trust $state/ca.pem, or go on ("Advanced") at each of the two ports.

More:
   $api/admin/mail, $state/mails
       what became of each mail, and the mails; what they are made of is in $state/mail-templates
   $sandbox/target/fhir/Task/$task
   $sandbox/target/fhir/Provenance?_count=20
       the sandbox target, open to everybody
   curl --config $state/portal.curl $api/api/oidc_servers
   curl --config $state/admin.curl $api/admin/oidc_servers
       the API with curl
   $state/httpd-error.log, $state/sandbox-error.log
       the logs
./quickstart stop ends it.
TEXT
}
