# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# The mail server of `./quickstart` (t/mail/smtpd) and what it was given; sourced by demo.sh. It passes nothing on: no mail leaves the machine.

MAIL_FROM=p2p@payer.example
MAIL_ADMINS='first.administrator@payer.example second.administrator@payer.example'

# Its folder, password and program; templates beside it, to be changed at will. The member's address is new at every start, as only so many mails a day
# go to one.
make_mail() {
    member_address=evelyn.$(openssl rand -hex 3)@member.example
    rm -rf "$state/mails"
    mkdir -p "$state/mails" "$state/mail-templates"
    cp conf/mail/* "$state/mail-templates/"
    install -m 755 t/mail/smtpd "$state/bin/"
    (umask 077 && openssl rand -hex 18 >"$state/mail-password" && printf 'p2p:%s\n' "$(cat "$state/mail-password")" >"$state/mail.auth")
    serve_owner "$state/mails" "$state/mail.key" "$state/mail-password"
}

start_mail() {
    local as=() waited pid
    [ "$(id -u)" != 0 ] || as=(setpriv --reuid=www-data --regid=www-data --clear-groups)
    setsid "${as[@]}" "$state/bin/smtpd" --dir "$state/mails" --port "$P2P_MAIL_PORT" --mode starttls --cert "$state/mail.pem" \
        --key "$state/mail.key" --user p2p --password-file "$state/mail-password" </dev/null >"$state/smtpd.log" 2>&1 &
    pid=$!
    for waited in {1..300}; do
        [ ! -s "$state/mails/ready" ] || return 0
        [ "$waited" -lt 10 ] || kill -0 "$pid" 2>/dev/null || break
        sleep 0.1
    done
    die_with "$state/smtpd.log" "the mail server did not start on port $P2P_MAIL_PORT."
}

count_mails() { find "$state/mails" -name '[0-9]*.json' | wc -l; }

# show_mails NUMBER: waits until so many more have come than were shown, and shows them as a reader would see them.
mails_shown=0
show_mails() {
    local waited file wanted=$((mails_shown + $1))
    for waited in {1..600}; do
        [ "$(count_mails)" -lt "$wanted" ] || break
        [ "$waited" -lt 600 ] || die "only $(($(count_mails) - mails_shown)) of $1 mails came within a minute; see $state/httpd-error.log, and /admin/mail."
        sleep 0.1
    done
    for file in "$state"/mails/[0-9]*.json; do
        wanted=${file##*/}
        [ "$((10#${wanted%.json}))" -gt "$mails_shown" ] || continue
        jq -r '(.headers | map({key: (.[0] | ascii_downcase), value: .[2]}) | from_entries) as $head
            | "From: \($head.from)", "To: \($head.to)", "Subject: \($head.subject)", "",
              (.parts[] | select(.type == "text/plain").text | sub("\\s+$"; ""))' "$file" | sed 's/^/   | /'
        echo
    done
    mails_shown=$(count_mails)
}
